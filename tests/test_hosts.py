"""Two processes that know each other by `jax.distributed` do one sweep: each run once, the tables those of one."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import optax
import pandas as pd
import pyarrow.parquet as pq
import pytest

import optlab
from optlab.app.plan import Group, pieces

pytestmark = pytest.mark.xdist_group("hosts")

#: Two groups, one of which is large enough to be divided.
SWEEP = ["-m", "problem=beale", "optimizer=adam,sgd", "problem.start=random", "seed=range(0,5000)", "record=last"]
VARYING = ["seconds", "compile_seconds", "program_bytes", "study", "environment_id"]

#: The same by a Python program: each process has its share of the runs.
PROGRAM = """
import json, sys
import jax
jax.distributed.initialize(f"127.0.0.1:{sys.argv[1]}", 2, int(sys.argv[2]))
import numpy as np, optax, optlab
mine = np.array_split(np.logspace(-3, -1, 7), jax.process_count())[jax.process_index()]
problem = optlab.problems.from_surface(optlab.surfaces.beale())
print(json.dumps(optlab.run_sweep(problem, optax.adam, {"learning_rate": mine}, steps=50)["value"][:, -1].tolist()))
"""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def start(*words):
    words = [sys.executable, *map(str, words)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def on_two(folder, *words):
    port = free_port()
    for process in (0, 1):
        where = [f"engine.coordinator=127.0.0.1:{port}", "engine.processes=2", f"engine.process={process}"]
        yield start("-m", "optlab", *words, f"results={folder}", "engine=hosts", *where)


def runs_of(folder):
    parts = [pq.read_table(path, partitioning=None) for path in (folder / "runs").glob("*.parquet")]
    runs = optlab.load(folder).runs.set_index("run_id").sort_index()
    assert sum(len(part) for part in parts) == len(runs) == 10_000
    return runs.drop(columns=VARYING)


def test_two_processes_share_a_sweep_and_one_finishes_it_when_the_other_is_lost(tmp_path):
    alone = start("-m", "optlab", *SWEEP, "steps=20", f"results={tmp_path}", "name=alone")
    _, errors = alone.communicate(timeout=300)
    assert alone.returncode == 0, errors
    wanted = runs_of(tmp_path / "alone")
    both = list(on_two(tmp_path, *SWEEP, "steps=20", "name=both"))
    done = [(*process.communicate(timeout=300), process.returncode) for process in both]
    assert [code for *_, code in done] == [0, 0], done
    # The same programs on the same machine: the same digits
    pd.testing.assert_frame_equal(runs_of(tmp_path / "both")[list(wanted)], wanted)

    left, killed = on_two(tmp_path, *SWEEP, "steps=20", "name=lost")
    while not (tmp_path / "lost" / ".locks").exists() and killed.poll() is None:
        time.sleep(0.05)  # they are connected no longer, and at work
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    _, errors = left.communicate(timeout=300)
    assert left.returncode == 0, errors
    pd.testing.assert_frame_equal(runs_of(tmp_path / "lost")[list(wanted)], wanted)


def test_two_processes_of_a_python_program_have_their_shares():
    port = free_port()
    both = [start("-c", PROGRAM, port, process) for process in (0, 1)]
    done = [(*process.communicate(timeout=300), process.returncode) for process in both]
    assert [code for *_, code in done] == [0, 0], done
    values = [value for out, *_ in done for value in json.loads(out)]
    problem = optlab.problems.from_surface(optlab.surfaces.beale())

    wanted = optlab.run_sweep(problem, optax.adam, {"learning_rate": np.logspace(-3, -1, 7)}, steps=50)
    np.testing.assert_allclose(values, wanted["value"][:, -1], rtol=1e-3)  # float32 against float64, 50 steps


def group_of(size, target="optlab.surfaces.beale"):
    seeds = np.arange(size)
    return Group({"problem": {"_target_": target}}, {"optimizer.learning_rate": seeds * 1.0}, seeds)


def test_large_groups_are_divided_and_small_ones_are_not():
    def sizes(group, count):
        parts = pieces([group], count)
        assert np.concatenate([part.seeds for part in parts]).tolist() == group.seeds.tolist()
        return [part.size for part in parts]

    assert sizes(group_of(4096), 8) == [4096]
    assert sizes(group_of(9000), 2) == [5120, 3880]
    assert sizes(group_of(1_000_000), 4) == [250_880] * 3 + [247_360]
    assert sizes(group_of(10, "optlab.workloads.training"), 4) == [3, 3, 3, 1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "the processes cannot find each other: "),
        (["engine.coordinator=here"], "engine.coordinator must be ADDRESS:PORT, not 'here'"),
        (["engine.coordinator=here:1", "engine.processes=0"], "engine.processes must be a whole number of at least 1"),
        (["engine.coordinator=here:1", "engine.processes=2", "engine.process=2"], "must be a whole number from 0 to 1"),
    ],
)
def test_processes_that_cannot_find_each_other_say_so(optlab_command, words, said):
    code, _, errors = optlab_command("problem=beale", "optimizer=adam", "steps=5", "engine=hosts", *words)
    assert code == 2 and said in errors
