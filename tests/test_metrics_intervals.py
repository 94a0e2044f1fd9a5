"""Inference against independent implementations: rliable, SciPy, and by hand."""

import numpy as np
import pandas as pd
import pytest
import rliable.metrics as rliable
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from optlab import metrics


def scores(cells, optimizer="a"):
    """A row for each run from a matrix `[runs, problems]`, as rliable has it."""
    cells = np.asarray(cells, float)
    run, problem = np.indices(cells.shape)
    frame = pd.DataFrame(
        {"problem": [f"p{k:02}" for k in problem.ravel()], "optimizer": optimizer, "seed": run.ravel()}
    )
    return frame.assign(score=cells.ravel())


def two(seed=0, n=10, m=8, problems=6, lead=0.4):
    rng = np.random.default_rng(seed)
    difficulty = rng.normal(0, 3, problems)
    return rng.normal(difficulty + lead, 1, (n, problems)), rng.normal(difficulty, 1, (m, problems))


@pytest.mark.parametrize("shape", [(5, 1), (7, 3), (10, 26), (6, 4)])
def test_the_pooled_scores_are_those_of_rliable(shape):
    cells = np.random.default_rng(shape[0]).normal(size=shape)
    ours = {s: metrics.intervals(scores(cells), "score", statistic=s, draws=10).score[0] for s in ("iqm", "mean")}
    # The same few numbers, summed in another order.
    assert ours["iqm"] == pytest.approx(rliable.aggregate_iqm(cells), abs=1e-13)
    assert ours["mean"] == pytest.approx(rliable.aggregate_mean(cells), abs=1e-13)
    assert metrics.interquartile_mean(cells.ravel()) == pytest.approx(rliable.aggregate_iqm(cells), abs=1e-13)


def test_the_probability_of_improvement_is_that_of_rliable():
    x, y = two()
    x[0, 0], x[:, 2] = y[0, 0], np.round(x[:, 2])  # ties
    y[:, 2] = np.round(y[:, 2])
    frame = pd.concat([scores(x, "x"), scores(y, "y")])
    (row,) = metrics.probability_of_improvement(frame, "score").to_dict("records")
    assert (row["first"], row["second"]) == ("x", "y")
    assert row["probability"] == pytest.approx(rliable.probability_of_improvement(x, y), abs=1e-12)
    assert row["low"] < row["probability"] < row["high"]
    turned = metrics.probability_of_improvement(frame, "score", goal="min").probability[0]
    assert turned == pytest.approx(1 - row["probability"], abs=1e-12)


def test_the_interval_of_a_probability_is_that_of_a_stratified_bootstrap():
    x, y = two(n=12, m=9)
    frame = pd.concat([scores(x, "x"), scores(y, "y")])
    row = metrics.probability_of_improvement(frame, "score", draws=4000).iloc[0]
    rng = np.random.default_rng(5)
    again = []
    for _ in range(2000):
        columns = [(rng.choice(a, len(a)), rng.choice(b, len(b))) for a, b in zip(x.T, y.T, strict=True)]
        again.append(np.mean([(a[:, None] > b).mean() for a, b in columns]))
    low, high = np.quantile(again, [0.025, 0.975])
    # Quantiles of 2,000 draws: sqrt(0.025 * 0.975 / 2000) / density is about 0.06 of the spread of 0.05.
    assert row.low == pytest.approx(low, abs=0.012)
    assert row.high == pytest.approx(high, abs=0.012)


