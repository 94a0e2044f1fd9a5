"""Profiles: by hand with ties, failures and zero times, and what must hold for any costs."""

import hypothesis.extra.numpy as arrays
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optlab import metrics

INF = np.inf

#: Costs of up to six problems by up to five optimizers, some missed; powers of two, so that scaling is exact.
COSTS = st.tuples(st.integers(1, 6), st.integers(2, 5)).flatmap(
    lambda shape: arrays.arrays(float, shape, elements=st.sampled_from([INF, *2.0 ** np.arange(-3, 12), 3.0, 5.0, 7.0]))
)


def table(cells):
    cells = np.asarray(cells, float)
    index = pd.Index([f"p{k}" for k in range(len(cells))], name="problem")
    return pd.DataFrame(cells, index, [f"s{k}" for k in range(cells.shape[1])])


#: Four problems by hand: a clear win, a tie, one that only one solves, one that nobody solves.
HAND = table([[10, 20, 40], [5, 5, INF], [INF, 8, INF], [INF, INF, INF]])


def test_a_profile_by_hand():
    profile = metrics.performance_profile(HAND)
    steps = {s: list(zip(part.ratio, part.share, strict=True)) for s, part in profile.groupby("optimizer")}
    assert steps == {
        "s0": [(1.0, 0.5)],  # wins the first, shares the second; two are missed and stay in the denominator
        "s1": [(1.0, 0.5), (2.0, 0.75)],
        "s2": [(1.0, 0.0), (4.0, 0.25)],
    }


def test_zero_costs_shift_all_costs_by_one():
    found = metrics.ratios(table([[0, 3], [1, 4]]))
    assert found.to_numpy().tolist() == [[1, 4], [1, 2.5]]


def test_the_solver_set_decides_the_ratios():
    alone = metrics.performance_profile(HAND[["s0", "s2"]])
    assert metrics.share_at(alone, [1, 4]).s2.tolist() == [0.0, 0.25]
    pairs = metrics.pairwise_profiles(HAND)
    assert set(zip(pairs.optimizer, pairs.against, strict=True)) == {
        ("s0", "s1"), ("s1", "s0"), ("s0", "s2"), ("s2", "s0"), ("s1", "s2"), ("s2", "s1"),
    }  # fmt: skip
    against = pairs[(pairs.optimizer == "s2") & (pairs.against == "s1")]
    assert against[["ratio", "share"]].to_numpy().tolist() == [[1, 0], [2, 0.25]]  # 40 by 20, no longer by 10


def test_the_order_of_two_may_hang_on_a_third():
    """Gould and Scott (2016): why pairs are offered."""
    costs = table([[2, 3, 1], [9, 5, 5]])
    three = metrics.algoperf_score(costs, limit=3)
    two = metrics.algoperf_score(costs[["s0", "s1"]], limit=3)
    assert three[["s0", "s1"]].tolist() == pytest.approx([(1 / 2 + 0.6) / 2, (0 + 1) / 2])
    assert two.tolist() == pytest.approx([(1 + 0.6) / 2, (3 / 4 + 1) / 2])
    assert three.s0 > three.s1
    assert two.s0 < two.s1


@settings(max_examples=40)
@given(COSTS)
def test_profiles_rise_and_end_at_the_share_of_problems_solved(cells):
    profile = metrics.performance_profile(table(cells))
    for k, (_, part) in enumerate(profile.groupby("optimizer")):
        assert part.ratio.iloc[0] == 1.0
        assert (np.diff(part.ratio) > 0).all()
        assert (np.diff(part.share) > 0).all()
        assert part.share.iloc[-1] == np.isfinite(cells[:, k]).mean()


@settings(max_examples=40)
@given(COSTS)
def test_profiles_are_right_continuous_and_counted_by_definition(cells):
    costs = table(cells)
    profile = metrics.performance_profile(costs)
    found = metrics.ratios(costs)
    jumps = np.unique(profile.ratio)
    for tau in (jumps, np.nextafter(jumps, INF), np.nextafter(jumps, 0)):
        by_definition = (found.to_numpy()[None] <= tau[:, None, None]).mean(axis=1)
        np.testing.assert_array_equal(metrics.share_at(profile, tau), by_definition)
    np.testing.assert_array_equal(metrics.share_at(profile, jumps), metrics.share_at(profile, np.nextafter(jumps, INF)))


@settings(max_examples=40)
@given(COSTS, st.integers(-20, 20))
def test_the_unit_of_cost_does_not_matter(cells, power):
    costs = table(cells)
    pd.testing.assert_frame_equal(
        metrics.performance_profile(costs * 2.0**power), metrics.performance_profile(costs), check_exact=True
    )
    by_problem = costs.mul(2.0 ** np.arange(len(costs)), axis=0)  # nor that of each problem
    pd.testing.assert_frame_equal(metrics.performance_profile(by_problem), metrics.performance_profile(costs))


