"""What a command says when it is done."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

#: A sweep up to this size is read back to show its best runs.
SHOWN = 20_000


@contextmanager
def progress(total: int, what: str = "runs") -> Iterator[Callable[[int], None]]:
    """A bar of what is finished on the terminal's error stream; silent elsewhere."""
    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal or total < 2) as bar:
        task = bar.add_task(what, total=total)
        yield lambda finished: bar.advance(task, finished)


def print_study(folder: Path, planned: Sequence[Any], outcome: Any, notes: Sequence[str], seconds: float) -> None:
    """One run in full, or what a sweep came to; then what can be done with it."""
    console = Console(soft_wrap=not sys.stdout.isatty())
    for note in notes:
        console.print(f"note: {note}", style="dim")
    for error in outcome.errors:
        Console(stderr=True, soft_wrap=True).print(f"failed: {error}", style="red", markup=False)
    total = sum(group.size for group in planned)
    if total == 1:
        _print_run(console, folder, planned[0])
    else:
        _print_sweep(console, folder, planned, outcome, total, seconds)
    console.print(f"tables: {folder}", markup=False)


def _print_sweep(
    console: Console, folder: Path, planned: Sequence[Any], outcome: Any, total: int, seconds: float
) -> None:
    done = outcome.statuses.total()
    parts = [f"{count:,} {status}" for status, count in sorted(outcome.statuses.items())]
    text = f"{done:,} of {total:,} runs in {seconds:.1f} s"
    if outcome.skipped:
        text += f" ({outcome.skipped:,} were there already)"
    console.print(text + (": " + ", ".join(parts) if parts else ""))
    if done + outcome.skipped <= SHOWN:
        _print_best(console, folder, planned)


def _print_best(console: Console, folder: Path, planned: Sequence[Any]) -> None:
    """The best learning rate of each optimizer on each problem: lowest median of the best value."""
    from optlab.app.plan import run_ids
    from optlab.table import load

    runs = load(folder, ["runs"]).runs
    runs = runs[runs.run_id.isin({i for group in planned for i in run_ids(group)})]
    if "optimizer.learning_rate" not in runs or runs.empty:
        return
    keys = ["problem", "optimizer", "optimizer.learning_rate"]
    grouped = runs.groupby(keys, dropna=False)
    rows = grouped.agg(runs=("run_id", "size"), best_value=("best_value", "median")).reset_index()
    share = runs.status.eq("diverged").groupby([runs.problem, runs.optimizer]).mean()
    rows = rows.dropna(subset="best_value")  # an optimizer all of whose runs failed has no best one
    best = rows.loc[rows.groupby(["problem", "optimizer"]).best_value.idxmin()]
    shown = Table("problem", "optimizer", "best learning rate", "median best value", "diverged, all rates")
    for row in best.sort_values(["problem", "best_value"]).itertuples(index=False):
        diverged = f"{share[row.problem, row.optimizer]:.0%}"
        rate = "–" if row[2] != row[2] else f"{row[2]:.3g}"  # a method without one
        shown.add_row(row.problem, row.optimizer, rate, f"{row.best_value:.3g}", diverged)
    console.print(shown)


def _print_run(console: Console, folder: Path, group: Any) -> None:
    from optlab.app.plan import run_ids

    (run_id,) = run_ids(group)
    row = _find(folder, run_id)
    config = group.config
    console.print(f"[bold]{config['choices']['optimizer']}[/] on [bold]{config['choices']['problem']}[/]", end=": ")
    console.print(f"{row['status']} after {row['steps']} steps", markup=False)
    if row["status"] == "failed":
        return
    shown = Table(show_header=False, box=None, padding=(0, 2))
    measured = [key for key in row if key.startswith(("validation_", "ensemble_", "target_s"))]
    for key in ("value", "best_value", "gap", "grad_norm", *measured):
        if row.get(key) is not None:
            shown.add_row(key, f"{row[key]:.6g}")
    evaluations = f"{row['n_value']} values, {row['n_grad']} gradients, {row['n_hvp']} Hessian products"
    shown.add_row("evaluations", evaluations)
    for key in sorted(row):
        if key.startswith(("optimizer.", "problem.")) and row[key] is not None:
            shown.add_row(key, str(row[key]))
    shown.add_row("seconds", f"{row['seconds']:.3g} (and {row['compile_seconds']:.2g} to compile)")
    console.print(shown)


def _find(folder: Path, run_id: str) -> dict[str, Any]:
    """A run's row; one that failed and was done later has two."""
    found: list[dict[str, Any]] = []
    for path in sorted((folder / "runs").glob("*.parquet")):
        with contextlib.suppress(pa.ArrowException):  # a damaged part of other runs, which was warned of
            found += pq.read_table(path, filters=[("run_id", "=", run_id)]).to_pylist()
    if not found:
        raise FileNotFoundError(f"the row of {run_id} is missing in {folder}")
    return min(found, key=lambda row: row["status"] == "failed")
