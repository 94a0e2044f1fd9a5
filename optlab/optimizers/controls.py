"""Optimizers that are none: whoever is no better than these has shown nothing (see `optlab.metrics.judge_tasks`)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from optlab.types import Array


class RandomWalkState(NamedTuple):
    """State of `random_walk`."""

    key: Array  #: of the steps to come: `[]`


def stay() -> optax.GradientTransformationExtraArgs:
    r"""Never moves: a task that it solves is no task.

    .. math:: \theta_{t+1} = \theta_t
    """
    return optax.with_extra_args_support(optax.set_to_zero())


def random_walk(
    learning_rate: float | Array | optax.Schedule, seed: int | Array = 0
) -> optax.GradientTransformationExtraArgs:
    r"""Normal steps that know nothing of the function: what chance finds within a budget.

    .. math:: \theta_{t+1} = \theta_t + \alpha_t \xi_t, \qquad \xi_t \sim N(0, I)

    The walk from two starts with one `seed` is the same but for the start: for other walks from one start vary `seed`.
    Normals are drawn in float32 in both precisions, so that a seed means the same walk.
    """

    def init(params):
        del params
        return RandomWalkState(jax.random.key(seed))

    def update(updates, state, params=None, **unused):
        del params, unused
        key, *keys = jax.random.split(state.key, 1 + len(jax.tree.leaves(updates)))
        leaves, tree = jax.tree.flatten(updates)
        steps = [
            jax.random.normal(k, jnp.shape(leaf), jnp.float32).astype(jnp.result_type(leaf))
            for k, leaf in zip(keys, leaves, strict=True)
        ]
        return tree.unflatten(steps), RandomWalkState(key)

    walk = optax.GradientTransformationExtraArgs(init, update)
    return optax.chain(walk, optax.scale_by_learning_rate(learning_rate, flip_sign=False))
