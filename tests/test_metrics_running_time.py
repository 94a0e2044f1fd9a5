"""Expected running times and runtime distributions, by hand and in the limit of many draws."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from optlab import metrics

INF = np.inf


def times(runtime, spent, *, problem="p", optimizer="o", targets=(1.0,)):
    """Runs by their runtimes: `[n]` or `[n, K]`, and what each cost as a whole: `[n]`."""
    cells = np.asarray(runtime, float).reshape(len(spent), -1)
    runs = np.repeat(np.arange(len(spent)), cells.shape[1])
    frame = pd.DataFrame({"run_id": [f"{problem}{optimizer}{k}" for k in runs], "seed": runs})
    frame = frame.assign(problem=problem, optimizer=optimizer, target=np.tile(targets, len(spent)))
    return frame.assign(runtime=cells.ravel(), spent=np.repeat(np.asarray(spent, float), cells.shape[1]))


def test_misses_cost_what_they_spent():
    table = metrics.expected_running_time(times([10, INF, 30, INF], [50, 60, 50, 40])).iloc[0]
    assert table.ert == (10 + 60 + 30 + 40) / 2
    # Mean of hits + (1 - p)/p mean of misses, the other form of METRICS 6.3.
    assert table.ert == 20 + (0.5 / 0.5) * 50
    assert (table.n, table.hits, table.success_rate) == (4, 2, 0.5)
    assert table.note == metrics.TOO_SMALL
    assert np.isnan(table.low)


def test_without_a_hit_the_expectation_is_infinite():
    table = metrics.expected_running_time(times([INF] * 6, [9] * 6)).iloc[0]
    assert (table.ert, table.low, table.high) == (INF, INF, INF)
    assert table.success_low == 0
    assert metrics.expected_running_time(times([INF], [0])).ert[0] == INF  # a run that failed at once
    assert table.success_high == pytest.approx(stats.binomtest(0, 6).proportion_ci(method="wilson").high)


def test_the_interval_is_that_of_a_bootstrap_over_runs():
    rng = np.random.default_rng(0)
    runtime = np.where(rng.random(40) < 0.7, rng.exponential(100, 40), INF)
    paid, hit = np.minimum(runtime, 300), np.isfinite(runtime)
    theirs = stats.bootstrap(
        (paid, hit), lambda t, h, axis: t.sum(axis) / h.sum(axis), paired=True, vectorized=True, n_resamples=20_000,
        method="percentile", rng=np.random.default_rng(1),
    )  # fmt: skip
    ours = metrics.expected_running_time(times(runtime, [300] * 40), draws=20_000).iloc[0]
    # A 2.5 % quantile of 20,000 draws is off by about sqrt(0.025 * 0.975 / 20000) / density, here 0.6 % of ERT.
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.02 * ours.ert)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.02 * ours.ert)


def test_simulated_restarts_have_the_mean_and_law_of_restarting():
    rng = np.random.default_rng(0)
    runtime, spent = np.array([[10.0], [INF], [30.0], [INF], [INF]]), np.array([50.0, 60.0, 50.0, 40.0, 20.0])
    drawn = metrics.simulated_restarts(runtime, spent, 20_000, rng)[0]
    ert = (10 + 60 + 30 + 40 + 20) / 2
    spread = drawn.std() / np.sqrt(len(drawn))
    assert drawn.mean() == pytest.approx(ert, abs=4 * spread)  # four standard errors
    # By the definition: draw runs until a hit.
    by_hand = []
    for _ in range(5_000):
        total = 0.0
        while True:
            k = rng.integers(5)
            total += min(runtime[k, 0], spent[k])
            if np.isfinite(runtime[k, 0]):
                break
        by_hand.append(total)
    assert stats.ks_2samp(drawn, by_hand).pvalue > 1e-3  # one wrong alarm in a thousand, and the seed is fixed


def test_without_misses_a_draw_is_a_run():
    drawn = metrics.simulated_restarts(np.array([[3.0], [7.0]]), np.array([9.0, 9.0]), 1000, np.random.default_rng(0))
    assert set(drawn.ravel()) == {3.0, 7.0}


def test_a_distribution_by_hand():
    both = pd.concat(
        [
            times([[4, 8], [4, 8]], [8, 8], targets=(1.0, 0.1)),
            times([[2, INF], [2, INF]], [8, 8], optimizer="q", targets=(1.0, 0.1)),
            times([[INF, INF]], [8], optimizer="r", targets=(1.0, 0.1)),
        ]
    )
    found = metrics.runtime_ecdf(both, dimensions={"p": 2})
    assert found[found.optimizer == "o"][["cost", "share"]].to_numpy().tolist() == [[2, 0.5], [4, 1.0]]
    assert found[found.optimizer == "q"][["cost", "share"]].to_numpy().tolist() == [[1, 0.5]]
    assert metrics.share_at(found, [0.5, 1, 1e9]).r.tolist() == [0, 0, 0]
    assert metrics.median_budget(both, dimensions={"p": 2}).to_dict() == {"o": 4, "q": 4, "r": 4}
    area = metrics.log_auc(found, 1, 16)
    assert area.to_dict() == pytest.approx({"o": 0.5 * 3 / 4 + 0.5 * 2 / 4, "q": 0.5, "r": 0.0})


def test_what_an_optimizer_draws_does_not_depend_on_the_others_nor_on_the_order_of_rows():
    one = times([5, INF, 9], [20, 30, 20])
    two = pd.concat([times([1, 2, INF], [9, 9, 9], optimizer="a"), one])
    alone = metrics.runtime_ecdf(one)
    beside = metrics.runtime_ecdf(two.sample(frac=1, random_state=3))
    pd.testing.assert_frame_equal(beside[beside.optimizer == "o"].reset_index(drop=True), alone)
    ert = metrics.expected_running_time(pd.concat([one.sample(frac=1, random_state=3)]))
    pd.testing.assert_frame_equal(ert, metrics.expected_running_time(one))


@settings(max_examples=40)
@given(st.lists(st.sampled_from([1.0, 2.0, 5.0, 40.0, INF]), min_size=1, max_size=8), st.integers(-10, 10))
def test_distributions_rise_and_scale_with_the_unit_of_cost(runtime, power):
    frame = times(runtime, [64] * len(runtime))
    found = metrics.runtime_ecdf(frame, draws=20)
    assert (np.diff(found.share) > 0).all()
    assert found.share.iloc[-1] == (1.0 if np.isfinite(runtime).any() else 0.0)
    scaled = frame.assign(runtime=frame.runtime * 2.0**power, spent=frame.spent * 2.0**power)
    again = metrics.runtime_ecdf(scaled, draws=20)
    np.testing.assert_array_equal(again.cost, found.cost * 2.0**power)
    np.testing.assert_array_equal(again.share, found.share)
    first, second = (metrics.expected_running_time(part) for part in (frame, scaled))
    np.testing.assert_array_equal(second.ert, first.ert * 2.0**power)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda t: metrics.runtime_ecdf(t, dimensions={"q": 2}), "dimension of problem 'p' is not known"),
        (lambda t: metrics.runtime_ecdf(t.drop(columns="spent")), "no column 'spent'"),
        (lambda t: metrics.expected_running_time(pd.concat([t, t.iloc[:1]])), "do not have the same targets"),
        (lambda t: metrics.log_auc(metrics.runtime_ecdf(t), 0, 1), "0 < low < high"),
    ],
)
def test_bad_input_is_told_in_a_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call(times([1, 2], [3, 3]))
