"""Stability maps beside each other: over two numbers, where training comes down, where it stays, where it diverges."""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from . import style
from .basins import chosen, frame, legend_row, multiples, raster
from .selection import pages

#: Stops of the two hues, from slow to fast; and what has neither come down nor diverged.
DOWN = ("#e4edf5", "#6fa8d3", "#0072B2", "#052f4f")
UP = ("#fbeadd", "#eea36d", "#D55E00", "#5a2400")
FLAT = "#b9bec5"


class Panel(NamedTuple):
    """The map of one optimizer."""

    optimizer: str
    x: np.ndarray  #: `[n]`
    y: np.ndarray  #: `[m]`
    speed: np.ndarray  #: below zero where the loss came down: `[m, n]`
    lost: np.ndarray  #: whether the run diverged: `[m, n]`
    keys: tuple[str, str]  #: what x and y are


def panels(rows: pd.DataFrame) -> list[Panel]:
    """The maps of one problem. Uses: optimizer, x_key, y_key, x, y, status, speed."""
    found = []
    for (optimizer, *keys), part in rows.groupby(["optimizer", "x_key", "y_key"], sort=False):
        x, column = np.unique(part.x, return_inverse=True)
        y, row = np.unique(part.y, return_inverse=True)
        speed, lost = np.full((len(y), len(x)), np.nan), np.zeros((len(y), len(x)), bool)
        speed[row, column], lost[row, column] = part.speed, part.status == "diverged"
        found.append(Panel(str(optimizer), x, y, speed, lost, tuple(map(str, keys))))
    return found


def is_log(values: np.ndarray) -> bool:
    """Whether the values of an axis are equally spaced in their logarithm, and not in themselves."""
    if len(values) < 3 or values[0] <= 0:
        return False
    steps, ratios = np.diff(values), np.diff(np.log(values))
    return bool(np.ptp(ratios) / np.mean(ratios) < np.ptp(steps) / np.mean(steps))


def ramp(stops: Sequence[str], at: np.ndarray) -> np.ndarray:
    """A colour between the stops, 0 to 1: `[..., 3]`."""
    channels = np.array([to_rgb(stop) for stop in stops]).T
    places = np.linspace(0, 1, len(stops))
    return np.stack([np.interp(at, places, channel) for channel in channels], axis=-1)


def ladder(maps: Sequence[Panel], down: bool) -> np.ndarray:
    """65 quantiles of |speed|, of all maps together: shades are equally frequent, as in Sohl-Dickstein's figures."""
    sizes = np.concatenate([np.abs(p.speed[p.speed < 0] if down else p.speed[p.lost & (p.speed >= 0)]) for p in maps])
    return np.quantile(sizes, np.linspace(0, 1, 65)) if len(sizes) else np.ones(65)


def image(panel: Panel, down: np.ndarray, up: np.ndarray) -> np.ndarray:
    """The pixels: `[m, n, 3]`; the darker the faster. `down` and `up`: see `ladder`."""
    found = np.empty((*panel.speed.shape, 3))
    found[:] = to_rgb(FLAT)
    for here, stops, sizes in ((panel.speed < 0, DOWN, down), (panel.lost & (panel.speed >= 0), UP, up)):
        rank = np.interp(np.abs(panel.speed[here]), sizes, np.linspace(1, 0, len(sizes)))
        found[here] = ramp(stops, rank)
    return found


def scaled(values: np.ndarray, log: bool) -> np.ndarray:
    return np.log10(values) if log else np.asarray(values, float)


def draw_map(ax: Axes, panel: Panel, theory: pd.DataFrame, down: np.ndarray, up: np.ndarray) -> Axes:
    """One map, and over it the curve of theory with its formula. Uses of `theory`: x, y, law."""
    logs = is_log(panel.x), is_log(panel.y)
    raster(ax, image(panel, down, up), scaled(panel.x, logs[0]), scaled(panel.y, logs[1]))
    for axis, log, ends in zip((ax.xaxis, ax.yaxis), logs, (ax.get_xlim(), ax.get_ylim()), strict=True):
        ticks(axis, log, *ends)
    if len(theory):
        curve(ax, scaled(theory.x.to_numpy(), logs[0]), scaled(theory.y.to_numpy(), logs[1]), str(theory.law.iloc[0]))
    return ax


