"""How near a run came, and how soon: digits, relative errors, anytime area (METRICS 6.7, 6.8)."""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false
# pyright: reportReturnType=false, reportAssignmentType=false, reportCallIssue=false
# pyright: reportOperatorIssue=false, reportOptionalOperand=false

import numpy as np
import pandas as pd

from optlab.table import Results

from .costs import Weights, cost
from .rows import distinct, initial, lanes, need, numbers, require_gaps

MOST_DIGITS = 16  #: what double precision can tell
CERTIFIED = 11  #: digits that NIST certifies
SOLVED = 4  #: digits from which a NIST set counts as solved (Ceres)
LEAST, MOST = -8.0, 2.0  #: log10 of the gaps between which anytime quality falls from 1 to 0


def digits(results: Results) -> pd.DataFrame:
    """Digits gained by each run: clip(-log10(gap_end / (f(x0) - f*)), 0, 16) (METRICS 6.7).

    Both gaps are of the best so far, so that a run that diverged after a good point keeps its digits; a failed run
    has 0. One that began at the minimum has 16. Columns: run_id, problem, optimizer, seed, digits. Raises
    ValueError where a minimum is not known, see `with_gaps`.
    """
    runs = distinct(results.runs)
    require_gaps(runs)
    begin = initial(results.curves, "gap").reindex(runs.run_id).to_numpy()
    end = numbers(runs.gap)
    with np.errstate(divide="ignore", invalid="ignore"):
        gained = np.where(end <= 0, np.inf, np.log10(begin) - np.log10(np.maximum(end, 0)))
    gained = np.clip(np.nan_to_num(gained, nan=0.0, posinf=MOST_DIGITS), 0, MOST_DIGITS)
    columns = [c for c in ("run_id", "problem", "optimizer", "seed") if c in runs]
    return runs[columns].assign(digits=gained)


def relative_error_digits(estimate: np.ndarray, certified: np.ndarray) -> np.ndarray:
    """LRE = min over i of clip(-log10(|b_i - c_i| / |c_i|), 0, 11), digits shared with certified values: `[...]`.

    For c_i = 0 the error itself counts. `SOLVED` digits are taken for solved (METRICS 6.7; McCullough 1998).

    Args:
      estimate: `[..., p]`.
      certified: `[p]`.
    """
    found, known = np.asarray(estimate, float), np.asarray(certified, float)
    if found.shape[-1:] != known.shape:
        raise ValueError(f"there are {known.size} certified values and {found.shape[-1:]} estimates")
    with np.errstate(divide="ignore"):
        shared = -np.log10(np.abs(found - known) / np.where(known == 0, 1.0, np.abs(known)))
    return np.clip(np.nan_to_num(shared, nan=0.0, posinf=CERTIFIED), 0, CERTIFIED).min(axis=-1)


def anytime_area(
    results: Results,
    *,
    axis: str = "evaluations",
    weights: Weights | None = None,
    low: float | None = None,
    high: float | None = None,
) -> pd.DataFrame:
    """AOCC: mean over log-spaced costs in [low, high] of 1 - (clip(log10 gap, -8, 2) + 8) / 10 (METRICS 6.8).

    The limit of ever finer spacing: the gap is constant between recorded steps, so that the integral over log cost is
    a sum. Before its first record a run has quality 0, after its end it keeps its last gap.

    Args:
      results: the tables; the gap must be known, see `with_gaps`.
      axis, weights: as in `cost`.
      low, high: by default the first cost recorded (1 if that is 0) and the largest cost of any run of the problem,
        so that all optimizers share a range.

    Returns:
      run_id, problem, optimizer, seed, area (0 to 1).
    """
    runs = distinct(results.runs)
    require_gaps(runs)
    found = lanes(results.curves, runs)
    need(found.rows, "gap")
    gap = numbers(found.rows.gap)
    with np.errstate(divide="ignore"):
        quality = 1 - (np.clip(np.log10(np.maximum(np.nan_to_num(gap, nan=np.inf), 0)), LEAST, MOST) - LEAST) / 10
    paid = cost(found.rows, axis, weights=weights, runs=runs).to_numpy()
    problem = pd.factorize(runs.problem)[0]
    first, last = _range(paid, found.run, problem, low, high)
    begin, end = first[problem], last[problem]
    log = np.log(np.clip(paid, begin[found.run], end[found.run]))
    until = np.append(log[1:], 0.0)
    final = (found.begin + found.length - 1)[found.length > 0]
    until[final] = np.log(end)[found.length > 0]
    whole = np.bincount(found.run, quality * (until - log), minlength=len(runs))
    columns = [c for c in ("run_id", "problem", "optimizer", "seed") if c in runs]
    return runs[columns].assign(area=whole / np.log(end / begin))


def _range(
    paid: np.ndarray, run: np.ndarray, problem: np.ndarray, low: float | None, high: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest cost of each problem: `[P]` both."""
    count = int(problem.max()) + 1
    first, last = np.full(count, np.inf), np.zeros(count)
    np.minimum.at(first, problem[run], np.where(paid > 0, paid, 1.0))
    np.maximum.at(last, problem[run], paid)
    first = np.where(np.isfinite(first), first, 1.0) if low is None else np.full(count, float(low))
    last = last if high is None else np.full(count, float(high))
    if low is None and high is None:
        last = np.maximum(last, first * (1 + 1e-12))  # a single record: its own quality
    if not ((first > 0) & (first < last) & (last < np.inf)).all():
        raise ValueError(f"the range of costs must satisfy 0 < low < high, not {low!r}, {high!r}")
    return first, last
