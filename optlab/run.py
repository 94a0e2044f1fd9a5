"""One optimizer on one problem: `start`, then `advance` step by step, and `observe` now and then.

`run` strings them together under one scan; `minimize` and `sweep` drive the same three functions.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from optlab import passage
from optlab import probes as asking
from optlab.lanes import innermost
from optlab.one_function import in_one_function
from optlab.optimizers import counts as accounts
from optlab.optimizers.counts import Averaged, Counts, Progress, Snapshots
from optlab.passage import Passage
from optlab.types import Array, Probe, Problem, PyTree, Status, Trace, full_batch

#: The target ladder: 51 gaps from 1e2 to 1e-8, five in each decade (COCO).
TARGETS = 10.0 ** (2 - 0.2 * np.arange(51))

#: The gradient's infinity norm at which a run counts as converged.
GTOL = 1e-8

#: A run has diverged beyond this many times max(1, |f(x0)|).
BOUND = 1e10

#: Up to so many parameters a run on a closed form tells where it ended.
TOLD = 64

#: A run has stalled after so many steps in a row that moved no parameter by more than its rounding error.
#: It is longer than the pauses that are part of a method (warm-up from zero, gradient accumulation).
PATIENCE = 100


class State(NamedTuple):
    """All that a run carries from step to step."""

    params: PyTree
    opt_state: PyTree
    value: Array  #: loss at `params` on the coming step's batch: `[]`
    grad: PyTree  #: its gradient
    grad_norm: Array  #: infinity norm of `grad`: `[]`
    best: Array  #: least noise-free loss so far: `[]`
    limit: Array  #: |loss| beyond which the run has diverged: `[]`
    step: Array
    counts: Counts  #: evaluations made so far, those at `params` included
    still: Array  #: steps in a row that moved nothing
    status: Array  #: a `Status`; the run is frozen unless it is `running`
    missed: tuple[Array, Counts | None] | None  #: what was spent before each rung of the ladder was reached: `[51]`
    passage: Passage | None = None  #: what has been met, on a closed form


def recorded_steps(steps: int, record: str | int | Sequence[int] = "log") -> np.ndarray:
    """The steps to record, ascending, the first (0) and the last among them: `[T]`.

    `record` is ``"log"`` (eight in each decade), ``"linear"`` (fifty at equal distances), ``"all"``, ``"last"``, a
    number (each so many steps) or the steps themselves. Raises ValueError for anything else.
    """
    if not 1 <= steps <= (most := np.iinfo(np.int32).max):
        raise ValueError(f"steps must be at {'least 1' if steps < 1 else f'most {most}'}, not {steps}")
    if record == "log":
        chosen = np.round(10 ** (np.arange(8 * np.log10(steps) + 1) / 8))
    elif record == "linear":
        chosen = np.round(np.linspace(0, steps, 51))
    elif record == "all":
        chosen = np.arange(steps + 1)
    elif record == "last":
        chosen = np.array([steps])
    elif isinstance(record, int) and record > 0:
        chosen = np.arange(0, steps + 1, min(record, steps))
    elif not isinstance(record, str | int):
        chosen = np.asarray(record)
    else:
        raise ValueError(f"record must be log, linear, all, last, a positive number or a list of steps, not {record!r}")
    chosen = chosen[(chosen >= 0) & (chosen <= steps)]
    return np.unique(np.concatenate([[0], chosen, [steps]])).astype(np.int32)


def infinity_norm(tree: PyTree) -> Array:
    """The largest absolute entry, NaN if any entry is: `[]`."""
    leaves = [jnp.max(jnp.abs(leaf), initial=0) for leaf in jax.tree.leaves(tree)]
    return jnp.max(jnp.stack(leaves)) if len(leaves) > 1 else leaves[0]


def split_key(key: Array) -> tuple[Array, Array]:
    """What a run's key decides: its initialization, its batches."""
    init_key, batch_key = jax.random.split(key)
    return init_key, batch_key


def _batch(problem: Problem, key: Array, step: Array) -> PyTree:
    if problem.passes is not None:
        return problem.passes(problem.data, key, step)
    return problem.batch(problem.data, key if problem.batch is full_batch else jax.random.fold_in(key, step))


def evaluate(problem: Problem, params: PyTree, key: Array, step: Array | int) -> tuple[Array, PyTree]:
    return jax.value_and_grad(problem.loss)(params, _batch(problem, key, step))


