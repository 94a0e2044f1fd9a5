"""How much each hyperparameter matters: widths, excess, the largest stable value, maps over two (METRICS 6.9)."""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false
# pyright: reportReturnType=false, reportAssignmentType=false, reportCallIssue=false, reportOperatorIssue=false

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from optlab import metrics
from optlab.metrics.rows import numbers, setting_columns
from optlab.metrics.sensitivity import RATE, TOLERANCES
from optlab.plots.style import number
from optlab.table import Results

from .comparison import Comparison
from .html import named, paragraph, table

LEAST = 3  #: values from which something is said of a range
SHARPNESS = "sharpness"  #: the probe that records lambda_max
Responses = dict[str, pd.DataFrame]


def title(parameter: str) -> str:
    """``optimizer.learning_rate`` as words."""
    return parameter.partition(".")[2].replace("_", " ").replace(".", " ")


def axes(runs: pd.DataFrame) -> list[str]:
    """Numbers that some optimizer on some problem ran at three positive values of, learning rates first.

    Hyperparameters, batch size and scales of the initialization; other numbers of a problem make another problem.
    """
    of_problem = [c for c in runs if str(c) == "problem.batch_size" or str(c).startswith("problem.init")]
    columns = [c for c in setting_columns(runs) if c != "schedule"] + of_problem
    found = []
    for column in sorted(columns, key=lambda c: (c != RATE, columns.index(c))):
        values = positive(runs[column])
        if values.nunique() >= LEAST and (values.groupby([runs.problem, runs.optimizer]).nunique() >= LEAST).any():
            found.append(column)
    return found


def positive(column: pd.Series) -> pd.Series:
    """Its numbers above 0; what else is there is missing."""
    if column.map(lambda v: isinstance(v, bool | np.bool_)).any():
        return pd.Series(np.nan, index=column.index)
    values = pd.Series(numbers(column), index=column.index)
    return values.where(values > 0)


def responses(found: Comparison, results: Results) -> Responses:
    """`metrics.response` to each of the `axes`, and under "x y" of maps over two of them.

    Where other settings were swept, too, each value stands with the best of them: a row for each optimizer and value.
    """
    raw = results.runs[results.runs.run_id.isin(found.stored.runs.run_id)].drop_duplicates("run_id")
    swept = axes(raw)
    made: Responses = {}
    for parameters in [*((p,) for p in swept), *combinations(swept, 2)]:
        table = _response(found, results, raw, parameters)
        if table is not None:
            made[" ".join(parameters)] = table
    return made


def _response(
    found: Comparison, results: Results, raw: pd.DataFrame, parameters: tuple[str, ...]
) -> pd.DataFrame | None:
    runs, curves = found.stored.runs, found.stored.curves
    if any(p.startswith("problem.") for p in parameters):
        # Here these are part of the problems' names, and gaps to an observed minimum are each variant's own.
        apart = results._replace(runs=metrics.labelled(raw, apart_from=[*setting_columns(raw), *parameters]))
        runs, curves, *_ = metrics.with_gaps(apart)
    fixed = metrics.labelled(runs, apart_from=parameters)
    fixed = fixed.assign(**{p: positive(fixed[p]) for p in parameters})
    keep = fixed[list(parameters)].notna().all(axis=1)
    for p in parameters:
        least = LEAST if len(parameters) == 1 else 2
        keep &= fixed.where(keep).groupby(["problem", "optimizer"])[p].transform("nunique") >= least
    if not keep.any():
        return None
    level = metrics.initial(curves, "gap")
    response = metrics.response(fixed[keep], list(parameters), measure="gap", chance=level)
    whose = dict(zip(fixed.optimizer, runs.optimizer, strict=True))
    keys = ["problem", "optimizer", *parameters]
    response = response.assign(optimizer=response.optimizer.map(whose)).sort_values([*keys, "loss"], kind="stable")
    response = response.drop_duplicates(keys, ignore_index=True)
    chance = response.groupby(["problem", "optimizer"]).chance.transform("median")
    return response.assign(chance=chance)


def bounds(found: Comparison) -> dict[str, float]:
    """2 / lambda_max of each problem: median over runs of the curvature at their first step (probe `sharpness`)."""
    curves = found.stored.curves
    if SHARPNESS not in curves:
        return {}
    runs = found.stored.runs
    first = metrics.initial(curves, SHARPNESS).reindex(runs.run_id).to_numpy(float)
    largest = pd.Series(first).groupby(runs.problem.to_numpy()).median().dropna()
    return {str(p): metrics.stability_bound(float(v)) for p, v in largest.items() if v > 0}


def section(found: Comparison, made: Responses, charts: Callable[[str, pd.DataFrame], str], maps: str) -> str:
    """The inside of the section. `charts` draws a response, `maps` is the figure of the maps."""
    if RATE not in made:
        text = "No optimizer ran at three learning rates or more on a problem, so nothing is said of rates."
        parts = [paragraph(text)]
    else:
        parts = [charts(RATE, made[RATE]), summary(made[RATE], RATE, bounds(found))]
    for parameter, response in made.items():
        if parameter != RATE and " " not in parameter:
            parts += [f"<h3>{title(parameter).capitalize()}</h3>", charts(parameter, response)]
            parts.append(summary(response, parameter, {}))
    pairs = [pair for pair in made if " " in pair]
    told = [text for pair in pairs if (text := _areas(made[pair], *pair.split(" ")))]
    if told:
        parts += ["<h3>Two at once</h3>", maps, *told]
    return "".join(parts)


