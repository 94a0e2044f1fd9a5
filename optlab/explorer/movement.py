"""Entries that change their place: slices, transposes, gathers. Where each goes is worked out at translation time."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from jax import lax

from optlab.explorer.code import UNROLLED, Untranslatable, Value, Writer, as_number, known, literal, move
from optlab.explorer.elementwise import wrapped

#: Positions that a gather or scatter with indices of the run may have: each is code of its own.
POSITIONS = 64


def places(value: Value) -> np.ndarray:
    """The place of each entry in its buffer, in the shape of the value."""
    return np.arange(value.size).reshape(value.shape)


def rearranged(writer: Writer, value: Value, place: np.ndarray) -> Value:
    """The value whose entries are those at `place` of another; its shape is that of `place`."""
    return move(writer, place.shape, [value], np.zeros(place.shape, int), place)


def _single(table: Callable[[np.ndarray, Any], np.ndarray]) -> Callable[[Writer, Any, list[Value]], list[Value]]:
    """A primitive that does to its operand what `table` does to the places of entries."""

    def emit(writer, eqn, operands):
        return [rearranged(writer, operands[0], table(places(operands[0]), eqn))]

    return emit


def _slice(place, eqn):
    params = eqn.params
    strides = params["strides"] or (1,) * place.ndim
    bounds = zip(params["start_indices"], params["limit_indices"], strides, strict=True)
    return place[tuple(slice(*map(int, bound)) for bound in bounds)]


def _broadcast(place, eqn):
    shape, dimensions = eqn.params["shape"], eqn.params["broadcast_dimensions"]
    wide = [1] * len(shape)
    for axis, k in enumerate(dimensions):
        wide[k] = place.shape[axis]
    return np.broadcast_to(place.reshape(wide), shape)


def _reshape(place, eqn):
    if eqn.params.get("dimensions") is not None:
        place = np.transpose(place, eqn.params["dimensions"])
    return place.reshape(eqn.outvars[0].aval.shape)


def _pad(writer: Writer, eqn: Any, operands: list[Value]) -> list[Value]:
    shape = eqn.outvars[0].aval.shape
    source, place = np.ones(shape, int), np.zeros(shape, int)
    operand = places(operands[0])
    inside, within = [], []
    for (low, _, inner), n, size in zip(eqn.params["padding_config"], operand.shape, shape, strict=True):
        at = low + np.arange(n) * (inner + 1)  # where each entry goes, perhaps outside
        keep = (at >= 0) & (at < size)
        inside.append(at[keep])
        within.append(np.flatnonzero(keep))
    if operand.ndim:
        source[np.ix_(*inside)] = 0
        place[np.ix_(*inside)] = operand[np.ix_(*within)]
    else:
        source[()], place[()] = 0, 0
    return [move(writer, shape, operands[:2], source, place)]


def _joined(writer: Writer, eqn: Any, operands: list[Value], join: Callable) -> list[Value]:
    source = join([np.full(value.shape, k) for k, value in enumerate(operands)])
    return [move(writer, source.shape, operands, source, join([places(value) for value in operands]))]


def _concatenate(writer, eqn, operands):
    return _joined(writer, eqn, operands, lambda parts: np.concatenate(parts, eqn.params["dimension"]))


def _stack(writer, eqn, operands):
    return _joined(writer, eqn, operands, lambda parts: np.stack(parts, eqn.params["axis"]))


def _split(writer, eqn, operands):
    (operand,) = operands
    ends = np.cumsum([0, *eqn.params["sizes"]])
    place = places(operand)
    return [
        rearranged(writer, operand, place.take(np.arange(low, high), eqn.params["axis"]))
        for low, high in pairwise(ends)
    ]


def _unstack(writer, eqn, operands):
    (operand,), axis = operands, eqn.params["axis"]
    return [rearranged(writer, operand, places(operand).take(k, axis)) for k in range(operand.shape[axis])]


def _iota(writer, eqn, operands):
    shape, axis = eqn.params["shape"], eqn.params["dimension"]
    along = np.arange(shape[axis]).reshape([-1 if k == axis else 1 for k in range(len(shape))])
    return [known(np.broadcast_to(along, shape).astype(eqn.params["dtype"]))]


# Where an entry goes is known only to the run


def _clamped(writer: Writer, index: str, limit: int) -> str:
    if index.isdigit():
        return str(min(int(index), limit))
    return "0" if limit <= 0 else writer.scalar(f"Math.max(0, Math.min({index}, {limit}))")


def _offset(writer: Writer, indices: Sequence[str], strides: Sequence[int]) -> str:
    """The place of an entry, from its index along each axis."""
    terms = [i if s == 1 else f"{i} * {s}" for i, s in zip(indices, strides, strict=True) if i != "0"]
    return writer.scalar(" + ".join(terms)) if terms else "0"


def _strides(shape: Sequence[int]) -> list[int]:
    return [int(np.prod(shape[k + 1 :], dtype=int)) for k in range(len(shape))]


def _window(writer: Writer, operand: Value, starts: Sequence[str], sizes: Sequence[int]) -> tuple[str, np.ndarray]:
    """The place of a window's first entry, and of the others relative to it."""
    limits = [n - size for n, size in zip(operand.shape, sizes, strict=True)]
    at = [_clamped(writer, start, limit) for start, limit in zip(starts, limits, strict=True)]
    relative = places(operand)[tuple(slice(0, size) for size in sizes)]
    return _offset(writer, at, _strides(operand.shape)), relative


