"""Losses that are random by themselves, without data, and show where a method for noisy gradients goes wrong."""

import jax
import jax.numpy as jnp

from optlab.types import Problem


def adam_nonconvergence(C: float = 3.0, delta: float = 0.1) -> Problem:
    """Rare large slopes one way, frequent small ones the other: Adam's mean step leads away from the minimum.

    ``loss(x) = C x`` with probability ``(1 + delta) / (C + 1)``, else ``-x``, and ``5 (|x| - 1)^2`` outside [-1, 1]

    The mean is ``delta x``, least at -1 - delta / 10 (a wall, where the source projects onto [-1, 1]). Adam divides a
    large slope by a mean that it has itself enlarged: with b1 = 0 and b2 = 1 / (1 + C^2) it drifts to +1. Where the
    divisor cannot shrink (AMSGrad), or there is none, the way leads to -1. x: `[1]`, from 0; measured is the mean.
    Source: Reddi, Kale and Kumar, On the convergence of Adam and beyond (2018), theorems 1 and 3.

    Args:
      C: the large slope, above 2.
      delta: the slope of the mean.
    """

    def walled(x, slope):
        return slope * x[0] + 5 * jnp.sum(jnp.maximum(jnp.abs(x) - 1, 0) ** 2)

    def batch(data, key):
        rare = jax.random.bernoulli(key, jnp.asarray((1 + delta) / (C + 1), jnp.float32))
        return jnp.where(rare, C, -1.0).astype(float)

    return Problem(
        init=lambda key: jnp.zeros(1, float),
        batch=batch,
        loss=walled,
        measure=lambda x, data: {"value": walled(x, jnp.asarray(delta, x.dtype))},
        minimum=-delta - delta**2 / 20,
    )