def ticks(axis: Any, log: bool, low: float, high: float) -> None:
    """Few round numbers; on a logarithmic axis powers of ten, or what lies between them where there are too few."""
    axis.set_minor_locator(NullLocator())
    if not log:
        axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
        axis.set_major_formatter(FuncFormatter(lambda v, _: style.number(round(v, 12))))
        return
    powers = np.arange(np.ceil(low - 1e-6), np.floor(high + 1e-6) + 1)
    if len(powers) >= 3:
        powers = powers[:: 1 + (len(powers) - 1) // 5]
    elif high - low > 0.3:
        within = np.log10(np.outer(10.0 ** np.arange(np.floor(low), high + 1), [1, 2, 5]).ravel())
        powers = within[(within >= low) & (within <= high)]
    else:
        powers = np.log10(MaxNLocator(3).tick_values(10**low, 10**high)[1:-1])
    axis.set_major_locator(FixedLocator(list(powers)))
    axis.set_major_formatter(FuncFormatter(lambda v, _: style.number(float(f"{10**v:.6g}"))))


def curve(ax: Axes, x: np.ndarray, y: np.ndarray, law: str) -> None:
    """The border that theory draws, and its formula on the side where there is more room."""
    ax.plot(x, y, color=style.INK, linewidth=1.3, path_effects=style.halo(0.9), zorder=3, solid_capstyle="butt")
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    k = int(np.argmin(np.abs((y - y0) / (y1 - y0) - 0.16)))
    right = (x[k] - x0) / (x1 - x0) < 0.5
    text = ax.annotate(
        law.replace(" at ", "\nat "), (x[k], y[k]), (7 if right else -7, 0), textcoords="offset points",
        ha="left" if right else "right", va="center", fontsize=7.5, color=style.INK, zorder=4,
        bbox={"boxstyle": "round,pad=0.25", "facecolor": style.PAPER, "alpha": 0.82, "linewidth": 0},
    )  # fmt: skip
    box = ax.get_window_extent()
    room = (x1 - x[k] if right else x[k] - x0) / (x1 - x0) * box.width
    style.fit(text, max(room - 9 * ax.figure.dpi / 72, 30), 5.5)


def facts(panel: Panel) -> str:
    """What stands under the name: the shares of the three."""
    down = np.mean(panel.speed < 0)
    lost = np.mean(panel.lost & ~(panel.speed < 0))
    parts = [f"{100 * down:.3g}% come down", f"{100 * lost:.3g}% diverge"]
    flat = 1 - down - lost
    return " · ".join([*parts, f"{100 * flat:.2g}% stay"] if flat > 1e-9 else parts)


def axis_name(key: str) -> str:
    """``optimizer.learning_rate`` as an axis calls it."""
    return style.name(key.rpartition(".")[2])


def page(rows: pd.DataFrame, theory: pd.DataFrame, problem: str) -> Figure:
    """The whole figure for one problem; `rows` and `theory` are its own."""
    maps = panels(rows)
    down, up = ladder(maps, True), ladder(maps, False)
    heads = [(style.name(panel.optimizer), facts(panel)) for panel in maps]

    def body(ax, k):
        draw_map(ax, maps[k], theory[theory.optimizer == maps[k].optimizer], down, up)

    same = len({panel.keys for panel in maps}) == 1
    sheet, axes = multiples(len(maps), heads, 0.86, body, space=0.45)
    for k, ax in enumerate(axes):
        if ax.xaxis.get_tick_params().get("labelbottom", True) or not same:
            ax.set_xlabel(axis_name(maps[k].keys[0]), fontsize=8.5, color=style.QUIET, labelpad=2)
        if ax.yaxis.get_tick_params().get("labelleft", True) or not same:
            ax.set_ylabel(axis_name(maps[k].keys[1]), fontsize=8.5, color=style.QUIET, labelpad=2)
    style.title(sheet, f"Where training comes down · {style.name(problem)}", words(rows, maps))
    entries: list[tuple[Any, str]] = [(ramp(DOWN, np.linspace(1, 0, 21)), "loss comes down, fast to slow")]
    if any((~panel.lost & (panel.speed >= 0)).any() for panel in maps):
        entries.append(([to_rgb(FLAT)], "neither"))
    entries.append((ramp(UP, np.linspace(0, 1, 21)), "diverges, slow to fast"))
    legend_row(sheet, entries)
    return sheet


def words(rows: pd.DataFrame, maps: Sequence[Panel]) -> str:
    """What the picture is of, in one line."""
    parts = [f"{len(maps[0].x)} × {len(maps[0].y)} runs from the same start"]
    if "budget" in rows:
        parts.append(f"{int(rows.budget.max())} steps")
    parts.append("shade: rank of the sum of losses (blue) or of their inverses")
    if "precision" in rows:
        parts.append(", ".join(dict.fromkeys(rows.precision)))
    return " · ".join(parts)


def draw(
    results: Any,
    folder: Path,
    *,
    problem: str | Sequence[str] | None = None,
    optimizers: str | Sequence[str] | None = None,
    format: str | Sequence[str] = "png",
) -> list[Path]:
    """Write `stability_<problem>` for each problem with stability maps: one map for each optimizer."""
    command = (
        "optlab landscape stability problem=quadratic optimizer=heavy_ball "
        "optimizer.learning_rate=interval(0.01,1) optimizer.momentum=interval(0,0.99)"
    )
    rows, asked = chosen(frame(results, "stability", command), "stability", problem, optimizers)
    theory = results.stability_theory

    def one(each):
        return page(rows[rows.problem == each], theory[theory.problem == each], each)

    return pages("stability", asked, one, folder, format)
