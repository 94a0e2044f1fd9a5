"""Schedules: which part of the peak rate each step has, as functions from the step's number.

Each takes the budget `steps` and returns ``step -> factor``, to be multiplied by the rate; numbers may be traced, so
that a sweep over them is one program. The command line fills in `steps` (``schedule=cosine schedule.warmup=0.1``).
"""

from collections.abc import Callable

import jax.numpy as jnp

from optlab.types import Array

__all__ = [
    "cosine", "cyclic", "exponential", "one_cycle", "range_test", "staircase", "warm_restarts", "warmup",
]  # fmt: skip

_Number = float | Array
_Schedule = Callable[[Array], Array]


def warmup(*, steps: int, share: _Number = 0.1) -> _Schedule:
    """Linear from 0 to 1 over the first `share` of the steps, then 1: ``min(1, t / (share steps))``."""
    return lambda step: jnp.minimum(1.0, step / jnp.maximum(1, share * steps))


def staircase(*, steps: int, factor: _Number = 0.1, at: tuple[float, ...] = (0.5, 0.75)) -> _Schedule:
    """Times `factor` at each of these shares of the budget, as residual networks were trained (He et al. 2016)."""

    def schedule(step):
        passed = sum(jnp.where(step >= share * steps, 1, 0) for share in at)
        return jnp.asarray(factor, float) ** passed

    return schedule


def exponential(*, steps: int, end: _Number = 0.01) -> _Schedule:
    """From 1 to `end` by the same factor each step: ``end^(t / steps)``."""
    return lambda step: jnp.asarray(end, float) ** (step / steps)


def cosine(*, steps: int, warmup: _Number = 0.0, end: _Number = 0.0) -> _Schedule:
    """``end + (1 - end) (1 + cos(pi t / steps)) / 2`` after a linear `warmup` over that share of the steps.

    Source: Loshchilov and Hutter 2017, equation 5, one cycle; the warmup is Goyal et al. 2017's.
    """

    def schedule(step):
        rising = warmup * steps
        part = jnp.clip((step - rising) / jnp.maximum(1, steps - rising), 0, 1)
        fall = end + (1 - end) * 0.5 * (1 + jnp.cos(jnp.pi * part))
        return jnp.where(step < rising, step / jnp.maximum(1, rising), fall)

    return schedule


def cyclic(*, steps: int, cycles: _Number = 4.0, low: _Number = 0.1) -> _Schedule:
    """Triangles from `low` up to 1 and down again, so many in the budget (Smith 2017, triangular policy)."""

    def schedule(step):
        phase = (step / steps * cycles) % 1.0
        return low + (1 - low) * (1 - jnp.abs(2 * phase - 1))

    return schedule


def warm_restarts(*, steps: int, cycles: int = 4, growth: _Number = 1.0, end: _Number = 0.0) -> _Schedule:
    """Cosines from 1 down to `end`, each `growth` times as long as the one before (Loshchilov and Hutter 2017)."""
    lengths = jnp.asarray(growth, float) ** jnp.arange(cycles)
    ends = jnp.cumsum(lengths) / jnp.sum(lengths) * steps

    def schedule(step):
        cycle = jnp.minimum(jnp.sum(step >= ends), cycles - 1)
        first = jnp.where(cycle > 0, ends[cycle - 1], 0)
        part = jnp.minimum(1, (step - first) / (ends[cycle] - first))
        return end + (1 - end) * 0.5 * (1 + jnp.cos(jnp.pi * part))

    return schedule


def one_cycle(*, steps: int, rise: _Number = 0.3, start: _Number = 0.04, end: _Number = 4e-6) -> _Schedule:
    """Cosine from `start` up to 1 over the share `rise` of the budget, then down to `end` (Smith and Topin 2018).

    The defaults are those of `optax.cosine_onecycle_schedule`.
    """

    def between(first, last, part):
        return last + (first - last) * 0.5 * (1 + jnp.cos(jnp.pi * jnp.clip(part, 0, 1)))

    def schedule(step):
        t = step / steps
        return jnp.where(t < rise, between(start, 1.0, t / rise), between(1.0, end, (t - rise) / (1 - rise)))

    return schedule


def range_test(*, steps: int, start: _Number = 1e-5) -> _Schedule:
    """From `start` up to 1 by the same factor each step: ``start^(1 - t / steps)``.

    A learning-rate range test is one run with it and a peak that is too high: the rate at which the loss falls fastest
    serves, the one at which it rises is too high (Smith 2017, section 3.3). Record all steps and see
    ``optlab plot range_test``.
    """
    return lambda step: jnp.asarray(start, float) ** (1 - step / steps)