def _dynamic_slice(writer: Writer, eqn: Any, operands: list[Value]) -> list[Value]:
    operand, *starts = operands
    sizes = [int(n) for n in eqn.params["slice_sizes"]]
    base, relative = _window(writer, operand, [writer.item(start, 0) for start in starts], sizes)
    if base.isdigit():
        return [rearranged(writer, operand, relative + int(base))]
    entries = [(base, r) for r in relative.ravel().tolist()]
    return [_picked(writer, eqn.outvars[0].aval, operand, entries, ["true"] * len(entries), "0")]


def _picked(
    writer: Writer, out: Any, operand: Value, entries: list[tuple[str, int]], inside: list[str], nothing: str
) -> Value:
    """Entries at (base + offset), or `nothing` where `inside` is false."""
    shape, dtype = tuple(out.shape), np.dtype(out.dtype)

    def expression(k):
        base, offset = entries[k]
        index = f"{base} + {offset}" if offset else base
        entry = writer.entry(operand, index)
        return entry if inside[k] == "true" else f"{inside[k]} ? {entry} : {nothing}"

    if len(entries) <= UNROLLED:
        return Value(shape, dtype, items=tuple(writer.scalar(expression(k)) for k in range(len(entries))))
    name = writer.allocate(dtype, len(entries))
    for k in range(len(entries)):
        writer.line(f"{name}[{k}] = {as_number(dtype, expression(k))};")
    return Value(shape, dtype, buffer=name)


def _filling(value: Any, dtype: np.dtype) -> str:
    """What stands for an entry outside: what JAX was told, or NaN, the least integer, the largest unsigned one."""
    if value is not None:
        return literal(np.asarray(value, dtype)[()])
    if dtype.kind in "iu":
        return literal(np.iinfo(dtype).min if dtype.kind == "i" else np.iinfo(dtype).max)
    return "true" if dtype.kind == "b" else "NaN"


def _copied(writer: Writer, value: Value) -> str:
    name = writer.allocate(value.dtype, value.size)
    writer.fill(name, value)
    return name


