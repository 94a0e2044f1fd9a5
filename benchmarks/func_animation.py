"""The race as matplotlib's `FuncAnimation` does it; prints the CPU seconds and wall time of saving as JSON.

The same tables, size, frames a second and moving artists as `optlab plot race`: for each optimizer the past
of its path with a white rim, a bright trail in 24 pieces with a rim, a head; its line in the side panel with
rim and head; a label with leader and marker; and two lines of text for the clock. Background and axes are
drawn by matplotlib at every frame, as `FuncAnimation.save` does with or without `blit`.
"""

import json
import sys
from typing import NamedTuple

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import FFMpegWriter, FuncAnimation, PillowWriter
from matplotlib.collections import LineCollection

from benchmarks.spent import spent
from optlab.plots.video import H264, ffmpeg
from optlab.table import load

PIECES, FADE, FPS = 24, 0.09, 30


class Path(NamedTuple):
    """What one optimizer did, over the logarithm of the step."""

    name: str
    time: np.ndarray  #: `[T]`
    place: np.ndarray  #: `[T, 2]`
    gap: np.ndarray  #: `[T]`


def paths(tables) -> list[Path]:
    """One run of each optimizer."""
    found = []
    for name, runs in tables.runs.groupby("optimizer"):
        rows = tables.curves[tables.curves.run_id == runs.run_id.iloc[0]].sort_values("step")
        place = rows[["x_0", "x_1"]].to_numpy()
        found.append(Path(name, np.log1p(rows.step.to_numpy()), place, rows.gap.clip(1e-16).to_numpy()))
    return found


def between(path: Path, first: float, last: float, values: np.ndarray) -> np.ndarray:
    """The rows of `values` between two times, ends interpolated: `[n, 2]`."""
    ends = np.stack([np.interp([first, last], path.time, column) for column in values.T], axis=1)
    inside = (path.time > first) & (path.time < last)
    return np.concatenate([ends[:1], values[inside], ends[1:]])


def still(tables):
    """The figure with all that does not move: the surface, and the axes of the side panel."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(1280 / 100, 720 / 100), dpi=100)
    figure.subplots_adjust(left=0.05, right=0.83, bottom=0.1, top=0.85)
    grid = tables.fields.pivot(index="x_1", columns="x_0", values="value")
    height = np.log10(grid.to_numpy() - grid.to_numpy().min() + 1e-3)
    left.contourf(grid.columns, grid.index, height, levels=24, cmap="Blues")
    left.contour(grid.columns, grid.index, height, levels=12, colors="white", linewidths=0.5)
    left.autoscale(False)
    right.set(yscale="log", xscale="symlog", xlim=(0, 500), ylim=(1e-16, 1e3), xlabel="steps")
    figure.suptitle("race")
    return figure, left, right


class Moving(NamedTuple):
    """The artists of one optimizer."""

    path: Path
    past: list  #: rim and line
    rim: object  #: of the trail
    trail: LineCollection
    head: object
    graph: list  #: rim, line and head in the side panel
    label: list  #: leader, marker and text


def artists(figure, left, right, path: Path, row: int) -> Moving:
    tint = f"C{row}"
    past = [left.plot([], [], color=c, lw=w)[0] for c, w in (("white", 2.7), (tint, 1.35))]
    rim = left.plot([], [], color="white", lw=3.6)[0]
    trail = left.add_collection(LineCollection([], linewidths=np.linspace(1.35, 2.1, PIECES), colors=tint))
    head = left.plot([], [], "o", color=tint, mec="white", ms=9)[0]
    graph = [right.plot([], [], color=c, lw=w)[0] for c, w in (("white", 2.7), (tint, 1.35))]
    graph.append(right.plot([], [], "o", color=tint, mec="white", ms=9)[0])
    level = 0.15 + 0.09 * row
    leader = right.plot([], [], color=tint, lw=0.6, clip_on=False)[0]
    marker = figure.add_artist(plt.Line2D([0.85], [level], marker="o", color=tint))
    return Moving(path, past, rim, trail, head, graph, [leader, marker, figure.text(0.86, level, path.name)])


def move(moving: Moving, now: float, length: float) -> None:
    """All artists of one optimizer to one time."""
    path = moving.path
    so_far = between(path, 0, now, path.place)
    for line in moving.past:
        line.set_data(*so_far.T)
    joints = np.linspace(max(now - length, 0), now, PIECES + 1)
    moving.rim.set_data(*between(path, joints[0], now, path.place).T)
    ends = zip(joints[:-1], joints[1:], strict=True)
    moving.trail.set_segments([between(path, a, b, path.place) for a, b in ends])
    moving.head.set_data(*so_far[-1:].T)
    loss = between(path, 0, now, np.stack([np.expm1(path.time), path.gap], axis=1))
    for line in moving.graph[:2]:
        line.set_data(*loss.T)
    moving.graph[2].set_data(*loss[-1:].T)
    moving.label[0].set_data([loss[-1, 0], 500], [loss[-1, 1], loss[-1, 1]])


def film(tables, frames: int):
    figure, left, right = still(tables)
    all_of_them = [artists(figure, left, right, path, row) for row, path in enumerate(paths(tables))]
    clock = [figure.text(0.98, y, "", ha="right", size=s) for y, s in ((0.95, 15), (0.91, 9))]
    last = max(moving.path.time[-1] for moving in all_of_them)

    def draw(frame):
        now = last * frame / (frames - 1)
        for moving in all_of_them:
            move(moving, now, FADE * last)
        clock[0].set_text(f"step {np.expm1(now):,.0f}")
        clock[1].set_text(f"evaluations {np.expm1(now) + 1:,.0f}")
        return []

    return FuncAnimation(figure, draw, frames=frames)


def main(folder: str, path: str, frames: int) -> None:
    matplotlib.use("agg")
    matplotlib.rcParams["animation.ffmpeg_path"] = ffmpeg() or "ffmpeg"
    moving_picture = film(load(folder), frames)
    writer = PillowWriter(FPS)
    if path.endswith(".mp4"):
        # The codec and all else as optlab has it; matplotlib's writer states the size itself.
        writer = FFMpegWriter(FPS, codec="libx264", extra_args=H264.split())
    print(json.dumps(spent(lambda: moving_picture.save(path, writer))))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
