"""Where theory draws the line a map of stability changes its sign, within a pixel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optlab
from optlab.app.axes import Interval
from optlab.app.bad_input import BadInput
from optlab.app.landscape_maps import stability
from optlab.landscape.stability import (
    curvature_at_minimum,
    curvature_at_start,
    largest_stable_rate,
    stability_map,
)
from optlab.types import Status

CURVATURE = 10.0
RATES = np.linspace(0.01, 0.6, 60)
BETAS = np.array([0.0, 0.3, 0.6, 0.9])
MAKERS = {
    "gradient_descent": lambda rate, beta: optlab.gradient_descent(rate),
    "heavy_ball": optlab.heavy_ball,
    "momentum": optlab.momentum,
    "nesterov": optlab.nesterov,
}


def quadratic(scale=1.0):
    return optlab.problems.from_surface(optlab.surfaces.quadratic(condition=CURVATURE), start_scale=scale)


@pytest.mark.parametrize("method", MAKERS)
def test_the_border_on_a_quadratic_is_that_of_the_formula_within_a_pixel(method):
    found = stability_map(
        lambda numbers: (quadratic(), MAKERS[method](numbers["rate"], numbers["beta"])),
        {"rate": RATES}, {"beta": BETAS}, steps=3000,
    )  # fmt: skip
    limit = largest_stable_rate(method, CURVATURE, BETAS)
    pixel = RATES[1] - RATES[0]
    for row, border in zip(found.speed, limit, strict=True):
        assert (row[border - RATES > pixel] < 0).all()
        assert (row[RATES - border > pixel] > 0).all()
    assert (found.status[:, 0] == Status.converged).all()
    beyond = RATES[None] > (limit + pixel)[:, None]
    assert (found.status[beyond] == Status.diverged).all()
    # deeper within it goes faster: each rate beyond the border diverges sooner than the one before
    assert (np.diff(np.where(beyond, found.steps, 10**6)[0]) <= 0).all()


def test_the_largest_curvature_comes_from_the_stated_minimum_or_the_start():
    assert float(curvature_at_minimum(optlab.surfaces.quadratic(condition=CURVATURE))) == pytest.approx(CURVATURE)
    assert curvature_at_minimum(optlab.surfaces.hyperbolic_saddle()) is None
    rosenbrock = optlab.surfaces.rosenbrock()
    start = np.asarray(rosenbrock.start)
    at_start = jax.jit(lambda key: curvature_at_start(optlab.problems.from_surface(rosenbrock), key))
    expected = np.linalg.eigvalsh(jax.hessian(rosenbrock.fn)(jnp.asarray(start)))[-1]
    assert float(at_start(jax.random.key(0))) == pytest.approx(expected, rel=1e-9)


def test_an_unknown_method_and_a_map_over_one_number_are_refused():
    with pytest.raises(ValueError, match="known for gradient_descent, heavy_ball.*not for 'adam'"):
        largest_stable_rate("adam", 1.0)
    for x, y in (({"a": [1.0]}, {"a": [1.0]}), ({}, {"a": [1.0]})):
        with pytest.raises(ValueError, match="two different numbers"):
            stability_map(lambda numbers: (quadratic(), optlab.newton()), x, y, steps=1)


# From configurations to tables

MLP = {
    "_target_": "optlab.workloads.training", "batch_size": 0, "evaluated": 16, "gain": 1.0,
    "network": {"_target_": "optlab.workloads.mlp", "depth": 1, "width": 0.01},
    "data": {"_target_": "optlab.workloads.digits"},
}  # fmt: skip
QUADRATIC = {"_target_": "optlab.surfaces.quadratic", "condition": CURVATURE}
RATE = Interval("optimizer.learning_rate", 0.01, 1.0, True)


def config(optimizer="heavy_ball", problem=QUADRATIC, **changed):
    return {
        "optimizer": {"_target_": f"optlab.optimizers.{optimizer}", "learning_rate": 0.01}, "schedule": {},
        "problem": problem, "steps": 60, "seed": 0, "precision": "float64", "gtol": 1e-8,
        "choices": {"optimizer": optimizer, "problem": "a_problem"},
    } | changed  # fmt: skip


def test_tables_hold_the_map_and_the_curve_of_theory_in_its_axes():
    tables = stability([config()], [Interval("optimizer.momentum", 0.0, 0.9, False), RATE], size=7)
    table, theory = tables["stability"], tables["stability_theory"]
    assert {len(column) for column in table.values()} == {49}
    assert sorted(set(table["x"])) == pytest.approx(np.linspace(0, 0.9, 7))
    assert sorted(set(table["y"])) == pytest.approx(np.geomspace(0.01, 1, 7))
    assert set(table["x_key"]) == {"optimizer.momentum"} and set(table["y_key"]) == {"optimizer.learning_rate"}
    np.testing.assert_allclose(theory["y"], 2 * (1 + theory["x"]) / CURVATURE, rtol=1e-9)
    assert set(theory["law"]) == {"2 (1 + β) / λ at the minimum"}
    lost = table["y"] > 1.2 * 2 * (1 + table["x"]) / CURVATURE
    assert (table["speed"][lost] > 0).all() and (table["status"][lost] == "diverged").any()


def test_the_curve_follows_a_curvature_that_varies_and_is_empty_where_there_is_none():
    tables = stability([config("gradient_descent")], [RATE, Interval("problem.condition", 5.0, 50.0, True)], size=3)
    theory = tables["stability_theory"]
    np.testing.assert_allclose(theory["x"], 2 / theory["y"], rtol=1e-9)
    scale = Interval("problem.start_scale", 0.1, 10.0, True)
    none = stability([config("newton")], [RATE, scale], size=2)["stability_theory"]
    assert {len(column) for column in none.values()} == {0}


def test_a_network_is_mapped_over_rate_and_scale_with_theory_at_its_start():
    asked = config("gradient_descent", MLP, steps=2, precision="float32")
    rate = RATE._replace(low=0.1, high=10.0)
    tables = stability([asked], [rate, Interval("problem.gain", 0.5, 2.0, True)], size=2)
    table, theory = tables["stability"], tables["stability_theory"]
    assert (table["speed"][table["x"] == 0.1] < 0).all() and np.isfinite(table["value"]).all()
    assert len(set(table["value"].round(6))) == 4
    assert len(theory["x"]) > 20 and set(theory["law"]) == {"2 / λ at the start"}
    assert theory["x"][np.argmin(theory["y"])] > theory["x"][np.argmax(theory["y"])]  # larger weights, sharper


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ([RATE], "over two intervals"),
        ([RATE, RATE], "over two intervals"),
        ([RATE, Interval("optimizer.beta", 0.0, 1.0, False)], "heavy_ball has no beta"),
        ([RATE, Interval("steps", 1.0, 9.0, False)], "not over steps"),
        ([RATE, Interval("problem.dim", 2.0, 4.0, False)], "a_problem"),
        ([Interval("optimizer.learning_rate", -1.0, 1.0, False), Interval("problem.condition", 1.0, 9.0, False)],
         "at least 0, not -1"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_one_sentence(axes, message):
    with pytest.raises(BadInput, match=message):
        stability([config()], axes, size=2)
