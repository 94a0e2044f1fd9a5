"""`optlab status`: what a command asked for against what is there."""

import json

import optlab
from optlab import table

SWEEP = ["-m", "problem=beale,rosenbrock", "optimizer=adam,gradient_descent", "steps=20", "seed=0,1,2"]


def test_a_finished_sweep_is_all_done(tmp_path, optlab_command):
    assert optlab_command(*SWEEP)[0] == 0
    code, output, _ = optlab_command("status", str(tmp_path / "study"))
    assert code == 0
    assert "12 of 12 done" in output and "left" not in output and "failed" not in output
    assert "12 runs in" in output and "12 max_steps" in output


def test_what_is_missing_is_counted_and_its_time_estimated(tmp_path, optlab_command):
    assert optlab_command(*SWEEP)[0] == 0
    study = tmp_path / "study"
    part = sorted((study / "runs").glob("*.parquet"))[0]
    lost = len(table.load(study).runs) - len(_without(study, part))
    code, output, _ = optlab_command("status", str(study))
    assert code == 0 and f"{12 - lost} of 12 done, {lost} left, about" in output
    assert optlab_command(*SWEEP)[0] == 0  # the same command runs what is missing
    assert "12 of 12 done" in optlab_command("status", str(study))[1]


def _without(study, part):
    part.unlink()
    return optlab.load(study).runs


def test_a_run_that_raised_is_failed_and_not_left(tmp_path, optlab_command, monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("no")

    monkeypatch.setattr("optlab.app.execute.prepared", broken)
    assert optlab_command("problem=beale", "optimizer=adam", "steps=5")[0] == 1
    _, output, _ = optlab_command("status", str(tmp_path / "study"))
    assert "0 of 1 done, 1 failed (the same command tries them again)" in output


def test_several_commands_in_one_study_have_a_line_each(tmp_path, optlab_command):
    for seed in (0, 1):
        assert optlab_command("problem=beale", "optimizer=adam", "steps=5", f"seed={seed}")[0] == 0
    _, output, _ = optlab_command("status", str(tmp_path))
    assert output.count("1 of 1 done") == 2 and "2 runs in" in output


def test_what_cannot_be_told_is_one_sentence(tmp_path, optlab_command):
    for words in ([], ["a", "b"], [str(tmp_path / "nowhere")], [str(tmp_path)]):
        code, output, errors = optlab_command("status", *words)
        assert code == 2 and output == "" and errors.count("\n") == 1
    assert optlab_command("problem=beale", "optimizer=adam", "steps=5")[0] == 0
    (asked,) = (tmp_path / "study" / "commands").glob("*.json")
    for text in ("{", "[]", json.dumps({"command": 1})):
        asked.write_text(text)
        code, output, _ = optlab_command("status", str(tmp_path / "study"))
        assert code == 0 and "not to be read" in output
