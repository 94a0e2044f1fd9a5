"""A stored slice of a loss as the figures of surfaces know one: a grid, runs, and their paths on it."""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false
# pyright: reportReturnType=false, reportCallIssue=false

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from . import style
from .selection import numbers, one_of, with_evaluations

#: What a column of a grid is called on a figure; others are called by their names.
NAMES = {"value": "training loss", "train_accuracy": "training accuracy"}


def chosen(results: Any, kind: str, identity: str | None, command: str) -> pd.DataFrame:
    """The slices of a kind, or the one whose id begins so. Raises ValueError where there is none."""
    held = results.planes[results.planes.kind == kind] if len(results.planes) else results.planes
    if not len(held):
        raise ValueError(f"this folder holds no {kind}: optlab landscape {command} computes one")
    if identity is None:
        return held
    kept = held[held.landscape_id.str.startswith(str(identity))]
    if len(kept) != 1:
        one_of(kind, str(identity), [i[:8] for i in held.landscape_id])
    return kept


def columns(rows: pd.DataFrame) -> list[str]:
    """The losses and scores of a grid."""
    kept = [name for name in rows if name not in ("landscape_id", "a", "b")]
    return [name for name in kept if rows[name].notna().any()]


def word(column: str) -> str:
    """A loss or score as a figure calls it."""
    return NAMES.get(column, style.name(column))


def as_surface(results: Any, plane: pd.Series, column: str) -> SimpleNamespace:
    """A slice as `fields`, `runs`, `curves` and `points`, its coordinates as ``x_0, x_1``."""
    rows = results.grid[results.grid.landscape_id == plane.landscape_id]
    one_of("column of the grid", column, columns(rows))
    fields = pd.DataFrame({"field_id": plane.landscape_id, "x_0": rows.a, "x_1": rows.b, "value": rows[column]})
    ways = on_plane(results, plane)
    runs = results.runs[results.runs.run_id.isin(runs_on(results, plane))]
    runs = runs.drop_duplicates("run_id").assign(field_id=plane.landscape_id, gap=np.nan)
    curves = ways.rename(columns={"a": "x_0", "b": "x_1"})
    if len(ways):
        spent = with_evaluations(results.curves[results.curves.run_id.isin(ways.run_id)])
        curves = curves.merge(spent[["run_id", "step", "evaluations"]], on=["run_id", "step"], how="left")
        curves = curves.assign(gap=np.nan, evaluations=numbers(curves.evaluations).fillna(curves.step))
    return SimpleNamespace(runs=runs, curves=curves, fields=fields, points=pd.DataFrame())


def on_plane(results: Any, plane: pd.Series) -> pd.DataFrame:
    """The rows of `projections` of one slice; none where it shows no path."""
    if not len(results.projections):
        return results.projections
    return results.projections[results.projections.landscape_id == plane.landscape_id]


def runs_on(results: Any, plane: pd.Series) -> list[str]:
    """The runs whose paths one slice shows."""
    ways = on_plane(results, plane)
    return list(ways.run_id.unique()) if len(ways) else []


def axis_names(plane: pd.Series) -> tuple[str, str]:
    """What the directions are."""
    if plane.directions == "path" and pd.notna(plane.get("explained_0")):
        shares = (plane.explained_0, plane.explained_1)
        return tuple(f"principal direction {k + 1} ({share:.0%})" for k, share in enumerate(shares))
    what = {"random": "random direction", "hessian": "Hessian eigenvector"}.get(plane.directions, "direction")
    return f"{what} 1", f"{what} 2"


def facts(plane: pd.Series) -> str:
    """One line on what a slice is, for the head of its figure."""
    words = [f"{int(plane.parameters):,} parameters"]
    if plane.directions == "random":
        scaled = {"none": "unscaled", "filter": "filter-normalised", "layer": "layer-normalised"}
        words.append(f"{scaled.get(plane.normalize, 'scaled to the parameters')}, seed {plane.seed}")
        if plane.kind != "line":
            words.append(f"cosine of the directions {plane.cosine:.2f}".replace("-", "−"))
    if plane.directions == "path":
        words.append(
            f"explains {plane.explained_0 + plane.explained_1:.0%} of the path, "
            f"{plane.null_explained_0 + plane.null_explained_1:.0%} of a random walk's"
        )
    if plane.train_examples:
        words.append(f"{int(plane.train_examples):,} training examples")
        words.append(f"normalisation statistics {plane.statistics}")
    return " · ".join([*words, str(plane.precision)])
