"""What the pages of docs/ show works as it stands there."""

import re
from pathlib import Path

import numpy as np

from optlab.types import Surface

DOCS = Path(__file__).parents[1] / "docs"


def test_the_page_on_surfaces_makes_one_whose_stated_points_are_all_there_are(capsys):
    page = (DOCS / "adding_a_surface.md").read_text()
    scope: dict = {}
    for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(code, scope)
    surface = scope["tilted_double_well"]()
    assert isinstance(surface, Surface)
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed] == ["minimum", "minimum", "saddle"]
    found = scope["find_critical_points"](surface)
    for stated, point in zip(surface.points, found, strict=True):
        np.testing.assert_allclose(point.x, stated.x, atol=1e-12)
        np.testing.assert_allclose(point.value, stated.value, atol=1e-14)
