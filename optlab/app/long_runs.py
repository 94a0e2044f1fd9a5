"""Long runs of a study: interrupted between rows, gone on with from saved states, their parameters kept.

Saved states are for the very program that wrote them: a run that goes on from one equals a run that never stopped.
"""

import shutil
import threading
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from optlab import table
from optlab.run import State, shown
from optlab.sweep import Drive, Program, is_key
from optlab.training_loop import row_by_row
from optlab.types import PyTree, Trace


class Keeping(NamedTuple):
    """What is to be kept of long runs, and where."""

    folder: Path  #: of the study
    ids: Sequence[str]  #: of the group's runs
    parameters: bool | str | None  #: of each run, in the end
    seconds: float | None  #: between saved states; None for no saving
    stopping: threading.Event
    limit: float | None = None  #: seconds that a chunk may take


def drive(program: Program, data: PyTree, begin: Callable[..., PyTree], keep: Keeping) -> Drive:
    """A dispatch for each row, from the saved states of the chunk where there are any."""

    def on(rows, numbers, keys, lengths, states, chunks):
        mine = keep.ids[rows]
        place = None if keep.seconds is None else _place(keep.folder, mine)
        begun = None if place is None else _read(place, states)
        if begun is None:
            states = states._replace(params=begin(numbers, keys[0]))
        save = _saver(keep, place)
        trace, ended = row_by_row(program, numbers, keys, lengths, data, states, begun=begun, save=save)
        if keep.parameters:
            _keep_parameters(keep.folder, mine, ended, getattr(data, "frozen", {}))
        return trace

    return on


def forget(folder: Path, ids: Sequence[str]) -> None:
    """Removes the saved states of runs whose rows are written."""
    root = folder / "checkpoints"
    if root.is_dir():
        written = set(ids)
        for place in root.iterdir():
            if place.name.split("-")[0] in written:
                shutil.rmtree(place, ignore_errors=True)
        if not any(root.iterdir()):
            root.rmdir()


def _place(folder: Path, ids: Sequence[str]) -> Path:
    """Where the states of a chunk are: by its first run, and all of them."""
    return folder / "checkpoints" / f"{ids[0]}-{table.digest(list(ids))}"


def _saver(keep: Keeping, place: Path | None) -> Callable[[int, Trace, State], bool]:
    begun = last = monotonic()

    def save(row: int, trace: Trace, state: State) -> bool:
        nonlocal last
        now = monotonic()
        over = keep.limit is not None and now - begun >= keep.limit
        if place is not None and keep.seconds is not None and (over or now - last >= keep.seconds):
            _write(place, row, trace, state)
            last = monotonic()
        if keep.stopping.is_set():
            raise InterruptedError("called off")
        return over

    return save


def _write(place: Path, row: int, trace: Trace, state: State) -> None:
    """Saves the states after a row, and then forgets all but those and the ones before: a disk may damage the last."""
    from optlab.workloads import save_parameters

    leaves = {str(k): np.asarray(_plain(leaf)) for k, leaf in enumerate(jax.tree.leaves(state))}
    save_parameters(place / str(row), {"state": leaves, "trace": trace})
    for older in _rows(place)[:-2]:
        shutil.rmtree(place / str(older))


def _read(place: Path, states: State) -> tuple[int, Trace, State] | None:
    from optlab.workloads import load_parameters

    blank, structure = jax.tree.flatten(states)
    for row in reversed(_rows(place)):
        try:
            saved = load_parameters(place / str(row))
            leaves = [_like(saved["state"][str(k)], leaf) for k, leaf in enumerate(blank)]
            return row, dict(saved["trace"]), jax.tree.unflatten(structure, leaves)
        except (ValueError, KeyError) as error:
            warnings.warn(f"a saved state is left out: {error}", stacklevel=2)
            shutil.rmtree(place / str(row), ignore_errors=True)
    return None


def _rows(place: Path) -> list[int]:
    """The rows after which states are saved, in rising order."""
    return sorted(int(path.name) for path in place.glob("*") if path.name.isdigit())


def _plain(leaf: Any) -> Any:
    return jax.random.key_data(leaf) if is_key(leaf) else leaf


def _like(saved: np.ndarray, leaf: Any) -> Any:
    return jax.random.wrap_key_data(jnp.asarray(saved)) if is_key(leaf) else saved


def _keep_parameters(folder: Path, ids: Sequence[str], ended: State, frozen: PyTree) -> None:
    """All parameters of each run of a chunk, the average where there is one; what fills a chunk up is no run."""
    from optlab.workloads import save_parameters
    from optlab.workloads.transfer import joined

    params = jax.tree.map(np.asarray, shown(ended))
    for lane, run_id in enumerate(ids):
        place = folder / "parameters" / run_id
        shutil.rmtree(place, ignore_errors=True)
        save_parameters(place, joined(jax.tree.map(lambda leaf, lane=lane: leaf[lane], params), frozen))
