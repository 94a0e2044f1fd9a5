"""The verbs of the command line. Each takes the words after it and returns an exit code."""

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from optlab.app.bad_input import BadInput, unknown
from optlab.app.catalogue import entry, groups, names

PLURALS = {"problem": "problems", "optimizer": "optimizers", "experiment": "experiments", "probe": "probes"}


def list_(words: Sequence[str]) -> int:
    """``list [GROUP]``: what a group of the catalogue holds, with a line each; imports no JAX."""
    singular = {plural: group for group, plural in PLURALS.items()} | {group: group for group in groups()}
    if len(words) > 1:
        raise BadInput(f"list takes one group, not {len(words)}: {', '.join(words)}")
    if words and words[0] not in singular:
        raise unknown("group", words[0], singular)
    for group in [singular[words[0]]] if words else groups():
        entries = [entry(group, name) for name in names(group)]
        width = max((len(found.name) for found in entries), default=0)
        print(f"{PLURALS.get(group, group)}:")
        for found in entries:
            tags = f"  [{', '.join(found.tags)}]" if found.tags else ""
            print(f"  {found.name:<{width}}  {found.summary}{tags}".rstrip())
    return 0


def show(words: Sequence[str]) -> int:
    """``show NAME``: formula, facts, source and parameters of an optimizer, problem or experiment."""
    if len(words) != 1:
        raise BadInput("show takes one name: optlab show rosenbrock")
    homes = [group for group in groups() if words[0] in names(group)]
    if not homes:
        raise unknown(
            "optimizer, problem or experiment",
            words[0],
            {name for group in groups() for name in names(group)},
        )
    console = Console()
    for group in homes:
        found = entry(group, words[0])
        console.print(f"[bold]{found.name}[/] ({group})")
        print(found.doc)
        if found.target:
            _show_target(console, found)
        elif found.settings:
            for key, value in (found.settings.get("hydra", {}).get("sweeper", {}).get("params", {})).items():
                console.print(f"  {key}={value}", markup=False)
    return 0


def _show_target(console: Console, found: Any) -> None:
    from optlab.app.build import make_surface, resolve, taken

    console.print(f"\n[dim]{found.target}[/]")
    node = {"_target_": found.target, **found.settings}
    shown = Table("parameter", "default", box=None, padding=(0, 2, 0, 0))
    for name, parameter in taken(node, found.name).items():
        default = found.settings.get(name, parameter.default)
        shown.add_row(name, "required" if default is inspect.Parameter.empty else escape(str(default)))
    console.print(shown)
    if inspect.signature(resolve(found.target)).return_annotation is inspect.Signature.empty:
        return
    surface = make_surface(node)
    if surface is not None:
        _show_surface(console, surface)


def _show_surface(console: Console, surface: Any) -> None:
    import numpy as np

    def text(x):
        x = np.asarray(x, float)
        return "(" + ", ".join(f"{v:.6g}" for v in x[:6]) + (", ...)" if x.size > 6 else ")")

    print(f"\nsource: {surface.source}")
    print(f"start: {text(surface.start)}   domain: {text(surface.domain[0])} to {text(surface.domain[1])}")
    if surface.points:
        shown = Table("stationary point", "index", "value", "x", box=None, padding=(0, 2, 0, 0))
        for point in surface.points:
            shown.add_row(point.kind, str(point.index), f"{float(point.value):.10g}", text(point.x))
        console.print(shown)


def plot(words: Sequence[str]) -> int:
    """``plot KIND FOLDER [OPTION=VALUE ...]``: draws from the tables in a folder; never starts JAX."""
    from optlab import plots, table

    kinds = plots.kinds()
    if not words:
        print("kinds: " + ", ".join(kinds))
        return 0
    kind, *rest = words
    if kind not in kinds:
        raise unknown("kind of plot", kind, kinds)
    folders = [word for word in rest if "=" not in word]
    if len(folders) != 1:
        raise BadInput(f"plot takes one folder of tables: optlab plot {kind} results/study")
    options = _options([word for word in rest if "=" in word])
    target = options.pop("output", None) or str(Path(folders[0]) / "figures")
    try:
        results = table.load(folders[0])
        paths = plots.draw(kind, results, Path(target), **options)
    except ValueError as error:
        raise BadInput(str(error)) from error
    for path in paths:
        print(path)
    return 0


def _options(words: Sequence[str]) -> dict[str, Any]:
    """``key=value`` words as keywords: numbers where they look like numbers, commas make a tuple."""
    import yaml

    options: dict[str, Any] = {}
    for word in words:
        key, _, value = word.partition("=")
        options[key] = tuple(value.split(",")) if "," in value else yaml.safe_load(value)
    return options


VERBS: dict[str, Callable[[Sequence[str]], int]] = {"list": list_, "show": show, "plot": plot}
