"""The sections on all problems: what was run, who leads, profiles, distributions, sensitivity, failures, provenance.

Each returns the inside of its section. What makes no sense for a study is one sentence that says why.
"""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false
# pyright: reportReturnType=false, reportAssignmentType=false, reportCallIssue=false, reportOperatorIssue=false, reportIndexIssue=false

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from optlab import metrics
from optlab.metrics.sensitivity import RATE
from optlab.plots.ecdf import ends
from optlab.plots.style import name, number

from . import scores
from .comparison import CONTROLS, ENOUGH, PREFIX, Comparison, key, losses
from .html import Raw, listed, named, paragraph, table, text

CLAIMED = 0.05  #: adjusted p below which a difference across problems is called one
MOST_CLAIMS = 12  #: sentences; the rest is counted
STABILITY = 25  #: bootstrap replicates of an order, for each target and left-out optimizer
TOLERANCE = 0.05  #: of the widths shown


def span(value: float, low: float, high: float, note: str = "", form: Callable[[float], str] = number) -> str:
    """A number with its interval, or the words that say why it has none."""
    if note:
        return f"{form(value)} ({note})"
    return f"{form(value)} [{form(low)}, {form(high)}]"


def share(value: float) -> str:
    """A score between 0 and 1."""
    return f"{value:.2f}"


def count(value: float) -> str:
    """A cost."""
    return f"{value:,.0f}" if 100 <= value < 1e7 else number(value)


def rate(hits: int, n: int) -> str:
    """A rate with Wilson's 95% interval, in percent."""
    low, high = metrics.wilson(np.array(hits), np.array(n))
    return f"{hits / n:.0%} [{float(low):.0%}, {float(high):.0%}]"


def facts(found: Comparison, all_runs: pd.DataFrame) -> str:
    """The numbers on top of the page."""
    lost = int(all_runs.status.isin(metrics.rows.LOST).sum())
    contestants = all_runs[~all_runs.optimizer.isin(CONTROLS)]
    pairs = [
        ("runs", f"{len(all_runs):,}"), ("optimizers", f"{contestants.optimizer.nunique()}"),
        ("problems", f"{found.stored.runs.problem.nunique()}"), ("diverged or failed", f"{lost / len(all_runs):.1%}"),
    ]  # fmt: skip
    return '<dl class="facts">' + "".join(f"<div><dt>{k}</dt><dd>{v}</dd></div>" for k, v in pairs) + "</dl>"


def protocol(found: Comparison) -> str:
    """What was run, and what of it is compared."""
    runs = found.stored.runs
    rows = []
    every = [c for c in runs if str(c).startswith(PREFIX)]
    place = runs.groupby([key(runs[c]) for c in every]).ngroup() if every else pd.Series(0, index=runs.index)
    tried = place.groupby([runs.optimizer, runs.problem]).nunique().groupby(level=0).max()
    for optimizer, part in runs.groupby("optimizer"):
        leaves = [c for c in every if part[c].nunique() > 1]
        swept = [f"{c.removeprefix(PREFIX).replace('_', ' ')} {_range(part[c])}" for c in leaves]
        count = int(tried[optimizer])
        rows.append(
            (
                named(str(optimizer)),
                "; ".join(swept) or "one setting",
                count,
                int(part.groupby("problem").seed.nunique().max()),
                len(part),
            )
        )
    caption = "Optimizers: what was swept, settings (most on one problem), repeats (seed and start), runs"
    parts = [paragraph(found.protocol, *found.left_out)]
    parts.append(table(("optimizer", "swept", "settings", "repeats", "runs"), rows, caption, words=2))
    cut = found.settings[found.settings.edge != ""] if found.tuned else found.settings.iloc[:0]
    if len(cut):
        parts.append(paragraph(
            f"Of {len(found.settings)} chosen settings {len(cut)} lie at the edge of what was tried: a wider grid may "
            "do better. The sections of problems mark them.", quiet=True,
        ))  # fmt: skip
    observed = sorted(runs.problem[runs.minimum_source == "observed"].unique())
    if observed:
        parts.append(paragraph(
            f"The minimum of {', '.join(observed)} is not known. Scores of all problems are therefore the share of the "
            "way from the first value to the best that any stored run found, and targets are parts of that way.",
        ))  # fmt: skip
    return "".join(parts)


