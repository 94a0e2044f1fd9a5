"""Training through `optlab.run` and the command: every workload, what is frozen, resumed, swept, measured."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import yaml
from test_data import cifar_files, mnist_files, write

import optlab
from optlab import workloads
from optlab.app import catalogue, long_runs
from optlab.app.build import make
from optlab.workloads import load_parameters, mlp, mnist_1d, training

#: The command with a network that compiles in no time, and few of its own defaults.
TINY = (
    "problem=mlp_mnist_1d", "problem.data.count=64", "problem.network.depth=1", "problem.network.width=0.02",
    "problem.batch_size=16", "optimizer=adam",
)  # fmt: skip


def tiny(**choices):
    choices = {"network": mlp(depth=1, width=0.02), "data": mnist_1d(count=64), "batch_size": 16} | choices
    return training(**choices)


def equal(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


# The catalogue

#: What makes a network of the catalogue small enough to be compiled in a test; width is none of it.
SHALLOW = {"detector": 1, "inception": 1, "unet": 1}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders with files of the real formats, by the function that reads them."""
    root = tmp_path_factory.mktemp("data")
    files = {
        "mnist": mnist_files(),
        "fashion_mnist": mnist_files(),
        "cifar10": cifar_files(10),
        "cifar100": cifar_files(100),
    }
    return {name: write(root / name, content) for name, content in files.items()}


def source(name):
    """The function that a workload's data comes from."""
    return catalogue.entry("problem", name).settings["data"]["_target_"].rpartition(".")[2]


def stated(name, folders, **network):
    """The node of a workload's file, its data no more than a few examples."""
    entry = catalogue.entry("problem", name)
    node = {"_target_": entry.target} | entry.settings
    few = {"folder": folders[source(name)]} if source(name) in FILES else {"count": 64}
    few = {} if source(name) == "digits" else few
    size = {"batch_size": 0 if node.get("batch_size") == 0 else 2, "evaluated": 4}
    return node | size | {"data": node["data"] | few, "network": node["network"] | network}


TRAINING = "optlab.workloads.training"
WORKLOADS = [name for name in catalogue.names("problem") if catalogue.entry("problem", name).target == TRAINING]
FILES = ("mnist", "fashion_mnist", "cifar10", "cifar100")
HERE = [name for name in WORKLOADS if source(name) not in FILES]  # those that need no download


@pytest.mark.parametrize("name", WORKLOADS)
def test_each_workload_is_made_as_its_file_has_it(name, folders):
    entry = catalogue.entry("problem", name)
    assert entry.summary.endswith(".") and 0 < entry.settings["target"] < 1 and entry.settings["budget"] > 0
    problem = make(stated(name, folders))
    params = jax.eval_shape(problem.init, jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) > 100
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.zeros(()).dtype}


@pytest.mark.parametrize("name", HERE)
def test_each_workload_has_a_finite_loss_and_gradient_when_small(name):
    network = catalogue.entry("problem", name).settings["network"]
    kind = network["_target_"].rpartition(".")[2]
    small = {} if kind in ("lenet5", "logistic_regression") else {"width": 0.03}
    small |= {"depth": SHALLOW[kind]} if kind in SHALLOW else {}
    with jax.enable_x64(False):
        problem = make(stated(name, {}, **small))

        @jax.jit
        def evaluated(key, data):
            params = problem.init(key)
            return jax.value_and_grad(problem.loss)(params, problem.batch(data, key))

        value, gradient = evaluated(jax.random.key(0), problem.data)
    assert value > 0 and all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((value, gradient)))
    assert any(np.any(leaf) for leaf in jax.tree.leaves(gradient))


def test_the_page_on_workloads_shows_one_that_is_made():
    page = (Path(__file__).parents[1] / "docs" / "adding_a_workload.md").read_text()
    (code,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    problem = make(yaml.safe_load(code))
    assert len(jax.eval_shape(problem.init, jax.random.key(0))) == 11  # ten layers and a head


def test_lenet_learns_the_digits_and_the_table_says_when(optlab_command, tmp_path):
    code, _, errors = optlab_command("problem=lenet_digits", "optimizer=adam", "steps=150", "problem.target=0.9")
    assert code == 0, errors
    results = optlab.load(tmp_path)
    (run,) = results.runs.to_dict("records")
    assert run["validation_accuracy"] >= 0.95 and run["precision"] == "float32"
    curve = results.curves.sort_values("step")
    assert curve.step.tolist() == list(range(0, 151, 3))  # record=linear
    first = curve[curve.validation_accuracy >= 0.9].iloc[0]
    assert run["target_step"] == first.step > 0
    assert run["target_seconds"] == pytest.approx(run["seconds"] * first.step / 150)


# Batches


def test_the_batches_of_a_pass_make_up_the_whole():
    small, whole = tiny(), tiny(batch_size=0)
    params, key = small.init(jax.random.key(1)), jax.random.key(2)

    @jax.jit
    def of(params, data):
        step = jax.value_and_grad(small.loss)
        batches = [small.passes(data, key, k) for k in range(4, 8)]  # the second pass
        return (
            [batch.inputs for batch in batches],
            [step(params, b) for b in batches],
            jax.value_and_grad(whole.loss)(params, whole.batch(data, key)),
        )

    seen, parts, (value, gradient) = of(params, small.data)
    data = mnist_1d(count=64)
    inputs = workloads.standardised(data.train.inputs, data.mean, data.scale).reshape(64, -1)
    rows = np.concatenate(seen).reshape(64, 1, -1)
    which = np.abs(rows - inputs[None]).max(axis=-1).argmin(axis=-1)
    assert sorted(which.tolist()) == list(range(64))  # each once
    np.testing.assert_allclose(rows[:, 0], inputs[which], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.mean([value for value, _ in parts]), value, rtol=1e-12)
    mean = jax.tree.map(lambda *leaves: np.mean(leaves, axis=0), *(gradient for _, gradient in parts))
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, atol=1e-12), mean, gradient)


