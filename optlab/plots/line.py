"""A loss along a line through parameters, and the scores of both sets on the same line."""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from . import style
from .landscape import is_score
from .planes import axis_names, chosen, columns, facts, word
from .selection import formats

#: Of the training set, of the validation set.
TRAIN, VALIDATION = "#0072B2", "#D55E00"


def tint(column: str) -> str:
    """One colour for what is said of the training set, one for the validation set."""
    return VALIDATION if column.startswith("validation") else TRAIN


def labelled(ax: Axes, ends: list[tuple[float, str, str]]) -> None:
    """Names right of the lines' ends `(height, name, colour)`, spread apart."""
    box, point = ax.get_window_extent(), ax.figure.dpi / 72
    pixels = [ax.transData.transform((0, height))[1] if np.isfinite(height) else box.y1 for height, _, _ in ends]
    wanted = np.clip(pixels, box.y0, box.y1)
    to: Any = ax.transAxes.inverted().transform
    for y, (_, name, colour) in zip(style.spread(wanted, 13 * point, box.y0, box.y1), ends, strict=True):
        place = to((box.x1 + 6 * point, y))
        ax.text(
            float(place[0]),
            float(place[1]),
            name,
            transform=ax.transAxes,
            fontsize=8.5,
            color=colour,
            va="center_baseline",
            clip_on=False,
        )


def curves(ax: Axes, rows: pd.DataFrame, x: str, names: list[str]) -> Axes:
    """A line for each column over `x`; losses that are positive on a logarithm."""
    style.quiet(ax)
    rows = rows.sort_values(x)
    if not is_score(names[0]) and (rows[names] > 0).all(axis=None):
        ax.set_yscale("log")
    ends = []
    for name in names:
        ax.plot(rows[x], rows[name], color=tint(name), linewidth=1.6, path_effects=style.halo(0.8))
        ends.append((float(rows[name].iloc[-1]), word(name), tint(name)))
    ax.set_xlim(rows[x].min(), rows[x].max())
    ax.set_ylabel("loss" if not is_score(names[0]) else style.name(names[0].partition("_")[2]))
    labelled(ax, ends)
    return ax


def sheet(results: Any, plane: pd.Series) -> Figure:
    """Losses on top, scores below, where there are any."""
    rows = results.grid[results.grid.landscape_id == plane.landscape_id]
    held = columns(rows)
    losses, scores = [c for c in held if not is_score(c)], [c for c in held if is_score(c)]
    page = style.figure(7.6, 5.6 if scores else 4.2)
    top = curves(style.inches(page, 0.8, 2.55 if scores else 0.6, 5.2, 2.1 if scores else 2.7), rows, "a", losses)
    below = top
    if scores:
        below = curves(style.inches(page, 0.8, 0.6, 5.2, 1.6), rows, "a", scores)
        top.tick_params(labelbottom=False)
    for ax in {top, below}:
        ax.axvline(0, color=style.INK, linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
    below.set_xlabel(f"{axis_names(plane)[0].removesuffix(' 1')}: 0 is where the run ended")
    style.title(page, f"{style.name(plane.problem)}: along a line", facts(plane))
    return page


def draw(results: Any, folder: Path, *, landscape: str | None = None, format: Any = ("png",)) -> list[Path]:
    """Write `line_<id>` for each stored line; `landscape`: the beginning of one line's id."""
    endings = formats(format)
    written = []
    for _, plane in chosen(results, "line", landscape, "line FOLDER").iterrows():
        written += style.save(sheet(results, plane), Path(folder), f"line_{plane.landscape_id[:8]}", endings)
    return written
