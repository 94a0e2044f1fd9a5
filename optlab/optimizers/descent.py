"""Going down a direction: the two drivers that every line search shares.

A line search is a small scalar state machine over phi(alpha) = f(x + alpha d): `Machine.init` takes
phi(0), phi'(0) and a first trial, `Machine.step` takes phi and phi' at the trial and says which is
next, or that it is done. Two drivers share it. *Nested*, a while loop within one `update` calls
`value_fn` until the search is done: what a user of `optax.chain` wants. *Flat* (`flat=True`), an `update`
takes the value and gradient at the parameters as one trial and moves to the next: in a batch no
lane waits for the longest search of another. `run` and `minimize` are flat where the loss is the same at
every step.
"""

# optax declares the arguments and states of an update more narrowly than it uses them.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from optlab.lanes import side_by_side
from optlab.one_function import apart
from optlab.optimizers.counts import Counts, Progress, nodes, zero
from optlab.optimizers.hessian import real_type
from optlab.types import Array, PyTree


class Scalars(NamedTuple):
    """What a search knows: all scalars. A machine may carry more in `more`."""

    alpha: Array  #: the trial to evaluate, or, when `done`, the accepted step
    value0: Array  #: phi(0)
    slope0: Array  #: phi'(0), negative
    trials: Array
    done: Array
    failed: Array  #: no acceptable step was found; the accepted one does not go uphill
    more: Any = ()


class Machine(NamedTuple):
    """A line search as two functions of scalars."""

    init: Callable[[Array, Array, Array], Scalars]  #: (phi(0), phi'(0), first trial)
    step: Callable[[Scalars, Array, Array], Scalars]  #: (state, phi(alpha), phi'(alpha))


#: Iterations without a lower value or gradient after which a search has stalled: it is among rounding errors.
IDLE = 10


class Record(NamedTuple):
    """The best that a search has seen, and for how many iterations nothing was better."""

    least_value: Array
    least_norm: Array  #: Euclidean, of the gradient
    idle: Array


class SearchState(NamedTuple):
    """The state of a search as an optax transform."""

    scalars: Scalars
    base: PyTree  #: where the search began
    direction: PyTree
    value: Array  #: at `base`; in the nested form at the new parameters
    grad: PyTree  #: the same; whoever evaluates next may take them from here
    steepest: Array  #: whether the search goes along -grad, for want of a direction that descends
    record: Record
    progress: Progress  #: `fresh`: this update began a new search; `stalled`: one along -grad failed, or none helps
    counts: Counts


def dot(a: PyTree, b: PyTree) -> Array:
    """Inner product of two trees: `[]`."""
    products = jax.tree.map(lambda x, y: jnp.sum(x * y), a, b)
    return sum(jax.tree.leaves(products))  # type: ignore[return-value]


