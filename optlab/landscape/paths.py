"""The way of a run through many dimensions, and how honestly a plane shows it."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from optlab.landscape.directions import Plane, located
from optlab.landscape.slices import surveyed, values_on
from optlab.types import Problem, PyTree

__all__ = ["Motion", "Projection", "as_matrix", "motion", "projected"]


class Projection(NamedTuple):
    """A path on a plane. Where `value` and `plane_value` part, the plane's picture is not of the path."""

    coordinates: np.ndarray  #: of the nearest points of the plane: `[T, 2]`
    off_plane: np.ndarray  #: distance from the plane: `[T]`
    value: np.ndarray  #: the loss at the points of the path: `[T]`
    plane_value: np.ndarray  #: the loss at the nearest points of the plane: `[T]`


class Motion(NamedTuple):
    """How a run moved, whatever it is drawn on."""

    distance: np.ndarray  #: from its start, Euclidean: `[T]`
    length: np.ndarray  #: of its way so far, between the recorded points: `[T]`
    step_length: np.ndarray  #: from the point before; NaN at the first: `[T]`
    angle: np.ndarray  #: radians between the step to a point and the next one; NaN at both ends: `[T]`


def as_matrix(path: Sequence[PyTree]) -> np.ndarray:
    """The parameters on the way as rows: `[T, d]` doubles."""
    return np.stack([np.concatenate([np.ravel(leaf).astype(float) for leaf in jax.tree.leaves(p)]) for p in path])


def motion(path: np.ndarray) -> Motion:
    """Distances, lengths and angles of a path `[T, d]`; a step of no length has no angle."""
    steps = np.diff(path, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosines = np.sum(steps[1:] * steps[:-1], axis=1) / (lengths[1:] * lengths[:-1])
    angle = np.full(len(path), np.nan)
    angle[1:-1] = np.arccos(np.clip(cosines, -1, 1))
    whole = np.concatenate([[0.0], np.cumsum(lengths)])
    return Motion(np.linalg.norm(path - path[:1], axis=1), whole, np.concatenate([[np.nan], lengths]), angle)


def projected(problem: Problem, plane: Plane, path: Sequence[PyTree], *, statistics: str = "recomputed") -> Projection:
    """A path on a plane, with the true loss at each point beside the loss of the plane there."""
    found = [located(plane, params) for params in path]
    coordinates = np.stack([c for c, _ in found])
    on_plane = values_on(problem, plane, coordinates, statistics=statistics)["value"]
    survey = surveyed(problem, statistics)
    at = jax.jit(lambda params, origin, data: survey(params, data, origin)["value"])
    data = jax.device_put(problem.data)
    true = np.array([float(at(params, plane.origin, data)) for params in path])
    return Projection(coordinates, np.array([d for _, d in found]), true, on_plane.astype(float))
