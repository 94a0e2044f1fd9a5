"""The tuning protocol of a comparison: default settings, the best of the trials, the best schedule, what trials buy.

All protocols are scored on the same repeats, those that chose nothing.
"""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false
# pyright: reportReturnType=false, reportAssignmentType=false, reportCallIssue=false, reportOperatorIssue=false
# pyright: reportOptionalOperand=false

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import pandas as pd

from optlab import metrics
from optlab.metrics.intervals import interquartile_means
from optlab.metrics.rows import setting_columns
from optlab.metrics.sensitivity import chance_levels, losses
from optlab.plots.style import name

from .comparison import Comparison, at_settings, best_settings, places
from .html import Raw, named, paragraph, table, text
from .words import share, span

CONSTANT = "constant"


class Protocol(NamedTuple):
    """One way to set the optimizers, on the problems that all ran on."""

    settings: pd.DataFrame  #: of each optimizer on each problem, see `metrics.tune`
    scores: pd.DataFrame  #: of the scoring repeats there, of those optimizers that have them on every problem


def plain_schedule(runs: pd.DataFrame) -> pd.Series:
    """Which runs kept the learning rate constant, or had the only schedule that their optimizer ran with."""
    if "schedule" not in runs:
        return pd.Series(True, index=runs.index)
    schedule = runs.schedule.fillna(CONSTANT)
    return (schedule == CONSTANT) | (schedule.groupby(runs.optimizer).transform("nunique") == 1)


def at_default(runs: pd.DataFrame) -> pd.Series:
    """Which runs are marked as default settings (column `default`, which the sweep writes)."""
    if "default" not in runs:
        return pd.Series(False, index=runs.index)
    return (runs["default"] == True) & plain_schedule(runs)  # noqa: E712, null is not default


def protocols(found: Comparison) -> dict[str, Protocol]:
    """`default`, `tuned` and `schedule`, in this order, as far as there are runs for them.

    Default: as marked. Tuned: the best of the trials with the plain schedule. Schedule: the best of the trials with
    any, where an optimizer ran with several.
    """
    runs = found.shared(found.stored.runs)
    start = metrics.initial(found.stored.curves, "gap")
    settings = {}
    marked = runs[at_default(runs)]
    if len(marked):
        settings["default"] = marked.drop_duplicates(["problem", "optimizer", *setting_columns(runs)])
    plain = runs[plain_schedule(runs)]
    if plain.seed.isin(found.tuning).any():
        settings["tuned"] = best_settings(plain, found.tuning, start, found.budget)
    if len(plain) < len(runs):
        settings["schedule"] = best_settings(runs, found.tuning, start, found.budget)
    return {what: Protocol(chosen, _scored(found, runs, chosen)) for what, chosen in settings.items()}


def _scored(found: Comparison, runs: pd.DataFrame, settings: pd.DataFrame) -> pd.DataFrame:
    here = runs[at_settings(runs, settings) & runs.seed.isin(found.scoring)]
    scores = found.every_score[found.every_score.run_id.isin(here.run_id)]
    count = scores.groupby("optimizer").problem.nunique()
    return scores[scores.optimizer.isin(count.index[count == len(found.common)])]


def trials(found: Comparison) -> pd.DataFrame:
    """What each setting is worth: problem, optimizer, loss (1 - interquartile-mean score of the scoring repeats) and
    chosen_by (interquartile-mean final gap of the tuning repeats), less is better.

    On the problems that all ran on, with the schedules that there are.
    """
    runs = found.shared(found.stored.runs).reset_index(drop=True)
    place = places(runs).to_numpy()
    score = found.every_score.set_index("run_id").score.reindex(runs.run_id).to_numpy(float)
    gap = losses(runs, "gap", chance_levels(runs, metrics.initial(found.stored.curves, "gap")))
    columns = {}
    for column, values, seeds in (("loss", 1 - score, found.scoring), ("chosen_by", gap, found.tuning)):
        here = runs.seed.isin(seeds).to_numpy()
        held, code = np.unique(place[here], return_inverse=True)
        columns[column] = pd.Series(interquartile_means(values[here], code), index=held)
    whole = pd.DataFrame(columns).dropna()
    first = runs.assign(place=place).drop_duplicates("place").set_index("place")
    return whole.join(first[["problem", "optimizer"]]).reset_index(drop=True)


