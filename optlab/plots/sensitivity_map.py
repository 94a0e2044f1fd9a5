"""Maps of two hyperparameters: the final gap over learning rate and momentum, batch size or any other number."""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from . import style
from .basins import chosen, legend_row, multiples
from .curves import FLOOR
from .selection import RATE, one_of, pages
from .stability import DOWN, axis_name, ramp

NEAR = 0.05  #: of the way from the start: settings this near to the best are outlined
LABELS = 5  #: values written along an axis


def draw_map(ax: Axes, part: pd.DataFrame, x: str, y: str, low: float, high: float) -> Axes:
    """One map: a cell for each pair of values, darker the smaller the gap, the best marked, those near it outlined.

    Uses of `part`: x, y, loss, chance. Cells have one size, whatever the values; `low` and `high` are log10 of the gaps
    that are drawn darkest and lightest.
    """
    grid = part.pivot(index=y, columns=x, values="loss")
    gap = grid.to_numpy(float)
    ax.imshow(shades(gap, low, high), origin="lower", aspect="auto", interpolation="nearest")
    k, m = np.unravel_index(np.nanargmin(gap), gap.shape)
    near = gap <= gap[k, m] + NEAR * (part.chance.iloc[0] - gap[k, m])
    outline(ax, near)
    face = {"markerfacecolor": style.PAPER, "markeredgecolor": style.INK, "markeredgewidth": 0.8}
    ax.plot(m, k, "*", markersize=9, zorder=4, **face)
    for axis, values in ((ax.xaxis, grid.columns), (ax.yaxis, grid.index)):
        places = np.arange(0, len(values), -(-len(values) // LABELS))
        axis.set_major_locator(FixedLocator(list(places)))
        axis.set_minor_locator(NullLocator())
        words = {int(p): style.number(float(values[p])) for p in places}
        axis.set_major_formatter(FuncFormatter(lambda v, _, words=words: words.get(round(v), "")))
    ax.tick_params(labelsize=7.5, colors=style.QUIET, length=3, width=0.6)
    for spine in ax.spines.values():
        spine.set(color="#aab2bb", linewidth=0.7)
    return ax


def shades(gap: np.ndarray, low: float, high: float) -> np.ndarray:
    """The pixels: `[m, n, 3]`."""
    log = np.log10(np.maximum(gap, FLOOR))
    return ramp(DOWN, np.clip((high - log) / max(high - low, 1e-9), 0, 1))


def outline(ax: Axes, near: np.ndarray) -> None:
    """A line around the cells that are near: `[m, n]` of bool."""
    padded = np.pad(near, 1)
    across = np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1])  # between a row and the next
    upright = np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1])
    look: dict[str, Any] = {"colors": "#D55E00", "linewidth": 1.6, "zorder": 3, "clip_on": False}
    ax.hlines(across[:, 0] - 0.5, across[:, 1] - 0.5, across[:, 1] + 0.5, **look)
    ax.vlines(upright[:, 1] - 0.5, upright[:, 0] - 0.5, upright[:, 0] + 0.5, **look)


def page(response: pd.DataFrame, x: str, y: str, problem: str) -> Figure:
    """The whole figure for one problem. `response` from `metrics.response` with two parameters, its own rows."""
    parts = [(str(o), part) for o, part in response.groupby("optimizer")]
    log = np.log10(np.maximum(np.append(response.loss, np.minimum(response.chance, response.loss.max())), FLOOR))
    low, high = float(log.min()), float(log.max())
    heads = [(style.name(o), facts(part, x, y)) for o, part in parts]
    sheet, axes = multiples(
        len(parts), heads, 0.8, lambda ax, k: draw_map(ax, parts[k][1], x, y, low, high), space=0.45
    )
    same = all(parts[0][1][c].nunique() == part[c].nunique() for _, part in parts for c in (x, y))
    for ax in axes:
        if not same:
            ax.tick_params(labelbottom=True, labelleft=True)
        if ax.xaxis.get_tick_params().get("labelbottom", True):
            ax.set_xlabel(axis_name(x), fontsize=8.5, color=style.QUIET, labelpad=2)
        if ax.yaxis.get_tick_params().get("labelleft", True):
            ax.set_ylabel(axis_name(y), fontsize=8.5, color=style.QUIET, labelpad=2)
    runs = int(response.runs.median())
    what = f"final gap, mean of the middle half of {runs} runs; one that diverged counts as its start"
    style.title(sheet, f"{axis_name(x).capitalize()} and {axis_name(y)} · {style.name(problem)}", what)
    shaded = ramp(DOWN, np.linspace(1, 0, 21))
    entries = [(shaded, f"gap {style.number(10**low)} to {style.number(10**high)}"), (("*", 8), "best")]
    legend_row(sheet, [*entries, ([(0.835, 0.369, 0.0)], "outlined: within 5% of the best")])
    return sheet


def facts(part: pd.DataFrame, x: str, y: str) -> str:
    """What stands under the name: the best pair and its gap."""
    best = part.loc[part.loss.idxmin()]
    return f"best {style.number(best.loss)} at {style.number(best[x])}, {style.number(best[y])}"


def draw(
    results: Any,
    folder: Path,
    *,
    problem: str | Sequence[str] | None = None,
    optimizers: str | Sequence[str] | None = None,
    x: str = RATE,
    y: str | None = None,
    format: str | Sequence[str] = ("png", "svg"),
) -> list[Path]:
    """Write `sensitivity_map_<problem>`: the final gap over two numbers, a map for each optimizer.

    x, y: columns of the runs; y is by default the first other number that was swept together with x.
    """
    from optlab.report import comparison, sensitivity  # the report draws with these figures

    made = sensitivity.responses(comparison.compare(results), results)
    pairs = [pair.split(" ") for pair in made if " " in pair]
    held = dict.fromkeys(c for pair in pairs for c in pair)
    if not held:
        raise ValueError("this folder holds no sweep over two numbers at once, of three values each")
    one_of("swept number", x, held)
    others = dict.fromkeys(c for pair in pairs if x in pair for c in pair if c != x)
    y = one_of(f"number swept with {x}", y, others) if y is not None else next(iter(others))
    response = sensitivity.whole_grids(next(made[" ".join(p)] for p in pairs if set(p) == {x, y}), x, y)
    if response.empty:
        raise ValueError(f"the runs over {x} and {y} make no whole grid")
    rows, asked = chosen(response, "sensitivity", problem, optimizers)
    return pages("sensitivity_map", asked, lambda each: page(rows[rows.problem == each], x, y, each), folder, format)
