"""Beyond one core: a million runs in little memory, two workers, two devices, and what a task costs on each engine.

Run: `python -m benchmarks.scaling [--quick]`. Workers and devices share the cores of the machine: ratios are to be
measured where nothing else runs.
"""

import argparse
import importlib.util
import json
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.page import Row, Section, at_most, seconds, show
from benchmarks.spent import process

#: Closed forms whose programs are long enough to be worth a worker, one group each.
PROBLEMS = "beale,rosenbrock,himmelblau,booth"

#: What a worker or a device does in the comparison: Adam, this many runs of this many steps.
STEPS = 2000


def sections(quick: bool) -> list[Section]:
    """Memory first: the others are larger processes, whose children count their parents' memory as their own."""
    return [million(quick), scaling(quick), engines(quick)]


def million(quick: bool) -> Section:
    """The peak of a command's whole process."""
    side = 30 if quick else 1000
    grid = ["optimizer.learning_rate=tag(log,interval(1e-4,1))", f"seed=range(0,{side})", f"sweep.points={side}"]
    joint = ["optimizer.learning_rate=tag(log,interval(1e-4,1))", "optimizer.b1=interval(0.5,0.99)"]
    joint += ["optimizer.b2=interval(0.5,0.999)", "sweep.sampling=sobol", f"sweep.budget={side**2}"]
    rows = []
    for what, words in (("a grid", grid), ("joint samples of three numbers", joint)):
        with tempfile.TemporaryDirectory() as folder:
            command = ["-m", "optlab", "-m", "problem=rosenbrock", "optimizer=adam", "problem.start=random"]
            command += [*words, "steps=100", f"results={folder}"]
            spent, _ = process([sys.executable, *command], {"OPTLAB_CACHE": f"{folder}/cache"})
            size = sum(path.stat().st_size for path in Path(folder, "study").glob("*/*.parquet"))
        gib = spent.peak / 2**30
        said = f"{gib:.2f} GiB at most in memory, {size / side**2:.0f} bytes of tables a run"
        cost = seconds(spent.cpu), seconds(spent.wall)
        rows.append(Row(f"{side**2:,} runs, {what}", *cost, said, at_most(gib, 2, " GiB")))
    return Section(f"{side**2:,} runs in one process", HOW_MILLION, rows)


HOW_MILLION = """\
Adam on Rosenbrock-2 from random starts, 100 steps, 17 rows of curves each, from the command to closed tables, with an
empty cache of programs; the peak resident size of the process."""


def command(folder: str, *words: str) -> float:
    """Wall seconds of a command from its start to its end; programs are found in a cache that all share."""
    with tempfile.TemporaryDirectory(dir=folder) as results:
        arguments = [sys.executable, "-m", "optlab", "-m", *words, f"results={results}"]
        return process(arguments, {"OPTLAB_CACHE": f"{folder}/cache"})[0].wall


def scaling(quick: bool) -> Section:
    """Workers against one, by turns; then devices against one, within one process each."""
    runs, repeats = (200, 1) if quick else (20_000, 3)
    words = [f"problem={PROBLEMS}", "optimizer=adam", "problem.start=random", f"seed=range(0,{runs})"]
    words += [f"steps={STEPS}", "gtol=0", "record=last", "engine=processes"]
    times: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repeats + 1):  # the first fills the cache
            for workers in times:
                times[workers].append(command(folder, *words, f"engine.workers={workers}"))
    total = runs * len(PROBLEMS.split(","))
    rows = [_pace(f"{n} worker{'s' * (n > 1)}", total, times[n][1:], times[1][1:]) for n in times]
    devices: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(repeats):
        for count in devices:
            script = ["-m", "benchmarks.scaling_devices", str(count), str(runs), str(STEPS)]
            devices[count].append(json.loads(process([sys.executable, *script])[1]))
    rows += [_pace(f"{n} simulated device{'s' * (n > 1)}", runs, devices[n], devices[1]) for n in devices]
    return Section("Two workers, two devices", HOW_SCALING, rows)


def _pace(what: str, runs: int, spent: list[float], one: list[float]) -> Row:
    ratio = statistics.median(a / b for a, b in zip(one, spent, strict=True))
    wall = statistics.median(spent)
    return Row(
        what, wall=seconds(wall), measured=f"{runs / wall:,.0f} runs a second, {ratio:.2f} times the pace of one"
    )


HOW_SCALING = f"""\
Adam from random starts, {STEPS} steps, on four surfaces. Workers: the whole command with engine=processes, start of the
interpreters included, programs from a cache; each worker has an equal share of the cores, so that one has both and a
pace near 1 says that dividing costs nothing. Devices: `optlab.run_sweep` on one surface with the CPU as one or two
devices and one program at a time, compilation out; each simulated device is a thread, so that two can use two cores.
By turns, medians of ratios of neighbours. To be rerun on a machine on which nothing else runs."""


def engines(quick: bool) -> Section:
    """The same sweep of many small tasks on each engine: what one more task costs, and what the engine's start does."""
    few, many = ("beale,booth", PROBLEMS) if quick else (PROBLEMS, f"{PROBLEMS},matyas,branin,goldstein_price,easom")
    here = {"local": [], "processes": ["engine.workers=1"]}
    here |= {"ray": []} if importlib.util.find_spec("ray") else {}
    here |= {"slurm": ["engine.cluster=local"]} if importlib.util.find_spec("submitit") else {}
    rows, base = [], 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name, settings in here.items():
            words = ["optimizer=adam", "steps=10", "seed=range(0,10)", f"engine={name}", *settings]
            command(folder, f"problem={many}", *words)  # fills the cache
            first, every = command(folder, f"problem={few}", *words), command(folder, f"problem={many}", *words)
            tasks = len(many.split(",")) - len(few.split(","))
            each = (every - first) / tasks
            base = each if name == "local" else base
            said = f"{first:.1f} s for {few.count(',') + 1} tasks"
            said += f", {1000 * (each - base):+,.0f} ms a task against local" if name != "local" else ""
            rows.append(Row(name, wall=f"{1000 * each:,.0f} ms a task", measured=said))
    return Section("One more task on each engine", HOW_ENGINES, rows)


HOW_ENGINES = """\
A task is one optimizer on one problem, ten runs of ten steps, its program in the cache: what is left is tracing, tables
and the engine. The difference of sweeps of more and fewer tasks, divided by the number between. Ray on a cluster of
this machine that the command starts; submitit's local executor, whose jobs are processes that import JAX anew, as jobs
under Slurm do."""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    show(sections(parser.parse_args().quick))
