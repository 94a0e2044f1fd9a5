"""What is done to a surface before it is descended."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import optlab
from optlab.problems import from_surface, rotate

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


def test_start_and_points_turn_along_and_the_box_still_holds_them():
    surface = optlab.surfaces.himmelblau()
    turned = rotate(surface, 30.0)
    np.testing.assert_allclose(turned.fn(turned.start), surface.fn(jnp.array(surface.start)), rtol=1e-12)
    for before, after in zip(surface.points, turned.points, strict=True):
        np.testing.assert_allclose(turned.fn(after.x), before.value, rtol=1e-12, atol=1e-12)
        assert (after.x >= turned.domain[0]).all() and (after.x <= turned.domain[1]).all()


def test_residuals_turn_along():
    turned = rotate(optlab.surfaces.rosenbrock(4), 17.0)
    x = jnp.array([0.3, -0.7, 1.1, 0.2])
    np.testing.assert_allclose(0.5 * jnp.sum(turned.residual(x) ** 2), turned.fn(x), rtol=1e-13)


def test_a_random_start_is_uniform_in_the_domain():
    problem = from_surface(optlab.surfaces.beale(), start="random")
    starts = jax.vmap(problem.init)(jax.random.split(jax.random.key(0), 4000))
    # [-4.5, 4.5]: deviation 9/sqrt(12) = 2.6; the mean of 4,000 has 0.041, five of them.
    assert (abs(starts) <= 4.5).all() and (abs(starts.mean(0)) < 0.21).all()
    np.testing.assert_allclose(starts.std(0), 9 / np.sqrt(12), rtol=0.05)


@pytest.mark.parametrize(
    ("start", "sentence"),
    [
        ([1.0, 2.0, 3.0], "must be a point of 2 numbers, not of 3"),
        (1.0, "must be a point of 2 numbers, not of 1"),
        ("near", "a point of 2 numbers or 'random', not 'near'"),
    ],
)
def test_a_start_that_is_no_point_of_the_space_is_refused(start, sentence):
    with pytest.raises(ValueError, match=sentence):
        from_surface(optlab.surfaces.beale(), start=start)


def test_one_dimension_cannot_be_turned():
    with pytest.raises(ValueError, match="one dimension"):
        rotate(optlab.surfaces.newton_cycle(), 10.0)
