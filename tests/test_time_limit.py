"""A run that takes too long is given up, what it has recorded is kept, and nothing else is touched."""

import jax
import numpy as np
import pytest
from test_training import TINY

import optlab
from optlab.app import time_limit
from optlab.training_loop import row_by_row
from optlab.types import Status


class Watch:
    """Seconds that pass by themselves: so many at each look."""

    def __init__(self, step):
        self.now, self.step = 0.0, step

    def __call__(self):
        self.now += self.step
        return self.now


def rows(folder):
    return optlab.load(folder).runs.set_index("optimizer")


def test_a_run_on_a_surface_is_given_up_with_what_it_has(optlab_command, tmp_path, monkeypatch):
    monkeypatch.setattr(time_limit, "monotonic", Watch(2.0))
    words = ("-m", "problem=rosenbrock", "optimizer=gradient_descent,newton", "steps=100000", "record=50")
    code, output, errors = optlab_command(*words, "time_limit=5")
    assert code == 1 and "failed: gradient_descent on rosenbrock: time limit of 5 s exceeded after step" in errors
    runs = rows(tmp_path)
    assert runs.status.to_dict() == {"gradient_descent": "failed", "newton": "converged"}
    slow = runs.loc["gradient_descent"]
    assert slow.error == f"time limit of 5 s exceeded after step {slow.steps}" and runs.error.isna()["newton"]
    curve = optlab.load(tmp_path).curves.query("run_id == @slow.run_id").sort_values("step")
    assert curve.step.tolist()[:2] == [0, 50] and curve.step.iloc[-1] == slow.steps < 100_000
    assert slow.value == curve.value.iloc[-1] < curve.value.iloc[0]
    monkeypatch.undo()
    code, output, _ = optlab_command(*words[:3], "steps=100000", "record=50")  # without a limit it is the same run
    assert code == 0 and "1 of 2 runs" in output and "1 were there already" in output
    whole = optlab.load(tmp_path)
    assert len(whole.runs) == 2 and set(whole.runs.status) <= {"converged", "max_steps", "stalled"}
    assert not whole.curves.duplicated(["run_id", "step"]).any()
    assert whole.curves.step.mod(50).eq(0).mean() > 0.99  # what it had when it was given up has made way


def test_with_a_limit_that_is_kept_the_numbers_are_the_same(optlab_command, tmp_path):
    words = (
        "-m",
        "problem=beale,rosenbrock",
        "optimizer=adam",
        "problem.start=random",
        "seed=range(0,40)",
        "steps=700",
    )
    assert optlab_command(*words, "name=without")[0] == 0
    assert optlab_command(*words, "name=with", "time_limit=3600")[0] == 0
    one, other = (optlab.load(tmp_path / name) for name in ("without", "with"))
    for name in ("runs", "curves"):
        same = [c for c in getattr(one, name) if c not in ("study", "seconds", "compile_seconds", "target_seconds")]
        frames = [
            getattr(t, name)[same].sort_values(["run_id", *(["step"] * (name == "curves"))]) for t in (one, other)
        ]
        assert frames[0].reset_index(drop=True).equals(frames[1].reset_index(drop=True))


@pytest.mark.parametrize("checkpoint", ["null", "1000"], ids=["anew", "from where it was"])
def test_training_is_given_up_between_rows_and_goes_on_where_states_are_saved(
    optlab_command, tmp_path, monkeypatch, checkpoint
):
    words = (*TINY, "steps=20", "record=5", f"checkpoint={checkpoint}")
    monkeypatch.setattr("optlab.app.long_runs.monotonic", Watch(1.0))
    code, _, errors = optlab_command(*words, "time_limit=2.5")
    assert code == 1 and "time limit of 2.5 s exceeded after step 10" in errors
    results = optlab.load(tmp_path)
    assert results.runs.status.tolist() == ["failed"] and results.curves.step.tolist() == [0, 5, 10]
    assert (tmp_path / "study" / "checkpoints").exists() == (checkpoint != "null")
    monkeypatch.undo()
    assert optlab_command(*words)[0] == 0
    results = optlab.load(tmp_path)
    assert results.runs.status.tolist() == ["max_steps"] and results.curves.step.tolist() == [0, 5, 10, 15, 20]
    assert not (tmp_path / "study" / "checkpoints").exists()


@pytest.mark.parametrize("limit", ["-1", "nan", "soon", "inf", "true"])
def test_a_limit_that_is_none_is_refused(optlab_command, limit):
    code, _, errors = optlab_command("problem=beale", "optimizer=adam", "steps=2", f"time_limit={limit}")
    assert code == 2 and "time_limit must be a number of seconds, or null" in errors


def test_the_first_steps_of_what_is_left():
    lengths = np.array([0, 3, 4, 5], np.int32)
    assert time_limit._first(lengths, 5).tolist() == [0, 3, 2, 0]
    assert time_limit._first(lengths, 99).tolist() == [0, 3, 4, 5]


@pytest.mark.parametrize("devices", [1, 2])
def test_training_stops_at_the_row_that_it_is_told_to_on_several_devices_too(devices):
    lengths = np.full(6, 10, np.int32)
    lengths = lengths if devices == 1 else np.tile(lengths, (devices, 1))

    def program(numbers, keys, now, data, floor, fresh, state):
        return {"status": np.full((2, 1), Status.max_steps, np.int32), "step": state + 10}, state + 10, now

    told = []

    def save(row, trace, state):
        told.append(row)
        return row == 4

    keys = (jax.random.split(jax.random.key(0), 2),) * 2
    trace, _ = row_by_row(program, {}, keys, lengths, (), np.zeros((2, 1), np.int32), save=save)
    assert told == [1, 2, 3, 4]
    assert (trace["status"][:, -1] == Status.running).all() and trace["step"].max() == 40
