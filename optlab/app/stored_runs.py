"""Runs whose parameters are kept: written beside the tables, and found again to look at their landscape.

``configurations/<run_id>.json`` says what was run, ``parameters/<run_id>`` holds all parameters in the end (Orbax), and
``paths/<run_id>.npz`` those that are trained, at each recorded step. Of closed forms the table `curves` knows the way.
"""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportCallIssue=false, reportGeneralTypeIssues=false

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jax.flatten_util import ravel_pytree

from optlab import table
from optlab.app.bad_input import BadInput
from optlab.app.build import make_problem
from optlab.app.plan import Group, patched, subset
from optlab.probes import position
from optlab.types import Probe, Problem, PyTree, Trace

#: More runs than this are not all meant.
MANY = 32

#: The column of a trace that becomes a path.
_PATH = "path"


class Stored(NamedTuple):
    """A run of a study, to be looked at again."""

    run_id: str
    problem_name: str
    optimizer: str
    config: Mapping[str, Any]
    problem: Problem
    steps: np.ndarray  #: that are recorded: `[T]`; of a run that kept its end only, the last one
    params: list[PyTree]  #: the parameters there

    @property
    def label(self) -> str:
        return f"{self.optimizer}, {self.run_id[:6]}"


def probes(config: Mapping[str, Any]) -> dict[str, Probe]:
    """What must be recorded so that `keep` can keep it."""
    return {_PATH: position} if config.get("save") == "path" else {}


def keep(folder: Path, group: Group, ids: Sequence[str], trace: Trace) -> None:
    """Writes what a unit's runs are to be remembered by; takes the paths out of the trace."""
    paths = trace.pop(_PATH, None)
    if not group.config.get("save"):
        return
    for lane, run_id in enumerate(ids):
        one = subset(group, np.array([lane]))
        values = {key: column[0].tolist() for key, column in one.columns.items()} | {"seed": int(one.seeds[0])}
        text = json.dumps(patched(group.config, values), default=str)
        table.write_whole(folder / "configurations" / f"{run_id}.json", text.encode())
        if paths is not None:
            steps = trace["step"][lane]
            kept = np.concatenate([[True], np.diff(steps) > 0])  # a run that has ended repeats its last row
            content = io.BytesIO()
            np.savez(content, steps=steps[kept], params=paths[lane][kept])
            table.write_whole(folder / "paths" / f"{run_id}.npz", content.getvalue())


def find(folder: Path, named: Sequence[str], *, changes: Mapping[str, Any] | None = None) -> list[Stored]:
    """The runs of a study whose ids begin with these, in this order; where none is named, all that are known so well.

    `changes` are dotted keys of their configurations to set before their problem is made. Raises BadInput for a folder
    without runs, an id that fits no run or several, and runs of which nothing was kept.
    """
    try:
        results = table.load(folder, ["runs", "curves"])
    except (FileNotFoundError, table.ForeignFolder) as error:
        raise BadInput(str(error)) from None
    runs = results.runs
    if runs.empty:
        raise BadInput(f"{folder} holds no runs")
    if not named:
        known = [r for r in runs.run_id if _has_path(folder, r) or _place(folder, "parameters", r) is not None]
        named = known or list(runs.run_id[[_of_surface(results.curves)] * len(runs)])
        if not named:
            raise BadInput(f"no run in {folder} has kept its parameters: run it with save=path (or save=true)")
        if len(named) > MANY:
            some = ", ".join(str(name)[:8] for name in named[:3])
            raise BadInput(f"{folder} holds {len(named)} runs to look at: state run=ID,... of some, such as {some}")
    problems: dict[str, Problem] = {}  # runs of one problem share it, and what is compiled for it
    return [_stored(folder, _one(runs, name), results.curves, changes or {}, problems) for name in named]


def _one(runs: pd.DataFrame, name: str) -> pd.Series:
    fitting = runs[runs.run_id.str.startswith(str(name))].drop_duplicates("run_id")
    if len(fitting) != 1:
        some = ", ".join(runs.run_id.str[:8].unique()[:5])
        what = "no run's id begins" if fitting.empty else f"the ids of {len(fitting)} runs begin"
        raise BadInput(f"{what} with '{name}'; there are {some}{', ...' if runs.run_id.nunique() > 5 else ''}")
    return fitting.iloc[0]


