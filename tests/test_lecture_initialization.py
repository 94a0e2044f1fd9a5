"""The numbers that the chapter on initialization states (`experiments/initialization.py`)."""

import numpy as np
import pandas as pd
import pytest

from experiments import initialization as chapter

#: A layer of 512 x 512 weights on 512 examples is one draw; ten of them have a geometric mean within 1 %.
DRAW = 0.03


@pytest.mark.parametrize("scheme", chapter.SCHEMES)
def test_the_factor_of_a_layer_is_that_of_theory_both_ways(scheme):
    signal, gradient, _ = chapter.signals(scheme, "linear")
    assert chapter.factor(signal) == pytest.approx(chapter.THEORY[scheme], rel=DRAW)
    assert chapter.factor(gradient[::-1]) == pytest.approx(chapter.THEORY[scheme], rel=DRAW)


@pytest.mark.parametrize(("scheme", "expected"), [("he", 1.0), ("glorot", 0.5**0.5)])
def test_a_relu_halves_the_mean_square(scheme, expected):
    signal, gradient, _ = chapter.signals(scheme, "ReLU")
    assert chapter.factor(signal) == pytest.approx(expected, rel=DRAW)
    assert chapter.factor(gradient[::-1]) == pytest.approx(expected, rel=DRAW)


def test_tanh_decays_slowly_under_glorot_and_saturates_under_naive_weights():
    sizes, _, _ = chapter.signals("glorot", "tanh")
    # E tanh(z)^2 for normal z, layer after layer, by Gauss and Hermite's quadrature; 2 % for one draw
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    expected = [1.0]
    for _ in range(chapter.LAYERS):
        expected.append(np.sqrt(weights @ np.tanh(nodes * expected[-1]) ** 2 / weights.sum()))
    np.testing.assert_allclose(sizes, expected, rtol=0.02)
    assert [round(expected[k], 2) for k in (1, 10)] == [0.63, 0.23]
    _, gradient, outputs = chapter.signals("normal", "tanh")
    assert float(np.mean(np.abs(outputs[5]) > 0.99)) > 0.85  # sums have a deviation of 22: |z| > 2.6 in 91 %
    # A layer's gradient is multiplied by 22.6 times the root mean square of the slope 1 - tanh(z)^2, z of deviation 22.
    grid = np.linspace(-30, 30, 60_001)
    squares = (1 - np.tanh(grid) ** 2) ** 2 * np.exp(-0.5 * (grid / 512**0.5) ** 2)
    slope = np.sqrt(squares.sum() * (grid[1] - grid[0]) / np.sqrt(2 * np.pi * 512))
    assert chapter.factor(gradient[::-1]) == pytest.approx(512**0.5 * slope, rel=0.1)  # outputs are a little below 1
    assert 3 < 512**0.5 * slope < 4
    _, _, small = chapter.signals("small", "tanh")
    assert float(np.abs(small[9]).max()) < 1e-5  # 0.226^10 = 3.5e-7, and no draw is 10 deviations off


@pytest.mark.parametrize(("init", "units"), [("zeros", 1), ("constant", 1), ("glorot", 64)])
def test_units_that_begin_equal_stay_equal_to_the_bit(init, units):
    assert chapter.different_units(init, steps=20) == units


def test_the_best_rate_is_chosen_by_the_mean_and_a_diverged_run_counts_as_chance():
    runs = pd.DataFrame(
        {"problem.init": "he", "problem.network.activation": "relu", "optimizer.learning_rate": [0.1, 0.1, 0.01, 0.01],
         "validation_accuracy": [0.99, 0.95, 0.8, 0.6], "status": ["max_steps", "diverged", "max_steps", "max_steps"]}
    )  # fmt: skip
    best = chapter.accuracies(runs).loc[("he", "relu")]
    assert best["mean"] == pytest.approx(0.7) and best["optimizer.learning_rate"] == 0.01