def select(condition: Array, yes: PyTree, no: PyTree) -> PyTree:
    """One of two trees by a scalar condition, leaf by leaf."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)


def unit_step(previous: Scalars, value: Array, slope: Array) -> Array:
    """Newton-like directions carry their length: the first trial is 1."""
    del previous, value
    return jnp.ones_like(slope)


def expected_change(previous: Scalars, value: Array, slope: Array) -> Array:
    """The parabola that would fall as far as the last iteration did: 2 (f_k - f_{k-1}) / phi'(0), at most 1.

    Source: Nocedal and Wright (2006), eq. 3.60; at first a step of length 1.
    """
    guess = 2.02 * (value - previous.value0) / slope
    begun = (previous.trials > 0) & (guess > 0) & jnp.isfinite(guess)
    return jnp.minimum(1, jnp.where(begun, guess, 1 / jnp.sqrt(-slope)))


def searching(
    machine: Machine, first: Callable[[Scalars, Array, Array], Array] = unit_step
) -> optax.GradientTransformationExtraArgs:
    """A machine as an optax transform: takes a direction as `updates`, returns the step along it."""

    def init(params):
        value = jnp.full((), jnp.inf, real_type(params))
        no, zeros = jnp.asarray(False), jax.tree.map(jnp.zeros_like, params)
        scalars = machine.init(value, jnp.full_like(value, -1), jnp.ones_like(value))
        scalars = jax.tree.map(lambda s: jnp.asarray(s), scalars._replace(done=jnp.asarray(True)))
        record = Record(value, value, jnp.zeros((), jnp.int32))
        return SearchState(scalars, zeros, zeros, value, zeros, no, record, Progress(no, no), zero())

    def update(updates, state, params, *, value=None, grad=None, value_fn=None, flat=None, **unused):
        if value is None or grad is None:
            raise ValueError("a line search needs value=, grad= and, unless flat=True, value_fn= in update()")
        flat = value_fn is None if flat is None else flat
        value = jnp.asarray(value, state.value.dtype)
        step = _flat if flat else _nested
        return step(machine, first, updates, state, params, value, grad, value_fn)

    return optax.GradientTransformationExtraArgs(init, update)


def _begin(machine, first, direction, state, params, value, grad) -> SearchState:
    """A new search from `params`, along -grad where the last one failed or the direction does not descend."""
    failed = state.scalars.failed
    length = jnp.sqrt(dot(grad, grad))

    def uphill(failed, slope, length):
        return failed | ~((slope < 0) & jnp.isfinite(slope)), -1 / jnp.maximum(length, 1)

    steepest, share = apart(uphill, failed, dot(grad, direction), length)
    direction = select(steepest, jax.tree.map(lambda g: share.astype(g.dtype) * g, grad), direction)
    slope = dot(grad, direction).astype(value.dtype)
    flat = ~(slope < 0)  # the gradient is zero, or not a number
    alpha = jnp.where(steepest, 1, apart(first, state.scalars, value, slope)).astype(value.dtype)
    scalars = machine.init(value, slope, jnp.where(flat, 0, alpha))
    record = _recorded(state.record, value, length.astype(value.dtype))
    stalled = (failed & state.steepest) | (record.idle >= IDLE)
    return state._replace(
        scalars=scalars._replace(done=flat, failed=flat), base=params, direction=direction, value=value, grad=grad,
        steepest=steepest,
        record=record,
        progress=Progress(jnp.asarray(True), state.progress.stalled | stalled),
    )  # fmt: skip


def _recorded(record: Record, value: Array, norm: Array) -> Record:
    least = jnp.finfo(value.dtype).eps * jnp.abs(record.least_value)
    lower = value < record.least_value - jnp.where(jnp.isfinite(least), least, 0)
    better = lower | (norm < 0.9 * record.least_norm)
    idle = jnp.where(better, 0, record.idle + 1)
    return Record(jnp.minimum(record.least_value, value), jnp.minimum(record.least_norm, norm), idle)


def _nested(machine, first, updates, state, params, value, grad, value_fn):
    if value_fn is None:
        raise ValueError("a line search within one update needs value_fn=, a function of the parameters")
    begun = _begin(machine, first, updates, state, params, value, grad)

    def trial(carry):
        scalars, *_ = carry
        value, grad = jax.value_and_grad(value_fn)(_along(params, begun.direction, scalars.alpha))
        value = value.astype(scalars.value0.dtype)
        return machine.step(scalars, value, dot(grad, begun.direction).astype(value.dtype)), value, grad

    start = (begun.scalars, value, grad)
    scalars, value, grad = lax.while_loop(lambda carry: ~carry[0].done, trial, start)
    made = scalars.trials.astype(state.counts.n_value.dtype)
    counts = state.counts._replace(n_value=state.counts.n_value + made, n_grad=state.counts.n_grad + made)
    new = begun._replace(scalars=scalars, value=value, grad=grad, counts=counts)
    return jax.tree.map(lambda d: scalars.alpha.astype(d.dtype) * d, begun.direction), new


def _flat(machine, first, updates, state, params, value, grad, value_fn):
    del value_fn
    slope = dot(grad, state.direction).astype(value.dtype)
    scalars = select(state.scalars.done, state.scalars, apart(machine.step, state.scalars, value, slope))
    going = state._replace(scalars=scalars, progress=state.progress._replace(fresh=jnp.asarray(False)))
    new = select(scalars.done, _begin(machine, first, updates, going, params, value, grad), going)
    trial = _along(new.base, new.direction, new.scalars.alpha)
    return jax.tree.map(lambda t, p: t - p, trial, params), new


def _along(base: PyTree, direction: PyTree, alpha: Array) -> PyTree:
    return jax.tree.map(lambda x, d: x + alpha.astype(x.dtype) * d, base, direction)


def scalars(value: Array, slope: Array, alpha: Array, more: Any = ()) -> Scalars:
    none, no = jnp.zeros((), jnp.int32), jnp.asarray(False)
    return Scalars(alpha, value, slope, none, no, no, more)


def after_trial(state: Scalars, alpha: Array, done: Array, failed: Array, fallback: Array) -> Scalars:
    """The state after a trial: accepted, given up for `fallback` (evaluated once more), or on to `alpha`."""
    gave_up = state.failed  # the trial just made was the fallback
    return state._replace(
        alpha=jnp.where(done | gave_up, state.alpha, jnp.where(failed, fallback, alpha)),
        done=done | gave_up,
        failed=gave_up | failed,
    )


class DescentState(NamedTuple):
    """A direction and a search along it."""

    memory: PyTree
    search: PyTree


def searched(
    direction: optax.GradientTransformation,
    search: optax.GradientTransformationExtraArgs,
    *,
    selective: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Goes down a direction's update as far as a line search says.

    `direction` maps a gradient to an ascent direction, as `optax.scale_by_lbfgs` does. It is asked once an
    iteration, at the accepted points, and told to `forget=` what it has learnt where
    the search had to fall back to steepest descent. A search of optax's makes all its trials within one update.

    A `selective` direction takes ``asked=``, and where that is false leaves its memory as it is: lanes of a batch, of
    which some ask, then need no choice between two memories.
    """

    direction = optax.with_extra_args_support(direction)

    def init(params):
        return DescentState(direction.init(params), search.init(params))

    def update(updates, state, params, **extra):
        extra["grad"] = updates
        ours = nodes(state.search, SearchState)
        forget = ours[0].steepest if ours else jnp.asarray(False)

        def turn(**which):
            ascent, memory = direction.update(updates, state.memory, params, forget=forget, **which, **extra)
            return jax.tree.map(jnp.negative, ascent), memory

        if extra.get("flat") and ours:
            # Whether the search has ended does not depend on where it goes next.
            idle = jax.tree.map(jnp.zeros_like, updates)
            _, looked = search.update(idle, state.search, params, **extra)
            fresh = nodes(looked, SearchState)[0].progress.fresh
            if selective and side_by_side.value:
                descent, memory = turn(asked=fresh)
            else:
                descent, memory = lax.cond(fresh, turn, lambda: (idle, state.memory))
        else:
            descent, memory = turn()
        steps, found = search.update(descent, state.search, params, **extra)
        return steps, DescentState(memory, found)

    return optax.GradientTransformationExtraArgs(init, update)
