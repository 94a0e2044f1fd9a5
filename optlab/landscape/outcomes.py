"""Many runs of which only the end is kept: what maps of starts and of numbers are made of.

Lanes go side by side, a row of them until its last one has ended, then the next row; a tile of rows is one call of one
program, and each core takes a tile. The step is that of `optlab.run`, without its bookkeeping.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from optlab.cores import cores
from optlab.lanes import SIDE_BY_SIDE, are_short, side_by_side
from optlab.one_function import compile_with, in_one_function
from optlab.optimizers.counts import zero
from optlab.run import GTOL, PATIENCE, State, advance, shown, split_key, start
from optlab.types import Array, Problem, PyTree, Status

__all__ = ["Outcomes", "outcomes"]

#: Runs side by side on a CPU, whose states stay in its cache; and elsewhere.
CPU_LANES, LANES = 1024, 65536

#: Bytes that the states of lanes may take on a CPU, where what leaves the cache is lost time, and elsewhere.
CACHE, MEMORY = 2**20, 2**31

#: Rows of lanes in a tile, what a core takes at a time.
ROWS = 16

#: A loss counts as at most this many times the first one, and no less than one part in as many.
FAR = 1e6

#: The steps at the end of the budget by whose mean loss a run is judged.
LAST = 20

#: A run has come down if its last losses are on average below this part of the first one.
DOWN = 0.99

#: (numbers) -> (problem, optimizer); called inside the traced function.
Build = Callable[[Mapping[str, Array]], tuple[Problem, optax.GradientTransformation]]


class Outcomes(NamedTuple):
    """How each of many runs has ended."""

    status: np.ndarray  #: a `Status`: `[R]`
    steps: np.ndarray  #: updates made, as `run` counts them: a trial of a line search is one: `[R]`
    value: np.ndarray  #: the loss at the last parameters: `[R]`
    params: PyTree = None  #: the last parameters, where asked for: `[R, ...]`
    speed: Any = None  #: where asked for, see `outcomes`: `[R]`


class Losses(NamedTuple):
    """What is summed up of a run's losses, each relative to the first; v is within [1e-6, 1e6]."""

    first: Array  #: |loss - minimum| at the start: `[]`
    total: Array  #: sum of v over the steps so far
    inverse: Array  #: sum of 1 / v
    last: Array  #: sum of v over those of the last `LAST` steps of the budget


class Lane(NamedTuple):
    """A run on its way."""

    state: State
    losses: Losses | None


