"""Lanczos' recursion against matrices whose eigenvalues are known."""

import functools

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optlab import krylov

D = 24


def rotated(eigenvalues, seed=0):
    Q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(eigenvalues),) * 2))
    return Q @ np.diag(eigenvalues) @ Q.T


@functools.cache
def found(steps, held=False):
    """(matrices, starts) -> Lanczos of each, compiled once for each size."""
    plain = jax.jit(jax.vmap(lambda H, start: krylov.lanczos(lambda v: H @ v, start, steps)))
    kept = jax.jit(jax.vmap(lambda H, start, held: krylov.lanczos(lambda v: H @ v, start, steps, held=held)))
    return kept if held else plain


@jax.jit
def plain_recursion(H):
    return krylov.recursion(lambda v: H @ v, jnp.array(start()), 40)


def start(d=D, seed=0):
    return np.random.default_rng(seed).normal(size=d)


#: Far ends, which converge first and cost a plain recursion its orthogonality; gaps of ten to one.
STEEP = np.concatenate([10.0 ** np.arange(0, -12, -1), -(10.0 ** np.arange(-0.5, -12, -1))])


@pytest.mark.parametrize("dtype, rounding", [(np.float64, 1e-14), (np.float32, 1e-5)])
def test_the_basis_is_orthonormal_and_makes_the_matrix_tridiagonal(dtype, rounding):
    H = np.stack([rotated(STEEP), rotated(np.linspace(-1, 3, D))]).astype(dtype)
    alpha, beta, V, last = found(D - 4)(H, np.stack([start(), start()]).astype(dtype))
    assert V.dtype == dtype and beta.dtype == dtype
    for k in range(2):
        np.testing.assert_allclose(V[k] @ V[k].T, np.eye(D - 4), atol=rounding)
        T = krylov.tridiagonal(alpha[k], beta[k])
        rest = np.zeros((D, D - 4), dtype)
        rest[:, -1] = beta[k][-1] * last[k]
        # rounding of a product with a matrix of norm 3 and a sum of 24 terms
        np.testing.assert_allclose(H[k] @ V[k].T, V[k].T @ T + rest, atol=10 * rounding)


def test_the_plain_recursion_loses_orthogonality_where_this_one_keeps_it():
    steep = rotated(STEEP)
    plain = krylov.ritz_values(*plain_recursion(steep))
    full = krylov.ritz_values(*(part[0] for part in found(D)(steep[None], start()[None])[:2]))
    assert np.sum(plain > 0.99) > 1  # a copy of the largest eigenvalue, 1, which is there once
    np.testing.assert_allclose(full, np.sort(STEEP), atol=1e-14)
    np.testing.assert_allclose(plain[-1], 1, rtol=1e-13)


@pytest.mark.parametrize(
    "eigenvalues",
    [np.full(D, 3.0), np.zeros(D), np.repeat([5.0, 1.0, -2.0, 0.0], 6), 1e9 * np.eye(D)[0], np.repeat([1e-9, 0.0], 12)],
    ids=["identity", "zero", "four values", "rank one", "small"],
)
def test_all_copies_of_eigenvalues_are_found_where_the_space_is_exhausted(eigenvalues):
    both = np.stack([np.diag(eigenvalues), rotated(eigenvalues)])
    size = np.abs(eigenvalues).max()
    alpha, beta, V, _ = found(D)(both, np.stack([start(), start()]))
    for k in range(2):
        np.testing.assert_allclose(V[k] @ V[k].T, np.eye(D), atol=1e-13)
        values = krylov.ritz_values(alpha[k], beta[k])
        np.testing.assert_allclose(values, np.sort(eigenvalues), atol=1e-14 * size)  # units of rounding of the norm
    assert beta.min() == 0


def test_an_eigenvector_to_begin_with_ends_its_space_at_once():
    H = np.diag(np.arange(1.0, D + 1))
    alpha, beta, _, _ = found(D)(H[None], np.eye(D)[4][None])
    assert alpha[0, 0] == 5 and beta[0, 0] == 0
    nodes, weights = krylov.quadrature(alpha[0], beta[0])
    # all of this vector's weight is at its eigenvalue, wherever the recursion went on
    np.testing.assert_allclose(nodes @ weights, 5, rtol=1e-14)
    np.testing.assert_allclose(weights[4], 1, rtol=1e-14)


def test_vectors_that_are_held_are_left_out():
    eigenvalues = np.arange(1.0, D + 1)
    held = np.eye(D)[-3:]
    begun = np.where(np.arange(D) < D - 3, start(), 0)
    alpha, beta, V, _ = found(D - 3, held=True)(np.diag(eigenvalues)[None], begun[None], held[None])
    np.testing.assert_array_equal(V[0, :3], held)
    np.testing.assert_allclose(krylov.ritz_values(alpha[0], beta[0]), eigenvalues[:-3], rtol=1e-13)


def test_operators_are_of_any_pytree_and_no_more_steps_are_made_than_there_are_dimensions():
    scale = {"b": 2.0 * jnp.ones(()), "w": jnp.arange(3.0, 9.0).reshape(2, 3)}
    begun = jax.tree.map(jnp.ones_like, scale)
    alpha, beta, V, _ = jax.jit(lambda: krylov.lanczos(lambda v: jax.tree.map(jnp.multiply, scale, v), begun, 50))()
    assert V.shape == (7, 7)
    np.testing.assert_allclose(krylov.ritz_values(alpha, beta), np.arange(2.0, 9.0), rtol=1e-13)


@hypothesis.settings(max_examples=10)
@hypothesis.given(eigenvalues=st.lists(st.floats(-2, 2), min_size=D, max_size=D), seed=st.integers(0, 9))
def test_a_quadrature_of_m_nodes_is_exact_for_polynomials_of_degree_2m_minus_1(eigenvalues, seed):
    H = rotated(eigenvalues, seed)
    v = start(seed=seed)
    alpha, beta, _, _ = found(5)(H[None], v[None])
    nodes, weights = krylov.quadrature(alpha[0], beta[0])
    unit, power = v / np.linalg.norm(v), v / np.linalg.norm(v)
    for degree in range(10):
        # rounding, in units of the largest value the polynomial takes
        np.testing.assert_allclose(weights @ nodes**degree, unit @ power, atol=1e-12 * 2.0**degree)
        power = H @ power


def test_weights_of_the_plain_recursion_share_what_belongs_to_one_eigenvalue():
    steep = rotated(STEEP)
    nodes, weights = krylov.quadrature(*plain_recursion(steep))
    expected = np.linalg.eigh(steep)[1][:, -1] @ start() / np.linalg.norm(start())
    top = nodes > 0.99
    assert top.sum() > 1
    np.testing.assert_allclose(weights[top].sum(), expected**2, rtol=1e-10)


def test_the_negative_weight_begins_below_what_counts_as_flat():
    nodes, weights = jnp.array([[-1.0, -0.02, 0.5, 10.0]] * 2), jnp.array([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]])
    np.testing.assert_allclose(krylov.negative_weight(nodes, weights, 1e-3), [0.3, 0.7])
    np.testing.assert_allclose(krylov.negative_weight(nodes, weights, 1e-2), [0.1, 0.4])
