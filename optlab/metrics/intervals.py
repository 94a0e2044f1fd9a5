"""How sure a number is: interquartile means, bootstrap and Wilson intervals, comparisons of two (METRICS 6.11).

Scores are frames with a row for each run: problem, optimizer, seed and one column that is judged.
"""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false
# pyright: reportReturnType=false, reportAssignmentType=false, reportCallIssue=false
# pyright: reportOperatorIssue=false, reportOptionalOperand=false

import zlib
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import special, stats

from .rows import LEAST_RUNS, TOO_SMALL, need, numbers, one_of, require_complete

DRAWS = 5000
SIGMAS = 3.09  #: of the claim rule, one-sided p = 0.001

#: Which order statistics of n are averaged, from the first to before the last.
SPANS: dict[str, Callable[[int], tuple[int, int]]] = {
    "iqm": lambda n: (n // 4, n - n // 4),
    "mean": lambda n: (0, n),
    "median": lambda n: ((n - 1) // 2, n // 2 + 1),
}


class Claim(NamedTuple):
    """Whether a difference may be stated."""

    holds: bool
    statistic: float  #: the difference in units of its standard error
    needed: float  #: what it must reach
    note: str  #: "n too small" where no claim is possible


def interquartile_mean(values: np.ndarray) -> np.ndarray:
    """Mean of the middle half of the last axis, a 25 % trimmed mean: `[..., N]` -> `[...]` (Agarwal et al. 2021)."""
    return stats.trim_mean(values, 0.25, axis=-1)


def interquartile_means(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """The same of each group at once: values `[N]`, groups 0, 1, ... of them `[N]` -> `[groups]`."""
    ordered = values[np.lexsort((values, group))]
    size = np.bincount(group)
    place = np.arange(len(values)) - np.repeat(np.cumsum(size) - size, size)
    low, high = (np.repeat(edge, size) for edge in (size // 4, size - size // 4))
    middle = (place >= low) & (place < high)
    kept = np.repeat(np.arange(len(size)), size)[middle]
    return np.bincount(kept, ordered[middle], minlength=len(size)) / (size - 2 * (size // 4))


def normalized(scores: pd.DataFrame, column: str, low: pd.Series, high: pd.Series) -> pd.DataFrame:
    """The column as (score - low_p) / (high_p - low_p), with `low` and `high` by problem: to pool problems.

    What has a common scale already (digits, anytime area) needs none. Raises ValueError where high equals low.
    """
    need(scores, "problem", column)
    least, most = (bound.reindex(scores.problem).to_numpy(float) for bound in (low, high))
    flat = ~(np.abs(most - least) > 0)
    if flat.any():
        raise ValueError(f"problem {scores.problem.iloc[int(np.argmax(flat))]!r} has no range of scores")
    return scores.assign(**{column: (numbers(scores[column]) - least) / (most - least)})


def intervals(
    scores: pd.DataFrame,
    column: str,
    *,
    statistic: str = "iqm",
    resample: str = "runs",
    draws: int = DRAWS,
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """A pooled score of each optimizer with its stratified percentile bootstrap interval.

    Args:
      scores: a row for each run, all optimizers on the same problems.
      column: what is judged; infinite scores are allowed for medians only.
      statistic: "iqm", "mean" or "median" of all runs of all problems.
      resample: "runs" within each problem, problems fixed (how sure on these problems), or "problems" too (how
        sure on others like them).
      draws, level: of the bootstrap.
      seed: of the bootstrap, the same draws for all optimizers.

    Returns:
      optimizer, score, low, high, problems, runs (fewest on any problem), note ("n too small" and no interval for
      fewer than 5).
    """
    need(scores, "problem", "optimizer", column)
    span = SPANS[one_of("statistic", statistic, SPANS)]
    one_of("mode of resampling", resample, ("runs", "problems"))
    require_complete(scores)
    parts = {str(optimizer): strata(part, column) for optimizer, part in scores.groupby("optimizer")}
    for optimizer, (values, _) in parts.items():
        if not np.isfinite(values).all() and (statistic != "median" or np.isnan(values).any()):
            raise ValueError(f"{column!r} of {optimizer!r} is not finite everywhere; only a median bears infinities")
    by_sizes: dict[tuple[int, ...], list[str]] = {}
    for optimizer, (_, sizes) in parts.items():
        by_sizes.setdefault(tuple(sizes), []).append(optimizer)
    drawn: dict[str, list[np.ndarray]] = {optimizer: [] for optimizer in parts}
    for sizes, members in by_sizes.items():
        if min(sizes) >= LEAST_RUNS:
            rng = np.random.default_rng(seed)
            for counts in resampled(np.array(sizes), draws, rng, resample):
                for optimizer in members:
                    drawn[optimizer].append(middle_means(parts[optimizer][0], counts, span))
    rows = []
    for optimizer, (values, sizes) in parts.items():
        score = float(middle_means(values, np.ones((1, len(values)), int), span)[0])
        low = high = np.nan
        if drawn[optimizer]:
            limits = [(1 - level) / 2, (1 + level) / 2]
            low, high = np.quantile(np.concatenate(drawn[optimizer]), limits, method="inverted_cdf")
        note = "" if sizes.min() >= LEAST_RUNS else TOO_SMALL
        rows.append((optimizer, score, low, high, len(sizes), int(sizes.min()), note))
    return pd.DataFrame(rows, columns=["optimizer", "score", "low", "high", "problems", "runs", "note"])


def strata(part: pd.DataFrame, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Values in the order of problems (and seeds, so that rows may come in any order), and how many each has."""
    problem = pd.factorize(part.problem, sort=True)[0]
    values = numbers(part[column])
    keys = (values, numbers(part.seed), problem) if "seed" in part else (values, problem)
    return values[np.lexsort(keys)], np.bincount(problem)


def resampled(sizes: np.ndarray, draws: int, rng: np.random.Generator, mode: str = "runs") -> Iterator[np.ndarray]:
    """How often each run is in each replicate of a stratified bootstrap, in parts that fit the cache: `[B, N]`.

    Of mode "problems" each stratum is replaced by a random one before runs are drawn, and keeps its number of runs.
    """
    total = int(sizes.sum())
    begin = np.cumsum(sizes) - sizes
    stratum = np.repeat(np.arange(len(sizes)), sizes)
    part = max(1, min(draws, 100_000 // total))
    for done in range(0, draws, part):
        size = min(part, draws - done)
        chosen = stratum
        if mode == "problems":
            chosen = rng.integers(0, len(sizes), (size, len(sizes)))[:, stratum]
        drawn = begin[chosen] + (rng.random((size, total)) * sizes[chosen]).astype(np.intp)
        drawn += total * np.arange(size)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * total).astype(np.int32).reshape(size, total)


def drawn_counts(n: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """How often each of n runs is in each replicate of a bootstrap: `[draws, n]`."""
    return (
        next(resampled(np.array([n]), draws, rng))
        if draws * n <= 100_000
        else np.concatenate(list(resampled(np.array([n]), draws, rng)))
    )


def middle_means(values: np.ndarray, counts: np.ndarray, span: Callable[[int], tuple[int, int]]) -> np.ndarray:
    """Mean of the order statistics in `span` of replicates in which a value is there so many times: `[B]`.

    Args:
      values: `[N]`; infinities may be among them.
      counts: `[B, N]`.
      span: number of runs -> first and last order statistic, see `SPANS`.
    """
    order = np.argsort(values, kind="stable")
    low, high = span(int(counts[0].sum()))
    inside = np.cumsum(counts[:, order], axis=1, dtype=counts.dtype)
    np.clip(inside, low, high, out=inside)
    weight = np.diff(inside, axis=1, prepend=counts.dtype.type(low))
    ordered = values[order]
    finite = np.isfinite(ordered)
    known = np.where(finite, ordered, 0.0) / (high - low)
    means = np.einsum("bi,i->b", weight, known)  # no threads for so little
    for at in np.flatnonzero(~finite):
        means = np.where(weight[:, at] > 0, ordered[at], means)
    return means


def wilson(hits: np.ndarray, n: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval of a rate: low and high, of the shape of `hits` and `n` (Wilson 1927; Brown et al. 2001).

    (p + z^2/2n -+ z sqrt(p (1 - p)/n + z^2/4n^2)) / (1 + z^2/n). Raises ValueError for hits outside [0, n] or n < 1.
    """
    k, n = np.asarray(hits, float), np.asarray(n, float)
    if not ((k >= 0) & (k <= n) & (n >= 1)).all():
        raise ValueError("hits must lie between 0 and n, and n must be at least 1")
    p, z = k / n, special.ndtri((1 + level) / 2)
    half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    low, high = ((p + z**2 / (2 * n) + side) / (1 + z**2 / n) for side in (-half, half))
    # Rounding may leave 1e-17 where the formula has exactly 0 or 1.
    return np.where(k == 0, 0.0, low), np.where(k == n, 1.0, high)


def probability_of_improvement(
    scores: pd.DataFrame,
    column: str,
    *,
    goal: str = "max",
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """P(first better than second) = mean over problems of U / (n m), ties 1/2 (Mann-Whitney; Agarwal et al. 2021).

    Args:
      scores, column: as in `intervals`; infinite scores are allowed.
      goal: "max" where more is better, "min" for losses and runtimes.
      draws: of the bootstrap over runs within each problem, 0 for none; `level` and `seed` are its own.

    Returns:
      A row for each pair, once: first, second, probability, low, high, note ("n too small" and no interval for fewer
      than 5 runs). Of the other way round it is 1 - probability.
    """
    one_of("goal", goal, ("min", "max"))
    need(scores, "problem", "optimizer", column)
    require_complete(scores)
    names = sorted(scores.optimizer.unique())
    if len(names) < 2:
        raise ValueError("a comparison needs at least two optimizers")
    pairs = list(combinations(names, 2))
    point, drawn = np.zeros(len(pairs)), np.zeros((len(pairs), draws))
    least = dict.fromkeys(names, np.inf)
    for problem, part in scores.groupby("problem"):
        values, counts, below = {}, {}, {}
        for name, rows in part.groupby("optimizer"):
            values[name] = np.sort(numbers(rows[column]) * (1 if goal == "max" else -1))
            n = len(values[name])
            least[name] = min(least[name], n)
            key = [seed, zlib.crc32(str(problem).encode()), zlib.crc32(str(name).encode())]
            again = drawn_counts(n, draws, np.random.default_rng(key)) if draws else np.zeros((0, n))
            counts[name] = np.vstack([np.ones(n), again]).T.astype(np.float32)  # whole numbers, exact
            below[name] = np.vstack([np.zeros(draws + 1, np.float32), np.cumsum(counts[name], axis=0)])
        for k, (first, second) in enumerate(pairs):
            # Of the second's runs in a replicate those below each value of the first, and those not above it.
            less, most = (np.searchsorted(values[second], values[first], side) for side in ("left", "right"))
            wins = ((below[second][less] + below[second][most]) * counts[first]).sum(axis=0)
            shares = wins.astype(float) / (2 * len(values[first]) * len(values[second]))
            point[k] += shares[0]
            drawn[k] += shares[1:]
    count = scores.problem.nunique()
    enough = np.array([min(least[a], least[b]) >= LEAST_RUNS for a, b in pairs])
    table = pd.DataFrame(pairs, columns=["first", "second"]).assign(probability=point / count, low=np.nan, high=np.nan)
    if draws:
        limits = np.quantile(drawn / count, [(1 - level) / 2, (1 + level) / 2], axis=1)
        table[["low", "high"]] = np.where(enough, limits, np.nan).T
    return table.assign(note=np.where(enough, "", TOO_SMALL))


def paired_differences(
    scores: pd.DataFrame, column: str, first: str, second: str, *, level: float = 0.95
) -> pd.DataFrame:
    """first - second over the seeds that both have, as they share starts and batches; by problem.

    problem, n, mean, low, high (Student's t), note ("n too small" for fewer than 5 pairs). Raises ValueError where a
    seed is there twice: name settings first, see `labelled`.
    """
    need(scores, "problem", "optimizer", "seed", column)
    held = scores.optimizer.unique()
    both = scores[scores.optimizer.isin([one_of("optimizer", o, held) for o in (first, second)])]
    if both.duplicated(["problem", "optimizer", "seed"]).any():
        raise ValueError("an optimizer has several runs of one seed on a problem; pairs need one each")
    wide = both.pivot(index=["problem", "seed"], columns="optimizer", values=column).dropna()
    rows = []
    for problem, pair in (wide[first] - wide[second]).groupby("problem"):
        n, low, high = len(pair), np.nan, np.nan
        if n >= LEAST_RUNS:
            half = stats.t.ppf((1 + level) / 2, n - 1) * pair.std(ddof=1) / np.sqrt(n)
            low, high = pair.mean() - half, pair.mean() + half
        rows.append((problem, n, pair.mean(), low, high, "" if n >= LEAST_RUNS else TOO_SMALL))
    return pd.DataFrame(rows, columns=["problem", "n", "mean", "low", "high", "note"])


def pooled_deviation(*groups: np.ndarray) -> float:
    """sqrt(sum of squares within groups / (N - groups)): the spread over seeds, common to all groups."""
    values = [np.asarray(group, float) for group in groups]
    free = sum(len(v) for v in values) - len(values)
    if free < 1:
        raise ValueError("a pooled deviation needs a group of at least two runs")
    return float(np.sqrt(sum(((v - v.mean()) ** 2).sum() for v in values) / free))


def reaches(values: np.ndarray, target: float, *, sigma: float | None = None) -> Claim:
    """Whether a mean is proved to be at most a target: (target - mean) sqrt(n) >= 3.09 sigma (METRICS 6.11).

    `values` are one for each seed, all at the same step; `sigma` the pooled deviation, by default of `values`.
    """
    values = np.asarray(values, float)
    if len(values) < LEAST_RUNS:
        return Claim(False, np.nan, SIGMAS, TOO_SMALL)
    return _claim((target - values.mean()) * np.sqrt(len(values)), pooled_deviation(values), sigma)


def beats(first: np.ndarray, second: np.ndarray, *, goal: str = "min", sigma: float | None = None) -> Claim:
    """Whether a difference of means may be claimed: D / sqrt(1/n1 + 1/n2) >= 3.09 sigma (METRICS 6.11).

    `first` and `second` are one value for each seed, all at the same step; less is better unless goal is "max".
    """
    one_of("goal", goal, ("min", "max"))
    a, b = np.asarray(first, float), np.asarray(second, float)
    if min(len(a), len(b)) < LEAST_RUNS:
        return Claim(False, np.nan, SIGMAS, TOO_SMALL)
    lead = (b.mean() - a.mean()) * (1 if goal == "min" else -1)
    return _claim(lead / np.sqrt(1 / len(a) + 1 / len(b)), pooled_deviation(a, b), sigma)


def _claim(lead: float, spread: float, sigma: float | None) -> Claim:
    sigma = spread if sigma is None else sigma
    if not sigma >= 0:
        raise ValueError(f"sigma must be a number of at least 0, not {sigma!r}")
    in_sigmas = lead / sigma if sigma else np.inf * np.sign(lead) if lead else 0.0
    return Claim(bool(in_sigmas >= SIGMAS), float(in_sigmas), SIGMAS, "")
