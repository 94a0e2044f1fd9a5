"""All zeros of a gradient in a box, found by Newton's method from many starts at once."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import optlab.lapack as lapack
from optlab.types import Array, Point, Surface

_Side = Sequence[float] | Array
_Function = Callable[[Array], Array]

#: What each Newton step is tried times. 2 and 3 land on zeros at which the Hessian vanishes (Schroeder 1870).
LENGTHS = (3.0, 2.0, 1.0, 0.5, 0.25)

#: Levenberg's damping in units of the largest squared eigenvalue, for where no length helps.
DAMPINGS = (1e-6, 1e-4, 1e-2, 1.0, 1e2, 1e4)

#: Below this part of the largest eigenvalue the Hessian counts as singular.
SINGULAR = 1e-8

#: No eigenvalue weighs a step as if it were less than this part of the largest.
FLAT = 1e-12


def find_critical_points(
    fn: Surface | _Function,
    domain: tuple[_Side, _Side] | None = None,
    *,
    starts: int = 4096,
    seed: int = 0,
    max_steps: int = 100,
    tolerance: float = 1e-6,
) -> tuple[Point, ...]:
    r"""The stationary points of a smooth function in a box: where they are and of which kind.

    From each of many evenly spread starts, all in one program, Newton's method goes to a zero of the
    gradient :math:`g`. Along the eigenvectors :math:`v_i` of the Hessian :math:`H` its steps are

    .. math:: p = -s \sum_i \frac{\lambda_i}{\lambda_i^2 + \mu} (v_i^\top g(x)) v_i,

    with :math:`\mu = 0` and a few lengths :math:`s`, or with :math:`s = 1` and a few dampings :math:`\mu`.
    That one is taken which leaves the shortest :math:`H(x)^{-1} g(x + p)`: a measure that knows no units, follows
    bent valleys where :math:`|g|` would be stuck at their walls, and does not ask for the value, so that saddles
    and maxima attract as minima do. What has not converged or has left the box is dropped; what is closer than
    `tolerance` is one point. All is done in float64, whatever the caller's setting, and in units of the box.

    An eigenvalue counts as zero below 1e-8 of the largest, or where a move by the square root of the machine's
    precision would cancel it: where the Hessian is singular no zero of the gradient is known better. Such points
    are ``degenerate``, be they minima or not. Of those closer to one another than the starts were,
    starts^(-1/d), one is given: a whole curve of them (the ring of a mexican hat) comes out as one of its points.

    Nothing proves that the set is complete. A point is found if one start lies in the part of the box from
    which Newton's method leads there: raise `starts` where there are many, or compare the counts with Morse's,
    minima - saddles + maxima = 1 for a function of two variables that grows beyond the box on all sides.
    Where the function has kinks, or is flat to the last digit (if only along a valley, as in Powell's badly scaled
    problem), what is found means nothing.

    Args:
      fn: a Surface, or a function `[d]` -> `[]` that JAX can differentiate twice.
      domain: the box, lower and upper: `[d]` each; by default the surface's own.
      starts: how many.
      seed: shifts the starts, the same for all.
      max_steps: for each start.
      tolerance: by how much of the box's width a place may be uncertain, and two are still one.

    Returns:
      The points, minima by value, then the others by value.

    Raises:
      ValueError: for a box that is none, or numbers too small to search with.

    Source: Deuflhard, Newton Methods for Nonlinear Problems (2004), section 3.3, for the measure; Levenberg (1944) for
    the dampings; Milnor, Morse Theory (1963), theorem 5.2, for the counts.
    """
    if isinstance(fn, Surface):
        fn, domain = fn.fn, fn.domain if domain is None else domain
    lower, upper = _box(domain)
    if starts < 1 or max_steps < 1 or not tolerance > 0:
        raise ValueError("starts and max_steps must be at least 1 and the tolerance positive")
    with jax.enable_x64(True):

        def inner(u):
            return fn(lower + (upper - lower) * u)

        places = _searched(inner, _spread(starts, len(lower), seed), max_steps)
        value, gradient, curvature, vanishing = map(np.asarray, _examined(inner, places))
    places = np.asarray(places)
    found = _converged(gradient, curvature, vanishing, tolerance) & (np.abs(places - 0.5) <= 0.5 + 1e-9).all(axis=1)
    order = np.argsort(np.linalg.norm(gradient, axis=1))  # the best of each group comes first
    points = []
    for singular, reach in ((False, tolerance), (True, starts ** (-1 / len(lower)))):
        rows = order[(found & (vanishing.any(axis=1) == singular))[order]]
        for row in rows[_first_of_each_group(places[rows], reach)]:
            kind, index = _kind(curvature[row], vanishing[row])
            points.append(Point(lower + (upper - lower) * places[row], float(value[row]), kind, index))
    return tuple(sorted(points, key=lambda point: (point.kind != "minimum", point.value, *point.x)))


def _box(domain) -> tuple[np.ndarray, np.ndarray]:
    if domain is None:
        raise ValueError("a function needs a domain to be searched in: lower and upper, a point each")
    lower, upper = (np.asarray(side, float) for side in domain)
    if lower.ndim != 1 or lower.shape != upper.shape or not len(lower):
        raise ValueError(f"a domain is two points of one space, not of shapes {lower.shape} and {upper.shape}")
    if not (np.isfinite(lower) & np.isfinite(upper) & (lower < upper)).all():
        raise ValueError(f"a domain must be finite with lower < upper, not {lower.tolist()} to {upper.tolist()}")
    return lower, upper


def _spread(count: int, dim: int, seed: int) -> np.ndarray:
    """Points that fill the unit cube evenly: `[count, dim]`; the additive recurrence of Roberts 2018."""
    golden = 2.0
    for _ in range(64):
        golden = (1 + golden) ** (1 / (dim + 1))  # the root of x^(d+1) = x + 1
    offset = np.random.default_rng(seed).uniform(size=dim)
    return (offset + np.arange(count)[:, None] * golden ** -np.arange(1.0, dim + 1)) % 1


def _searched(fn: _Function, places: np.ndarray, max_steps: int) -> Array:
    """Where Newton's method leads from each start: `[n, d]`."""
    gradient = jax.grad(fn)

    def both(u):
        slope = gradient(u)
        return slope, slope

    def move(u):
        hessian, slope = jax.jacfwd(both, has_aux=True)(u)
        roots, vectors = lapack.eigh(hessian)
        slopes, sizes = vectors.T @ slope, jnp.abs(roots)
        newton = jnp.where(roots == 0, 0, slopes / jnp.where(roots == 0, 1, roots))
        damped = (roots * slopes)[None] / (roots[None] ** 2 + jnp.array(DAMPINGS)[:, None] * jnp.max(roots**2))
        trials = u[None] - jnp.concatenate([jnp.array(LENGTHS)[:, None] * newton[None], damped]) @ vectors.T

        def left(slope):
            # a curvature of zero would make of its direction the only one that counts
            length = jnp.linalg.norm(vectors.T @ slope / jnp.maximum(sizes, FLAT * jnp.max(sizes)))
            return jnp.where(jnp.isfinite(length), length, jnp.inf)

        lengths = jax.vmap(left)(jax.vmap(gradient)(trials))
        best = jnp.argmin(lengths)
        better = lengths[best] < left(slope)
        return jnp.where(better, trials[best], u), better

    def step(carry):
        count, u, _ = carry
        u, better = jax.vmap(move)(u)
        return count + 1, u, better.any()

    @jax.jit
    def search(u):
        begun = (0, u, jnp.array(True))
        return lax.while_loop(lambda carry: (carry[0] < max_steps) & carry[2], step, begun)[1]

    return search(places)


