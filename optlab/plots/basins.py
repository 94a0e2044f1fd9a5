"""Basins of attraction beside each other: from each start the point that an optimizer reaches, and how soon."""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false
# pyright: reportAssignmentType=false

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from . import style
from .selection import names, one_of, pages
from .surface import KINDS

#: The hues of the points reached, minima first: families' colours that differ for every eye, without black and greys.
HUES = tuple(
    style.FAMILIES[family][0]
    for family in ("momentum", "adam", "adagrad", "quasi_newton", "rmsprop", "nesterov", "newton", "sign")
)
LOST, APART = "#ffffff", "#b9bec5"  #: diverged; converged to no known point, or not at all

#: Share of the hue at the fewest steps, the rest being paper; and at the most, the rest being ink.
LIGHT, DARK = 0.42, 0.62

#: Inches: a panel, what is above it and left of it, the title above all, ticks and key below.
SIDE, HEAD, LEFT, TOP, KEY = 2.0, 0.5, 0.55, 0.74, 0.86


class Panel(NamedTuple):
    """The map of one optimizer."""

    optimizer: str
    x: np.ndarray  #: `[n]`
    y: np.ndarray  #: `[m]`
    reached: np.ndarray  #: `[m, n]`
    steps: np.ndarray  #: `[m, n]`
    rate: float


def panels(rows: pd.DataFrame) -> list[Panel]:
    """The maps of one problem, in the order of the table.

    Uses: optimizer, learning_rate, x_0, x_1, reached, steps. An optimizer with several rates has a map for each.
    """
    found = []
    for (optimizer, rate), part in rows.groupby(["optimizer", "learning_rate"], sort=False, dropna=False):
        x, column = np.unique(part.x_0, return_inverse=True)
        y, row = np.unique(part.x_1, return_inverse=True)
        reached, steps = np.full((len(y), len(x)), -1), np.ones((len(y), len(x)))
        reached[row, column], steps[row, column] = part.reached, part.steps
        found.append(Panel(str(optimizer), x, y, reached, steps, float(rate)))
    return found


def hues(points: pd.DataFrame, seen: Sequence[int]) -> dict[int, str]:
    """The colour of each point that some run has reached, minima first; beyond eight they repeat.

    Uses: reached, kind.
    """
    kinds = dict(zip(points.reached, points.kind, strict=True))
    order = sorted(seen, key=lambda k: (kinds.get(k) != "minimum", k))
    return {k: HUES[place % len(HUES)] for place, k in enumerate(order)}


def reach(panel: Panel) -> tuple[float, float]:
    """The fewest and the most steps to a point, but for one start in a hundred each."""
    ended = panel.steps[panel.reached >= 0]
    if not len(ended):
        return 1.0, 2.0
    low, high = np.maximum(np.quantile(ended, [0.01, 0.99], method="nearest"), 1)
    return float(low), float(high)


def image(panel: Panel, colors: dict[int, str]) -> np.ndarray:
    """The pixels: `[m, n, 3]`; lightness falls with the logarithm of the steps, from the fewest to the most."""
    low, high = reach(panel)
    found = np.empty((*panel.reached.shape, 3))
    found[:] = to_rgb(APART)
    found[panel.reached == -2] = to_rgb(LOST)
    dark = np.log(np.maximum(panel.steps, 1) / low) / max(np.log(high / low), 0.5)
    for k, color in colors.items():
        here = panel.reached == k
        found[here] = ramp(color, np.clip(dark[here], 0, 1))
    return found


def ramp(color: str, at: np.ndarray) -> np.ndarray:
    """From the tint of a colour (0) over itself (0.6) to its shade (1): `[..., 3]`."""
    stops = [style.mix(color, style.PAPER, LIGHT), color, style.mix(color, style.INK, DARK)]
    channels = np.array([to_rgb(stop) for stop in stops]).T
    return np.stack([np.interp(at, [0, 0.6, 1], channel) for channel in channels], axis=-1)


def draw_map(ax: Axes, panel: Panel, points: pd.DataFrame, colors: dict[int, str]) -> Axes:
    """One map, with the stationary points in it: stars are minima, crosses saddles, each in its own hue.

    Uses of `points`: reached, kind, x_0, x_1.
    """
    raster(ax, image(panel, colors), panel.x, panel.y)
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    inside = points[points.x_0.between(x0, x1) & points.x_1.between(y0, y1)]
    small = 0.72 if len(inside) <= 12 else 0.45
    for kind in reversed(KINDS):
        shape, size, _ = KINDS[kind]
        for point in inside[inside.kind == kind].itertuples():
            face = style.mix(colors.get(point.reached, APART), style.PAPER, 0.55)
            ax.plot(
                point.x_0, point.x_1, shape, markersize=size * small, markeredgewidth=0.7,
                markerfacecolor=style.PAPER if kind == "minimum" else face, markeredgecolor=style.INK, zorder=3,
            )  # fmt: skip
    return ax