def spoken(seeds: Collection[int]) -> str:
    """Whole numbers as a range, or one by one."""
    ordered = sorted(int(seed) for seed in seeds)
    if len(ordered) > 2 and ordered[-1] - ordered[0] == len(ordered) - 1:
        return f"{ordered[0]} to {ordered[-1]}"
    return ", ".join(map(str, ordered))


def seeds(found: Comparison) -> str:
    """Which seeds chose and which scored, and the flag where they are the same."""
    runs = found.stored.runs
    by_hand = "problem.start" in runs and runs["problem.start"].nunique(dropna=False) > 1
    noun = "Repeats (start and seed, counted from 0)" if by_hand else "Seeds" if len(found.scoring) > 1 else "Seed"
    if found.apart:
        lead = noun if by_hand or len(found.tuning) > 1 else "Seed"
        return paragraph(
            f"{lead} {spoken(found.tuning)} chose the settings, {spoken(found.scoring)} scored them: no run does both."
        )
    flag = (
        f"{noun} {spoken(found.scoring)} chose the settings and scored them, too: there are too few that all "
        "optimizers have to keep some apart. The tuned scores are too good by chance; run two seeds at least, better "
        "ten."
    )
    return f"<p><strong>Not kept apart.</strong> {text(flag)}</p>"


def section(found: Comparison, figure: str) -> str:
    """The inside of the section; `figure` is that of the tuning curves, or why there is none."""
    if not found.common:
        return paragraph("No problem was run by all optimizers, so their ways of tuning are not compared.")
    if not found.tuned:
        return paragraph(f"Each optimizer ran at one setting: nothing was tuned. {_marked(found)}")
    known = protocols(found)
    parts = [seeds(found), paragraph(_trials_said(found, known), _marked(found))]
    parts += [_table(found, known), paragraph(_gains(known, "default", "tuned", "From default to tuned"))]
    if "schedule" in known:
        parts.append(paragraph(_gains(known, "tuned", "schedule", "From tuned to the best schedule")))
    return "".join([*parts, figure])


def _marked(found: Comparison) -> str:
    """How much is known of default settings."""
    runs = found.shared(found.stored.runs)
    if "default" not in runs or runs["default"].isna().all():
        return (
            "These tables do not mark which settings are defaults (the column default of runs), so that none are shown."
        )
    with_default = set(runs.optimizer[at_default(runs)])
    missing = [name(o) for o in sorted(set(runs.optimizer) - with_default)]
    if not missing:
        return "Default is what the optimizer's file in conf, or else its function, states."
    return f"At the default of conf, or else of the function, these did not run: {', '.join(missing)}."


def _trials_said(found: Comparison, known: dict[str, Protocol]) -> str:
    tried = known["tuned" if "tuned" in known else "schedule"].settings.tried
    least, most = int(tried.min()), int(tried.max())
    head = f"Tuned is the best of {least} trials" if least == most else f"Tuned is the best of {least} to {most} trials"
    head += " (settings) on each problem, by the final gap"
    if found.budget is not None:
        head += f"; the budget is {found.budget}, and where more settings were run the trials are drawn at random"
    rest = ". An optimizer with more trials has the better chances; budget=N gives each at most N."
    return head + (rest if least < most else ".")


