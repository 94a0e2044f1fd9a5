"""Groups of runs to tables: each group one program, in chunks, written in units.

Groups are compiled and written in threads of their own, so that one compiles while another runs; the
chunks of all of them share the cores.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from optlab import table
from optlab.app import endings, fields, stored_runs
from optlab.app.bad_input import BadInput
from optlab.app.build import make_optimizer, make_problem
from optlab.app.ledger import Ledger
from optlab.app.long_runs import Keeping, forget
from optlab.app.plan import Group, at_defaults, distinct, patched, run_ids, run_leaves, split, subset
from optlab.app.programs import builder, first_values, prepared
from optlab.app.time_limit import given_up
from optlab.cores import cores
from optlab.run import advance, recorded_steps, split_key, start
from optlab.sweep import joined
from optlab.types import Status, Trace, of_run

#: Runs that are written, and so committed, together.
UNIT_RUNS = 16384
UNIT_BYTES = 2**26
UNIT_SECONDS = 60

STATUS_NAMES = np.array([status.name for status in Status])


class Study(NamedTuple):
    """Where results go and what to say while they do."""

    folder: Path
    name: str
    environment_id: str
    progress: Callable[[int], None]  #: called with the number of runs just finished


class Outcome(NamedTuple):
    statuses: Counter
    skipped: int
    errors: list[str]


def execute(groups: Sequence[Group], study: Study) -> Outcome:
    """Runs what is missing of the groups. Raises OSError where results cannot be written."""
    ledger = Ledger(study.folder)
    statuses: Counter = Counter()
    skipped, errors = 0, []
    with ThreadPoolExecutor(cores()) as chunks, ThreadPoolExecutor(min(2, cores())) as planners:
        left = list(groups)
        for wait in (False, True):  # groups that another driver is at come last
            futures = {planners.submit(_run_group, group, study, ledger, chunks, wait): group for group in left}
            left = []
            try:
                for future in as_completed(futures):
                    outcome = future.result()
                    if outcome is None:
                        left.append(futures[future])
                        continue
                    statuses += outcome.statuses
                    skipped += outcome.skipped
                    errors += outcome.errors
            except BaseException:
                # Ctrl-C, a full disk: units that are written stay, nothing new begins.
                ledger.stopping.set()
                for future in futures:
                    future.cancel()
                chunks.shutdown(cancel_futures=True)
                raise
    return Outcome(statuses, skipped, list(dict.fromkeys(errors)))


def precision(config: Mapping[str, Any]):
    """The context in which a group's arrays are made; it is part of the key of a compiled program."""
    return jax.enable_x64(config["precision"] == "float64")


def check_input(group: Group) -> None:
    """A record that is none, a problem or optimizer that cannot be made: bad input, found before anything runs."""
    config = patched(group.config, first_values(group))
    try:
        recorded_steps(config["steps"], config["record"])
    except ValueError as error:
        raise BadInput(str(error)) from None
    with precision(config):
        try:
            jax.eval_shape(lambda: make_problem(config["problem"]).init(jax.random.key(0)))
        except BadInput:
            raise
        except Exception as error:
            name = config["choices"]["problem"]
            raise BadInput(f"the problem '{name}' cannot be made: {first_line(error)}") from error
        try:
            make_optimizer(config)
        except BadInput:
            raise
        except ValueError as error:
            name = config["choices"]["optimizer"]
            raise BadInput(f"the optimizer '{name}' cannot be made: {first_line(error)}") from error
        except Exception:
            return  # what optax has against it, the run's row will say


def first_line(error: BaseException) -> str:
    """The first line of what an exception says."""
    return (str(error).strip() or type(error).__name__).split("\n")[0]


def _run_group(group: Group, study: Study, ledger: Ledger, pool: ThreadPoolExecutor, wait: bool) -> Outcome | None:
    """What is missing of one group; None where another driver is at it, and it shall not be waited for."""
    ids = run_ids(group)
    with ledger.alone(ids, wait) as mine:
        if not mine:
            return None
        fresh = ledger.claim(ids)
        skipped = int((~fresh).sum())
        study.progress(skipped)
        if not fresh.any():
            return Outcome(Counter(), skipped, [])
        if skipped:
            group, ids = subset(group, fresh), [i for i, new in zip(ids, fresh, strict=True) if new]
        outcome = _run_claimed(group, ids, study, ledger, pool)
        return outcome._replace(skipped=skipped)


