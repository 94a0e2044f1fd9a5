"""What is done to a surface before it is descended, and how sweeps do it; noise is in test_problems_noise."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import optlab
from optlab.app import build
from optlab.problems import (
    CHANGES,
    condition,
    from_surface,
    rotate,
    rotate_randomly,
    scale,
    shift,
    transformed,
)
from optlab.run import TARGETS

# Surface -> Surface

NUMBERS = {"condition": 100.0, "angle": 30.0, "rotation": 3, "scale": 2.5, "shift": [0.5, -3.0]}
EACH = {name: {name: number} for name, number in NUMBERS.items()} | {"all": NUMBERS}
each_change = pytest.mark.parametrize("name", EACH)

# Positions in units of 5, curvatures up to 100 of them: rounding of a few hundred units in the last place.
CLOSE = {"rtol": 1e-12, "atol": 1e-12}


@functools.cache
def changed(name):
    surface = optlab.surfaces.himmelblau()._replace(starts=([1.0, 2.0], [-4.0, 0.5]))
    return surface, transformed(surface, EACH[name])


@functools.cache
def derivatives(name):
    fn = changed(name)[1].fn
    return jax.jit(jax.vmap(lambda x: (fn(x), jax.grad(fn)(x), jax.hessian(fn)(x))))


def test_every_change_is_tested_here():
    assert NUMBERS.keys() == CHANGES.keys()


@each_change
def test_starts_and_points_move_along_with_their_values_and_kinds(name):
    before, after = changed(name)
    known = [before.start, *before.starts, *(point.x for point in before.points)]
    moved = [after.start, *after.starts, *(point.x for point in after.points)]
    assert not np.allclose(known, moved)
    values, gradients, hessians = derivatives(name)(jnp.stack(moved))
    np.testing.assert_allclose(values, jax.vmap(before.fn)(jnp.array(known)), **CLOSE)
    first = 1 + len(before.starts)
    np.testing.assert_allclose(gradients[first:], 0, atol=1e-11)
    for point, old, hessian in zip(after.points, before.points, hessians[first:], strict=True):
        assert (point.value, point.kind, point.index) == (old.value, old.kind, old.index)
        assert np.sum(np.linalg.eigvalsh(hessian) < 0) == point.index
    lower, upper = after.domain
    assert all((lower <= x).all() and (x <= upper).all() for x in moved[first:])


@each_change
def test_the_box_is_the_least_around_the_image_of_the_old_one(name):
    before, after = changed(name)
    lower, upper = np.array(before.domain)
    corners = [lower, upper, [lower[0], upper[1]], [upper[0], lower[1]]]
    # a start is moved as any place is
    images = np.array([transformed(before._replace(start=corner), EACH[name]).start for corner in corners])
    sides = np.array(after.domain)
    if name == "all":  # a box around a box around ...
        assert (images >= sides[0]).all() and (images <= sides[1]).all()
    else:
        np.testing.assert_allclose(sides, [images.min(0), images.max(0)], **CLOSE)


@each_change
def test_gradients_follow_the_chain_rule_and_residuals_the_values(name):
    _, after = changed(name)
    middle = np.array(after.domain).mean(0)
    x = middle + np.random.default_rng(0).uniform(-1, 1, (5, 2))
    value, gradient, _ = derivatives(name)(x)
    step = 1e-5
    for k in range(2):
        ahead, behind = (derivatives(name)(x + sign * step * np.eye(2)[k])[0] for sign in (1, -1))
        # 1e-8: truncation, step^2 times a third derivative, and rounding, 1e-16 times values in the hundreds / step
        np.testing.assert_allclose((ahead - behind) / (2 * step), gradient[:, k], rtol=1e-8, atol=1e-7)
    residuals = jax.vmap(after.residual)(jnp.asarray(x))
    np.testing.assert_allclose(0.5 * np.sum(np.asarray(residuals) ** 2, axis=1), value, **CLOSE)


@each_change
def test_float32_stays_float32_and_numbers_may_be_traced(name):
    surface, _ = changed(name)
    whole = {key: number for key, number in EACH[name].items() if key == "rotation"}
    real = {key: jnp.asarray(number, float) for key, number in EACH[name].items() if key != "rotation"}
    x = jnp.ones(2, jnp.float32)

    def everything(real):
        after = transformed(surface, whole | real)
        return after.fn(x), jax.grad(after.fn)(x), after.residual(x), after.start, after.domain

    value, gradient, residual, *_ = jax.eval_shape(everything, real)
    assert value.dtype == gradient.dtype == residual.dtype == jnp.float32


def test_the_closed_forms():
    surface, x = optlab.surfaces.booth(), jnp.array([0.7, -1.3])
    stretch = np.array([1, 10.0])
    np.testing.assert_allclose(condition(surface, 100.0).fn(stretch * x), surface.fn(x), rtol=1e-14)
    np.testing.assert_allclose(scale(surface, 4.0).fn(4 * x), surface.fn(x), rtol=1e-14)
    np.testing.assert_allclose(scale(surface, [4.0, -0.5]).fn(x * jnp.array([4, -0.5])), surface.fn(x), rtol=1e-14)
    np.testing.assert_allclose(shift(surface, 3.0).fn(x + 3), surface.fn(x), rtol=1e-14)
    np.testing.assert_allclose(rotate(surface, 90.0).fn(jnp.array([1.3, 0.7])), surface.fn(x), rtol=1e-14)


def test_condition_is_the_condition_number_of_a_sphere_so_stretched():
    curvatures = np.linalg.eigvalsh(jax.hessian(condition(optlab.surfaces.quadratic(6, 1.0), 1e4).fn)(jnp.ones(6)))
    np.testing.assert_allclose(curvatures, np.logspace(-4, 0, 6), rtol=1e-12)


def test_changes_are_made_in_their_stated_order_whatever_the_order_of_the_numbers():
    surface, after = changed("all")
    step = shift(scale(rotate_randomly(rotate(condition(surface, 100.0), 30.0), 3), 2.5), [0.5, -3.0])
    backwards = transformed(surface, dict(reversed(NUMBERS.items())))
    for other in (step, backwards):
        np.testing.assert_array_equal(other.start, after.start)


@pytest.mark.parametrize("change", [scale, shift], ids=lambda change: change.__name__)
def test_a_number_for_each_coordinate_must_be_one_for_each(change):
    with pytest.raises(ValueError, match=rf"a {change.__name__} is one number or 2, not an array of shape \(3,\)"):
        change(optlab.surfaces.beale(), [1.0, 2.0, 3.0])


TURNS = jax.jit(lambda angle, x: rotate(optlab.surfaces.quadratic(dim=5, condition=50.0), angle).fn(x))


@settings(max_examples=30, deadline=None)
@given(st.floats(-360, 360), st.lists(st.floats(-3, 3), min_size=5, max_size=5))
def test_turning_is_an_orthogonal_change_of_variables(angle, x):
    surface = optlab.surfaces.quadratic(dim=5, condition=50.0)
    c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    turn = np.zeros((5, 5))
    turn[:2, :2] = turn[2:4, 2:4] = [[c, -s], [s, c]]
    turn[4, 4] = 1
    # 1e-12: rounding of five products with curvatures up to 50.
    np.testing.assert_allclose(TURNS(angle, turn @ np.array(x)), surface.fn(jnp.array(x)), rtol=1e-12, atol=1e-12)


def test_one_dimension_cannot_be_turned():
    with pytest.raises(ValueError, match="one dimension"):
        rotate(optlab.surfaces.newton_cycle(), 10.0)


# The random rotation


def matrix(dim, seed):
    """What a random rotation multiplies by, column by column."""
    surface = optlab.surfaces.quadratic(dim)
    return np.stack([rotate_randomly(surface._replace(start=e), seed).start for e in np.eye(dim)], axis=1)


@pytest.mark.parametrize("dense", [True, False])
def test_a_random_rotation_is_orthogonal_and_decided_by_its_seed(dense, monkeypatch):
    monkeypatch.setattr("optlab.problems.DENSE", 500 if dense else 0)
    Q = matrix(40, 7)
    np.testing.assert_allclose(Q @ Q.T, np.eye(40), atol=1e-13)
    np.testing.assert_array_equal(Q, matrix(40, 7))
    assert np.abs(Q - matrix(40, 8)).max() > 0.1
    # every variable is spread over all: the largest of 1,600 entries of deviation 1/sqrt(40) is near 0.55
    assert np.abs(Q).max() < 0.8
    surface = optlab.surfaces.quadratic(40, condition=1e3)
    x = np.random.default_rng(0).normal(size=40)
    turned = rotate_randomly(surface, 7)
    np.testing.assert_allclose(turned.fn(jnp.asarray(Q @ x)), surface.fn(jnp.asarray(x)), rtol=1e-12)
    assert (np.abs(turned.start) <= turned.domain[1]).all()
    assert turned.fn(jnp.ones(40, jnp.float32)).dtype == jnp.float32


def test_random_rotations_are_uniform_over_all_orthogonal_matrices():
    surface = optlab.surfaces.quadratic(3)._replace(points=())
    traces = []
    for seed in range(200):
        fn = rotate_randomly(surface._replace(fn=lambda x: x), seed).fn  # x -> Q^T x
        traces.append(np.trace(jax.vmap(fn)(np.eye(3))))
    # Haar measure: the trace has mean 0 and mean square 1; three standard errors of 200 draws are 0.21 and 0.3.
    # Without the signs of R the mean would be far below 0.
    assert abs(np.mean(traces)) < 0.21 and abs(np.mean(np.square(traces)) - 1) < 0.3


def test_a_thousand_variables_are_turned_without_a_matrix():
    surface = optlab.surfaces.quadratic(1000, condition=1e6)
    turned = rotate_randomly(surface, 0)
    jaxpr = jax.make_jaxpr(jax.grad(turned.fn))(jnp.ones(1000))
    assert max(np.size(const) for const in jaxpr.consts) <= 2000
    np.testing.assert_allclose(jax.jit(turned.fn)(turned.start), surface.fn(jnp.asarray(surface.start)), rtol=1e-12)


@pytest.mark.parametrize("seed", [0.5, -1])
def test_a_seed_of_a_rotation_is_a_whole_number_from_0(seed):
    with pytest.raises(ValueError, match="whole number|non-negative"):
        rotate_randomly(optlab.surfaces.beale(), seed)


def test_rotation_costs_what_scales_each_axis_dearly_and_gradient_descent_nothing():
    """The quadratic has condition number 1,000; steps to a gap of 1e-6 at the best of many rates, any start."""
    rung = np.abs(np.log(TARGETS / 1e-6)).argmin()

    def steps(optimizer, rates, rotation):
        problem = from_surface(optlab.surfaces.quadratic(10, 1e3), rotation=rotation, start="random")
        trace = optlab.run_sweep(problem, optimizer, {"learning_rate": rates}, steps=5000, record="last")
        reached = trace["target_step"][:, rung]
        return reached[reached > 0].min()

    gentle = np.array([1.9e-3, 1.99e-3])
    assert abs(steps(optax.sgd, gentle, None) - steps(optax.sgd, gentle, 1)) <= 1  # rounding at the gap
    for optimizer, rates in ((optax.adagrad, np.geomspace(0.1, 3, 12)), (optax.adam, np.geomspace(1e-2, 1, 12))):
        # measured with seed 1: adagrad 16 against 1190, adam 109 against 237
        assert steps(optimizer, rates, 1) > 1.5 * steps(optimizer, rates, None)


# Starts


def test_a_random_start_is_uniform_in_the_domain():
    problem = from_surface(optlab.surfaces.beale(), start="random")
    starts = jax.vmap(problem.init)(jax.random.split(jax.random.key(0), 4000))
    # [-4.5, 4.5]: deviation 9/sqrt(12) = 2.6; the mean of 4,000 has 0.041, five of them.
    assert (abs(starts) <= 4.5).all() and (abs(starts.mean(0)) < 0.21).all()
    np.testing.assert_allclose(starts.std(0), 9 / np.sqrt(12), rtol=0.05)


def test_a_random_start_is_changed_with_the_surface():
    surface, after = changed("all")
    key = jax.random.key(5)
    plain, moved = from_surface(surface, start="random"), from_surface(surface, start="random", **NUMBERS)
    np.testing.assert_allclose(after.fn(moved.init(key)), surface.fn(plain.init(key)), rtol=1e-12)


def test_customary_starts_have_names_where_there_are_several():
    surface, after = changed("angle")
    begin = [from_surface(surface, start=name, angle=30.0).init(None) for name in ("first", "second", "third")]
    np.testing.assert_array_equal(begin, [after.start, *after.starts])
    np.testing.assert_array_equal(from_surface(surface, angle=30.0).init(None), after.start)


def test_a_stated_start_is_a_point_of_the_changed_surface():
    np.testing.assert_array_equal(from_surface(changed("all")[0], start=[1.0, 2.0], **NUMBERS).init(None), [1, 2])


def test_the_start_is_scaled_before_the_surface_is_changed():
    surface = optlab.surfaces.wood()
    np.testing.assert_array_equal(from_surface(surface, start_scale=10.0).init(None), [-30, -10, -30, -10])
    np.testing.assert_array_equal(from_surface(surface, start=[1.0] * 4, start_scale=10.0).init(None), [10] * 4)
    moved = from_surface(surface, start_scale=10.0, shift=5.0)
    np.testing.assert_array_equal(moved.init(None), [-25, -5, -25, -5])


@pytest.mark.parametrize(
    ("start", "sentence"),
    [
        ([1.0, 2.0, 3.0], "must be a point of 2 numbers, not of 3"),
        (1.0, "must be a point of 2 numbers, not of 1"),
        ("near", "a point of 2 numbers or 'random', not 'near'"),
        ("second", "a point of 2 numbers or 'random', not 'second'"),
    ],
)
def test_a_start_that_is_no_point_of_the_space_is_refused(start, sentence):
    with pytest.raises(ValueError, match=sentence):
        from_surface(optlab.surfaces.beale(), start=start)


def test_the_names_of_the_starts_are_said_where_another_is_asked_for():
    with pytest.raises(ValueError, match="a point of 2 numbers or 'random' or 'first' or 'second', not 'third'"):
        from_surface(optlab.surfaces.nist_misra1a(), start="third")


# In a sweep and in a configuration


def test_every_real_number_is_a_column_of_one_program_and_a_run_is_what_it_is_alone():
    surface = optlab.surfaces.himmelblau()
    rng = np.random.default_rng(0)
    size = 5
    columns = {
        "condition": rng.uniform(1, 10, size), "angle": rng.uniform(0, 360, size), "scale": rng.uniform(0.5, 2, size),
        "shift": rng.uniform(-1, 1, (size, 2)), "start_scale": rng.uniform(0.5, 2, size),
        "noise": rng.uniform(0.01, 0.1, size), "value_noise": rng.uniform(0.01, 0.1, size),
        "multiplicative_noise": rng.uniform(0.01, 0.1, size), "freedom": rng.uniform(2, 9, size),
    }  # fmt: skip
    made = []

    def problem(**numbers):
        made.append(numbers)
        return from_surface(surface, rotation=4, **numbers)

    def sweep(rows):
        made.clear()
        numbers = {f"problem.{name}": column[rows] for name, column in columns.items()}
        trace = optlab.run_sweep(
            problem, optax.sgd, numbers | {"learning_rate": 1e-3}, seeds=np.arange(size)[rows], steps=20
        )
        return trace, len(made)

    together, times = sweep(slice(None))
    assert np.isfinite(together["value"]).all() and len(np.unique(together["value"][:, -1])) == size
    for lane in (0, size - 1):
        alone, once = sweep(slice(lane, lane + 1))
        assert times == once + 1  # of five, however many, it is asked how they lie in memory; else the same traces
        for name, column in alone.items():
            # other vector widths round differently; 20 small steps hardly amplify that
            np.testing.assert_allclose(together[name][lane], column[0], rtol=1e-9, atol=1e-10, err_msg=name)


def test_a_parameter_of_the_surface_itself_is_the_surfaces():
    node = {"_target_": "optlab.surfaces.quadratic", "condition": 7.0, "rotation": 1, "scale": 2.0, "noise": 0.1}
    surface = build.make_surface(node)
    hessian = np.linalg.eigvalsh(jax.hessian(surface.fn)(jnp.zeros(2)))
    np.testing.assert_allclose(hessian, np.array([1, 7]) / 4, rtol=1e-12)
    assert build.surface_leaves(node) == {key: value for key, value in node.items() if key != "noise"}


@each_change
def test_what_is_drawn_is_what_is_descended(name):
    node = {"_target_": "optlab.surfaces.himmelblau", "start": "random", "noise": 0.1, **EACH[name]}
    surface, problem = build.make_surface(node), build.make_problem(node)
    x = jnp.array([0.3, -2.0])
    np.testing.assert_allclose(problem.measure(x, ())["value"], surface.fn(x), rtol=1e-14)
    np.testing.assert_array_equal(surface.start, changed(name)[1].start)


def test_whole_numbers_split_a_sweep_on_the_command_line_and_real_ones_do_not(optlab_command, tmp_path):
    words = ["problem.rotation=0,1", "problem.shift=0.0,1.0", "problem.batch_size=1", "problem.start_scale=2.0"]
    code, _, errors = optlab_command("-m", "problem=himmelblau", "optimizer=sgd", "steps=3", "record=last", *words)
    assert code == 0, errors
    results = optlab.load(tmp_path)
    assert len(results.runs) == 4 and (results.runs.status == "max_steps").all()
    fields = results.points.groupby("field_id")["x_0"].min()
    assert len(fields) == 4 and fields.nunique() == 4  # each rotation and shift is drawn where it is
