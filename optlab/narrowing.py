"""A chunk of short runs until its last lane has ended: when three quarters of the lanes have, the others go on in a
narrower program, where that saves more than compiling it costs.
"""

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from optlab.devices import is_key
from optlab.types import Array, PyTree, Status, Trace, of_run

#: No program is narrower than this: with fewer lanes its steps hardly get cheaper.
NARROWEST = 8

#: Seconds that a narrower program must save, about what it costs to compile one.
WORTHWHILE = 2.0


def narrower(width: int) -> int:
    """The width at which the last lanes of a chunk go on; 0 where it is narrow enough."""
    return width // 4 if width // 4 >= NARROWEST else 0


def to_the_end(
    program_for: Callable[..., Callable[..., tuple[Trace, Any, Array]]],
    numbers: dict[str, np.ndarray],
    keys: tuple[Array, Array],
    lengths: np.ndarray,
    data: PyTree,
    state: Any,
    chunks: int,
) -> Trace:
    """A chunk until all its lanes have ended or the budget has; `chunks` like it are to come on this core.

    `lengths: [T]`, or `[B, T]` of several blocks: each keeps its own lanes, and all go on at one width.
    `program_for`: see `sweep.at_each_width`.
    """
    blocks = lengths.size // lengths.shape[-1]
    width = len(keys[0]) // blocks
    trace, state, left, spent = _dispatched(program_for, numbers, keys, lengths, data, narrower(width), True, state)
    lanes = np.arange(width * blocks)
    while True:
        ended = (np.asarray(state.status) != Status.running).reshape(blocks, -1)
        if not unfinished(left, ended):
            return trace
        # At this width what is left would take three quarters more than it must.
        saved = 0.75 * chunks * spent * left.sum() / max(1, lengths.sum() - left.sum())
        before = width
        if saved > WORTHWHILE:
            width, floor = narrower(width), narrower(narrower(width))
        else:
            floor = 0
        chosen = np.argsort(ended, axis=1, kind="stable")[:, :width]
        chosen = (chosen + before * np.arange(blocks)[:, None]).ravel()
        lanes = lanes[chosen]
        numbers, keys, state = jax.tree.map(lambda leaf, chosen=chosen: _take(leaf, chosen), (numbers, keys, state))
        lengths = left
        part, state, left, spent = _dispatched(program_for, numbers, keys, lengths, data, floor, False, state)
        trace = overwritten(trace, part, lanes, lengths)


def _dispatched(program_for, numbers, keys, lengths, *others) -> tuple[Trace, Any, np.ndarray, float]:
    """What a program returns, with the steps left and the seconds that it took once it was compiled."""
    inputs = numbers, keys, lengths, *others
    program = program_for(*inputs)
    begun = time.perf_counter()
    trace, state, done = program(*inputs)
    left = lengths - np.asarray(done)
    return trace, state, left, time.perf_counter() - begun


def unfinished(left: np.ndarray, ended: np.ndarray) -> bool:
    """Whether any block has steps left, `[T]` or `[B, T]`, and lanes that have not ended, `[W]`."""
    left = left.reshape(-1, left.shape[-1])
    return bool((left.any(axis=1) & ~ended.reshape(len(left), -1).all(axis=1)).any())


def _take(leaf: Array, chosen: np.ndarray) -> Array:
    # Indexing a device array would compile a program for each shape; keys cannot leave the device.
    if not is_key(leaf):
        return np.asarray(leaf)[chosen]
    taken = _taken(leaf, chosen)
    return jax.device_put(taken, leaf.sharding) if leaf.committed else taken


@jax.jit
def _taken(keys: Array, chosen: Array) -> Array:
    return keys[chosen]


def overwritten(trace: Trace, part: Trace, lanes: np.ndarray, left: np.ndarray) -> Trace:
    """The trace with the rows that were left, and what is said of whole runs, of those lanes that went on.

    `lanes: [W]`, which they are; `left: [T]`, or `[B, T]`, the steps before each row that there still were to do.
    """
    trace = {name: column if column.flags.writeable else column.copy() for name, column in _on_host(trace).items()}
    part, left = _on_host(part), left.reshape(-1, left.shape[-1])
    for mine, steps in zip(np.split(np.arange(len(lanes)), len(left)), left, strict=True):
        row = int(np.flatnonzero(steps)[0]) if steps.any() else len(steps)
        for name, column in part.items():
            if of_run(name):
                trace[name][lanes[mine]] = column[mine]
            else:
                trace[name][lanes[mine], row:] = column[mine, row:]
    return trace


def _on_host(trace: Trace) -> dict[str, np.ndarray]:
    return {name: np.asarray(column) for name, column in trace.items()}
