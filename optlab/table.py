"""Traces to tidy tables on disk and back. Knows NumPy, pandas and Arrow, never JAX.

A study is a folder of tables, a table a folder of Parquet parts. A unit of a sweep writes one part
of the same name into each table, `runs` last: that part is the commit record of the unit, and a part
of another table counts only if it is there.
"""

# Arrow declares few of its types.
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false

import hashlib
import json
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from optlab.types import of_run

SCHEMA_VERSION = 1

#: Tables that a landscape is written to, each part whole by itself.
LANDSCAPES = (
    "landscapes", "planes", "grid", "projections", "motion", "connections",
    "spectra", "eigenvalues", "basins", "basin_points", "stability", "stability_theory",
)  # fmt: skip

TABLES = ("runs", "curves", "targets", "fields", "points", "environments", *LANDSCAPES)

#: How each column that every table of runs has is stored; the configuration's own leaves follow
#: their values. Floats are double whatever the run's precision.
RUN_COLUMNS = {
    "run_id": pa.string(), "study": pa.string(), "problem": pa.string(), "optimizer": pa.string(),
    "seed": pa.int64(), "precision": pa.string(), "status": pa.string(), "error": pa.string(),
    "steps": pa.int64(), "n_value": pa.int64(), "n_grad": pa.int64(), "n_hvp": pa.int64(),
    "value": pa.float64(), "best_value": pa.float64(), "gap": pa.float64(), "grad_norm": pa.float64(),
    "end_label": pa.string(), "escape_step": pa.int64(), "plateau_share": pa.float64(),
    "target_step": pa.int64(), "target_seconds": pa.float64(),
    "seconds": pa.float64(), "compile_seconds": pa.float64(),
    "state_bytes": pa.int64(), "program_bytes": pa.int64(), "environment_id": pa.string(), "field_id": pa.string(),
}  # fmt: skip

#: What a part of a table must have to be one.
KEYS = {
    "runs": ("run_id", "study", "problem", "optimizer", "seed", "precision", "status"),
    "curves": ("run_id", "step"),
    "targets": ("run_id", "step"),
    "fields": ("field_id", "x_0", "x_1", "value"),
    "points": ("field_id", "kind"),
    "environments": ("environment_id",),
}

#: Columns of a trace that are no measure of the problem and no probe.
_TRACE = ("step", "n_value", "n_grad", "n_hvp", "value", "best_value", "gap", "grad_norm")


NONE = pd.DataFrame()


class Results(NamedTuple):
    """The tables of one or many studies as pandas frames."""

    runs: pd.DataFrame  #: a row for each run
    curves: pd.DataFrame  #: a row for each run and recorded step
    targets: pd.DataFrame  #: a row for each run and gap that it reached
    fields: pd.DataFrame  #: values of the two-dimensional surfaces on a grid, to draw them
    points: pd.DataFrame  #: known stationary points of these surfaces
    environments: pd.DataFrame  #: versions, platform and device behind `environment_id`
    landscapes: pd.DataFrame = NONE  #: which there are, a row each
    planes: pd.DataFrame = NONE  #: what a landscape's slice is: its directions, seed, normalisation, statistics
    grid: pd.DataFrame = NONE  #: losses and scores on a slice, a row for each of its points
    projections: pd.DataFrame = NONE  #: paths of runs on a slice, with the loss there and the distance from it
    motion: pd.DataFrame = NONE  #: how a run moved: distance from its start, length of its way, angles between steps
    connections: pd.DataFrame = NONE  #: losses along a line and a curve between two runs
    spectra: pd.DataFrame = NONE  #: nodes and weights of Hessians' spectral densities
    eigenvalues: pd.DataFrame = NONE  #: their extreme eigenvalues, traces and negative shares
    basins: pd.DataFrame = NONE  #: what is reached from each start of a grid
    basin_points: pd.DataFrame = NONE  #: the points that may be
    stability: pd.DataFrame = NONE  #: how runs end over two numbers
    stability_theory: pd.DataFrame = NONE  #: where theory draws the border

    def to_csv(self, folder: str | Path) -> list[Path]:
        """Writes ``runs.csv`` and ``curves.csv`` into `folder`; returns their paths."""
        paths = []
        for name in ("runs", "curves"):
            path = Path(folder) / f"{name}.csv"
            temporary = path.with_suffix(".csv.tmp")
            getattr(self, name).to_csv(temporary, index=False)
            paths.append(temporary.replace(path))
        return paths


class ForeignFolder(ValueError):
    """A folder that holds something else than optlab's tables."""


