"""Lanes that lie side by side in memory compute what they compute anywhere else."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optlab
from optlab import lanes, sweep
from optlab.lanes import SIDE_BY_SIDE
from optlab.sweep import HASTY, compiler_options
from optlab.widths import CPU_LANES, FEWEST, dispatched, lanes_for

METHODS = {
    "bfgs": optlab.bfgs(),
    "lbfgs": optlab.lbfgs(3),
    "nonlinear_cg": optlab.nonlinear_cg(),
    "adam": optax.adam(0.01),
}


def states(*shape):
    """Blank states of one run with parameters of this shape."""
    problem = optlab.problems.from_surface(optlab.surfaces.rosenbrock())._replace(
        init=lambda key: jnp.zeros(shape), minimum=None, landmarks=None, loss=lambda x, batch: jnp.sum(x**2)
    )
    rows = sweep.first_rows({"a": np.zeros(1)}, np.zeros(1, int), 0, 1)
    return sweep.blank(lambda numbers: (problem, optax.sgd(0.1)), *rows, ())


@pytest.mark.parametrize("tx", METHODS.values(), ids=METHODS.keys())
def test_runs_side_by_side_are_the_runs_of_one_lane_each(tx):
    problem = optlab.problems.from_surface(optlab.surfaces.rosenbrock(dim=3))
    starts = np.random.default_rng(0).uniform(-2, 2, (5, 3))

    def make(start):
        return problem._replace(init=lambda key: jnp.asarray(start))

    together = optlab.run_sweep(make, lambda: tx, {"problem.start": starts}, steps=30)
    for k, start in enumerate(starts):
        alone = optlab.run(make(start), tx, jax.random.key(0), steps=30)
        # sums in another order; thirty steps of a search make rounding errors larger
        np.testing.assert_allclose(together["value"][k], alone["value"], rtol=1e-6, atol=1e-12)
        np.testing.assert_array_equal(together["n_grad"][k], alone["n_grad"])


def text(x):
    """The program of a loop over lanes, before it is compiled."""

    def lane(x):
        return jax.lax.fori_loop(0, 3, lambda _, x: lanes.innermost(x * 0.5), x)

    return jax.jit(jax.vmap(lane)).lower(x).as_text()


def test_lanes_are_asked_to_be_innermost_where_that_is_wanted_and_nowhere_else():
    assert "LayoutConstraint" not in text(jnp.ones((4, 2)))
    with lanes.side_by_side(True):
        assert "LayoutConstraint" in text(jnp.ones((4, 3)))
        with lanes.side_by_side(False):
            assert "LayoutConstraint" not in text(jnp.ones((4, 5)))
        assert "LayoutConstraint" not in jax.jit(lanes.innermost).lower(jnp.ones(4)).as_text()
    assert "LayoutConstraint" not in text(jnp.ones((4, 6)))


def are_beside(surface):
    """Whether runs on a surface lie side by side in a sweep."""

    def build(numbers):
        return optlab.problems.from_surface(surface), optax.sgd(0.1)

    rows = sweep.first_rows({"a": np.zeros(1)}, np.zeros(1, int), 0, 1)
    return sweep.lie_side_by_side(build, *rows, sweep.blank(build, *rows, ()), size=2, long=False)


def test_short_functions_only_and_the_options_go_with_them():
    assert are_beside(optlab.surfaces.rosenbrock(dim=10))
    assert not are_beside(optlab.surfaces.rosenbrock(dim=lanes.SHORT + 1))
    # two parameters, but a network of a thousand and the data that it is judged by within the loss
    assert not are_beside(optlab.surfaces.mlp_slice())
    assert compiler_options(True, 10) == SIDE_BY_SIDE | HASTY
    assert compiler_options(True, 10**9) == SIDE_BY_SIDE
    assert compiler_options(False, 10**9) == {}
    assert compiler_options(False, None) == {}


def test_as_many_runs_side_by_side_as_the_cache_holds():
    assert lanes_for(states(2), long=False) == CPU_LANES
    assert FEWEST < lanes_for(states(500), long=False) < CPU_LANES
    assert lanes_for(states(10**6), long=False) == FEWEST
    assert lanes_for(states(10**6), long=True) == 1
    assert FEWEST < lanes_for(states(10), long=False, in_one=True) < lanes_for(states(10), long=False)


@pytest.mark.parametrize("dim", [2, 10, lanes.SHORT])
def test_a_matrix_of_the_method_of_all_lanes_is_too_small_to_be_shared_among_threads(dim):
    """With jax 0.10.2 from 512 kB on, read and written; one function cannot, and is compiled in parts."""
    assert lanes_for(states(dim), long=False, in_one=True) * dim * (dim + 1) * 8 <= 2**18


def test_a_dispatch_takes_several_blocks_of_lanes_if_there_is_enough_for_every_core():
    assert dispatched(10**6, 64) == CPU_LANES
    assert dispatched(10**6, CPU_LANES) == CPU_LANES
    assert dispatched(64, 64) == 64
    assert dispatched(10**6, 16384) == 16384


@pytest.mark.parametrize("axes", [(0, 0), (0, None), (None, 0)])
@pytest.mark.parametrize("asked", [True, False])
def test_the_product_of_a_symmetric_matrix_in_any_batch(axes, asked):
    rng = np.random.default_rng(0)
    H, v = rng.normal(size=(6, 4, 4)), rng.normal(size=(6, 4))
    H = H + H.transpose(0, 2, 1)
    inputs = [a if axis == 0 else a[0] for a, axis in zip((H, v), axes, strict=True)]
    with lanes.side_by_side(asked):
        found = jax.vmap(lanes.symmetric_product, axes)(*inputs)
        outer = jax.vmap(lambda c: jax.vmap(lanes.symmetric_product, axes)(inputs[0], c * inputs[1]))(jnp.ones(2))
    matrices, vectors = (np.broadcast_to(a, full.shape) for a, full in zip(inputs, (H, v), strict=True))
    expected = np.einsum("bij,bj->bi", matrices, vectors)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(outer, np.stack([expected, expected]), rtol=1e-12)


def test_derivatives_pass_through():
    with lanes.side_by_side(True):
        value, slope = jax.jvp(jax.vmap(lambda x: lanes.innermost(x) ** 2), (jnp.ones((3, 2)),), (jnp.ones((3, 2)),))
    np.testing.assert_array_equal(slope, 2 * np.ones((3, 2)))
    np.testing.assert_array_equal(value, np.ones((3, 2)))


def test_keys_and_numbers_stay_as_they_are():
    with lanes.side_by_side(True):
        keys, number = jax.vmap(lanes.innermost)((jax.random.split(jax.random.key(0), 3), jnp.arange(3)))
    assert keys.shape == (3,) and (number == jnp.arange(3)).all()
