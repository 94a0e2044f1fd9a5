"""Profiles over problems and the scores that are areas below them (METRICS 6.5, 6.6).

Every function takes costs as problems x optimizers, inf where missed, as `typical` returns them. Nothing is kept
between calls: whoever wants other optimizers passes other columns and gets all ratios anew.
"""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false
# pyright: reportReturnType=false, reportAssignmentType=false, reportCallIssue=false
# pyright: reportOperatorIssue=false, reportOptionalOperand=false

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from .rows import one_of

LIMIT = 4.0  #: ratio at which AlgoPerf's score ends


def ratios(costs: pd.DataFrame) -> pd.DataFrame:
    """r = t / (least t of the problem): problems x optimizers; inf where missed, in whole rows if all missed.

    Ties share 1. Where any cost is 0, 1 is added to all of them first (METRICS 6.5); without a 0 ratios do not depend
    on the unit of cost. Raises ValueError for negative or missing costs, and for no problem or optimizer at all.
    """
    cells = cells_of(costs)
    if (cells == 0).any():
        cells = cells + 1
    least = cells.min(axis=1, keepdims=True)
    solved = np.isfinite(least)
    with np.errstate(invalid="ignore"):
        found = np.where(solved, cells / np.where(solved, least, 1), np.inf)
    return pd.DataFrame(found, costs.index, costs.columns)


def performance_profile(costs: pd.DataFrame) -> pd.DataFrame:
    """rho_a(tau) = share of problems with r <= tau (Dolan and More 2002, eq. 2.1), at its exact breakpoints.

    rho(1) is the share of wins, ties included, rho(inf) that of problems solved; a problem that nobody solves stays in
    the denominator. A row for each breakpoint of each optimizer: optimizer, ratio (the first is 1), share; right-
    continuous, see `share_at`. With three or more optimizers the order of two may hang on the third (Gould and
    Scott 2016): look at `pairwise_profiles` too.
    """
    found = ratios(costs)
    return pd.concat([_steps(str(a), found[a].to_numpy(float), "ratio", 1.0) for a in found], ignore_index=True)


def pairwise_profiles(costs: pd.DataFrame) -> pd.DataFrame:
    """A performance profile of each pair of optimizers alone: columns as there, and `against`."""
    parts = []
    for first, second in combinations(costs.columns, 2):
        both = performance_profile(costs[[first, second]])
        parts.append(both.assign(against=np.where(both.optimizer == str(first), str(second), str(first))))
    if not parts:
        raise ValueError("pairs need at least two optimizers")
    return pd.concat(parts, ignore_index=True)


def data_profile(costs: pd.DataFrame, dimensions: Mapping[str, float] | pd.Series) -> pd.DataFrame:
    """d_a(kappa) = share of problems with t / (n_p + 1) <= kappa (More and Wild 2009, eq. 2.3).

    Args:
      costs: evaluations until the test of More and Wild, see `relative_runtimes`.
      dimensions: n_p by problem.

    Returns:
      As `performance_profile`, with `cost` in simplex gradients (n_p + 1 evaluations each) for `ratio`.
    """
    problems = costs.index.get_level_values(0)
    size = np.array([float(dimensions.get(p, np.nan)) for p in problems])
    if not (size >= 1).all():
        raise ValueError(f"the dimension of problem {problems[int(np.argmin(size >= 1))]!r} is not known")
    return _profile(costs, size + 1)


def gradient_profile(costs: pd.DataFrame, gradient: float = 2.0) -> pd.DataFrame:
    """The data profile of methods that have gradients: t is the oracle cost, the unit that of one gradient.

    `gradient` is the weight that the gradient had in `costs` (`NOMINAL["gradient"]`).
    """
    if not 0 < gradient < np.inf:
        raise ValueError(f"one gradient must cost more than 0, not {gradient!r}")
    return _profile(costs, np.full(len(costs), gradient))


def share_at(profile: pd.DataFrame, at: Sequence[float] | np.ndarray) -> pd.DataFrame:
    """The height of step curves, right-continuous, at given ratios or costs: `at` x optimizers."""
    along = "cost" if "cost" in profile else "ratio"
    points = np.asarray(at, float)
    columns = {}
    for optimizer, curve in profile.groupby("optimizer", sort=False):
        place = np.searchsorted(curve[along].to_numpy(float), points, side="right")
        columns[optimizer] = np.concatenate([[0.0], curve.share.to_numpy(float)])[place]
    return pd.DataFrame(columns, index=pd.Index(points, name=along))


def algoperf_score(
    costs: pd.DataFrame, *, limit: float = LIMIT, scale: str = "linear", quadrature: str = "exact"
) -> pd.Series:
    """Normalized area below the performance profile up to ratio R (Dahl et al. 2023, section 4.3): by optimizer.

    In closed form the mean over problems of max(0, (R - r) / (R - 1)), or with scale "log", over log tau,
    max(0, 1 - ln r / ln R). From 0 to 1, 1 for an optimizer that wins everywhere.

    Args:
      costs: problems x optimizers.
      limit: R.
      scale: "linear" or "log".
      quadrature: "exact", or "trapz100": the published scores, the trapezoid rule on 100 points. Only to
        reproduce those: on few problems it is off in the second digit.

    Raises:
      ValueError: for a limit of 1 or less and unknown names.
    """
    one_of("scale", scale, ("linear", "log"))
    one_of("quadrature", quadrature, ("exact", "trapz100"))
    if not 1 < limit < np.inf:
        raise ValueError(f"the limit must be a ratio above 1, not {limit!r}")
    found = ratios(costs)
    r = np.minimum(found.to_numpy(float), limit)
    if quadrature == "exact":
        lost = (r - 1) / (limit - 1) if scale == "linear" else np.log(r) / np.log(limit)
        return pd.Series((1 - lost).mean(axis=0), index=found.columns, name="score")
    along = np.linspace(1, limit, 100) if scale == "linear" else np.linspace(0, np.log10(limit), 100)
    tau = along if scale == "linear" else np.logspace(0, np.log10(limit), 100)
    height = (found.to_numpy(float)[None] <= tau[:, None, None]).mean(axis=1)
    return pd.Series(np.trapezoid(height, along, axis=0) / (along[-1] - along[0]), index=found.columns, name="score")


def cells_of(costs: pd.DataFrame) -> np.ndarray:
    """The costs as an array, checked: no NaN, nothing negative, not empty."""
    cells = costs.to_numpy(float)
    if not cells.size:
        raise ValueError("a profile needs at least one problem and one optimizer")
    if np.isnan(cells).any():
        at = np.argwhere(np.isnan(cells))[0]
        raise ValueError(f"the cost of {costs.columns[at[1]]!r} on {costs.index[at[0]]!r} is missing; a miss is inf")
    if (cells < 0).any():
        raise ValueError("costs must not be negative")
    return cells


def _profile(costs: pd.DataFrame, unit: np.ndarray) -> pd.DataFrame:
    cells = cells_of(costs) / unit[:, None]
    return pd.concat([_steps(str(a), cells[:, k], "cost", 0.0) for k, a in enumerate(costs.columns)], ignore_index=True)


def _steps(optimizer: str, values: np.ndarray, along: str, begin: float) -> pd.DataFrame:
    """The share of values at most x, where it jumps, and at the begin of the axis."""
    at = np.unique(np.append(values[np.isfinite(values)], begin))
    share = np.searchsorted(np.sort(values), at, side="right") / len(values)
    return pd.DataFrame({"optimizer": optimizer, along: at, "share": share})
