"""Basins of attraction that are known, and maps that equal runs one by one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optlab
from optlab.app.axes import Interval
from optlab.app.bad_input import BadInput
from optlab.app.landscape_maps import basins
from optlab.landscape.basins import DIVERGED, NONE, basin_map, label
from optlab.landscape.outcomes import outcomes
from optlab.optimizers.hessian import eigenpairs, solution
from optlab.types import Point, Status, Surface

WELL = Surface(
    lambda x: (x[0] ** 2 - 1) ** 2 / 4 + x[1] ** 2 / 2, [0.5, 0.5], ([-2.0, -2.0], [2.0, 2.0]),
    (Point([1.0, 0.0], 0.0, "minimum"), Point([-1.0, 0.0], 0.0, "minimum")),
)  # fmt: skip


@pytest.fixture(scope="module")
def newton():
    return basin_map(optlab.surfaces.himmelblau(), optlab.newton(), size=(24, 20), steps=60)


def test_starts_next_to_a_minimum_reach_it(newton):
    near = 0
    for k, point in enumerate(newton.points):
        place = np.asarray(point.x)
        distance = np.hypot(newton.x[None, :] - place[0], newton.y[:, None] - place[1])
        here = distance < 0.45
        near += here.any()
        assert (newton.reached[here] == k).all(), point  # Newton's method finds saddles and the maximum, too
    assert near >= 7
    assert label(newton.points, 0) == "global_min" and {p.kind for p in newton.points} >= {"minimum", "saddle"}


def test_the_map_is_that_of_single_minimizations(newton):
    fn = optlab.surfaces.himmelblau().fn
    alone = jax.jit(lambda x: optlab.minimize(fn, x, optlab.newton(), max_steps=60, gtol=1e-8))
    for i, j in [(0, 0), (3, 17), (10, 2), (19, 23), (12, 12), (7, 5)]:
        end = alone(jnp.array([newton.x[j], newton.y[i]]))
        assert int(end.status) == newton.status[i, j] and int(end.steps) == newton.steps[i, j]
        np.testing.assert_allclose(end.x, newton.ends[i, j], rtol=1e-6)
        if newton.reached[i, j] >= 0:
            np.testing.assert_allclose(end.x, np.asarray(newton.points[newton.reached[i, j]].x), atol=1e-5)


def test_descent_in_a_double_well_ends_on_its_side():
    found = basin_map(WELL, optlab.gradient_descent(0.1), size=(21, 6), steps=400)
    x = found.x
    assert (found.reached[:, x > 1e-9] == 0).all() and (found.reached[:, x < -1e-9] == 1).all()
    # On the ridge it stays on the ridge: that is a saddle which nobody has stated, and which is found.
    ridge = found.points[found.reached[0, 10]]
    assert ridge.kind == "saddle" and abs(np.asarray(ridge.x)).max() < 1e-6


def test_what_diverged_is_told_from_what_did_not_converge():
    found = basin_map(WELL, optlab.gradient_descent(0.1), size=5, steps=3, box=([-50.0, -1.0], [50.0, 1.0]))
    assert (found.reached[:, [0, -1]] == DIVERGED).all()
    assert (found.status[:, 0] == Status.diverged).all()
    assert found.reached[0, 2] == NONE and found.status[0, 2] == Status.max_steps
    assert label(found.points, DIVERGED) == "diverged" and label(found.points, NONE) == "none"


def test_more_variables_than_two_give_a_plane_through_the_start():
    surface = optlab.surfaces.quadratic(dim=4, condition=3.0)
    found = basin_map(surface, optlab.newton(), size=3, axes=(3, 1), steps=5)
    assert found.ends.shape == (3, 3, 4) and (found.reached == 0).all()
    # the other two coordinates have been those of the start: after no step they are still
    still = basin_map(surface, optlab.gradient_descent(0.0), size=3, axes=(3, 1), steps=1)
    np.testing.assert_allclose(still.ends[..., [0, 2]], np.broadcast_to(np.asarray(surface.start)[[0, 2]], (3, 3, 2)))
    np.testing.assert_allclose(still.ends[1, 2, [3, 1]], [still.x[2], still.y[1]])


def test_newtons_fractal_on_a_line_is_as_symmetric_as_its_function():
    """x^4 / 4 - x^2 / 2: the step -2 x^3 / (1 - 3 x^2) is odd, and from beyond 1/sqrt(5) basins alternate."""
    surface = Surface(lambda x: x[0] ** 4 / 4 - x[0] ** 2 / 2, [1.0], ([-2.0], [2.0]))

    def build(numbers):
        return optlab.problems.from_surface(surface, start=numbers["start"]), optlab.newton()

    half = np.linspace(0.01, 2, 200)
    starts = np.concatenate([-half[::-1], half])[:, None]
    ends = outcomes(build, {"start": starts}, steps=100, keep=("params",)).params[:, 0]
    np.testing.assert_allclose(ends, -ends[::-1], atol=1e-9)
    root = np.sign(starts[:, 0])
    assert (ends[np.abs(starts[:, 0]) < 0.44].round(6) == 0).all()
    beyond = np.abs(starts[:, 0]) > 0.58  # 1/sqrt(3)
    np.testing.assert_allclose(ends[beyond], root[beyond], atol=1e-9)
    assert (ends[(starts[:, 0] > 0.45) & (starts[:, 0] < 0.57)] < -0.5).any()  # across, to the other side


# The closed forms for two variables


def test_eigenpairs_in_the_plane_keep_digits_that_lapack_keeps_and_more():
    generator = np.random.default_rng(0)
    cases = [np.diag([1.0, 1.0]), np.zeros((2, 2)), np.diag([-3.0, 2.0]), np.array([[1.0, 1e-9], [1e-9, 1.0]])]
    cases += [np.array([[1e12, 1.0], [1.0, 1e-6]]), np.array([[1e-300, 0.0], [0.0, 1e300]]), -np.ones((2, 2))]
    cases += [(m + m.T) * 10.0 ** generator.uniform(-8, 8) for m in generator.normal(size=(20, 2, 2))]
    cases = np.array(cases)
    w, V = map(np.asarray, jax.jit(jax.vmap(eigenpairs))(cases))
    size = np.abs(cases).max(axis=(1, 2))
    unit = np.maximum(size, 1e-300)[:, None]
    np.testing.assert_allclose(w / unit, np.linalg.eigvalsh(cases) / unit, rtol=0, atol=1e-15)
    assert (w[:, 0] <= w[:, 1]).all()
    np.testing.assert_allclose(np.swapaxes(V, 1, 2) @ V, np.broadcast_to(np.eye(2), V.shape), atol=1e-15)
    error = (V * w[:, None]) @ np.swapaxes(V, 1, 2) - cases
    assert (np.abs(error).max(axis=(1, 2)) <= 1e-15 * size).all()
    assert w[4, 0] == pytest.approx(1e-6 - 1e-12, rel=1e-9)  # a ratio of 1e18, which LAPACK's eigvalsh loses


def test_the_elimination_in_the_plane_is_that_of_lapack():
    generator = np.random.default_rng(1)
    H = generator.normal(size=(50, 2, 2)) * 10.0 ** generator.uniform(-150, 150, (50, 1, 1))
    H[0], H[1] = [[0.0, 2.0], [2.0, 1.0]], [[1e-20, 1.0], [1.0, 1.0]]  # these need the pivot
    g = generator.normal(size=(50, 2))
    expected = np.linalg.solve(H, g[..., None])[..., 0]
    found = jax.jit(jax.vmap(solution))(H, g)
    condition = np.linalg.cond(H)
    error = np.abs(found - expected).max(axis=1) / np.abs(expected).max(axis=1)
    assert (error <= 1e-15 * condition).all()
    assert not np.isfinite(solution(jnp.ones((2, 2)), jnp.ones(2))).all()  # singular: no number, as before


# From configurations to tables


def config(name="himmelblau", **changed):
    return {
        "optimizer": {"_target_": "optlab.optimizers.gradient_descent", "learning_rate": 0.01}, "schedule": {},
        "problem": {"_target_": f"optlab.surfaces.{name}"}, "steps": 300, "seed": 0, "precision": "float64",
        "gtol": 1e-8, "choices": {"optimizer": "gradient_descent", "problem": name},
    } | changed  # fmt: skip


def test_the_tables_hold_a_row_for_each_start_and_point():
    tables = basins([config()], [], size=6, box="-5,5,-4,4")
    table, points = tables["basins"], tables["basin_points"]
    assert {len(column) for column in table.values()} == {36}
    assert table["x_0"].min() == -5 and table["x_1"].max() == 4 and (table["learning_rate"] == 0.01).all()
    assert set(table["label"]) == {"global_min"} and set(table["status"]) == {"converged"}
    reached = table["reached"]
    assert points["kind"][0] == "minimum" and set(reached) <= set(points["reached"])
    assert (np.sign(points["x_0"][reached]) == np.sign(table["x_0"])).all()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"size": 1}, "size must be a whole number of at least 2, not 1"),
        ({"box": "1,2,3"}, "box is four numbers"),
        ({"box": "1,0,0,1"}, "from smaller to larger"),
        ({"steps": -1}, "steps must be a whole number of at least 1"),
        ({"axes": [Interval("optimizer.learning_rate", 0.1, 1.0, True)]}, "cannot be an interval here"),
        ({"configs": []}, "needs an optimizer and a problem"),
        ({"configs": [config("mlp", problem={"_target_": "optlab.workloads.training"})]}, "needs a surface"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(asked, message):
    asked = {"configs": [config()], "axes": []} | asked
    with pytest.raises(BadInput, match=message):
        basins(asked.pop("configs"), asked.pop("axes"), **asked)
