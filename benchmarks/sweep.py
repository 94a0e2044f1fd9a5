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
from collections.abc import Iterator

import numpy as np

from benchmarks.jobs import STARTS, STEPS, few, words
from benchmarks.page import Row, Section, at_least, at_most, seconds, show
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
    spent = {name: [Spent(*each) for each in measured[name]] for name in ("command", "full", "barest", "compiled")}
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
    rows.append(Row("numbers equal to the kernel's, to 1e-9", measured=f"{share:.2%}"))
    gib = whole.peak / 2**30
    peak = f"{gib:.2f} GiB at most in memory"
    rows.append(_row("the whole process, empty cache", whole)._replace(measured=peak, goal=at_most(gib, 2, " GiB")))
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
    command, cold = median(without_compiling(by_turns)), by_turns["cold"]
    ours = Spent(command.cpu + cold.cpu, command.wall + cold.wall)
    rows = [_row(f"optlab, {runs:,} runs with cold compilation", ours)]
    for what, one, least in single_runs(quick):
        if one is None:
            rows.append(Row(what, measured="skipped"))
            continue
        ratio = one.cpu * runs / ours.cpu
        rows.append(
            _row(what, Spent(one.cpu * runs, one.wall * runs))._replace(
                measured=f"{seconds(one.cpu)} a run, {ratio:,.0f} times optlab's CPU",
                goal=at_least(ratio, least, " times") if least else None,
            )
        )
    return Section(f"{runs:,} runs, one command, and one run at a time", HOW_SINGLE, rows)


def single_runs(quick: bool) -> Iterator[tuple[str, Spent | None, float | None]]:
    """What to compare with, what one run costs there, and the ratio that is the goal."""
    loops = {"rows": "a loop each, same numbers", "values": "a loop each, values only", "shared": "one loop for all"}
    for name in ["values"] if quick else loops:
        goal = 5000 if name == "rows" else None
        yield f"basic launcher, {loops[name]}", launcher(name, quick), goal
    count = 2 if quick else 20
    python = python_with("torch")
    if python is None:
        yield "torch.optim.Adam: torch not installed", None, None
    else:
        one, _, version = loop(python, "torch", count)
        yield f"torch.optim.Adam (torch {version})", one, 1000
    one, evaluations, version = loop(sys.executable, "scipy", count)
    share = (STEPS + 1) / evaluations
    same = Spent(one.cpu * share, one.wall * share)
    yield f"CG of SciPy {version}, {STEPS + 1} evaluations", same, 1000
    yield f"CG until it stops by itself, {evaluations:.0f} evaluations", one, None


HOW_SINGLE = """\
For all runs, extrapolated from 20 of them, one after the other in one process. Process start is out: the
launcher's by the same command with one job, the others' by timing after their imports. optlab is the command
as above with its compilation from an empty cache put back in, as the launcher's jobs compile too. Only optlab
writes tables. With Hydra's basic launcher a job jits its own optax loop and returns all of optlab's numbers,
or only the value at the recorded steps; in the third line all jobs share one compiled loop, and what is left
is Hydra. PyTorch is a Python loop that takes out the value at these steps. SciPy has no Adam and no fixed number
of steps: conjugate gradients stop at the minimum. So the line with a goal takes SciPy's price of an
evaluation times the evaluations of the other runs; the last line is what it needs in truth, for another task
(to find the minimum, not to record 500 steps)."""


def launcher(loop: str, quick: bool) -> Spent:
    """One job of the basic launcher: many jobs less one, by the number of jobs between."""
    many = ["learning_rate=1e-4,1e-3,1e-2,1e-1,1", "b1=0.5,0.99", "start=[-2.0,-1.0],[2.0,2.0]"]
    many, jobs = (many[1:2], 2) if quick else (many, 20)
    app = [sys.executable, "-m", "benchmarks.basic_launcher_app", "-m", f"loop={loop}", f"steps={STEPS}"]
    with tempfile.TemporaryDirectory() as folder:
        first, _ = process([*app, f"hydra.sweep.dir={folder}/one", "b1=0.9"])
        every, _ = process([*app, f"hydra.sweep.dir={folder}/many", *many])
    return Spent((every.cpu - first.cpu) / (jobs - 1), (every.wall - first.wall) / (jobs - 1))


def loop(python: str, which: str, count: int) -> tuple[Spent, float, str]:
    """One run in `benchmarks/peer_loops.py`: what it costs, its evaluations, the library's version."""
    columns = few(count)
    jobs = json.dumps([[float(rate), float(b1), list(start)] for rate, b1, start in zip(*columns, strict=True)])
    recorded = np.unique(np.round(10 ** (np.arange(8 * np.log10(STEPS) + 1) / 8))).astype(int)
    command = [python, "benchmarks/peer_loops.py", which, str(STEPS), ",".join(map(str, recorded))]
    variables = os.environ | ONE_THREAD
    out = subprocess.run(command, cwd=ROOT, env=variables, input=jobs, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(out.stdout)
    cpu, wall = found["spent"]
    return Spent(cpu / count, wall / count), found["evaluations"] / count, found["version"]


def python_with(module: str) -> str | None:
    """A Python that can import a module, or None."""
    asked = f"import importlib.util as u, sys; sys.exit(u.find_spec({module!r}) is None)"
    candidates = [sys.executable, os.environ.get("OPTLAB_PEERS_PYTHON"), str(ROOT / ".venv-peers/bin/python")]
    for python in filter(None, candidates):
        try:
            found = subprocess.run([python, "-c", asked], check=False)
        except FileNotFoundError:
            continue
        if found.returncode == 0:
            return python
    return None


def _row(what: str, spent: Spent) -> Row:
    return Row(what, seconds(spent.cpu), seconds(spent.wall))


if __name__ == "__main__":
    show(sections("--quick" in sys.argv[1:]))
