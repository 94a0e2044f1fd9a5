"""Least-squares methods against NumPy, MINPACK and the certified values of NIST."""

import csv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.optimize
import yaml

import optlab
from optlab import Status, surfaces
from optlab.optimizers import least_squares
from optlab.optimizers.counts import Counts, Evaluated, nodes
from optlab.optimizers.least_squares import gauss_newton, geodesic_levenberg_marquardt, levenberg_marquardt
from optlab.optimizers.matrix_free_least_squares import matrix_free_levenberg_marquardt

HERE = Path(__file__).parent
METHODS = [gauss_newton, levenberg_marquardt, geodesic_levenberg_marquardt, matrix_free_levenberg_marquardt]
TRIALS = METHODS[1:]  # those whose update is one trial
method = pytest.mark.parametrize("make", METHODS, ids=lambda make: make.__name__)
trial = pytest.mark.parametrize("make", TRIALS, ids=lambda make: make.__name__)


def half_square(residual):
    return lambda x: 0.5 * jnp.sum(residual(x) ** 2)


def quickly(function, x):
    """function(x), compiled without optimization: compilation is the time that these tests take."""
    return jax.jit(function).lower(x).compile(compiler_options={"xla_backend_optimization_level": 0})(x)


def solve(residual, x0, optimizer, **options):
    return quickly(lambda x: optlab.minimize(half_square(residual), x, optimizer, residual=residual, **options), x0)


def first_update(optimizer, residual, x, **extra):
    value, grad = jax.value_and_grad(half_square(residual))(x)
    return optimizer.update(grad, optimizer.init(x), x, value=value, grad=grad, residual_fn=residual, **extra)


def rosenbrock(x):
    return jnp.stack([10 * (x[1] - x[0] ** 2), 1 - x[0]])


# Gauss-Newton and the damped step


@pytest.mark.parametrize(("rows", "columns", "rank"), [(9, 4, 4), (9, 4, 2), (3, 5, 3), (1, 1, 1)])
def test_gauss_newton_makes_numpys_least_squares_step_at_any_rank_and_shape(rows, columns, rank):
    draw = np.random.default_rng(0).standard_normal
    A, b = draw((rows, rank)) @ draw((rank, columns)), draw(rows)
    x = draw(columns)
    step, _ = first_update(gauss_newton(), lambda x: A @ x - b, jnp.asarray(x))
    expected = np.linalg.lstsq(A, b - A @ x)[0]
    np.testing.assert_allclose(step, expected, atol=1e-12)


@method
def test_a_linear_problem_is_solved_and_its_parameters_may_be_any_tree(make):
    A = np.random.default_rng(1).standard_normal((8, 4))
    x0 = {"a": jnp.zeros((1, 3)), "b": jnp.array(0.0)}
    best = np.linalg.lstsq(A, np.ones(8))[0]

    def residual(tree):
        return A @ jnp.append(tree["a"][0], tree["b"]) - 1

    found = solve(residual, x0, make(), gtol=1e-10)
    assert found.status == Status.converged
    np.testing.assert_allclose(np.append(found.x["a"], found.x["b"]), best, atol=1e-9)
    if make is not matrix_free_levenberg_marquardt:
        assert found.steps == 1


@pytest.fixture(scope="module")
def fit():
    """Residuals of a curved fit, a point, the Jacobian and the gradient there, and Marquardt's scale."""

    def residual(x):
        t = jnp.linspace(0.1, 2, 12, dtype=x.dtype)
        return x[0] * jnp.exp(-x[1] * t) + 1e-3 * x[2] * t - 1 / (1 + t)

    x = jnp.array([1.3, 0.4, 50.0])
    J = np.asarray(jax.jacfwd(residual)(x))
    return residual, x, J, J.T @ np.asarray(residual(x)), np.linalg.norm(J, axis=0)


def test_in_a_wide_region_levenberg_marquardt_makes_the_gauss_newton_step(fit):
    residual, x, J, _, _ = fit
    step, _ = first_update(levenberg_marquardt(1e6), residual, x)
    np.testing.assert_allclose(step, np.linalg.lstsq(J, -np.asarray(residual(x)))[0], rtol=1e-8)


