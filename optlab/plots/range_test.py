"""A learning-rate range test: the loss of one run while its rate grows, and the rate that it suggests."""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from . import style
from .selection import names, numbers, one_of, pages, problems

WINDOW = 5  #: rows over which the loss is smoothed before its slope is taken


def table(runs: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """A row for each run: run_id, optimizer, suggested, lowest.

    Uses of `runs`: run_id, optimizer; of `curves`: run_id, step, learning_rate, value. `suggested` is the rate at which
    the smoothed loss falls fastest for each decade of the rate, before it is lowest; `lowest` where it is lowest.
    Source: Smith, Cyclical learning rates for training neural networks (2017), section 3.3.
    """
    rows = []
    for run_id, optimizer in runs[["run_id", "optimizer"]].itertuples(index=False):
        rate, value = path(curves[curves.run_id == run_id])
        least = int(np.argmin(value))
        slope = np.gradient(value, np.log10(rate)) if len(rate) > 1 else np.zeros(1)
        steepest = int(np.argmin(slope[: least + 1]))
        rows.append({"run_id": run_id, "optimizer": optimizer, "suggested": rate[steepest], "lowest": rate[least]})
    return pd.DataFrame(rows, columns=["run_id", "optimizer", "suggested", "lowest"])


def path(curves: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Rates, rising, and the loss there, smoothed; as far as both are numbers: `[T]` each."""
    rows = curves.sort_values("step")[1:]  # before the first update no rate has been in use
    rate, value = numbers(rows.learning_rate).to_numpy(float), numbers(rows.value).to_numpy(float)
    known = np.isfinite(rate) & np.isfinite(value) & (rate > 0)
    rate, value = rate[known], value[known]
    if not len(rate):
        return np.ones(1), np.ones(1)
    smooth = pd.Series(value).rolling(WINDOW, center=True, min_periods=1).mean().to_numpy()
    return rate, smooth


def panel(ax: Axes, runs: pd.DataFrame, curves: pd.DataFrame) -> Axes:
    """Smoothed loss against the rate, a line for each run; a marker where it falls fastest."""
    style.quiet(ax)
    ax.set_xscale("log")
    ax.set_xlabel("learning rate, growing during the run")
    ax.set_ylabel("training loss")
    found = table(runs, curves)
    top = 1.6 * max(path(curves[curves.run_id == run_id])[1][0] for run_id in found.run_id)
    ax.set_ylim(0, top)
    for row in found.itertuples():
        rate, value = path(curves[curves.run_id == row.run_id])
        tint = style.color(row.optimizer)
        ax.plot(rate, np.minimum(value, 2 * top), color=tint, linewidth=1.5, linestyle=style.dash(row.optimizer))
        level = float(np.interp(row.suggested, rate, value))
        ax.plot(
            row.suggested, level, style.marker(row.optimizer), color=tint, markeredgecolor=style.PAPER, markersize=7
        )
    box = ax.get_window_extent()
    found = found.sort_values("suggested", ascending=False)
    # Lines leave anywhere: the labels are a key, in the order of rates.
    pixels = [(box.x1, box.y1 - 15 * k * ax.figure.dpi / 72) for k in range(len(found))]
    style.gutter(ax, pixels, list(found.optimizer), [style.number(rate) for rate in found.suggested])
    return ax


def sheet(results: Any, problem: str, optimizers: str | Sequence[str] | None) -> Any:
    """The whole figure for one problem."""
    runs = results.runs[(results.runs.problem == problem) & (results.runs.status != "failed")]
    for optimizer in names(optimizers) or ():
        one_of("optimizer", optimizer, set(runs.optimizer))
    runs = runs[runs.optimizer.isin(names(optimizers) or set(runs.optimizer))]
    order = runs.sort_values(["optimizer.learning_rate", "seed"], ascending=[False, True], kind="stable")
    page = style.figure(8.4, 4.9)
    panel(style.inches(page, 0.85, 0.62, 5.6, 3.35), order.drop_duplicates("optimizer"), results.curves)
    style.title(page, style.name(problem), "marker and number: the rate at which the loss falls fastest")
    return page


def draw(
    results: Any,
    folder: Path,
    *,
    problem: str | Sequence[str] | None = None,
    optimizers: str | Sequence[str] | None = None,
    format: str | Sequence[str] = ("png", "svg"),
) -> list[Path]:
    """Write `range_test_<problem>`: of each optimizer the run with the highest peak, on its first seed.

    Raises ValueError for tables of runs without a schedule: they have no column `learning_rate` in `curves`.
    """
    if "learning_rate" not in results.curves:
        raise ValueError("a range test needs runs on a schedule: optlab ... schedule=range_test record=1")
    chosen = problems(results, problem)
    return pages("range_test", chosen, lambda each: sheet(results, each, optimizers), folder, format)
