"""The search finds what is known to be there, of the right kind, and nothing else."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optlab
from optlab import surfaces
from optlab.critical_points import find_critical_points
from optlab.problems import rotate

# Points of index 0, 1, 2, ... in each surface's box: published counts, textbook or Morse theory for the others.
COUNTS = {
    "three_hump_camel": (3, 2),
    "six_hump_camel": (6, 7, 2),
    "himmelblau": (4, 4, 1),
    "muller_brown": (3, 2),
    "peaks": (3, 3, 3),
    "goldstein_price": (4, 4, 1),
    "beale": (1, 2),
    "branin": (3, 2),
    "freudenstein_roth": (2, 1),
    "mccormick": (2, 1),
    "easom": (5, 4, 4),
    "phase_retrieval": (2, 2, 1),
    "bounded_strict_saddle": (2, 1),
    "hyperbolic_saddle": (0, 1),
    "styblinski_tang-2": (4, 4, 1),
    "styblinski_tang-3": (8, 12, 6, 1),
    "double_well_chain-2": (4, 4, 1),
    "rosenbrock-2": (1,),
    "rosenbrock-4": (2, 1),
    "wood": (1, 1, 1),
    "mgh_penalty1-2": (1, 1, 1),  # along its bent valley |gradient| would be stuck
    "mgh_penalty2-2": (2, 2, 1),
    "mgh_trigonometric-2": (1, 1),
    "mgh_brown_almost_linear-2": (2, 1),
    "nist_boxbod": (1, 1),
}

# these grow beyond their box on all sides
COERCIVE = [
    "three_hump_camel", "six_hump_camel", "himmelblau", "muller_brown", "goldstein_price", "freudenstein_roth",
    "phase_retrieval", "bounded_strict_saddle", "styblinski_tang-2", "styblinski_tang-3", "double_well_chain-2",
    "rosenbrock-2", "rosenbrock-4", "wood", "mgh_penalty2-2", "mgh_brown_almost_linear-2",
]  # fmt: skip


def build(name):
    name, _, dim = name.partition("-")
    return getattr(surfaces, name)(**({"dim": int(dim)} if dim else {}))


@functools.cache
def found(name):
    return find_critical_points(build(name), starts=1024)


def nearest(point, points):
    return min(points, key=lambda other: np.abs(np.subtract(other.x, point.x)).max())


@pytest.mark.parametrize("name", COUNTS)
def test_the_stated_set_is_found_and_is_complete(name):
    stated, points = build(name).points, found(name)
    assert tuple(np.bincount([point.index for point in points])) == COUNTS[name]
    assert len(points) == len(stated)
    for point in stated:
        near = nearest(point, points)
        # 1e-8: Branin's and Goldstein's least curvatures leave it, with values in the hundreds
        np.testing.assert_allclose(near.x, point.x, rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(near.value, point.value, rtol=1e-12, atol=1e-12)
        assert (near.kind, near.index) == (point.kind, point.index)


@pytest.mark.parametrize("name", COERCIVE)
def test_even_indices_less_odd_ones_make_one(name):
    assert sum((-1) ** point.index for point in found(name)) == 1


def test_minima_come_first_and_each_part_is_in_order():
    points = found("six_hump_camel")
    values = [point.value for point in points]
    assert [point.kind for point in points[:6]] == ["minimum"] * 6
    assert values == sorted(values[:6]) + sorted(values[6:])


@pytest.mark.parametrize("dim", [1, 2, 3, 5])
def test_a_random_quadratic_has_one_point_with_the_index_of_its_matrix(dim):
    generator = np.random.default_rng(dim)
    matrix = generator.normal(size=(dim, dim))
    matrix, centre = matrix + matrix.T, generator.uniform(-1, 1, dim)
    wide = np.geomspace(1, 1e4, dim)  # the units of the box do not matter
    (point,) = find_critical_points(
        lambda x: (x / wide - centre) @ matrix @ (x / wide - centre) - 3, (-2 * wide, 2 * wide), starts=64
    )
    np.testing.assert_allclose(point.x, centre * wide, rtol=1e-10)
    np.testing.assert_allclose(point.value, -3, rtol=1e-12)
    assert point.index == np.sum(np.linalg.eigvalsh(matrix) < 0)


def test_a_turned_surface_has_its_points_turned():
    turned = rotate(surfaces.himmelblau(), 40.0)
    points = find_critical_points(turned, starts=1024)
    for point in turned.points:
        near = nearest(point, points)
        np.testing.assert_allclose(near.x, point.x, atol=1e-8)
        assert near.kind == point.kind
    assert len(points) == 9


@pytest.mark.parametrize("name", ["monkey_saddle_bounded", "inflection_quartic", "staircase_inflection"])
def test_isolated_degenerate_points_are_told_from_minima_and_saddles(name):
    stated, points = build(name).points, found(name)
    assert len(points) == len(stated)
    for point in stated:
        near = nearest(point, points)
        # a minimum flat like a sixth power has a singular Hessian too, and its gradient rounds to 0 below 1e-4
        flat = name == "staircase_inflection"
        np.testing.assert_allclose(near.x, point.x, atol=1e-3 if flat and point.kind == "minimum" else 1e-6)
        assert near.kind == ("degenerate" if flat else point.kind)


def test_a_ring_of_minima_is_one_degenerate_point():
    ring, top = found("mexican_hat")
    assert (ring.kind, ring.index, top.kind, top.index) == ("degenerate", 0, "maximum", 2)
    np.testing.assert_allclose(np.linalg.norm(ring.x), 1, rtol=1e-12)


def test_a_plain_with_a_hole_has_only_the_hole():
    (point,) = find_critical_points(surfaces.gaussian_well(), starts=256)
    assert point.kind == "minimum"
    np.testing.assert_allclose(point.x, 0, atol=1e-12)


def test_a_slope_has_no_stationary_point_though_its_gradient_has_a_least_one():
    def fn(x):
        return x[0] + x[0] ** 3 + x[1] ** 2

    assert find_critical_points(fn, ([-1, -1], [1, 1]), starts=64) == ()


def test_what_lies_outside_the_box_is_not_given():
    points = find_critical_points(surfaces.himmelblau(), ([0, 0], [6, 6]), starts=256)
    assert [point.kind for point in points] == ["minimum", "saddle", "saddle"]


def test_the_search_is_in_float64_whatever_the_caller_has_set():
    with jax.enable_x64(False):
        (point,) = optlab.find_critical_points(lambda x: jnp.sum(jnp.cosh(x - 1 / 3)), ([-1, -1], [1, 2]), starts=16)
    np.testing.assert_allclose(point.x, 1 / 3, rtol=1e-14)
    assert point.x.dtype == np.float64


@pytest.mark.parametrize(
    ("domain", "sentence"),
    [
        (None, "needs a domain"),
        (([0.0, 0.0], [1.0]), r"not of shapes \(2,\) and \(1,\)"),
        ((0.0, 1.0), r"not of shapes \(\) and \(\)"),
        (([0.0, 1.0], [1.0, 1.0]), r"lower < upper, not \[0.0, 1.0\] to \[1.0, 1.0\]"),
        (([0.0], [np.inf]), "finite"),
    ],
)
def test_a_box_that_is_none_is_refused(domain, sentence):
    with pytest.raises(ValueError, match=sentence):
        find_critical_points(jnp.sum, domain)


@pytest.mark.parametrize("number", ["starts", "max_steps", "tolerance"])
def test_numbers_too_small_to_search_with_are_refused(number):
    with pytest.raises(ValueError, match="at least 1 and the tolerance positive"):
        find_critical_points(surfaces.beale(), **{number: 0})