def _dynamic_update_slice(writer: Writer, eqn: Any, operands: list[Value]) -> list[Value]:
    operand, update, *starts = operands
    base, relative = _window(writer, operand, [writer.item(start, 0) for start in starts], update.shape)
    if base.isdigit():
        source, place = np.zeros(operand.size, int), np.arange(operand.size)
        source[relative.ravel() + int(base)], place[relative.ravel() + int(base)] = 1, np.arange(update.size)
        return [move(writer, operand.shape, [operand, update], source, place)]
    name = _copied(writer, operand)
    for k, r in enumerate(relative.ravel().tolist()):
        writer.line(f"{name}[{base} + {r}] = {as_number(operand.dtype, writer.item(update, k))};")
    return [Value(operand.shape, operand.dtype, buffer=name)]


def _rows(writer: Writer, indices: Value) -> list[tuple[str, ...]]:
    """Index vectors, one for each position; a known index is written in digits."""
    depth = indices.shape[-1]
    count = indices.size // max(1, depth)
    if indices.known is not None:  # a negative one is no place, and any other beyond the end would do as well
        table = indices.known.reshape(count, depth)
        return [tuple(str(i) if i >= 0 else f"({i})" for i in row) for row in table.tolist()]
    if count > POSITIONS:
        raise Untranslatable(f"{count} positions known only to the run, more than {POSITIONS}")
    return [tuple(writer.item(indices, k * depth + j) for j in range(depth)) for k in range(count)]


def _located(writer: Writer, operand: Value, starts: Sequence[str], sizes: Sequence[int], drop: bool):
    """(place of a window's first entry, whether all of it is inside), from its index along each axis."""
    limits = [n - size for n, size in zip(operand.shape, sizes, strict=True)]
    inside = "true"
    if drop:
        tests = []
        for start, limit in zip(starts, limits, strict=True):
            if start.isdigit() and int(start) <= limit:
                continue
            tests.append(
                "false" if start.isdigit() or start.startswith("(-") else f"{start} >= 0 && {start} <= {limit}"
            )
        inside = "false" if "false" in tests else writer.scalar(" && ".join(tests)) if tests else "true"
    at = [_clamped(writer, "0" if s.startswith("(-") else s, limit) for s, limit in zip(starts, limits, strict=True)]
    return _offset(writer, at, _strides(operand.shape)), inside


def _drops(mode: Any) -> bool:
    return lax.GatherScatterMode.from_any(mode) == lax.GatherScatterMode.FILL_OR_DROP


def _gather(writer: Writer, eqn: Any, operands: list[Value]) -> list[Value]:
    operand, indices = operands
    params, numbers, out = eqn.params, eqn.params["dimension_numbers"], eqn.outvars[0].aval
    sizes, rank = params["slice_sizes"], len(operand.shape)
    batching = tuple(numbers.operand_batching_dims)
    window_axes = [k for k in range(rank) if k not in (*numbers.collapsed_slice_dims, *batching)]
    batch_axes = [k for k in range(len(out.shape)) if k not in numbers.offset_dims]
    rows = _rows(writer, indices)
    found: dict[int, tuple[str, str]] = {}
    entries, inside = [], []
    for index in np.ndindex(*out.shape):
        batch = [index[k] for k in batch_axes]
        row = int(np.ravel_multi_index(batch, indices.shape[:-1])) if batch else 0
        if row not in found:
            starts = ["0"] * rank
            for axis, start in zip(numbers.start_index_map, rows[row], strict=True):
                starts[axis] = start
            for axis, k in zip(batching, numbers.start_indices_batching_dims, strict=True):
                starts[axis] = str(batch[k])
            found[row] = _located(writer, operand, starts, sizes, _drops(params["mode"]))
        base, within = found[row]
        within_window = dict(zip(window_axes, (index[k] for k in numbers.offset_dims), strict=True))
        entries.append((base, sum(s * within_window.get(k, 0) for k, s in enumerate(_strides(operand.shape)))))
        inside.append(within)
    if all(base.isdigit() and test == "true" for (base, _), test in zip(entries, inside, strict=True)):
        return [rearranged(writer, operand, np.array([int(b) + o for b, o in entries], int).reshape(out.shape))]
    return [_picked(writer, out, operand, entries, inside, _filling(params["fill_value"], np.dtype(out.dtype)))]


