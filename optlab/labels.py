"""Where a run on a closed form has ended: at which kind of point, or at none.

The catalogue's stationary points come first; elsewhere the Hessian's inertia decides.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from optlab.optimizers.hessian import eigenpairs
from optlab.passage import on_plateau
from optlab.run import BOUND
from optlab.types import Array, Point, Status, Surface, minimum

#: A stationary point counts as reached when Newton's method would find it within this distance, in units of the box.
NEAR = 1e-2

#: Of the largest eigenvalue: below it the Hessian counts as singular.
SINGULAR = 1e-6

#: A value so close to the least one, relative to max(1, |f*|), is a global minimum wherever it is.
EXACT = 1e-8


class Ending(NamedTuple):
    """What a place is, seen from the surface alone; where it is near a stationary point, of that point."""

    left: Array  #: how far Newton's method would still go, in units of the box; infinite where it does not help: `[]`
    negative: Array  #: eigenvalues of the Hessian below zero
    singular: Array  #: whether one of them vanishes
    nearest: Array  #: the stated point next to it
    distance: Array  #: to that, in units of the box; infinite where none is stated
    gap: Array  #: to the least value, in units of max(1, |f*|); NaN where that is unknown
    flat: Array  #: whether the slope promises next to nothing of it, see `optlab.passage.on_plateau`


def ending(surface: Surface, x: Array) -> Ending:
    """What a place `x: [d]` of the surface is: a Newton step from there, and one more from where that leads."""
    lower, upper = (jnp.asarray(side, x.dtype) for side in surface.domain)
    width, gradient = upper - lower, jax.grad(surface.fn)

    def look(place, _):
        slope, hessian = gradient(place), jax.hessian(surface.fn)(place)
        usable = jnp.all(jnp.isfinite(hessian)) & jnp.all(jnp.isfinite(slope))
        roots, vectors = eigenpairs(jnp.where(usable, hessian, 0))
        regular = jnp.abs(roots) > SINGULAR * jnp.max(jnp.abs(roots))
        step = vectors @ jnp.where(regular, (slope @ vectors) / jnp.where(regular, roots, 1), 0)
        # On the slope of a plateau Newton's steps are short, too, but lead to no zero of the gradient.
        rounding = 1e-10 * jnp.max(jnp.abs(hessian)) * jnp.max(width)
        settles = jnp.max(jnp.abs(gradient(place - step))) <= 0.1 * jnp.max(jnp.abs(slope)) + rounding
        left = jnp.where(usable & settles, jnp.max(jnp.abs(step) / width), jnp.inf)
        return jnp.where(left <= NEAR, place - step, place), (left, roots, jnp.max(jnp.abs(slope)))

    # A scan, so that the Hessian is compiled once.
    there, (left, roots, slope) = lax.scan(look, x, None, length=2)
    size = SINGULAR * jnp.max(jnp.abs(roots[1]))
    least = minimum(surface)
    gap, scale = (jnp.nan, 1.0) if least is None else (surface.fn(there) - least, jnp.maximum(1, jnp.abs(least)))
    distances = jnp.array([jnp.inf])
    if surface.points:
        places = jnp.stack([jnp.asarray(point.x, x.dtype) for point in surface.points])
        distances = jnp.max(jnp.abs(places - there[None]) / width[None], axis=1)
    return Ending(
        left[0], jnp.sum(roots[1] < -size), jnp.any(jnp.abs(roots[1]) <= size), jnp.argmin(distances),
        jnp.min(distances), jnp.asarray(gap / scale), on_plateau(slope[0], jnp.max(width), gap),
    )  # fmt: skip


def names(points: Sequence[Point], at: Ending, status: np.ndarray, value: np.ndarray) -> np.ndarray:
    """A label for each run: `[R]`.

    ``global_min``, ``local_min``, ``saddle_k`` (k negative eigenvalues), ``max``, ``degenerate`` (a stationary point
    with a singular Hessian), ``plateau`` (no such point is near, and the slope promises next to nothing),
    ``unbounded``, ``diverged`` or ``none``. `points` are the surface's, `status` and `value` of the runs' last rows.
    """
    stated = np.array([_of_point(point, points) for point in points] or ["none"])[at.nearest]
    negative = np.array(["local_min", *(f"saddle_{k}" for k in range(1, int(np.max(at.negative, initial=0)) + 1))])
    near, there = at.distance <= NEAR, at.left <= NEAR
    choices = [
        (near & (there | (stated == "degenerate")), stated),
        (there & ~at.singular, negative[at.negative]),
        (at.singular & (status == Status.converged), "degenerate"),
        (at.flat, "plateau"),
    ]
    at_once = without_a_surface(at.gap, status, value)
    looked = np.select([condition for condition, _ in choices], [label for _, label in choices], "none")
    return np.where(at_once == "none", looked, at_once)


def without_a_surface(gap: np.ndarray | None, status: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The labels that need no surface: `[R]`; `gap` is None where no minimum is known."""
    lost = status == Status.diverged
    least = np.zeros(len(status), bool) if gap is None else gap <= EXACT
    return np.select([lost & (value < -BOUND / 10), lost, least], ["unbounded", "diverged", "global_min"], "none")


def _of_point(point: Point, points: Sequence[Point]) -> str:
    if point.kind == "minimum":
        lowest = float(points[0].value)
        return "global_min" if float(point.value) <= lowest + EXACT * max(1.0, abs(lowest)) else "local_min"
    return {"maximum": "max", "degenerate": "degenerate"}.get(point.kind, f"saddle_{point.index}")
