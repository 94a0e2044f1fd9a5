"""Exchange: cocopp reads what is written and finds the same ERT and runtimes; AlgoPerf's logs become tables."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from optlab import metrics
from optlab.table import Results

NONE = pd.DataFrame()
TARGETS = [10.0, 1.0, 0.1, 0.01, 1e-3, 1e-8]
RUNS, BUDGET = 15, 300

#: What cocopp makes of a folder: ERT, runtimes and costs of runs, and 3,000 simulated restarts for each target.
COCOPP = """
import contextlib, io, json, sys, warnings
warnings.simplefilter("ignore")
import matplotlib
matplotlib.use("Agg")
import numpy as np
with contextlib.redirect_stdout(io.StringIO()):
    import cocopp
    from cocopp.pproc import DataSetList
    cocopp.genericsettings.verbose = False
    data = DataSetList([sys.argv[1]])
np.random.seed(1)
targets = json.loads(sys.argv[2])
print(json.dumps({
    str(d.funcId): {
        "dim": d.dim, "instances": d.instancenumbers, "ert": list(map(float, d.detERT(targets))),
        "runtime": [list(map(float, row)) for row in d.detEvals(targets)], "spent": list(map(float, d.maxevals)),
        "restarts": [sorted(map(float, row)) for row in d.evals_with_simulated_restarts(targets, samplesize=3000)],
    } for d in data
}))
"""


def searches(seed=0):
    """Random search that shrinks, on two functions in 2-D: a real, small, partly failing data set."""
    rng = np.random.default_rng(seed)
    fns = {"sphere": lambda x: (x**2).sum(-1), "waves": lambda x: (20 + x**2 - 10 * np.cos(2 * np.pi * x)).sum(-1) - 20}
    runs, curves, targets = [], [], []
    for problem, fn in fns.items():
        for k in range(RUNS):
            spread = np.geomspace(4, 10.0 ** rng.uniform(-3, 0), BUDGET)[:, None]
            x = rng.normal(size=(BUDGET, 2)) * spread
            gap = np.minimum.accumulate(fn(x))
            name, n = f"{problem}{k}", np.arange(1, BUDGET + 1)
            run = {
                "run_id": name,
                "problem": problem,
                "optimizer": "shrinking search",
                "seed": k,
                "status": "max_steps",
            }
            run |= {"problem.dim": 2.0, "steps": BUDGET - 1, "n_value": BUDGET, "n_grad": 0, "n_hvp": 0, "seconds": 1.0}
            runs.append(run | {"value": gap[-1] + 7, "best_value": gap[-1] + 7, "gap": gap[-1]})
            rows = {"run_id": name, "step": n - 1, "n_value": n, "n_grad": 0, "n_hvp": 0}
            curves.append(pd.DataFrame(rows | {"value": gap + 7, "best_value": gap + 7, "gap": gap}))
            reached = [(name, t, int(np.argmax(gap <= t))) for t in metrics.COCO if (gap <= t).any()]
            targets.append(pd.DataFrame(reached, columns=["run_id", "target", "step"]))
    ladder = pd.concat(targets, ignore_index=True)
    ladder = ladder.assign(n_value=ladder.step + 1, n_grad=0, n_hvp=0)
    return Results(pd.DataFrame(runs), pd.concat(curves, ignore_index=True), ladder, NONE, NONE, NONE)


@pytest.fixture(scope="module")
def tables():
    return searches()


@pytest.fixture(scope="module")
def theirs(tables, tmp_path_factory):
    (folder,) = metrics.to_coco(tables, tmp_path_factory.mktemp("coco"), functions={"sphere": 1, "waves": 3})
    command = [sys.executable, "-c", COCOPP, str(folder), json.dumps(TARGETS)]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return {"sphere": found["1"], "waves": found["3"]}


def test_cocopp_reads_runs_as_instances(theirs):
    for problem in theirs.values():
        assert problem["dim"] == 2
        assert problem["instances"] == list(range(1, RUNS + 1))


def test_cocopp_finds_the_same_runtimes(tables, theirs):
    times = metrics.runtimes(tables, TARGETS)
    for problem, found in theirs.items():
        part = times[times.problem == problem].pivot(index="seed", columns="target", values="runtime")[TARGETS]
        reached = np.nan_to_num(np.array(found["runtime"]), nan=np.inf)
        np.testing.assert_array_equal(reached, part.to_numpy().T)
    missed = np.isinf(times.runtime)
    assert 0.1 < missed.mean() < 0.9  # hits and misses are both there to be compared
    # COCO lets a run end at its last target, so that only the cost of misses can be compared.
    assert set(times[missed].spent) == {BUDGET}


def test_cocopp_finds_the_same_expected_running_time(tables, theirs):
    ert = metrics.expected_running_time(metrics.runtimes(tables, TARGETS), draws=0)
    for problem, found in theirs.items():
        ours = ert[ert.problem == problem].set_index("target").ert[TARGETS]
        np.testing.assert_allclose(ours, found["ert"], rtol=1e-12)  # whole numbers, summed and divided once


def test_cocopp_finds_the_same_runtime_distribution(tables, theirs):
    times = metrics.runtimes(tables, TARGETS)
    ecdf = metrics.runtime_ecdf(times, draws=3000, seed=1)
    pooled = np.concatenate([row for found in theirs.values() for row in found["restarts"]])
    at = np.geomspace(1, 1e5, 60)
    expected = (np.nan_to_num(pooled, nan=np.inf)[None] <= at[:, None]).mean(axis=1)
    found = metrics.share_at(ecdf, at).iloc[:, 0].to_numpy()
    # Each of twelve (problem, target) pairs is a share of 3,000 draws: its standard deviation is at most
    # 0.5 / sqrt(3000) = 0.009, that of the mean of twelve 0.003, of a difference of two 0.004; four of these.
    np.testing.assert_allclose(found, expected, atol=0.016)
    assert found[-1] < 1  # what no run reached is in the denominator
    solved = np.isfinite(times.groupby(["problem", "target"]).runtime.min()).mean()
    assert ecdf.share.iloc[-1] == pytest.approx(solved)


def test_the_exact_step_is_exported_where_curves_skip_it(tables, tmp_path):
    sparse = tables._replace(curves=tables.curves[tables.curves.step.isin([0, 10, 100, BUDGET - 1])])
    (folder,) = metrics.to_coco(sparse, tmp_path)
    rows = [line.split() for line in (folder / "data_f1/bbobexp_f1_DIM2.dat").read_text().splitlines()]
    first = [row for row in rows[: next(k for k in range(1, len(rows)) if rows[k][0] == "%")] if row[0] != "%"]
    rung = metrics.runtimes(tables, [metrics.COCO[10]]).iloc[0]
    assert int(rung.runtime) not in (1, 11, 101, BUDGET)
    assert next(int(r[0]) for r in first if float(r[2]) <= rung.target * (1 + 1e-9)) == rung.runtime
    info = (folder / "bbobexp_f1.info").read_text()
    assert f"1:{BUDGET}|" in info


def test_f_of_x0_is_known_after_one_evaluation(tables, tmp_path):
    twice = [tables.runs, tables.curves, tables.targets]
    twice = [frame.assign(n_grad=frame.n_value) for frame in twice]  # now a step costs two
    (folder,) = metrics.to_coco(Results(*twice, NONE, NONE, NONE), tmp_path)
    rows = (folder / "data_f1/bbobexp_f1_DIM2.tdat").read_text().splitlines()
    assert [row.split()[0] for row in rows[1:4]] == ["1", "2", "4"]
    assert rows[1].split()[2] == rows[2].split()[2]


def test_iohprofiler_gets_a_block_for_each_run(tables, tmp_path):
    (folder,) = metrics.to_ioh(tables, tmp_path)
    meta = json.loads((folder / "IOHprofiler_f1_sphere.json").read_text())
    assert meta["algorithm"]["name"] == "shrinking search"
    (scenario,) = meta["scenarios"]
    assert [run["instance"] for run in scenario["runs"]] == list(range(1, RUNS + 1))
    assert {run["evals"] for run in scenario["runs"]} == {BUDGET}
    text = (folder / scenario["path"]).read_text()
    assert text.count("evaluations raw_y") == RUNS
    block = text.split("evaluations raw_y\n")[1].split("\n")[:-1]
    last = float(block[-1].split()[1])
    final = tables.runs.gap[tables.runs.run_id == "sphere0"].iloc[0]
    assert last == pytest.approx(final, rel=1e-8)  # ten digits are written
    assert scenario["runs"][0]["best"]["y"] == final
    # iohinspector 0.0.8 takes every key of `best` and begins a run wherever evaluations are 1.
    assert all(set(run["best"]) == {"evals", "x", "y"} for run in scenario["runs"])
    assert [line.split()[0] for line in text.splitlines() if line.split()[0] in ("1", "evaluations")] == [
        "evaluations", "1",
    ] * RUNS  # fmt: skip


def test_benchopt_gets_its_columns(tables):
    frame = metrics.to_benchopt(tables)
    assert frame.columns[:4].tolist() == ["objective_name", "sampling_strategy", "dataset_name", "solver_name"]
    assert {"p_dataset_dim", "idx_rep", "stop_val", "time", "objective_value", "objective_gap"} <= set(frame)
    assert frame.groupby("dataset_name").idx_rep.agg(["min", "max"]).to_numpy().tolist() == [[0, RUNS - 1]] * 2
    last = frame[frame.stop_val == BUDGET - 1]
    assert (last.time == 1.0).all()
    assert len(frame) == len(tables.curves)


def test_algoperf_logs_become_tables(tmp_path):
    head = "accumulated_eval_time,accumulated_submission_time,global_step,score,total_duration,"
    head += "train/loss,validation/accuracy,validation/loss\n"
    for study, trial, rate in (("study_0", 1, 0.01), ("study_0", 2, 0.02), ("study_1", 1, 0.03)):
        rows = [f"0,{10 * k},{100 * k},0,0,{2 - rate * k},{rate * 10 * k},{3 - rate * k}\n" for k in (1, 2, 3)]
        home = tmp_path / "nadamw" / study / "mnist_jax" / f"trial_{trial}"
        home.mkdir(parents=True)
        (home / "eval_measurements.csv").write_text(head + "".join(rows))
    tables = metrics.from_algoperf(tmp_path)
    assert tables.runs[["problem", "optimizer", "seed", "optimizer.trial"]].to_numpy().tolist() == [
        ["mnist", "nadamw", 0, 1], ["mnist", "nadamw", 0, 2], ["mnist", "nadamw", 1, 1],
    ]  # fmt: skip
    goal = {"measure": "validation_accuracy", "goal": "max"}
    assert metrics.runtimes(tables, [0.3], axis="seconds", **goal).runtime.tolist() == [30, 20, 10]
    assert metrics.runtimes(tables, [0.35], axis="steps", **goal).runtime.tolist() == [np.inf, 200, 200]
    assert metrics.runtimes(tables, [0.35], axis="steps", **goal).spent.tolist() == [300] * 3
    with pytest.raises(ValueError, match=r"no eval_measurements.csv"):
        metrics.from_algoperf(tmp_path / "nadamw" / "nothing")


@pytest.mark.parametrize(
    ("change", "functions", "words"),
    [
        ({}, {"sphere": 1}, "problem 'waves' has no function number"),
        ({}, {"sphere": 1, "waves": 1}, "same function number"),
        ({}, {"sphere": 1, "waves": 25}, "functions 1 to 24, none for 'waves'"),
        ({"gap": np.nan}, None, "no known minimum"),
        ({"problem.dim": np.nan}, None, "dimension of problem 'sphere' is not known"),
    ],
)
def test_bad_input_is_told_in_a_sentence(tables, tmp_path, change, functions, words):
    with pytest.raises(ValueError, match=words):
        metrics.to_coco(tables._replace(runs=tables.runs.assign(**change)), tmp_path, functions=functions)
