"""Which optimizer is better across problems, and whether that order is stable (METRICS 6.11)."""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false
# pyright: reportReturnType=false, reportAssignmentType=false, reportCallIssue=false
# pyright: reportOperatorIssue=false, reportOptionalOperand=false

import zlib
from collections.abc import Sequence
from functools import cache
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from .profiles import LIMIT, cells_of
from .rows import LEAST_RUNS, TOO_SMALL, require_complete
from .targets import blocks


class CriticalDifference(NamedTuple):
    """Mean ranks and how far they must lie apart."""

    ranks: pd.Series  #: mean over problems, 1 is best; best first
    difference: float  #: two optimizers differ if their ranks are further apart
    p: float  #: of Friedman's test, that all are alike
    groups: tuple[tuple[str, ...], ...]  #: optimizers that cannot be told apart, as long as possible
    note: str  #: "n too small" for fewer than 5 problems


def holm(p: Sequence[float] | np.ndarray) -> np.ndarray:
    """P values adjusted for many tests, step down: max over j <= i of min(1, (m - j + 1) p_(j)) (Holm 1979): `[m]`."""
    values = np.asarray(p, float)
    order = np.argsort(values, kind="stable")
    scaled = values[order] * np.arange(len(values), 0, -1)
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted


def wilcoxon_holm(costs: pd.DataFrame) -> pd.DataFrame:
    """Wilcoxon's signed-rank test of each pair of optimizers over problems, with Holm's correction.

    Args:
      costs: problems x optimizers, a row for each problem (less is better); inf counts as larger than all others, and
        two misses as a tie. Ties are dropped, as SciPy does.

    Returns:
      first, second, problems, wins (of first), losses, ties, p, p_holm, better (of the two, by the sum of ranks),
      note ("n too small" for fewer than 5 problems: no p).
    """
    cells = _one_of_each(costs)
    rows = []
    for i, j in combinations(range(cells.shape[1]), 2):
        away = _differences(cells[:, i], cells[:, j])
        wins, losses = int((away < 0).sum()), int((away > 0).sum())
        p, better = np.nan, ""
        if len(away) >= LEAST_RUNS:
            apart = away[away != 0]
            p = _signed_rank_p(apart)
            ranks = stats.rankdata(np.abs(apart)) * np.sign(apart)
            better = "" if ranks.sum() == 0 else str(costs.columns[i if ranks.sum() < 0 else j])
        rows.append((str(costs.columns[i]), str(costs.columns[j]), len(away), wins, losses, p, better))
    table = pd.DataFrame(rows, columns=["first", "second", "problems", "wins", "losses", "p", "better"])
    table.insert(5, "ties", table.problems - table.wins - table.losses)
    table.insert(7, "p_holm", holm(table.p) if table.p.notna().all() else np.nan)
    return table.assign(note=np.where(table.p.isna(), TOO_SMALL, ""))


def _signed_rank_p(away: np.ndarray) -> float:
    """Two-sided p of differences, none of them 0. SciPy's; for few with ties, where it takes a second, the same law.

    Under the null each rank is as likely in the sum as not: the law of the sum is a product of (1 + z^rank) / 2.
    """
    size = np.abs(away)
    if not len(away):
        return 1.0
    if len(np.unique(size)) == len(size) or len(size) > 50:
        return float(stats.wilcoxon(away).pvalue)
    doubled = np.rint(2 * stats.rankdata(size)).astype(int)  # mid-ranks are whole or half
    law = np.ones(1)
    for rank in doubled:
        law = np.pad(law, (0, rank)) / 2 + np.pad(law, (rank, 0)) / 2
    w = doubled[away > 0].sum()
    return float(min(1.0, 2 * min(law[: w + 1].sum(), law[w:].sum())))


def _one_of_each(costs: pd.DataFrame) -> np.ndarray:
    """The costs as an array; tests count each problem once, as its targets are no independent evidence."""
    names = costs.index.get_level_values(0)
    if not names.is_unique:
        raise ValueError(
            f"problem {names[names.duplicated()][0]!r} has several rows, and they are no independent evidence; "
            "choose one target: typical(times, target)"
        )
    return cells_of(costs)


