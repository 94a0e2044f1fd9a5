"""What an optimizer sees of a problem: noise, batches of residuals. Changes of variables are in test_problems."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import stats

import optlab
from optlab.problems import (
    _student,
    from_surface,
    minibatch,
    perturb,
)
from optlab.types import Problem, full_batch


def seen(problem, x, draws=4000):
    """Value and gradient that the optimizer sees at `x`, once for each of many keys."""

    @jax.jit
    @jax.vmap
    def one(key):
        return jax.value_and_grad(problem.loss)(x, problem.batch(problem.data, key))

    return tuple(map(np.asarray, one(jax.random.split(jax.random.key(0), draws))))


X = jnp.array([-0.5, 2.0])


@functools.cache
def exact():
    fn = optlab.surfaces.himmelblau().fn
    return float(fn(X)), np.asarray(jax.grad(fn)(X))


def test_noise_on_the_value_leaves_the_gradient_as_it_is():
    value, gradient = seen(from_surface(optlab.surfaces.himmelblau(), value_noise=3.0), X)
    # Standard errors of mean and deviation of 4,000 draws: 3 times 0.0158 and 0.0112; five of them.
    np.testing.assert_allclose(value.mean(), exact()[0], atol=0.24)
    np.testing.assert_allclose(value.std(), 3, atol=0.17)
    np.testing.assert_allclose(gradient, np.broadcast_to(exact()[1], gradient.shape), rtol=1e-12)


def test_multiplicative_noise_is_relative_to_value_and_gradient_alike():
    value, gradient = seen(from_surface(optlab.surfaces.himmelblau(), multiplicative_noise=0.2), X)
    factor = value / exact()[0]
    np.testing.assert_allclose(gradient, factor[:, None] * exact()[1], rtol=1e-12)
    np.testing.assert_allclose([factor.mean(), factor.std()], [1, 0.2], atol=0.016)


def test_the_three_noises_are_independent_and_add_up():
    surface = optlab.surfaces.himmelblau()
    levels = {"noise": 2.0, "value_noise": 3.0, "multiplicative_noise": 0.2}
    value, gradient = seen(from_surface(surface, **levels), X)
    single = {name: seen(from_surface(surface, **{name: level}), X) for name, level in levels.items()}
    np.testing.assert_allclose(value - exact()[0], sum(v - exact()[0] for v, _ in single.values()), atol=1e-10)
    np.testing.assert_allclose(gradient - exact()[1], sum(g - exact()[1] for _, g in single.values()), atol=1e-10)
    draws = np.stack([single["noise"][1][:, 0], single["value_noise"][0], single["multiplicative_noise"][0]])
    assert np.abs(np.corrcoef(draws) - np.eye(3)).max() < 0.08  # five standard errors of 4,000 draws


@pytest.mark.parametrize("name", ["noise", "value_noise", "multiplicative_noise"])
def test_two_degrees_of_freedom_make_heavy_tails(name):
    surface = optlab.surfaces.himmelblau()
    numbers = {name: 1.0, "freedom": 2.0}
    value, gradient = seen(from_surface(surface, **numbers), X)
    draws = {
        "noise": gradient[:, 0] - exact()[1][0],
        "value_noise": value - exact()[0],
        "multiplicative_noise": value / exact()[0] - 1,
    }[name]
    # Student's t with 2 degrees of freedom: F(t) = 1/2 + t / (2 sqrt(2 + t^2)); Kolmogorov's 0.1 per cent of 4,000
    ranks = (np.arange(4000) + 0.5) / 4000
    draws = np.sort(draws)
    assert np.abs(0.5 + draws / (2 * np.sqrt(2 + draws**2)) - ranks).max() < 1.95 / np.sqrt(4000)
    assert np.abs(draws).max() > 20  # a normal one in 4,000 is below 5


def test_the_distribution_is_students_with_any_degrees_of_freedom():
    for freedom in (1.0, 3.5, 1e6):
        draws = jax.vmap(lambda key, f=freedom: _student(key, f, ()))(jax.random.split(jax.random.key(2), 4000))
        assert stats.kstest(draws, stats.t(freedom).cdf).statistic < 1.95 / np.sqrt(4000)


@pytest.mark.parametrize("numbers", [{"noise": 1.0}, {"noise": 1.0, "freedom": 2.0}, {"batch_size": 2}], ids=str)
def test_a_seed_draws_the_same_in_both_precisions(numbers):
    batches = []
    for x64 in (False, True):
        with jax.enable_x64(x64):
            problem = from_surface(optlab.surfaces.rosenbrock(4), **numbers)
            batches.append(jax.tree.map(np.asarray, problem.batch((), jax.random.key(1))))
    for single, double in zip(*map(jax.tree.leaves, batches), strict=True):
        np.testing.assert_array_equal(single, double)


def test_freedom_without_a_noise_is_refused():
    with pytest.raises(ValueError, match="state noise, value_noise or multiplicative_noise too"):
        from_surface(optlab.surfaces.beale(), freedom=2.0)


def test_a_problem_without_noise_is_left_alone():
    problem = from_surface(optlab.surfaces.himmelblau())
    assert perturb(problem) is problem and problem.batch is full_batch and problem.residual is not None
    assert from_surface(optlab.surfaces.himmelblau(), value_noise=0.1).residual is None


def test_parameters_of_any_form_are_perturbed():
    start = {"w": jnp.ones((2, 3), jnp.float32), "b": jnp.zeros(4)}
    plain = Problem(
        init=lambda key: start,
        batch=full_batch,
        loss=lambda params, data: sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(params)),
        measure=lambda params, data: {"value": jnp.zeros(())},
    )
    problem = perturb(plain, noise=0.5)
    gradient = jax.vmap(lambda key: jax.grad(problem.loss)(start, problem.batch((), key)))(
        jax.random.split(jax.random.key(0), 2000)
    )
    assert gradient["w"].dtype == jnp.float32
    np.testing.assert_allclose(gradient["w"].mean(0), 2, atol=0.06)
    np.testing.assert_allclose(gradient["b"].std(0), 0.5, atol=0.04)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_mean_of_all_batches_is_the_whole(size):
    surface = optlab.surfaces.rosenbrock(4)  # six residuals
    x = jnp.array([0.3, -0.7, 1.1, 0.2])
    value, gradient = seen(from_surface(surface, batch_size=size), x)
    for drawn, whole in ((value, surface.fn(x)), (gradient, jax.grad(surface.fn)(x))):
        error = drawn.std(0) / np.sqrt(len(drawn))
        assert (error > 0).all() and (np.abs(drawn.mean(0) - whole) < 5 * error).all()


def test_a_batch_has_different_residuals_and_its_loss_is_half_their_square():
    problem = from_surface(optlab.surfaces.rosenbrock(4), batch_size=4)
    x = jnp.array([0.3, -0.7, 1.1, 0.2])
    every = np.sort(np.asarray(optlab.surfaces.rosenbrock(4).residual(x)))
    for seed in range(5):
        batch = problem.batch((), jax.random.key(seed))
        residual = np.asarray(problem.residual(x, batch))
        np.testing.assert_allclose(problem.loss(x, batch), 0.5 * np.sum(residual**2), rtol=1e-14)
        assert len(set(residual)) == 4
        assert np.isin((residual / np.sqrt(6 / 4)).round(10), every.round(10)).all()


def test_all_residuals_at_once_are_the_surface_and_at_a_minimum_without_residual_there_is_no_noise():
    surface = optlab.surfaces.rosenbrock(4)
    x = jnp.array([0.3, -0.7, 1.1, 0.2])
    value, gradient = seen(from_surface(surface, batch_size=6), x, draws=3)
    np.testing.assert_allclose(value, float(surface.fn(x)), rtol=1e-13)
    np.testing.assert_allclose(gradient, np.stack([jax.grad(surface.fn)(x)] * 3), rtol=1e-12)
    _, gradient = seen(from_surface(surface, batch_size=1), jnp.ones(4), draws=20)
    np.testing.assert_array_equal(gradient, 0)


def test_a_batch_of_a_batch_takes_part_of_the_part():
    twice = minibatch(from_surface(optlab.surfaces.rosenbrock(4), batch_size=4), 2)
    x = jnp.array([0.3, -0.7, 1.1, 0.2])
    assert twice.residual(x, twice.batch((), jax.random.key(0))).shape == (2,)
    value, _ = seen(twice, x)
    assert abs(value.mean() - optlab.surfaces.rosenbrock(4).fn(x)) < 5 * value.std() / np.sqrt(4000)


@pytest.mark.parametrize(
    ("surface", "size", "sentence"),
    [
        ("peaks", 1, "part of a problem's residuals, and this one has none"),
        ("himmelblau", 0, "from 1 to 2, the number of residuals, not 0"),
        ("himmelblau", 3, "from 1 to 2, the number of residuals, not 3"),
        ("himmelblau", 1.5, "batch_size must be a whole number, not 1.5"),
    ],
)
def test_a_batch_that_cannot_be_drawn_is_refused(surface, size, sentence):
    with pytest.raises(ValueError, match=sentence):
        from_surface(getattr(optlab.surfaces, surface)(), batch_size=size)


def test_what_is_measured_is_whole_and_exact():
    surface = optlab.surfaces.himmelblau()
    problem = from_surface(surface, noise=1.0, value_noise=1.0, multiplicative_noise=1.0, freedom=2.0, batch_size=1)
    trace = jax.jit(lambda key: optlab.run(problem, optax.sgd(1e-3), key, steps=5))(jax.random.key(0))
    np.testing.assert_allclose(trace["value"], jax.vmap(surface.fn)(trace["x"]), rtol=1e-12)
    assert (np.diff(trace["best_value"]) <= 0).all() and trace["gap"][-1] >= 0
