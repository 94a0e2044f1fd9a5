"""Line searches: how far to go along a direction.

A line search is a small scalar state machine over phi(alpha) = f(x + alpha d): `Machine.init` takes
phi(0), phi'(0) and a first trial, `Machine.step` takes phi and phi' at the trial and says which is
next, or that it is done. Two drivers share it. *Nested*, a while loop within one `update` calls
`value_fn` until the search is done: what a user of `optax.chain` wants. *Flat* (`flat=True`), an `update`
takes the value and gradient at the parameters as one trial and moves to the next: in a batch no
lane waits for the longest search of another. `run` and `minimize` are flat where the loss is the same at
every step.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from optlab.optimizers.counts import Counts, Progress, zero
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


class SearchState(NamedTuple):
    """The state of a search as an optax transform."""

    scalars: Scalars
    base: PyTree  #: where the search began
    direction: PyTree
    value: Array  #: at `base`; in the nested form at the new parameters
    grad: PyTree  #: the same; whoever evaluates next may take them from here
    steepest: Array  #: whether the search goes along -grad, for want of a direction that descends
    progress: Progress  #: `fresh`: this update began a new search; `stalled`: one along -grad has failed
    counts: Counts


def dot(a: PyTree, b: PyTree) -> Array:
    """Inner product of two trees: `[]`."""
    products = jax.tree.map(lambda x, y: jnp.sum(x * y), a, b)
    return sum(jax.tree.leaves(products))  # type: ignore[return-value]


def select(condition: Array, yes: PyTree, no: PyTree) -> PyTree:
    """One of two trees by a scalar condition, leaf by leaf."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)


def unit_step(previous: Scalars, slope: Array) -> Array:
    """Newton-like directions carry their length: the first trial is 1."""
    del previous
    return jnp.ones_like(slope)


def same_change(previous: Scalars, slope: Array) -> Array:
    """The first-order change of the last accepted step, alpha phi'(0), is expected again (Nocedal and Wright, 3.5)."""
    before = previous.alpha * previous.slope0
    return jnp.where(previous.trials > 0, before / slope, jnp.minimum(1, 1 / jnp.sqrt(-slope)))


def searching(
    machine: Machine, first: Callable[[Scalars, Array], Array] = unit_step
) -> optax.GradientTransformationExtraArgs:
    """A machine as an optax transform: takes a direction as `updates`, returns the step along it."""

    def init(params):
        value = jnp.full((), jnp.inf, jax.tree.leaves(params)[0].dtype)
        no, zeros = jnp.asarray(False), jax.tree.map(jnp.zeros_like, params)
        scalars = machine.init(value, jnp.full_like(value, -1), jnp.ones_like(value))
        scalars = jax.tree.map(lambda s: jnp.asarray(s), scalars._replace(done=jnp.asarray(True)))
        return SearchState(scalars, zeros, zeros, value, zeros, no, Progress(no, no), zero())

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
    steepest = failed | ~(dot(grad, direction) < 0)
    length = jnp.sqrt(dot(grad, grad))
    direction = select(steepest, jax.tree.map(lambda g: -g / jnp.maximum(length, 1).astype(g.dtype), grad), direction)
    slope = dot(grad, direction).astype(value.dtype)
    flat = ~(slope < 0)  # the gradient is zero, or not a number
    alpha = jnp.where(steepest, 1, first(state.scalars, slope)).astype(value.dtype)
    scalars = machine.init(value, slope, jnp.where(flat, 0, alpha))
    return state._replace(
        scalars=scalars._replace(done=flat, failed=flat), base=params, direction=direction, value=value, grad=grad,
        steepest=steepest,
        progress=Progress(jnp.asarray(True), state.progress.stalled | (failed & state.steepest)),
    )  # fmt: skip


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
    scalars = select(state.scalars.done, state.scalars, machine.step(state.scalars, value, slope))
    going = state._replace(scalars=scalars, progress=state.progress._replace(fresh=jnp.asarray(False)))
    new = select(scalars.done, _begin(machine, first, updates, going, params, value, grad), going)
    trial = _along(new.base, new.direction, new.scalars.alpha)
    return jax.tree.map(lambda t, p: t - p, trial, params), new


def _along(base: PyTree, direction: PyTree, alpha: Array) -> PyTree:
    return jax.tree.map(lambda x, d: x + alpha.astype(x.dtype) * d, base, direction)


def _scalars(value: Array, slope: Array, alpha: Array, more: Any = ()) -> Scalars:
    none, no = jnp.zeros((), jnp.int32), jnp.asarray(False)
    return Scalars(alpha, value, slope, none, no, no, more)


