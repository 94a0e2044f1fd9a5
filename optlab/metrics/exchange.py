"""Runs for the tools of others, and theirs for ours: COCO, IOHprofiler, benchopt, AlgoPerf.

Exports take all runs given; of settings and instances that should stand apart, name them first (`labelled`).
"""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false
# pyright: reportReturnType=false, reportAssignmentType=false, reportCallIssue=false
# pyright: reportOperatorIssue=false, reportOptionalOperand=false

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from optlab.table import Results, digest

from .costs import cost
from .rows import dimensions, distinct, lanes, need, numbers, require_gaps

PRECISION = 1e-8  #: COCO's final target
SUITE = 24  #: functions in COCO's suite bbob
HEAD = (
    "% f evaluations | g evaluations | best noise-free fitness - Fopt ({}) + sum g_i+ | measured fitness | "
    "best measured fitness or single-digit g-values | x1 | x2..."
)


class Way(NamedTuple):
    """How one run came down: whole evaluations, and the best gap and value known after them."""

    instance: int  #: 1, 2, ... in the order of seeds
    evaluations: np.ndarray  #: ascending: `[T]`
    gap: np.ndarray  #: best so far: `[T]`
    value: np.ndarray  #: best so far: `[T]`


def to_coco(results: Results, folder: str | Path, *, functions: Mapping[str, int] | None = None) -> list[Path]:
    """Writes a folder for each optimizer that `cocopp` reads: .info, .dat and .tdat (logger "bbob", new format 2).

    Evaluations are n_value + n_grad + n_hvp. The first row of a run, at one evaluation, is f(x0). Targets of the ladder
    are written at the exact evaluation (from the table `targets`, with the target for a gap: an upper bound), other
    rows are those recorded. Runs of one problem are its instances, numbered by seed.

    Args:
      results: the tables, gaps known (`with_gaps`).
      folder: where to write.
      functions: the number that cocopp is to take for each problem, 1 to 24 in its suite bbob; by default
        1, 2, ... in the order of names.

    Returns:
      The optimizers' folders: arguments for ``python -m cocopp``.

    Raises:
      ValueError: where a gap, a dimension or a function's number is not known.
    """
    require_gaps(distinct(results.runs))
    numbers_of = _functions(results.runs, functions)
    beyond = [problem for problem, number in numbers_of.items() if not 1 <= number <= SUITE]
    if beyond:
        raise ValueError(f"cocopp's suite bbob has functions 1 to {SUITE}, none for {beyond[0]!r}: pass fewer problems")
    done = []
    for optimizer, problem, dimension, ways in _ways(results):
        number = numbers_of[problem]
        home = Path(folder) / _file_name(optimizer)
        data = f"data_f{number}/bbobexp_f{number}_DIM{dimension}.dat"
        text = "".join(_coco_rows(way, every=False) for way in ways)
        _write(home / data, text)
        _write((home / data).with_suffix(".tdat"), "".join(_coco_rows(way, every=True) for way in ways))
        entries = ", ".join(f"{way.instance}:{way.evaluations[-1]}|{way.gap[-1] - PRECISION:.1e}" for way in ways)
        _write(
            home / f"bbobexp_f{number}.info",
            f"suite = 'bbob', funcId = {number}, DIM = {dimension}, Precision = {PRECISION:.3e}, "
            f"algId = '{optimizer.replace(chr(39), '')}', coco_version = '2.8.2', logger = 'bbob', "
            f"data_format = 'bbob-new2'\n% {problem}, written by optlab\n{data}, {entries}\n",
        )
        if home not in done:
            done.append(home)
    return done


def _coco_rows(way: Way, *, every: bool) -> str:
    """One run; `every`: indexed by evaluations (.tdat), otherwise only where the gap fell (.dat)."""
    keep = np.ones(len(way.gap), bool)
    if not every:
        keep[1:] = way.gap[1:] < way.gap[:-1]
        keep[-1] = True
    lines = [HEAD.format(f"{way.value[-1] - way.gap[-1]:.12e}")]
    rows = zip(way.evaluations[keep], way.gap[keep], way.value[keep], strict=True)
    lines += [f"{n} 0 {gap:+.9e} {value:+.9e} {value:+.9e}" for n, gap, value in rows]
    return "\n".join(lines) + "\n"