def digest(content: object) -> str:
    """20 hexadecimal digits that stand for a JSON value; the same on every machine."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=10).hexdigest()


def open_study(results: str | Path, name: str) -> Path:
    """The study's folder, made if need be. Raises ForeignFolder where other things live there already."""
    folder = Path(results) / name
    if folder.exists() and not folder.is_dir():
        raise ForeignFolder(f"{folder} is a file, not a folder; choose another results= or name=")
    if folder.is_dir() and any(folder.iterdir()) and not any((folder / t).is_dir() for t in TABLES):
        raise ForeignFolder(f"{folder} holds other files and no optlab tables; choose another results= or name=")
    (folder / "runs").mkdir(parents=True, exist_ok=True)  # before all else: another driver may look in right now
    for path in sorted((folder / "runs").glob("*.parquet")):
        if not _ours(path):
            raise ForeignFolder(f"{path} was not written by optlab; choose another results= or name=")
    return folder


def done(folder: Path, read: set[Path] | None = None) -> set[str]:
    """The ids of the runs that a study has already; failed ones are to be tried again.

    With `read`, of those parts only that are not in it yet; they are added to it.
    """
    ids: set[str] = set()
    parts = set((folder / "runs").glob("*.parquet")) - (read or set())
    if read is not None:
        read |= parts
    for path in sorted(parts):
        part = _read(path, ["run_id", "status"])
        if part is not None:
            keep = pc.not_equal(part["status"], "failed")
            ids.update(part["run_id"].filter(keep).to_pylist())
    return ids


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all: under a temporary name first, then renamed; its folder is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_part(folder: Path, table: str, part: str, rows: pa.Table) -> Path:
    """Writes one part whole or not at all: under a temporary name first, then renamed."""
    path = folder / table / f"{part}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{part}.{os.getpid()}.tmp")
    reals = [f.name for f in rows.schema if pa.types.is_floating(f.type)]
    texts = [f.name for f in rows.schema if not pa.types.is_floating(f.type)]
    try:
        # Dictionaries pay for texts and counts, not for reals, which compress better with their bytes
        # apart. Without the Arrow schema readers see plain strings instead of categories.
        with pq.ParquetWriter(
            temporary, rows.schema, compression="zstd", compression_level=-1, use_dictionary=texts,
            use_byte_stream_split=reals, write_statistics=False, store_schema=False,
        ) as writer:  # fmt: skip
            writer.write_table(rows)
            writer.add_key_value_metadata({"optlab_table": table, "schema_version": str(SCHEMA_VERSION)})
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def write_once(folder: Path, table: str, part: str, rows: Mapping[str, Sequence]) -> None:
    """Writes a part that depends on nothing but its name, unless it is there."""
    if not (folder / table / f"{part}.parquet").exists():
        write_part(folder, table, part, pa.table(dict(rows)))


def runs_rows(columns: Mapping[str, object], size: int) -> pa.Table:
    """The `runs` rows of a unit; a column is an array or a list `[R]`, or one value for all."""
    known = {name: columns.get(name) for name in RUN_COLUMNS}
    names = [*list(known)[:6], *(n for n in columns if n not in known), *list(known)[6:]]
    return pa.table({name: _column(columns.get(name), size, RUN_COLUMNS.get(name)) for name in names})


def _column(values: object, size: int, kind: pa.DataType | None) -> pa.Array:
    if isinstance(values, np.ma.MaskedArray):
        return pa.array(values.data, kind, mask=np.ma.getmaskarray(values))
    if isinstance(values, list | np.ndarray):
        if isinstance(values, np.ndarray) and kind is not None and pa.types.is_floating(kind):
            values = values.astype(float)
        return pa.array(values, kind)
    if values is None:
        return pa.nulls(size, kind or pa.string())
    if isinstance(values, str):
        # One value for all is a dictionary of one word.
        return pa.DictionaryArray.from_arrays(np.zeros(size, np.int32), pa.array([values]))
    return pa.array(np.full(size, values), kind)


