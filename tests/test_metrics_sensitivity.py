"""Sensitivity and tuning, by hand and against brute force."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from optlab import metrics
from optlab.metrics.sensitivity import RATE

INF = np.inf


def grid(losses, rates=None, *, lost=(), optimizer="sgd", seeds=1, **columns):
    """Runs over learning rates, `seeds` equal ones each; `lost` are places that diverged."""
    rates = 10.0 ** (np.arange(len(losses)) - 3) if rates is None else rates
    rows = []
    for k, (rate, loss) in enumerate(zip(rates, losses, strict=True)):
        for seed in range(seeds):
            row = {"run_id": f"{optimizer}{k}-{seed}", "problem": "net", "optimizer": optimizer, "seed": seed}
            row |= {RATE: rate, "value": np.nan if k in lost else loss}
            rows.append(row | {"status": "diverged" if k in lost else "max_steps"})
    return pd.DataFrame(rows).assign(**columns)


def test_the_response_is_the_interquartile_mean_with_lost_runs_at_chance():
    runs = pd.concat(
        [
            grid([1.0, 2.0], [0.1, 1.0], seeds=1).assign(run_id=lambda f, s=s: f.run_id + str(s), seed=s)
            for s in range(4)
        ]
    )
    runs["value"] = [1.0, 2.0, 1.2, 8.0, 1.4, 2.2, 9.0, np.nan]
    runs["status"] = ["max_steps"] * 7 + ["diverged"]
    table = metrics.response(runs, chance=5.0)
    at = [[1.0, 1.2, 1.4, 9.0], [2.0, 8.0, 2.2, 5.0]]
    np.testing.assert_allclose(table.loss, [stats.trim_mean(v, 0.25) for v in at])
    assert table.lost.tolist() == [0, 0.25]
    assert table.runs.tolist() == [4, 4]


def test_chance_levels_may_be_those_of_runs_or_problems():
    runs = grid([1.0, 1.0, 1.0], lost=[1])
    assert metrics.response(runs, chance={"net": 3.0}).loss.tolist() == [1, 3, 1]
    starts = pd.Series({"sgd0-0": 2.0, "sgd1-0": 7.0, "sgd2-0": 4.0})
    table = metrics.response(runs, chance=starts)
    assert table.loss.tolist() == [1, 7, 1]
    assert table.chance.tolist() == [pytest.approx(13 / 3)] * 3
    # A failed run has no start of its own: the median of the others on the problem.
    assert metrics.response(runs, chance=starts.drop("sgd1-0")).loss.tolist() == [1, 3, 1]
    with pytest.raises(ValueError, match="no chance level for problem 'net'"):
        metrics.response(runs, chance={"other": 1.0})


def test_another_hyperparameter_must_be_fixed():
    runs = grid([1.0, 1.0], **{"optimizer.momentum": [0.0, 0.9]})
    with pytest.raises(ValueError, match=r"optimizer.momentum varies among the runs of 'sgd' on 'net'"):
        metrics.response(runs, chance=1.0)
    named = metrics.labelled(runs, apart_from=[RATE])
    assert metrics.response(named, chance=1.0).optimizer.tolist() == ["sgd momentum=0", "sgd momentum=0.9"]


def test_widths_by_hand():
    # Chance 11, best 1: within 10 % is 2, within 5 % 1.5. Left edge between 5 and 1, right between 1.4 and 3.4.
    table = metrics.response(grid([11, 5, 1, 1.4, 3.4]), chance=11.0)
    wide = metrics.widths(table, tolerances=[0.1, 0.05]).iloc[0]
    assert (wide.best, wide.loss) == (0.1, 1)
    assert wide.width == pytest.approx(0.25 + 1 + 0.3)
    assert wide.low == pytest.approx(10 ** (-1 - 0.25))
    assert wide.high == pytest.approx(10 ** (0 + 0.3))
    narrow = metrics.widths(table, tolerances=[0.05]).iloc[0]
    assert narrow.width == pytest.approx(0.125 + 1 + 0.05)
    assert not (wide.left_censored or wide.right_censored)


def test_widths_are_flagged_where_the_grid_cuts_them():
    left = metrics.widths(metrics.response(grid([1, 1, 5, 9]), chance=9.0)).iloc[0]
    assert (left.left_censored, left.right_censored) == (True, False)
    right = metrics.widths(metrics.response(grid([9, 5, 1]), chance=9.0)).iloc[0]
    assert (right.left_censored, right.right_censored) == (False, True)
    apart = metrics.widths(metrics.response(grid([1, 9, 1.001, 9]), chance=9.0)).iloc[0]
    assert apart.high < 0.01  # the second valley is not connected


def test_what_never_learns_is_not_tolerant():
    row = metrics.widths(metrics.response(grid([9, 9, 9]), chance=9.0)).iloc[0]
    assert np.isnan(row.width)
    flat = metrics.areas(_map(np.full((3, 3), 9.0)), RATE, "optimizer.momentum").iloc[0]
    assert np.isnan(flat.area)


def test_widths_in_time_end_where_nothing_can_be_interpolated():
    table = pd.DataFrame({"problem": "net", "optimizer": "sgd", RATE: 10.0 ** np.arange(-4, 1)})
    table = table.assign(runtime=[500.0, 300.0, 100.0, 150.0, INF])
    row = metrics.time_widths(table).iloc[0]
    assert row.low == pytest.approx(10 ** (-2 - 0.5))
    assert row.high == pytest.approx(0.1)
    assert not row.right_censored
    never = metrics.time_widths(table.assign(runtime=INF)).iloc[0]
    assert np.isnan(never.width)


def test_expected_excess_is_an_integral_over_log_rates():
    table = metrics.response(grid([5, 1, 3, 40]), chance=11.0)
    row = metrics.expected_excess(table, low=1e-3, high=1.0).iloc[0]
    assert row.excess == pytest.approx(((5 + 1) / 2 + (1 + 3) / 2 + (3 + 11) / 2) / 3 - 1)
    assert not (row.left_censored or row.right_censored)
    default = metrics.expected_excess(table).iloc[0]
    assert (default.low, default.high) == pytest.approx((0.01 / 10**1.5, 0.01 * 10**1.5))
    # Half a decade below the grid the first value goes on.
    assert default.excess == pytest.approx((0.5 * 5 + (5 + 1) / 2 + (1 + 3) / 2 + (3 + 7) / 2 * 0.5) / 3 - 1)
    assert (default.left_censored, default.right_censored) == (True, False)


def test_the_largest_stable_rate_is_compared_with_theory():
    """Gradient descent on a quadratic diverges above 2 / lambda_max."""
    rates = np.geomspace(0.01, 1, 41)
    final = np.abs(1 - rates * 10.0) ** 50
    runs = grid(final, rates, lost=np.flatnonzero(final > 1), seeds=3)
    found = metrics.largest_stable(metrics.response(runs, chance=1.0), bound={"net": metrics.stability_bound(10.0)})
    assert found.bound.tolist() == [0.2]
    assert 10 ** (-2 / 40) <= found.ratio[0] <= 1  # within one step of the grid
    assert not found.right_censored[0]
    assert metrics.stability_bound(10.0, momentum=0.9) == pytest.approx(0.38)
    with pytest.raises(ValueError, match="lambda_max > 0"):
        metrics.stability_bound(0.0)


def test_a_rate_is_stable_from_95_percent_on():
    table = pd.DataFrame({"problem": "net", "optimizer": "sgd", RATE: [0.1, 1.0, 10.0], "lost": [0.0, 0.05, 0.06]})
    assert metrics.largest_stable(table).largest.tolist() == [1.0]
    assert np.isnan(metrics.largest_stable(table.assign(lost=1.0)).largest[0])


def _map(losses):
    y, x = np.indices(losses.shape)
    frame = pd.DataFrame(
        {RATE: 10.0 ** x.ravel(), "optimizer.momentum": 10.0 ** (y.ravel() / 2), "loss": losses.ravel()}
    )
    return frame.assign(problem="net", optimizer="sgd", chance=9.0)


def test_areas_by_hand():
    losses = np.full((4, 5), 9.0)
    losses[1, 1:4] = [1.1, 1.0, 1.2]
    losses[2, 2] = 1.3
    row = metrics.areas(_map(losses), RATE, "optimizer.momentum", tolerances=[0.05]).iloc[0]
    assert row.area == pytest.approx(4 * 1 * 0.5)  # four cells of one decade by half a decade
    assert not row.censored
    losses[0, 2] = 1.0
    edge = metrics.areas(_map(losses), RATE, "optimizer.momentum", tolerances=[0.05]).iloc[0]
    assert edge.area == pytest.approx(4 * 0.5 + 0.25)  # a cell at the border is half as tall
    assert edge.censored
    with pytest.raises(ValueError, match="no whole grid"):
        metrics.areas(_map(losses).iloc[1:], RATE, "optimizer.momentum")


@settings(max_examples=25)
@given(st.lists(st.floats(-100, 100), min_size=1, max_size=7))
def test_the_expected_best_is_the_mean_over_all_subsets(scores):
    table = metrics.expected_best(scores, draws=0)
    by_force = [np.mean([min(s) for s in combinations(scores, k)]) for k in range(1, len(scores) + 1)]
    # Weights come from logarithms of factorials: 1e-13 relative, times values of up to 100.
    np.testing.assert_allclose(table.expected, by_force, atol=1e-10)


def test_the_band_of_the_best_narrows_and_few_settings_have_none():
    scores = np.random.default_rng(0).exponential(size=60)
    table = metrics.expected_best(scores)
    assert (table.low <= table.expected).iloc[:30].all()
    assert (table.high >= table.expected).iloc[:30].all()
    mean = stats.bootstrap((scores,), np.mean, method="percentile", n_resamples=5000, rng=np.random.default_rng(1))
    # The best of one is the mean: quantiles of 1,000 draws scatter by 0.1 standard errors, here 0.13; three of them.
    assert table.low[0] == pytest.approx(mean.confidence_interval.low, abs=0.04)
    assert table.high[0] == pytest.approx(mean.confidence_interval.high, abs=0.04)
    assert metrics.expected_best([1.0, 2.0]).note.tolist() == ["n too small"] * 2
    assert np.isfinite(metrics.expected_best(np.arange(2000.0), draws=0).expected).all()  # no overflow
    with pytest.raises(ValueError, match="chance level"):
        metrics.expected_best([1.0, INF])


def test_trials_to_reach_the_best():
    table = metrics.expected_best([1.0, 1.0, 2.0, 2.0], draws=0)
    # E: 1.5, then 1 + 1/6 = 1.167, then 1, 1.
    assert metrics.trials_to_reach(table) == 3
    assert metrics.trials_to_reach(table, 0.2) == 2
    assert metrics.trials_to_reach(table, 0.5) == 1


def tuned_runs():
    """The rate 1 is best on seed 0 by luck, the rate 0.1 on the others."""
    runs = pd.concat([grid([3.0, 1.0, 2.0], [0.01, 0.1, 1.0]).assign(seed=s) for s in range(3)], ignore_index=True)
    runs["run_id"] = [f"r{k}" for k in range(len(runs))]
    runs.loc[(runs.seed == 0) & (runs[RATE] == 1.0), "value"] = 0.1
    return runs


def trials(losses, chosen_by=None, problem="p", optimizer="sgd"):
    rows = pd.DataFrame({"problem": problem, "optimizer": optimizer, "loss": np.asarray(losses, float)})
    return rows.assign(chosen_by=rows.loss if chosen_by is None else np.asarray(chosen_by, float))


def test_a_tuning_curve_is_the_mean_over_all_subsets_of_what_was_chosen_and_over_problems():
    rng = np.random.default_rng(0)
    drawn = {p: rng.random((2, n)) for p, n in (("p", 5), ("q", 6))}
    table = pd.concat([trials(*pair, problem=p) for p, pair in drawn.items()])
    found = metrics.tuning_curves(table, by="chosen_by", draws=0)
    for k in range(1, 6):
        each = []
        for loss, by in drawn.values():
            subsets = combinations(range(len(loss)), k)
            each.append(np.mean([loss[min(s, key=lambda i: by[i])] for s in subsets]))
        # Sums of at most 20 numbers in [0, 1), weights from exponentials of log-gammas: a few rounding errors each.
        assert found.expected[k - 1] == pytest.approx(np.mean(each), rel=1e-12)
    assert found.k.tolist() == [1, 2, 3, 4, 5]


def test_settings_that_tie_are_chosen_alike_and_rows_may_come_in_any_order():
    found = metrics.tuning_curves(trials([0.2, 0.4, 0.9], [1, 1, 2]), by="chosen_by", draws=0)
    # k = 1: the mean; k = 2: {0.2, 0.4} by lot, or with 0.9 the other one; k = 3: one of the two by lot.
    np.testing.assert_allclose(found.expected, [0.5, 0.3, 0.3], rtol=1e-12)
    table = trials(np.arange(8.0), [3, 3, 1, 2, 2, 5, 5, 5])
    shuffled = table.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(
        metrics.tuning_curves(shuffled, by="chosen_by"), metrics.tuning_curves(table, by="chosen_by")
    )


def test_by_its_own_losses_the_curve_of_one_problem_is_the_expected_best():
    losses = np.random.default_rng(1).random(9)
    one, other = metrics.tuning_curves(trials(losses), draws=4000), metrics.expected_best(losses, draws=4000)
    np.testing.assert_allclose(one.expected, other.expected, rtol=1e-12)
    # Two bootstraps of 4,000: a 2.5 % quantile has a standard error near sqrt(0.025 x 0.975 / 4000) = 0.0025 in
    # probability, which is less than 0.02 in losses spread over [0, 1].
    np.testing.assert_allclose(one[["low", "high"]], other[["low", "high"]], atol=0.02)
    assert (metrics.tuning_curves(trials([1, 2, 3, 4])).note == metrics.TOO_SMALL).all()
    with pytest.raises(ValueError, match="must be finite"):
        metrics.tuning_curves(trials([1.0, INF]))


def test_schedules_are_settings_and_no_repeats():
    runs = grid([3.0, 1.0, 2.0], [0.01, 0.1, 1.0]).assign(seed=0)
    runs = pd.concat([
        runs.assign(schedule="constant", **{"schedule.end": np.nan}),
        runs.assign(schedule="cosine", value=runs.value / 2, **{"schedule.end": 0.0}),
    ], ignore_index=True)  # fmt: skip
    runs = pd.concat([runs, runs.assign(seed=1)], ignore_index=True)
    runs["run_id"] = [f"r{k}" for k in range(len(runs))]
    best = metrics.tune(runs, {0}, chance=9.0)
    assert (best.schedule[0], best[RATE][0], best.tried[0]) == ("cosine", 0.1, 6)
    assert metrics.scored(runs, best, {0}, "schedule").value.tolist() == [0.5]
    with pytest.raises(ValueError, match="schedule varies"):
        metrics.response(runs, chance=9.0)
    named = metrics.labelled(runs, apart_from=[RATE])
    assert set(named.optimizer) == {"sgd schedule=constant", "sgd schedule=cosine"}
    assert metrics.labelled(runs, apart_from=metrics.setting_columns(runs)).optimizer.unique().tolist() == ["sgd"]


def test_a_setting_is_chosen_by_tuning_seeds_and_scored_by_the_others():
    choice = metrics.tune(tuned_runs(), {0}, chance=9.0)
    assert choice[RATE].tolist() == [1.0]
    assert choice.loss.tolist() == [0.1]
    assert choice.edge.tolist() == ["learning_rate"]
    rows = metrics.scored(tuned_runs(), choice, {0}, "tuned")
    assert rows.value.tolist() == [2.0, 2.0]  # what it is worth without the luck
    assert set(rows.protocol) == {"tuned"}
    inner = metrics.tune(tuned_runs(), {1, 2}, chance=9.0)
    assert inner[RATE].tolist() == [0.1]
    assert inner.edge.tolist() == [""]
    default = metrics.scored(tuned_runs(), pd.DataFrame({"optimizer": ["sgd"], RATE: [0.01]}), {0}, "default")
    assert default.value.tolist() == [3.0, 3.0]


def test_a_budget_limits_the_settings_tried():
    found = [metrics.tune(tuned_runs(), {1}, chance=9.0, budget=1, seed=s)[RATE][0] for s in range(20)]
    assert set(found) == {0.01, 0.1, 1.0}
    table = metrics.tune(tuned_runs(), {1}, chance=9.0, budget=2)
    assert table[["tried", "of"]].to_numpy().tolist() == [[2, 3]]
    shuffled = tuned_runs().sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(metrics.tune(shuffled, {1}, chance=9.0, budget=2), table)


def test_a_setting_that_diverges_is_not_chosen():
    runs = tuned_runs()
    runs.loc[runs[RATE] == 0.1, "status"] = "diverged"
    assert metrics.tune(runs, {1, 2}, chance=9.0)[RATE].tolist() == [1.0]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: metrics.tune(tuned_runs(), {7}, chance=1.0), "no seed is left for tuning; the seeds are 0, 1, 2"),
        (lambda: metrics.tune(tuned_runs(), {0, 1, 2}, chance=1.0), "no seed is left for scoring"),
        (lambda: metrics.tune(tuned_runs(), {0}, chance=1.0, budget=0), "at least 1"),
        (lambda: metrics.tune(tuned_runs(), {0}, chance=1.0, measure="vlaue"), "did you mean 'value'"),
        (
            lambda: metrics.scored(tuned_runs(), pd.DataFrame({"optimizer": ["sgd"], RATE: [5.0]}), {0}, "x"),
            "'sgd' has no run with this setting",
        ),
        (lambda: metrics.response(tuned_runs(), "optimizer.learning_rat", chance=1.0), "did you mean"),
        (lambda: metrics.expected_excess(metrics.response(grid([1, 2]), chance=3.0), low=2, high=1), "0 < low < high"),
        (lambda: metrics.widths(metrics.response(grid([1, 2], [0.0, 1.0]), chance=3.0)), "positive"),
        (lambda: metrics.trials_to_reach(metrics.expected_best([1.0]), -1), "at least 0"),
    ],
)
def test_bad_input_is_told_in_a_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()
