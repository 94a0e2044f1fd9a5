"""Small classics: easy ones to begin with, and a few that break Newton's method or its rate."""

import math

import jax.numpy as jnp

from optlab.types import Point, Surface


def booth() -> Surface:
    """A mild quadratic bowl with its minimum away from the origin.

    ``f(x, y) = (x + 2 y - 7)^2 + (2 x + y - 5)^2``

    Condition number 9.
    """

    def residual(p):
        x, y = p
        return math.sqrt(2) * jnp.stack([x + 2 * y - 7, 2 * x + y - 5])

    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[-5.0, -5.0],
        domain=([-10.0, -10.0], [10.0, 10.0]),
        points=(Point([1.0, 3.0], 0.0, "minimum"),),
        residual=residual,
        tags=("quadratic", "convex", "least-squares"),
        source="Booth 1949",
    )


def matyas() -> Surface:
    """A quadratic trough along the diagonal.

    ``f(x, y) = 0.26 (x^2 + y^2) - 0.48 x y``

    Condition number 25.
    """
    return Surface(
        fn=lambda p: 0.26 * jnp.sum(p**2) - 0.48 * p[0] * p[1],
        start=[-8.0, 4.0],
        domain=([-10.0, -10.0], [10.0, 10.0]),
        points=(Point([0.0, 0.0], 0.0, "minimum"),),
        tags=("quadratic", "convex"),
        source="Matyas 1965",
    )


def trid(dim: int = 2) -> Surface:
    """A quadratic with a tridiagonal Hessian, whose minimum moves away as the dimension grows.

    ``f(x) = sum_i (x_i - 1)^2 - sum_{i>1} x_i x_{i-1}``

    Minimum at x_i = i (d + 1 - i), where f = -d (d + 4)(d - 1) / 6. `dim` from 2.
    """
    return Surface(
        fn=lambda x: jnp.sum((x - 1) ** 2) - jnp.sum(x[1:] * x[:-1]),
        start=[0.0] * dim,
        domain=([-float(dim**2)] * dim, [float(dim**2)] * dim),
        points=(
            Point(
                [float(i * (dim + 1 - i)) for i in range(1, dim + 1)],
                -dim * (dim + 4) * (dim - 1) / 6,
                "minimum",
            ),
        ),
        tags=("quadratic", "convex"),
        source="Neumaier",
    )


def newton_diverge_sqrt() -> Surface:
    """A convex curve on which Newton's method runs away from beyond 1.

    ``f(x) = sqrt(1 + x^2)``

    The Newton step is x -> -x^3: cubic convergence inside (-1, 1), divergence outside.
    """
    return Surface(
        fn=lambda x: jnp.sqrt(1 + x[0] ** 2),
        start=[1.1],
        domain=([-3.0], [3.0]),
        points=(Point([0.0], 1.0, "minimum"),),
        tags=("convex", "newton-trap"),
        source="Nesterov 2004, section 1.2.4",
    )


def newton_cycle() -> Surface:
    """A curve on which Newton's method goes to and fro between 0 and 1 for ever.

    ``f(x) = x^4 / 4 - x^2 + 2 x``

    Its slope is x^3 - 2 x + 2, with a single root; at the start 0 the curvature is negative.
    """
    return Surface(
        fn=lambda x: 0.25 * x[0] ** 4 - x[0] ** 2 + 2 * x[0],
        start=[0.0],
        domain=([-2.5], [2.0]),
        points=(Point([-1.7692923542386314], -4.219136248741586, "minimum"),),
        tags=("newton-trap",),
        source="textbook",
    )


def quartic_flat(dim: int = 2) -> Surface:
    """A bowl of fourth powers, too flat at the bottom for any method to be fast.

    ``f(x) = sum_i x_i^4``

    The Hessian at the minimum is zero; Newton's method gains only a factor 2/3 a step. `dim` from 1.
    """

    def residual(x):
        return math.sqrt(2) * x**2

    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[1.0] * dim,
        domain=([-1.5] * dim, [1.5] * dim),
        points=(Point([0.0] * dim, 0.0, "minimum"),),
        residual=residual,
        tags=("convex", "degenerate-min", "least-squares"),
        source="textbook",
    )