def _range(column: pd.Series) -> str:
    values = pd.to_numeric(column, errors="coerce").dropna()
    if len(values) < column.notna().sum():
        return f"({column.nunique()} values)"
    return f"{number(values.min())} to {number(values.max())}"


def leaderboard(found: Comparison, judged: tuple[pd.DataFrame, str, str], figure: str, rank_figure: str) -> str:
    """Pooled scores, and the differences that may be called so. `judged` is from `scores.board`."""
    board, what, _ = judged
    board = board.sort_values("score", ascending=False, kind="stable")
    leader = str(board.optimizer.iloc[0])
    better = _against(found, leader)
    solved = _solved(found)
    ranks, problems = losses(found), len(found.common)
    mean = metrics.critical_difference(ranks).ranks if problems > 1 else pd.Series(dtype=float)
    rows = []
    for k, row in enumerate(board.itertuples(index=False), 1):
        optimizer = str(row.optimizer)
        hits, n = solved[optimizer]
        cells = [named(optimizer), k, span(row.score, row.low, row.high, row.note, share), rate(hits, n)]
        rows.append([*cells, f"{mean[optimizer]:.1f}" if problems > 1 else "–", better.get(optimizer, "–")])
    goal = f"gap {number(found.solved_at)}" if found.known else f"{1 - found.solved_at:.1%} of the way"
    caption = (
        f"Pooled over {problems} problems: {what} with its 95% bootstrap interval (problems fixed); runs that reached "
        f"{goal} (Wilson 95%); mean rank; probability that a run of {name(leader)} is better"
    )
    heads = ("optimizer", "place", found.judged, "solved", "mean rank", f"P({name(leader)} better)")
    meaning = (
        "Anytime area: 1 minus the mean over log-spaced costs of the gap's place between 1e-8 and 1e2. It rewards both "
        "speed and precision." if found.known else "Progress: the share of the way to the best value known, at the end."
    )  # fmt: skip
    claims = differences(found, ranks)
    return "".join([paragraph(meaning), figure, table(heads, rows, caption), "<h3>What may be said</h3>", claims,
                    rank_figure])  # fmt: skip


def _against(found: Comparison, leader: str) -> dict[str, str]:
    """P(leader better than each other), with intervals."""
    part = found.shared(found.scores)
    fewest = part.groupby(["problem", "optimizer"]).size().min()
    draws = 1000 if fewest >= ENOUGH else 0  # there would be no interval
    said = {}
    for row in metrics.probability_of_improvement(part, "score", draws=draws).itertuples(index=False):
        if row.first == leader:
            said[row.second] = span(row.probability, row.low, row.high, row.note, share)
        elif row.second == leader:
            said[row.first] = span(1 - row.probability, 1 - row.high, 1 - row.low, row.note, share)
    return said


def _solved(found: Comparison) -> dict[str, tuple[int, int]]:
    times = found.shared(found.times)
    last = times[np.isclose(times.target, found.solved_at, rtol=1e-9)]
    hit = np.isfinite(last.runtime).groupby(last.optimizer)
    return {str(o): (int(part.sum()), len(part)) for o, part in hit}


def differences(found: Comparison, ranks: pd.DataFrame) -> str:
    """The differences across problems that hold after Holm's correction, and those that do not."""
    tests = metrics.wilcoxon_holm(ranks)
    pairs, problems = len(tests), len(ranks)
    if (tests.note != "").any():
        return paragraph(
            f"Across problems no difference is claimed: {metrics.TOO_SMALL} ({problems} problems; the signed-rank test "
            "needs 5). Differences on single problems are in their sections."
        )
    held = tests[(tests.p_holm < CLAIMED) & (tests.better != "")].sort_values("p_holm", kind="stable")
    sentences = [_claim(row) for row in held.head(MOST_CLAIMS).itertuples(index=False)]
    if len(held) > MOST_CLAIMS:
        sentences.append(f"{len(held) - MOST_CLAIMS} more pairs differ.")
    rest = pairs - len(held)
    head = f"Of {pairs} pairs {rest} cannot be told apart over {problems} problems (Wilcoxon's signed-rank test with "
    head += "Holm's correction, 5%), whatever the order above."
    if not len(held):
        head = f"No difference between any two optimizers is claimed: over {problems} problems none of {pairs} pairs "
        head += (
            "passes Wilcoxon's signed-rank test with Holm's correction at 5%. The order above is an order of numbers."
        )
    return listed(sentences) + paragraph(head) if sentences else paragraph(head)


