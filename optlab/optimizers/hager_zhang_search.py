"""Hager and Zhang's line search, an interval narrowed by double secants, as one state machine."""

from typing import NamedTuple

import jax.numpy as jnp
import optax

from optlab.optimizers.descent import Machine, after_trial, scalars, searching, unit_step
from optlab.types import Array


def hager_zhang(
    delta: float = 0.1,
    sigma: float = 0.9,
    epsilon: float = 1e-6,
    theta: float = 0.5,
    gamma: float = 0.66,
    expand: float = 5.0,
    max_trials: int = 50,
    first=unit_step,
) -> optax.GradientTransformationExtraArgs:
    """An interval with slopes of opposite sign, narrowed by a double secant, to an approximate Wolfe point.

    Ends with sigma phi'(0) <= phi'(a) and either phi(a) <= phi(0) + delta a phi'(0), or, where rounding would
    hide that, phi'(a) <= (2 delta - 1) phi'(0) with phi(a) <= phi(0) + epsilon |phi(0)|: it gets the last digits
    that a test of values cannot see. Source: Hager and Zhang, CG_DESCENT (ACM TOMS 32, 2006), secant^2 and update
    S1-S4, U0-U3, bracket B1-B3; conditions: (2005), eqs. 4.1 to 4.4.
    """  # fmt: skip

    def init(value, slope, alpha):
        zero, begun = jnp.zeros_like(value), jnp.full((), _BRACKET, jnp.int32)
        return scalars(value, slope, alpha, _Interval(zero, slope, zero, slope, zero, slope, zero, slope, zero, begun))

    def step(state, f, m):
        c, trials, i = state.alpha, state.trials + 1, state.more
        f0, m0 = state.value0, state.slope0
        usable = jnp.isfinite(f) & jnp.isfinite(m)
        low_enough = usable & (f <= f0 + epsilon * jnp.abs(f0))
        wolfe = (f <= f0 + delta * c * m0) & (m >= sigma * m0)
        approximate = ((2 * delta - 1) * m0 >= m) & (m >= sigma * m0) & low_enough
        done = usable & (wolfe | approximate)
        new, alpha = _narrow(i, c, m, usable, low_enough, theta, gamma, expand)
        thin = (new.phase != _BRACKET) & (jnp.abs(alpha - new.a) <= jnp.finfo(f.dtype).eps * alpha)
        failed = ~done & ((trials >= max_trials) | thin)
        return after_trial(state, alpha, done, failed, new.a)._replace(trials=trials, more=new)

    return searching(Machine(init, step), first)


class _Interval(NamedTuple):
    """[a, b] with phi'(a) < 0 <= phi'(b) and phi(a) low enough, and what the phases of the search need beside it."""

    a: Array
    m_a: Array
    b: Array
    m_b: Array
    old_a: Array  #: the interval before this round of secants
    old_ma: Array
    old_b: Array
    old_mb: Array
    end: Array  #: while halving: the end that is too high
    phase: Array


_BRACKET, _SECANT, _SECOND, _MIDDLE, _HALVE = range(5)


def _narrow(i, c, m, usable, low_enough, theta, gamma, expand) -> tuple[_Interval, Array]:
    """The interval after the trial c, and the next trial: one step through bracket, secant^2 and update."""
    right = usable & (m >= 0)  # U1, B1
    left = usable & (m < 0) & low_enough  # U2, B3
    high = ~right & ~left  # U3, B2
    bracketing, halving = i.phase == _BRACKET, i.phase == _HALVE
    a, m_a = jnp.where(left, c, i.a), jnp.where(left, m, i.m_a)
    b, m_b = jnp.where(right, c, i.b), jnp.where(right, m, i.m_b)
    end = jnp.where(high, c, i.end)
    j = i._replace(a=a, m_a=m_a, b=b, m_b=m_b, end=end)
    # S2 and S3: from the end that the first secant has replaced.
    second = jnp.where(right, _secant(i.old_b, i.old_mb, b, m_b), _secant(i.old_a, i.old_ma, a, m_a))
    to_second = (i.phase == _SECANT) & ~high & (second > a) & (second < b)
    slow = (b - a) > gamma * (i.old_b - i.old_a)
    to_middle = ((i.phase == _SECANT) & ~to_second | (i.phase == _SECOND)) & slow
    first = _secant(a, m_a, b, m_b)
    first_inside = (first > a) & (first < b)
    expanding, to_half = bracketing & left, high | (halving & left)
    going = to_second | to_middle | expanding | to_half  # else a new round begins
    j = j._replace(
        old_a=jnp.where(going, i.old_a, a), old_ma=jnp.where(going, i.old_ma, m_a),
        old_b=jnp.where(going, i.old_b, b), old_mb=jnp.where(going, i.old_mb, m_b),
    )  # fmt: skip
    choices = (
        (expanding, _BRACKET, expand * c),
        (to_half, _HALVE, (1 - theta) * a + theta * end),
        (to_second, _SECOND, second),
        (to_middle | ~first_inside, _MIDDLE, 0.5 * (a + b)),
    )
    phase = jnp.select([chosen for chosen, _, _ in choices], [kind for _, kind, _ in choices], _SECANT)
    alpha = jnp.select([chosen for chosen, _, _ in choices], [trial for _, _, trial in choices], first)
    return j._replace(phase=phase.astype(i.phase.dtype)), alpha


def _secant(a, m_a, b, m_b) -> Array:
    return (a * m_b - b * m_a) / (m_b - m_a)
