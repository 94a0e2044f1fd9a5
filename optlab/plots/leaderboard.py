"""Scores with their intervals, the best on top."""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from . import compared, style
from .profile import PER_LETTER, WIDTH

ROW = 0.24  #: inches for each optimizer


def dots(ax: Axes, table: pd.DataFrame) -> Axes:
    """A row for each optimizer: its score as its marker, the interval as a line where there is one.

    Uses of `table`: optimizer, score, low, high; rows from the top.
    """
    style.quiet(ax)
    ax.grid(visible=False, axis="y")
    ax.set_ylim(len(table) - 0.4, -0.6)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    for row, (optimizer, score, low, high) in enumerate(table[["optimizer", "score", "low", "high"]].to_numpy()):
        tint = style.color(str(optimizer))
        ax.axhline(row, color="#eceff2", linewidth=0.6, zorder=0.5)
        if np.isfinite(low) and np.isfinite(high):
            ax.plot([low, high], [row, row], color=tint, linewidth=2.2, alpha=0.75, solid_capstyle="round")
        shape = {"marker": style.marker(str(optimizer)), "markersize": 7, "markeredgewidth": 0.8}
        ax.plot(score, row, color=tint, markeredgecolor=style.PAPER, zorder=4, clip_on=False, **shape)
    return ax


def words(row: Any) -> str:
    """The score, and its interval or why there is none."""
    if not np.isfinite(row.low):
        return f"{row.score:.2f}"
    return f"{row.score:.2f}  [{row.low:.2f}, {row.high:.2f}]"


def sheet(table: pd.DataFrame, what: str, how: str) -> Any:
    """The whole figure. `table` from `metrics.intervals`, of scores of which more is better."""
    table = table.sort_values("score", ascending=False, kind="stable")
    longest = max(len(style.name(o)) for o in table.optimizer)
    left, right = 0.35 + min(PER_LETTER * longest, 2.2), 1.2 if table.low.notna().any() else 0.5
    tall = ROW * len(table) + 0.1
    page = style.figure(WIDTH, tall + 1.3)
    ax = style.inches(page, left, 0.5, WIDTH - left - right, tall)
    ends = table[["score", "low", "high"]].to_numpy(float)
    low, high = np.nanmin(ends), np.nanmax(ends)
    margin = 0.04 * (high - low or 1)
    ax.set_xlim(min(0, low) if low < 0.5 * high else low - margin, high + margin)
    dots(ax, table)
    at: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": "center_baseline"}
    for row, entry in enumerate(table.itertuples(index=False)):
        ax.annotate(style.name(str(entry.optimizer)), (0, row), (-8, 0), ha="right", fontsize=8, color=style.INK, **at)
        ax.annotate(words(entry), (1, row), (8, 0), ha="left", fontsize=7.5, color=style.QUIET, **at)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.set_xlabel(what)
    style.title(page, "Leaderboard", how)
    return page


def draw(
    results: Any,
    folder: Path,
    *,
    optimizers: str | Sequence[str] | None = None,
    axis: str = "evaluations",
    format: str | Sequence[str] = ("png", "svg"),
) -> list[Path]:
    """Write `leaderboard`: the score of each optimizer at its best settings with its interval (see `optlab report`).

    axis: what the cost counts: steps, evaluations, oracle (value 1, gradient 2, Hessian product 4) or seconds.
    """
    return compared.write("leaderboard", "board", sheet, results, folder, optimizers, axis, format)
