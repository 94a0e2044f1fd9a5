"""A loss on a plane through parameters of many dimensions, with the paths of runs on it."""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from . import style
from .contour import dense, paths
from .planes import as_surface, axis_names, chosen, facts, runs_on, word
from .selection import formats, names, one_of
from .stage import ground_3d
from .surface import Field, background, decade_heights, field, levels, tracks


def score_field(results: Any, identity: str) -> Field:
    """A grid of a score, which is drawn as it is and not by logarithms of heights."""
    rows = results.fields[results.fields.field_id == identity]
    grid = rows.pivot(index="x_1", columns="x_0", values="value")
    z = grid.to_numpy(float)
    return Field(grid.columns.to_numpy(float), grid.index.to_numpy(float), z, float(np.nanmin(z)), 1.0, False)


def loss_field(results: Any, identity: str) -> Field:
    """A grid of a loss: a positive one is measured from zero, so that levels are those of the loss itself."""
    lowest = results.fields.value[results.fields.field_id == identity].min()
    return field(results, identity, 0.0 if lowest > 0 else None)


def is_score(column: str) -> bool:
    """Whether more is better: accuracy, overlap, precision; else it is a loss."""
    return column not in ("value",) and not column.endswith("loss")


def panel(ax: Axes, results: Any, plane: pd.Series, column: str) -> Axes:
    """One loss or score on a plane, its levels labelled, paths over it."""
    shown = as_surface(results, plane, column)
    found = tracks(shown.runs, shown.curves) if len(shown.runs) else []
    if is_score(column):
        surface = score_field(shown, plane.landscape_id)
        steps(ax, surface)
    else:
        surface = loss_field(shown, plane.landscape_id)._replace(names=("", ""))
        avoid = np.concatenate([dense(track, surface) for track in found]) if found else None
        background(ax, surface, avoid=avoid)
    across, up = axis_names(plane)
    ax.set_xlabel(across, fontsize=8.5, color=style.QUIET)
    ax.set_ylabel(up, fontsize=8.5, color=style.QUIET, rotation=90, labelpad=3)
    ax.set_title(word(column), loc="left", fontsize=9.5, color=style.INK)
    if found:
        paths(ax, shown.runs, shown.curves, gutter=False)
    else:
        ax.plot(0, 0, "o", markersize=6, markerfacecolor=style.PAPER, markeredgecolor=style.INK, markeredgewidth=1)
    return ax


def steps(ax: Axes, surface: Field) -> None:
    """Filled levels of a score, dark where it is best, a line at each tenth."""
    top = max(1.0, float(np.nanmax(surface.z)))
    at = np.linspace(0, top, 26)
    fill = ax.contourf(surface.x, surface.y, surface.z, levels=at, cmap=style.SURFACE.reversed(), extend="min")
    fill.set_rasterized(True)
    fill.set_edgecolor("face")
    lines = ax.contour(
        surface.x, surface.y, surface.z, levels=np.arange(0.1, top, 0.1), colors="#1d2733", linewidths=0.5, alpha=0.5
    )
    for text in ax.clabel(lines, fmt="%.1f", fontsize=7, colors="#2b4a6b"):
        text.set_path_effects(style.halo(1.2, "#eef1f4"))
    for spine in ax.spines.values():
        spine.set(color="#aab2bb", linewidth=0.7)
    ax.tick_params(labelsize=8, colors=style.QUIET, length=3, width=0.6)


def flat(results: Any, plane: pd.Series, shown: Sequence[str]) -> Figure:
    """The page from above: a panel for each column, all of one plane."""
    rows = results.grid[results.grid.landscape_id == plane.landscape_id]
    ratio = float(np.clip(np.ptp(rows.a) / np.ptp(rows.b), 0.6, 1.7))
    tall = 4.3 if len(shown) > 1 else 5.1
    wide = tall * ratio
    runs = runs_on(results, plane)
    page = style.figure(max(7.2, 0.75 + len(shown) * (wide + 0.75)), tall + (1.85 if len(runs) else 1.6))
    for k, column in enumerate(shown):
        panel(style.inches(page, 0.75 + k * (wide + 0.75), 0.6, wide, tall), results, plane, column)
    head(page, results, plane, runs)
    return page


def head(page: Figure, results: Any, plane: pd.Series, runs: Sequence[str]) -> None:
    """Title, facts, and where paths are drawn the optimizers that made them."""
    style.title(page, f"{style.name(plane.problem)}: {plane.directions} plane", facts(plane))
    if len(runs):
        made = results.runs[results.runs.run_id.isin(runs)].drop_duplicates("optimizer")
        style.key(page, list(made.optimizer), 0.86)


def deep(results: Any, plane: pd.Series, column: str) -> Figure:
    """The page in perspective."""
    shown = as_surface(results, plane, column)
    surface = score_field(shown, plane.landscape_id) if is_score(column) else loss_field(shown, plane.landscape_id)
    page = style.figure(8.2, 6.8)
    found = tracks(shown.runs, shown.curves) if len(shown.runs) else []
    ground = ground_3d(page, (0.7, 0.55, 6.4, 4.9), surface, found, pd.DataFrame({"kind": [], "x_0": [], "x_1": []}))
    ax: Any = ground.ax
    for track in reversed(found):
        _, pixels = ground.to_pixels(track)
        line = page.transFigure.inverted().transform(pixels)
        for width, tint in ((3.4, style.PAPER), (1.6, style.color(track.optimizer))):
            page.add_artist(Line2D(*line.T, color=tint, linewidth=width, zorder=5, solid_capstyle="round"))
    across, up = axis_names(plane)
    ax.set_xlabel(across, fontsize=8.5, color=style.QUIET, labelpad=-2)
    ax.set_ylabel(up, fontsize=8.5, color=style.QUIET, labelpad=-2)
    if not is_score(column):
        decades = decade_heights(surface, levels(surface))
        ax.set_zticks(list(decades), list(decades.values()))
    runs = runs_on(results, plane)
    head(page, results, plane, runs)
    page.text(0.35 / 8.2, 1 - 1.12 / 6.8, f"height: {word(column)}", fontsize=9, color=style.QUIET)
    return page


def draw(
    results: Any,
    folder: Path,
    *,
    landscape: str | None = None,
    columns: str | Sequence[str] = ("value",),
    view: str = "2d",
    format: str | Sequence[str] = ("png",),
) -> list[Path]:
    """Write `landscape_<id>` for each stored plane.

    landscape: the beginning of one plane's id. columns: losses and scores of the grid, such as `validation_loss` and
    `train_accuracy`, a panel each (in `3d` a page each). view: `2d` or `3d`.
    """
    endings = formats(format)
    one_of("view", view, ("2d", "3d"))
    asked = names(columns) or ["value"]
    written = []
    for _, plane in chosen(results, "plane", landscape, "plane FOLDER").iterrows():
        stem = f"landscape_{plane.directions}_{plane.landscape_id[:8]}"
        if view == "2d":
            written += style.save(flat(results, plane, asked), Path(folder), stem, endings)
        else:
            for column in asked:
                page = deep(results, plane, column)
                written += style.save(page, Path(folder), f"{stem}_{column}_3d", endings)
    return written
