"""What an optimizer evaluates by itself, kept in its own state so that no caller has to guess it.

An optimizer that calls `value_fn` within `update` keeps one `Counts` anywhere in its state and adds
to it; `run` sums all that it finds. What was offered (`value`, `grad`) the caller has counted already.
"""

from typing import NamedTuple

import jax.numpy as jnp

from optlab.types import Array


class Counts(NamedTuple):
    """Evaluations since `init`, cumulative; each is an integer array: `[]`."""

    n_value: Array  #: of the loss
    n_grad: Array  #: of its gradient
    n_hvp: Array  #: of Hessian-vector products


def zero() -> Counts:
    """Nothing evaluated yet."""
    return Counts(*(jnp.zeros((), int) for _ in Counts._fields))