def test_all_examples_as_a_batch_are_the_whole_set():
    def trace(batch_size):
        problem = tiny(batch_size=batch_size)
        assert problem.passes is None
        run = jax.jit(lambda data: optlab.run(
            problem._replace(data=data), optax.sgd(0.1), jax.random.key(0), steps=5, record="all", probes={}
        ))  # fmt: skip
        return run(problem.data)

    one, other = trace(0), trace(64)
    equal(one, other)
    assert one["value"][-1] < one["value"][0] and set(one) >= {"validation_loss", "validation_accuracy"}


# Layers that stay, and parameters of other runs


def test_frozen_layers_stay_and_the_others_move(optlab_command, tmp_path):
    words = ("-m", *TINY, "problem.network.depth=2", "problem.frozen=[dense1]", "steps=1,4", "save=true")
    code, _, errors = optlab_command(*words)
    assert code == 0, errors
    early, late = parameters_of(tmp_path)
    assert set(early) == set(late) == {"dense1", "dense2", "head"}  # what was frozen is kept too
    moved = {layer for layer in early if not np.array_equal(early[layer]["kernel"], late[layer]["kernel"])}
    assert moved == {"dense2", "head"}


def parameters_of(results):
    """The saved parameters of the runs of a study, by rising budget and seed."""
    runs = optlab.load(results).runs.sort_values(["max_steps", "seed"])
    return [load_parameters(results / "study" / "parameters" / run_id) for run_id in runs.run_id]


@pytest.mark.parametrize(
    ("choices", "trained"),
    [
        ({"frozen": ["dense1", "head"]}, ["dense2"]),
        ({"frozen": "head"}, ["dense1", "dense2"]),
        ({"frozen": ["head/kernel"]}, ["dense1", "dense2", "head"]),
        ({"trainable_layers": 1}, ["head"]),
        ({"trainable_layers": 2}, ["dense2", "head"]),
        ({"trainable_layers": 2, "frozen": ["head"]}, ["dense2"]),
    ],
    ids=str,
)
def test_layers_are_frozen_by_name_and_from_the_input_up(choices, trained):
    problem = tiny(network=mlp(depth=2, width=0.02), **choices)
    params = jax.eval_shape(problem.init, jax.random.key(0))
    assert set(params) == set(trained)
    kept = {**params, **problem.data.frozen}
    assert set(kept) == {"dense1", "dense2", "head"}
    gradient = jax.eval_shape(jax.grad(problem.loss), params, problem.batch(problem.data, jax.random.key(0)))
    assert jax.tree.structure(gradient) == jax.tree.structure(params)


def test_a_run_begins_with_the_parameters_of_another_and_draws_some_layers_anew(optlab_command, tmp_path):
    assert optlab_command(*TINY, "steps=40", "save=true")[0] == 0
    (before,) = optlab.load(tmp_path).runs.run_id
    (saved,) = parameters_of(tmp_path)
    folder = f"{tmp_path}/study/parameters/{before}"
    equal(tiny(parameters=folder).init(jax.random.key(5)), saved)
    code, _, errors = optlab_command(
        *TINY, f"problem.parameters={folder}", "problem.redrawn=[head]", "problem.trainable_layers=1",
        "steps=40", "save=true", f"results={tmp_path / 'tuned'}",
    )  # fmt: skip
    assert code == 0, errors
    (tuned,) = parameters_of(tmp_path / "tuned")
    equal(tuned["dense1"], saved["dense1"])
    assert not np.array_equal(tuned["head"]["kernel"], saved["head"]["kernel"])
    value = optlab.load(tmp_path / "tuned").curves.sort_values("step").value
    assert value.iloc[-1] < value.iloc[0]


# Interrupted, and gone on with


