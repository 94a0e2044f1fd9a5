"""The numbers that the chapter on momentum states (`experiments/momentum.py`)."""

import numpy as np
import pytest

import optlab
from experiments import momentum as chapter

STEPS = 2000


@pytest.fixture(scope="module")
def escape_steps():
    """Steps to leave the saddle, by momentum: the study's own runs as one sweep."""
    problem = optlab.problems.from_surface(optlab.surfaces.bounded_strict_saddle())
    columns = {"momentum": np.asarray(chapter.MOMENTA), "learning_rate": np.full(len(chapter.MOMENTA), chapter.RATE)}
    return np.asarray(optlab.run_sweep(problem, optlab.heavy_ball, columns, steps=STEPS)["escape_step"])


def test_a_saddle_is_left_as_the_growing_root_says(escape_steps):
    reached = chapter.roots(chapter.RATE, 0.0, -1.0)[0].real ** escape_steps[0]
    predicted = [chapter.growth_steps(m, reached) for m in chapter.MOMENTA]
    # The recursion is the surface's linear part; 0.99 still swings along the other axis when it leaves: 2 % later.
    np.testing.assert_allclose(escape_steps, predicted, rtol=0.03)


@pytest.mark.parametrize("optimizer", ["heavy_ball", "nesterov"])
def test_swings_die_out_by_the_modulus_of_the_roots(optimizer):
    problem = optlab.problems.from_surface(optlab.surfaces.quadratic())
    columns = {"momentum": np.asarray(chapter.MOMENTA), "learning_rate": np.full(len(chapter.MOMENTA), chapter.RATE)}
    places = optlab.run_sweep(problem, getattr(optlab, optimizer), columns, steps=STEPS, record="all")["x"]
    for momentum, x in zip(chapter.MOMENTA, places, strict=True):
        size = np.abs(x).max(axis=1)
        size = size[: np.flatnonzero(np.diff(size))[-1]]  # a run that has converged repeats its last row
        roots = [
            chapter.roots(chapter.RATE, momentum, c, optimizer == "nesterov") for c in (chapter.FLAT, chapter.STEEP)
        ]
        # Two peaks some 80 steps apart tell a factor a step to a half per cent.
        assert chapter.factor(size) == pytest.approx(max(np.abs(r[0]) for r in roots), rel=0.006)


def test_nesterovs_roots_have_the_modulus_that_the_page_states():
    for momentum, curvature in ((0.9, 50.0), (0.99, 1.0)):
        modulus = np.abs(chapter.roots(0.01, momentum, curvature, ahead=True))
        np.testing.assert_allclose(modulus, np.sqrt(momentum * (1 - 0.01 * curvature)), rtol=1e-12)  # closed form
    assert np.abs(chapter.roots(0.01, 0.9, 50.0)) == pytest.approx(np.sqrt(0.9))


@pytest.mark.parametrize("momentum", [0.5, 0.9])
def test_the_average_passes_its_share_of_white_noise(momentum):
    # The variance of 2e5 numbers correlated over (1 + m) / (1 - m) of them is known to about 2 %.
    assert chapter.filtered(momentum) == pytest.approx((1 - momentum) / (1 + momentum), rel=0.04)


def test_both_readings_are_one_arithmetic():
    problem = optlab.problems.from_surface(optlab.surfaces.rosenbrock())
    columns = {"learning_rate": np.array([1e-3])}
    ball = optlab.run_sweep(problem, optlab.heavy_ball, columns, steps=200)["value"]
    average = optlab.run_sweep(problem, optlab.momentum, {"learning_rate": np.array([1e-2])}, steps=200)["value"]
    np.testing.assert_allclose(average, ball, rtol=1e-9)  # rounding, grown along the valley