def _scatter(combine: str | None) -> Callable[[Writer, Any, list[Value]], list[Value]]:
    """Updates put in their places one after the other: `combine` (of `{a}` there and `{b}` new), or replace."""

    def emit(writer, eqn, operands):
        operand, indices, updates = operands
        numbers, rank = eqn.params["dimension_numbers"], len(operand.shape)
        batching = tuple(numbers.operand_batching_dims)
        window_axes = [k for k in range(rank) if k not in (*numbers.inserted_window_dims, *batching)]
        scatter_axes = [k for k in range(len(updates.shape)) if k not in numbers.update_window_dims]
        sizes = [1] * rank
        for axis, k in zip(window_axes, numbers.update_window_dims, strict=True):
            sizes[axis] = updates.shape[k]
        rows, found = _rows(writer, indices), {}
        name = _copied(writer, operand)
        for place, index in enumerate(np.ndindex(*updates.shape)):
            batch = [index[k] for k in scatter_axes]
            row = int(np.ravel_multi_index(batch, indices.shape[:-1])) if batch else 0
            if row not in found:
                starts = ["0"] * rank
                for axis, start in zip(numbers.scatter_dims_to_operand_dims, rows[row], strict=True):
                    starts[axis] = start
                for axis, k in zip(batching, numbers.scatter_indices_batching_dims, strict=True):
                    starts[axis] = str(batch[k])
                # Clipping is asked for by name; otherwise what is outside is dropped
                found[row] = _located(writer, operand, starts, sizes, str(eqn.params["mode"]).find("CLIP") < 0)
            base, within = found[row]
            window = dict(zip(window_axes, (index[k] for k in numbers.update_window_dims), strict=True))
            offset = sum(s * window.get(k, 0) for k, s in enumerate(_strides(operand.shape)))
            target = f"{name}[{base} + {offset}]" if offset else f"{name}[{base}]"
            new = as_number(operand.dtype, writer.item(updates, place))
            new = wrapped(operand.dtype, combine.format(a=target, b=new)) if combine else new
            if within != "false":
                writer.line(f"{'' if within == 'true' else f'if ({within}) '}{target} = {new};")
        return [Value(operand.shape, operand.dtype, buffer=name)]

    return emit


#: Primitive -> (writer, equation, operands) -> results.
MOVEMENTS: dict[str, Callable[[Writer, Any, list[Value]], list[Value]]] = {
    "slice": _single(_slice), "broadcast_in_dim": _single(_broadcast), "reshape": _single(_reshape),
    "squeeze": _single(lambda place, eqn: place.reshape(eqn.outvars[0].aval.shape)),
    "transpose": _single(lambda place, eqn: np.transpose(place, eqn.params["permutation"])),
    "rev": _single(lambda place, eqn: np.flip(place, eqn.params["dimensions"])),
    "pad": _pad, "concatenate": _concatenate, "stack": _stack, "split": _split, "unstack": _unstack, "iota": _iota,
    "dynamic_slice": _dynamic_slice, "dynamic_update_slice": _dynamic_update_slice,
    "gather": _gather, "scatter": _scatter(None), "scatter-add": _scatter("{a} + {b}"),
    "scatter_add": _scatter("{a} + {b}"), "scatter-mul": _scatter("{a} * {b}"), "scatter_mul": _scatter("{a} * {b}"),
    "scatter-min": _scatter("Math.min({a}, {b})"), "scatter_min": _scatter("Math.min({a}, {b})"),
    "scatter-max": _scatter("Math.max({a}, {b})"), "scatter_max": _scatter("Math.max({a}, {b})"),
}  # fmt: skip
