"""Spectra from products against dense matrices: of known eigenvalues, and of a small network."""

import functools
from types import SimpleNamespace

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from optlab import probes
from optlab.app import landscape_spectra
from optlab.landscape import spectra
from optlab.types import Problem, full_batch
from optlab.workloads import mlp, mnist_1d, training

KEY = jax.random.key(0)
LIKE = {"a": jnp.zeros((2, 2)), "b": jnp.zeros(3)}  # of seven parameters


def symmetric(eigenvalues, seed=0):
    Q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(eigenvalues),) * 2))
    return Q @ np.diag(eigenvalues) @ Q.T


def of_matrix(H, like):
    """The product with a dense matrix, on pytrees."""
    unravel = ravel_pytree(like)[1]
    return lambda v: unravel(H @ ravel_pytree(v)[0])


# Eigenpairs


@functools.cache
def eigenpairs(which, k):
    """(matrix, like, steps) -> the pairs, compiled once for each size."""
    choices = {"which": which, "key": KEY}
    found = jax.jit(lambda H, like, steps: spectra.top_eigenpairs(of_matrix(H, like), like, k, steps=steps, **choices))
    return lambda H, like, steps=800: found(H, like, steps)


ORDER = {"magnitude": lambda w: -np.abs(w), "largest": lambda w: -w, "smallest": lambda w: w}


@pytest.mark.parametrize("which", list(ORDER))
@hypothesis.settings(max_examples=8)
@hypothesis.given(eigenvalues=st.lists(st.integers(-50, 50), min_size=7, max_size=7, unique_by=abs))
def test_the_first_eigenpairs_of_a_quadratic_on_a_pytree(which, eigenvalues):
    H = symmetric(np.array(eigenvalues, float))
    found = eigenpairs(which, 3)(H, LIKE)
    expected = np.array(eigenvalues)[np.argsort(ORDER[which](np.array(eigenvalues)))][:3]
    # rounding in units of the norm, at most 50
    np.testing.assert_allclose(found.values, expected, atol=1e-12)
    assert found.vectors["a"].shape == (3, 2, 2) and found.vectors["b"].shape == (3, 3)
    V = np.concatenate([found.vectors["a"].reshape(3, 4), found.vectors["b"]], axis=1)
    np.testing.assert_allclose(V @ V.T, np.eye(3), atol=1e-13)
    np.testing.assert_allclose(V @ H, expected[:, None] * V, atol=1e-11)


#: Nothing stands out: the ends of the semicircle are as dense as those of random matrices.
DENSE = np.random.default_rng(1).normal(size=(200, 200))
DENSE = (DENSE + DENSE.T) / 2 - 1.5 * np.eye(200)


@pytest.mark.parametrize("which", list(ORDER))
def test_restarts_bring_residuals_below_the_tolerance(which):
    found = eigenpairs(which, 4)(DENSE, jnp.zeros(200))
    w = np.linalg.eigvalsh(DENSE)
    expected = w[np.argsort(ORDER[which](w))][:4]
    bound = np.finfo(float).eps ** 0.5 * np.abs(w).max()
    assert np.all(found.residuals <= bound)
    # an error is the residual squared over the distance to the next eigenvalue, here above 0.1: 1e-13
    np.testing.assert_allclose(found.values, expected, atol=1e-12)
    true = np.linalg.norm(found.vectors @ DENSE - found.values[:, None] * found.vectors, axis=1)
    np.testing.assert_allclose(true, found.residuals, atol=1e-12)  # rounding over a few hundred products


def test_a_search_ends_with_its_products_and_says_how_far_it_came():
    found = eigenpairs("largest", 4)(DENSE, jnp.zeros(200), steps=1)
    true = np.linalg.norm(found.vectors @ DENSE - found.values[:, None] * found.vectors, axis=1)
    assert true.max() > 1e-3 * np.abs(DENSE).max()
    np.testing.assert_allclose(true, found.residuals, atol=1e-12)
    assert np.all(found.values <= np.linalg.eigvalsh(DENSE)[::-1][:4])  # from inside the spectrum


