"""What tuning costs, and a comparison that says how it was tuned (METRICS 6.10, issue 8.6).

Seeds that choose a setting must not score it: the best of many noisy results is too good by chance.
"""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false
# pyright: reportReturnType=false, reportAssignmentType=false, reportCallIssue=false
# pyright: reportOperatorIssue=false, reportOptionalOperand=false

import zlib
from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
from scipy import special

from .intervals import interquartile_means
from .rows import LEAST_RUNS, TOO_SMALL, distinct, need, numbers, one_of, setting_columns
from .sensitivity import Chance, chance_levels, losses


def expected_best(
    scores: Sequence[float] | np.ndarray, *, draws: int = 1000, level: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    """The best of k random trials on average, k = 1..N: sum_i x_(i) C(N - i, k - 1) / C(N, k) (METRICS 6.10).

    The mean over all subsets of k of the N scored settings, drawn without replacement (Dodge et al. 2019 draw with).

    Args:
      scores: one for each setting, less is better, finite (a diverged one has the chance level): `[N]`.
      draws: of the bootstrap over settings, 0 for none; `level` and `seed` are its own.

    Returns:
      A frame with a row for each k: k, expected, low, high, note ("n too small" for fewer than 5 settings).

    Raises:
      ValueError: for no scores, or one that is not finite.
    """
    x = np.asarray(scores, float).ravel()
    rng = np.random.default_rng(seed)
    expected, again = _best_of(x, x, draws if len(x) >= LEAST_RUNS else 0, rng)
    return _curve(expected, again, len(x), level)


def tuning_curves(
    trials: pd.DataFrame, *, by: str = "loss", draws: int = 1000, level: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    """The expected best of k trials of each optimizer, mean over problems: what a tuning budget of k buys.

    E_k = mean over problems of sum_i y_(i) C(N - i, k - 1) / C(N, k), where (i) is the i-th best *by what chooses*
    and y its loss: with a choice by tuning seeds and losses of scoring seeds the curve is not too good by chance (and
    may rise, where the choice is a bad one). Of settings that tie each is chosen as often as the others.

    Args:
      trials: a row for each problem, optimizer and setting: problem, optimizer, loss, and `by`; less is better. Losses
        must have a scale that all problems share.
      by: the column that chooses.
      draws, level, seed: of the bootstrap over settings within each problem, whose band is pointwise.

    Returns:
      optimizer, k (up to the least N of its problems), expected, low, high, note ("n too small" for fewer than 5
      settings on some problem).

    Raises:
      ValueError: for a number that is not finite.
    """
    need(trials, "problem", "optimizer", "loss", by)
    found = []
    for optimizer, part in trials.groupby("optimizer"):
        groups = [(numbers(rows.loss), numbers(rows[by])) for _, rows in part.groupby("problem")]
        least = min(len(y) for y, _ in groups)
        rng = np.random.default_rng([seed, zlib.crc32(str(optimizer).encode())])
        each = [_best_of(y, chooses, draws if least >= LEAST_RUNS else 0, rng) for y, chooses in groups]
        mean, again = (np.mean([one[k][..., :least] for one in each], axis=0) for k in (0, 1))
        found.append(_curve(mean, again, least, level).assign(optimizer=str(optimizer)))
    columns = ["optimizer", "k", "expected", "low", "high", "note"]
    return pd.concat(found, ignore_index=True)[columns]


def _best_of(y: np.ndarray, by: np.ndarray, draws: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Expected y of the best of k = 1..N by `by`, and the same of bootstrapped settings: `[N]`, `[draws, N]`."""
    if not y.size or not (np.isfinite(y).all() and np.isfinite(by).all()):
        raise ValueError("scores must be finite, at least one; give diverged settings the chance level")
    weight = best_of_weights(len(y))
    _, place = np.unique(by, return_inverse=True)
    tied = (np.bincount(place, y) / np.bincount(place))[place]
    ordered = tied[np.argsort(place, kind="stable")]
    # In order already: sorting the drawn places sorts what they stand for.
    drawn = np.sort(rng.integers(0, len(y), (draws, len(y))), axis=1)
    return weight @ ordered, ordered[drawn] @ weight.T


def _curve(expected: np.ndarray, again: np.ndarray, n: int, level: float) -> pd.DataFrame:
    low = high = np.full(n, np.nan)
    if len(again):
        low, high = np.quantile(again, [(1 - level) / 2, (1 + level) / 2], axis=0)
    note = "" if n >= LEAST_RUNS else TOO_SMALL
    return pd.DataFrame({"k": np.arange(1, n + 1), "expected": expected, "low": low, "high": high, "note": note})


def best_of_weights(n: int) -> np.ndarray:
    """P(the best of k of n is the i-th smallest) = C(n - i, k - 1) / C(n, k): `[n, n]`, rows k, columns i from 1."""
    k, i = np.arange(1, n + 1)[:, None], np.arange(1, n + 1)
    rest = np.maximum(n - i - k + 1, 0)  # of C(n - i, k - 1), where it is not 0

    def log_factorial(m):
        return special.gammaln(m + 1.0)

    log = log_factorial(n - i) - log_factorial(k - 1) - log_factorial(rest)
    log -= log_factorial(n) - log_factorial(k) - log_factorial(n - k)
    return np.where(n - i >= k - 1, np.exp(log), 0.0)


def trials_to_reach(table: pd.DataFrame, tolerance: float = 0.05) -> int:
    """The least k whose expected best is within a share of the best of all: E_k - best <= tolerance |best|.

    `table` is that of `expected_best`.
    """
    if not tolerance >= 0:
        raise ValueError(f"the tolerance must be at least 0, not {tolerance!r}")
    best = table.expected.iloc[-1]
    near = table.expected <= best + tolerance * abs(best) + 1e-12 * abs(best)
    return int(table.k[near].min())


def split_seeds(runs: pd.DataFrame, tuning: Collection[int]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Runs whose seeds tune, and those whose seeds score. Raises ValueError where either is empty."""
    need(runs, "seed")
    chooses = runs.seed.isin(list(tuning))
    for part, what in ((chooses, "tuning"), (~chooses, "scoring")):
        if not part.any():
            held = ", ".join(map(str, sorted(runs.seed.unique())))
            raise ValueError(f"no seed is left for {what}; the seeds are {held} and {sorted(tuning)} are for tuning")
    return runs[chooses], runs[~chooses]


def tune(
    runs: pd.DataFrame,
    tuning: Collection[int],
    *,
    chance: Chance,
    measure: str = "value",
    budget: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """The best setting of each optimizer on each problem, by the IQM over the tuning seeds alone.

    Args:
      runs: of all settings and seeds; scoring seeds are not looked at.
      tuning: seeds to choose by.
      chance: what a diverged run counts, see `response`.
      measure: column, less is better.
      budget: how many settings may be tried, drawn at random where there are more; None for all.
      seed: of that draw.

    Returns:
      problem, optimizer, the columns of a setting (``optimizer.*``, schedule, ``schedule.*``), loss (on tuning seeds:
      too good, not to be reported), tried (settings), of (settings there are), edge: the hyperparameters whose best
      value is the least or largest tried (of at least three), joined by commas: then the grid was too small.
    """
    need(runs, "problem", "optimizer", measure)
    if budget is not None and (isinstance(budget, bool) or not isinstance(budget, int) or budget < 1):
        raise ValueError(f"the budget must be a whole number of at least 1, not {budget!r}")
    part = distinct(split_seeds(runs, tuning)[0])
    part = part.assign(loss=losses(part, measure, chance_levels(part, chance)))
    leaves = setting_columns(part)
    # As texts, values of any kind have an order, the same whatever that of the rows.
    keys = [part[c].astype(str) for c in ("problem", "optimizer", *leaves)]
    settings = part.groupby(keys, dropna=False)
    table = part.assign(place=settings.ngroup()).drop_duplicates("place").sort_values("place")
    table["loss"] = interquartile_means(part.loss.to_numpy(), settings.ngroup().to_numpy())
    rows = []
    for (problem, optimizer), group in table.groupby(["problem", "optimizer"]):
        allowed = len(group) if budget is None else min(budget, len(group))
        rng = np.random.default_rng([seed, zlib.crc32(f"{problem}/{optimizer}".encode())])
        tried = group.iloc[np.sort(rng.permutation(len(group))[:allowed])]
        best = tried.loc[tried.loss.idxmin()]
        found = {"problem": problem, "optimizer": optimizer} | {c: best[c] for c in [*leaves, "loss"]}
        rows.append(found | {"tried": allowed, "of": len(group), "edge": ", ".join(_edges(tried, best, leaves))})
    return pd.DataFrame(rows)


def _edges(tried: pd.DataFrame, best: pd.Series, leaves: Sequence[str]) -> list[str]:
    found = []
    for leaf in leaves:
        values = pd.to_numeric(tried[leaf], errors="coerce").dropna()
        is_number = not values.map(lambda v: isinstance(v, bool)).any()
        if is_number and values.nunique() > 2 and best[leaf] in (values.min(), values.max()):
            found.append(leaf.removeprefix("optimizer."))
    return found


def scored(runs: pd.DataFrame, settings: pd.DataFrame, tuning: Collection[int], protocol: str) -> pd.DataFrame:
    """The runs at chosen settings on the scoring seeds, with a column `protocol` ("default", "tuned", "schedule").

    What protocols are compared by: ``pd.concat([scored(runs, defaults, ...), scored(runs, tune(...), ...)])``.

    Args:
      runs: of all settings and seeds.
      settings: from `tune`, or by hand: `optimizer` (and `problem` where settings differ between problems) and
        columns of `runs` with the values asked for; a missing value asks for a missing value.
      tuning: seeds that must not score.
      protocol: the word.

    Raises:
      ValueError: where a setting has no run on a scoring seed.
    """
    need(settings, "optimizer")
    rest = split_seeds(runs, tuning)[1]
    parts = []
    for row in settings.to_dict("records"):
        asked = {c: row[c] for c in setting_columns(settings)}
        for c in asked:
            one_of("column", c, rest.columns)
        here = rest.optimizer == row["optimizer"]
        if "problem" in row:
            here &= rest.problem == row["problem"]
        for column, value in asked.items():
            missing = value is None or value != value
            here &= rest[column].isna() if missing else rest[column] == value
        if not here.any():
            where = f" on {row['problem']!r}" if "problem" in row else ""
            raise ValueError(f"{row['optimizer']!r}{where} has no run with this setting on a scoring seed")
        parts.append(rest[here])
    return pd.concat(parts, ignore_index=True).assign(protocol=protocol)
