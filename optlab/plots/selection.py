"""What a figure shows of a big sweep: the best setting of each optimizer, and words that say so."""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false
# pyright: reportReturnType=false, reportAssignmentType=false, reportCallIssue=false

import difflib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from optlab.choices import one_of

from . import style

RATE = "optimizer.learning_rate"
MOST = 12  #: more paths than this on one surface cannot be told apart


class Selection(NamedTuple):
    """The runs of one problem that a figure draws."""

    problem: str
    best: pd.DataFrame  #: rows of `runs`, one for each optimizer, best first
    group: pd.DataFrame  #: rows of `runs`: all starts and seeds at those settings
    curves: pd.DataFrame  #: rows of `curves` of all of them, with `evaluations`
    minimum: float | None  #: of the problem, where it is known
    how: str  #: one line: which setting, which start, which precision


def names(value: str | Sequence[str] | None) -> list[str] | None:
    """A list from a list or from text with commas."""
    if value is None:
        return None
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else list(value)


def formats(value: str | Sequence[str], allowed: Sequence[str] = ("png", "svg", "pdf")) -> list[str]:
    """File formats asked for, each checked."""
    found = [one_of("format", part.lstrip("."), allowed) for part in names(value) or []]
    if not found:
        raise ValueError(f"no format is given; there is {', '.join(allowed)}")
    return found


def whole(what: str, value: Any, least: int) -> int:
    """A whole number of at least `least`, or one sentence."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{what} must be a whole number of at least {least}, not {value!r}")
    return int(value)


def stem(kind: str, problem: str) -> str:
    """The name of a figure's file, without its ending."""
    return f"{kind}_{style.file_name(problem)}"


def pages(
    kind: str, chosen: Sequence[str], page: Callable[[str], Figure], folder: Path, format: str | Sequence[str]
) -> list[Path]:
    """Writes a page for each problem, as ``<kind>_<problem>``; refuses unknown formats before the first."""
    endings = formats(format)
    return [path for each in chosen for path in style.save(page(each), Path(folder), stem(kind, each), endings)]


def problems(results: Any, problem: str | Sequence[str] | None, *, plane: bool = False) -> list[str]:
    """The problems that have curves, or those asked for; `plane`: only those with a surface to draw."""
    runs = results.runs
    have = runs[runs.run_id.isin(results.curves.run_id)] if len(results.curves) else runs.iloc[:0]
    what = "curves"
    if plane:
        drawn = set(results.fields.field_id) if len(results.fields) else set()
        have, what = have[have.field_id.isin(drawn)], "curves on a 2-D surface"
    held = list(dict.fromkeys(have.problem))
    for asked in names(problem) or []:
        if asked not in held:
            near = difflib.get_close_matches(asked, held, 1, 0.5)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            there = ", ".join(held) or "none"
            raise ValueError(f"this folder holds no {what} for problem {asked!r}{hint}; it holds: {there}")
    if not held:
        raise ValueError(f"this folder holds no {what}")
    return names(problem) or held