def outcomes(
    build: Build,
    numbers: Mapping[str, Array],
    *,
    steps: int,
    seeds: Array | int = 0,
    data: PyTree = (),
    keep: Sequence[str] = (),
    gtol: float = GTOL,
    patience: int = PATIENCE,
    lanes: int | None = None,
    rows: int | None = None,
) -> Outcomes:
    r"""Runs an optimizer once for each row of `numbers`, for at most `steps` updates, and keeps how it ended.

    When a run has converged, stalled or diverged is decided as in `optlab.run`, and what has ended stays as it is.

    The speed of a run, where ``keep`` names it, is that of Sohl-Dickstein (2024). With the losses relative to the
    first one, :math:`v_t = |f_t - m| / |f_0 - m|` (m the known minimum, or zero), cut off at 1e6 and 1e-6 and 1e6
    where they are no numbers,

    .. math::
        s = -\sum_{t=0}^{T} v_t \quad \text{if the run has come down}, \qquad
        s = \sum_{t=0}^{T} 1 / v_t \quad \text{otherwise}

    over the whole budget T: a run that has ended counts with its last loss from there on. It has come down if it has
    converged, or has not diverged and its last 20 losses are on average below 0.99 of the first (the source has 1). So
    the sign says which, and the smaller its size, the faster it went. What has neither come down nor has the status
    ``diverged`` has plateaued.

    Args:
      build: (numbers of one run) -> problem, optimizer; traced.
      numbers: {name: `[R, ...]`}.
      steps: the budget, at least 1.
      seeds: one for all, or `[R]`: the key of a run as `run_sweep` makes it.
      data: the problem's data, where it has some: travels as an argument, and is compiled into nothing.
      keep: what else to return, of ``params`` and ``speed``.
      gtol, patience: as for `run`.
      lanes: runs side by side; by default what suits the device and the size of a state.
      rows: of lanes, one after the other in one call of the program; more give a core less of a pause.

    Returns:
      An `Outcomes`, NumPy arrays with a leading axis of runs.

    Raises:
      ValueError: for a budget below 1, no runs, columns of different length or a `keep` that is none.

    Source: Sohl-Dickstein, The boundary of neural network trainability is fractal (2024), section 2.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, not {steps}")
    if unknown := set(keep) - {"params", "speed"}:
        raise ValueError(f"keep names params or speed, not {', '.join(sorted(unknown))}")
    lengths = {len(column) for column in [*numbers.values(), seeds] if np.ndim(column)}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(f"numbers and seeds must have one length of at least 1, not {sorted(lengths)}")
    (size,) = lengths
    columns = {name: np.asarray(column) for name, column in numbers.items()}
    seeds = np.broadcast_to(np.asarray(seeds), (size,))
    width = lanes or _lanes(build, {name: column[0] for name, column in columns.items()}, data, keep)
    width = min(width, 1 << (size - 1).bit_length())
    height = max(1, min(rows or ROWS, -(-size // (width * cores()))))
    program = compiled(build, keep=tuple(sorted(keep)), steps=steps, gtol=gtol, patience=patience)
    x64 = jax.dtypes.canonicalize_dtype(float) == np.float64  # each thread has its own setting

    def tile(first: int) -> PyTree:
        here = np.minimum(np.arange(first, first + width * height), size - 1).reshape(height, width)
        with jax.enable_x64(x64):
            ends = program({name: column[here] for name, column in columns.items()}, seeds[here], data)
            return jax.tree.map(lambda leaf: np.asarray(leaf).reshape(-1, *leaf.shape[2:])[: size - first], ends)

    with ThreadPoolExecutor(cores()) as pool:
        parts = list(pool.map(tile, range(0, size, width * height)))
    return Outcomes(**jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts))


def _lanes(build: Build, numbers: Mapping[str, Any], data: PyTree, keep: Sequence[str]) -> int:
    cpu = jax.default_backend() == "cpu"
    most = CPU_LANES if cpu else LANES
    if not jax.tree.leaves(data):
        return most
    state = jax.eval_shape(lambda numbers, data: _begun(_built(build, numbers, data), 0, keep, 0.0), numbers, data)
    state_bytes = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    fit = max(1, (CACHE if cpu else MEMORY) // max(1, state_bytes))
    return min(most, 1 << (fit.bit_length() - 1))


def by_blocks(m: int, n: int, side: int = 32) -> np.ndarray:
    """The places of a grid `[m, n]`, flat, block after block: neighbours end at about the same time, so that a row of
    lanes that holds them waits for few."""
    row, column = np.divmod(np.arange(m * n), n)
    return np.lexsort((column, row, column // side, row // side))


class _Case(NamedTuple):
    problem: Problem
    optimizer: optax.GradientTransformation
    floor: Array | float  #: what losses are measured from


def _built(build: Build, numbers: Mapping[str, Array], data: PyTree) -> _Case:
    problem, optimizer = build(numbers)
    if jax.tree.leaves(data):
        problem = problem._replace(data=data)
    # No ladder of targets and no landmarks: a map shows neither.
    floor = 0.0 if problem.minimum is None else problem.minimum
    return _Case(problem._replace(minimum=None, landmarks=None), optimizer, floor)


def _keys(seed: Array | int) -> tuple[Array, Array]:
    return split_key(jax.random.key(seed))


def _begun(case: _Case, seed: Array | int, keep: Iterable[str], gtol: float) -> Lane:
    state = lean(start(case.problem, case.optimizer, _keys(seed), gtol=gtol))
    if "speed" not in keep:
        return Lane(state, None)
    one, none = jnp.ones_like(state.value), jnp.zeros_like(state.value)
    return Lane(state, Losses(jnp.abs(state.value - jnp.asarray(case.floor, one.dtype)), one, one, none))


def lean(state: State) -> State:
    """Without what is carried for the columns of a trace: it would be read and written at each step."""
    return state._replace(best=None, counts=None, missed=None, passage=None)


def lean_step(
    problem: Problem, optimizer: optax.GradientTransformation, batch_key: Array, state: State, **limits: Any
) -> State:
    """`optlab.run.advance` of a `lean` state, on a problem without minimum and landmarks."""
    whole = state._replace(best=state.value, counts=zero())
    return lean(advance(problem, optimizer, batch_key, whole, **limits))


def _onward(case: _Case, seed: Array, lane: Lane, *, steps: int, gtol: float, patience: int) -> Lane:
    """One step of a lane; whatever has ended, or has used up its budget, stays as it is."""
    before = lane.state
    after = lean_step(case.problem, case.optimizer, _keys(seed)[1], before, gtol=gtol, patience=patience)
    spent = (after.status == Status.running) & (after.step >= steps)
    after = after._replace(status=jnp.where(spent, Status.max_steps, after.status).astype(before.status.dtype))
    if lane.losses is None:
        return Lane(after, None)
    live = before.status == Status.running
    v = _relative(case, lane.losses.first, after.value)
    last = after.step > steps - LAST
    losses = lane.losses._replace(
        total=lane.losses.total + jnp.where(live, v, 0),
        inverse=lane.losses.inverse + jnp.where(live, 1 / v, 0),
        last=lane.losses.last + jnp.where(live & last, v, 0),
    )
    return Lane(after, losses)


def _relative(case: _Case, first: Array, value: Array) -> Array:
    """|loss - minimum| relative to the first, within [1 / FAR, FAR]: `[]`."""
    v = jnp.abs(value - jnp.asarray(case.floor, value.dtype)) / jnp.maximum(first, jnp.finfo(value.dtype).tiny)
    return jnp.where(jnp.isfinite(v), jnp.clip(v, 1 / FAR, FAR), FAR)


def _end(case: _Case, lane: Lane, keep: Iterable[str], steps: int) -> dict[str, PyTree]:
    state = lane.state
    end = {"status": state.status, "steps": state.step, "value": state.value}
    if "params" in keep:
        end["params"] = shown(state)
    if lane.losses is not None:
        v = _relative(case, lane.losses.first, state.value)
        left = (steps - state.step).astype(v.dtype)
        last = (lane.losses.last + jnp.minimum(left, LAST) * v) / min(LAST, steps)
        down = (state.status == Status.converged) | (state.status != Status.diverged) & (last < DOWN)
        end["speed"] = jnp.where(down, -(lane.losses.total + left * v), lane.losses.inverse + left / v)
    return end


@lru_cache(maxsize=32)
def compiled(build: Build, *, keep: tuple[str, ...], steps: int, gtol: float, patience: int):
    """The program of a tile, rows of lanes: (numbers: {name: `[rows, lanes, ...]`}, seeds, data) -> ends."""

    def one(numbers, seed, data):
        case = _built(build, numbers, data)

        def going(lane):
            # One number for all lanes, and so is whatever does not depend on the run: a step count, a power of it.
            return lax.pmax(lane.state.status == Status.running, "lanes")

        def onward(lane):
            return _onward(case, seed, lane, steps=steps, gtol=gtol, patience=patience)

        def to_the_end(lane):
            return lax.while_loop(going, onward, lane)

        seeds = lax.pmax(seed, "lanes")
        end = in_one_function(to_the_end, _begun(case, seed, keep, gtol), known_later=seeds)
        return _end(case, end, keep, steps)

    row: Callable[..., PyTree] = jax.vmap(one, (0, 0, None), axis_name="lanes")

    def rows(numbers, seeds, data):
        return lax.map(lambda x: row(*x, data), (numbers, seeds))

    def short(numbers, seeds, data):
        def begun(numbers, seed):
            return _begun(_built(build, numbers, data), seed, keep, gtol)

        return not jax.tree.leaves(data) and are_short(begun, *jax.tree.map(lambda column: column[0], (numbers, seeds)))

    return _once_for_each_shape(jax.jit(rows), short)


def _once_for_each_shape(program: Any, short: Callable[..., bool]) -> Callable[..., PyTree]:
    """A jitted program, compiled by whichever thread comes first while the others wait."""
    found, lock = {}, threading.Lock()

    def call(*inputs):
        leaves, structure = jax.tree.flatten(inputs)
        x64 = jax.dtypes.canonicalize_dtype(float) == np.float64
        shape = (structure, x64, *((leaf.shape, leaf.dtype) for leaf in leaves))
        with lock:
            if shape not in found:
                beside = short(*inputs)
                with side_by_side(beside):
                    found[shape] = compile_with(partial(program.lower, *inputs), SIDE_BY_SIDE if beside else {})
        return found[shape](*inputs)

    return call
