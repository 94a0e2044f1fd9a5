"""Landscapes: points of a slice of ResNet-20 against bare forward passes and a loop in PyTorch."""

import json
import subprocess
import sys

from benchmarks.page import Row, Section, at_least, at_most, seconds, show
from benchmarks.spent import ROOT
from benchmarks.sweep import python_with

HOW = """
ResNet-20 (customary width) on 1,000 images of 32 x 32 colour pixels, 800 for the training loss and 200
for the validation set; losses and accuracies of both at each point of a random plane, float32. *Bare*: as many compiled
forward passes over the same images, called from Python in batches of 250, with XLA's own convolution. PyTorch:
the loop of the well-known tool, weights set and all batches of 128 passed at each point, on all cores. One process, in
turns, programs compiled before; medians, from which 51 x 51 points follow.
"""


def sections(quick: bool) -> list[Section]:
    """The table of this file."""
    python = python_with("torch") or sys.executable
    command = [python, "-m", "benchmarks.landscape_run", *(("1", "1") if quick else ("8", "5"))]
    lines = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    found = json.loads(lines.splitlines()[-1])
    times, ratios = found["seconds"], found["ratios"]
    rows = [Row("optlab, 51 x 51 points", wall=seconds(2601 * times["optlab"]), measured=_each(times["optlab"]))]
    for name, text in (("bare", "bare, with optlab's convolution"), ("bare, XLA's convolution", "bare")):
        ratio = 1 / ratios[name]
        goal = at_most(ratio, 1.1) if text == "bare" else None
        rows.append(Row(text, measured=f"{_each(times[name])}, optlab takes {ratio:.2f} of it", goal=goal))
    if "torch" in ratios:
        text = f"{_each(times['torch'])}, {ratios['torch']:.2f} times optlab's time"
        rows.append(Row("PyTorch, point by point", measured=text, goal=at_least(ratios["torch"], 3)))
    return [Section("A landscape of ResNet-20", HOW.strip(), rows)]


def _each(time: float) -> str:
    return f"{seconds(time)} a point"


if __name__ == "__main__":
    show(sections("--quick" in sys.argv))
