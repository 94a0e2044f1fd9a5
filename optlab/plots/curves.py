"""Loss against its price: steps on the left, evaluations on the right, or any other two costs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from optlab.metrics import cost

from . import style
from .selection import Selection, measure, names, numbers, one_of, pages, problems, select

#: What a horizontal axis counts (see `optlab.metrics.cost`): how it is called.
COSTS = {
    "steps": "steps",
    "evaluations": "evaluations (values + gradients + Hessian-vector products)",
    "oracle": "oracle cost (value 1, gradient 2, Hessian-vector product 4)",
    "seconds": "seconds",
}

BANDS = 3  #: more bands than this on top of one another are only fog
FLOOR = 1e-16  #: gaps below cannot be told from rounding


class Line(NamedTuple):
    """What one optimizer draws: the middle of its runs and how far they spread."""

    optimizer: str
    x: np.ndarray  #: `[T]`
    y: np.ndarray  #: `[T]`
    low: np.ndarray  #: `[T]`
    high: np.ndarray  #: `[T]`
    diverged: bool


def lines(group: pd.DataFrame, curves: pd.DataFrame, x: str, y: str) -> list[Line]:
    """One line for each optimizer of `group`, in its order.

    Uses of `group`: run_id, optimizer, status; of `curves`: run_id and the columns x and y. One run: its
    rows as they are, and where it oscillates the least and the largest value near each row. Several runs:
    median and quartiles (of fewer than four: all of them). A run that ended early keeps its last value,
    infinity if it diverged.
    """
    by_run = {run_id: rows.sort_values(x, kind="stable") for run_id, rows in curves.groupby("run_id")}
    found = []
    for optimizer, runs in group.groupby("optimizer", sort=False):
        pairs = [by_run[i][[x, y]].apply(numbers).to_numpy().T for i in runs.run_id if i in by_run]
        lost = runs.status.isin(["diverged", "failed"])
        grid, middle, low, high = (
            envelope(*pairs[0]) if len(pairs) == 1 else band(pairs, list(lost[runs.run_id.isin(by_run)]))
        )
        found.append(Line(str(optimizer), grid, middle, low, high, bool(lost.mean() > 0.5)))
    return found


def envelope(x: np.ndarray, y: np.ndarray, near: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A single run and, where it goes up and down, the least and largest value within `near` rows."""
    y = np.where(np.isnan(y), np.inf, y)
    with np.errstate(invalid="ignore"):
        up = np.sign(np.diff(y))
    turns = np.zeros(len(y))
    turns[1:-1] = up[1:] * up[:-1] < 0
    window = np.lib.stride_tricks.sliding_window_view
    rough = window(np.pad(turns, near), 2 * near + 1).sum(axis=1) > near
    windows = window(np.pad(y, near, mode="edge"), 2 * near + 1)
    return x, y, np.where(rough, windows.min(axis=1), y), np.where(rough, windows.max(axis=1), y)


