"""Many entries to few, products of matrices, and the factorizations that `runtime.js` holds."""

from collections.abc import Callable
from typing import Any

import numpy as np

from optlab.explorer.code import UNROLLED, Untranslatable, Value, Writer, array_of, as_number, known
from optlab.explorer.elementwise import EXPRESSIONS
from optlab.explorer.movement import places, rearranged

Emit = Callable[[Writer, Any, list[Value]], list[Value]]

#: Products of numbers up to which a product of matrices is written out.
PRODUCTS = 16


def _start(name: str, dtype: np.dtype) -> str:
    """What a reduction begins with."""
    match name:
        case "add":
            return "0"
        case "mul":
            return "1"
        case "and":
            return "true" if dtype.kind == "b" else "-1"
        case "or" | "xor":
            return "false" if dtype.kind == "b" else "0"
    highest = {"f": "Infinity", "i": "2147483647", "u": "4294967295", "b": "true"}[dtype.kind]
    lowest = {"f": "-Infinity", "i": "-2147483648", "u": "0", "b": "false"}[dtype.kind]
    return lowest if name == "max" else highest


def _reduce(name: str) -> Emit:
    def emit(writer, eqn, operands):
        (operand,), axes = operands, tuple(eqn.params["axes"])
        out = eqn.outvars[0].aval
        place = np.moveaxis(places(operand), axes, range(-len(axes), 0)).reshape(*out.shape, -1)
        return [_folded(writer, out, rearranged(writer, operand, place), name)]

    return emit


def _folded(writer: Writer, out: Any, operand: Value, name: str) -> Value:
    """Entries of the last axis combined, from left to right."""
    shape, dtype, length = tuple(out.shape), np.dtype(out.dtype), operand.shape[-1]
    size = int(np.prod(shape, dtype=int))

    def combine(a, b):
        return EXPRESSIONS[name](dtype, {}, a, b)

    if length == 0:
        return Value(shape, dtype, items=(f"({_start(name, dtype)})",) * size)
    if operand.size <= 2 * UNROLLED and size <= UNROLLED:
        totals = []
        for row in range(size):
            total, *rest = (writer.item(operand, row * length + k) for k in range(length))
            for entry in rest:
                total = writer.scalar(combine(total, entry))
            totals.append(total)
        return Value(shape, dtype, items=tuple(totals))
    total, name_out = writer.fresh("t"), None
    writer.line(f"let {total};")
    if size > UNROLLED:
        name_out = writer.allocate(dtype, size)
    items = []
    if name_out:
        writer.line(f"for (let r = 0; r < {size}; r++) {{")
    for row in [None] if name_out else range(size):
        base = f"r * {length}" if row is None else str(row * length)
        first, entry = writer.entry(operand, base), writer.entry(operand, f"{base} + i")
        writer.line(f"{total} = {first};")
        writer.line(f"for (let i = 1; i < {length}; i++) {total} = {combine(total, entry)};")
        if row is None:
            writer.line(f"{name_out}[r] = {as_number(dtype, total)};")
        else:
            kept = writer.fresh()
            writer.line(f"const {kept} = {total};")
            items.append(kept)
    if name_out:
        writer.line("}")
        return Value(shape, dtype, buffer=name_out)
    return Value(shape, dtype, items=tuple(items))


