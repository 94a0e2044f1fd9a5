"""Quasi-Newton and conjugate gradient methods keep what their theory promises."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st

import optlab
from optlab import Status
from optlab.optimizers.quasi_newton import bfgs_update, dfp_update, scale_by_dense, scale_by_limited, updated
from optlab.optimizers.symmetric_rank_one import sr1_update

ROSENBROCK = optlab.surfaces.rosenbrock()
BETAS = ("fr", "pr+", "hs", "dy", "hz")


def random_pair(seed, dim=5):
    """A positive definite H, and s, y with s^T y > 0."""
    keys = jax.random.split(jax.random.key(seed), 3)
    root = jax.random.normal(keys[0], (dim, dim))
    s, y = jax.random.normal(keys[1], (dim,)), jax.random.normal(keys[2], (dim,))
    return root @ root.T + 0.1 * jnp.eye(dim), s, jnp.where(s @ y > 0, y, -y)


@pytest.mark.parametrize("update", [bfgs_update, dfp_update])
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_each_update_keeps_the_secant_equation_symmetry_and_positive_definiteness(update, seed):
    H, s, y = random_pair(seed)
    new = jax.jit(lambda H, s, y: updated(H, update(s, y, H @ y)))(H, s, y)
    scale = float(jnp.linalg.norm(new) * jnp.linalg.norm(y))
    np.testing.assert_allclose(new @ y, s, atol=1e-12 * scale)  # rounding of matrices of this size
    np.testing.assert_allclose(new, new.T, atol=1e-12 * float(jnp.linalg.norm(new)))
    eigenvalues = np.linalg.eigvalsh((new + new.T) / 2)
    assert eigenvalues[0] > -1e-12 * eigenvalues[-1]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_limited_memory_with_room_for_all_pairs_is_bfgs_from_the_same_scaled_identity(seed):
    """Against the dense update from gamma I, gamma from the newest pair (Nocedal and Wright, eq. 7.20)."""
    keys = jax.random.split(jax.random.key(seed), 7)
    A = jnp.diag(jnp.array([1.0, 2.0, 5.0, 9.0]))
    points = [jax.random.normal(key, (4,)) for key in keys]
    tx = scale_by_limited(10)
    state = tx.init(points[0])
    for x in points:
        direction, state = tx.update(A @ x, state, x)
    pairs = [(b - a, A @ (b - a)) for a, b in zip(points, points[1:], strict=False)]
    s, y = pairs[-1]
    H = (s @ y) / (y @ y) * jnp.eye(4)
    for s, y in pairs:
        H = updated(H, bfgs_update(s, y, H @ y))
    np.testing.assert_allclose(direction, H @ (A @ points[-1]), rtol=1e-8, atol=1e-8)


def test_a_pair_without_curvature_is_left_out():
    for tx in (scale_by_dense(bfgs_update), scale_by_limited(3)):
        x, g = jnp.zeros(2), jnp.array([1.0, 0.0])
        _, state = tx.update(g, tx.init(x), x)
        _, after = tx.update(g - jnp.array([1.0, 0.0]), state, x + jnp.array([1.0, 0.0]))  # s^T y < 0
        first, second = jax.tree.leaves(state)[0], jax.tree.leaves(after)[0]
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("tx", [scale_by_dense(bfgs_update), scale_by_limited(3)], ids=["dense", "limited"])
@pytest.mark.parametrize("forget", [False, True])
def test_a_direction_that_is_not_asked_remembers_what_it_did(tx, forget):
    x = jnp.array([1.0, 2.0])
    state = tx.init(x)
    for k in range(4):
        _, state = tx.update(jnp.array([1.0, 4.0]) * x / (k + 1), state, x / (k + 1))
    _, same = tx.update(x, state, 2 * x, forget=jnp.asarray(forget), asked=jnp.asarray(False))
    jax.tree.map(np.testing.assert_array_equal, same, state)
    _, changed = tx.update(x, state, 2 * x, forget=jnp.asarray(forget))
    assert not all(jnp.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, (changed, state)), strict=True))


def test_bfgs_takes_about_as_many_iterations_on_rosenbrock_as_the_textbook():
    found = optlab.minimize(ROSENBROCK.fn, jnp.array([-1.2, 1.0]), optlab.bfgs(), gtol=1e-5)
    # Nocedal and Wright, chapter 6, report 34 iterations; the search decides a quarter of them.
    assert found.status == Status.converged and abs(found.steps - 34) <= 0.25 * 34


def test_bfgs_with_an_exact_search_is_conjugate_gradients_on_a_quadratic():
    A = jnp.diag(jnp.array([1.0, 3.0, 10.0, 40.0, 90.0]))
    quadratic = lambda x: 0.5 * x @ A @ x  # noqa: E731
    ends = {}
    for name, tx in (
        ("bfgs", optlab.bfgs(optlab.exact())),
        ("cg", optlab.nonlinear_cg("fr", linesearch=optlab.exact())),
    ):
        ends[name] = np.array([optlab.minimize(quadratic, jnp.ones(5), tx, max_steps=k, gtol=0.0).x for k in (1, 2, 3)])
    # BFGS scales its first matrix, which an exact search makes up for; the search ends at 1e-8 of the slope.
    np.testing.assert_allclose(ends["bfgs"], ends["cg"], atol=1e-6)


@pytest.mark.parametrize("beta", BETAS)
def test_conjugate_gradients_with_an_exact_search_end_in_as_many_steps_as_distinct_eigenvalues(beta):
    A = jnp.diag(jnp.array([1.0, 1.0, 4.0, 4.0, 4.0, 9.0]))
    tx = optlab.nonlinear_cg(beta, linesearch=optlab.exact(tolerance=1e-12))
    found = optlab.minimize(lambda x: 0.5 * x @ A @ x, jnp.ones(6), tx, gtol=1e-8)
    assert found.status == Status.converged and found.steps == 3


METHODS = {"bfgs": optlab.bfgs(), "dfp": optlab.dfp(), "lbfgs": optlab.lbfgs(), "sr1": optlab.sr1()}
METHODS |= {beta: optlab.nonlinear_cg(beta) for beta in BETAS}


@pytest.mark.parametrize("tx", METHODS.values(), ids=METHODS.keys())
@pytest.mark.parametrize("name", ["rosenbrock", "wood", "beale", "powell_singular"])
def test_classic_problems_are_solved_from_their_usual_starts(tx, name):
    surface = getattr(optlab.surfaces, name)()
    start = jnp.array(surface.start, float)
    found = jax.jit(lambda x: optlab.minimize(surface.fn, x, tx, max_steps=3000, gtol=1e-5))(start)
    assert found.status == Status.converged
    peer = scipy.optimize.minimize(surface.fn, start, jac=jax.grad(surface.fn), method="BFGS", options={"gtol": 1e-5})
    # At a gradient of 1e-5 these values lie within 1e-7 of each other (singular Hessians included).
    assert found.value <= max(peer.fun, 0) + 1e-7


def exactly_along(fun, x, d):
    """The step to the first minimum along a direction, by SciPy."""
    line = jax.jit(lambda a: fun(x + a * d))
    return scipy.optimize.minimize_scalar(lambda a: float(line(a)), bounds=(0, 4), method="bounded").x


def test_bfgs_does_not_care_about_a_linear_change_of_variables():
    """x = M z: from H = M^-1 M^-T the update takes the path in z that it takes in x from H = I."""
    f = ROSENBROCK.fn
    M = jnp.array([[2.0, 1.0], [0.5, 3.0]])

    def path(fun, x, H):
        points = []
        for _ in range(6):
            g = jax.grad(fun)(x)
            new = x - exactly_along(fun, x, -H @ g) * H @ g
            s, y = new - x, jax.grad(fun)(new) - g
            H = updated(H, bfgs_update(s, y, H @ y))
            x = new
            points.append(x)
        return jnp.stack(points)

    inverse = jnp.linalg.inv(M)
    plain = path(f, jnp.array([-1.2, 1.0]), jnp.eye(2))
    changed = path(lambda z: f(M @ z), inverse @ jnp.array([-1.2, 1.0]), inverse @ inverse.T)
    # SciPy's bounded search ends within 1e-5, six times.
    np.testing.assert_allclose(changed @ M.T, plain, rtol=1e-2, atol=1e-2)


def test_orders_of_convergence_are_as_the_theory_says():
    """log e_{k+1} / log e_k near the end: 1 for gradient descent, above 1 for BFGS."""
    f = optlab.surfaces.beale().fn
    x_star = jnp.array([3.0, 0.5])

    def errors(tx, ks):
        ends = [optlab.minimize(f, jnp.array([2.5, 0.4]), tx, max_steps=int(k), gtol=0.0).x for k in ks]
        return np.array([float(jnp.linalg.norm(x - x_star)) for x in ends])

    bfgs = errors(optlab.bfgs(), range(3, 13))
    bfgs = bfgs[bfgs > 1e-9]
    ratios = bfgs[1:] / bfgs[:-1]
    assert ratios[-1] < 0.2 * np.median(ratios[:3]) or ratios[-1] < 0.05  # the ratio itself goes to zero
    descent = errors(optlab.gradient_descent(0.01), range(200, 204))
    rates = descent[1:] / descent[:-1]
    np.testing.assert_allclose(rates, rates[0], rtol=1e-3)  # linear: a constant ratio
    assert rates[0] > 0.9


def test_float32_ends_stalled_or_converged_at_the_precision_floor():
    f = lambda x: ROSENBROCK.fn(x) + jnp.float32(100.0)  # the floor of the value is 1e-5  # noqa: E731
    for tx in (optlab.bfgs(), optlab.lbfgs(), optlab.nonlinear_cg(), optlab.sr1()):
        found = optlab.minimize(f, jnp.array([-1.2, 1.0], jnp.float32), tx, gtol=1e-9, max_steps=2000)
        assert found.status in (Status.stalled, Status.converged) and found.steps < 500
        assert found.x.dtype == jnp.float32
        np.testing.assert_allclose(found.x, 1, atol=0.02)  # sqrt(1e-5 / 0.4), the flattest direction


@pytest.mark.parametrize("tx", [optlab.bfgs(), optlab.lbfgs(), optlab.nonlinear_cg()], ids=["bfgs", "lbfgs", "cg"])
def test_faults_end_with_a_status(tx):
    one = jnp.ones(1)
    bowl = lambda x: jnp.sum(x**2)  # noqa: E731
    assert optlab.minimize(bowl, 0 * one, tx).status == Status.converged
    assert optlab.minimize(bowl, jnp.nan * one, tx).status == Status.diverged
    assert optlab.minimize(lambda x: jnp.sum(x), one, tx).status == Status.diverged
    wall = lambda x: jnp.sum(jnp.where(x < 0.5, jnp.nan, (x - 0.6) ** 2))  # noqa: E731
    found = optlab.minimize(wall, one, tx)
    assert found.status == Status.converged
    np.testing.assert_allclose(found.x, 0.6, atol=1e-6)
    corner = optlab.minimize(lambda x: jnp.sum(jnp.abs(x)), jnp.array([1.0, -2.0]), tx, max_steps=300)
    assert jnp.isfinite(corner.value) and corner.value < 3.0


def test_pytrees_with_empty_leaves_and_noise_are_taken():
    tree = {"a": jnp.ones((2, 2)), "b": [jnp.zeros((0,)), jnp.asarray(2.0)]}
    loss = lambda t: jnp.sum((t["a"] - 3.0) ** 2) + (t["b"][1] + 1.0) ** 2  # noqa: E731
    for tx in (optlab.bfgs(), optlab.lbfgs(), optlab.nonlinear_cg()):
        found = optlab.minimize(loss, tree, tx)
        assert found.status == Status.converged
        np.testing.assert_allclose(found.x["b"][1], -1.0, atol=1e-6)
    noisy = optlab.problems.from_surface(optlab.surfaces.quadratic(), noise=0.01)
    trace = optlab.run(noisy, optlab.lbfgs(), jax.random.key(0), steps=30)
    assert trace["best_value"][-1] < 1e-2 * trace["value"][0]


def test_integer_leaves_are_refused_in_one_sentence():
    for tx in (optlab.bfgs(), optlab.lbfgs(), optlab.nonlinear_cg(), optlab.sr1()):
        with pytest.raises(TypeError, match="needs parameters of floating-point numbers, not int"):
            tx.init({"a": jnp.ones(2), "b": jnp.arange(3)})


SHARDED = """
import jax, jax.numpy as jnp, numpy as np, optlab
from jax.sharding import Mesh, NamedSharding, PartitionSpec
jax.config.update("jax_enable_x64", True)
mesh = Mesh(np.array(jax.devices()), ("rows",))
fun = lambda p: jnp.sum((jnp.tanh(p["w"] @ jnp.arange(1.0, 4.0)) - 0.5) ** 2) + jnp.sum((p["w"] - p["b"]) ** 2)
start = {"w": np.arange(24.0).reshape(8, 3) / 24, "b": np.zeros(3)}
placed = {"w": NamedSharding(mesh, PartitionSpec("rows")), "b": NamedSharding(mesh, PartitionSpec())}
for name in ("bfgs", "lbfgs", "nonlinear_cg", "steihaug", "newton_cg", "sr1"):
    solve = jax.jit(lambda p: optlab.minimize(fun, p, getattr(optlab, name)(), gtol=1e-7))
    alone, spread = solve(start), solve(jax.device_put(start, placed))
    assert len(spread.x["w"].sharding.device_set) == 4 and alone.status == spread.status == 1, name
    np.testing.assert_allclose(spread.value, alone.value, atol=1e-12)
