"""When each run reached each target, on any cost axis: what nearly every score is made of (METRICS 6.2)."""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false
# pyright: reportReturnType=false, reportAssignmentType=false, reportCallIssue=false
# pyright: reportOperatorIssue=false, reportOptionalOperand=false

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from optlab.table import Results

from .costs import Weights, cost
from .rows import Lanes, best_so_far, distinct, initial, lanes, need, numbers, one_of, require_complete, require_gaps

#: COCO's 51 gaps, 1e2 to 1e-8, five in each decade (Hansen et al. 2016, COCO: performance assessment).
COCO = 10.0 ** (2 - 0.2 * np.arange(51))
COCO.setflags(write=False)

#: Tolerances of the convergence test of More and Wild (2009), eq. 2.2.
MORE_WILD = (1e-1, 1e-3, 1e-5, 1e-7)

#: Shares of the baseline's budget at which a ladder has its rungs.
RUNGS = (0.25, 0.5, 0.75, 0.9, 1.0)


class Block(NamedTuple):
    """The runtimes of one optimizer on one problem, runs in the order of seeds."""

    problem: str
    optimizer: str
    targets: np.ndarray  #: `[K]`, easiest last for gaps: as sorted
    runtime: np.ndarray  #: inf where missed: `[n, K]`
    spent: np.ndarray  #: what each run cost as a whole: `[n]`


def runtimes(
    results: Results,
    targets: Sequence[float] | np.ndarray | pd.DataFrame = COCO,
    *,
    axis: str = "evaluations",
    weights: Weights | None = None,
    measure: str = "gap",
    goal: str = "min",
) -> pd.DataFrame:
    """What each run had spent when it first reached each target: RT(r, target), censored where it never did.

    Gaps of COCO's ladder were stored at the exact step (table `targets`, `source` "targets"). Everything else is
    found in `curves` (`source` "curves"): the first *recorded* step, an upper bound unless all steps were recorded.

    Args:
      results: the tables; uses of `runs`: run_id, problem, optimizer, seed and counts; of `curves`: run_id, step,
        counts and the measure. `axis` and `weights` are those of `cost`.
      targets: values of the measure, `[K]`, or a frame with the columns problem and target (see `ladder`).
      measure: any column of `curves`; "gap" must be known, see `with_gaps`.
      goal: "min" where less is better, "max" for an accuracy.

    Returns:
      A row for each run and target: run_id, problem, optimizer, seed, target, runtime (inf where missed), spent (the
      run's whole cost; of a failed run the most that any run spent on the problem), source.

    Raises:
      ValueError: for no targets, targets that are no numbers, a gap that nobody knows, an unknown column or axis.
    """
    runs = distinct(results.runs)
    if measure == "gap":
        require_gaps(runs)
    names, thresholds = _thresholds(targets, runs, goal)
    found = lanes(results.curves, runs)
    paid = cost(found.rows, axis, weights=weights, runs=runs).to_numpy()
    reached = first_reached(found, best_so_far(found, measure, goal), thresholds)
    runtime = np.where(reached >= 0, paid[reached] if len(paid) else np.inf, np.inf)
    exact = np.zeros(runtime.shape, bool)
    if measure == "gap" and goal == "min" and len(results.targets):
        stored, exact = _stored(results, runs, names, axis, weights)
        runtime = np.where(exact, stored, runtime)
    return _rows(runs, names, runtime, _spent(runs, axis, weights), exact)


def relative_runtimes(
    results: Results,
    tolerances: Sequence[float] = MORE_WILD,
    *,
    axis: str = "evaluations",
    weights: Weights | None = None,
) -> pd.DataFrame:
    """Runtimes to the convergence test of More and Wild (2009), eq. 2.2: F_k <= f_L + tau (f(x0) - f_L).

    f_L is the least value that any stored run found on the problem and f(x0) the run's own first value, so that no
    known minimum is needed; columns as in `runtimes`, with tau as `target`. Raises ValueError for tau outside (0, 1).
    """
    tau = np.asarray(tolerances, float)
    if not tau.size or not ((tau > 0) & (tau < 1)).all():
        raise ValueError(f"tolerances must lie between 0 and 1, not {list(tolerances)!r}")
    runs = distinct(results.runs)
    need(runs, "best_value")
    least = pd.Series(numbers(runs.best_value)).groupby(runs.problem.to_numpy()).transform("min").to_numpy()
    start = initial(results.curves).reindex(runs.run_id).to_numpy()
    thresholds = least[:, None] + tau * (start - least)[:, None]
    found = lanes(results.curves, runs)
    paid = cost(found.rows, axis, weights=weights, runs=runs).to_numpy()
    reached = first_reached(found, best_so_far(found, "best_value"), thresholds)
    runtime = np.where(reached >= 0, paid[reached] if len(paid) else np.inf, np.inf)
    names = np.broadcast_to(tau, runtime.shape)
    return _rows(runs, names, runtime, _spent(runs, axis, weights), np.zeros(runtime.shape, bool))