def test_float32_is_kept_and_zeros_and_copies_are_eigenvalues_too():
    single = eigenpairs("largest", 4)(DENSE.astype(np.float32), jnp.zeros(200, jnp.float32))
    assert single.values.dtype == single.vectors.dtype == jnp.float32
    # the tolerance of 3.5e-4 |H|, squared over a distance of 0.1, |H| = 16
    np.testing.assert_allclose(single.values, np.linalg.eigvalsh(DENSE)[::-1][:4], rtol=1e-4)
    copies = eigenpairs("magnitude", 3)(np.diag([4.0, 4.0, 4.0, 1.0, 0.0, 0.0, 0.0]), LIKE)
    np.testing.assert_allclose(copies.values, [4, 4, 4], rtol=1e-14)
    np.testing.assert_array_equal(eigenpairs("magnitude", 3)(np.zeros((7, 7)), LIKE).values, 0)


@pytest.mark.parametrize(
    "choices, words", [({"k": 0}, "from 1 to 7"), ({"k": 8}, "from 1 to 7"), ({"k": 1, "which": "top"}, "magnitude")]
)
def test_what_cannot_be_searched_for_is_refused(choices, words):
    with pytest.raises(ValueError, match=words):
        spectra.top_eigenpairs(lambda v: v, LIKE, key=KEY, **choices)


def test_the_condition_number_is_infinite_where_an_eigenvalue_is_not_positive():
    number = jax.jit(lambda H: spectra.condition_number(of_matrix(H, LIKE), LIKE, key=KEY))
    np.testing.assert_allclose(number(symmetric([1e-3, 1, 2, 3, 4, 5, 1e3])), 1e6, rtol=1e-8)  # 1e6 units of rounding
    assert number(symmetric([0.0, 1, 2, 3, 4, 5, 6])) == np.inf
    assert number(symmetric([-1.0, 1, 2, 3, 4, 5, 6])) == np.inf


# Trace and diagonal

SLOW = symmetric(1 / np.arange(1, 61) ** 2)


@functools.cache
def estimated(function, **choices):
    """(matrix, keys) -> one estimate for each key."""

    def of(H, keys):
        like = jnp.zeros(len(H))
        return jax.lax.map(lambda key: function(of_matrix(H, like), like, key=key, **choices), keys)

    return jax.jit(of)


def test_the_trace_is_unbiased_and_its_error_is_as_stated():
    found = estimated(spectra.trace, probes=30)(SLOW, jax.random.split(KEY, 400))
    deviation = np.sqrt(2 * (np.sum(SLOW**2) - np.sum(np.diag(SLOW) ** 2)) / 30)
    # 400 estimates: their mean is known to 1/20 deviation (here 4 of these), their spread to 1 / sqrt(800)
    np.testing.assert_allclose(np.mean(found.value), np.trace(SLOW), atol=4 * deviation / 20)
    np.testing.assert_allclose(np.std(found.value), deviation, rtol=0.15)
    np.testing.assert_allclose(np.sqrt(np.mean(found.standard_error**2)), deviation, rtol=0.1)


def test_hutch_plus_plus_is_exact_for_a_rank_below_its_third_and_better_where_eigenvalues_decay():
    keys = jax.random.split(KEY, 100)
    low = symmetric(np.where(np.arange(60) < 10, np.arange(-3, 57), 0.0))
    exact = estimated(spectra.trace_plus, products=30)(low, keys)
    np.testing.assert_allclose(exact.value, np.trace(low), rtol=1e-12)  # 24, from eigenvalues up to 6
    assert np.all(exact.standard_error < 1e-12)
    better = estimated(spectra.trace_plus, products=30)(SLOW, keys)
    plain = estimated(spectra.trace, probes=30)(SLOW, keys)
    wrong = np.std(better.value)
    assert wrong < np.std(plain.value) / 10  # measured: 30 times less
    np.testing.assert_allclose(np.mean(better.value), np.trace(SLOW), atol=4 * wrong / 10)
    np.testing.assert_allclose(np.sqrt(np.mean(better.standard_error**2)), wrong, rtol=0.3)  # 10 probes each
    with pytest.raises(ValueError, match="at least 3"):
        spectra.trace_plus(lambda v: v, LIKE, key=KEY, products=2)


