"""The numbers that the chapter on quasi-Newton methods states (`experiments/quasi_newton.py`)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optlab
from experiments import quasi_newton as chapter


@pytest.fixture(scope="module")
def way():
    return chapter.learnt(np.array([2.5, 0.4]), 16)


def test_the_secant_condition_holds_to_rounding_at_every_step(way):
    assert way.secant.notna().all()
    # H is kept by its differences: some roundings of numbers of the size of s.
    assert way.secant.max() < 1e-13


def test_a_matrix_of_another_pair_does_not_satisfy_it():
    x, g, states = chapter.iterates(optlab.bfgs(), optlab.surfaces.beale().fn, np.array([[2.5, 0.4]]), 8)
    late = chapter.secant_residuals(x[0], g[0], np.roll(states.memory.H[0], 1, axis=0))
    assert np.nanmin(late[1:]) > 1e-6


def test_the_matrix_is_right_along_the_step_before_it_is_right(way):
    near = way[way.distance < 1e-2].iloc[0]
    assert near.along < 1e-2 < 0.05 < near.matrix  # Dennis and More: superlinear needs the first alone
    assert way.along.iloc[-1] < 1e-4 and way.matrix.iloc[-1] < 1e-3  # in the end both


def test_on_a_quadratic_it_goes_through_the_points_of_conjugate_gradients_and_ends_with_the_inverse_hessian():
    found = chapter.on_a_quadratic()
    # Exact to 1e-12 of the slope; eight steps enlarge that by the condition number 100 and more.
    assert found.apart.max() < 1e-6
    assert found.bfgs.iloc[-1] < 1e-6 < 1e-3 < found.bfgs.iloc[-2]
    assert found.inverse.iloc[-1] < 1e-10 < 1e-2 < found.inverse.iloc[-2]


def test_the_orders_of_convergence_are_one_above_one_and_two():
    orders = {method: chapter.order(chapter.errors(method)) for method in chapter.METHODS}
    assert orders["gradient_descent"] == pytest.approx(1, abs=0.01)
    # Few pairs of distances lie between 0.1 and rounding, the first of them hardly near: a tenth for their constants.
    assert orders["newton"] == pytest.approx(2, abs=0.15)
    assert 1.15 < orders["bfgs"] < 1.7  # the secant method's 1.618 is for one variable


def test_limited_memory_stores_two_vectors_and_a_number_for_each_pair_and_bfgs_a_matrix():
    assert [chapter.numbers_stored(m, 100) for m in (1, 5, 50)] == [2 * m * 100 + m for m in (1, 5, 50)]
    assert jax.eval_shape(optlab.bfgs().init, jnp.zeros(100)).memory.H.size == 100**2


def test_a_few_pairs_gain_most_in_a_bent_valley_and_bfgs_needs_more_evaluations_than_they():
    problem = optlab.problems.from_surface(optlab.surfaces.rosenbrock(dim=100), start="random")

    def median(make):
        trace = optlab.run_sweep(problem, make, {}, seeds=np.arange(10), steps=1500, record="last", gtol=1e-10)
        reached = trace["target_n_grad"][:, -1]
        assert (reached > 0).all()
        return float(np.median(reached))

    found = [median(lambda m=m: optlab.lbfgs(m)) for m in (1, 5)] + [median(optlab.bfgs)]
    # Medians of ten runs that themselves differ by 5 %.
    assert found == pytest.approx([932, 604, 780], rel=0.05)


@pytest.fixture(scope="module")
def found():
    return chapter.scalings()


def test_newton_does_not_feel_the_units_and_bfgs_hardly(found):
    units = len(chapter.UNITS)
    assert (found["newton"][:units] == found["newton"][0]).all()  # invariant, and 0.1 digits of rounding are not felt
    for method in ("bfgs", "lbfgs"):
        assert found[method][units - 1] < 2 * found[method][0]  # twice, for a million
        assert found[method][units - 1] > 1.2 * found[method][0]  # but not for nothing: the first matrix is another


def test_gradient_descent_pays_with_the_condition_number(found):
    hessian = jax.hessian(optlab.surfaces.rosenbrock().fn)(jnp.ones(2))
    theory = chapter.conditions(chapter.MILD)
    assert theory[0] == pytest.approx(np.linalg.cond(hessian), rel=1e-10)
    grown = found["gradient_descent"] / found["gradient_descent"][0]
    # The way to the neighbourhood of the minimum is no quadratic, and rates are 12 % apart.
    np.testing.assert_allclose(grown, theory / theory[0], rtol=0.2)


def test_a_start_far_off_costs_bfgs_evaluations(found):
    near, ten, hundred = found["bfgs"][len(chapter.UNITS) :]
    assert near < ten < hundred < 5 * near
