"""The command `optlab` and the bare kernels by turns in one process; prints JSON for `benchmarks.sweep`.

The command runs as it does when typed, from its words to closed Parquet files: Hydra composes, the
sweep is planned, ids are hashed, runs are computed, tables and the surface are written, the summary is
printed. Modules are imported and XLA's programs compiled by a small sweep before. What the command
spends on compiling once more (tracing, lowering, reading the persistent cache) is measured and given
apart; at that time nothing else runs in the process.
"""

import io
import json
import sys
import tempfile
from contextlib import contextmanager, redirect_stdout

import numpy as np

from benchmarks import bare_kernel
from benchmarks.jobs import STEPS, jobs, words
from benchmarks.spent import Spent, spent
from optlab.app import execute
from optlab.app.main import main
from optlab.cores import cores
from optlab.run import recorded_steps
from optlab.table import load
from optlab.types import Status

LENGTHS = np.diff(recorded_steps(STEPS), prepend=0).astype(np.int32)


def command(points: int, results: str) -> None:
    """The command, in this process. Raises RuntimeError unless it ends with exit code 0."""
    try:
        with redirect_stdout(io.StringIO()):
            main(words(points, results))
    except SystemExit as stop:
        if stop.code:
            raise RuntimeError(f"optlab ended with exit code {stop.code}") from stop


@contextmanager
def compiling_apart():
    """Collects what the command spends on tracing, lowering and compiling the sweep's program."""
    compiled, original = [], execute.prepared

    def timed(*arguments):
        made = []
        compiled.append(spent(lambda: made.append(original(*arguments))))
        return made[0]

    execute.prepared = timed
    try:
        yield compiled
    finally:
        execute.prepared = original


def kernel(which: bare_kernel.Kernel, points: int) -> None:
    """Runs a bare kernel over all jobs; each chunk arrives as NumPy arrays and is dropped."""
    for _ in bare_kernel.chunks(which, jobs(points), LENGTHS, cores()):
        pass


def equal_share(points: int, results: str) -> float:
    """The share of numbers in the tables of a small sweep that the bare kernel returns too, to 1e-9.

    The least share of any column: status, each column of the rows, each of the ladder.
    """
    found = list(bare_kernel.chunks(bare_kernel.full, jobs(points), LENGTHS, cores()))
    trace = {name: np.concatenate([part[name] for part in found]) for name in found[0]}
    tables = load(results)
    names = np.array([status.name for status in Status])
    shares = [np.mean(names[trace["status"][:, -1]] == tables.runs.status)]
    alive = np.diff(trace["step"], axis=1, prepend=-1) > 0  # a run that has ended writes no more rows
    trace |= {"x_0": trace["x"][..., 0], "x_1": trace["x"][..., 1]}
    for name in (
        "step",
        "n_value",
        "n_grad",
        "n_hvp",
        "value",
        "best_value",
        "gap",
        "grad_norm",
        "x_0",
        "x_1",
    ):
        shares.append(np.isclose(trace[name][alive], tables.curves[name], rtol=1e-9, atol=0).mean())
    # Rounding may reach a rung in one that it just misses in the other; each run reaches them from the top down.
    rungs = (
        tables.runs.set_index("run_id").index.get_indexer(tables.targets.run_id),
        tables.targets.groupby("run_id").cumcount(),
    )
    reached = trace["target_step"] >= 0
    reached[rungs] = True
    for name in ("step", "n_value", "n_grad", "n_hvp"):
        ladder = np.full(reached.shape, -1)
        ladder[rungs] = tables.targets[name]
        shares.append(np.mean((ladder == trace[f"target_{name}"])[reached]))
    return float(min(shares))


def measure(points: int, repeats: int) -> dict[str, object]:
    """Everything once small, to import, compile and check; then by turns."""
    with compiling_apart() as compiled, tempfile.TemporaryDirectory() as results:
        command(5, results)
        cold = compiled.pop()
        share = equal_share(5, results)
        kernel(bare_kernel.barest, 5)
        times: dict[str, list[Spent]] = {"command": [], "full": [], "barest": []}
        for repeat in range(repeats):
            times["command"].append(spent(lambda k=repeat: command(points, f"{results}/{k}")))
            times["full"].append(spent(lambda: kernel(bare_kernel.full, points)))
            times["barest"].append(spent(lambda: kernel(bare_kernel.barest, points)))
    return times | {"compiled": compiled, "cold": cold, "equal_share": share}


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2]))))
