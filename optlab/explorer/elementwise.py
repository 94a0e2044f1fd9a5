"""Entry by entry: the expression for each primitive whose result at a place depends on its operands at that place."""

from collections.abc import Callable
from typing import Any

import numpy as np

from optlab.explorer.code import UNROLLED, Untranslatable, Value, Writer, as_number, known, loop, move

#: (types of operands, parameters, atoms) -> expression
Expression = Callable[..., str]


def wrapped(dtype: np.dtype, expression: str) -> str:
    """A result brought back to its type, as the arithmetic of that type would have it."""
    match dtype.name:
        case "int32":
            return f"({expression}) | 0"
        case "uint32":
            return f"({expression}) >>> 0"
        case "float32":
            return f"Math.fround({expression})"
    return expression


def _arithmetic(operator: str) -> Expression:
    def emit(kind, params, a, b):
        return wrapped(kind, f"{a} {operator} {b}")

    return emit


def _add(kind, params, a, b):
    if kind.kind == "b":
        return f"{a} || {b}"
    if "0" in (a, b):
        return b if a == "0" else a
    return wrapped(kind, f"{a} + {b}")


def _multiply(kind, params, a, b):
    if kind.kind == "b":
        return f"{a} && {b}"
    if "1" in (a, b):
        return b if a == "1" else a
    return wrapped(kind, f"Math.imul({a}, {b})" if kind.name in ("int32", "uint32") else f"{a} * {b}")


def _divide(kind, params, a, b):
    if kind.kind in "iu":
        return wrapped(kind, f"runtime.quotient({a}, {b})")
    return a if b == "1" else wrapped(kind, f"{a} / {b}")


def _remainder(kind, params, a, b):
    return wrapped(kind, f"runtime.remainder({a}, {b})") if kind.kind in "iu" else wrapped(kind, f"{a} % {b}")


def _maximum(kind, params, a, b):
    return f"{a} || {b}" if kind.kind == "b" else f"Math.max({a}, {b})"  # NaN, if either is


def _minimum(kind, params, a, b):
    return f"{a} && {b}" if kind.kind == "b" else f"Math.min({a}, {b})"


def _logical(kind, boolean: str, bitwise: str, a, b):
    return f"{a} {boolean} {b}" if kind.kind == "b" else wrapped(kind, f"{a} {bitwise} {b}")


def _and(kind, params, a, b):
    _bitwise(kind, "and")
    if kind.kind == "b" and "true" in (a, b):
        return b if a == "true" else a
    return _logical(kind, "&&", "&", a, b)


def _or(kind, params, a, b):
    _bitwise(kind, "or")
    if kind.kind == "b" and "false" in (a, b):
        return b if a == "false" else a
    return _logical(kind, "||", "|", a, b)


def _xor(kind, params, a, b):
    _bitwise(kind, "xor")
    return _logical(kind, "!==", "^", a, b)


def _bitwise(kind, name: str) -> None:
    if kind.name == "int64":
        raise Untranslatable(f"{name} of int64: JavaScript has bits of 32-bit numbers only")


def _not(kind, params, a):
    _bitwise(kind, "not")
    return f"!{a}" if kind.kind == "b" else wrapped(kind, f"~{a}")


def _shift(operator: str, beyond: str) -> Expression:
    def emit(kind, params, a, b):
        _bitwise(kind, "shift")
        return wrapped(kind, f"{b} >>> 0 > 31 ? {beyond.format(a=a)} : {a} {operator} {b}")

    return emit


def _arithmetic_shift(kind, params, a, b):
    _bitwise(kind, "shift")
    return wrapped(kind, f"({b} >>> 0 > 31 ? {a} >> 31 : {a} >> {b})")


def _compare(operator: str) -> Expression:
    def emit(kind, params, a, b):
        return f"{a} {operator} {b}"

    return emit


def _function(name: str) -> Expression:
    def emit(kind, params, a, *more):
        return wrapped(kind, f"{name}({', '.join((a, *more))})")

    return emit


def _negate(kind, params, a):
    return "NaN" if a == "NaN" else wrapped(kind, f"-{a}" if kind.kind == "f" else f"0 - {a}")


def _power(kind, params, a, b):
    return wrapped(kind, f"runtime.power({a}, {b})")


