"""The numbers that the chapter on error surfaces states (`experiments/error_surfaces.py`)."""

import jax.numpy as jnp
import numpy as np
import pytest

import optlab
from experiments import error_surfaces as chapter
from optlab.types import Surface

PATTERNS = np.array([(1, 0), (1, 1), (0, 1), (0, 0)], float)
RESPONSES = {
    "2 patterns, both true": (0.9, 0.9), "2 patterns, one true": (0.1, 0.9),
    "4 patterns, or": (0.9, 0.9, 0.9, 0.1), "4 patterns, exclusive or": (0.9, 0.1, 0.9, 0.1),
}  # fmt: skip


def neuron_slopes(desired, points=201):
    """The gradient's norm of the neuron's error on the chapter's grid, as the formula has it."""
    w = np.stack(np.meshgrid(*[np.linspace(-10, 10, points)] * 2), axis=-1)
    x, d = PATTERNS[: len(desired)], np.array(desired)
    s = 1 / (1 + np.exp(-w @ x.T))
    return np.linalg.norm((2 / len(d) * (s - d) * s * (1 - s)) @ x, axis=-1)


@pytest.mark.parametrize(("name", "flat"), [("2 patterns, both true", 0.39), ("4 patterns, or", 0.25)])
def test_a_neuron_is_flat_where_the_formula_says(name, flat):
    found, expected = chapter.slopes(chapter.NEURONS[name]), neuron_slopes(RESPONSES[name])
    np.testing.assert_allclose(found.norm, expected, rtol=1e-9, atol=1e-15)  # rounding of 1 - s where s is nearly 1
    assert found.flat() == pytest.approx(np.mean(expected < 0.01 * expected.max()), abs=1e-12)
    assert found.flat() == pytest.approx(flat, abs=0.005)  # as the page rounds it


@pytest.mark.parametrize("name", RESPONSES)
def test_terraces_lie_where_each_pattern_is_met_or_missed(name):
    # Far out a pattern costs 0.1^2 or 0.9^2; the one without inputs answers a half wherever the weights are.
    angle = np.linspace(0, 2 * np.pi, 10_000)
    sign = np.stack([np.cos(angle), np.sin(angle)], axis=1) @ PATTERNS[: len(RESPONSES[name])].T > 1e-12
    each = (np.where(sign, 1.0, 0.0) - RESPONSES[name]) ** 2
    if len(RESPONSES[name]) == 4:
        each[:, 3] = 0.4**2
    np.testing.assert_allclose(
        chapter.terraces(chapter.NEURONS[name]), np.unique(each.mean(axis=1).round(6)), atol=1e-6
    )


def bowl(fn):
    return Surface(fn=fn, start=[0.5, 0.5], domain=([-1.0, -1.0], [1.0, 1.0]))


def test_the_gradient_turns_as_often_as_the_index_says():
    # Of z^n the gradient turns 1 - n times: a bowl, a saddle, the monkey's.
    forms = (lambda p: p[0] ** 2 + p[1] ** 2, lambda p: p[0] * p[1], lambda p: p[0] ** 3 - 3 * p[0] * p[1] ** 2)
    assert [chapter.turns(bowl(fn)) for fn in forms] == [1, -1, -2]


@pytest.mark.parametrize(("name", "counts"), [("4 patterns, or", (1, 0, 0)), ("4 patterns that contradict", (4, 4, 1))])
def test_stationary_points_found_by_search_agree_with_the_border(name, counts):
    surface = (chapter.NEURONS | chapter.NETWORKS)[name]
    kinds = [point.kind for point in optlab.find_critical_points(surface, starts=1024, max_steps=50)]
    assert tuple(kinds.count(kind) for kind in ("minimum", "saddle", "maximum")) == counts
    assert chapter.turns(surface) == counts[0] - counts[1] + counts[2] == 1  # Poincare and Hopf


@pytest.mark.parametrize(
    ("name", "counts"), [("5-8-2 network, two weights", (2, 5, 0)), ("two hidden layers", (4, 8, 2))]
)
def test_the_points_stated_of_networks_leave_none_out(name, counts):
    surface = chapter.NETWORKS[name]
    assert tuple(chapter.counted(surface).values()) == counts
    assert chapter.turns(surface) == counts[0] - counts[1] + counts[2] != 1  # not coercive: Morse's sum is another


@pytest.mark.parametrize("dim", [2, 3])
def test_contradictions_make_two_minima_for_each_weight(dim):
    def along(w):  # the error of one weight's two patterns
        return 0.5 * ((1 / (1 + np.exp(-w)) - 0.9) ** 2 + (1 / (1 + np.exp(-10 * w)) - 0.1) ** 2)

    w = np.linspace(-4, 8, 100_001)
    value = along(w)
    dents = int(np.sum((value[1:-1] < value[:-2]) & (value[1:-1] < value[2:])))
    place = np.random.default_rng(0).uniform(-2, 4, dim)
    fn = optlab.surfaces.contradicting_neuron(dim).fn
    assert float(fn(jnp.asarray(place))) == pytest.approx(along(place).mean(), rel=1e-12)  # each weight by itself
    assert chapter.dents(dim) == dents**dim == 2**dim  # (n / d)^d with n = 2 d


def test_the_wall_is_as_steep_as_it_is_made():
    found = chapter.slopes(chapter.NETWORKS["a wall"])
    x = 1 + 0.25 / 2  # on the face: the ramp's slope and the wall's 200
    assert found.norm.max() == pytest.approx(np.hypot(x / np.hypot(1, x) + 200, 2), rel=1e-3)
    assert found.steepness() > 100 and found.flat() > 0.85


@pytest.mark.parametrize(
    ("optimizer", "rate", "most"),
    # BFGS jumps over a pass now and then, and so reaches more; but nothing like all.
    [(optlab.gradient_descent, {"learning_rate": np.full(400, 1.0)}, 0.228), (optlab.bfgs, {}, 0.30)],
)
def test_local_minima_stop_descent_and_curvature_alike(optimizer, rate, most):
    problem = optlab.problems.from_surface(optlab.surfaces.contradicting_neuron(), start="random")
    runs = optlab.run_sweep(problem, optimizer, rate, seeds=np.arange(400), steps=300, record="last")
    reached = np.mean(np.asarray(runs["x"])[:, -1].max(axis=1) < 0.2)
    # The basin is the box below the two passes at 0.48922; three standard errors of a share of 400 are 0.056.
    assert (2.48922 / 6) ** 2 - 0.056 < reached < most
