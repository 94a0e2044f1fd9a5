"""Every file of the catalogue composes and runs, and a batch gives each run what it has alone."""

import numpy as np
import pytest
from hydra import compose, initialize_config_dir

import optlab
from optlab.app import catalogue, execute, plan
from optlab.app.axes import Axis
from optlab.app.study import plain

GROUPS = ("experiment", "optimizer", "probe", "problem")


def trains_a_network(name):
    """Whether a problem is a workload: those are tested in `test_training`."""
    return catalogue.entry("problem", name).target.startswith(catalogue.WORKLOADS)


SURFACES = [name for name in catalogue.names("problem") if not trains_a_network(name)]


@pytest.fixture(scope="module")
def composed():
    def of(*overrides):
        with initialize_config_dir(str(catalogue.conf_dir()), version_base="1.3"):
            config = compose("config", overrides=list(overrides), return_hydra_config=True)
        return plain(config, dict(config.hydra.runtime.choices)), config

    return of


@pytest.mark.parametrize("group, name", [(group, name) for group in GROUPS for name in catalogue.names(group)])
def test_each_file_composes_and_is_documented(group, name, composed):
    config, whole = composed(f"{group}={name}")
    entry = catalogue.entry(group, name)
    if group == "experiment":
        assert config["name"] == name  # a study's folder is called what its file is called
        assert whole.hydra.mode.name == "MULTIRUN" and whole.hydra.sweeper.params
        assert entry.summary.endswith("?")  # its question comes first
    elif group != "probe":
        (found,) = plan.groups([config], [])[0]
        if group != "problem" or name in SURFACES:
            execute.check_input(found)
        assert entry.summary, f"{entry.target} has no docstring"


def test_each_surface_runs(optlab_command, tmp_path, monkeypatch):
    # Labels have programs of their own, which would double what is compiled here.
    monkeypatch.setattr("optlab.app.endings.labels_of", lambda group, trace: ["none"] * group.size)
    code, output, errors = optlab_command(
        "-m", f"problem={','.join(SURFACES)}", "optimizer=adam", "steps=3", "record=last"
    )
    assert code == 0, errors
    runs = optlab.load(tmp_path).runs
    assert set(runs.problem) == set(SURFACES)
    assert np.isfinite(runs.value).all()


def random_configurations(optimizer, composed, size=4):
    """A group of configurations of one optimizer: rate, seed, start and noise at random, one problem."""
    rng = np.random.default_rng(abs(hash_of(optimizer)))
    problem = rng.choice(["rosenbrock", "beale", "bounded_strict_saddle", "himmelblau"])
    config, _ = composed(f"optimizer={optimizer}", f"problem={problem}")
    axes = [Axis(("steps",), [(60,)]), Axis(("precision",), [(str(rng.choice(["float32", "float64"])),)])]
    columns = {
        "seed": rng.integers(0, 1000, size).tolist(),
        "problem.start": rng.uniform(-1, 1, (size, 2)).tolist(),
    }
    if rng.random() < 0.3:
        columns["problem.noise"] = rng.uniform(0.01, 0.1, size).tolist()
    if "learning_rate" in config["optimizer"]:
        rate = config["optimizer"]["learning_rate"]
        columns["optimizer.learning_rate"] = (rate * 10 ** rng.uniform(-2, -0.5, size)).tolist()
    axes.append(Axis(tuple(columns), list(zip(*columns.values(), strict=True))))
    return plan.groups([config], axes)[0]


def hash_of(text):
    return int.from_bytes(text.encode(), "little") % 2**32


def test_200_random_runs_are_the_same_in_a_batch_and_alone(tmp_path, composed, monkeypatch):
    groups = [g for name in catalogue.names("optimizer") for g in random_configurations(name, composed)]
    assert sum(group.size for group in groups) >= 200
    rows = {}
    for how in ("batch", "alone"):
        if how == "alone":
            monkeypatch.setattr("optlab.widths.CPU_LANES", 1)
        execute.execute(groups, execute.Study(tmp_path / how, how, "e", lambda n: None))
        rows[how] = optlab.load(tmp_path / how).runs.set_index("run_id").sort_index()
    batch, alone = rows["batch"], rows["alone"]
    assert (batch.status != "failed").all()
    # A gradient of 1e-8 is below what float32 can tell: there rounding decides whether a run ends a step later, and at
    # the floor whether a search tries once more.
    single = batch.precision == "float32"
    ended, floor = single & (batch.status == "converged"), single & (batch.status == "stalled")
    clear = ~(ended | floor)
    assert (batch.status == alone.status).all()
    for column, same in {"steps": ~ended, "n_value": clear, "n_grad": clear}.items():
        assert (batch[column] == alone[column])[same].all(), column
    for column in ("steps", "n_value", "n_grad"):
        assert ((batch[column] - alone[column]).abs() <= 1)[ended].all(), column
    # And whether a Krylov method takes a product more to come below its tolerance.
    np.testing.assert_allclose(batch.n_hvp[clear], alone.n_hvp[clear], rtol=0.05)
    for precision, tolerances in TOLERANCES.items():
        here = batch.precision == precision
        for column, tolerance in tolerances.items():
            np.testing.assert_allclose(
                batch[here][column], alone[here][column], rtol=tolerance, atol=tolerance, err_msg=column
            )


#: Programs of other widths fuse and order operations differently: a few units in the last place for each
#: step, amplified over 60 steps by the curvature that a start near a valley's wall meets. In float32 places
#: then differ by about 1e-4, which a curvature of a thousand turns into 0.1 of a gradient.
TOLERANCES = {
    "float64": {"value": 1e-9, "best_value": 1e-9, "grad_norm": 1e-6},
    "float32": {"value": 5e-3, "best_value": 5e-3, "grad_norm": 0.2},
}
