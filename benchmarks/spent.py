"""What some work cost: CPU seconds of a process and its children, wall time, peak memory."""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]


class Spent(NamedTuple):
    cpu: float  #: user and system seconds, of ended child processes too
    wall: float
    peak: int = 0  #: bytes of resident memory, where a process of its own was measured


def cpu() -> float:
    """CPU seconds of this process so far, all threads and all children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def spent(work: Callable[[], object]) -> Spent:
    """What a call costs in this process."""
    before, begun = cpu(), time.perf_counter()
    work()
    return Spent(cpu() - before, time.perf_counter() - begun)


def process(arguments: Sequence[str], variables: Mapping[str, str] | None = None) -> tuple[Spent, str]:
    """What a program costs from its start to its end, and what it printed. Raises RuntimeError if it fails.

    Linux counts the memory of whoever started a program as the program's own peak until it is larger,
    so this must be called from a small process: nothing in here imports JAX.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        begun = time.perf_counter()
        environment = os.environ | dict(variables or {})
        child = subprocess.Popen(arguments, cwd=ROOT, env=environment, stdout=out, stderr=errors)
        _, code, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(code)
        wall = time.perf_counter() - begun
        out.seek(0)
        errors.seek(0)
        if child.returncode:
            reason = errors.read().decode(errors="replace")[-2000:]
            raise RuntimeError(f"{' '.join(arguments)} failed: {reason}")
        return Spent(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * 1024), out.read().decode()


def optlab(*words: str, cache: str | Path) -> Spent:
    """What the command `optlab` costs in a process of its own, with XLA's programs kept in `cache`."""
    return process([sys.executable, "-m", "optlab", *words], {"OPTLAB_CACHE": str(cache)})[0]


def median(measured: Sequence[Spent]) -> Spent:
    """Field by field: load makes outliers in one direction."""
    return Spent(*(statistics.median(values) for values in zip(*measured, strict=True)))
