"""The headline comparison: `optlab experiment=headline`, then `python experiments/headline.py [FOLDER]`.

A run's score is its anytime area over the oracle cost (value 1, gradient 2, Hessian-vector product 4), from the first
evaluation to what 1,000 values and gradients cost: 1 for a gap of 1e-8 at once, 0 for one that never falls below 100.
"""

import sys

import pandas as pd

import optlab
from optlab import metrics

TUNING = range(10, 15)
BUDGET = 3 * 1001.0
CONTROLS = ["stay", "random_walk"]
RATE = "optimizer.learning_rate"
DEFAULT = {
    "gradient_descent": 0.003, "heavy_ball": 0.003, "nesterov": 0.001, "adagrad": 0.3, "adadelta": 1.0,
    "rmsprop": 0.003, "rprop": 0.1, "adam": 0.3, "nadam": 0.1, "amsgrad": 0.3, "adabelief": 0.3, "lion": 0.01,
    "prodigy": 1.0, "newton": 1.0, "saddle_free_newton": 1.0, "random_walk": 0.1,
}  # fmt: skip


def loaded(folder: str) -> pd.DataFrame:
    """The runs, with what each is worth (`area`, `lost` = 1 - area) and whether it solved its problem in the budget."""
    results = optlab.load(folder)
    runs = results.runs
    area = metrics.anytime_area(results, axis="oracle", low=3.0, high=BUDGET)
    hit = metrics.runtimes(results, metrics.COCO[-1:], axis="oracle")
    runs = runs.merge(area[["run_id", "area"]], on="run_id").merge(hit[["run_id", "runtime"]], on="run_id")
    return runs.assign(lost=1 - runs.area, solved=runs.runtime <= BUDGET)


def protocols(runs: pd.DataFrame) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """The scoring runs at default and at tuned rates, and what tuning chose."""
    defaults = pd.DataFrame({"optimizer": sorted(runs.optimizer.unique())})
    defaults[RATE] = defaults.optimizer.map(DEFAULT)
    # Diverged runs keep what they found before, here as in the scores: only `lost` counts, not the status.
    chosen = metrics.tune(runs.drop(columns="status"), TUNING, chance=1.0, measure="lost")
    tuned = chosen[["problem", "optimizer", RATE]]
    found = {name: metrics.scored(runs, s, TUNING, name) for name, s in (("default", defaults), ("tuned", tuned))}
    return found, chosen


def beaten(scores: pd.DataFrame) -> tuple[dict[str, int], dict[str, int]]:
    """How many others each optimizer beats, and is beaten by: the claim rule on the means over problems by seed."""
    means = scores.groupby(["optimizer", "seed"]).area.mean().unstack()
    wins = {a: [b for b in means.index if b != a and metrics.beats(means.loc[a], means.loc[b], goal="max").holds]
            for a in means.index}  # fmt: skip
    return {a: len(w) for a, w in wins.items()}, {a: sum(a in w for w in wins.values()) for a in means.index}


def table(scores: pd.DataFrame) -> pd.DataFrame:
    """A row for each optimizer, best first: score with both intervals, share solved with interval, rank, claims."""
    area = metrics.intervals(scores, "area", statistic="mean").set_index("optimizer")
    # How sure on other problems like these: problems are drawn anew, too, and the interval is wider.
    others = metrics.intervals(scores, "area", statistic="mean", resample="problems").set_index("optimizer")
    area = area.assign(far_low=others.low, far_high=others.high)
    solved = scores.groupby("optimizer").solved.agg(["sum", "size"])
    low, high = metrics.wilson(solved["sum"], solved["size"])
    costs = scores.pivot_table(index="problem", columns="optimizer", values="lost")
    ranks = metrics.critical_difference(costs)
    wins, losses = beaten(scores)
    print(f"critical difference of mean ranks {ranks.difference:.1f}, Friedman's p = {ranks.p:.0e}", file=sys.stderr)
    frame = area.assign(hits=solved["sum"], n=solved["size"], rate=solved["sum"] / solved["size"], least=low, most=high)
    frame = frame.assign(rank=ranks.ranks, beats=pd.Series(wins), beaten=pd.Series(losses))
    return frame.sort_values("score", ascending=False)


def markdown(default: pd.DataFrame, tuned: pd.DataFrame) -> str:
    """Both protocols side by side, in the order of the tuned score."""

    def cell(t: pd.DataFrame, name: str) -> str:
        r = t.loc[name]
        return (f"{r.score:.3f} ({r.low:.3f} to {r.high:.3f}) | {r.far_low:.3f} to {r.far_high:.3f} | {r['rank']:.1f} "
                f"| {r.beats} / {r.beaten} | {r.rate:.0%} ({r.least:.0%} to {r.most:.0%})")  # fmt: skip

    lines = ["| optimizer | tuned: score (95 %) | other surfaces | rank | beats / beaten by | solved (95 %) "
             "| default: score (95 %) | other surfaces | rank | beats / beaten by | solved (95 %) |",
             "| --- " * 11 + "|"]  # fmt: skip
    return "\n".join([*lines, *(f"| {name} | {cell(tuned, name)} | {cell(default, name)} |" for name in tuned.index)])


def main(folder: str = "results/headline") -> None:
    runs = loaded(folder)
    found, chosen = protocols(runs)
    tables = {}
    for name, scores in found.items():
        tables[name] = table(scores[~scores.optimizer.isin(CONTROLS)])
        control = metrics.intervals(scores[scores.optimizer.isin(CONTROLS)], "area", statistic="mean")
        print(f"{name}, {len(scores):,} runs; controls:\n{control.round(3).to_string(index=False)}\n", file=sys.stderr)
    print(markdown(tables["default"], tables["tuned"]))

    means = {name: s.groupby(["optimizer", "seed"]).area.mean().unstack() for name, s in found.items()}
    both = {a: (means["tuned"].loc[a], means["default"].loc[a]) for a in tables["tuned"].index}
    gains = [a for a, (tuned, default) in both.items() if metrics.beats(tuned, default, goal="max").holds]
    print(f"\ntuning gains, by the claim rule: {', '.join(gains)}")
    chosen = chosen[chosen[RATE].notna() & ~chosen.optimizer.isin(CONTROLS)]
    edges = chosen[chosen.edge != ""].groupby("optimizer").size()
    print(f"tuned rates at an edge of the grid, {edges.sum()} of {len(chosen)}: {edges.to_dict()}")
    told = metrics.with_oracle(optlab.load(folder)._replace(runs=found["default"]))
    print(f"tasks, by the controls: {metrics.judge_tasks(told.runs).verdict.value_counts().to_dict()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
