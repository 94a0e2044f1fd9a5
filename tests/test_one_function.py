"""Loops of lanes side by side and of runs alone as one function of the machine's code, and where that cannot be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optlab
from optlab import lanes, lapack, one_function
from optlab.lanes import SIDE_BY_SIDE


def test_options_that_a_compiler_does_not_know_are_left_out():
    program = jax.jit(lambda x: 2 * x)
    assert one_function.compile_with(lambda: program.lower(1.0), {"xla_no_such_option": True})(1.0) == 2.0


def in_parts(body, x):
    """A loop of three turns."""
    return jax.lax.fori_loop(0, 3, lambda _, x: body(x), x)


def compiled(body):
    """The program of six lanes that go through a loop of some turns, as a sweep would have it."""

    def lane(turns, label, x):
        def loop(turns, label, x):
            return jax.lax.fori_loop(0, turns, lambda _, x: body(x) + 0 * label, x)  # a label is read by nobody

        return one_function.in_one_function(loop, turns, label, x, known_later=turns)

    def together(turns, labels, x):
        with lanes.side_by_side(True):
            return jax.vmap(lane, (None, 0, 0))(turns, labels, x)

    given = jnp.asarray(3), jnp.arange(6), jnp.asarray(np.random.default_rng(0).normal(size=(6, 4)))
    program = one_function.compile_with(lambda: jax.jit(together).lower(*given), SIDE_BY_SIDE)
    expected = jax.vmap(lambda x: in_parts(body, x))(given[2])
    # the same operations, which one compiler may contract to a fused multiplication and addition and another not
    np.testing.assert_allclose(program(*given), expected, rtol=1e-12)
    return program.as_text()


BODIES = {
    "arithmetic": lambda x: 0.5 * jnp.tanh(x) + jnp.sum(x**2),
    "a product": lambda x: jnp.ones((4, 4)) @ x / 5,
    "a choice": lambda x: jax.lax.cond(x[0] > 0, lambda x: 0.5 * x, lambda x: x + 1, x),
    "a loop": lambda x: jax.lax.scan(lambda total, v: (total + v, total * v), 0.0, x)[1],
    "random numbers": lambda x: x + jax.random.normal(jax.random.key(3), x.shape),
    "no numbers": lambda x: jnp.where(jnp.isnan(jnp.max(jnp.sqrt(x))), x + 0.5, jnp.maximum(x, jnp.log(1 - x))),
    "stored parts": lambda x: x * one_function.apart(lambda x: jnp.sum(x) / (1 + jnp.sum(x**2)), x),
    "a part of a table": lambda x: x + (jnp.arange(90_000.0).reshape(300, 300) / 7)[0, :4],
    "a table": lambda x: x + TABLE[5, :4],
    # of one lane no scatter, but the place differs from lane to lane
    "a scatter": lambda x: jax.lax.dynamic_update_slice(x, jnp.array([0.5]), (jnp.argmax(x),)),
    "keys": lambda x: x + jax.random.uniform(KEYS[1], x.shape),
}
TABLE = np.random.default_rng(0).normal(size=(300, 300))
KEYS = jax.random.split(jax.random.key(0), 3)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_loop_of_lanes_side_by_side_is_one_function(body):
    assert 'xla_cpu_small_call="true"' in compiled(body)


@pytest.mark.parametrize("expected", [True, False])
@pytest.mark.parametrize(
    "body",
    [lambda x: x / (1 + lapack.eigh(jnp.outer(x, x))[0]), lambda x: 0.5 * jnp.sort(x)],
    ids=["LAPACK", "sort"],
)
def test_a_loop_that_a_function_cannot_hold_is_compiled_in_parts(monkeypatch, body, expected):
    """Also where only the compiler finds out."""
    if not expected:
        monkeypatch.setattr("optlab.one_function.CALLS_OUT", set())
    assert 'inlineable="false"' not in compiled(body)  # XLA may hold a small part of it in one


def test_nothing_is_a_function_of_its_own_unless_asked():
    def lane(x):
        halved = one_function.in_one_function(lambda x: in_parts(lambda x: x / 2, x), x, known_later=0)
        return one_function.apart(lambda x: 2 * x, halved)

    assert "inlineable" not in jax.jit(jax.vmap(lane)).lower(jnp.ones((4, 3))).as_text()


def alone(body, x):
    """The same, as one function where that can be."""
    return one_function.alone_in_one_function(lambda x: in_parts(body, x), x)


START = np.random.default_rng(0).normal(size=4)


@pytest.mark.parametrize("name", BODIES)
def test_a_loop_of_a_run_alone_is_one_function_unless_its_tables_are_large(name):
    program = jax.jit(alone, static_argnums=0).lower(BODIES[name], START).compile()
    assert ('inlineable="false"' in program.as_text()) == (name != "a part of a table")
    np.testing.assert_allclose(program(START), in_parts(BODIES[name], START), rtol=1e-12)


@pytest.mark.parametrize(
    ("body", "start"),
    [
        (lambda x: 0.5 * jnp.sort(x), START),
        (lambda x: x / (1 + lapack.eigh(jnp.outer(x, x))[0]), START),
        (lambda x: x @ x / 5, START.reshape(2, 2)),  # products of matrices may be left to a library
        (lambda x: jax.vmap(jnp.dot)(x, x)[:, None] * x / 3, START.reshape(2, 2)),
        (lambda x: x.at[jnp.argmax(x)].add(-0.5), START),
        (lambda x: 0.5 * x, np.ones(one_function.MANY + 1)),
        (lambda x: x / (1 + jnp.sum(x)), np.ones(one_function.FEW + 1)),
        (lambda x: 0.5 * x, np.ones((3, 0))),
        (lambda x: 0.5 * x, np.ones(3, np.float16)),
        (lambda x: 0.5j * x, np.ones(3, complex)),
    ],
    ids=["sort", "LAPACK", "matrices", "batch", "scatter", "large", "a long sum", "empty", "half", "complex"],
)
def test_what_may_be_too_much_for_one_function_is_compiled_as_usual(body, start):
    program = jax.jit(alone, static_argnums=0).lower(body, start).compile()
    assert "inlineable" not in program.as_text()
    np.testing.assert_array_equal(program(start), in_parts(body, start))


def test_nor_is_it_one_on_other_devices_or_with_a_release_of_jax_that_has_not_been_tried(monkeypatch):
    def is_one():
        return "inlineable" in jax.jit(alone, static_argnums=0).lower(lambda x: 0.5 * x, START).as_text()

    assert is_one()
    for name, value in {
        "device_count": lambda: 2,
        "default_backend": lambda: "gpu",
        "__version_info__": (0, 11, 0),
    }.items():
        with monkeypatch.context() as patch:
            patch.setattr(jax, name, value)
            jax.clear_caches()
            assert not is_one()


def halving(x):
    return alone(lambda x: 0.5 * x * jnp.cos(x), x)


def test_a_batch_of_runs_alone_is_compiled_as_usual():
    x = np.random.default_rng(1).normal(size=(5, 4))
    program = jax.jit(jax.vmap(jax.jit(halving))).lower(x).compile()
    assert "inlineable" not in program.as_text()
    np.testing.assert_allclose(program(x), [halving(row) for row in x], rtol=1e-12)  # see `compiled`


def test_derivatives_pass_through_a_run_alone():
    expected = jax.jvp(lambda x: in_parts(lambda x: 0.5 * x * jnp.cos(x), x), (START,), (START,))
    np.testing.assert_allclose(jax.jvp(halving, (START,), (START,)), expected, rtol=1e-12)


@pytest.mark.parametrize("start", [jnp.ones(2), jnp.zeros(2)])
def test_a_run_alone_may_be_given_nothing_but_constants(start):
    """Which end the process if they reach the function as constants."""
    found = jax.jit(lambda: optlab.minimize(optlab.surfaces.rosenbrock().fn, start, optlab.bfgs()))()
    np.testing.assert_allclose(found.x, [1, 1], atol=1e-5)


def test_runs_alone_are_one_function_whether_compiled_by_the_user_or_not():
    def minimum(x):
        return optlab.minimize(optlab.surfaces.rosenbrock().fn, x, optlab.lbfgs())

    start = np.array([-1.2, 1])
    program = jax.jit(minimum).lower(start).compile()
    assert 'inlineable="false"' in program.as_text()
    compiled, direct = program(start), minimum(start)
    assert compiled.steps == direct.steps
    np.testing.assert_allclose(compiled.x, direct.x, rtol=1e-9)  # the start's gradient is rounded differently
