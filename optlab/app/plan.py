"""A sweep as few groups of many runs: what changes the program splits, numbers are columns.

A job is never an object here. 100,000 runs are one composed configuration and a column for each
number that varies.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np

from optlab.app.axes import Axis, product
from optlab.app.bad_input import BadInput, unknown
from optlab.app.build import complete, parameter, taken
from optlab.app.catalogue import NODES, WORKLOADS

#: Part of every run's id: raised when the same configuration gives other numbers than before.
RESULT_VERSION = 2

#: Keys of the configuration that say how or where to run, not what.
HOW = ("name", "results", "engine", "sweep", "csv", "save", "checkpoint", "time_limit", "memory")

#: All that is no part of a run's id.
NOT_OF_A_RUN = (*HOW, "experiment", "hydra", "defaults")

#: Runs of closed forms that are worth a worker of their own, in whole chunks.
PIECE, CHUNK = 4096, 1024

#: Keys that shape the program itself.
STRUCTURAL = ("steps", "record", "precision", "gtol", "patience", "probe")


class Group(NamedTuple):
    """Runs that share a program."""

    config: dict[str, Any]  #: the full configuration, with any run's numbers
    columns: dict[str, np.ndarray]  #: dotted key -> `[R, ...]`: the numbers that vary, or may be varied
    seeds: np.ndarray  #: `[R]`

    @property
    def size(self) -> int:
        return len(self.seeds)


def set_path(config: dict[str, Any], path: str, value: object) -> None:
    """Sets a dotted key."""
    *folders, last = path.split(".")
    for name in folders:
        config = config.setdefault(name, {})
        if not isinstance(config, dict):
            raise BadInput(f"{path} cannot be set: {name} holds a value, no further keys")
    config[last] = value


def patched(config: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a configuration with some dotted keys set."""
    copy = deepcopy(dict(config))
    for path, value in values.items():
        set_path(copy, path, value)
    return copy


def leaves(node: object, path: str = "") -> dict[str, Any]:
    """The leaves of a configuration by dotted key; a list is a leaf, and what is null is none."""
    if isinstance(node, Mapping):
        found: dict[str, Any] = {}
        for key, value in node.items():
            found |= leaves(value, f"{path}.{key}" if path else str(key))
        return found
    return {} if node is None else {path: node}


def run_leaves(config: Mapping[str, Any]) -> dict[str, Any]:
    """The leaves that make a run what it is."""
    return leaves({key: value for key, value in config.items() if key not in NOT_OF_A_RUN})


def groups(structures: Sequence[dict[str, Any]], axes: Sequence[Axis]) -> tuple[list[Group], list[str]]:
    """Splits a sweep into groups.

    Args:
      structures: one configuration (optimizer, problem and the rest) for each combination of choices.
      axes: what varies beside the choices, and what is merely set, by dotted key.

    Returns:
      The groups, and a note for each key that an optimizer or problem does not have.
    """
    found, notes = [], []
    _refuse_homeless(structures, axes)
    for structure in structures:
        if structure.get("schedule") and "learning_rate" not in taken(structure["optimizer"], "optimizer"):
            notes.append(f"optimizer {structure['choices']['optimizer']} has no learning_rate: no schedule for it")
            structure = structure | {"schedule": {}, "choices": structure["choices"] | {"schedule": "constant"}}
        mine = []
        for axis in axes:
            keys = [key for key in axis.key if _has(structure, key)]
            if keys != list(axis.key):
                for key in set(axis.key) - set(keys):
                    root = key.split(".")[0]
                    notes.append(f"{root} {structure['choices'][root]} has no {key.partition('.')[2]}: left out for it")
            if keys:
                places = [axis.key.index(key) for key in keys]
                values = list(dict.fromkeys(_hashable(tuple(row[p] for p in places)) for row in axis.values))
                mine.append(Axis(tuple(keys), [tuple(map(_listed, row)) for row in values]))
        found += _groups_of(structure, mine)
    return found, list(dict.fromkeys(notes))


def _hashable(row: tuple) -> tuple:
    return tuple(tuple(item) if isinstance(item, list) else item for item in row)


def _listed(item: object) -> object:
    return list(item) if isinstance(item, tuple) else item


def _has(structure: Mapping[str, Any], key: str) -> bool:
    root, _, rest = key.partition(".")
    return root not in NODES or parameter(structure[root], root, rest) is not None


def _refuse_homeless(structures: Sequence[Mapping[str, Any]], axes: Sequence[Axis]) -> None:
    """An axis that nothing in the sweep has is a typing error."""
    for key in (key for axis in axes for key in axis.key):
        root, _, rest = key.partition(".")
        if not any(_has(structure, key) for structure in structures):
            known = {name for structure in structures for name in _parameters(structure[root], root)}
            raise unknown(f"{root} parameter", rest, known)


