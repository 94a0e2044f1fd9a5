"""Whatever is typed or lies in a folder: see `fuzz.py`, of which `make torture` runs 10,000 cases."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

#: In this order: a command, what it says.
MENDED = {
    "-m after the words": (["problem=beale", "optimizer=adam,sgd", "steps=2", "-m"], 0, ""),
    "a flag that is none": (["steps=2", "--frobnicate"], 2, "--frobnicate"),
    "two modes": (["steps=2", "--info", "all", "-m"], 2, "--multirun and --info do not go together"),
    "a line break": (["\n"], 2, "there is no command"),
    "a key taken out": (["steps=2", "~steps"], 2, "steps cannot be taken out of the configuration"),
    "a group taken out": (["steps=2", "~optimizer"], 2, "optimizer"),
    "a plus that adds nothing": (["steps=2", "experiment=demo", "+=", "experiment=demo"], 2, "cannot be composed"),
    "more than any array holds": (["-m", "problem.dim=9999999999999999999999999"], 2, "must be a number below 2^63"),
    "more steps than can be counted": (["steps=9999999999999999999999999"], 2, "steps must be at most 2147483647"),
    "what a terminal would obey": (["steps=\x1b[2J"], 2, "optlab: "),
}


def test_300_inputs_are_answered_as_promised():
    script = Path(__file__).parent / "fuzz.py"
    done = subprocess.run([sys.executable, str(script), "--cases", "300"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = re.match(r"(\d+) inputs: (\d+) left with 0, .*(\d+) left with 2; 0 defects", done.stdout)
    assert found and int(found[1]) >= 250, done.stdout


@pytest.mark.parametrize(("words", "code", "said"), MENDED.values(), ids=MENDED)
def test_what_was_found_so_is_mended(words, code, said, optlab_command):
    left, _, errors = optlab_command(*words)
    assert left == code and said in errors, errors
    assert errors.count("\n") == (code != 0) and "\x1b" not in errors


def test_the_harness_finds_a_traceback(tmp_path, monkeypatch):
    from fuzz import Bench, try_command

    monkeypatch.chdir(tmp_path)
    bench = Bench.__new__(Bench)
    bench.root, bench.home = tmp_path, tmp_path / "here"
    monkeypatch.setattr(Bench, "fresh", lambda self: self.home.mkdir(exist_ok=True))
    monkeypatch.setattr("fuzz._guarded", lambda words: 1 // 0)
    with pytest.raises(AssertionError, match="raised ZeroDivisionError"):
        try_command(bench, ["steps=1"])
    monkeypatch.setattr("fuzz._guarded", lambda words: (tmp_path / "elsewhere").touch() or 0)
    with pytest.raises(AssertionError, match="wrote outside"):
        try_command(bench, ["steps=1"])
    monkeypatch.setattr("fuzz._guarded", lambda words: 2)
    with pytest.raises(AssertionError, match="says"):
        try_command(bench, ["steps=1"])
