"""Slices of a loss around stored runs, and between them, as columns of tables."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from optlab import landscape
from optlab.app import summary
from optlab.app.bad_input import BadInput, unknown
from optlab.app.stored_runs import Stored
from optlab.landscape import Plane
from optlab.landscape.paths import as_matrix

Columns = dict[str, Any]

#: Where the directions of a plane come from.
DIRECTIONS = ("random", "path", "hessian", "solutions")

#: How much farther than a path its plane is shown, of the path's own extent.
MARGIN = 0.25


def line(
    stored: Sequence[Stored],
    *,
    directions: str = "random",
    normalize: str = "filter",
    reach: float = 1.0,
    size: int = 101,
    seed: int = 0,
    statistics: str = "recomputed",
) -> dict[str, Columns]:
    """The loss along a line through where a run ended: random, or the Hessian's leading eigenvector."""
    centre = _only(stored, "a line")
    if directions not in ("random", "hessian"):
        raise unknown("kind of directions", directions, ("random", "hessian"))
    plane = _around(centre, directions, normalize, seed, dimensions=1)
    sides = [_side(-reach, reach, size)]
    return _told(stored, plane, sides, kind="line", directions=directions, normalize=normalize, seed=seed,
                 statistics=statistics)  # fmt: skip


def plane(
    stored: Sequence[Stored],
    *,
    directions: str = "random",
    normalize: str = "filter",
    reach: float = 1.0,
    size: int = 51,
    seed: int = 0,
    statistics: str = "recomputed",
) -> dict[str, Columns]:
    """The loss on a plane: random or Hessian directions around a run's end, of runs' paths, or through three ends."""
    facts: dict[str, Any] = {}
    if directions == "path":
        paths = [run.params for run in stored]
        found = landscape.principal_plane(paths)
        chosen, shares = found.plane, found.explained.tolist()
        facts = {"explained_0": shares[0], "explained_1": shares[1]}
        places = np.concatenate([_coordinates(chosen, path) for path in paths])
        sides = _framed(places, size)
    elif directions == "solutions":
        if len(stored) != 3:
            raise BadInput(f"directions=solutions takes three runs, run=A,B,C, not {len(stored)}")
        chosen = landscape.through(*(run.params[-1] for run in stored))
        sides = _framed(_coordinates(chosen, [run.params[-1] for run in stored]), size)
    elif directions in DIRECTIONS:
        chosen = _around(_only(stored, f"directions={directions}"), directions, normalize, seed, dimensions=2)
        sides = [_side(-reach, reach, size)] * 2
    else:
        raise unknown("kind of directions", directions, DIRECTIONS)
    return _told(stored, chosen, sides, kind="plane", directions=directions, normalize=normalize, seed=seed,
                 statistics=statistics, **facts)  # fmt: skip


def connection(
    stored: Sequence[Stored],
    *,
    size: int = 61,
    steps: int = 1000,
    learning_rate: float = 0.01,
    plane_size: int = 31,
    seed: int = 0,
    statistics: str = "recomputed",
) -> dict[str, Columns]:
    """The loss along the line between two runs' ends and along a trained curve, and on the plane of both."""
    if len(stored) != 2:
        raise BadInput(f"a connection takes two runs, run=A,B, not {len(stored)}")
    problem = stored[0].problem
    first, second = (run.params[-1] for run in stored)
    curve = landscape.connect(
        problem, first, second, key=jax.random.key(seed), steps=steps, learning_rate=learning_rate
    )
    t = np.linspace(0, 1, _whole(size))
    between = landscape.line_between(first, second)
    straight = landscape.values_on(problem, between, t[:, None], statistics=statistics)
    bent = landscape.values_along(problem, curve, t, statistics=statistics)
    chosen = landscape.through(first, second, curve.bend)
    places = {
        "line": _coordinates(chosen, [landscape.place(between, s[None]) for s in t]),
        "bezier": _coordinates(chosen, [landscape.bezier_point(curve, s) for s in t]),
    }
    rows: list[Columns] = []
    for name, values in (("line", straight), ("bezier", bent)):
        height = landscape.barrier(values["value"].astype(float), t)
        rows.append({
            "first_run": [stored[0].run_id] * len(t), "second_run": [stored[1].run_id] * len(t),
            "curve": [name] * len(t), "t": t, **{key: np.asarray(v, float) for key, v in values.items()},
            "a": places[name][:, 0], "b": places[name][:, 1], "barrier": np.full(len(t), height),
        })  # fmt: skip
    tables = {"connections": _joined(rows)}
    if plane_size:
        sides = _framed(np.concatenate(list(places.values())), plane_size)
        tables |= _told(stored, chosen, sides, kind="connection", directions="solutions", normalize="none", seed=seed,
                        statistics=statistics)  # fmt: skip
    return tables


def motion(stored: Sequence[Stored]) -> dict[str, Columns]:
    """Distance from the start, length of the way and angles between successive steps of runs."""
    return {"motion": _joined([_motion(run) for run in stored])}


def _motion(run: Stored) -> Columns:
    if len(run.params) < 3:
        raise BadInput(
            f"run {run.run_id[:8]} has {len(run.params)} recorded places, and angles need 3: run it with save=path"
        )
    found = landscape.motion(as_matrix(run.params))
    return _named(run, len(run.params)) | {"step": run.steps} | found._asdict()


