"""A wheel built from the repository works like the checkout, from another folder, `conf/` included."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the wheel unpacked in it, and an environment in which it comes before the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    site = folder / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(site)]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True)
    return wheel, site, os.environ | {"PYTHONPATH": str(site)}


def test_the_wheel_holds_the_catalogue_and_the_plugin_and_nothing_of_the_tests(installed):
    wheel, _, _ = installed
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in ("optlab/conf/config.yaml", "optlab/conf/optimizer/adam.yaml", "hydra_plugins/optlab/__init__.py"):
        assert wanted in names
    assert "hydra_plugins/__init__.py" not in names  # a namespace that other plugins share
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "conf/"))]


def test_an_installed_command_sweeps_from_another_folder(installed, tmp_path):
    _, site, environment = installed
    conf = str(site / "optlab" / "conf")
    code = f"import sys; from optlab.app.catalogue import conf_dir; sys.exit(str(conf_dir()) != {conf!r})"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=False).returncode == 0
    words = ["-m", "optimizer=adam", "problem=beale", "seed=0,1", "problem.start=random", "steps=5"]
    done = subprocess.run(
        [sys.executable, "-m", "optlab", *words],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "2 of 2 runs" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results"]  # and no folder of Hydra's


def test_an_editable_install_is_found_too(tmp_path):
    words = [sys.executable, "-m", "optlab", "-m", "optimizer=adam", "seed=0,1", "steps=5"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "2 of 2 runs" in done.stdout


def test_the_lock_names_no_index_and_pins_every_package_by_hash():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert not [line for line in lines if "://" in line or line.startswith("--")]
    pins = [line for line in lines if line and not line.startswith((" ", "#"))]
    assert pins and all("==" in line and line.endswith("\\") for line in pins)
