"""Tuning curves: the score to be expected of the best of k trials, and how sure that is."""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false
# pyright: reportCallIssue=false

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from . import compared, style
from .curves import BANDS
from .profile import best_first, frame


def curves(ax: Axes, table: pd.DataFrame, *, best: Sequence[str]) -> Axes:
    """A line of each optimizer over k with a marker at its last trial, its score there as a label.

    Uses of `table`: optimizer, k, expected, low, high. The axes come with their ranges; bands stand behind the first
    `BANDS` of `best`: more are only fog.
    """
    style.quiet(ax)
    ax.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    heads, notes = [], []
    for rank, optimizer in enumerate(best):
        own = table[table.optimizer == optimizer].sort_values("k")
        tint = style.color(optimizer)
        x, y = own.k.to_numpy(float), own.expected.to_numpy(float)
        if rank < BANDS and np.isfinite(own.low).all():
            band = (own.low.to_numpy(float), own.high.to_numpy(float))
            ax.fill_between(x, *band, color=tint, alpha=0.12, linewidth=0, zorder=1.5)
        look = {"linestyle": style.dash(optimizer), "path_effects": style.halo(0.7), "zorder": 3 - 0.02 * rank}
        ax.plot(x, y, color=tint, linewidth=1.4, label=optimizer, **look)
        shape = {"marker": style.marker(optimizer), "markersize": 6, "markeredgewidth": 0.8, "clip_on": False}
        ax.plot(x[-1], y[-1], color=tint, markeredgecolor=style.PAPER, zorder=4, **shape)
        heads.append(tuple(ax.transData.transform((x[-1], y[-1]))))
        notes.append(f"{y[-1]:.2f}")
    style.gutter(ax, heads, best, notes, left=12, room=12, size=8)
    return ax


def sheet(table: pd.DataFrame, judged: str, how: str) -> Any:
    """The whole figure. `table` from `metrics.tuning_curves`, as scores of which more is better."""
    last = table.loc[table.groupby("optimizer").k.idxmax()].set_index("optimizer").expected
    best = best_first(last)
    page, ax = frame(best)
    drawn = table[table.optimizer.isin(best[:BANDS])][["low", "high"]].to_numpy(float)
    ends = np.concatenate([table.expected.to_numpy(float), drawn[np.isfinite(drawn)]])
    margin = 0.05 * (ends.max() - ends.min() or 1)
    ax.set_ylim(ends.min() - margin, ends.max() + margin)
    ax.set_xlim(0.7, max(float(table.k.max()), 2) + 0.3)
    curves(ax, table, best=best)
    ax.set_xlabel("trials k")
    ax.set_ylabel(f"expected {judged} of the best")
    style.title(page, "What trials buy: expected best of k", how)
    return page


def draw(
    results: Any,
    folder: Path,
    *,
    optimizers: str | Sequence[str] | None = None,
    axis: str = "evaluations",
    format: str | Sequence[str] = ("png", "svg"),
) -> list[Path]:
    """Write `tuning_curve`: the expected score of the best of k trials of each optimizer (see `optlab report`).

    axis: what the cost of the score counts: steps, evaluations, oracle (value 1, gradient 2, Hessian product 4) or
    seconds.
    """
    return compared.write("tuning_curve", "tuning_curves", sheet, results, folder, optimizers, axis, format)
