"""The 24 BBOB functions against COCO's own, in its dimensions and for its first 15 instances."""

import contextlib
import functools
import inspect
import itertools

import cocoex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optlab import surfaces

FUNCTIONS = [getattr(surfaces, f"bbob_f{number}") for number in range(1, 25)]
ROUGH = [function for function in FUNCTIONS if "rough" in function().tags]
SMOOTH = [function for function in FUNCTIONS if "nonsmooth" not in function().tags]
INSTANCES = range(1, 16)
DRAWS = ("_optimum", "_value", "_rotations", "_peaks")  # all that an instance draws

OPTIMUM = 7  # its place among those below

each_function = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)


@contextlib.contextmanager
def drawn_by(function, draw_of):
    """Within it, what instances of the function draw passes through `draw_of(name, draw)` in place of `draw`."""
    module = inspect.getmodule(function)
    own = {name: getattr(module, name) for name in DRAWS if hasattr(module, name)}
    try:
        for name, draw in own.items():
            setattr(module, name, functools.partial(draw_of, name, draw))
        yield
    finally:
        for name, draw in own.items():
            setattr(module, name, draw)


def drawn(function, dim):
    """The surfaces of all instances, and what each drew: {name: arrays `[15, ...]`}."""
    built, records = [], []

    def note(name, draw, *numbers):
        records[-1][name] = draw(*numbers)
        return records[-1][name]

    with drawn_by(function, note):
        for instance in INSTANCES:
            records.append({})
            built.append(function(dim, instance))
    return built, jax.tree.map(lambda *parts: np.stack(parts), *records)


def places(surface, dim, generator):
    """4 places inside, 2 that are mostly outside, the origin and the optimum; then, for few variables, a grid."""
    parts = [generator.uniform(-5, 5, (4, dim)), generator.uniform(-8, 8, (2, dim)), np.zeros((1, dim))]
    parts += [np.asarray(surface.points[0].x)[None]]
    if dim in (2, 5):
        parts += [np.array(list(itertools.product(np.linspace(-5, 5, 11 if dim == 2 else 3), repeat=dim)))]
    return np.concatenate(parts)


@functools.cache
def evaluated(function, dim):
    """Surfaces, places, values and for few variables gradients, of all instances: `[15]`, `[15, n, d]`, `[15, n]`.

    One program serves all 15: what they drew comes in as an argument, where a surface by itself has constants.
    """
    built, draws = drawn(function, dim)
    generator = np.random.default_rng(dim)
    x = np.stack([places(surface, dim, generator) for surface in built])

    def everywhere(draws, x):
        with drawn_by(function, lambda name, *_: draws[name]):
            fn = function(dim).fn
        return jax.vmap(jax.value_and_grad(fn) if dim in (2, 5) else lambda x: (fn(x), ()))(x)

    once = jax.jit(jax.vmap(everywhere), compiler_options={"xla_backend_optimization_level": 0})  # compiles sooner
    values, gradients = once(draws, x)
    return built, x, np.asarray(values), gradients


@functools.cache
def coco():
    return cocoex.Suite("bbob", "instances: 1-15", "")


def coco_problem(function, dim, instance):
    return coco().get_problem_by_function_dimension_instance(FUNCTIONS.index(function) + 1, dim, instance)


@pytest.mark.parametrize("dim", (2, 3, 5, 10, 20, 40))
@each_function
def test_values_are_those_of_coco_inside_and_outside_the_box_and_at_the_optimum(function, dim):
    built, x, values, _ = evaluated(function, dim)
    for instance, surface, here, ours in zip(INSTANCES, built, x[:, : OPTIMUM + 1], values, strict=True):
        problem = coco_problem(function, dim, instance)
        theirs = np.array([problem(place) for place in here])
        error = np.abs(ours[: OPTIMUM + 1] - theirs) / np.maximum(1, np.abs(theirs))
        assert error.max() < 1e-9, f"instance {instance}: {error.max():.1e} off"
        assert problem.final_target_hit  # COCO's word for: within 1e-8 of its best value
        np.testing.assert_allclose([ours[OPTIMUM], theirs[OPTIMUM]], surface.points[0].value, rtol=1e-14)


@pytest.mark.parametrize("dim", (2, 5))
@each_function
def test_gradients_are_finite_at_kinks_the_origin_and_the_optimum(function, dim):
    *_, gradients = evaluated(function, dim)
    assert np.isfinite(gradients).all()


@pytest.mark.parametrize("dim", (2, 5))
@pytest.mark.parametrize("function", SMOOTH, ids=lambda function: function.__name__)
def test_gradients_vanish_at_the_optimum_where_it_is_smooth(function, dim):
    size = np.linalg.norm(evaluated(function, dim)[3], axis=2)
    np.testing.assert_array_less(size[:, OPTIMUM], 1e-12 * size.max(axis=1))


@pytest.mark.parametrize("function", ROUGH, ids=lambda function: function.__name__)
def test_the_gradients_of_rough_functions_add_up_to_the_difference_along_a_line(function):
    """Between waves and kinks too fine for a central difference: over so short a line there are few of them."""
    fn, generator = function(3).fn, np.random.default_rng(0)
    start, length, pieces = generator.uniform(-4, 4, (8, 3)), 1e-8, 4096
    along = generator.normal(size=start.shape)
    along /= np.linalg.norm(along, axis=1, keepdims=True)

    def slopes(start, along):
        middles = (jnp.arange(pieces) + 0.5) / pieces * length
        return jax.vmap(lambda t: jax.grad(fn)(start + t * along) @ along)(middles)

    ends = jax.jit(jax.vmap(fn))(np.concatenate([start, start + length * along]))
    difference = (ends[8:] - ends[:8]) / length
    slope = np.asarray(jax.jit(jax.vmap(slopes))(start, along))
    np.testing.assert_array_less(np.abs(slope.mean(axis=1) - difference), 1e-3 * np.abs(slope).mean(axis=1))
