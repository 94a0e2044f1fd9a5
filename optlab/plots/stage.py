"""The still picture of a race, and the paths over it in pixels."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from . import style
from .contour import dense, scale
from .curves import FLOOR, Line, horizontal, limits, vertical
from .selection import Selection
from .surface import Field, Track, background, cut, exit_point, field, height, points_of, stationary, tracks

TALL = 7.2  #: height of every picture in inches; its pixels set the resolution


class Course(NamedTuple):
    """A path in pixels over logarithmic time, log(1 + clock)."""

    optimizer: str
    time: np.ndarray  #: `[T]`
    pixels: np.ndarray  #: `[T, 2]`


class Ground(NamedTuple):
    """A surface drawn in axes, and how places on it become pixels."""

    ax: Axes
    to_pixels: Callable[[Track], tuple[np.ndarray, np.ndarray]]  #: its rows, also between, and their pixels
    posts: np.ndarray  #: stationary points in pixels: `[m, 2]`
    kinds: list[str]  #: of each of them, or ``start``


class Stage(NamedTuple):
    """The still picture, and everything that moves over it, in drawing order: the best last."""

    sheet: Figure
    ground: Ground
    found: list[Track]
    axis: str  #: of a track that is the clock: ``step``, ``evaluations`` or ``seconds``
    courses: list[Course]  #: on the surface
    graphs: list[Course]  #: in the side panel, empty without one
    field: Bbox  #: the surface's frame in pixels
    panel: Bbox  #: what the labels stand beside
    labels: list[tuple[np.ndarray, np.ndarray]]  #: pictures of each name: under way, and with its fate
    lost: list[float]  #: logarithmic time at which each diverged, else infinity
    corner: tuple[Text, Text]  #: the clock, large and small
    unit: str = ""  #: of a clock of seconds: what the tracks' seconds are counted in


def pieces(course: Course, times: Sequence[float] | np.ndarray) -> list[np.ndarray]:
    """The parts of a path between times, their ends in between the recorded points: each `[n, 2]`."""
    rows = np.searchsorted(course.time, times, side="right")
    ends = np.stack([np.interp(times, course.time, column) for column in course.pixels.T], axis=1)
    return [
        np.concatenate([ends[k : k + 1], course.pixels[rows[k] : rows[k + 1]], ends[k + 1 : k + 2]])
        for k in range(len(ends) - 1)
    ]


def stage(
    results: Any,
    chosen: Selection,
    *,
    axis: str,
    size: tuple[int, int],
    view: str,
    panel: bool,
    surface: Field | None = None,
    what: str = "",
) -> Stage:
    """Draw what stands still, and turn every path into pixels; `what` the shading means, if not the usual."""
    field_id = chosen.best.field_id.iloc[0]
    surface = surface or field(results, field_id, chosen.minimum)
    found = [track for track in tracks(chosen.best, chosen.curves)[::-1] if len(track.xy)]
    found, unit = timed(found) if axis == "seconds" else (found, "")
    points = points_of(results, field_id)
    dpi = size[1] / TALL
    sheet = style.figure(size[0] / dpi, TALL, dpi)
    tall, room = 5.35, size[0] / dpi - 0.6 - 2.1
    ratio = np.ptp(surface.x) / np.ptp(surface.y) if view == "2d" else 1.15
    # Without a panel there is room to the right, and the surface is stretched into it.
    wide = np.clip(tall * ratio, 3.6, 0.6 * room) if panel else np.clip(1.6 * tall * ratio, 3.6, room)
    ground = (ground_3d if view == "3d" else ground_2d)(sheet, (0.6, 0.72, wide, tall), surface, found, points)
    courses = [course(track, axis, *ground.to_pixels(track)) for track in found]
    beside, graphs = ground.ax, []
    if panel:
        left = 0.6 + wide + 0.95
        beside = style.inches(sheet, left, 0.72, size[0] / dpi - left - 2.1, tall)
        graphs = side_panel(beside, found, axis, unit)
    height_of = "height: " + ("value" if surface.signed else "log of the gap")
    what = what or (scale(surface, chosen) if view == "2d" else height_of)
    style.title(sheet, style.name(chosen.problem), f"{chosen.how} · {what}", right=2.3)
    free = size[0] - beside.get_window_extent().x1 - 33 * dpi / 72
    labels = [label(sheet, track, surface.signed, free) for track in found]
    lost = [float(np.log1p(getattr(t, axis)[-1])) if t.status == "diverged" else np.inf for t in found]
    boxes = (ground.ax.get_window_extent(), beside.get_window_extent())
    return Stage(sheet, ground, found, axis, courses, graphs, *boxes, labels, lost, corner(sheet), unit)


def timed(found: list[Track]) -> tuple[list[Track], str]:
    """Tracks whose seconds are counted in a unit of which the slowest took a thousand or more: the clock is logarithmic
    from one unit on. Raises ValueError where a run's seconds are not known."""
    last = max(float(track.seconds[-1]) for track in found)
    if not all(np.isfinite(track.seconds).all() for track in found) or not last > 0:
        raise ValueError("these tables do not say how many seconds each run took; use clock=step or clock=evals")
    units = {"s": 1.0, "ms": 1e3, "µs": 1e6, "ns": 1e9}
    unit = next((name for name, each in units.items() if last * each >= 1000), "ns")
    return [track._replace(seconds=track.seconds * units[unit]) for track in found], unit


