"""Costs and runtimes: what a run had spent when it first came so far, read from stored tables alone."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from optlab import metrics
from optlab.table import Results

NONE = pd.DataFrame()


def results(gaps, *, steps=None, targets=NONE, **columns):
    """One run for each list of gaps, recorded at steps 0, 1, 2, ...; a step is one value and one gradient."""
    runs, curves = [], []
    for k, gap in enumerate(gaps):
        at = np.arange(len(gap)) if steps is None else np.asarray(steps)
        best = np.fmin.accumulate(gap)
        run = {"run_id": f"run{k}", "problem": "bowl", "optimizer": "adam", "seed": k, "status": "max_steps"}
        run |= {"steps": at[-1], "n_value": at[-1] + 1, "n_grad": at[-1] + 1, "n_hvp": 0, "seconds": 2.0}
        runs.append(run | {"value": gap[-1], "best_value": best[-1], "gap": best[-1]})
        counts = {"step": at, "n_value": at + 1, "n_grad": at + 1, "n_hvp": 0}
        curves.append(pd.DataFrame({"run_id": f"run{k}"} | counts | {"value": gap, "best_value": best, "gap": best}))
    return Results(pd.DataFrame(runs).assign(**columns), pd.concat(curves), targets, NONE, NONE, NONE)


def test_metrics_import_neither_jax_nor_matplotlib():
    code = "import sys, optlab.metrics; assert not {'jax', 'optax', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_costs_are_sums_of_weighted_counts():
    frame = pd.DataFrame({"n_value": [3, 1], "n_grad": [2, 1], "n_hvp": [5, 0], "step": [7, 0]})
    assert metrics.cost(frame, "steps").tolist() == [7, 0]
    assert metrics.cost(frame).tolist() == [10, 2]
    assert metrics.cost(frame, "oracle").tolist() == [3 + 2 * 2 + 4 * 5, 3]
    assert metrics.cost(frame, "oracle", weights={"hvp": 10}).tolist() == [50, 0]


def test_measured_weights_belong_to_problems():
    measured = pd.DataFrame({"problem": ["bowl", "hill"], "value": [1.0, 1.0], "gradient": [3.0, 1.5]})
    runs = pd.DataFrame({"run_id": ["a", "b"], "problem": ["hill", "bowl"], "n_value": [1, 1], "n_grad": [2, 2]})
    assert metrics.cost(runs, "oracle", weights=measured).tolist() == [4.0, 7.0]
    curves = pd.DataFrame({"run_id": ["b", "a"], "n_value": [1, 1], "n_grad": [1, 1]})
    assert metrics.cost(curves, "oracle", weights=measured, runs=runs).tolist() == [4.0, 2.5]


def test_a_row_has_its_share_of_the_seconds_of_its_run():
    tables = results([[3.0, 2.0, 1.0, 0.5]])
    found = metrics.cost(tables.curves, "seconds", runs=tables.runs)
    np.testing.assert_allclose(found, [0.5, 1.0, 1.5, 2.0])  # 8 evaluations, 2 at each row, took 2 seconds
    assert metrics.cost(tables.runs, "seconds").tolist() == [2.0]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda t: metrics.cost(t.runs, "evals"), "cost axis 'evals'.*did you mean 'evaluations'"),
        (lambda t: metrics.cost(t.runs, "oracle", weights={"gradients": 2}), "did you mean 'gradient'"),
        (lambda t: metrics.cost(t.runs, "oracle", weights={"value": -1}), "finite number of at least 0"),
        (lambda t: metrics.cost(t.curves, "seconds"), "pass runs="),
        (lambda t: metrics.runtimes(t, []), "at least one"),
        (lambda t: metrics.runtimes(t, [np.nan]), "finite numbers"),
        (lambda t: metrics.runtimes(t, goal="most"), "no goal 'most'"),
        (lambda t: metrics.runtimes(t, measure="gape"), "did you mean 'gap'"),
        (lambda t: metrics.relative_runtimes(t, [2.0]), "between 0 and 1"),
        (lambda t: metrics.runtimes(t._replace(runs=t.runs.assign(gap=np.nan))), "'bowl' has no known minimum"),
        (lambda t: metrics.runtimes(t._replace(runs=t.runs.iloc[:0])), "no runs"),
        (lambda t: metrics.typical(metrics.runtimes(t), 3e-3), "no target '0.003'"),
        (lambda t: metrics.ladder(t, "gap", optimizer="adan"), "did you mean 'adam'"),
    ],
)
def test_bad_input_is_told_in_a_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call(results([[3.0, 1.0]]))


def test_runtimes_are_the_first_recorded_cost_at_or_below_a_target():
    times = metrics.runtimes(results([[200.0, 30.0, 10.0, 10.0]]), [100, 30, 10, 1])
    assert times.target.tolist() == [100, 30, 10, 1]
    assert times.runtime.tolist() == [4, 4, 6, np.inf]  # evaluations 2, 4, 6, 8
    assert times.spent.tolist() == [8] * 4
    assert set(times.source) == {"curves"}


def test_a_target_once_reached_stays_reached():
    values = [5.0, 1.0, 4.0, np.nan]
    tables = results([[9.0] * 4])
    tables = tables._replace(curves=tables.curves.assign(validation_loss=values, validation_accuracy=[0.1, 0.9, 0, 0]))
    assert metrics.runtimes(tables, [2.0], measure="validation_loss", axis="steps").runtime.tolist() == [1]
    most = metrics.runtimes(tables, [0.05, 0.5, 0.95], measure="validation_accuracy", goal="max", axis="steps")
    assert most.runtime.tolist() == [0, 1, np.inf]


def test_the_ladder_is_read_at_its_exact_step():
    stored = {"run_id": "run0", "target": metrics.COCO[:3], "step": [1, 17, 17], "n_value": [2, 18, 18]}
    targets = pd.DataFrame(stored | {"n_grad": [2, 18, 18], "n_hvp": 0})
    tables = results([[200.0, 90.0, 30.0], [200.0, 150.0, 120.0]], steps=[0, 10, 100], targets=targets)
    times = metrics.runtimes(tables, [metrics.COCO[0], metrics.COCO[1], metrics.COCO[5], 35.0], axis="steps")
    first = times[times.run_id == "run0"].set_index("target").sort_index(ascending=False)
    assert first.runtime.tolist() == [1, 17, 100, np.inf]
    assert first.source[35.0] == "curves"  # no rung of the ladder
    assert first.source[metrics.COCO[1]] == "targets"
    assert first.runtime[metrics.COCO[5]] == np.inf  # the exact table says that the run never reached 10
    assert np.isinf(times[times.run_id == "run1"].runtime).all()


def test_stored_and_recorded_runtimes_agree_where_every_step_is_recorded():
    rng = np.random.default_rng(0)
    gaps = np.minimum.accumulate(10.0 ** rng.uniform(-9, 3, (5, 40)), axis=1)
    rows = [(f"run{k}", t, int(np.argmax(g <= t))) for k, g in enumerate(gaps) for t in metrics.COCO if (g <= t).any()]
    targets = pd.DataFrame(rows, columns=["run_id", "target", "step"])
    targets = targets.assign(n_value=targets.step + 1, n_grad=targets.step + 1, n_hvp=0)
    recorded = metrics.runtimes(results(gaps))
    stored = metrics.runtimes(results(gaps, targets=targets))
    assert (stored.source == "targets").mean() > 0.9
    np.testing.assert_array_equal(stored.runtime, recorded.runtime)


def test_rows_may_come_in_any_order_and_runs_in_several_studies():
    tables = results([[200.0, 30.0, 1.0], [50.0, 5.0, 0.1]])
    shuffled = tables._replace(
        runs=pd.concat([tables.runs, tables.runs.assign(study="again")]),
        curves=tables.curves.sample(frac=1, random_state=1),
    )
    pd.testing.assert_frame_equal(metrics.runtimes(shuffled), metrics.runtimes(tables))


def test_a_failed_run_misses_and_is_charged_the_most_that_any_run_spent():
    tables = results([[200.0, 1.0], [200.0, 1.0, 1.0, 1.0]])
    failed = tables.runs.iloc[:1].assign(run_id="lost", status="failed", seed=9)
    failed[["steps", "n_value", "n_grad", "n_hvp", "gap", "best_value"]] = np.nan
    times = metrics.runtimes(tables._replace(runs=pd.concat([tables.runs, failed])), [10.0])
    assert times[times.run_id == "lost"][["runtime", "spent"]].to_numpy().tolist() == [[np.inf, 8.0]]


def test_relative_targets_lie_between_the_start_and_the_best_of_all_runs():
    # f_L = 2 by the second run; tau = 0.1 asks the first for 2 + 0.1 (102 - 2) = 12.
    tables = results([[102.0, 12.5, 12.0, 9.0], [22.0, 4.1, 4.0, 2.0]], problem="bowl")
    times = metrics.relative_runtimes(tables, [0.1, 1e-7], axis="steps")
    assert times.runtime.tolist() == [2, np.inf, 2, 3]
    moved = tables._replace(
        curves=tables.curves.assign(value=tables.curves.value - 7, best_value=tables.curves.best_value - 7),
        runs=tables.runs.assign(best_value=tables.runs.best_value - 7),
    )
    np.testing.assert_array_equal(metrics.relative_runtimes(moved, [0.1, 1e-7], axis="steps").runtime, times.runtime)


def test_unknown_minima_are_observed_over_all_stored_runs():
    tables = results([[7.0, 5.0], [6.0, 3.0]])
    tables = tables._replace(runs=tables.runs.assign(gap=np.nan), curves=tables.curves.assign(gap=np.nan))
    filled = metrics.with_gaps(tables)
    assert filled.runs.gap.tolist() == [2.0, 0.0]
    assert set(filled.runs.minimum_source) == {"observed"}
    assert filled.curves.gap.tolist() == [4.0, 2.0, 3.0, 0.0]
    known = results([[7.0, 5.0]])
    assert metrics.with_gaps(known).runs.gap.tolist() == [5.0]
    assert metrics.with_gaps(known).runs.minimum_source.tolist() == ["known"]


def test_a_ladder_is_the_median_of_the_best_baseline_at_shares_of_its_budget():
    good = [[8.0, 4.0, 2.0, 1.0, 0.5], [9.0, 5.0, 3.0, 2.0, 1.5], [10.0, 6.0, 4.0, 3.0, 2.5]]
    tables = results([*good, [8.0] * 5], optimizer=["adam"] * 3 + ["sgd"])
    table = metrics.ladder(tables, "value", shares=[0.25, 0.5, 1.0])
    assert table.optimizer.unique().tolist() == ["adam"]
    assert table.target.tolist() == [5.0, 3.0, 1.5]
    assert metrics.ladder(tables, "value", optimizer="sgd").target.unique().tolist() == [8.0]
    times = metrics.runtimes(tables, table, measure="value", axis="steps")
    middle = times[times.run_id == "run1"].sort_values("target", ascending=False)
    assert middle.runtime.tolist() == [1, 2, 4]


def test_settings_become_part_of_a_name_where_they_differ():
    runs = pd.DataFrame(
        {
            "problem": ["bowl", "bowl", "hill"], "optimizer": ["adam", "adam", "bfgs"],
            "problem.dim": [2.0, 10.0, 3.0], "problem.start": ["a", "b", "c"],
            "optimizer.learning_rate": [0.1, 0.01, np.nan], "optimizer.b1": [0.9, 0.9, np.nan],
        }
    )  # fmt: skip
    named = metrics.labelled(runs)
    assert named.problem.tolist() == ["bowl dim=2", "bowl dim=10", "hill"]
    assert named.optimizer.tolist() == ["adam learning_rate=0.1", "adam learning_rate=0.01", "bfgs"]
    kept = metrics.labelled(runs, apart_from=["optimizer.learning_rate"])
    assert kept.optimizer.tolist() == ["adam", "adam", "bfgs"]


def test_dimensions_are_stated_or_counted():
    runs = pd.DataFrame(
        {"run_id": list("abc"), "problem": list("pqr"), "optimizer": "o", "problem.dim": [7, None, None]}
    )
    curves = pd.DataFrame({"run_id": list("abc"), "x_0": [1.0, 1.0, None], "x_1": [1.0, 2.0, None]})
    found = metrics.dimensions(runs, curves)
    assert found["p"] == 7
    assert found["q"] == 2
    assert np.isnan(found["r"])


def test_what_was_not_run_is_not_a_miss():
    times = pd.DataFrame({"problem": ["p", "q", "p"], "optimizer": ["a", "a", "b"], "run_id": list("xyz")})
    times = times.assign(target=1.0, runtime=1.0, spent=1.0, seed=0)
    with pytest.raises(ValueError, match="no run of 'b' on 'q'"):
        metrics.typical(times)
    assert metrics.shared(times).problem.tolist() == ["p", "p"]
    assert metrics.typical(metrics.shared(times)).shape == (1, 2)


def test_the_typical_runtime_is_infinite_where_half_of_the_runs_miss():
    times = pd.DataFrame({"run_id": list("abcd"), "seed": range(4), "runtime": [3.0, 1.0, np.inf, 2.0], "spent": 9.0})
    times = times.assign(problem="p", optimizer="o", target=0.5)
    assert metrics.typical(times, 0.5).to_numpy().tolist() == [[2.5]]
    assert metrics.typical(times.assign(runtime=[3.0, 1.0, np.inf, np.inf])).to_numpy().tolist() == [[np.inf]]
