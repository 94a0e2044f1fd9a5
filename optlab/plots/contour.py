"""A surface with the path of every optimizer over it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from . import style
from .selection import Selection, pages, problems, select
from .surface import Field, Track, background, cut, exit_point, field, points_of, stationary, tracks


def paths(ax: Axes, runs: pd.DataFrame, curves: pd.DataFrame, *, gutter: bool = True) -> Axes:
    """Draw one path for each row of `runs`, in the box the axes already show.

    Uses of `runs`: run_id, optimizer, status, `optimizer.learning_rate`; of `curves`: run_id, step,
    evaluations, value, gap, x_0, x_1. The best run lies on top. A hollow circle marks the start, dots mark
    10, 100, 1000, ... evaluations, an arrow the place where a path leaves the box for good.
    """
    found = tracks(runs, curves)
    low, high = np.array([ax.get_xlim(), ax.get_ylim()]).T
    heads = [path(ax, track, low, high, 2 + 0.01 * k) for k, track in enumerate(reversed(found))][::-1]
    starts = np.unique([track.xy[0] for track in found if len(track.xy)], axis=0)
    face: dict[str, Any] = {
        "markerfacecolor": "none",
        "markeredgewidth": 1.5,
        "linestyle": "none",
        "zorder": 4,
    }
    ax.plot(*starts.T, "o", markersize=9, markeredgecolor=style.PAPER, **{**face, "markeredgewidth": 3.2})
    ax.plot(*starts.T, "o", markersize=9, markeredgecolor=style.INK, **face)
    if gutter:
        pixels = [tuple(head) for head in ax.transData.transform(np.array(heads))]
        style.gutter(ax, pixels, [track.optimizer for track in found], [note(track) for track in found])
    return ax


def path(ax: Axes, track: Track, low: np.ndarray, high: np.ndarray, order: float) -> np.ndarray:
    """One path with halo, dots and head; returns where the head is drawn: `[2]`."""
    tint, xy = style.color(track.optimizer), cut(track.xy, low, high)
    joints: dict[str, Any] = {
        "solid_joinstyle": "round",
        "solid_capstyle": "round",
        "dash_joinstyle": "round",
    }
    ax.plot(*xy.T, color=style.PAPER, linewidth=2.6, alpha=0.75, zorder=order, **joints)
    ax.plot(*xy.T, color=tint, linewidth=1.35, linestyle=style.dash(track.optimizer), zorder=order + 0.3, **joints)
    counts = track.evaluations[: len(xy)]
    tens = 10.0 ** np.arange(1, 8)
    rows = [int(np.searchsorted(counts, ten)) for ten in tens[tens <= counts[-1]]]
    dots = {"markeredgecolor": tint, "markerfacecolor": style.PAPER, "markeredgewidth": 0.8, "markersize": 3}
    ax.plot(*xy[rows].T, "o", linestyle="none", zorder=3, **dots)
    left = exit_point(xy, low, high)
    if left is None:
        shape = {"marker": style.marker(track.optimizer), "markersize": 7.5, "markeredgewidth": 0.9}
        head = np.clip(xy[-1], low, high)
        ax.plot(*head, color=tint, markeredgecolor=style.PAPER, zorder=4.2 + order / 10, **shape)
        return head
    border, step = left
    pixels = ax.transData.transform([border, border + step * 1e-3 / max(np.abs(step / (high - low)).max(), 1e-300)])
    turn = np.degrees(np.arctan2(*(pixels[1] - pixels[0])[::-1])) - 90
    arrow = {"marker": (3, 0, turn), "markersize": 9, "markeredgewidth": 0.9, "clip_on": False}
    ax.plot(*border, color=tint, markeredgecolor=style.PAPER, zorder=4.2 + order / 10, **arrow)
    return border


def note(track: Track) -> str:
    """What stands behind a label: the learning rate and the final gap or value."""
    rate = [f"lr {style.number(track.rate)}"] if np.isfinite(track.rate) else []
    what = "gap" if np.isfinite(track.gap).any() else "value"
    end = "diverged" if track.status == "diverged" and not track.end < 0 else f"{what} {style.number(track.end)}"
    return " · ".join([*rate, end])


def sheet(results: Any, chosen: Selection) -> Any:
    """The whole figure for one problem."""
    surface = field(results, chosen.best.field_id.iloc[0], chosen.minimum)
    wide = float(np.clip(np.ptp(surface.x) / np.ptp(surface.y), 0.75, 1.5))
    page = style.figure(0.65 + 5.1 * wide + 3.0, 6.65)
    ax = style.inches(page, 0.65, 0.72, 5.1 * wide, 5.1)
    found = tracks(chosen.best, chosen.curves)
    background(ax, surface, avoid=np.concatenate([dense(t, surface) for t in found]))
    stationary(ax, points_of(results, chosen.best.field_id.iloc[0]))
    paths(ax, chosen.best, chosen.curves)
    style.title(page, style.name(chosen.problem), f"{chosen.how} · {scale(surface, chosen)}")
    return page


def dense(track: Track, surface: Field) -> np.ndarray:
    """Points along a path, close enough together that a label between two of them would touch it."""
    low, high = np.array([surface.x[[0, -1]], surface.y[[0, -1]]]).T
    xy = cut(track.xy, low, high)
    at = np.linspace(0, len(xy) - 1, 400)
    return np.stack([np.interp(at, np.arange(len(xy)), column) for column in xy.T], axis=1)


def scale(surface: Field, chosen: Selection) -> str:
    """What the shading and its labels mean."""
    if surface.signed:
        return "shading: value, dashed line at 0"
    if chosen.minimum is None:
        return "shading: height above the smallest value seen"
    return "shading: gap to the minimum"


def draw(
    results: Any,
    folder: Path,
    *,
    problem: str | Sequence[str] | None = None,
    optimizers: str | Sequence[str] | None = None,
    format: str | Sequence[str] = ("png", "svg"),
) -> list[Path]:
    """Write `contour_<problem>` for each problem with a surface; each optimizer at its best setting."""
    chosen = problems(results, problem, plane=True)
    return pages(
        "contour", chosen, lambda each: sheet(results, select(results, each, optimizers, plane=True)), folder, format
    )