def powell_singular() -> Surface:
    """Four variables and a minimum at which the Hessian has rank 2.

    ``f(x) = (x_1 + 10 x_2)^2 + 5 (x_3 - x_4)^2 + (x_2 - 2 x_3)^4 + 10 (x_1 - x_4)^4``
    """

    def residual(x):
        a, b, c, d = x
        return math.sqrt(2) * jnp.stack(
            [a + 10 * b, math.sqrt(5) * (c - d), (b - 2 * c) ** 2, math.sqrt(10) * (a - d) ** 2]
        )

    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[3.0, -1.0, 0.0, 1.0],
        domain=([-4.0] * 4, [4.0] * 4),
        points=(Point([0.0] * 4, 0.0, "minimum"),),
        residual=residual,
        tags=("convex", "degenerate-min", "least-squares"),
        source="Powell 1962; More, Garbow and Hillstrom 1981, problem 13",
    )


def wood() -> Surface:
    """Two Rosenbrock valleys tied together, with a saddle on the way that slows Newton's method.

    ``f(x) = 100 (x_2 - x_1^2)^2 + (1 - x_1)^2 + 90 (x_4 - x_3^2)^2 + (1 - x_3)^2
    + 10 (x_2 + x_4 - 2)^2 + (x_2 - x_4)^2 / 10``

    The customary start passes the saddle near (-1, 1, -1, 1).
    """

    def residual(x):
        a, b, c, d = x
        return math.sqrt(2) * jnp.stack(
            [
                10 * (b - a**2),
                1 - a,
                math.sqrt(90) * (d - c**2),
                1 - c,
                math.sqrt(10) * (b + d - 2),
                math.sqrt(0.1) * (b - d),
            ]
        )

    saddle = [-0.9679740249375929, 0.9471391408178416, -0.9695163103315914, 0.9512476657923257]
    hill = [-0.03125102339433596, 0.16597138685578314, -0.031258171023264066, 0.18426393469672842]
    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[-3.0, -1.0, -3.0, -1.0],
        domain=([-4.0] * 4, [4.0] * 4),
        points=(
            Point([1.0] * 4, 0.0, "minimum"),
            Point(saddle, 7.876967165176867, "saddle", 1),
            Point(hill, 35.090034210435626, "saddle", 2),
        ),
        residual=residual,
        tags=("valley", "saddle", "least-squares"),
        source="Colville 1968; More, Garbow and Hillstrom 1981, problem 14",
    )


def freudenstein_roth() -> Surface:
    """A least-squares problem whose customary start leads to the wrong minimum.

    ``f(x, y) = (x - 13 + ((5 - y) y - 2) y)^2 + (x - 29 + ((y + 1) y - 14) y)^2``

    The local minimum and the saddle have y = (2 -+ sqrt(22)) / 3 and x = (53 -+ 4 sqrt(22)) / 3.
    """

    def residual(p):
        x, y = p
        return math.sqrt(2) * jnp.stack([x - 13 + ((5 - y) * y - 2) * y, x - 29 + ((y + 1) * y - 14) * y])

    root = math.sqrt(22)
    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[0.5, -2.0],
        domain=([-5.0, -3.0], [30.0, 5.0]),
        points=(
            Point([5.0, 4.0], 0.0, "minimum"),
            Point([(53 - 4 * root) / 3, (2 - root) / 3], 48.98425367924002, "minimum"),
            Point([(53 + 4 * root) / 3, (2 + root) / 3], 819.01025935231, "saddle", 1),
        ),
        residual=residual,
        tags=("valley", "saddle", "multimodal", "least-squares"),
        source="Freudenstein and Roth 1963; More, Garbow and Hillstrom 1981, problem 2",
    )
