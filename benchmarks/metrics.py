"""What all metrics of a report cost: 10,000 runs with a million rows of curves.

`python -m benchmarks.metrics` prints the table; nothing here starts JAX.
"""

import argparse
import resource
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from benchmarks.page import Row, Section, at_most, seconds, show
from optlab import metrics
from optlab.table import Results

HOW = """
20 optimizers x 20 problems x 5 learning rates x 5 seeds, 100 recorded steps each, made up (geometric descent at random
speeds, one run in ten diverges); tables as `optlab.load` returns them, ladder included. Reading them is out. Intervals
are bootstrapped (scores 5,000 draws, others 1,000).
"""
STEPS = 1000


def sections(quick: bool) -> list[Section]:
    """The tables of this file."""
    results = tables(4 if quick else 20, 4 if quick else 20)
    rows, wall, cpu = [], 0.0, 0.0
    for what, call in report(results):
        begun, before = time.perf_counter(), time.process_time()
        call()
        spent, busy = time.perf_counter() - begun, time.process_time() - before
        wall, cpu = wall + spent, cpu + busy
        rows.append(Row(what, seconds(busy), seconds(spent)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    measured = f"{len(results.curves):,} rows, {peak:.2f} GiB at most in memory"
    rows.append(Row("all metrics of a report", seconds(cpu), seconds(wall), measured, at_most(wall, 10, " s")))
    return [Section("All metrics of 10,000 runs", HOW.strip(), rows)]


def report(results: Results) -> list[tuple[str, Callable[[], object]]]:
    """Everything a report shows, in its order; later steps take what earlier ones have found."""
    found: dict[str, pd.DataFrame] = {}
    sizes = pd.Series(10.0, index=results.runs.problem.unique())

    def keep(name: str, call: Callable[[], pd.DataFrame]) -> Callable[[], object]:
        return lambda: found.update({name: call()})

    def profiles() -> None:
        costs = metrics.typical(found["times"])
        metrics.performance_profile(costs), metrics.algoperf_score(costs), metrics.algoperf_score(costs, scale="log")
        relative = metrics.typical(found["relative"], 1e-3)
        metrics.data_profile(relative, sizes), metrics.gradient_profile(relative), metrics.pairwise_profiles(relative)

    def ranks() -> None:
        costs = metrics.typical(found["times"], 1e-2)
        metrics.wilcoxon_holm(costs), metrics.critical_difference(costs)

    def sensitivity() -> None:
        table = metrics.response(results.runs, measure="gap", chance=metrics.initial(results.curves, "gap"))
        metrics.widths(table), metrics.expected_excess(table), metrics.largest_stable(table)
        for _, part in table.groupby(["problem", "optimizer"]):
            metrics.expected_best(part.loss)

    return [
        ("runtimes to 51 targets, from the ladder", keep("times", lambda: metrics.runtimes(results))),
        ("the same in weighted oracle calls", lambda: metrics.runtimes(results, axis="oracle")),
        ("the same from the curves", lambda: metrics.runtimes(results._replace(targets=pd.DataFrame()))),
        ("runtimes to 4 relative targets", keep("relative", lambda: metrics.relative_runtimes(results))),
        ("expected running times", lambda: metrics.expected_running_time(found["times"])),
        ("runtime distributions", lambda: metrics.runtime_ecdf(found["times"], dimensions=sizes)),
        ("profiles and AlgoPerf's scores", profiles),
        ("digits", keep("digits", lambda: metrics.digits(results))),
        ("anytime areas", keep("area", lambda: metrics.anytime_area(results))),
        ("interquartile mean of digits", lambda: metrics.intervals(found["digits"], "digits")),
        ("the same over problems", lambda: metrics.intervals(found["digits"], "digits", resample="problems")),
        ("interquartile mean of areas", lambda: metrics.intervals(found["area"], "area")),
        (
            "probability of improvement, all pairs",
            lambda: metrics.probability_of_improvement(found["digits"], "digits"),
        ),
        ("Wilcoxon, Holm, critical differences", ranks),
        ("rank stability", lambda: metrics.rank_stability(found["times"])),
        ("sensitivity", sensitivity),
        ("best of k, tuned settings", lambda: metrics.tune(results.runs, {0, 1}, measure="gap", chance=1.0)),
    ]


def tables(optimizers: int, problems: int) -> Results:
    """Made-up runs: gap_k = gap_0 exp(-speed k), measured at 100 steps, with the ladder's exact steps."""
    rng = np.random.default_rng(0)
    shape = (optimizers, problems, 5, 5)
    o, p, r, s = (axis.ravel() for axis in np.indices(shape))
    size = len(o)
    speed = rng.lognormal(-5, 1.5, optimizers)[o] * rng.lognormal(0, 1, problems)[p] * rng.lognormal(0, 0.3, size)
    begin = rng.lognormal(2, 1, size)
    lost = rng.random(size) < 0.1 * (r + 1) / 3
    ids = np.array([f"{k:020x}" for k in range(size)])
    step = np.unique(np.geomspace(1, STEPS, 140).astype(int))
    step = np.append(0, step)[np.linspace(0, len(step), 100).astype(int)]
    gap = begin[:, None] * np.exp(-speed[:, None] * step)
    counts = {"n_value": STEPS + 1, "n_grad": STEPS + 1, "n_hvp": 0}
    runs = pd.DataFrame({"run_id": ids, "study": "made_up", "seed": s, "steps": STEPS} | counts)
    runs["problem"], runs["optimizer"] = np.char.add("p", p.astype(str)), np.char.add("o", o.astype(str))
    runs["optimizer.learning_rate"], runs["seconds"] = 10.0 ** (r - 4), rng.uniform(0.1, 0.2, size)
    runs["status"] = np.where(lost, "diverged", "max_steps")
    runs["value"] = runs["best_value"] = runs["gap"] = gap[:, -1]
    at = np.tile(step, size)
    curves = {"run_id": np.repeat(ids, len(step)), "step": at, "n_value": at + 1, "n_grad": at + 1, "n_hvp": 0}
    curves |= {name: gap.ravel() for name in ("value", "best_value", "gap")}
    first = np.maximum(np.ceil(np.log(begin[:, None] / metrics.COCO) / speed[:, None]), 0)
    run, rung = np.nonzero(first <= STEPS)
    exact = first[run, rung].astype(int)
    targets = {"run_id": ids[run], "target": metrics.COCO[rung], "step": exact, "n_value": exact + 1}
    targets |= {"n_grad": exact + 1, "n_hvp": 0}
    none = pd.DataFrame()
    return Results(runs, pd.DataFrame(curves), pd.DataFrame(targets), none, none, none)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.metrics", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    show(sections(parser.parse_args().quick))
