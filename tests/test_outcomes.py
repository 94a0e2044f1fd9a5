"""Many runs of which only the end is kept: the same ends as one by one, whatever the tiles."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optlab
from optlab.landscape.outcomes import by_blocks, outcomes
from optlab.types import Problem, Status, full_batch

RATES = np.array([0.01, 0.05, 0.09, 0.15, 0.19, 0.21, 0.3, 3.0])


def descent(numbers):
    """On a quadratic with curvatures 1 and 10: it diverges beyond a rate of 0.2."""
    problem = optlab.problems.from_surface(optlab.surfaces.quadratic(condition=10.0), start=jnp.array([1.0, 1.0]))
    return problem, optlab.gradient_descent(numbers["rate"])


@pytest.fixture(scope="module")
def found():
    return outcomes(descent, {"rate": RATES}, steps=200, keep=("params", "speed"))


@pytest.fixture(scope="module")
def traces():
    return optlab.run_sweep(
        optlab.problems.from_surface(optlab.surfaces.quadratic(condition=10.0), start=jnp.array([1.0, 1.0])),
        optlab.gradient_descent, {"learning_rate": RATES}, steps=200, record="all",
    )  # fmt: skip


def test_status_steps_value_and_place_are_those_of_run(found, traces):
    assert found.status.tolist() == traces["status"][:, -1].tolist()
    assert set(found.status) == {Status.converged, Status.max_steps, Status.diverged}
    assert found.steps.tolist() == traces["step"][:, -1].tolist()
    np.testing.assert_allclose(found.value, traces["value"][:, -1], rtol=1e-9)
    np.testing.assert_allclose(found.params, traces["x"][:, -1], rtol=1e-9)


def test_speed_is_the_sum_over_the_whole_budget_that_its_source_defines(found, traces):
    """Sohl-Dickstein (2024), with NumPy on the recorded losses; a run that has ended repeats its last one."""
    v = np.clip(np.nan_to_num(traces["value"] / traces["value"][:, :1], nan=1e6, posinf=1e6), 1e-6, 1e6)
    down = v[:, -20:].mean(axis=1) < 0.99
    np.testing.assert_allclose(found.speed, np.where(down, -v.sum(axis=1), (1 / v).sum(axis=1)), rtol=1e-9)
    assert ((found.speed < 0) == (RATES < 0.2)).all()


@pytest.mark.parametrize(("lanes", "rows"), [(1, 1), (2, 3), (4, 1), (8, 2)])
def test_tiles_of_any_size_give_the_same(found, lanes, rows):
    again = outcomes(descent, {"rate": RATES}, steps=200, keep=("params", "speed"), lanes=lanes, rows=rows)
    assert again.status.tolist() == found.status.tolist() and again.steps.tolist() == found.steps.tolist()
    np.testing.assert_allclose(again.params, found.params, rtol=1e-9)
    np.testing.assert_allclose(again.speed, found.speed, rtol=1e-9)


def test_a_lane_that_has_ended_stays_as_it_is_while_others_go_on():
    """The first is at the minimum, the last needs the whole budget, whatever their optimizer's state does meanwhile."""

    def build(numbers):
        problem = optlab.problems.from_surface(optlab.surfaces.quadratic(condition=10.0), start=numbers["start"])
        return problem, optlab.heavy_ball(0.01, 0.5)

    starts = np.array([[0.0, 0.0], [1e-9, 0.0], [1e-6, 1e-6], [1.0, 1.0]])
    ends = outcomes(build, {"start": starts}, steps=300, keep=("params",))
    assert ends.steps[:2].tolist() == [0, 0] and 0 < ends.steps[2] < ends.steps[3]
    assert (ends.params[:2] == starts[:2]).all()
    alone = outcomes(build, {"start": starts[2:3]}, steps=300, keep=("params",))
    assert alone.steps[0] == ends.steps[2]
    np.testing.assert_allclose(alone.params[0], ends.params[2], rtol=1e-12)


def test_seeds_decide_initialization_and_batches_as_they_do_in_run():
    def build(numbers):
        return optlab.problems.from_surface(optlab.surfaces.beale(), start="random", noise=0.1), optax.sgd(numbers["r"])

    ends = outcomes(build, {"r": np.full(3, 1e-3)}, seeds=np.array([0, 1, 1]), steps=10, keep=("params",))
    alone = jax.jit(lambda key: optlab.run(*build({"r": 1e-3}), key, steps=10, record="last")["x"][-1])
    for k, seed in enumerate((0, 1, 1)):
        np.testing.assert_allclose(ends.params[k], alone(jax.random.key(seed)), rtol=1e-12)


def test_networks_take_their_data_as_an_argument_and_train_as_one_by_one():
    """A batch of trainings of a small network, its parameters a tree, against a loop in NumPy."""
    generator = np.random.default_rng(0)
    data = (generator.normal(size=(8, 5)), generator.normal(size=8))

    def init(key):
        inner, outer = jax.random.split(key)
        return {"a": jax.random.normal(inner, (5, 4)) / 2, "b": jax.random.normal(outer, (4,)) / 2}

    def loss(params, batch):
        return jnp.mean((jnp.tanh(batch[0] @ params["a"]) @ params["b"] - batch[1]) ** 2)

    def build(numbers):
        return Problem(init, full_batch, loss, lambda params, data: {"value": loss(params, data)}), optlab.heavy_ball(
            numbers["rate"], 0.5
        )

    rates = np.array([0.01, 0.1, 0.3])
    ends = outcomes(build, {"rate": rates}, steps=15, data=data, keep=("params",), lanes=2)
    first = jax.tree.map(np.asarray, init(jax.random.split(jax.random.key(0))[0]))
    for k, rate in enumerate(rates):
        a, b, va, vb = first["a"], first["b"], 0.0, 0.0
        for _ in range(15):
            hidden = np.tanh(data[0] @ a)
            error = 2 * (hidden @ b - data[1]) / 8
            grad_a = data[0].T @ (error[:, None] * b * (1 - hidden**2))
            va, vb = 0.5 * va - rate * grad_a, 0.5 * vb - rate * hidden.T @ error
            a, b = a + va, b + vb
        np.testing.assert_allclose(ends.params["a"][k], a, rtol=1e-9)
        np.testing.assert_allclose(ends.params["b"][k], b, rtol=1e-9)


def test_blocks_of_a_grid_hold_each_place_once_and_only_neighbours():
    order = by_blocks(5, 7, side=2)
    assert sorted(order) == list(range(35))
    assert order[:4].tolist() == [0, 1, 7, 8]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"steps": 0}, "at least 1, not 0"),
        ({"keep": ("trace",)}, "params or speed, not trace"),
        ({"numbers": {}}, "one length"),
        ({"numbers": {"rate": np.ones(2)}, "seeds": np.arange(3)}, r"not \[2, 3\]"),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_sentence(changed, message):
    asked = {"numbers": {"rate": RATES}, "steps": 5} | changed
    with pytest.raises(ValueError, match=message):
        outcomes(descent, asked.pop("numbers"), **asked)
