"""``optlab landscape KIND ...``: computes a landscape once and stores it; `optlab plot` draws it from there."""

import contextlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from optlab import table
from optlab.app.bad_input import BadInput, unknown, value_of
from optlab.app.catalogue import groups, names, top_level_keys

#: Where each kind lives, and the kind of figure that draws it.
KINDS = {
    "line": ("landscape_planes", "line"),
    "plane": ("landscape_planes", "landscape"),
    "connection": ("landscape_planes", "connection"),
    "motion": ("landscape_planes", "motion"),
    "spectrum": ("landscape_spectra", "spectrum"),
    "basins": ("landscape_maps", "basins"),
    "stability": ("landscape_maps", "stability"),
}

USAGE = """optlab landscape KIND ...: what a loss looks like

  Of runs that have kept their parameters (save=path, or save=true for their ends; closed forms always have):
    line FOLDER [run=ID]             the loss along a line through where a run ended
    plane FOLDER [run=ID,...]        on a plane: directions=random|path|hessian|solutions
    connection FOLDER run=ID,ID      along the line and a curve of low loss between two runs
    motion FOLDER [run=ID,...]       distance from the start, angles between steps
    spectrum FOLDER [run=ID,...]     the Hessian's spectral density and leading eigenvalues
  Of problems:
    basins problem=himmelblau optimizer=newton,momentum [size=512]
    stability problem=quadratic optimizer=heavy_ball \\
              'optimizer.learning_rate=tag(log,interval(0.01,10))' 'optimizer.momentum=interval(0,0.99)' [size=256]

Options: """


class Words(NamedTuple):
    """What was typed after the kind."""

    folder: str  #: without ``=``; empty where none is
    options: dict[str, Any]  #: the kind's own
    runs: tuple[str, ...]
    changes: list[str]  #: of the configuration: ``problem.x=...``


def landscape(words: Sequence[str]) -> int:
    """``landscape KIND [FOLDER] [key=value ...]``: a slice, a spectrum, a map: stored to be drawn."""
    if not words or words[0] in ("help", "-h", "--help"):
        print(USAGE + ", ".join(f"{kind}({', '.join(_options(_function(kind)))})" for kind in KINDS))
        return 0
    kind, *rest = words
    if kind not in KINDS:
        raise unknown("kind of landscape", kind, KINDS)
    function = _function(kind)
    typed = _sorted(rest, _options(function))
    compute = _of_runs if "stored" in inspect.signature(function).parameters else _of_problems
    begun = perf_counter()
    folder, made = compute(kind, function, typed)
    print(f"{'there already' if not made else f'done in {perf_counter() - begun:.1f} s'}: {kind} in {folder}")
    print(f"draw it: optlab plot {KINDS[kind][1]} {folder}")
    return 0


def _function(kind: str) -> Callable[..., dict[str, dict[str, Any]]]:
    return getattr(import_module(f"optlab.app.{KINDS[kind][0]}"), kind)


def _options(function: Callable) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def _sorted(words: Sequence[str], known: Mapping[str, Any]) -> Words:
    folders = [word for word in words if "=" not in word]
    if len(folders) > 1:
        raise BadInput(f"landscape takes one folder of tables, not {len(folders)}: {', '.join(folders)}")
    options: dict[str, Any] = {}
    runs: tuple[str, ...] = ()
    changes = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            continue
        if key in known:
            options[key] = _as(key, value, known[key])
        elif key == "run":
            runs = tuple(value.split(","))
        elif "." in key or key in groups() or key in top_level_keys():
            changes.append(word)
        else:
            raise unknown("option", key, (*known, "run", *groups(), *top_level_keys()))
    return Words(folders[0] if folders else "", options, runs, changes)


def _as(key: str, text: str, default: Any) -> Any:
    """An option of the kind that its default has."""
    value = value_of(key, text)
    if isinstance(default, str):
        return text
    if isinstance(default, float) and isinstance(value, str):
        with contextlib.suppress(ValueError):  # YAML reads 1e-3 as a text
            value = float(value)
    wanted = int if isinstance(default, int) else int | float
    if isinstance(default, int | float) and (not isinstance(value, wanted) or isinstance(value, bool)):
        raise BadInput(f"{key} must be a {'whole ' if wanted is int else ''}number, not '{text}'")
    return type(default)(value)


