"""Many runs that differ only in numbers: the same `run` under one vmap, in chunks.

A chunk is as wide as the caches and the memory budget allow, not as wide as the sweep. Its width is
a power of two, so that sweeps of other sizes, or what is left of one, find their program compiled.
"""

import itertools
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import optax

from optlab import probes as asking
from optlab.run import GTOL, PATIENCE, recorded_steps, split_key, traverse
from optlab.types import Array, Probe, Problem, PyTree, Trace

#: Runs side by side on a CPU. More do not go faster there: the state of these stays in the cache, and
#: XLA splits no operation of this size among threads.
CPU_LANES = 1024
LANES = 16384  # elsewhere

#: Bytes that the rows of one chunk may take.
BUDGET = 2**27

#: (numbers) -> (problem, optimizer); called inside the traced function.
Build = Callable[[Mapping[str, Array]], tuple[Problem, optax.GradientTransformation]]

#: (numbers: {name: `[R, ...]`}, keys: two `[R]`, lengths: `[T]`, data) -> {name: `[R, T, ...]`}
Program = Callable[[Mapping[str, Array], tuple[Array, Array], Array, PyTree], Trace]


def grid(axes: Mapping[str, Sequence[float]], seeds: int = 1) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Every combination of the axes' values and of `seeds` seeds: ({name: `[R]`}, seeds `[R]`)."""
    *columns, seed = map(np.array, zip(*itertools.product(*axes.values(), range(seeds)), strict=True))
    return dict(zip(axes, columns, strict=True)), seed


def run_sweep(
    problem: Problem | Callable[..., Problem],
    optimizer: Callable[..., optax.GradientTransformation],
    numbers: Mapping[str, Array] | tuple[Mapping[str, Array], Array],
    *,
    seeds: Array | int = 0,
    steps: int,
    record: str | int | Sequence[int] = "log",
    probes: Mapping[str, Probe] | None = None,
    gtol: float = GTOL,
    patience: int = PATIENCE,
    lanes: int | None = None,
) -> Trace:
    """Runs an optimizer once for each row of `numbers`, all in one compiled program.

    Args:
      problem: a Problem, or a function that makes one from the numbers called ``problem.<name>``.
      optimizer: a function that makes a transform from the other numbers, by keyword.
      numbers: {name: `[R, ...]`, or one number for all}, or what `grid` returned, seeds included.
      seeds: one, or `[R]`.
      steps, record, probes, gtol, patience: as for `run`.
      lanes: runs side by side; by default what suits the device.

    Returns:
      The traces of `run`, as NumPy arrays with a leading axis of runs: {name: `[R, T, ...]`}.
    """
    if isinstance(numbers, tuple):
        numbers, seeds = numbers

    def build(values):
        ours = {name.removeprefix("problem."): v for name, v in values.items() if name.startswith("problem.")}
        theirs = {name: v for name, v in values.items() if not name.startswith("problem.")}
        return (problem if isinstance(problem, Problem) else problem(**ours)), optimizer(**theirs)

    lengths = {len(column) for column in [*numbers.values(), seeds] if np.ndim(column)}
    if len(lengths) > 1:
        raise ValueError(f"numbers and seeds must have the same length, not {sorted(lengths)}")
    (size,) = lengths or {1}
    columns = {name: np.asarray(v) if np.ndim(v) else np.full(size, v) for name, v in numbers.items()}
    probes = {"x": asking.position} if probes is None else probes
    data = problem.data if isinstance(problem, Problem) else ()
    program = compiled(build, probes=probes, gtol=gtol, patience=patience)
    width = chunk_width(size, lanes)
    with ThreadPoolExecutor(cores()) as pool:
        chunks = run_chunks(
            program,
            columns,
            np.broadcast_to(seeds, (size,)),
            recorded_steps(steps, record),
            data,
            width,
            pool,
        )
        parts = [trace for _, trace, _ in chunks]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def compiled(build: Build, *, probes: Mapping[str, Probe], gtol: float = GTOL, patience: int = PATIENCE):
    """The jitted program of a group of runs: a `Program` that can also be lowered and compiled ahead."""

    def one(numbers, keys, lengths, data):
        problem, optimizer = build(numbers)
        if jax.tree.leaves(data):
            problem = problem._replace(data=data)
        return traverse(
            problem, optimizer, keys, lengths, probes=probes, gtol=gtol, patience=patience, axis_name="lanes"
        )

    return jax.jit(jax.vmap(one, in_axes=(0, 0, None, None), axis_name="lanes"))


def cores() -> int:
    """Chunks to run at once: on a CPU each core takes one, another device runs one after the other."""
    return (os.cpu_count() or 1) if jax.default_backend() == "cpu" else 1


def chunk_width(size: int, lanes: int | None = None, run_bytes: int = 0) -> int:
    """Runs in a chunk: a power of two, within what the device likes and what the budget holds."""
    most = lanes or (CPU_LANES if jax.default_backend() == "cpu" else LANES)
    if run_bytes:
        most = max(1, min(most, BUDGET // run_bytes))
    return min(1 << (size - 1).bit_length(), 1 << (most.bit_length() - 1))


def first_rows(columns: Mapping[str, np.ndarray], seeds: np.ndarray, first: int, width: int):
    """The inputs of one chunk; the last one is filled up with copies of its last run."""
    rows = np.minimum(np.arange(first, first + width), len(seeds) - 1)
    return {name: column[rows] for name, column in columns.items()}, _keys(seeds[rows])


# A program of its own: the generator is as long as a small optimizer to compile, and is compiled once here.
@jax.jit
@jax.vmap
def _keys(seed):
    return split_key(jax.random.key(seed))


def run_chunks(
    program: Program,
    columns: Mapping[str, np.ndarray],
    seeds: np.ndarray,
    recorded: np.ndarray,
    data: PyTree,
    width: int,
    pool: ThreadPoolExecutor,
) -> Iterator[tuple[slice, Trace, float]]:
    """One chunk after the other as they come: (which runs, {name: `[<=width, T, ...]`}, seconds).

    A window bounds what has been computed and not yet been taken.
    """
    size = len(seeds)
    lengths = np.diff(recorded, prepend=0).astype(np.int32)
    x64 = jax.dtypes.canonicalize_dtype(float) == np.float64  # each thread has its own setting

    def chunk(first: int) -> tuple[slice, Trace, float]:
        here = slice(first, min(first + width, size))
        begun = time.perf_counter()
        with jax.enable_x64(x64):
            trace = program(*first_rows(columns, seeds, first, width), lengths, data)
            trace = {name: np.asarray(a)[: here.stop - here.start] for name, a in trace.items()}
        return here, trace, time.perf_counter() - begun

    firsts = iter(range(0, size, width))
    pending = [pool.submit(chunk, first) for first in itertools.islice(firsts, 2 * cores())]
    while pending:
        done = pending.pop(0).result()
        pending += [pool.submit(chunk, first) for first in itertools.islice(firsts, 1)]
        yield done
