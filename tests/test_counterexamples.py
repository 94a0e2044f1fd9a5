"""Each counter-example fails the method it is made for, and not the ones beside it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optlab
from optlab import surfaces
from optlab.problems import from_surface
from optlab.stochastic_examples import adam_nonconvergence

KEY = jax.random.key(0)


def path(problem, optimizer, steps, keys=None):
    """A run with each of its steps, or one for each key."""

    def one(key):
        return optlab.run(problem, optimizer, key, steps=steps, record=1)

    found = jax.jit(one)(KEY) if keys is None else jax.jit(jax.vmap(one))(keys)
    return {name: np.asarray(column) for name, column in found.items()}


def test_the_heavy_ball_with_the_numbers_for_a_quadratic_goes_round_three_places():
    problem = from_surface(surfaces.heavy_ball_cycle())
    places = path(problem, optlab.heavy_ball(1 / 9, 4 / 9), 300)["x"].ravel()
    np.testing.assert_allclose(np.sort(places[-3:]), np.asarray([-2208, 792, 2592]) / 1225, rtol=1e-12)
    np.testing.assert_allclose(places[-3:], places[-6:-3], rtol=1e-12)


@pytest.mark.parametrize(
    "optimizer",
    [optlab.heavy_ball(1 / 25, 4 / 9), optlab.nesterov(1 / 25, 2 / 3), optlab.gradient_descent(1 / 13)],
    ids=["smaller rate", "nesterov", "gradient descent"],
)
def test_the_same_function_is_no_trouble_to_a_method_that_has_a_proof(optimizer):
    found = path(from_surface(surfaces.heavy_ball_cycle()), optimizer, 300)
    assert abs(found["x"][-1, 0]) < 1e-6


def test_bfgs_goes_round_an_octagon_with_unit_steps_while_its_gradient_stays():
    steps = 48
    found = path(from_surface(surfaces.bfgs_cycle()), optlab.bfgs(), steps)
    # the search accepts its first trial, and the value falls by the same factor each time
    np.testing.assert_array_equal(found["n_value"], found["step"] + 1)
    np.testing.assert_allclose(found["value"][2:] / found["value"][1:-1], 0.8385475701679, rtol=1e-3)
    assert found["value"][-1] < 1e-3 * found["value"][1]
    assert found["grad_norm"].min() > 0.2
    # C maps the first two coordinates alone to z: it has eight places, taken one after the other
    corners = found["x"][found["step"] > 0, :2]
    np.testing.assert_allclose(corners[8:], corners[:-8], atol=1e-3)
    assert np.linalg.norm(corners[1:8] - corners[0], axis=1).min() > 0.3


def polak_ribiere(surface, least_beta, steps):
    """Places and gradients of d <- -g + beta d from -g, each step to the first local minimizer: `[steps, 3]` each."""
    gradient = jax.grad(surface.fn)

    def step(state, _):
        x, g, d = state

        def falls(t):
            return gradient(x + t * d) @ d < 0

        grid = jnp.arange(1, 4001) * 2e-3 / jnp.abs(d[0])  # of the coordinate that moves most, over its period
        rises = ~jax.vmap(falls)(grid)
        high = grid[jnp.argmax(rises)]

        def halve(_, ends):
            middle = ends.mean()
            return jnp.where(falls(middle), ends.at[0].set(middle), ends.at[1].set(middle))

        low, high = jax.lax.fori_loop(0, 60, halve, jnp.stack([high - grid[0], high]))
        x = jnp.where(rises.any(), x + high * d, jnp.nan)
        new = gradient(x)
        beta = new @ (new - g) / (g @ g)
        return (x, new, -new + jnp.maximum(beta, least_beta) * d), (x, new)

    x = jnp.asarray(surface.start)
    begin = (x, gradient(x), -gradient(x))
    return jax.tree.map(np.asarray, jax.jit(lambda begin: jax.lax.scan(step, begin, length=steps)[1])(begin))


def test_polak_ribiere_goes_round_four_places_while_its_gradient_stays():
    surface = surfaces.polak_ribiere_cycle()
    places, gradients = polak_ribiere(surface, -np.inf, 400)
    values, sizes = np.asarray(jax.vmap(surface.fn)(places)), np.linalg.norm(gradients, axis=1)
    assert (np.diff(values) < 0).all() and sizes.min() > 0.11
    # the cycle attracts: in time the first coordinate repeats to the last digits, and the others and the value shrink
    x = places[:, 0]
    np.testing.assert_allclose(x[-4:], [1.2853704262, -0.7960495810, -1.2853704262, 0.7960495810], rtol=1e-9)
    np.testing.assert_allclose(x[204:], x[200:-4], rtol=1e-11)
    np.testing.assert_allclose(sizes[-4:], [0.1116468126, 1, 0.1116468126, 1], rtol=1e-6)
    np.testing.assert_allclose(values[202:] / values[200:-2], 0.919866495513, rtol=1e-9)
    assert 0 < values[-1] < 1e-9 and surface.points[0].value < -4.6


def test_the_same_function_is_no_trouble_where_beta_is_cut_at_zero():
    surface = surfaces.polak_ribiere_cycle()
    ideal = surface.fn(polak_ribiere(surface, 0.0, 100)[0][-1])
    ours = path(from_surface(surface), optlab.nonlinear_cg(beta="pr+"), 200)["value"][-1]
    minima = [point.value for point in surface.points if point.kind == "minimum"]
    for value in (ideal, ours):
        assert np.abs(value - np.asarray(minima)).min() < 1e-10


def test_adam_drifts_away_from_the_minimum_that_sgd_and_amsgrad_find():
    C, keys = 3.0, jax.random.split(KEY, 8)
    problem = adam_nonconvergence(C)

    def mean_end(optimizer):
        return path(problem, optimizer, 8000, keys)["x"][:, -2000:].mean()

    assert mean_end(optax.adam(0.01, b1=0, b2=1 / (1 + C**2))) > 0.9
    assert mean_end(optax.sgd(0.01)) < -0.7
    assert mean_end(optax.amsgrad(0.01, b1=0, b2=1 / (1 + C**2))) < -0.7


def test_the_loss_that_misleads_adam_has_the_stated_mean_and_minimum():
    C, delta = 4.0, 0.2
    problem = adam_nonconvergence(C, delta)
    x = jnp.asarray([0.3])
    losses = jax.vmap(lambda key: problem.loss(x, problem.batch((), key)))(jax.random.split(KEY, 20000))
    assert set(np.round(np.unique(losses), 12)) == {-0.3, 1.2}
    np.testing.assert_allclose(losses.mean(), delta * 0.3, atol=0.02)
    least = jnp.asarray([-1 - delta / 10])
    value, slope = jax.value_and_grad(lambda x: problem.measure(x, ())["value"])(least)
    np.testing.assert_allclose([value, slope[0]], [problem.minimum, 0], atol=1e-15)