def _named(run: Stored, rows: int) -> Columns:
    return {
        "run_id": [run.run_id] * rows, "problem": [run.problem_name] * rows, "optimizer": [run.optimizer] * rows
    }  # fmt: skip


def _only(stored: Sequence[Stored], what: str) -> Stored:
    if len(stored) != 1:
        ids = ", ".join(run.run_id[:8] for run in stored[:5])
        raise BadInput(f"{what} takes one run, and there are {len(stored)}: state run=ID, one of {ids}")
    return stored[0]


def _around(run: Stored, directions: str, normalize: str, seed: int, *, dimensions: int) -> Plane:
    params, key = run.params[-1], jax.random.key(seed)
    if directions == "random":
        return landscape.random_plane(key, params, normalize=normalize, dimensions=dimensions)
    product = landscape.hessian_product(run.problem, params)
    pairs = landscape.top_eigenpairs(product, params, dimensions, key=key)
    return Plane(params, tuple(jax.tree.map(lambda leaf, k=k: leaf[k], pairs.vectors) for k in range(dimensions)))


def _whole(size: int) -> int:
    if not isinstance(size, int) or not 2 <= size <= 4096:
        raise BadInput(f"size must be a whole number from 2 to 4096, not {size}")
    return size


def _side(low: float, high: float, size: int) -> np.ndarray:
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise BadInput(f"reach must be a number above 0, not {high}")
    return np.linspace(low, high, _whole(size))


def _coordinates(plane: Plane, path: Sequence[Any]) -> np.ndarray:
    return np.stack([landscape.located(plane, params)[0] for params in path])


def _framed(places: np.ndarray, size: int) -> list[np.ndarray]:
    """Sides of a grid around places `[m, 2]`, as wide as high or up to three times so."""
    low, high = places.min(axis=0), places.max(axis=0)
    extent = np.maximum(high - low, (high - low).max() / 3) * (0.5 + MARGIN)
    middle = (low + high) / 2
    return [_side(m - e, m + e, size) for m, e in zip(middle, extent, strict=True)]


def _told(
    stored: Sequence[Stored], plane: Plane, sides: Sequence[np.ndarray], *, statistics: str, **facts: Any
) -> dict[str, Columns]:
    """The tables of a slice: what it is, its grid, and the ways of the runs on it."""
    first = stored[0]
    problem = first.problem
    mesh = np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, len(sides))
    with summary.progress(len(mesh), "points") as advance:
        values = landscape.values_on(problem, plane, mesh, statistics=statistics, progress=advance)
    axes = dict(zip("ab", mesh.T, strict=False))
    tables = {"grid": {**axes, **{name: np.asarray(column, float) for name, column in values.items()}}}
    ways = [run for run in stored if len(run.params) > 1] if len(sides) == 2 else []
    nulls = {}
    if ways:
        parts, nulls = [], _random_walk(ways[0].params, facts)
        for run in ways:
            parts.append(_projection(run, plane, statistics) | nulls.pop("walk", {}))
        tables["projections"] = _joined(parts)
    known = {
        "problem": first.problem_name, "runs": " ".join(run.run_id for run in stored), "center_run": first.run_id,
        **facts, "statistics": statistics, "precision": first.config["precision"],
        "cosine": landscape.cosine(plane), "parameters": sum(leaf.size for leaf in jax.tree.leaves(plane.origin)),
        "train_examples": _examples(problem, first.config), **nulls,
    }  # fmt: skip
    lengths = [float(np.linalg.norm(as_matrix([u]))) for u in plane.directions]
    known |= {f"length_{k}": length for k, length in enumerate(lengths)}
    return tables | {"planes": {key: [value] for key, value in known.items()}}


def _examples(problem: Any, config: Mapping[str, Any]) -> int:
    """Training examples that the loss is taken of; 0 for a closed form."""
    train = getattr(problem.data, "train", None)
    return min(len(train.inputs), int(config["problem"]["evaluated"])) if train is not None else 0


def _projection(run: Stored, plane: Plane, statistics: str) -> Columns:
    found = landscape.projected(run.problem, plane, run.params, statistics=statistics)
    columns = {"a": found.coordinates[:, 0], "b": found.coordinates[:, 1], "off_plane": found.off_plane}
    return _named(run, len(run.params)) | {"step": run.steps} | columns | {
        "value": found.value, "plane_value": found.plane_value
    }  # fmt: skip


def _random_walk(path: Sequence[Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Of a plane of paths: what a walk of chance with the first path's steps would show."""
    if "explained_0" not in facts:
        return {}
    walk, shares = landscape.random_walk(as_matrix(path))
    shown = {"null_a": walk[:, 0], "null_b": walk[:, 1]}
    return {"walk": shown, "null_explained_0": float(shares[0]), "null_explained_1": float(shares[1])}


def _joined(parts: Sequence[Columns]) -> Columns:
    """Rows one after the other; what only some have is no number in the others."""
    keys = list(dict.fromkeys(key for part in parts for key in part))
    rows = [len(next(iter(part.values()))) for part in parts]

    def column(key: str) -> np.ndarray:
        return np.concatenate([part.get(key, np.full(n, np.nan)) for part, n in zip(parts, rows, strict=True)])

    return {key: column(key) for key in keys}
