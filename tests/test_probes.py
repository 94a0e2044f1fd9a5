"""Probes against what NumPy makes of the same point."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import flatten_util

import optlab
from optlab import probes, table
from optlab.problems import from_surface, perturb
from optlab.types import Problem, full_batch
from optlab.workloads.activations import activation_variance, layer_variances
from optlab.workloads.data import Examples, dataset, digits
from optlab.workloads.networks_classic import lenet5
from optlab.workloads.networks_plain import logistic_regression, mlp
from optlab.workloads.tasks import regression
from optlab.workloads.training import training


def quadratic(hessian):
    return Problem(lambda key: jnp.zeros(len(hessian)), full_batch, lambda x, _: 0.5 * x @ hessian @ x, lambda x, _: {})


def rotated(eigenvalues, seed=0):
    Q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(eigenvalues),) * 2))
    return Q @ np.diag(eigenvalues) @ Q.T


# Sharpness


@pytest.mark.parametrize(
    "eigenvalues",
    [[1.0, 1000.0], [-1.0, -1e6], [3.0, 3.0, 3.0], [0.0, 0.0], [-5.0], [-2.0, -1e6, -7.0], range(-40, 1)],
    ids=str,
)
def test_sharpness_is_the_algebraically_largest_eigenvalue(eigenvalues):
    found = jax.jit(jax.vmap(lambda H: probes.sharpness(quadratic(H), jnp.ones(len(eigenvalues)))))
    both = found(jnp.array([np.diag(eigenvalues), rotated(eigenvalues)], float))
    # exact but for rounding, which is relative to the largest absolute eigenvalue
    np.testing.assert_allclose(both, max(eigenvalues), atol=1e-12 * np.abs(eigenvalues).max() + 1e-11)


def test_sharpness_of_many_parameters_comes_from_below_to_within_a_hundredth():
    random = np.random.default_rng(0).normal(size=(300, 300))
    symmetric = (random + random.T) / 2  # its largest eigenvalues lie closest of all
    for hessian in (symmetric, symmetric - 50 * np.outer(symmetric[0], symmetric[0])):
        least, largest = np.linalg.eigvalsh(hessian)[[0, -1]]
        found = jax.jit(lambda H: probes.sharpness(quadratic(H), jnp.ones(300)))(hessian)
        assert largest * (1 - 1e-2) <= found <= largest * (1 + 1e-12)  # measured: 1e-5 and 0.5% below
    assert least < -100 * largest


def small_network(**choices):
    network = mlp(depth=2, width=1 / 128, activation="tanh")
    data = digits()
    corners = Examples(data.train.inputs[:40, ::4, ::4].copy(), data.train.targets[:40].copy())
    few = dataset(corners, corners, 10)
    return training(network=network, data=few, evaluated=8, **choices)


def test_sharpness_of_a_network_is_that_of_its_dense_hessian_in_either_precision():
    problem = small_network(batch_size=0)
    params = problem.init(jax.random.key(0))
    flat, unravel = flatten_util.ravel_pytree(params)

    @jax.jit
    def both(params):
        hessian = jax.hessian(lambda x: problem.loss(unravel(x), problem.data))(flat)
        return hessian, probes.sharpness(problem, params)

    hessian, found = both(params)
    np.testing.assert_allclose(found, np.linalg.eigvalsh(hessian)[-1], rtol=1e-6)
    single = jax.jit(functools.partial(probes.sharpness, problem))
    found = single(jax.tree.map(lambda leaf: leaf.astype(jnp.float32), params))
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, np.linalg.eigvalsh(hessian)[-1], rtol=1e-4)


def test_sharpness_of_a_closed_form_is_that_of_its_hessian_where_it_stands():
    surface = optlab.surfaces.rosenbrock()
    trace = jax.jit(
        lambda: optlab.run(
            from_surface(surface), optlab.gradient_descent(1e-3), jax.random.key(0), steps=3,
            probes={"x": probes.position, "sharpness": probes.sharpness},
        )
    )()  # fmt: skip
    hessians = jax.jit(jax.vmap(jax.hessian(surface.fn)))(trace["x"])
    np.testing.assert_allclose(trace["sharpness"], np.linalg.eigvalsh(hessians)[:, -1], rtol=1e-10)


# Noise


def test_the_noise_scale_of_independent_noise_is_its_variance_over_the_squared_gradient():
    # each entry of the gradient gets noise of deviation 0.3: trace 20 x 0.09, gradient of length sqrt(20)
    problem = perturb(quadratic(jnp.eye(20)), noise=0.3)
    found = functools.partial(probes.gradient_noise_scale, problem)
    many = jax.jit(functools.partial(found, batches=2000))(jnp.ones(20))
    np.testing.assert_allclose(many, 0.09, rtol=0.03)  # 1 / sqrt(20 x 2000 / 2) = 0.7% for the trace
    np.testing.assert_allclose(jax.jit(found)(jnp.ones(20)), 0.09, rtol=0.25)  # and 6% with 32 batches
    assert jax.jit(found)(jnp.zeros(20)) > 40  # nothing but noise; a biased estimate would say 32, as many as batches


def test_the_noise_scale_of_a_linear_model_is_trace_of_sigma_over_batch_size_and_squared_gradient():
    random = np.random.default_rng(0)
    n, size = 120, 30
    inputs = random.normal(size=(n, 2, 2, 1)).astype(np.float32)
    targets = random.normal(size=(n, 3)).astype(np.float32)
    data = dataset(Examples(inputs, targets), Examples(inputs[:5], targets[:5]), 3)
    task = regression()
    problem = training(network=logistic_regression(classes=3), data=data, task=task, batch_size=size)
    params = {"head": {"kernel": jnp.ones((4, 3)), "bias": jnp.zeros(3)}}

    x = ((inputs - data.mean) / data.scale).reshape(n, 4)
    left = x @ np.ones((4, 3)) - targets
    one_by_one = np.concatenate([left, (x[:, :, None] * left[:, None, :]).reshape(n, 12)], axis=1)
    mean = one_by_one.mean(0)
    sigma = np.mean(np.sum((one_by_one - mean) ** 2, axis=1))
    # a batch holds no example twice, which leaves (n - B) / (n - 1) of the noise
    expected = sigma / size * (n - size) / (n - 1) / (mean @ mean)
    found = jax.jit(functools.partial(probes.gradient_noise_scale, problem, batches=2000))(params)
    np.testing.assert_allclose(found, expected, rtol=0.05)  # measured: 1.5%


def test_a_problem_without_chance_has_no_noise():
    assert probes.gradient_noise_scale(quadratic(jnp.eye(2)), jnp.ones(2)) == 0


# By layer


def test_layers_are_named_by_their_dictionaries_and_ordered_by_number():
    leaf = {"kernel": jnp.zeros(1), "bias": jnp.zeros(1)}
    params = {"dense10": leaf, "head": leaf, "dense2": leaf, "block": {"norm1": {"scale": jnp.ones(1)}, "conv1": leaf}}
    assert probes.layer_names(params) == ["block/conv1", "block/norm1", "dense2", "dense10", "head"]
    assert probes.layer_names(jnp.ones(3)) == [""]


def forward_pass(params, x):
    """Outputs of each layer of a tanh network before the activation, and the inputs of each, in NumPy."""
    inputs, outputs = [x], []
    for name in ("dense1", "dense2", "head"):
        outputs.append(inputs[-1] @ params[name]["kernel"] + params[name]["bias"])
        inputs.append(np.tanh(outputs[-1]))
    return inputs, outputs


def test_variances_by_layer_are_those_of_the_outputs_and_of_the_gradient():
    problem = small_network(batch_size=16, init="he")
    params = problem.init(jax.random.key(0))
    trace = jax.jit(
        lambda: optlab.run(
            problem._replace(init=lambda key: params), optlab.gradient_descent(0.1), jax.random.key(0), steps=1,
            probes={"outputs": activation_variance, "gradient": probes.gradient_variance},
        )
    )()  # fmt: skip
    params = jax.tree.map(np.asarray, params)
    batch = problem.batch(problem.data, jax.random.key(0))
    inputs, outputs = forward_pass(params, np.asarray(batch.inputs).reshape(16, -1))
    np.testing.assert_allclose(trace["outputs"][0], [out.var() for out in outputs], rtol=1e-6)
    assert not np.allclose(trace["outputs"][1], trace["outputs"][0], rtol=1e-6)

    share = np.exp(outputs[-1]) / np.exp(outputs[-1]).sum(1, keepdims=True)
    back = (share - np.eye(10)[np.asarray(batch.targets)]) / 16
    expected = []
    for k, name in ((2, "head"), (1, "dense2"), (0, "dense1")):
        expected.insert(0, np.concatenate([(inputs[k].T @ back).ravel(), back.sum(0)]).var())
        back = back @ params[name]["kernel"].T * (1 - inputs[k] ** 2)
    np.testing.assert_allclose(trace["gradient"][0], expected, rtol=1e-6)


def test_convolutions_are_layers_and_a_closed_form_has_none():
    problem = training(network=lenet5(width=1 / 3), data=digits(), batch_size=8)
    params = jax.eval_shape(problem.init, jax.random.key(0))
    shapes = jax.eval_shape(lambda params: layer_variances(problem, params), params)
    assert list(shapes) == probes.layer_names(params) == ["conv1", "conv2", "dense1", "dense2", "head"]
    nothing = activation_variance(quadratic(jnp.eye(2)), jnp.ones(2))
    assert nothing.shape == (0,)
    trace = {"step": np.array([[0, 1]]), "activation_variance": np.zeros((1, 2, 0))}
    assert "activation_variance" not in table.curves_rows(["run"], trace).column_names


def test_the_command_line_records_probes_and_the_ratio_of_updates(optlab_command, tmp_path):
    words = ["problem=rosenbrock", "optimizer=gradient_descent", "steps=2", "record=all", "probe=diagnostics"]
    code, _, errors = optlab_command(*words, "optimizer.track_updates=true")
    assert code == 0, errors
    curves = optlab.load(tmp_path).curves
    start = np.array([-1.2, 1.0])  # of Rosenbrock's function
    slope = np.array(
        [-400 * start[0] * (start[1] - start[0] ** 2) - 2 * (1 - start[0]), 200 * (start[1] - start[0] ** 2)]
    )
    np.testing.assert_allclose(curves.sharpness[0], np.linalg.eigvalsh([[1330, 480], [480, 200]])[-1], rtol=1e-9)
    np.testing.assert_allclose(curves.gradient_variance_0[0], slope.var(), rtol=1e-9)
    assert (curves.gradient_noise_scale == 0).all()
    ratio = 0.003 * np.linalg.norm(slope) / np.linalg.norm(start)
    np.testing.assert_allclose(curves.update_ratio_0[:2], [0, ratio], rtol=1e-9)
