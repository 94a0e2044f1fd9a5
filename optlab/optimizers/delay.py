"""Gradients that arrive late, as from the workers of an asynchronous training."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from optlab.types import Array, PyTree


class DelayState(NamedTuple):
    """State of `delay_gradients`."""

    step: Array  #: updates made so far: `[]`
    history: PyTree  #: the last gradients, each in the slot of its step modulo their number: `[delay, ...]` each


def delay_gradients(delay: int) -> optax.GradientTransformationExtraArgs:
    r"""Passes on the gradient of `delay` steps ago.

    .. math:: u_t = \nabla f(\theta_{t - \tau})

    Until the first has arrived the parameters count as having always been where they started:
    :math:`\theta_{-t} = \theta_0`. First in a chain, ``optax.chain(delay_gradients(3), optax.adam(1e-3))``,
    it makes the delayed form of any method that uses only what it is passed; the extra arguments (``grad``,
    ``value``, ``value_fn``) stay those of today.

    Stores `delay` copies of the parameters; `delay` is a whole number from 0, none at all. Raises ValueError for
    another.
    """
    if delay != int(delay) or delay < 0:
        raise ValueError(f"a delay is a whole number of steps from 0, not {delay}")
    delay = int(delay)

    def init(params):
        history = jax.tree.map(lambda leaf: jnp.zeros((delay, *jnp.shape(leaf)), jnp.result_type(leaf)), params)
        return DelayState(jnp.zeros((), int), history)

    def update(updates, state, params=None, **unused):
        del params, unused
        if not delay:
            return updates, state
        slot = state.step % delay
        history = jax.tree.map(lambda old, new: jnp.where(state.step > 0, old, new[None]), state.history, updates)
        late = jax.tree.map(lambda old: old[slot], history)
        history = jax.tree.map(lambda old, new: old.at[slot].set(new), history, updates)
        return late, DelayState(state.step + 1, history)

    return optax.GradientTransformationExtraArgs(init, update)


def delayed_gradient_descent(
    learning_rate: float | Array | optax.Schedule, delay: int = 1
) -> optax.GradientTransformationExtraArgs:
    r"""Steepest descent along the gradient of some steps ago.

    .. math:: \theta_{t+1} = \theta_t - \alpha_t \nabla f(\theta_{t - \tau}), \qquad \theta_{-t} = \theta_0

    Along a curvature :math:`L` it converges for :math:`0 < \alpha < \frac{2}{L} \sin\frac{\pi}{2 (2 \tau + 1)}`:
    the largest rate falls from 2/L without a delay to 1/L with one step and to about
    :math:`\pi / (2 \tau L)` with many. Stores `delay` copies of the parameters; one gradient a step.

    Source: Levin and May, A note on difference-delay equations (1976), for the bound; Agarwal and Duchi, Distributed
    delayed stochastic optimization (2011), for the method.
    """
    return optax.chain(delay_gradients(delay), optax.sgd(learning_rate))
