"""Training: a step against loops written by hand, and a sweep of 648 trainings against one after the other."""

import json
import subprocess
import sys
import tempfile

from benchmarks.page import Row, Section, at_least, at_most, seconds, show
from benchmarks.spent import ROOT, optlab
from benchmarks.sweep import python_with

STEP = """
LeNet-5 on scikit-learn's digits (8 x 8), adam, float32, one process; rounds in which all take turns, medians of the
ratios. By hand: the same network in flax with the same convolution under `lax.scan`, batches drawn with replacement.
PyTorch: the same layers, on all cores.
"""

SWEEP = """
sgd and adam x 12 learning rates x batches of 32, 128 and 512 x 3 initializations x 3 seeds = 648 trainings. The command
from its start to its end with an empty compilation cache, tables written, the validation set measured at the end. By
hand: the six programs compiled once each and a training of each timed several times, times 108. PyTorch: one training
of each of the six kinds, times 108.
"""

AXES = (
    "-m", "problem=lenet_digits", "optimizer=sgd,adam", "problem.batch_size=32,128,512", "problem.init=glorot,he,small",
    "optimizer.learning_rate=tag(log,interval(1e-4,1e-1))", "sweep.points=12", "seed=0,1,2", "record=last",
)  # fmt: skip


def sections(quick: bool) -> list[Section]:
    """The tables of this file."""
    return [
        Section("A step of training", STEP.strip(), step(quick)),
        Section("648 trainings", SWEEP.strip(), sweep(quick)),
    ]


def step(quick: bool) -> list[Row]:
    """A row for each batch size and rival."""
    found = []
    for line in _run("steps", 10 if quick else 500, 2 if quick else 11):
        times, ratios = line["times"], line["ratios"]
        for name, text, limit in (("hand", "a scan by hand", 0.95), ("torch", "PyTorch", 1.0)):
            if name in ratios:
                found.append(Row(
                    f"batches of {line['batch_size']}: {text}", wall=f"{times[name]:.3g} ms",
                    measured=f"optlab {times['optlab']:.3g} ms, {ratios[name]:.2f} times its rate",
                    goal=at_least(ratios[name], limit),
                ))  # fmt: skip
    return found


def sweep(quick: bool) -> list[Row]:
    """The command, and what the same takes one after the other."""
    steps = 20 if quick else 300
    with tempfile.TemporaryDirectory() as folder:
        ours = optlab(*AXES, f"steps={steps}", f"results={folder}/results", cache=f"{folder}/cache")
    (hand,) = _run("hand", steps, 1 if quick else 3)
    rows = [
        Row(f"the command, {steps} steps each", seconds(ours.cpu), seconds(ours.wall), f"{ours.peak / 2**30:.2f} GiB"),
        Row(
            "one by one by hand", wall=seconds(hand["compiling"] + hand["running"]),
            measured=f"optlab takes {ours.wall / (hand['compiling'] + hand['running']):.2f} of it "
            f"({hand['compiling']:.0f} s compile)",
            goal=at_most(ours.wall / (hand["compiling"] + hand["running"]), 0.7),
        ),
    ]  # fmt: skip
    if python_with("torch") is not None:
        (torch,) = _run("torch", steps, 1)
        ratio = ours.wall / torch["running"]
        text = f"optlab takes {ratio:.2f} of it"
        rows.append(
            Row("one by one by PyTorch", wall=seconds(torch["running"]), measured=text, goal=at_most(ratio, 0.1))
        )
    return rows


def _run(what: str, steps: int, repeats: int) -> list[dict]:
    python = python_with("torch") or sys.executable
    command = [python, "-m", "benchmarks.training_run", what, str(steps), str(repeats)]
    lines = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    return [json.loads(line) for line in lines.splitlines() if line.startswith("{")]


if __name__ == "__main__":
    show(sections("--quick" in sys.argv))
