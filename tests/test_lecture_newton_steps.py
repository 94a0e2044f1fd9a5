"""The numbers that the chapter on Newton's method states (`experiments/newton_steps.py`)."""

from decimal import Decimal, getcontext

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optlab
from experiments import curvature_costs as costs
from experiments import newton_steps as chapter

SEEDS = 100


def slope(x, y):
    a, b = x * x + y - 11, x + y * y - 7
    return 4 * x * a + 2 * b, 2 * a + 4 * y * b


def curvature(x, y):
    return 12 * x * x + 4 * y - 42, 4 * x + 4 * y, 12 * y * y + 4 * x - 26


def newton_step(x, y):
    """Himmelblau's function by hand, in whatever arithmetic x and y have."""
    (g, h), (a, b, c) = slope(x, y), curvature(x, y)
    return x - (c * g - b * h) / (a * c - b * b), y - (a * h - b * g) / (a * c - b * b)


@pytest.fixture(scope="module")
def runs():
    """The study's own runs: {optimizer: {name: [R, T, ...]}}; of two then also those on the stretched surface."""
    found = {}
    for name in chapter.METHODS:
        both = name in ("newton", "gradient_descent")
        numbers = {"problem.condition": np.repeat([1.0, 100.0], SEEDS)[: SEEDS * (1 + both)]}
        if name == "gradient_descent":
            numbers["learning_rate"] = np.full(2 * SEEDS, 0.003)
        found[name] = optlab.run_sweep(
            lambda condition: optlab.problems.from_surface(chapter.SURFACE, start="random", condition=condition),
            getattr(optlab, name), numbers, seeds=np.tile(np.arange(SEEDS), 1 + both), steps=300 if both else 60,
            record="all" if both else "last",
        )  # fmt: skip
    return found


def negative(run):
    """How many eigenvalues of the Hessian are negative where the plain runs have ended: `[R]`."""
    a, b, c = curvature(*run["x"][:SEEDS, -1].T)
    return (np.linalg.eigvalsh(np.stack([a, b, b, c], axis=1).reshape(-1, 2, 2)) < 0).sum(axis=1)


def test_newtons_method_ends_where_the_same_arithmetic_by_hand_ends(runs):
    place = runs["newton"]["x"][:SEEDS, 0].T
    for _ in range(300):
        place = newton_step(*place)
    a, b, c = curvature(*place)
    minima, maxima = ((a * c > b * b) & (a > 0)).sum(), ((a * c > b * b) & (a < 0)).sum()
    assert np.abs(slope(*place)).max() < 1e-9  # all have converged
    index = negative(runs["newton"])
    assert ((index == 0).sum(), (index == 1).sum(), (index == 2).sum()) == (minima, SEEDS - minima - maxima, maxima)
    assert (SEEDS - minima - maxima, maxima) == (33, 5)  # of the page


def test_a_line_search_does_not_keep_it_from_saddles_and_a_mended_matrix_does(runs):
    damped = runs["damped_newton"]
    caught = negative(damped) == 1
    assert np.abs(slope(*damped["x"][:SEEDS, -1].T)).max() < 1e-6  # all have converged, also to the saddles
    assert caught.sum() == pytest.approx(18, abs=2)  # a start on the border of two basins may change sides by rounding
    for name in ("saddle_free_newton", "trust_region", "gradient_descent"):
        assert not negative(runs[name]).any()


def distances(run):
    """Errors step by step of the plain runs that end in a minimum."""
    minima = np.array([point.x for point in chapter.SURFACE.points if point.kind == "minimum"])
    x = run["x"][:SEEDS][negative(run) == 0]
    ends = minima[np.linalg.norm(minima[None] - x[:, -1:], axis=2).argmin(axis=1)]
    return list(np.linalg.norm(x - ends[:, None], axis=2))


def test_the_order_is_two_for_newton_and_one_for_descent(runs):
    # Over seven decades of errors; what is left of C e^2 (1 + O(e)) bends the line by less.
    assert chapter.order(chapter.pairs(distances(runs["newton"]))) == pytest.approx(2, abs=0.05)
    assert chapter.order(chapter.pairs(distances(runs["gradient_descent"]))) == pytest.approx(1, abs=0.01)


def test_with_digits_enough_each_step_doubles_them():
    getcontext().prec = 600
    place, errors = (Decimal("3.2"), Decimal("2.1")), []
    for _ in range(8):
        place = newton_step(*place)
        errors.append(max(abs(place[0] - 3), abs(place[1] - 2)))
    ratio = [float(b.log10() / a.log10()) for a, b in zip(errors[:-1], errors[1:], strict=True)]
    np.testing.assert_allclose(ratio[3:], 2, atol=0.05)  # the constant C counts less with each step
    np.testing.assert_allclose(ratio[-1], 2, atol=5e-3)


