"""A function of JAX as a function of JavaScript: traced to a jaxpr, and its equations written down one by one.

The JavaScript function takes one array of leaves and returns another, in the order of `jax.tree.leaves`. A leaf
without a shape is a number, or a boolean; any other is a typed array, flat, row after row: Float64Array (int64 too:
exact up to 2^53), Float32Array, Int32Array, Uint32Array, or Uint8Array for booleans. It changes none of what it is
given, and what it returns is the caller's own. It stands on the `runtime` of ``runtime.js``.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax._src import source_info_util
from jax.extend.core import Literal
from jax.interpreters import partial_eval

from optlab.explorer.code import ARRAYS, Untranslatable, Value, Writer, array_of, held, known
from optlab.explorer.control import CONTROL
from optlab.explorer.elementwise import EXPRESSIONS, elementwise, select
from optlab.explorer.movement import MOVEMENTS
from optlab.explorer.opaque import called, derivative
from optlab.explorer.reductions import REDUCTIONS

__all__ = ["Untranslatable", "translate"]

#: Words that are no names in a module of JavaScript, and those that generated code uses.
RESERVED = frozenset(
    re.findall(
        r"\w+",
        "arguments await break case catch class const continue debugger default delete do else enum eval export "
        "extends false finally for function if implements import in instanceof interface let new null package private "
        "protected public return static super switch this throw true try typeof var void while with yield undefined "
        "NaN Infinity Math runtime Object Array leaves surface i r",
    )
)


def translate(name: str, function: Callable[..., Any], *example_arguments: Any) -> str:
    """JavaScript source that declares `name`, the function of the module's docstring.

    Args:
      name: an identifier of ASCII letters, digits, ``_`` and ``$``; nothing else of what it is given is quoted.
      function: any function that JAX traces.
      example_arguments: arrays, or `jax.ShapeDtypeStruct`, in any trees: only shapes and types count. It is traced with
        64-bit types on, whatever the setting.

    Returns:
      ``const NAME = (() => {... return function (leaves, surface) {...}; })();``; `surface` is called where the
      function knows its surface as `opaque` only: an array of translated derivatives, of order 0 first.

    Raises:
      Untranslatable: for a primitive that has no translation; the message names it, and the line it comes from.
      ValueError: for a name that is none.
    """
    if not re.fullmatch(r"[A-Za-z_$][A-Za-z0-9_$]*", name) or name in RESERVED or re.fullmatch(r"[vbkcti]\d+", name):
        raise ValueError(f"a JavaScript function cannot be called {name!r}")
    with jax.enable_x64(True):
        closed = jax.make_jaxpr(function)(*example_arguments)
        return written(name, closed)


def written(name: str, closed: Any) -> str:
    """The source for a traced function; `name` is trusted."""
    jaxpr, used = partial_eval.dce_jaxpr(closed.jaxpr, [True] * len(closed.jaxpr.outvars), instantiate=True)
    del used
    writer = Writer()
    arguments = [_argument(writer, place, var.aval) for place, var in enumerate(jaxpr.invars)]
    results = inline(writer, jaxpr, closed.consts, arguments)
    returned = ", ".join(_returned(writer, value) for value in results)
    head = [f"const {name} = (() => {{", '"use strict";', *writer.heads, "return function (leaves, surface) {"]
    return "\n".join([*head, *writer.lines, f"return [{returned}];", "};", "})();", ""])


def _argument(writer: Writer, place: int, aval: Any) -> Value:
    value = Value(tuple(aval.shape), np.dtype(_allowed(aval.dtype)))
    if value.size == 0:
        return known(np.zeros(value.shape, value.dtype))
    if not value.shape:
        return value._replace(items=(writer.scalar(f"leaves[{place}]"),))
    # Not one of our own, so that a loop that hands it on copies it
    return value._replace(buffer=writer.scalar(f"leaves[{place}]"))


def _allowed(dtype: Any) -> str:
    name = getattr(dtype, "name", str(dtype))
    if name not in ARRAYS:
        raise Untranslatable(f"arrays of {name} have no translation to JavaScript")
    return name


def _returned(writer: Writer, value: Value) -> str:
    if not value.shape:
        return writer.item(value, 0)
    kind = array_of(value.dtype)
    if value.size == 0:
        return f"new {kind}(0)"
    if (alike := writer.alike(value)) is not None and not held(value):
        return f"new {kind}({value.size}).fill({alike})"
    if held(value) and value.buffer is None:
        return f"{kind}.of({', '.join(writer.items(value))})"
    return f"{writer.buffer(value)}.slice()"


def inline(writer: Writer, jaxpr: Any, constants: Sequence[Any], operands: Sequence[Value]) -> list[Value]:
    """The equations of a jaxpr, and where its results are."""
    places = dict(zip(jaxpr.constvars, map(_constant, constants), strict=True))
    places |= dict(zip(jaxpr.invars, operands, strict=True))

    def read(atom: Any) -> Value:
        aval: Any = atom.aval
        return known(np.asarray(atom.val, aval.dtype)) if isinstance(atom, Literal) else places[atom]

    for eqn in jaxpr.eqns:
        places |= dict(zip(eqn.outvars, _equation(writer, eqn, [read(atom) for atom in eqn.invars]), strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _constant(array: Any) -> Value:
    _allowed(array.dtype)
    return known(np.asarray(array))


def _equation(writer: Writer, eqn: Any, operands: list[Value]) -> list[Value]:
    """The one place where a primitive finds its translation."""
    name, outs = eqn.primitive.name, [var.aval for var in eqn.outvars]
    try:
        if name in CONTROL:
            return CONTROL[name](writer, eqn, operands, inline)
        for out in outs:
            _allowed(out.dtype)
        if outs and all(0 in out.shape for out in outs):
            return [known(np.zeros(out.shape, out.dtype)) for out in outs]
        if name in EXPRESSIONS:
            return elementwise(writer, eqn, operands)
        if name == "select_n":
            return select(writer, eqn, operands)
        emit = called if eqn.primitive is derivative else MOVEMENTS.get(name) or REDUCTIONS.get(name)
        if emit is None:
            raise Untranslatable("no translation to JavaScript")
        return emit(writer, eqn, operands)
    except Untranslatable as error:
        if str(error).startswith("primitive "):
            raise
        where = source_info_util.summarize(eqn.source_info)
        raise Untranslatable(f"primitive {name}: {error} (at {where})") from None
