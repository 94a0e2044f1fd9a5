"""The race: all optimizers start from one place, and the film shows who arrives when."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.markers import MarkerStyle
from matplotlib.path import Path as Shape
from matplotlib.text import Text
from matplotlib.transforms import Affine2D, Bbox, IdentityTransform

from . import style, video
from .selection import formats, one_of, problems, select, stem, whole
from .stage import Course, Stage, pieces, stage
from .surface import KINDS, exit_point

CLOCKS = {"step": "step", "evals": "evaluations", "seconds": "seconds"}
FADE = 0.09  #: share of the logarithmic time that the bright trail covers
PIECES = 24  #: steps of its colour at most
SHORT = 2.5  #: pixels; shorter pieces cannot be told apart
PAST = 0.6  #: how much of its colour a path keeps behind the trail
MIDDLE = "#b3bfcb"  #: the mean colour of the surface, which the rest is mixed with
POSTS = KINDS | {"start": ("o", 7, "start")}


class Brush(NamedTuple):
    """Draws straight into the canvas' pixels, without artists and their bookkeeping."""

    renderer: Any
    clip: Bbox
    pens: dict[Any, Any]  #: those that have been used; making one takes as long as drawing with it

    def stroke(self, points: np.ndarray, tint: str, width: float, cap: str = "round") -> None:
        """A line through pixels; width in points."""
        pen = self.pens.get((tint, width, cap))
        if pen is None:
            pen = self.pens[tint, width, cap] = self.renderer.new_gc()
            pen.set_foreground(_rgba(tint), isRGBA=True)
            pen.set_linewidth(width)
            pen.set_capstyle(cap)
            pen.set_joinstyle("round")
            pen.set_clip_rectangle(self.clip)
        self.renderer.draw_path(pen, Shape(points), STILL, None)

    def mark(self, place: np.ndarray, shape: Any, tint: str, size: float, rim: str = style.PAPER) -> None:
        """A filled marker with a rim; size in points."""
        pen = self.pens.get(rim)
        if pen is None:
            pen = self.pens[rim] = self.renderer.new_gc()
            pen.set_foreground(_rgba(rim), isRGBA=True)
            pen.set_linewidth(0.9)
            pen.set_joinstyle("miter")
        outline = _outline(shape, self.renderer.points_to_pixels(size))
        self.renderer.draw_path(pen, outline, Affine2D().translate(*place), _rgba(tint))


@cache
def _outline(shape: Any, pixels: float) -> Shape:
    """A marker of a size in pixels, about 0."""
    style_of = MarkerStyle(shape)
    return (style_of.get_transform() + Affine2D().scale(pixels)).transform_path(style_of.get_path())


_rgba = cache(to_rgba)
STILL = IdentityTransform()


def frames(scene: Stage, times: np.ndarray) -> Iterator[np.ndarray]:
    """One picture for each time, always in the same buffer: RGBA `[height, width, 4]`.

    What has been passed is painted once and kept as background; only trails, heads, labels and the clock are
    painted anew. So the cost of a frame does not grow with the film.
    """
    canvas = scene.sheet.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    canvas.draw()
    renderer = canvas.get_renderer()
    buffer = np.asarray(canvas.buffer_rgba())
    kept = buffer.copy()
    surface, panel = Brush(renderer, scene.field, {}), Brush(renderer, grown(scene.panel, 3), {})
    now = np.log1p(times)
    for k, time in enumerate(now):
        buffer[:] = kept
        before, earlier = now[max(k - 1, 0)], now[max(k - 2, 0)]
        for brush, courses, past in ((surface, scene.courses, PAST), (panel, scene.graphs, 1.0)):
            for course in courses:
                extend(brush, course, earlier, before, time, past)
        kept[:] = buffer
        for course in scene.courses:
            trail(surface, course, time, FADE * now[-1])
        for place, kind in zip(scene.ground.posts, scene.ground.kinds, strict=True):
            surface.mark(place, POSTS[kind][0], style.PAPER, POSTS[kind][1] * 0.9, style.INK)
        heads = [head(surface, course, time) for course in scene.courses]
        if scene.graphs:
            heads = [head(panel, course, time) for course in scene.graphs]
        paint_labels(scene, renderer, buffer, heads, time)
        paint_clock(scene, buffer, times[k])
        yield buffer


def grown(box: Bbox, by: float) -> Bbox:
    """A box with a margin in pixels, so that a line on its edge keeps its width."""
    return Bbox.from_extents(box.x0 - by, box.y0 - by, box.x1 + by, box.y1 + by)


