"""One neuron, or a handful, on a handful of patterns: plateaus, and minima that more data would not have."""

import math
from itertools import combinations_with_replacement, product

import jax.numpy as jnp
import numpy as np
from jax.nn import relu, sigmoid

from optlab.types import Point, Surface


def linear_neuron(mean: float = 1.5, correlation: float = 0.8, factor: float = 1.0) -> Surface:
    """The mean square error of a neuron without a nonlinearity, whose two inputs have a mean and are correlated.

    ``f(w) = factor / 8 sum_p (d_p - w' x_p)^2`` with ``d_p = x_p1 + x_p2``

    Both inputs have the given mean, variance 1 and the given correlation, exactly. With R = sum_p x_p x_p' / 8 the
    Hessian is 2 factor R everywhere; R has the eigenvalues 1 + correlation + 2 mean^2 along (1, 1) and 1 - correlation
    across. A mean of 0 is what centring the inputs does, and with a correlation of 0 whitening. A `factor` of 1/2 is
    the other custom. `correlation` from -1 to 1, both excluded.
    """
    angles = 2 * math.pi * np.arange(8) / 8
    along, across = np.cos(angles), np.sin(angles)

    def residual(w):
        m, c, k = (jnp.asarray(number, w.dtype) for number in (mean, correlation, factor))
        both = m + jnp.sqrt(1 + c) * jnp.asarray(along, w.dtype)
        apart = jnp.sqrt(1 - c) * jnp.asarray(across, w.dtype)
        inputs = jnp.stack([both + apart, both - apart], axis=1)
        return 0.5 * jnp.sqrt(k) * (inputs @ (w - 1))

    return Surface(
        fn=lambda w: 0.5 * jnp.sum(residual(w) ** 2),
        start=[-1.0, 0.5],
        domain=([-2.0] * 2, [4.0] * 2),
        points=(Point([1.0, 1.0], 0.0, "minimum"),),
        residual=residual,
        tags=("quadratic", "convex", "ill-conditioned", "least-squares"),
        source="Widrow and Hoff 1960; LeCun, Kanter and Solla 1991",
    )


def sigmoid_neuron(response: str = "or", patterns: int = 4) -> Surface:
    """The error of one neuron with two weights, for the desired response of a logic function.

    ``f(w) = 1/n sum_p (s(w' x_p) - d_p)^2`` with ``s(z) = 1 / (1 + e^{-z})``

    The patterns are (1, 0), (1, 1), and with four of them (0, 1) and (0, 0) too; d is 0.9 where the response is
    true and 0.1 where not. There is one minimum, and around it terraces, a level for each set of patterns on which
    the neuron is saturated on the wrong side: from far away the gradient hardly leads anywhere. Two patterns can
    always be met. Without a bias the answer to (0, 0) is a half, and the best for ``and`` and for its mirror image
    ``xor`` are no weights at all. `response` is ``and``, ``or``, ``xor`` or ``first``; `patterns` 2 or 4.
    """
    true = {"and": (0, 1, 0, 0), "or": (1, 1, 1, 0), "xor": (1, 0, 1, 0), "first": (1, 1, 0, 0)}
    if response not in true or patterns not in (2, 4):
        raise ValueError(f"a response is one of {', '.join(true)} to 2 or 4 patterns, not {response!r} to {patterns}")
    inputs = np.asarray([(1, 0), (1, 1), (0, 1), (0, 0)])[:patterns]
    desired = np.asarray([0.1, 0.9])[list(true[response][:patterns])]

    def residual(w):
        x, d = (jnp.asarray(array, w.dtype) for array in (inputs, desired))
        return math.sqrt(2 / patterns) * (sigmoid(x @ w) - d)

    if patterns == 2:
        alone, both = (math.log(d / (1 - d)) for d in desired.tolist())
        least, value = [alone, both - alone], 0.0
    else:
        near, fit = 2.0585093805358423, 0.041849723242920436
        least, value = {"or": ([near, near], fit), "first": ([2 * near, -near], fit)}.get(response, ([0.0, 0.0], 0.16))
    return Surface(
        fn=lambda w: 0.5 * jnp.sum(residual(w) ** 2),
        start=[-6.0, 4.0],
        domain=([-10.0] * 2, [10.0] * 2),
        points=(Point(least, value, "minimum"),),
        residual=residual,
        tags=("plateau", "least-squares"),
        source="after Widrow and Lehr 1990",
    )


