"""What is checked on eight devices, which a process must have from its start: `test_devices` starts this one.

Each function is a check against one device, JAX's default being the only one then. Prints {check: what it failed with}.
"""

import json
import sys
import tempfile
import traceback
import warnings
from contextlib import contextmanager
from pathlib import Path

import conftest  # noqa: F401
import jax
import numpy as np
import optax
import pandas as pd

if __name__ == "__main__":
    jax.config.update("jax_num_cpu_devices", 8)

import optlab  # noqa: E402
from optlab import devices, narrowing, workloads  # noqa: E402
from optlab.app.main import _guarded  # noqa: E402
from optlab.workloads import mlp, mnist_1d  # noqa: E402

#: Columns that tell of a machine and a moment.
VARYING = ["seconds", "compile_seconds", "program_bytes", "target_seconds", "environment_id"]


@contextmanager
def one_device():
    before = jax.config.values["jax_default_device"]
    jax.config.update("jax_default_device", jax.devices()[0])  # for all threads
    try:
        assert devices.mesh_for(8) is None
        yield
    finally:
        jax.config.update("jax_default_device", before)


def assert_same(sweep, rtol, atol=0.0):
    """A sweep's trace, all devices against one."""
    together = sweep()
    with one_device():
        alone = sweep()
    assert together.keys() == alone.keys()
    for name in alone:
        np.testing.assert_allclose(together[name], alone[name], rtol=rtol, atol=atol, err_msg=name)
    return together


def rosenbrock(size, **how):
    rates = {"learning_rate": np.logspace(-4, 0, size)}
    problem = optlab.problems.from_surface(optlab.surfaces.rosenbrock(), start="random")
    return optlab.run_sweep(problem, optax.adam, rates, seeds=np.arange(size), steps=100, **how)


def lanes_that_do_not_divide():
    """Five chunks of 8 x 2 lanes and some."""
    assert devices.mesh_for(67).shape == {"runs": 8}
    # Other vector widths round differently; 100 steps of Adam amplify that by less than 1e4.
    assert len(assert_same(lambda: rosenbrock(67, lanes=2), rtol=1e-11, atol=1e-11)["value"]) == 67


def fewer_lanes_than_devices():
    assert devices.mesh_for(3).shape == {"runs": 3}
    assert_same(lambda: rosenbrock(3, record="all"), rtol=1e-11, atol=1e-11)


def lanes_that_go_on_in_a_narrower_program():
    """Devices whose lanes end at once, in time or never, each with its own share of what is left."""
    narrowing.NARROWEST, narrowing.WORTHWHILE = 4, 0
    problem = optlab.problems.from_surface(optlab.surfaces.quadratic(dim=3, condition=10.0), start=np.full(3, 1e-3))
    numbers = {"learning_rate": np.logspace(-2.7, 0.5, 256)}
    trace = assert_same(
        lambda: optlab.run_sweep(problem, optax.sgd, numbers, steps=3000, gtol=1e-6), rtol=1e-9, atol=1e-300
    )  # gradient descent on a quadratic contracts errors
    assert len(set(trace["status"][:, -1])) == 3


def training(size, batch_size=16, network=None, data=None):
    numbers = {"learning_rate": np.logspace(-2, -1, size)}
    with jax.enable_x64(False):
        network, data = network or mlp(depth=1, width=0.02), data or mnist_1d(count=64)
        problem = workloads.training(network=network, data=data, batch_size=batch_size)
        return optlab.run_sweep(problem, optax.sgd, numbers, seeds=np.arange(size), steps=20, record="all")


# In float32 sums over other partitions differ in the last digits (6e-8), and 20 steps amplify that by less than 1e2.
# Gradient descent, as Adam would make a full step of a gradient that is nothing but rounding.
ROUNDING = {"rtol": 1e-5, "atol": 1e-6}


def many_networks():
    assert_same(lambda: training(10), **ROUNDING)


