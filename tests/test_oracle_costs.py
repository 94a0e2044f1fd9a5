"""Measured weights are the operations that one counts by hand, and `cost` takes them."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import optlab
from optlab import metrics
from optlab.oracle_costs import operations, weights
from optlab.types import Problem, full_batch


def problem(loss, d, data=()):
    return Problem(lambda key: jnp.zeros(d), full_batch, loss, lambda x, data: {"value": loss(x, data)}, data=data)


@pytest.mark.parametrize("d", [10, 200])
def test_a_quadratic_form_counts_its_products_with_the_matrix(d):
    """x^T A x / 2 has one product of 2 d^2; its gradient (A x + A^T x) / 2 two, its Hessian's product two too."""
    matrix = jax.ShapeDtypeStruct((d, d), float)
    found = operations(problem(lambda x, A: 0.5 * x @ (A @ x), d, matrix))
    vectors = 4 * d  # scaling, sums and the inner product, however XLA splits and fuses them
    assert 2 * d**2 <= found["value"] <= 2 * d**2 + vectors
    for kind in ("gradient", "hvp"):
        assert 4 * d**2 <= found[kind] <= 4 * d**2 + vectors


def test_least_squares_count_two_products_in_a_gradient():
    """|A x|^2 / 2 has a product of 2 m n; the gradient A^T (A x) and the Hessian's product A^T (A v) have two."""
    m, n = 300, 40
    data = jax.ShapeDtypeStruct((m, n), float)
    found = weights(problem(lambda x, A: 0.5 * jnp.sum((A @ x) ** 2), n, data))
    assert found["value"] == 1
    whole = 2 * m * n
    for kind in ("gradient", "hvp"):
        assert 2 * whole / (whole + 4 * m) <= found[kind] <= (2 * whole + 4 * m) / whole


def test_an_elementwise_function_counts_each_entry():
    """The sum of exp has d of them and d - 1 sums; the gradient the exponentials alone, a product d factors more."""
    d = 8
    p = problem(lambda x, _: jnp.sum(jnp.exp(x)), d)
    found = operations(p)
    assert found == {"value": 2 * d - 1, "gradient": d, "hvp": 2 * d}
    dear = operations(p, transcendental=20.0)
    assert dear == {"value": 20 * d + d - 1, "gradient": 20 * d, "hvp": 20 * d + d}


def test_cost_takes_a_mapping_or_a_row_for_each_problem():
    of = {name: weights(optlab.problems.from_surface(getattr(optlab.surfaces, name)())) for name in ("beale", "levy")}
    assert all(w["hvp"] > w["gradient"] > 1 for w in of.values())
    runs = pd.DataFrame({"problem": ["beale", "levy"], "n_value": [3, 5], "n_grad": [2, 0], "n_hvp": [1, 7]})
    frame = pd.DataFrame([{"problem": name, **w} for name, w in of.items()])
    by_hand = [3 + 2 * of["beale"]["gradient"] + of["beale"]["hvp"], 5 + 7 * of["levy"]["hvp"]]
    np.testing.assert_allclose(metrics.cost(runs, "oracle", weights=frame), by_hand)
    np.testing.assert_allclose(metrics.cost(runs[:1], "oracle", weights=of["beale"]), by_hand[:1])


def test_a_value_without_an_operation_has_no_weights():
    with pytest.raises(ValueError, match="no unit"):
        weights(problem(lambda x, _: x[0], 2))
