"""A section for each problem: its curves, its table, and the one difference that may be claimed or not."""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false
# pyright: reportReturnType=false, reportAssignmentType=false, reportCallIssue=false, reportOperatorIssue=false

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from optlab import metrics
from optlab.metrics.rows import lanes, numbers, setting_columns
from optlab.metrics.sensitivity import RATE
from optlab.plots.style import name, number

from . import ink
from .comparison import PROFILED, Comparison
from .html import Raw, drawing, named, paragraph, table, text
from .sensitivity import title
from .words import count, rate, share, span

POINTS = 90  #: of a curve in a chart of this size
OPEN = 3  #: with so many problems or fewer all sections are open


def sections(found: Comparison, response: pd.DataFrame | None) -> Iterator[str]:
    """The section of each problem, in the order of names."""
    problems = sorted(found.chosen.runs.problem.unique())
    times = found.times[np.isclose(found.times.target.to_numpy()[:, None], PROFILED, rtol=1e-9).any(axis=1)]
    waits = metrics.expected_running_time(times)
    dims = metrics.dimensions(found.stored.runs, found.stored.curves)
    curves = medians(found)
    boards = board_of_each(found.scores)
    parts = {str(p): part for p, part in response.groupby("problem")} if response is not None else {}
    for k, problem in enumerate(problems):
        rows = waits[waits.problem == problem]
        order, body = _table(found, problem, boards[problem], rows)
        lines = sorted(curves[problem], key=lambda line: order.index(line.optimizer))
        charts = [ink.chart(lines, "Gap (median)", found.unit)]
        if problem in parts:
            charts.append(rates(parts[problem], "Final gap"))
        labels = (f"{problem}: gap against {found.unit}", f"{problem}: final gap against learning rate")
        drawn = "".join(drawing(svg, f"p{k}{j}", labels[j]) for j, svg in enumerate(charts))
        size = "" if np.isnan(dims[problem]) else f"{dims[problem]:g} variables, "
        source = found.stored.runs.minimum_source[found.stored.runs.problem == problem].iloc[0]
        head = f"{text(name(problem))} <span>{size}minimum {text(source)}, best: {text(name(order[0]))}</span>"
        opened = " open" if len(problems) <= OPEN or k == 0 else ""
        yield (
            f'<details class="problem" id="problem-{k}"{opened}><summary>{head}</summary>'
            f'<div class="pair">{drawn}</div>{paragraph(verdict(found, problem, order))}{body}</details>'
        )