def test_newtons_iterates_are_the_same_points_in_any_coordinates():
    A, b = np.array([[3.0, -1.0], [0.5, 0.2]]), np.array([1.0, -2.0])  # neither a rotation nor along the axes
    inside = np.linalg.inv(A)
    seen = chapter.SURFACE._replace(fn=lambda y: chapter.SURFACE.fn(jnp.asarray(inside) @ (y - b)))
    place = [np.array([4.5, 3.2])]
    for _ in range(4):
        place.append(np.array(newton_step(*place[-1])))
    found = {}
    for name, optimizer in (("newton", optlab.newton()), ("descent", optlab.gradient_descent(1e-3))):
        problem = optlab.problems.from_surface(seen, start=A @ place[0] + b)
        found[name] = np.asarray(optlab.run(problem, optimizer, jax.random.key(0), steps=4, record="all")["x"])
    expected = np.array(place) @ A.T + b
    np.testing.assert_allclose(found["newton"], expected, rtol=1e-10)  # rounding, times the condition of A squared
    x, plain = place[0], [place[0]]
    for _ in range(4):
        plain.append(x := x - 1e-3 * np.array(slope(*x)))
    assert np.abs(found["descent"] - (np.array(plain) @ A.T + b)).max() > 0.1


def test_stretching_changes_descent_and_not_newton(runs):
    def apart(name, steps=5):
        x = runs[name]["x"][:, : steps + 1]
        return np.median(np.abs(x[:SEEDS] - x[SEEDS:] / [1, chapter.STRETCH]).max(axis=(1, 2)))

    assert apart("newton") < 1e-12 and apart("gradient_descent") > 0.1


def test_the_model_and_its_step_are_those_of_the_formula():
    for start in (chapter.BOWL, chapter.PASS, chapter.LONG):
        _, g, H = chapter.model(start)
        np.testing.assert_allclose(g, slope(*start), rtol=1e-13)
        np.testing.assert_allclose(H[[0, 0, 1], [0, 1, 1]], curvature(*start), rtol=1e-13)
        np.testing.assert_allclose(np.add(start, chapter.step(start)), newton_step(*start), rtol=1e-12)
    signs = [np.sign(np.linalg.eigvalsh(chapter.model(start)[2])).tolist() for start in (chapter.BOWL, chapter.PASS)]
    assert signs == [[1, 1], [-1, 1]]


def test_the_long_step_goes_uphill_and_the_search_takes_what_wolfe_asks():
    (f, g, _), p, t = chapter.model(chapter.LONG), chapter.step(chapter.LONG), chapter.accepted(chapter.LONG)
    assert chapter.model(chapter.LONG + p)[0] > 4 * f
    value, there, _ = chapter.model(chapter.LONG + t * p)
    assert 0 < t < 1 and value <= f + 1e-4 * t * (g @ p) and abs(there @ p) <= 0.9 * abs(g @ p)


def test_a_product_costs_a_few_gradients_and_the_hessian_n_of_them():
    value_fn, x = costs.network(1)
    programs = costs.oracles(value_fn, x)
    count = {name: program.cost_analysis()["flops"] for name, program in programs.items()}
    assert 1.2 < count["product"] / count["gradient"] < 4  # forward over reverse: at most 4 (Griewank and Walther)
    assert 0.8 * x.size < count["Hessian"] / count["gradient"] < 4 * x.size
    assert programs["Hessian"](x, x).nbytes == x.itemsize * x.size**2


def test_memory_is_what_the_formulas_say():
    for n in (10, 100, costs.PARAMETERS):
        # Besides: five vectors, or six, and fewer than a hundred numbers of the search.
        assert 0 <= costs.state_bytes(optlab.bfgs(), n) / 8 - (n**2 + 6 * n) < 100
        assert 0 <= costs.state_bytes(optlab.lbfgs(costs.MEMORY), n) / 8 - (2 * costs.MEMORY * n + 5 * n) < 100
    assert costs.state_bytes(optlab.bfgs(), costs.PARAMETERS) == pytest.approx(1e12, rel=0.005)
    assert pytest.approx(16 * costs.MEMORY * costs.PARAMETERS, rel=0.01) == 57e6


@pytest.mark.parametrize("optimizer", [optlab.bfgs(), optlab.lbfgs(10)])
def test_the_shapes_are_those_of_states_that_are_made(optimizer):
    made = sum(leaf.nbytes for leaf in jax.tree.leaves(optimizer.init(jnp.zeros(50))))
    assert costs.state_bytes(optimizer, 50) == made
