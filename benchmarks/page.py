"""Sections of measurements, as text for a terminal and as Markdown for a page."""

from collections.abc import Sequence
from typing import NamedTuple


class Goal(NamedTuple):
    text: str
    met: bool


class Row(NamedTuple):
    what: str
    cpu: str = ""
    wall: str = ""
    measured: str = ""
    goal: Goal | None = None


class Section(NamedTuple):
    title: str
    how: str  #: what is compared, and why it is fair
    rows: list[Row]


HEADS = ("what", "CPU", "wall", "measured", "goal", "")


def seconds(value: float) -> str:
    """Three digits, in the unit that needs no zeros."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:.3g} {unit}" if value < 1000 * size else f"{value / size:,.0f} {unit}"
    return f"{value * 1e6:.3g} µs"


def at_most(value: float, limit: float, unit: str = "") -> Goal:
    return Goal(f"at most {limit:g}{unit}", value <= limit)


def at_least(value: float, limit: float, unit: str = "") -> Goal:
    return Goal(f"at least {limit:,g}{unit}", value >= limit)


def _cells(row: Row) -> tuple[str, ...]:
    goal, met = ("", "") if row.goal is None else (row.goal.text, "met" if row.goal.met else "MISSED")
    return row.what, row.cpu, row.wall, row.measured, goal, met


def text(section: Section) -> str:
    """The section for a terminal."""
    cells = [HEADS, *map(_cells, section.rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in cells]
    rule = "-" * max(map(len, lines))
    return "\n".join([section.title, rule, lines[0], rule, *lines[1:], rule, section.how])


def markdown(sections: Sequence[Section], setting: str) -> str:
    """The page of all sections; `setting` says on what they were measured."""
    lines = ["# What optlab costs", "", setting, ""]
    for section in sections:
        lines += [f"## {section.title}", "", section.how, ""]
        lines += [f"| {' | '.join(HEADS)} |", "|" + " --- |" * len(HEADS)]
        lines += [f"| {' | '.join(_cells(row))} |" for row in section.rows]
        lines.append("")
    return "\n".join(lines)


def show(sections: Sequence[Section]) -> None:
    """Prints sections, a blank line after each."""
    for section in sections:
        print(text(section), end="\n\n", flush=True)
