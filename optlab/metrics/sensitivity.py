"""How much a hyperparameter matters: loss over its range, widths, excess, the largest stable rate (METRICS 6.9)."""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false
# pyright: reportReturnType=false, reportAssignmentType=false, reportCallIssue=false
# pyright: reportOperatorIssue=false, reportOptionalOperand=false

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from .intervals import interquartile_means
from .rows import distinct, lost, need, numbers, setting_columns

RATE = "optimizer.learning_rate"
TOLERANCES = (0.01, 0.05, 0.1)

#: Level of a run that learned nothing: one for all, by problem, or by run_id (see `initial`).
Chance = float | Mapping[str, float] | pd.Series


class Line(NamedTuple):
    """One optimizer on one problem over one hyperparameter."""

    problem: str
    optimizer: str
    at: np.ndarray  #: values of the hyperparameter, ascending: `[n]`
    y: np.ndarray  #: what is measured there: `[n]`
    chance: float


def response(
    runs: pd.DataFrame, parameters: str | Sequence[str] = RATE, *, measure: str = "value", chance: Chance
) -> pd.DataFrame:
    """s = IQM over seeds of the loss at each setting; a run that diverged counts with the chance level (METRICS 6.9).

    Args:
      runs: of one or many problems and optimizers; other hyperparameters must be fixed, or be part of the optimizer's
        name (``labelled(runs, apart_from=[...])``).
      parameters: one column (learning rate, momentum, batch size, initialization scale), or two for a map.
      measure: the loss, less is better: any column of `runs`.
      chance: l0, f(x0) or the loss of guessing: a number, by problem, or by run_id.

    Returns:
      problem, optimizer, the parameters, loss, runs, lost (share that diverged or failed), chance; ascending.

    Raises:
      ValueError: for an unknown column, another hyperparameter that varies, a chance level that is not there.
    """
    names = [parameters] if isinstance(parameters, str) else list(parameters)
    if len(names) not in (1, 2):
        raise ValueError(f"one parameter, or two for a map, not {len(names)}")
    need(runs, *names, measure)
    runs = distinct(runs)
    runs = runs[runs[names].notna().all(axis=1)].reset_index(drop=True)
    _require_fixed(runs, names)
    level = chance_levels(runs, chance)
    keys = ["problem", "optimizer", *names]
    table = runs[keys].assign(loss=losses(runs, measure, level), lost=lost(runs, measure))
    groups = table.groupby(keys)
    found = groups.agg(runs=("loss", "size"), lost=("lost", "mean")).reset_index()
    found.insert(len(keys), "loss", interquartile_means(table.loss.to_numpy(), groups.ngroup().to_numpy()))
    whole = table.groupby(["problem", "optimizer"])
    base = whole.size().reset_index().drop(columns=0)
    base["chance"] = interquartile_means(level, whole.ngroup().to_numpy())
    return found.merge(base, on=["problem", "optimizer"])


def widths(table: pd.DataFrame, parameter: str = RATE, *, tolerances: Sequence[float] = TOLERANCES) -> pd.DataFrame:
    """W_delta: decades of the interval around the best setting within delta of it (METRICS 6.9).

    The connected interval with s <= s_best + delta (l0 - s_best), edges by linear interpolation in the logarithm of
    the parameter. Where the grid ends first, the flag says so, and the width is a lower bound. An optimizer that is
    nowhere better than chance has no width (NaN): otherwise one that never moves would be the most tolerant of all.

    Args:
      table: from `response` with one parameter.
      parameter: its column, positive.
      tolerances: delta.

    Returns:
      problem, optimizer, tolerance, best (setting), loss (there), low, high (edges), width, left_censored,
      right_censored.
    """
    rows = []
    for line in lines(table, parameter, "loss"):
        k = int(np.argmin(line.y))
        for tolerance in tolerances:
            limit = line.y[k] + tolerance * (line.chance - line.y[k])
            learned = line.chance > line.y[k]
            edges = interval(line.at, line.y, k, limit) if learned else (np.nan, np.nan, False, False)
            rows.append((line.problem, line.optimizer, tolerance, line.at[k], line.y[k], *edges))
    return _with_width(rows, "loss")


def time_widths(table: pd.DataFrame, parameter: str = RATE, *, factor: float = 2.0) -> pd.DataFrame:
    """Decades of the interval around the fastest setting within `factor` times its time (METRICS 6.9).

    `table` has problem, optimizer, the parameter and `runtime` (inf where the target was missed). Next to a setting
    that missed, nothing can be interpolated: the interval ends at the last one that did not. Columns as of `widths`.
    """
    if not factor > 1:
        raise ValueError(f"the factor must be above 1, not {factor!r}")
    rows = []
    for line in lines(table, parameter, "runtime"):
        k = int(np.argmin(line.y))
        solved = np.isfinite(line.y[k])
        edges = interval(line.at, line.y, k, factor * line.y[k]) if solved else (np.nan, np.nan, False, False)
        rows.append((line.problem, line.optimizer, factor, line.at[k] if solved else np.nan, line.y[k], *edges))
    return _with_width(rows, "runtime")