@pytest.mark.parametrize("share", [1e-5, 0.01, 0.3])
def test_the_step_solves_the_damped_equations_and_is_as_long_as_the_region(fit, share):
    residual, x, J, g, D = fit
    newton = np.linalg.norm(D * np.linalg.lstsq(J, -np.asarray(residual(x)))[0])
    unit = np.linalg.norm(D * np.asarray(x))
    step, _ = first_update(levenberg_marquardt(share * newton / unit), residual, x)
    step = np.asarray(step)
    assert share * newton <= np.linalg.norm(D * step) <= 1.1 * share * newton  # to a tenth, as MINPACK
    left = -g - J.T @ (J @ step)
    damping = (left @ step) / np.sum((D * step) ** 2)
    np.testing.assert_allclose(damping * D**2 * step, left, rtol=1e-6, atol=1e-9 * np.abs(g).max())
    if share < 1e-4:  # the scaled gradient
        slope = g / D
        assert -(D * step) @ slope / np.linalg.norm(D * step) / np.linalg.norm(slope) > 1 - 1e-6


def test_the_matrix_free_step_solves_its_damped_equations(fit):
    residual, x, J, g, _ = fit
    step, state = first_update(matrix_free_levenberg_marquardt(1e-3, forcing=1e-12), residual, x)
    damping = 1e-3 * np.sum((J @ g) ** 2) / (g @ g)
    np.testing.assert_allclose(step, np.linalg.solve(J.T @ J + damping * np.eye(3), -g), rtol=1e-8)
    assert 4 <= state.counts.n_hvp <= 7  # one for the damping, three in theory, six at most


def test_a_change_of_scale_of_each_parameter_changes_nothing():
    scale = jnp.array([2.0**20, 2.0**-15])  # powers of 2: no rounding
    plain = solve(rosenbrock, jnp.array([-1.2, 1.0]), levenberg_marquardt(), max_steps=10, gtol=0.0)
    scaled = solve(
        lambda z: rosenbrock(z * scale), jnp.array([-1.2, 1.0]) / scale, levenberg_marquardt(), max_steps=10, gtol=0.0
    )
    np.testing.assert_allclose(scaled.x * scale, plain.x, rtol=1e-12)
    assert scaled[-3:] == plain[-3:]  # counts


def test_the_geodesic_step_adds_half_the_acceleration():
    x = jnp.array([0.6, 0.9, 1.1])

    def residual(x):
        return jnp.stack([x[0] * x[1] - 0.5, jnp.sin(x[1]) + x[2] - 1.9, jnp.exp(x[0]) - x[2] - 0.7])

    J, H = (np.asarray(derivative(residual)(x)) for derivative in (jax.jacfwd, jax.hessian))
    p = -np.linalg.solve(J, residual(x))
    a = -np.linalg.solve(J, np.einsum("rij,i,j->r", H, p, p))
    assert 2 * np.linalg.norm(a) < 0.75 * np.linalg.norm(p)
    step, _ = first_update(geodesic_levenberg_marquardt(1e6), residual, x)
    np.testing.assert_allclose(step, p + a / 2, rtol=1e-9)


# Hard shapes


@trial
@pytest.mark.parametrize(
    ("residual", "x0"),
    [
        (lambda x: jnp.stack([x[0] * x[1] * x[2] - 1]), [3.0, 2.0, 0.5]),
        (lambda x: jnp.stack([x[0] + x[1] - 1, (x[0] + x[1]) ** 2 - 1, 2 * (x[0] + x[1]) - 2]), [2.0, 3.0]),
        (lambda x: jnp.exp(x) - 2, [3.0]),
        (lambda x: jnp.stack([x[0] ** 2 + x[1] - 1, 0 * x[0]]), [2.0, 0.0]),
    ],
    ids=["underdetermined", "rank one", "one parameter", "a row of zeros"],
)
def test_singular_problems_are_solved(make, residual, x0):
    found = solve(residual, jnp.array(x0), make(), gtol=1e-9)
    assert found.status == Status.converged
    assert found.value < 1e-16


