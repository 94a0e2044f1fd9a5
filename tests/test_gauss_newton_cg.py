"""Products with the generalized Gauss-Newton matrix, and the method that descends by them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

import optlab
from optlab import problems, surfaces, workloads
from optlab.optimizers.hessian import gauss_newton_products

LABELS = jnp.array([0, 2, 1, 0, 2])
INPUTS = jnp.asarray(np.random.default_rng(0).normal(size=(5, 4)))


def outputs(params):
    return jnp.tanh(INPUTS @ params["in"]) @ params["out"]


def criterion(logits):
    return optax.softmax_cross_entropy_with_integer_labels(logits, LABELS).mean()


@pytest.fixture(scope="module")
def params():
    rng = np.random.default_rng(1)
    return {"in": jnp.asarray(rng.normal(size=(4, 3))), "out": jnp.asarray(rng.normal(size=(3, 3)))}


def test_products_are_those_of_the_matrix_written_out(params):
    x, unravel = ravel_pytree(params)
    J = jax.jacobian(lambda x: outputs(unravel(x)).ravel())(x)
    z = outputs(params)
    H = jax.hessian(lambda z: criterion(z.reshape(5, 3)))(z.ravel())
    product = gauss_newton_products((outputs, criterion), params)
    G = np.stack([ravel_pytree(product(unravel(e)))[0] for e in np.eye(len(x))])
    np.testing.assert_allclose(G, J.T @ H @ J, atol=1e-14)  # sums of at most 15 products of order 1
    assert np.linalg.eigvalsh(G).min() > -1e-14
    # And not the Hessian, which is indefinite here.
    assert np.linalg.eigvalsh(jax.hessian(lambda x: criterion(outputs(unravel(x))))(x)).min() < -1e-3


def test_a_linear_least_squares_problem_is_solved_in_one_iteration():
    A = np.random.default_rng(2).normal(size=(8, 4))
    b = np.random.default_rng(3).normal(size=8)
    surface = surfaces.quadratic(2)._replace(
        fn=lambda x: 0.5 * jnp.sum((jnp.asarray(A) @ x - b) ** 2),
        residual=lambda x: jnp.asarray(A) @ x - b,
        start=np.zeros(4), domain=(-np.ones(4), np.ones(4)), points=(), starts=(),
    )  # fmt: skip
    problem = problems.from_surface(surface)
    trace = jax.jit(lambda: optlab.run(problem, optlab.gauss_newton_cg(forcing=1e-12), jax.random.key(0), steps=1))()
    np.testing.assert_allclose(trace["x"][-1], np.linalg.lstsq(A, b, rcond=None)[0], rtol=1e-9)
    # As many products as the matrix has eigenvalues; rounding may ask for one more.
    assert 4 <= trace["n_hvp"][-1] <= 5


def test_on_a_network_it_needs_fewer_steps_than_gradients_and_counts_its_products():
    problem = workloads.training(
        network=workloads.mlp(depth=1, width=0.02, activation="tanh"), data=workloads.digits(), batch_size=0
    )
    tx = optlab.gauss_newton_cg(max_iterations=20)
    trace = jax.jit(lambda: optlab.run(problem, tx, jax.random.key(0), steps=12, record="all", probes={}))()
    assert trace["value"][-1] < 0.02 * trace["value"][0]  # where gradient descent is at 0.7 of it
    made = np.diff(trace["n_hvp"])
    assert (made <= 20).all() and made.sum() >= 12


def test_a_problem_that_tells_neither_outputs_nor_residuals_is_refused():
    problem = problems.from_surface(surfaces.himmelblau()._replace(residual=None))
    with pytest.raises(ValueError, match="needs outputs or residuals"):
        optlab.run(problem, optlab.gauss_newton_cg(), jax.random.key(0), steps=1)