def to_ioh(results: Results, folder: str | Path, *, functions: Mapping[str, int] | None = None) -> list[Path]:
    """Writes a folder for each optimizer in IOHprofiler's format (version 0.3.x: .json and .dat).

    `raw_y` is the best gap so far; a run is a block of rows below the line ``evaluations raw_y``. Arguments, returns
    and errors are those of `to_coco`.
    """
    require_gaps(distinct(results.runs))
    numbers_of = _functions(results.runs, functions)
    found: dict[tuple[str, str], list[dict]] = {}
    for optimizer, problem, dimension, ways in _ways(results):
        stem = f"f{numbers_of[problem]}_{_file_name(problem)}"
        data = f"data_{stem}/IOHprofiler_f{numbers_of[problem]}_DIM{dimension}.dat"
        blocks, entries = [], []
        for way in ways:
            fell = np.append(True, way.gap[1:] < way.gap[:-1])
            rows = zip(way.evaluations[fell], way.gap[fell], strict=True)
            blocks.append("evaluations raw_y\n" + "".join(f"{n} {gap:.10e}\n" for n, gap in rows))
            # Readers ask for x; the tables have no point for each best value.
            best = {"evals": int(way.evaluations[fell][-1]), "x": [], "y": float(way.gap[-1])}
            entries.append({"instance": way.instance, "evals": int(way.evaluations[-1]), "best": best})
        _write(Path(folder) / _file_name(optimizer) / data, "".join(blocks))
        found.setdefault((optimizer, problem), []).append({"dimension": dimension, "path": data, "runs": entries})
    for (optimizer, problem), scenarios in found.items():
        meta = {
            "version": "0.3.18", "suite": "optlab", "function_id": numbers_of[problem], "function_name": problem,
            "maximization": False, "algorithm": {"name": optimizer, "info": "optlab"},
            "attributes": ["evaluations", "raw_y"], "scenarios": scenarios,
        }  # fmt: skip
        name = f"IOHprofiler_f{numbers_of[problem]}_{_file_name(problem)}.json"
        _write(Path(folder) / _file_name(optimizer) / name, json.dumps(meta, indent=1))
    return list(dict.fromkeys(Path(folder) / _file_name(optimizer) for optimizer, _ in found))


def to_benchopt(results: Results) -> pd.DataFrame:
    """The curves under benchopt's column names, to be saved as Parquet and read by ``benchopt plot``.

    objective_name, sampling_strategy, dataset_name (problem), solver_name (optimizer), p_dataset_* and p_solver_*
    (leaves), idx_rep (a number for each run of a solver on a dataset, by seed), stop_val (step), time (seconds, see
    `cost`), objective_value, and objective_* for gap, gradient and measures.
    """
    runs = distinct(results.runs)
    found = lanes(results.curves, runs)
    rows = found.rows.reset_index(drop=True)
    need(rows, "step", "value")
    # What benchopt 1.10 writes (its _generate_runs.py and runner.py), one row for each value of stop_val.
    table = pd.DataFrame({"objective_name": "optlab", "sampling_strategy": "Iteration"}, index=rows.index)
    names = {"problem": "dataset_name", "optimizer": "solver_name"}
    names |= {c: f"p_dataset_{c.removeprefix('problem.')}" for c in runs if str(c).startswith("problem.")}
    names |= {c: f"p_solver_{c.removeprefix('optimizer.')}" for c in runs if str(c).startswith("optimizer.")}
    columns = {theirs: runs[ours].to_numpy()[found.run] for ours, theirs in names.items()}
    columns |= {"idx_rep": _instances(runs)[found.run] - 1, "stop_val": rows.step.to_numpy()}
    columns |= {"time": cost(rows, "seconds", runs=runs).to_numpy(), "objective_value": rows.value.to_numpy()}
    known = {"run_id", "step", "n_value", "n_grad", "n_hvp", "value", "seconds"}
    more = [c for c in rows if c not in known and rows[c].dtype.kind in "fiub"]
    return table.assign(**columns, **{f"objective_{c}": rows[c] for c in more})