@trial
def test_a_trial_that_is_no_number_is_rejected_and_the_next_is_shorter(make):
    def residual(x):
        return jnp.log(x) + 1e-3 * x  # the full step from 20 leads below 0

    x, optimizer = jnp.array([20.0]), make()
    value, grad = jax.value_and_grad(half_square(residual))(x)
    offered = {"value": value, "grad": grad, "residual_fn": residual, "flat": True}
    step, state = optimizer.update(grad, optimizer.init(x), x, **offered)
    if make is not geodesic_levenberg_marquardt:  # whose parabola stays above 0
        np.testing.assert_array_equal(step, 0)
        assert (state.counts.n_value, state.counts.n_grad) == (1, 0)
        np.testing.assert_allclose(state.evaluated.value, value, rtol=1e-14)
        assert not state.progress.stalled
    found = solve(residual, x, optimizer)
    assert found.status == Status.converged
    np.testing.assert_allclose(found.x, 0.999, atol=1e-5)  # log x + 1e-3 x = 0 to second order


@method
def test_in_float32_a_fit_with_residuals_ends_stalled_at_the_precision_of_its_loss(make, fit):
    residual, x, *_ = fit
    found = solve(residual, x.astype(jnp.float32), make(), gtol=0.0)
    exact = scipy.optimize.least_squares(lambda x: np.asarray(residual(x)), x, method="lm", xtol=1e-14)
    assert found.x.dtype == found.value.dtype == jnp.float32
    assert found.status == Status.stalled
    np.testing.assert_allclose(found.value, exact.cost, rtol=1e-5)  # 100 eps


# What a caller sees


@trial
def test_value_and_gradient_in_the_state_are_those_after_the_update(make):
    optimizer, fun = make(), half_square(rosenbrock)
    x = jnp.array([-1.2, 1.0])
    state, update = optimizer.init(x), jax.jit(lambda *a: optimizer.update(*a, residual_fn=rosenbrock, flat=True))
    taken = []
    for _ in range(8):
        step, state = update(jax.grad(fun)(x), state, x)
        x = optax.apply_updates(x, step)
        taken.append(bool(jnp.any(step != 0)))
        (evaluated,) = nodes(state, Evaluated)
        np.testing.assert_allclose(evaluated.value, fun(x), rtol=1e-13)
        np.testing.assert_allclose(evaluated.grad, jax.grad(fun)(x), rtol=1e-10, atol=1e-13)
    assert len(set(taken)) == 2  # one rejected, one not


def test_counts_are_of_residuals_and_jacobians_evaluated():
    made = []

    def residual(x):
        jax.debug.callback(lambda: made.append(1))
        return rosenbrock(x)

    found = jax.jit(
        lambda x: optlab.minimize(half_square(rosenbrock), x, levenberg_marquardt(), residual=residual, gtol=1e-9)
    )(jnp.array([-1.2, 1.0]))
    jax.effects_barrier()
    # The caller's own evaluation at the start is of the loss; its Jacobian is made here, as at each accepted point.
    assert len(made) == (found.n_value - 1) + found.n_grad
    assert found.n_hvp == found.n_grad  # half of two products each


@trial
def test_where_the_loss_changes_the_step_is_that_of_the_residuals_offered_now(make):
    x, optimizer = jnp.array([1.0, 2.0]), make()
    state = optimizer.init(x)
    for shift in (0.0, 3.0):
        step, state = optimizer.update(x - shift, state, x, residual_fn=lambda x, shift=shift: x - shift, flat=False)
        x = optax.apply_updates(x, step)
        assert np.isinf(state.evaluated.value)  # it would be that of another function
    np.testing.assert_allclose(x, 3, rtol=1e-2)  # one step; damping is 1e-3 of the curvature at most


@method
def test_lanes_of_a_batch_end_as_they_do_alone(make):
    starts = jnp.array([[-1.2, 1.0], [1.0, 1.0], [30.0, -20.0]])

    def one(x):
        return optlab.minimize(half_square(rosenbrock), x, make(), residual=rosenbrock, gtol=1e-9)

    together, one = quickly(jax.vmap(one), starts), jax.jit(one)
    alone = [one(start) for start in starts]
    assert set(together.status.tolist()) == {int(Status.converged)}
    for name in ("steps", "n_value", "n_grad", "n_hvp"):
        assert getattr(together, name).tolist() == [int(getattr(lane, name)) for lane in alone]
    assert together.n_value[1] == 1


def test_numbers_of_the_methods_may_be_traced():
    def end(number):
        x = jnp.array([-1.2, 1.0])
        optimizer = optax.chain(levenberg_marquardt(number))
        return optlab.minimize(half_square(rosenbrock), x, optimizer, residual=rosenbrock, gtol=1e-9).value

    assert (quickly(jax.vmap(end), jnp.array([0.01, 1.0, 1e4])) < 1e-16).all()


