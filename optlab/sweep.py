"""Many runs that differ only in numbers: the same `run` under one vmap, in chunks.

A chunk is as wide as the caches and the memory budget allow, not as wide as the sweep, see `widths`.
"""

import itertools
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any

import jax
import numpy as np
import optax
from jax import lax
from jax.sharding import Mesh

from optlab import devices
from optlab import probes as asking
from optlab.cores import cores
from optlab.devices import is_key
from optlab.lanes import SIDE_BY_SIDE, are_short, side_by_side
from optlab.narrowing import to_the_end
from optlab.one_function import compile_with, in_one_functions
from optlab.run import GTOL, PATIENCE, State, evaluate, recorded_steps, split_key, start, traverse
from optlab.training_loop import row_by_row
from optlab.types import Array, Probe, Problem, PyTree, Trace
from optlab.widths import chunk_width, dispatched, lanes_for, lengths_of

#: Up to so many steps of single runs a program is worth less than its compilation.
FEW = 5_000_000

#: XLA's older way to emit loops compiles in half the time, and makes programs that take up to twice as long.
HASTY = {"xla_cpu_use_fusion_emitters": False}


class TooLarge(Exception):
    """A program needs more memory than is free."""


#: Which inputs of a program have an axis of lanes.
AXES = (0, 0, None, None, None, None, 0)

#: (numbers) -> (problem, optimizer); called inside the traced function.
Build = Callable[[Mapping[str, Array]], tuple[Problem, optax.GradientTransformation]]

#: (numbers: {name: `[R, ...]`}, keys: two `[R]`, lengths: `[T]`, data, floor, whether to start, states: `[R, ...]`)
#: -> ({name: `[R, T, ...]`}, states, steps done: `[T]`), see `traverse`; with `[B, T]` of both the runs are B blocks,
#: one after the other, of lanes side by side.
Program = Callable[..., tuple[Trace, State, Array]]


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
      lanes: runs side by side on each device; by default what suits it.

    All devices of this process take part: each has its share of the runs, or of the examples of a single run on data.

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
    by_rows = is_long(data)
    seeds = np.broadcast_to(seeds, (size,))
    first = first_rows(columns, seeds, 0, 1)
    one = blank(build, *first, data)
    beside = lie_side_by_side(build, *first, one, size, by_rows)
    mesh = devices.mesh_for(size, lambda: step_examples(build, first[0], data) if by_rows else 0)
    program = compiled(build, probes=probes, gtol=gtol, patience=patience, begun=by_rows, beside=beside, mesh=mesh)
    data = devices.put(data, mesh, None)
    shares = devices.shares(mesh)
    options = compiler_options(beside, None if by_rows else size * steps)
    lanes = chunk_width(size, lanes or lanes_for(one, by_rows, in_one_functions(options)))
    width = chunk_width(size, lanes if by_rows else dispatched(size, lanes, shares), shares=shares)
    program_for = at_each_width(program, options)
    if by_rows:
        drive = one_row_a_dispatch(called(program_for), data, fresh_parameters(build))
    else:
        drive = all_at_once(program_for, data)
    with ThreadPoolExecutor(cores()) as pool:
        chunks = run_chunks(drive, columns, seeds, recorded_steps(steps, record), one, width, lanes, pool, mesh)
        return joined([trace for _, trace, _ in chunks])


def compiled(
    build: Build,
    *,
    probes: Mapping[str, Probe],
    gtol: float = GTOL,
    patience: int = PATIENCE,
    begun: bool = False,
    beside: bool = False,
    mesh: Mesh | None = None,
):
    """The jitted program of a group of runs: a `Program` that can also be lowered and compiled ahead.

    With `begun` the states that it is given hold the parameters to start from (see `fresh_parameters`), so that groups
    that differ in their initialization share a program; and it takes their buffers for those that it returns. For
    `beside` see `lie_side_by_side`, for a `mesh` `devices.spread`.
    """

    def one(numbers, keys, lengths, data, floor, fresh, state, count):
        problem, optimizer = _built(build, numbers, data)
        problem = devices.sharing(problem, mesh)
        params = state.params if begun else None
        state = lax.cond(fresh, lambda: start(problem, optimizer, keys, gtol=gtol, params=params), lambda: state)
        return traverse(
            problem, optimizer, keys[1], state, lengths,
            probes=probes, gtol=gtol, patience=patience, count=count, floor=floor,
        )  # fmt: skip

    def lanes(*inputs):
        across = partial(one, count=lambda live: lax.psum(live, "lanes"))
        with side_by_side(beside):
            return jax.vmap(across, in_axes=AXES, out_axes=(0, 0, None), axis_name="lanes")(*inputs)

    def alone(*inputs):
        # Operations of one lane cost a network up to a tenth more than the same without an axis of lanes.
        inputs = [leaf if axis is None else _first(leaf) for leaf, axis in zip(inputs, AXES, strict=True)]
        trace, state, done = one(*inputs, count=lambda live: live)
        return *jax.tree.map(lambda leaf: leaf[None], (trace, state)), done

    def program(numbers, keys, lengths, data, floor, fresh, states):
        def block(inputs):
            numbers, keys, lengths, states = inputs
            return (alone if len(keys[0]) == 1 else lanes)(numbers, keys, lengths, data, floor, fresh, states)

        if lengths.ndim == 1:
            return block((numbers, keys, lengths, states))
        mine = numbers, keys, states
        numbers, keys, states = jax.tree.map(lambda leaf: leaf.reshape(len(lengths), -1, *leaf.shape[1:]), mine)
        trace, states, done = lax.map(block, (numbers, keys, lengths, states))
        return *jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), (trace, states)), done

    return devices.spread(program, mesh, donated=(6,) if begun else ())


