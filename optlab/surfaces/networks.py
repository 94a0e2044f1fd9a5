"""The smallest models of learning: losses of networks whose stationary points are all understood."""

import math

import jax.numpy as jnp
import numpy as np

from optlab.types import Point, Surface


def matrix_factorization(rows: int = 2, columns: int = 2, rank: int = 1) -> Surface:
    """The best matrix of low rank, found as a product of two thin ones.

    ``f(U, V) = |U V' - S|^2 / 2`` with ``S = diag(k, ..., 2, 1)``, ``k = min(rows, columns)``

    x holds U, `rows` times `rank`, then V, `columns` times `rank`, row by row. Minima use the largest singular
    values and leave the others; a choice of smaller ones, or of fewer, is a strict saddle: stated are the best
    choices of each number, and the best with its last value exchanged for the next. Scaling U up and V down
    changes nothing, so all but the origin lie on curves. `rank` from 1 to k.
    """
    k = min(rows, columns)
    singular = np.arange(k, 0, -1.0)
    target = np.zeros((rows, columns))
    np.fill_diagonal(target, singular)

    def residual(x):
        U, V = x[: rows * rank].reshape(rows, rank), x[rows * rank :].reshape(columns, rank)
        return (U @ V.T - jnp.asarray(target, x.dtype)).ravel()

    def choice(chosen, kind, index, sign=1):
        U, V = np.zeros((rows, rank)), np.zeros((columns, rank))
        for column, value in enumerate(chosen):
            U[value, column] = V[value, column] = sign * math.sqrt(singular[value])
        left = 0.5 * float(np.sum(np.delete(singular, chosen) ** 2))
        return Point([*U.ravel().tolist(), *V.ravel().tolist()], left, kind, index)

    best = list(range(rank))
    points = [choice(best, "minimum", 0), choice(best, "minimum", 0, -1)]
    if rank < k:
        exchanged = [*best[:-1], rank]
        points += [choice(exchanged, "saddle", 1), choice(exchanged, "saddle", 1, -1)]
    points += [choice(best[:m], "saddle", (rank - m) * (k - m)) for m in reversed(range(rank))]
    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        # each column of U and V begins with rows of its own: equal columns would stay equal
        start=[0.001 * ((i + j) % rank == 0) for size in (rows, columns) for i in range(size) for j in range(rank)],
        domain=([-max(2.0, k**0.5)] * (rank * (rows + columns)), [max(2.0, k**0.5)] * (rank * (rows + columns))),
        points=tuple(points),
        residual=residual,
        tags=("saddle", "manifold-of-minima", "least-squares"),
        source="Ge, Lee and Ma 2016",
    )


def deep_linear(depth: int = 4) -> Surface:
    """A linear network of one unit a layer: a product of weights that should be 1.

    ``f(w) = (w_1 w_2 ... w_depth - 1)^2 / 2``

    The origin is a strict saddle for two layers and a flat one, of the order of the depth, for more; the
    minima fill a hypersurface. Small weights start on a long plateau. `depth` from 2.
    """

    def residual(x):
        return jnp.prod(x, keepdims=True) - 1

    origin = [0.0] * depth
    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[0.05] * depth,
        domain=([-2.0] * depth, [2.0] * depth),
        points=(
            Point([1.0] * depth, 0.0, "minimum"),
            Point([-1.0] * 2 + [1.0] * (depth - 2), 0.0, "minimum"),
            Point(origin, 0.5, "saddle", 1) if depth == 2 else Point(origin, 0.5, "degenerate"),
        ),
        residual=residual,
        tags=("degenerate-saddle", "plateau", "manifold-of-minima", "least-squares"),
        source="Saxe, McClelland and Ganguli 2014",
    )


