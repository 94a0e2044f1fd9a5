"""What a result depends on beside its configuration: versions, platform, device, flags, revision."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import optlab
from optlab.table import digest

PACKAGES = ("jax", "jaxlib", "optax", "numpy", "scipy", "pandas", "pyarrow", "hydra-core", "flax")


def describe() -> dict[str, Any]:
    """One row of `environments`; its id is a hash of the rest."""
    import jax

    device = jax.devices()[0]
    row: dict[str, Any] = {
        "optlab": optlab.__version__,
        "git_revision": _git("rev-parse", "HEAD"),
        "git_dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "backend": jax.default_backend(),
        "device": device.device_kind,
        "devices": jax.device_count(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        **{package: version(package) for package in PACKAGES},
    }
    return {"environment_id": digest(row)} | row


def _git(*arguments: str) -> str | None:
    """What git says of the source tree; None where optlab is installed from a wheel."""
    folder = Path(__file__).parents[2]
    if not (folder / ".git").exists():
        return None
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None
