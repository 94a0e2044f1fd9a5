"""Plateaus and cliffs: the gradient says almost nothing, and then far too much."""

import math

import jax
import jax.numpy as jnp

from optlab.types import Point, Surface


def easom() -> Surface:
    """A narrow hole in a plain that is flat to the last digit a few steps away.

    ``f(x, y) = -cos(x) cos(y) exp(-(x - pi)^2 - (y - pi)^2)``

    Around the hole lie ripples of height 0.009, whose four dents are minima too: tan(u) = -2 u at a
    distance u = 1.8366 from the centre in both coordinates.
    """

    def fn(p):
        return -jnp.prod(jnp.cos(p)) * jnp.exp(-jnp.sum((p - math.pi) ** 2))

    low, high = math.pi - 1.8365972031521258, math.pi + 1.8365972031521258
    crest, dent = 0.009005678148573858, -(0.009005678148573858**2)
    return Surface(
        fn=fn,
        start=[1.0, 1.0],
        domain=([0.0, 0.0], [math.tau, math.tau]),
        points=(
            Point([math.pi, math.pi], -1.0, "minimum"),
            *(Point([x, y], dent, "minimum") for x in (low, high) for y in (low, high)),
            *(Point([x, math.pi], crest, "maximum", 2) for x in (low, high)),
            *(Point([math.pi, y], crest, "maximum", 2) for y in (low, high)),
            *(Point([a * math.pi, b * math.pi], 0.0, "saddle", 1) for a in (0.5, 1.5) for b in (0.5, 1.5)),
        ),
        tags=("plateau", "multimodal", "saddle", "maximum"),
        source="Easom 1990",
    )


def gaussian_well(dim: int = 2, width: float = 1.0) -> Surface:
    """A round hole in a flat plain.

    ``f(x) = 1 - exp(-|x|^2 / (2 width^2))``

    Beyond one `width` from the origin it is not convex, beyond a few its gradient is negligible.
    `dim` from 1, `width` positive.
    """

    def fn(x):
        return 1 - jnp.exp(-0.5 * jnp.sum((x / jnp.asarray(width, x.dtype)) ** 2))

    return Surface(
        fn=fn,
        start=[4.0] * dim,
        domain=([-5.0] * dim, [5.0] * dim),
        points=(Point([0.0] * dim, 0.0, "minimum"),),
        tags=("plateau",),
        source="textbook",
    )


def sigmoid_plateau(steepness: float = 8.0) -> Surface:
    """A round basin with a flat floor inside a flat plain, and a slope of chosen sharpness between.

    ``f(x, y) = sigmoid(steepness (x^2 + y^2 - 1)) - sigmoid(-steepness)``

    At the start the slope is about 2e-11 with the default. `steepness` from 1 (easy) to 20.
    """

    def fn(p):
        # written out: the derivative of `jax.nn.sigmoid` rounds to zero on the plateau
        s = jnp.asarray(steepness, p.dtype)
        return 1 / (1 + jnp.exp(s * (1 - jnp.sum(p**2)))) - 1 / (1 + jnp.exp(s))

    return Surface(
        fn=fn,
        start=[1.5, 1.5],
        domain=([-2.0, -2.0], [2.0, 2.0]),
        points=(Point([0.0, 0.0], 0.0, "minimum"),),
        tags=("plateau",),
        source="plateau_navigation of LightBench",
    )


def cliff(steepness: float = 200.0) -> Surface:
    """A gentle ramp that ends in a wall, as the loss of a recurrent network does.

    ``f(x, y) = sqrt(1 + x^2) - 1 + y^2 / 2 + steepness (r(x - 1) - r(x - 5/4))``
    with ``r(u) = log(1 + exp(1000 u)) / 1000``

    The slope is below 1 on the ramp and about `steepness` on the face, for 1 < x < 5/4. A gradient step
    taken there with a rate that suits the ramp overshoots the minimum by far, and the way back is as gentle
    as the way in; with the gradient's norm clipped the same rate descends the face. `steepness` from 0.
    """

    def ramp(u):
        return jax.nn.softplus(1000 * u) / 1000

    def fn(p):
        x, y = p
        face = ramp(x - 1) - ramp(x - 1.25)
        return jnp.sqrt(1 + x**2) - 1 + 0.5 * y**2 + jnp.asarray(steepness, p.dtype) * face

    return Surface(
        fn=fn,
        start=[3.0, 1.5],
        domain=([-4.0, -2.0], [4.0, 2.0]),
        # exact to the last digit: what is left of the wall at the origin is exp(-1000)
        points=(Point([0.0, 0.0], 0.0, "minimum"),),
        tags=("cliff", "plateau"),
        source="after Pascanu, Mikolov and Bengio 2013",
    )
