"""Which layers of a network are trained, and which begin with the parameters of another run."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from optlab.types import PyTree
from optlab.workloads.forward import Forward
from optlab.workloads.paths import flat, nested, within

__all__ = ["load_parameters", "save_parameters"]


#: The hashes of a checkpoint's files, in its folder.
SEAL = "digests.json"

#: Orbax's checkpointers of one process get into each other's way.
_ONE_AT_A_TIME = Lock()


def save_parameters(folder: str | Path, parameters: PyTree) -> None:
    """Writes parameters to a new folder, whole or not at all (Orbax), and beside its files what they must hash to."""
    import orbax.checkpoint as ocp

    path = Path(folder).absolute()
    with _ONE_AT_A_TIME, ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path, jax.tree.map(np.asarray, parameters))
        checkpointer.wait_until_finished()
    temporary = path / f"{SEAL}.tmp"
    temporary.write_text(json.dumps(_digests(path)))
    temporary.replace(path / SEAL)


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(SEAL))
    return {str(path.relative_to(folder)): hashlib.blake2b(path.read_bytes()).hexdigest() for path in files}


def _damage(folder: Path) -> str:
    """What is wrong with the files of a checkpoint; Orbax itself would print tracebacks from threads of its own."""
    if not (folder / SEAL).exists():
        return ""  # another program's, or its writer was killed once it was whole
    try:
        stated = json.loads((folder / SEAL).read_text())
    except ValueError:
        return f"{SEAL} is damaged"
    found = _digests(folder)
    return next((f"{name} is damaged" for name in stated if found.get(name) != stated[name]), "")


def load_parameters(folder: str | Path) -> dict[str, Any]:
    """What `save_parameters` has written, as NumPy arrays. Raises ValueError where there is nothing of the kind."""
    import orbax.checkpoint as ocp

    path = Path(folder).absolute()
    if not path.is_dir():
        raise ValueError(f"there are no saved parameters in {folder}; a run leaves them when told save=true")
    if damage := _damage(path):
        raise ValueError(f"{folder} holds no parameters that can be read: {damage}")
    try:
        with ocp.StandardCheckpointer() as checkpointer:
            shapes = checkpointer.metadata(path).item_metadata
            blank = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), dict(shapes.tree))
            return checkpointer.restore(path, blank)
    except (ValueError, FileNotFoundError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"{folder} holds no parameters that can be read: {str(error).splitlines()[0]}") from error


def trained(network: Forward, frozen: Sequence[str], trainable_layers: int) -> set[tuple[str, ...]]:
    """The paths of the parameters that are trained. Raises ValueError for a layer that there is not, or for none."""
    paths = list(flat(network.shapes))
    kept = set(paths)
    for name in frozen:
        here = {path for path in paths if within(path, name)}
        if not here:
            raise ValueError(f"there is no layer {name!r} to freeze; the layers are {', '.join(network.order)}")
        kept -= here
    if not 0 <= trainable_layers <= len(network.order):
        raise ValueError(f"trainable_layers must be from 0 (all) to {len(network.order)}, not {trainable_layers}")
    if trainable_layers:
        last = network.order[-trainable_layers:]
        kept = {path for path in kept if path[0] in last}
    if not kept:
        raise ValueError("all layers are frozen: nothing is left to train")
    return kept


def begun_with(network: Forward, folder: str, redrawn: Sequence[str]) -> dict[tuple[str, ...], np.ndarray]:
    """Saved parameters by path, but those of layers to be drawn anew. Raises ValueError where they do not fit."""
    if not folder:
        if redrawn:
            raise ValueError("redrawn names layers that saved parameters would else set: state parameters too")
        return {}
    saved = flat(load_parameters(folder))
    found = {}
    for name in redrawn:
        if not any(within(path, name) for path in flat(network.shapes)):
            raise ValueError(f"there is no layer {name!r} to draw anew; the layers are {', '.join(network.order)}")
    for path, leaf in flat(network.shapes).items():
        if any(within(path, name) for name in redrawn):
            continue
        shape = np.shape(saved[path]) if path in saved else None
        if shape != leaf.shape:
            have = "nothing" if shape is None else f"an array of shape {shape}"
            raise ValueError(
                f"the parameters saved in {folder} do not fit this network: its {'/'.join(path)} has shape "
                f"{leaf.shape}, and there is {have}"
            )
        found[path] = np.asarray(saved[path])
    return found


def overlaid(drawn: PyTree, known: Mapping[tuple[str, ...], Any]) -> PyTree:
    """Parameters with those that are known by path in their places, in the types of the drawn ones."""
    leaves = flat(drawn)
    return nested(leaves | {path: jnp.asarray(leaf, leaves[path].dtype) for path, leaf in known.items()})


def joined(*parts: PyTree) -> PyTree:
    """Trained and frozen parameters as the network has them."""
    return nested({path: leaf for part in parts for path, leaf in flat(part).items()})
