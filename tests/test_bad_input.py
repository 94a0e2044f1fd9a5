"""Bad input gets one clear sentence and exit code 2, without a traceback, and nothing is lost."""

import errno
import os
import subprocess

import pandas as pd
import pyarrow.parquet as pq
import pytest

import optlab


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["optimizer=adm"], "there is no optimizer 'adm'; did you mean adam"),
        (["-m", "problem=beale,rosenbrok"], "there is no problem 'rosenbrok'; did you mean rosenbrock"),
        (["experiment=nothing"], "there is no experiment 'nothing'"),
        (["stepz=3"], "there is no key 'stepz'; did you mean steps"),
        (["optimizer.learning_rat=1"], "there is no optimizer parameter 'learning_rat'; did you mean learning_rate?"),
        (["-m", "optimizer=adam,sgd", "optimizer.frobnicate=1,2"], "there is no optimizer parameter 'frobnicate'"),
        (["problem.dmi=3"], "there is no problem parameter 'dmi'; did you mean dim?"),
        (["optimizer.learning_rate=-1"], "optimizer.learning_rate must be a number of at least 0, not -1"),
        (["-m", "optimizer.learning_rate=0.1,-0.1"], "optimizer.learning_rate must be a number of at least 0"),
        (["optimizer.learning_rate=fast"], "optimizer.learning_rate must be a number, not 'fast'"),
        (["optimizer.learning_rate=nan"], "optimizer.learning_rate must be a number"),
        (["optimizer.learning_rate=inf"], "optimizer.learning_rate must be a finite number, not inf"),
        (["steps=0"], "steps must be a whole number of at least 1, not 0"),
        (["steps=many"], "steps must be a whole number of at least 1, not 'many'"),
        (["-m", "steps=10,0"], "steps must be a whole number of at least 1, not 0"),
        (["problem.start=[1,2,3]"], "the start must be a point of 2 numbers, not of 3"),
        (["-m", "problem.start=[1,2],[1,2,3]"], "the values of problem.start must all have the same number of entries"),
        (["problem.start=nearby"], "a start is a point of 2 numbers or 'random', not 'nearby'"),
        (["problem=newton_cycle", "problem.angle=30"], "one dimension cannot be turned"),
        (["seed=-1"], "seed must be a whole number of at least 0"),
        (["seed=0.5"], "seed must be a whole number of at least 0"),
        (["precision=float16"], "precision must be float32 or float64, not 'float16'"),
        (["record=sometimes"], "record must be log, linear, all, last"),
        (["engine=warp"], "there is no engine 'warp'"),
        (["-m", "seed=range(0,0)"], "the sweep over seed is empty"),
        (["-m", "optimizer.learning_rate=interval(1,0)"], "must run from a smaller to a larger number"),
        (["-m", "optimizer.learning_rate=tag(log,interval(1e-4,1)),0.3"], "stands alone; it cannot be one of several"),
        (["-m", "optimizer.learning_rate=tag(log,interval(0,1))"], "must begin above 0"),
        (["-m", "seed=interval(0,1)", "sweep.points=0"], "sweep.points must be a whole number of at least 1"),
        (["-m", "optimizer.learning_rate=interval(0,1)", "sweep.sampling=guess"], "sweep.sampling must be one of grid"),
        (["-m", "name=a,b"], "name says how to run and cannot be swept"),
        (["optimizer=adam,sgd"], "has several values; add -m to sweep them"),
        (["optimizer.learning_rate=[1"], "no viable alternative"),
        (["name=../elsewhere"], "name must be a name within the results folder"),
        (["optimizer._target_=os.system"], "_target_ 'os.system' is not within optlab.optimizers."),
        (["optimizer._target_=optlab.optimizers.jnp.save"], "'optlab.optimizers.jnp.save' names no function"),
        (["optimizer._target_=optax.adamant"], "_target_ 'optax.adamant' names no function"),
        (["frobnicate"], "there is no command 'frobnicate'"),
        (["list", "optimisers"], "there is no group 'optimisers'; did you mean optimizers"),
        (["show", "rosenbroc"], "did you mean rosenbrock"),
        (["plot", "contuor", "somewhere"], "there is no kind of plot 'contuor'; did you mean contour"),
        (["plot", "contour", "nowhere"], "there is no folder nowhere"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_it_is_one_sentence_and_code_2(words, sentence, optlab_command, tmp_path):
    code, _, errors = optlab_command(*words)
    assert code == 2
    assert sentence in errors
    assert errors.startswith("optlab: ") and errors.count("\n") == 1  # one line, so no traceback
    assert not list(tmp_path.glob("**/*.parquet"))


def test_a_folder_with_other_things_in_it_is_left_alone(optlab_command, tmp_path):
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "thesis.txt").write_text("years of work")
    code, _, errors = optlab_command("steps=3")
    assert code == 2 and "holds other files and no optlab tables" in errors
    assert [path.name for path in (tmp_path / "study").iterdir()] == ["thesis.txt"]