def deep_linear_network(depth: int = 3, width: int = 2) -> Surface:
    """A linear network: a product of matrices that should be a given one.

    ``f(W_1, ..., W_L) = |W_L ... W_1 - S|^2 / 2`` with ``S = diag(width, ..., 2, 1)``, ``L = depth``

    x holds W_1 to W_L, row by row. From small weights each singular value has its own plateau, the large ones
    end first: these plateaus are the stated saddles, strict for two layers and flat for more. `depth` from 2,
    `width` from 1.
    """
    singular = np.arange(width, 0, -1.0)

    def residual(x):
        product, *rest = x.reshape(depth, width, width)
        for matrix in rest:
            product = matrix @ product
        return (product - jnp.diag(jnp.asarray(singular, x.dtype))).ravel()

    def learned(count):
        layer = np.diag(np.where(np.arange(width) < count, singular ** (1 / depth), 0))
        place, left = np.tile(layer.ravel(), depth).tolist(), 0.5 * float(np.sum(singular[count:] ** 2))
        if count == width:
            return Point(place, left, "minimum")
        return Point(place, left, "saddle", (width - count) ** 2) if depth == 2 else Point(place, left, "degenerate")

    reach = max(2.0, float(width) ** (1 / depth))
    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=(0.1 * np.tile(np.eye(width).ravel(), depth)).tolist(),
        domain=([-reach] * (depth * width**2), [reach] * (depth * width**2)),
        points=tuple(learned(count) for count in reversed(range(width + 1))),
        residual=residual,
        tags=("degenerate-saddle", "plateau", "manifold-of-minima", "least-squares"),
        source="Saxe, McClelland and Ganguli 2014; Kawaguchi 2016",
    )


def phase_retrieval(dim: int = 2) -> Surface:
    """The mean loss of recovering a vector from measurements without sign, where no saddle traps.

    ``f(x) = 3/4 |x|^4 - 1/2 |x|^2 - x_1^2 + 3/4``

    The sought vector is the first axis: minima at plus and minus it, a maximum at the origin, and saddles
    on the sphere of radius 1/sqrt(3) across it. The start lies on that cross-section. `dim` from 2.
    """

    def fn(x):
        square = jnp.sum(x**2)
        return 0.75 * square**2 - 0.5 * square - x[0] ** 2 + 0.75

    def along(axis, length):
        return [length * (i == axis) for i in range(dim)]

    return Surface(
        fn=fn,
        start=along(1, 0.9),
        domain=([-1.5] * dim, [1.5] * dim),
        points=(
            Point(along(0, 1.0), 0.0, "minimum"),
            Point(along(0, -1.0), 0.0, "minimum"),
            Point(along(1, 3**-0.5), 2 / 3, "saddle", 1),
            Point(along(1, -(3**-0.5)), 2 / 3, "saddle", 1),
            Point([0.0] * dim, 0.75, "maximum", dim),
        ),
        tags=("saddle", "maximum"),
        source="Sun, Qu and Wright 2018",
    )


def phase_retrieval_sampled(dim: int = 2, measurements: int = 16) -> Surface:
    """A vector recovered from the squares of its products with as many Gaussian vectors.

    ``f(x) = 1 / (4 m) sum_i ((a_i' x)^2 - (a_i' x*)^2)^2``

    The sought x* is the first axis; `phase_retrieval` is the mean over all a. Minima at plus and minus x*, a maximum
    at the origin, and the two saddles between them for the default numbers; with few measurements other minima may
    appear. `dim` from 1, `measurements` from `dim`.
    """
    # RandomState, because its numbers are promised never to change: the stated points hang on them
    vectors = np.random.RandomState(0).normal(size=(measurements, dim))
    squares = vectors[:, 0] ** 2

    def residual(x):
        a, y = (jnp.asarray(array, x.dtype) for array in (vectors, squares))
        return math.sqrt(0.5 / measurements) * ((a @ x) ** 2 - y)

    sought, origin = [1.0] + [0.0] * (dim - 1), 0.25 * float(np.mean(squares**2))
    points = [
        Point(sought, 0.0, "minimum"),
        Point([-x for x in sought], 0.0, "minimum"),
        Point([0.0] * dim, origin, "maximum", dim),
    ]
    if (dim, measurements) == (2, 16):
        x, y, value = 0.20184677546792273, 0.5797736829858334, 1.5067785216522285
        points += [Point([x, y], value, "saddle", 1), Point([-x, -y], value, "saddle", 1)]
    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=([0.0] if dim > 1 else []) + [0.9] + [0.0] * (dim - 2),
        domain=([-1.5] * dim, [1.5] * dim),
        points=tuple(points),
        residual=residual,
        tags=("saddle", "maximum", "least-squares"),
        source="Sun, Qu and Wright 2018",
    )
