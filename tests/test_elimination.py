"""Small systems solved by loops are solved as LAPACK solves them."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import optlab
from optlab import elimination, lapack, one_function

EPS = np.finfo(float).eps
solve, cholesky, cholesky_solve = map(jax.jit, (elimination.solve, elimination.cholesky, elimination.cholesky_solve))
SIZES = st.sampled_from([1, 2, 5, 10])  # each is a program


def matrix(d, seed):
    return np.random.default_rng(seed).normal(size=(d, d))


@given(SIZES, st.integers(0, 10**6))
def test_elimination_leaves_a_residual_of_rounding_errors(d, seed):
    H, g = matrix(d, seed), matrix(d, seed + 1)[0]
    x = solve(H, g)
    # Gauss and Jordan's residual is bounded by the condition number too (Peters and Wilkinson)
    bound = 10 * d * EPS * np.linalg.cond(H) * np.linalg.norm(H) * np.linalg.norm(x)
    assert np.linalg.norm(H @ x - g) <= bound


@given(SIZES, st.integers(0, 10**6))
def test_elimination_finds_its_pivots_wherever_they_are(d, seed):
    """Orders are systems whose solution needs no arithmetic at all; without pivots they divide by zero."""
    order = np.random.default_rng(seed).permutation(d)
    g = matrix(d, seed)[0]
    np.testing.assert_array_equal(solve(np.eye(d)[order], g), g[np.argsort(order)])


def test_small_pivots_are_not_taken():
    x = solve(np.array([[1e-20, 1], [1, 1]]), np.array([1.0, 2.0]))
    np.testing.assert_allclose(x, [1, 1], rtol=2 * EPS)  # (0, 1) without pivoting


@given(SIZES, st.integers(0, 10**6))
def test_the_factor_and_what_it_solves(d, seed):
    A, g = matrix(d, seed), matrix(d, seed + 1)[0]
    H = A @ A.T + 0.1 * np.eye(d)
    L = cholesky(H)
    np.testing.assert_array_equal(L, np.tril(L))
    # backward errors (Higham, Accuracy and Stability of Numerical Algorithms, theorems 10.3 and 10.4)
    np.testing.assert_allclose(L @ L.T, H, rtol=0, atol=2 * (d + 1) * EPS * np.trace(H))
    x = cholesky_solve(L, g)
    assert np.linalg.norm(H @ x - g) <= 10 * d * (d + 1) * EPS * np.linalg.norm(H) * np.linalg.norm(x)


@pytest.mark.parametrize(
    "H", [np.diag([1.0, 0, 2]), np.diag([1.0, 2, 0]), np.diag([1, -1e-9, 2.0]), np.full((3, 3), np.nan)]
)
def test_a_factor_that_does_not_exist_has_no_finite_numbers(H):
    assert not np.isfinite(cholesky(H)).all()


@pytest.mark.parametrize("H", [np.zeros((3, 3)), np.ones((3, 3)), np.diag([1.0, 0, 1]), np.full((3, 3), np.nan)])
def test_singular_systems_have_no_solution_in_numbers(H):
    assert not np.isfinite(solve(H, np.array([1.0, 2, 3]))).all()


@pytest.mark.parametrize("name", ["solve", "cholesky", "cholesky_solve"])
def test_lapack_is_left_within_one_function_and_nowhere_else(name):
    function = getattr(lapack, name)
    H = np.array([[2.0, 1, 0], [1, 3, 1], [0, 1, 4]])
    matrices = (H,) if name == "cholesky" else (H, np.ones(3))
    expected = function(*matrices)

    def has_a_loop():
        return "scan" in str(jax.make_jaxpr(lambda *matrices: function(*matrices))(*matrices))

    assert not has_a_loop()
    with one_function.in_one(True):
        assert has_a_loop()
        np.testing.assert_allclose(function(*matrices), expected, rtol=10 * EPS)


@pytest.mark.parametrize("make", [optlab.newton, optlab.shifted_newton])
def test_sweeps_in_one_function_take_the_steps_of_a_run_alone(make, monkeypatch):
    monkeypatch.setattr("optlab.sweep.FEW", 0)
    surface = optlab.surfaces.rosenbrock(dim=4)
    # near the minimum: farther out rounding errors grow from step to step
    starts = 1 + np.random.default_rng(0).uniform(-0.1, 0.1, (6, 4))
    together = optlab.run_sweep(
        lambda start: optlab.problems.from_surface(surface, start=start), make, {"problem.start": starts}, steps=4
    )
    for k, start in enumerate(starts):
        alone = optlab.run(optlab.problems.from_surface(surface, start=start), make(), jax.random.key(0), steps=4)
        np.testing.assert_allclose(together["x"][k], alone["x"], rtol=1e-9)
