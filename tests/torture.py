"""Kills a sweep at random moments until it is done, again and again: nothing that was completed may be lost; and lets
two drivers do one sweep together.

`python tests/torture.py [--kills N] [--seed S]`; `make torture` runs 1,000. The driver is forked from a process that
has imported everything, and started nothing, so that a start takes no seconds; a reader beside it loads the tables
without pause.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("OPTLAB_CACHE", str(Path(__file__).parents[1] / ".cache" / "jax"))

import jax  # noqa: F401
import optax  # noqa: F401
import pandas as pd
import pyarrow.parquet as pq

import optlab.app.execute
import optlab.app.study
import optlab.optimizers
import optlab.surfaces  # noqa: F401
from optlab import table
from optlab.app.main import _guarded

SWEEP = [
    "-m", "problem=beale,rosenbrock", "optimizer=adam,gradient_descent,heavy_ball", "steps=60",
    "problem.start=random", "seed=range(0,40)", "optimizer.learning_rate=0.001,0.01",
]  # fmt: skip
RUNS = 2 * 3 * 40 * 2


def child(action) -> int:
    """A process that does something and ends with its result as exit code; its number."""
    number = os.fork()
    if number:
        return number
    code = 99
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = action()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def sweep(results: Path, *words: str) -> int:
    return _guarded([*SWEEP, *words, f"results={results}", "name=study"])


def read_without_pause(results: Path) -> int:
    """Loads the study until the file `stop` is there: whatever is seen is whole, and never less than before.

    It ends with the process that made it, too, which may be killed itself.
    """
    warnings.simplefilter("error")  # a part that cannot be read is a warning
    seen: set[str] = set()
    parent = os.getppid()
    while not (results / "stop").exists() and os.getppid() == parent:
        try:
            found = table.load(results / "study")
        except (FileNotFoundError, table.ForeignFolder):
            continue  # nothing is there yet
        seen = checked(found, seen)
        known = set(found.runs.run_id)
        assert set(found.curves.run_id) <= known if len(found.curves) else True
    return 0


def checked(found: table.Results, before: set[str]) -> set[str]:
    """The runs that are there: all that were, none of them twice."""
    ids = found.runs.run_id
    assert ids.is_unique, "a run is there twice"
    assert before <= set(ids), f"{len(before - set(ids))} completed runs are lost"
    if len(found.curves):
        assert not found.curves.duplicated(["run_id", "step"]).any(), "a row is there twice"
    return set(ids)


def rows_written(results: Path) -> int:
    """Rows of all parts, before `load` leaves out what is there twice."""
    return sum(pq.read_metadata(path).num_rows for path in (results / "study" / "runs").glob("*.parquet"))


def finished(results: Path, reference: pd.DataFrame) -> None:
    """A sweep that came through has the numbers of one that nobody disturbed."""
    runs = table.load(results / "study").runs.set_index("run_id").sort_index()
    assert len(runs) == rows_written(results) == RUNS, f"{len(runs)} of {RUNS} runs, {rows_written(results)} rows"
    assert not (results / "study" / ".locks").exists()
    same = [c for c in reference if c not in ("seconds", "compile_seconds", "program_bytes", "target_seconds")]
    pd.testing.assert_frame_equal(runs[same], reference[same])


def ended_well(number: int) -> bool:
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]) == 0


def together(folder: Path, reference: pd.DataFrame) -> None:
    """Two drivers on one folder finish the same sweep, each run done once; so do one of the first and one of the last
    runs, which have a third of them in common.
    """
    for name, others in (("same", [[], []]), ("parts", [["seed=range(0,27)"], ["seed=range(13,40)"]])):
        drivers = [child(lambda words=words, name=name: sweep(folder / name, *words)) for words in others]
        assert all([ended_well(driver) for driver in drivers])
        finished(folder / name, reference)


def torture(kills: int, seed: int) -> str:
    """Kills so many sweeps; returns what was seen. Raises AssertionError where a promise is broken."""
    rng, ended, killed = random.Random(seed), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        assert ended_well(child(lambda: sweep(Path(folder) / "calm")))
        begun = time.time()
        assert ended_well(child(lambda: sweep(Path(folder) / "warm")))
        length = time.time() - begun
        reference = table.load(Path(folder) / "calm" / "study").runs.set_index("run_id").sort_index()
        together(Path(folder) / "two", reference)
        while killed < kills:
            results = Path(folder) / f"r{ended}"
            results.mkdir()
            reader = child(lambda results=results: read_without_pause(results))
            done: set[str] = set()
            while True:
                driver, moment = child(lambda results=results: sweep(results)), rng.uniform(0, length)
                # Where enough were killed the last one comes through
                code = None if killed < kills else os.waitpid(driver, 0)[1]
                while code is None and moment > 0:
                    time.sleep(min(0.01, moment))
                    moment -= 0.01
                    gone, status = os.waitpid(driver, os.WNOHANG)
                    code = status if gone else None
                if code is None:
                    os.kill(driver, signal.SIGKILL)
                    os.waitpid(driver, 0)
                    killed += 1
                    if killed % 100 == 0:
                        print(f"{killed} kills in {time.time() - begun:.0f} s", file=sys.stderr, flush=True)
                if (results / "study" / "runs").is_dir():
                    try:
                        done = checked(table.load(results / "study"), done)
                    except table.ForeignFolder:
                        assert not done
                if code is not None:
                    assert os.waitstatus_to_exitcode(code) == 0
                    break
            finished(results, reference)
            (results / "stop").touch()
            assert ended_well(reader), "the reader beside it met something"
            ended += 1
    seen = f"{killed} kills in {ended} sweeps of {RUNS} runs ({length:.1f} s undisturbed)"
    return f"{seen}: nothing lost, none twice; two drivers shared one"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(torture(options.kills, options.seed))
    sys.exit(0)
