"""A surface that is not known while an optimizer is traced: its derivatives are calls to whichever surface comes.

So an optimizer is translated once and descends every surface of its dimension.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching

from optlab.explorer.code import UNROLLED, Untranslatable, Value, Writer
from optlab.types import Array, Surface

#: Derivatives that a page has of a surface: its value, gradient and Hessian.
ORDERS = 3

#: (points: `[..., d]`; order k) -> the k-th derivatives: `[..., d, ..., d]` with k axes more.
derivative = Primitive("surface_derivative")


def opaque(dim: int) -> Surface:
    """A surface of some dimension of which nothing is known; it can be traced, not evaluated."""
    zeros = np.zeros(dim)
    return Surface(fn=lambda x: derivative.bind(x, order=0), start=zeros, domain=(zeros - 1, zeros + 1))


@derivative.def_abstract_eval
def _shape(x: Any, *, order: int) -> ShapedArray:
    return ShapedArray((*x.shape[:-1], *x.shape[-1:] * order), x.dtype)


def _jvp(primals: Any, tangents: Any, *, order: int) -> tuple[Array, Array]:
    (x,), t = primals, ad.instantiate_zeros(tangents[0])
    value = derivative.bind(x, order=order)
    # Derivatives are symmetric: it does not matter which axis the tangent goes along
    along = t.reshape(*t.shape[:-1], *(1,) * order, t.shape[-1])
    return value, jnp.sum(derivative.bind(x, order=order + 1) * along, axis=-1)


def _batched(operands: Any, axes: Any, *, order: int) -> tuple[Array, int]:
    return derivative.bind(jnp.moveaxis(operands[0], axes[0], 0), order=order), 0


ad.primitive_jvps[derivative] = _jvp
batching.primitive_batchers[derivative] = _batched


def called(writer: Writer, eqn: Any, operands: list[Value]) -> list[Value]:
    """``surface[k]`` is the translation of the k-th derivative: leaves [x] -> [it]."""
    (x,), order = operands, eqn.params["order"]
    if order >= ORDERS:
        raise Untranslatable(f"derivatives of order {order}: a page has those up to order {ORDERS - 1}")
    dim = x.shape[-1]
    if dim > UNROLLED:
        raise Untranslatable(f"surfaces that are called have up to {UNROLLED} dimensions")
    entries, items = writer.items(x), []
    for first in range(0, x.size, dim):
        point = f"[Float64Array.of({', '.join(entries[first : first + dim])})]"
        found = writer.scalar(f"surface[{order}]({point})[0]")
        items += [found] if order == 0 else [writer.scalar(f"{found}[{k}]") for k in range(dim**order)]
    out = eqn.outvars[0].aval
    value = Value(tuple(out.shape), np.dtype(out.dtype))
    if value.size <= UNROLLED:
        return [value._replace(items=tuple(items))]
    name = writer.allocate(value.dtype, value.size)
    for place, item in enumerate(items):
        writer.line(f"{name}[{place}] = {item};")
    return [value._replace(buffer=name)]