def ladder(
    results: Results, measure: str, *, goal: str = "min", optimizer: str | None = None, shares: Sequence[float] = RUNGS
) -> pd.DataFrame:
    """Targets for training: what the best baseline had reached at shares of its budget (METRICS 6.2 c).

    The median over its seeds of the best value so far. The baseline is `optimizer`, or the one with the best median
    at the end. A row for each problem and share: problem, optimizer, share, target, runs (ten are asked for).
    """
    runs = distinct(results.runs)
    if optimizer is not None:
        runs = runs[runs.optimizer == one_of("optimizer", optimizer, runs.optimizer.unique())].reset_index(drop=True)
    found = lanes(results.curves, runs)
    best, step = best_so_far(found, measure, goal), numbers(found.rows.step)
    budget = pd.Series(step).groupby(runs.problem.to_numpy()[found.run]).max()
    limit = budget.reindex(runs.problem).to_numpy()
    rows = []
    for share in shares:
        within = np.bincount(found.run, step <= share * limit[found.run], minlength=len(runs)).astype(int)
        at = np.where(within > 0, best[np.maximum(found.begin + within - 1, 0)], np.inf)
        rows.append(pd.DataFrame({"problem": runs.problem, "optimizer": runs.optimizer, "share": share, "target": at}))
    every = pd.concat(rows).groupby(["problem", "optimizer", "share"]).target.agg(["median", "size"]).reset_index()
    every = every.rename(columns={"median": "target", "size": "runs"})
    last = every[every.share == max(shares)].sort_values("target", kind="stable").drop_duplicates("problem")
    chosen = every.merge(last[["problem", "optimizer"]], on=["problem", "optimizer"])
    return chosen.assign(target=chosen.target * (1.0 if goal == "min" else -1.0))