def test_the_diagonal_is_a_pytree_with_an_error_for_each_entry():
    H = symmetric([1.0, -2, 3, 4, 5, 6, 70])
    found = jax.jit(lambda H: spectra.diagonal(of_matrix(H, LIKE), LIKE, key=KEY, probes=4000))(H)
    assert found.value["a"].shape == found.standard_error["a"].shape == (2, 2)
    value, error = ravel_pytree(found.value)[0], ravel_pytree(found.standard_error)[0]
    deviation = np.sqrt((np.sum(H**2, axis=1) - np.diag(H) ** 2) / 4000)
    np.testing.assert_allclose(error, deviation, rtol=0.1)  # 1 / sqrt(8000), and heavy tails
    np.testing.assert_array_less(np.abs(value - np.diag(H)), 4 * deviation)
    exact = jax.jit(lambda H: spectra.diagonal(of_matrix(H, LIKE), LIKE, key=KEY, probes=3))(np.diag(np.arange(7.0)))
    np.testing.assert_allclose(ravel_pytree(exact.value)[0], np.arange(7))  # no entry beside it, no error


# A network


def tiny(**choices):
    choices = {"network": mlp(depth=1, width=0.02, activation="tanh"), "data": mnist_1d(count=64)} | choices
    return training(**{"batch_size": 16} | choices)


@pytest.fixture(scope="module")
def network():
    """A network in float64, its dense Hessian on two batches of its pass, and what products tell of it."""
    problem = tiny()
    params = jax.tree.map(lambda leaf: leaf.astype(float), problem.init(jax.random.key(3)))
    x, unravel = ravel_pytree(params)
    batches = [problem.passes(problem.data, jax.random.key(0), step) for step in range(2)]

    @jax.jit
    def all_of(x):
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *batches)
        dense = jax.lax.map(lambda batch: jax.hessian(lambda x: problem.loss(unravel(x), batch))(x), stacked)
        outputs, criterion = problem.split
        J = jax.jacobian(lambda x: outputs(unravel(x), batches[0]).ravel())(x)
        z = outputs(unravel(x), batches[0])
        inner = jax.hessian(lambda z_: criterion(z_.reshape(z.shape), batches[0]))(z.ravel())
        product = spectra.hessian_product(problem, unravel(x))
        quadrature = spectra.spectral_density(product, unravel(x), key=KEY, probes=8, steps=60)
        v = jax.random.normal(KEY, x.shape, x.dtype)
        return {
            "dense": dense.mean(axis=0), "first": dense[0], "gauss_newton": J.T @ inner @ J, "v": v,
            "both v": ravel_pytree(spectra.hessian_product(problem, unravel(x), examples=20)(unravel(v)))[0],
            "first v": ravel_pytree(product(unravel(v)))[0],
            "gauss_newton v": ravel_pytree(spectra.gauss_newton_product(problem, unravel(x))(unravel(v)))[0],
            "given v": ravel_pytree(spectra.hessian_product(problem, unravel(x), batches[1])(unravel(v)))[0],
            "second": dense[1], "quadrature": quadrature,
            "probes": {
                name: getattr(probes, name)(problem, unravel(x))
                for name in ("top_eigenvalues", "hessian_trace", "negative_curvature")
            },
        }  # fmt: skip

    found = jax.tree.map(np.asarray, all_of(x) | {"x": x})
    return SimpleNamespace(problem=problem, params=params, w=np.linalg.eigvalsh(found["first"]), **found, found=found)