def variant(runs: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Runs that differ in optimizer, start and seed only: of each other setting the most frequent value."""
    leaves = [c for c in runs if c.startswith("problem.") and c != "problem.start"]
    leaves = [c for c in (*leaves, "precision") if c in runs]
    said = []
    for leaf in leaves:
        values = runs[leaf].map(str)  # a missing value is one of them
        counts = values.value_counts(sort=False)
        if len(counts) > 1:
            kept = counts.idxmax()
            runs = runs[values == kept]
            said.append(f"{leaf.removeprefix('problem.')} {kept}")
    return runs, [s for s in said if not s.startswith("precision")]


def numbers(column: Any) -> pd.Series:
    """A column of any dtype as floats, missing ones NaN."""
    return pd.Series(pd.to_numeric(column, errors="coerce"), index=column.index).astype(float)


def measure(runs: pd.DataFrame) -> str:
    """The column that says how good a run is: `gap`, or `value` where the minimum is unknown."""
    return "gap" if numbers(runs.gap).notna().any() else "value"


def score(runs: pd.DataFrame) -> pd.Series:
    """What makes a run good: its final gap, or value where no minimum is known; infinite if it diverged."""
    reached = numbers(runs[measure(runs)])
    lost = runs.status.isin(["diverged", "failed"]) | ~np.isfinite(reached)
    return reached.where(~lost, np.inf)


def best_setting(runs: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """The runs of one optimizer at the setting with the lowest median score, and the number of settings.

    Among settings that all diverge the smallest rate is taken: it shows the most of the surface.
    """
    leaves = [c for c in runs if c.startswith("optimizer.") and runs[c].nunique(dropna=False) > 1]
    if not leaves:
        return runs, 1
    labels = runs.groupby(leaves, dropna=False, sort=False).ngroup()
    table = pd.DataFrame({"label": labels, "score": score(runs)})
    table["rate"] = runs[RATE].astype(float) if RATE in leaves else 0.0
    ranked = table.groupby("label", sort=False).agg(score=("score", "median"), rate=("rate", "min"))
    # A median of two runs, one of them lost, is infinite; NaN (inf - inf) cannot win either.
    ranked = ranked.fillna(np.inf).sort_values(["score", "rate"], kind="stable")
    return runs[labels == ranked.index[0]], len(ranked)


def start_text(runs: pd.DataFrame) -> pd.Series:
    """The start of each run as text; the customary one is empty."""
    if "problem.start" not in runs:
        return pd.Series("", index=runs.index)
    return runs["problem.start"].map(lambda s: "" if s is None or s is pd.NA or s != s else str(s))


def customary(runs: pd.DataFrame) -> str:
    """The start that all optimizers are shown from: the customary one, else the first in the table."""
    starts = list(dict.fromkeys(start_text(runs)))
    return "" if "" in starts else starts[0]


def known_minimum(runs: pd.DataFrame) -> float | None:
    """The least value of the problem, from value - gap where the subtraction loses least."""
    pair = runs[["value", "gap"]].apply(numbers).dropna()
    pair = pair[np.isfinite(pair).all(axis=1)]
    if not len(pair):
        return None
    lowest = pair.loc[pair.gap.abs().idxmin()]
    return float(lowest.value - lowest.gap)


def with_evaluations(curves: pd.DataFrame) -> pd.DataFrame:
    """The curves with `evaluations`, the sum of n_value, n_grad and n_hvp."""
    counts = [c for c in ("n_value", "n_grad", "n_hvp") if c in curves]
    return curves.assign(evaluations=curves[counts].apply(numbers).fillna(0).sum(axis=1))


def select(
    results: Any, problem: str, optimizers: str | Sequence[str] | None = None, *, plane: bool = False
) -> Selection:
    """Choose what to draw of one problem.

    Uses of `runs`: run_id, problem, optimizer, `optimizer.*`, `problem.*`, precision, seed, status, value,
    gap, field_id; of `curves`: run_id, step, n_value, n_grad, n_hvp.
    """
    runs = results.runs[results.runs.problem == problem]
    held = list(dict.fromkeys(runs.optimizer))
    asked = names(optimizers)
    for optimizer in asked or []:
        one_of(f"run on {problem!r} with optimizer", optimizer, held)
    runs = runs[runs.optimizer.isin(asked)] if asked else runs
    runs = runs[runs.run_id.isin(results.curves.run_id)]
    if plane:
        runs = runs[runs.field_id.isin(set(results.fields.field_id))]
        runs = runs[runs.field_id == runs.field_id.value_counts(sort=False).idxmax()] if len(runs) else runs
    if not len(runs):
        raise ValueError(f"this folder holds no curves for problem {problem!r} with {asked or held}")
    runs, said = variant(runs)
    chosen = {o: best_setting(rows) for o, rows in runs.groupby("optimizer", sort=False)}
    group = pd.concat([rows for rows, _ in chosen.values()])
    start = customary(group)
    best = pd.concat([_shown(rows, start) for rows, _ in chosen.values()])
    best = best.assign(score=score(best)).sort_values("score", kind="stable").drop(columns="score")
    if not asked:
        best = best.head(MOST)
    group = group[group.optimizer.isin(best.optimizer)]
    curves = with_evaluations(results.curves[results.curves.run_id.isin(group.run_id)])
    tried = max(chosen[o][1] for o in best.optimizer)
    how = [*said, *_words(results, best, group, tried, len(chosen)), _start_words(best, start, curves)]
    how += [str(best.precision.iloc[0])] if "precision" in best else []
    return Selection(problem, best, group, curves, known_minimum(runs), " · ".join(h for h in how if h))


def _shown(rows: pd.DataFrame, start: str) -> pd.DataFrame:
    here = rows[start_text(rows) == start]
    return (here if len(here) else rows).head(1)


def _words(results: Any, best: pd.DataFrame, group: pd.DataFrame, tried: int, optimizers: int) -> list[str]:
    words = []
    if len(best) < optimizers:
        words.append(f"the best {len(best)} of {optimizers} optimizers")
    repeats = int(group.groupby("optimizer").size().max())
    if tried > 1:
        over = f"median over {repeats} runs" if repeats > 1 else "one run each"
        varied = [c for c in best if c.startswith("optimizer.") and c != RATE]
        tuned = [c for c in varied if (results.runs.groupby("optimizer")[c].nunique() > 1).any()]
        setting = "settings" if tuned else "learning rates"
        words.append(f"each at the best of {tried} {setting} by final {measure(group)} ({over})")
    elif RATE in best and best[RATE].notna().any():
        words.append("learning rates as given")
    return words


def _start_words(best: pd.DataFrame, start: str, curves: pd.DataFrame) -> str:
    first = curves[curves.run_id == best.run_id.iloc[0]].sort_values("step").head(1)
    places = [c for c in ("x_0", "x_1", "x_2") if c in first and first[c].notna().all()]
    if places:
        return "start (" + ", ".join(f"{float(first[c].iloc[0]):.4g}".replace("-", "−") for c in places) + ")"
    return f"start {start}" if start else ""
