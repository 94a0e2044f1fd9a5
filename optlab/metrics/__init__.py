"""Scores of optimizers with their uncertainty, from the stored tables alone: a new metric never needs a new run.

``times = runtimes(optlab.load(folder))`` says when each run reached each target; most scores take that frame. Nothing
here starts JAX or draws: figures take what these functions return.
"""

from .accuracy import anytime_area, digits, relative_error_digits
from .controls import judge_tasks, passed, with_oracle
from .costs import AXES, NOMINAL, cost
from .exchange import from_algoperf, to_benchopt, to_coco, to_ioh
from .intervals import (
    Claim,
    beats,
    interquartile_mean,
    intervals,
    normalized,
    paired_differences,
    pooled_deviation,
    probability_of_improvement,
    reaches,
    wilson,
)
from .profiles import (
    algoperf_score,
    data_profile,
    gradient_profile,
    pairwise_profiles,
    performance_profile,
    ratios,
    share_at,
)
from .ranking import CriticalDifference, critical_difference, holm, rank_stability, wilcoxon_holm
from .rows import TOO_SMALL, dimensions, initial, labelled, setting_columns, shared, with_gaps
from .running_time import expected_running_time, log_auc, median_budget, runtime_ecdf, simulated_restarts
from .sensitivity import (
    areas,
    expected_excess,
    largest_stable,
    response,
    stability_bound,
    time_widths,
    widths,
)
from .targets import COCO, MORE_WILD, ladder, relative_runtimes, runtimes, typical
from .tuning import expected_best, scored, split_seeds, trials_to_reach, tune, tuning_curves

__all__ = [
    "AXES", "COCO", "MORE_WILD", "NOMINAL", "TOO_SMALL", "Claim", "CriticalDifference", "algoperf_score",
    "anytime_area", "areas", "beats", "cost", "critical_difference", "data_profile", "digits", "dimensions",
    "expected_best", "expected_excess", "expected_running_time", "from_algoperf", "gradient_profile", "holm",
    "initial", "interquartile_mean", "intervals", "judge_tasks", "labelled", "ladder", "largest_stable", "log_auc",
    "median_budget", "normalized", "paired_differences", "pairwise_profiles", "passed", "performance_profile",
    "pooled_deviation", "probability_of_improvement", "rank_stability", "ratios", "reaches", "relative_error_digits",
    "relative_runtimes", "response", "runtime_ecdf", "runtimes", "scored", "setting_columns", "share_at", "shared",
    "simulated_restarts", "split_seeds", "stability_bound", "time_widths", "to_benchopt", "to_coco", "to_ioh",
    "trials_to_reach", "tune", "tuning_curves", "typical", "wilcoxon_holm", "widths", "wilson", "with_gaps",
    "with_oracle",
]  # fmt: skip
