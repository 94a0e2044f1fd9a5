"""What rows of the stored tables say: which runs repeat each other, where they began, what the least value is."""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false
# pyright: reportReturnType=false, reportAssignmentType=false, reportCallIssue=false
# pyright: reportOperatorIssue=false, reportOptionalOperand=false

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from optlab.choices import one_of
from optlab.table import Results

LEAST_RUNS = 5  #: with fewer there is no interval, only the words below (METRICS 6.11)
TOO_SMALL = "n too small"
LOST = ("diverged", "failed")  #: how runs end that have no result


class Lanes(NamedTuple):
    """Rows of `curves` in the order of `runs` and of steps; each run is one stretch of them."""

    rows: pd.DataFrame  #: of `curves`, ordered
    run: np.ndarray  #: which run each row belongs to, its place in `runs`: `[T]`
    begin: np.ndarray  #: first row of each run: `[R]`
    length: np.ndarray  #: how many rows each run has, 0 for a failed one: `[R]`


def setting_columns(frame: pd.DataFrame) -> list[str]:
    """The columns that a setting is made of: the optimizer's hyperparameters, the schedule and its own."""
    return [c for c in frame if str(c).startswith(("optimizer.", "schedule.")) or c == "schedule"]


def need(frame: pd.DataFrame, *columns: str) -> None:
    """Raises ValueError for the first column that a frame lacks."""
    for column in columns:
        one_of("column", column, frame.columns)


def numbers(column: pd.Series) -> np.ndarray:
    """A column of any type as floats, what is missing as NaN: `[rows]`."""
    if column.dtype.kind in "fiu":
        return column.to_numpy(float)
    return pd.to_numeric(column, errors="coerce").to_numpy(float, na_value=np.nan)


def distinct(runs: pd.DataFrame) -> pd.DataFrame:
    """Each run once, although studies may share it; raises ValueError where there is none."""
    need(runs, "run_id", "problem", "optimizer")
    if runs.empty:
        raise ValueError("there are no runs in these tables")
    return runs.drop_duplicates("run_id").reset_index(drop=True)


def lost(runs: pd.DataFrame, measure: str) -> np.ndarray:
    """Which runs have no result: they diverged, failed or ended in no finite number: `[R]` of bool."""
    need(runs, measure)
    ended = runs.status.isin(LOST).to_numpy() if "status" in runs else np.zeros(len(runs), bool)
    return ended | ~np.isfinite(numbers(runs[measure]))


def lanes(curves: pd.DataFrame, runs: pd.DataFrame) -> Lanes:
    """The rows of these runs in `curves`, ordered; rows of other runs are left out.

    Uses of `curves`: run_id, step. `runs` holds each run once, see `distinct`.
    """
    need(curves, "run_id", "step")
    ids = curves.run_id
    change = (ids != ids.shift()).to_numpy(bool)  # runs come in stretches: few texts need to be looked up
    run = pd.Index(runs.run_id).get_indexer(ids[change])[np.cumsum(change) - 1] if len(ids) else np.zeros(0, int)
    step = numbers(curves.step)
    if (run < 0).any():
        curves, step, run = curves[run >= 0], step[run >= 0], run[run >= 0]
    forward = (run[1:] > run[:-1]) | ((run[1:] == run[:-1]) & (step[1:] >= step[:-1]))
    if not forward.all():
        order = np.lexsort((step, run))
        curves, run = curves.iloc[order], run[order]
    length = np.bincount(run, minlength=len(runs))
    return Lanes(curves, run, np.cumsum(length) - length, length)


def best_so_far(found: Lanes, measure: str, goal: str = "min") -> np.ndarray:
    """The least value of a measure up to each row, or the largest negated with goal "max": `[T]`.

    What is missing or not finite counts as infinite, so that less is better with either goal.
    """
    one_of("goal", goal, ("min", "max"))
    need(found.rows, measure)
    values = numbers(found.rows[measure]) * (1.0 if goal == "min" else -1.0)
    values = np.where(np.isnan(values), np.inf, values)
    return pd.Series(values).groupby(found.run, sort=False).cummin().to_numpy()


def initial(curves: pd.DataFrame, measure: str = "value") -> pd.Series:
    """The measure at the first recorded step of each run, f(x0) for `value`: by run_id.

    What a run is worth that diverged: nothing was gained (METRICS 6.9).
    """
    need(curves, "run_id", "step", measure)
    curves = curves.reset_index(drop=True)
    first = curves.loc[curves.groupby("run_id", sort=False).step.idxmin()]
    return pd.Series(numbers(first[measure]), index=first.run_id.to_numpy(), name=measure)


