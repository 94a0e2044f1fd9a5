"""Long runs, on data: one dispatch for each recorded row, from a loop in Python.

So a run can be interrupted, saved and gone on with at every row, and the state's buffers are handed from one dispatch
to the next (donated) instead of being copied. The steps between two rows stay one compiled loop.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from optlab.run import State
from optlab.types import Array, PyTree, Status, Trace, of_run

#: (rows done, trace so far, state) after each row -> whether to stop there.
Saved = Callable[[int, Trace, State], bool]


def row_by_row(
    program: Callable[..., tuple[Trace, State, Array]],
    numbers: dict[str, Array],
    keys: tuple[Array, Array],
    lengths: np.ndarray,
    data: PyTree,
    state: State,
    *,
    begun: tuple[int, Trace, State] | None = None,
    save: Saved | None = None,
) -> tuple[Trace, State]:
    """The runs of a chunk: their trace {name: `[W, T, ...]`} and the states that they end in.

    Args:
      program: a `sweep.Program` for one row.
      numbers, keys, data: its inputs.
      lengths: steps before each recorded row: `[T]`, or `[D, T]` on D devices with runs of their own.
      state: blank ones, to be overwritten.
      begun: where to go on from: what `save` was given.
      save: told of each row; where it says so the runs stop, and those that go on stay `Status.running`.
    """
    done, trace, state = begun or (0, {}, state)
    # A copy, for the program to take; with several devices each has its part from the start.
    where = keys[0].sharding if keys[0].committed else None
    state = jax.tree.map(lambda leaf: jnp.array(leaf, device=where), state)
    rows = lengths.shape[-1]
    for row in range(done, rows):
        part, state, _ = program(numbers, keys, lengths[..., row : row + 1], data, 0, row == 0, state)
        trace = _appended(trace, part)
        stop = save is not None and save(row + 1, trace, state)
        if stop and row + 1 < rows:
            trace["status"] = _going_on(trace["status"])
            break
        if (trace["status"][:, -1] != Status.max_steps).all():
            break  # the row stands for the rest
    return _whole(trace, rows), state


def _appended(trace: Trace, part: Trace) -> Trace:
    # Each dispatch takes its row for the last one and calls a run that goes on ended by its budget.
    part = {name: np.asarray(column) for name, column in part.items()}
    if not trace:
        return part
    before = dict(trace)
    before["status"] = _going_on(trace["status"])
    return {
        name: column if of_run(name) else np.concatenate([before[name], column], axis=1)
        for name, column in part.items()
    }


def _going_on(status: np.ndarray) -> np.ndarray:
    return np.where(status == Status.max_steps, Status.running, status).astype(np.int32)


def _whole(trace: Trace, rows: int) -> Trace:
    """All rows: those that are missing repeat the last."""

    def filled(column: Any) -> np.ndarray:
        missing = rows - column.shape[1]
        return np.concatenate([column, np.repeat(column[:, -1:], missing, axis=1)], axis=1) if missing else column

    return {name: column if of_run(name) else filled(column) for name, column in trace.items()}