def summary(response: pd.DataFrame, parameter: str, bound: dict[str, float]) -> str:
    """Widths within 1, 5 and 10 %, excess and the largest stable value of each optimizer, medians over problems."""
    width = metrics.widths(response, parameter)
    excess = metrics.expected_excess(response, parameter)
    # Excess has the unit of the loss: as a share of what the best setting gained it can be pooled.
    gained = width.drop_duplicates(["problem", "optimizer"]).set_index(["problem", "optimizer"])
    chance = response.drop_duplicates(["problem", "optimizer"]).set_index(["problem", "optimizer"]).chance
    gained = (chance - gained.loss).where(lambda g: g > 0)
    excess["part"] = (
        excess.excess.to_numpy() / gained.reindex(excess.set_index(["problem", "optimizer"]).index).to_numpy()
    )
    stable = metrics.largest_stable(response, parameter, bound=bound or None)
    rows = []
    for optimizer, part in width.groupby("optimizer"):
        middle = part.groupby("tolerance").width.median()
        five = part[part.tolerance == 0.05]
        cells = [named(str(optimizer)), *(_decades(middle.get(t, np.nan)) for t in TOLERANCES)]
        cells.append(_edges(int(five.left_censored.sum()), int(five.right_censored.sum())))
        own = excess[excess.optimizer == optimizer]
        cells += [_decades(own.part.median()), len(five)]
        mine = stable[stable.optimizer == optimizer]
        cells.append(_ends(mine.largest, mine.right_censored))
        if bound:
            cells.append(_ends(mine.ratio, mine.right_censored))
        rows.append((-np.nan_to_num(middle.get(0.05, np.nan), nan=-1), cells))
    rows.sort(key=lambda row: row[0])
    what = title(parameter)
    caption = (
        f"Decades of {what} within 1, 5 and 10% of the best gap (of the way from the start), median over problems; on "
        "how many problems the grid's lower and upper end cut the 5% range (then it is wider); expected excess gap of "
        "a value drawn from three decades about the best, as a share of the way, median; largest value of the grid at "
        "which 95% of runs stay finite (≥: up to its end). Other settings are at their best for each value"
    )
    heads = ["optimizer", "1%", "5%", "10%", "cut low, high", "excess", "problems", "largest stable"]
    if bound:
        heads.append("by 2/λmax")
        caption += (
            "; the same divided by 2/λmax at the start: on a quadratic theory has 1 for gradient descent and 1 + β for "
            "heavy ball with momentum β"
        )
    return table(heads, [cells for _, cells in rows], caption)


def _decades(value: float) -> str:
    return "–" if value != value else f"{value:.2f}"


def _edges(low: int, high: int) -> str:
    return "none" if not low + high else f"{low}, {high}"


def _ends(values: pd.Series, censored: Sequence[bool] | pd.Series) -> str:
    kept = values[values.notna()]
    if not len(kept):
        return "none" if len(values) and values.isna().all() else "–"
    flags = pd.Series(np.asarray(censored, bool), index=values.index)
    sides = [("≥ " if flags[k] else "") + number(kept[k]) for k in (kept.idxmin(), kept.idxmax())]
    return sides[0] if kept.min() == kept.max() else " to ".join(sides)


def whole_grids(response: pd.DataFrame, x: str, y: str) -> pd.DataFrame:
    """The rows of those problems and optimizers that have every pair of their values, two of each at least."""
    groups = response.groupby(["problem", "optimizer"])
    size, nx, ny = groups[x].transform("size"), groups[x].transform("nunique"), groups[y].transform("nunique")
    return response[(size == nx * ny) & (nx > 1) & (ny > 1)]


def _areas(response: pd.DataFrame, x: str, y: str) -> str:
    kept = whole_grids(response, x, y)
    if kept.empty:
        return ""
    area = metrics.areas(kept, x, y)
    rows = []
    for optimizer, part in area.groupby("optimizer"):
        middle = part.groupby("tolerance").area.median()
        five = part[part.tolerance == 0.05]
        best = [_ends(five[c], [False] * len(five)) for c in ("best_x", "best_y")]
        cells = [named(str(optimizer)), *best, *(_decades(middle.get(t, np.nan)) for t in TOLERANCES)]
        rows.append((-np.nan_to_num(middle.get(0.05, np.nan), nan=-1), [*cells, int(five.censored.sum()), len(five)]))
    rows.sort(key=lambda row: row[0])
    caption = (
        f"{title(x).capitalize()} and {title(y)}: the best values over problems; area within 1, 5 and 10% of the best "
        "gap in square decades, median over problems; on how many it touches the grid's border (then it is larger)"
    )
    heads = ("optimizer", title(x), title(y), "1%", "5%", "10%", "cut", "problems")
    return table(heads, [cells for _, cells in rows], caption)
