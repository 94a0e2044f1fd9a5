"""The Newton family: what theory promises, the models' minimizers, truthful counts, and rough ground."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.custom_derivatives import linear_call

import optlab
from optlab import Status, surfaces
from optlab.optimizers.linesearch import armijo, constant
from optlab.optimizers.newton import (
    damped_newton,
    modified_newton,
    newton,
    newton_cg,
    saddle_free_newton,
    shifted_newton,
)
from optlab.optimizers.trust_region import ball_minimizer, cubic_minimizer, cubic_newton, steihaug, trust_region

SEARCHED = [damped_newton, modified_newton, shifted_newton, newton_cg]
TRIED = [trust_region, steihaug, cubic_newton]
each_robust = pytest.mark.parametrize("make", SEARCHED + TRIED, ids=lambda make: make.__name__)
each = pytest.mark.parametrize("make", [newton, saddle_free_newton, *SEARCHED, *TRIED], ids=lambda make: make.__name__)
EPS = np.finfo(float).eps


def path(fun, x0, optimizer, steps):
    """The points of a run, its start included: `[steps + 1, d]`."""

    def step(carry, _):
        x, state = carry
        value, grad = jax.value_and_grad(fun)(x)
        updates, state = optimizer.update(grad, state, x, value=value, grad=grad, value_fn=fun)
        return (optax.apply_updates(x, updates), state), x

    @jax.jit
    def go(x0):
        (x, _), points = jax.lax.scan(step, (x0, optimizer.init(x0)), length=steps)
        return jnp.concatenate([points, x[None]])

    return np.asarray(go(jnp.asarray(x0, float)))


def minimize(fun, x0, optimizer, **options):
    return jax.jit(lambda x0: optlab.minimize(fun, x0, optimizer, **options))(x0)


def symmetric(eigenvalues, seed=0):
    Q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(eigenvalues),) * 2))
    return Q * np.asarray(eigenvalues) @ Q.T


def quadratic(H, b):
    return lambda x: x @ H @ x / 2 + b @ x


# What theory promises of Newton's method


def test_newton_solves_a_quadratic_in_one_step():
    H, b = symmetric(np.geomspace(1, 1e4, 6)), np.linspace(-1, 1, 6)
    points = path(quadratic(H, b), np.ones(6), newton(), 1)
    np.testing.assert_allclose(points[1], np.linalg.solve(H, -b), rtol=1e-10)  # condition number 1e4 times rounding


def test_newton_cycles_between_0_and_1():
    points = path(lambda x: jnp.sum(x**4 / 4 - x**2 + 2 * x), [0.0], newton(), 6)
    np.testing.assert_array_equal(points[:, 0], [0, 1, 0, 1, 0, 1, 0])


def test_newton_maps_x_to_minus_its_cube_on_the_square_root():
    points = path(lambda x: jnp.sum(jnp.sqrt(1 + x**2)), [1.1], newton(), 5)[:, 0]
    # The second derivative is a difference that loses x^2 times rounding: 2253^2 eps = 1e-9.
    np.testing.assert_allclose(points[1:], -(points[:-1] ** 3), rtol=2e-9)
    assert abs(points[-1]) > 1e6


def test_newton_goes_to_the_saddle_and_saddle_free_newton_away_from_it():
    fun, start = surfaces.bounded_strict_saddle().fn, [0.3, 0.1]
    # Both converge quadratically; ten steps leave rounding, and the damping of 1e-6 once more.
    np.testing.assert_allclose(path(fun, start, newton(), 10)[-1], [0, 0], atol=1e-12)
    np.testing.assert_allclose(path(fun, start, saddle_free_newton(), 20)[-1], [0, 1], atol=1e-12)


def test_newton_squares_the_error_with_the_constant_of_the_theory():
    points = path(lambda x: jnp.sum(jnp.exp(x) - x), [0.5], newton(), 4)[:, 0]
    # The minimum is 0 and e' / e^2 tends to f''' / (2 f'') = 1/2; the next order term is of the size of e.
    np.testing.assert_allclose(points[2:4] / points[1:3] ** 2, 0.5, atol=np.abs(points[1]))


def test_newton_takes_the_same_path_in_any_linear_coordinates():
    A = jnp.array([[3.0, 1.0], [0.5, -20.0]])
    fun = surfaces.rosenbrock().fn
    x = path(fun, [-1.2, 1.0], newton(0.7), 6)
    y = path(lambda y: fun(A @ y), np.linalg.solve(A, [-1.2, 1.0]), newton(0.7), 6)
    np.testing.assert_allclose(y @ A.T, x, rtol=1e-9)  # the Hessian's condition number is 2500, rounding grows by it


def test_a_schedule_gives_the_rate_of_each_step():
    points = path(lambda x: jnp.sum(x**2), [8.0], newton(optax.piecewise_constant_schedule(0.5, {1: 0.5})), 2)
    np.testing.assert_allclose(points[:, 0], [8, 4, 3])


# Directions


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-3, 3).filter(lambda w: abs(w) > 1e-3), min_size=4, max_size=4), st.integers(0, 99))
def test_the_modified_direction_descends_and_is_that_of_the_absolute_eigenvalues(w, seed):
    H, b = symmetric(w, seed), np.random.default_rng(seed).standard_normal(4)
    step = _first_step("modified", H, b)
    w, V = np.linalg.eigh(H)
    expected = -V @ ((V.T @ b) / np.abs(w))
    # Eigenvalues are known to eps |H|; the smallest is 1/3000 of the largest.
    np.testing.assert_allclose(step, expected, rtol=1e-8, atol=1e-9 * np.abs(expected).max())
    assert step @ b < 0


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=4, max_size=4), st.integers(0, 99))
def test_the_shifted_direction_descends_by_the_first_shift_that_has_a_cholesky_factor(w, seed):
    H, b = symmetric(w, seed), np.random.default_rng(seed).standard_normal(4)
    H = (H + H.T) / 2
    least = np.diag(H).min()
    tau = 0.0 if least > 0 else 1e-3 - least
    while (lowest := np.linalg.eigvalsh(H + tau * np.eye(4))[0]) < 1e-10:
        if abs(lowest) < 1e-10:
            return  # whether it has a factor is decided by rounding
        tau = max(2 * tau, 1e-3)
    step = _first_step("shifted", H, b)
    expected = np.linalg.solve(H + tau * np.eye(4), -b)
    np.testing.assert_allclose(step, expected, rtol=1e-4)  # a condition number of 1e11 at most, times rounding
    assert step @ b < 0


def test_newton_cg_meeting_negative_curvature_at_once_goes_downhill_as_far_as_newton_would_go_up():
    points = path(
        quadratic(-2 * np.eye(3), np.array([1.0, 2.0, -1.0])), np.zeros(3), newton_cg(linesearch=constant()), 1
    )
    np.testing.assert_allclose(points[1], [-0.5, -1.0, 0.5], rtol=1e-14)  # -g / 2


def test_newton_cg_meeting_negative_curvature_later_goes_on_along_it_as_far_as_newton_would_go_up():
    H, b = np.diag([1.0, 4.0, -0.1]), np.array([1.0, 1.0, 0.1])
    points = path(quadratic(H, b), np.zeros(3), newton_cg(forcing=1e-12, linesearch=constant()), 1)
    x, r, p = np.zeros(3), -b, -b
    while p @ H @ p > 0:  # two steps; the third direction curves down
        x = x + p * (r @ r) / (p @ H @ p)
        old, r = r, -b - H @ x
        p = r + p * (r @ r) / (old @ old)
    x = x - p * (r @ r) / (p @ H @ p)
    assert x[2] < -0.9  # the negative curvature's own variable, at which what CG has is near 0
    np.testing.assert_allclose(points[1], x, rtol=1e-12)  # the residual by recurrence, and by definition


def test_newton_cg_does_not_follow_a_curvature_that_is_rounding():
    H, b = symmetric([0.0, 1.0, 2.0, 3.0]), symmetric([0.0, 1.0, 2.0, 3.0]) @ np.array([1.0, 2.0, -1.0, 1.0])
    points = path(quadratic(H, b), np.zeros(4), newton_cg(forcing=0.0, linesearch=constant()), 1)
    # The residual is never zero: CG goes on until rounding has left no curvature.
    np.testing.assert_allclose(points[1], -np.linalg.pinv(H, rcond=1e-12) @ b, rtol=1e-8)


def test_newton_cg_leaves_a_long_indefinite_valley_within_a_hundred_iterations():
    found = minimize(surfaces.rosenbrock().fn, jnp.array([-12.0, 10.0]), newton_cg(), max_steps=100)
    assert found.status == Status.converged
    np.testing.assert_allclose(found.x, 1, atol=1e-5)


@partial(jax.jit, static_argnums=0)
def _first_step(name, H, b):
    make = {"modified": modified_newton, "shifted": shifted_newton}[name]
    optimizer, x = make(linesearch=constant(1.0)), jnp.zeros(4)
    updates, _ = optimizer.update(b, optimizer.init(x), x, value=0.0, value_fn=quadratic(H, b), flat=True)
    return updates


# Minimizers of the models

spectra = st.lists(st.one_of(st.floats(-10, 10), st.just(0.0), st.just(-1.0)), min_size=5, max_size=5).map(sorted)
gradients = st.lists(st.one_of(st.floats(-10, 10), st.just(0.0), st.just(1e-12)), min_size=5, max_size=5)
ball, cubic = jax.jit(ball_minimizer), jax.jit(cubic_minimizer)


def _multiplier(w, g, p):
    """The lambda of (H + lambda) p = -g by least squares, and its residual."""
    shift = -(g + w * p) @ p / (p @ p) if p @ p > 0 else 0.0
    return shift, np.linalg.norm(g + w * p + shift * p)


@settings(max_examples=300, deadline=None)
@given(spectra, gradients, st.floats(1e-3, 1e3))
def test_the_step_in_the_ball_satisfies_the_conditions_of_optimality(w, g, radius):
    w, g = np.array(w), np.array(g)
    p, predicted = map(np.asarray, ball(radius, w, g))
    shift, residual = _multiplier(w, g, p)
    scale = np.linalg.norm(g) + np.abs(w).max() * np.linalg.norm(p)
    assert residual <= 1e-10 * scale  # rounding, times the few numbers that are added
    assert shift >= max(0, -w[0]) - 1e-10 * (1 + np.abs(w).max() + scale / max(np.linalg.norm(p), 1e-300))
    assert np.linalg.norm(p) <= radius * (1 + 4 * EPS)
    if w[0] < 0 or shift * np.linalg.norm(p) > 1e-8 * scale:
        np.testing.assert_allclose(np.linalg.norm(p), radius, rtol=1e-8)
    np.testing.assert_allclose(predicted, -(g @ p + p @ (w * p) / 2), atol=1e-10 * scale * (radius + 1))


@settings(max_examples=300, deadline=None)
@given(spectra, gradients, st.floats(1e-3, 1e3))
def test_the_step_of_the_cubic_satisfies_the_conditions_of_optimality(w, g, sigma):
    w, g = np.array(w), np.array(g)
    p, predicted = map(np.asarray, cubic(sigma, w, g))
    length = np.linalg.norm(p)
    shift = sigma * length
    scale = np.linalg.norm(g) + (np.abs(w).max() + shift) * length
    assert np.isfinite(p).all()
    assert np.linalg.norm(g + (w + shift) * p) <= 1e-10 * scale  # as in the ball
    assert shift >= -w[0] - 1e-8 * (1 + np.abs(w).max())
    assert predicted >= -1e-10 * scale * length


def test_at_an_exact_saddle_the_trust_region_goes_along_the_negative_curvature():
    points = path(lambda x: x[0] ** 2 - x[1] ** 2 + x[1] ** 4 / 8, [0.0, 0.0], trust_region(0.5), 1)
    np.testing.assert_allclose(np.abs(points[1]), [0, 0.5], atol=1e-12)


def test_steihaug_takes_the_newton_step_within_the_ball_and_its_edge_where_the_path_leaves_or_curves_down():
    H, b = symmetric([1.0, 2.0, 5.0]), np.array([1.0, 2.0, -1.0])
    exact = path(quadratic(H, b), np.zeros(3), steihaug(10.0, forcing=1e-12), 1)[1]
    np.testing.assert_allclose(exact, np.linalg.solve(H, -b), rtol=1e-10)
    short = path(quadratic(H, b), np.zeros(3), steihaug(0.1, forcing=1e-12), 1)[1]
    np.testing.assert_allclose(np.linalg.norm(short), 0.1, rtol=1e-12)
    # The model is the function: what it promises is kept, and the next ball is twice as large.
    fun, optimizer, x = quadratic(H, 100 * b), steihaug(40.0), jnp.zeros(3)
    _, state = optimizer.update(100 * b, optimizer.init(x), x, value=fun(x), value_fn=fun)
    assert state.size == 80 and state.counts.n_hvp == 1
    down = path(quadratic(symmetric([-1.0, 2.0, 5.0]), b), np.zeros(3), steihaug(3.0), 1)[1]
    np.testing.assert_allclose(np.linalg.norm(down), 3.0, rtol=1e-12)


# Counts


@pytest.mark.parametrize("make", [newton_cg, steihaug], ids=lambda make: make.__name__)
def test_products_are_counted_as_they_are_made(make):
    """Against a callback in the transposed derivative, which every gradient and every product runs through."""
    calls = {"value": 0, "backward": 0}

    def tick(name):
        jax.debug.callback(lambda: calls.__setitem__(name, calls[name] + 1))

    @jax.custom_jvp
    def counted(x):
        tick("value")
        return x

    @counted.defjvp
    def _(primals, tangents):
        def backward(_, cotangent):
            tick("backward")
            return cotangent

        tick("value")
        return primals[0], linear_call(lambda _, t: t, backward, (), tangents[0])

    found = minimize(lambda x: surfaces.rosenbrock().fn(counted(x)), jnp.array([-1.2, 1.0]), make())
    jax.effects_barrier()
    assert found.status == Status.converged and found.n_hvp > found.steps > 10
    # The gradient's linearization runs through it once more an iteration.
    assert calls["backward"] == found.n_grad + found.n_hvp + found.steps


@pytest.mark.parametrize("make", [trust_region, cubic_newton], ids=lambda make: make.__name__)
def test_a_trial_costs_one_value_and_one_gradient_and_only_a_new_point_a_hessian(make):
    problem = optlab.problems.from_surface(surfaces.rosenbrock())
    trace = jax.jit(lambda key: optlab.run(problem, make(), key, steps=30, record="all"))(jax.random.key(0))
    trace = {name: np.asarray(column) for name, column in trace.items()}
    last = int(np.argmax(trace["status"] != Status.running)) or 30
    x, tried = trace["x"][: last + 1], np.arange(last + 1)
    taken = (np.diff(x, axis=0) != 0).any(1)
    assert 0 < taken.sum() < last  # some were rejected
    np.testing.assert_array_equal(trace["n_value"][: last + 1], tried + 1)
    np.testing.assert_array_equal(trace["n_grad"][: last + 1], tried + 1)
    hessians = np.cumsum(np.concatenate([[True], taken[:-1]]))
    np.testing.assert_array_equal(trace["n_hvp"][1 : last + 1], 2 * hessians)


def test_a_dense_hessian_counts_its_products_once_an_iteration_and_not_at_the_trials():
    found = minimize(surfaces.rosenbrock().fn, jnp.array([-1.2, 1.0]), modified_newton())
    assert found.n_grad > found.steps + 1  # some searches needed more than one trial
    assert found.n_hvp == 2 * found.steps


def test_the_hessian_of_a_rejected_trial_is_not_kept_for_another_batch():
    """The loss of each step is another one, and every trial far too long: n products a step all the same."""
    optimizer, x = trust_region(10.0), jnp.array([1.0, 2.0])
    state = optimizer.init(x)
    for k in range(3):

        def fun(x, k=k):
            return jnp.sum((k + 1.0) * x**2 + 1e3 * (x - 1) ** 4)

        value, grad = jax.value_and_grad(fun)(x)
        _, state = optimizer.update(grad, state, x, value=value, value_fn=fun)
    assert state.counts.n_hvp == 6


# Rough ground


@each_robust
def test_it_finds_minima_in_valleys_past_saddles_and_where_the_hessian_is_singular_or_the_trial_no_number(make):
    def barrier(x):
        return jnp.sum(x - jnp.log(x))  # Newton's first step from 5 leads to -15

    def degenerate(x):
        return (x[0] + x[1] - 1) ** 2  # singular everywhere

    cases = [
        (surfaces.rosenbrock().fn, [-1.2, 1.0]), (surfaces.beale().fn, [1.0, 1.0]),
        (surfaces.himmelblau().fn, [0.1, 0.1]), (surfaces.powell_singular().fn, [3.0, -1.0, 0.0, 1.0]),
        (surfaces.newton_cycle().fn, [0.0]), (surfaces.newton_diverge_sqrt().fn, [30.0]),
        (barrier, [5.0]), (degenerate, [3.0, -1.0]),
    ]  # fmt: skip
    # One program for all: each in four dimensions, a bowl in those that it lacks.
    sizes = [len(x0) for _, x0 in cases]
    branches = [lambda x, f=f, d=d: f(x[:d]) + jnp.sum(x[d:] ** 2) for (f, _), d in zip(cases, sizes, strict=True)]
    starts = jnp.stack([jnp.array([*x0, *[0.0] * (4 - len(x0))]) for _, x0 in cases])

    @jax.jit
    def solve(starts):
        def one(case):
            k, x0 = case
            return optlab.minimize(lambda x: jax.lax.switch(k, branches, x), x0, make(), gtol=1e-5)

        return jax.lax.map(one, (jnp.arange(len(cases)), starts))

    found = solve(starts)
    np.testing.assert_array_equal(found.status, Status.converged)
    # f - f* is about |g|^2 over the curvature; in the flat quartic valley of Powell |g|^(4/3).
    np.testing.assert_allclose(found.value, [0, 0, 0, 0, -4.219136249, 1, 1, 0], atol=1e-6)
    assert (found.n_value <= 150).all()


@each_robust
def test_it_ends_at_the_floor_of_float32_and_does_not_wander(make):
    def fun(x):
        return surfaces.rosenbrock().fn(x) + 10  # the last digits of the value say nothing of the last steps

    found = minimize(fun, jnp.array([-1.2, 1.0], jnp.float32), make(), gtol=0.0, max_steps=400)
    assert found.status == Status.stalled or found.grad_norm == 0
    assert found.steps < 300 and found.x.dtype == jnp.float32
    # The value is flat within 10 eps 10 = 1e-5, and the least curvature 0.4: |x - 1| about sqrt(2e-5 / 0.4).
    np.testing.assert_allclose(found.x, 1, atol=1e-2)


@each_robust
def test_what_is_unbounded_below_is_told_to_diverge(make):
    found = minimize(lambda x: jnp.sum(x**2) - x[0] ** 4, jnp.array([2.0, 1.0]), make())
    assert found.status == Status.diverged


@each
def test_a_start_without_gradient_moves_nothing_and_makes_no_nan(make):
    optimizer = make()
    x = {"a": jnp.zeros(2), "b": jnp.zeros((1, 1))}

    def fun(x):
        return jnp.sum(x["a"] ** 2) + jnp.sum(x["b"] ** 2)

    updates, state = optimizer.update(x, optimizer.init(x), x, value=fun(x), grad=x, value_fn=fun)
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(updates))
    assert optlab.minimize(fun, x, make()).steps == 0


@each
def test_trees_precision_and_traced_numbers_are_kept_and_lanes_do_what_each_does_alone(make):
    start = {
        "w": jnp.ones((2, 2), jnp.float32),
        "empty": jnp.zeros(0, jnp.float32),
        "s": jnp.asarray(-0.5, jnp.float32),
    }
    first = {"newton": "learning_rate", "saddle_free_newton": "damping", "trust_region": "initial_radius",
             "steihaug": "initial_radius", "cubic_newton": "initial_sigma", "modified_newton": "delta",
             "shifted_newton": "beta", "newton_cg": "forcing"}.get(make.__name__)  # fmt: skip

    def fun(x):
        return jnp.sum((x["w"] - 2) ** 2) + jnp.cosh(x["s"])

    def solve(number):
        optimizer = make(**{first: number}) if first else make()
        return optlab.minimize(fun, start, optimizer, gtol=1e-4, max_steps=100)

    numbers = jnp.array([0.05, 0.6])
    together = jax.jit(jax.vmap(solve))(numbers)
    for lane, number in enumerate(numbers):
        alone = jax.jit(solve)(number)
        assert alone.x["w"].dtype == alone.x["s"].dtype == jnp.float32 and alone.x["empty"].shape == (0,)
        np.testing.assert_allclose(alone.x["w"], 2, atol=1e-3 if number > 0.1 else 0.1)
        for one, many in zip(alone, together, strict=True):
            jax.tree.map(lambda a, b, k=lane: np.testing.assert_allclose(a, b[k], atol=1e-4), one, many)


def test_another_line_search_may_be_given_optaxs_included():
    for search in (armijo(), optax.scale_by_backtracking_linesearch(20)):
        found = minimize(surfaces.rosenbrock().fn, jnp.array([-1.2, 1.0]), modified_newton(linesearch=search))
        assert found.status == Status.converged


def test_a_preconditioner_that_is_the_inverse_leaves_one_product_an_iteration():
    H, b = jnp.asarray(symmetric(np.geomspace(1, 1e3, 8))), jnp.ones(8)
    inverse = jnp.linalg.inv(H)
    found = minimize(quadratic(H, b), jnp.zeros(8), newton_cg(preconditioner=lambda x, v: inverse @ v))
    assert found.status == Status.converged and found.n_hvp == found.steps <= 2


@each
def test_what_is_missing_or_of_the_wrong_type_is_told_in_one_sentence(make):
    optimizer, x = make(), jnp.ones(2)
    with pytest.raises(ValueError, match="value_fn=, the loss as a function of the parameters"):
        optimizer.update(x, optimizer.init(x), x, value=1.0, grad=x)
    with pytest.raises(TypeError, match="floating-point numbers, not int"):
        optimizer.init({"a": x, "b": jnp.arange(3)})
