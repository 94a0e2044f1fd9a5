"""What a run has spent, on any axis: steps, evaluations, weighted oracle cost, seconds (METRICS 6.1)."""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false
# pyright: reportReturnType=false, reportAssignmentType=false, reportCallIssue=false
# pyright: reportOperatorIssue=false, reportOptionalOperand=false

from collections.abc import Mapping

import numpy as np
import pandas as pd

from .rows import need, numbers, one_of

AXES = ("steps", "evaluations", "oracle", "seconds")

#: Column that counts each kind of question put to the problem.
COUNTS = {"value": "n_value", "gradient": "n_grad", "hvp": "n_hvp"}

#: Nominal weights, in units of one value: reverse mode costs twice the function, a Hessian product twice that.
NOMINAL = {"value": 1.0, "gradient": 2.0, "hvp": 4.0}

Weights = Mapping[str, float] | pd.DataFrame


def cost(
    frame: pd.DataFrame, axis: str = "evaluations", *, weights: Weights | None = None, runs: pd.DataFrame | None = None
) -> pd.Series:
    """What had been spent at each row of `runs`, `curves` or `targets`.

    - ``steps``: the column `steps`, or `step`.
    - ``evaluations``: n_value + n_grad + n_hvp, what the figures count as evaluations (METRICS 6.1 knows no products:
      for methods without them it is its n_f + n_g).
    - ``oracle``: sum over i of w_i n_i, in units of one value.
    - ``seconds``: of the run without compilation. Only whole runs are timed: a row of `curves` or `targets` is
      given the share of its run's seconds that it has of its run's evaluations.

    Args:
      frame: rows of one of the three tables.
      axis: one of `AXES`.
      weights: of the oracle cost, by default `NOMINAL`: {"value": 1, "gradient": 2, "hvp": 4}; a kind left out costs
        nothing. Measured ones differ between problems: a frame with a column `problem` and one for each kind.
      runs: the table of runs, needed for rows without `seconds` or `problem` of their own.

    Returns:
      A number for each row, in the frame's own order; NaN for a failed run, whose cost is not known.

    Raises:
      ValueError: for an unknown axis or weight, a missing column, a problem without weights.
    """
    one_of("cost axis", axis, AXES)
    if axis == "steps":
        found = frame["steps"] if "steps" in frame else frame[one_of("column", "step", frame.columns)]
        return pd.Series(numbers(found), index=frame.index, name=axis)
    if axis == "evaluations":
        return pd.Series(_evaluations(frame), index=frame.index, name=axis)
    if axis == "oracle":
        return pd.Series(_oracle(frame, NOMINAL if weights is None else weights, runs), index=frame.index, name=axis)
    return pd.Series(_seconds(frame, runs), index=frame.index, name=axis)


def _counted(frame: pd.DataFrame, column: str) -> np.ndarray:
    """A count, 0 where a kind is not counted at all; NaN for failed runs, whose evaluations are unknown."""
    return numbers(frame[column]) if column in frame else np.zeros(len(frame))


def _evaluations(frame: pd.DataFrame) -> np.ndarray:
    counts = [c for c in COUNTS.values() if c in frame]
    if not counts:
        raise ValueError(f"evaluations need one of the columns {', '.join(COUNTS.values())}")
    return sum((_counted(frame, c) for c in counts), np.zeros(len(frame)))


def _oracle(frame: pd.DataFrame, weights: Weights, runs: pd.DataFrame | None) -> np.ndarray:
    if not isinstance(weights, pd.DataFrame):
        for kind, weight in weights.items():
            one_of("oracle weight", kind, COUNTS)
            if not 0 <= weight < np.inf:
                raise ValueError(f"the weight of {kind} must be a finite number of at least 0, not {weight!r}")
        return sum((w * _counted(frame, COUNTS[kind]) for kind, w in weights.items()), np.zeros(len(frame)))
    need(weights, "problem")
    for kind in weights.columns.drop("problem"):
        one_of("oracle weight", kind, COUNTS)
    names = frame.problem if "problem" in frame else _of_run(frame, runs, "problem")
    table = weights.set_index("problem")
    if not table.index.is_unique:
        raise ValueError(f"problem {table.index[table.index.duplicated()][0]!r} has two rows of weights")
    place = table.index.get_indexer(names)
    if (place < 0).any():
        one_of("row of weights for problem", names.iloc[int(np.argmin(place))], table.index)
    return sum(
        (numbers(table[kind])[place] * _counted(frame, COUNTS[kind]) for kind in table.columns), np.zeros(len(frame))
    )


def _seconds(frame: pd.DataFrame, runs: pd.DataFrame | None) -> np.ndarray:
    if "seconds" in frame:
        return numbers(frame.seconds)
    whole = _evaluations(_of_run(frame, runs, list(COUNTS.values())))
    with np.errstate(invalid="ignore", divide="ignore"):
        share = _evaluations(frame) / whole
    return numbers(_of_run(frame, runs, "seconds")) * share


def _of_run(frame: pd.DataFrame, runs: pd.DataFrame | None, columns: str | list[str]) -> pd.Series | pd.DataFrame:
    """What `runs` says of the run that each row belongs to."""
    if runs is None:
        raise ValueError(f"rows of curves say no {columns if isinstance(columns, str) else 'seconds'}; pass runs=")
    need(runs, "run_id", *([columns] if isinstance(columns, str) else columns))
    table = runs.drop_duplicates("run_id").set_index("run_id")
    place = table.index.get_indexer(frame.run_id)
    if (place < 0).any():
        raise ValueError(f"run {frame.run_id.iloc[int(np.argmin(place))]!r} is not among these runs")
    return table[columns].iloc[place]
