"""What the layers of a network put out, seen from outside: a `Problem` does not carry its network."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from optlab.probes import by_number
from optlab.types import Array, Problem, PyTree

__all__ = ["activation_variance", "layer_outputs"]


def activation_variance(problem: Problem, params: PyTree) -> Array:
    """The variance of each layer's outputs over the examples and units of one batch: `[layers]`.

    A probe. The layers are the dense and the convolutional ones, in the order of `optlab.probes.layer_names`; their
    outputs are what they sum up, before normalisation and activation, as the loss of a step sees them. The batch is the
    same at every step. Of a problem without a network it is empty.
    """
    return jnp.stack(found) if (found := list(layer_variances(problem, params).values())) else jnp.zeros(0)


def layer_variances(problem: Problem, params: PyTree) -> dict[str, Array]:
    """The variances of `activation_variance` by the name of the layer."""
    found = layer_outputs(lambda: problem.loss(params, problem.batch(problem.data, jax.random.key(0))))
    return {name: jnp.var(found[name]) for name in sorted(found, key=by_number)}


def layer_outputs(call: Callable[[], Any]) -> dict[str, Array]:
    """What each dense and convolutional layer sums up while `call` applies a network, by name: `[B, ..., units]`."""
    found: dict[str, Array] = {}

    def noted(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        out = call(*args, **kwargs)
        if isinstance(context.module, nn.Dense | nn.Conv) and context.method_name == "__call__":
            found["/".join(context.module.path)] = out
        return out

    with nn.intercept_methods(noted):
        call()
    return found