def medians(found: Comparison) -> dict[str, list[ink.Line]]:
    """The median gap of the scoring runs of each problem and optimizer, on log-spaced costs.

    A run that ended keeps its last gap; one that failed at once counts as infinite.
    """
    runs = found.chosen.runs
    rows = lanes(found.chosen.curves, runs)
    paid, gap = metrics.cost(rows.rows, found.axis, runs=runs).to_numpy(), numbers(rows.rows.gap)
    found_lines: dict[str, list[ink.Line]] = {}
    for (problem, optimizer), part in runs.groupby(["problem", "optimizer"]):
        held = [slice(rows.begin[i], rows.begin[i] + rows.length[i]) for i in part.index if rows.length[i]]
        most = max((paid[s][-1] for s in held), default=1.0)
        # On a logarithmic axis what costs nothing stands where something first does
        first = min((paid[s][paid[s] > 0][0] for s in held if (paid[s] > 0).any()), default=1.0)
        x = np.unique(np.geomspace(first, max(most, first), POINTS).round(6))
        each = np.full((len(part), len(x)), np.inf)
        for k, s in enumerate(held):
            at = np.searchsorted(paid[s], x * (1 + 1e-9), side="right") - 1
            each[k] = gap[s][np.clip(at, 0, None)]
        # An order statistic: between a finite and an infinite gap there is no middle.
        y = np.sort(np.where(np.isnan(each), np.inf, each), axis=0)[(len(part) - 1) // 2]
        found_lines.setdefault(str(problem), []).append(ink.Line(str(optimizer), x, y))
    return found_lines


def rates(part: pd.DataFrame, head: str, parameter: str = RATE) -> str:
    """The chart of one problem's response to the learning rate or another number, the best optimizer first."""
    lines = [
        ink.Line(str(o), rows[parameter].to_numpy(float), rows.loss.to_numpy(float))
        for o, rows in part.groupby("optimizer")
    ]
    return ink.chart(sorted(lines, key=lambda line: line.y.min()), head, title(parameter))


def hardest(waits: pd.DataFrame) -> float:
    """The hardest of the profiles' targets that at least one run reached, or the easiest."""
    reached = waits.target[waits.hits > 0]
    return float(reached.min() if len(reached) else waits.target.max())


def board_of_each(scores: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """`metrics.intervals` of each problem apart, best first, in one call: pairs take the place of optimizers."""
    place = scores.groupby(["problem", "optimizer"]).ngroup()
    whole = metrics.intervals(scores.assign(problem="each", optimizer=place), "score", draws=2000)
    pairs = scores.assign(place=place).drop_duplicates("place").set_index("place")[["problem", "optimizer"]]
    whole[["problem", "optimizer"]] = pairs.loc[whole.optimizer.astype(int)].to_numpy()
    whole = whole.sort_values(["score", "optimizer"], ascending=[False, True], kind="stable")
    return {str(p): part for p, part in whole.groupby("problem")}


def _table(found: Comparison, problem: str, board: pd.DataFrame, waits: pd.DataFrame) -> tuple[list[str], str]:
    """Optimizers, best first, and their table."""
    goal = hardest(waits)
    waits = waits[waits.target == goal].set_index("optimizer")
    settings = found.settings[found.settings.problem == problem].set_index("optimizer")
    runs = found.stored.runs[found.stored.runs.problem == problem]
    varied = _varied(runs)
    rows = []
    for row in board.itertuples(index=False):
        wait = waits.loc[row.optimizer]
        cells: list[Any] = [named(str(row.optimizer)), _setting(settings.loc[row.optimizer], varied[row.optimizer])]
        cells += [span(row.score, row.low, row.high, row.note, share), rate(int(wait.hits), int(wait.n))]
        rows.append([*cells, span(wait.ert, wait.low, wait.high, wait.note, count)])
    target = f"gap {number(goal)}" if found.known else f"{number(goal)} of the way left"
    caption = (
        f"{found.judged.capitalize()} (95% bootstrap interval over runs), share of runs that reached {target} (Wilson "
        f"95%), expected {found.unit} until then with restarts (95% bootstrap)"
    )
    heads = ("optimizer", "setting", found.judged, "reached", f"expected {found.unit}")
    return [str(o) for o in board.optimizer], table(heads, rows, caption, words=2)


def _varied(runs: pd.DataFrame) -> dict[str, list[str]]:
    leaves = setting_columns(runs)
    by = runs.groupby("optimizer")
    # A schedule's own numbers are missing under another schedule; that is no value of theirs.
    counts = {c: by[c].nunique(dropna=c.startswith("schedule.")) for c in leaves}
    return {str(o): [c for c in leaves if counts[c][o] > 1] for o in runs.optimizer.unique()}


def _setting(row: pd.Series, varied: list[str]) -> str | Raw:
    if not varied:
        return "as given"
    edges = re.split(", ", row.edge) if row.edge else []
    words = []
    for leaf in varied:
        short = leaf.removeprefix("optimizer.")
        value = number(row[leaf]) if isinstance(row[leaf], float) else str(row[leaf])
        words.append(f"{short.replace('_', ' ')} {value}{' (edge)' if short in edges else ''}")
    return ", ".join(words)


def runs_of(values: dict[str, np.ndarray], pair: list[str]) -> str:
    """How many runs each of two has, the fewer of them."""
    n = min(len(values[o]) for o in pair)
    return "1 run each" if n == 1 else f"{n} runs each"


def verdict(found: Comparison, problem: str, order: list[str]) -> str:
    """Whether the best may be called better than the next, by the claim rule; else which is the first it beats."""
    if len(order) < 2:
        return f"Only {name(order[0])} ran here, so nothing is compared."
    part = found.scores[found.scores.problem == problem]
    values = {str(o): rows.score.to_numpy(float) for o, rows in part.groupby("optimizer")}
    claims = [metrics.beats(values[order[0]], values[o], goal="max") for o in order[1:]]
    if claims[0].note:
        return f"No difference is claimed here: {claims[0].note} ({runs_of(values, order[:2])})."
    if claims[0].holds:
        lead = f"{claims[0].statistic:.1f} standard errors, and 3.09 are asked for"
        return f"{name(order[0])} is better than {name(order[1])}: {lead}."
    beaten = [name(o) for o, claim in zip(order[1:], claims, strict=True) if claim.holds]
    behind = f" It is better than {', '.join(beaten)}." if beaten else ""
    shown = f"{claims[0].statistic:.1f} standard errors of 3.09"
    return f"No difference is claimed between {name(order[0])} and {name(order[1])} ({shown}).{behind}"
