"""Kinks: there is no gradient where it matters; a subgradient is given there."""

import jax.numpy as jnp

from optlab.types import Point, Surface


def l1_norm(dim: int = 2) -> Surface:
    """The sum of absolute values.

    ``f(x) = sum_i |x_i|``

    Gradients do not shrink near the minimum, so fixed steps only circle it. `dim` from 1.
    """
    return Surface(
        fn=lambda x: jnp.sum(jnp.abs(x)),
        start=[(-1.0) ** i * (i + 1.0) for i in range(dim)],
        domain=([-float(dim + 1)] * dim, [float(dim + 1)] * dim),
        points=(Point([0.0] * dim, 0.0, "minimum"),),
        tags=("nonsmooth", "convex"),
        source="textbook",
    )


def chebyshev_rosenbrock_nonsmooth(dim: int = 2) -> Surface:
    """A bent crease that misleads: all but one of its 2^(d-1) Clarke-stationary points are false.

    ``f(x) = |x_1 - 1| / 4 + sum_{i<d} |x_{i+1} - 2 |x_i| + 1|``

    The only minimum is at (1, ..., 1). `dim` from 2.
    """

    def fn(x):
        return 0.25 * jnp.abs(x[0] - 1) + jnp.sum(jnp.abs(x[1:] - 2 * jnp.abs(x[:-1]) + 1))

    return Surface(
        fn=fn,
        start=[-1.0] + [1.0] * (dim - 1),
        domain=([-1.5] * dim, [1.5] * dim),
        points=(Point([1.0] * dim, 0.0, "minimum"),),
        tags=("nonsmooth", "valley"),
        source="Gurbuzbalaban and Overton 2012",
    )


def bukin6() -> Surface:
    """A parabolic ridge as sharp as a root, with a faint slope along it.

    ``f(x, y) = 100 sqrt(|y - x^2 / 100|) + |x + 10| / 100``

    The slope grows without bound towards the ridge; on it, the root's part of the gradient is given as 0.
    """

    def fn(p):
        x, y = p
        distance = jnp.abs(y - x**2 / 100)
        # the second `where` keeps the infinite slope of the root at 0 out of the gradient
        root = jnp.where(distance > 0, jnp.sqrt(jnp.where(distance > 0, distance, 1)), 0)
        return 100 * root + jnp.abs(x + 10) / 100

    return Surface(
        fn=fn,
        start=[-5.0, -3.0],
        domain=([-15.0, -3.0], [-5.0, 3.0]),
        points=(Point([-10.0, 1.0], 0.0, "minimum"),),
        tags=("nonsmooth", "valley"),
        source="Bukin 1997, function 6",
    )


def maxq(dim: int = 2) -> Surface:
    """The largest of the squares.

    ``f(x) = max_i x_i^2``

    The gradient sees one coordinate at a time. `dim` from 1.
    """
    half = (dim + 1) // 2
    return Surface(
        fn=lambda x: x[jnp.argmax(jnp.abs(x))] ** 2,
        start=[float(i if i <= half else -i) for i in range(1, dim + 1)],
        domain=([-float(dim + 1)] * dim, [float(dim + 1)] * dim),
        points=(Point([0.0] * dim, 0.0, "minimum"),),
        tags=("nonsmooth", "convex"),
        source="Haarala, Miettinen and Makela 2004",
    )


def crescent() -> Surface:
    """The larger of two paraboloids, one opening up and one down, with a bent crease between.

    ``f(x, y) = max(x^2 + (y - 1)^2 + y - 1, -x^2 - (y - 1)^2 + y + 1)``

    Not convex; the crease has the shape of a crescent. This is the first of Kiwiel's two.
    """

    def fn(p):
        x, y = p
        circle = x**2 + (y - 1) ** 2
        return jnp.maximum(circle + y - 1, -circle + y + 1)

    return Surface(
        fn=fn,
        start=[-1.5, 2.0],
        domain=([-2.5, -1.5], [2.5, 3.5]),
        points=(Point([0.0, 0.0], 0.0, "minimum"),),
        tags=("nonsmooth",),
        source="Kiwiel 1985",
    )


def cb2() -> Surface:
    """A convex minimax problem of three smooth pieces, two of which meet at the minimum.

    ``f(x, y) = max(x^2 + y^4, (2 - x)^2 + (2 - y)^2, 2 exp(y - x))``
    """

    def fn(p):
        x, y = p
        # not `jnp.max`: where pieces tie, a compiled gradient may divide by a count of zero
        return jnp.maximum(jnp.maximum(x**2 + y**4, (2 - x) ** 2 + (2 - y) ** 2), 2 * jnp.exp(y - x))

    return Surface(
        fn=fn,
        start=[2.0, 2.0],
        domain=([-1.0, -1.0], [3.0, 3.0]),
        points=(Point([1.1390376519926626, 0.8995599383953928], 1.9522244938706588, "minimum"),),
        tags=("nonsmooth", "convex"),
        source="Charalambous and Bandler 1976",
    )