def _table(found: Comparison, known: dict[str, Protocol]) -> str:
    boards = {
        what: metrics.intervals(each.scores, "score").set_index("optimizer")
        for what, each in known.items()
        if len(each.scores)
    }
    heads = {"default": "default", "tuned": "tuned", "schedule": "best schedule"}
    last = boards[list(boards)[-1]].score if boards else pd.Series(dtype=float)
    everyone = sorted(found.shared(found.stored.runs).optimizer.unique(), key=lambda o: (-last.get(o, -1.0), o))
    rows = []
    for optimizer in everyone:
        cells: list[str | Raw] = [named(optimizer)]
        for what in known:
            row = boards[what].loc[optimizer] if what in boards and optimizer in boards[what].index else None
            cells.append("–" if row is None else span(row.score, row.low, row.high, row.note, share))
        for what in ("tuned", "schedule"):
            if what in known:
                own = known[what].settings
                own = own[own.optimizer == optimizer]
                cells.append(_range(own.tried))
        own = known[list(known)[-1]].settings
        edges = own.edge[own.optimizer == optimizer] if "edge" in own else pd.Series(dtype=str)
        cells.append(f"{int((edges != '').sum())} of {len(edges)}" if len(edges) else "–")
        rows.append(cells)
    counted = [{"tuned": "trials", "schedule": "with schedules"}[w] for w in ("tuned", "schedule") if w in known]
    more = ", and with the best schedule" if "schedule" in known else ""
    caption = (
        f"{found.judged.capitalize()} (interquartile mean over {len(found.common)} problems, 95% bootstrap interval) "
        f"of the scoring runs at default settings, at the best of the trials{more}; trials on each problem; on "
        "how many problems the best value is the least or largest tried"
    )
    return table(["optimizer", *(heads[w] for w in known), *counted, "at an edge"], rows, caption)


def _range(tried: pd.Series) -> str:
    if not len(tried):
        return "–"
    least, most = int(tried.min()), int(tried.max())
    return f"{most}" if least == most else f"{least} to {most}"


def _gains(known: dict[str, Protocol], before: str, after: str, lead: str) -> str:
    """Who gains by the claim rule: means over problems by repeat."""
    if before not in known or after not in known:
        return ""
    means = [known[w].scores.groupby(["optimizer", "seed"]).score.mean().unstack() for w in (before, after)]
    both = [o for o in means[1].index if o in means[0].index]
    told = [o for o in both if not _same(known[before], known[after], o)]
    if not told:
        return ""
    claims = {o: metrics.beats(means[1].loc[o].dropna(), means[0].loc[o].dropna(), goal="max") for o in told}
    if any(claim.note for claim in claims.values()):
        n = int(min(means[k].loc[o].notna().sum() for o in told for k in (0, 1)))
        return f"{lead} no gain is claimed: {metrics.TOO_SMALL} ({n} scoring repeats, the claim rule needs 5)."
    held = [f"{name(o)} ({claim.statistic:.1f} standard errors)" for o, claim in claims.items() if claim.holds]
    if not held:
        return f"{lead} no gain is claimed: the rule asks for 3.09 standard errors of the mean over problems."
    rest = len(told) - len(held)
    tail = f" For {rest} more no gain is claimed." if rest else ""
    return f"{lead} a gain is claimed for {', '.join(held)}.{tail}"


def _same(one: Protocol, other: Protocol, optimizer: str) -> bool:
    """Whether two protocols come down to the same runs."""
    runs = (set(p.scores.run_id[p.scores.optimizer == optimizer]) for p in (one, other))
    return next(runs) == next(runs)


def curves_section(curves: pd.DataFrame, figure: str, apart: bool) -> str:
    """What a budget of trials buys: the figure, and how many trials reach the best within 5 %."""
    rows = []
    for optimizer, part in curves.groupby("optimizer"):
        # Losses, as `trials_to_reach` takes them.
        k = metrics.trials_to_reach(part.assign(expected=1 - part.expected))
        first, last = part.iloc[0], part.iloc[-1]
        cells = [named(str(optimizer)), len(part), span(first.expected, first.low, first.high, first.note, share)]
        rows.append((-last.expected, [*cells, share(last.expected), k]))
    rows.sort(key=lambda row: row[0])
    caption = (
        "Expected score of one trial (95% bootstrap over settings) and of the best of all, and how many trials come "
        "within 5% of its loss (1 - score)"
    )
    lead = (
        "The expected score of the best of k trials drawn at random, mean over problems; the band is its 95% bootstrap "
    )
    lead += "interval over settings. "
    lead += (
        "Tuning repeats choose, scoring repeats score: a curve may fall where the choice misleads."
        if apart
        else "The same runs choose and score, so that the curves are too good by chance."
    )
    heads = ("optimizer", "trials", "one trial", "best of all", "trials needed")
    return "<h3>What trials buy</h3>" + paragraph(lead) + figure + table(heads, [r for _, r in rows], caption)