def _noise_free(problem: Problem, params: PyTree, value: Array) -> Array:
    """The loss to judge a step by, or +inf where only `observe` can tell: the loss of a batch is no record."""
    if problem.batch is full_batch:
        return value
    if problem.minimum is None:
        return jnp.full_like(value, jnp.inf)
    return problem.measure(params, problem.data)["value"].astype(value.dtype)  # a closed form: cheap


def _judge(state: State, gtol: float, patience: int) -> Array:
    """The status of a state, decided here and nowhere else."""
    finite = (jnp.abs(state.value) <= state.limit) & jnp.isfinite(state.grad_norm)
    stalled = state.still >= patience
    for node in accounts.nodes(state.opt_state, Progress):
        # A trial may be no number and the search come back from it; but nobody comes back from far below.
        finite |= (state.step > 0) & ~(state.value < -state.limit)
        stalled |= node.stalled
    status = jnp.where(stalled, Status.stalled, Status.running)
    # Where a function is no number its gradient may still be zero.
    status = jnp.where((state.grad_norm <= gtol) & jnp.isfinite(state.value), Status.converged, status)
    return jnp.where(finite, status, Status.diverged).astype(jnp.int32)


def start(
    problem: Problem,
    optimizer: optax.GradientTransformation,
    keys: tuple[Array, Array],
    *,
    gtol: float = GTOL,
    params: PyTree = None,
) -> State:
    """The state before the first step: parameters, fresh unless given, evaluated once.

    `keys`: for the parameters, for the batches.
    """
    init_key, batch_key = keys
    if params is None:
        params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.asarray(leaf).dtype), problem.init(init_key))
    opt_state = optimizer.init(params)
    zero = jnp.asarray(0, jnp.int32)
    value, grad = evaluate(problem, params, batch_key, zero)
    best = _noise_free(problem, params, value)
    counts = Counts(zero + 1, zero + 1, zero)
    missed = None
    if problem.minimum is not None:
        unmet = _above(problem, best).astype(jnp.int32)
        many = accounts.spent(opt_state, opt_state) is not None
        missed = (unmet, jax.tree.map(lambda n: jnp.full_like(unmet, 1) * n, counts)) if many else (unmet, None)
    state = State(
        params, opt_state, value, grad, infinity_norm(grad), best,
        BOUND * jnp.maximum(1, jnp.abs(value)), zero, counts, zero, zero, missed,
    )  # fmt: skip
    return state._replace(status=_judge(state, gtol, PATIENCE), passage=passage.departure(problem, params))


def advance(
    problem: Problem,
    optimizer: optax.GradientTransformation,
    batch_key: Array,
    state: State,
    *,
    gtol: float = GTOL,
    patience: int = PATIENCE,
) -> State:
    """One update and the evaluation at the new parameters. A state that has ended stays as it is."""
    state = innermost(state)
    live = state.status == Status.running
    updates, opt_state, spent = _update(problem, optimizer, batch_key, state)
    updates = jax.tree.map(lambda u: jnp.where(live, u, jnp.zeros_like(u)), updates)
    params = optax.apply_updates(state.params, updates)
    # On another batch they would be those of another function.
    known = accounts.known(opt_state) if problem.batch is full_batch else None
    if known is None:
        value, grad = evaluate(problem, params, batch_key, state.step + 1)
        spent = Counts(spent.n_value + 1, spent.n_grad + 1, spent.n_hvp)
    else:
        value, grad = jax.tree.map(lambda new, old: jnp.where(live, new, old), known, (state.value, state.grad))
    judged = _noise_free(problem, params, value)
    one = live.astype(jnp.int32)
    new = state._replace(
        params=params,
        opt_state=opt_state,
        value=value.astype(state.value.dtype),
        grad=grad,
        # Of one batch among many it decides nothing: then it is measured where it is recorded.
        grad_norm=infinity_norm(grad) if problem.passes is None else state.grad_norm,
        best=jnp.where(judged < state.best, judged, state.best),
        step=state.step + one,
        counts=jax.tree.map(lambda total, here: total + one * here, state.counts, spent),
        still=_still(problem, state, updates, one),
    )
    new = new._replace(
        missed=_missed(problem, state, new),
        passage=passage.onward(problem, state.passage, new.params, judged, new.grad_norm, new.step, one),
    )
    return innermost(new._replace(status=jnp.where(live, _judge(new, gtol, patience), state.status)))


