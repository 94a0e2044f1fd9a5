"""Digits and anytime areas, by hand, and controls: which tasks tell nothing."""

import numpy as np
import pandas as pd
import pytest

from optlab import metrics
from optlab.metrics.controls import BARE, FAULTY, OPEN, SOUND, WEAK
from optlab.table import Results

NONE = pd.DataFrame()


def results(gaps, costs):
    """One run for each list of gaps, at the same numbers of value evaluations."""
    rows = {"step": np.tile(costs, len(gaps)), "n_value": np.tile(costs, len(gaps)), "n_grad": 0, "n_hvp": 0}
    names = [f"run{k}" for k in range(len(gaps))]
    curves = pd.DataFrame({"run_id": np.repeat(names, len(costs)), **rows, "gap": np.ravel(gaps)})
    runs = pd.DataFrame({"run_id": names, "problem": "p", "optimizer": names, "seed": 0, "status": "max_steps"})
    runs = runs.assign(gap=[gap[-1] for gap in gaps], n_value=costs[-1], n_grad=0, n_hvp=0)
    return Results(runs, curves, NONE, NONE, NONE, NONE)


def test_digits_are_counted_from_the_start_and_clipped():
    found = metrics.digits(results([[100.0, 1.0], [1e-3, 1e-20], [2.0, 2.0], [5.0, 0.0], [0.0, 0.0]], [1, 2]))
    assert found.digits.tolist() == pytest.approx([2, 16, 0, 16, 16], abs=1e-12)


def test_a_failed_run_has_no_digits():
    tables = results([[100.0, 1.0]], [1, 2])
    failed = tables.runs.assign(run_id="lost", status="failed", gap=np.nan)
    assert metrics.digits(tables._replace(runs=pd.concat([tables.runs, failed]))).digits.tolist() == [2, 0]


def test_relative_errors_are_the_least_over_parameters():
    certified = np.array([2.0, -300.0, 0.0])
    estimates = np.array([[2.0, -300.0, 0.0], [2.002, -300.0, 0.0], [2.0, -300.0, 1e-6], [1e3, -300.0, 0.0]])
    # 1e-3 relative in the first, 1e-6 absolute where the certified value is 0; the last is worse than no digit.
    np.testing.assert_allclose(metrics.relative_error_digits(estimates, certified), [11, 3, 6, 0], atol=1e-9)
    with pytest.raises(ValueError, match="3 certified values"):
        metrics.relative_error_digits(np.zeros(2), certified)


def test_the_anytime_area_by_hand():
    # Quality 0 up to 10 evaluations (gap 1e2), 0.5 up to 100 (1e-3), 1 up to 1000 (1e-8): a third of log cost each.
    tables = results([[1e2, 1e-3, 1e-8, 1e-8], [1e2, 1e2, 1e2, 1e-12]], [1, 10, 100, 1000])
    found = metrics.anytime_area(tables)
    np.testing.assert_allclose(found.area, [(0 + 0.5 + 1) / 3, 0], atol=1e-12)
    late = metrics.anytime_area(tables, low=10, high=1e5)
    np.testing.assert_allclose(late.area, [(0.5 + 3) / 4, 2 / 4], atol=1e-12)


def test_the_anytime_area_is_the_mean_over_log_spaced_costs():
    rng = np.random.default_rng(0)
    costs = np.unique(np.geomspace(1, 1000, 30).astype(int))
    gap = np.minimum.accumulate(10.0 ** rng.uniform(-9, 3, len(costs)))
    grid = np.geomspace(1, 1000, 200_001)
    at = gap[np.searchsorted(costs, grid, side="right") - 1]
    mean = np.mean(1 - (np.clip(np.log10(at), -8, 2) + 8) / 10)
    # Each of 30 jumps is placed to within one of 200,000 cells.
    assert metrics.anytime_area(results([gap], costs)).area.iloc[0] == pytest.approx(mean, abs=30 / 200_000)


def test_areas_need_a_range():
    with pytest.raises(ValueError, match="0 < low < high"):
        metrics.anytime_area(results([[1.0, 0.5]], [1, 2]), low=5, high=2)


def controls(**gaps):
    """Final gaps of runs by optimizer, on one problem."""
    rows = [(o, g) for o, each in gaps.items() for g in each]
    frame = pd.DataFrame(rows, columns=["optimizer", "gap"])
    return frame.assign(problem="p", status="max_steps", target_step=np.nan)


@pytest.mark.parametrize(
    ("gaps", "verdict"),
    [
        ({"stay": [0.0], "random_walk": [1.0], "oracle": [0.0]}, FAULTY),
        ({"stay": [1.0, 1e-9], "adam": [0.0]}, FAULTY),  # one start of two is the minimum
        ({"stay": [1.0], "random_walk": [0.0, 1.0], "oracle": [0.0]}, WEAK),
        ({"stay": [1.0], "random_walk": [1.0], "oracle": [1e-3]}, OPEN),
        ({"stay": [1.0], "random_walk": [1.0], "oracle": [1e-9]}, SOUND),
        ({"adam": [0.0]}, BARE),
    ],
)
def test_controls_judge_a_task(gaps, verdict):
    table = metrics.judge_tasks(controls(**gaps))
    assert table.verdict.tolist() == [verdict]


def test_a_run_passes_by_what_is_known_of_its_task():
    runs = pd.concat(
        [
            controls(a=[1e-9, 1e-7]).assign(problem="known"),
            controls(a=[np.nan, np.nan]).assign(problem="stated", target_step=[7, np.nan], status="converged"),
            controls(a=[np.nan, np.nan]).assign(problem="bare", status=["converged", "stalled"]),
        ]
    )
    assert metrics.passed(runs).tolist() == [True, False] * 3


def test_faulty_tasks_come_first_and_names_are_free():
    runs = pd.concat(
        [
            controls(still=[1.0], walk=[1.0], perfect=[0.0]).assign(problem="good"),
            controls(still=[0.0], walk=[1.0], perfect=[0.0]).assign(problem="bad"),
        ]
    )
    table = metrics.judge_tasks(runs, null="still", random_walk="walk", oracle="perfect")
    assert table.problem.tolist() == ["bad", "good"]
    assert table.null.tolist() == [1.0, 0.0]
    with pytest.raises(ValueError, match="three names"):
        metrics.judge_tasks(runs, null="x", random_walk="x")