"""

#: As `jax.make_mesh` has it, shardings belong to types, and arrays with different ones do not mix.
EXPLICIT = """
import jax, jax.numpy as jnp, numpy as np, optlab
from jax.sharding import NamedSharding, PartitionSpec
jax.config.update("jax_enable_x64", True)
mesh = jax.make_mesh((4,), ("rows",), axis_types=(jax.sharding.AxisType.Explicit,))
start = {"w": np.arange(24.0).reshape(8, 3) / 24, "b": np.zeros(3)}
placed = {"w": NamedSharding(mesh, PartitionSpec("rows")), "b": NamedSharding(mesh, PartitionSpec())}
residual = lambda p: jnp.concatenate([jnp.tanh(p["w"] @ jnp.arange(1.0, 4.0)) - 0.5, jnp.sum(p["w"] - p["b"], axis=1)])
fun = lambda p: 0.5 * jnp.sum(residual(p) ** 2) + 0.5 * jnp.sum(p["b"] ** 2)
for name in ("bfgs", "lbfgs", "nonlinear_cg", "newton_cg", "sr1", "trust_region", "levenberg_marquardt"):
    squares = (lambda p: 0.5 * jnp.sum(residual(p) ** 2)) if name.startswith("lev") else fun
    solve = jax.jit(lambda p: optlab.minimize(squares, p, getattr(optlab, name)(), residual=residual, gtol=1e-7))
    alone, spread = solve(start), solve(jax.device_put(start, placed))
    assert spread.x["w"].sharding.is_equivalent_to(placed["w"], 2) and alone.status == spread.status == 1, name
    np.testing.assert_allclose(spread.value, alone.value, atol=1e-12)