def _first(tree: PyTree) -> PyTree:
    return jax.tree.map(lambda leaf: leaf[0], tree)


def fresh_parameters(build: Build) -> Callable[[Mapping[str, Array], Array], PyTree]:
    """(numbers: {name: `[R, ...]`}, initialization keys: `[R]`) -> the parameters of runs before their first step.

    They are made where the keys are.
    """
    return jax.jit(jax.vmap(lambda numbers, key: build(numbers)[0].init(key)))


def _built(build: Build, numbers: Mapping[str, Array], data: PyTree) -> tuple[Problem, optax.GradientTransformation]:
    problem, optimizer = build(numbers)
    return (problem._replace(data=data) if jax.tree.leaves(data) else problem), optimizer


def blank(build: Build, numbers: Mapping[str, Array], keys: tuple[Array, Array], data: PyTree) -> State:
    """States of the shapes that runs have, to stand where none is given: `[R, ...]`; see `widened`."""
    one = jax.vmap(lambda numbers, keys: start(*_built(build, numbers, data), keys))
    return jax.tree.map(lambda leaf: _zeros(leaf, leaf.shape[0]), jax.eval_shape(one, numbers, keys))


def widened(states: State, width: int) -> State:
    """Blank states of so many runs, from those of any: no tracing, which for a network takes as long as a chunk may."""
    return jax.tree.map(lambda leaf: _zeros(leaf, width), states)


def _zeros(leaf: Any, width: int) -> Any:
    shape = (width, *leaf.shape[1:])
    return jax.random.split(jax.random.key(0), shape) if is_key(leaf) else np.zeros(shape, leaf.dtype)


def step_examples(build: Build, numbers: Mapping[str, Array], data: PyTree) -> int:
    """The examples of a step of these runs, `devices.examples_of` it: numbers `[R, ...]`."""
    concrete = {name: column[0] for name, column in numbers.items()}
    return devices.examples_of(_built(build, concrete, data)[0], data)


def is_long(data: PyTree) -> bool:
    """Whether runs are long ones: a problem with data costs more in a step than a dispatch does."""
    return bool(jax.tree.leaves(data))


def filled_up(first: int, width: int, size: int) -> np.ndarray:
    """Which of `size` runs the chunk from `first` on holds, the last one again where there are no more: `[width]`."""
    return np.minimum(np.arange(first, first + width), size - 1)


def first_rows(columns: Mapping[str, np.ndarray], seeds: np.ndarray, first: int, width: int):
    """The inputs of one chunk; the last one is filled up with copies of its last run."""
    rows = filled_up(first, width, len(seeds))
    return {name: column[rows] for name, column in columns.items()}, keys_of(seeds[rows])


# A program of its own: the generator is as long as a small optimizer to compile, and is compiled once here.
@jax.jit
@jax.vmap
def keys_of(seed):
    return split_key(jax.random.key(seed))


def lie_side_by_side(
    build: Build, numbers: Mapping[str, Array], keys: tuple[Array, Array], states: State, size: int, long: bool
) -> bool:
    """Whether the lanes of `size` runs are better innermost in memory, see `lanes`; given any of the runs: `[R, ...]`.

    A run alone has no neighbours, and `long` ones (see `is_long`) have large values: these are not even traced.
    """

    def evaluated(numbers, key, params):
        return evaluate(build(numbers)[0], params, key, 0)

    return size > 1 and not long and are_short(evaluated, dict(numbers), keys[1], states.params)


def compiler_options(beside: bool, lane_steps: int | None) -> dict[str, Any]:
    """For so many steps of single short runs in all, side by side or not; None: for long runs."""
    if jax.default_backend() != "cpu" or lane_steps is None:
        return {}
    return (SIDE_BY_SIDE if beside else {}) | (HASTY if lane_steps <= FEW else {})