def from_algoperf(folder: str | Path) -> Results:
    """Tables from AlgoPerf's ``eval_measurements.csv``, below <submission>/<study>/<workload>/<trial>/.

    `optimizer` is the submission, `problem` the workload without its framework, `seed` the study in the order of names
    (studies are AlgoPerf's repeats), `optimizer.trial` the trial. `step` is global_step, `seconds` the accumulated
    submission time, measures are ``validation_accuracy``, ...; `value` is the training loss, or the validation loss.
    Evaluations are not counted there: use the axes steps and seconds, and `measure=` in `runtimes`.

    Raises ValueError where there is no such file, and for a file without the columns global_step and
    accumulated_submission_time.
    """
    files = sorted(Path(folder).glob("**/eval_measurements.csv"))
    if not files:
        raise ValueError(f"{folder} holds no eval_measurements.csv in or below it")
    runs, curves = [], []
    for file in files:
        submission, study, workload, trial = (*["."] * 4, *file.parent.parts)[-4:]
        raw = pd.read_csv(file).sort_values("global_step", kind="stable")
        need(raw, "global_step", "accumulated_submission_time")
        rows = pd.DataFrame(
            {"run_id": digest([submission, study, workload, trial]), "step": raw.global_step.to_numpy()}
        )
        rows["seconds"] = raw.accumulated_submission_time.to_numpy()
        for column in raw.columns[raw.columns.str.contains("/")]:
            rows[column.replace("/", "_")] = raw[column].to_numpy()
        losses = [c for c in ("train_loss", "validation_loss") if c in rows]
        rows["value"] = rows[losses[0]] if losses else np.nan
        rows["best_value"] = rows.value.cummin()
        number = re.search(r"(\d+)$", trial)
        name = re.sub(r"_(jax|pytorch)$", "", workload)
        place = {"study": study, "problem": name, "optimizer": submission}
        place |= {"optimizer.trial": int(number.group(1)) if number else 1, "status": "max_steps"}
        runs.append({"run_id": rows.run_id.iloc[0]} | place | rows.iloc[-1].drop(["run_id", "step"]).to_dict())
        runs[-1] |= {"steps": rows.step.iloc[-1]}
        curves.append(rows)
    table = pd.DataFrame(runs)
    table.insert(2, "seed", table.groupby("optimizer").study.transform(lambda s: pd.factorize(s, sort=True)[0]))
    none = pd.DataFrame()
    return Results(table, pd.concat(curves, ignore_index=True), none, none, none, none)


def _ways(results: Results) -> Iterator[tuple[str, str, int, list[Way]]]:
    """The runs of each optimizer and problem that have curves, instances in order."""
    runs = distinct(results.runs)
    size = dimensions(runs, results.curves)
    found = lanes(results.curves, runs)
    rows = pd.DataFrame({"run": found.run, "evaluations": cost(found.rows).to_numpy()})
    rows = rows.assign(gap=numbers(found.rows.gap), value=numbers(found.rows.best_value))
    if len(results.targets):
        stored = results.targets[results.targets.run_id.isin(runs.run_id)]
        run = pd.Index(runs.run_id).get_indexer(stored.run_id)
        # A rung that the start reached already is known after the first evaluation.
        exact = pd.DataFrame({"run": run, "evaluations": cost(stored).to_numpy(), "gap": numbers(stored.target)})
        least = (numbers(runs.best_value) - numbers(runs.gap))[run]
        rows = pd.concat([rows, exact.assign(value=exact.gap + least)])
    rows = rows.sort_values(["run", "evaluations", "gap"], kind="stable")
    parts = {run: part for run, part in rows.groupby("run")}
    instance = _instances(runs)
    for (optimizer, problem), group in runs.groupby(["optimizer", "problem"]):
        if not size.get(problem, np.nan) >= 1:
            raise ValueError(f"the dimension of problem {problem!r} is not known")
        order = sorted((int(instance[k]), k) for k in group.index if k in parts)
        ways = [_way(number, parts[k]) for number, k in order]
        if ways:
            yield str(optimizer), str(problem), int(size[problem]), ways


def _way(instance: int, part: pd.DataFrame) -> Way:
    """Best so far at each number of evaluations, f(x0) at the first."""
    gap, value = (np.fmin.accumulate(numbers(part[c])) for c in ("gap", "value"))
    evaluations = numbers(part.evaluations).astype(int)
    last = np.append(evaluations[1:] > evaluations[:-1], True)
    evaluations, gap, value = evaluations[last], np.maximum(gap[last], 0.0), value[last]
    if evaluations[0] > 1:
        evaluations = np.append(1, evaluations)
        gap, value = np.append(gap[0], gap), np.append(value[0], value)
    return Way(instance, evaluations, gap, value)


def _instances(runs: pd.DataFrame) -> np.ndarray:
    """A number for each run of an optimizer on a problem, from 1, by seed: `[R]`."""
    keys = [c for c in ("seed", "run_id") if c in runs]
    ordered = runs.sort_values(keys, kind="stable")
    return (ordered.groupby(["problem", "optimizer"]).cumcount() + 1).reindex(runs.index).to_numpy()


def _functions(runs: pd.DataFrame, functions: Mapping[str, int] | None) -> dict[str, int]:
    names = sorted(runs.problem.unique())
    found = {name: k + 1 for k, name in enumerate(names)} if functions is None else dict(functions)
    missing = [name for name in names if name not in found]
    if missing:
        raise ValueError(f"problem {missing[0]!r} has no function number; there are numbers for {', '.join(found)}")
    if len({found[name] for name in names}) < len(names):
        raise ValueError("two problems have the same function number")
    return found


def _file_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._+=-]+", "_", text)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
