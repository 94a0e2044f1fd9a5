"""Data profiles: the share of problems that each optimizer solves within a cost (More and Wild 2009)."""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from . import compared, style
from .profile import best_first, cost_axis, frame, shares


def sheet(profile: pd.DataFrame, area: pd.Series, unit: str, what: str) -> Any:
    """The whole figure. `profile` from `metrics.data_profile`; `area` orders, `what` says of how many cases."""
    best = best_first(area)
    page, ax = frame(best)
    finite = profile.cost[np.isfinite(profile.cost) & (profile.cost > 0)]
    cost_axis(ax, finite.min() / 1.2, max(finite.max() * 1.5, finite.min() * 10), unit)
    shares(ax, profile, "cost", best=best)
    ax.set_ylabel("solved")
    style.title(page, "Data profiles", what)
    return page


def draw(
    results: Any,
    folder: Path,
    *,
    optimizers: str | Sequence[str] | None = None,
    axis: str = "evaluations",
    format: str | Sequence[str] = ("png", "svg"),
) -> list[Path]:
    """Write `data_profile`: More-Wild profiles of the optimizers at their best settings (see `optlab report`).

    axis: evaluations, in simplex gradients of n + 1 of them, or oracle, in gradients (value 1, gradient 2, Hessian
    product 4).
    """
    return compared.write("data_profile", "data_profiles", sheet, results, folder, optimizers, axis, format)