def _run_claimed(group: Group, ids: list[str], study: Study, ledger: Ledger, pool: ThreadPoolExecutor) -> Outcome:
    """Compiles a group and writes its runs unit by unit; an exception makes failed rows, not a lost sweep."""
    statuses: Counter = Counter()
    errors: list[str] = []
    try:
        with precision(group.config):
            config = group.config
            limit = config.get("time_limit")
            keep = Keeping(study.folder, ids, config.get("save"), config.get("checkpoint"), ledger.stopping, limit)
            chunks, costs = prepared(group, pool, keep, ledger.compiled_once)
            for rows, trace, seconds in _units(chunks):
                unit = subset(group, np.arange(group.size)[rows])
                names, sentences = _write_unit(unit, ids[rows], trace, study, ledger, seconds, costs)
                forget(study.folder, [i for i, name in zip(ids[rows], names, strict=True) if name != "failed"])
                statuses.update(names)
                errors += [f"{_who(group)}: {sentence}" for sentence in sentences if sentence]
                study.progress(len(names))
        return Outcome(statuses, 0, errors)
    except (OSError, MemoryError):
        raise
    except Exception as error:
        if ledger.stopping.is_set():
            raise  # a chunk that was called off is no result
        rigid = [] if statuses else _rigid_columns(group)
        if rigid:
            return _run_split(group, rigid, study, ledger, pool)
        done = statuses.total()
        left = subset(group, np.arange(done, group.size))
        sentence = f"{type(error).__name__}: {first_line(error)}"
        _write_failed(left, ids[done:], sentence, study)
        study.progress(left.size)
        errors.append(f"{_who(group)}: {sentence}")
        return Outcome(statuses + Counter({"failed": left.size}), 0, errors)


def _who(group: Group) -> str:
    return "{optimizer} on {problem}".format(**group.config["choices"])


def _run_split(group: Group, rigid: Sequence[str], study: Study, ledger: Ledger, pool: ThreadPoolExecutor) -> Outcome:
    """A group for each value of the columns that its program cannot take as numbers."""
    parts = [group]
    for key in rigid:
        parts = [piece for part in parts for piece in split(part, key)]
    outcomes = [_run_claimed(part, run_ids(part), study, ledger, pool) for part in parts]
    statuses = sum((outcome.statuses for outcome in outcomes), Counter())
    return Outcome(statuses, 0, [error for outcome in outcomes for error in outcome.errors])


def _rigid_columns(group: Group) -> list[str]:
    """Columns on which Python branches or that set a shape, found by trying to trace each alone."""
    if not _traces(group, []):
        return []  # wrong for another reason
    return [key for key in group.columns if not _traces(group, [key])]


def _traces(group: Group, abstract: Sequence[str]) -> bool:
    """Whether the first step can be traced with these columns abstract and the others as Python numbers."""
    build = builder(group)
    concrete = {key: value for key, value in first_values(group).items() if key not in abstract}

    def first_step(values):
        problem, optimizer = build(values | concrete)
        keys = split_key(jax.random.key(0))
        return advance(problem, optimizer, keys[1], start(problem, optimizer, keys))

    try:
        with precision(group.config):
            jax.eval_shape(first_step, {key: jnp.asarray(group.columns[key][0]) for key in abstract})
    except Exception:
        return False
    return True


def _units(chunks: Iterator) -> Iterator[tuple[slice, Trace, float]]:
    """Chunks gathered to units: large enough that files stay few, small enough to lose little."""
    gathered: list[Trace] = []
    first, last, seconds, size, begun = 0, 0, 0.0, 0, perf_counter()
    for rows, trace, spent in chunks:
        gathered.append(trace)
        last, seconds = rows.stop, seconds + spent
        size += sum(column.nbytes for column in trace.values())
        if last - first >= UNIT_RUNS or size >= UNIT_BYTES or perf_counter() - begun >= UNIT_SECONDS:
            yield slice(first, last), joined(gathered), seconds
            gathered, first, seconds, size, begun = [], last, 0.0, 0, perf_counter()
    if gathered:
        yield slice(first, last), joined(gathered), seconds