def constant(step: float = 1.0) -> optax.GradientTransformationExtraArgs:
    """Always the same step: x + step d, whatever is found there.

    One value and gradient an iteration. For directions that need no search, and as the control of those
    that do.
    """

    def accept(state, value, slope):
        del value, slope
        return state._replace(trials=state.trials + 1, done=jnp.asarray(True))

    def first(previous, slope):
        del previous
        return jnp.full_like(slope, step)

    return searching(Machine(_scalars, accept), first)


def armijo(
    c1: float = 1e-4, shrink: tuple[float, float] = (0.1, 0.5), max_trials: int = 40, first=unit_step
) -> optax.GradientTransformationExtraArgs:
    """Backtracking until the decrease is sufficient: phi(a) <= phi(0) + c1 a phi'(0).

    The next trial is the minimizer of the parabola through phi(0), phi'(0) and phi(a), kept within `shrink`
    times a; where phi(a) is no number, the smallest of these. Any value and gradient that it evaluates is
    one of the trials. Source: Armijo (1966); Nocedal and Wright, Numerical Optimization (2006), alg. 3.1, eq. 3.57.
    """

    def step(state, value, slope):
        del slope
        a, trials = state.alpha, state.trials + 1
        done = value <= state.value0 + c1 * a * state.slope0
        parabola = -state.slope0 * a**2 / (2 * (value - state.value0 - state.slope0 * a))
        lower, upper = shrink
        shorter = jnp.where(jnp.isfinite(value), jnp.clip(parabola, lower * a, upper * a), lower * a)
        failed = ~done & (trials >= max_trials)
        return _next(state, shorter, done, failed, jnp.zeros_like(a))._replace(trials=trials)

    return searching(Machine(_scalars, step), first)


def _next(state: Scalars, alpha: Array, done: Array, failed: Array, fallback: Array) -> Scalars:
    """The state after a trial: accepted, given up for `fallback` (evaluated once more), or on to `alpha`."""
    gave_up = state.failed  # the trial just made was the fallback
    return state._replace(
        alpha=jnp.where(done | gave_up, state.alpha, jnp.where(failed, fallback, alpha)),
        done=done | gave_up,
        failed=gave_up | failed,
    )


class Bracket(NamedTuple):
    """The two ends of the interval in which a step is sought; `low` is the better one."""

    low: Array
    f_low: Array
    m_low: Array
    high: Array
    f_high: Array
    m_high: Array
    closed: Array  #: whether `high` is an end, or only where the search came from
    width: Array  #: of the interval two trials ago


def strong_wolfe(
    c1: float = 1e-4, c2: float = 0.9, max_trials: int = 30, first=unit_step
) -> optax.GradientTransformationExtraArgs:
    """Bracketing and zooming, with cubic interpolation, to a step that satisfies the strong Wolfe conditions.

    phi(a) <= phi(0) + c1 a phi'(0) and |phi'(a)| <= c2 |phi'(0)|. The step grows (1.1 to 4 times the last
    stretch, where the cubic through both ends says) until an interval holds such a point, which then shrinks. A trial
    that is no number ends the interval. Where rounding hides the decrease, Hager and Zhang's approximate
    conditions, eq. 1.4, stand in for the first. Use c2 = 0.1 for conjugate gradients. Source: Nocedal and
    Wright (2006), alg. 3.5 and 3.6, eq. 3.59; the limits of the extrapolation: More and Thuente (1994).
    """

    def init(value, slope, alpha):
        zero = jnp.zeros_like(value)
        more = Bracket(zero, value, slope, zero, value, slope, jnp.asarray(False), jnp.full_like(value, jnp.inf))
        return _scalars(value, slope, alpha, more)

    def step(state, f, m):
        a, b, trials = state.alpha, state.more, state.trials + 1
        f0, m0 = state.value0, state.slope0
        usable = jnp.isfinite(f) & jnp.isfinite(m)
        noise = 10 * jnp.finfo(f.dtype).eps * jnp.abs(f0)
        hidden = (f <= f0 + noise) & (m <= (2 * c1 - 1) * m0)  # Hager and Zhang's approximate decrease
        decrease = usable & ((f <= f0 + c1 * a * m0) | hidden)
        done = decrease & (jnp.abs(m) <= -c2 * m0)
        beyond = ~decrease | (f > b.f_low + noise)
        turned = m * jnp.where(b.closed, b.high - b.low, 1) >= 0  # the minimum lies on the other side of low
        high = jnp.where(beyond, a, jnp.where(turned | ~b.closed, b.low, b.high))
        f_high = jnp.where(beyond, f, jnp.where(turned | ~b.closed, b.f_low, b.f_high))
        m_high = jnp.where(beyond, m, jnp.where(turned | ~b.closed, b.m_low, b.m_high))
        low, f_low, m_low = (jnp.where(beyond, old, new) for old, new in ((b.low, a), (b.f_low, f), (b.m_low, m)))
        closed = b.closed | beyond | turned
        new = Bracket(low, f_low, m_low, high, f_high, m_high, closed, jnp.abs(b.high - b.low))
        narrow = jnp.abs(high - low) <= jnp.finfo(f.dtype).eps * jnp.maximum(low, high)
        failed = ~done & ((trials >= max_trials) | (closed & narrow))
        alpha = jnp.where(closed, _zoom(new, b), _extrapolate(new))
        return _next(state, alpha, done, failed, low)._replace(trials=trials, more=new)

    return searching(Machine(init, step), first)


