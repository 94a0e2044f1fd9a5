"""Controls that every suite contains: a task that the optimizer which never moves passes says nothing.

The optimizers themselves are runs like others; here they are names.
"""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false
# pyright: reportReturnType=false, reportAssignmentType=false, reportCallIssue=false
# pyright: reportOperatorIssue=false, reportOptionalOperand=false

import numpy as np
import pandas as pd

from .rows import need, numbers

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
