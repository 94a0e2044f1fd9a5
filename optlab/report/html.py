"""Pieces of a page: escaped texts, tables, drawings that follow the reader's light or dark paper."""

import colorsys
import io
import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from matplotlib import rc_context
from matplotlib.colors import to_hex, to_rgb

from optlab.plots import style

#: Paper, ink and greys of figures on dark paper; the families' colours have counterparts in `style.ON_DARK`.
DARK = {
    style.PAPER: "#161b22", style.INK: "#e6ebf1", style.QUIET: "#9aa6b4", style.FAINT: "#39424e",
    "#aab2bb": "#56616f", "#eceff2": "#252c35", "#f3f5f7": "#1d242d",
}  # fmt: skip
TITLE = 47.0  #: points that the title takes of a sheet, see `style.title`
COLOR = re.compile(r"#[0-9a-fA-F]{6}\b(?=[;\"' ])")


def text(value: object) -> str:
    """A text that may stand in an element or a quoted attribute, whatever is in it."""
    return escape(str(value))


class Raw(str):
    """Markup that is made already; every other text is escaped."""


def paragraph(*sentences: str, quiet: bool = False) -> str:
    """Sentences as one paragraph, escaped but for `Raw`."""
    inside = " ".join(s if isinstance(s, Raw) else text(s) for s in sentences if s)
    kind = ' class="quiet"' if quiet else ""
    return f"<p{kind}>{inside}</p>" if inside else ""


def listed(sentences: Iterable[str]) -> str:
    """A list of sentences."""
    return "<ul>" + "".join(f"<li>{s if isinstance(s, Raw) else text(s)}</li>" for s in sentences) + "</ul>"


def table(heads: Sequence[str], rows: Iterable[Sequence[Any]], caption: str, words: int = 1) -> str:
    """A table that scrolls by itself where it is wider than the screen; the first `words` columns are texts."""
    kinds = [" class=word" if 0 < k < words else "" for k in range(len(heads))]
    head = "".join(f'<th scope="col"{kind}>{text(h)}</th>' for h, kind in zip(heads, kinds, strict=True))
    body = []
    for row in rows:
        cells = [cell if isinstance(cell, Raw) else text(cell) for cell in row]
        inside = f'<th scope="row">{cells[0]}</th>'
        inside += "".join(f"<td{kind}>{cell}</td>" for cell, kind in zip(cells[1:], kinds[1:], strict=True))
        body.append(f"<tr>{inside}</tr>")
    return (
        f'<p class="caption">{text(caption)}</p>'  # not within the table: it would be as wide, and need scrolling
        f'<div class="scroll" role="region" tabindex="0" aria-label="{text(caption)}"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def named(optimizer: str) -> Raw:
    """An optimizer's name with a dot of its colour."""
    tint = ink(style.color(optimizer))
    return Raw(f'<i class="dot" style="background:{tint}"></i>{text(style.name(optimizer))}')


def ink(color: str) -> str:
    """A colour as a variable, which has another value on dark paper."""
    return f"var(--k{color[1:].lower()},{color.lower()})"


def drawing(svg: str, prefix: str, label: str) -> str:
    """A figure inlined: its ids are its own, its colours variables, its text is read out as `label`."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<(metadata|style)\b.*?</\1>", "", svg, flags=re.DOTALL)  # a style would be the whole page's
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}-", svg)
    svg = COLOR.sub(lambda found: ink(found.group()), svg)
    svg = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg class="plot" role="img" viewBox="\1">', svg, count=1)
    return svg.replace('role="img"', f'role="img" aria-label="{text(label)}"', 1)


def source(sheet: Any) -> str:
    """A matplotlib sheet as SVG whose words stay words."""
    buffer = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "optlab"}):
        sheet.savefig(buffer, format="svg", metadata={"Date": None}, facecolor=style.PAPER)
    return buffer.getvalue()


def untitled(svg: str) -> str:
    """Its view without the title on top: on a page the heading says it."""

    def cut(found: re.Match[str]) -> str:
        left, top, width, height = map(float, found.group(1).split())
        return f'viewBox="{left:g} {top + TITLE:g} {width:g} {height - TITLE:g}"'

    return re.sub(r'viewBox="([^"]*)"', cut, svg, count=1)


def palette(page: str) -> str:
    """The variables of all colours of a page, for light and for dark paper: a part of its style sheet."""
    used = sorted({"000000", *re.findall(r"var\(--k([0-9a-f]{6})", page)})  # black is what SVG leaves unsaid
    light = "".join(f"--k{c}:#{c};" for c in used)
    dark = "".join(f"--k{c}:{on_dark(f'#{c}')};" for c in used)
    return f":root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}"


def on_dark(color: str) -> str:
    """The counterpart of a colour on dark paper: a family's own, that of its tints, or the lightness turned over."""
    fixed = {k.lower(): v for k, v in DARK.items()} | {
        style.FAMILIES[family][0].lower(): dark.lower() for family, dark in style.ON_DARK.items()
    }
    if color in fixed:
        return fixed[color]
    for family, dark in style.ON_DARK.items():
        if style.mix(style.FAMILIES[family][0], style.PAPER, 0.28) == color:  # muted lines
            return style.mix(dark, DARK[style.PAPER], 0.35)
    hue, light, strength = colorsys.rgb_to_hls(*to_rgb(color))
    return to_hex(colorsys.hls_to_rgb(hue, 0.1 + 0.8 * (1 - light), strength))