def _cubic(a, fa, ma, b, fb, mb) -> Array:
    """Minimizer of the cubic through values and slopes at a and b (Nocedal and Wright, eq. 3.59); NaN where none."""
    d1 = ma + mb - 3 * (fa - fb) / (a - b)
    square = d1**2 - ma * mb
    d2 = jnp.sign(b - a) * jnp.sqrt(jnp.where(square >= 0, square, jnp.nan))
    return b - (b - a) * (mb + d2 - d1) / (mb - ma + 2 * d2)


def _zoom(b: Bracket, before: Bracket) -> Array:
    """The next trial within the interval: cubic, kept off the ends; halved where that is slow or undefined."""
    width = b.high - b.low
    cubic = _cubic(b.low, b.f_low, b.m_low, b.high, b.f_high, b.m_high)
    near, far = b.low + 0.1 * width, b.high - 0.1 * width
    inside = jnp.clip(cubic, jnp.minimum(near, far), jnp.maximum(near, far))
    slow = before.closed & (jnp.abs(width) > 0.66 * b.width)
    guess = jnp.where(jnp.isfinite(inside) & ~slow, inside, b.low + 0.5 * width)
    # A wall of no numbers may be far beyond the scale of the function.
    return jnp.where(jnp.isfinite(b.f_high) & jnp.isfinite(b.m_high), guess, b.low + 0.1 * width)


def _extrapolate(b: Bracket) -> Array:
    """The next trial beyond `low`, which was reached from `high`."""
    stretch = b.low - b.high
    cubic = _cubic(b.high, b.f_high, b.m_high, b.low, b.f_low, b.m_low)
    ahead = jnp.where(jnp.isfinite(cubic) & (cubic > b.low), cubic, b.low + 4 * stretch)
    return jnp.clip(ahead, b.low + 1.1 * stretch, b.low + 4 * stretch)


def exact(tolerance: float = 1e-8, max_trials: int = 20, first=unit_step) -> optax.GradientTransformationExtraArgs:
    """The minimizer along the direction: phi'(a) = 0, to `tolerance` |phi'(0)|.

    On a quadratic phi' is linear, so that the secant through phi'(0) and one trial gives it at the second
    trial; elsewhere the secant goes on from the last two trials, and halves the step where it would go uphill. What theory assumes
    of steepest descent and conjugate gradients; rarely worth its evaluations outside of them.
    """

    def init(value, slope, alpha):
        return _scalars(value, slope, alpha, (jnp.zeros_like(value), slope))

    def step(state, f, m):
        a, trials = state.alpha, state.trials + 1
        before, m_before = state.more
        noise = 10 * jnp.finfo(f.dtype).eps * jnp.abs(state.value0)
        usable = jnp.isfinite(f) & jnp.isfinite(m) & (f <= jnp.maximum(state.value0, state.value0 + noise))
        done = usable & (jnp.abs(m) <= tolerance * jnp.abs(state.slope0))
        secant = a - m * (a - before) / (m - m_before)
        longer = jnp.where(m < m_before, 4 * a, secant)  # concave so far: no minimizer in sight
        guess = jnp.where(jnp.isfinite(f) & jnp.isfinite(m), longer, before + 0.1 * (a - before))
        guess = jnp.where(jnp.isfinite(guess) & (guess > 0), guess, 0.5 * a)
        failed = ~done & (trials >= max_trials)
        keep = jnp.isfinite(m)
        more = (jnp.where(keep, a, before), jnp.where(keep, m, m_before))
        settled = jnp.where(usable, a, 0)
        return _next(state, guess, done, failed, settled)._replace(trials=trials, more=more)

    return searching(Machine(init, step), first)