def _claim(row: Any) -> str:
    worse = row.second if row.better == row.first else row.first
    won = row.wins if row.better == row.first else row.losses
    return (
        f"{name(row.better)} is better than {name(worse)}: on {won} of {row.problems} problems, p = {row.p_holm:.2g}."
    )


def profiles(found: Comparison, judged: tuple[pd.DataFrame, pd.Series, str, str], figure: str) -> str:
    """Profiles, the score that is their area, and how far the order hangs on who else is there."""
    profile, score, _, cases = judged
    order = [str(o) for o in score.sort_values(ascending=False, kind="stable").index]
    stable = metrics.rank_stability(found.shared(found.times), draws=STABILITY)
    rows = []
    for k, optimizer in enumerate(order):
        own = profile[profile.optimizer == optimizer]
        ahead = f"{stable.loc[optimizer, order[k + 1]]:.0%}" if k + 1 < len(order) else "–"
        ends = f"{own.share.iloc[0]:.0%}", f"{own.share.iloc[-1]:.0%}"
        rows.append((named(optimizer), f"{score[optimizer]:.2f}", *ends, ahead))
    caption = (
        "AlgoPerf's score (area up to ratio 4), share of cases won (ties included) and solved, and how often the "
        "optimizer stays ahead of the next: over bootstrapped runs, targets and left-out optimizers"
    )
    heads = ("optimizer", "score", "won", "solved", "ahead of the next")
    lead = (
        f"At ratio r a curve shows the share of cases solved within r times the {found.unit} of the fastest; unsolved "
        f"ones stay in the denominator. There are {cases}."
    )
    return paragraph(lead) + figure + table(heads, rows, caption) + paragraph(_pairwise(found, order), quiet=True)


def _pairwise(found: Comparison, order: Sequence[str]) -> str:
    """Pairs whose order turns when only the two are compared (Gould and Scott)."""
    costs = scores.cases(found)
    if len(order) < 3:
        return ""
    turned = []
    for first, second in zip(order[:-1], order[1:], strict=True):
        alone = metrics.algoperf_score(costs[[first, second]])
        if alone[second] > alone[first]:
            turned.append(f"{name(second)} before {name(first)}")
    if not turned:
        return "Neighbours in this order keep it when only the two are compared."
    return f"The order hangs on who else is there: with only the two of them compared, {'; '.join(turned)}."


def distributions(found: Comparison, judged: tuple[pd.DataFrame, pd.Series, str, str], figure: str) -> str:
    """Runtime distributions and their areas."""
    ecdf, budget, _, _ = judged
    left, right = ends(ecdf, budget)
    area = metrics.log_auc(ecdf, left, right).sort_values(ascending=False, kind="stable")
    reached = ecdf.groupby("optimizer").share.max()
    rows = [(named(str(o)), f"{a:.2f}", f"{reached[o]:.0%}", count(budget[o])) for o, a in area.items()]
    caption = (
        f"Mean height from {number(left)} to {number(right)} on the logarithmic axis, share of targets that any run "
        "reached, median budget"
    )
    targets = "51 gaps from 1e2 to 1e-8" if found.known else "4 parts of the way to the best value known"
    lead = (
        f"How much of all targets ({targets}, of each problem) is reached within a number of {found.unit}. Runs that "
        "missed a target are restarted by drawing other runs; beyond the cross that is all there is."
    )
    return paragraph(lead) + figure + table(("optimizer", "area", "reached", "budget"), rows, caption)


def sensitivity(response: pd.DataFrame | None, figure: str) -> str:
    """How wide the range of good learning rates is."""
    if response is None:
        return paragraph("No optimizer ran at three learning rates or more on a problem, so nothing is said of rates.")
    width = metrics.widths(response, tolerances=(TOLERANCE,))
    stable = metrics.largest_stable(response).set_index(["problem", "optimizer"])
    rows = []
    for optimizer, part in width.groupby("optimizer"):
        cut = int((part.left_censored | part.right_censored).sum())
        largest = stable.xs(str(optimizer), level="optimizer").largest.dropna()
        middle = part.width.median()
        ends = f"{number(largest.min())} to {number(largest.max())}" if len(largest) else "none"
        rows.append(
            (middle, (named(str(optimizer)), f"{middle:.2f}" if middle == middle else "–", cut, len(part), ends))
        )
    rows.sort(key=lambda row: -np.nan_to_num(row[0], nan=-1))
    caption = (
        f"Decades of learning rates within {TOLERANCE:.0%} of the best gap (of the way from the start), median over "
        "problems; on how many the grid's end cuts them (then it is more); largest rate at which 95% of runs stay"
        " finite"
    )
    heads = ("optimizer", "width", "cut", "problems", "largest stable")
    return figure + table(heads, [row for _, row in rows], caption)


