"""Problems of any size: what they are at small ones, and that a hundred thousand variables are no trouble."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optlab
from optlab import surfaces

LARGE = 100_000
SCALABLE = ["bratu", "loguniform_quadratic", "rosenbrock", "dixon_price", "trid", "zakharov", "double_well_chain"]
SCALABLE += ["nesterov_worst", "quadratic", "mgh_extended_powell", "mgh_discrete_boundary_value"]


@pytest.mark.parametrize(
    "name, sizes",
    [("minimal_surface", {"side": math.isqrt(LARGE) + 1}), *((name, {"dim": LARGE}) for name in SCALABLE)],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_value_and_gradient_of_a_hundred_thousand_variables_need_memory_of_that_order(name, sizes):
    surface = getattr(surfaces, name)(**sizes)
    start = jnp.asarray(surface.start, float)
    assert start.size >= LARGE
    program = jax.jit(jax.value_and_grad(surface.fn)).lower(start).compile()
    assert program.memory_analysis().temp_size_in_bytes < 20 * start.nbytes
    value, gradient = program(start)
    assert jnp.isfinite(value) and jnp.isfinite(gradient).all()


def stationary(surface, x):
    """Newton's method from a place near by, with the eigenvalues of the Hessian where it ends."""
    derivatives = jax.jit(lambda x: (jax.grad(surface.fn)(x), jax.hessian(surface.fn)(x)))
    for _ in range(20):
        gradient, hessian = derivatives(x)
        x = x - jnp.linalg.solve(hessian, gradient)
    assert jnp.abs(derivatives(x)[0]).max() < 1e-12
    return np.asarray(x), np.linalg.eigvalsh(derivatives(x)[1])


def test_bratus_equation_has_a_quiet_state_and_a_threshold():
    dim = 41
    arch = np.sin(np.pi * np.arange(1, dim + 1) / (dim + 1))
    # the highest temperatures of the two exact solutions for a rate of one
    for height, exact, index in ((0.0, 0.1405392, 0), (4.0, 4.0914671, 1)):
        state, eigenvalues = stationary(surfaces.bratu(dim), jnp.asarray(height * arch))
        assert np.sum(eigenvalues < 0) == index
        np.testing.assert_allclose(state.max(), exact, rtol=3e-3)


def test_the_area_of_a_film_is_that_of_its_triangles():
    side, h = 3, 1 / 4
    surface, inner = surfaces.minimal_surface(side), np.random.default_rng(0).uniform(size=(3, 3))
    height = np.pad(inner, 1)
    height[:, 0] = height[:, -1] = 4 * np.arange(5) * h * (1 - np.arange(5) * h)

    def area(i, j, di, dj):
        a = np.asarray([di * h, 0, height[i + di, j] - height[i, j]])
        b = np.asarray([0, dj * h, height[i, j + dj] - height[i, j]])
        return 0.5 * np.linalg.norm(np.cross(a, b))

    corners = itertools.product(range(5), range(5), (-1, 1), (-1, 1))
    triangles = [area(*c) for c in corners if 0 <= c[0] + c[2] < 5 and 0 <= c[1] + c[3] < 5]
    # each cell is covered twice, once for each diagonal
    np.testing.assert_allclose(surface.fn(jnp.asarray(inner.ravel())), 0.5 * sum(triangles), rtol=1e-14)


def test_newton_solves_a_loguniform_quadratic_in_one_step():
    """Its Hessian transforms all columns at once, and XLA's FFT refuses what lies in memory column by column."""
    problem = optlab.problems.from_surface(surfaces.loguniform_quadratic())
    trace = optlab.run_sweep(problem, optlab.newton, {}, seeds=np.arange(3), steps=2)
    np.testing.assert_allclose(trace["value"][:, -1], 0, atol=1e-15)  # from 1e5 or so


def test_a_loguniform_quadratic_has_the_stated_condition_and_axes_along_no_coordinate():
    def hessian_of(seed):
        return np.asarray(jax.jit(jax.hessian(surfaces.loguniform_quadratic(64, 1e4, seed).fn))(jnp.zeros(64)))

    hessians = [hessian_of(seed) for seed in (0, 1)]
    for hessian in hessians:
        eigenvalues, axes = np.linalg.eigh(hessian)
        np.testing.assert_allclose(eigenvalues[[0, -1]], [1, 1e4], rtol=1e-10)
        assert np.abs(axes).max() < 0.6
        # between the ends about as many in each decade
        assert np.ptp(np.histogram(np.log10(eigenvalues), 4, (0, 4))[0]) < 16
    assert not np.allclose(*hessians)
