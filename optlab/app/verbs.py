"""The verbs of the command line. Each takes the words after it and returns an exit code."""

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from optlab.app.bad_input import BadInput, unknown, value_of
from optlab.app.catalogue import WORKLOADS, Entry, entry, groups, names, suite

PLURALS = {
    "problem": "problems", "optimizer": "optimizers", "schedule": "schedules", "suite": "suites",
    "experiment": "experiments", "probe": "probes", "engine": "engines",
}  # fmt: skip


def list_(words: Sequence[str]) -> int:
    """``list [GROUP] [tag=T] [dim=N] [suite=S]``: what a group of the catalogue holds, with a line each.

    Imports no JAX, unless it is asked for a dimension.
    """
    singular = {plural: group for group, plural in PLURALS.items()} | {group: group for group in groups()}
    named = [word for word in words if "=" not in word]
    filters = dict(word.split("=", 1) for word in words if "=" in word)
    for key in filters:
        if key not in ("tag", "dim", "suite"):
            raise unknown("filter", key, ("tag", "dim", "suite"))
    if len(named) > 1:
        raise BadInput(f"list takes one group, not {len(named)}: {', '.join(named)}")
    if named and named[0] not in (*singular, "workloads"):
        raise unknown("group", named[0], (*singular, "workloads"))
    if filters and not named:
        named = ["problems"]
    for group in [singular.get(named[0], "problem")] if named else groups():
        entries = [entry(group, name) for name in names(group)]
        if named == ["workloads"]:
            entries = [found for found in entries if found.target.startswith(WORKLOADS)]
        _print_entries(named[0] if named else PLURALS.get(group, group), _filtered(entries, filters))
    return 0


def _print_entries(title: str, entries: Sequence[Entry]) -> None:
    width = max((len(found.name) for found in entries), default=0)
    print(f"{title}:" if entries else f"{title}: none")
    for found in entries:
        tags = f"  [{', '.join(found.tags)}]" if found.tags else ""
        print(f"  {found.name:<{width}}  {found.summary}{tags}".rstrip())


def _filtered(entries: Sequence[Entry], filters: dict[str, str]) -> list[Entry]:
    """Those that carry every tag (``tag=a,b``), are of the dimension (or may be), and belong to the suite."""
    kept = list(entries)
    if "tag" in filters:
        known = {tag for found in entries for tag in found.tags}
        for tag in filters["tag"].split(","):
            if tag not in known:
                raise unknown("tag", tag, known)
            kept = [found for found in kept if tag in found.tags]
    if "suite" in filters:
        members = suite(filters["suite"])
        kept = [found for found in kept if found.name in members]
    if "dim" in filters:
        if not filters["dim"].isdigit() or filters["dim"] == "0":
            raise BadInput(f"dim must be a whole number of at least 1, not '{filters['dim']}'")
        kept = [found for found in kept if _may_have(found, int(filters["dim"]))]
    return kept


def _may_have(found: Entry, dim: int) -> bool:
    from optlab.app.build import make_surface, taken

    node = {"_target_": found.target, **found.settings}
    try:
        own = {"dim": dim} if "dim" in taken(node, found.name) else {}
        surface = make_surface(own | node)
    except Exception:  # a problem without this dimension says so in its own words
        return False
    return surface is not None and len(surface.start) == dim


def show(words: Sequence[str]) -> int:
    """``show NAME``: formula, facts, source, parameters and a small plot of what the catalogue has by a name."""
    if len(words) != 1:
        raise BadInput("show takes one name: optlab show rosenbrock")
    homes = [group for group in groups() if words[0] in names(group)]
    if not homes:
        raise unknown(
            "optimizer, problem, suite or experiment",
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
        elif isinstance(found.settings.get("problems"), list):
            print(f"\n{len(found.settings['problems'])} problems: {', '.join(map(str, found.settings['problems']))}")
        else:
            swept: Any = found.settings
            for key in ("hydra", "sweeper", "params"):
                swept = swept.get(key) if isinstance(swept, dict) else None
            for key, value in swept.items() if isinstance(swept, dict) else ():
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
    if len(surface.start) == 2:
        from optlab.app.sketch import sketch

        print(sketch(surface))


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
    options: dict[str, Any] = {}
    for word in words:
        key, _, value = word.partition("=")
        options[key] = tuple(value.split(",")) if "," in value else value_of(key, value)
    return options


def landscape(words: Sequence[str]) -> int:
    """``landscape KIND [FOLDER] [key=value ...]``: computes what a loss looks like; see `optlab.app.landscapes`."""
    from optlab.app import landscapes

    return landscapes.landscape(words)


def explore(words: Sequence[str]) -> int:
    """``explore [FOLDER] [key=value ...]``: the page in which optimizers descend; see `optlab.app.explore`."""
    from optlab.app import explore

    return explore.explore(words)


def status(words: Sequence[str]) -> int:
    """``status FOLDER``: what is done, failed and left; see `optlab.app.status`."""
    from optlab.app import status

    return status.status(words)


def report(words: Sequence[str]) -> int:
    """``report FOLDER [output=FILE] [figures=false] [axis=AXIS] [budget=N]``: a study's page; never starts JAX."""
    folders = [word for word in words if "=" not in word]
    if len(folders) != 1:
        raise BadInput("report takes one folder of tables: optlab report results/study")
    options = dict(word.split("=", 1) for word in words if "=" in word)
    for key in options:
        if key not in ("output", "figures", "axis", "budget"):
            raise unknown("option", key, ("output", "figures", "axis", "budget"))
    if options.get("figures", "true") not in ("true", "false"):
        raise BadInput(f"figures is true or false, not '{options['figures']}'")
    budget = options.get("budget")
    if budget is not None and (not budget.isdigit() or budget.strip("0") == ""):
        raise BadInput(f"budget is a whole number of at least 1, the settings that each may try, not '{budget}'")
    from optlab import table
    from optlab.report import build

    folder = Path(folders[0])
    output = Path(options.get("output") or folder / "report.html")
    try:
        results = table.load(folder)
        settings = {"figures": options.get("figures") != "false", "axis": options.get("axis", "evaluations")}
        paths = build.write(results, output, folder=folder, budget=None if budget is None else int(budget), **settings)
    except ValueError as error:
        raise BadInput(str(error)) from error
    print(f"{paths[0]}  ({paths[0].stat().st_size / 1000:.0f} kB)")
    if len(paths) > 1:
        print(f"{paths[1].parent}/  ({len(paths) - 1} figures)")
    return 0


VERBS: dict[str, Callable[[Sequence[str]], int]] = {
    "list": list_, "show": show, "plot": plot, "landscape": landscape, "explore": explore, "status": status,
    "report": report,
}  # fmt: skip
