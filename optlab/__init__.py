"""optlab benchmarks optimizers and shows loss surfaces.

Names are imported when they are first used: reading tables or drawing figures never starts JAX.
"""

import importlib
import sys
from types import ModuleType
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "run": "optlab.run", "Status": "optlab.types", "Problem": "optlab.types", "Surface": "optlab.types",
    "Point": "optlab.types", "run_sweep": "optlab.sweep", "grid": "optlab.sweep",
    "minimize": "optlab.minimize", "Minimum": "optlab.minimize", "load": "optlab.table",
    "find_critical_points": "optlab.critical_points",
}  # fmt: skip
_MODULES = (
    "landscape", "metrics", "optimizers", "plots", "problems", "probes", "surfaces", "sweep", "table", "types",
    "workloads",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        found = getattr(importlib.import_module(_HOMES[name]), name)
    elif name in _MODULES:
        found = importlib.import_module(f"optlab.{name}")
    elif name.startswith("_"):
        raise AttributeError(f"module 'optlab' has no attribute '{name}'")
    else:
        optimizers = importlib.import_module("optlab.optimizers")
        if not hasattr(optimizers, name):
            raise AttributeError(f"module 'optlab' has no attribute '{name}'")
        found = getattr(optimizers, name)
    globals()[name] = found
    return found


class _Package(ModuleType):
    """Keeps `optlab.run` the function although a module of that name exists too.

    The import system sets a package's attribute to each submodule that it loads.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_MODULES})
