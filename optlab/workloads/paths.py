"""The parameters of a network by path: ``{("stage1", "conv1", "kernel"): array}``."""

from collections.abc import Mapping
from typing import Any

from flax import traverse_util

from optlab.types import PyTree

Path = tuple[str, ...]


def flat(tree: PyTree) -> dict[Path, Any]:
    """Nested dictionaries as one, by path."""
    return dict(traverse_util.flatten_dict(tree))  # pyright: ignore[reportArgumentType]


def nested(parts: Mapping[Path, Any]) -> dict[str, Any]:
    """What `flat` takes apart."""
    return traverse_util.unflatten_dict(dict(parts))


def within(path: Path, name: str) -> bool:
    """Whether a parameter belongs to the layer of a name, ``stage1`` or ``stage1/conv1``."""
    parts = tuple(name.split("/"))
    return path[: len(parts)] == parts
