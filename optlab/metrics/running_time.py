"""Expected running time and runtime distributions: what restarting until success costs (METRICS 6.3, 6.4).

Every function takes the frame that `runtimes` and `relative_runtimes` return.
"""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false
# pyright: reportReturnType=false, reportAssignmentType=false, reportCallIssue=false
# pyright: reportOperatorIssue=false, reportOptionalOperand=false

import zlib
from collections.abc import Mapping

import numpy as np
import pandas as pd

from .intervals import drawn_counts, wilson
from .rows import LEAST_RUNS, TOO_SMALL, need, require_complete
from .targets import Block, blocks

DRAWS = 100  #: simulated restarts of each problem and target


def expected_running_time(
    times: pd.DataFrame, *, draws: int = 1000, level: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    """ERT = sum over runs of min(RT, T) / n_hit, what a run with restarts costs on average (METRICS 6.3).

    Equal to the mean runtime of hits + (1 - p)/p times the mean cost of misses; infinite without a hit.

    Args:
      times: from `runtimes`.
      draws: of the bootstrap over runs; 0 for none.
      level: of both intervals.
      seed: of the bootstrap; the same draws for all optimizers on a problem.

    Returns:
      A row for each problem, optimizer and target: n, hits, success_rate, success_low, success_high (Wilson), ert,
      low, high (percentiles), note ("n too small" and no interval for fewer than 5 runs).
    """
    parts = {"problem": [], "optimizer": [], "target": [], "n": [], "hits": [], "ert": [], "low": [], "high": []}
    for block in blocks(times):
        rungs = len(block.targets)
        found = {"problem": [block.problem] * rungs, "optimizer": [block.optimizer] * rungs, "target": block.targets}
        found |= {"n": np.full(rungs, len(block.runtime))} | _expected(block, draws, level, seed)
        for column, values in found.items():
            parts[column].append(values)
    table = pd.DataFrame({column: np.concatenate(values) for column, values in parts.items()})
    table.insert(5, "success_rate", table.hits / table.n)
    table["note"] = np.where(table.n >= LEAST_RUNS, "", TOO_SMALL)
    low, high = wilson(table.hits.to_numpy(), table.n.to_numpy(), level)
    table.insert(6, "success_low", low)
    table.insert(7, "success_high", high)
    return table


def _expected(block: Block, draws: int, level: float, seed: int) -> dict[str, np.ndarray]:
    hit = np.isfinite(block.runtime)
    paid = np.where(hit, block.runtime, block.spent[:, None])
    n, hits = len(hit), hit.sum(axis=0)
    ert = np.where(hits > 0, paid.sum(axis=0) / np.maximum(hits, 1), np.inf)
    if not draws or n < LEAST_RUNS:
        none = np.full(len(hits), np.nan)
        return {"hits": hits, "ert": ert, "low": none, "high": none}
    rng = np.random.default_rng([seed, zlib.crc32(block.problem.encode())])
    times_drawn = drawn_counts(n, draws, rng).astype(float)
    some = hits > 0  # without a hit every replicate is infinite
    # Not a product of matrices: BLAS would start threads for so little, and lose on a busy machine.
    count, total = (np.einsum("bi,ik->kb", times_drawn, part[:, some]) for part in (hit.astype(float), paid))
    again = np.where(count > 0, total / np.where(count > 0, count, 1), np.inf)
    # Between a finite and an infinite draw nothing can be interpolated: an order statistic each.
    tail = int((1 - level) / 2 * (draws - 1))
    ordered = np.partition(again, (tail, draws - 1 - tail), axis=1)
    low, high = np.full(len(hits), np.inf), np.full(len(hits), np.inf)
    low[some], high[some] = ordered[:, tail], ordered[:, draws - 1 - tail]
    return {"hits": hits, "ert": ert, "low": low, "high": high}


def simulated_restarts(runtime: np.ndarray, spent: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Costs of restarting until a hit: runs are drawn with replacement, misses add their whole cost (METRICS 6.4).

    The number of misses before the hit is geometric, and given it, hit and misses are drawn uniformly from theirs:
    the same distribution without a loop over restarts.

    Args:
      runtime: inf where a run missed a target: `[n, K]`.
      spent: the whole cost of each run: `[n]`.
      draws: how many costs for each target.
      rng: a generator.

    Returns:
      `[K, draws]`, infinite for targets that no run hit.
    """
    hit = np.isfinite(runtime).T
    count, n = hit.shape
    hits = hit.sum(axis=1)
    order = np.argsort(~hit, axis=1, kind="stable")  # hits first
    last = (rng.random((count, draws)) * hits[:, None]).astype(int)
    chosen = np.take_along_axis(order, np.minimum(last, n - 1), axis=1)
    cost = np.take_along_axis(runtime.T, chosen, axis=1)
    misses = rng.geometric(np.maximum(hits, 1) / n, size=(draws, count)).T - 1
    misses[hits == 0] = 0
    row = np.repeat(np.repeat(np.arange(count), draws), misses.ravel())
    at = hits[row] + (rng.random(len(row)) * (n - hits[row])).astype(int)
    lane = np.repeat(np.arange(count * draws), misses.ravel())
    wasted = np.bincount(lane, spent[order[row, at]], minlength=count * draws)
    return np.where(hits[:, None] > 0, cost + wasted.reshape(count, draws), np.inf)


def runtime_ecdf(
    times: pd.DataFrame,
    *,
    dimensions: Mapping[str, float] | pd.Series | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> pd.DataFrame:
    """COCO's runtime distribution: the share of (problem, target, draw) solved within a cost (METRICS 6.4).

    Args:
      times: from `runtimes`; all optimizers on the same problems.
      dimensions: by problem; costs are divided by it (see `optlab.metrics.dimensions`). None: not divided.
      draws: simulated restarts of each problem and target.
      seed: of the draws; an optimizer's do not depend on which others are in the table.

    Returns:
      A row for each step of each optimizer's curve: optimizer, cost, share (right-continuous, up to that of the
      targets that any of its runs hit). Right of `median_budget` restarts are simulated only.
    """
    require_complete(times)
    costs: dict[str, list[np.ndarray]] = {}
    for block in blocks(times):
        rng = np.random.default_rng([seed, zlib.crc32(block.problem.encode())])
        found = simulated_restarts(block.runtime, block.spent, draws, rng)
        costs.setdefault(block.optimizer, []).append((found / _dimension(dimensions, block.problem)).ravel())
    frames = []
    for optimizer, parts in costs.items():
        every = np.concatenate(parts)
        cost, count = np.unique(every[np.isfinite(every)], return_counts=True)
        frames.append(pd.DataFrame({"optimizer": optimizer, "cost": cost, "share": np.cumsum(count) / len(every)}))
        if not len(cost):  # solved nothing: a curve all the same
            frames[-1] = pd.DataFrame({"optimizer": [optimizer], "cost": [np.inf], "share": [0.0]})
    return pd.concat(frames, ignore_index=True)


def median_budget(times: pd.DataFrame, *, dimensions: Mapping[str, float] | pd.Series | None = None) -> pd.Series:
    """The median of what the runs of each optimizer cost (by dimension): the cross on its ECDF; by optimizer."""
    each = times.drop_duplicates(["run_id", "problem", "optimizer"])
    by = each.problem.map(lambda problem: _dimension(dimensions, problem)).to_numpy(float)
    return (each.spent / by).groupby(each.optimizer).median()


def log_auc(ecdf: pd.DataFrame, low: float, high: float) -> pd.Series:
    """Mean height of each curve over log10(cost) in [low, high], from 0 to 1; one less it is the area above.

    (1 / log10(high/low)) times the integral of y d(log10 c), exact for a step curve. Takes what `runtime_ecdf` or
    a profile returns (`cost` or `ratio`, `share`). Raises ValueError unless 0 < low < high.
    """
    if not 0 < low < high < np.inf:
        raise ValueError(f"the range of costs must satisfy 0 < low < high, not {low!r}, {high!r}")
    along = "cost" if "cost" in ecdf else "ratio"
    need(ecdf, "optimizer", along, "share")
    areas = {}
    for optimizer, curve in ecdf.groupby("optimizer"):
        at = np.clip(curve[along].to_numpy(float), low, high)
        rise = np.diff(curve.share.to_numpy(float), prepend=0.0)
        areas[optimizer] = float(np.sum(rise * np.log(high / at)) / np.log(high / low))
    return pd.Series(areas, name="log_auc").rename_axis("optimizer")


def _dimension(dimensions: Mapping[str, float] | pd.Series | None, problem: str) -> float:
    if dimensions is None:
        return 1.0
    found = dimensions.get(problem, np.nan)
    if not found >= 1:
        raise ValueError(f"the dimension of problem {problem!r} is not known; it must be at least 1, not {found!r}")
    return float(found)
