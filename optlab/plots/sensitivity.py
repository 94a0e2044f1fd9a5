"""How much the learning rate matters: the final gap of each optimizer over its whole range of rates."""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

from . import style
from .curves import FLOOR
from .selection import RATE, formats, measure, names, one_of, score, variant, whole

STRIP = 3.0  #: height in points of one optimizer's row in the strip of diverged shares


def table(runs: pd.DataFrame) -> pd.DataFrame:
    """One row for each optimizer and rate: median, low, high (quartiles), lost (diverged share), runs.

    Uses of `runs`: optimizer, `optimizer.learning_rate`, status, gap, value. A run that diverged counts as
    infinite and is never dropped; other hyperparameters keep their best setting at each rate.
    """
    frame = runs.assign(score=score(runs), rate=runs[RATE].astype(float))
    others = [c for c in runs if c.startswith("optimizer.") and c != RATE]
    frame["setting"] = frame.groupby(others, dropna=False, sort=False).ngroup() if others else 0
    rows = []
    for (optimizer, rate, _), part in frame.groupby(["optimizer", "rate", "setting"], sort=False):
        ends = np.sort(part.score.to_numpy(float))
        quarter = len(ends) // 4
        middle = {"median": ends[(len(ends) - 1) // 2], "low": ends[quarter], "high": ends[-1 - quarter]}
        rows.append({"optimizer": optimizer, "rate": rate, **middle, "lost": np.mean(np.isinf(ends))})
        rows[-1]["runs"] = len(ends)
    columns = ["optimizer", "rate", "median", "low", "high", "lost", "runs"]
    best = pd.DataFrame(rows, columns=columns).sort_values("median", kind="stable")
    return best.drop_duplicates(["optimizer", "rate"]).sort_values(["optimizer", "rate"], ignore_index=True)


def ranking(rows: pd.DataFrame) -> list[str]:
    """Optimizers by their best median; ties (at the floor) by how many rates come within ten times of it."""
    ranks = []
    for optimizer, part in rows.groupby("optimizer", sort=False):
        least = max(part["median"].min(), FLOOR) if part["median"].min() > 0 else part["median"].min()
        wide = int((part["median"] <= max(10 * least, 10 * FLOOR)).sum())
        ranks.append((least, -wide, str(optimizer)))
    return [optimizer for *_, optimizer in sorted(ranks)]


def panel(ax: Axes, rows: pd.DataFrame, low: float, high: float, *, highlighted: Sequence[str], y: str = "gap") -> Axes:
    """One problem: the highlighted optimizers in full with their quartiles and labels, the others muted.

    Uses of `rows`: optimizer, rate, median, low, high. The axes come with their range of rates. Lines that
    rise beyond `high` leave through the top. A marker stands at the best rate.
    """
    style.quiet(ax)
    ax.set_ylim(low, high)
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(numticks=7))
    ax.xaxis.set_minor_locator(NullLocator())
    if y == "gap":
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(base=100 if high / low > 1e10 else 10, numticks=10))
        ax.yaxis.set_minor_locator(NullLocator())
        if low < FLOOR:
            ax.axhline(FLOOR, color=style.QUIET, linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
    elif low < 0:
        signed(ax, low, high)
    least = FLOOR if y == "gap" else -np.inf
    for optimizer, part in rows.groupby("optimizer", sort=False):
        if optimizer not in highlighted:
            muted = style.mix(style.color(optimizer), style.PAPER, 0.28)
            middle = np.clip(part["median"], least, beyond(high))
            ax.plot(part.rate, middle, color=muted, linewidth=0.8, zorder=1.5, solid_joinstyle="round")
    heads = []
    for rank, optimizer in reversed(list(enumerate(highlighted))):
        heads.append(bold(ax, rows[rows.optimizer == optimizer], least, high, 3 - 0.05 * rank))
    heads = heads[::-1]
    style.gutter(
        ax, [tuple(ax.transData.transform(h[:2])) for h in heads], highlighted,
        [ending(h[2], y) for h in heads], left=12, room=13, size=8,
    )  # fmt: skip
    return ax


def signed(ax: Axes, low: float, high: float) -> None:
    """Symmetric logarithm with at most seven powers of ten as ticks."""
    unit = 10.0 ** np.floor(np.log10(max(high, -low * 1e-9)))
    ax.set_yscale("symlog", linthresh=unit)
    powers = np.arange(np.log10(unit), np.log10(-low))
    ticks = [-(10.0**p) for p in powers[:: 1 + len(powers) // 6]]
    ax.yaxis.set_major_locator(FixedLocator([*ticks, 0.0, *([unit] if high > unit else [])]))
    ax.yaxis.set_minor_locator(NullLocator())


def beyond(high: float) -> float:
    """A finite place above the axes for what is infinite."""
    return high * 1e3 if high > 0 else high + 1e3


def bold(ax: Axes, part: pd.DataFrame, least: float, high: float, order: float) -> tuple[float, float, float]:
    """One highlighted optimizer; returns its best rate, where that is drawn, and the median there."""
    optimizer = str(part.optimizer.iloc[0])
    tint = style.color(optimizer)
    low, middle, top = (np.clip(part[c].to_numpy(float), least, beyond(high)) for c in ("low", "median", "high"))
    rate = part.rate.to_numpy(float)
    ax.fill_between(rate, low, top, color=tint, alpha=0.12, linewidth=0, zorder=order - 1)
    look = {"linestyle": style.dash(optimizer), "path_effects": style.halo(0.8), "solid_joinstyle": "round"}
    ax.plot(rate, middle, color=tint, linewidth=1.5, zorder=order, **look)
    ties = np.flatnonzero(middle <= middle.min() * (1 + 1e-9) if middle.min() > 0 else middle == middle.min())
    k = int(ties[len(ties) // 2])
    shape = {"marker": style.marker(optimizer), "markersize": 6.5, "markeredgewidth": 0.8}
    place = min(middle[k], high)
    ax.plot(rate[k], place, color=tint, markeredgecolor=style.PAPER, clip_on=False, zorder=order + 1, **shape)
    return float(rate[k]), float(place), float(part["median"].to_numpy(float)[k])


def ending(median: float, y: str) -> str:
    """The best median as the label tells it."""
    if np.isinf(median) and median > 0:
        return "diverged"
    return "≤ 1e−16" if y == "gap" and median <= FLOOR else style.number(median)


def strip(ax: Axes, rows: pd.DataFrame, optimizers: Sequence[str]) -> Axes:
    """Share of diverged runs: a row for each optimizer, a tick for each rate, as tall as the share.

    Uses of `rows`: optimizer, rate, lost.
    """
    if not optimizers:
        ax.axis("off")
        return ax
    ax.set_ylim(len(optimizers), 0)
    ax.set(xticks=[], yticks=[], facecolor="#f3f5f7")
    ax.xaxis.set_minor_locator(NullLocator())
    for side in ax.spines.values():
        side.set_visible(False)
    for k, optimizer in enumerate(optimizers):
        part = rows[(rows.optimizer == optimizer) & (rows.lost > 0)]
        foot = k + 0.92
        ax.vlines(part.rate, foot, foot - 0.84 * part.lost, color=style.color(optimizer), linewidth=2.4)
    left = {"xycoords": "axes fraction", "textcoords": "offset points", "ha": "right", "va": "center"}
    ax.annotate("diverged", (0, 0.5), (-4, 0), fontsize=6.5, color=style.QUIET, **left)
    return ax


def ranges(tables: dict[str, pd.DataFrame], kind: dict[str, str]) -> dict[str, tuple[float, float]]:
    """Vertical range of each panel: the same for all gaps, its own for values of unknown minimum."""
    found = {}
    gaps = pd.concat([t["median"] for p, t in tables.items() if kind[p] == "gap"] or [pd.Series(dtype=float)])
    gaps = gaps[np.isfinite(gaps)]
    for problem, rows in tables.items():
        if kind[problem] == "gap":
            low = max(gaps[gaps > 0].min(), FLOOR) if (gaps > 0).any() else FLOOR
            top = 10 ** np.ceil(np.log10(np.quantile(gaps, 0.98))) if len(gaps) and gaps.max() > 0 else 1.0
            found[problem] = (FLOOR / 2 if low < 30 * FLOOR else low / 3, max(top, low * 100))
        else:
            ends = rows["median"][np.isfinite(rows["median"])]
            low, high = (ends.min(), ends.quantile(0.9)) if len(ends) else (0.0, 1.0)
            margin = 0.05 * (high - low or 1)
            found[problem] = (
                3 * low if low < 0 else low - margin,
                3 * high if high > 0 > low else high + margin,
            )
    return found


def collect(
    runs: pd.DataFrame, chosen: Sequence[str], optimizers: Sequence[str] | None
) -> tuple[dict[str, pd.DataFrame], dict[str, str]]:
    """The table of each problem, and what it measures. Gaps, which share an axis, come before values."""
    tables, kind = {}, {}
    for problem in chosen:
        rows, _ = variant(runs[runs.problem == problem])
        rows = rows[rows[RATE].notna() & (rows.optimizer.isin(optimizers) if optimizers else True)]
        if len(rows):
            tables[problem], kind[problem] = table(rows), measure(rows)
    return dict(sorted(tables.items(), key=lambda item: kind[item[0]] != "gap")), kind


def sheet(tables: dict[str, pd.DataFrame], kind: dict[str, str], best: int) -> Any:
    """The whole figure: one panel for each problem, and above it the strip of diverged shares."""
    whole = pd.concat(tables.values())
    everyone = sorted(set(whole.optimizer), key=lambda o: (place_of(o), o))
    fallible = [o for o in everyone if (whole.lost[whole.optimizer == o] > 0).any()]
    columns = 2 if len(tables) == 4 else min(3, len(tables))
    high = STRIP * len(fallible) / 72
    side, gap = 1.75 + 0.4 * ("value" in kind.values()), 0.72 + high
    # One or two panels fill the width that the title and the key need.
    width, tall = max(2.75, 7.65 / columns - side), 3.2 if len(tables) == 1 else 2.25
    tops = 1.05 + -(-len(tables) // columns) * (tall + gap) + 0.35
    page = style.figure(max(8.6, 0.95 + columns * (width + side)), tops)
    span = ranges(tables, kind)
    for k, (problem, rows) in enumerate(tables.items()):
        left = 0.8 + (k % columns) * (width + side)
        bottom = tops - 1.05 - (k // columns + 1) * (tall + gap) + 0.18
        ax = style.inches(page, left, bottom, width, tall)
        ax.set_xlim(whole.rate.min() / 1.15, whole.rate.max() * 1.15)
        panel(ax, rows, *span[problem], highlighted=ranking(rows)[:best], y=kind[problem])
        above = style.inches(page, left, bottom + tall + 0.04, width, max(high, 0.01))
        above.set_xlim(ax.get_xlim())
        above.set_xscale("log")
        strip(above, rows, fallible)
        bold_name: dict[str, Any] = {"weight": "bold", "fontsize": 10, "color": style.INK}
        above.annotate(style.name(problem), (0, 1), (0, 5), "axes fraction", "offset points", **bold_name)
        # Columns share the rates, rows the gaps: the words stand at the border of the sheet only.
        if k + columns >= len(tables):
            ax.set_xlabel("learning rate")
        if k % columns and kind[problem] == "gap":
            ax.tick_params(labelleft=False)
        else:
            ax.set_ylabel(f"final {kind[problem]}")
    style.title(page, "Final gap against learning rate", words(int(whole.runs.max()), best, len(everyone)))
    style.key(page, everyone, 0.86)
    return page


def words(repeats: int, best: int, optimizers: int) -> str:
    """What the marks mean, in one line."""
    spread = "quartiles" if repeats > 3 else "range"
    over = f"line: median, band: {spread} of {repeats} starts and seeds"
    parts = [over if repeats > 1 else "one run at each rate"]
    parts += [f"best {best} of {optimizers} optimizers in colour"] if optimizers > best else []
    return " · ".join([*parts, "marker: best rate", "ticks above: share of runs that diverged"])


def place_of(optimizer: str) -> tuple[int, int]:
    """Order of the key: by family, then by rank in it."""
    family, rank = style.place(optimizer)
    return list(style.FAMILIES).index(family), rank


def draw(
    results: Any,
    folder: Path,
    *,
    problem: str | Sequence[str] | None = None,
    optimizers: str | Sequence[str] | None = None,
    best: int = 4,
    format: str | Sequence[str] = ("png", "svg"),
) -> list[Path]:
    """Write `sensitivity`: one panel for each problem on which some optimizer ran at two rates or more."""
    endings, best, runs = formats(format), whole("best", best, 1), results.runs
    swept = runs[runs[RATE].notna()] if RATE in runs else runs.iloc[:0]
    counts = swept.groupby(["problem", "optimizer"], sort=False)[RATE].nunique()
    held = list(dict.fromkeys(p for (p, _), n in counts.items() if n > 1))
    if not held:
        raise ValueError("this folder holds no optimizer that ran at more than one learning rate")
    for asked in names(problem) or []:
        one_of("sweep of learning rates on problem", asked, held)
    for asked in names(optimizers) or []:
        one_of("sweep of learning rates with optimizer", asked, dict.fromkeys(swept.optimizer))
    tables, kind = collect(runs, names(problem) or held, names(optimizers))
    if not tables:
        raise ValueError(f"this folder holds no sweep of learning rates with {optimizers} on {problem or held}")
    return style.save(sheet(tables, kind, best), Path(folder), "sensitivity", endings)
