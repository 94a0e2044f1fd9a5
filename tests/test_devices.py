"""Eight devices give what one gives: see `eight_devices` for the checks, which one process makes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from eight_devices import CHECKS

from optlab.devices import mesh_for, shares

pytestmark = pytest.mark.xdist_group("devices")


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    said = tmp_path_factory.mktemp("devices") / "failed.json"
    script = Path(__file__).with_name("eight_devices.py")
    done = subprocess.run([sys.executable, script, said], capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(said.read_text())


@pytest.mark.parametrize("name", [check.__name__ for check in CHECKS])
def test_eight_devices_give_what_one_gives(failed, name):
    assert failed[name] is None, failed[name]


def test_one_device_needs_no_mesh():
    assert mesh_for(1000) is None and mesh_for(1, lambda: 32) is None and shares(None) == 1
