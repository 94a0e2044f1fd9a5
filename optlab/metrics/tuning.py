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
from .rows import LEAST_RUNS, TOO_SMALL, distinct, lost, need, numbers, one_of
from .sensitivity import Chance, chance_levels

PREFIX = "optimizer."


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
    x = np.sort(np.asarray(scores, float).ravel())
    if not x.size or not np.isfinite(x).all():
        raise ValueError("scores must be finite, at least one; give diverged settings the chance level")
    weight = best_of_weights(len(x))
    low = high = np.full(len(x), np.nan)
    if draws and len(x) >= LEAST_RUNS:
        again = np.sort(x[np.random.default_rng(seed).integers(0, len(x), (draws, len(x)))], axis=1) @ weight.T
        low, high = np.quantile(again, [(1 - level) / 2, (1 + level) / 2], axis=0)
    note = "" if len(x) >= LEAST_RUNS else TOO_SMALL
    return pd.DataFrame({"k": np.arange(1, len(x) + 1), "expected": weight @ x, "low": low, "high": high, "note": note})


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
      problem, optimizer, the columns ``optimizer.*``, loss (on tuning seeds: too good, not to be reported), tried
      (settings), of (settings there are), edge: the hyperparameters whose best value is the least or largest tried
      (of at least three), joined by commas: then the grid was too small.
    """
    need(runs, "problem", "optimizer", measure)
    if budget is not None and (isinstance(budget, bool) or not isinstance(budget, int) or budget < 1):
        raise ValueError(f"the budget must be a whole number of at least 1, not {budget!r}")
    part = distinct(split_seeds(runs, tuning)[0])
    gone = lost(part, measure)
    part = part.assign(loss=np.where(gone, chance_levels(part, chance), np.nan_to_num(numbers(part[measure]))))
    leaves = [c for c in part if str(c).startswith(PREFIX)]
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
            found.append(leaf.removeprefix(PREFIX))
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
        asked = {c: v for c, v in row.items() if c in rest and (str(c).startswith(PREFIX) or c == "schedule")}
        for c in row:
            if str(c).startswith(PREFIX):
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