@method
def test_without_residuals_there_is_a_sentence(make):
    with pytest.raises(ValueError, match="needs residual_fn=.*choose a problem that has them"):
        optlab.minimize(half_square(rosenbrock), jnp.zeros(2), make())


def test_many_parameters_take_few_products_of_which_all_are_counted():
    def broyden_tridiagonal(x):
        return (3 - 2 * x) * x - jnp.pad(x, (1, 0))[:-1] - 2 * jnp.pad(x, (0, 1))[1:] + 1

    found = solve(broyden_tridiagonal, -jnp.ones(2000), matrix_free_levenberg_marquardt(), gtol=1e-9)
    assert found.status == Status.converged
    assert found.value < 1e-18
    assert found.steps <= found.n_hvp <= 100  # a well-conditioned system: independent of d


# Against MINPACK and NIST


def build(name):
    config = yaml.safe_load((HERE.parent / "conf" / "problem" / f"mgh_{name.lower()}.yaml").read_text())
    function = config.pop("_target_").removeprefix("optlab.surfaces.")
    return getattr(surfaces, function)(**config)


def is_published(value, row):
    """One of the published minima, to a gap of 1e-8 (the last rung of the ladder) or 1e-4 of its value."""
    published = [float(number) for number in row["f_pub"].split(";")]
    return any(abs(value - f) <= max(1e-4 * f, 1e-8) for f in published)


@pytest.fixture(scope="module")
def suite():
    """The More-Garbow-Hillstrom cases from their starts: {name: (ours, evaluations, MINPACK's, evaluations)}."""

    def case(row):
        surface = build(row["problem"])

        def one(x):
            return optlab.minimize(surface.fn, x, levenberg_marquardt(), residual=surface.residual, gtol=1e-8)

        ours = quickly(one, jnp.asarray(surface.start, float))
        nfev, njev = map(int, row["LM_minpack"].split("/"))
        solved = is_published(float(ours.value), row), is_published(float(row["LM_f"]), row)
        return solved[0], int(ours.n_value + ours.n_grad), solved[1], nfev + njev

    rows = list(csv.DictReader((HERE / "data" / "mgh_scipy_counts.csv").read_text().splitlines()))
    with ThreadPoolExecutor(2) as pool:  # the compiler lets go of the interpreter
        return dict(zip([row["problem"] for row in rows], pool.map(case, rows), strict=True))


def test_as_many_cases_are_solved_as_by_minpack(suite):
    ours, _, theirs, _ = zip(*suite.values(), strict=True)
    assert len(suite) == 40
    assert sum(ours) >= sum(theirs)


def test_it_takes_no_more_evaluations_than_minpack_in_the_geometric_mean(suite):
    ratios = [ours / theirs for solved, ours, also, theirs in suite.values() if solved and also]
    assert np.exp(np.mean(np.log(ratios))) <= 1


@pytest.mark.parametrize("name", ["rosenbrock", "powell_singular", "wood", "freudenstein_roth", "beale", "himmelblau"])
def test_the_path_is_about_as_long_as_minpacks(name):
    surface = getattr(surfaces, name)()
    residual = jax.jit(surface.residual)
    start = jnp.asarray(surface.start, float)
    found = solve(surface.residual, start, levenberg_marquardt(), gtol=1e-8)
    jacobian = jax.jit(jax.jacfwd(surface.residual))
    peer = scipy.optimize.least_squares(
        lambda x: np.asarray(residual(x)), np.asarray(start), lambda x: np.asarray(jacobian(x)),
        method="lm", gtol=1e-15, max_nfev=1000,
    )  # fmt: skip
    np.testing.assert_allclose(found.value, peer.cost, rtol=1e-6, atol=1e-12)
    # Freudenstein-Roth has large residuals: the last digits come at a linear rate, and MINPACK stops before
    assert found.n_value + found.n_grad <= 2.5 * (peer.nfev + peer.njev)


