"""Stored runs in the explorer's page: from the tables of a study to trajectories that play over their surface."""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false
# pyright: reportReturnType=false

import base64
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from optlab import table
from optlab.app.bad_input import BadInput
from optlab.explorer.page import page
from optlab.plots import planes, selection, style, surface
from optlab.plots.landscape import loss_field

#: Surfaces of one page, and points along a side of each: so it stays below a megabyte.
MOST, SIDE = 12, 101

#: Recorded steps of one run that a page holds: half of them at equal ratios, where the beginning is seen, and half at
#: equal distances.
STEPS = 600


def look(optimizer: str) -> dict[str, Any]:
    """How an optimizer is drawn, here as in every figure."""
    dash = style.dash(optimizer)
    return {
        "color": style.color(optimizer), "dark": style.color(optimizer, dark=True), "marker": style.marker(optimizer),
        "dash": [] if isinstance(dash, str) else list(dash[1]),
    }  # fmt: skip


def replayed(folder: str, problems: Sequence[str], optimizers: Sequence[str]) -> str:
    """The page of a folder of tables: its runs on closed forms, and those whose path a stored plane shows.

    Args:
      folder: of one or many studies.
      problems, optimizers: only these; all where none is named.

    Raises:
      BadInput: where nothing is there to be seen.
    """
    try:
        results = table.load(folder)
        scenes = [*_surfaces(results, problems, optimizers), *_planes(results, problems, optimizers)]
    except (ValueError, FileNotFoundError) as error:
        raise BadInput(str(error)) from error
    if not scenes:
        raise BadInput(
            f"{folder} holds no runs on a surface of two variables; of networks run with save=path, then "
            f"optlab landscape plane {folder} directions=path"
        )
    if len(scenes) > MOST:
        print(f"the first {MOST} of {len(scenes)} surfaces are shown; problem=... chooses others")
        scenes = scenes[:MOST]
    shown = dict.fromkeys(run["optimizer"] for each in scenes for run in each["runs"])
    members = [{"name": name, "summary": "", "look": look(name), "only": None, "numbers": []} for name in shown]
    stored = {"scenes": scenes, "optimizers": members}
    return page([], [], stored=stored, title=f"optlab explorer: {Path(folder).name}")


def _surfaces(results: Any, asked: Sequence[str], optimizers: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Each problem with a surface that has runs with curves: the best setting of each optimizer."""
    drawn = set(results.fields.field_id) if len(results.fields) else set()
    runs = results.runs
    flat = runs[runs.field_id.isin(drawn) & runs.run_id.isin(results.curves.run_id if len(results.curves) else [])]
    held = sorted(set(flat.problem))
    if asked and not set(asked) & {*held, *(results.planes.problem if len(results.planes) else ())}:
        selection.problems(results, asked, plane=True)  # says what there is
    for problem in held:
        if asked and problem not in asked:
            continue
        found = selection.select(results, problem, optimizers or None, plane=True)
        field_id = found.best.field_id.iloc[0]
        field = surface.field(results, field_id, found.minimum)
        points = surface.points_of(results, field_id)
        marks = [{"kind": p.kind, "x": (p.x_0, p.x_1)} for p in points.itertuples()]
        yield _scene(problem, found.how, field, found.best, found.curves, found.minimum, marks)


def _planes(results: Any, asked: Sequence[str], optimizers: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Each stored plane on which runs are projected."""
    if not len(results.planes):
        return
    for _, plane in results.planes[results.planes.kind == "plane"].iterrows():
        if not planes.runs_on(results, plane) or (asked and plane.problem not in asked):
            continue
        shown = planes.as_surface(results, plane, "value")
        best = shown.runs.assign(score=selection.score(shown.runs)).sort_values("score", kind="stable")
        best = best[best.optimizer.isin(optimizers)] if optimizers else best
        if not len(best):
            continue
        names = " and ".join(planes.axis_names(plane))
        says = f"The plane of {names}; {planes.facts(plane)}. Shading is the plane's loss, the charts are the runs'."
        field = loss_field(shown, plane.landscape_id)
        yield _scene(f"{plane.problem} {plane.directions}", says, field, best, shown.curves, None, []) | {"axes": "uv"}


def _scene(
    name: str,
    says: str,
    field: surface.Field,
    best: pd.DataFrame,
    curves: pd.DataFrame,
    minimum: float | None,
    points: list[dict[str, Any]],
) -> dict[str, Any]:
    tracks = surface.tracks(best, curves)
    thin = max(1, -(-(len(field.x) - 1) // (SIDE - 1)))
    grid = {"x": field.x[::thin], "y": field.y[::thin], "z": field.z[::thin, ::thin]}
    runs = [_run(row, track) for (_, row), track in zip(best.iterrows(), tracks, strict=True) if len(track.xy)]
    repeated = best.optimizer.duplicated(keep=False).any()
    for run, (_, row) in zip(runs, best.iterrows(), strict=False):
        run["label"] = f"{style.name(row.optimizer)} {row.run_id[:6]}" if repeated else style.name(row.optimizer)
    return {
        "name": name, "summary": says, "minimum": minimum, "points": points, "runs": runs,
        "start": tracks[0].xy[0] if len(tracks[0].xy) else (0.0, 0.0),
        "grid": {key: packed(values, "<f4") for key, values in grid.items()},
    }  # fmt: skip


def _run(row: pd.Series, track: surface.Track) -> dict[str, Any]:
    last = len(track.step) - 1
    even, early = np.linspace(0, last, STEPS // 2), np.geomspace(1, last + 1, STEPS // 2) - 1
    kept = np.unique(np.round(np.concatenate([even, early])).astype(int))
    share = float(row.seconds) / max(float(row.steps), 1) if pd.notna(row.seconds) else None
    spent = [int(row[name]) if pd.notna(row[name]) else 0 for name in ("n_value", "n_grad", "n_hvp")]
    return {
        "optimizer": track.optimizer, "status": track.status.replace("max_steps", "budget spent"),
        "slope": float(row.grad_norm) if pd.notna(row.grad_norm) else None, "spent": spent,
        "seconds": share, "xy": packed(track.xy[kept], "<f4"), "step": packed(track.step[kept], "<f4"),
        "evaluations": packed(track.evaluations[kept], "<f4"), "value": packed(track.value[kept], "<f8"),
    }  # fmt: skip


def packed(values: np.ndarray, kind: str) -> str:
    """Numbers as the page reads them: little-endian, in base64."""
    return base64.b64encode(np.ascontiguousarray(values, kind).tobytes()).decode()
