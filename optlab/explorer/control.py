"""Loops, branches and functions within functions."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from optlab.explorer.code import Untranslatable, Value, Writer, held, known

#: (writer, jaxpr, constants, operands) -> results: the equations of a jaxpr, written down one after the other.
Inline = Callable[[Writer, Any, Sequence[Value], Sequence[Value]], list[Value]]


class Carry:
    """What a loop hands on: variables of its own, so that the next turn finds what the last one left."""

    def __init__(self, writer: Writer, begun: Sequence[Value], fixed: Sequence[bool]):
        self.writer, self.values, self.fixed = writer, [], fixed
        for value, same in zip(begun, fixed, strict=True):
            if same or value.size == 0:
                self.values.append(value)
            elif held(value):
                names = [writer.fresh("k") for _ in range(value.size)]
                for name, item in zip(names, writer.items(value), strict=True):
                    writer.line(f"let {name} = {item};")
                self.values.append(value._replace(known=None, items=tuple(names), splat=None, buffer=None))
            else:
                name = writer.allocate(value.dtype, value.size)
                writer.fill(name, value)
                self.values.append(value._replace(known=None, items=None, splat=None, buffer=name))

    def hand_on(self, results: Sequence[Value]) -> None:
        """The end of a turn. All is read before anything is written: one carry may become another."""
        writer, writes = self.writer, []
        own = {value.buffer for value in self.values if value.buffer}
        for value, result, same in zip(self.values, results, self.fixed, strict=True):
            if same or value.size == 0:
                continue
            if value.items is not None:
                for name, item in zip(value.items, writer.items(result), strict=True):
                    if item != name:
                        # A name of an outer variable or of this turn does not change; one of a carry may.
                        kept = writer.fresh() if item.startswith("k") else item
                        if kept != item:
                            writer.line(f"const {kept} = {item};")
                        writes.append(f"{name} = {kept};")
                continue
            source = result.buffer
            if source == value.buffer:
                continue
            if source is not None and (source in own or not source.startswith("b")):  # a carry, or perhaps one
                kept = writer.allocate(value.dtype, value.size)
                writer.line(f"{kept}.set({source});")
                result = result._replace(buffer=kept)
            elif result.splat is not None and result.splat.startswith("k"):
                kept = writer.fresh()
                writer.line(f"const {kept} = {result.splat};")
                result = result._replace(splat=kept)
            with writer.scope() as lines:
                writer.fill(str(value.buffer), result)
            writes += lines
        writer.lines += writes


def _passed_on(jaxpr: Any, first: int, count: int) -> list[bool]:
    """Which of a body's carries it hands on as they came."""
    return [out is var for out, var in zip(jaxpr.outvars[:count], jaxpr.invars[first : first + count], strict=True)]


def while_loop(writer: Writer, eqn: Any, operands: list[Value], inline: Inline) -> list[Value]:
    params = eqn.params
    cond, body = params["cond_jaxpr"], params["body_jaxpr"]
    n, m = params["cond_nconsts"], params["body_nconsts"]
    asked, given, begun = operands[:n], operands[n : n + m], operands[n + m :]
    carry = Carry(writer, begun, _passed_on(body.jaxpr, m, len(begun)))
    with writer.scope() as lines:
        (going,) = inline(writer, cond.jaxpr, cond.consts, [*asked, *carry.values])
        writer.line(f"if (!{writer.item(going, 0)}) break;")
        carry.hand_on(inline(writer, body.jaxpr, body.consts, [*given, *carry.values]))
    writer.lines += ["while (true) {", *lines, "}"]
    return carry.values


def scan(writer: Writer, eqn: Any, operands: list[Value], inline: Inline) -> list[Value]:
    params, body = eqn.params, eqn.params["jaxpr"]
    n, m, length = params["num_consts"], params["num_carry"], params["length"]
    given, begun, rows = operands[:n], operands[n : n + m], operands[n + m :]
    carry = Carry(writer, begun, _passed_on(body.jaxpr, n, m))
    stacked = []
    for var in eqn.outvars[m:]:
        value = Value(tuple(var.aval.shape), np.dtype(var.aval.dtype))
        if value.size == 0:
            stacked.append(known(np.zeros(value.shape, value.dtype)))
        else:
            stacked.append(value._replace(buffer=writer.allocate(value.dtype, value.size)))
    turn = writer.fresh("i")
    for row in rows:
        if row.size and row.splat is None:
            writer.buffer(row)  # filled before the loop
    with writer.scope() as lines:
        here = [_row(writer, row, var.aval, turn) for row, var in zip(rows, body.jaxpr.invars[n + m :], strict=True)]
        results = inline(writer, body.jaxpr, body.consts, [*given, *carry.values, *here])
        for out, result in zip(stacked, results[m:], strict=True):
            if result.size == 0:
                continue
            for place in range(result.size) if held(result) else ():
                number = writer.item(result, place)
                number = f"({number} ? 1 : 0)" if out.dtype.kind == "b" else number
                writer.line(f"{out.buffer}[{turn} * {result.size} + {place}] = {number};")
            if not held(result):
                writer.line(f"{out.buffer}.set({writer.buffer(result)}, {turn} * {result.size});")
        carry.hand_on(results[:m])
    down = f"for (let {turn} = {length - 1}; {turn} >= 0; {turn}--) {{"
    up = f"for (let {turn} = 0; {turn} < {length}; {turn}++) {{"
    writer.lines += [down if params["reverse"] else up, *lines, "}"]
    return [*carry.values, *stacked]


