"""Ctrl-C: what was finished is written, the exit code is 130, and the same command goes on from there."""

import re
import signal
import subprocess
import sys
import time

import optlab

# Whoever runs the tests in the background may have told their children to ignore the signal.
LISTENING = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); import optlab.__main__"

SWEEP = [
    sys.executable, "-c", LISTENING, "-m", "optimizer=adam", "problem=rosenbrock", "steps=3000",
    "optimizer.learning_rate=tag(log,interval(1e-4,1))", "sweep.points=500", "seed=range(0,160)", "record=last",
]  # fmt: skip


def test_an_interrupted_sweep_keeps_what_was_finished(tmp_path):
    command = [*SWEEP, f"results={tmp_path}"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    runs = tmp_path / "study" / "runs"
    while not list(runs.glob("*.parquet")) and running.poll() is None:
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=120)
    assert running.returncode == 130, errors
    assert "interrupted; what was finished is written" in errors and "Traceback" not in errors
    kept = optlab.load(tmp_path, ["runs"]).runs
    assert 0 < len(kept) < 80_000 and (kept.status != "failed").all()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert re.search(rf"{80_000 - len(kept):,} of 80,000 runs", done.stdout), done.stdout
    whole = optlab.load(tmp_path, ["runs"]).runs
    assert len(whole) == whole.run_id.nunique() == 80_000
