"""Which runs are compared, and by what: one setting of each optimizer on each problem, on seeds that did not choose it.

The figures of scores and the report take the same `Comparison`, so that they never differ in a number.
"""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false
# pyright: reportReturnType=false, reportAssignmentType=false, reportCallIssue=false

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from optlab import metrics
from optlab.metrics.intervals import interquartile_means
from optlab.metrics.rows import numbers, one_of, setting_columns
from optlab.table import Results

CONTROLS = ("stay", "random_walk", "oracle")  #: they judge the problems and compete with nobody
ENOUGH = 5  #: scoring runs from which there are intervals

#: What each cost axis counts, in words.
UNITS = {"steps": "steps", "evaluations": "evaluations", "oracle": "units of one value", "seconds": "seconds"}

#: Targets of profiles: gaps, or shares of the way still to go where a minimum is not known. Of the ladder's 51 most
#: are passed within a few evaluations, and would count as many ties.
PROFILED = metrics.MORE_WILD


class Comparison(NamedTuple):
    """The runs that are compared, and their scores."""

    stored: Results  #: every run once, problems and repeats named, gaps on every problem
    chosen: Results  #: the runs that score: one setting of each optimizer on each problem
    settings: pd.DataFrame  #: those settings, see `metrics.tune`
    tuned: bool  #: whether there was anything to choose
    apart: bool  #: whether other seeds chose than scored
    known: bool  #: whether the minimum of every problem is known
    scores: pd.DataFrame  #: a row for each scoring run: problem, optimizer, seed, score (0 to 1, more is better)
    every_score: pd.DataFrame  #: the same of all stored runs, for other settings than the chosen ones
    times: pd.DataFrame  #: their runtimes, see `metrics.runtimes`
    common: list[str]  #: problems that all optimizers ran on
    protocol: str  #: in words, how settings were chosen
    left_out: list[str]  #: sentences on what is not compared
    tuning: tuple[int, ...]  #: repeats (`seed` of `stored`) that choose settings
    scoring: tuple[int, ...]  #: repeats that score them; the same where there are too few to keep them apart
    budget: int | None = None  #: settings that each optimizer may try on each problem, all if None
    axis: str = "evaluations"  #: the cost that scores and runtimes count, see `metrics.cost`

    @property
    def unit(self) -> str:
        """What the cost counts, in words."""
        return UNITS[self.axis]

    @property
    def judged(self) -> str:
        """What `scores` hold, in a word or two."""
        return "anytime area" if self.known else "progress"

    @property
    def solved_at(self) -> float:
        """The target from which a run counts as having solved its problem."""
        return float(self.times.target.min()) if self.known else 1e-3

    def shared(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows on problems that all optimizers ran on."""
        return frame[frame.problem.isin(self.common)]


def compare(
    results: Results,
    optimizers: str | Sequence[str] | None = None,
    *,
    axis: str = "evaluations",
    budget: int | None = None,
) -> Comparison:
    """Chooses settings and scoring runs, and scores them.

    With one setting everywhere all runs score. Where settings vary, the first repeats (seed and start) that all
    optimizers have choose the setting of the least interquartile-mean gap, of each optimizer on each problem; the
    others score. With a single repeat the same runs must do both, and `apart` is false.

    Scores are the anytime area where every minimum is known; else the share of the way from f(x0) to the best value
    that any stored run found, which needs none.

    `axis` is what the cost counts, see `metrics.cost`: scores, runtimes and curves are along it. `budget` is how many
    settings are tried of each optimizer on each problem, drawn at random where there are more (`metrics.tune`).

    Raises ValueError where there is nothing to compare: no runs, no curves, an unknown optimizer or axis.
    """
    one_of("cost axis", axis, UNITS)
    stored, left_out = _prepared(results, optimizers)
    runs = stored.runs
    known = bool((runs.minimum_source == "known").all())
    start = metrics.initial(stored.curves, "gap")
    tuned = bool((places(runs).groupby([runs.problem, runs.optimizer]).nunique() > 1).any())
    everyone = set(runs.seed)
    chooses, scores = _split(runs) if tuned else (everyone, everyone)
    settings = best_settings(runs, chooses, start, budget)
    part = runs[at_settings(runs, settings) & runs.seed.isin(scores)].reset_index(drop=True)
    held = part.groupby("problem").optimizer.nunique()
    common = sorted(held.index[held == part.optimizer.nunique()])
    chosen = stored._replace(runs=part, curves=stored.curves[within(stored.curves.run_id, part.run_id)])
    times = metrics.runtimes(chosen, axis=axis) if known else metrics.relative_runtimes(stored, axis=axis)
    times = times[within(times.run_id, part.run_id)]
    if len(common) < len(held):
        left_out.append(
            f"{len(held) - len(common)} of {len(held)} problems were not run by every optimizer; they have their own "
            "sections below and do not count in comparisons of all."
        )
    apart = tuned and not chooses & scores
    words = _words(tuned, apart, settings, chooses, scores)
    every = _anytime(stored, axis) if known else _progress(stored)
    judged = every[within(every.run_id, part.run_id)].set_index("run_id").loc[part.run_id].reset_index()
    about = {"tuning": tuple(sorted(chooses)), "scoring": tuple(sorted(scores)), "budget": budget, "axis": axis}
    return Comparison(
        stored, chosen, settings, tuned, apart, known, judged, every, times, common, words, left_out, **about
    )


def best_settings(runs: pd.DataFrame, chooses: Collection[int], start: pd.Series, budget: int | None) -> pd.DataFrame:
    """`metrics.tune` by the final gap, also where the same repeats choose and score."""
    # `tune` asks for seeds on either side, and looks at those that choose only.
    return metrics.tune(_padded(runs, chooses), chooses, chance=_with_pad(start), measure="gap", budget=budget)


def places(runs: pd.DataFrame) -> pd.Series:
    """A number for each setting of an optimizer on a problem, the same for its runs."""
    return runs.groupby([key(runs[c]) for c in ("problem", "optimizer", *setting_columns(runs))]).ngroup()


def at_settings(runs: pd.DataFrame, settings: pd.DataFrame) -> pd.Series:
    """Which runs are at the setting of their problem and optimizer: a bool for each."""
    names = ["problem", "optimizer", *setting_columns(settings)]
    wanted = set(zip(*(key(settings[c]) for c in names), strict=True))
    return pd.Series(list(zip(*(key(runs[c]) for c in names), strict=True)), index=runs.index).isin(wanted)


def _prepared(results: Results, optimizers: str | Sequence[str] | None) -> tuple[Results, list[str]]:
    """Every run once, named and with gaps; what has no result at all is left out, and said."""
    left_out = []
    runs = results.runs
    if "run_id" not in runs or runs.empty:
        raise ValueError("this folder holds no runs")
    if results.curves.empty:
        raise ValueError("this folder holds no curves, and without them no run can be compared")
    runs = runs.drop_duplicates("run_id").reset_index(drop=True)
    if optimizers is not None:
        asked = optimizers.split(",") if isinstance(optimizers, str) else list(optimizers)
        for optimizer in asked:
            one_of("run with optimizer", optimizer, dict.fromkeys(runs.optimizer))
        runs = runs[runs.optimizer.isin(asked)].reset_index(drop=True)
    contestants = runs[~runs.optimizer.isin(CONTROLS)].reset_index(drop=True)
    if len(contestants) and len(contestants) < len(runs):
        runs = contestants
        left_out.append("Controls (stay, random_walk, oracle) judge the problems and are not ranked.")
    runs = metrics.labelled(runs, apart_from=setting_columns(runs))
    if "precision" in runs and runs.precision.nunique() > 1:
        runs = runs.assign(problem=runs.problem + " " + runs.precision.astype(str))
    runs = runs.assign(seed=_repeat(runs))
    began = within(runs.run_id, results.curves.run_id.drop_duplicates()) & np.isfinite(numbers(runs.best_value))
    alive = pd.Series(began).groupby(runs.problem).transform("any")
    if not alive.all():
        gone = sorted(runs.problem[~alive].unique())
        left_out.append(f"No run on {', '.join(gone)} gave a single number; this is not compared.")
        runs = runs[alive].reset_index(drop=True)
    if runs.empty:
        raise ValueError("no run of this folder gave a single number; there is nothing to compare")
    curves = results.curves[within(results.curves.run_id, runs.run_id)]
    return metrics.with_gaps(results._replace(runs=runs, curves=curves)), left_out


def within(ids: pd.Series, wanted: pd.Series) -> np.ndarray:
    """Which ids are wanted: `[rows]` of bool. Ids come in stretches, so that few texts are looked up."""
    change = (ids != ids.shift()).to_numpy(bool)
    if not len(ids):
        return change
    return (pd.Index(wanted).get_indexer(ids[change]) >= 0)[np.cumsum(change) - 1]


def _repeat(runs: pd.DataFrame) -> pd.Series:
    """What is a repeat: the seed, or start and seed where starts were stated by hand."""
    if "problem.start" not in runs or runs["problem.start"].nunique(dropna=False) < 2:
        return runs.seed
    return runs.groupby([runs["problem.start"].astype(str), runs.seed.astype(str)], dropna=False).ngroup()


def _split(runs: pd.DataFrame) -> tuple[set[int], set[int]]:
    """Repeats that choose and those that score: as many score as intervals need, at least half of them."""
    held = runs.groupby(["problem", "optimizer"]).seed.agg(set)
    everywhere = sorted(set.intersection(*held))
    n = len(everywhere)
    if n < 2:
        both = set(runs.seed)
        return both, both
    first = min(n // 2, n - ENOUGH) if n > ENOUGH else n // 2
    return set(everywhere[:first]), set(runs.seed) - set(everywhere[:first])


PAD = "beside all seeds"  #: a run that nobody looks at


def _padded(runs: pd.DataFrame, chooses: Collection[int]) -> pd.DataFrame:
    """Runs with one beside all seeds where none is left for scoring, which `split_seeds` refuses and here may be."""
    if set(runs.seed) - set(chooses):
        return runs
    return pd.concat([runs, runs.head(1).assign(run_id=PAD, seed=int(max(chooses)) + 1)], ignore_index=True)


def _with_pad(start: pd.Series) -> pd.Series:
    return pd.concat([start, pd.Series({PAD: 0.0})])


def key(column: pd.Series) -> pd.Series:
    """A column as texts that are equal where values are, what is missing among them, whatever stands for it."""
    return column.astype(object).where(column.notna(), None).map(str)


def _words(tuned: bool, apart: bool, settings: pd.DataFrame, chooses: set[int], scores: set[int]) -> str:
    if not tuned:
        return "Each optimizer ran at one setting, which is taken as it was given."
    least, most = int(settings.tried.min()), int(settings.tried.max())
    tried = f"{most}" if least == most else f"{least} to {most}"
    head = f"Each optimizer stands at the best of {tried} settings, chosen for each problem by the final gap"
    if apart:
        return (
            f"{head} of {_count(len(chooses), 'repeat')} (seed and start); the other {len(scores)} repeats score, "
            "so that the choice is not rewarded twice."
        )
    return (
        f"{head} of the same runs that score, as there are too few repeats that all have to keep some for the choice: "
        "the scores are too good by chance."
    )


def _count(n: int, what: str) -> str:
    return f"{n} {what}" + ("" if n == 1 else "s")


def _anytime(stored: Results, axis: str) -> pd.DataFrame:
    return metrics.anytime_area(stored, axis=axis).rename(columns={"area": "score"})


def _progress(stored: Results) -> pd.DataFrame:
    """(f(x0) - best) / (f(x0) - least), 0 to 1; a run that has no number made none."""
    runs = stored.runs
    begin = metrics.initial(stored.curves).reindex(runs.run_id).to_numpy(float)
    least = runs.groupby("problem").best_value.min()
    way = begin - least.reindex(runs.problem).to_numpy(float)
    gone = begin - numbers(runs.best_value)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(way > 0, gone / way, 1.0)
    columns = ["run_id", "problem", "optimizer", "seed"]
    return runs[columns].assign(score=np.clip(np.nan_to_num(share, nan=0.0), 0, 1))


def losses(comparison: Comparison) -> pd.DataFrame:
    """1 - the interquartile mean score: problems x optimizers, what tests across problems take."""
    part = comparison.shared(comparison.scores)
    groups = part.groupby(["problem", "optimizer"])
    means = interquartile_means(part.score.to_numpy(float), groups.ngroup().to_numpy())
    table = groups.size().reset_index().assign(loss=1 - means)
    return table.pivot(index="problem", columns="optimizer", values="loss").rename_axis(columns=None).clip(lower=0)
