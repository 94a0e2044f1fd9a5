"""Basins of attraction: from every start of a grid, the critical point that an optimizer reaches, and how soon."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import optax

from optlab.critical_points import find_critical_points
from optlab.landscape.outcomes import Build, by_blocks, outcomes
from optlab.problems import from_surface
from optlab.run import GTOL
from optlab.types import Array, Point, Status, Surface

__all__ = ["Basins", "basin_map"]

#: A converged run has reached the nearest point if that is within this distance, in units of the surface's box.
NEAR = 1e-2

#: What `Basins.reached` says of runs that reached no point.
NONE, DIVERGED = -1, -2


class Basins(NamedTuple):
    """Where an optimizer leads from each start of a grid; rows go along y."""

    x: np.ndarray  #: first coordinate of the starts: `[n]`
    y: np.ndarray  #: second coordinate: `[m]`
    reached: np.ndarray  #: which of `points`; -1 for none or not converged, -2 where the run has diverged: `[m, n]`
    steps: np.ndarray  #: updates made: `[m, n]`
    status: np.ndarray  #: a `Status`: `[m, n]`
    value: np.ndarray  #: the surface at the end: `[m, n]`
    ends: np.ndarray  #: the last parameters: `[m, n, d]`
    points: tuple[Point, ...]  #: what `reached` counts through


def basin_map(
    surface: Surface,
    optimizer: optax.GradientTransformation,
    *,
    size: int | tuple[int, int] = (256, 256),
    box: tuple[Sequence[float] | Array, Sequence[float] | Array] | None = None,
    axes: tuple[int, int] = (0, 1),
    steps: int = 1000,
    gtol: float = GTOL,
    lanes: int | None = None,
    rows: int | None = None,
) -> Basins:
    """Runs an optimizer from every start of a grid and tells which critical point it has reached.

    A run has reached a point if it has converged and the point is the nearest within 1% of the surface's box (in the
    largest coordinate). The points are those that the surface states; where it states none, or some run has converged
    to none of them, those that `find_critical_points` finds in the box follow.

    Args:
      surface: the closed form, of at least two variables. Of more than two the map is of the plane through the
        customary start.
      optimizer: any optax transform.
      size: starts along the two axes: n, m, or one number for both.
      box: lower and upper corner of the map, two numbers each; by default the surface's domain.
      axes: the two coordinates that vary.
      steps: the budget.
      gtol: infinity norm of the gradient at which a run has converged.
      lanes, rows: see `outcomes`.

    Raises:
      ValueError: for a surface of one variable, axes that it does not have, or a box or size that is none.
    """
    dim = len(np.asarray(surface.start))
    if dim < 2:
        raise ValueError("a basin map needs a surface of at least two variables")
    if len(set(axes)) != 2 or not all(0 <= axis < dim for axis in axes):
        raise ValueError(f"axes must be two different coordinates from 0 to {dim - 1}, not {axes}")
    x, y = grid(surface, size, box, axes)
    starts = np.broadcast_to(np.asarray(surface.start, float), (len(y), len(x), dim)).copy()
    starts[..., axes[0]], starts[..., axes[1]] = x[None, :], y[:, None]
    order = by_blocks(len(y), len(x))
    found = outcomes(
        _from_each_start(surface.fn, surface.residual, dim, optimizer), {"start": starts.reshape(-1, dim)[order]},
        steps=steps, keep=("params",), gtol=gtol, lanes=lanes, rows=rows,
    )  # fmt: skip
    ends = found.params.reshape(-1, dim)
    points = surface.points
    reached = nearest(surface, points, ends, found.status)
    if ((reached == NONE) & (found.status == Status.converged)).any():
        points = _completed(surface, x, y, axes)
        reached = nearest(surface, points, ends, found.status)
    back = np.argsort(order)
    steps_made, status, value, reached = (
        part[back].reshape(len(y), len(x)) for part in (found.steps, found.status, found.value, reached)
    )
    return Basins(x, y, reached, steps_made, status, value, ends[back].reshape(len(y), len(x), dim), points)


def grid(surface: Surface, size, box, axes: tuple[int, int] = (0, 1)) -> tuple[np.ndarray, np.ndarray]:
    """The coordinates of the starts: `[n]`, `[m]`. The border of the box is part of it."""
    n, m = (size, size) if isinstance(size, int) else size
    if n < 2 or m < 2:
        raise ValueError(f"a map needs at least 2 starts along each axis, not {n} x {m}")
    lower, upper = surface.domain if box is None else box
    lower, upper = np.asarray(lower, float), np.asarray(upper, float)
    if box is None:
        lower, upper = lower[list(axes)], upper[list(axes)]
    if lower.shape != (2,) or upper.shape != (2,) or not np.isfinite([lower, upper]).all() or (lower >= upper).any():
        raise ValueError(f"a box is two corners of the plane, lower and upper, not {lower.tolist()}, {upper.tolist()}")
    return np.linspace(lower[0], upper[0], n), np.linspace(lower[1], upper[1], m)


# The same surface and optimizer on another box find their program compiled.
@lru_cache(maxsize=32)
def _from_each_start(
    fn: Callable, residual: Callable | None, dim: int, optimizer: optax.GradientTransformation
) -> Build:
    surface = Surface(fn, np.zeros(dim), (np.zeros(dim), np.ones(dim)), residual=residual)

    def build(numbers):
        return from_surface(surface, start=numbers["start"]), optimizer

    return build


def nearest(surface: Surface, points: Sequence[Point], ends: np.ndarray, status: np.ndarray) -> np.ndarray:
    """Which point each run has reached: `[R]`; see `Basins.reached`."""
    lower, upper = (np.asarray(side, float) for side in surface.domain)
    rows = np.flatnonzero(status == Status.converged)
    # Coordinates first: along a short last axis NumPy takes a maximum fifty times as slowly.
    places = np.ascontiguousarray(ends[rows].T) / (upper - lower)[:, None]
    best, found = np.full(len(rows), NEAR), np.full(len(rows), NONE)
    for k, point in enumerate(points):
        distance = np.abs(places - (np.asarray(point.x, float) / (upper - lower))[:, None]).max(axis=0)
        closer = distance < best
        best[closer], found[closer] = distance[closer], k
    which = np.where(status == Status.diverged, DIVERGED, NONE)
    which[rows] = found
    return which


def _completed(surface: Surface, x: np.ndarray, y: np.ndarray, axes: tuple[int, int]) -> tuple[Point, ...]:
    """The stated points, and those found in the surface's domain and the map's box that are none of them."""
    lower, upper = (np.array(side, float) for side in surface.domain)
    for axis, along in zip(axes, (x, y), strict=True):
        lower[axis], upper[axis] = min(lower[axis], along[0]), max(upper[axis], along[-1])
    points = list(surface.points)
    for found in find_critical_points(surface, (lower, upper)):
        place = np.asarray(found.x, float)
        known = [np.abs((place - np.asarray(p.x, float)) / (upper - lower)).max() < NEAR for p in points]
        if not any(known):
            points.append(found)
    return tuple(points)


def label(points: Sequence[Point], number: int) -> str:
    """The name of what a run has reached: ``global_min``, ``local_min``, ``saddle_1``, ``max``, ``degenerate``,
    ``none`` or ``diverged``."""
    if number < 0:
        return "diverged" if number == DIVERGED else "none"
    point = points[number]
    if point.kind != "minimum":
        return {"maximum": "max", "degenerate": "degenerate"}.get(point.kind, f"saddle_{point.index}")
    lowest = min(float(p.value) for p in points if p.kind == "minimum")
    return "global_min" if float(point.value) <= lowest + 1e-8 * max(1.0, abs(lowest)) else "local_min"
