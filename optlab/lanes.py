"""How the lanes of a batch lie in memory: on a CPU side by side, so that one instruction serves several of them.

`jax.vmap` puts lanes in front, and the innermost loop of a compiled operation is then over the few numbers of one lane.
With the lanes innermost it is as long as the batch is wide, however few the parameters. That pays only with the options
`SIDE_BY_SIDE`, so that who compiles with them asks for it; nothing in here changes anything elsewhere.
"""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jax.experimental.layout import Layout, with_layout_constraint

from optlab.types import Array, PyTree

#: With the lanes innermost a sum over a vector is written out, up to this length. Longer ones have long loops anyway,
#: and products of large matrices want the lanes outermost.
SHORT = 24

#: What XLA is to be told where lanes lie side by side: vectors as wide as there are, and sums compiled together with
#: what they sum. Its library for sums wants the lanes outermost, and copies.
SIDE_BY_SIDE = {
    "xla_cpu_experimental_ynn_fusion_type": "",
    "xla_cpu_prefer_vector_width": 512,
    "xla_cpu_copy_insertion_use_region_analysis": True,
}

#: ``with side_by_side(True):`` what is batched within has its lanes innermost, in loops that say where by `innermost`.
side_by_side = jax.make_user_context(False)


def are_short(function: Callable[..., Any], *lanes: PyTree) -> bool:
    """Whether lanes are better innermost: on a CPU, where no value within a function of one lane is a long one.

    `lanes`: its arguments, of many lanes, `[R, ...]`, of which only the shapes count.
    """
    if jax.default_backend() != "cpu":
        return False
    one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), lanes)
    return max(_lengths(jax.make_jaxpr(function)(*one).jaxpr), default=0) <= SHORT


def _lengths(jaxpr: Any) -> Iterator[int]:
    """Of all axes of all values in a program, and in those within it."""
    for part in programs(jaxpr):
        for var in (*part.invars, *part.constvars, *(var for eqn in part.eqns for var in eqn.outvars)):
            yield from var.aval.shape


def programs(jaxpr: Any) -> Iterator[Any]:
    """A program and those within it."""
    yield jaxpr
    for eqn in jaxpr.eqns:
        for inner in jax.tree.leaves(list(eqn.params.values()), is_leaf=lambda x: hasattr(x, "eqns")):
            if hasattr(inner, "eqns"):
                yield from programs(getattr(inner, "jaxpr", inner))


def innermost(tree: PyTree) -> PyTree:
    """The same tree: the variables of a loop, to be laid out with their lanes innermost.

    For the beginning and the end of a loop's body, as the compiler lays out by itself what a loop carries; also what
    the loop only reads must be carried.
    """
    return jax.tree.map(lambda leaf: _innermost(leaf) if _is_vector(leaf) else leaf, tree)


def _is_vector(leaf: Array) -> bool:
    return jnp.ndim(leaf) > 0 and not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


@custom_vmap
def _innermost(x: Array) -> Array:
    return x


@_innermost.def_vmap
def _(axis_size, in_batched, x):
    del axis_size
    (batched,) = in_batched
    if batched and side_by_side.value:
        x = with_layout_constraint(jnp.asarray(x), Layout((*range(1, x.ndim), 0)))
    return x, batched


@custom_vmap
def symmetric_product(H: Array, v: Array) -> Array:
    """H v with H symmetric: `[d]`. Side by side it is a sum: products of small matrices go one lane at a time."""
    return H @ v


@symmetric_product.def_vmap
def _(axis_size, in_batched, H, v):
    def summed(H, v):
        return innermost(jnp.sum(H * innermost(v)[:, None], axis=0))

    axes = [0 if batched else None for batched in in_batched]
    if not any(in_batched):  # a derivative's direction may be all that differs from lane to lane
        return H @ v, False
    return jax.vmap(summed if side_by_side.value else jnp.matmul, axes, axis_size=axis_size)(H, v), True
