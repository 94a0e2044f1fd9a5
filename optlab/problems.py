"""From a closed form to a `Problem`, and what may be done to the form before and to the problem after.

Surface -> Surface: `condition`, `rotate`, `rotate_randomly`, `scale`, `shift` are changes of variables;
`transformed` makes those that a configuration states. Problem -> Problem: `minibatch` and `perturb` hide the loss
from the optimizer behind chance. What is measured stays the whole and exact loss. What is random is drawn in float32
whatever the precision, so that a seed means the same in both.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.scipy import fft

from optlab.types import Array, Landmarks, Point, Problem, Surface, full_batch, minimum

_Number = float | Array

#: Up to this dimension a random rotation is a dense matrix.
DENSE = 500

#: The names of a surface's customary starts, where it has several.
ORDINALS: tuple[str, ...] = ("first", "second", "third", "fourth", "fifth")


def from_surface(
    surface: Surface,
    *,
    start: Array | str | None = None,
    start_scale: _Number | None = None,
    condition: _Number | None = None,
    angle: _Number | None = None,
    rotation: int | None = None,
    scale: _Number | None = None,
    shift: _Number | None = None,
    noise: _Number | None = None,
    value_noise: _Number | None = None,
    multiplicative_noise: _Number | None = None,
    freedom: _Number | None = None,
    batch_size: int | None = None,
) -> Problem:
    """A surface as something to descend. Every number but the whole ones may be traced.

    Args:
      surface: the closed form f on R^d.
      start: where runs begin: a point of the changed surface, `[d]`; or a text, for a point of the given one, that is
        changed along: ``"random"`` (uniform in its domain, by the run's key), or, where it has several
        customary starts, ``"first"``, ``"second"`` ...; by default the first.
      start_scale: what the start is multiplied by (the suite of More, Garbow and Hillstrom has 1, 10 and 100),
        before the surface is changed.
      condition, angle, rotation, scale, shift: changes of variables, made in this order: see `condition`,
        `rotate` (degrees), `rotate_randomly` (a seed), `scale`, `shift`.
      noise, value_noise, multiplicative_noise, freedom: what the optimizer sees is not the loss: see `perturb`.
      batch_size: residuals that the loss of a step is made of: see `minibatch`.

    Raises:
      ValueError: for a start that is not a point of R^d or none of the surface's, or what the changes refuse.
    """
    changes = {"condition": condition, "angle": angle, "rotation": rotation, "scale": scale, "shift": shift}
    changed = transformed(surface, changes)
    residual = changed.residual
    problem = Problem(
        init=_beginning(surface, changes, start, start_scale),
        batch=full_batch,
        loss=lambda x, _: changed.fn(x),
        measure=lambda x, data: {"value": changed.fn(x)},
        residual=None if residual is None else lambda x, _: residual(x),
        minimum=minimum(changed),
        landmarks=_landmarks(changed),
    )
    if batch_size is not None:
        problem = minibatch(problem, batch_size)
    return perturb(
        problem,
        noise=noise,
        value_noise=value_noise,
        multiplicative_noise=multiplicative_noise,
        freedom=freedom,
    )


def _landmarks(surface: Surface) -> Landmarks:
    lower, upper = (jnp.asarray(side, float) for side in surface.domain)
    saddles = [point for point in surface.points if point.kind != "minimum"]
    places = [jnp.asarray(point.x, float) for point in saddles]
    return Landmarks(
        jnp.max(upper - lower),
        jnp.stack(places) if places else jnp.zeros((0, len(lower))),
        jnp.array([point.value for point in saddles], float),
    )


def _beginning(surface: Surface, changes: Mapping[str, Any], start, start_scale) -> Callable[[Array], Array]:
    """The `init` of a problem."""
    dim = np.shape(surface.start)[0]
    named = dict(zip(ORDINALS, (surface.start, *surface.starts), strict=False)) if surface.starts else {}
    if isinstance(start, str):
        if start not in ("random", *named):
            allowed = " or ".join([f"a point of {dim} numbers", "'random'", *map(repr, named)])
            raise ValueError(f"a start is {allowed}, not {start!r}")
    elif start is not None and np.shape(start) != (dim,):
        found = np.shape(start)
        raise ValueError(f"the start must be a point of {dim} numbers, not of {found[0] if found else 1}")

    def scaled(x):
        return x if start_scale is None else x * jnp.asarray(start_scale, float)

    def drawn(key):
        lower, upper = (jnp.asarray(side, float) for side in surface.domain)
        return lower + (upper - lower) * jax.random.uniform(key, (dim,), jnp.float32).astype(lower.dtype)

    def init(key):
        if start is not None and not isinstance(start, str):
            return scaled(jnp.asarray(start, float))
        x = drawn(key) if start == "random" else jnp.asarray(named.get(start or "first", surface.start), float)
        return transformed(surface._replace(start=scaled(x), starts=(), points=()), changes).start

    return init


# Surface -> Surface


def transformed(surface: Surface, numbers: Mapping[str, Any]) -> Surface:
    """The surface after those of `CHANGES` to whose names `numbers` has a number, in their order."""
    for name, change in CHANGES.items():
        if numbers.get(name) is not None:
            surface = change(surface, numbers[name])
    return surface


def condition(surface: Surface, condition: _Number) -> Surface:
    """The surface g(x) = f(x / s), stretched along the axes by s_i = condition^((i - 1) / (2 d - 2)).

    Curvatures shrink by s_i^2, from 1 to `condition`: where those of f are alike, it is the condition number of g.
    Start, points and domain stretch along. Nothing happens in one dimension.
    """
    exponents = np.linspace(0, 0.5, np.shape(surface.start)[0])
    return scale(surface, jnp.asarray(condition, float) ** exponents)


def rotate(surface: Surface, angle: _Number) -> Surface:
    """The surface g(x) = f(R^T x), turned by `angle` degrees about the origin.

    R turns each plane (x_0, x_1), (x_2, x_3), ...; an odd last coordinate stays. Start and points turn
    along; the domain becomes the box around the turned one. Raises ValueError in one dimension.
    """
    dim = np.shape(surface.start)[0]
    if dim < 2:
        raise ValueError("a surface of one dimension cannot be turned by an angle")
    radians = jnp.deg2rad(jnp.asarray(angle, float))
    cos, sin = jnp.cos(radians), jnp.sin(radians)

    def turn(x, sin=sin):
        even, odd = x[0 : dim - 1 : 2], x[1::2]
        pairs = jnp.stack([cos * even - sin * odd, sin * even + cos * odd], axis=1).ravel()
        return jnp.concatenate([pairs, x[2 * (dim // 2) :]])

    def reach(half):
        return jnp.maximum(jnp.abs(turn(half)), jnp.abs(turn(half * np.resize([1.0, -1.0], dim))))

    return _moved(surface, turn, lambda x: turn(x, -sin), reach)


def rotate_randomly(surface: Surface, seed: int) -> Surface:
    """The surface g(x) = f(Q^T x) with a random orthogonal matrix Q, the same for the same seed and dimension.

    Up to 500 variables Q is uniform over all of them (Haar measure: the QR factors of a Gaussian matrix, with
    R's diagonal made positive). Beyond, Q is two rounds of random signs and a cosine transform: it mixes all
    variables in O(d log d). (A few Householder reflections would leave all but O(1/d) of each where it is.)
    Start and points turn along; the domain becomes a box around the turned one.

    Source: Mezzadri 2007 for Q; Ailon and Chazelle 2009 for the fast one.
    """
    dim = np.shape(surface.start)[0]
    generator = np.random.default_rng(_whole(seed, "the seed of a rotation"))
    if dim <= DENSE:
        Q, R = np.linalg.qr(generator.normal(size=(dim, dim)))
        Q = Q * np.where(np.diag(R) < 0, -1, 1)[None]
        return _moved(
            surface,
            lambda x: jnp.asarray(Q, x.dtype) @ x,
            lambda x: jnp.asarray(Q.T, x.dtype) @ x,
            lambda half: np.abs(Q) @ half,
        )
    signs = generator.choice([-1, 1], (2, dim))

    def mix(x):
        return fft.dct(signs[1] * fft.dct(signs[0] * x, norm="ortho"), norm="ortho")

    def unmix(x):
        return signs[0] * fft.idct(signs[1] * fft.idct(x, norm="ortho"), norm="ortho")

    return _moved(surface, mix, unmix, lambda half: jnp.full_like(half, jnp.linalg.norm(half)))


def scale(surface: Surface, factor: _Number) -> Surface:
    """The surface g(x) = f(x / factor): `factor` times as wide, in all coordinates or, `[d]`, in each.

    Start, points and domain widen along; values stay. Raises ValueError for a factor of another shape.
    """
    factor = _for_each(surface, factor, "scale")
    return _moved(surface, lambda x: factor * x, lambda x: x / factor, lambda half: jnp.abs(factor) * half)


def shift(surface: Surface, offset: _Number) -> Surface:
    """The surface g(x) = f(x - offset), with start, points and domain `offset` further on: one for all or `[d]`.

    Raises ValueError for an offset of another shape.
    """
    offset = _for_each(surface, offset, "shift")
    return _moved(surface, lambda x: x + offset, lambda x: x - offset, lambda half: half)


#: The changes of variables that a configuration may state: {its key: the function}, in the order in which they are
#: made, so that a rotation hides the axes along which a condition has stretched.
CHANGES: dict[str, Callable[[Surface, Any], Surface]] = {
    "condition": condition,
    "angle": rotate,
    "rotation": rotate_randomly,
    "scale": scale,
    "shift": shift,
}


def _moved(
    surface: Surface,
    outward: Callable[[Array], Array],
    inward: Callable[[Array], Array],
    reach: Callable[[Array], Array],
) -> Surface:
    """The surface g(x) = f(inward(x)), and all that is known of f where `outward` takes it.

    The two are affine and each other's inverse; `reach` takes half the width of a box to that of its image's.
    """
    residual = surface.residual

    def place(x):
        return outward(jnp.asarray(x, float))

    lower, upper = (jnp.asarray(side, float) for side in surface.domain)
    middle, half = place((lower + upper) / 2), reach((upper - lower) / 2)
    return surface._replace(
        fn=lambda x: surface.fn(inward(x).astype(x.dtype)),
        residual=None if residual is None else lambda x: residual(inward(x).astype(x.dtype)),
        start=place(surface.start),
        starts=tuple(map(place, surface.starts)),
        domain=(middle - half, middle + half),
        points=tuple(Point(place(p.x), p.value, p.kind, p.index) for p in surface.points),
    )


def _for_each(surface: Surface, number: _Number, what: str) -> Array:
    dim = np.shape(surface.start)[0]
    if np.shape(number) not in ((), (dim,)):
        raise ValueError(f"a {what} is one number or {dim}, not an array of shape {np.shape(number)}")
    return jnp.asarray(number, float)


def _whole(number: float, what: str) -> int:
    if number != int(number):
        raise ValueError(f"{what} must be a whole number, not {number}")
    return int(number)


# Problem -> Problem


def minibatch(problem: Problem, batch_size: int) -> Problem:
    """The problem with a finite sum seen in parts: each step's loss is made of some residuals, without replacement.

    ``loss = r / (2 batch_size) sum_{k in batch} residual_k^2``: its mean over all batches is the whole loss.
    Where all residuals vanish at the minimum (interpolation) the noise vanishes there too.

    Raises:
      ValueError: where there are no residuals, or a batch would be empty or larger than their number `r`.
    """
    residual = problem.residual
    if residual is None:
        raise ValueError("a batch is a part of a problem's residuals, and this one has none")
    size = _whole(batch_size, "batch_size")
    whole = jax.eval_shape(lambda key: residual(problem.init(key), problem.batch(problem.data, key)), jax.random.key(0))
    (count,) = whole.shape
    if not 1 <= size <= count:
        raise ValueError(f"batch_size must be from 1 to {count}, the number of residuals, not {size}")

    def batch(data, key):
        inner, mine = jax.random.split(key)
        return problem.batch(data, inner), jax.random.choice(mine, count, (size,), replace=False)

    def chosen(params, batch):
        inner, rows = batch
        return (count / size) ** 0.5 * residual(params, inner)[rows]

    return problem._replace(
        batch=batch,
        passes=None,
        split=None,
        loss=lambda params, batch: 0.5 * jnp.sum(chosen(params, batch) ** 2),
        residual=chosen,
    )


def perturb(
    problem: Problem,
    *,
    noise: _Number | None = None,
    value_noise: _Number | None = None,
    multiplicative_noise: _Number | None = None,
    freedom: _Number | None = None,
) -> Problem:
    """The problem seen through noise, fresh at each step and the same for all evaluations of a step.

    ``(1 + multiplicative_noise zeta) loss(x) + noise <xi, x> + value_noise eta``

    with independent standard normal xi (`[d]`), zeta and eta: `noise` is the standard deviation of each entry of the
    gradient, `value_noise` is added to the value alone, `multiplicative_noise` is relative to value and gradient
    both. With it the loss is no sum of squares any more, so there are no residuals.

    Args:
      problem: any; its parameters may be any pytree.
      noise, value_noise, multiplicative_noise: standard deviations; None for none.
      freedom: draws from Student's t distribution with so many degrees of freedom instead: 2 or fewer have no
        variance, 1 no mean. The deviations are then mere scales.

    Raises:
      ValueError: for a `freedom` without any noise.
    """
    if noise is None and value_noise is None and multiplicative_noise is None:
        if freedom is not None:
            raise ValueError("freedom is of a noise: state noise, value_noise or multiplicative_noise too")
        return problem
    flat = jax.eval_shape(lambda key: ravel_pytree(problem.init(key))[0], jax.random.key(0))

    def draw(deviation, key, shape=()):
        if deviation is None:
            return None
        return jax.random.normal(key, shape, jnp.float32) if freedom is None else _student(key, freedom, shape)

    def batch(data, key):
        # The gradient's noise is drawn by the key itself, as it was when there was no other.
        inner, *others = jax.random.split(key, 3)
        draws = draw(noise, key, flat.shape), draw(value_noise, others[0]), draw(multiplicative_noise, others[1])
        return problem.batch(data, inner), draws

    def loss(params, batch):
        inner, (xi, eta, zeta) = batch
        total = problem.loss(params, inner)

        def times(deviation, drawn):
            return jnp.asarray(deviation, total.dtype) * drawn.astype(total.dtype)

        if zeta is not None:
            total = total * (1 + times(multiplicative_noise, zeta))
        if xi is not None:
            x = ravel_pytree(params)[0]
            total = total + times(noise, xi.astype(x.dtype) @ x)
        return total if eta is None else total + times(value_noise, eta)

    return problem._replace(batch=batch, passes=None, loss=loss, residual=None, split=None)


def _student(key: Array, freedom: _Number, shape: tuple[int, ...]) -> Array:
    """Draws from Student's t distribution, by Bailey 1994: unlike the usual way it neither rejects nor loops."""
    radius, turn = jax.random.uniform(key, (2, *shape), jnp.float32)
    freedom = jnp.asarray(freedom, jnp.float32)
    return jnp.sqrt(freedom * jnp.expm1(-2 / freedom * jnp.log1p(-radius))) * jnp.cos(2 * np.pi * turn)
