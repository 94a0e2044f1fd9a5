"""What a compiled program will need, known before it runs."""

import contextlib
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np

from optlab.sweep import TooLarge


def budget(stated: float | None) -> int:
    """Bytes that programs may hold on each device: as stated, in GiB, else what is free."""
    return free_bytes() if stated is None else int(stated * 2**30)


def check_fits(needed: int, stated: float | None = None) -> None:
    """Raises TooLarge where one program holds more bytes than the `budget`."""
    most = budget(stated)
    if needed > most:
        raise TooLarge(
            f"its program holds {needed / 2**30:.1f} GiB at once, and "
            + (f"{most / 2**30:.1f} GiB are free" if stated is None else f"memory is {stated:g} GiB")
            + "; where that is a matrix as large as all parameters squared, lbfgs, newton_cg, gauss_newton_cg or "
            "nonlinear_cg will do"
        )


def program_bytes(compiled: Any) -> int:
    """The most that a compiled program holds at once, as far as its compiler tells."""
    analysis = compiled.memory_analysis()
    parts = ("argument_size_in_bytes", "output_size_in_bytes", "temp_size_in_bytes")
    return 0 if analysis is None else sum(int(getattr(analysis, part, 0)) for part in parts)


def free_bytes() -> int:
    """Memory that is free on the device that programs run on."""
    statistics = jax.local_devices()[0].memory_stats() if jax.default_backend() != "cpu" else None
    if statistics:
        return statistics["bytes_limit"] - statistics["bytes_in_use"]
    try:
        known = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    except OSError:  # no Linux
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    free = int(known["MemAvailable"].split()[0]) * 1024  # what may be had without swapping, caches included
    return min([free, *limits()])


def limits(process: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> list[int]:
    """What the control groups of this process may still take, such as a container or a job of Slurm: bytes each."""
    with contextlib.suppress(OSError):
        own = [line.removeprefix("0::/") for line in process.read_text().splitlines() if line.startswith("0::")]
        places = [place for name in own for place in ((root / name), *(root / name).parents)]
        return [left for place in places if place.is_relative_to(root) and (left := _left(place)) is not None]
    return []


def _left(group: Path) -> int | None:
    """Bytes within a control group's limit, the cache of files that it need not keep included; None without a limit."""
    try:
        most, used = (group / "memory.max").read_text(), (group / "memory.current").read_text()
        cache = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())["inactive_file"]
        return None if most.strip() == "max" else max(0, int(most) - int(used) + int(cache))
    except (OSError, ValueError, KeyError):
        return None


def state_bytes(states: Any) -> int:
    """Bytes of an optimizer's state for one run, from those of a chunk: `[W, ...]`."""
    leaves = [leaf for leaf in jax.tree.leaves(states.opt_state) if np.ndim(leaf)]
    return sum(int(leaf.size) * leaf.dtype.itemsize // len(leaf) for leaf in leaves)