def band(pairs: list, lost: list[bool]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Median and quartiles of several runs on the union of their recorded places."""
    grid = np.unique(np.concatenate([x for x, _ in pairs]))
    if len(grid) > 500:
        grid = grid[np.unique(np.geomspace(1, len(grid), 500).astype(int) - 1)]
    rows = []
    for (x, y), diverged in zip(pairs, lost, strict=True):
        held = y[np.clip(np.searchsorted(x, grid, side="right") - 1, 0, len(y) - 1)]
        rows.append(np.where((grid > x[-1]) & diverged & ~(held < 0) | np.isnan(held), np.inf, held))
    rows = np.sort(rows, axis=0)
    quarter = len(rows) // 4
    # Order statistics and not interpolation: half way to infinity is no number.
    return grid, rows[(len(rows) - 1) // 2], rows[quarter], rows[len(rows) - 1 - quarter]


def limits(found: Sequence[Line], y: str) -> tuple[float, float]:
    """Range of the vertical axis: what is worth seeing, not how far a diverged run got."""
    start = max((abs(line.y[0]) for line in found if np.isfinite(line.y[0])), default=1.0) or 1.0
    kept = np.concatenate([line.y for line in found if not line.diverged] or [np.array([start])])
    kept = kept[np.isfinite(kept)]
    if y == "gap":
        all_lost = all(line.diverged for line in found)
        top = start * 1e4 if all_lost else min(kept.max(initial=start) * 3, start * 1e4)
        low = max(kept[kept > 0].min(initial=start), FLOOR)
        return (FLOOR / 1.5 if low < 20 * FLOOR else 10 ** np.floor(np.log10(low) - 0.1)), top
    near = max(abs(line.y[0]) for line in found) * 1e3 or 1.0
    if len(kept) and kept.min() > 0 and kept.max() > 50 * kept.min():
        return kept.min() / 2, min(kept.max(), near) * 2  # a loss over decades, as training has it
    low, high = max(kept.min(initial=0), -near), min(kept.max(initial=start), near)
    return (low * 2 if low < 0 else low - 0.05 * (high - low)), high * 2 if high > 0 else high + 0.05 * (high - low)


def loss(ax: Axes, group: pd.DataFrame, curves: pd.DataFrame, *, x: str = "steps", labels: bool = True) -> Axes:
    """Gap (or value) of each optimizer against `x`, one of `COSTS`.

    Uses of `group`: run_id, optimizer, status, gap, for seconds also seconds; of `curves`: run_id, step and counts, gap
    or value. Both axes are logarithmic; the horizontal one shows step 0 left of 1.
    """
    curves = curves.assign(**{x: cost(curves, x, runs=group)})
    y = measure(group)
    found = sorted(lines(group, curves, x, y), key=lambda line: (line.diverged, line.y[-1]))
    ax.set_xlabel(COSTS[x])
    ax.set_ylabel("gap to the minimum" if y == "gap" else "value")
    low, high = limits(found, y)
    found = [to_floor(line) for line in found] if y == "gap" else found
    horizontal(ax, max(line.x[-1] for line in found), 0.0 if x == "steps" else min(line.x[0] for line in found))
    vertical(ax, low, high, y)
    style.quiet(ax)
    ranks = range(len(found) - 1, -1, -1)  # the best one is drawn last, on top
    heads = [trace(ax, found[k], low, high, 3 - 0.02 * k, k < BANDS) for k in ranks][::-1]
    if labels:
        pixels = [tuple(ax.transData.transform(head)) for head in heads]
        style.gutter(ax, pixels, [line.optimizer for line in found], [final(line, y) for line in found])
    return ax


def _decade(value: float, _: object) -> str:
    if value == 0 or 1 <= value < 1e5:
        return f"{value:,.0f}"
    return f"{value:g}" if 1e-2 <= value < 1 else f"$10^{{{np.log10(value):.0f}}}$"


def horizontal(ax: Axes, last: float, first: float = 0.0) -> None:
    """Logarithmic from 1 on, and linear from 0 to 1 so that the first row has a place."""
    last = last if 0 < first < 1 else max(last, 2)
    if first > 0:
        ax.set_xlim(first / 1.15, last * 1.15)
        ax.set_xscale("log")
    else:
        ax.set_xlim(-0.12, last * 1.12)
        ax.set_xscale("symlog", linthresh=1, linscale=0.35)
    least = int(np.floor(np.log10(first))) if 0 < first < 1 else 0  # seconds may be small
    decades = 10.0 ** np.arange(least, int(np.floor(np.log10(last))) + 1)
    between = np.concatenate([decades * k for k in range(2, 10)])
    ax.xaxis.set_major_locator(FixedLocator([0.0, *decades] if first <= 0 else list(decades)))
    ax.xaxis.set_minor_locator(FixedLocator([k for k in between if k <= last]))
    ax.xaxis.set_major_formatter(FuncFormatter(_decade))
    ax.xaxis.set_minor_formatter(FuncFormatter(lambda v, _: ""))


def vertical(ax: Axes, low: float, high: float, y: str) -> None:
    """Logarithmic for gaps, with the floor as a line; symmetric logarithm for values of both signs."""
    ax.set_ylim(low, high)  # before the scale, which would otherwise fit itself to no data at all
    if y == "gap":
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(numticks=9))
        ax.yaxis.set_minor_locator(NullLocator())
        if low < FLOOR:
            ax.axhline(FLOOR, color=style.QUIET, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
            words = {"fontsize": 7, "color": style.QUIET, "va": "bottom", "ha": "left"}
            ax.annotate("≤ 1e−16", (0, FLOOR), (4, 2), ("axes fraction", "data"), "offset points", **words)
    elif low < 0:
        # Two decades about 0 stay linear, so that a path past a saddle at 0 does not fill the figure.
        unit = 10.0 ** np.floor(np.log10(max(abs(low), abs(high)) / 1e3))
        ax.set_yscale("symlog", linthresh=unit)
        ax.axhline(0, color=style.QUIET, linewidth=0.8, linestyle=(0, (6, 3)), zorder=1)
        ax.yaxis.set_minor_locator(NullLocator())
    elif low > 0 and high / low > 50:
        ax.set_yscale("log")


def trace(ax: Axes, line: Line, low: float, high: float, order: float, spread: bool = True) -> tuple[float, float]:
    """Draw one line with its band; returns the place of its head in data coordinates."""
    tint = style.color(line.optimizer)
    least = FLOOR if ax.get_yscale() == "log" and low < FLOOR else -np.inf
    beyond = high * 1e3 if high > 0 else high + 1e3
    y, below, above = (np.clip(np.nan_to_num(v, posinf=beyond), least, beyond) for v in (line.y, line.low, line.high))
    if spread and (above > below).any():
        ax.fill_between(line.x, below, above, color=tint, alpha=0.12, linewidth=0, zorder=order - 1)
    joints = {"solid_joinstyle": "round", "dash_joinstyle": "round", "path_effects": style.halo(0.9)}
    ax.plot(line.x, y, color=tint, linewidth=1.4, linestyle=style.dash(line.optimizer), zorder=order, **joints)
    gone = np.flatnonzero((y > high) | (y < low))
    shape: dict[str, Any] = {"marker": style.marker(line.optimizer), "markersize": 5.5}
    head = (float(line.x[-1]), float(np.clip(y[-1], low, high)))
    if len(gone) and (y[-1] > high or y[-1] < low):
        # The last time it leaves for good: runs may come back.
        inside = np.flatnonzero((y <= high) & (y >= low))
        k = inside[-1] if len(inside) else 0
        head = crossing(ax, line.x[k : k + 2], y[k : k + 2], high if y[-1] > high else low)
        shape = {"marker": "^" if y[-1] > high else "v", "markersize": 8}
    ax.plot(*head, color=tint, markeredgecolor=style.PAPER, markeredgewidth=0.8, clip_on=False, zorder=4, **shape)
    return head


def crossing(ax: Axes, x: np.ndarray, y: np.ndarray, border: float) -> tuple[float, float]:
    """Where a drawn piece, straight on the paper and not in the data, meets the border."""
    drawn = ax.transData.transform(np.stack([x, y], axis=1))
    level = ax.transData.transform((x[0], border))[1]
    (x0, y0), (x1, y1) = drawn[0], drawn[-1]
    share = np.clip((level - y0) / (y1 - y0), 0, 1) if y1 != y0 else 0.0
    return float(ax.transData.inverted().transform((x0 + share * (x1 - x0), level))[0]), border


def to_floor(line: Line) -> Line:
    """A line that stays on the floor, cut where it gets there: nothing more can be seen of it."""
    above = np.flatnonzero(line.y > FLOOR)
    rows = above[-1] + 2 if len(above) else 1
    return line._replace(**{name: getattr(line, name)[:rows] for name in ("x", "y", "low", "high")})


def final(line: Line, y: str) -> str:
    """The last value as the label tells it."""
    if line.diverged and not line.y[-1] < 0:
        return "diverged"
    return "≤ 1e−16" if y == "gap" and line.y[-1] <= FLOOR else style.number(line.y[-1])


def sheet(chosen: Selection, axes: Sequence[str] = ("steps", "evaluations")) -> Any:
    """The whole figure for one problem, against two costs."""
    page = style.figure(11.6, 4.9)
    left, right = (style.inches(page, x, 0.62, 4.15, 3.35) for x in (0.85, 5.3))
    group = chosen.group
    loss(left, group, chosen.curves, x=axes[0], labels=False)
    loss(right, group, chosen.curves, x=axes[1])
    right.set_ylabel("")
    right.tick_params(labelleft=False)
    repeats = int(group.optimizer.value_counts().iloc[0])
    how = chosen.how
    if repeats > 1:
        # Here all the starts are drawn, not the customary one alone.
        spread = "quartiles" if repeats > 3 else "range"
        parts = [part for part in how.split(" · ") if not part.startswith("start ")]
        whose = f" (best {BANDS})" if group.optimizer.nunique() > BANDS else ""
        how = " · ".join([*parts, f"line: median, band{whose}: {spread} of {repeats} starts and seeds"])
    style.title(page, style.name(chosen.problem), how)
    return page


def draw(
    results: Any,
    folder: Path,
    *,
    problem: str | Sequence[str] | None = None,
    optimizers: str | Sequence[str] | None = None,
    axes: str | Sequence[str] = ("steps", "evaluations"),
    format: str | Sequence[str] = ("png", "svg"),
) -> list[Path]:
    """Write `curves_<problem>` for each problem; each optimizer at its best setting, over all its starts.

    axes: the two costs that the loss is drawn against, of steps, evaluations, oracle (value 1, gradient 2,
    Hessian-vector product 4) and seconds. Raises ValueError for any others.
    """
    costs = [one_of("cost axis", axis, COSTS) for axis in names(axes) or ()]
    if len(costs) != 2:
        raise ValueError(f"curves are drawn against two costs, axes=steps,seconds, not {len(costs)}")
    chosen = problems(results, problem)
    return pages("curves", chosen, lambda each: sheet(select(results, each, optimizers), costs), folder, format)
