"""Where a run has ended, when it left a saddle, how long it was on a plateau."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optlab
from optlab import labels
from optlab.surfaces import beale, bounded_strict_saddle, himmelblau, mexican_hat, sigmoid_plateau, styblinski_tang
from optlab.types import Status


def label(surface, x, status=Status.max_steps, value=0.0):
    at = jax.jit(lambda x: labels.ending(surface, x))(jnp.asarray(x, float))
    at = jax.tree.map(lambda part: np.asarray(part)[None], at)
    return str(labels.names(surface.points, at, np.array([status]), np.array([value]))[0])


@pytest.mark.parametrize("make", [bounded_strict_saddle, himmelblau, styblinski_tang, beale])
def test_every_stated_point_has_the_label_of_its_kind_and_so_has_its_neighbourhood(make):
    surface = make()
    kinds = {"maximum": "max", "minimum": "min"}
    for point in surface.points:
        for away in (0.0, 1e-3):
            found = label(surface, np.asarray(point.x) + away)
            expected = kinds.get(point.kind, f"saddle_{point.index}")
            assert found.endswith(expected), (point, found)
    lowest = surface.points[0]
    assert label(surface, lowest.x) == "global_min"


def test_points_that_nobody_states_are_told_by_the_inertia():
    """On Styblinski and Tang's function in three dimensions; half of its 27 points are not stated one by one."""
    surface = styblinski_tang(dim=3)._replace(points=styblinski_tang(dim=3).points[:1])
    low, middle, high = -2.903534027771177, 0.156731255004103, 2.7468027707
    assert label(surface, [low, low, high]) == "local_min"
    assert label(surface, [low, middle, high]) == "saddle_1"
    assert label(surface, [middle, middle, high]) == "saddle_2"
    assert label(surface, [middle] * 3) == "saddle_3"
    assert label(surface, [1.5] * 3) == "none"


def test_a_curve_of_minima_a_plateau_and_no_numbers_have_their_labels():
    assert label(mexican_hat(), [np.cos(2.0), np.sin(2.0)]) == "global_min"
    assert label(mexican_hat(), [1.001 * np.cos(2.0), 1.001 * np.sin(2.0)]) == "global_min"
    assert label(sigmoid_plateau(), [1.9, 1.9]) == "plateau"
    assert label(beale(), [0.5, 0.5], Status.diverged, np.nan) == "diverged"
    assert label(beale(), [0.5, 0.5], Status.diverged, -1e12) == "unbounded"


def test_newton_from_near_a_saddle_ends_there_and_noisy_descent_does_not(optlab_command, tmp_path):
    code, _, errors = optlab_command(
        "-m", "problem=bounded_strict_saddle", "problem.start=[0.05,0.01]", "optimizer=newton,gradient_descent",
        "problem.noise=0.0,0.01", "seed=range(0,3)", "steps=4000",
    )  # fmt: skip
    assert code == 0, errors
    runs = optlab.load(tmp_path).runs
    newton = runs[(runs.optimizer == "newton") & (runs["problem.noise"] == 0)]
    descent = runs[(runs.optimizer == "gradient_descent") & (runs["problem.noise"] > 0)]
    assert set(newton.end_label) == {"saddle_1"} and newton.escape_step.isna().all()
    assert set(descent.end_label) == {"global_min"} and descent.escape_step.notna().all()


@pytest.mark.parametrize("offset", [1e-6, 1e-3])
@pytest.mark.parametrize("learning_rate", [0.01, 0.1])
def test_descent_leaves_the_strict_saddle_when_the_theory_says(offset, learning_rate):
    """log(rho / delta) / log(1 + eta lambda), with lambda = 1, rho = 0.05 of the box's side of 3.5."""
    problem = optlab.problems.from_surface(bounded_strict_saddle(), start=jnp.array([0.0, offset]))
    trace = optlab.run(problem, optax.sgd(learning_rate), jax.random.key(0), steps=3000)
    radius = 0.05 * 3.5
    theory = math.log(radius / offset) / math.log(1 + learning_rate)
    # y^4 / 4 slows the last steps: 1 - y^2 instead of 1, about 1 % of them.
    assert abs(int(trace["escape_step"]) - theory) <= 2


def test_the_share_of_a_plateau_counts_the_steps_on_it():
    """On a line: flat to the last digit beyond 1, so that descent from 0.5 is never on it and from 3 always."""
    surface = optlab.Surface(
        lambda x: jnp.sum(jnp.minimum(x**2, 1.0)), [3.0], ([-4.0], [4.0]), (optlab.Point([0.0], 0.0, "minimum"),)
    )
    for start, share in ((3.0, 1.0), (0.5, 0.0)):
        problem = optlab.problems.from_surface(surface, start=jnp.array([start]))
        trace = optlab.run(problem, optax.sgd(0.1), jax.random.key(0), steps=20, gtol=-1.0)
        assert trace["plateau_share"] == share and trace["escape_step"] == -1