def extend(brush: Brush, course: Course, earlier: float, before: float, time: float, past: float) -> None:
    """Paint what was passed since the frame before."""
    if before >= course.time[-1] and before < time:
        return
    tint = style.mix(style.color(course.optimizer), MIDDLE, past)
    old, new = pieces(course, (earlier, before, time))
    brush.stroke(new, style.PAPER, 2.7, "butt")
    # The line starts one frame earlier and so covers the end of the last rim.
    brush.stroke(np.concatenate([old, new]), tint, 1.35)


def trail(brush: Brush, course: Course, time: float, length: float) -> None:
    """The last stretch, opaque, from the muted colour to the full one."""
    time = min(time, course.time[-1] + length)
    first = max(time - length, 0)
    if first >= course.time[-1]:
        return
    (whole,) = pieces(course, (first, time))
    if np.ptp(whole, axis=0).max() < 1:
        return
    brush.stroke(whole, style.PAPER, 3.6, "butt")
    full = style.color(course.optimizer)
    count = int(np.clip(np.hypot(*np.diff(whole, axis=0).T).sum() / SHORT, 4, PIECES))
    joints = np.linspace(first, time, count + 1)
    for k, part in enumerate(pieces(course, joints)):
        if joints[k] < course.time[-1]:
            share = (k + 1) / count
            brush.stroke(part, style.mix(full, MIDDLE, PAST + (1 - PAST) * share), 1.35 + 0.75 * share)


def head(brush: Brush, course: Course, time: float) -> np.ndarray:
    """The marker at the head, or an arrow where the path left the frame; returns its place: `[2]`."""
    tint = style.color(course.optimizer)
    low, high = np.array(brush.clip.min), np.array(brush.clip.max)
    so_far = pieces(course, (0, time))[0]
    left = exit_point(so_far, low, high)
    if left is None:
        place = np.clip(so_far[-1], low, high)
        brush.mark(place, style.marker(course.optimizer), tint, 9)
        return place
    place, step = left
    brush.mark(place, (3, 0, float(np.degrees(np.arctan2(step[1], step[0]))) - 90), tint, 10)
    return place


def paint_labels(scene: Stage, renderer: Any, buffer: np.ndarray, heads: list[np.ndarray], time: float) -> None:
    """Labels right of the frame, spread apart, each with a thin leader to its head."""
    point = renderer.points_to_pixels(1)
    box, room = scene.panel, min(17 * point, (scene.panel.height + 17 * point) / len(heads))
    # The best is the last of the courses and takes the top of a tie.
    order = style.stacking(np.array(heads[::-1]), box.y0, box.y1, room)
    order = [len(heads) - 1 - k for k in order]
    wanted = np.maximum.accumulate(np.clip([heads[k][1] for k in order], box.y0, box.y1))
    everywhere = Brush(renderer, Bbox.from_bounds(0, 0, renderer.width, renderer.height), {})
    for k, y in zip(order, style.spread(wanted, room, box.y0, box.y1), strict=True):
        optimizer, edge = scene.courses[k].optimizer, box.x1 + 14 * point
        leader = np.array([heads[k], (edge - 3 * point, y), (edge + 2 * point, y)])
        everywhere.stroke(leader, style.mix(style.color(optimizer), style.PAPER, 0.6), 0.6)
        everywhere.mark(np.array((edge + 7 * point, y)), style.marker(optimizer), style.color(optimizer), 8)
        picture = scene.labels[k][int(time >= scene.lost[k])]
        rows, columns = picture.shape[:2]
        top, side = int(renderer.height - y - rows / 2), int(edge + 15 * point)
        spot = buffer[max(top, 0) : top + rows, side : side + columns]
        np.minimum(spot, picture[max(-top, 0) :][: spot.shape[0], : spot.shape[1]], out=spot)


def paint_clock(scene: Stage, buffer: np.ndarray, now: float) -> None:
    """Step and evaluations in the corner; a range where optimizers have spent different numbers."""
    kind = scene.axis
    other = "evaluations" if kind == "step" else "step"
    seen = [np.interp(now, getattr(track, kind), getattr(track, other)) for track in scene.found]
    least, most = (f"{int(v + 1e-9):,}" for v in (min(seen), max(seen)))
    plural = "evaluations" if kind == "step" else "steps"
    words = plural.removesuffix("s") if most == "1" else plural
    reading = f"{int(now + 1e-9):,}"
    scene.corner[0].set_text(f"{reading} {scene.unit}" if scene.unit else f"{kind.removesuffix('s')} {reading}")
    scene.corner[1].set_text(f"{words} {most}" if least == most else f"{words} {least} to {most}")
    for text in scene.corner:
        write(buffer, text)