def raster(ax: Axes, pixels: np.ndarray, x: np.ndarray, y: np.ndarray) -> Axes:
    """Pixels centred on the values of a grid, equally spaced in the axes' coordinates."""
    edges = [(v[0] - (v[1] - v[0]) / 2, v[-1] + (v[-1] - v[-2]) / 2) for v in (x, y)]
    ax.imshow(
        pixels, origin="lower", extent=(*edges[0], *edges[1]), aspect="auto", interpolation="antialiased", zorder=0
    )
    ax.set(xlim=edges[0], ylim=edges[1])
    ax.tick_params(labelsize=7.5, colors=style.QUIET, length=2.5, width=0.6)
    for spine in ax.spines.values():
        spine.set(color="#aab2bb", linewidth=0.7)
    return ax


def tiles(count: int) -> tuple[int, int]:
    """Columns and rows of small multiples: eight are 4 x 2."""
    columns = count if count <= 3 else (2 if count == 4 else (3 if count in (5, 6, 9) else 4))
    return columns, -(-count // columns)


def multiples(
    count: int, heads: Sequence[tuple[str, str]], ratio: float, body: Callable[[Axes, int], Any], space: float = 0.3
) -> tuple[Figure, list[Axes]]:
    """A sheet of maps, each under its head in bold and a quiet line; room for a title above and a key below.

    ratio: height of a panel by its width; space: inches between two columns.
    """
    columns, rows = tiles(count)
    wide = SIDE * (1.9 if count == 1 else 1.5 if count == 2 else 1.25 if columns < 4 else 1.0)
    tall = wide * ratio
    width = LEFT + columns * wide + (columns - 1) * space + 0.3
    # A sheet of one map is as wide as its title and its key need.
    pad = max(0.0, 6.4 - width)
    height = TOP + rows * (tall + HEAD) + KEY
    sheet = style.figure(width + pad, height)
    found, notes = [], []
    for k, (head, line) in enumerate(heads):
        left = LEFT + pad / 2 + (k % columns) * (wide + space)
        bottom = height - TOP - (k // columns + 1) * (tall + HEAD) + 0.06
        ax = style.inches(sheet, left, bottom, wide, tall)
        body(ax, k)
        up: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points"}
        ax.annotate(head, (0, 1), (0, 14.5), fontsize=9.5, weight="bold", color=style.INK, **up)
        notes.append(ax.annotate(line, (0, 1), (0, 4.5), fontsize=7.5, color=style.QUIET, **up))
        style.fit(notes[-1], (wide + space * 0.3) * sheet.dpi, 5.5)
        if k + columns < count:
            ax.tick_params(labelbottom=False)
        if k % columns:
            ax.tick_params(labelleft=False)
        found.append(ax)
    smallest = min(note.get_fontsize() for note in notes)
    for note in notes:
        note.set_fontsize(smallest)
    return sheet, found


def legend_row(sheet: Figure, entries: Sequence[tuple[Any, str]], left: float = LEFT) -> None:
    """The key in one line at the foot: each entry is a marker (shape, size) or pixels `[k, 3]`, and its words."""
    width, _ = sheet.get_size_inches()
    x, y, size = left, 0.3, 8.0
    texts = [sheet.text(0, 0, words, fontsize=size, color=style.QUIET, va="center_baseline") for _, words in entries]
    glyphs = [0.2 if isinstance(glyph, tuple) else 0.16 + 0.03 * min(len(glyph) - 1, 20) for glyph, _ in entries]
    while True:
        widths = [t.get_window_extent().width / sheet.dpi for t in texts]
        if x + sum(widths) + sum(glyphs) + 0.24 * len(entries) < width - 0.1 or size < 5:
            break
        size *= 0.95
        for text in texts:
            text.set_fontsize(size)
    for (glyph, _), text, room, wide in zip(entries, texts, glyphs, widths, strict=True):
        ax = style.inches(sheet, x, y - 0.065, room, 0.13)
        if isinstance(glyph, tuple):
            ax.axis("off")
            face = {"markerfacecolor": style.PAPER, "markeredgecolor": style.INK, "markeredgewidth": 0.7}
            ax.plot([0.5], [0.5], glyph[0], markersize=glyph[1], clip_on=False, **face)
            ax.set(xlim=(0, 1), ylim=(0, 1))
        else:
            ax.imshow(np.asarray(glyph)[None], aspect="auto", interpolation="bilinear" if len(glyph) > 2 else "nearest")
            ax.set(xticks=[], yticks=[])
            for spine in ax.spines.values():
                spine.set(color="#aab2bb", linewidth=0.5)
        text.set_position(((x + room + 0.06) / width, y / sheet.get_size_inches()[1]))
        x += room + 0.06 + wide + 0.2


def facts(panel: Panel, points: pd.DataFrame) -> str:
    """What stands under the name: rate, share of the starts that end at a minimum, range of the steps to a point."""
    minima = np.isin(panel.reached, points.reached[points.kind == "minimum"])
    parts = [f"lr {style.number(panel.rate)}"] if np.isfinite(panel.rate) else []
    parts.append(f"{100 * minima.mean():.3g}% to a minimum")
    if minima.any():
        low, high = map(style.number, reach(panel))
        parts.append(f"{low} steps" if low == high else f"{low}–{high} steps")
    return " · ".join(parts)


def page(rows: pd.DataFrame, points: pd.DataFrame, problem: str) -> Figure:
    """The whole figure for one problem; `rows` and `points` are its own."""
    maps = panels(rows)
    seen = np.unique(np.concatenate([panel.reached[panel.reached >= 0] for panel in maps]))
    colors = hues(points, [int(k) for k in seen])
    first = maps[0]
    ratio = float(np.clip(np.ptp(first.y) / np.ptp(first.x), 0.6, 1.5))
    heads = [(style.name(panel.optimizer), facts(panel, points)) for panel in maps]

    def body(ax, k):
        draw_map(ax, maps[k], points, colors)
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))

    sheet, _ = multiples(len(maps), heads, ratio, body, space=0.26)
    style.title(sheet, f"Basins of attraction · {style.name(problem)}", words(rows, maps, seen))
    present = [kind for kind in KINDS if (points.kind[points.reached.isin(seen)] == kind).any()]
    entries: list[tuple[Any, str]] = [((KINDS[k][0], KINDS[k][1] * 0.75), KINDS[k][2]) for k in present]
    shades = ramp(next(iter(colors.values()), HUES[0]), np.linspace(0, 1, 21))
    entries.append((shades, "few to many of the map's steps"))
    if any((panel.reached == -1).any() for panel in maps):
        entries.append(([to_rgb(APART)], "at none of them"))
    if any((panel.reached == -2).any() for panel in maps):
        entries.append(([to_rgb(LOST)], "diverged"))
    legend_row(sheet, entries)
    return sheet


