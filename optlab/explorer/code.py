"""What translated code is made of: values as JavaScript sees them, and the lines that compute them.

An array of up to `UNROLLED` entries is so many JavaScript scalars, so that indexing costs nothing; a longer one is a
typed array. Each equation that makes one owns it, for all steps: it is filled anew when the equation is executed
anew, and what must outlive that (a loop's carry, a result) is copied.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

#: Arrays of up to so many entries are held entry by entry.
UNROLLED = 8

#: JavaScript's array for each type; int64 is held in floating point, exact up to 2^53.
ARRAYS = {
    "float64": "Float64Array", "float32": "Float32Array", "int32": "Int32Array", "int64": "Float64Array",
    "uint32": "Uint32Array", "bool": "Uint8Array",
}  # fmt: skip


class Untranslatable(NotImplementedError):
    """What has no translation to JavaScript; the message names the primitive and where it comes from."""


class Value(NamedTuple):
    """An array in the translated program; exactly one of the last four says where its entries are."""

    shape: tuple[int, ...]
    dtype: np.dtype
    known: np.ndarray | None = None  #: at translation time
    items: tuple[str, ...] | None = None  #: a scalar for each entry
    splat: str | None = None  #: one scalar for all of them
    buffer: str | None = None  #: a typed array, row after row

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=int))


def known(array: Any) -> Value:
    """A constant."""
    array = np.asarray(array)
    if array.dtype.name not in ARRAYS:
        raise Untranslatable(f"arrays of {array.dtype.name} have no translation to JavaScript")
    return Value(array.shape, array.dtype, known=array)


def literal(number: Any) -> str:
    """A number as JavaScript writes it; nothing but digits, signs and a few fixed words can come out of here."""
    if isinstance(number, bool | np.bool_):
        return "true" if number else "false"
    if isinstance(number, np.integer | int):
        return str(int(number)) if number >= 0 else f"({int(number)})"
    number = float(number)
    if np.isnan(number):
        return "NaN"
    text = "Infinity" if np.isinf(number) else repr(abs(number)).removesuffix(".0")
    return f"(-{text})" if np.signbit(number) else text


class Writer:
    """Lines of JavaScript in the making, and what they stand on: buffers, constants and shared functions."""

    def __init__(self):
        self.heads: list[str] = []  # declared once, outside of the function
        self.lines: list[str] = []
        self.shared: dict[int, str] = {}  # functions, by the identity of their jaxpr
        self._constants: dict[tuple, str] = {}
        self._seen: list[dict[str, str]] = [{}]  # expressions with a name already, scope by scope
        self._count = 0

    def fresh(self, letter: str = "v") -> str:
        self._count += 1
        return f"{letter}{self._count}"

    def line(self, text: str) -> None:
        self.lines.append(text)

    def scalar(self, expression: str) -> str:
        """A name for an expression of names that do not change within its scope."""
        if expression.isidentifier() or expression in ("(-1)", "(-Infinity)") or expression.isdigit():
            return expression
        for scope in self._seen:
            if expression in scope:
                return scope[expression]
        name = self.fresh()
        self._seen[-1][expression] = name
        self.line(f"const {name} = {expression};")
        return name

    @contextmanager
    def scope(self) -> Iterator[list[str]]:
        """Lines apart, for whoever opens the scope to place; names given in it end with it."""
        outer, self.lines = self.lines, []
        self._seen.append({})
        try:
            yield self.lines
        finally:
            self._seen.pop()
            self.lines = outer

    @contextmanager
    def apart(self) -> Iterator[list[str]]:
        """Lines of another function: no name of this one is known there."""
        outer, self._seen = self._seen, []
        try:
            with self.scope() as lines:
                yield lines
        finally:
            self._seen = outer

    def allocate(self, dtype: np.dtype, size: int) -> str:
        """A typed array for one equation, outside of the function."""
        name = self.fresh("b")
        self.heads.append(f"const {name} = new {array_of(dtype)}({size});")
        return name

    def constant(self, array: np.ndarray, kind: str | None = None) -> str:
        kind = kind or array_of(array.dtype)
        key = (kind, array.tobytes())
        if key not in self._constants:
            entries = ", ".join(literal(entry).strip("()") for entry in array.ravel().astype(array.dtype).tolist())
            if kind == "Uint8Array":
                entries = ", ".join(str(int(entry)) for entry in array.ravel().tolist())
            self._constants[key] = name = self.fresh("c")
            self.heads.append(f"const {name} = {kind}.of({entries});")
        return self._constants[key]

    # Entries of values

    def item(self, value: Value, place: int) -> str:
        """One entry as a scalar."""
        if value.known is not None:
            return literal(value.known.ravel()[place])
        if value.items is not None:
            return value.items[place]
        if value.splat is not None:
            return value.splat
        return self.scalar(self.entry(value, str(place)))

    def items(self, value: Value) -> tuple[str, ...]:
        return tuple(self.item(value, place) for place in range(value.size))

    def entry(self, value: Value, index: str) -> str:
        """The expression for an entry of a long value, at an index that only the program knows."""
        if (alike := self.alike(value)) is not None:
            return alike
        name = self.buffer(value)
        return f"({name}[{index}] !== 0)" if value.dtype.kind == "b" else f"{name}[{index}]"

    def alike(self, value: Value) -> str | None:
        """The scalar that all entries are, where that is plain to see."""
        if value.splat is not None:
            return value.splat
        if value.items is not None and len(set(value.items)) == 1:
            return value.items[0]
        if value.known is not None and value.size:
            first = value.known.ravel()[0]
            same = value.known.tobytes() == np.full_like(value.known, first).tobytes()
            return literal(first) if same else None
        return None

    def buffer(self, value: Value) -> str:
        """The name of a typed array with the entries."""
        if value.buffer is not None:
            return value.buffer
        if value.known is not None:
            return self.constant(value.known)
        name = self.allocate(value.dtype, value.size)
        self.fill(name, value)
        return name

    def fill(self, name: str, value: Value) -> None:
        """Copies a value to a typed array."""
        alike = self.alike(value) if value.size > 2 else None
        if alike is not None:
            self.line(f"{name}.fill({as_number(value.dtype, alike)});")
        elif value.items is not None:
            for place, item in enumerate(value.items):
                self.line(f"{name}[{place}] = {as_number(value.dtype, item)};")
        else:
            source = self.buffer(value)
            if source != name:
                self.line(f"{name}.set({source});")


def as_number(dtype: np.dtype, expression: str) -> str:
    """What a typed array holds of a scalar: 0 or 1 for a boolean."""
    return f"({expression} ? 1 : 0)" if dtype.kind == "b" else expression


def array_of(dtype: Any) -> str:
    """The typed array for entries of a type."""
    name = getattr(dtype, "name", str(dtype))
    if name not in ARRAYS:
        raise Untranslatable(f"arrays of {name} have no translation to JavaScript")
    return ARRAYS[name]


def held(value: Value) -> bool:
    """Whether values of its shape are held entry by entry."""
    return value.size <= UNROLLED


def loop(writer: Writer, size: int, body: str, index: str = "i") -> None:
    writer.line(f"for (let {index} = 0; {index} < {size}; {index}++) {body}")


def move(writer: Writer, shape: Sequence[int], sources: Sequence[Value], source: np.ndarray, place: np.ndarray):
    """An array whose entry k is entry place[k] of sources[source[k]]: what slices, transposes and the like come to.

    `source` and `place` have as many entries as the result, in any shape.
    """
    shape, source, place = tuple(int(n) for n in shape), np.ravel(source), np.ravel(place)
    dtype = sources[0].dtype
    used = [sources[k] for k in np.unique(source)] if source.size else []
    if all(value.known is not None for value in used):
        entries = [value.known.ravel() if value.known is not None else None for value in sources]
        chosen = [entries[s][p] for s, p in zip(source, place, strict=True)]  # pyright: ignore[reportOptionalSubscript]
        return Value(shape, dtype, known=np.array(chosen, dtype).reshape(shape))
    if source.size <= UNROLLED:
        return Value(shape, dtype, items=tuple(writer.item(sources[s], p) for s, p in zip(source, place, strict=True)))
    if len({writer.alike(value) for value in used}) == 1 and writer.alike(used[0]) is not None:
        return Value(shape, dtype, splat=writer.alike(used[0]))
    first = sources[source[0]]
    if len(used) == 1 and first.size == place.size and np.array_equal(place, np.arange(place.size)):
        return first._replace(shape=shape) if first.known is None else first
    name = writer.allocate(dtype, source.size)
    for k in np.unique(source):
        where = np.flatnonzero(source == k)
        _copy(writer, name, where, sources[k], place[where])
    return Value(shape, dtype, buffer=name)


def _copy(writer: Writer, name: str, to: np.ndarray, value: Value, place: np.ndarray) -> None:
    if to.size <= 4 or (value.items is not None and to.size <= UNROLLED):
        for target, entry in zip(to.tolist(), place.tolist(), strict=True):
            writer.line(f"{name}[{target}] = {as_number(value.dtype, writer.item(value, entry))};")
        return
    target, entry = index_of(writer, to), index_of(writer, place)
    loop(writer, to.size, f"{name}[{target}] = {as_number(value.dtype, writer.entry(value, entry))};")


def index_of(writer: Writer, table: np.ndarray) -> str:
    """The i-th entry of a table of indices, as a formula where they are evenly spaced."""
    step = int(table[1] - table[0]) if table.size > 1 else 0
    if np.array_equal(table, table[0] + step * np.arange(table.size)):
        scaled = "i" if step == 1 else f"{step} * i"
        return f"{scaled} + {int(table[0])}" if table[0] else scaled
    return f"{writer.constant(table.astype(np.int32), 'Int32Array')}[i]"