@pytest.mark.filterwarnings("default")  # a damaged state is warned of
@pytest.mark.parametrize("damaged", [False, True], ids=["whole", "the last state damaged"])
def test_a_run_that_goes_on_equals_one_that_never_stopped_to_the_bit(optlab_command, tmp_path, monkeypatch, damaged):
    words = ("-m", *TINY, "problem.network.dropout=0.2", "problem.augment.noise=0.1", "seed=0,1", "steps=40",
             "record=8", "save=true", "checkpoint=0", "optimizer.average=0.9")  # fmt: skip
    assert optlab_command(*words, f"results={tmp_path / 'whole'}")[0] == 0

    plain = long_runs._saver

    def saver(*about):
        save = plain(*about)

        def stops(row, trace, state):
            save(row, trace, state)
            if row == 3:
                raise KeyboardInterrupt

        return stops

    here = f"results={tmp_path / 'parts'}"
    monkeypatch.setattr(long_runs, "_saver", saver)
    code, _, errors = optlab_command(*words, here)
    assert code == 130 and "the same command goes on from there" in errors
    states = tmp_path / "parts" / "study" / "checkpoints"
    assert sorted(place.name for chunk in states.iterdir() for place in chunk.iterdir()) == ["2", "3"]
    if damaged:
        (last,) = states.glob("*/3")
        victim = max((path for path in last.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
        victim.write_bytes(victim.read_bytes()[:-10])

    done = []
    monkeypatch.setattr(long_runs, "_saver", lambda *about: lambda row, trace, state: done.append(row))
    code, _, errors = optlab_command(*words, here)
    assert code == 0 and ("a saved state is left out" in errors) == damaged, errors
    assert done == [3, 4, 5, 6][not damaged :]  # of steps 0, 8, 16, 24, 32, 40
    assert not states.exists()
    whole, parts = (optlab.load(tmp_path / name) for name in ("whole", "parts"))
    columns = [name for name in whole.curves if "seconds" not in name]
    one, other = (
        tables.curves.sort_values(["run_id", "step"])[columns].reset_index(drop=True) for tables in (whole, parts)
    )
    assert one.equals(other) and one.step.nunique() == 6
    equal(parameters_of(tmp_path / "whole"), parameters_of(tmp_path / "parts"))


# Sweeps and precision


def test_members_side_by_side_train_as_each_does_alone(optlab_command, tmp_path):
    words = (*TINY, "steps=30", "record=10")
    code, output, errors = optlab_command("-m", *words, "optimizer.learning_rate=0.001,0.01", "seed=0,1")
    assert code == 0 and "4 of 4 runs" in output, errors
    alone = tmp_path / "alone"
    assert optlab_command(*words, "optimizer.learning_rate=0.01", "seed=1", f"results={alone}")[0] == 0
    (run_id,) = optlab.load(alone).runs.run_id
    together = optlab.load(tmp_path / "study").curves
    assert together.run_id.nunique() == 4
    one, other = (c[c.run_id == run_id].sort_values("step") for c in (together, optlab.load(alone).curves))
    assert one.step.tolist() == [0, 10, 20, 30]
    # A product of matrices with a member axis sums in another order: float32's rounding, over 30 steps.
    for name in ("value", "validation_loss", "grad_norm"):
        np.testing.assert_allclose(one[name], other[name], rtol=1e-4)


@pytest.mark.parametrize(
    ("words", "tolerance"),
    [
        (["precision=float64"], 1e-3),  # float32 follows it for a few steps
        (["problem.compute=bfloat16"], 0.1),  # of 8 bits
        (["problem.network.norm=batch"], None),
        (["schedule=cosine", "schedule.warmup=0.2", "optimizer.cycle_momentum=[0.85,0.95]"], None),
        (["problem.init=lsuv"], None),
        (["problem.augment={shift: 0, brightness: 0.1}", "problem.task={_target_: optlab.workloads.classification, "
          "label_smoothing: 0.1}"], None),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)  # fmt: skip
def test_other_numbers_and_choices_train_too(words, tolerance, optlab_command, tmp_path):
    code, _, errors = optlab_command(*TINY, *words, "steps=40", "record=20")
    assert code == 0, errors
    curve = optlab.load(tmp_path / "study").curves.sort_values("step")
    assert np.isfinite(curve[["value", "validation_loss", "validation_accuracy"]]).all(axis=None)
    assert curve.value.iloc[-1] < curve.value.iloc[0]
    if tolerance is not None:
        assert optlab_command(*TINY, "steps=40", "record=20", f"results={tmp_path / 'usual'}")[0] == 0
        usual = optlab.load(tmp_path / "usual").curves.sort_values("step")
        np.testing.assert_allclose(curve.value, usual.value, rtol=tolerance)


def test_a_schedule_for_a_method_without_a_learning_rate_is_a_note(optlab_command, tmp_path):
    code, output, errors = optlab_command("-m", *TINY, "optimizer=adam,lbfgs", "schedule=cosine", "steps=2")
    assert code == 0, errors
    runs = optlab.load(tmp_path).runs
    assert not runs.reached.any() and runs.target_step.isna().all()  # after two steps
    assert "note: optimizer lbfgs has no learning_rate: no schedule for it" in output
    assert set(runs.optimizer) == {"adam", "lbfgs"}
