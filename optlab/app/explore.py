"""``optlab explore``: the page in which optimizers descend surfaces, and stored runs are seen again."""

import sys
import webbrowser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from optlab import table
from optlab.app.bad_input import BadInput, unknown
from optlab.app.build import make_optimizer, make_surface, parameter, taken
from optlab.app.catalogue import entry
from optlab.app.compose import composed
from optlab.app.plan import leaves, patched

PROBLEMS = (
    "bounded_strict_saddle", "monkey_saddle_bounded", "inflection_quartic", "staircase_inflection", "sigmoid_plateau",
    "rosenbrock", "beale", "quadratic", "himmelblau", "six_hump_camel", "muller_brown", "rastrigin",
)  # fmt: skip
OPTIMIZERS = (
    "gradient_descent", "heavy_ball", "nesterov", "adagrad", "adadelta", "rmsprop", "adam",
    "nonlinear_cg", "lbfgs", "bfgs", "newton", "trust_region",
)  # fmt: skip

USAGE = """optlab explore: a page in which optimizers descend surfaces live, one file, without a server

  optlab explore                       12 surfaces, 12 optimizers
  optlab explore problem=beale,branin optimizer=adam,lbfgs optimizer.learning_rate=0.01
  optlab explore FOLDER                replays the runs of a study, those of networks on their landscapes

Options: output=FILE (default results/explorer.html, or FOLDER/explorer.html), open=false (do not open it)
"""


class Words(NamedTuple):
    """What was typed."""

    folder: str | None
    names: dict[str, list[str]]  #: of ``problem`` and ``optimizer``, empty where none was stated
    changes: list[str]  #: ``problem.x=...``, ``optimizer.x=...``
    output: str | None
    opened: bool


def explore(words: Sequence[str]) -> int:
    """``explore [FOLDER] [problem=...] [optimizer=...]``: writes the page and opens it."""
    if words and words[0] in ("help", "-h", "--help"):
        print(USAGE, end="")
        return 0
    typed = _sorted(words)
    if typed.folder is None:
        text, path = _live(typed), Path(typed.output or "results/explorer.html")
    else:
        from optlab.app.replay import replayed

        text = replayed(typed.folder, typed.names["problem"], typed.names["optimizer"])
        path = Path(typed.output or Path(typed.folder) / "explorer.html")
    table.write_whole(path, text.encode())
    print(f"{path}  ({len(text.encode()) / 1000:.0f} kB)")
    if typed.opened and sys.stdout.isatty():  # a script wants the file, not a window
        webbrowser.open(path.absolute().as_uri())
    return 0


def _sorted(words: Sequence[str]) -> Words:
    folders = [word for word in words if "=" not in word]
    if len(folders) > 1:
        raise BadInput(f"explore takes one folder of tables, not {len(folders)}: {', '.join(folders)}")
    names: dict[str, list[str]] = {"problem": [], "optimizer": []}
    output, opened, changes = None, True, []
    for key, _, value in (word.partition("=") for word in words if "=" in word):
        if key in names:
            names[key] = list(dict.fromkeys(value.split(",")))
        elif key == "output":
            output = value
        elif key == "open":
            if value not in ("true", "false"):
                raise BadInput(f"open is true or false, not '{value}'")
            opened = value == "true"
        elif key.split(".")[0] in names and "." in key:
            changes.append(f"{key}={value}")
        else:
            raise unknown("option", key, ("output", "open", *names, *(f"{name}.<parameter>" for name in names)))
    if folders and changes:
        raise BadInput(f"stored runs are replayed as they are: {changes[0]} is for a page without a folder")
    return Words(folders[0] if folders else None, names, changes, output, opened)


def _live(typed: Words) -> str:
    from optlab.explorer.page import page
    from optlab.explorer.presets import PRESETS

    problems = typed.names["problem"] or list(PROBLEMS)
    optimizers = typed.names["optimizer"] or list(OPTIMIZERS)
    for group, chosen in (("problem", problems), ("optimizer", optimizers)):
        for name in chosen:
            entry(group, name)  # raises with the nearest names
    _refuse_homeless(typed.changes, problems, optimizers)
    scenes = [scene(name, typed.changes) for name in problems]
    members = [member(name, typed.changes) for name in optimizers]
    return _translated(lambda: page(scenes, members, presets=() if typed.changes else PRESETS))


def _translated(make: Any) -> str:
    from optlab.explorer.translate import Untranslatable

    try:
        return make()
    except Untranslatable as error:
        raise BadInput(f"this cannot be shown in a page: {error}") from error
    except ValueError as error:
        raise BadInput(str(error)) from error


def _refuse_homeless(changes: Sequence[str], problems: Sequence[str], optimizers: Sequence[str]) -> None:
    """A parameter that nothing on the page has is a typing error."""
    for word in changes:
        root, _, rest = word.partition("=")[0].partition(".")
        nodes = [_node(root, name) for name in (problems if root == "problem" else optimizers)]
        if all(parameter(node, root, rest) is None for node in nodes):
            raise unknown(f"{root} parameter", rest, {key for node in nodes for key in taken(node, root)})


def _node(root: str, name: str) -> dict[str, Any]:
    found = entry(root, name)
    return {"_target_": found.target, **found.settings}


def _config(root: str, name: str, changes: Sequence[str]) -> dict[str, Any]:
    """The configuration of one entry, with those changes that it has a place for."""
    node = _node(root, name)
    own = [word for word in changes if word.startswith(f"{root}.")]
    here = [f"++{word}" for word in own if parameter(node, root, word.partition("=")[0].partition(".")[2])]
    if root == "problem" and "dim" in taken(node, root) and not any(w.startswith("++problem.dim=") for w in here):
        here.append("++problem.dim=2")
    return composed([f"{root}={name}", *here])


def scene(name: str, changes: Sequence[str] = ()):
    """A problem of the catalogue as a surface of the page. Raises BadInput where it is none of two variables."""
    from optlab.explorer.page import Scene

    config = _config("problem", name, changes)
    surface = make_surface(config["problem"])
    if surface is None or len(surface.start) != 2:
        what = "no closed form" if surface is None else f"a surface of {len(surface.start)} variables"
        raise BadInput(f"problem {name} is {what}; the page shows surfaces of 2 variables (optlab list dim=2)")
    return Scene(name, surface, entry("problem", name).summary)


def member(name: str, changes: Sequence[str] = ()):
    """An optimizer of the catalogue, each number that may be traced a slider of it."""
    from optlab.app.replay import look
    from optlab.explorer.page import Member

    config = _config("optimizer", name, changes)
    node = {key: value for key, value in config["optimizer"].items() if key != "_target_"}
    floats = {key: value for key, value in leaves(node).items() if isinstance(value, float) and abs(value) < 1e300}

    def make(**numbers):
        return make_optimizer(patched(config, {f"optimizer.{key}": value for key, value in numbers.items()}))

    return Member(name, make, _open(make, floats), look(name), entry("optimizer", name).summary)


def _open(make: Any, floats: Mapping[str, float]) -> dict[str, float]:
    """The numbers on which no Python branches: found by tracing, all at once or each alone."""
    import jax
    import jax.numpy as jnp

    def traced(names: Sequence[str]) -> bool:
        def init(values):
            return make(**values).init(jnp.zeros(2))

        try:
            jax.eval_shape(init, {name: jnp.asarray(floats[name]) for name in names})
        except (jax.errors.JAXTypeError, TypeError):
            return False
        return True

    return dict(floats) if traced(list(floats)) else {name: floats[name] for name in floats if traced([name])}
