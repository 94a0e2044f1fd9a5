"""What is done around an optimizer in training: schedules against optax's, and each part of a recipe by itself."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optlab
from optlab import probes
from optlab.optimizers import averaged, recipe, tracked_updates
from optlab.problems import from_surface
from optlab.workloads import schedules
from optlab.workloads.data import digits
from optlab.workloads.networks_plain import logistic_regression
from optlab.workloads.tasks import mean_probability
from optlab.workloads.training import training

# Schedules

STEPS = 200


def joined(lengths, end):
    """Cosines one after the other, by optax."""
    parts = [optax.cosine_decay_schedule(1.0, length, alpha=end) for length in lengths]
    return optax.join_schedules(parts, np.cumsum(lengths)[:-1].tolist())


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (schedules.cosine(steps=STEPS), optax.cosine_decay_schedule(1.0, STEPS)),
        (schedules.cosine(steps=STEPS, end=0.1), optax.cosine_decay_schedule(1.0, STEPS, alpha=0.1)),
        (
            schedules.cosine(steps=STEPS, warmup=0.1, end=0.05),
            optax.warmup_cosine_decay_schedule(0.0, 1.0, STEPS // 10, STEPS, 0.05),
        ),
        (schedules.warmup(steps=STEPS, share=0.2), optax.linear_schedule(0.0, 1.0, STEPS // 5)),
        (schedules.exponential(steps=STEPS, end=0.02), optax.exponential_decay(1.0, STEPS, 0.02)),
        (schedules.staircase(steps=STEPS, factor=0.2), optax.piecewise_constant_schedule(1.0, {100: 0.2, 150: 0.2})),
        (schedules.one_cycle(steps=STEPS), optax.cosine_onecycle_schedule(STEPS, 1.0)),
        (
            schedules.one_cycle(steps=STEPS, rise=0.45, start=0.1, end=1e-3),
            optax.cosine_onecycle_schedule(STEPS, 1.0, pct_start=0.45, div_factor=10, final_div_factor=100),
        ),
        (schedules.warm_restarts(steps=STEPS), joined([50, 50, 50, 50], 0.0)),
        (schedules.warm_restarts(steps=150, cycles=4, growth=2.0, end=0.1), joined([10, 20, 40, 80], 0.1)),
        (schedules.range_test(steps=STEPS, start=1e-4), optax.exponential_decay(1e-4, STEPS, 1e4)),
        (
            schedules.cyclic(steps=STEPS, cycles=4, low=0.1),
            lambda t: np.interp(t % 50, [0, 25, 50], [0.1, 1, 0.1]),  # Smith 2017, figure 2
        ),
    ],
    ids=lambda schedule: getattr(schedule, "__qualname__", "").split(".")[0],
)
def test_a_schedule_is_the_one_of_its_formula_at_every_step(ours, theirs):
    steps = np.arange(STEPS)
    expected = [theirs(step) for step in steps]
    # 2e-6: optax computes some in float32; zero is not met exactly there
    np.testing.assert_allclose(jax.jit(jax.vmap(ours))(steps), expected, rtol=2e-6, atol=1e-7)


def test_a_warm_restart_begins_at_one_and_the_last_cosine_ends_with_the_budget():
    schedule = schedules.warm_restarts(steps=150, cycles=4, growth=2.0, end=0.1)
    values = np.asarray(jax.jit(jax.vmap(schedule))(np.array([0, 10, 30, 70, 150, 160])))
    np.testing.assert_allclose(values, [1, 1, 1, 1, 0.1, 0.1], rtol=1e-6)


# Recipes


def loss(x):
    return 0.5 * jnp.sum(jnp.array([1.0, 10.0]) * x**2) + jnp.sum(x**4)


START = np.array([1.0, -2.0])


def walk(optimizer, steps, value_fn=loss):
    """Parameters before each step and after the last: `[steps + 1, 2]`."""
    optimizer = optax.with_extra_args_support(optimizer)

    def step(carry, _):
        x, state = carry
        updates, state = optimizer.update(jax.grad(value_fn)(x), state, x, value_fn=value_fn)
        return (x + updates, state), x + updates

    @jax.jit
    def all_of_them():
        x = jnp.asarray(START)
        return jnp.concatenate([x[None], jax.lax.scan(step, (x, optimizer.init(x)), length=steps)[1]])

    return np.asarray(all_of_them())


def quadratic(record="all", steps=20):
    problem = from_surface(optlab.surfaces.quadratic(), start=START.tolist())
    return problem, functools.partial(optlab.run, key=jax.random.key(0), steps=steps, record=record)


def test_the_recorded_momentum_is_inverse_to_the_recorded_rate_and_both_are_used():
    problem, run = quadratic()
    cycle = schedules.cyclic(steps=20, cycles=2, low=0.1)
    made = recipe(
        optlab.heavy_ball, {"learning_rate": 0.02, "momentum": 0.9}, schedule=cycle, cycle_momentum=(0.85, 0.95)
    )
    trace = jax.tree.map(np.asarray, jax.jit(lambda: run(problem, made))())
    rates, momenta = trace["learning_rate"], trace["momentum"]
    # the row after step t holds what step t was made with; the first, what is to come
    expected = np.array([float(cycle(t)) for t in [0, *range(20)]])
    np.testing.assert_allclose(rates, 0.02 * expected, rtol=1e-6)  # optax keeps them in float32
    np.testing.assert_allclose(momenta, 0.95 - 0.1 * expected, rtol=1e-6)
    assert rates.argmax() == momenta.argmin() and np.ptp(momenta) > 0.05

    x, velocity, curvatures = START, 0.0, jax.hessian(lambda x: problem.loss(x, ()))(START)
    for rate, momentum, there in zip(rates[1:], momenta[1:], trace["x"][1:], strict=True):
        velocity = momentum * velocity - rate * (curvatures @ x)
        x = x + velocity
        np.testing.assert_allclose(there, x, rtol=1e-6)


def test_a_recipe_without_schedule_is_its_optimizer():
    np.testing.assert_array_equal(walk(recipe(optax.adam, {"learning_rate": 0.1}), 5), walk(optax.adam(0.1), 5))


@pytest.mark.parametrize(
    ("factory", "numbers", "choices", "message"),
    [
        (optlab.heavy_ball, {"learning_rate": 0.1}, {"cycle_momentum": (0.8, 0.9)}, "state a schedule too"),
        (optax.sgd, {"learning_rate": 0.1}, {}, None),
        (optlab.bfgs, {}, {"schedule": schedules.cosine(steps=5)}, "this optimizer has none"),
        (
            optlab.gradient_descent,
            {"learning_rate": 0.1},
            {"schedule": schedules.cosine(steps=5), "cycle_momentum": (0.8, 0.9)},
            "changes the momentum, and this optimizer has none",
        ),
    ],
)
def test_what_an_optimizer_does_not_have_cannot_be_scheduled(factory, numbers, choices, message):
    if message is None:
        recipe(factory, numbers, **choices)
        return
    with pytest.raises(ValueError, match=message):
        recipe(factory, numbers, **choices)


def test_a_long_gradient_is_shortened_to_the_norm_and_a_short_one_is_left():
    gradient = np.asarray(jax.grad(loss)(START))
    length = np.linalg.norm(gradient)
    for norm in (0.1 * length, 0.99 * length, 1.01 * length):
        path = walk(recipe(optlab.gradient_descent, {"learning_rate": 1.0}, clip_norm=norm), 1)
        np.testing.assert_allclose(path[1] - path[0], -gradient * min(1, norm / length), rtol=1e-12)


def test_an_average_that_forgets_nothing_is_the_arithmetic_mean_of_the_iterates():
    problem, run = quadratic()
    trace, plain = jax.jit(
        lambda: (run(problem, averaged(optlab.heavy_ball(0.005), 1.0)), run(problem, optlab.heavy_ball(0.005)))
    )()
    means = np.cumsum(plain["x"][1:], axis=0) / np.arange(1, 21)[:, None]
    np.testing.assert_allclose(trace["x"][1:], means, rtol=1e-12)  # the start is none of them
    # and the run is judged by it
    np.testing.assert_allclose(trace["value"][1:], [problem.loss(x, ()) for x in means], rtol=1e-12)
    assert not np.allclose(trace["value"][5:], plain["value"][5:], rtol=0.1)


def test_an_average_that_forgets_is_exponential_after_its_first_steps():
    decay = 0.8
    problem, run = quadratic()
    made = recipe(optlab.gradient_descent, {"learning_rate": 0.005}, average=decay)
    trace, plain = jax.jit(lambda: (run(problem, made), run(problem, optlab.gradient_descent(0.005))))()
    mean = 0.0
    for t, x in enumerate(np.asarray(plain["x"])[1:], 1):
        mean += max(1 - decay, 1 / t) * (x - mean)
        np.testing.assert_allclose(trace["x"][t], mean, rtol=1e-12)


def test_gradients_of_four_small_batches_make_the_step_of_one_that_is_four_times_as_large():
    def train(size, steps, **choices):
        problem = training(network=logistic_regression(), data=digits(), batch_size=size, evaluated=16)
        made = recipe(optax.adam, {"learning_rate": 0.01}, **choices)
        trace = jax.jit(lambda: optlab.run(problem, made, jax.random.key(0), steps=steps, record="last"))()
        return np.asarray(trace["x"])

    small, large = train(32, 60, accumulate=4), train(128, 15)  # beyond one pass, of 44 and of 11 batches
    np.testing.assert_allclose(small, large, rtol=1e-6, atol=1e-8)  # sums in another order
    assert np.abs(small[1] - small[0]).max() > 0.05


def test_the_ratio_of_updates_is_told_by_layer_for_the_last_update_that_was_made():
    params = {"dense10": {"kernel": jnp.full((2, 2), 3.0)}, "dense2": {"kernel": jnp.ones(4), "bias": jnp.zeros(1)}}
    problem = optlab.types.Problem(
        lambda key: params, optlab.types.full_batch,
        lambda p, _: jnp.sum(p["dense10"]["kernel"]) + 2 * jnp.sum(p["dense2"]["kernel"]),
        lambda p, _: {"value": jnp.zeros(())},
    )  # fmt: skip
    assert probes.layer_names(params) == ["dense2", "dense10"]
    run = functools.partial(optlab.run, problem, key=jax.random.key(0), steps=4, record="all", probes={})
    made = recipe(optax.sgd, {"learning_rate": 0.1}, track_updates=True, accumulate=2)
    every, second = jax.jit(lambda: (run(tracked_updates(optax.sgd(0.1))), run(made)))()
    ratios = np.array([[0.2 / (1 - 0.2 * t), 0.1 / (3 - 0.1 * t)] for t in range(4)])
    np.testing.assert_allclose(every["update_ratio"], [[0, 0], *ratios], rtol=1e-6)
    # of two steps, the second makes the update
    np.testing.assert_allclose(second["update_ratio"], [[0, 0], [0, 0], ratios[0], ratios[0], ratios[1]], rtol=1e-6)
    assert "update_ratio" not in optlab.run(problem, optax.sgd(0.1), jax.random.key(0), steps=1, probes={})


def test_a_layer_that_leaves_zero_has_an_infinite_ratio_and_one_that_stays_has_none():
    optimizer = tracked_updates(optax.sgd(1.0))
    params = {"a": {"w": jnp.zeros(2)}, "b": {"w": jnp.zeros(2)}}
    grads = {"a": {"w": jnp.ones(2)}, "b": {"w": jnp.zeros(2)}}
    _, state = optimizer.update(grads, optimizer.init(params), params)
    assert state.kept.by_layer.tolist() == [np.inf, 0]


def test_an_ensemble_keeps_the_ends_of_its_parts_and_pools_probabilities():
    def loss(x):
        return 0.5 * jnp.sum(x**2)

    tx = recipe(optax.sgd, {"learning_rate": 0.5}, ensemble=3, steps=7)
    x, state = jnp.array([1.0, 2.0]), tx.init(jnp.array([1.0, 2.0]))
    seen = []
    for _ in range(7):
        updates, state = tx.update(jax.grad(loss)(x), state, x)
        x = optax.apply_updates(x, updates)
        seen.append(np.asarray(x))
    np.testing.assert_array_equal(state.kept.params, np.stack([seen[1], seen[3], seen[5]]))  # 7 // 3 = 2 steps each
    assert state.kept.taken == 3
    with pytest.raises(ValueError, match="from 1 to 7 parts"):
        recipe(optax.sgd, {"learning_rate": 0.5}, ensemble=8, steps=7)


def test_pooled_logits_are_those_of_the_mean_probability():
    logits = np.random.default_rng(0).normal(size=(3, 4, 5))
    each = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    weights = np.array([0.5, 0.5, 0.0])
    pooled = mean_probability(jnp.asarray(logits), jnp.asarray(weights))
    np.testing.assert_allclose(np.exp(pooled), 0.5 * (each[0] + each[1]), rtol=1e-12)