def test_products_are_those_with_the_dense_matrices(network):
    found, v = network.found, network.v
    size = np.abs(network.w).max() * np.linalg.norm(v)
    for product, matrix in (
        ("first v", "first"), ("given v", "second"), ("both v", "dense"), ("gauss_newton v", "gauss_newton"),
    ):  # fmt: skip
        np.testing.assert_allclose(found[product], found[matrix] @ v, atol=1e-6 * size)  # float32 images in the net
    assert np.linalg.norm(found["first v"] - found["gauss_newton v"]) > 1e-3 * size  # they are different matrices
    assert np.linalg.norm(found["first v"] - found["both v"]) > 1e-3 * size


def test_the_probe_has_the_ends_of_the_spectrum(network):
    found = network.found["probes"]["top_eigenvalues"]
    assert found.shape == (4,)
    np.testing.assert_allclose(found, [*network.w[::-1][:3], network.w[0]], rtol=1e-3)  # 32 products
    assert network.w[0] < -0.01 * network.w[-1]


def test_the_quadrature_counts_eigenvalues(network):
    nodes, weights = network.quadrature
    assert nodes.shape == weights.shape == (8, 60)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-12)
    for place in np.quantile(nodes, [0.1, 0.3, 0.5, 0.7, 0.9]):
        share = np.mean(network.w < place)
        seen = np.mean(np.sum(np.where(nodes < place, weights, 0), axis=1))
        # 8 vectors of 520 signs know a share to sqrt(2 x 0.25 / 8 / 520) = 1.1%; a node is up to 2% of the weight
        np.testing.assert_allclose(seen, share, atol=0.05)


def test_moments_are_means_of_powers_of_eigenvalues(network):
    found = spectra.moments(network.quadrature, 3)
    for degree in range(4):
        exact = np.mean(network.w**degree)
        assert abs(found.value[degree] - exact) <= 4 * found.standard_error[degree] + 1e-12
    assert np.all(found.standard_error[1:3] < np.abs(found.value[1:3]) / 2)  # tells something


def test_the_negative_share_is_that_of_the_dense_hessian(network):
    flat = 1e-3
    share = np.mean(network.w < -flat * np.abs(network.w).max())
    found = spectra.negative_share(network.quadrature)
    assert 0.02 < share < 0.98
    np.testing.assert_allclose(found.value, share, atol=0.05)  # see above
    assert 0 < found.standard_error < 0.05
    # 4 vectors of 32 products
    np.testing.assert_allclose(network.found["probes"]["negative_curvature"], share, atol=0.08)


def test_the_trace_probe_is_that_of_the_dense_hessian(network):
    H = network.first
    deviation = np.sqrt(2 * (np.sum(H**2) - np.sum(np.diag(H) ** 2)) / probes.PRODUCTS)
    assert abs(network.found["probes"]["hessian_trace"] - np.trace(H)) < 3 * deviation < abs(np.trace(H))


def test_a_density_is_the_smoothed_histogram_of_eigenvalues(network):
    width = 0.05 * network.w[-1]
    grid = np.linspace(network.w[0] - 5 * width, network.w[-1] + 5 * width, 400)
    found = spectra.density(spectra.Quadrature(*network.quadrature), grid, width)
    far = (grid[:, None] - network.w) / width
    exact = np.exp(-0.5 * far**2).mean(axis=1) / width / np.sqrt(2 * np.pi)
    np.testing.assert_allclose(np.trapezoid(found.value, grid), 1, rtol=1e-4)
    assert np.trapezoid(np.abs(found.value - exact), grid) < 0.05  # measured: 0.01 of an area of 1
    assert found.standard_error.shape == grid.shape


