"""What is promised when a sweep is killed, or two do it at once: see docs/faults.md."""

import subprocess
import sys
from pathlib import Path


def test_a_sweep_killed_at_25_random_moments_loses_nothing_and_two_drivers_share_one():
    script = Path(__file__).parent / "torture.py"
    done = subprocess.run([sys.executable, str(script), "--kills", "25"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.startswith("25 kills in") and "nothing lost, none twice" in done.stdout
