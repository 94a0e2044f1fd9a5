"""Gradients that arrive late."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optlab
from optlab.optimizers import delay_gradients, delayed_gradient_descent


def passed_on(delay, gradients):
    optimizer = delay_gradients(delay)

    def step(state, grad):
        late, state = optimizer.update(grad, state)
        return state, late

    first = jax.tree.map(lambda leaf: leaf[0], gradients)
    return jax.jit(lambda given: jax.lax.scan(step, optimizer.init(first), given)[1])(gradients)


@pytest.mark.parametrize(
    ("delay", "expected"), [(0, [1, 2, 3, 4, 5, 6]), (1, [1, 1, 2, 3, 4, 5]), (4, [1, 1, 1, 1, 1, 2])]
)
def test_each_gradient_comes_so_many_steps_later_and_the_first_stands_in_before(delay, expected):
    steps = jnp.arange(1.0, 7.0)
    gradients = {"w": steps[:, None, None] * jnp.ones((6, 2, 3)), "b": steps.astype(jnp.float32)}
    late = passed_on(delay, gradients)
    np.testing.assert_array_equal(late["b"], expected)
    np.testing.assert_array_equal(late["w"], np.broadcast_to(np.reshape(expected, (6, 1, 1)), (6, 2, 3)))
    assert late["b"].dtype == jnp.float32


def test_descent_follows_the_published_recursion():
    surface = optlab.surfaces.himmelblau()
    problem = optlab.problems.from_surface(surface)
    run = jax.jit(
        lambda key: optlab.run(problem, delayed_gradient_descent(0.004, delay=3), key, steps=12, record="all")
    )
    places = run(jax.random.key(0))["x"]
    slope = jax.jit(jax.grad(surface.fn))
    path = [np.asarray(surface.start, float)]
    for t in range(12):
        path.append(path[-1] - 0.004 * np.asarray(slope(path[max(0, t - 3)])))
    np.testing.assert_allclose(places, path, rtol=1e-12)


def test_a_delayed_chain_is_the_method_on_late_gradients():
    chain = optax.chain(delay_gradients(2), optax.adam(0.1))
    gradients = np.random.default_rng(0).normal(size=(8, 3))
    state, plain_state = chain.init(jnp.zeros(3)), optax.adam(0.1).init(jnp.zeros(3))
    for t, grad in enumerate(gradients):
        update, state = chain.update(grad, state)
        expected, plain_state = optax.adam(0.1).update(gradients[max(0, t - 2)], plain_state)
        np.testing.assert_allclose(update, expected, rtol=1e-14)


@pytest.mark.parametrize("delay", [0, 1, 3, 8])
def test_the_largest_rate_is_the_bound_of_levin_and_may(delay):
    bound = 2 * np.sin(np.pi / (2 * (2 * delay + 1))) / 5.0
    surface = optlab.surfaces.quadratic(dim=1)._replace(fn=lambda x: 2.5 * jnp.sum(x**2))
    rates = {"learning_rate": np.array([0.97, 1.03]) * bound}
    trace = optlab.run_sweep(
        optlab.problems.from_surface(surface),
        lambda learning_rate: delayed_gradient_descent(learning_rate, delay),
        rates,
        steps=3000,
        record="last",
    )
    below, above = np.abs(trace["x"][:, -1, 0])
    assert below < 1e-3 and above > 1e3


@pytest.mark.parametrize("delay", [-1, 1.5])
def test_a_delay_that_is_no_number_of_steps_is_refused(delay):
    with pytest.raises(ValueError, match="whole number of steps from 0"):
        delay_gradients(delay)
