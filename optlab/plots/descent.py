"""The film of training: runs move over a plane of their loss, and the loss where they truly are runs beside it."""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from . import video
from .landscape import loss_field
from .planes import as_surface, axis_names, chosen, runs_on
from .race import CLOCKS, film_of, pair
from .selection import Selection, formats, one_of, score, whole
from .stage import Stage, stage
from .style import file_name


def scene_of(results: Any, plane: pd.Series, axis: str, size: tuple[int, int], view: str) -> Stage:
    """The still picture of one plane, and the paths of its runs over it."""
    shown = as_surface(results, plane, "value")
    best = shown.runs.assign(score=score(shown.runs)).sort_values("score", kind="stable").drop(columns="score")
    names = " and ".join(axis_names(plane)) if plane.directions != "path" else "principal directions of the path"
    shares = f" ({plane.explained_0:.0%}, {plane.explained_1:.0%})" if plane.directions == "path" else ""
    how = f"u, v: {names}{shares} · {int(plane.parameters):,} parameters"
    picked = Selection(plane.problem, best, best, shown.curves, None, how)
    surface = loss_field(shown, plane.landscape_id)._replace(names=("$u$", "$v$"))
    what = "shading: the plane's loss; curve: the run's" if view == "2d" else "height: the plane's loss"
    return stage(shown, picked, axis=axis, size=size, view=view, panel=True, surface=surface, what=what)


def draw(
    results: Any,
    folder: Path,
    *,
    landscape: str | None = None,
    clock: str = "step",
    frames: int = 300,
    fps: int = 30,
    size: tuple[int, int] | str = (1280, 720),
    view: str = "2d",
    format: str | Sequence[str] = ("mp4", "gif"),
) -> list[Path]:
    """Write `descent_<id>` for each stored plane with paths on it.

    landscape: the beginning of one plane's id. frames, clock, size, view: as for `race`. Raises ValueError where no
    plane shows a path: runs must have kept theirs (save=path).
    """
    endings, count, fps = formats(format, ("mp4", "gif")), whole("frames", frames, 2), whole("fps", fps, 1)
    one_of("clock", clock, CLOCKS)
    one_of("view", view, ("2d", "3d"))
    held = chosen(results, "plane", landscape, "plane FOLDER directions=path")
    held = [plane for _, plane in held.iterrows() if runs_on(results, plane)]
    if not held:
        raise ValueError(
            "no plane shows a path: run with save=path, then optlab landscape plane FOLDER directions=path"
        )
    written = []
    for plane in held:
        scene = scene_of(results, plane, CLOCKS[clock], pair(size), view)
        stem = f"descent_{plane.directions}_{plane.landscape_id[:8]}" + ("_3d" if view == "3d" else "")
        films = [Path(folder) / f"{file_name(stem)}.{ending}" for ending in endings]
        written += video.write(film_of(scene, count), films, fps=fps)
    return written
