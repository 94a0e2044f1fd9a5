"""How the lanes of a batch lie in memory: on a CPU side by side, so that one instruction serves several of them.

`jax.vmap` puts lanes in front, and the innermost loop of a compiled operation is then over the few numbers of one lane.
With the lanes innermost it is as long as the batch is wide, however few the parameters. That pays only with the options
`SIDE_BY_SIDE`, so that who compiles with them asks for it; nothing in here changes anything elsewhere.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jax.experimental.layout import Layout, with_layout_constraint
from jax.experimental.xla_metadata import set_xla_metadata
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

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

_allowed = jax.make_user_context(False)  # whether `in_one_function` may do what it is for

#: Whether it does: whether what is traced becomes part of a function of the machine's code.
in_one = jax.make_user_context(False)

#: Operations for which XLA calls a library, or emits code that a function of its own cannot hold.
CALLS_OUT = {
    "cholesky", "eig", "eigh", "geqrf", "geqp3", "hessenberg", "householder_product", "lu", "qr", "schur", "svd",
    "triangular_solve", "tridiagonal", "tridiagonal_solve", "fft", "sort", "top_k", "scatter", "scatter-add",
    "scatter-mul", "ffi_call", "pure_callback", "io_callback", "debug_callback",
}  # fmt: skip


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


def in_one_function(loop: Callable[..., PyTree], *carried: PyTree, known_later: Array) -> PyTree:
    """`loop(*carried)`, any arrays; side by side all that it does becomes one function of the machine's code.

    Otherwise XLA makes a function of each of its hundred operations, and hands these out to threads at each step: of
    few lanes that takes longer than what they do. `known_later`: an integer, the same for all lanes, that the program
    is given.
    """
    if not (side_by_side.value and _allowed.value):
        return loop(*carried)
    with in_one(True):
        closed, ends = jax.make_jaxpr(loop, return_shape=True)(*carried)
    if _calls_out(closed.jaxpr):
        return loop(*carried)
    given = [*closed.consts, *jax.tree.leaves(carried)]

    @jax.jit
    def within(*given):
        count = len(closed.consts)
        return jaxpr_as_fun(ClosedJaxpr(closed.jaxpr, given[:count]))(*given[count:])

    # XLA ends the process where such a function is given a constant, or a value that it does not read. So nothing here
    # is a constant to it, and a function within, to which all is handed on, reads it or not.
    one = jax.jit(lambda *given: _called(within(*given), inlineable="false"))
    veiled = [_veiled(leaf, known_later) for leaf in given]
    found = _called(one(*veiled), xla_cpu_small_call="true", inlineable="false")
    return jax.tree.unflatten(jax.tree.structure(ends), found)


def _veiled(x: Array, known_later: Array) -> Array:
    """The same, as a choice of which no compiler sees that it is always the same one."""
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(_veiled(jax.random.key_data(x), known_later), impl=jax.random.key_impl(x))
    other = -x if jnp.issubdtype(x.dtype, jnp.inexact) else ~x
    return jnp.where((known_later >= 0) | (known_later < 1), x, other)


def apart(function: Callable[..., PyTree], *arguments: PyTree) -> PyTree:
    """`function(*arguments)`, any arrays; within one function (see above) its results are stored before they are read.

    Otherwise XLA repeats what it takes for cheap in each loop that reads it, so that what is said of a lane is computed
    for each number of it; and of a long chain of choices the machine makes branches, which serve one lane at a time.
    """
    if not in_one.value:
        return function(*arguments)
    return _called(jax.jit(lambda *inner: innermost(function(*innermost(inner))))(*arguments), inlineable="false")


def _called(results: PyTree, **how: str) -> PyTree:
    """The results of a jitted function, with attributes for its call."""
    first, *others = jax.tree.leaves(results)
    return jax.tree.unflatten(jax.tree.structure(results), [set_xla_metadata(first, **how), *others])


def _calls_out(jaxpr: Any) -> bool:
    return not CALLS_OUT.isdisjoint(eqn.primitive.name for part in programs(jaxpr) for eqn in part.eqns)


def in_one_functions(options: Mapping[str, Any]) -> bool:
    """Whether with these options loops become one function each, which takes longer: not where XLA is to be quick."""
    return dict(options) == SIDE_BY_SIDE


def lowered_for(lower: Callable[[], Any], options: Mapping[str, Any]) -> Any:
    """What `lower()` returns, as `compile_with` will have it first."""
    with _allowed(in_one_functions(options)):
        return lower()


def compile_with(lower: Callable[[], Any], options: Mapping[str, Any]) -> Any:
    """What `lower()` returns, compiled with these options of XLA's, or without if this release of it lacks one.

    Batching may have put an operation into a loop that a function of its own cannot hold: then it is not one.
    """
    if options:
        with suppress(jax.errors.JaxRuntimeError):
            return lowered_for(lower, options).compile(dict(options))
    if in_one_functions(options):
        with suppress(jax.errors.JaxRuntimeError):
            return lower().compile(dict(options))
    return lower().compile()


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
    return jax.vmap(summed if side_by_side.value else jnp.matmul, axes, axis_size=axis_size)(H, v), True