def _update(problem, optimizer, key, state):
    """The optimizer's proposal, its next state, and the evaluations that it made by itself."""
    batch = _batch(problem, key, state.step)

    def value_fn(params, residual_fn=None, split_fn=None, flat=None):
        # optax's zoom search hands all extra arguments on to `value_fn`, and raises where it does not take one.
        del residual_fn, split_fn, flat
        return problem.loss(params, batch)

    # Where the loss is the same at every step, a line search may make one trial an update (see `linesearch`).
    extra = {"value": state.value, "grad": state.grad, "value_fn": value_fn, "flat": problem.batch is full_batch}
    if problem.residual is not None:
        residual = problem.residual
        extra["residual_fn"] = lambda params: residual(params, batch)
        extra["split_fn"] = extra["residual_fn"], lambda r: 0.5 * jnp.sum(r**2)
    if problem.split is not None:
        outputs, criterion = problem.split
        extra["split_fn"] = (lambda params: outputs(params, batch)), (lambda z: criterion(z, batch))
    optimizer = optax.with_extra_args_support(optimizer)
    updates, opt_state = optimizer.update(state.grad, state.opt_state, state.params, **extra)
    # Some of optax's states change their dtype in the first update under float64.
    opt_state = jax.tree.map(lambda new, old: jnp.asarray(new, jnp.asarray(old).dtype), opt_state, state.opt_state)
    return updates, opt_state, accounts.spent(state.opt_state, opt_state) or accounts.zero()


def _still(problem: Problem, state: State, updates: PyTree, one: Array) -> Array:
    """Steps in a row that moved nothing; with fresh batches from pass to pass nothing stays where it is for long."""
    motionless = problem.passes is None and _motionless(state.params, updates)
    return jnp.where(motionless, state.still + one, 0)


def _motionless(params: PyTree, updates: PyTree) -> Array:
    """Whether no parameter moves by more than its own rounding error: `[]`."""

    def still(p, u):
        return jnp.all(jnp.abs(u) <= 2 * jnp.finfo(p.dtype).eps * jnp.abs(p))

    return jnp.all(jnp.stack(jax.tree.leaves(jax.tree.map(still, params, updates))))


def _above(problem: Problem, best: Array) -> Array:
    """Which rungs of the ladder a value is still above: `[51]`."""
    return best - problem.minimum > TARGETS.astype(best.dtype)


def _missed(problem: Problem, old: State, new: State):
    """Counts on each rung of the ladder what was spent before it was reached.

    The steps at which a rung was still above are as many as the number of the step that reached
    it, so that one comparison a rung and step keeps the exact step without storing the path.
    """
    if old.missed is None:
        return None
    steps, counts = old.missed
    made = jax.tree.map(jnp.subtract, new.counts, old.counts)
    # Fused with what makes these scalars, the ladder would compute them anew for each rung.
    best, before, made = lax.optimization_barrier((new.best, old.best, made))
    steps = steps + _above(problem, best).astype(jnp.int32)
    if counts is not None:
        above = _above(problem, before).astype(jnp.int32)
        counts = jax.tree.map(lambda total, here: total + above * here, counts, made)
    return steps, counts


def observe(problem: Problem, state: State, probes: Mapping[str, Probe]) -> tuple[State, dict[str, Array]]:
    """One row of the trace; the measured loss counts for `best_value` too."""
    params = shown(state)
    if problem.passes is not None:
        state = state._replace(grad_norm=infinity_norm(state.grad))
    measured = dict(problem.measure(params, problem.data))
    noise_free = measured.pop("value")
    value = state.value if problem.batch is full_batch and params is state.params else noise_free
    state = state._replace(best=jnp.where(value < state.best, value, state.best).astype(state.best.dtype))
    row = {"step": state.step, **state.counts._asdict(), "value": value, "best_value": state.best}
    if problem.minimum is not None:
        row["gap"] = state.best - problem.minimum
    row |= {"grad_norm": state.grad_norm, "status": state.status} | measured | accounts.columns(state.opt_state)
    for kept in accounts.nodes(state.opt_state, Snapshots):
        row |= {} if problem.ensemble is None else problem.ensemble(kept.params, kept.taken, problem.data)
    return state, row | {name: probe(problem, params) for name, probe in probes.items()}


def shown(state: State) -> PyTree:
    """The parameters that a run is judged by: the average, where the optimizer keeps one."""
    for node in accounts.nodes(state.opt_state, Averaged):
        return jax.tree.map(lambda mean, leaf: mean.astype(leaf.dtype), node.mean, state.params)
    return state.params


