"""XLA's compiled programs are kept between commands, in the user's cache folder."""

import os
from pathlib import Path

import jax


def folder() -> Path:
    """``$OPTLAB_CACHE``, else ``optlab/jax`` in the user's cache folder."""
    if "OPTLAB_CACHE" in os.environ:
        return Path(os.environ["OPTLAB_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "optlab" / "jax"


def turn_on() -> None:
    """Leaves JAX's own setting alone where there is one; a folder that cannot be made costs speed, nothing else."""
    if jax.config.values["jax_compilation_cache_dir"] is None:
        jax.config.update("jax_compilation_cache_dir", str(folder()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