def _integer_power(kind, params, a):
    y = params["y"]
    if kind.name in ("int32", "uint32", "int64"):
        return wrapped(kind, f"runtime.wholePower({a}, {y})")
    if kind.name == "float64" and y in (1, 2, 3, 4):
        return {1: a, 2: f"{a} * {a}", 3: f"{a} * {a} * {a}", 4: f"({a} * {a}) * ({a} * {a})"}[y]
    return wrapped(kind, f"runtime.integerPower({a}, {y})")


def _clamp(kind, params, low, x, high):
    return f"Math.min(Math.max({x}, {low}), {high})"


def _round(kind, params, a):
    return f"runtime.roundEven({a})" if int(params["rounding_method"]) == 1 else f"runtime.roundAway({a})"


def _reduce_precision(kind, params, a):
    bits = params["exponent_bits"], params["mantissa_bits"]
    if bits == (8, 23):
        return f"Math.fround({a})"
    if bits == (11, 52):
        return a
    raise Untranslatable(f"reduce_precision to {bits} bits")


def _same(kind, params, a):
    return a


def _finite(kind, params, a):
    return f"{a} - {a} === 0"


def _formula(text: str) -> Expression:
    def emit(kind, params, a):
        return wrapped(kind, text.format(a=a))

    return emit


def _convert(kind, params, a):
    to = np.dtype(params["new_dtype"])
    if to == kind:
        return a
    if kind.kind == "b":
        return f"{a} ? 1 : 0"
    if to.kind == "b":
        return f"{a} !== 0"
    if to.kind in "iu" and kind.kind == "f":
        return f"runtime.to{ {'int32': 'Int32', 'uint32': 'Uint32', 'int64': 'Int64'}[to.name] }({a})"
    if to.name in ("int32", "uint32", "float32"):
        return wrapped(to, a)
    return a  # every 32-bit number is one of 64 bits


#: Primitive -> expression, given the type of the first operand, the parameters and a scalar for each operand.
EXPRESSIONS: dict[str, Expression] = {
    "add": _add, "add_any": _add, "sub": _arithmetic("-"), "mul": _multiply, "div": _divide, "rem": _remainder,
    "max": _maximum, "min": _minimum, "and": _and, "or": _or, "xor": _xor, "not": _not,
    "shift_left": _shift("<<", "0"), "shift_right_logical": _shift(">>>", "0"),
    "shift_right_arithmetic": _arithmetic_shift,
    "eq": _compare("==="), "ne": _compare("!=="), "lt": _compare("<"), "le": _compare("<="), "gt": _compare(">"),
    "ge": _compare(">="),
    "neg": _negate, "abs": _function("Math.abs"), "sign": _function("Math.sign"), "floor": _function("Math.floor"),
    "ceil": _function("Math.ceil"), "round": _round, "is_finite": _finite, "clamp": _clamp,
    "square": _formula("{a} * {a}"), "sqrt": _function("Math.sqrt"), "rsqrt": _formula("1 / Math.sqrt({a})"),
    "cbrt": _function("Math.cbrt"), "pow": _power, "integer_pow": _integer_power,
    "exp": _function("Math.exp"), "exp2": _formula("Math.pow(2, {a})"), "expm1": _function("Math.expm1"),
    "log": _function("Math.log"), "log1p": _function("Math.log1p"), "logistic": _formula("1 / (1 + Math.exp(-{a}))"),
    "sin": _function("Math.sin"), "cos": _function("Math.cos"), "tan": _function("Math.tan"),
    "asin": _function("Math.asin"), "acos": _function("Math.acos"), "atan": _function("Math.atan"),
    "atan2": _function("Math.atan2"), "sinh": _function("Math.sinh"), "cosh": _function("Math.cosh"),
    "tanh": _function("Math.tanh"), "asinh": _function("Math.asinh"), "acosh": _function("Math.acosh"),
    "atanh": _function("Math.atanh"),
    "convert_element_type": _convert, "reduce_precision": _reduce_precision, "copy": _same, "copy_p": _same,
    "stop_gradient": _same,
}  # fmt: skip

#: What NumPy knows as well as XLA, so that constants stay constants.
FOLDED: dict[str, Callable[..., Any]] = {
    "add": np.add, "add_any": np.add, "sub": np.subtract, "mul": np.multiply, "max": np.maximum, "min": np.minimum,
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
    "and": np.bitwise_and, "or": np.bitwise_or, "not": np.invert, "neg": np.negative, "copy": np.copy,
    "stop_gradient": np.copy, "sqrt": np.sqrt, "abs": np.abs,
}  # fmt: skip