def write(buffer: np.ndarray, text: Text) -> None:
    """A right-aligned text on paper, put together from pictures of its words and digits: glyphs are slow."""
    tint, size, weight = text.get_color(), text.get_fontsize(), text.get_fontweight()
    words = [word for word in re.split(r"([\d,])", text.get_text()) if word]
    pictures = [_picture(word, size, weight, tint, text.figure.dpi) for word in words]
    x, y = text.get_transform().transform(text.get_position())
    left = int(x) - sum(picture.shape[1] for picture in pictures)
    for picture in pictures:
        rows, columns = picture.shape[:2]
        top = int(len(buffer) - y - rows / 2)
        spot = buffer[max(top, 0) : top + rows, left : left + columns]
        np.minimum(spot, picture[max(-top, 0) :][: spot.shape[0], : spot.shape[1]], out=spot)
        left += columns


@cache
def _picture(word: str, size: float, weight: str, tint: str, dpi: float) -> np.ndarray:
    """A word in its full width, blanks included, on white: RGBA."""
    look = {"fontsize": size, "weight": weight}
    blank = style.figure(4, 1, dpi)
    wide, dot = (blank.text(0, 0, t, **look).get_window_extent().width for t in (f"{word}.", "."))
    small = style.figure(max(1, round(wide - dot)) / dpi, round(2 * size * dpi / 72) / dpi, dpi)
    small.text(0, 0.32, word, color=tint, va="baseline", **look)  # half of a digit's height below the middle
    canvas = FigureCanvasAgg(small)
    canvas.draw()
    return np.array(canvas.buffer_rgba())


def timing(scene: Stage, count: int) -> np.ndarray:
    """Clock readings of the frames; the last tenth of the film holds the end: `[count]`."""
    last = max(float(getattr(track, scene.axis)[-1]) for track in scene.found)
    moving = style.frame_steps(max(last, 1), count - count // 10)
    return np.concatenate([moving, np.full(count // 10, moving[-1])])


def pair(size: Any) -> tuple[int, int]:
    """Width and height in pixels, from two numbers or from text like 1280x720."""
    parts = size.lower().split("x") if isinstance(size, str) else list(size)
    try:
        width, tall = (int(part) for part in parts)
    except (TypeError, ValueError):
        raise ValueError(f"size must be width and height in pixels, like 1280x720, not {size!r}") from None
    if width % 2 or tall % 2 or tall < 180 or not 1.2 <= width / tall <= 3:
        raise ValueError(f"size must be even numbers, 180 high or more and 1.2 to 3 times as wide, not {width}x{tall}")
    return width, tall


def draw(
    results: Any,
    folder: Path,
    *,
    problem: str | Sequence[str] | None = None,
    optimizers: str | Sequence[str] | None = None,
    clock: str = "step",
    frames: int = 300,
    fps: int = 30,
    size: tuple[int, int] | str = (1280, 720),
    view: str = "2d",
    panel: bool = True,
    format: str | Sequence[str] = ("mp4", "gif"),
) -> list[Path]:
    """Write `race_<problem>` for each problem with a surface; each optimizer at its best setting.

    frames: length of the film, its last tenth holds the end. clock: what passes evenly for all, `step`, `evals` or
    `seconds`; on `evals` each method moves at its real price, on `seconds` at that of its run on the machine that ran
    it, compilation left out. view: `2d` or `3d`. panel: the loss beside it.
    """
    endings, count, fps = formats(format, ("mp4", "gif")), whole("frames", frames, 2), whole("fps", fps, 1)
    one_of("clock", clock, CLOCKS)
    one_of("view", view, ("2d", "3d"))
    shape = pair(size)
    written = []
    for each in problems(results, problem, plane=True):
        chosen = select(results, each, optimizers, plane=True)
        scene = stage(results, chosen, axis=CLOCKS[clock], size=shape, view=view, panel=panel)
        name = stem("race", each) + ("_3d" if view == "3d" else "")
        films = [Path(folder) / f"{name}.{ending}" for ending in endings]
        written += video.write(film_of(scene, count), films, fps=fps)
    return written


def film_of(scene: Stage, count: int) -> Iterator[np.ndarray]:
    """The frames of the whole film."""
    return frames(scene, timing(scene, count))
