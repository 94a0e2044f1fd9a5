"""Runtime distributions: the share of targets that each optimizer reaches within a cost, restarts included."""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from . import compared, style
from .profile import best_first, cost_axis, frame, shares, steps

FINE = 400  #: points of a curve: more than its pixels


def thinned(curve: pd.DataFrame, left: float, right: float) -> pd.DataFrame:
    """Of thousands of breakpoints one for each of `FINE` parts of the logarithmic axis, where the height is exact."""
    cost = curve.cost.to_numpy(float)
    if len(cost) <= FINE:
        return curve
    place = np.floor(FINE * np.log(np.maximum(cost, left) / left) / np.log(right / left))
    last = np.append(np.diff(place) > 0, True)
    return curve.loc[last]


def ends(ecdf: pd.DataFrame, budget: pd.Series) -> tuple[float, float]:
    """Where the axis begins and ends: the first hit, and what can be seen beyond the largest budget."""
    cost = ecdf.cost[np.isfinite(ecdf.cost) & (ecdf.cost > 0)]
    left = min(float(cost.min()), float(budget.min())) if len(cost) else float(budget.min()) / 10
    most = float(budget.max())
    right = min(max(most, float(cost.quantile(0.999)) if len(cost) else most), 30 * most)
    return left / 1.2, max(right * 1.5, left * 10)


def crosses(ax: Axes, ecdf: pd.DataFrame, budget: pd.Series) -> None:
    """A cross on each curve at the median budget: right of it restarts are simulated only (COCO)."""
    left, right = ax.get_xlim()
    for optimizer, at in budget.items():
        x, y = steps(ecdf[ecdf.optimizer == optimizer], "cost", left, right)
        height = y[np.searchsorted(x, at, side="right") - 1]
        look = {"marker": "x", "markersize": 5.5, "markeredgewidth": 1.4, "linestyle": "none"}
        ax.plot(at, height, color=style.color(str(optimizer)), zorder=5, path_effects=style.halo(0.9), **look)


def sheet(ecdf: pd.DataFrame, budget: pd.Series, unit: str, what: str) -> Any:
    """The whole figure. `ecdf` from `metrics.runtime_ecdf`, `budget` from `metrics.median_budget`."""
    from optlab.metrics import log_auc

    left, right = ends(ecdf, budget)
    best = best_first(log_auc(ecdf, left, right))
    page, ax = frame(best)
    cost_axis(ax, left, right, unit)
    parts = [thinned(curve, left, right) for _, curve in ecdf.groupby("optimizer", sort=False)]
    shares(ax, pd.concat(parts), "cost", best=best)
    crosses(ax, ecdf, budget)
    ax.set_ylabel("targets reached")
    style.title(page, "Runtime distributions", what)
    return page


def draw(
    results: Any,
    folder: Path,
    *,
    optimizers: str | Sequence[str] | None = None,
    axis: str = "evaluations",
    format: str | Sequence[str] = ("png", "svg"),
) -> list[Path]:
    """Write `ecdf`: COCO's runtime distributions of the optimizers at their best settings (see `optlab report`).

    axis: what the cost counts: steps, evaluations, oracle (value 1, gradient 2, Hessian product 4) or seconds.
    """
    return compared.write("ecdf", "distributions", sheet, results, folder, optimizers, axis, format)