def dimensions(runs: pd.DataFrame, curves: pd.DataFrame) -> pd.Series:
    """The number of parameters of each problem, from `problem.dim` or the positions in `curves`: by problem.

    NaN where neither says it (networks).
    """
    runs = distinct(runs)
    stated = numbers(runs["problem.dim"]) if "problem.dim" in runs else np.full(len(runs), np.nan)
    first = curves.drop_duplicates("run_id") if len(curves) else pd.DataFrame({"run_id": []})
    seen = first[[c for c in ("x_0", "x_1", "x_2") if c in first]].notna().sum(axis=1).to_numpy(float)
    if "x" in first:
        long = first.x.map(lambda x: len(x) if isinstance(x, list | np.ndarray) else 0)
        seen = np.maximum(seen, long.to_numpy(float))
    recorded = pd.Series(np.where(seen > 0, seen, np.nan), index=first.run_id.to_numpy()).reindex(runs.run_id)
    each = pd.Series(np.where(np.isnan(stated), recorded.to_numpy(), stated), index=runs.problem.to_numpy())
    return each.groupby(level=0).max()


def labelled(runs: pd.DataFrame, *, apart_from: Sequence[str] = ()) -> pd.DataFrame:
    """The runs with settings in the names: `rosenbrock dim=10`, `adam learning_rate=0.01`.

    All metrics take runs of the same `problem` and `optimizer` to be repeats of each other, whatever their
    start and seed. Of the leaves below ``problem.`` (but for ``problem.start``), ``optimizer.`` and ``schedule`` those
    become part of the name that differ among the runs of that name, but for the columns in `apart_from`.
    """
    need(runs, "problem", "optimizer", *apart_from)
    named = {}
    everything = {"problem": [c for c in runs if str(c).startswith("problem.")], "optimizer": setting_columns(runs)}
    for what, leaves in everything.items():
        names = runs[what].astype(str)
        for leaf in leaves:
            if leaf in ("problem.start", *apart_from):
                continue
            # A schedule's own numbers are missing under another: its name says that already.
            within = [what, "schedule"] if leaf.startswith("schedule.") and "schedule" in runs else [what]
            varied = runs.groupby(within, sort=False, dropna=False)[leaf].transform("nunique", dropna=False) > 1
            if varied.any():
                words = " " + leaf.removeprefix(f"{what}.") + "=" + runs[leaf].map(_word)
                names = names.where(~varied, names + words)
        named[what] = names
    return runs.assign(**named)


def _word(value: Any) -> str:
    if value is None or value is pd.NA or value != value:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def with_gaps(results: Results) -> Results:
    """The tables with a gap for every problem, and `minimum_source`: known, or observed.

    Where no minimum is known, the least `best_value` of *all stored runs* of the problem takes its place (METRICS,
    notation): gap_k = F_k - min F. Such gaps shrink when a better run is stored.
    """
    runs = results.runs
    need(runs, "problem", "gap", "best_value")
    known = ~np.isnan(runs.groupby("problem")["gap"].transform("max").to_numpy(float, na_value=np.nan))
    least = pd.Series(numbers(runs.best_value)).groupby(runs.problem.to_numpy()).transform("min").to_numpy()
    gap = np.where(known, numbers(runs.gap), numbers(runs.best_value) - least)
    runs = runs.assign(gap=gap, minimum_source=np.where(known, "known", "observed"))
    curves = results.curves
    if len(curves):
        lookup = pd.DataFrame({"known": known, "least": least}, index=runs.run_id)
        lookup = lookup[~lookup.index.duplicated()]
        place = lookup.index.get_indexer(curves.run_id)
        before = np.where(place < 0, True, lookup.known.to_numpy()[place])
        observed = numbers(curves.best_value) - lookup.least.to_numpy()[place]
        curves = curves.assign(gap=np.where(before, numbers(curves.gap), observed))
    return results._replace(runs=runs, curves=curves)


def shared(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of those problems that every optimizer of the frame was run on."""
    need(frame, "problem", "optimizer")
    count = frame.groupby("problem")["optimizer"].transform("nunique")
    return frame[count == frame.optimizer.nunique()]


def require_complete(frame: pd.DataFrame) -> None:
    """Raises ValueError unless every optimizer has runs on every problem: not run is not unsolved."""
    pairs = pd.crosstab(frame.problem, frame.optimizer)
    empty = np.argwhere(pairs.to_numpy() == 0)
    if len(empty):
        problem, optimizer = pairs.index[empty[0, 0]], pairs.columns[empty[0, 1]]
        raise ValueError(
            f"there is no run of {optimizer!r} on {problem!r}; compare on common problems, see optlab.metrics.shared"
        )


def require_gaps(runs: pd.DataFrame) -> None:
    """Raises ValueError where a run's gap is unknown because its problem has no known minimum."""
    need(runs, "gap")
    unknown = np.isnan(numbers(runs.gap)) & ~(runs.status == "failed").to_numpy()
    if unknown.any():
        raise ValueError(
            f"problem {runs.problem[int(np.argmax(unknown))]!r} has no known minimum: use with_gaps(results), "
            "relative_runtimes, or another measure"
        )
