"""The lecture's chapters: each is a study, a page that says what it must, and pictures that are there."""

import ast
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.__main__ import CHAPTERS
from experiments.page import SECTIONS, Claim, Picture, chapter, write_html, write_index, write_markdown
from optlab.plots import style

ROOT = Path(__file__).parents[1]
GALLERY = ROOT / "docs" / "gallery"


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_is_a_study_and_a_page_with_all_sections(name):
    assert (ROOT / "conf" / "experiment" / f"{name}.yaml").exists()
    text = ast.get_docstring(ast.parse((ROOT / "experiments" / f"{name}.py").read_text()), clean=False)
    assert text and text.startswith("# ")
    assert tuple(re.findall(r"^## (.*)$", text, re.MULTILINE)) == SECTIONS


@pytest.mark.parametrize("name", CHAPTERS)
def test_its_built_page_is_filled_and_its_pictures_are_there(name):
    text = (GALLERY / f"{name}.md").read_text()
    assert "{{" not in text and "nan" not in text.lower().split() and "| said | measured | verdict |" in text
    pictures = re.findall(r"!\[.+?\]\((.*?)\)", text)
    assert pictures and all((GALLERY / picture).exists() for picture in pictures)
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (GALLERY / link).exists()


def test_a_page_is_filled_with_figures_tables_claims_and_numbers(tmp_path):
    sheet = style.figure(2, 1)
    parts = {
        "drawn": Picture(sheet, "A <blank> sheet."), "rows": pd.DataFrame({"n": [1, 2], "value": [0.5, np.nan]}),
        "said": [Claim("it is so", "1.02", True), Claim("it is not", "2", False)], "root": 1.0471285, "word": "many",
    }  # fmt: skip
    text = "# Title\n\nThe lead.\n\n## The claim\n\n{{said}}\n\n## What is seen\n\n{{drawn}} {{root}} {{word}} {{rows}}"
    made = chapter("one", text, parts, tmp_path)
    assert (made.title, made.lead) == ("Title", "The lead.")
    assert "| it is not | 2 | **contradicted** |" in made.text and "| 2 |  |" in made.text and "1.05 many" in made.text
    write_markdown([made], tmp_path)
    write_index([made], tmp_path)
    write_html([made], tmp_path, tmp_path / "html" / "index.html")
    assert "experiment=one" in (tmp_path / "one.md").read_text()
    assert "(one.md)" in (tmp_path / "README.md").read_text()
    page = (tmp_path / "html" / "index.html").read_text()
    # One file: the picture is in it, what is put in is escaped, and nothing is fetched.
    assert "data:image/png;base64," in page and "A &lt;blank&gt; sheet." in page
    assert not re.search(r'(src|href)="(?!data:|#)', page) and "<script" not in page
