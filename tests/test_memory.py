"""What a program needs is told; batches are as wide as fits, and halved where memory ends nevertheless."""

import subprocess
import sys
from types import SimpleNamespace

import jax
import numpy as np
import optax
import pytest

import optlab
from optlab.app.memory import limits
from optlab.app.programs import fitted
from optlab.sweep import TooLarge


def test_a_program_larger_than_what_is_free_is_a_failed_row_that_says_what_to_do(optlab_command, tmp_path, monkeypatch):
    monkeypatch.setattr("optlab.app.memory.free_bytes", lambda: 10)
    code, output, errors = optlab_command("problem=beale", "optimizer=bfgs", "steps=5", "name=large")
    assert code == 1
    (row,) = optlab.load(tmp_path / "large").runs.to_dict("records")
    assert row["status"] == "failed" and "0.0 GiB are free" in row["error"] and "newton_cg" in row["error"]


def test_the_bytes_of_an_optimizers_state_are_those_of_its_arrays(optlab_command, tmp_path):
    assert optlab_command("-m", "problem=beale", "optimizer=adam,sgd", "steps=5", "seed=0,1")[0] == 0
    runs = optlab.load(tmp_path).runs.set_index("optimizer")
    # Two moments of two float64 and a count of four bytes; nothing.
    assert set(runs.loc["adam"].state_bytes) == {36} and set(runs.loc["sgd"].state_bytes) == {0}
    assert (runs.program_bytes > runs.state_bytes).all()


def rosenbrock(size, **how):
    problem = optlab.problems.from_surface(optlab.surfaces.rosenbrock())
    return optlab.run_sweep(problem, optax.adam, {"learning_rate": np.logspace(-4, 0, size)}, steps=50, **how)


def out_of_memory_beyond(width, error, monkeypatch):
    """Programs of more lanes raise the error; returns the widths tried."""
    tried, whole = [], optlab.sweep.to_the_end

    def to_the_end(program, numbers, keys, *others):
        tried.append(len(keys[0]))
        if tried[-1] > width:
            raise error
        return whole(program, numbers, keys, *others)

    monkeypatch.setattr("optlab.sweep.to_the_end", to_the_end)
    return tried


EXHAUSTED = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1073741824 bytes.")


@pytest.mark.parametrize("error", [EXHAUSTED, MemoryError()], ids=["device", "host"])
def test_a_batch_that_finds_no_memory_is_done_in_halves(error, monkeypatch):
    monkeypatch.setenv("OPTLAB_CORES", "1")  # one chunk after the other
    wanted = rosenbrock(21, lanes=8)
    tried = out_of_memory_beyond(2, error, monkeypatch)
    with pytest.warns(UserWarning, match="no memory for (16|8|4) runs side by side; going on with [842]"):
        found = rosenbrock(21, lanes=8)
    assert tried == [16, 8, 4, *[2] * 11]  # two blocks at first; and those after it begin with what fits
    for name in wanted:
        # Other vector widths round differently; 50 steps of Adam amplify that by less than 1e4.
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-11, atol=1e-11, err_msg=name)


def test_another_error_is_not_taken_for_lack_of_memory(monkeypatch):
    out_of_memory_beyond(2, jax.errors.JaxRuntimeError("INTERNAL: something else"), monkeypatch)
    with pytest.raises(jax.errors.JaxRuntimeError, match="something else"):
        rosenbrock(8)


def test_one_run_for_which_there_is_no_memory_is_a_failed_row(optlab_command, tmp_path, monkeypatch):
    out_of_memory_beyond(0, EXHAUSTED, monkeypatch)
    with pytest.raises(TooLarge):
        rosenbrock(1)
    assert optlab_command("problem=beale", "optimizer=adam", "steps=5")[0] == 1
    (row,) = optlab.load(tmp_path).runs.to_dict("records")
    assert row["status"] == "failed" and "one run alone needs more memory than is free" in row["error"]