@pytest.mark.parametrize("statistic", ["iqm", "median", "mean"])
def test_the_stratified_interval_is_that_of_scipy(statistic):
    cells = np.random.default_rng(3).gamma(2, 1, (12, 4))
    of = {"iqm": lambda v, axis: stats.trim_mean(v, 0.25, axis=axis), "median": np.median, "mean": np.mean}[statistic]
    theirs = stats.bootstrap(
        tuple(cells.T), lambda *parts, axis: of(np.concatenate(parts, axis=axis), axis=axis), vectorized=True,
        n_resamples=10_000, method="percentile", rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    ours = metrics.intervals(scores(cells), "score", statistic=statistic, draws=10_000).iloc[0]
    # 2.5 % quantiles of 10,000 draws scatter by 0.03 standard deviations of the statistic: a difference of two, x 4.
    spread = (theirs.high - theirs.low) / 4
    assert ours.low == pytest.approx(theirs.low, abs=0.15 * spread)
    assert ours.high == pytest.approx(theirs.high, abs=0.15 * spread)


def test_resampling_problems_too_is_less_sure():
    cells = np.random.default_rng(0).normal(np.arange(8) * 3, 0.1, (6, 8))
    runs = metrics.intervals(scores(cells), "score", statistic="mean").iloc[0]
    wider = metrics.intervals(scores(cells), "score", statistic="mean", resample="problems").iloc[0]
    assert wider.score == runs.score
    # The problems' own spread is 6.9: the standard error of a mean of eight is 2.4, that within problems 0.014.
    deviation = np.std(np.arange(8) * 3) / np.sqrt(8)
    assert (wider.high - wider.low) / (2 * 1.96) == pytest.approx(deviation, rel=0.1)  # normal enough with 8
    assert runs.high - runs.low < 0.1


def test_the_covering_rate_of_the_interval_is_as_stated():
    rng = np.random.default_rng(0)
    rows = [scores(rng.normal(size=(20, 2)), f"o{k:03}") for k in range(300)]
    table = metrics.intervals(pd.concat(rows), "score", statistic="mean", draws=500)
    inside = ((table.low <= 0) & (table.high >= 0)).mean()
    # 95 % less what a percentile interval of 40 values lacks (1 %); the rate of 300 scatters by 1.3 %.
    assert 0.90 <= inside <= 0.99


def test_fewer_than_five_runs_have_no_interval():
    few = pd.concat([scores(np.ones((4, 3)), "a"), scores(np.zeros((4, 3)), "b")])
    table = metrics.intervals(few, "score")
    assert table.note.tolist() == ["n too small"] * 2
    assert table.low.isna().all()
    pair = metrics.probability_of_improvement(few, "score").iloc[0]
    assert (pair.probability, pair.note) == (1.0, "n too small")
    assert np.isnan(pair.low)
    assert metrics.paired_differences(few, "score", "a", "b").note.tolist() == ["n too small"] * 3
    assert metrics.beats(np.zeros(4), np.ones(4)).note == "n too small"
    assert not metrics.reaches(np.zeros(4), 1).holds


def test_medians_bear_infinite_scores():
    cells = np.ones((7, 2))
    cells[:2] = np.inf
    row = metrics.intervals(scores(cells), "score", statistic="median").iloc[0]
    assert (row.score, row.low) == (1.0, 1.0)
    with pytest.raises(ValueError, match="only a median bears infinities"):
        metrics.intervals(scores(cells), "score")


def test_wilson_intervals_are_those_of_scipy():
    k, n = np.array([0, 1, 5, 9, 10, 77]), np.array([10, 10, 10, 10, 10, 100])
    low, high = metrics.wilson(k, n, 0.9)
    theirs = [stats.binomtest(int(a), int(b)).proportion_ci(0.9, method="wilson") for a, b in zip(k, n, strict=True)]
    np.testing.assert_allclose(low, [t.low for t in theirs], atol=1e-14)
    np.testing.assert_allclose(high, [t.high for t in theirs], atol=1e-14)
    with pytest.raises(ValueError, match="between 0 and n"):
        metrics.wilson(np.array([3]), np.array([2]))


def test_paired_differences_are_students():
    x, y = two(n=9, m=9, problems=2)
    frame = pd.concat([scores(x, "x"), scores(y, "y").sample(frac=1, random_state=0)])
    table = metrics.paired_differences(frame, "score", "x", "y")
    for k, row in table.iterrows():
        theirs = stats.ttest_rel(x[:, k], y[:, k]).confidence_interval(0.95)
        np.testing.assert_allclose([row["low"], row["high"]], theirs, rtol=1e-10)  # two ways to one formula
    with pytest.raises(ValueError, match="several runs of one seed"):
        metrics.paired_differences(pd.concat([frame, frame]), "score", "x", "y")


def test_a_difference_is_claimed_only_where_it_holds():
    first, second = np.array([1.0, 1.1, 0.9, 1.0, 1.0]), np.array([1.3, 1.4, 1.2, 1.3, 1.3])
    sigma = metrics.pooled_deviation(first, second)
    assert sigma == pytest.approx(np.sqrt((np.var(first, ddof=1) + np.var(second, ddof=1)) / 2))
    claim = metrics.beats(first, second)
    assert claim.holds
    assert claim.statistic == pytest.approx(0.3 / np.sqrt(2 / 5) / sigma)
    # The pooled t statistic, which SciPy has.
    assert claim.statistic == pytest.approx(stats.ttest_ind(second, first).statistic)
    assert not metrics.beats(second, first).holds
    assert metrics.beats(second, first, goal="max").holds
    assert not metrics.beats(first, second, sigma=0.2).holds  # 0.3 / sqrt(0.4) / 0.2 = 2.4 < 3.09
    assert metrics.reaches(first, 1.1).statistic == pytest.approx(0.1 * np.sqrt(5) / np.std(first, ddof=1))
    assert metrics.reaches(first, 1.1).holds
    assert not metrics.reaches(first, 1.05).holds


def test_scores_are_normalized_by_problem():
    frame = scores([[0.0, 10.0], [1.0, 30.0]])
    low, high = pd.Series({"p00": 0.0, "p01": 10.0}), pd.Series({"p00": 2.0, "p01": 50.0})
    assert metrics.normalized(frame, "score", low, high).score.tolist() == [0, 0, 0.5, 0.5]
    with pytest.raises(ValueError, match="'p00' has no range"):
        metrics.normalized(frame, "score", low, low)


@settings(max_examples=12)
@given(st.integers(0, 10**6), st.integers(5, 8), st.integers(1, 4))
def test_the_order_of_rows_does_not_matter(seed, runs, problems):
    cells = np.random.default_rng(seed).normal(size=(runs, problems))
    frame = pd.concat([scores(cells, "a"), scores(cells[::-1] + 0.1, "b")])
    shuffled = frame.sample(frac=1, random_state=seed)
    for call in (metrics.intervals, metrics.probability_of_improvement):
        pd.testing.assert_frame_equal(call(shuffled, "score", draws=50), call(frame, "score", draws=50))