def _of_runs(kind: str, function: Callable, typed: Words) -> tuple[Path, bool]:
    from optlab.app import compilation_cache, stored_runs
    from optlab.app.execute import precision

    if not typed.folder:
        raise BadInput(f"landscape {kind} takes a folder of tables: optlab landscape {kind} results/study")
    changes = dict(word.split("=", 1) for word in typed.changes)
    for key in changes:
        if not key.startswith("problem."):
            raise BadInput(f"of a stored run only problem.<parameter> can be changed, not {key}")
    folder = Path(typed.folder)
    read = {key: value_of(key, value) for key, value in changes.items()}
    compilation_cache.turn_on()
    stored = stored_runs.find(folder, typed.runs, changes=read)
    if len({(run.problem_name, run.config["precision"]) for run in stored}) > 1:
        raise BadInput("the runs are of several problems or precisions: state run=ID,... of one")
    part = table.digest([kind, [run.run_id for run in stored], read, typed.options])
    with precision(stored[0].config):
        return folder, _once(folder, part, kind, lambda: function(stored, **typed.options))


def _of_problems(kind: str, function: Callable, typed: Words) -> tuple[Path, bool]:
    import numpy as np

    from optlab.app import compilation_cache
    from optlab.app.compose import composed
    from optlab.app.execute import check_input
    from optlab.app.plan import Group, check
    from optlab.app.study import open_folder

    if typed.folder:
        raise BadInput(f"landscape {kind} takes no folder but problem= and optimizer=, not '{typed.folder}'")
    intervals = [found for word in typed.changes if (found := _interval(word)) is not None]
    lists = [_listed(word) for word in typed.changes if _interval(word) is None]
    starts = [f"++{interval.key}={interval.low}" for interval in intervals]
    configs = [composed([*words, *starts]) for words in product(*lists)]
    for config in configs:
        check_input(check(Group(config, {}, np.array([config["seed"]]))))
    folder = open_folder(configs[0])
    compilation_cache.turn_on()
    described = [{key: value for key, value in c.items() if key not in ("results", "name")} for c in configs]
    part = table.digest([kind, described, [tuple(interval) for interval in intervals], typed.options])
    return folder, _once(folder, part, kind, lambda: function(configs, intervals, **typed.options))


def _interval(word: str) -> Any:
    """The interval that a word states in Hydra's syntax for sweeps, None where it states something else."""
    from hydra.core.override_parser.types import IntervalSweep

    from optlab.app.axes import Interval, parse

    (override,) = parse([word])
    value = override.value()
    if not isinstance(value, IntervalSweep):
        return None
    assert value.start is not None and value.end is not None
    return Interval(override.get_key_element(), float(value.start), float(value.end), "log" in value.tags)


def _listed(word: str) -> list[str]:
    """The words of a choice of several; names that there are not are refused with the nearest."""
    key, _, value = word.partition("=")
    if key not in ("optimizer", "problem"):
        return [f"++{word}" if "." in key else word]
    for name in value.split(","):
        if name not in names(key):
            raise unknown(key, name, names(key))
    return [f"{key}={name}" for name in value.split(",")]


def _once(folder: Path, part: str, kind: str, compute: Callable[[], dict[str, dict[str, Any]]]) -> bool:
    """Computes and writes the tables of a landscape unless they are there; the table of its kind comes last."""
    import pyarrow as pa

    done = folder / "landscapes" / f"{part}.parquet"
    if done.exists():
        return False
    try:
        tables = compute()
    except ValueError as error:
        raise BadInput(str(error)) from error
    for name, columns in tables.items():
        rows = len(next(iter(columns.values()), ()))
        if rows:
            table.write_part(folder, name, part, pa.table({"landscape_id": [part] * rows, **columns}))
    table.write_part(folder, "landscapes", part, pa.table({"landscape_id": [part], "kind": [kind]}))
    return True
