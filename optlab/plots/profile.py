"""Performance profiles: the share of problems that each optimizer solves within a multiple of the least cost."""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from . import compared, style

WIDTH = 5.6  #: inches: as wide as a phone shows with letters that can be read
PER_LETTER = 0.068  #: inches that a letter of a label takes at most, on average
MOST_RATIO = 2.0**12  #: further right there is nothing to see


def shares(ax: Axes, curves: pd.DataFrame, along: str, *, best: Sequence[str]) -> Axes:
    """Right-continuous steps of each optimizer with its final share as a label, from exact breakpoints.

    Uses of `curves`: optimizer, `along` (ratio or cost), share. The axes come with their horizontal range and
    scale; `best` says which lines lie on top, the best first. What is infinite has no place.
    """
    style.quiet(ax)
    ax.set_ylim(0, 1.02)
    ax.yaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1]))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.0%}"))
    left, right = ax.get_xlim()
    heads, notes = [], []
    for rank, optimizer in enumerate(best):
        x, y = steps(curves[curves.optimizer == optimizer], along, left, right)
        look = {"linestyle": style.dash(optimizer), "path_effects": style.halo(0.7), "drawstyle": "steps-post"}
        ax.plot(x, y, color=style.color(optimizer), linewidth=1.4, zorder=3 - 0.02 * rank, label=optimizer, **look)
        heads.append(tuple(ax.transData.transform((x[-1], y[-1]))))
        notes.append(f"{y[-1]:.0%}")
    style.gutter(ax, heads, best, notes, left=12, room=12, size=8)
    return ax


def steps(part: pd.DataFrame, along: str, left: float, right: float) -> tuple[np.ndarray, np.ndarray]:
    """Breakpoints within [left, right] and the heights from there on: `[n]`, `[n]`."""
    x, y = part[along].to_numpy(float), part.share.to_numpy(float)
    x, y = x[np.isfinite(x)], y[np.isfinite(x)]
    before = np.searchsorted(x, left, side="right")
    inside = (x > left) & (x <= right)
    first = y[before - 1] if before else 0.0
    last = y[inside][-1] if inside.any() else first
    return np.concatenate([[left], x[inside], [right]]), np.concatenate([[first], y[inside], [last]])


def frame(optimizers: Sequence[str], notes: float = 0.45, tall: float = 2.6) -> tuple[Any, Axes]:
    """A sheet of one panel with room at its right for the labels of these optimizers."""
    longest = max(len(style.name(o)) for o in optimizers)
    gutter = 0.3 + min(PER_LETTER * longest, 2.4) + notes
    tall = max(tall, 12.5 / 72 * len(optimizers))
    page = style.figure(WIDTH, tall + 1.4)
    return page, style.inches(page, 0.7, 0.55, WIDTH - 0.7 - gutter, tall)


def best_first(score: pd.Series) -> list[str]:
    """Optimizers by a score of which more is better."""
    return [str(o) for o in score.sort_values(ascending=False, kind="stable").index]


def cost_axis(ax: Axes, left: float, right: float, unit: str) -> None:
    """A logarithmic axis of costs."""
    ax.set_xscale("log")
    ax.set_xlim(left, right)
    ax.xaxis.set_major_locator(LogLocator(numticks=8))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel(unit)


def last_power(ratios: np.ndarray) -> float:
    """The end of the axis: a power of 2 beyond all finite ratios, within what can be seen."""
    finite = ratios[np.isfinite(ratios)]
    return float(min(2 ** np.ceil(np.log2(max(finite.max(initial=2), 2)) + 0.1), MOST_RATIO))


def sheet(profile: pd.DataFrame, score: pd.Series, unit: str, what: str) -> Any:
    """The whole figure. `profile` from `metrics.performance_profile`; `score` orders, `what` says of how many cases."""
    best = best_first(score)
    page, ax = frame(best)
    end = last_power(profile.ratio.to_numpy(float))
    ax.set_xscale("log", base=2)
    ax.set_xlim(1, end)
    powers = 2.0 ** np.arange(0, np.log2(end) + 0.5, max(1, round(np.log2(end) / 6)))
    shares(ax, profile, "ratio", best=best)
    ax.xaxis.set_major_locator(FixedLocator(powers))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    ax.set_xlabel(f"{unit}, as a multiple of the fewest of all")
    ax.set_ylabel("solved")
    style.title(page, "Performance profiles", what)
    return page


def draw(
    results: Any,
    folder: Path,
    *,
    optimizers: str | Sequence[str] | None = None,
    axis: str = "evaluations",
    format: str | Sequence[str] = ("png", "svg"),
) -> list[Path]:
    """Write `profile`: Dolan-More profiles of the optimizers at their best settings (see `optlab report`).

    axis: what the cost counts: steps, evaluations, oracle (value 1, gradient 2, Hessian product 4) or seconds.
    """
    return compared.write("profile", "profiles", sheet, results, folder, optimizers, axis, format)
