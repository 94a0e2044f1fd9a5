"""The house stays in order: imports point downwards, heavy libraries stay where they belong."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "optlab"

#: From the ground up; a module imports only from floors below its own, or from its own room.
FLOORS = [
    {"types", "vectors", "cores", "devices", "markup", "lanes", "one_function", "lapack", "elimination"},
    {"surfaces", "optimizers", "workloads", "problems", "probes", "krylov", "oracle_costs", "stochastic_examples"},
    {"passage", "run", "minimize", "landscape", "critical_points"},
    {"training_loop", "narrowing", "widths", "explorer"},
    {"sweep", "labels"},
    {"app"},
]
TABLE_SIDE = {"table", "choices", "markup", "metrics", "plots", "report"}  # NumPy, pandas, SciPy, matplotlib; never JAX


def modules():
    return sorted(PACKAGE.glob("**/*.py"))


def room(path):
    """The part of the house a file is in: its module, or the package right below optlab."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path):
    """Dotted names that a file imports, those inside functions included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "optlab":
                yield from (f"optlab.{alias.name}" for alias in node.names)
            else:
                yield node.module


def floor(name):
    return next((k for k, rooms in enumerate(FLOORS) if name in rooms), None)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downwards(path):
    here = room(path)
    names = set(imported(path))
    targets = {name.split(".")[1] for name in names if name.startswith("optlab.")} - {here}
    if here in TABLE_SIDE:
        assert targets <= TABLE_SIDE | {"types"}, f"{path.name} reaches into {targets - TABLE_SIDE}"
        assert not any(name.split(".")[0] in ("jax", "optax", "flax") for name in names)
    elif floor(here) is not None and here != "app":
        above = {name for name in targets if floor(name) is None or floor(name) > floor(here)}
        assert not above, f"{path.name} imports upwards: {above}"
        # Within a floor only `problems` and the runners lean on their neighbours.
    if here != "app":
        assert not any(name.split(".")[0] in ("hydra", "omegaconf") for name in names)


def test_batches_are_factorized_in_one_place():
    # Elsewhere two programs at once could wait for ever on a CPU: see `optlab/lapack.py`.
    named = re.compile(r"jnp\.linalg\.(eigh|eigvalsh|qr|svd|cholesky|solve|lstsq)\b|scipy\.linalg\.")
    found = [p.name for p in modules() if p.name != "lapack.py" and named.search(p.read_text())]
    assert not found


def test_no_file_of_the_product_is_longer_than_400_lines():
    long = {str(p.relative_to(PACKAGE)): n for p in modules() if (n := len(p.read_text().splitlines())) > 400}
    assert not long


@pytest.mark.parametrize("words", [["--help"], ["list"], ["list", "problems"], ["--version"]], ids=" ".join)
def test_help_and_list_answer_without_jax(words):
    code = f"""
import sys
from optlab.app.main import _guarded
assert _guarded({words!r}) == 0
assert not {{"jax", "hydra", "matplotlib", "pandas"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_public_names_are_found_and_modules_do_not_hide_functions():
    code = """
import optlab.sweep, optlab.run, optlab.minimize
import optlab
assert callable(optlab.run) and callable(optlab.minimize) and callable(optlab.heavy_ball)
assert optlab.heavy_ball is optlab.optimizers.heavy_ball
for name in dir(optlab):
    getattr(optlab, name)
try:
    optlab.nonsense
except AttributeError:
    pass
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", code], check=True)
