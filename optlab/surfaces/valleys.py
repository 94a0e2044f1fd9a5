"""Valleys: one downhill direction is shallow, another is steep, and often the floor bends."""

import math

import jax.numpy as jnp
import numpy as np

from optlab.types import Point, Surface


def rosenbrock(dim: int = 2) -> Surface:
    """The banana-shaped valley, chained through all its variables.

    ``f(x) = sum_{i<d} 100 (x_{i+1} - x_i^2)^2 + (1 - x_i)^2``

    The valley is found at once and then followed round its bend. From 4 variables on there is a second
    minimum near (-1, 1, ..., 1); it and the saddle beside it are stated for 4. `dim` from 2.
    """

    def residual(x):
        return math.sqrt(2) * jnp.concatenate([10 * (x[1:] - x[:-1] ** 2), 1 - x[:-1]])

    points = (Point([1.0] * dim, 0.0, "minimum"),)
    if dim == 4:
        local = [-0.7756592265653526, 0.6130933654850433, 0.382062846338393, 0.14597201855219447]
        between = [-0.6561246357194461, 0.4431200409715726, 0.20431224822836455, 0.04174349477612885]
        points += (
            Point(local, 3.701428610430017, "minimum"),
            Point(between, 3.708241996647261, "saddle", 1),
        )
    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[(-1.2, 1.0)[i % 2] for i in range(dim)],
        domain=([-2.0] * dim, [2.0] * dim),
        points=points,
        residual=residual,
        tags=("valley", "ill-conditioned", "least-squares"),
        source="Rosenbrock 1960; chained: Kok and Sandrock 2009",
    )


def beale() -> Surface:
    """A curved valley between steep corners, with a strict saddle on the way.

    ``f(x, y) = (1.5 - x (1 - y))^2 + (2.25 - x (1 - y^2))^2 + (2.625 - x (1 - y^3))^2``

    On the line y = 1 it is constant, so it has no walls there: descent can leave towards large x.
    """

    def residual(p):
        x, y = p
        return math.sqrt(2) * jnp.stack([c - x * (1 - y**i) for i, c in ((1, 1.5), (2, 2.25), (3, 2.625))])

    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[1.0, 1.0],
        domain=([-4.5, -4.5], [4.5, 4.5]),
        points=(
            Point([3.0, 0.5], 0.0, "minimum"),
            Point([0.0, 1.0], 14.203125, "saddle", 1),
            Point([0.10053793732415828, -2.644513585023126], 9.864512284755559, "saddle", 1),
        ),
        residual=residual,
        tags=("valley", "saddle", "least-squares"),
        source="Beale 1958; More, Garbow and Hillstrom 1981, problem 5",
    )


def nesterov_chebyshev_rosenbrock_smooth(dim: int = 2) -> Surface:
    """A valley whose length grows exponentially with the dimension.

    ``f(x) = (x_1 - 1)^2 / 4 + sum_{i<d} (x_{i+1} - 2 x_i^2 + 1)^2``

    The floor follows Chebyshev polynomials: x_{i+1} = T_2(x_i). The minimum at (1, ..., 1) is the only
    stationary point. `dim` from 2; already 8 needs very many steps.
    """

    def residual(x):
        return math.sqrt(2) * jnp.concatenate([0.5 * (x[:1] - 1), x[1:] - 2 * x[:-1] ** 2 + 1])

    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[-1.0] + [1.0] * (dim - 1),
        domain=([-1.5] * dim, [1.5] * dim),
        points=(Point([1.0] * dim, 0.0, "minimum"),),
        residual=residual,
        tags=("valley", "ill-conditioned", "least-squares"),
        source="Nesterov; Gurbuzbalaban and Overton 2012",
    )


def dixon_price(dim: int = 2) -> Surface:
    """A chain of parabolic valleys with a stationary point halfway that is nearly flat.

    ``f(x) = (x_1 - 1)^2 + sum_{i>1} i (2 x_i^2 - x_{i-1})^2``

    Minima at x_i = 2^(2^(1-i) - 1), the last coordinate with either sign. At (1/3, 0, ..., 0) there is a
    strict saddle for two variables and a singular Hessian for more. `dim` from 2.
    """
    weights = [math.sqrt(i) for i in range(2, dim + 1)]

    def residual(x):
        links = jnp.asarray(weights, x.dtype) * (2 * x[1:] ** 2 - x[:-1])
        return math.sqrt(2) * jnp.concatenate([x[:1] - 1, links])

    least = [2 ** (2.0 ** (1 - i) - 1) for i in range(1, dim + 1)]
    halfway = [1 / 3] + [0.0] * (dim - 1)
    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[1.0] * dim,
        domain=([-2.0] * dim, [2.0] * dim),
        points=(
            Point(least, 0.0, "minimum"),
            Point([*least[:-1], -least[-1]], 0.0, "minimum"),
            Point(halfway, 2 / 3, "saddle", 1) if dim == 2 else Point(halfway, 2 / 3, "degenerate"),
        ),
        residual=residual,
        tags=("valley", "saddle", "least-squares"),
        source="Dixon and Price 1989",
    )


