"""How runs move in all their dimensions: distance from the start, length of the way, angles between steps."""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from . import style
from .selection import formats, names, one_of

PANELS = {
    "distance": "distance from the start",
    "length": "length of the way",
    "angle": "angle between successive steps (°)",
}


def panel(ax: Axes, rows: pd.DataFrame, column: str, *, labels: bool) -> Axes:
    """One measure of motion for each run against its steps."""
    style.quiet(ax)
    heads, optimizers = [], []
    for _, run in rows.groupby("run_id", sort=False):
        run = run.sort_values("step")
        y = np.degrees(run[column]) if column == "angle" else run[column]
        optimizer = run.optimizer.iloc[0]
        ax.plot(run.step, y, color=style.color(optimizer), linestyle=style.dash(optimizer), linewidth=1.4)
        known = np.isfinite(y.to_numpy(float))
        heads.append((run.step[known].iloc[-1], y[known].iloc[-1]))
        optimizers.append(optimizer)
    ax.set_xlabel("steps")
    ax.set_title(PANELS[column], loc="left", fontsize=9.5, color=style.INK)
    ax.set_xlim(0, rows.step.max())
    if column == "angle":
        ax.set_ylim(0, 180)
        ax.set_yticks([0, 45, 90, 135, 180])
        ax.axhline(90, color=style.FAINT, linewidth=0.9, zorder=0.9)
    else:
        ax.set_ylim(0)
    if labels:
        pixels = [tuple(ax.transData.transform(head)) for head in heads]
        style.gutter(ax, pixels, optimizers, [""] * len(heads))
    return ax


def sheet(results: Any, problem: str, rows: pd.DataFrame) -> Figure:
    """Three panels side by side."""
    page = style.figure(13.2, 4.3)
    shown = rows.groupby("run_id", sort=False).head(len(rows))
    for k, column in enumerate(PANELS):
        panel(style.inches(page, 0.6 + 3.75 * k, 0.6, 3.15, 2.65), shown, column, labels=k == len(PANELS) - 1)
    count = rows.run_id.nunique()
    style.title(
        page, f"{style.name(problem)}: motion", f"{count} run{'s' if count > 1 else ''}, Euclidean, between recorded "
        "steps · at 90° a step has nothing of the last"
    )  # fmt: skip
    return page


def draw(results: Any, folder: Path, *, problem: str | None = None, format: Any = ("png",)) -> list[Path]:
    """Write `motion_<problem>` from the table `motion` (run_id, problem, optimizer, step, distance, length, angle)."""
    endings = formats(format)
    if not len(results.motion):
        raise ValueError("this folder holds no motion: optlab landscape motion FOLDER computes it (runs: save=path)")
    rows = results.motion.drop_duplicates(["run_id", "step"])
    held = list(rows.problem.unique())
    for asked in names(problem) or []:
        one_of("problem with motion", asked, held)
    written = []
    for each in names(problem) or held:
        written += style.save(sheet(results, each, rows[rows.problem == each]), Path(folder), f"motion_{each}", endings)
    return written