def interval(at: np.ndarray, y: np.ndarray, best: int, limit: float) -> tuple[float, float, bool, bool]:
    """Edges of the connected interval around `best` with y <= limit, and whether the grid's end cut them."""
    log = np.log10(at)
    left, right = best, best
    while left > 0 and y[left - 1] <= limit:
        left -= 1
    while right < len(y) - 1 and y[right + 1] <= limit:
        right += 1

    def edge(inside: int, outside: int) -> float:
        if not 0 <= outside < len(y) or not np.isfinite(y[outside]):
            return float(at[inside])
        share = (limit - y[inside]) / (y[outside] - y[inside])
        return float(10 ** (log[inside] + share * (log[outside] - log[inside])))

    return edge(left, left - 1), edge(right, right + 1), left == 0, right == len(y) - 1


def expected_excess(
    table: pd.DataFrame, parameter: str = RATE, *, low: float | None = None, high: float | None = None
) -> pd.DataFrame:
    """E over log-uniform eta in [low, high] of min(s(eta), l0), less the best s (Wortsman et al. 2023).

    s is interpolated linearly in log eta; beyond the grid its last value is taken, and a flag says so.

    Args:
      table: from `response` with one parameter.
      low, high: by default the best setting by 10^1.5 and times 10^1.5.

    Returns:
      problem, optimizer, best, low, high, excess, left_censored, right_censored.
    """
    rows = []
    for line in lines(table, parameter, "loss"):
        k = int(np.argmin(line.y))
        a = line.at[k] / 10**1.5 if low is None else low
        b = line.at[k] * 10**1.5 if high is None else high
        if not 0 < a < b:
            raise ValueError(f"the range must satisfy 0 < low < high, not {a!r}, {b!r}")
        log, capped = np.log10(line.at), np.minimum(line.y, line.chance)
        knots = np.unique(np.concatenate([[np.log10(a), np.log10(b)], log[(line.at > a) & (line.at < b)]]))
        mean = np.trapezoid(np.interp(knots, log, capped), knots) / (knots[-1] - knots[0])
        cut = a < line.at[0] * (1 - 1e-9), b > line.at[-1] * (1 + 1e-9)
        rows.append((line.problem, line.optimizer, line.at[k], a, b, mean - capped[k], *cut))
    columns = ["problem", "optimizer", "best", "low", "high", "excess", "left_censored", "right_censored"]
    return pd.DataFrame(rows, columns=columns)


def largest_stable(
    table: pd.DataFrame, parameter: str = RATE, *, share: float = 0.95, bound: Mapping[str, float] | None = None
) -> pd.DataFrame:
    """The largest setting at which at least `share` of the runs did not diverge (METRICS 6.9).

    Args:
      table: from `response` with one parameter.
      bound: by problem what theory says (`stability_bound`); then also columns bound and ratio (measured by it).

    Returns:
      problem, optimizer, largest (NaN if none), right_censored (stable up to the grid's end).
    """
    rows = []
    for line in lines(table.assign(kept=1 - table.lost), parameter, "kept"):
        stable = np.flatnonzero(line.y >= share - 1e-12)
        largest = line.at[stable[-1]] if len(stable) else np.nan
        rows.append((line.problem, line.optimizer, largest, bool(len(stable)) and stable[-1] == len(line.at) - 1))
    found = pd.DataFrame(rows, columns=["problem", "optimizer", "largest", "right_censored"])
    if bound is None:
        return found
    limits = found.problem.map(dict(bound)).astype(float)
    return found.assign(bound=limits, ratio=found.largest / limits)


def stability_bound(largest_eigenvalue: float, momentum: float = 0.0) -> float:
    """2 (1 + beta) / lambda_max: where a quadratic diverges under gradient descent (beta = 0) or heavy ball.

    Polyak 1964. Raises ValueError for an eigenvalue that is not positive or a momentum outside [0, 1).
    """
    if not largest_eigenvalue > 0 or not 0 <= momentum < 1:
        raise ValueError(f"needs lambda_max > 0 and 0 <= momentum < 1, not {largest_eigenvalue!r}, {momentum!r}")
    return 2 * (1 + momentum) / largest_eigenvalue


