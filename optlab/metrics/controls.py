"""Controls that every suite contains: a task that the optimizer which never moves passes says nothing.

`stay` and `random_walk` are optimizers of the catalogue, and their runs are like others; here they are names. An
oracle is none: it would have to be told the minimum of each problem, so that its rows are made here (`with_oracle`).
"""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false
# pyright: reportReturnType=false, reportAssignmentType=false, reportCallIssue=false
# pyright: reportOperatorIssue=false, reportOptionalOperand=false

import numpy as np
import pandas as pd

from optlab.table import Results

from .rows import distinct, need, numbers
from .targets import COCO

PRECISION = 1e-8  #: gap from which a problem is solved, COCO's last target

FAULTY = "faulty: an optimizer that never moves passes"
WEAK = "weak: a random walk passes"
OPEN = "open: the oracle does not pass"
BARE = "no control was run"
SOUND = "sound"


def passed(runs: pd.DataFrame, *, precision: float = PRECISION) -> pd.Series:
    """Whether each run solved its task, by what is known of the task: a bool for each row.

    Its best gap is at most `precision` where the minimum is known; else it reached the stated target of the
    workload (`target_step`), where any run of the problem did; else its gradient vanished (status converged).
    """
    need(runs, "problem", "status")
    gap = numbers(runs.gap) if "gap" in runs else np.full(len(runs), np.nan)
    step = numbers(runs.target_step) if "target_step" in runs else np.full(len(runs), np.nan)
    by = runs.problem.to_numpy()
    known = pd.Series(np.isfinite(gap)).groupby(by).transform("any").to_numpy()
    stated = pd.Series(step >= 0).groupby(by).transform("any").to_numpy()
    with np.errstate(invalid="ignore"):
        found = np.where(known, gap <= precision, np.where(stated, step >= 0, runs.status == "converged"))
    return pd.Series(found.astype(bool), index=runs.index, name="passed")


def judge_tasks(
    runs: pd.DataFrame,
    *,
    null: str = "stay",
    random_walk: str = "random_walk",
    oracle: str = "oracle",
    precision: float = PRECISION,
) -> pd.DataFrame:
    """Whether each problem tells optimizers apart, from the runs of the controls on it.

    Args:
      runs: the table, controls among it; uses problem, optimizer, status, gap, target_step.
      null, random_walk, oracle: names of the controls in the column `optimizer`.
      precision: gap that passes, see `passed`.

    Returns:
      A row for each problem: the share of runs that passed of null, random_walk, oracle (NaN where not run) and of
      the others, and verdict: faulty where any run of the null optimizer passes, weak where half of the random
      walks do, open where no oracle does (nor any other), no control was run, or sound. Worst first.

    Raises:
      ValueError: where two controls have the same name.
    """
    names = {"null": null, "random_walk": random_walk, "oracle": oracle}
    if len(set(names.values())) < len(names):
        raise ValueError(f"controls need three names, not {', '.join(names.values())}")
    need(runs, "optimizer")
    role = runs.optimizer.map({name: what for what, name in names.items()}).fillna("others")
    share = passed(runs, precision=precision).astype(float).groupby([runs.problem, role]).mean().unstack()
    share = share.reindex(columns=[*names, "others"])
    has = share[list(names)].notna().any(axis=1)
    unsolved = (share.oracle == 0) & ~(share.others > 0)
    verdict = np.select(
        [share.null > 0, share.random_walk >= 0.5, unsolved, ~has], [FAULTY, WEAK, OPEN, BARE], default=SOUND
    )
    order = {FAULTY: 0, WEAK: 1, OPEN: 2, BARE: 3, SOUND: 4}
    table = share.assign(verdict=verdict).rename_axis(columns=None).reset_index()
    return table.sort_values("verdict", key=lambda v: v.map(order), kind="stable", ignore_index=True)


def with_oracle(results: Results, *, name: str = "oracle") -> Results:
    """The tables with the runs of an oracle, which states the known minimum at its first and only evaluation.

    What no optimizer can be better than. That a stated minimum is one is not shown by this, but where points of the
    catalogue are tested. Of each problem and seed one run is added to `runs`, `curves` and `targets`, none where no
    minimum is known: an observed one (see `with_gaps`) is only the best that others found.

    Raises:
      ValueError: where runs of that name are there already.
    """
    runs = distinct(results.runs)
    need(runs, "seed", "gap", "best_value")
    if (runs.optimizer == name).any():
        raise ValueError(f"there are runs of {name!r} in these tables already")
    known = np.isfinite(numbers(runs.gap)) & np.isfinite(numbers(runs.best_value))
    if "minimum_source" in runs:
        known &= (runs.minimum_source == "known").to_numpy()
    told = runs[known].drop_duplicates(["problem", "seed"]).reset_index(drop=True)
    told = told[[c for c in told if not str(c).startswith("optimizer.")]]
    ids = name + "/" + told.problem.astype(str) + "/" + told.seed.astype(str)
    least = numbers(told.best_value) - numbers(told.gap)
    found = {"value": least, "best_value": least, "gap": 0.0, "grad_norm": 0.0}
    spent = {"n_value": 1, "n_grad": 0, "n_hvp": 0}
    of_run = {"run_id": ids, "optimizer": name, "status": "converged", "steps": 0, "seconds": 0.0, **found, **spent}
    row = pd.DataFrame({"run_id": ids, "step": 0, **spent, **found})
    rungs = pd.DataFrame({"run_id": ids.repeat(len(COCO)), "step": 0, **spent})
    rungs.insert(1, "target", np.tile(COCO, len(ids)))
    kept = [c for c in told if c in {"study", "problem", "seed", "precision", *of_run} or str(c).startswith("problem.")]
    return results._replace(
        runs=_below(results.runs, told[kept].assign(**of_run)),
        curves=_below(results.curves, row),
        targets=_below(results.targets, rungs),
    )


def _below(table: pd.DataFrame, more: pd.DataFrame) -> pd.DataFrame:
    """Both tables in one; of a table without rows only the columns are left."""
    if table.empty or more.empty:
        return more.reset_index(drop=True) if table.empty else table
    return pd.concat([table, more], ignore_index=True)
