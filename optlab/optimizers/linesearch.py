"""Line searches: how far to go along a direction. Each is a `Machine` (see `descent`) as an optax transform."""

from typing import NamedTuple

import jax.numpy as jnp
import optax

from optlab.one_function import apart
from optlab.optimizers.descent import Machine, after_trial, dot, scalars, searching, select, unit_step  # noqa: F401
from optlab.types import Array


def constant(step: float = 1.0) -> optax.GradientTransformationExtraArgs:
    """Always the same step: x + step d, whatever is found there.

    One value and gradient an iteration. For directions that need no search, and as the control of those
    that do.
    """

    def accept(state, value, slope):
        del value, slope
        return state._replace(trials=state.trials + 1, done=jnp.asarray(True))

    def first(previous, value, slope):
        del previous, value
        return jnp.full_like(slope, step)

    return searching(Machine(scalars, accept), first)


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
        return after_trial(state, shorter, done, failed, jnp.zeros_like(a))._replace(trials=trials)

    return searching(Machine(scalars, step), first)


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

    phi(a) <= phi(0) + c1 a phi'(0) and |phi'(a)| <= c2 |phi'(0)|. The step grows, by
    1.1 to 4 times the last stretch, until an interval holds such a point; that shrinks. A trial that is no number
    ends the interval. Where rounding hides the decrease, Hager and Zhang's approximate condition stands in for
    the first. Use c2 = 0.1 for conjugate gradients. Source: Nocedal and Wright (2006), alg. 3.5 and 3.6, eq. 3.59;
    the limits of the extrapolation: More and Thuente (1994).
    """

    def init(value, slope, alpha):
        zero = jnp.zeros_like(value)
        more = Bracket(zero, value, slope, zero, value, slope, jnp.asarray(False), jnp.full_like(value, jnp.inf))
        return scalars(value, slope, alpha, more)

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
        alpha = apart(_next, new, b)
        return after_trial(state, alpha, done, failed, low)._replace(trials=trials, more=new)

    return searching(Machine(init, step), first)


def _next(new: Bracket, before: Bracket) -> Array:
    """The next trial."""
    cubic = apart(_cubic, new.low, new.f_low, new.m_low, new.high, new.f_high, new.m_high)
    return jnp.where(new.closed, _zoom(new, before, cubic), _extrapolate(new, cubic))


def _cubic(a, fa, ma, b, fb, mb) -> Array:
    """Minimizer of the cubic through values and slopes at a and b (Nocedal and Wright, eq. 3.59); NaN where none."""
    d1 = ma + mb - 3 * (fa - fb) / (a - b)
    square = d1**2 - ma * mb
    d2 = jnp.sign(b - a) * jnp.sqrt(jnp.where(square >= 0, square, jnp.nan))
    return b - (b - a) * (mb + d2 - d1) / (mb - ma + 2 * d2)


def _zoom(b: Bracket, before: Bracket, cubic: Array) -> Array:
    """The next trial within the interval: cubic, kept off the ends; halved where that is slow or undefined.

    It may come within a hundredth of an end: from a first step far too long a parabola's minimizer is then found at
    the second trial, where a tenth would take one for each power of ten.
    """
    width = b.high - b.low
    near, far = b.low + 0.01 * width, b.high - 0.01 * width
    inside = jnp.clip(cubic, jnp.minimum(near, far), jnp.maximum(near, far))
    slow = before.closed & (jnp.abs(width) > 0.66 * b.width)
    guess = jnp.where(jnp.isfinite(inside) & ~slow, inside, b.low + 0.5 * width)
    # A wall of no numbers may be far beyond the scale of the function.
    return jnp.where(jnp.isfinite(b.f_high) & jnp.isfinite(b.m_high), guess, b.low + 0.1 * width)


def _extrapolate(b: Bracket, cubic: Array) -> Array:
    """The next trial beyond `low`, which was reached from `high`."""
    stretch = b.low - b.high
    ahead = jnp.where(jnp.isfinite(cubic) & (cubic > b.low), cubic, b.low + 4 * stretch)
    return jnp.clip(ahead, b.low + 1.1 * stretch, b.low + 4 * stretch)


def exact(tolerance: float = 1e-8, max_trials: int = 60, first=unit_step) -> optax.GradientTransformationExtraArgs:
    """The minimizer along the direction: |phi'(a)| <= tolerance |phi'(0)|.

    On a quadratic phi' is linear, so that the secant through phi'(0) and one trial finds it at the second
    trial. Elsewhere the secant goes on from the last two trials and is kept within the interval on which
    phi' is known to change its sign. What theory assumes of steepest descent and conjugate gradients; seldom
    worth its evaluations outside of them.
    """

    def init(value, slope, alpha):
        zero = jnp.zeros_like(value)
        # The last trial and its slope; the interval: a point before the minimizer, one beyond it.
        return scalars(value, slope, alpha, (zero, slope, zero, jnp.full_like(value, jnp.inf)))

    def step(state, f, m):
        a, trials = state.alpha, state.trials + 1
        before, m_before, low, high = state.more
        noise = 10 * jnp.finfo(f.dtype).eps * jnp.abs(state.value0)
        usable = jnp.isfinite(f) & jnp.isfinite(m)
        beyond = ~usable | (m > 0) | (f > state.value0 + noise)
        low, high = jnp.where(beyond, low, a), jnp.where(beyond, a, high)
        done = usable & (f <= state.value0 + noise) & (jnp.abs(m) <= tolerance * jnp.abs(state.slope0))
        secant = a - m * (a - before) / (m - m_before)
        middle = jnp.where(jnp.isfinite(high), 0.5 * (low + high), 4 * a)
        alpha = jnp.where((secant > low) & (secant < high) & (secant <= 100 * a), secant, middle)
        narrow = high - low <= 2 * jnp.finfo(f.dtype).eps * low
        failed = ~done & ((trials >= max_trials) | narrow)
        last = tuple(jnp.where(usable, new, old) for new, old in ((a, before), (m, m_before)))
        return after_trial(state, alpha, done, failed, low)._replace(trials=trials, more=(*last, low, high))

    return searching(Machine(init, step), first)