def _row(writer: Writer, rows: Value, aval: Any, turn: str) -> Value:
    """The row of this turn."""
    value = Value(tuple(aval.shape), np.dtype(aval.dtype))
    if value.size == 0:
        return known(np.zeros(value.shape, value.dtype))
    if rows.splat is not None:
        return value._replace(splat=rows.splat)
    if held(value):
        items = [writer.scalar(writer.entry(rows, f"{turn} * {value.size} + {k}")) for k in range(value.size)]
        return value._replace(items=tuple(items))
    name = writer.allocate(value.dtype, value.size)
    source = writer.buffer(rows)
    writer.line(f"for (let i = 0; i < {value.size}; i++) {name}[i] = {source}[{turn} * {value.size} + i];")
    return value._replace(buffer=name)


def cond(writer: Writer, eqn: Any, operands: list[Value], inline: Inline) -> list[Value]:
    index, *given = operands
    branches = eqn.params["branches"]
    if index.known is not None:
        chosen = branches[int(np.clip(index.known, 0, len(branches) - 1))]
        return inline(writer, chosen.jaxpr, chosen.consts, given)
    atom = writer.item(index, 0)
    ends = []
    for branch in branches:
        with writer.scope() as lines:
            results = inline(writer, branch.jaxpr, branch.consts, given)
            leaves = [writer.items(v) if held(v) else (writer.buffer(v),) for v in results]
        ends.append((lines, leaves))
    outs = []
    for k, var in enumerate(eqn.outvars):
        value = Value(tuple(var.aval.shape), np.dtype(var.aval.dtype))
        names = []
        for place in range(len(ends[0][1][k])):
            found = {leaves[k][place] for _, leaves in ends}
            if len(found) == 1:  # each branch hands on the same
                names.append(found.pop())
                continue
            name = writer.fresh()
            writer.line(f"let {name};")
            names.append(name)
            for lines, leaves in ends:
                lines.append(f"{name} = {leaves[k][place]};")
        outs.append(value._replace(items=tuple(names)) if held(value) else value._replace(buffer=names[0]))
    for number, (lines, _) in enumerate(ends):
        test = f"if ({atom} < {number + 1}) " if number + 1 < len(ends) else ""
        writer.lines += [f"{'} else ' if number else ''}{test}{{", *lines]
    writer.line("}")
    return outs


def call(writer: Writer, eqn: Any, operands: list[Value], inline: Inline) -> list[Value]:
    """A function within the function, inlined: what is known of its operands is known inside."""
    inner = next(eqn.params[key] for key in ("jaxpr", "call_jaxpr", "fun_jaxpr", "call") if key in eqn.params)
    return inline(writer, inner.jaxpr, inner.consts, operands)


def linear_solve(writer: Writer, eqn: Any, operands: list[Value], inline: Inline) -> list[Value]:
    """`custom_linear_solve` by its own solver; the other functions are for derivatives."""
    lengths, solve = eqn.params["const_lengths"], eqn.params["jaxprs"].solve
    first = lengths.matvec + lengths.vecmat
    after = first + lengths.solve + lengths.transpose_solve
    given = [*operands[first : first + lengths.solve], *operands[after:]]
    return inline(writer, solve.jaxpr, solve.consts, given)


def platform_index(writer: Writer, eqn: Any, operands: list[Value], inline: Inline) -> list[Value]:
    """Where code depends on the device: the page stands for a CPU."""
    for k, platforms in enumerate(eqn.params["platforms"]):
        if platforms is None or "cpu" in platforms:
            return [known(np.asarray(k, np.int32))]
    raise Untranslatable("code for other devices than a CPU")


def handed_on(writer: Writer, eqn: Any, operands: list[Value], inline: Inline) -> list[Value]:
    """`optimization_barrier` and the like."""
    return operands


CONTROL: dict[str, Callable[[Writer, Any, list[Value], Inline], list[Value]]] = {
    "while": while_loop, "scan": scan, "cond": cond, "jit": call, "pjit": call, "closed_call": call,
    "core_call": call, "custom_jvp_call": call, "custom_vjp_call": call, "custom_vjp_call_jaxpr": call,
    "custom_vmap_call": call, "remat": call, "checkpoint": call, "custom_linear_solve": linear_solve,
    "platform_index": platform_index, "optimization_barrier": handed_on, "layout_constraint": handed_on,
}  # fmt: skip
