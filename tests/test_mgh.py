"""The More-Garbow-Hillstrom suite against its published values and against the path MINPACK takes on it."""

import csv
import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import yaml

from optlab import surfaces

HERE = Path(__file__).parent
# size, value at the start, published minima, and what SciPy 1.17.1 does from the start, all from outside
TABLE = (HERE / "data" / "mgh_scipy_counts.csv").read_text().splitlines()
PUBLISHED = {row["problem"]: row for row in csv.DictReader(TABLE)}
AT_INFINITY = {("BARD", "17.4286"), ("KOWOSB", "0.00102734")}

each = pytest.mark.parametrize("name", PUBLISHED)


@functools.cache
def build(name):
    config = yaml.safe_load((HERE.parent / "conf" / "problem" / f"mgh_{name.lower()}.yaml").read_text())
    function = config.pop("_target_").removeprefix("optlab.surfaces.")
    return getattr(surfaces, function)(**config)


@functools.cache
def compiled(name):
    """x -> the paper's residuals f_i: `[m]`, their Jacobian: `[m, d]`, f: `[]`, its gradient: `[d]`."""
    surface = build(name)

    @jax.jit
    def everything(x):
        residual, jacobian = surface.residual(x), jax.jacfwd(surface.residual)(x)
        return residual / np.sqrt(2), jacobian / np.sqrt(2), *jax.value_and_grad(surface.fn)(x)

    return lambda x: [np.asarray(part) for part in everything(jnp.asarray(x, float))]


def is_printed_as(value, printed):
    """Equal to the digits printed, of which the paper cuts the last where others round it."""
    published = float(printed)
    if published == 0:
        return abs(value) < 1e-25
    digits = len(printed.split("e")[0].replace(".", "").lstrip("0"))
    unit = 10.0 ** (np.floor(np.log10(published)) + 1 - digits)
    return abs(value - published) <= unit + 1e-14 * published


@each
def test_each_case_has_the_published_size_and_value_at_the_start(name):
    row = PUBLISHED[name]
    _, jacobian, value, _ = compiled(name)(build(name).start)
    assert jacobian.shape == (int(row["m"]), int(row["n"]))
    np.testing.assert_allclose(value, float(row["f0"]), rtol=1e-13)


@each
def test_the_value_is_the_sum_of_the_squared_residuals_and_the_gradient_follows(name):
    lower, upper = (np.asarray(side) for side in build(name).domain)
    for share in (0.2, 0.5, 0.9):
        residual, jacobian, value, gradient = compiled(name)(lower + share * (upper - lower))
        np.testing.assert_allclose(value, residual @ residual, rtol=1e-13)
        np.testing.assert_allclose(gradient, 2 * residual @ jacobian, rtol=1e-9, atol=1e-10 * np.abs(gradient).max())


@each
def test_each_published_minimum_is_a_stated_point_and_the_first_is_the_least_known(name):
    row = PUBLISHED[name]
    stated = [point.value for point in build(name).points]
    values = [float(compiled(name)(point.x)[2]) for point in build(name).points]
    # eleven digits are what rounding leaves in Meyer's exponentials; small residuals are differences of larger terms
    rounding = 1e-25 + 1e-14 * np.sqrt(np.asarray(stated)).max()
    np.testing.assert_allclose(stated, values, rtol=1e-11, atol=rounding)
    assert stated[0] == min(stated) <= float(row["best"]) * (1 + 1e-9)
    for printed in row["f_pub"].split(";"):
        if (name, printed) not in AT_INFINITY:
            assert any(is_printed_as(value, printed) for value in values)


@each
def test_the_gradient_vanishes_at_each_point_and_no_minimum_has_a_way_down(name):
    surface = build(name)
    hessian_of = jax.jit(jax.hessian(surface.fn))
    for point in surface.points:
        gradient, hessian = compiled(name)(point.x)[3], np.asarray(hessian_of(jnp.asarray(point.x, float)))
        # sixteen digits of a place leave that much of the Hessian in the gradient
        assert np.linalg.norm(gradient) <= 1e-13 * np.linalg.norm(hessian) * (1 + np.linalg.norm(point.x))
        eigenvalues = np.linalg.eigvalsh(hessian)
        assert np.sum(eigenvalues < -1e-8 * np.abs(eigenvalues).max()) == point.index
        assert point.index == 0 or point.kind != "minimum"


@each
def test_minpack_goes_its_published_path_from_the_start(name):
    row = PUBLISHED[name]
    found = scipy.optimize.leastsq(
        lambda x: compiled(name)(x)[0],
        np.asarray(build(name).start, float),
        Dfun=lambda x: compiled(name)(x)[1],
        full_output=True,
    )[2]
    value = found["fvec"] @ found["fvec"]
    np.testing.assert_allclose(value, float(row["LM_f"]), rtol=1e-6, atol=1e-25)
    # where the Hessian is singular at the end, or the start on a ridge, rounding decides how long it takes
    if name not in ("POWELLSG", "EXPOW12", "BIGGS6"):
        counts = np.asarray([int(count) for count in row["LM_minpack"].split("/")])
        assert np.all(np.abs([found["nfev"], found["njev"]] - counts) <= 1 + 0.05 * counts)


def test_bard_and_kowalik_osborne_have_their_other_minimum_at_infinity():
    far = -1e9
    value = compiled("BARD")([0.8406, far, far])[2]
    assert is_printed_as(value, dict(AT_INFINITY)["BARD"])

    def residual(p):  # x_1 against x_3 and x_4 stays finite
        return compiled("KOWOSB")([-far, p[0], far * p[1], far * p[2]])[0]

    limit = scipy.optimize.least_squares(residual, [-14.0, 50.0, 30.0], x_scale="jac")
    assert is_printed_as(2 * limit.cost, dict(AT_INFINITY)["KOWOSB"])
    np.testing.assert_allclose(limit.x[0], -14.07, atol=0.01)


def test_browns_published_local_minimum_has_a_way_down():
    place = build("BROWNAL10").points[-1]
    assert place.kind == "degenerate" and place.value == 1
    away = np.asarray(place.x) + 0.5 * np.asarray([1.0] * 9 + [-10.0])
    value = compiled("BROWNAL10")(away)[2]
    assert value < 1 - 1e-3


def test_biggs_start_lies_in_a_plane_that_no_gradient_leaves():
    start = np.asarray(build("BIGGS6").start)
    gradient = compiled("BIGGS6")(start)[3]
    pairs = [0, 2], [4, 5]
    np.testing.assert_array_equal(start[pairs[0]], start[pairs[1]])
    np.testing.assert_allclose(gradient[pairs[0]], gradient[pairs[1]], rtol=1e-13)
    saddle = next(point for point in build("BIGGS6").points if point.kind == "saddle")
    np.testing.assert_array_equal(np.asarray(saddle.x)[pairs[0]], np.asarray(saddle.x)[pairs[1]])
