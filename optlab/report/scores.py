"""What the figures of scores draw, from a comparison: arguments of their `sheet`, in its order."""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false
# pyright: reportReturnType=false, reportAssignmentType=false, reportCallIssue=false

import numpy as np
import pandas as pd

from optlab import metrics

from .comparison import PROFILED, Comparison, losses, within
from .tuning import trials


def require(comparison: Comparison, *, problems: int = 1) -> None:
    """Raises ValueError unless two optimizers share so many problems: else there is nothing to compare."""
    names = sorted(comparison.scores.optimizer.unique())
    if len(names) < 2:
        raise ValueError(f"a comparison needs at least two optimizers; this folder holds {', '.join(names)}")
    if not comparison.common:
        raise ValueError("no problem was run by all of these optimizers; choose some with optimizers=...")
    if len(comparison.common) < problems:
        raise ValueError(f"this needs {problems} problems that all ran on, and there is {len(comparison.common)}")


def cases(comparison: Comparison) -> pd.DataFrame:
    """Median runtimes to the targets of profiles, problems and targets x optimizers; see `metrics.typical`."""
    times = comparison.shared(comparison.times)
    wanted = np.isclose(times.target.to_numpy()[:, None], np.array(PROFILED), rtol=1e-9).any(axis=1)
    return metrics.typical(times[wanted])


def board(comparison: Comparison) -> tuple[pd.DataFrame, str, str]:
    """Table of pooled scores, what they are, how."""
    require(comparison)
    table = metrics.intervals(comparison.shared(comparison.scores), "score")
    name = {True: "anytime area", False: "share of the way to the best value known"}[comparison.known]
    runs = int(table.runs.min())
    band = "95% bootstrap interval" if table.low.notna().any() else f"no intervals: {metrics.TOO_SMALL} ({runs})"
    return table, f"{name} (interquartile mean)", f"{len(comparison.common)} problems; {band}"


def profiles(comparison: Comparison) -> tuple[pd.DataFrame, pd.Series, str, str]:
    """Profile, score that orders it, unit of cost, words."""
    require(comparison)
    costs = cases(comparison)
    goals = "gaps 1e-1 to 1e-7" if comparison.known else "targets 1e-1 to 1e-7 of the way"
    what = f"{len(costs)} cases: {len(comparison.common)} problems, {goals}; median runs"
    return metrics.performance_profile(costs), metrics.algoperf_score(costs), comparison.unit, what


def distributions(comparison: Comparison) -> tuple[pd.DataFrame, pd.Series, str, str]:
    """Distribution, median budgets, unit of cost, words."""
    require(comparison)
    times = comparison.shared(comparison.times)
    size = metrics.dimensions(comparison.chosen.runs, comparison.chosen.curves).reindex(comparison.common)
    # A step or a second is not had once for each dimension
    by = size if (size >= 1).all() and comparison.axis in ("evaluations", "oracle") else None
    unit = f"{comparison.unit}{' / dimension' if by is not None else ''}, restarts simulated"
    count = times.target.nunique()
    what = f"{len(comparison.common)} problems x {count} targets; right of the cross restarts only"
    return metrics.runtime_ecdf(times, dimensions=by), metrics.median_budget(times, dimensions=by), unit, what


def data_profiles(comparison: Comparison, axis: str | None = None) -> tuple[pd.DataFrame, pd.Series, str, str]:
    """Data profile, area that orders it, unit of cost, words: in simplex gradients, of the oracle cost in gradients.

    Along the comparison's own axis if none is given. Targets are those of More and Wild, known minimum or not.
    """
    require(comparison)
    axis = comparison.axis if axis is None else axis
    if axis not in ("evaluations", "oracle"):
        raise ValueError(f"a data profile counts evaluations or oracle cost, not {axis}")
    stored = comparison.stored
    times = stored._replace(runs=comparison.shared(stored.runs))
    times = metrics.relative_runtimes(times, axis=axis)
    costs = metrics.typical(times[within(times.run_id, comparison.chosen.runs.run_id)])
    if axis == "oracle":
        profile, unit = metrics.gradient_profile(costs), "gradients (oracle cost of one)"
    else:
        size = metrics.dimensions(comparison.chosen.runs, comparison.chosen.curves)
        profile, unit = metrics.data_profile(costs, size), "simplex gradients (n + 1 evaluations)"
    finite = profile.cost[np.isfinite(profile.cost) & (profile.cost > 0)]
    if finite.empty:
        raise ValueError("no optimizer solved a single case")
    area = metrics.log_auc(profile, float(finite.min()) / 1.2, float(finite.max()) * 1.2)
    what = f"{len(costs)} cases: {len(comparison.common)} problems, 1e-1 to 1e-7 of the way left; median runs"
    return profile, area, unit, what


def tuning_curves(comparison: Comparison) -> tuple[pd.DataFrame, str, str]:
    """Expected score of the best of k trials, what the score is, how."""
    if not comparison.tuned:
        raise ValueError("a tuning curve needs an optimizer that ran at two settings or more")
    if not comparison.common:
        raise ValueError("no problem was run by all of these optimizers; choose some with optimizers=...")
    found = metrics.tuning_curves(trials(comparison), by="chosen_by")
    # Losses are 1 - score: the ends of the band change places.
    curves = found.assign(expected=1 - found.expected, low=1 - found.high, high=1 - found.low)
    how = "other repeats choose than score" if comparison.apart else "the same runs choose and score"
    count = len(comparison.common)
    return curves, comparison.judged, f"mean over {count} problem{'s' * (count > 1)}; {how}; band: 95% of settings"


def digits(comparison: Comparison) -> pd.DataFrame | None:
    """Interquartile mean and interval of digits gained (`metrics.digits`) by optimizer; None for an unknown minimum.

    Digits of a distance from the best run would be infinitely many for that run.
    """
    if not comparison.known:
        return None
    found = comparison.shared(metrics.digits(comparison.chosen))
    return metrics.intervals(found, "digits").set_index("optimizer")


def ranks(comparison: Comparison) -> tuple[metrics.CriticalDifference, int]:
    """Mean ranks by score, and over how many problems."""
    require(comparison, problems=2)
    return metrics.critical_difference(losses(comparison)), len(comparison.common)