def first_reached(found: Lanes, best: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """The first row of each run at which the best so far `[T]` is at most each threshold `[R, K]`, -1 if none."""
    runs, count = thresholds.shape
    reached = np.full((runs, count), -1)
    some = found.length > 0
    if not some.any():
        return reached
    begin, length = found.begin[some], found.length[some]
    for k in range(count):
        limit = np.where(np.isnan(thresholds[:, k]), -np.inf, thresholds[:, k])
        # The best so far only falls: as many rows as are above the threshold come before it is reached.
        before = np.add.reduceat(best > np.repeat(limit[some], length), begin, dtype=np.int64)
        reached[some, k] = np.where(before < length, begin + before, -1)
    return reached


def blocks(times: pd.DataFrame) -> Iterator[Block]:
    """The runtimes apart by problem and optimizer, as matrices; the same whatever the order of the rows.

    Raises ValueError where runs of one problem and optimizer do not have the same targets.
    """
    need(times, "run_id", "problem", "optimizer", "target", "runtime", "spent")
    problem, problems = pd.factorize(times.problem, sort=True)
    optimizer, optimizers = pd.factorize(times.optimizer, sort=True)
    run = pd.factorize(times.run_id, sort=True)[0]
    seed = numbers(times.seed) if "seed" in times else np.zeros(len(times))
    order = np.lexsort((numbers(times.target), run, seed, optimizer, problem))
    pair = (problem * len(optimizers) + optimizer)[order]
    edges = np.flatnonzero(np.diff(pair, prepend=-1, append=-1))
    runtime, spent, target = (numbers(times[c])[order] for c in ("runtime", "spent", "target"))
    run = run[order]
    for begin, end in zip(edges[:-1], edges[1:], strict=True):
        n = 1 + int(np.count_nonzero(np.diff(run[begin:end])))
        at = target[begin:end].reshape(n, -1) if (end - begin) % n == 0 else np.zeros((0, 0))
        if not at.size or (at != at[0]).any():
            what = problems[pair[begin] // len(optimizers)], optimizers[pair[begin] % len(optimizers)]
            raise ValueError(f"the runs of {what[1]!r} on {what[0]!r} do not have the same targets, each once")
        yield Block(
            str(problems[pair[begin] // len(optimizers)]), str(optimizers[pair[begin] % len(optimizers)]),
            at[0], runtime[begin:end].reshape(at.shape), spent[begin:end].reshape(at.shape)[:, 0],
        )  # fmt: skip


def typical(times: pd.DataFrame, target: float | None = None) -> pd.DataFrame:
    """The median runtime over runs, inf where half of them or more missed: problems x optimizers.

    With `target` only that one; without, each problem counts once for each target. It is what profiles are made of.
    Raises ValueError for an unknown target and where an optimizer was not run on a problem.
    """
    need(times, "problem", "optimizer", "target", "runtime")
    if target is not None:
        held = times.target.unique()
        near = held[np.isclose(held, target, rtol=1e-9, atol=0)]
        if not len(near):
            one_of("target", f"{target:g}", [f"{t:g}" for t in held])
        times = times[times.target == near[0]]
    require_complete(times)
    cells = [
        (block.problem, goal, block.optimizer, middle)
        for block in blocks(times)
        for goal, middle in zip(block.targets, np.median(block.runtime, axis=0), strict=True)
    ]
    table = pd.DataFrame(cells, columns=["problem", "target", "optimizer", "runtime"])
    index = ["problem"] if target is not None else ["problem", "target"]
    return table.pivot(index=index, columns="optimizer", values="runtime")


def _thresholds(
    targets: Sequence[float] | np.ndarray | pd.DataFrame, runs: pd.DataFrame, goal: str
) -> tuple[np.ndarray, np.ndarray]:
    """Targets of each run as they are called and as less is better: `[R, K]` both."""
    one_of("goal", goal, ("min", "max"))
    if isinstance(targets, pd.DataFrame):
        need(targets, "problem", "target")
        lists = {str(p): np.sort(numbers(rows.target)) for p, rows in targets.groupby("problem")}
        for problem in runs.problem.unique():
            one_of("target for problem", problem, lists)
        if len({len(v) for v in lists.values()}) > 1:
            raise ValueError("every problem must have the same number of targets")
        names = np.stack([lists[p] for p in runs.problem])
    else:
        names = np.broadcast_to(np.asarray(targets, float).ravel(), (len(runs), np.size(targets)))
    if not names.size or not np.isfinite(names).all():
        raise ValueError("targets must be finite numbers, at least one")
    return names, names if goal == "min" else -names


def _stored(
    results: Results, runs: pd.DataFrame, names: np.ndarray, axis: str, weights: Weights | None
) -> tuple[np.ndarray, np.ndarray]:
    """Runtimes from the table `targets` and where it speaks: rungs of the ladder, of runs that reached any."""
    rung = np.rint((2 - np.log10(np.maximum(names, 1e-300))) / 0.2).astype(int)
    on_ladder = (rung >= 0) & (rung < len(COCO))
    on_ladder &= np.isclose(COCO[np.clip(rung, 0, len(COCO) - 1)], names, rtol=1e-9, atol=0)
    table = results.targets
    run = pd.Index(runs.run_id).get_indexer(table.run_id)
    table, run = table[run >= 0], run[run >= 0]
    at = np.rint((2 - np.log10(numbers(table.target))) / 0.2).astype(int)
    every = np.full((len(runs), len(COCO)), np.inf)
    every[run, at] = cost(table, axis, weights=weights, runs=runs).to_numpy()
    has = np.isin(np.arange(len(runs)), run)
    return np.take_along_axis(every, np.clip(rung, 0, len(COCO) - 1), axis=1), on_ladder & has[:, None]


def _spent(runs: pd.DataFrame, axis: str, weights: Weights | None) -> np.ndarray:
    spent = cost(runs, axis, weights=weights).to_numpy()
    most = pd.Series(spent).groupby(runs.problem.to_numpy()).transform("max").to_numpy()
    return np.nan_to_num(np.where(np.isnan(spent), most, spent))


def _rows(
    runs: pd.DataFrame, names: np.ndarray, runtime: np.ndarray, spent: np.ndarray, exact: np.ndarray
) -> pd.DataFrame:
    count = names.shape[1]
    columns = {c: runs[c].repeat(count).array for c in ("run_id", "problem", "optimizer", "seed") if c in runs}
    columns |= {"target": names.ravel(), "runtime": runtime.ravel(), "spent": np.repeat(spent, count)}
    return pd.DataFrame(columns | {"source": pd.Series(["curves", "targets"]).take(exact.ravel().astype(int)).array})
