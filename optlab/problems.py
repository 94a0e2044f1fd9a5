"""From a closed form to a `Problem`, and what may be done to the form before."""

import jax
import jax.numpy as jnp
import numpy as np

from optlab.types import Array, Point, Problem, Surface, full_batch, minimum


def from_surface(
    surface: Surface,
    *,
    start: Array | str | None = None,
    angle: float | Array | None = None,
    noise: float | Array | None = None,
) -> Problem:
    """A surface as something to descend.

    What is random is drawn in float32 whatever the precision, so that a seed means the same in both.

    Args:
      surface: the closed form f on R^d.
      start: where runs begin: `[d]`, or ``"random"`` (uniform in the surface's domain, by the run's
        key); by default the customary start.
      angle: turns the surface, its start and its points about the origin, see `rotate`; in degrees.
      noise: standard deviation sigma of Gaussian noise on each entry of the gradient: the loss of a
        step is f(x) + sigma <xi, x> with a fresh xi ~ N(0, I). What is measured stays free of it.

    Raises:
      ValueError: for a start that is not a point of R^d.
    """
    if angle is not None:
        surface = rotate(surface, angle)
    dim, residual = np.shape(surface.start)[0], surface.residual
    if isinstance(start, str):
        if start != "random":
            raise ValueError(f"a start is a point of {dim} numbers or 'random', not {start!r}")
    elif start is not None and np.shape(start) != (dim,):
        found = np.shape(start)
        raise ValueError(f"the start must be a point of {dim} numbers, not of {found[0] if found else 1}")

    def init(key):
        if isinstance(start, str):
            lower, upper = (jnp.asarray(side, float) for side in surface.domain)
            return lower + (upper - lower) * jax.random.uniform(key, (dim,), jnp.float32).astype(lower.dtype)
        return jnp.asarray(surface.start if start is None else start, float)

    def perturbed(x, xi):
        return surface.fn(x) if noise is None else surface.fn(x) + noise * (xi @ x)

    def batch(data, key):
        return jax.random.normal(key, (dim,), jnp.float32).astype(float)

    return Problem(
        init=init,
        batch=full_batch if noise is None else batch,
        loss=perturbed,
        measure=lambda x, data: {"value": surface.fn(x)},
        # With noise on the gradient the loss is no sum of squares any more.
        residual=None if residual is None or noise is not None else lambda x, _: residual(x),
        minimum=minimum(surface),
    )


def rotate(surface: Surface, angle: float | Array) -> Surface:
    """The surface g(x) = f(R^T x), turned by `angle` degrees about the origin.

    R turns each plane (x_0, x_1), (x_2, x_3), ...; an odd last coordinate stays. Start and points turn
    along; the domain becomes the box around the turned one. Raises ValueError in one dimension.
    """
    dim, residual = np.shape(surface.start)[0], surface.residual
    if dim < 2:
        raise ValueError("a surface of one dimension cannot be turned by an angle")
    radians = jnp.deg2rad(jnp.asarray(angle, float))
    cos, sin = jnp.cos(radians), jnp.sin(radians)

    def turn(x, sin=sin):
        x = jnp.asarray(x, float)
        even, odd = x[0 : dim - 1 : 2], x[1::2]
        pairs = jnp.stack([cos * even - sin * odd, sin * even + cos * odd], axis=1).ravel()
        return jnp.concatenate([pairs, x[2 * (dim // 2) :]])

    lower, upper = (np.asarray(side, float) for side in surface.domain)
    middle, half = turn((lower + upper) / 2), (upper - lower) / 2
    reach = jnp.maximum(jnp.abs(turn(half)), jnp.abs(turn(half * np.resize([1.0, -1.0], dim))))
    return surface._replace(
        fn=lambda x: surface.fn(turn(x, -sin).astype(x.dtype)),
        residual=None if residual is None else lambda x: residual(turn(x, -sin).astype(x.dtype)),
        start=turn(surface.start),
        domain=(middle - reach, middle + reach),
        points=tuple(Point(turn(p.x), p.value, p.kind, p.index) for p in surface.points),
    )