def test_tables_of_another_program_are_left_alone(optlab_command, tmp_path):
    (tmp_path / "study" / "runs").mkdir(parents=True)
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "study" / "runs" / "theirs.parquet")
    code, _, errors = optlab_command("steps=3")
    assert code == 2 and "was not written by optlab" in errors


def test_a_file_where_the_folder_should_be(optlab_command, tmp_path):
    (tmp_path / "study").touch()
    code, _, errors = optlab_command("steps=3")
    assert code == 2 and "is a file, not a folder" in errors


@pytest.mark.filterwarnings("default")  # here a warning is what is wanted
def test_a_truncated_part_is_reported_and_its_runs_are_done_again(optlab_command, tmp_path):
    assert optlab_command("steps=3")[0] == 0
    (part,) = (tmp_path / "study" / "runs").glob("*.parquet")
    part.write_bytes(part.read_bytes()[:100])
    code, output, errors = optlab_command("steps=3")
    assert code == 0 and "cannot be read and is left out" in errors
    assert "max_steps after 3 steps" in output


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 48 kB; only root may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options):
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("needs the right to mount a file system")
        return folder

    yield mount
    subprocess.run(["umount", str(folder)], capture_output=True, check=False)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [("size=48k", "No space left on device"), ("ro,size=48k", "Read-only file system")],
    ids=["full disk", "read-only disk"],
)
def test_a_disk_that_takes_nothing(optlab_command, tiny_disk, options, sentence):
    folder = tiny_disk(options)
    code, _, errors = optlab_command("steps=3", f"results={folder}")
    assert code == 2 and sentence in errors and errors.count("\n") == 1
    assert not [name for _, _, names in os.walk(folder) for name in names if name.endswith(".tmp")]


@pytest.mark.parametrize("table", ["curves", "runs"])
def test_a_disk_that_fills_up_in_the_middle(optlab_command, tmp_path, monkeypatch, table):
    words = ("-m", "problem=beale,rosenbrock", "optimizer=adam", "steps=3", "seed=0,1")
    whole = pq.ParquetWriter.write_table

    def full(self, rows, *more):
        if rows.column_names[1] == {"curves": "step", "runs": "study"}[table]:
            raise OSError(errno.ENOSPC, "No space left on device")
        return whole(self, rows, *more)

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    code, _, errors = optlab_command(*words)
    assert code == 2 and "No space left on device" in errors and errors.count("\n") == 1
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".tmp") or path.name == ".locks"]
    monkeypatch.undo()
    assert optlab_command(*words)[0] == 0  # with room again it is all done
    runs = optlab.load(tmp_path).runs
    assert len(runs) == runs.run_id.nunique() == 4


def test_results_below_a_file_that_is_no_folder(optlab_command, tmp_path):
    (tmp_path / "file").touch()
    code, _, errors = optlab_command("steps=3", f"results={tmp_path}/file")
    assert code == 2 and errors.count("\n") == 1
