"""100,000 runs (Adam, Rosenbrock-2, 500 steps): the command `optlab` against other ways to have them.

Run: `python -m benchmarks.sweep [--quick]`. PyTorch is looked for in this environment, in the Python
that ``$OPTLAB_PEERS_PYTHON`` names and in ``.venv-peers``; to have it: ``python -m venv .venv-peers``,
``.venv-peers/bin/pip install torch numpy`` (numbers here: version 2.13.0, CPU).
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence

import numpy as np

from benchmarks.jobs import STARTS, STEPS, few, words
from benchmarks.page import Row, Section, at_least, at_most, seconds
from benchmarks.spent import ROOT, Spent, median, optlab, process

POINTS = 50  #: learning rates, and b1: 40 x 50 x 50 runs
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def sections(quick: bool) -> list[Section]:
    """Against the bare computation, then against one run at a time."""
    points = 5 if quick else POINTS
    by_turns = command_and_kernels(points, repeats=1 if quick else 7)
    with tempfile.TemporaryDirectory() as results:
        whole = optlab(*words(points, f"{results}/tables"), cache=f"{results}/cache")
    runs = len(STARTS) * points**2
    return [against_kernel(runs, by_turns, whole), against_single_runs(runs, by_turns, quick)]


def command_and_kernels(points: int, repeats: int) -> dict:
    """What `benchmarks.command_against_kernel` measures, in a process of its own with an empty cache."""
    module = ["benchmarks.command_against_kernel", str(points), str(repeats)]
    with tempfile.TemporaryDirectory() as cache:
        _, out = process([sys.executable, "-m", *module], {"OPTLAB_CACHE": cache})
    measured = json.loads(out)
    spent = {
        name: [Spent(*each) for each in measured[name]] for name in ("command", "full", "barest", "compiled")
    }
    return spent | {"cold": Spent(*measured["cold"]), "equal_share": measured["equal_share"]}


def without_compiling(by_turns: dict) -> list[Spent]:
    pairs = zip(by_turns["command"], by_turns["compiled"], strict=True)
    return [Spent(whole.cpu - part.cpu, whole.wall - part.wall) for whole, part in pairs]


def against_kernel(runs: int, by_turns: dict, whole: Spent) -> Section:
    """The price of configuration, planning, ids, tables and files."""
    command = without_compiling(by_turns)
    rows = [_row(f"optlab: command to closed tables, {runs:,} runs", median(command))]
    for name, what in (
        ("full", "bare kernel that returns the same numbers"),
        ("barest", "barest kernel: last parameters only"),
    ):
        # Neighbours in time share the load of the machine.
        ratio = float(np.median([a.cpu / b.cpu for a, b in zip(command, by_turns[name], strict=True)]))
        goal = at_most(ratio, 2, " times") if name == "full" else None
        row = _row(what, median(by_turns[name]))
        rows.append(row._replace(measured=f"optlab takes {ratio:.2f} times its CPU", goal=goal))
    share = by_turns["equal_share"]
    rows.append(Row("numbers equal to the kernel's, digit for digit", measured=f"{share:.2%}"))
    gib = whole.peak / 2**30
    peak = f"{gib:.2f} GiB at most in memory"
    rows.append(
        _row("the whole process, empty cache", whole)._replace(measured=peak, goal=at_most(gib, 2, " GiB"))
    )
    return Section(f"{runs:,} runs, one command, and the bare computation", HOW_KERNEL, rows)


HOW_KERNEL = """\
optlab is the command from its words to closed Parquet files, in-process: Hydra's compositions, planning, run
ids, running, writing rows, ladders, runs and the surface, and the summary. Taken out are process start with
imports (by a small sweep before) and the compilation of the sweep's program (measured within the command
and subtracted). The bare kernel is optax.adam and value_and_grad under one vmap by hand, with the same chunks
of 1,024 lanes on as many threads; it returns the same columns and writes nothing. The barest kernel has
neither rows nor status nor ladder. All by turns in one process, medians; ratios are medians of ratios of
neighbours. Memory is the peak resident size of the command in a process of its own."""


def against_single_runs(runs: int, by_turns: dict, quick: bool) -> Section:
    """Extrapolated from 20 of the runs."""
    count = 4 if quick else 20
    ours = median(without_compiling(by_turns)).cpu + by_turns["cold"].cpu
    own = Spent(ours, median(without_compiling(by_turns)).wall + by_turns["cold"].wall)
    rows = [_row(f"optlab, {runs:,} runs with cold compilation", own)]

    def add(what: str, one: Spent, least: float | None) -> None:
        all_runs = Spent(one.cpu * runs, one.wall * runs)
        ratio = all_runs.cpu / ours
        row = _row(what, all_runs)
        goal = None if least is None else at_least(ratio, least, " times")
        rows.append(
            row._replace(measured=f"{seconds(one.cpu)} a run: {ratio:,.0f} times optlab's CPU", goal=goal)
        )

    add("Hydra's basic launcher, a jitted loop each", launcher("own", quick), 5000)
    add("Hydra's basic launcher, one jitted loop for all", launcher("shared", quick), None)
    python = python_with("torch")
    if python is None:
        rows.append(Row("torch.optim.Adam in a Python loop", measured="torch not installed: skipped"))
    else:
        one, _, version = loop(python, "torch", count)
        add(f"torch.optim.Adam in a Python loop (torch {version})", one, 1000)
    one, evaluations, version = loop(sys.executable, "scipy", count)
    share = (STEPS + 1) / evaluations
    same = Spent(one.cpu * share, one.wall * share)
    add(f"scipy {version} CG, for the same {STEPS + 1} evaluations", same, 1000)
    add(f"scipy {version} CG, until it stops by itself ({evaluations:.0f} evaluations)", one, None)
    return Section(f"{runs:,} runs, one command, and one run at a time", HOW_SINGLE, rows)


HOW_SINGLE = """\
CPU seconds for all runs, extrapolated from 20 of them (each one process, one after the other), without process
start: the launcher's is taken out by the same command with one job; loops are timed after their imports. optlab
is the command as above with its compilation from an empty cache put back in, as the launcher's jobs compile
too. Only optlab writes tables; the others compute values at the same steps and drop them. SciPy has no Adam
and no fixed number of steps: conjugate gradients stop at the minimum, so the line with a goal takes SciPy's
price of an evaluation times the evaluations of the other runs; the line below is what it needs in truth, to
solve another task (to find the minimum, not to record 500 steps)."""


def launcher(loop: str, quick: bool) -> Spent:
    """One job of the basic launcher: many jobs less one, by the number of jobs between."""
    rates, b1 = "1e-4,1e-3,1e-2,1e-1,1", "0.5,0.99"
    many = ["learning_rate=1e-2,1e-1", "b1=0.5,0.9", "start=[-1.2,1.0]"] if quick else [
        f"learning_rate={rates}", f"b1={b1}", "start=[-2.0,-1.0],[2.0,2.0]",
    ]  # fmt: skip
    jobs = 4 if quick else 20
    app = [sys.executable, "-m", "benchmarks.basic_launcher_app", "-m", f"loop={loop}", f"steps={STEPS}"]
    with tempfile.TemporaryDirectory() as folder:
        one, _ = process([*app, f"hydra.sweep.dir={folder}/one", "learning_rate=1e-2"])
        all_of_them, _ = process([*app, f"hydra.sweep.dir={folder}/many", *many])
    return Spent((all_of_them.cpu - one.cpu) / (jobs - 1), (all_of_them.wall - one.wall) / (jobs - 1))


def loop(python: str, which: str, count: int) -> tuple[Spent, float, str]:
    """One run in `benchmarks/peer_loops.py`: what it costs, its evaluations, the library's version."""
    columns = few(count)
    jobs = json.dumps(
        [[float(rate), float(b1), list(start)] for rate, b1, start in zip(*columns, strict=True)]
    )
    recorded = np.unique(np.round(10 ** (np.arange(8 * np.log10(STEPS) + 1) / 8))).astype(int)
    command = [python, "benchmarks/peer_loops.py", which, str(STEPS), ",".join(map(str, recorded))]
    variables = os.environ | ONE_THREAD
    out = subprocess.run(
        command, cwd=ROOT, env=variables, input=jobs, capture_output=True, text=True, check=True
    )
    found = json.loads(out.stdout)
    cpu, wall = found["spent"]
    return Spent(cpu / count, wall / count), found["evaluations"] / count, found["version"]


def python_with(module: str) -> str | None:
    """A Python that can import a module, or None."""
    candidates = [sys.executable, os.environ.get("OPTLAB_PEERS_PYTHON"), str(ROOT / ".venv-peers/bin/python")]
    for python in filter(None, candidates):
        try:
            found = subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False)
        except FileNotFoundError:
            continue
        if found.returncode == 0:
            return python
    return None


def _row(what: str, spent: Spent) -> Row:
    return Row(what, seconds(spent.cpu), seconds(spent.wall))


def _measure(arguments: Sequence[str]) -> None:
    from benchmarks.page import show

    show(sections("--quick" in arguments))


if __name__ == "__main__":
    _measure(sys.argv[1:])
