"""`run`: one pure function for any optax transform, any pytree, and how it counts, records and ends."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import optlab
from optlab import Problem, Status
from optlab.run import PATIENCE, TARGETS, recorded_steps
from optlab.types import full_batch


def bowl(init=None, minimum=0.0, curvature=1.0):
    """0.5 c |x|^2 on any pytree."""
    init = jnp.array([3.0, -4.0]) if init is None else init

    def loss(params, batch):
        return 0.5 * curvature * sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(params))

    return Problem(
        init=lambda key: init,
        batch=full_batch,
        loss=loss,
        measure=lambda params, data: {"value": loss(params, data)},
        minimum=minimum,
    )


def go(problem, optimizer, steps=20, seed=0, **options):
    return jax.jit(lambda key: optlab.run(problem, optimizer, key, steps=steps, **options))(jax.random.key(seed))


def test_rows_follow_the_closed_form_of_gradient_descent():
    trace = go(bowl(), optax.sgd(0.1), record="all")
    # x_t = 0.9^t x_0; a float64 product of 20 factors is exact to a few units in the last place.
    expected = np.array([3.0, -4.0]) * 0.9 ** np.arange(21)[:, None]
    np.testing.assert_allclose(trace["x"], expected, rtol=1e-14)
    np.testing.assert_allclose(trace["value"], 0.5 * (expected**2).sum(1), rtol=1e-14)
    np.testing.assert_allclose(trace["grad_norm"], np.abs(expected).max(1), rtol=1e-14)
    np.testing.assert_array_equal(trace["step"], np.arange(21))


def test_a_plain_method_is_given_one_value_and_one_gradient_a_step_and_one_of_each_to_begin():
    trace = go(bowl(), optax.adam(0.1), record="all")
    np.testing.assert_array_equal(trace["n_value"], trace["step"] + 1)
    np.testing.assert_array_equal(trace["n_grad"], trace["step"] + 1)
    np.testing.assert_array_equal(trace["n_hvp"], 0)


@pytest.mark.parametrize(
    "search",
    [
        optax.scale_by_zoom_linesearch(20),
        optax.scale_by_backtracking_linesearch(20, store_grad=True),
        optax.scale_by_backtracking_linesearch(20),
    ],
    ids=["zoom", "backtracking with gradient", "backtracking"],
)
def test_line_search_evaluations_are_counted_as_they_are_made(search):
    """Against a count by a callback in the loss itself, which sees every evaluation that is executed."""
    calls = {"value": 0, "grad": 0}

    @jax.custom_vjp
    def counted(x):
        jax.debug.callback(lambda: calls.__setitem__("value", calls["value"] + 1))
        return x

    def forward(x):
        return counted(x), None

    def backward(_, g):
        jax.debug.callback(lambda: calls.__setitem__("grad", calls["grad"] + 1))
        return (g,)

    counted.defvjp(forward, backward)
    surface = optlab.surfaces.rosenbrock()
    problem = optlab.problems.from_surface(surface)
    problem = problem._replace(
        loss=lambda x, batch: counted(surface.fn(x)), measure=lambda x, data: {"value": surface.fn(x)}
    )
    optimizer = optax.chain(optax.scale_by_lbfgs(), optax.scale(-1.0), search)
    trace = go(problem, optimizer, steps=8, record="last")
    jax.effects_barrier()
    assert (int(trace["n_value"][-1]), int(trace["n_grad"][-1])) == (calls["value"], calls["grad"])


def test_the_evaluations_that_an_optimizer_makes_by_itself_are_added():
    trace = go(bowl(), optlab.nesterov(0.1), record="all")
    # One gradient at the lookahead point and one at the parameters.
    np.testing.assert_array_equal(trace["n_grad"], 2 * trace["step"] + 1)
    reached = trace["target_step"] >= 0
    np.testing.assert_array_equal(trace["target_n_grad"][reached], 2 * trace["target_step"][reached] + 1)


def test_the_ladder_holds_the_first_step_that_reached_each_target_although_few_steps_are_recorded():
    sparse = go(bowl(), optax.sgd(0.2), steps=30, record="last")
    gap = go(bowl(), optax.sgd(0.2), steps=30, record="all")["gap"]
    first = [int(np.argmax(gap <= target)) if (gap <= target).any() else -1 for target in TARGETS]
    assert -1 in first and max(first) > 10  # the test sees both sides of the ladder
    np.testing.assert_array_equal(sparse["target_step"], first)
    np.testing.assert_array_equal(sparse["target_n_value"], [n + 1 if n >= 0 else -1 for n in first])


@pytest.mark.parametrize(
    ("problem", "optimizer", "status"),
    [
        (bowl(), optax.sgd(0.5), Status.converged),
        (bowl(), optax.sgd(1e-3), Status.max_steps),
        (bowl(), optax.sgd(2.5), Status.diverged),
        (bowl(), optax.sgd(0.0), Status.stalled),
        (bowl(init=jnp.zeros(2)), optax.adam(0.1), Status.converged),
        (bowl(init=jnp.array([jnp.nan, 1.0])), optax.adam(0.1), Status.diverged),
        (bowl(curvature=-1.0, minimum=None), optax.sgd(0.5), Status.diverged),
    ],
    ids=[
        "converged",
        "max_steps",
        "diverged",
        "stalled",
        "zero gradient at the start",
        "NaN at the start",
        "unbounded",
    ],
)
def test_each_run_ends_with_its_status(problem, optimizer, status):
    trace = go(problem, optimizer, steps=2 * PATIENCE)
    assert Status(int(trace["status"][-1])) is status


def test_a_run_that_has_ended_stays_frozen():
    trace = go(bowl(), optax.adam(2.0), steps=4000, record=100)
    end = int(np.argmax(np.asarray(trace["status"]) == Status.converged))
    assert 0 < end < len(trace["step"]) - 1
    for name in ("step", "x", "value", "n_grad", "grad_norm", "best_value", "status"):
        rows = np.asarray(trace[name])[end:]
        np.testing.assert_array_equal(rows, np.broadcast_to(rows[0], rows.shape))


@pytest.mark.parametrize(
    "optimizer",
    [
        optax.sgd(0.1),
        optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.1)),
        optax.adam(optax.cosine_decay_schedule(0.1, 20)),
        optax.inject_hyperparams(optax.adam)(learning_rate=0.1),
        optax.lbfgs(),
        optax.MultiSteps(optax.sgd(0.1), 3).gradient_transformation(),
        optax.polyak_sgd(),
        optax.apply_if_finite(optax.sgd(0.1), 3),
    ],
    ids=["plain", "chained", "schedule", "injected", "line search", "accumulated", "needs value", "wrapped"],
)
def test_any_optax_transform_descends_any_pytree_in_both_precisions(optimizer):
    for dtype in (jnp.float32, jnp.float64):
        tree = {"a": jnp.ones((2, 3), dtype), "b": [jnp.full(4, -2.0, dtype), jnp.asarray(3.0, dtype)]}
        trace = go(bowl(init=tree), optimizer)
        assert trace["x"].dtype == dtype and trace["value"].dtype == dtype
        assert trace["value"][-1] < trace["value"][0]


def test_vmap_over_rates_gives_what_each_rate_gives_alone():
    rates = jnp.array([0.01, 0.3, 2.5])  # one of them diverges, one converges
    together = jax.jit(jax.vmap(lambda r: optlab.run(bowl(), optax.sgd(r), jax.random.key(0), steps=100)))(rates)
    for lane, rate in enumerate(rates.tolist()):
        alone = go(bowl(), optax.sgd(rate), steps=100)
        for name, column in alone.items():
            # The same operations in the same order; the compiler may fuse a multiplication and an addition.
            np.testing.assert_allclose(together[name][lane], column, rtol=1e-12, err_msg=name)


def test_noise_is_seen_by_the_optimizer_and_not_by_the_measure():
    problem = optlab.problems.from_surface(optlab.surfaces.quadratic(condition=3.0), noise=0.5)
    trace = go(problem, optax.sgd(0.1), steps=50, record="all")
    exact = jax.vmap(optlab.surfaces.quadratic(condition=3.0).fn)(trace["x"])
    np.testing.assert_allclose(trace["value"], exact, rtol=1e-12)  # the same expression, compiled twice
    np.testing.assert_allclose(trace["best_value"], np.minimum.accumulate(exact), rtol=1e-12)
    other = go(problem, optax.sgd(0.1), steps=50, record="all", seed=1)
    assert not np.array_equal(trace["x"], other["x"])
    again = go(problem, optax.sgd(0.1), steps=50, record="all")
    np.testing.assert_array_equal(trace["x"], again["x"])


def test_noise_on_the_gradient_has_the_stated_deviation():
    problem = optlab.problems.from_surface(optlab.surfaces.quadratic(), noise=0.5)
    keys = jax.random.split(jax.random.key(0), 4000)
    x = jnp.array([1.0, 2.0])
    noisy = jax.vmap(lambda key: jax.grad(problem.loss)(x, problem.batch((), key)))(keys)
    exact = jax.grad(optlab.surfaces.quadratic().fn)(x)
    # Standard errors of mean and deviation of 4,000 draws: 0.008 and 0.0056; five of them.
    np.testing.assert_allclose(noisy.mean(0), exact, atol=0.04)
    np.testing.assert_allclose(noisy.std(0), 0.5, atol=0.028)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 10**6))
def test_logarithmic_recording_starts_at_0_ends_with_the_budget_and_stays_short(steps):
    chosen = recorded_steps(steps)
    assert chosen[0] == 0 and chosen[-1] == steps
    assert (np.diff(chosen) > 0).all()
    assert len(chosen) <= 8 * np.log10(steps) + 3


def test_other_ways_of_recording():
    assert recorded_steps(10, "all").tolist() == list(range(11))
    assert recorded_steps(10, "last").tolist() == [0, 10]
    assert recorded_steps(10, 4).tolist() == [0, 4, 8, 10]
    assert recorded_steps(10, [3, 20, 3]).tolist() == [0, 3, 10]
    for wrong in ("often", 0, -1):
        with pytest.raises(ValueError, match="record must be"):
            recorded_steps(10, wrong)
    with pytest.raises(ValueError, match="steps must be at least 1"):
        recorded_steps(0)


def test_data_travels_as_an_argument_and_batches_follow_the_key():
    data = jnp.arange(100.0)

    def batch(data, key):
        return jax.random.choice(key, data, (5,))

    problem = Problem(
        init=lambda key: jnp.zeros(()),
        batch=batch,
        loss=lambda x, rows: 0.5 * jnp.mean((x - rows) ** 2),
        measure=lambda x, data: {"value": 0.5 * jnp.mean((x - data) ** 2), "bias": x - jnp.mean(data)},
        data=data,
    )
    trace = go(problem, optax.sgd(0.05), steps=300)
    assert "gap" not in trace and "target_step" not in trace  # no minimum is stated
    # The mean of the last 1/0.05 = 20 batches of 5 has deviation 29 / sqrt(100) / sqrt(2); five of them.
    assert abs(trace["bias"][-1]) < 5 * 2.1
    assert trace["best_value"][-1] == trace["value"].min()
