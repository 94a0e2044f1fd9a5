"""Strict flags for every test, and one compilation cache for all of them: compile time is test time."""

import os
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small factorizations, on cores that others use too
# Programs that run once: half the time to compile them, for up to twice the time to run (see `optlab.sweep.HASTY`).
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")
CACHE = Path(__file__).parent.parent / ".cache" / "jax"
os.environ.setdefault("OPTLAB_CACHE", str(CACHE))  # commands that tests start share it

import hypothesis  # noqa: E402
import jax  # noqa: E402
import pytest  # noqa: E402

# The same examples each time: what a change breaks shows with that change, not with a later one.
hypothesis.settings.register_profile("steady", derandomize=True, deadline=None)
hypothesis.settings.load_profile("steady")

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_compilation_cache_dir", str(CACHE))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


@pytest.fixture
def optlab_command(tmp_path, capsys):
    """The command in this process, its tables in the test's folder: words -> (exit code, output, errors)."""

    def run(*words):
        from optlab.app.main import _guarded

        verb = "=" not in words[0] and not words[0].startswith("-")
        elsewhere = verb or any(word.startswith("results=") for word in words)
        where = [] if elsewhere else [f"results={tmp_path}"]
        code = _guarded([*words, *where])
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


def pytest_collection_modifyitems(items):
    """Tests of one surface, optimizer or case share what is compiled for it, and so a worker (`--dist loadgroup`)."""
    for item in items:
        shared = {"case", "name", "function", "make", "entry"} & set(getattr(item, "fixturenames", ()))
        if shared and hasattr(item, "callspec"):
            (first, *_) = sorted(shared)
            item.add_marker(pytest.mark.xdist_group(f"{item.path.stem}-{item.callspec.params[first]}"))