def _differences(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a - b, two misses as 0, a miss against a hit as more than any finite difference."""
    finite = np.isfinite(a) & np.isfinite(b)
    away = np.where(finite, np.where(finite, a, 0) - np.where(finite, b, 0), 0.0)
    beyond = 2 * np.abs(away).max(initial=0) + 1
    return np.where(finite, away, beyond * (np.isinf(a).astype(float) - np.isinf(b)))


def critical_difference(costs: pd.DataFrame, *, alpha: float = 0.05) -> CriticalDifference:
    """Mean ranks with Nemenyi's critical difference q sqrt(k (k + 1) / (6 N)) (Demsar 2006, section 3.2.2).

    q is the quantile of the studentized range of k means with infinite freedom, by sqrt 2. `costs` are problems x
    optimizers, less is better; ties share their mean rank. Raises ValueError for fewer than two optimizers.
    """
    cells = _one_of_each(costs)
    n, k = cells.shape
    if k < 2:
        raise ValueError("ranks need at least two optimizers")
    table = stats.rankdata(cells, axis=1)
    q = _studentized_range(1 - alpha, k) / np.sqrt(2)
    difference = float(q * np.sqrt(k * (k + 1) / (6 * n)))
    ranks = pd.Series(table.mean(axis=0), costs.columns.astype(str), name="rank").sort_values(kind="stable")
    p = np.nan
    if k > 2 and n >= LEAST_RUNS:
        p = 1.0 if (table == table[:, :1]).all() else float(stats.friedmanchisquare(*table.T).pvalue)
    groups = []
    for i in range(k):
        alike = ranks.index[(ranks >= ranks.iloc[i]) & (ranks <= ranks.iloc[i] + difference)]
        if len(alike) > 1 and not (groups and set(alike) <= set(groups[-1])):
            groups.append(tuple(alike))
    return CriticalDifference(ranks, difference, p, tuple(groups), "" if n >= LEAST_RUNS else TOO_SMALL)


@cache
def _studentized_range(level: float, k: int) -> float:
    """The quantile takes SciPy 0.1 s."""
    return float(stats.studentized_range.ppf(level, k, np.inf))


def rank_stability(
    times: pd.DataFrame,
    *,
    targets: Sequence[float] | None = None,
    budgets: Sequence[float] = (np.inf,),
    draws: int = 50,
    limit: float = LIMIT,
    seed: int = 0,
) -> pd.DataFrame:
    """How often each order of two optimizers holds: over bootstrap x target x budget x left-out optimizer.

    In each replicate runs are drawn anew within each problem, medians taken at one target, costs beyond the budget
    are misses, one other optimizer (or none) is left out, and the two are compared by AlgoPerf's score: the ratios,
    and so the order, may hang on who else is there.

    Args:
      times: from `runtimes`, with the same targets on all problems.
      targets: those to look at; by default all.
      budgets: caps on the cost, in its unit.
      draws: bootstrap replicates.
      limit: ratio at which the score ends.
      seed: of the bootstrap.

    Returns:
      optimizers x optimizers: the share of replicates in which the row's is better than the column's, ties half.
    """
    require_complete(times)
    if targets is not None:
        times = times[np.isclose(times.target.to_numpy()[:, None], np.asarray(targets, float), rtol=1e-9).any(axis=1)]
    if times.empty:
        raise ValueError("none of these targets is in the table")
    medians, names = _drawn_medians(times, draws, seed)
    size = len(names)
    won, of = np.zeros((size, size)), np.zeros((size, size))
    for budget in budgets:
        capped = np.where(medians <= budget, medians, np.inf)
        for out in range(-1, size if size > 2 else 0):
            stay = [s for s in range(size) if s != out]
            score = _scores(capped[..., stay], limit)
            ahead = (np.sign(score[..., :, None] - score[..., None, :]) + 1) / 2
            won[np.ix_(stay, stay)] += ahead.sum(axis=(0, 1))
            of[np.ix_(stay, stay)] += ahead.shape[0] * ahead.shape[1]
    share = np.where(np.eye(size, dtype=bool), np.nan, won / of)
    return pd.DataFrame(share, pd.Index(names, name="optimizer"), pd.Index(names, name="than"))


def _drawn_medians(times: pd.DataFrame, draws: int, seed: int) -> tuple[np.ndarray, list[str]]:
    """Bootstrapped median runtimes: `[draws, K, P, S]`, and the optimizers."""
    found, problems, names = {}, set(), set()
    for block in blocks(times):
        rng = np.random.default_rng([seed, zlib.crc32(block.problem.encode())])
        chosen = rng.integers(0, len(block.runtime), (draws, len(block.runtime)))
        found[block.problem, block.optimizer] = np.median(block.runtime[chosen], axis=1)
        problems.add(block.problem)
        names.add(block.optimizer)
    if len({cell.shape for cell in found.values()}) > 1:
        raise ValueError("every problem must have the same number of targets")
    order = sorted(names)
    rows = [np.stack([found[p, o] for o in order], axis=-1) for p in sorted(problems)]
    return np.stack(rows, axis=2), order


def _scores(costs: np.ndarray, limit: float) -> np.ndarray:
    """AlgoPerf's score in closed form, 1 added where a cost is 0: `[..., P, S]` -> `[..., S]`."""
    costs = costs + (costs == 0).any(axis=(-2, -1), keepdims=True)
    least = costs.min(axis=-1, keepdims=True)
    solved = np.isfinite(least)
    r = np.where(solved, costs / np.where(solved, least, 1), limit)
    return ((limit - np.minimum(r, limit)) / (limit - 1)).mean(axis=-2)