"""


@pytest.mark.parametrize("program", [SHARDED, EXPLICIT], ids=["left to the compiler", "explicit"])
def test_parameters_may_be_sharded_over_devices(program):
    """On four simulated devices, in a process of its own; sums of shards round differently, so only ends are equal."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"
    subprocess.run([sys.executable, "-c", program], check=True, env=os.environ | {"XLA_FLAGS": flags})


def test_sr1_learns_an_indefinite_hessian_in_as_many_pairs_as_there_are_variables():
    """Nocedal and Wright, theorem 6.1: exact after d independent steps, whatever their lengths, on any quadratic."""
    H = jnp.diag(jnp.array([3.0, -2.0, 0.5, 7.0])) + 0.1
    B = jnp.eye(4)
    for s in jax.random.normal(jax.random.key(1), (4, 4)):
        B = sr1_update(B, s, H @ s)
        np.testing.assert_allclose(B @ s, H @ s, rtol=1e-10)  # the secant equation
    np.testing.assert_allclose(B, H, atol=1e-9)
    np.testing.assert_array_equal(sr1_update(H, s, H @ s), H)  # nothing to learn: the update is ill-defined, left out


def test_sr1_leaves_a_saddle_that_newton_is_drawn_to():
    surface = optlab.surfaces.bounded_strict_saddle()
    near = jnp.array([0.1, 1e-3])
    found = optlab.minimize(surface.fn, near, optlab.sr1())
    assert found.status == Status.converged
    np.testing.assert_allclose(found.value, -0.25, atol=1e-10)
    assert abs(optlab.minimize(surface.fn, near, optlab.newton()).value) < 1e-10  # the saddle's value is 0


