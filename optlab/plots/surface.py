"""A 2-D surface as a quiet background, and what paths over it need: heights, stationary points, the box."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from . import style
from .selection import numbers

#: Kind of a stationary point: its marker and what the key calls it.
KINDS = {
    "minimum": ("*", 11, "minimum"),
    "saddle": ("X", 7.5, "saddle"),
    "maximum": ("^", 7.5, "maximum"),
    "degenerate": ("d", 7.5, "degenerate point"),
}


class Field(NamedTuple):
    """A surface on a grid, and the scale on which its height is drawn."""

    x: np.ndarray  #: `[n]`
    y: np.ndarray  #: `[m]`
    z: np.ndarray  #: `[m, n]`
    floor: float  #: what heights are measured from
    unit: float  #: smallest height told apart
    signed: bool  #: symmetric logarithm about 0 instead of the logarithm above the floor
    names: tuple[str, str] = ("$x_0$", "$x_1$")  #: of its axes, short


def field(results: Any, field_id: str, minimum: float | None) -> Field:
    """The grid of one surface, from `fields` (field_id, x_0, x_1, value).

    Heights are measured from the known minimum. Where none is known they are measured from the
    smallest value on the grid, or, if the surface has both signs, on a symmetric logarithm about 0.
    """
    rows = results.fields[results.fields.field_id == field_id]
    grid = rows.pivot(index="x_1", columns="x_0", values="value")
    z = grid.to_numpy(float)
    seen = z[np.isfinite(z)]
    signed = minimum is None and seen.min() < 0 < seen.max()
    if signed:
        # A tenth of a typical height: nearer to 0 the logarithm would show noise.
        unit, floor = 0.1 * float(np.median(np.abs(seen))) or 1.0, 0.0
    else:
        floor = float(seen.min()) if minimum is None else float(minimum)
        height = np.sort(seen - floor)
        height = height[height > 0]
        # One grid point in a thousand lies lower: they are the bottom of the wells.
        unit = float(height[int(0.001 * len(height))]) if len(height) else 1.0
    return Field(grid.columns.to_numpy(float), grid.index.to_numpy(float), z, floor, unit, signed)


def height(surface: Field, value: np.ndarray | float) -> np.ndarray:
    """Where a value stands on the logarithmic scale of the surface, in decades."""
    value = np.asarray(value, float) - surface.floor
    if surface.signed:
        return np.sign(value) * np.log10(1 + np.abs(value) / surface.unit)
    return np.log10(np.maximum(value, 0) + surface.unit)


def levels(surface: Field, about: int = 26) -> np.ndarray:
    """Equally spaced heights, about 26 of them, that hit each decade (and 0 on a signed surface)."""
    heights = height(surface, surface.z)
    low, high = np.nanmin(heights), np.nanmax(np.where(np.isfinite(heights), heights, np.nan))
    if high - low < 1e-12:
        return np.array([low - 1, low, low + 1])
    steps = np.array([0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0])
    step = steps[np.argmin(np.abs(np.log(steps * about / (high - low))))]
    return step * np.arange(np.floor(low / step), np.ceil(high / step) + 1)


def background(ax: Axes, surface: Field, avoid: np.ndarray | None = None, labels: bool = True) -> Axes:
    """Filled levels (rasterised in vector files), thin lines on each second one, decades labelled.

    avoid: points `[n, 2]` that no label shall cover.
    """
    at = levels(surface)
    heights = height(surface, surface.z)
    grid = (surface.x, surface.y, heights)
    fill = ax.contourf(*grid, levels=at, cmap=style.SURFACE, extend="both", zorder=0)
    fill.set_rasterized(True)
    # Neighbouring bands antialiased one by one would show the paper as a seam.
    fill.set_edgecolor("face")
    fill.set_linewidth(0.3)
    thin = {"colors": "#3d5a78", "linestyles": "solid", "zorder": 0.5}
    ax.contour(*grid, levels=at[::2], linewidths=0.4, alpha=0.28, **thin)
    decades = decade_heights(surface, at)
    if len(decades):
        lines = ax.contour(*grid, levels=sorted(decades), linewidths=0.55, alpha=0.5, **thin)
        if labels:
            label_decades(ax, lines, decades, avoid)
    if surface.signed:
        ax.contour(*grid, levels=[0.0], colors="#1d2733", linewidths=1.0, linestyles=[(0, (6, 3))], zorder=0.6)
    ax.set_xlim(surface.x[0], surface.x[-1])
    ax.set_ylim(surface.y[0], surface.y[-1])
    for spine in ax.spines.values():
        spine.set(color="#aab2bb", linewidth=0.7)
    ax.tick_params(labelsize=8, colors=style.QUIET, length=3, width=0.6)
    # Beside the end of the axis: below it the key has its place.
    ax.annotate(surface.names[0], (1, 0), (6, -3), "axes fraction", "offset points", fontsize=10, color=style.QUIET)
    ax.set_ylabel(surface.names[1], fontsize=10, color=style.QUIET, rotation=0, labelpad=5)
    return ax


def decade_heights(surface: Field, at: np.ndarray) -> dict[float, str]:
    """Heights of the powers of ten within the levels, with their labels."""
    found = {}
    for power in range(-16, 17):
        for sign in (1, -1) if surface.signed else (1,):
            value = sign * 10.0**power
            where = float(height(surface, value + (0 if surface.signed else surface.floor)))
            if at[0] < where < at[-1] and 10.0**power > surface.unit:
                number = f"{10.0**power:g}" if -2 <= power <= 3 else f"$10^{{{power}}}$"
                found[where] = ("−" if sign < 0 else "") + number
    if surface.signed:
        found[0.0] = "0"
    return found


def label_decades(ax: Axes, lines: Any, decades: dict[float, str], avoid: np.ndarray | None) -> None:
    """One label for each decade, at the place on its line that is farthest from paths and other labels."""
    low = np.array([lines.axes.dataLim.x0, lines.axes.dataLim.y0])
    size = np.array([lines.axes.dataLim.width, lines.axes.dataLim.height])
    taken = np.empty((0, 2)) if avoid is None else (avoid - low) / size
    for level, pieces in zip(lines.levels, lines.allsegs, strict=True):
        spots = [(np.asarray(p) - low) / size for p in pieces if len(p) > 12]
        spots = np.concatenate(spots) if spots else np.empty((0, 2))
        spots = spots[np.all((spots > 0.06) & (spots < 0.94), axis=1)][::3]
        if not len(spots):
            continue
        gaps = np.linalg.norm(spots[:, None] - taken[None], axis=2).min(axis=1) if len(taken) else np.ones(len(spots))
        spot = spots[int(np.argmax(np.minimum(gaps, 0.15)))]
        if gaps.max() < 0.025:
            continue
        taken = np.vstack([taken, spot])
        x, y = spot * size + low
        text = ax.text(x, y, decades[float(level)], fontsize=7, color="#2b4a6b", zorder=0.8)
        text.set(ha="center", va="center", path_effects=style.halo(1.2, "#eef1f4"))


def points_of(results: Any, field_id: str) -> pd.DataFrame:
    """Kind and place of the known stationary points of one surface; none where the table is empty."""
    if not len(results.points):
        return pd.DataFrame({"kind": [], "x_0": [], "x_1": []})
    return results.points.loc[results.points.field_id == field_id, ["kind", "x_0", "x_1"]]


def stationary(ax: Axes, points: pd.DataFrame, key_below: float = 27, dots: bool = True) -> Axes:
    """Stationary points inside the box by kind, from `points` (kind, x_0, x_1), and a key below the axes."""
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    x, y, kinds = (points[column].to_numpy() for column in ("x_0", "x_1", "kind"))
    inside = (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)
    present = [kind for kind in KINDS if (inside & (kinds == kind)).any()]
    look: dict[str, Any] = {"linestyle": "none", "markerfacecolor": style.PAPER, "markeredgecolor": style.INK}
    for kind in reversed(present):
        shape, size, _ = KINDS[kind]
        here = inside & (kinds == kind)
        size *= 1 if here.sum() < 10 else 0.6
        ax.plot(x[here], y[here], shape, markersize=size, markeredgewidth=0.8, zorder=4.5, **look)
    entries = [(*KINDS[kind][:2], KINDS[kind][2]) for kind in present] + [("o", 7, "start")]
    entries += [("o", 3.5, "10, 100, 1000 … evaluations")] if dots else []
    row(ax, entries, key_below)
    return ax


def row(ax: Axes, entries: list[tuple[str, float, str]], below: float) -> None:
    """A row of markers with their meaning, `below` points under the axes."""
    point = ax.figure.dpi / 72
    to = ax.transAxes.inverted().transform
    box = ax.get_window_extent()
    x, y = box.x0 + 4 * point, box.y0 - below * point
    look = {"clip_on": False, "transform": ax.transAxes}
    for shape, size, words in entries:
        face = {"markerfacecolor": style.PAPER, "markeredgecolor": style.INK, "markeredgewidth": 0.8}
        ax.plot(*to((x, y)), shape, markersize=size * 0.8, **face, **look)
        text = ax.text(*to((x + 7 * point, y)), words, fontsize=8, color=style.QUIET, va="center_baseline", **look)
        x = text.get_window_extent().x1 + 16 * point


class Track(NamedTuple):
    """One run as the figures draw it."""

    optimizer: str
    status: str
    step: np.ndarray  #: `[T]`
    evaluations: np.ndarray  #: `[T]`
    xy: np.ndarray  #: `[T, 2]`
    value: np.ndarray  #: `[T]`
    gap: np.ndarray  #: `[T]`, NaN where the minimum is unknown
    rate: float
    end: float  #: final gap, or value
    seconds: np.ndarray  #: its run's, shared by evaluations (see `metrics.cost`); NaN where not known: `[T]`


def tracks(best: pd.DataFrame, curves: pd.DataFrame) -> list[Track]:
    """Runs and their curves, the good ones first.

    Uses of `runs`: run_id, optimizer, status, `optimizer.learning_rate`, seconds; of `curves`: run_id, step,
    evaluations, value, gap, x_0, x_1. Rows without a finite place are left out.
    """
    by_run = dict(iter(curves.groupby("run_id")))
    found = []
    for _, run in best.iterrows():
        rows = by_run[run.run_id].sort_values("step", kind="stable")
        columns = ["step", "evaluations", "x_0", "x_1", "value", "gap"]
        step, evaluations, x, y, value, gap = rows[columns].apply(numbers).to_numpy().T
        finite = np.isfinite(x) & np.isfinite(y)
        end = gap[-1] if np.isfinite(gap).any() else value[-1]
        xy = np.stack([x, y], axis=1)[finite]
        rate = run.get("optimizer.learning_rate", np.nan)
        rate = float(rate) if rate is not None and rate is not pd.NA else np.nan
        kept = (step[finite], evaluations[finite], xy, value[finite], gap[finite])
        # Only whole runs are timed, and only their evaluations are counted on the way.
        whole = run.get("seconds", np.nan)
        whole = np.nan if whole is None or whole is pd.NA else float(whole)
        seconds = evaluations * (whole / evaluations[-1])
        found.append(Track(run.optimizer, run.status, *kept, rate, float(end), seconds[finite]))
    return found


def cut(xy: np.ndarray, low: np.ndarray, high: np.ndarray, far: float = 3.0) -> np.ndarray:
    """The path up to `far` box sizes outside of the box, so that no coordinate overflows a renderer.

    The last piece is shortened along its own direction, not clipped by coordinate.
    """
    middle, size = (low + high) / 2, high - low
    distance = np.abs((xy - middle) / size).max(axis=1)
    beyond = np.flatnonzero(distance > far)
    if not len(beyond):
        return xy
    k = beyond[0]
    if k == 0:
        return xy[:1]
    step = xy[k] - xy[k - 1]
    shorter = min(1.0, 2 * far / max(np.abs(step / size).max(), 1e-300))
    return np.vstack([xy[:k], xy[k - 1] + shorter * step])


def exit_point(xy: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Where the path leaves the box for good, and its direction there; None if it ends inside."""
    inside = np.all((xy >= low) & (xy <= high), axis=1)
    if inside[-1] or not inside.any():
        return None
    k = np.flatnonzero(inside)[-1]
    start, step = xy[k], xy[k + 1] - xy[k]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(step > 0, (high - start) / step, np.where(step < 0, (low - start) / step, np.inf))
    return start + float(share.min()) * step, step
