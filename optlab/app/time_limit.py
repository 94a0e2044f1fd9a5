"""Runs that take too long: stopped between two dispatches, and given up as failed.

A dispatch cannot be stopped. Training dispatches each recorded row; closed forms, whose programs would go to their end
at once, are dispatched here in parts that a watch can be looked at between. Runs side by side share a watch.
"""

from collections.abc import Sequence
from time import monotonic

import numpy as np

from optlab.narrowing import overwritten, unfinished
from optlab.sweep import Drive, Program
from optlab.types import PyTree, Status, Trace

#: Steps of the first dispatch; how long the others take is known from it.
FIRST = 64

#: Looks at the watch within the limit, and the seconds between two at most.
LOOKS, MOST = 20, 1.0


def within(program: Program, data: PyTree, seconds: float) -> Drive:
    """The chunks of closed forms, stopped after so many seconds each; the runs that go on then stay `Status.running`.

    What the narrower programs of `sweep.all_at_once` save is not had here.
    """

    def drive(rows, numbers, keys, lengths, states, chunks):
        begun = monotonic()
        trace, state, left, steps = {}, states, lengths.copy(), FIRST
        while not trace or left.any():
            now, since = _first(left, steps), monotonic()
            part, state, done = program(numbers, keys, now, data, 0, not trace, state)
            trace = overwritten(trace or part, part, np.arange(len(keys[0])), left)
            left -= np.asarray(done)
            going = np.asarray(state.status) == Status.running
            if not unfinished(left, ~going):
                break
            spent = monotonic() - since
            steps = max(1, int(steps * min(4.0, min(MOST, seconds / LOOKS) / max(spent, 1e-6))))
            if left.any() and monotonic() - begun >= seconds:
                status = np.array(trace["status"])
                status[going, -1] = Status.running
                return trace | {"status": status}
        return trace

    return drive


def _first(lengths: np.ndarray, steps: int) -> np.ndarray:
    """The first so many steps of what is left: `[T]`, or `[D, T]` of each device."""
    return np.diff(np.minimum(np.cumsum(lengths, axis=-1, dtype=np.int64), steps), prepend=0).astype(lengths.dtype)


def given_up(trace: Trace, names: Sequence[str], seconds: float | None) -> tuple[list[str], list[str | None]]:
    """How each run ended and why it failed: one that is running still has been stopped, at the last step it has."""
    running = trace["status"][:, -1] == Status.running
    ended = [
        f"time limit of {seconds:g} s exceeded after step {step}" if stopped else None
        for stopped, step in zip(running.tolist(), trace["step"][:, -1].tolist(), strict=True)
    ]
    return ["failed" if error else name for name, error in zip(names, ended, strict=True)], ended
