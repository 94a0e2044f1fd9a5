"""What the pictures of the chapters share: quiet panels, surfaces with paths, lines with names at their ends."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LightSource, LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure

from optlab.plots import style
from optlab.plots.contour import path
from optlab.plots.line import labelled
from optlab.plots.selection import known_minimum, with_evaluations
from optlab.plots.surface import Field, Track, background, field, points_of, stationary, tracks

#: Of a number that grows, from least to most: one hue that darkens.
ORDERED = LinearSegmentedColormap.from_list("optlab_ordered", ["#8fc5ea", "#0072B2", "#3a1a5c"])


def ordered(count: int) -> list[str]:
    """Colours for `count` values in their order, the last one darkest."""
    return [to_hex(c) for c in ORDERED(np.linspace(0, 1, count))]


def panels(
    head: str, line: str, titles: Sequence[str], *, columns: int = 3, width: float = 2.7, height: float = 2.5,
    left: float = 0.75, right: float = 0.85, below: float = 0.55,
) -> tuple[Figure, list[Axes]]:  # fmt: skip
    """A sheet with a title, a line under it and a panel for each of `titles`, row by row; sizes in inches.

    Each panel has `left` for its numbers, `right` for names at the ends of its lines, `below` for what its axis counts.
    """
    rows, step, tall = -(-len(titles) // columns), left + width + right, height + below + 0.35
    sheet = style.figure(min(columns, len(titles)) * step, 0.75 + rows * tall)
    made = []
    for k, words in enumerate(titles):
        row, column = divmod(k, columns)
        ax = style.inches(sheet, left + column * step, below + (rows - 1 - row) * tall, width, height)
        ax.set_title(words, fontsize=9.5, color=style.INK, loc="left", pad=5)
        made.append(style.quiet(ax))
    style.title(sheet, head, line)
    return sheet, made


def lines(
    ax: Axes, entries: Sequence[tuple[Any, Any, str, str]], *, width: float = 1.6, dash: Any = "solid", **settings: Any
) -> Axes:
    """Lines `(x, y, name, colour)`, each with its name at its end instead of a legend; an empty name is none.

    settings: of the axes (`xscale`, `ylim`, `xlabel` ...). They are told here, as names stand where the lines end.
    """
    for x, y, _, colour in entries:
        ax.plot(x, y, color=colour, linewidth=width, linestyle=dash, path_effects=style.halo(0.8))
    ax.set(**settings)
    ax.get_ylim()  # matplotlib finds the limits when they are asked for, not before
    ends = [(float(np.asarray(y)[np.isfinite(y)][-1]), name, colour) for _, y, name, colour in entries if name]
    labelled(ax, ends)
    return ax


def relief(ax: Any, surface: Field, *, azimuth: float = -120, elevation: float = 36) -> Any:
    """A surface in three dimensions (axes with ``projection="3d"``), seen from `azimuth` (degrees), low places dark."""
    x, y = np.meshgrid(surface.x, surface.y)
    tint = style.SURFACE((surface.z - surface.z.min()) / np.ptp(surface.z))
    light = LightSource(azdeg=azimuth - 60, altdeg=55)
    ax.plot_surface(
        x, y, surface.z, facecolors=tint, rcount=100, ccount=100, linewidth=0, antialiased=False, lightsource=light
    )
    ax.view_init(elevation, azimuth)
    ax.set_box_aspect((1, 1, 0.65))
    ax.set(xlim=(surface.x[0], surface.x[-1]), ylim=(surface.y[0], surface.y[-1]))
    ax.locator_params(nbins=4)
    ax.tick_params(labelsize=7, colors=style.QUIET, pad=-2)
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        axis.set_pane_color((1, 1, 1, 0))
        axis.line.set_color("#aab2bb")
    ax.grid(False)
    return ax


def named(ax: Axes, name: str, colour: str, place: tuple[float, float], **where: Any) -> None:
    """A name beside a line, `off` points away from a place on it."""
    look = {"textcoords": "offset points", "path_effects": style.halo(1.5), "fontsize": 8.5, "color": colour}
    ax.annotate(name, place, where.pop("off", (4, 4)), **look, **where)


def ground(ax: Axes, results: Any, runs: pd.DataFrame, steps: int | None = None) -> tuple[list[Track], np.ndarray]:
    """Draws the surface that `runs` share, with its stationary points and their start.

    Returns what is to be drawn of them, the first `steps` if that is stated, and the box: lower, upper `[2]`.
    """
    one = runs.field_id.iloc[0]
    # Of all runs on this surface, as one that has diverged cannot tell.
    surface = field(results, one, known_minimum(results.runs[results.runs.field_id == one]))
    curves = with_evaluations(results.curves[results.curves.run_id.isin(runs.run_id)])
    found = tracks(runs, curves if steps is None else curves[curves.step <= steps])
    background(ax, surface, avoid=np.concatenate([track.xy for track in found]))
    ax.grid(False)
    stationary(ax, points_of(results, one), dots=False)
    ax.plot(*found[0].xy[0], "o", markersize=7, markerfacecolor="none", markeredgecolor=style.INK, zorder=5)
    return found, np.array([ax.get_xlim(), ax.get_ylim()]).T


def descents(
    ax: Axes, results: Any, runs: pd.DataFrame, names: Sequence[str], colours: Sequence[str], steps: int | None = None
) -> Axes:
    """Paths of `runs`, all on one two-dimensional surface, over it, in colours of their own; `names` stand beside.

    With `steps` only so many are drawn.
    """
    found, (low, high) = ground(ax, results, runs, steps)
    heads = [coloured(ax, track, low, high, 2 + 0.01 * k, colours[k]) for k, track in enumerate(found)]
    labelled(ax, [(float(head[1]), name, colour) for head, name, colour in zip(heads, names, colours, strict=True)])
    return ax


def coloured(ax: Axes, track: Any, low: np.ndarray, high: np.ndarray, order: float, colour: str) -> np.ndarray:
    """A path in a colour that is not its optimizer's, as of one optimizer several settings are shown."""
    before = set(ax.lines)
    head = path(ax, track, low, high, order)
    family = style.color(track.optimizer)
    for drawn in set(ax.lines) - before:
        if drawn.get_linestyle() != "None":
            drawn.set_linestyle("solid")
        for part in ("color", "markeredgecolor", "markerfacecolor"):
            if getattr(drawn, f"get_{part}")() == family:
                getattr(drawn, f"set_{part}")(colour)
    return head


