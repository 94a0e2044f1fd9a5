"""How honestly a plane shows a path: the run's loss beside the plane's, how far they are apart, and a random walk."""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false
# pyright: reportCallIssue=false

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from . import style
from .line import labelled
from .planes import chosen, facts, on_plane, runs_on
from .selection import formats


def losses(ax: Axes, rows: pd.DataFrame) -> Axes:
    """The loss where the runs were, drawn through, and where the plane shows them, dashed."""
    style.quiet(ax)
    if (rows[["value", "plane_value"]] > 0).all(axis=None):
        ax.set_yscale("log")
    ends = []
    for _, run in rows.groupby("run_id", sort=False):
        run, tint = run.sort_values("step"), style.color(run.optimizer.iloc[0])
        ax.plot(run.step, run.value, color=tint, linewidth=1.6)
        ax.plot(run.step, run.plane_value, color=tint, linewidth=1.2, linestyle=(0, (3, 2)))
        name = style.name(run.optimizer.iloc[0])
        ends += [(float(run.value.iloc[-1]), name, tint), (float(run.plane_value.iloc[-1]), f"{name}, plane", tint)]
    ax.set_title("loss of the run, and of the plane (dashed)", loc="left", fontsize=9.5, color=style.INK)
    ax.set_xlabel("steps")
    labelled(ax, ends)
    return ax


def distances(ax: Axes, rows: pd.DataFrame) -> Axes:
    """How far from the plane the runs were."""
    style.quiet(ax)
    for _, run in rows.groupby("run_id", sort=False):
        run, tint = run.sort_values("step"), style.color(run.optimizer.iloc[0])
        ax.plot(run.step, run.off_plane, color=tint, linewidth=1.6)
    ax.set_ylim(0)
    ax.set_title("distance from the plane", loc="left", fontsize=9.5, color=style.INK)
    ax.set_xlabel("steps")
    return ax


def walk(ax: Axes, rows: pd.DataFrame, plane: pd.Series) -> Axes:
    """The first run on its plane, and a random walk with the same step lengths on its own."""
    style.quiet(ax)
    run = rows[rows.run_id == rows.run_id.iloc[0]].sort_values("step")
    null = rows[rows.null_a.notna()]
    shares = (plane.explained_0 + plane.explained_1, plane.null_explained_0 + plane.null_explained_1)
    ax.plot(null.null_a, null.null_b, color="#9aa4af", linewidth=1.4)
    ax.plot(run.a - run.a.iloc[-1], run.b - run.b.iloc[-1], color=style.color(run.optimizer.iloc[0]), linewidth=1.6)
    ax.plot(0, 0, "o", markersize=5, color=style.INK)
    ax.set_title("the path, and a random walk (grey)", loc="left", fontsize=9.5, color=style.INK)
    ax.set_xlabel(f"two directions explain {shares[0]:.0%} and {shares[1]:.0%}")
    ax.set_aspect("equal", adjustable="datalim")
    return ax


def sheet(results: Any, plane: pd.Series) -> Figure:
    """Two panels, and a third where the plane is a path's own."""
    rows = on_plane(results, plane)
    null = "null_a" in rows and rows.null_a.notna().any()
    page = style.figure(13.0 if null else 9.4, 4.3)
    losses(style.inches(page, 0.75, 0.6, 3.1, 2.65), rows)
    distances(style.inches(page, 5.6, 0.6, 3.1, 2.65), rows)
    if null:
        walk(style.inches(page, 9.5, 0.6, 3.1, 2.65), rows, plane)
    style.title(page, f"{style.name(plane.problem)}: what the {plane.directions} plane leaves out", facts(plane))
    return page


def draw(results: Any, folder: Path, *, landscape: str | None = None, format: Any = ("png",)) -> list[Path]:
    """Write `projection_<id>` for each stored plane with paths on it; `landscape`: the beginning of one plane's id."""
    endings = formats(format)
    held = [p for _, p in chosen(results, "plane", landscape, "plane FOLDER").iterrows() if runs_on(results, p)]
    if not held:
        raise ValueError("no plane shows a path: run with save=path, then optlab landscape plane FOLDER")
    written = []
    for plane in held:
        stem = f"projection_{plane.directions}_{plane.landscape_id[:8]}"
        written += style.save(sheet(results, plane), Path(folder), stem, endings)
    return written