def _examined(fn: _Function, places: Array) -> tuple[Array, ...]:
    """At each place the value `[n]`, gradient and eigenvalues `[n, d]` along the eigenvectors, which of them vanish."""

    def examine(u):
        hessian = jax.hessian(fn)
        roots, vectors = lapack.eigh(hessian(u))

        def change(v):
            return v @ jax.jvp(hessian, (u,), (v,))[1] @ v

        open_digits = 4 * jnp.sqrt(jnp.finfo(u.dtype).eps) * jnp.abs(jax.vmap(change)(vectors.T))
        sizes = jnp.abs(roots)
        vanishing = (sizes <= SINGULAR * jnp.max(sizes)) | (sizes <= open_digits)
        return fn(u), vectors.T @ jax.grad(fn)(u), roots, vanishing

    return jax.jit(jax.vmap(examine))(places)


def _converged(gradient, curvature, vanishing, tolerance: float) -> np.ndarray:
    """Whether Newton's next step is short; along vanishing curvatures, whether the gradient is quadratically so."""
    size = np.abs(curvature).max(axis=1, keepdims=True)
    allowed = np.where(vanishing, tolerance**2 * size, tolerance * np.abs(curvature))
    return (np.abs(gradient) <= allowed).all(axis=1)


def _first_of_each_group(places: np.ndarray, reach: float) -> list[int]:
    """The first place of each group; a group is what can be walked through in strides below `reach` (any axis)."""
    first, left = [], np.arange(len(places))
    while len(left):
        first.append(int(left[0]))
        edge, left = left[:1], left[1:]
        while len(edge) and len(left):
            near = np.zeros(len(left), bool)
            for place in places[edge]:
                near |= (np.abs(places[left] - place) <= reach).all(axis=1)
            edge, left = left[near], left[~near]
    return first


def _kind(curvature: np.ndarray, vanishing: np.ndarray) -> tuple[str, int]:
    index = int(np.sum((curvature < 0) & ~vanishing))
    if vanishing.any():
        return "degenerate", index
    return {0: "minimum", len(curvature): "maximum"}.get(index, "saddle"), index