def curves_rows(run_ids: Sequence[str], trace: Mapping[str, np.ndarray]) -> pa.Table:
    """The `curves` rows of a unit: traces `[R, T, ...]`, each up to the step at which its run ended.

    A position of up to three dimensions becomes ``x_0, x_1, x_2``, a longer one a list ``x``.
    """
    steps = trace["step"]
    keep = np.ones(steps.shape, bool)
    keep[:, 1:] = steps[:, 1:] > steps[:, :-1]  # a run that has ended repeats its last row
    kept = keep.all()

    def rows(values):
        return values.reshape(-1, *values.shape[2:]) if kept else values[keep]

    lanes = np.repeat(np.arange(len(steps), dtype=np.int32), steps.shape[1])
    ids = pa.DictionaryArray.from_arrays(lanes if kept else lanes[keep.ravel()], pa.array(run_ids, pa.string()))
    columns: dict[str, pa.Array] = {"run_id": ids}
    for name in [*_TRACE, *(n for n in trace if n not in _TRACE)]:
        if name not in trace:  # a gap without a known minimum
            columns[name] = pa.nulls(len(ids), RUN_COLUMNS[name])
        elif name != "status" and not of_run(name) and trace[name].size:  # a probe by layer may find no layers
            columns |= _flat(name, rows(trace[name]))
    return pa.table(columns)


def _flat(name: str, values: np.ndarray) -> dict[str, pa.Array]:
    values = values.astype(np.float64) if values.dtype.kind == "f" else values
    if values.ndim == 1:
        return {name: pa.array(values)}
    values = values.reshape(len(values), -1)
    if values.shape[1] <= 3:
        return {f"{name}_{i}": pa.array(np.ascontiguousarray(values[:, i])) for i in range(values.shape[1])}
    return {name: pa.FixedSizeListArray.from_arrays(values.ravel(), values.shape[1]).cast(pa.list_(pa.float64()))}


def targets_rows(run_ids: Sequence[str], trace: Mapping[str, np.ndarray]) -> pa.Table | None:
    """The ladder of a unit, a row for each run: lists as long as the rungs that it reached.

    Rungs are reached from the top down, so that the length says which. `load` unfolds them.
    """
    if "target_step" not in trace:
        return None
    reached = trace["target_step"] >= 0
    offsets = np.concatenate([[0], np.cumsum(reached.sum(axis=1))]).astype(np.int32)
    columns = {"run_id": pa.array(run_ids, pa.string())}
    for name in ("step", "n_value", "n_grad", "n_hvp"):
        columns[name] = pa.ListArray.from_arrays(offsets, trace[f"target_{name}"][reached])
    return pa.table(columns)


