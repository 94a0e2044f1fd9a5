"""Linear conjugate gradients against dense solvers and theory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optlab.optimizers.linear_cg import linear_cg


def matrix(eigenvalues, seed=0):
    """A symmetric matrix with these eigenvalues in random directions."""
    Q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(eigenvalues),) * 2))
    return jnp.asarray(Q * np.asarray(eigenvalues, float) @ Q.T)


def times(A):
    return lambda v: A @ v


def test_it_solves_what_a_dense_solver_solves():
    A, b = matrix(np.geomspace(1, 1e3, 20)), jnp.linspace(-1, 2, 20)
    found = jax.jit(lambda b: linear_cg(times(A), b, tol=1e-12))(b)
    assert found.converged and not found.negative_curvature
    # Relative error at most kappa times the relative residual, 1e3 * 1e-12, and the rounding of the recurrence.
    np.testing.assert_allclose(found.x, np.linalg.solve(A, b), rtol=1e-8)
    np.testing.assert_allclose(found.residual_norm, 0, atol=1e-12 * np.linalg.norm(b))


def test_it_ends_in_as_many_steps_as_there_are_distinct_eigenvalues():
    A, b = matrix([1.0] * 5 + [4.0] * 5 + [9.0] * 6), jnp.linspace(-1, 2, 16)
    found = linear_cg(times(A), b)
    assert found.steps == found.n_matvec == 3
    np.testing.assert_allclose(A @ found.x, b, atol=1e-12)  # three steps leave rounding alone


def test_each_iterate_is_the_best_of_its_krylov_space():
    A, b = matrix(np.geomspace(1, 100, 10)), jnp.linspace(1, 3, 10)
    krylov = np.stack([np.linalg.matrix_power(A, k) @ b for k in range(4)], 1)
    basis, _ = np.linalg.qr(krylov)
    best = basis @ np.linalg.solve(basis.T @ A @ basis, basis.T @ b)  # minimizes the energy over the space
    # The Krylov matrix has condition number below 1e6; QR keeps ten digits of its span.
    np.testing.assert_allclose(linear_cg(times(A), b, max_steps=4).x, best, rtol=1e-8)


def test_the_exact_inverse_as_preconditioner_ends_in_one_step():
    A, b = matrix(np.geomspace(1, 1e4, 12)), jnp.ones(12)
    inverse = jnp.linalg.inv(A)
    found = linear_cg(times(A), b, preconditioner=times(inverse))
    assert found.steps == 1 and found.converged


def test_a_start_at_the_solution_needs_no_step_and_one_product():
    A = matrix([1.0, 2.0, 3.0])
    x = jnp.array([1.0, -2.0, 0.5])
    found = linear_cg(times(A), A @ x, x)
    assert found.steps == 0 and found.n_matvec == 1 and found.converged
    near = linear_cg(times(A), A @ x, x + 0.1)
    assert near.n_matvec == near.steps + 1
    np.testing.assert_allclose(near.x, x, rtol=1e-7)  # tol 1e-8 times a condition number of 3


@pytest.mark.parametrize("eigenvalues", [[-1.0, 2.0, 3.0], [-5.0, -1.0, -1e-3]], ids=["indefinite", "negative"])
def test_negative_curvature_is_found_and_its_direction_told(eigenvalues):
    A = matrix(eigenvalues)
    found = linear_cg(times(A), jnp.array([1.0, 1.0, 1.0]))
    assert found.negative_curvature and not found.converged
    assert found.direction @ A @ found.direction <= 0
    assert jnp.isfinite(found.x).all()


def test_a_singular_matrix_is_solved_where_that_is_possible_and_told_of_where_not():
    A = matrix([0.0, 1.0, 2.0, 3.0])
    inside = A @ jnp.array([1.0, 2.0, -1.0, 1.0])
    found = linear_cg(times(A), inside)
    assert found.converged
    np.testing.assert_allclose(A @ found.x, inside, atol=1e-7)  # tol 1e-8 relative to |b| of about 5
    outside = linear_cg(times(A), inside + jnp.linalg.eigh(A)[1][:, 0])
    assert not outside.converged and outside.negative_curvature


def test_matrices_of_no_numbers_are_no_negative_curvature():
    found = linear_cg(lambda v: v * jnp.nan, jnp.ones(3))
    assert not found.converged and not found.negative_curvature
    np.testing.assert_array_equal(found.x, 0)


def test_a_right_hand_side_of_zero_has_the_solution_zero():
    found = linear_cg(times(matrix([1.0, 2.0])), jnp.zeros(2))
    assert found.converged and found.steps == 0
    np.testing.assert_array_equal(found.x, 0)


def test_trees_and_their_precision_are_kept():
    b = {"a": jnp.ones((2, 3), jnp.float32), "empty": jnp.zeros(0, jnp.float32), "s": jnp.asarray(4.0, jnp.float32)}
    found = linear_cg(lambda v: jax.tree.map(lambda leaf: 2 * leaf, v), b)
    assert found.steps == 1
    for x, rhs in zip(jax.tree.leaves(found.x), jax.tree.leaves(b), strict=True):
        assert x.dtype == jnp.float32
        np.testing.assert_allclose(x, rhs / 2, rtol=1e-6)  # a few units in the last place of float32


def test_each_lane_of_a_vmap_ends_on_its_own():
    As = jnp.stack([matrix([1.0, 1.0, 1.0]), matrix([1.0, 2.0, 3.0]), matrix([-1.0, 2.0, 3.0])])
    b = jnp.array([1.0, 2.0, 3.0])
    together = jax.jit(jax.vmap(lambda A: linear_cg(times(A), b)))(As)
    assert together.steps.tolist()[:2] == [1, 3]
    assert together.negative_curvature.tolist() == [False, False, True]
    for lane, A in enumerate(As[:2]):
        np.testing.assert_allclose(together.x[lane], np.linalg.solve(A, b), rtol=1e-7)
