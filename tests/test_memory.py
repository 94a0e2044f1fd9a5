"""What a program needs is told, and one that cannot fit is called off before it runs."""

import optlab


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
