"""What theory says of training, each fact as one test, with how exactly it holds and why not more so."""

import functools
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from jax import lax

import optlab
from optlab import probes, workloads
from optlab.types import Status
from optlab.workloads.activations import activation_variance
from optlab.workloads.data import Examples, dataset, digits
from optlab.workloads.forward import forward
from optlab.workloads.initializers import parameters_drawn
from optlab.workloads.networks_classic import lenet5
from optlab.workloads.networks_plain import logistic_regression, mlp
from optlab.workloads.networks_residual import resnet
from optlab.workloads.tasks import classification
from optlab.workloads.training import SEEN, training


def first_digits(n):
    """The first training examples alone."""
    whole = digits()
    return dataset(Examples(*(part[:n].copy() for part in whole.train)), whole.validation, 10)


# The largest stable rate


@pytest.mark.parametrize(
    ("make", "limit"),
    [
        (lambda rate, beta: optlab.gradient_descent(rate), lambda beta: 2),
        (optlab.heavy_ball, lambda beta: 2 * (1 + beta)),
        (optlab.nesterov, lambda beta: 2 * (1 + beta) / (1 + 2 * beta)),
        (functools.partial(optax.sgd, nesterov=True), lambda beta: 2 * (1 + beta) / (1 + 2 * beta)),
    ],
    ids=["gradient_descent", "heavy_ball", "nesterov", "optax's nesterov"],
)
def test_the_largest_stable_rate_on_a_quadratic_is_that_of_the_formula(make, limit):
    curvature, steps = 7.0, 4000

    def fn(x):
        return 0.5 * curvature * x**2

    @jax.jit
    def grows(rate, beta):
        optimizer = optax.with_extra_args_support(make(rate, beta))

        def step(carry, _):
            x, state = carry
            updates, state = optimizer.update(curvature * x, state, x, value_fn=fn)
            return (x + updates, state), None

        (x, _), _ = lax.scan(step, (1.0, optimizer.init(jnp.ones(()))), length=steps)
        return ~(abs(x) < 1)

    for beta in (0.5, 0.9):
        low, high = 0.0, 8 / curvature
        for _ in range(14):  # to 0.06% of the limits
            middle = (low + high) / 2
            low, high = (low, middle) if grows(middle, beta) else (middle, high)
        # near the limit a start grows by 1 + c (rate / limit - 1) a step, with c >= 0.1: 4000 steps tell 0.1%
        np.testing.assert_allclose((low + high) / 2, limit(beta) / curvature, rtol=0.002)


def test_full_batch_training_sharpens_until_two_over_the_rate_and_hovers_there():
    problem = training(
        network=mlp(depth=2, width=1 / 16, activation="tanh"),
        data=first_digits(100),
        task=classification(loss="squared"),
        batch_size=0,
        gain=0.5,
        evaluated=16,
    )

    @jax.jit
    @jax.vmap
    def descend(rate):
        asked = {"sharpness": probes.sharpness}
        return optlab.run(
            problem, optlab.gradient_descent(rate), jax.random.key(0), steps=2000, record=100, probes=asked
        )

    rates = np.array([0.1, 0.15])
    trace = descend(rates)
    relative = np.asarray(trace["sharpness"]) * rates[:, None] / 2
    assert (relative[:, 0] < 0.6).all()  # it begins well below
    assert (trace["value"][:, -1] < 0.01 * trace["value"][:, 0]).all()  # and trains all the while
    # measured: 0.98 to 1.10 and 1.00 to 1.04 over the second half; it oscillates, so that no step is exact
    np.testing.assert_allclose(relative[:, 10:], 1, atol=0.12)
    np.testing.assert_allclose(relative[:, 10:].mean(axis=1), 1, atol=0.04)


# What an initialization does to signals