def at_each_width(
    program: Any, options: Mapping[str, Any], ready: Mapping[int, Program] | None = None
) -> Callable[..., Program]:
    """(inputs of a jitted program) -> that program compiled for their width; for some it may be already.

    Once for each width, by whichever thread comes first; those that want it wait, and others go on.
    """
    found, locks = dict(ready or {}), {}

    def program_for(numbers, keys, *others):
        width = len(keys[0])
        with locks.setdefault(width, threading.Lock()):
            if width not in found:
                found[width] = compile_with(partial(program.lower, numbers, keys, *others), options)
        return found[width]

    return program_for


def called(program_for: Callable[..., Program]) -> Program:
    """A program of all widths, compiled where it must be."""
    return lambda *inputs: program_for(*inputs)(*inputs)


#: (which runs, numbers, keys, lengths: `[T]`, blank states, chunks to come on this core) -> {name: `[width, T, ...]`}
Drive = Callable[[slice, dict[str, np.ndarray], tuple[Array, Array], np.ndarray, State, int], Trace]


def all_at_once(program_for: Callable[..., Program], data: PyTree) -> Drive:
    """A dispatch takes a chunk to its end, or to where it goes on in a narrower program."""

    def drive(rows, numbers, keys, lengths, states, chunks):
        return to_the_end(program_for, numbers, keys, lengths, data, states, chunks)

    return drive


def one_row_a_dispatch(program: Program, data: PyTree, begin: Callable[..., PyTree]) -> Drive:
    """A dispatch takes a chunk to the next recorded row, see `training_loop`; `begin`: see `fresh_parameters`."""

    def drive(rows, numbers, keys, lengths, states, chunks):
        states = states._replace(params=begin(numbers, keys[0]))
        return row_by_row(program, numbers, keys, lengths, data, states)[0]

    return drive


def run_chunks(
    drive: Drive,
    columns: Mapping[str, np.ndarray],
    seeds: np.ndarray,
    recorded: np.ndarray,
    states: State,
    width: int,
    lanes: int,
    pool: ThreadPoolExecutor,
    mesh: Mesh | None = None,
) -> Iterator[tuple[slice, Trace, float]]:
    """One chunk after the other as they come: (which runs, {name: `[<=width, T, ...]`}, seconds).

    Of the `width` runs of a chunk `lanes` go side by side. `states` are `blank` ones, of any width. A window bounds
    what has been computed and not yet been taken. A chunk that finds no memory is done in halves, and so are those
    after it.
    """
    size, most = len(seeds), width
    x64 = jax.dtypes.canonicalize_dtype(float) == np.float64  # each thread has its own setting

    @lru_cache(maxsize=1)
    def blanks(now: int) -> State:
        return widened(states, now)

    def together(first: int, last: int, now: int) -> Trace:
        numbers, keys = first_rows(columns, seeds, first, now)
        keys = keys if mesh is None else devices.put(keys, mesh)
        chunks = -(-(size - first) // (now * cores()))
        lengths = lengths_of(recorded, now, lanes, mesh)
        trace = drive(slice(first, last), numbers, keys, lengths, blanks(now), chunks)
        return {name: np.asarray(a)[: last - first] for name, a in trace.items()}

    def chunk(first: int) -> tuple[slice, Trace, float]:
        nonlocal most
        here, parts = slice(first, min(first + width, size)), []
        begun = time.perf_counter()
        with jax.enable_x64(x64):
            while first < here.stop:
                now = most
                last = min(first + now, here.stop)
                try:
                    parts.append(together(first, last, now))
                    first = last
                except (MemoryError, jax.errors.JaxRuntimeError) as error:
                    if not is_exhausted(error):
                        raise
                    if now == devices.shares(mesh):
                        raise TooLarge("one run alone needs more memory than is free") from error
                    most = min(most, now // 2)
                    warnings.warn(f"no memory for {now} runs side by side; going on with {most}", stacklevel=2)
        return here, joined(parts), time.perf_counter() - begun

    firsts = iter(range(0, size, width))
    pending = [pool.submit(chunk, first) for first in itertools.islice(firsts, 2 * cores())]
    while pending:
        done = pending.pop(0).result()
        pending += [pool.submit(chunk, first) for first in itertools.islice(firsts, 1)]
        yield done


def is_exhausted(error: BaseException) -> bool:
    """Whether memory has come to its end, on the host or on a device."""
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)


def joined(traces: Sequence[Trace]) -> Trace:
    """Traces of some runs and of others as one: {name: `[R, T, ...]`}."""
    return {name: np.concatenate([t[name] for t in traces]) for name in traces[0]} if len(traces) > 1 else traces[0]