def load(folder: str | Path, tables: Sequence[str] = TABLES) -> Results:
    """The tables of all studies in or below a folder, as pandas frames.

    A part that cannot be read is left out with a warning that names it. Raises FileNotFoundError
    for a folder that does not exist and ForeignFolder for one that holds no tables.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    tables_of_studies = ("runs", *LANDSCAPES)
    studies = sorted({path.parent for path in folder.glob("**/") if path.name in tables_of_studies})
    if not studies:
        raise ForeignFolder(f"{folder} holds no optlab tables (no folder called runs in or below it)")
    frames = {}
    committed: set[Path] = set()  # units whose runs are there and whole
    again: dict[tuple[Path, str], pa.Array] = {}
    for table in TABLES:
        paths = [path for study in studies for path in sorted((study / table).glob("*.parquet"))]
        if table in ("curves", "targets"):
            paths = [path for path in paths if path.parent.parent / "runs" / path.name in committed]
        read = {path: _read(path) for path in paths if table in tables or table == "runs"}
        if table == "runs":
            again = _done_again(read)
        elif table in ("curves", "targets") and again:
            read = {path: _without(part, again.get((path.parent.parent, path.name))) for path, part in read.items()}
        parts = [part for part in read.values() if part is not None]
        committed |= {path for path, part in read.items() if part is not None}
        try:
            whole = _together(parts) if parts or table != "runs" else pa.schema(RUN_COLUMNS.items()).empty_table()
            frames[table] = (_unfold(whole) if table == "targets" else whole).to_pandas()
        except (pa.ArrowException, KeyError) as error:
            raise ForeignFolder(f"the parts of {table} in {folder} do not fit together: {error}") from error
    for table in ("runs", "fields", "points", "environments"):
        frames[table] = _first_of_each(frames[table], table)
    return Results(**frames)


def _fits(field: pa.Field) -> bool:
    """Whether a column is of the kind that it is written in: a text, a number, or a list of numbers."""
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if pa.types.is_null(kind):
        return True
    if field.name in RUN_COLUMNS and not pa.types.is_list(kind):  # lists of `targets`
        return pa.types.is_string(kind) == pa.types.is_string(RUN_COLUMNS[field.name])
    return not pa.types.is_nested(kind) or pa.types.is_list(kind)


def _done_again(parts: Mapping[Path, pa.Table | None]) -> dict[tuple[Path, str], pa.Array]:
    """{(study, part): ids of its runs that failed, and that another part has done later}."""
    there = {path: part for path, part in parts.items() if part is not None}
    if not any(pc.any(pc.equal(part["status"], "failed")).as_py() for part in there.values()):
        return {}
    rows = pd.concat(
        part.select(["run_id", "status"]).to_pandas().assign(study=path.parent.parent, part=path.name)
        for path, part in there.items()
    ).sort_values("status", key=lambda s: s == "failed", kind="stable")
    worse = rows[rows.duplicated(["study", "run_id"])]
    return {(study, part): pa.array(mine.run_id) for (study, part), mine in worse.groupby(["study", "part"])}  # pyright: ignore[reportGeneralTypeIssues]


def _without(part: pa.Table | None, ids: pa.Array | None) -> pa.Table | None:
    return part if part is None or ids is None else part.filter(pc.invert(pc.is_in(part["run_id"], ids)))


def _together(parts: Sequence[pa.Table]) -> pa.Table:
    """Parts with other columns and kinds as one table: whole numbers become real ones where they meet.

    A parameter that is a number for one optimizer and a choice for another (`beta`) becomes a text.
    """
    kinds: dict[str, set[bool]] = {}
    for part in parts:
        for field in part.schema:
            if not pa.types.is_null(field.type):
                kinds.setdefault(field.name, set()).add(pa.types.is_string(field.type))
    mixed = {name for name, texts in kinds.items() if len(texts) > 1}
    if mixed:
        parts = [
            part.cast(pa.schema([f.with_type(pa.string()) if f.name in mixed else f for f in part.schema]))
            for part in parts
        ]
    return pa.concat_tables(parts, promote_options="permissive") if parts else pa.table({})


def _first_of_each(frame: pd.DataFrame, table: str) -> pd.DataFrame:
    """Studies side by side may share runs, surfaces and environments."""
    keys = {"runs": ["study", "run_id"], "environments": ["environment_id"]}.get(table)
    if frame.empty:
        return frame
    if table == "runs":  # a run that failed once and was done later has two rows
        frame = frame.sort_values("status", key=lambda s: s == "failed", kind="stable")
        return frame.drop_duplicates(keys).sort_index().reset_index(drop=True)
    return frame.drop_duplicates(keys).reset_index(drop=True)


def _unfold(rows: pa.Table) -> pa.Table:
    if not rows.num_columns:
        return rows
    rows = rows.combine_chunks()
    lists = {name: rows[name].combine_chunks() for name in rows.column_names if name != "run_id"}
    lists = {name: part.chunk(0) if isinstance(part, pa.ChunkedArray) else part for name, part in lists.items()}
    lengths = pc.list_value_length(lists["step"]).fill_null(0).to_numpy(zero_copy_only=False)
    ids = rows["run_id"].take(pa.array(np.repeat(np.arange(len(lengths)), lengths)))
    starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
    rungs = np.arange(lengths.sum()) - starts
    flat = {name: pc.list_flatten(part) for name, part in lists.items()}
    return pa.table({"run_id": ids, "target": 10.0 ** (2 - 0.2 * rungs), **flat})


def _ours(path: Path) -> bool:
    """Whether optlab wrote a part; what cannot be read is reported when it is read."""
    try:
        return b"optlab_table" in (pq.read_schema(path).metadata or {})
    except (pa.ArrowException, OSError):
        return True


def _read(path: Path, columns: Sequence[str] | None = None) -> pa.Table | None:
    """A part, or of it some columns. Warns and returns None where it is damaged, of another program or schema."""
    try:
        with pq.ParquetFile(path) as file:
            stated = file.schema_arrow.metadata or {}
            missing = {*KEYS.get(path.parent.name, ()), *(columns or ())} - set(file.schema_arrow.names)
            version = stated.get(b"schema_version", b"none").decode(errors="replace")
            if b"optlab_table" not in stated:
                reason = "it was not written by optlab"
            elif version != str(SCHEMA_VERSION):
                reason = f"its schema is {version}, not {SCHEMA_VERSION}"
            elif missing:
                reason = f"it has no column {', '.join(sorted(missing))}"
            elif odd := [field.name for field in file.schema_arrow if not _fits(field)]:
                reason = f"its column {odd[0]} is of another kind"
            else:
                return file.read(columns)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).strip().split("\n")[0]
    warnings.warn(f"{path} cannot be read and is left out: {reason}", stacklevel=2)
    return None