@functools.cache
def signals(activation, width=1.0):
    """(parameters) -> root mean square of each hidden layer's outputs, after the activation and before: two `[10]`."""
    network, side = mlp(depth=10, width=width, activation=activation), round(512 * width) // 32
    inputs = jax.random.normal(jax.random.key(7), (512, side, 32, 1), jnp.float32)
    act = {"identity": lambda x: x, "relu": jax.nn.relu, "tanh": jnp.tanh}[activation]

    @jax.jit
    def sizes(params):
        found = []

        def noted(call, args, kwargs, context):
            out = call(*args, **kwargs)
            if isinstance(context.module, nn.Dense):
                found.append(out)
            return out

        with nn.intercept_methods(noted):
            network.apply({"params": params}, inputs)
        rms = [[jnp.sqrt(jnp.mean(f(out) ** 2)) for out in found[:10]] for f in (act, lambda x: x)]
        return jnp.array(rms)

    return sizes, forward(network, inputs.shape[1:]).shapes


def signal_sizes(activation, scheme, gain=1.0, width=1.0):
    sizes, shapes = signals(activation, width)
    params = parameters_drawn(shapes, scheme, gain, jax.random.key(0))
    return np.asarray(sizes(jax.tree.map(lambda leaf: leaf.astype(jnp.float32), params)))


@pytest.mark.parametrize(
    ("scheme", "gain", "ratio"),
    [
        ("normal", 0.1, 0.1 * np.sqrt(512)),
        ("normal", 0.01, 0.01 * np.sqrt(512)),
        ("small", 1.0, 0.01 * np.sqrt(512)),
        ("uniform", 1.0, 1 / np.sqrt(3)),
        ("glorot", 1.0, 1.0),
        ("lecun", 1.0, 1.0),
        ("he", 1.0, np.sqrt(2)),
    ],
)
def test_a_linear_layer_scales_signals_by_what_its_initialization_says(scheme, gain, ratio):
    _, sizes = signal_sizes("identity", scheme, gain)
    # Each layer of 512 units is one draw; measured: all within 0.7%.
    np.testing.assert_allclose(sizes[1:] / sizes[:-1], ratio, rtol=0.02)


def test_an_orthogonal_layer_keeps_lengths_exactly():
    _, sizes = signal_sizes("identity", "orthogonal", width=1 / 8)
    # as many units as inputs: a rotation, but for the rounding of float32
    np.testing.assert_allclose(sizes[1:] / sizes[:-1], 1, rtol=1e-5)


@pytest.mark.parametrize(("scheme", "ratio"), [("he", 1.0), ("glorot", np.sqrt(0.5))])
def test_a_relu_layer_halves_the_variance_for_which_he_makes_up(scheme, ratio):
    _, sizes = signal_sizes("relu", scheme)
    # All inputs come to point the same way, so that one layer is off by up to 8%: the mean of nine (measured 0.2%).
    np.testing.assert_allclose((sizes[-1] / sizes[0]) ** (1 / 9), ratio, rtol=0.03)


def test_tanh_lets_signals_decay_slowly_under_glorot_too():
    sizes, _ = signal_sizes("tanh", "glorot")
    # E tanh(z)^2 = 0.628^2 for a standard normal z, and so on with its variance; measured: 0.627 to 0.231
    np.testing.assert_allclose(sizes, _tanh_decay(10), rtol=0.03)
    np.testing.assert_allclose(sizes[[0, -1]], [0.63, 0.23], rtol=0.02)
    assert (np.diff(sizes[1:] / sizes[:-1]) > 0).all()  # ever more slowly


def _tanh_decay(layers):
    """The root mean squares of infinitely wide layers, by quadrature."""
    z, weights = np.polynomial.hermite_e.hermegauss(80)
    found, size = [], 1.0
    for _ in range(layers):
        size = np.sqrt(weights @ np.tanh(size * z) ** 2 / weights.sum())
        found.append(size)
    return found


def test_layer_sequential_unit_variance_is_what_its_name_says():
    data = first_digits(SEEN)

    @jax.jit
    def variances(gain):
        problem = training(network=lenet5(width=1 / 3), data=data, init="lsuv", gain=gain, batch_size=0)
        return activation_variance(problem, problem.init(jax.random.key(1)))

    for gain in (1.0, 0.3):
        assert variances(gain).shape == (5,)  # convolutions and dense layers
        np.testing.assert_allclose(variances(gain), gain**2, rtol=1e-5)  # rounding of float32