def words(rows: pd.DataFrame, maps: Sequence[Panel], seen: np.ndarray) -> str:
    """What the picture is of, in one line."""
    first = maps[0]
    parts = [f"{len(first.x)} × {len(first.y)} starts"]
    if "budget" in rows:
        parts.append(f"up to {int(rows.budget.max())} steps")
    parts.append("hue: the point reached" + (", repeating after eight" if len(seen) > len(HUES) else ""))
    parts.append("shade: the steps, on each map's own scale")
    if "precision" in rows:
        parts.append(", ".join(dict.fromkeys(rows.precision)))
    return " · ".join(parts)


def frame(results: Any, name: str, command: str) -> pd.DataFrame:
    """A table of maps; one sentence where it is not there."""
    rows = getattr(results, name, None)
    if rows is None or not len(rows):
        raise ValueError(f"this folder holds no {name} map; '{command}' makes one")
    return rows


def chosen(
    rows: pd.DataFrame, what: str, problem: str | Sequence[str] | None, optimizers: str | Sequence[str] | None
) -> tuple[pd.DataFrame, list[str]]:
    """The rows and problems asked for; ValueError for one that is not there."""
    held = list(dict.fromkeys(rows.problem))
    for asked in names(problem) or []:
        one_of(f"{what} map of problem", asked, held)
    for asked in names(optimizers) or []:
        one_of(f"{what} map of optimizer", asked, dict.fromkeys(rows.optimizer))
    if optimizers is not None:
        rows = rows[rows.optimizer.isin(names(optimizers))]
    asked = [each for each in names(problem) or held if (rows.problem == each).any()]
    if not asked:
        raise ValueError(f"this folder holds no {what} map of {optimizers} on {problem or held}")
    return rows, asked


def draw(
    results: Any,
    folder: Path,
    *,
    problem: str | Sequence[str] | None = None,
    optimizers: str | Sequence[str] | None = None,
    format: str | Sequence[str] = "png",
) -> list[Path]:
    """Write `basins_<problem>` for each problem with basin maps: one map for each optimizer."""
    rows = frame(results, "basins", "optlab landscape basins problem=himmelblau optimizer=newton")
    rows, asked = chosen(rows, "basin", problem, optimizers)
    points = results.basin_points

    def one(each):
        return page(rows[rows.problem == each], points[points.problem == each], each)

    return pages("basins", asked, one, folder, format)
