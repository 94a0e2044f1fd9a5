"""A chapter as a page: its text, filled with what was measured, as Markdown with pictures beside it and as HTML.

A chapter is a module of this package and a study of the same name in `conf/experiment/`. Its docstring is the page, in
Markdown, with ``{{NAME}}`` wherever something measured stands; its function ``page(results, folder)`` is given the
loaded tables of the study and the folder they are in, and returns what stands there by name: a `Picture`, a table
(pandas), a list of `Claim`, a number or a text.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from markdown_it import MarkdownIt
from matplotlib.figure import Figure

from optlab.markup import filled
from optlab.plots import style

#: What every chapter says, in this order.
SECTIONS = ("The claim", "What is seen", "Why", "Measured", "Try")
DPI = 100  #: wide enough for a page, small enough for a repository


class Picture(NamedTuple):
    """A figure, and in a sentence what it shows: its caption, and what a screen reader says."""

    sheet: Figure
    words: str


class Claim(NamedTuple):
    """What the lecture says, what was measured, and whether that agrees (None: in part, as the words say)."""

    says: str
    measured: str
    holds: bool | None


class Chapter(NamedTuple):
    """A page that is filled."""

    name: str
    title: str
    lead: str  #: its first paragraph
    text: str  #: Markdown


def chapter(name: str, text: str, parts: Mapping[str, Any], folder: Path) -> Chapter:
    """Fills a page, and writes its pictures into a folder as ``<name>_<part>.png``."""
    folder.mkdir(parents=True, exist_ok=True)
    words = {key: _written(f"{name}_{key}", part, folder) for key, part in parts.items()}
    body = filled(text.strip() + "\n", words)
    title, _, rest = body.partition("\n")
    return Chapter(name, title.removeprefix("# "), rest.strip().split("\n\n")[0], body)


def _written(stem: str, part: Any, folder: Path) -> str:
    """A part as Markdown."""
    if isinstance(part, Picture):
        return picture(part, folder / f"{stem}.png")
    if isinstance(part, pd.DataFrame):
        return table(part)
    if isinstance(part, list):
        return claims(part)
    return part if isinstance(part, str) else style.number(float(part))


def picture(part: Picture, file: Path) -> str:
    """Saves a figure, and shows it with its caption."""
    part.sheet.savefig(file, dpi=DPI, facecolor=style.PAPER, pil_kwargs={"optimize": True})
    return f"![{part.words}]({file.name})\n\n*{part.words}*"


def table(frame: pd.DataFrame) -> str:
    """A frame without its index; numbers as short as labels have them."""

    def cell(value: Any) -> str:
        if isinstance(value, str):
            return value
        return "" if pd.isna(value) else f"{value:,}" if isinstance(value, int) else style.number(float(value))

    rows = [[str(column) for column in frame.columns], ["---"] * frame.shape[1]]
    rows += [[cell(value) for value in row] for row in frame.astype(object).to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def claims(found: Sequence[Claim]) -> str:
    """The claims, and whether they hold, as a table."""
    verdict = {True: "holds", False: "**contradicted**", None: "in part"}
    return table(
        pd.DataFrame([(c.says, c.measured, verdict[c.holds]) for c in found], columns=["said", "measured", "verdict"])
    )


def commands(name: str) -> str:
    """How the page is made again."""
    runs, page = f"$ .venv/bin/optlab experiment={name}", f"$ .venv/bin/python -m experiments {name}"
    return f"```console\n{runs:<54}# the runs\n{page:<54}# this page\n```"


def write_markdown(chapters: Sequence[Chapter], folder: Path) -> None:
    """A file for each chapter with its pictures beside it."""
    for found in chapters:
        text = found.text.replace("\n## ", f"\n{commands(found.name)}\n\n## ", 1)
        (folder / f"{found.name}.md").write_text(f"{text}\n---\n\n[All chapters](README.md)\n", encoding="utf-8")


def write_index(chapters: Sequence[Chapter], folder: Path) -> None:
    """The table of contents, the first picture of each chapter beside it."""
    lines = ["# The lecture, chapter by chapter\n", LEAD + "\n"]
    for number, found in enumerate(chapters, 1):
        lines.append(f"## {number}. [{found.title}]({found.name}.md)\n\n{found.lead}\n")
        if shown := re.search(r"!\[(.*?)\]\((.*?)\)", found.text):
            lines.append(f'<a href="{found.name}.md"><img src="{shown[2]}" width="420" alt="{escape(shown[1])}"></a>\n')
    (folder / "README.md").write_text("\n".join(lines), encoding="utf-8")


LEAD = """How methods descend error surfaces, as a lecture on training neural networks tells it: each chapter states
what it claims, what was measured here, and where the two differ. `make gallery` builds all of it from nothing, also as
one page for the classroom, `results/gallery/index.html`; `optlab experiment=NAME` alone makes a chapter's runs."""


def write_html(chapters: Sequence[Chapter], pictures: Path, file: Path) -> None:
    """All chapters as one page that needs no network and no second file."""
    render = MarkdownIt("commonmark", {"html": False}).enable("table").render

    def embedded(found: re.Match[str]) -> str:
        data = base64.b64encode((pictures / found[1]).read_bytes()).decode()
        return f'src="data:image/png;base64,{data}" loading="lazy"'

    def section(number: int, found: Chapter) -> str:
        text = found.text.replace("\n## ", f"\n{commands(found.name)}\n\n## ", 1)
        text = re.sub(r"^#", "##", text, flags=re.MULTILINE).replace("## ", f"## {number}. ", 1)
        inside = re.sub(r'src="([\w.-]+)"', embedded, render(text))
        inside = inside.replace("<table>", '<div class="scroll" tabindex="0"><table>').replace(
            "</table>", "</table></div>"
        )
        return f'<section id="{found.name}">{inside}</section>'

    contents = "".join(f'<li><a href="#{c.name}">{escape(c.title)}</a></li>' for c in chapters)
    template = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    parts = {
        "lead": render(LEAD),
        "contents": contents,
        "chapters": "".join(section(k, c) for k, c in enumerate(chapters, 1)),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(filled(template, parts), encoding="utf-8")