def zakharov(dim: int = 2) -> Surface:
    """A bowl with one direction in which it grows like a fourth power.

    ``f(x) = |x|^2 + s^2 + s^4`` with ``s = sum_i i x_i / 2``

    Convex, with no stationary point but the origin. `dim` from 1.
    """

    def residual(x):
        s = 0.5 * jnp.sum(jnp.arange(1, dim + 1, dtype=x.dtype) * x, keepdims=True)
        return math.sqrt(2) * jnp.concatenate([x, s, s**2])

    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[1.0] * dim,
        domain=([-5.0] * dim, [10.0] * dim),
        points=(Point([0.0] * dim, 0.0, "minimum"),),
        residual=residual,
        tags=("valley", "convex", "least-squares"),
        source="Zakharov; surveyed by Jamil and Yang 2013",
    )


def quadratic(dim: int = 2, condition: float = 100.0) -> Surface:
    """An ellipsoid along the axes, with the condition number as its parameter.

    ``f(x) = 1/2 sum_i lambda_i x_i^2`` with ``lambda_i = condition^((i-1)/(d-1))``

    Eigenvalues lie evenly on a log scale between 1 and `condition`. `dim` from 1, `condition` from 1.
    """
    exponents = np.arange(dim) / max(dim - 1, 1)

    def residual(x):
        return jnp.sqrt(jnp.asarray(condition, x.dtype)) ** jnp.asarray(exponents, x.dtype) * x

    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[1.0] * dim,
        domain=([-1.5] * dim, [1.5] * dim),
        points=(Point([0.0] * dim, 0.0, "minimum"),),
        residual=residual,
        tags=("quadratic", "convex", "ill-conditioned", "least-squares"),
        source="textbook",
    )


def hilbert(dim: int = 8) -> Surface:
    """A quadratic so ill-conditioned that float64 can hardly tell its minimum.

    ``f(x) = 1/2 x' H x - x' H 1`` with ``H_ij = 1 / (i + j - 1)``

    The Hilbert matrix. Minimum at ones; the condition number is 19 for two variables and 1.5e10 for 8.
    `dim` from 1.
    """
    rows = np.arange(1, dim + 1)
    matrix = 1 / (rows[:, None] + rows[None, :] - 1)
    least = float(-0.5 * matrix.sum())

    def fn(x):
        # completed to a square: the gradient then vanishes exactly at the minimum
        z = x - 1
        return 0.5 * z @ jnp.asarray(matrix, x.dtype) @ z + least

    return Surface(
        fn=fn,
        start=[0.0] * dim,
        domain=([-1.0] * dim, [3.0] * dim),
        points=(Point([1.0] * dim, least, "minimum"),),
        tags=("quadratic", "convex", "ill-conditioned"),
        source="Hilbert 1894",
    )


def nesterov_worst(dim: int = 10) -> Surface:
    """The convex quadratic on which no first-order method can be fast.

    ``f(x) = 1/8 (x_1^2 + sum_{i<d} (x_i - x_{i+1})^2 + x_d^2) - x_1 / 4``

    From zero, k gradients reach only the first k variables: the lower bound of smooth convex
    optimization (gradient Lipschitz with 1). Minimum at x_i = 1 - i / (d + 1). `dim` from 1.
    """
    least = [1 - i / (dim + 1) for i in range(1, dim + 1)]
    return Surface(
        fn=lambda x: 0.125 * jnp.sum(jnp.diff(jnp.pad(x, 1)) ** 2) - 0.25 * x[0],
        start=[0.0] * dim,
        domain=([-1.0] * dim, [2.0] * dim),
        points=(Point(least, (1 / (dim + 1) - 1) / 8, "minimum"),),
        tags=("quadratic", "convex", "ill-conditioned"),
        source="Nesterov 2004, section 2.1.2",
    )