def one_convolutional_network():
    """Its batch is split, and what is learnt from it added up over devices."""
    images = workloads.digits()
    assert devices.mesh_for(1, lambda: 32).shape == {"examples": 8}
    assert_same(lambda: training(1, 32, workloads.lenet5(), images), **ROUNDING)
    problem = workloads.training(network=mlp(depth=1, width=0.02), data=images, batch_size=32)
    mesh = devices.mesh_for(1, lambda: 32)

    def gradient(params, data):
        shared = devices.sharing(problem, mesh)
        return jax.grad(shared.loss)(params, problem.batch(data, jax.random.key(0)))

    inputs = devices.put((problem.init(jax.random.key(0)), problem.data), mesh, None)
    text = jax.jit(gradient).lower(*inputs).compile().as_text()
    assert "all-reduce" in text and "f32[4," in text.replace("f64", "f32")  # 4 of 32 examples on each


def one_network_with_all_examples_in_a_step():
    assert_same(lambda: training(1, 0), **ROUNDING)


def a_batch_that_does_not_divide():
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert devices.mesh_for(1, lambda: 11) is None and devices.mesh_for(1, lambda: 12).shape == {"examples": 6}
    assert "8 devices cannot have equal shares of 12 examples: 6 used" in str(said[1].message)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert_same(lambda: training(1, 12), **ROUNDING)


NETWORK = ["problem=mlp_mnist_1d", "problem.data.count=64", "problem.network.depth=1", "problem.network.width=0.02"]
NETWORK += ["problem.batch_size=16", "optimizer=adam", "steps=20"]
COMMANDS = {
    "surfaces": ["-m", "problem=rosenbrock,beale", "optimizer=adam", "seed=range(0,13)", "problem.start=random",
                 "steps=60", "record=all", "probe=position"],
    "in_time": ["-m", "problem=beale", "optimizer=adam", "seed=range(0,13)", "problem.start=random", "steps=600",
                "time_limit=1000"],
    "networks": ["-m", *NETWORK, "seed=range(0,10)", "save=path", "checkpoint=0"],
    "network": [*NETWORK, "save=true"],
}  # fmt: skip


def tables():
    """The same runs, columns and rows, their numbers to rounding; the same parameters kept."""
    with tempfile.TemporaryDirectory() as folder:
        for name, words in COMMANDS.items():
            assert _guarded([*words, f"results={folder}/many", f"name={name}"]) == 0
        with one_device():
            for name, words in COMMANDS.items():
                assert _guarded([*words, f"results={folder}/one", f"name={name}"]) == 0
        for name in COMMANDS:
            many, one = (Path(folder, where, name) for where in ("many", "one"))
            for table in ("runs", "curves", "targets"):
                _assert_same_table(optlab.load(many), optlab.load(one), table)
            kept = sorted(path.relative_to(many) for path in many.glob("pa*s/*"))  # paths, parameters
            assert kept == sorted(path.relative_to(one) for path in one.glob("pa*s/*"))
            assert len(kept) == {"networks": 20, "network": 1}.get(name, 0)
            for path in (p for p in kept if p.suffix == ".npz"):
                mine, other = np.load(many / path)["params"], np.load(one / path)["params"]
                np.testing.assert_allclose(mine, other, **ROUNDING)


def _assert_same_table(many, one, table):
    many, one = (getattr(results, table).drop(columns=VARYING, errors="ignore") for results in (many, one))
    keys = [key for key in ("run_id", "step" if table == "curves" else "target") if key in one]
    many, one = (rows.sort_values(keys, ignore_index=True) if keys else rows for rows in (many, one))
    pd.testing.assert_frame_equal(many, one, **ROUNDING)


CHECKS = [
    lanes_that_do_not_divide, fewer_lanes_than_devices, lanes_that_go_on_in_a_narrower_program, many_networks,
    one_convolutional_network, one_network_with_all_examples_in_a_step, a_batch_that_does_not_divide, tables,
]  # fmt: skip

if __name__ == "__main__":
    written, failed = Path(sys.argv[1]), {}  # a command replaces the arguments
    for check in CHECKS:
        try:
            check()
            failed[check.__name__] = None
        except Exception:
            failed[check.__name__] = traceback.format_exc()
    written.write_text(json.dumps(failed))