def _arg(name: str) -> Emit:
    def emit(writer, eqn, operands):
        (operand,), (axis,) = operands, eqn.params["axes"]
        out = eqn.outvars[0].aval
        place = np.moveaxis(places(operand), axis, -1)
        rows = writer.buffer(rearranged(writer, operand, place))
        length = place.shape[-1]
        found = [writer.scalar(f"runtime.{name}({rows}, {k * length}, {length})") for k in range(place.size // length)]
        return [_of_items(writer, out, found)]

    return emit


def _of_items(writer: Writer, out: Any, items: list[str]) -> Value:
    """A value of any size from its entries."""
    value = Value(tuple(out.shape), np.dtype(out.dtype), items=tuple(items))
    return value if len(items) <= UNROLLED else value._replace(items=None, buffer=writer.buffer(value))


def _cumulate(name: str) -> Emit:
    def emit(writer, eqn, operands):
        (operand,), axis = operands, eqn.params["axis"]
        place = np.moveaxis(places(operand), axis, -1)
        place = place[..., ::-1] if eqn.params["reverse"] else place
        rows = rearranged(writer, operand, place)
        length, out = place.shape[-1], writer.allocate(operand.dtype, operand.size)
        writer.line(f"for (let r = 0; r < {operand.size // length}; r++) {{")
        total = writer.fresh("t")
        writer.line(f"let {total} = {writer.entry(rows, f'r * {length}')};")
        writer.line(f"{out}[r * {length}] = {total};")
        combined = EXPRESSIONS[name](operand.dtype, {}, total, writer.entry(rows, f"r * {length} + i"))
        writer.line(
            f"for (let i = 1; i < {length}; i++) {{ {total} = {combined}; {out}[r * {length} + i] = {total}; }}"
        )
        writer.line("}")
        made = Value(place.shape, operand.dtype, buffer=out)
        back = places(made)[..., ::-1] if eqn.params["reverse"] else places(made)
        return [rearranged(writer, made, np.moveaxis(back, -1, axis))]

    return emit


def _dot_general(writer: Writer, eqn: Any, operands: list[Value]) -> list[Value]:
    """Both operands with what is summed over in the last axis, then row by row."""
    (summed, batched), out = eqn.params["dimension_numbers"], eqn.outvars[0].aval
    sides = []
    for operand, over, batch in zip(operands, summed, batched, strict=True):
        free = [k for k in range(len(operand.shape)) if k not in (*over, *batch)]
        lengths = [int(np.prod([operand.shape[k] for k in axes], dtype=int)) for axes in (batch, free, over)]
        place = np.transpose(places(operand), (*batch, *free, *over)).reshape(lengths)
        sides.append(rearranged(writer, operand, place))
    left, right = sides
    (B, M, K), N = left.shape, right.shape[1]
    if K == 0:
        return [known(np.zeros(out.shape, out.dtype))]
    if B * M * N * K <= PRODUCTS and B * M * N <= UNROLLED:
        multiply, add = EXPRESSIONS["mul"], EXPRESSIONS["add"]
        items = []
        for b, m, n in np.ndindex(B, M, N):
            total = "0"
            for k in range(K):
                a, c = writer.item(left, (b * M + m) * K + k), writer.item(right, (b * N + n) * K + k)
                total = writer.scalar(add(out.dtype, {}, total, writer.scalar(multiply(out.dtype, {}, a, c))))
            items.append(total)
        return [Value(tuple(out.shape), np.dtype(out.dtype), items=tuple(items))]
    if np.dtype(out.dtype).kind != "f":
        raise Untranslatable(f"dot_general of {out.dtype}")
    a, b = writer.buffer(left), writer.buffer(right)
    if B * M * N == 1:
        return [Value(tuple(out.shape), np.dtype(out.dtype), items=(writer.scalar(f"runtime.dot({a}, {b}, {K})"),))]
    name = writer.allocate(out.dtype, B * M * N)
    writer.line(f"runtime.multiply({a}, {b}, {name}, {B}, {M}, {N}, {K});")
    return [Value(tuple(out.shape), np.dtype(out.dtype), buffer=name)]


def _sort(writer: Writer, eqn: Any, operands: list[Value]) -> list[Value]:
    """All operands in the order of the first; a stable order is as good as any where none is asked for."""
    if eqn.params["num_keys"] != 1:
        raise Untranslatable("sort by several keys")
    axis = eqn.params["dimension"]
    place = np.moveaxis(places(operands[0]), axis, -1)
    length, size = place.shape[-1], place.size
    rows = [writer.buffer(rearranged(writer, operand, place)) for operand in operands]
    order = writer.fresh("b")
    writer.heads.append(f"const {order} = new Int32Array({size});")
    writer.line(f"runtime.sortedOrder({rows[0]}, {order}, {size}, {length});")
    results = []
    for operand, source in zip(operands, rows, strict=True):
        name = writer.allocate(operand.dtype, size)
        writer.line(f"for (let i = 0; i < {size}; i++) {name}[i] = {source}[{order}[i]];")
        made = Value(place.shape, operand.dtype, buffer=name)
        results.append(rearranged(writer, made, np.moveaxis(places(made), -1, axis)))
    return results


def _factorization(call: Callable[[Any, Value], str]) -> Emit:
    """A kernel on one matrix that fills an array for each result: the text of its further arguments is `call`'s."""

    def emit(writer, eqn, operands):
        if any(len(operand.shape) != 2 for operand in operands):
            raise Untranslatable(f"{eqn.primitive.name} of several matrices at once")
        if any(operand.dtype.name != "float64" for operand in operands):
            raise Untranslatable(f"{eqn.primitive.name} of {operands[0].dtype.name}")
        sources = [writer.buffer(operand) for operand in operands]
        results = []
        for var in eqn.outvars:
            array_of(var.aval.dtype)
            name = writer.allocate(var.aval.dtype, max(1, int(np.prod(var.aval.shape, dtype=int))))
            results.append(Value(tuple(var.aval.shape), np.dtype(var.aval.dtype), buffer=name))
        kernel, *more = call(eqn, operands[0]).split(" ")
        writer.line(f"runtime.{kernel}({', '.join([*sources, *(str(v.buffer) for v in results), *more])});")
        return results

    return emit


def _flag(condition: bool) -> str:
    return "true" if condition else "false"


def _triangular_solve(writer: Writer, eqn: Any, operands: list[Value]) -> list[Value]:
    """A X = B; X A = B is the same of the transposed matrices."""
    a, b = operands
    if len(a.shape) != 2 or a.dtype.name != "float64":
        raise Untranslatable(f"triangular_solve of {len(a.shape)} axes of {a.dtype.name}")
    left, turned = eqn.params["left_side"], bool(eqn.params["transpose_a"])
    right = b if left else rearranged(writer, b, places(b).T)
    name = writer.allocate(b.dtype, b.size)
    flags = eqn.params["lower"], turned == left, eqn.params["unit_diagonal"]
    matrix = writer.buffer(a)
    sizes = f"{a.shape[0]}, {right.shape[1]}, {', '.join(map(_flag, flags))}"
    writer.line(f"runtime.triangularSolve({matrix}, {writer.buffer(right)}, {name}, {sizes});")
    made = Value(right.shape, b.dtype, buffer=name)
    return [made if left else rearranged(writer, made, places(made).T)]


def _svd(eqn, a):
    if eqn.params.get("subset_by_index") is not None:
        raise Untranslatable("svd of a subset")
    if not eqn.params["compute_uv"]:
        return f"singularValues {a.shape[0]} {a.shape[1]}"
    if eqn.params["full_matrices"] and a.shape[0] != a.shape[1]:
        raise Untranslatable("svd with full matrices")
    return f"svd {a.shape[0]} {a.shape[1]}"


def _eigh(eqn, a):
    if eqn.params.get("subset_by_index") not in (None, (0, a.shape[0])):
        raise Untranslatable("eigh of a subset")
    return f"eigh {a.shape[0]} {_flag(eqn.params['lower'])}"


def _qr(eqn, a):
    if eqn.params["pivoting"]:
        raise Untranslatable("qr with pivots")
    return f"qr {a.shape[0]} {a.shape[1]} {a.shape[0] if eqn.params['full_matrices'] else min(a.shape)}"


REDUCTIONS: dict[str, Emit] = {
    "reduce_sum": _reduce("add"), "reduce_prod": _reduce("mul"), "reduce_max": _reduce("max"),
    "reduce_min": _reduce("min"), "reduce_and": _reduce("and"), "reduce_or": _reduce("or"),
    "reduce_xor": _reduce("xor"), "argmax": _arg("argmax"), "argmin": _arg("argmin"),
    "cumsum": _cumulate("add"), "cumprod": _cumulate("mul"), "cummax": _cumulate("max"), "cummin": _cumulate("min"),
    "dot_general": _dot_general, "sort": _sort, "triangular_solve": _triangular_solve,
    "lu": _factorization(lambda eqn, a: f"lu {a.shape[0]} {a.shape[1]}"),
    "cholesky": _factorization(lambda eqn, a: f"cholesky {a.shape[0]}"),
    "eigh": _factorization(_eigh), "svd": _factorization(_svd), "qr": _factorization(_qr),
}  # fmt: skip