# Symmetry


def test_units_that_begin_equal_stay_equal_to_the_bit():
    network = mlp(depth=2, width=1 / 32, activation="tanh")
    problem = training(network=network, data=digits(), evaluated=16)
    shapes = forward(network, (8, 8, 1)).shapes

    @jax.jit
    def train(params):
        begun = problem._replace(init=lambda key: params)
        kernels = {name: lambda _, params, name=name: params[name]["kernel"] for name in ("dense1", "dense2", "head")}
        return optlab.run(begun, optlab.heavy_ball(0.1), jax.random.key(0), steps=50, record="last", probes=kernels)

    for scheme in ("zeros", "constant", "glorot"):
        trace = jax.tree.map(np.asarray, train(parameters_drawn(shapes, scheme, 1.0, jax.random.key(0))))
        for name in ("dense1", "dense2"):
            before, after = trace[name]
            equal = (after == after[:, :1]).all()
            assert equal == (scheme != "glorot")
            # Nothing passes through zeros, either way: only the last bias moves. What is constant does learn.
            assert (after == before).all() == (scheme == "zeros")
        if scheme == "zeros":
            assert not trace["head"].any()


# Noise


def test_the_noise_of_a_batch_is_that_of_one_example_over_its_size_less_what_drawing_without_replacement_saves():
    size, n = 359, len(digits().train.inputs)  # a quarter of all: then the saving is a quarter too
    problem = training(network=logistic_regression(), data=digits(), batch_size=size)
    params = problem.init(jax.random.key(0))
    whole = problem._replace(batch=None)  # only its loss is asked

    def gradient(batch):
        return jax.flatten_util.ravel_pytree(jax.grad(whole.loss)(params, batch))[0]

    train, data = digits().train, digits()
    inputs = jnp.asarray(workloads.standardised(train.inputs, data.mean, data.scale))
    every = problem.batch(problem.data, jax.random.key(0))._replace(inputs=inputs, targets=jnp.asarray(train.targets))

    @jax.jit
    def measured():
        one_by_one = jax.vmap(lambda x, y: gradient(every._replace(inputs=x[None], targets=y[None])))(
            every.inputs, every.targets
        )
        mean = one_by_one.mean(0)
        sigma = jnp.mean(jnp.sum((one_by_one - mean[None]) ** 2, axis=1))

        def apart(batch):
            return jnp.sum((gradient(batch) - mean) ** 2)

        def with_replacement(key):
            rows = jax.random.randint(key, (size,), 0, n)
            return apart(every._replace(inputs=every.inputs[rows], targets=every.targets[rows]))

        keys = jax.random.split(jax.random.key(1), 600)
        passes = lax.map(lambda step: apart(problem.passes(problem.data, jax.random.key(2), step)), jnp.arange(600))
        return sigma, jnp.mean(lax.map(with_replacement, keys)), jnp.mean(passes)

    sigma, independent, passes = measured()
    # 600 batches, of which each tells the trace to 34%: 1.4% for their mean (over 14,400 passes agree to 0.3%)
    np.testing.assert_allclose(independent, sigma / size, rtol=0.05)
    np.testing.assert_allclose(passes, sigma / size * (n - size) / (n - 1), rtol=0.05)


# Momentum


def test_momentum_multiplies_a_small_rate_by_one_over_one_minus_momentum_and_a_large_one_not():
    problem = training(network=logistic_regression(), data=digits(), batch_size=64, evaluated=1438)

    @jax.jit
    @jax.vmap
    def train(rate, momentum):
        return optlab.run(problem, optlab.heavy_ball(rate, momentum), jax.random.key(0), steps=1000, record="last")

    small, large = 0.002, 0.3
    trace = train(jnp.array([small, small / 0.1, large, large / 0.1]), jnp.array([0.9, 0.0, 0.9, 0.0]))
    x, value = np.asarray(trace["x"]), np.asarray(trace["value"])[:, -1]

    def apart(with_it, without):
        return np.linalg.norm(x[with_it, -1] - x[without, -1]) / np.linalg.norm(x[without, -1] - x[without, 0])

    # measured: 0.57% of the way, 0.47% of the loss; it lags 1 / (1 - momentum) of 1000 steps behind
    assert apart(0, 1) < 0.01
    np.testing.assert_allclose(value[0], value[1], rtol=0.01)
    assert apart(2, 3) > 0.1  # measured: 12%