def test_the_gauss_newton_matrix_of_a_sum_of_squares_comes_from_its_residual():
    A = jnp.array([[1.0, 2], [3, 4], [5, 6]])
    residual = lambda x, _: A @ x**2  # noqa: E731
    loss = lambda x, batch: 0.5 * jnp.sum(residual(x, batch) ** 2)  # noqa: E731
    problem = Problem(lambda key: jnp.zeros(2), full_batch, loss, lambda x, _: {}, residual=residual)
    J = A * jnp.array([[2.0, 4.0]])  # of A x^2 at (1, 2)
    found = spectra.gauss_newton_product(problem, jnp.array([1.0, 2.0]))(jnp.array([1.0, -1.0]))
    np.testing.assert_allclose(found, J.T @ J @ np.array([1, -1]), rtol=1e-14)
    with pytest.raises(ValueError, match="split.*residual"):
        spectra.gauss_newton_product(problem._replace(residual=None), jnp.ones(2))


# Tables


@pytest.fixture(scope="module")
def tables(network):
    """Two runs that share a problem's functions but not its data, and the number of programs they were compiled to."""
    other = network.problem.data._replace(train=network.problem.data.train._replace(
        inputs=network.problem.data.train.inputs[::-1] * 2
    ))  # fmt: skip
    moved = jax.tree.map(lambda leaf: 1.5 * leaf, network.params)
    runs = [
        SimpleNamespace(run_id="a", optimizer="sgd", problem=network.problem, steps=np.array([0, 5, 7]),
                        params=[network.params, moved, moved]),
        SimpleNamespace(run_id="b", optimizer="adam", problem=network.problem._replace(data=other),
                        steps=np.array([9]), params=[network.params]),
    ]  # fmt: skip
    made = []
    program = landscape_spectra._program
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(landscape_spectra, "_program", lambda *words: made.append(program(*words)) or made[-1])
        found = landscape_spectra.spectrum(runs, products=30, vectors=4, top=2, examples=20, every=3)
    return found, made


def test_tables_have_a_row_for_each_node_and_each_eigenvalue(tables, network):
    found, _ = tables
    spectra_rows, values = found["spectra"], found["eigenvalues"]
    assert list(spectra_rows) == ["run_id", "optimizer", "step", "operator", "probe", "node", "weight"]
    assert [len(column) for column in spectra_rows.values()] == [3 * 4 * 30] * 7
    assert values["run_id"] == ["a"] * 6 + ["b"] * 3 and values["operator"] == ["hessian"] * 9
    assert values["step"].tolist() == [0] * 3 + [7] * 3 + [9] * 3  # every third one, and the last
    assert values["rank"].tolist() == [0, 1, -1] * 3
    w = np.linalg.eigvalsh(network.dense)
    np.testing.assert_allclose(values["value"][:3], [w[-1], w[-2], w[0]], rtol=1e-6)
    assert abs(values["trace"][0] - w.sum()) < 4 * values["trace_error"][0]
    assert values["parameters"].tolist() == [len(w)] * 9
    assert 0 < values["negative_share"][0] < 1
    weights = spectra_rows["weight"].reshape(3, 4, 30)
    np.testing.assert_allclose(weights.sum(axis=2), 1, rtol=1e-12)
    assert spectra_rows["probe"].reshape(3, 4, 30)[0, 2].tolist() == [2] * 30


def test_one_program_serves_all_runs_and_data_are_its_argument(tables):
    found, made = tables
    assert len(made) == 1 and made[0]._cache_size() == 1
    value = found["eigenvalues"]["value"].reshape(3, 3)
    assert abs(value[2, 0] / value[0, 0] - 1) > 0.01  # the same parameters on other data


@pytest.mark.parametrize(
    "choices, words", [({"operator": "fisher"}, "gauss_newton"), ({"vectors": 0}, "vectors must be at least 1")]
)
def test_what_cannot_be_tabulated_is_refused(choices, words):
    with pytest.raises(ValueError, match=words):
        landscape_spectra.spectrum([], **choices)
