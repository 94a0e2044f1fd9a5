"""The explorer's page in headless Chromium: how large it is, and how long a click takes."""

import shutil
import tempfile
from pathlib import Path

from benchmarks.page import Row, Section, at_most, seconds, show
from optlab.app.explore import explore

HOW = """
The default page (12 surfaces, 12 optimizers) in headless Chromium with software rendering, 1,280 x 900 pixels. A click:
all twelve optimizers run 500 steps from a new place on Rosenbrock's function, tables and pictures are made anew. The
median of fifteen, the first two left out. Drawing is one frame of time running, with the surface behind it kept.
"""

CLICKS = """() => { const times = [];
  for (let k = 0; k < 17; k++) {
    const begun = performance.now(); page.from(-1.2 + 0.1 * k, 1 - 0.05 * k); page.draw();
    times.push((performance.now() - begun) / 1000);
  }
  return times.slice(2).sort((a, b) => a - b)[7]; }"""
SOLVES = """() => { const begun = performance.now(); page.solved(page.here());
  return (performance.now() - begun) / 1000; }"""
FRAMES = """() => { const times = [];
  for (let k = 0; k < 15; k++) {
    page.state.at = k / 15;
    const begun = performance.now();
    page.draw();
    times.push((performance.now() - begun) / 1000);
  }
  return times.sort((a, b) => a - b)[7]; }"""


def sections(quick: bool) -> list[Section]:
    """The table of this file; none without a browser."""
    chromium = shutil.which("chromium")
    return [Section("The explorer", HOW.strip(), rows(chromium))] if chromium else []


def rows(chromium: str) -> list[Row]:
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as tool:
        path = Path(folder) / "explorer.html"
        explore([f"output={path}", "open=false"])
        page = tool.chromium.launch(executable_path=chromium, args=["--no-sandbox"]).new_page(
            viewport={"width": 1280, "height": 900}
        )
        page.goto(f"file://{path}#surface=rosenbrock&steps=500")
        page.evaluate("page.pause()")
        click, solve, frame = page.evaluate(CLICKS), page.evaluate(SOLVES), page.evaluate(FRAMES)
        page.evaluate("page.turn()")
        relief = page.evaluate(FRAMES)
        size = path.stat().st_size / 1e6
    return [
        Row("size of the page", measured=f"{size:.2f} MB", goal=at_most(size, 1.0, " MB")),
        Row("a click, to the picture", wall=seconds(click), goal=at_most(click, 0.3, " s")),
        Row("of that, 12 optimizers x 500 steps", wall=seconds(solve)),
        Row("a frame from above", wall=seconds(frame)),
        Row("a frame of the relief", wall=seconds(relief)),
    ]


if __name__ == "__main__":
    show(sections(quick=False))