def course(track: Track, axis: str, rows: np.ndarray, pixels: np.ndarray) -> Course:
    """A course whose points stand at these rows of the track."""
    time = np.log1p(getattr(track, axis))
    return Course(track.optimizer, np.interp(rows, np.arange(len(time)), time), pixels)


def corner(sheet: Figure) -> tuple[Text, Text]:
    """The two lines of the clock, still empty; not part of the still picture."""
    w = sheet.get_size_inches()[0]
    right = {"ha": "right", "va": "center", "animated": True}
    large = sheet.text(1 - 0.35 / w, 1 - 0.27 / TALL, "", fontsize=15, weight="bold", color=style.INK, **right)
    small = sheet.text(1 - 0.35 / w, 1 - 0.55 / TALL, "", fontsize=9, color=style.QUIET, **right)
    return large, small


def label(sheet: Figure, track: Track, signed: bool, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Pictures on white of a name, and of it with its fate: glyphs are slow, so they are drawn once."""
    words, pictures = style.name(track.optimizer), []
    fate = "to −∞" if track.end < 0 and signed else "diverged"
    for text, tint in ((words, style.INK), (f"{words} · {fate}", style.QUIET)):
        small = style.figure(width / sheet.dpi, 24 / 72, sheet.dpi)
        canvas = FigureCanvasAgg(small)
        style.fit(small.text(0, 0.5, text, fontsize=10.5, color=tint, va="center_baseline"), width)
        canvas.draw()
        pictures.append(np.array(canvas.buffer_rgba()))
    return pictures[0], pictures[1]


def ground_2d(sheet: Figure, box: tuple, surface: Field, found: list[Track], points: pd.DataFrame) -> Ground:
    """The surface from above."""
    ax = style.inches(sheet, *box)
    background(ax, surface, avoid=np.concatenate([dense(track, surface) for track in found]))
    stationary(ax, points, dots=False)
    low, high = np.array([ax.get_xlim(), ax.get_ylim()]).T
    starts(ax, np.array([track.xy[0] for track in found]))
    inside, kinds = within(points, low, high)
    places = ax.transData.transform(inside)

    def to_pixels(track: Track) -> tuple[np.ndarray, np.ndarray]:
        xy = cut(track.xy, low, high)
        return np.arange(len(xy)), ax.transData.transform(xy)

    return Ground(ax, to_pixels, places, kinds)


def ground_3d(sheet: Figure, box: tuple, surface: Field, found: list[Track], points: pd.DataFrame) -> Ground:
    """The surface in perspective. Paths lie on it, never hidden, and end where they leave the box."""
    ax: Any = style.inches(sheet, *box, projection="3d", computed_zorder=False)
    tall = surface.z if surface.signed else height(surface, surface.z)
    x, y = np.meshgrid(surface.x, surface.y)
    # Facets without edges; lines on each twentieth part show the shape.
    skin = {"rcount": 100, "ccount": 100, "linewidth": 0, "antialiased": False}
    ax.plot_surface(x, y, tall, cmap=style.SURFACE, **skin)
    ax.plot_wireframe(x, y, tall, rcount=20, ccount=20, color="#2b4a6b", alpha=0.35, linewidth=0.4)
    ax.view_init(elev=48, azim=-62)
    ax.set_box_aspect((1, 1, 0.5), zoom=1.2)
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        axis.pane.set(facecolor="#fafbfc", edgecolor="#e3e7eb")
        axis._axinfo["grid"].update(color="#eceff2", linewidth=0.5)
    ax.tick_params(labelsize=7, colors=style.QUIET, pad=0)
    ax.set_xlabel(surface.names[0], fontsize=10, color=style.QUIET, labelpad=-4)
    ax.set_ylabel(surface.names[1], fontsize=10, color=style.QUIET, labelpad=-4)
    sheet.canvas.draw()
    low, high = np.array([surface.x[[0, -1]], surface.y[[0, -1]]]).T

    def to_pixels(track: Track) -> tuple[np.ndarray, np.ndarray]:
        xy = cut(track.xy, low, high)
        left = exit_point(xy, low, high)
        if left is not None:
            inside = np.flatnonzero(np.all((xy >= low) & (xy <= high), axis=1))[-1] + 1
            xy = np.vstack([xy[:inside], left[0]])
        # Points in between let a long step follow the surface instead of cutting through it.
        rows = np.linspace(0, len(xy) - 1, 12 * (len(xy) - 1) + 1)
        xy = np.stack([np.interp(rows, np.arange(len(xy)), column) for column in np.clip(xy, low, high).T], axis=1)
        return rows, project(ax, xy, on_grid(surface, xy))

    inside, kinds = within(points, low, high)
    first = np.unique([track.xy[0] for track in found], axis=0)
    places = np.vstack([inside, first])
    kinds += ["start"] * len(first)
    return Ground(ax, to_pixels, project(ax, places, on_grid(surface, places)), kinds)


def within(points: pd.DataFrame, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Places `[m, 2]` and kinds of the stationary points inside the box."""
    places = points[["x_0", "x_1"]].to_numpy(float)
    inside = np.all((places >= low) & (places <= high), axis=1)
    return places[inside], list(points.kind.to_numpy()[inside])


def on_grid(surface: Field, xy: np.ndarray) -> np.ndarray:
    """Drawn height of the surface at places, bilinear between grid points: `[n]`.

    The drawn facets and not the exact value: a path shall lie on what is seen.
    """
    tall = surface.z if surface.signed else height(surface, surface.z)
    i = np.clip(np.interp(xy[:, 1], surface.y, np.arange(len(surface.y))), 0, len(surface.y) - 1 - 1e-9)
    j = np.clip(np.interp(xy[:, 0], surface.x, np.arange(len(surface.x))), 0, len(surface.x) - 1 - 1e-9)
    (k, v), (m, u) = np.divmod(i, 1), np.divmod(j, 1)
    k, m = k.astype(int), m.astype(int)
    below = (1 - u) * tall[k, m] + u * tall[k, m + 1]
    above = (1 - u) * tall[k + 1, m] + u * tall[k + 1, m + 1]
    return (1 - v) * below + v * above


def project(ax: Any, xy: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Pixels of points in space: `[n, 2]`."""
    from mpl_toolkits.mplot3d import proj3d

    x, y, _ = proj3d.proj_transform(xy[:, 0], xy[:, 1], z, ax.get_proj())
    return ax.transData.transform(np.stack([x, y], axis=1))


def starts(ax: Axes, places: np.ndarray) -> None:
    """Hollow circles at the starts."""
    face = {"markerfacecolor": "none", "linestyle": "none", "markersize": 10, "zorder": 4}
    for width, tint in ((3.2, style.PAPER), (1.5, style.INK)):
        ax.plot(*np.unique(places, axis=0).T, "o", markeredgecolor=tint, markeredgewidth=width, **face)


def side_panel(ax: Axes, found: list[Track], axis: str, unit: str = "") -> list[Course]:
    """Axes for the loss against the clock, and the lines as courses."""
    y = "gap" if any(np.isfinite(track.gap).any() for track in found) else "value"
    lines = []
    for track in found:
        loss = getattr(track, y)
        lines.append(Line(track.optimizer, getattr(track, axis), loss, loss, loss, track.status == "diverged"))
    low, high = limits(lines, y)
    words = {"step": "steps", "evaluations": "evaluations", "seconds": f"{unit} without compilation"}
    ax.set_xlabel(words[axis])
    first = 0.0 if axis == "step" else min(line.x[0] for line in lines)
    horizontal(ax, max(line.x[-1] for line in lines), first)
    vertical(ax, low, high, y)
    style.quiet(ax)
    ax.set_title("gap to the minimum" if y == "gap" else "value", loc="left", fontsize=9, color=style.QUIET)
    # Finite places for what is beyond the axes; what is below the floor is drawn on it.
    least = max(low, FLOOR) if y == "gap" else low * 10 if low < 0 else low - (high - low)
    far = (least, high * 1e3 if high > 0 else high + 1e3)
    courses = []
    for line in lines:
        drawn = np.clip(np.nan_to_num(line.y, nan=far[1], posinf=far[1], neginf=far[0]), *far)
        pixels = ax.transData.transform(np.stack([line.x, drawn], axis=1))
        courses.append(Course(line.optimizer, np.log1p(line.x), pixels))
    return courses
