"""Inputs that excite a unit (`optlab/workloads/dreaming.py`)."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optlab
from optlab import workloads


def test_the_picture_of_a_linear_unit_is_its_weights_over_the_price():
    network = workloads.logistic_regression()
    problem = workloads.dreaming(network=network, data=workloads.digits(), unit=3, weight_decay=0.5, init="lecun")
    params, _ = problem.data
    found = optlab.minimize(
        lambda image: problem.loss(image, problem.data), problem.init(jax.random.key(1)), optlab.bfgs()
    )
    weights = np.asarray(params["head"]["kernel"])[:, 3].reshape(8, 8, 1)
    np.testing.assert_allclose(found.x, weights / 0.5, atol=1e-6)  # -w'x + x'x / 4 is least at 2 w; to bfgs's gtol
    measured = problem.measure(found.x, problem.data)
    np.testing.assert_allclose(measured["activation"], np.sum(weights**2) / 0.5, rtol=1e-6)
    np.testing.assert_allclose(measured["value"], -np.sum(weights**2) / (2 * 0.5), rtol=1e-6)


def test_a_channel_of_a_convolution_is_excited_more_than_by_chance_and_batches_over_units_agree_with_the_network():
    network, data = workloads.lenet5(), workloads.digits()
    problem = workloads.dreaming(network=network, data=data, layer="conv1", unit=2)
    run = jax.jit(lambda key: optlab.run(problem, optax.adam(0.1), key, steps=60, record=20))
    trace = run(jax.random.key(0))
    assert trace["activation"][-1] > 5 * abs(trace["activation"][0])  # from noise of 0.1 a pixel
    params, _ = problem.data
    image = trace["x"][-1].reshape(1, 8, 8, 1)
    kernel = params["conv1"]["kernel"]
    expected = jax.lax.conv_general_dilated(image, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    expected = jnp.mean(expected[..., 2]) + params["conv1"]["bias"][2]
    np.testing.assert_allclose(trace["activation"][-1], expected, rtol=1e-5)


def test_from_the_command_line_with_the_parameters_of_a_run(optlab_command, tmp_path):
    trained = ["problem=lenet_digits", "optimizer=adam", "steps=20", "save=true", "record=last", "name=trained"]
    assert optlab_command(*trained)[0] == 0
    run_id = optlab.load(tmp_path / "trained").runs.run_id.item()
    saved = tmp_path / "trained" / "parameters" / run_id
    code, _, errors = optlab_command(
        "problem=dream_digits",
        f"problem.parameters={saved}",
        "problem.unit=7",
        "steps=20",
        "optimizer=adam",
        "name=dream",
    )
    assert code == 0, errors
    results = optlab.load(tmp_path / "dream")
    assert (
        results.curves.sort_values("step").activation.iloc[-1] > results.curves.sort_values("step").activation.iloc[0]
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["problem.layer=conv9"], "layer must be one of conv1, conv2, dense1, dense2, head, not 'conv9'"),
        (["problem.unit=10"], "head has the units 0 to 9, not 10"),
        (["problem.init=magic"], "init must be one of"),
        (["problem.parameters=/nowhere"], "no saved parameters in /nowhere"),
    ],
)
def test_bad_input_is_one_sentence(optlab_command, words, sentence):
    code, _, errors = optlab_command("problem=dream_digits", "optimizer=adam", "steps=2", *words)
    assert (code, errors.count("\n")) == (2, 1) and sentence in errors
