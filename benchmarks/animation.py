"""A race of 8 optimizers as a film of 300 frames: `optlab plot race` against matplotlib's FuncAnimation.

Run: `python -m benchmarks.animation [--quick]`.
"""

import json
import sys
import tempfile
from pathlib import Path

from benchmarks.page import Row, Section, seconds, show
from benchmarks.spent import Spent, optlab, process

OPTIMIZERS = "sgd,momentum,nesterov,adam,rmsprop,lion,yogi,adabelief"
FRAMES = 300


def sections(quick: bool) -> list[Section]:
    frames, fewer = (10, 5) if quick else (FRAMES, FRAMES // 5)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        words = [
            "-m",
            f"optimizer={OPTIMIZERS}",
            "problem=beale",
            "steps=500",
            "optimizer.learning_rate=1e-2",
        ]
        optlab(*words, "record=1", f"results={folder}", "name=race", cache=f"{folder}/cache")
        tables = f"{folder}/race"
        for ending in ("mp4", "gif"):
            ours = optlab("plot", "race", tables, f"frames={frames}", f"format={ending}", cache=folder)
            size = next(Path(tables).glob(f"figures/*.{ending}")).stat().st_size
            rows.append(_row(f"optlab, {ending.upper()}", ours, f"{size / 1e6:.2f} MB"))
            theirs, size = by_matplotlib(tables, f"{folder}/film.{ending}", fewer, frames)
            times = f"{theirs.cpu / ours.cpu:.1f} times optlab's CPU"
            rows.append(_row(f"FuncAnimation, {ending.upper()}", theirs, f"{size / 1e6:.2f} MB, {times}"))
    return [Section(f"A race of 8 trajectories, {frames} frames of 1280 x 720", HOW, rows)]


HOW = f"""\
Whole processes, from start to the closed film, ffmpeg included. FuncAnimation draws the same tables with as
many moving artists at the same size and, for MP4, the same codec and quality; GIF by PillowWriter, its way
without options. Its saving is extrapolated to {FRAMES} frames from {FRAMES // 5}, and so is the size of its
film. Memory is the largest process; PillowWriter's grows with the film and is given as measured."""


def by_matplotlib(tables: str, path: str, fewer: int, frames: int) -> tuple[Spent, float]:
    """The cost of the film and its bytes: `fewer` frames are saved, and what saving took is scaled to all."""
    module = ["benchmarks.func_animation", tables, path, str(fewer)]
    whole, out = process([sys.executable, "-m", *module])
    saving, more = Spent(*json.loads(out)), frames / fewer - 1
    all_of_it = Spent(whole.cpu + more * saving.cpu, whole.wall + more * saving.wall, whole.peak)
    return all_of_it, Path(path).stat().st_size * frames / fewer


def _row(what: str, spent: Spent, more: str) -> Row:
    return Row(what, seconds(spent.cpu), seconds(spent.wall), f"{spent.peak / 2**20:.0f} MiB, {more}")


if __name__ == "__main__":
    show(sections("--quick" in sys.argv[1:]))