def _of_surface(curves: pd.DataFrame) -> bool:
    return "x_0" in curves or "x" in curves


def _place(folder: Path, kind: str, run_id: str, suffix: str = "") -> Path | None:
    if not run_id.isalnum():
        return None  # no id of ours, and maybe a way out of the folder
    found = [path for path in (folder / kind / f"{run_id}{suffix}", *folder.glob(f"**/{kind}/{run_id}{suffix}"))]
    return next((path for path in found if path.exists()), None)


def _has_path(folder: Path, run_id: str) -> bool:
    return _place(folder, "paths", run_id, ".npz") is not None


def _stored(
    folder: Path, row: pd.Series, curves: pd.DataFrame, changes: Mapping[str, Any], problems: dict[str, Problem]
) -> Stored:
    config = patched(_configuration(folder, row), changes)
    with jax.enable_x64(config["precision"] == "float64"):
        try:
            text = json.dumps([config["problem"], config["precision"]], sort_keys=True, default=str)
            problem = problems.setdefault(text, problems.get(text) or make_problem(config["problem"]))
            steps, params = _parameters(folder, row.run_id, problem, curves)
        except ValueError as error:
            raise BadInput(str(error)) from error
    return Stored(row.run_id, row.problem, row.optimizer, config, problem, steps, params)


def _configuration(folder: Path, row: pd.Series) -> dict[str, Any]:
    """What was run: as it was written, or for a closed form from its row."""
    from optlab.app.compose import composed
    from optlab.app.study import check_shape

    written = _place(folder, "configurations", row.run_id, ".json")
    if written is not None:
        try:
            config = json.loads(written.read_text())
            check_shape(config, config["choices"])
            return config
        except (ValueError, KeyError, TypeError) as error:
            raise BadInput(f"{written} cannot be read: {error}") from error
    stated = {key: value for key, value in row.items() if str(key).startswith("problem.") and pd.notna(value)}
    words = [f"problem={row.problem}", *(f"++{key}={_word(value)}" for key, value in stated.items())]
    return composed([*words, f"optimizer={row.optimizer}", f"precision={row.precision}", f"seed={row.seed}"])


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a kept path. Raises BadInput where the file is none."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            kept = {name: file[name] for name in ("steps", "params")}
        if kept["params"].ndim != 2 or len(kept["steps"]) != len(kept["params"]):
            raise ValueError("its arrays do not fit together")
        return kept
    except (ValueError, OSError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise BadInput(f"{path} cannot be read: {error}") from error


def _word(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _parameters(folder: Path, run_id: str, problem: Problem, curves: pd.DataFrame) -> tuple[np.ndarray, list[PyTree]]:
    path, whole = _place(folder, "paths", run_id, ".npz"), _place(folder, "parameters", run_id)
    shapes = jax.eval_shape(problem.init, jax.random.key(0))
    blank = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    vector, unravel = ravel_pytree(blank)
    if path is not None:
        kept = _arrays(path)
        if kept["params"].shape[1] != vector.size:
            raise BadInput(f"{path} holds {kept['params'].shape[1]} parameters and the problem has {vector.size}")
        return kept["steps"], [unravel(jnp.asarray(row, vector.dtype)) for row in kept["params"]]
    if whole is not None:
        from optlab.workloads import load_parameters
        from optlab.workloads.paths import flat, nested

        saved = flat(load_parameters(whole))
        ours = {key: jnp.asarray(saved[key], leaf.dtype) for key, leaf in flat(blank).items()}
        last = curves[curves.run_id == run_id].step.max()
        return np.array([last]), [nested(ours)]
    mine = curves[curves.run_id == run_id].sort_values("step")
    names = [name for name in ("x_0", "x_1", "x_2") if name in mine and mine[name].notna().all()]
    rows = mine[names].to_numpy(float) if names else None
    if rows is None and "x" in mine and mine["x"].notna().all():
        rows = np.stack(list(mine["x"]))
    if rows is None or rows.shape[1] != vector.size:
        raise BadInput(
            f"the parameters of run {run_id[:8]} were not kept: run it again under another name= with save=path"
        )
    return mine.step.to_numpy(), [unravel(jnp.asarray(row, vector.dtype)) for row in rows]
