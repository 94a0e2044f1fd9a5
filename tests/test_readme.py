"""What README.md shows works as it stands there."""

import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_library_example_runs(capsys):
    (example,) = [code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "minimize" in code]
    scope: dict = {}
    exec(example, scope)
    assert capsys.readouterr().out.startswith("converged")
    assert scope["many"]["value"].shape[0] == 1000


def test_the_commands_and_the_tables_they_leave(optlab_command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"\$ \.venv/bin/optlab ((?:.*\\\n)*.*)", README)
    sweep = next(command for command in commands if "name=first" in command)
    words = [word.strip("'") for word in sweep.replace("\\\n", " ").split()]
    assert optlab_command(*words, "results=results", "steps=20")[0] == 0
    tables = next(code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "optlab.load" in code)
    scope: dict = {}
    exec(tables, scope)
    assert len(scope["results"].runs) == 400


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", README))
def test_links_lead_to_files(link):
    assert (Path(__file__).parents[1] / link).exists()
