"""What a run meets on its way over a closed form: the saddle that it leaves, the plateaus that hold it."""

from typing import NamedTuple

import jax.numpy as jnp

from optlab.types import Array, Problem, PyTree

#: A saddle has been left at this distance from it, in units of the box.
AWAY = 0.05

#: A step is on a plateau where, at its slope, a walk across the whole box would gain less than this part of the gap.
FLAT = 1e-3


class Passage(NamedTuple):
    """What a run has met on its way over a closed form."""

    saddle: Array  #: the stated saddle that is nearest to the start: `[d]`
    value: Array  #: the surface there
    escape: Array  #: the first step that is below it and away from it; -1: none yet
    plateau: Array  #: steps spent on a plateau


def on_plateau(grad_norm: Array, width: Array, gap: Array) -> Array:
    """Whether the slope promises next to nothing of the gap, see `FLAT`: `[]`."""
    return grad_norm * width < FLAT * gap


def departure(problem: Problem, params: PyTree) -> Passage | None:
    """Before the first step; None where nothing is known to be watched for."""
    if problem.landmarks is None:
        return None
    _, saddles, values = problem.landmarks
    never, none = jnp.full((), -1, jnp.int32), jnp.zeros((), jnp.int32)
    if not len(saddles):
        return Passage(params, jnp.full((), -jnp.inf, params.dtype), never, none)  # nothing lies below
    nearest = jnp.argmin(jnp.sum((saddles - params[None]) ** 2, axis=1))
    return Passage(saddles[nearest].astype(params.dtype), values[nearest].astype(params.dtype), never, none)


def onward(
    problem: Problem, seen: Passage | None, params: PyTree, value: Array, grad_norm: Array, step: Array, one: Array
) -> Passage | None:
    """After a step that led to `params`, where the noise-free loss is `value`; `one` is 0 for a run that has ended."""
    if problem.landmarks is None or seen is None:
        return None
    width = problem.landmarks.width
    away = jnp.sum((params - seen.saddle) ** 2) > ((AWAY * width) ** 2).astype(params.dtype)
    left = (seen.escape < 0) & away & (value < seen.value)
    plateau = seen.plateau
    if problem.minimum is not None:
        flat = on_plateau(grad_norm, width, value - problem.minimum)
        plateau += one * flat.astype(one.dtype)
    return seen._replace(escape=jnp.where(left, step, seen.escape), plateau=plateau)
