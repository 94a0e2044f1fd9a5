"""Loops as one function of the machine's code.

XLA's CPU compiler makes a function of each of a loop's hundred operations, and hands these out to threads at each step:
where the numbers are few that takes several times longer than what they do. It can be told to make one function of
the whole loop instead: for lanes side by side (see `lanes`), and for a run alone in whoever's program.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap
from jax.experimental.xla_metadata import set_xla_metadata
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from optlab.lanes import SIDE_BY_SIDE, innermost, programs, side_by_side
from optlab.types import Array, PyTree

_allowed = jax.make_user_context(False)  # whether `in_one_function` may do what it is for

#: Whether it does: whether what is traced becomes part of a function of the machine's code.
in_one = jax.make_user_context(False)

#: Operations for which XLA calls a library, or emits code that a function of its own cannot hold.
CALLS_OUT = {
    "cholesky", "eig", "eigh", "geqrf", "geqp3", "hessenberg", "householder_product", "lu", "qr", "schur", "svd",
    "triangular_solve", "tridiagonal", "tridiagonal_solve", "fft", "sort", "top_k", "scatter", "scatter-add",
    "scatter-mul", "ffi_call", "pure_callback", "io_callback", "debug_callback",
}  # fmt: skip

#: Operations of which XLA is known to make a function of its own.
ORDINARY = {
    "abs", "acos", "acosh", "add", "add_any", "and", "argmax", "argmin", "asin", "asinh", "atan", "atan2", "atanh",
    "bitcast_convert_type", "broadcast_in_dim", "cbrt", "ceil", "clamp", "closed_call", "concatenate", "cond",
    "convert_element_type", "copy", "cos", "cosh", "cumlogsumexp", "cummax", "cummin", "cumprod", "cumsum",
    "custom_jvp_call", "custom_vjp_call", "custom_vmap_call", "digamma", "div", "dot_general", "dynamic_slice",
    "dynamic_update_slice", "eq", "erf", "erf_inv", "erfc", "exp", "exp2", "expm1", "floor", "gather", "ge", "gt",
    "integer_pow", "iota", "is_finite", "jit", "le", "lgamma", "log", "log1p", "logistic", "lt", "max", "min", "mul",
    "ne", "neg", "nextafter", "not", "or", "pad", "pjit", "pow", "random_bits", "random_fold_in", "random_seed",
    "random_split", "random_unwrap", "random_wrap", "reduce_and", "reduce_max", "reduce_min", "reduce_or",
    "reduce_prod", "reduce_sum", "rem", "reshape", "rev", "round", "rsqrt", "scan", "select_n", "shift_left",
    "shift_right_arithmetic", "shift_right_logical", "sign", "sin", "sinh", "slice", "split", "sqrt", "square",
    "squeeze", "stack", "stop_gradient", "sub", "tan", "tanh", "threefry2x32", "tile", "transpose", "unstack",
    "while", "xor",
}  # fmt: skip

#: And of which types of numbers.
ORDINARY_TYPES = {"bool", "int32", "int64", "uint32", "uint64", "float32", "float64", "key<fry>"}

#: And of how many numbers: in an array, and in what is summed up, which from about 4,000 on XLA leaves to a library.
MANY, FEW = 128**2, 1024

#: The first release of JAX with which none of this has been tried.
UNTRIED = (0, 11)


def in_one_function(loop: Callable[..., PyTree], *carried: PyTree, known_later: Array) -> PyTree:
    """`loop(*carried)`, any arrays; side by side all that it does becomes one function of the machine's code.

    `known_later`: an integer, the same for all lanes, that the program is given.
    """
    if not (side_by_side.value and _allowed.value):
        return loop(*carried)
    with in_one(True):
        closed, ends = jax.make_jaxpr(loop, return_shape=True)(*carried)
    if _calls_out(closed.jaxpr):
        return loop(*carried)
    found = _one_function(closed, [*closed.consts, *jax.tree.leaves(carried)], known_later)
    return jax.tree.unflatten(jax.tree.structure(ends), found)


def alone_in_one_function(function: Callable[..., PyTree], *arguments: PyTree) -> PyTree:
    """`function(*arguments)`, any arrays; on a CPU all that it does becomes one function of the machine's code.

    For a run alone, in a program that somebody else compiles, so that nothing may fail: in a batch, on several devices,
    with many numbers or unusual operations XLA takes it as it takes others.
    """
    closed, ends = jax.make_jaxpr(function, return_shape=True)(*arguments)
    program = _alone(closed) if _is_ordinary(closed.jaxpr) else partial(_evaluated, closed)
    found = program(*closed.consts, *jax.tree.leaves(arguments))
    return jax.tree.unflatten(jax.tree.structure(ends), found)


def _alone(closed: ClosedJaxpr) -> Callable[..., list[Array]]:
    @custom_vmap
    def alone(*given):
        return _one_function(closed, given, lax.optimization_barrier(jnp.zeros((), jnp.int32)))

    @alone.def_vmap
    def _(axis_size, in_batched, *given):
        axes = [0 if batched else None for batched in in_batched]
        program = partial(_evaluated, closed)
        batched = any(in_batched)  # else the lanes differ in nothing but a derivative's direction
        found = jax.vmap(program, axes, axis_size=axis_size)(*given) if batched else program(*given)
        return found, [batched] * len(found)

    return jax.jit(alone)


def _evaluated(closed: ClosedJaxpr, *given: Array) -> list[Array]:
    """The results of a program, given its constants and its arguments."""
    count = len(closed.consts)
    return jaxpr_as_fun(ClosedJaxpr(closed.jaxpr, given[:count]))(*given[count:])


def _one_function(closed: ClosedJaxpr, given: Sequence[Array], known_later: Array) -> list[Array]:
    """The same in one function of the machine's code."""
    within = jax.jit(partial(_evaluated, closed))
    # XLA ends the process where such a function is given a constant, or a value that it does not read. So nothing here
    # is a constant to it, and a function within, to which all is handed on, reads it or not.
    one = jax.jit(lambda *given: _called(within(*given), inlineable="false"))
    veiled = [_veiled(leaf, known_later) for leaf in given]
    return _called(one(*veiled), xla_cpu_small_call="true", inlineable="false")


def _is_ordinary(jaxpr: Any) -> bool:
    """Whether XLA is known to compile it as one function: nothing large, which it would share among threads."""
    if jax.default_backend() != "cpu" or jax.device_count() > 1 or jax.__version_info__ >= UNTRIED:
        return False
    for part in programs(jaxpr):
        values = [*part.invars, *part.constvars, *(var for eqn in part.eqns for var in eqn.outvars)]
        if not all(0 < var.aval.size <= MANY and str(var.aval.dtype) in ORDINARY_TYPES for var in values):
            return False
        if not all(eqn.primitive.name in ORDINARY and _is_by_hand(eqn) for eqn in part.eqns):
            return False
    return True


def _is_by_hand(eqn: Any) -> bool:
    """Neither a product of two matrices nor a long sum, which XLA may leave to a library."""
    name = eqn.primitive.name
    if name == "dot_general":
        _, batched = eqn.params["dimension_numbers"]
        return eqn.outvars[0].aval.ndim < 2 and batched == ((), ())
    return not name.startswith(("reduce", "arg", "cum")) or eqn.invars[0].aval.size <= FEW


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