def areas(table: pd.DataFrame, x: str, y: str, *, tolerances: Sequence[float] = TOLERANCES) -> pd.DataFrame:
    """Of a map over two parameters the area within delta of the best, in decades squared (METRICS 6.9).

    Each setting stands for the rectangle half-way to its neighbours, in logarithms; the grid must be whole.
    problem, optimizer, tolerance, best_x, best_y, loss, area, censored (a good setting lies on the grid's border).
    """
    need(table, x, y, "loss", "chance")
    rows = []
    for (problem, optimizer), part in table.groupby(["problem", "optimizer"]):
        grid = part.pivot(index=y, columns=x, values="loss")
        if grid.isna().any(axis=None) or min(grid.shape) < 2:
            raise ValueError(f"the map of {optimizer!r} on {problem!r} is no whole grid of {x} and {y}")
        s, chance = grid.to_numpy(float), float(part.chance.iloc[0])
        cells = _spans(grid.index.to_numpy(float), y)[:, None] * _spans(grid.columns.to_numpy(float), x)
        i, j = np.unravel_index(np.argmin(s), s.shape)
        for tolerance in tolerances:
            good = s <= s[i, j] + tolerance * (chance - s[i, j])
            border = good[[0, -1]].any() or good[:, [0, -1]].any()
            area = float(cells[good].sum()) if chance > s[i, j] else np.nan
            rows.append((problem, optimizer, tolerance, grid.columns[j], grid.index[i], s[i, j], area, bool(border)))
    columns = ["problem", "optimizer", "tolerance", "best_x", "best_y", "loss", "area", "censored"]
    return pd.DataFrame(rows, columns=columns)


def lines(table: pd.DataFrame, parameter: str, column: str) -> Iterator[Line]:
    """Each problem and optimizer apart, settings ascending. Raises ValueError for settings that are not positive."""
    need(table, "problem", "optimizer", parameter, column)
    if not (numbers(table[parameter]) > 0).all():
        raise ValueError(f"{parameter} must be positive to be measured in decades")
    table = table.sort_values(["problem", "optimizer", parameter], ignore_index=True)
    names = table[["problem", "optimizer"]]
    begin = np.flatnonzero((names != names.shift()).any(axis=1))
    at, y = numbers(table[parameter]), numbers(table[column])
    chance = numbers(table.chance) if "chance" in table else np.full(len(table), np.nan)
    for k, end in zip(begin, np.append(begin[1:], len(table)), strict=True):
        problem, optimizer = str(names.problem[k]), str(names.optimizer[k])
        if (at[k + 1 : end] == at[k : end - 1]).any():
            raise ValueError(f"{optimizer!r} on {problem!r} has two rows of the same {parameter}")
        yield Line(problem, optimizer, at[k:end], y[k:end], float(chance[k]))


def _with_width(rows: list[tuple], measured: str) -> pd.DataFrame:
    edges = ["low", "high", "left_censored", "right_censored"]
    found = pd.DataFrame(rows, columns=["problem", "optimizer", "tolerance", "best", measured, *edges])
    found.insert(7, "width", np.log10(found.high.astype(float) / found.low.astype(float)))
    return found


def _spans(values: np.ndarray, name: str) -> np.ndarray:
    """Decades that each of ascending values stands for: half-way to its neighbours, `[n]`."""
    if not (values > 0).all():
        raise ValueError(f"{name} must be positive to be measured in decades")
    log = np.log10(values)
    middle = np.concatenate([log[:1], (log[1:] + log[:-1]) / 2, log[-1:]])
    return np.diff(middle)


def losses(runs: pd.DataFrame, measure: str, level: np.ndarray) -> np.ndarray:
    """The measure of each run, its chance level (see `chance_levels`) where the run was lost: `[R]`."""
    return np.where(lost(runs, measure), level, np.nan_to_num(numbers(runs[measure])))


def chance_levels(runs: pd.DataFrame, chance: Chance) -> np.ndarray:
    """l0 of each run: `[R]`. Raises ValueError where it is not known."""
    if isinstance(chance, int | float):
        level = np.full(len(runs), float(chance))
    elif isinstance(chance, pd.Series) and runs.run_id.isin(chance.index).any():
        # A failed run has no first value; its problem's others say what it would have been.
        own = chance.reindex(runs.run_id).to_numpy(float)
        middle = pd.Series(own).groupby(runs.problem.to_numpy()).transform("median").to_numpy()
        level = np.where(np.isfinite(own), own, middle)
    else:
        level = runs.problem.map(dict(chance)).to_numpy(float)
    if not np.isfinite(level).all():
        raise ValueError(f"there is no chance level for problem {runs.problem[int(np.argmin(np.isfinite(level)))]!r}")
    return level


def _require_fixed(runs: pd.DataFrame, names: Sequence[str]) -> None:
    """Other hyperparameters that vary would be taken for seeds."""
    groups = runs.groupby(["problem", "optimizer"])
    leaves = [*setting_columns(runs), *(c for c in runs if str(c).startswith("problem.") and c != "problem.start")]
    for leaf in (leaf for leaf in leaves if leaf not in names):
        count = groups[leaf].nunique(dropna=False)
        if (count > 1).any():
            problem, optimizer = count.index[int(np.argmax(count.to_numpy() > 1))]
            raise ValueError(
                f"{leaf} varies among the runs of {optimizer!r} on {problem!r}; choose one value, or put it into the "
                "name with labelled(runs, apart_from=[...])"
            )
