"""The catalogue is the folder `conf`: a file there is an optimizer, a problem, an experiment.

Reads files only, so that `optlab list` answers without importing JAX.
"""

import ast
import inspect
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import yaml

from optlab.app.bad_input import BadInput, unknown

#: Problems that train networks on data: one function makes them all, so that their files say what each is.
WORKLOADS = "optlab.workloads."


#: Keys of a configuration that hold a function and its parameters.
NODES = ("optimizer", "problem", "schedule")


class Entry(NamedTuple):
    """One file of the catalogue."""

    name: str
    target: str  #: the dotted path that makes it
    summary: str  #: first line of the target's docstring
    tags: tuple[str, ...]
    doc: str  #: the whole docstring
    settings: dict  #: what the file states beside the target


def conf_dir() -> Path:
    """The folder `conf`: inside the installed package, beside it in the repository."""
    package = Path(__file__).parent.parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def names(group: str) -> list[str]:
    """What a group of the catalogue holds, e.g. ``optimizer``."""
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))


def groups() -> list[str]:
    """The folders of the catalogue."""
    return sorted(path.name for path in conf_dir().iterdir() if path.is_dir())


def suite(name: str) -> list[str]:
    """The problems of a suite; raises BadInput with the nearest names where there is none."""
    return entry("suite", name).settings["problems"]


def top_level_keys() -> list[str]:
    """The keys of a configuration that are no group."""
    return [key for key in yaml.safe_load((conf_dir() / "config.yaml").read_text()) if key != "defaults"]


def entry(group: str, name: str) -> Entry:
    """One entry; raises BadInput with the nearest names where there is none."""
    path = conf_dir() / group / f"{name}.yaml"
    if not path.is_file():
        raise unknown(group, name, names(group))
    text = path.read_text()
    try:
        settings = yaml.safe_load(text) or {}
    except (yaml.YAMLError, RecursionError) as error:
        raise BadInput(f"{path} is no YAML: {error}") from error
    if not isinstance(settings, dict) or not isinstance(settings.get("_target_", ""), str):
        raise BadInput(f"{path} must hold keys and their values, and _target_ be a dotted path")
    target = settings.pop("_target_", "")
    doc, tags = _documentation(target)
    if not target or target.startswith(WORKLOADS):  # an experiment says on top what it asks, a suite what it holds
        comments = [line for line in text.splitlines() if line.startswith("#") and "@package" not in line]
        doc = "\n".join(line.lstrip("# ") for line in comments) or doc
    return Entry(name, target, doc.split("\n")[0], tags, doc, settings)


def _documentation(target: str) -> tuple[str, tuple[str, ...]]:
    """Docstring and literal tags of a function, read from its source without importing it."""
    package, _, name = target.rpartition(".")
    for path in _sources(package):
        node = _definitions(path).get(name)
        if isinstance(node, str):
            return node, ()
        if node is not None:
            keywords = [k for call in ast.walk(node) if isinstance(call, ast.Call) for k in call.keywords]
            tags = [_literal(k.value) for k in keywords if k.arg == "tags"]
            return ast.get_docstring(node) or "", tags[0] if tags else ()
    return "", ()


def _literal(node: ast.AST) -> tuple[str, ...]:
    try:
        return tuple(ast.literal_eval(node))
    except ValueError:
        return ()


def _sources(package: str) -> list[Path]:
    """The files in which a package may define a name: found by path, nothing is imported but its root."""
    root, *rest = package.split(".")
    spec = find_spec(root) if root else None
    if spec is None or not spec.submodule_search_locations:
        return []
    folder = Path(next(iter(spec.submodule_search_locations))).joinpath(*rest)
    if folder.with_suffix(".py").is_file():
        return [folder.with_suffix(".py")]
    return sorted(p for p in folder.glob("**/*.py") if not p.stem.endswith("_test"))


@cache
def _definitions(path: Path) -> dict[str, ast.FunctionDef | str]:
    """The functions of a file; of one that is a partial of another, its docstring (``name.__doc__ = ...``)."""
    found: dict[str, ast.FunctionDef | str] = {}
    for node in ast.parse(path.read_text()).body:
        match node:
            case ast.FunctionDef():
                found[node.name] = node
            case ast.Assign(
                targets=[ast.Attribute(value=ast.Name(id=name), attr="__doc__")],
                value=ast.Constant(value=str(doc)),
            ):
                found[name] = inspect.cleandoc(doc)
    return found