def test_momentum_converges_at_rates_whose_plain_equivalent_diverges():
    # between 2 (1 - momentum) / lambda, where the plain one ends, and 2 (1 + momentum) / lambda
    problem = optlab.problems.from_surface(optlab.surfaces.quadratic())
    top = jax.jit(lambda: probes.sharpness(problem, problem.init(jax.random.key(0))))()

    @jax.jit
    @jax.vmap
    def train(rate, momentum):
        optimizer = optlab.heavy_ball(rate, momentum)
        return optlab.run(problem, optimizer, jax.random.key(0), steps=1000, record="last")

    status = train(jnp.array([1.0, 10.0]) / top, jnp.array([0.9, 0.0]))["status"][:, -1]
    assert [Status(code) for code in status.tolist()] == [Status.converged, Status.diverged]


# What switches off in evaluation


@pytest.mark.parametrize(
    "network",
    [mlp(depth=2, width=1 / 16, dropout=0.5), resnet(depth=8, width=1 / 8, survival=0.3)],
    ids=["dropout", "stochastic depth"],
)
def test_chance_acts_in_training_and_not_in_evaluation(network):
    net = forward(network, (8, 8, 1))
    params = parameters_drawn(net.shapes, "he", 1.0, jax.random.key(0))
    inputs = jax.random.normal(jax.random.key(0), (4, 8, 8, 1))

    @jax.jit
    def outputs(key):
        settled = network.apply({"params": params}, inputs, train=False)
        return net.train(params, inputs, key), net.evaluate(params, net.calibrate(params, inputs), inputs), settled

    (train, evaluated, settled), (train_again, evaluated_again, _) = map(outputs, map(jax.random.key, (1, 2)))
    assert net.random
    assert np.abs(train - train_again).max() > 0.01
    np.testing.assert_array_equal(evaluated, evaluated_again)
    np.testing.assert_allclose(evaluated, settled, rtol=1e-12)


def test_batch_normalisation_is_measured_with_the_statistics_of_the_training_set():
    network, data = mlp(depth=2, width=1 / 32, norm="batch"), digits()
    problem = training(network=network, data=data, evaluated=100)
    net = forward(network, (8, 8, 1))
    params = problem.init(jax.random.key(0))
    inputs = workloads.standardised(np.asarray(data.train.inputs), data.mean, data.scale)

    @jax.jit
    def outputs(calibration, rows):
        return net.evaluate(params, net.calibrate(params, calibration), rows), net.train(params, rows)

    measured, trained = outputs(inputs[:1024], inputs[:100])
    alone, trained_alone = outputs(inputs[:1024], inputs[:10])
    # what an example gets depends on no other of its batch, but in training
    np.testing.assert_allclose(alone, measured[:10], rtol=1e-9)
    assert np.abs(trained_alone - trained[:10]).max() > 0.1
    assert np.abs(outputs(inputs[:50], inputs[:100])[0] - measured).max() > 0.01
    labels = np.asarray(data.train.targets[:100])
    # 1e-7: the inputs are standardised in float32
    expected = optax.softmax_cross_entropy_with_integer_labels(measured, labels).mean()
    np.testing.assert_allclose(jax.jit(problem.measure)(params, problem.data)["value"], expected, rtol=1e-7)


def test_orthogonal_layers_of_many_lanes_do_not_wait_for_one_another():
    # They did, for ever: a batched factorization waits for the pool of threads that it runs on itself.
    code = """
import jax
from optlab.workloads.initializers import parameters_drawn
shapes = {f"d{k}": {"kernel": jax.ShapeDtypeStruct((64, 64), float)} for k in range(10)}
draw = jax.jit(jax.vmap(lambda key: parameters_drawn(shapes, "orthogonal", 1.0, key)))
jax.block_until_ready(draw(jax.random.split(jax.random.key(0), 9)))
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