def contradicting_neuron(dim: int = 2) -> Surface:
    """One neuron, and two patterns for each of its weights that it cannot both meet: 2^d minima.

    ``f(w) = 1 / (2 d) sum_k (s(w_k) - 0.9)^2 + (s(10 w_k) - 0.1)^2`` with ``s(z) = 1 / (1 + e^{-z})``

    For each weight a weak and a strong pattern ask for opposite signs, and where one is met the other is saturated.
    So n patterns of d inputs may give (n / d)^d minima. 3^d points are stationary, all stated for up to four weights,
    for more up to a permutation of the coordinates. `dim` from 1.
    """
    inputs = np.kron(np.eye(dim), [[1.0], [10.0]])

    def residual(w):
        desired = jnp.tile(jnp.asarray([0.9, 0.1], w.dtype), dim)
        return dim**-0.5 * (sigmoid(jnp.asarray(inputs, w.dtype) @ w) - desired)

    along = (
        (-0.15480191860382306, 0.09903574520788298, 0),
        (2.1972242586717416, 0.40499999974188206, 0),
        (0.4892188880067134, 0.43754530924076112, 1),
    )
    choices = product(along, repeat=dim) if dim <= 4 else combinations_with_replacement(along, dim)

    def point(choice):
        place, values, humps = zip(*choice, strict=True)
        index = sum(humps)
        return Point(list(place), sum(values) / dim, {0: "minimum", dim: "maximum"}.get(index, "saddle"), index)

    return Surface(
        fn=lambda w: 0.5 * jnp.sum(residual(w) ** 2),
        start=[0.6] * dim,
        domain=([-2.0] * dim, [4.0] * dim),
        points=tuple(point(choice) for choice in choices),
        residual=residual,
        tags=("multimodal", "plateau", "saddle", "maximum", "nonzero-residual", "least-squares"),
        source="after Auer, Herbster and Warmuth 1996",
    )


def xor_network() -> Surface:
    """The smallest network that learns the exclusive or: two hidden units, nine weights.

    ``f(x) = 1/4 sum_p (s(v' s(W x_p + b) + c) - d_p)^2`` with ``s(z) = 1 / (1 + e^{-z})``

    x is (W_11, W_12, W_21, W_22, b_1, b_2, v_1, v_2, c); d is 0.9 where the two inputs differ, else 0.1. Minima
    meet all four patterns and fill manifolds, of which one point is stated. Where the output is a half for all
    patterns, f = 0.16, lies a plateau with strict saddles on it; the origin is one of its flat points. Other
    minima lie at infinity only, where hidden units are saturated.
    """
    inputs = np.asarray([(0, 0), (0, 1), (1, 0), (1, 1)])

    def residual(x):
        given, desired = jnp.asarray(inputs, x.dtype), jnp.asarray([0.1, 0.9, 0.9, 0.1], x.dtype)
        hidden = sigmoid(given @ x[:4].reshape(2, 2).T + x[None, 4:6])
        return math.sqrt(0.5) * (sigmoid(hidden @ x[6:8] + x[8]) - desired)

    # both units count the inputs, one from half on and one from one and a half: their difference peaks at one
    slope = 6.0
    peak, foot = math.tanh(slope / 4), 1 / (1 + math.exp(slope / 2)) - 1 / (1 + math.exp(1.5 * slope))
    weight = 2 * math.log(9) / (peak - foot)
    solution = [slope] * 4 + [-slope / 2, -1.5 * slope, weight, -weight, -math.log(9) - weight * foot]
    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[0.5, -0.3, 0.2, 0.4, -0.1, 0.3, -0.4, 0.6, 0.1],
        domain=([-10.0] * 9, [10.0] * 9),
        points=(
            Point(solution, 0.0, "minimum"),
            Point([0.0, 2.0, 2.0] + [0.0] * 6, 0.16, "saddle", 2),
            Point([0.0] * 9, 0.16, "degenerate"),
        ),
        residual=residual,
        tags=("plateau", "saddle", "degenerate-saddle", "manifold-of-minima", "least-squares"),
        source="Rumelhart, Hinton and Williams 1986; Sprinkhuizen-Kuyper and Boers 1999",
    )


def teacher_student_relu(dim: int = 2, hidden: int = 2) -> Surface:
    """A layer of rectifiers that learns from another one, on 64 Gaussian inputs.

    ``f(W) = 1/64 sum_p (sum_k max(0, w_k' x_p) - sum_k max(0, x_pk))^2 / 2``

    x holds the rows w_k; the teacher's are the first axes, and its units in any order are minima: stated are two.
    From six units on other minima become common. With as many inputs as these the kinks of single patterns show.
    `hidden` from 1 to `dim`.
    """
    inputs = np.random.RandomState(0).normal(size=(64, dim))
    answers = np.sum(np.maximum(inputs[:, :hidden], 0), axis=1)

    def residual(w):
        given, wanted = (jnp.asarray(array, w.dtype) for array in (inputs, answers))
        return (jnp.sum(relu(given @ w.reshape(hidden, dim).T), axis=1) - wanted) / 8

    teacher = np.eye(hidden, dim)
    return Surface(
        fn=lambda w: 0.5 * jnp.sum(residual(w) ** 2),
        start=(0.1 * np.random.RandomState(1).normal(size=hidden * dim)).tolist(),
        domain=([-2.0] * (hidden * dim), [2.0] * (hidden * dim)),
        points=tuple(Point(rows.ravel().tolist(), 0.0, "minimum") for rows in (teacher, teacher[::-1])),
        residual=residual,
        tags=("nonsmooth", "saddle", "multimodal", "least-squares"),
        source="Safran and Shamir 2018",
    )