def rates(found: Comparison) -> pd.DataFrame | None:
    """The response to the learning rate (`metrics.response`) of optimizers that ran at three rates or more."""
    runs = found.stored.runs
    if RATE not in runs:
        return None
    fixed = metrics.labelled(runs, apart_from=[RATE])
    fixed = fixed[numbers_above(fixed[RATE], 0)]
    count = fixed.groupby(["problem", "optimizer"])[RATE].transform("nunique")
    fixed = fixed[count >= 3]
    if fixed.empty:
        return None
    fixed = fixed.assign(**{RATE: pd.to_numeric(fixed[RATE])})
    return metrics.response(fixed, measure="gap", chance=metrics.initial(found.stored.curves, "gap"))


def numbers_above(column: pd.Series, least: float) -> np.ndarray:
    return np.nan_to_num(metrics.rows.numbers(column), nan=-np.inf) > least


def failures(found: Comparison, all_runs: pd.DataFrame) -> str:
    """How runs ended; errors; problems that controls show to be faulty."""
    kinds = [str(s) for s in all_runs.status.value_counts().index]
    counts = pd.crosstab(all_runs.optimizer, all_runs.status)
    lost = all_runs.status.isin(metrics.rows.LOST).groupby(all_runs.optimizer).sum()
    rows = []
    for optimizer in lost.sort_values(ascending=False, kind="stable").index:
        n = int(counts.loc[optimizer].sum())
        cells = [f"{int(counts.loc[optimizer, kind]):,}" for kind in kinds]
        rows.append((named(str(optimizer)), rate(int(lost[optimizer]), n), *cells))
    caption = "All runs, whatever their setting: share that diverged or failed (Wilson 95%), and how runs ended"
    heads = ("optimizer", "lost", *(kind.replace("_", " ") for kind in kinds))
    parts = [table(heads, rows, caption)]
    if "error" in all_runs and all_runs.error.notna().any():
        errors = all_runs.error.dropna().astype(str).value_counts().head(10)
        parts.append("<h3>Errors</h3>")
        parts.append(listed(Raw(f"{n:,} runs: <code>{text(e[:300])}</code>") for e, n in errors.items()))
    if all_runs.optimizer.isin(CONTROLS).any():
        verdicts = metrics.judge_tasks(all_runs)
        told = verdicts[verdicts.verdict != "sound"]
        sentences = [f"{row.problem}: {row.verdict}" for row in told.itertuples(index=False)]
        sound = f"{len(verdicts) - len(told)} of {len(verdicts)} problems are sound."
        parts += ["<h3>Controls</h3>", paragraph("What the controls say of the problems:", sound), listed(sentences)]
    return "".join(parts)


def provenance(all_runs: pd.DataFrame, environments: pd.DataFrame) -> str:
    """With what the numbers were made: studies, versions, machines."""
    studies = all_runs.study.value_counts() if "study" in all_runs else pd.Series(dtype=int)
    parts = [paragraph("Studies: " + ", ".join(f"{study} ({n:,} runs)" for study, n in studies.items()) + ".")]
    if environments.empty:
        return "".join([*parts, paragraph("The tables do not say on which machine they were made.")])
    counts = all_runs.environment_id.value_counts() if "environment_id" in all_runs else pd.Series(dtype=int)
    shown = environments.head(4)
    heads = ["", *(f"{int(counts.get(i, 0)):,} runs" for i in shown.environment_id)]
    fields = [c for c in shown if c != "environment_id" and shown[c].notna().any()]
    rows = [[c.replace("_", " "), *(_said(value) for value in shown[c])] for c in fields]
    caption = "Versions and machines" + (f" (4 of {len(environments)})" if len(environments) > 4 else "")
    return "".join([*parts, table(heads, rows, caption, words=1 + len(shown))])


def _said(value: Any) -> str:
    if value is None or value is pd.NA or value != value:
        return "–"
    return str(bool(value)).lower() if isinstance(value, bool | np.bool_) else str(value)
