"""The same command on every engine gives the same tables, also where a worker is lost."""

import importlib.util
import inspect
import os
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

import optlab
from optlab.app.catalogue import entry
from optlab.app.engines import ENGINES

pytestmark = pytest.mark.xdist_group("engines")

COMMAND = [sys.executable, "-m", "optlab"]
SWEEP = ["-m", "problem=beale,rosenbrock", "optimizer=adam,gradient_descent", "problem.start=random"]
SWEEP += ["seed=range(0,30)", "optimizer.learning_rate=0.001,0.01", "steps=40"]
VARYING = ["seconds", "compile_seconds", "program_bytes", "target_seconds", "study", "environment_id"]

#: Two Ray nodes on loopback, and the command on them; the second is killed while they work.
ON_TWO_NODES = """
import sys, threading, time
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
second = cluster.add_node(num_cpus=1)
threading.Timer(6, lambda: cluster.remove_node(second, allow_graceful=False)).start()
from optlab.app.main import _guarded
code = _guarded([*sys.argv[1:], f"engine.address={cluster.address}"])
cluster.shutdown()
sys.exit(code)
"""


def needs(package, extra):
    missing = importlib.util.find_spec(package) is None
    return pytest.mark.skipif(missing, reason=f"{package} is not installed: pip install 'optlab[{extra}]'")


def run(*words, code=0, command=COMMAND):
    done = subprocess.run([*command, *map(str, words)], capture_output=True, text=True, check=False, timeout=400)
    assert done.returncode == code, done.stderr[-2000:]
    return done


def table_of(folder):
    runs = optlab.load(folder).runs
    assert runs.run_id.is_unique
    return runs.set_index("run_id").sort_index().drop(columns=VARYING)


@pytest.fixture(scope="module")
def wanted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("local")
    run(*SWEEP, f"results={folder}", "name=x")
    return table_of(folder / "x")


def assert_same(folder, wanted):
    # The same program on the same machine: the same digits
    pd.testing.assert_frame_equal(table_of(folder)[list(wanted)], wanted)


def test_worker_processes_give_the_same_tables(tmp_path, wanted):
    run(*SWEEP, f"results={tmp_path}", "name=x", "engine=processes", "engine.workers=2")
    assert_same(tmp_path / "x", wanted)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="workers are found in /proc")
def test_a_killed_worker_loses_nothing(tmp_path, wanted):
    words = [*SWEEP, f"results={tmp_path}", "name=x", "engine=processes", "engine.workers=2"]
    driver = subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    killed, patience = None, time.time() + 60
    while killed is None and driver.poll() is None and time.time() < patience:
        killed = next(iter(workers_of(driver.pid)), None)
    assert killed is not None
    time.sleep(2)  # it is at work, or about to be
    os.kill(killed, signal.SIGKILL)
    _, errors = driver.communicate(timeout=300)
    assert driver.returncode == 0, errors[-2000:]
    assert_same(tmp_path / "x", wanted)


def workers_of(parent):
    """The processes that a pool of this one has spawned."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            father = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if father == parent and b"spawn_main" in (path / "cmdline").read_bytes():
                yield int(path.name)
        except (OSError, ValueError):
            continue  # it has just ended


@needs("submitit", "slurm")
def test_submitit_gives_the_same_tables(tmp_path, wanted):
    run(*SWEEP, f"results={tmp_path}", "name=x", "engine=slurm", "engine.cluster=local")
    assert_same(tmp_path / "x", wanted)
    assert "240 of 240 done" in run("status", tmp_path / "x").stdout


@cache
def script(folder):
    path = folder / "nodes.py"
    path.write_text(ON_TWO_NODES)
    return [sys.executable, str(path)]


@needs("ray", "ray")
def test_two_ray_nodes_give_the_same_tables_also_when_one_is_lost(tmp_path, wanted):
    run(*SWEEP, f"results={tmp_path}", "name=x", "engine=ray", command=script(tmp_path))
    assert_same(tmp_path / "x", wanted)


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_is_listed_and_its_file_states_what_its_function_takes(optlab_command, name):
    assert f"  {name}" in optlab_command("list", "engines")[1]
    _, _, *settings = inspect.signature(ENGINES[name]).parameters.values()
    assert entry("engine", name).settings == {each.name: each.default for each in settings}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["engine=warp"], "there is no engine 'warp'"),
        (["engine=processes", "engine.workers=0"], "engine.workers must be a whole number of at least 1, not 0"),
        (["engine=local,ray"], "engine says how to run and cannot be swept"),
    ],
)
def test_what_no_engine_can_do_is_one_sentence(optlab_command, words, said):
    code, _, errors = optlab_command("-m", "problem=beale", "optimizer=adam", "steps=5", *words)
    assert code == 2 and said in errors


@needs("submitit", "slurm")
def test_where_no_jobs_can_be_submitted_one_sentence_says_so(tmp_path):
    words = ["problem=beale", "optimizer=adam", "steps=5", "engine=slurm", "engine.cluster=nowhere"]
    errors = run("-m", *words, f"results={tmp_path}", code=2).stderr
    assert errors.count("\n") == 1 and "no jobs can be submitted to 'nowhere'" in errors


def test_an_engine_that_is_not_installed_says_how_to_get_it(optlab_command, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    code, _, errors = optlab_command("problem=beale", "optimizer=adam", "steps=5", "engine=ray")
    assert code == 2 and "pip install 'optlab[ray]'" in errors