def tiles(
    head: str, line: str, rows: Sequence[tuple[str, Any]], titles: Sequence[str], *, side: float = 0.78,
    left: float = 1.5,
) -> Figure:  # fmt: skip
    """Small pictures in rows that have a name each; sizes in inches. None among the pictures is a gap.

    Those of shape `[h, w, 3]` are colours about zero, which is grey; three times their root mean square is black or
    white. Those of shape `[h, w]` are drawn from zero to their largest value, the darker the larger.
    """
    step, top = side + 0.07, 1.2 if any("\n" in words for words in titles) else 1.05
    sheet = style.figure(left + len(titles) * step + 0.15, top + len(rows) * step + 0.1)
    width, height = sheet.get_size_inches()
    for r, (name, images) in enumerate(rows):
        bottom = height - top - r * step - side
        x, y = (left - 0.1) / width, (bottom + side / 2) / height
        sheet.text(x, y, name, ha="right", va="center", fontsize=9, color=style.INK)
        for c, image in enumerate(images):
            if image is None:
                continue
            ax = style.inches(sheet, left + c * step, bottom, side, side)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set(color=style.FAINT, linewidth=0.6)
            if image.ndim == 2:
                dark = style.SURFACE.reversed()
                ax.imshow(image, interpolation="nearest", cmap=dark, vmin=0, vmax=max(float(image.max()), 1e-9))
            else:
                size = np.sqrt(np.mean(image**2)) + 1e-9
                ax.imshow(np.clip(0.5 + image / (6 * size), 0, 1), interpolation="nearest")
    for c, words in enumerate(titles):
        x, y = (left + c * step + side / 2) / width, 1 - (top - 0.06) / height
        sheet.text(x, y, words, ha="center", va="bottom", fontsize=8, color=style.QUIET)
    style.title(sheet, head, line)
    return sheet
