"""The numbers that the chapter on the condition number states (`experiments/conditioning.py`)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optlab
from experiments import conditioning as chapter

STEPS = 2000


def neuron(**numbers):
    return optlab.problems.from_surface(optlab.surfaces.linear_neuron(**numbers), start=jnp.asarray(chapter.START))


@pytest.fixture(scope="module")
def sweep():
    """Each kind of inputs in both conventions, 81 rates from 0.9 to 1.1 of the limit, as the study runs them."""
    shares, rows = np.linspace(0.9, 1.1, 81), []
    for mean, correlation in chapter.INPUTS.values():
        for factor in (1.0, 0.5):
            limit = 1 / (factor * chapter.spectrum(mean, correlation)[1])
            rows += [(mean, correlation, factor, share * limit) for share in shares]
    names = ("problem.mean", "problem.correlation", "problem.factor", "learning_rate")
    columns = dict(zip(names, np.array(rows).T, strict=True))
    return shares, columns, optlab.run_sweep(neuron, optlab.gradient_descent, columns, steps=STEPS, record="last")


@pytest.mark.parametrize("inputs", chapter.INPUTS.values(), ids=chapter.INPUTS.keys())
def test_the_hessian_is_twice_the_correlation_matrix_of_the_inputs(inputs):
    surface = optlab.surfaces.linear_neuron(*inputs)
    found = np.linalg.eigvalsh(jax.hessian(surface.fn)(jnp.asarray(chapter.START)))
    mean, correlation = inputs
    closed = np.sort([1 - correlation, 1 + correlation + 2 * mean**2])
    np.testing.assert_allclose(found, 2 * closed, rtol=1e-12)
    np.testing.assert_allclose(chapter.spectrum(*inputs), closed, rtol=1e-12)


def test_the_largest_stable_rate_is_one_over_the_largest_eigenvalue_of_R_and_with_a_half_in_front_two_over_it(sweep):
    shares, columns, trace = sweep
    lost = (trace["status"][:, -1] == optlab.Status.diverged).reshape(-1, len(shares))
    found = [chapter.largest_stable(shares, row) for row in lost]
    # Rates are 0.25 % apart, and 0.25 % above the limit the loss has grown by e^20 in 2,000 steps, not yet by 1e10.
    np.testing.assert_allclose(found, 1, atol=0.0055)


def test_the_steps_to_the_target_are_those_of_the_recursion(sweep):
    shares, columns, trace = sweep
    for k, inputs in enumerate(chapter.INPUTS.values()):
        lanes = slice(2 * k * len(shares), (2 * k + 1) * len(shares))  # of the mean square convention
        steps = trace["target_step"][lanes, -1]
        predicted = chapter.steps_by_theory(columns["learning_rate"][lanes], *inputs)
        # One step of rounding where the gap is next to the target.
        np.testing.assert_allclose(np.where(steps < 0, np.nan, steps), predicted, atol=1)
        assert (steps > 0).sum() > len(shares) // 3


def test_whitened_inputs_need_a_single_step():
    columns = {"problem.mean": np.zeros(1), "problem.correlation": np.zeros(1), "learning_rate": np.array([0.5])}
    trace = optlab.run_sweep(neuron, optlab.gradient_descent, columns, steps=STEPS, record="last")
    assert trace["target_step"][0, -1] == 1  # I - 2 a R = 0


def test_the_steps_grow_in_proportion_to_the_condition_number():
    found = chapter.steps_by_condition(chapter.CONDITIONS)
    # Whole steps, divided by 8.3 to 11.7 decades.
    np.testing.assert_allclose(found["decade"], found["theory"], rtol=0, atol=1 / 8.3)
    slope = np.polyfit(np.log(chapter.CONDITIONS[5:]), np.log(found["decade"][5:]), 1)[0]
    assert slope == pytest.approx(1, abs=0.005)
    assert found["theory"][-1] == pytest.approx(0.576 * chapter.CONDITIONS[-1], rel=1e-3)  # ln(10) / 4 = 0.5756


def test_the_limit_of_any_smooth_surface_is_two_over_the_largest_eigenvalue_at_its_minimum():
    curvature = float(np.linalg.eigvalsh(jax.hessian(optlab.surfaces.beale().fn)(jnp.array([3.0, 0.5])))[1])
    assert chapter.sharpest_at_beale() == pytest.approx(curvature, rel=1e-10)
    rates = 2 / curvature * np.linspace(0.95, 1.05, 41)
    # Rates are 0.25 % apart; at 0.5 % below the limit the steep direction still shrinks by e^-40 in 4,000 steps.
    assert chapter.largest_converging(rates) == pytest.approx(2 / curvature, rel=0.0055)
