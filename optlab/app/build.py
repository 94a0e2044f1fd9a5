"""A plain configuration (dicts, lists, numbers, texts) to a problem and an optimizer.

Knows no Hydra, so that a worker can do it from what a driver sends. A `_target_` is resolved only
within an allow-list: a stranger's YAML runs no code.
"""

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_args

from optlab.app.bad_input import BadInput, unknown

ALLOWED = (
    "optlab.optimizers.", "optlab.surfaces.", "optlab.problems.", "optlab.stochastic_examples.", "optlab.workloads.",
    "optlab.probes.", "optax.",
)  # fmt: skip

#: Prefixes that the user adds on the command line (``allow=mypackage.``), never in a file.
extra_allowed: list[str] = []


def resolve(target: str) -> Callable[..., Any]:
    """The function that a dotted path names. Raises BadInput outside the allow-list or where none is."""
    allowed = (*ALLOWED, *extra_allowed)
    if not isinstance(target, str):
        raise BadInput(f"_target_ must be a dotted path, not {target!r}")
    if not target.startswith(allowed):
        raise BadInput(
            f"_target_ '{target}' is not within {', '.join(ALLOWED)}; allow=PREFIX on the command line adds a prefix"
        )
    path = target.split(".")
    for cut in range(len(path) - 1, 0, -1):
        try:
            found = importlib.import_module(".".join(path[:cut]))
        except ModuleNotFoundError:
            continue
        for name in path[cut:]:
            found = getattr(found, name, None)
        # A module's attributes include what it imports: jnp.save must not be had as optlab.optimizers.jnp.save.
        if callable(found) and f"{getattr(found, 'func', found).__module__}.".startswith(allowed):
            return found
    raise BadInput(f"_target_ '{target}' names no function")


def complete(node: Mapping[str, Any], context: str) -> dict[str, Any]:
    """The node with the defaults of its function's numeric and choice parameters filled in.

    So a run's row holds its full configuration, and its id does not depend on whether a default was
    typed. Raises BadInput for a key that the function does not take, naming the nearest.
    """
    parameters = taken(node, context)
    stated = dict(node)
    for key, value in node.items():
        if key != "_target_" and key not in parameters:
            raise unknown(f"{context} parameter", key, parameters)
        _check_kind(f"{context}.{key}", value, parameters.get(key))
        if isinstance(value, Mapping) and "_target_" in value:
            stated[key] = complete(value, f"{context}.{key}")
    defaults = {k: p.default for k, p in parameters.items() if isinstance(p.default, bool | int | float | str)}
    return {**defaults, **stated}


#: What a wrapper is given by whoever calls it, not by a configuration.
_NOT_STATED = ("surface", "factory", "numbers", "schedule", "steps")


def parameter(node: Mapping[str, Any], context: str, key: str) -> inspect.Parameter | None:
    """The parameter that a dotted key within a node sets, None where there is none."""
    name, _, rest = key.partition(".")
    found = taken(node, context).get(name)
    inner = node.get(name)
    if rest and isinstance(inner, Mapping) and "_target_" in inner:
        return parameter(inner, f"{context}.{name}", rest)
    return found


def taken(node: Mapping[str, Any], context: str) -> dict[str, inspect.Parameter]:
    """What a node's function takes; for a surface also what `problems.from_surface` does, for an optimizer `recipe`."""
    if not node:
        return {}  # a choice that stands for nothing
    if "_target_" not in node:
        raise BadInput(f"{context} has no _target_")
    function = resolve(node["_target_"])
    parameters = dict(inspect.signature(function).parameters)
    wrapper = None
    if context == "optimizer":
        from optlab.optimizers import recipe as wrapper
    elif _makes_surface(node["_target_"]):
        from optlab.problems import from_surface as wrapper
    if wrapper is not None:
        around = dict(inspect.signature(wrapper).parameters)
        parameters |= {k: p for k, p in around.items() if k not in (*parameters, *_NOT_STATED)}
    return {k: p for k, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}


