"""`minimize`: the library user's way in, under jit and vmap, on any pytree."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.optimize

import optlab
from optlab import Status

CURVED = (
    optlab.bfgs, optlab.dfp, optlab.lbfgs, optlab.nonlinear_cg, optlab.newton, optlab.modified_newton,
    optlab.trust_region, optlab.newton_cg, optlab.levenberg_marquardt,
)  # fmt: skip


def rosenbrock(x):
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2


def test_it_finds_what_scipy_finds():
    found = jax.jit(lambda x0: optlab.minimize(rosenbrock, x0, optax.lbfgs()))(jnp.array([-1.2, 1.0]))
    peer = scipy.optimize.minimize(rosenbrock, [-1.2, 1.0], jac=jax.grad(rosenbrock), method="L-BFGS-B")
    assert found.status == Status.converged and found.grad_norm <= 1e-6
    # |x - x*| <= |H^-1| |g|: the Hessian's least eigenvalue is 0.4, its gradient at most 1e-6 (ours), 1e-5 (SciPy).
    np.testing.assert_allclose(found.x, peer.x, atol=2e-4)
    assert found.n_grad == found.n_value >= found.steps


def test_each_lane_of_a_vmap_ends_on_its_own():
    starts = jnp.array([[1.0, 1.0], [-1.2, 1.0], [2.0, -2.0]])
    together = jax.jit(jax.vmap(lambda x0: optlab.minimize(rosenbrock, x0, optax.lbfgs())))(starts)
    assert together.steps[0] == 0  # it starts at the minimum
    for lane, x0 in enumerate(starts):
        alone = optlab.minimize(rosenbrock, x0, optax.lbfgs())
        assert alone.steps == together.steps[lane] and alone.n_value == together.n_value[lane]
        np.testing.assert_allclose(alone.x, together.x[lane], atol=1e-8)  # same path, other rounding


def test_the_minimum_has_a_derivative_with_respect_to_what_is_given():
    """In forward mode, of several directions at once: of x* = c t it is c."""
    turned, c = jnp.array([[1.4, 0.3], [0.0, 0.9]]), jnp.array([1.0, -1.0])

    def end(t, make):
        def residual(x):
            return turned @ (x - c * t)

        def value(x):
            return 0.5 * jnp.sum(residual(x) ** 2)

        return optlab.minimize(value, jnp.zeros(2), make(), residual=residual, gtol=1e-9).x

    for make in (*CURVED, lambda: optax.sgd(0.4)):
        # the last step is from where the gradient was above 1e-9
        np.testing.assert_allclose(jax.jacfwd(end)(1.0, make), c, atol=1e-6)


def test_pytrees_further_arguments_and_precision_are_kept():
    def loss(tree, target):
        return jnp.sum((tree["a"] - target) ** 2) + jnp.sum(tree["b"] ** 2)

    start = {"a": jnp.zeros(3, jnp.float32), "b": jnp.ones((2, 2), jnp.float32)}
    target = jnp.arange(3, dtype=jnp.float32)
    found = optlab.minimize(loss, start, optax.sgd(0.3), args=(target,), gtol=1e-4)
    assert found.status == Status.converged
    assert found.x["a"].dtype == jnp.float32
    np.testing.assert_allclose(found.x["a"], target, atol=1e-4)  # gradient 2 (x - target) below 1e-4
    np.testing.assert_allclose(found.x["b"], 0, atol=1e-4)


def test_least_squares_methods_are_offered_the_residuals():
    seen = []

    def update(updates, state, params, *, residual_fn, **unused):
        seen.append(residual_fn(params).shape)
        return jax.tree.map(lambda g: -0.1 * g, updates), state

    spy = optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)
    data = jnp.arange(3.0)
    optlab.minimize(
        lambda x, d: 0.5 * jnp.sum((x - d) ** 2),
        jnp.ones(3),
        spy,
        args=(data,),
        residual=lambda x, d: x - d,
        max_steps=3,
    )
    assert set(seen) == {(3,)}


@pytest.mark.parametrize(
    ("fun", "x0", "optimizer", "status"),
    [
        (rosenbrock, [-1.2, 1.0], optax.sgd(1e-4), Status.max_steps),
        (lambda x: -jnp.sum(x**2), [1.0], optax.sgd(1.0), Status.diverged),
        (lambda x: jnp.sum(jnp.abs(x)), [1.0], optax.sgd(0.0), Status.stalled),
    ],
    ids=["budget", "unbounded below", "stalled"],
)
def test_what_does_not_converge_says_so(fun, x0, optimizer, status):
    assert optlab.minimize(fun, jnp.array(x0), optimizer, max_steps=200).status == status


def test_a_budget_of_nothing_is_refused():
    with pytest.raises(ValueError, match="max_steps must be at least 1, not 0"):
        optlab.minimize(rosenbrock, jnp.zeros(2), optax.sgd(0.1), max_steps=0)
