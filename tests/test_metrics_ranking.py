"""Orders of optimizers: SciPy's tests, Holm by hand and by statsmodels, Demsar's example, stability."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from optlab import metrics

INF = np.inf

#: Demsar (2006), table 6: accuracies of C4.5 and three variants on 14 data sets. In voting two print the same and are
#: ranked apart: the second of them is lowered by a digit that is not printed.
DEMSAR = """
0.763 0.768 0.771 0.798  0.599 0.591 0.590 0.569  0.954 0.971 0.968 0.967  0.628 0.661 0.654 0.657
0.882 0.888 0.886 0.898  0.936 0.931 0.916 0.931  0.661 0.668 0.609 0.685  0.583 0.583 0.563 0.625
0.775 0.838 0.866 0.875  1.000 1.000 1.000 1.000  0.940 0.962 0.965 0.962  0.619 0.666 0.614 0.669
0.972 0.981 0.975 0.9749 0.957 0.978 0.946 0.970
"""


def table(cells):
    cells = np.asarray(cells, float)
    index = pd.Index([f"p{k:02}" for k in range(len(cells))], name="problem")
    return pd.DataFrame(cells, index, list("abcdefgh")[: cells.shape[1]])


def test_demsars_example():
    accuracy = np.array(DEMSAR.split(), float).reshape(14, 4)
    found = metrics.critical_difference(1 - table(accuracy))
    assert found.ranks[list("abcd")].round(3).tolist() == [3.143, 2.000, 2.893, 1.964]  # his table, last row
    assert found.difference == pytest.approx(2.569 * np.sqrt(4 * 5 / (6 * 14)), abs=1e-3)  # q of his table 5
    assert found.p == pytest.approx(stats.friedmanchisquare(*accuracy.T).pvalue)
    assert [set(group) for group in found.groups] == [set("abcd")]
    stricter = metrics.critical_difference(1 - table(np.tile(accuracy, (4, 1))))
    assert [set(group) for group in stricter.groups] == [{"b", "d"}, {"a", "c"}]


def test_wilcoxon_is_scipys_and_holm_is_statsmodels():
    rng = np.random.default_rng(0)
    costs = table(rng.lognormal([0, 0.3, 1, 1.2], 1, (12, 4)))
    found = metrics.wilcoxon_holm(costs)
    theirs = [stats.wilcoxon(costs[a], costs[b]).pvalue for a, b in zip(found["first"], found["second"], strict=True)]
    np.testing.assert_allclose(found.p, theirs)
    np.testing.assert_allclose(found.p_holm, multipletests(theirs, method="holm")[1])
    assert (found.wins + found.losses + found.ties == found.problems).all()


def test_holm_by_hand():
    # Sorted 0.01 x 4, 0.02 x 3, 0.03 x 2 (raised to 0.06 before it), 0.5 x 1.
    np.testing.assert_allclose(metrics.holm([0.03, 0.01, 0.5, 0.02]), [0.06, 0.04, 0.5, 0.06])
    np.testing.assert_allclose(metrics.holm([0.9, 0.8]), [1.0, 1.0])


def test_misses_count_as_larger_than_all_and_two_as_a_tie():
    costs = table([[1, INF], [2, INF], [3, INF], [4, INF], [5, INF], [6, 5.5], [INF, INF], [2, 2]])
    row = metrics.wilcoxon_holm(costs).iloc[0]
    assert (row.wins, row.losses, row.ties) == (5, 1, 2)
    assert row.better == "a"
    # The same ranks: five large differences one way, the smallest the other, ties dropped.
    assert row.p == pytest.approx(stats.wilcoxon([-9, -9, -9, -9, -9, 0.5, 0, 0]).pvalue)
    alike = metrics.wilcoxon_holm(table(np.ones((6, 2)))).iloc[0]
    assert (alike.p, alike.better) == (1.0, "")


@pytest.mark.parametrize("n", [5, 6, 7, 8, 9])
def test_ties_among_few_problems_have_scipys_exact_law(n):
    away = np.random.default_rng(n).choice([-3, -2, -1, 0, 1, 2, 3, 4.0], n)
    row = metrics.wilcoxon_holm(table(np.stack([5 + away, np.full(n, 5.0)], axis=1))).iloc[0]
    assert row.p == pytest.approx(stats.wilcoxon(away).pvalue, abs=1e-12)  # it goes through all signs


def test_few_problems_have_no_test():
    row = metrics.wilcoxon_holm(table([[1, 2], [3, 4]])).iloc[0]
    assert row.note == "n too small"
    assert np.isnan(row.p)
    assert metrics.critical_difference(table([[1, 2], [3, 4]])).note == "n too small"


def test_targets_of_one_problem_are_no_independent_evidence():
    costs = table(np.ones((6, 2)))
    pairs = pd.concat({"p": costs.reset_index(drop=True)}, names=["problem", "target"])
    for test in (metrics.wilcoxon_holm, metrics.critical_difference):
        with pytest.raises(ValueError, match="no independent evidence"):
            test(pairs)
    with pytest.raises(ValueError, match="at least two optimizers"):
        metrics.critical_difference(costs[["a"]])


@settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_the_order_of_problems_and_optimizers_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    costs = table(rng.choice([1.0, 2.0, 3.0, INF], (7, 3)))
    shuffled = costs.sample(frac=1, random_state=seed)[["c", "a", "b"]]
    first, second = metrics.critical_difference(costs), metrics.critical_difference(shuffled)
    pd.testing.assert_series_equal(first.ranks.sort_index(), second.ranks.sort_index())
    assert first.difference == second.difference
    p = {frozenset(row[:2]): row[2] for row in metrics.wilcoxon_holm(costs)[["first", "second", "p"]].to_numpy()}
    for a, b, other in metrics.wilcoxon_holm(shuffled)[["first", "second", "p"]].to_numpy():
        assert p[frozenset((a, b))] == pytest.approx(other)


def times(cells, targets=(1.0, 0.1)):
    """Runtimes `{optimizer: [problem][run][target]}`."""
    rows = []
    for optimizer, problems in cells.items():
        for p, runs in enumerate(problems):
            for k, row in enumerate(runs):
                rows += [
                    (f"{optimizer}{p}{k}", f"p{p}", optimizer, k, t, c, 99.0) for t, c in zip(targets, row, strict=True)
                ]
    names = ["run_id", "problem", "optimizer", "seed", "target", "runtime", "spent"]
    return pd.DataFrame(rows, columns=names)


def test_an_order_that_always_holds_is_stable():
    fast, slow, lost = [[[2, 4]] * 5] * 2, [[[3, 8]] * 5] * 2, [[[INF, INF]] * 5] * 2
    found = metrics.rank_stability(times({"a": fast, "b": slow, "c": lost}), draws=5)
    assert found.loc["a", "b"] == 1
    assert found.loc["c", "a"] == 0
    assert np.isnan(found.loc["a", "a"])
    # Twice as slow is still below the ratio at which the score ends, so that b beats c everywhere.
    assert found.loc["b", "c"] == 1


def test_an_order_may_hang_on_the_target_the_budget_and_the_seeds():
    by_target = times({"a": [[[2, 9]] * 5], "b": [[[3, 8]] * 5]})
    assert metrics.rank_stability(by_target, draws=3).loc["a", "b"] == 0.5
    assert metrics.rank_stability(by_target, targets=[1.0], draws=3).loc["a", "b"] == 1
    # With a budget of 8.5 only b reaches the second target, with 2.5 only a the first, and the second is a tie.
    assert metrics.rank_stability(by_target, budgets=[2.5], draws=3).loc["a", "b"] == 0.75
    mixed = times({"a": [[[1, 1], [1, 1], [1, 1], [9, 9], [9, 9]]], "b": [[[3, 3]] * 5]})
    share = metrics.rank_stability(mixed, draws=4000, targets=[1.0]).loc["a", "b"]
    # a's median is 1 where at least three of five draws are among the three fast runs.
    assert share == pytest.approx(1 - stats.binom.cdf(2, 5, 0.6), abs=0.03)  # four standard errors of 4,000 draws
    with pytest.raises(ValueError, match="none of these targets"):
        metrics.rank_stability(mixed, targets=[7.0])


def test_an_order_may_hang_on_who_is_left_out():
    one = {"a": [[[2]] * 5, [[9]] * 5], "b": [[[3]] * 5, [[5]] * 5], "c": [[[1]] * 5, [[5]] * 5]}
    found = metrics.rank_stability(times(one, targets=[1.0]), draws=2, limit=3)
    # With c: a 1.1 and b 1 of 2; without c: 1.6 and 1.75. Two sets of the two in which both are there.
    assert found.loc["a", "b"] == 0.5
