"""Two-dimensional surfaces as tables, so that figures are drawn from what is stored."""

from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

import jax
import numpy as np

from optlab import table
from optlab.app.build import make_surface, surface_leaves
from optlab.app.plan import Group, patched

#: Points along each side of the grid on which a two-dimensional surface is stored to be drawn.
FIELD_POINTS = 201

#: Surfaces stored for drawing in one study; a sweep over an angle may have thousands.
MOST_FIELDS = 64


def write(group: Group, folder: Path, known: set[str], lock: Lock) -> list[str | None] | str | None:
    """Stores each two-dimensional surface of a unit once, on a grid, with its points; returns their ids.

    `known` are the ids that are stored already, shared by all threads under `lock`.
    """
    problem = group.config["problem"]
    if make_surface(problem) is None:
        return None
    shape = surface_leaves(problem)
    varying = {key: group.columns[f"problem.{key}"] for key in shape if f"problem.{key}" in group.columns}
    if not varying:
        return _field(shape, folder, known, lock)
    rows = np.column_stack([column.reshape(group.size, -1) for column in varying.values()])
    distinct, place = np.unique(rows, axis=0, return_inverse=True)
    ids = []
    for row in distinct:
        first = int(np.flatnonzero((rows == row).all(axis=1))[0])
        ids.append(_field(patched(shape, {k: c[first].tolist() for k, c in varying.items()}), folder, known, lock))
    return [ids[i] for i in place.ravel().tolist()]


def _field(node: Mapping[str, Any], folder: Path, known: set[str], lock: Lock) -> str | None:
    with jax.enable_x64(True):
        surface = make_surface(node)
        if surface is None or np.shape(surface.start) != (2,):
            return None
        field_id = table.digest(node)
        with lock:
            if field_id in known or len(known) >= MOST_FIELDS:
                return field_id if field_id in known else None
            known.add(field_id)
        lower, upper = (np.asarray(side, float) for side in surface.domain)
        sides = [np.linspace(lower[k], upper[k], FIELD_POINTS) for k in range(2)]
        x = np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, 2)
        value = np.asarray(jax.jit(jax.vmap(surface.fn))(x))
        points = [(p.kind, p.index, float(p.value), *map(float, np.asarray(p.x))) for p in surface.points]
    if points:
        columns = dict(zip(("kind", "index", "value", "x_0", "x_1"), map(list, zip(*points, strict=True)), strict=True))
        table.write_once(folder, "points", field_id, {"field_id": [field_id] * len(points)} | columns)
    grid = {"field_id": [field_id] * len(x), "x_0": x[:, 0], "x_1": x[:, 1], "value": value}
    table.write_once(folder, "fields", field_id, grid)
    return field_id
