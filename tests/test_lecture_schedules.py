"""The numbers that the chapter on schedules states (`experiments/schedules.py`)."""

import numpy as np
import pandas as pd
import pytest

from experiments import schedules as chapter
from optlab import metrics


def test_sgd_hovers_where_noise_and_slope_balance():
    rates, sizes = np.array([0.05, 0.3, 0.3]), np.array([1.0, 1.0, 16.0])
    measured = chapter.hovering(rates, sizes**-0.5)
    # 64 directions, 200 recorded values 10 steps apart, correlated over 1/rate steps: 1 to 2 % of a variance
    np.testing.assert_allclose(measured, chapter.hovering_in_theory(rates, sizes**-0.5), rtol=0.05)
    assert measured[2] == pytest.approx(measured[1] / 16, rel=0.08)  # a rate's noise is that of a / B


def test_theory_is_the_stationary_variance_of_the_recursion():
    rate, noise, variance = 0.3, 0.7, 0.0
    for _ in range(500):
        variance = (1 - rate) ** 2 * variance + (rate * noise) ** 2
    assert chapter.hovering_in_theory(rate, noise) == pytest.approx(variance / 2, rel=1e-12)


@pytest.fixture
def runs():
    rates, seeds = [0.1, 0.3], range(5)
    rows = [
        (name, rate, seed, 0.6 + 0.1 * (rate == 0.3) + 0.01 * seed, 0.7 + 0.1 * (rate == 0.1) + 0.01 * seed)
        for name in chapter.ORDER for rate in rates for seed in seeds
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["schedule", chapter.RATE, "seed", "validation_accuracy", "ensemble_accuracy"])


def test_each_measure_has_its_best_rate(runs):
    table = chapter.accuracy_table(runs)
    assert list(table["one model"].unique()) == ["0.720 (0.700 to 0.740)"] and set(table["rate"]) == {"0.3"}
    assert list(table["mean of four"].unique()) == ["0.820 (0.800 to 0.840)"] and set(table["rate "]) == {"0.1"}


def test_batches_are_compared_at_as_many_passes():
    rows = [
        (size, steps, rate, cycle, 0.5 + 0.1 * rate + 0.2 * (cycle is not None))
        for size in (128, 256) for steps in (200, 400) for rate in (0.05, 0.1) for cycle in (None, "[0.85, 0.95]")
    ]  # fmt: skip
    columns = [chapter.BATCH, "max_steps", chapter.RATE, "optimizer.cycle_momentum", "validation_accuracy"]
    table = chapter.batch_table(pd.DataFrame(rows, columns=columns))
    assert table["steps"].tolist() == [400, 200] and table["scaled rate"].tolist() == [0.05, 0.1]
    np.testing.assert_allclose(table["accuracy"], [0.505, 0.51])
    np.testing.assert_allclose(table["momentum cycled"], [0.705, 0.71])
    assert table["best rate"].tolist() == [0.1, 0.1]


def test_the_claim_rule_calls_no_difference_between_equals(runs):
    one = runs[(runs.schedule == "cosine") & (runs[chapter.RATE] == 0.3)].validation_accuracy
    assert not metrics.beats(one, one, goal="max").holds