def elementwise(writer: Writer, eqn: Any, operands: list[Value]) -> list[Value]:
    """Whatever is in `EXPRESSIONS`."""
    name, out, params = eqn.primitive.name, eqn.outvars[0].aval, eqn.params
    if all(value.known is not None for value in operands):
        arrays = [value.known for value in operands]
        with np.errstate(all="ignore"):
            if name == "convert_element_type" and arrays[0].dtype.kind in "iub":  # pyright: ignore
                return [widened(writer, known(arrays[0].astype(out.dtype)), out)]  # pyright: ignore[reportOptionalMemberAccess]
            if name == "div" and out.dtype.kind == "f":
                return [known(np.divide(*arrays).astype(out.dtype))]  # pyright: ignore
            if name in FOLDED:
                return [widened(writer, known(np.asarray(FOLDED[name](*arrays)).astype(out.dtype)), out)]
    kind = operands[0].dtype
    return [mapped(writer, out, operands, lambda *atoms: EXPRESSIONS[name](kind, params, *atoms))]


def mapped(writer: Writer, out: Any, operands: list[Value], expression: Callable[..., str]) -> Value:
    """An expression of scalars for each entry; an operand without a shape counts for all entries."""
    shape, dtype = tuple(out.shape), np.dtype(out.dtype)
    size = int(np.prod(shape, dtype=int))
    operands = [widened(writer, value, out) for value in operands]
    if size <= UNROLLED:
        rows = zip(*map(writer.items, operands), strict=True)
        return Value(shape, dtype, items=tuple(writer.scalar(expression(*row)) for row in rows))
    atoms = [writer.alike(value) for value in operands]
    if all(atom is not None for atom in atoms):
        return Value(shape, dtype, splat=writer.scalar(expression(*atoms)))
    here = [atom if atom is not None else writer.entry(v, "i") for atom, v in zip(atoms, operands, strict=True)]
    name = writer.allocate(dtype, size)
    loop(writer, size, f"{name}[i] = {as_number(dtype, expression(*here))};")
    return Value(shape, dtype, buffer=name)


def widened(writer: Writer, value: Value, out: Any) -> Value:
    """An operand in the shape of the result: one without a shape, or with an axis of length 1, counts all along it."""
    if value.shape == tuple(out.shape):
        return value
    if value.known is not None:
        return known(np.broadcast_to(value.known, out.shape))
    if value.size == 1:
        return Value(tuple(out.shape), value.dtype, splat=writer.item(value, 0))
    place = np.broadcast_to(np.arange(value.size).reshape(value.shape), out.shape)
    return move(writer, out.shape, [value], np.zeros(out.shape, int), place)


def select(writer: Writer, eqn: Any, operands: list[Value]) -> list[Value]:
    """`select_n`: a boolean picks the second case, a number the one it names."""
    out = eqn.outvars[0].aval
    which, *cases = operands
    cases = [widened(writer, case, out) for case in cases]
    if all(case.known is None for case in cases) and len(set(cases)) == 1:
        return [cases[0]]
    if which.known is not None and which.size:
        if np.all(which.known == which.known.ravel()[0]):
            return [cases[int(which.known.ravel()[0])]]
        if all(case.known is not None for case in cases):
            return [known(np.choose(which.known.astype(int), [case.known for case in cases]))]  # pyright: ignore
    atom = writer.alike(which)
    if atom is not None and len(cases) == 2 and cases[0].size > UNROLLED and None in map(writer.alike, cases):
        no, yes = (writer.buffer(case) for case in cases)
        return [Value(tuple(out.shape), np.dtype(out.dtype), buffer=writer.scalar(f"{atom} ? {yes} : {no}"))]

    def choose(chosen, *atoms):
        if chosen in ("true", "false") and which.dtype.kind == "b":
            return atoms[chosen == "true"]
        if len(set(atoms)) == 1:
            return atoms[0]
        if which.dtype.kind == "b":
            return f"{chosen} ? {atoms[1]} : {atoms[0]}"
        tests = "".join(f"{chosen} < {k + 1} ? {a} : " for k, a in enumerate(atoms[:-1]))
        return tests + atoms[-1]

    return [mapped(writer, out, operands, choose)]