def finish(problem: Problem, state: State, rows: dict[str, Array]) -> Trace:
    """The trace: the last row tells how the run ended; when each rung of the ladder was reached (-1: never)."""
    status = jnp.where(state.status == Status.running, Status.max_steps, state.status)
    trace = rows | {"status": rows["status"].at[-1].set(status.astype(jnp.int32))}
    if state.passage is not None:
        trace["escape_step"] = state.passage.escape
        if state.params.size <= TOLD:
            trace["end"] = state.params
        if problem.minimum is not None:
            trace["plateau_share"] = state.passage.plateau / jnp.maximum(state.step, 1)
    if state.missed is None:
        return trace
    steps, counts = state.missed
    reached = state.best - problem.minimum <= TARGETS.astype(state.best.dtype)
    if counts is None:
        # Without evaluations of its own an optimizer is given one value and one gradient a step.
        counts = Counts(steps + 1, steps + 1, jnp.zeros_like(steps))
    missed = {"step": steps} | counts._asdict()
    return trace | {f"target_{name}": jnp.where(reached, n, -1) for name, n in missed.items()}


def traverse(
    problem: Problem,
    optimizer: optax.GradientTransformation,
    batch_key: Array,
    state: State,
    lengths: Array,
    *,
    probes: Mapping[str, Probe],
    gtol: float = GTOL,
    patience: int = PATIENCE,
    count: Callable[[Array], Array] | None = None,
    floor: Array | int = 0,
) -> tuple[Trace, State, Array]:
    """The rest of a run from a state on: its trace, the last state, and the steps done before each row: `[T]`.

    The numbers of steps before each recorded one, `lengths: [T]`, are traced; only their count is fixed. With
    `count` (0 or 1, whether this lane runs -> how many do) the loops end when no more than `floor` are left: what is
    not done is for whoever called. Whatever is the same for all lanes (a step count, a power of it) stays one number.
    """

    def body(state):
        return advance(problem, optimizer, batch_key, state, gtol=gtol, patience=patience)

    def segment(state, length):
        if count is None:
            done, state = length, lax.fori_loop(0, length, lambda _, state: body(state), state)
        else:

            def onward(length, state, count=count):
                def going(carry):
                    return (carry[0] < length) & (count((carry[1].status == Status.running).astype(jnp.int32)) > floor)

                return lax.while_loop(going, lambda carry: (carry[0] + 1, body(carry[1])), (0 * length, state))

            done, state = in_one_function(onward, length, state, known_later=length)
        state, row = observe(problem, state, probes)
        return state, (row, done)

    state, (rows, done) = lax.scan(segment, state, lengths)
    return finish(problem, state, rows), state, done


def run(
    problem: Problem,
    optimizer: optax.GradientTransformation,
    key: Array,
    *,
    steps: int,
    record: str | int | Sequence[int] = "log",
    probes: Mapping[str, Probe] | None = None,
    gtol: float = GTOL,
    patience: int = PATIENCE,
) -> Trace:
    """Runs an optimizer for a budget of steps and records what happened; a pure function.

    Each step offers the optimizer ``value, grad, value_fn`` (and ``residual_fn`` where the problem
    has residuals). Row t holds the parameters after step t: loss, gradient and counts include the
    evaluation made there, so that a plain method has ``n_grad = step + 1``.

    Args:
      problem: what to descend.
      optimizer: any optax transform.
      key: decides initialization and batches.
      steps: the budget, the same for all.
      record: which steps to record, see `recorded_steps`.
      probes: further columns; by default ``x``, the parameters as a vector.
      gtol: infinity norm of the gradient at which the run has converged.
      patience: steps without motion after which it has stalled.

    Returns:
      {name: `[T, ...]`}: ``step, n_value, n_grad, n_hvp, value, best_value, gap`` (best value less the
      minimum, where that is known)``, grad_norm`` (infinity norm)``, status`` (a `Status`), the problem's
      measures and the probes. A run that ended early repeats its last row. Where the minimum is known,
      also ``target_step, target_n_value, target_n_grad, target_n_hvp: [51]``: when each gap of
      `TARGETS` was first reached, -1 if never. On a closed form also, of the whole run: ``escape_step: []``, the
      first step below and away from the stated saddle that is nearest to the start, -1 if none; ``plateau_share: []``
      of the steps at which the slope promised next to nothing; ``end: [d]``, the last parameters (up to 64).

    Raises:
      ValueError: for steps below 1, or a `record` that is none.
    """
    lengths = jnp.asarray(np.diff(recorded_steps(steps, record), prepend=0))
    probes = {"x": asking.position} if probes is None else probes
    keys = split_key(key)
    begun = start(problem, optimizer, keys, gtol=gtol)
    return traverse(problem, optimizer, keys[1], begun, lengths, probes=probes, gtol=gtol, patience=patience)[0]
