"""The smallest models of learning: losses of networks whose stationary points are all understood."""

import math

import jax.numpy as jnp

from optlab.types import Point, Surface


def matrix_factorization() -> Surface:
    """The best matrix of rank one, found as a product of two vectors.

    ``f(u, v) = |u v' - diag(2, 1)|^2 / 2`` with ``x = (u_1, u_2, v_1, v_2)``

    Minima use the larger singular value and leave 1/2; the smaller one is a saddle, the origin a saddle
    of index 2. Scaling u up and v down changes nothing, so all but the origin lie on curves.
    """
    target = (2.0, 0.0, 0.0, 1.0)

    def residual(x):
        return jnp.outer(x[:2], x[2:]).ravel() - jnp.asarray(target, x.dtype)

    root = math.sqrt(2)
    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[0.001] * 4,
        domain=([-2.0] * 4, [2.0] * 4),
        points=(
            Point([root, 0.0, root, 0.0], 0.5, "minimum"),
            Point([-root, 0.0, -root, 0.0], 0.5, "minimum"),
            Point([0.0, 1.0, 0.0, 1.0], 2.0, "saddle", 1),
            Point([0.0, -1.0, 0.0, -1.0], 2.0, "saddle", 1),
            Point([0.0, 0.0, 0.0, 0.0], 2.5, "saddle", 2),
        ),
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
