"""Two solutions: the loss along the line between them and along a curve of low loss, and the plane of both."""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false
# pyright: reportCallIssue=false

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from . import style
from .landscape import is_score, loss_field
from .planes import as_surface, columns, word
from .selection import formats, one_of
from .surface import background

CURVES = {"line": ("straight line", "#5d6875"), "bezier": ("trained curve", "#D55E00")}


def along(ax: Axes, rows: pd.DataFrame, column: str, *, names: bool) -> Axes:
    """One loss or score along the line and the curve, over t from one solution to the other."""
    style.quiet(ax)
    if not is_score(column) and (rows[column] > 0).all():
        ax.set_yscale("log")
        ax.yaxis.set_minor_formatter(NullFormatter())
    for name, (label, tint) in CURVES.items():
        part = rows[rows.curve == name].sort_values("t")
        ax.plot(part.t, part[column], color=tint, linewidth=1.7, path_effects=style.halo(0.8))
        if names:  # at the middle: both end in the same place
            middle = part.iloc[len(part) // 2]
            text = ax.annotate(label, (middle.t, middle[column]), (0, 7), textcoords="offset points", fontsize=8.5)
            text.set(color=tint, ha="center", path_effects=style.halo(1.2))
    ax.set_xlim(0, 1)
    ax.set_ylabel(word(column))
    return ax


def plane_of(ax: Axes, results: Any, plane: pd.Series, rows: pd.DataFrame) -> None:
    """The plane through both solutions and the bend, the two ways over it."""
    shown = as_surface(results, plane, "value")
    surface = loss_field(shown, plane.landscape_id)._replace(names=("", ""))
    background(ax, surface, avoid=rows[["a", "b"]].to_numpy(float))
    for name, (_, tint) in CURVES.items():
        part = rows[rows.curve == name].sort_values("t")
        for width, colour in ((3.2, style.PAPER), (1.6, tint)):
            ax.plot(part.a, part.b, color=colour, linewidth=width, solid_capstyle="round")
    part = rows[rows.curve == "line"].sort_values("t")
    ax.plot(part.a.iloc[[0, -1]], part.b.iloc[[0, -1]], "o", color=style.PAPER, markeredgecolor=style.INK, markersize=7)
    ax.set_xlabel("distance along the line", fontsize=8.5, color=style.QUIET)
    ax.set_ylabel("distance from it", fontsize=8.5, color=style.QUIET, rotation=90)
    ax.set_title("training loss on the plane of both", loc="left", fontsize=9.5, color=style.INK)


def sheet(results: Any, identity: str) -> Figure:
    """Loss and scores along both ways on the left, their plane on the right."""
    rows = results.connections[results.connections.landscape_id == identity]
    known = ("first_run", "second_run", "curve", "t", "a", "b", "barrier")
    held = [c for c in columns(rows) if c not in known]
    shown = [c for c in ("value", "validation_loss", "validation_accuracy") if c in held] or held[:1]
    planes = results.planes[results.planes.landscape_id == identity] if len(results.planes) else results.planes
    tall = 1.35
    page = style.figure(11.4 if len(planes) else 7.2, 1.55 + len(shown) * (tall + 0.3))
    for k, column in enumerate(shown):
        ax = along(
            style.inches(page, 0.85, 0.65 + (len(shown) - 1 - k) * (tall + 0.3), 4.3, tall), rows, column, names=k == 0
        )
        if k == len(shown) - 1:
            ax.set_xlabel("t, from one solution to the other")
        else:
            ax.tick_params(labelbottom=False)
    if len(planes):
        height = len(shown) * (tall + 0.3) - 0.6
        plane_of(style.inches(page, 7.0, 0.65, min(4.1, 1.4 * height), height), results, planes.iloc[0], rows)
    barriers = rows.groupby("curve").barrier.first()
    runs = (rows.first_run.iloc[0][:8], rows.second_run.iloc[0][:8])
    line = f"runs {runs[0]} and {runs[1]} · barrier of the training loss: line {style.number(barriers['line'])}, "
    name = style.name(planes.iloc[0].problem) if len(planes) else "two solutions"
    style.title(page, f"{name}: between two solutions", line + f"curve {style.number(barriers['bezier'])}")
    return page


def draw(results: Any, folder: Path, *, landscape: str | None = None, format: Any = ("png",)) -> list[Path]:
    """Write `connection_<id>` for each stored connection; `landscape`: the beginning of one's id."""
    endings = formats(format)
    if not len(results.connections):
        raise ValueError("this folder holds no connection: optlab landscape connection FOLDER run=ID,ID computes one")
    held = list(results.connections.landscape_id.unique())
    if landscape is not None:
        held = [i for i in held if i.startswith(str(landscape))] or [one_of("connection", landscape, held)]
    return [p for i in held for p in style.save(sheet(results, i), Path(folder), f"connection_{i[:8]}", endings)]
