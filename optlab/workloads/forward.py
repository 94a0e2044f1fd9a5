"""A flax network as pure functions of its parameters: for the loss, and for being measured."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.errors import InvalidRngError
from jax import lax

from optlab.types import Array, PyTree
from optlab.workloads.convolution import are_outside_loops, outside_loops

__all__ = ["Forward", "forward"]

#: Examples that are measured side by side; more would only take memory.
TOGETHER = 512

#: The same where a compiled loop over parts would cost a convolution its speed.
WHOLE = 2048

#: Types of numbers that a network may compute in; ``same`` is that of its parameters.
COMPUTE = ("same", "bfloat16", "float16", "float32")


class Forward(NamedTuple):
    """What there is to know of a network but its parameters."""

    shapes: PyTree  #: of its parameters: {layer: ... `jax.ShapeDtypeStruct`}
    outputs: PyTree  #: the shapes of what it says of one example: `[1, ...]`
    order: tuple[str, ...]  #: its layers with parameters, from input to output
    random: bool  #: whether chance acts in training (dropout, stochastic depth)
    train: Callable[[PyTree, Array, Array | None], PyTree]  #: (parameters, inputs, key) -> outputs
    calibrate: Callable[[PyTree, Array], PyTree]  #: (parameters, inputs) -> statistics of batch normalisation
    evaluate: Callable[[PyTree, PyTree, Array], PyTree]  #: (parameters, these statistics, inputs) -> outputs


def forward(network: nn.Module, shape: Sequence[int], compute: str = "same") -> Forward:
    """The functions of a network for inputs of a shape `[H, W, C]`. Raises ValueError for an unknown `compute`."""
    if compute not in COMPUTE:
        raise ValueError(f"compute must be one of {', '.join(COMPUTE)}, not {compute!r}")
    outputs, shapes, order, random = _traced(network, shape)
    statistics = shapes.get("batch_stats")

    def call(params, inputs, statistics, *, key=None, train, **how):
        own = jax.tree.leaves(params)[0].dtype
        dtype = own if compute == "same" else jnp.dtype(compute)
        cast = jax.tree.map(lambda leaf: leaf.astype(dtype), params)
        known = {} if statistics is None else {"batch_stats": statistics}
        drawn = {"rngs": {"dropout": key}} if random and train and key is not None else {}
        out = network.apply({"params": cast, **known}, inputs.astype(dtype), train=train, **drawn, **how)
        return out, own

    def in_full(outputs, own):
        return jax.tree.map(lambda leaf: leaf.astype(own), outputs)

    def blank():
        return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), statistics)

    def train(params, inputs, key=None):
        # The batch's own statistics serve; what flax would remember of them is dropped.
        (outputs, _), own = call(params, inputs, blank(), key=key, train=True, mutable=["batch_stats"])
        return in_full(outputs, own)

    def calibrate(params, calibration):
        if statistics is None:
            return None
        key = jax.random.key(0)
        (_, left), _ = call(params, calibration, blank(), key=key, train=True, mutable=["batch_stats"])
        return left["batch_stats"]

    def evaluate(params, known, inputs):
        def part(rows):
            return in_full(*call(params, rows, known, train=False))

        return _in_parts(part, inputs)

    return Forward(shapes["params"], outputs, order, random, train, calibrate, evaluate)


def _in_parts(part: Callable[[Array], PyTree], inputs: Array) -> PyTree:
    """A function of examples, of so many at a time that memory stays bounded."""
    size = len(inputs)
    if size <= (WHOLE if are_outside_loops() else TOGETHER):
        return part(inputs)
    with outside_loops(False):
        return _one_after_the_other(part, inputs)


def _one_after_the_other(part: Callable[[Array], PyTree], inputs: Array) -> PyTree:
    size = len(inputs)
    count = -(-size // TOGETHER)
    filled = jnp.concatenate([inputs, inputs[: count * TOGETHER - size]])
    outputs = lax.map(part, filled.reshape(count, TOGETHER, *inputs.shape[1:]))
    return jax.tree.map(lambda leaf: leaf.reshape(count * TOGETHER, *leaf.shape[2:])[:size], outputs)


def _traced(network: nn.Module, shape: Sequence[int]) -> tuple[PyTree, PyTree, tuple[str, ...], bool]:
    """The shapes of a network's outputs and variables, the order of its layers, and whether chance acts in training."""
    order: list[str] = []

    def noted(call: Callable, args: Any, kwargs: Any, context: Any) -> Any:
        if context.module.path and context.module.path[0] not in order:
            order.append(context.module.path[0])
        return call(*args, **kwargs)

    inputs = jax.ShapeDtypeStruct((1, *shape), np.float32)
    with nn.intercept_methods(noted):
        outputs, shapes = jax.eval_shape(network.init_with_output, jax.random.key(0), inputs)
    try:
        jax.eval_shape(lambda v, x: network.apply(v, x, train=True, mutable=["batch_stats"]), shapes, inputs)
        random = False
    except InvalidRngError:
        random = True
    return outputs, shapes, tuple(name for name in order if name in shapes["params"]), random
