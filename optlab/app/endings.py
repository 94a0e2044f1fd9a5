"""The column `end_label`: what `optlab.labels` says of the last place of each run of a unit."""

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import jax
import numpy as np

from optlab import labels
from optlab.app.build import make_surface, surface_leaves
from optlab.app.plan import Group, patched
from optlab.sweep import filled_up
from optlab.types import Surface, Trace
from optlab.widths import chunk_width


def labels_of(group: Group, trace: Trace) -> list[str]:
    """A label for each run: `[R]`, from the surface where the problem is one and its runs tell where they ended."""
    status, value = trace["status"][:, -1], trace["value"][:, -1]
    if "end" not in trace:  # no closed form, or a long one
        gap = trace["gap"][:, -1] if "gap" in trace else None
        return labels.without_a_surface(gap, status, value).tolist()
    node = surface_leaves(group.config["problem"])
    columns = {key: group.columns[f"problem.{key}"] for key in node if f"problem.{key}" in group.columns}
    with jax.enable_x64(True):
        program = _program(json.dumps({key: node[key] for key in node if key not in columns}, sort_keys=True))
        points = _surface(patched(node, {key: column[0].tolist() for key, column in columns.items()})).points
        found = _in_chunks(program, columns, trace["end"].astype(float))
    return labels.names(points, found, status, value).tolist()


def _surface(node: Mapping[str, Any]) -> Surface:
    surface = make_surface(node)
    assert surface is not None  # only a run on a closed form tells where it ended
    return surface


@cache
def _program(fixed: str) -> Callable[[Mapping[str, np.ndarray], np.ndarray], labels.Ending]:
    """(what varies of a surface, places `[R, d]`) -> endings; one for all optimizers that run on it."""
    node = json.loads(fixed)
    return jax.jit(jax.vmap(lambda values, x: labels.ending(_surface(node | dict(values)), x)))


def _in_chunks(program: Callable, columns: Mapping[str, np.ndarray], places: np.ndarray) -> Any:
    size = len(places)
    width = chunk_width(size)  # few widths, so that few programs are compiled
    parts = []
    for first in range(0, size, width):
        rows = filled_up(first, width, size)
        parts.append(program({key: column[rows] for key, column in columns.items()}, places[rows]))
    return jax.tree.map(lambda *pieces: np.concatenate(list(map(np.asarray, pieces)))[:size], *parts)
