"""The page: one HTML file that holds the translated programs, what is drawn around them, and nothing from elsewhere."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from optlab.explorer.opaque import opaque
from optlab.explorer.presets import Preset
from optlab.explorer.steps import Descent, Make, derivatives
from optlab.markup import filled
from optlab.types import Surface, minimum

HERE = Path(__file__).parent

#: The page's own files, in the order in which they are written into it; each declares one name.
SCRIPTS = (
    "marks", "raster", "contour", "relief", "chart",  # ink
    "numbers", "courses", "link", "insight", "stage", "controls", "page", "pointer",
)  # fmt: skip

#: What the page reads of a state, whatever the optimizer.
READ = ("params", "value", "grad_norm", "status", "counts.n_value", "counts.n_grad", "counts.n_hvp")


class Scene(NamedTuple):
    """A surface of two variables, and what is said of it."""

    name: str
    surface: Surface
    summary: str = ""


class Member(NamedTuple):
    """An optimizer of the page."""

    name: str
    make: Make  #: from its open numbers, by keyword
    numbers: Mapping[str, float]  #: those that a slider sets, with the values they begin with
    look: Mapping[str, Any]  #: ``color``, ``dark`` (the same on dark paper), ``marker``, ``dash``
    summary: str = ""


def page(
    scenes: Sequence[Scene],
    members: Sequence[Member],
    *,
    presets: Sequence[Preset] = (),
    stored: Mapping[str, Any] | None = None,
    title: str = "optlab explorer",
) -> str:
    """The whole file.

    Args:
      scenes: surfaces to choose from; the first is shown at first where there is no preset.
      members: optimizers, all of which start together.
      presets: stories; those whose surface or optimizers are not on the page are left out.
      stored: in place of surfaces and optimizers, runs to replay: ``scenes``, each a grid and its ``runs``, and
        ``optimizers``, what is told of each.
      title: what the browser calls it.

    Raises:
      Untranslatable: for a surface or optimizer that has no translation.
    """
    surfaces = "".join(derivatives(f"s{k}", scene.surface) for k, scene in enumerate(scenes))
    made = [_programs(f"o{k}", member, scenes) for k, member in enumerate(members)]
    table = [
        "const programs = {",
        f"surfaces: [{', '.join(f'[s{k}_0, s{k}_1, s{k}_2]' for k in range(len(scenes)))}],",
        f"optimizers: [{', '.join(entry for _, entry, _ in made)}],",
        "};",
    ]
    there = {scene.name for scene in scenes}, {member.name for member in members}
    data = {
        "surfaces": [_scene(scene) for scene in scenes],
        "optimizers": [facts for _, _, facts in made] if stored is None else stored["optimizers"],
        "presets": [_preset(preset, there[1]) for preset in presets if preset.surface in there[0]],
        "stored": stored,
    }
    script = "\n".join(
        ['"use strict";', _file("runtime.js"), surfaces, *(source for source, _, _ in made), *table]
        + [_file(f"page/{name}.js") for name in SCRIPTS]
    )
    parts = {"TITLE": escape(title), "STYLE": _file("page/page.css"), "DATA": embedded(data), "SCRIPT": script}
    return filled(_file("page/page.html"), parts)


def embedded(data: object) -> str:
    """JSON that may stand within a script element, whatever the texts in it; numbers that are none are null."""
    text = json.dumps(_plain(data), allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, str) or value is None or isinstance(value, bool | np.bool_ | int):
        return bool(value) if isinstance(value, np.bool_) else value
    if isinstance(value, Sequence):
        return [_plain(item) for item in value]
    array = np.asarray(value)
    if array.ndim:
        return [_plain(item) for item in array]
    return float(array) if np.isfinite(array) else None


def _file(name: str) -> str:
    return (HERE / name).read_text()


def _scene(scene: Scene) -> dict[str, Any]:
    surface = scene.surface
    points = [{"x": p.x, "value": p.value, "kind": p.kind, "index": p.index} for p in surface.points]
    return {
        "name": scene.name, "summary": scene.summary, "source": surface.source, "tags": surface.tags,
        "domain": surface.domain, "start": surface.start, "points": points, "minimum": minimum(surface),
    }  # fmt: skip


def _preset(preset: Preset, optimizers: set[str]) -> dict[str, Any]:
    numbers = {name: values for name, values in preset.numbers.items() if name in optimizers}
    return preset._asdict() | {"optimizers": [n for n in preset.optimizers if n in optimizers], "numbers": numbers}


def _programs(name: str, member: Member, scenes: Sequence[Scene]) -> tuple[str, str, dict[str, Any]]:
    """The source of an optimizer, its entry in `programs`, and what is told of it."""
    descent = Descent(opaque(2), member.make, member.numbers)
    on: list[str] | None = None
    try:
        source, entry = descent.javascript(name), _entry(name)
    except ValueError:
        # It needs more of a problem than values: residuals, of which each surface has another number
        able = [k for k, scene in enumerate(scenes) if scene.surface.residual is not None]
        if not able:
            raise
        each = {k: Descent(scenes[k].surface, member.make, member.numbers) for k in able}
        source = "".join(descent.javascript(f"{name}_{k}") for k, descent in each.items())
        entry = "{" + ", ".join(f"{k}: {_entry(f'{name}_{k}')}" for k in able) + "}"
        descent, on = each[able[0]], [scenes[k].name for k in able]
    facts = {
        "name": member.name, "summary": member.summary, "look": dict(member.look), "only": on,
        "numbers": [{"name": key, "value": float(member.numbers[key])} for key in sorted(member.numbers)],
        "leaves": {leaf.removeprefix("counts."): descent.leaf(leaf) for leaf in READ}
        | {"fresh": next((k for k, leaf in enumerate(descent.leaves) if leaf.endswith("progress.fresh")), None)},
        "shapes": descent.shape_names,
    }  # fmt: skip
    return source, entry, facts


def _entry(name: str) -> str:
    return f"{{start: {name}_start, step: {name}_step, shapes: {name}_shapes}}"