def _parameters(node: Mapping[str, Any], context: str) -> list[str]:
    """What may be set in a node, by dotted key."""
    inner = {name: value for name, value in node.items() if isinstance(value, Mapping) and "_target_" in value}
    within = [f"{name}.{key}" for name, value in inner.items() for key in _parameters(value, f"{context}.{name}")]
    return [*(name for name in taken(node, context) if name not in inner), *within]


def _groups_of(structure: dict[str, Any], axes: Sequence[Axis]) -> list[Group]:
    """The groups of one combination of choices: a product over what cannot be a column."""
    shaping = [axis for axis in axes if not _numeric(axis)]
    numeric = [axis for axis in axes if _numeric(axis)]
    found = []
    for choice in product(shaping):
        config = patched(structure, choice)
        config = patched(config, {key: axis.values[0][k] for axis in numeric for k, key in enumerate(axis.key)})
        explicit = _explicit_numbers(config)
        # What an axis sets is not in the structure: its optimizer is the catalogue's own.
        config["defaults"] = complete(structure["optimizer"], "optimizer") if structure.get("defaults", True) else None
        for root in NODES:
            if config.get(root):
                config[root] = complete(config[root], root)
        columns = _columns(config, numeric, explicit)
        seeds = columns.pop("seed")
        found.append(check(Group(config, columns, seeds)))
    return found


def _numeric(axis: Axis) -> bool:
    if any(key in STRUCTURAL for key in axis.key):
        return False
    return all(_is_number(item) or _is_point(item) for row in axis.values for item in row)


def _is_number(item: object) -> bool:
    return isinstance(item, int | float) and not isinstance(item, bool)


def _is_point(item: object) -> bool:
    return isinstance(item, list) and bool(item) and all(map(_is_number, item))


def _explicit_numbers(config: Mapping[str, Any]) -> list[str]:
    """Real numbers that a file or the user states: columns too, so that another value needs no new program."""
    stated = leaves({root: config.get(root) for root in NODES})
    return [key for key, value in stated.items() if isinstance(value, float) or _is_point(value)]


def _columns(config: Mapping[str, Any], axes: Sequence[Axis], explicit: Sequence[str]) -> dict[str, np.ndarray]:
    sizes = [len(axis.values) for axis in axes]
    total = int(np.prod(sizes, dtype=np.int64))
    columns: dict[str, np.ndarray] = {}
    places = np.indices(sizes).reshape(len(sizes), -1) if sizes else np.zeros((0, 1), int)
    for axis, place in zip(axes, places, strict=True):
        for k, key in enumerate(axis.key):
            values = [row[k] for row in axis.values]
            if len({len(v) if isinstance(v, list) else 0 for v in values}) > 1:
                raise BadInput(f"the values of {key} must all have the same number of entries")
            columns[key] = _as_kind(config, key, np.array(values))[place]
    known = leaves(config)
    for key in explicit:
        if key not in columns:
            columns[key] = np.broadcast_to(np.array(known[key]), (total, *np.shape(known[key])))
    columns.setdefault("seed", np.full(total, config["seed"]))
    return columns


def _as_kind(config: Mapping[str, Any], key: str, values: np.ndarray) -> np.ndarray:
    """Whole numbers typed for a real parameter are real; `complete` has decided the kind for the first."""
    root, _, rest = key.partition(".")
    if root not in NODES:
        return values
    found = parameter(config[root], root, rest)
    if found is not None and found.name != rest.rpartition(".")[2]:
        return values  # an entry of a dictionary: it is what was typed
    whole = found is not None and isinstance(found.default, int) and not isinstance(found.default, bool)
    return values if whole else values.astype(float)


def check(group: Group) -> Group:
    """Refuses numbers that no run can take, before anything runs."""
    config = group.config
    for key in ("steps",):
        if not isinstance(config[key], int) or isinstance(config[key], bool) or config[key] < 1:
            raise BadInput(f"{key} must be a whole number of at least 1, not {config[key]!r}")
    if config["precision"] not in ("float32", "float64"):
        raise BadInput(f"precision must be float32 or float64, not {config['precision']!r}")
    if config.get("save") not in (None, False, True, "path"):
        raise BadInput(f"save must be true, false or path, not {config['save']!r}")
    memory = config.get("memory")
    if memory is not None and not (_is_number(memory) and 0 < memory < np.inf):
        raise BadInput(f"memory must be a number of GiB above 0, or null, not {memory!r}")
    for key in ("checkpoint", "time_limit"):
        seconds = config.get(key)
        if seconds is not None and not (_is_number(seconds) and 0 <= seconds < np.inf):
            raise BadInput(f"{key} must be a number of seconds, or null, not {seconds!r}")
    if group.seeds.dtype.kind not in "iu" or group.seeds.min(initial=0) < 0:
        raise BadInput("seed must be a whole number of at least 0")
    for key, values in group.columns.items():
        if values.dtype == object:  # whole numbers that no array holds
            raise BadInput(f"{key} must be a number below 2^63, not {max(values.tolist(), key=abs)}")
        if not np.isfinite(values).all():
            raise BadInput(f"{key} must be a finite number, not {values[~np.isfinite(values)].flat[0]}")
        if key == "optimizer.learning_rate" and values.min() < 0:
            raise BadInput(f"{key} must be a number of at least 0, not {values.min():g}")
    return group


