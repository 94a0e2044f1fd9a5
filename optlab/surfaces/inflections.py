"""Inflections: the gradient vanishes on the way down, where there is neither a minimum nor a saddle."""

import math

import jax.numpy as jnp

from optlab.types import Point, Surface


def inflection_quartic() -> Surface:
    """A stationary inflection at the origin, on the slope to a minimum at x = 1.

    ``f(x, y) = 3 x^4 - 4 x^3 + y^2 / 2``

    Met along x from the left, the gradient dies quadratically and plain descent never gets past; an
    approach along y at x > 0 passes it by.
    """
    return Surface(
        fn=lambda p: 3 * p[0] ** 4 - 4 * p[0] ** 3 + 0.5 * p[1] ** 2,
        start=[-1.0, 1.0],
        domain=([-1.2, -1.6], [1.6, 1.6]),
        points=(
            Point([1.0, 0.0], -1.0, "minimum"),
            Point([0.0, 0.0], 0.0, "degenerate"),
        ),
        tags=("inflection",),
        source="textbook",
    )


def cubic_inflection() -> Surface:
    """An inflection in both coordinates, often taken for a saddle.

    ``f(x, y) = x^3 + y^3``

    The Hessian at the origin is zero. From the positive quadrant descent stalls there; any step across
    falls to minus infinity.
    """
    return Surface(
        fn=lambda p: jnp.sum(p**3),
        start=[1.2, 1.9],
        domain=([-2.0, -2.0], [2.0, 2.0]),
        points=(Point([0.0, 0.0], 0.0, "degenerate"),),
        tags=("inflection", "unbounded"),
        source="saddle_point of LightBench with power 1",
    )


def staircase_inflection() -> Surface:
    """A staircase with a stationary inflection on every tread, and a minimum flat like a sixth power.

    ``f(x, y) = (x - sin(x))^2 / 2 + y^2 / 2``

    Inflections at x = 2 pi k for every k but 0, where f = (2 pi k)^2 / 2.
    """

    def residual(p):
        x, y = p
        return jnp.stack([x - jnp.sin(x), y])

    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[20.0, 1.0],
        domain=([-22.0, -5.0], [22.0, 5.0]),
        points=(
            Point([0.0, 0.0], 0.0, "minimum"),
            *(Point([math.tau * k, 0.0], (math.tau * k) ** 2 / 2, "degenerate") for k in (1, -1, 2, -2, 3, -3)),
        ),
        residual=residual,
        tags=("inflection", "plateau", "degenerate-min", "least-squares"),
        source="constructed",
    )