@settings(max_examples=40)
@given(COSTS)
def test_a_solver_that_never_wins_leaves_the_others_unchanged(cells):
    costs = table(cells)
    slower = costs.assign(last=costs.min(axis=1) * 3)
    profile = metrics.performance_profile(slower)
    pd.testing.assert_frame_equal(profile[profile.optimizer != "last"], metrics.performance_profile(costs))
    assert (metrics.algoperf_score(slower)[costs.columns] == metrics.algoperf_score(costs)).all()


@settings(max_examples=40)
@given(COSTS, st.randoms(use_true_random=False))
def test_the_order_of_problems_and_optimizers_does_not_matter(cells, random):
    costs = table(cells)
    rows, columns = list(costs.index), list(costs.columns)
    random.shuffle(rows), random.shuffle(columns)
    shuffled = metrics.performance_profile(costs.loc[rows, columns])
    pd.testing.assert_frame_equal(
        shuffled.sort_values(["optimizer", "ratio"], ignore_index=True), metrics.performance_profile(costs)
    )


@settings(max_examples=40)
@given(COSTS, st.floats(1.5, 100))
def test_the_closed_score_is_the_area_below_the_profile(cells, limit):
    costs = table(cells)
    profile, score = metrics.performance_profile(costs), metrics.algoperf_score(costs, limit=limit)
    for solver, part in profile.groupby("optimizer"):
        inside = part[part.ratio < limit]
        area = np.sum(inside.share * np.diff(np.append(inside.ratio, limit)))
        # Sums of at most six terms of order one: rounding only.
        assert score[solver] == pytest.approx(area / (limit - 1), abs=1e-12)
    logarithmic = metrics.algoperf_score(costs, limit=limit, scale="log")
    pd.testing.assert_series_equal(metrics.log_auc(profile, 1, limit), logarithmic, check_names=False, atol=1e-12)


def test_scores_by_hand_and_as_published():
    costs = table([[1, 2, INF], [1, 5, 2]])
    assert metrics.algoperf_score(costs).tolist() == [1.0, pytest.approx((2 / 3) / 2), pytest.approx((2 / 3) / 2)]
    assert metrics.algoperf_score(costs, scale="log").tolist() == [1.0, 0.25, 0.25]
    # As algorithmic-efficiency computes it: shares at 100 points, trapezoids, divided by the range.
    tau = np.linspace(1, 4, 100)
    height = np.where(tau >= 2, 0.5, 0.0)
    published = sum((height[1:] + height[:-1]) / 2 * np.diff(tau)) / 3
    found = metrics.algoperf_score(costs, quadrature="trapz100")
    assert found.s1 == pytest.approx(published, abs=1e-14)  # the same sum in another order
    assert found.s1 != metrics.algoperf_score(costs).s1
    # The trapezoid rule is off by at most half a cell for each jump.
    assert abs(found.s1 - metrics.algoperf_score(costs).s1) <= 0.5 * 0.5 / 99


def test_data_profiles_count_simplex_gradients():
    costs = table([[30, 22], [INF, 11]])
    profile = metrics.data_profile(costs, {"p0": 10, "p1": 1})
    steps = profile[["optimizer", "cost", "share"]].to_numpy().tolist()
    assert steps == [["s0", 0.0, 0.0], ["s0", 30 / 11, 0.5], ["s1", 0.0, 0.0], ["s1", 2.0, 0.5], ["s1", 5.5, 1.0]]
    by_gradient = metrics.gradient_profile(costs, 2.0)
    assert by_gradient[by_gradient.optimizer == "s1"].cost.tolist() == [0.0, 5.5, 11.0]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: metrics.ratios(table([[1, np.nan]])), "cost of 's1' on 'p0' is missing"),
        (lambda: metrics.ratios(table([[1, -1]])), "negative"),
        (lambda: metrics.ratios(table(np.zeros((0, 2)))), "at least one problem"),
        (lambda: metrics.algoperf_score(HAND, limit=1), "above 1"),
        (lambda: metrics.algoperf_score(HAND, scale="lin"), "did you mean 'linear'"),
        (lambda: metrics.algoperf_score(HAND, quadrature="trapz"), "did you mean 'trapz100'"),
        (lambda: metrics.data_profile(HAND, {"p0": 2}), "dimension of problem 'p1' is not known"),
        (lambda: metrics.gradient_profile(HAND, 0), "more than 0"),
        (lambda: metrics.pairwise_profiles(HAND[["s0"]]), "at least two"),
        (lambda: metrics.log_auc(metrics.performance_profile(HAND), 3, 2), "0 < low < high"),
    ],
)
def test_bad_input_is_told_in_a_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()
