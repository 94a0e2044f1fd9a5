"""Line searches: what their conditions promise, in both drivers, on functions that fight back."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import optlab
from optlab.optimizers.counts import Counts, nodes
from optlab.optimizers.descent import SearchState

SEARCHES = {
    "armijo": optlab.armijo(),
    "strong_wolfe": optlab.strong_wolfe(),
    "accurate": optlab.strong_wolfe(c2=0.1),
    "hager_zhang": optlab.hager_zhang(),
    "exact": optlab.exact(),
}

#: One-dimensional functions that descend at 0, by what makes them hard.
FUNCTIONS = {
    "parabola": lambda x: 0.5 * (x - 3.0) ** 2,
    "far minimum": lambda x: 0.5 * (x * 1e-4 - 1.0) ** 2,
    "near minimum": lambda x: 0.5 * (x * 1e4 - 1.0) ** 2,
    "wiggly": lambda x: 0.1 * (x - 4.0) ** 2 + jnp.sin(3 * x - 0.5) * 0.3,
    "wall of no numbers": lambda x: -jnp.log(1e-3 + x) + jnp.where(x > 1.5, jnp.nan, x),
    "wall of infinity": lambda x: jnp.where(x < 0.2, (x - 0.1) ** 2, jnp.inf),
    "flat start": lambda x: -x / (x**2 + 2.0),
    "logarithmic barrier": lambda x: -jnp.log(1.0 - x) - 3.0 * x,
    "quartic": lambda x: (x - 2.0) ** 4,
}


def once(search, phi):
    """A nested search along the line from 0: step, value and slope there, state."""

    @jax.jit
    def go():
        x = jnp.zeros(1)
        f = lambda x: phi(x[0])  # noqa: E731
        value, grad = jax.value_and_grad(f)(x)
        direction = -grad / jnp.abs(grad)
        step, state = search.update(direction, search.init(x), x, value=value, grad=grad, value_fn=f)
        new, slope = jax.value_and_grad(f)(x + step)
        return step[0], value, -jnp.abs(grad[0]), new, slope[0] * direction[0], state

    return go()


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("name", SEARCHES)
def test_the_accepted_step_keeps_the_conditions_and_its_value_and_gradient_are_stored(name, function):
    step, f0, m0, f, m, state = once(SEARCHES[name], FUNCTIONS[function])
    step = abs(step)
    assert step > 0 and not state.scalars.failed
    assert f <= f0 + 1e-6 * abs(f0)  # at worst the approximate conditions' epsilon
    if name == "armijo":
        assert f <= f0 + 1e-4 * step * m0
    elif name == "exact":
        assert abs(m) <= 1e-8 * abs(m0)
    elif name == "hager_zhang":
        assert m >= 0.9 * m0
    else:
        assert abs(m) <= (0.1 if name == "accurate" else 0.9) * abs(m0)
        assert f <= f0 + 1e-4 * step * m0
    # Two compilations of one function may differ in the last digits.
    np.testing.assert_allclose(state.value, f, rtol=1e-13, atol=1e-15)
    assert state.counts.n_value == state.counts.n_grad == state.scalars.trials


@pytest.mark.parametrize("far, trials", [(50, 2), (5e3, 3), (5e5, 4)])
def test_from_a_step_far_too_long_strong_wolfe_comes_back_a_hundredfold_a_trial(far, trials):
    *_, m, state = once(optlab.strong_wolfe(c2=1e-3), lambda x: 0.5 * (x - 1 / far) ** 2)
    assert state.scalars.trials == trials  # the first, those on the lower bound, and the parabola's own minimizer
    assert abs(m) <= 1e-12 / far  # which the cubic finds but for rounding


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_on_a_function_without_a_minimum_ends_and_goes_down(name):
    step, f0, _, f, _, state = once(SEARCHES[name], lambda x: -x)
    assert f < f0 and step != 0 and state.scalars.done


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_that_finds_nothing_does_not_move_uphill_and_says_that_it_failed(name):
    """The gradient lies: every step goes up."""

    @jax.custom_vjp
    def liar(x):
        return jnp.where(jnp.any(x != 0), 2.0, 1.0)

    liar.defvjp(lambda x: (liar(x), None), lambda _, g: (jnp.full(1, -1.0) * g,))
    x = jnp.zeros(1)
    search = SEARCHES[name]
    step, state = search.update(jnp.ones(1), search.init(x), x, value=liar(x), grad=-jnp.ones(1), value_fn=liar)
    assert step[0] == 0 and state.scalars.failed
    _, state = search.update(jnp.ones(1), state, x, value=liar(x), grad=-jnp.ones(1), value_fn=liar)
    assert state.steepest and not state.progress.stalled  # now along the negative gradient
    _, state = search.update(jnp.ones(1), state, x, value=liar(x), grad=-jnp.ones(1), value_fn=liar)
    assert state.progress.stalled


def test_a_direction_that_does_not_descend_is_replaced_by_the_negative_gradient():
    x = jnp.array([3.0, 4.0])
    f = lambda x: 0.5 * x @ x  # noqa: E731
    search = optlab.strong_wolfe()
    step, state = search.update(x, search.init(x), x, value=f(x), grad=x, value_fn=f)
    assert state.steepest
    np.testing.assert_allclose(step / jnp.linalg.norm(step), -x / 5, rtol=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_both_drivers_make_the_same_trials(seed):
    """Ten iterations of BFGS from a random start: the flat driver's accepted points are the nested one's."""
    nested, flat = _both_drivers(jax.random.uniform(jax.random.key(seed), (2,), minval=-2.0, maxval=2.0))
    assert flat[2] == nested[2]  # evaluations
    # The flat driver adds differences of points: a rounding error each, amplified by the path.
    np.testing.assert_allclose(flat[0], nested[0], rtol=1e-6, atol=1e-8)


@jax.jit
def _both_drivers(x0, iterations=10):
    f, tx = optlab.surfaces.rosenbrock().fn, optlab.bfgs()
    value, grad = jax.value_and_grad(f)(x0)

    def inside(carry, _):
        x, state, value, grad = carry
        step, state = tx.update(grad, state, x, value=value, grad=grad, value_fn=f, flat=False)
        return (x + step, state, *jax.value_and_grad(f)(x + step)), None

    (x, state, value_end, _), _ = jax.lax.scan(inside, (x0, tx.init(x0), value, grad), length=iterations)
    (counts,) = nodes(state, Counts)

    def trial(carry):
        x, state, begun, made = carry
        value, grad = jax.value_and_grad(f)(x)
        step, state = tx.update(grad, state, x, value=value, grad=grad, flat=True)
        (search,) = nodes(state, SearchState)
        return x + step, state, begun + search.progress.fresh, made + 1

    # The eleventh search begins where the tenth has ended.
    start = (x0, tx.init(x0), jnp.asarray(0), jnp.asarray(0))
    _, state_flat, _, made = jax.lax.while_loop(lambda c: c[2] <= iterations, trial, start)
    (search,) = nodes(state_flat, SearchState)
    return (x, value_end, counts.n_value + 1), (search.base, search.value, made)


def test_a_search_composes_with_any_direction_of_optax():
    f = optlab.surfaces.beale().fn
    tx = optax.chain(optax.scale_by_adam(), optax.scale(-1.0), optlab.armijo())

    @jax.jit
    def descend(x):
        def body(carry, _):
            x, state = carry
            value, grad = optax.value_and_grad_from_state(f)(x, state=state)
            step, state = tx.update(grad, state, x, value=value, grad=grad, value_fn=f)
            return (x + step, state), value

        return jax.lax.scan(body, (x, tx.init(x)), length=60)

    (_, values) = descend(jnp.array([1.0, 1.0]))
    assert (np.diff(values) <= 0).all() and values[-1] < 1e-2


def test_a_search_without_value_or_function_says_what_it_needs():
    x = jnp.ones(2)
    tx = optlab.strong_wolfe()
    with pytest.raises(ValueError, match="needs value=, grad="):
        tx.update(-x, tx.init(x), x)
    with pytest.raises(ValueError, match="needs value_fn="):
        tx.update(-x, tx.init(x), x, value=jnp.asarray(1.0), grad=x, flat=False)


def test_a_constant_step_is_taken_whatever_is_found_there():
    x = jnp.array([1.0])
    tx = optlab.constant(0.25)
    step, _ = tx.update(-x, tx.init(x), x, value=jnp.asarray(0.5), grad=x, value_fn=lambda x: 0.5 * x @ x)
    np.testing.assert_allclose(step, [-0.25])