def run_columns(group: Group, ids: list[str], study: Study) -> dict[str, Any]:
    """The columns of `runs` that are known before anything has run."""
    config = group.config
    columns: dict[str, Any] = {
        "run_id": ids, "study": study.name, "problem": config["choices"]["problem"],
        "optimizer": config["choices"]["optimizer"], "seed": group.seeds, "precision": config["precision"],
        "environment_id": study.environment_id, "schedule": config["choices"].get("schedule", "constant"),
    }  # fmt: skip
    default = at_defaults(group)
    columns |= {} if default is None else {"default": default}
    stated = run_leaves(config)
    for key in stated:
        if key in columns or key.split(".")[0] in ("probe", "choices") or key.endswith("_target_"):
            continue
        value = group.columns.get(key, stated[key])
        columns["max_steps" if key == "steps" else key] = _cell(value)
    return columns


def _cell(value: Any) -> Any:
    """A point is one text, so that pandas can group by it: its numbers are in `curves` at step 0."""
    if isinstance(value, np.ndarray) and value.ndim > 1:
        points, place = distinct(value)
        texts = [json.dumps(row.tolist()) for row in points]
        return [texts[i] for i in place.tolist()]
    return json.dumps(value) if isinstance(value, list) else value


def _write_unit(group, ids, trace, study, ledger, seconds, costs) -> tuple[list[str], list[str | None]]:
    """Writes a unit's parts, `runs` last; returns the status of each run, and why it failed."""
    size = len(ids)
    stored_runs.keep(study.folder, group, ids, trace)
    names, errors = given_up(trace, STATUS_NAMES[trace["status"][:, -1]].tolist(), group.config.get("time_limit"))
    end = {name: trace[name][:, -1] for name in trace if not of_run(name) and trace[name].ndim == 2}
    columns = run_columns(group, ids, study) | end
    columns |= {
        "status": names, "error": errors, "end_label": endings.labels_of(group, trace),
        "plateau_share": trace.get("plateau_share"),
        "escape_step": _first(trace.get("escape_step")), "steps": columns.pop("step"),
        "field_id": fields.write(group, study.folder, ledger.fields, ledger.lock),
        **_reached(trace, seconds / size),
        "seconds": seconds / size, **costs._asdict(),
    }  # fmt: skip
    part = table.digest([*(["failed"] if any(errors) else []), ids[0], ids[-1], size])
    table.write_part(study.folder, "curves", part, table.curves_rows(ids, trace))
    targets = table.targets_rows(ids, trace)
    if targets is not None:
        table.write_part(study.folder, "targets", part, targets)
    table.write_part(study.folder, "runs", part, table.runs_rows(columns, size))
    return names, errors


def _reached(trace: Trace, seconds: float) -> dict[str, Any]:
    """When the target that a workload states was first reached, of the recorded steps; null where it never was."""
    if "reached" not in trace:
        return {}
    met = trace["reached"].astype(bool)
    runs = np.arange(len(met))
    step = np.where(met.any(axis=1), trace["step"][runs, met.argmax(axis=1)], -1)
    spent = seconds * step / np.maximum(1, trace["step"][:, -1])
    return {"target_step": _first(step), "target_seconds": np.ma.masked_less(spent, 0)}


def _first(steps: np.ndarray | None) -> np.ma.MaskedArray | None:
    """First steps, null where there is none."""
    return None if steps is None else np.ma.masked_less(steps, 0)


def _write_failed(group: Group, ids: list[str], sentence: str, study: Study) -> None:
    columns = run_columns(group, ids, study) | {"status": "failed", "error": sentence}
    part = table.digest(["failed", ids[0], ids[-1], group.size])
    table.write_part(study.folder, "runs", part, table.runs_rows(columns, group.size))