MISRA1A = (
    lambda b, x: b[0] * (1 - jnp.exp(-b[1] * x)),
    "77.6 114.9 141.1 190.8 239.9 289.0 332.8 378.4 434.8 477.3 536.8 593.1 689.1 760.0",
    "10.07 14.73 17.94 23.93 29.61 35.18 40.02 44.82 50.76 55.05 61.01 66.40 75.47 81.78",
    [[500, 1e-4], [250, 5e-4]],
    [2.3894212918e02, 5.5015643181e-04],
    1.2455138894e-01,
)
MGH09 = (
    lambda b, x: b[0] * (x**2 + x * b[1]) / (x**2 + x * b[2] + b[3]),
    "4 2 1 0.5 0.25 0.167 0.125 0.1 0.0833 0.0714 0.0625",
    "0.1957 0.1947 0.1735 0.16 0.0844 0.0627 0.0456 0.0342 0.0323 0.0235 0.0246",
    [[25, 39, 41.5, 39], [0.25, 0.39, 0.415, 0.39]],
    [1.9280693458e-01, 1.9128232873e-01, 1.2305650693e-01, 1.3606233068e-01],
    3.0750560385e-04,
)
THURBER = (
    lambda b, x: (b[0] + x * (b[1] + x * (b[2] + x * b[3]))) / (1 + x * (b[4] + x * (b[5] + x * b[6]))),
    "-3.067 -2.981 -2.921 -2.912 -2.840 -2.797 -2.702 -2.699 -2.633 -2.481 -2.363 -2.322 -1.501 -1.460 -1.274 "
    "-1.212 -1.100 -1.046 -0.915 -0.714 -0.566 -0.545 -0.400 -0.309 -0.109 -0.103 0.010 0.119 0.377 0.790 0.963 "
    "1.006 1.115 1.572 1.841 2.047 2.200",
    "80.574 84.248 87.264 87.195 89.076 89.608 89.868 90.101 92.405 95.854 100.696 101.060 401.672 390.724 567.534 "
    "635.316 733.054 759.087 894.206 990.785 1090.109 1080.914 1122.643 1178.351 1260.531 1273.514 1288.339 1327.543 "
    "1353.863 1414.509 1425.208 1421.384 1442.962 1464.350 1468.705 1447.894 1457.628",
    [[1000, 1000, 400, 40, 0.7, 0.3, 0.03], [1300, 1500, 500, 75, 1, 0.4, 0.05]],
    [1288.13968, 1491.0792535, 583.23836877, 75.416644291, 0.96629502864, 0.39797285797, 0.049727297349],
    5.6427082397e03,
)


@pytest.mark.parametrize("data", [MISRA1A, MGH09, THURBER], ids=["Misra1a", "MGH09", "Thurber"])
def test_nist_certified_parameters_are_found_from_both_starts_to_seven_digits(data):
    model, x, y, starts, certified, squares = data
    x, y = (np.array(column.split(), float) for column in (x, y))

    def residual(b):
        return model(b, x) - y

    def one(b):
        return optlab.minimize(half_square(residual), b, levenberg_marquardt(), residual=residual, gtol=0.0)

    found = quickly(jax.vmap(one), jnp.array(starts, float))
    assert set(found.status.tolist()) <= {Status.stalled, Status.converged}  # as far as precision goes
    np.testing.assert_allclose(2 * found.value, squares, rtol=1e-9)  # as many digits as are certified, less one
    for b in found.x:
        np.testing.assert_allclose(b, certified, rtol=1e-7)


def test_counts_of_all_parts_are_found_in_the_state():
    for make in METHODS:
        assert nodes(make().init(jnp.zeros(2)), Counts)


@pytest.mark.parametrize("rank", [40, 30], ids=["full", "deficient"])
def test_a_tall_jacobian_of_many_parameters_has_the_same_damped_step(rank):
    rng = np.random.default_rng(0)
    J, r = rng.standard_normal((200, rank)) @ rng.standard_normal((rank, 40)), rng.standard_normal(200)
    model = least_squares._scaled(jnp.asarray(r), jnp.asarray(J), jnp.zeros(40))
    D, damping = np.linalg.norm(J, axis=0), 0.3
    np.testing.assert_allclose(model.D, D, rtol=1e-12)
    assert (np.asarray(model.sigma) > 0).sum() == rank
    p = (model.V @ least_squares._damped(model, damping)) / D
    # (J'J + damping D^2) p = -J'r; its condition is 1e3 to 1e4
    np.testing.assert_allclose((J.T @ J + damping * np.diag(D**2)) @ p, -J.T @ r, rtol=1e-9, atol=1e-9)