def _makes_surface(target: str) -> bool:
    """Whether a function is declared to return a Surface."""
    returned = inspect.signature(resolve(target)).return_annotation
    return getattr(returned, "__name__", returned) == "Surface"


def _check_kind(key: str, value: object, parameter: inspect.Parameter | None) -> None:
    default = None if parameter is None else parameter.default
    numeric = isinstance(default, int | float) and not isinstance(default, bool)
    if key.endswith(".learning_rate"):
        numeric = True
        if isinstance(value, int | float) and not value >= 0:
            raise BadInput(f"{key} must be a number of at least 0, not {value}")
    kinds = set() if parameter is None else set(get_args(parameter.annotation))
    text = bool(kinds & {int, float}) and not kinds & {str, bool} and isinstance(value, str | bool)
    if text or numeric and isinstance(value, str | bool | list) or isinstance(value, float) and value != value:
        raise BadInput(f"{key} must be a number, not {value!r}")


def make(node: object) -> Any:
    """Calls the function of every `_target_` in a configuration, the inner ones first."""
    if isinstance(node, Mapping):
        made = {key: make(value) for key, value in node.items() if key != "_target_"}
        return resolve(node["_target_"])(**made) if "_target_" in node else made
    return node


def make_optimizer(config: Mapping[str, Any]):
    """The optimizer of a configuration, on its schedule; what it does not take itself goes to `recipe`."""
    from optlab.optimizers import recipe

    node = config["optimizer"]
    factory = resolve(node["_target_"])
    own = inspect.signature(factory).parameters
    values = {key: make(value) for key, value in node.items() if key != "_target_"}
    numbers = {k: v for k, v in values.items() if k in own}
    around = {k: v for k, v in values.items() if k not in own}
    return recipe(factory, numbers, schedule=_schedule(config), steps=config["steps"], **around)


def _schedule(config: Mapping[str, Any]):
    node = config.get("schedule")
    if not node:
        return None
    budget = {"steps": config["steps"]} if "steps" in taken(node, "schedule") else {}
    return make(budget | dict(node))


def make_problem(node: Mapping[str, Any]):
    """A problem from its configuration; what a surface does not take itself goes to its wrapper."""
    from optlab.problems import from_surface
    from optlab.types import Problem, Surface

    function = resolve(node["_target_"])
    own = inspect.signature(function).parameters
    if not _makes_surface(node["_target_"]):
        problem = make(node)
        if not isinstance(problem, Problem):
            raise BadInput(f"_target_ '{node['_target_']}' makes no problem but a {type(problem).__name__}")
        return problem
    values = {key: make(value) for key, value in node.items() if key != "_target_"}
    surface: Surface = function(**{k: v for k, v in values.items() if k in own})
    return from_surface(surface, **{k: v for k, v in values.items() if k not in own})


def problem_data(node: Mapping[str, Any]) -> Any:
    """The data of a problem; a closed form has none and is not made for it."""
    return () if _makes_surface(node["_target_"]) else make_problem(node).data


def make_surface(node: Mapping[str, Any]):
    """The surface behind a problem's configuration, changed as the problem is; None for other problems."""
    from optlab.problems import transformed

    if not _makes_surface(node["_target_"]):
        return None
    function = resolve(node["_target_"])
    own = inspect.signature(function).parameters
    values = {key: make(value) for key, value in node.items() if key != "_target_"}
    surface = function(**{k: v for k, v in values.items() if k in own})
    return transformed(surface, {k: v for k, v in values.items() if k not in own})


def surface_leaves(node: Mapping[str, Any]) -> dict[str, Any]:
    """What of a problem's configuration changes the surface, and not how it is descended."""
    from optlab.problems import CHANGES

    own = inspect.signature(resolve(node["_target_"])).parameters
    return {key: value for key, value in node.items() if key in own or key in ("_target_", *CHANGES)}
