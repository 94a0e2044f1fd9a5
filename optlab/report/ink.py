"""Small line charts written as SVG by hand: one for each problem costs a millisecond, not a third of a second."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from optlab.plots import style

from .html import text

WIDTH, HEIGHT = 360.0, 214.0  #: in CSS pixels on a phone
LEFT, RIGHT, TOP, BOTTOM = 38.0, 104.0, 20.0, 34.0  #: around the axes; labels stand at the right
FLOOR = 1e-16  #: gaps below cannot be told from rounding
ROOM = 13.0  #: between labels


class Line(NamedTuple):
    """What one optimizer draws; both axes are logarithmic."""

    optimizer: str
    x: np.ndarray  #: `[n]`, positive, ascending
    y: np.ndarray  #: `[n]`; infinite where diverged


def chart(lines: Sequence[Line], title: str, across: str, *, best: int = 6) -> str:
    """One panel: the first `best` lines in colour with a label at their end, the others muted.

    Zero and less are drawn at the floor, 1e-16; lines leave through the top at 100 times where they began.
    """
    x = np.concatenate([line.x for line in lines])
    starts = np.array([line.y[0] for line in lines if np.isfinite(line.y[0])])
    low, high = _range(np.concatenate([line.y for line in lines]), starts)
    left, right = np.log10(x.min()), np.log10(max(x.max(), x.min() * 1.01))

    def place(line: Line) -> tuple[np.ndarray, np.ndarray]:
        y = np.clip(np.log10(np.maximum(np.nan_to_num(line.y, nan=np.inf, posinf=1e300), FLOOR)), low, high)
        across = LEFT + (np.log10(line.x) - left) / (right - left) * (WIDTH - LEFT - RIGHT)
        return across, TOP + (high - y) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = [f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}">', _axes(low, high, left, right, across)]
    parts.append(_words(LEFT - 30, 9, title, style.INK, 10.5, weight="bold"))
    for line in reversed(lines[best:]):
        muted = style.mix(style.color(line.optimizer), style.PAPER, 0.28)
        parts.append(_path(*place(line), muted, 0.8))
    heads = []
    for line in reversed(lines[:best]):
        px, py = place(line)
        parts.append(_path(px, py, style.PAPER, 3.2))
        parts.append(_path(px, py, style.color(line.optimizer), 1.5, _dashes(line.optimizer)))
        heads.append((px[-1], py[-1], line))
    return "".join([*parts, *_labels(heads[::-1]), "</svg>"])


def _range(y: np.ndarray, starts: np.ndarray) -> tuple[float, float]:
    """Whole decades that hold what is worth seeing: log10 of the least and the largest."""
    top = 100 * starts.max() if len(starts) and starts.max() > 0 else 1.0
    finite = np.clip(y[np.isfinite(y)], FLOOR, top)
    low, high = (float(np.floor(np.log10(finite.min()))), float(np.ceil(np.log10(finite.max())))) if len(finite) else (
        -1.0, 0.0,
    )  # fmt: skip
    return low, max(high, low + 1)


def _axes(low: float, high: float, left: float, right: float, across: str) -> str:
    bottom, end = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = []
    for power in np.arange(low, high + 0.5, np.ceil((high - low) / 6)):
        y = TOP + (high - power) / (high - low) * (bottom - TOP)
        parts.append(f'<path d="M{LEFT:g} {y:.1f}H{end:g}" style="stroke: #eceff2; stroke-width: 1"/>')
        parts.append(_words(LEFT - 5, y + 3, _power(power), style.QUIET, 8.5, anchor="end"))
    for power in _ticks(left, right):
        x = LEFT + (power - left) / (right - left) * (end - LEFT)
        parts.append(f'<path d="M{x:.1f} {bottom:g}v3" style="stroke: #aab2bb; stroke-width: 1"/>')
        parts.append(_words(x, bottom + 12, _power(power), style.QUIET, 8.5, anchor="middle"))
    frame = f"M{LEFT:g} {TOP:g}V{bottom:g}H{end:g}"
    parts.append(f'<path d="{frame}" style="fill: none; stroke: #aab2bb; stroke-width: 1"/>')
    parts.append(_words((LEFT + end) / 2, HEIGHT - 5, across, style.QUIET, 9, anchor="middle"))
    return "".join(parts)


def _ticks(left: float, right: float) -> np.ndarray:
    """Whole decades, or where there are fewer than two of them 1, 2 and 5 of each, or else the ends."""
    whole = np.arange(np.ceil(left - 1e-9), right + 1e-9, max(1, np.ceil((right - left) / 5)))
    if len(whole) > 1:
        return whole
    between = np.log10(np.outer(10.0 ** np.arange(np.floor(left), right + 1), [1, 2, 5]).ravel())
    between = between[(between > left - 1e-9) & (between < right + 1e-9)]
    return between if len(between) > 1 else np.array([left, right])


def _power(power: float) -> str:
    if -1 <= power <= 2 or abs(power - round(power)) > 1e-9:
        return style.number(float(f"{10**power:.3g}"))
    return f"1e{power:.0f}".replace("-", "−")


def _path(x: np.ndarray, y: np.ndarray, color: str, width: float, dashes: str = "") -> str:
    points = " ".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))
    more = f"; stroke-dasharray: {dashes}" if dashes else ""
    line = f"fill: none; stroke: {color}; stroke-width: {width}; stroke-linejoin: round{more}"
    return f'<path d="M{points}" style="{line}"/>'


def _dashes(optimizer: str) -> str:
    found = style.dash(optimizer)
    return "" if isinstance(found, str) else " ".join(f"{1.5 * d:g}" for d in found[1])


def _labels(heads: Sequence[tuple[float, float, Line]]) -> list[str]:
    """Direct labels, spread apart, each with a leader to the end of its line; those that end alike keep their order."""
    wanted = np.array([y for _, y, _ in heads]) + 0.01 * np.arange(len(heads))
    places = style.spread(wanted, ROOM, TOP, HEIGHT - BOTTOM)
    parts, end = [], WIDTH - RIGHT
    for (x, y, line), at in zip(heads, places, strict=True):
        tint = style.color(line.optimizer)
        leader = f"fill: none; stroke: {tint}; stroke-width: 0.7; stroke-opacity: 0.6"
        parts.append(f'<path d="M{x:.1f} {y:.1f}L{end + 5:g} {at:.1f}h4" style="{leader}"/>')
        parts.append(f'<circle cx="{end + 13:g}" cy="{at:.1f}" r="2.8" style="fill: {tint}"/>')
        parts.append(_words(end + 19, at + 3, _short(style.name(line.optimizer)), style.INK, 9))
    return parts


def _short(name: str, most: int = 17) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def _words(x: float, y: float, words: str, color: str, size: float, *, anchor: str = "", weight: str = "") -> str:
    look = f"fill: {color}; font-size: {size:g}px"
    look += f"; text-anchor: {anchor}" if anchor else ""
    look += f"; font-weight: {weight}" if weight else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" style="{look}">{text(words)}</text>'
