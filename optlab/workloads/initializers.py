"""How the parameters of a network are drawn: one function each, from its kernel's draw to the kernel.

All kernels are cut from one draw: a random number generator is as long to compile as a small network, and there is
one for each call. Biases begin at zero and the scales of normalisations at one, whatever the scheme.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax

import optlab.lapack as lapack
from optlab.types import Array, PyTree
from optlab.workloads.paths import flat, nested

__all__ = ["parameters_drawn", "unit_variance"]

#: How many inputs a unit sums, how many units an input feeds.
_Fans = tuple[int, int]


def fans(shape: tuple[int, ...]) -> _Fans:
    """Fan-in and fan-out of a kernel `[..., inputs, outputs]`; the window of a convolution counts in both."""
    window = int(np.prod(shape[:-2]))
    return window * shape[-2], window * shape[-1]


def zeros(draw: Array, fans: _Fans, gain: float | Array) -> Array:
    """w = 0: all units of a layer stay equal for ever."""
    return jnp.zeros_like(draw)


def constant(draw: Array, fans: _Fans, gain: float | Array) -> Array:
    """w = gain / fan_in: units are equal too, and each begins as the mean of its inputs."""
    return jnp.full_like(draw, 1 / fans[0]) * gain


def normal(draw: Array, fans: _Fans, gain: float | Array) -> Array:
    """w ~ N(0, gain^2), whatever the width: signals grow by gain sqrt(fan_in) in each layer."""
    return gain * draw


def small(draw: Array, fans: _Fans, gain: float | Array) -> Array:
    """w ~ N(0, (gain / 100)^2): as the networks of 2012 had it (Krizhevsky et al.)."""
    return gain * 0.01 * draw


def uniform(draw: Array, fans: _Fans, gain: float | Array) -> Array:
    """w ~ U(-r, r), r = gain / sqrt(fan_in): signals shrink by gain / sqrt(3) in each layer (LeCun 1998's rival)."""
    return gain / fans[0] ** 0.5 * (2 * jax.scipy.stats.norm.cdf(draw) - 1)


def lecun(draw: Array, fans: _Fans, gain: float | Array) -> Array:
    """w ~ N(0, gain^2 / fan_in): keeps the variance through linear units (LeCun et al. 1998, section 4.6)."""
    return gain / fans[0] ** 0.5 * draw


def glorot(draw: Array, fans: _Fans, gain: float | Array) -> Array:
    """w ~ N(0, 2 gain^2 / (fan_in + fan_out)): signals and gradients both (Glorot and Bengio 2010, equation 12)."""
    return gain * (2 / sum(fans)) ** 0.5 * draw


def he(draw: Array, fans: _Fans, gain: float | Array) -> Array:
    """w ~ N(0, 2 gain^2 / fan_in): makes up for the half that a ReLU cuts off (He et al. 2015, equation 10)."""
    return gain * (2 / fans[0]) ** 0.5 * draw


def orthogonal(draw: Array, fans: _Fans, gain: float | Array) -> Array:
    """w = gain Q with orthonormal columns or, where there are more outputs than inputs, rows (Saxe et al. 2014)."""
    matrix = draw.reshape(-1, draw.shape[-1])
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    Q, R = lapack.qr(tall)
    Q = Q * jnp.where(jnp.diagonal(R) < 0, -1, 1).astype(Q.dtype)[None]  # else Q would not be uniform (Mezzadri 2007)
    return gain * (Q if tall is matrix else Q.T).reshape(draw.shape)


SCHEMES: dict[str, Callable[[Array, _Fans, Any], Array]] = {
    scheme.__name__: scheme for scheme in (zeros, constant, normal, small, uniform, lecun, glorot, he, orthogonal)
}  # fmt: skip


def parameters_drawn(shapes: PyTree, scheme: str, gain: float | Array, key: Array) -> PyTree:
    """Parameters of these shapes, their kernels by a scheme of this module; in the default floating type.

    Args:
      shapes: nested dictionaries of `jax.ShapeDtypeStruct`, as `jax.eval_shape` of a network's ``init`` has them.
      scheme: ``zeros, constant, normal, small, uniform, lecun, glorot, he`` or ``orthogonal``.
      gain: what the kernels are multiplied by, a number or traced.
      key: decides the draw, the same numbers in each precision.
    """
    leaves = flat(shapes)
    kernels = {path: leaf.shape for path, leaf in leaves.items() if path[-1] == "kernel"}
    ends = np.cumsum([0, *(int(np.prod(shape)) for shape in kernels.values())])
    draw = jax.random.normal(key, (int(ends[-1]),), jnp.float32)
    found = {}
    for path, leaf in leaves.items():
        found[path] = jnp.full(leaf.shape, float(path[-1] == "scale"))
    for (path, shape), first, last in zip(kernels.items(), ends[:-1], ends[1:], strict=True):
        cut = lax.slice_in_dim(draw, int(first), int(last)).reshape(shape)
        found[path] = SCHEMES[scheme](cut, fans(shape), jnp.asarray(gain, jnp.float32)).astype(float)
    return nested(found)


def unit_variance(params: PyTree, call: Callable[[PyTree], Any], gain: float | Array = 1.0) -> PyTree:
    """The parameters with each layer's kernel scaled so that its output has the standard deviation `gain`.

    Layer-sequential unit variance: each layer sees what the scaled ones before it make of the inputs. With biases at
    zero its output is linear in its kernel, so that one pass does what the paper iterates.

    Args:
      params: of a flax network, its biases at zero.
      call: parameters -> the network's outputs on some inputs.
      gain: the deviation wanted.

    Source: Mishkin and Matas, All you need is a good init (2016), algorithm 1.
    """
    scales: dict[tuple[str, ...], Array] = {}

    def scaling(call, args, kwargs, context):
        out = call(*args, **kwargs)
        if not isinstance(context.module, nn.Dense | nn.Conv) or context.method_name != "__call__":
            return out
        deviation = jnp.std(out)
        scale = jnp.where(deviation > 0, gain / jnp.where(deviation > 0, deviation, 1), 1).astype(out.dtype)
        scales[context.module.path] = scale
        return out * scale

    with nn.intercept_methods(scaling):
        call(params)
    scaled = {path: scales.get(path[:-1], 1) for path in flat(params) if path[-1] == "kernel"}
    return nested({path: leaf * scaled.get(path, 1) for path, leaf in flat(params).items()})