def test_a_beta_that_does_not_exist_and_a_memory_of_nothing_are_refused():
    with pytest.raises(ValueError, match="beta must be one of fr, pr\\+, hs, dy, hz, not 'pr'"):
        optlab.nonlinear_cg("pr")
    with pytest.raises(ValueError, match="memory must be at least 1"):
        optlab.lbfgs(memory=0)


def test_steepest_descent_with_an_exact_search_shrinks_the_gap_as_kantorovich_says_and_turns_at_right_angles():
    k, gradient = 25.0, jax.grad(lambda x: 0.5 * (x[0] ** 2 + 25.0 * x[1] ** 2))
    quadratic, start = (lambda x: 0.5 * (x[0] ** 2 + k * x[1] ** 2)), jnp.array([k, 1.0])  # the worst start
    tx = optlab.steepest_descent(optlab.exact())
    points = [optlab.minimize(quadratic, start, tx, max_steps=n, gtol=0.0).x for n in (1, 2)]
    values = [float(quadratic(x)) for x in (start, *points)]
    np.testing.assert_allclose(np.divide(values[1:], values[:-1]), ((k - 1) / (k + 1)) ** 2, rtol=1e-9)
    # The search ends at 1e-8 of the slope.
    assert abs(gradient(points[0]) @ gradient(start)) < 1e-7 * jnp.linalg.norm(gradient(start)) ** 2
