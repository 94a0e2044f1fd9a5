"""What a compiled program will need, known before it runs."""

import os
from pathlib import Path
from typing import Any

import jax
import numpy as np


class TooLarge(Exception):
    """A program needs more memory than is free."""


def check_fits(compiled: Any) -> int:
    """The bytes that a program holds at once; raises TooLarge where they are more than is free."""
    needed, free = program_bytes(compiled), free_bytes()
    if needed > free:
        raise TooLarge(
            f"its program holds {needed / 2**30:.1f} GiB at once, and {free / 2**30:.1f} GiB are free; where that is a "
            "matrix as large as all parameters squared, lbfgs, newton_cg, gauss_newton_cg or nonlinear_cg will do"
        )
    return needed


def program_bytes(compiled: Any) -> int:
    """The most that a compiled program holds at once, as far as its compiler tells."""
    analysis = compiled.memory_analysis()
    parts = ("argument_size_in_bytes", "output_size_in_bytes", "temp_size_in_bytes")
    return 0 if analysis is None else sum(int(getattr(analysis, part, 0)) for part in parts)


def free_bytes() -> int:
    """Memory that is free on the device that programs run on."""
    statistics = jax.devices()[0].memory_stats() if jax.default_backend() != "cpu" else None
    if statistics:
        return statistics["bytes_limit"] - statistics["bytes_in_use"]
    try:
        known = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    except OSError:  # no Linux
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return int(known["MemAvailable"].split()[0]) * 1024  # what may be had without swapping, caches included


def state_bytes(states: Any) -> int:
    """Bytes of an optimizer's state for one run, from those of a chunk: `[W, ...]`."""
    leaves = [leaf for leaf in jax.tree.leaves(states.opt_state) if np.ndim(leaf)]
    return sum(int(leaf.size) * leaf.dtype.itemsize // len(leaf) for leaf in leaves)