def at_defaults(group: Group) -> np.ndarray | None:
    """Which runs have the optimizer as the catalogue has it, schedule or not: `[R]`; None where nobody knows."""
    stated = leaves(group.config.get("defaults"))
    if not stated:
        return None
    held = leaves(group.config["optimizer"], "optimizer")
    found = np.full(group.size, held.keys() == {f"optimizer.{key}" for key in stated})
    for key, value in stated.items():
        own = group.columns.get(f"optimizer.{key}", held.get(f"optimizer.{key}"))
        if isinstance(own, np.ndarray):
            # A grid meets 0.01 up to rounding only.
            found &= np.isclose(own, value, rtol=1e-9, atol=0).reshape(group.size, -1).all(axis=1)
        else:
            found &= own == value
    return found


def subset(group: Group, keep: np.ndarray) -> Group:
    """The group with only some of its runs: a mask, or places."""
    return Group(group.config, {key: v[keep] for key, v in group.columns.items()}, group.seeds[keep])


def pieces(groups: Sequence[Group], count: int) -> list[Group]:
    """The groups, those that are large enough in `count` parts, so that as many workers have something to do.

    Parts of closed forms are whole chunks of what suits a CPU, so that a run is computed as it is in the whole group.
    """
    found = []
    for group in groups:
        size = -(-group.size // count)
        if not group.config["problem"]["_target_"].startswith(WORKLOADS):
            size = max(PIECE, -(-size // CHUNK) * CHUNK)
        found += [subset(group, np.arange(k, min(k + size, group.size))) for k in range(0, group.size, size)]
    return found


def split(group: Group, key: str) -> list[Group]:
    """One group for each value of a column that the program cannot take as a number."""
    values = group.columns[key]
    found = []
    for value in dict.fromkeys(map(tuple, values) if values.ndim > 1 else values.tolist()):
        keep = (values == value).all(axis=1) if values.ndim > 1 else values == value
        part = subset(group, keep)
        item = list(map(float, value)) if isinstance(value, tuple) else value
        columns = {name: column for name, column in part.columns.items() if name != key}
        found.append(Group(patched(part.config, {key: item}), columns, part.seeds))
    return found


def run_ids(group: Group) -> list[str]:
    """A hash of each run's resolved configuration: the same whatever sweep the run is part of.

    Each ``key=value``, with every number written as a real one, is hashed by itself, and a run's id is the
    sum of its hashes: the order does not matter, and each value of an axis is hashed once.
    """
    varying = dict(group.columns) | {"seed": group.seeds}
    fixed = {key: value for key, value in run_leaves(group.config).items() if key not in varying}
    total = np.zeros((group.size, 2), np.uint64) + _hash("version", RESULT_VERSION)
    for key, value in fixed.items():
        total += _hash(key, value)
    for key, column in varying.items():
        values, place = distinct(column)
        total += np.array([_hash(key, value) for value in values.tolist()])[place]
    digits = total.astype(">u8").tobytes().hex()
    return [digits[i : i + 20] for i in range(0, len(digits), 32)]


def _hash(key: str, value: object) -> np.ndarray:
    digest = hashlib.blake2b(f"{key}={_text(value)}".encode(), digest_size=16).digest()
    return np.frombuffer(digest, ">u8").astype(np.uint64)


def distinct(column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different entries of a column `[R, ...]`, and which of them each row has: `[R]`.

    One part of an entry after the other: `np.unique` with an axis compares bytes and takes ten times as long.
    """
    place = np.zeros(len(column), int)
    first = np.zeros(1, int)
    for part in column.reshape(len(column), -1).T:
        values, code = np.unique(part, return_inverse=True)
        _, first, place = np.unique(place * len(values) + code, return_index=True, return_inverse=True)
    return column[first], place


def _text(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(float(value))
    if isinstance(value, list):
        return "[" + ",".join(map(_text, value)) + "]"
    return json.dumps(value, sort_keys=True)
