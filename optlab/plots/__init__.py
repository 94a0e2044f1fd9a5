"""Figures and animations from stored tables, in a process that never starts JAX.

Each kind of figure is a module of this package with a function `draw(results, folder, **options)`, which
writes its files and returns their paths. Adding a kind is adding one file: it is found here by that name.
"""

import importlib
import inspect
from pathlib import Path
from typing import Any


def kinds() -> list[str]:
    """Names of the kinds of figures. Their source is looked at and not imported: listing stays quick."""
    modules = sorted(Path(__file__).parent.glob("*.py"))
    return [m.stem for m in modules if m.stem != "__init__" and "\ndef draw(" in m.read_text(encoding="utf-8")]


def draw(kind: str, results: Any, folder: str | Path, **options: Any) -> list[Path]:
    """Draw one kind of figure from `results` (runs, curves, fields, points) into a folder."""
    from .selection import one_of

    module = importlib.import_module(f".{one_of('kind of figure', kind, kinds())}", __name__)
    allowed = [name for name in inspect.signature(module.draw).parameters if name not in ("results", "folder")]
    for option in options:
        one_of(f"option of {kind!r}", option, allowed)
    return module.draw(results, Path(folder), **options)


def __getattr__(kind: str) -> Any:
    if not kind.startswith("_") and kind in kinds():
        return importlib.import_module(f".{kind}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {kind!r}")