#: 512 runs of 100,000 parameters, 0.2 GB for each array of a state, within 1.2 GB more than two of them took. What is
#: left for the compiler must not be scarce: its threads do not always survive that.
WITH_LITTLE = """
import resource, warnings
from pathlib import Path
import numpy as np, optax, optlab
problem = optlab.problems.from_surface(optlab.surfaces.rosenbrock(dim=100000))
def sweep(size):
    rates = {"learning_rate": np.logspace(-4, -1, size)}
    return optlab.run_sweep(problem, optax.adam, rates, steps=2, record="last", probes={}, lanes=size)
few = sweep(2)
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 1200 * 2**20, resource.RLIM_INFINITY))
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    value = sweep(512)["value"]
assert any("no memory for 512 runs side by side" in str(one.message) for one in said), said
assert value.shape == (512, 2) and np.isfinite(value).all()
np.testing.assert_allclose(value[[0, -1]], few["value"], rtol=1e-4)  # float32, sums of 100,000
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and limits the address space")
def test_a_process_that_has_little_memory_halves_its_batch():
    done = subprocess.run([sys.executable, "-c", WITH_LITTLE], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]


def holding(bytes_of):
    """What `fitted` asks a compiler for: a program of a width that holds so many bytes, or cannot be compiled."""
    tried = []

    def compile_for(width):
        tried.append(width)
        held = bytes_of(width)
        if held is None:
            raise EXHAUSTED
        sizes = {"argument_size_in_bytes": held, "output_size_in_bytes": 0, "temp_size_in_bytes": 0}
        return SimpleNamespace(memory_analysis=lambda: SimpleNamespace(**sizes))

    return tried, lambda width, least, most: fitted(compile_for, width, least, most)


@pytest.mark.parametrize(
    ("bytes_of", "least", "most", "tried"),
    [
        (lambda width: 10 * width, 1, 10240, [1024]),
        (lambda width: 10 * width, 1, 10239, [1024, 512]),
        (lambda width: 10 * width, 1, 160, [1024, 16]),
        (lambda width: 10 * width, 1, 5, [1024, 1]),  # whether that is too large is for `check_fits`
        (lambda width: 100 + width, 1, 130, [1024, 64, 32, 16]),  # not in proportion
        (lambda width: 10 * width // 8, 8, 100, [1024, 64]),  # eight devices, each with its share
        (lambda width: None if width > 256 else width, 1, 300, [1024, 512, 256]),
    ],
)
def test_a_program_is_as_wide_as_the_budget_allows(bytes_of, least, most, tried):
    widths, fit = holding(bytes_of)
    assert fit(1024, least, most).width == tried[-1] and widths == tried


def test_a_stated_budget_makes_batches_narrower_and_the_tables_are_the_same(optlab_command, tmp_path):
    words = ["-m", "problem=beale", "optimizer=adam", "steps=20", "seed=range(0,300)", "problem.start=random"]
    assert optlab_command(*words, "name=wide")[0] == 0
    wide = optlab.load(tmp_path / "wide").runs.set_index("run_id")
    held = 512 * wide.program_bytes.iloc[0]
    code, _, errors = optlab_command(*words, "name=narrow", f"memory={held / 2**30 / 3}")
    assert code == 0, errors
    narrow = optlab.load(tmp_path / "narrow").runs.set_index("run_id").loc[wide.index]
    # The optimizer's arrays dominate what a program holds: it must be some runs a chunk, which share what is fixed.
    assert narrow.program_bytes.iloc[0] >= wide.program_bytes.iloc[0]
    np.testing.assert_allclose(narrow.value, wide.value, rtol=1e-9)  # other vector widths


def test_a_run_that_holds_more_than_the_stated_memory_says_so(optlab_command, tmp_path):
    assert optlab_command("problem=beale", "optimizer=bfgs", "steps=5", "memory=1e-7")[0] == 1
    (row,) = optlab.load(tmp_path).runs.to_dict("records")
    assert row["status"] == "failed" and "memory is 1e-07 GiB" in row["error"]


@pytest.mark.parametrize("word", ["memory=0", "memory=much", "memory=-1"])
def test_memory_that_is_none_is_one_sentence(optlab_command, word):
    code, _, errors = optlab_command("problem=beale", "optimizer=adam", "steps=5", word)
    assert code == 2 and "memory must be a number of GiB above 0" in errors
    assert optlab_command("-m", "problem=beale", "optimizer=adam", "memory=1,2")[0] == 2


def test_the_limits_of_all_control_groups_count(tmp_path):
    (tmp_path / "cgroup").write_text("0::/job_7/step_0\n")
    for name, most in {"": "max", "job_7": "1000", "job_7/step_0": "5000"}.items():
        place = tmp_path / "fs" / name
        place.mkdir()
        (place / "memory.max").write_text(f"{most}\n")
        (place / "memory.current").write_text("900\n")
        (place / "memory.stat").write_text("anon 600\ninactive_file 300\n")
    assert sorted(limits(tmp_path / "cgroup", tmp_path / "fs")) == [400, 4400]
    assert limits(tmp_path / "none", tmp_path / "fs") == []
