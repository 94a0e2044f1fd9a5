"""The sections on all problems: what was run, who leads, profiles, distributions, failures, provenance.

Each returns the inside of its section. What makes no sense for a study is one sentence that says why.
"""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false
# pyright: reportReturnType=false, reportAssignmentType=false, reportCallIssue=false, reportOperatorIssue=false, reportIndexIssue=false

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from optlab import metrics
from optlab.metrics.rows import setting_columns
from optlab.plots.ecdf import ends
from optlab.plots.style import name, number

from . import scores
from .comparison import CONTROLS, ENOUGH, Comparison, losses, places
from .html import Raw, listed, named, paragraph, table, text
from .words import count, rate, share, span

CLAIMED = 0.05  #: adjusted p below which a difference across problems is called one
MOST_CLAIMS = 12  #: sentences; the rest is counted
STABILITY = 25  #: bootstrap replicates of an order, for each target and left-out optimizer


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
    every = setting_columns(runs)
    tried = places(runs).groupby([runs.optimizer, runs.problem]).nunique().groupby(level=0).max()
    for optimizer, part in runs.groupby("optimizer"):
        leaves = [c for c in every if part[c].nunique() > 1]
        swept = [f"{c.removeprefix('optimizer.').replace('_', ' ')} {_range(part[c])}" for c in leaves]
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
        texts = sorted(map(str, column.dropna().unique()))
        return ", ".join(texts) if len(texts) <= 3 else f"({len(texts)} values)"
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
    digits = scores.digits(found)
    rows = []
    for k, row in enumerate(board.itertuples(index=False), 1):
        optimizer = str(row.optimizer)
        hits, n = solved[optimizer]
        cells = [named(optimizer), k, span(row.score, row.low, row.high, row.note, share), rate(hits, n)]
        if digits is not None:
            own = digits.loc[optimizer]
            cells.append(span(own.score, own.low, own.high, own.note, _tenths))
        rows.append([*cells, f"{mean[optimizer]:.1f}" if problems > 1 else "–", better.get(optimizer, "–")])
    goal = f"gap {number(found.solved_at)}" if found.known else f"{1 - found.solved_at:.1%} of the way"
    gained = " digits gained, −log10 of final by first gap (interquartile mean);" if digits is not None else ""
    caption = (
        f"Pooled over {problems} problems: {what} with its 95% bootstrap interval (problems fixed); runs that reached "
        f"{goal} (Wilson 95%);{gained} "
        f"mean rank; probability that a run of {name(leader)} is better"
    )
    more = ("digits",) if digits is not None else ()
    heads = ("optimizer", "place", found.judged, "solved", *more, "mean rank", f"P({name(leader)} better)")
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


def _tenths(value: float) -> str:
    return f"{value:.1f}"


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


def data_profiles(judged: tuple[pd.DataFrame, pd.Series, str, str], figure: str) -> str:
    """The share solved within absolute costs, where performance profiles know relative ones only."""
    profile, area, unit, what = judged
    at = 10.0 ** np.arange(0, 7)
    finite = profile.cost[np.isfinite(profile.cost)]
    at = at[(at > finite.min()) & (at < 10 * finite.max())][:5] if len(finite) else at[:1]
    heights = metrics.share_at(profile, at)
    at = at[(heights > 0).any(axis=1).to_numpy()]
    rows = []
    for optimizer in area.sort_values(ascending=False, kind="stable").index:
        cells = [f"{heights.loc[x, optimizer]:.0%}" for x in at]
        rows.append([named(str(optimizer)), *cells, f"{profile.share[profile.optimizer == optimizer].max():.0%}"])
    caption = f"Share of cases solved within so many {unit}, and at all ({what})"
    return figure + table(("optimizer", *(count(x) for x in at), "solved"), rows, caption)


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
