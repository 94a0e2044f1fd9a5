"""Tables: what is written is what was run, whole or not at all, and pandas reads it without cleaning."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from optlab import table


def trace(runs=3, rows=4, dim=2):
    """Made-up traces; the second run ended at its second recorded step."""
    rng = np.random.default_rng(0)
    steps = np.tile(np.array([0, 1, 5, 9], np.int32)[:rows], (runs, 1))
    steps[1:2, 2:] = 1
    value = rng.normal(size=(runs, rows))
    return {
        "step": steps, "n_value": steps + 1, "n_grad": steps + 1, "n_hvp": 0 * steps, "value": value,
        "best_value": np.minimum.accumulate(value, 1), "grad_norm": abs(value), "status": 0 * steps,
        "x": rng.normal(size=(runs, rows, dim)),
        "validation_accuracy": rng.uniform(size=(runs, rows)).astype(np.float32),
        "target_step": np.array([[0, 3, -1], [-1, -1, -1], [2, 2, 7]])[:runs],
        **dict.fromkeys(
            ("target_n_value", "target_n_grad", "target_n_hvp"), np.array([[1, 4, -1], [-1, -1, -1], [3, 3, 8]])[:runs]
        ),
    }  # fmt: skip


def write(folder, part="unit", ids=("a", "b", "c"), dim=2, **columns):
    ids = list(ids)
    table.write_part(folder, "curves", part, table.curves_rows(ids, trace(len(ids), dim=dim)))
    table.write_part(folder, "targets", part, table.targets_rows(ids, trace(len(ids))))
    known = {
        "run_id": ids,
        "study": folder.name,
        "status": "converged",
        "optimizer.learning_rate": np.ones(len(ids)),
    }
    table.write_part(folder, "runs", part, table.runs_rows(known | columns, len(ids)))


def test_curves_hold_each_run_up_to_its_end(tmp_path):
    write(tmp_path)
    curves = table.load(tmp_path).curves
    assert curves.groupby("run_id").step.apply(list).to_dict() == {
        "a": [0, 1, 5, 9],
        "b": [0, 1],
        "c": [0, 1, 5, 9],
    }
    made = trace()
    np.testing.assert_array_equal(curves[curves.run_id == "c"][["x_0", "x_1"]].to_numpy(), made["x"][2])
    np.testing.assert_array_equal(curves[curves.run_id == "b"].value, made["value"][1, :2])
    assert curves.gap.isna().all()  # no minimum was known
    assert curves.validation_accuracy.dtype == float


def test_positions_beyond_three_dimensions_are_lists(tmp_path):
    write(tmp_path, dim=5)
    curves = table.load(tmp_path).curves
    np.testing.assert_array_equal(np.stack(curves[curves.run_id == "a"].x), trace(dim=5)["x"][0])


def test_targets_unfold_to_a_row_for_each_gap_reached(tmp_path):
    write(tmp_path)
    targets = table.load(tmp_path).targets
    assert targets.run_id.tolist() == ["a", "a", "c", "c", "c"]
    np.testing.assert_allclose(targets.target, 10 ** (2 - 0.2 * np.array([0, 1, 0, 1, 2])))
    assert targets.step.tolist() == [0, 3, 2, 2, 7] and targets.n_grad.tolist() == [1, 4, 3, 3, 8]


def test_every_table_of_runs_has_the_same_first_and_last_columns_whatever_is_known(tmp_path):
    write(tmp_path)
    columns = table.load(tmp_path).runs.columns.tolist()
    assert columns[:6] == ["run_id", "study", "problem", "optimizer", "seed", "precision"]
    assert columns[6] == "optimizer.learning_rate"
    assert columns[7:] == list(table.RUN_COLUMNS)[6:]


def test_parts_with_other_columns_and_kinds_are_read_together(tmp_path):
    write(tmp_path, "one", ["a"], gap=np.array([0.5]), **{"problem.dim": 2})
    write(tmp_path, "two", ["b"], **{"problem.angle": 30.0, "problem.dim": 2.5})
    runs = table.load(tmp_path).runs.set_index("run_id")
    assert runs["problem.dim"].to_dict() == {"a": 2.0, "b": 2.5}
    assert runs["problem.angle"].isna().to_dict() == {"a": True, "b": False}
    assert runs.gap.isna().to_dict() == {"a": False, "b": True}


def test_a_parameter_that_is_a_number_here_and_a_choice_there_is_read_as_text(tmp_path):
    write(tmp_path, "one", ["a"], **{"optimizer.beta": 0.9})
    write(tmp_path, "two", ["b"], **{"optimizer.beta": "hz"})
    write(tmp_path, "three", ["c"])
    beta = table.load(tmp_path).runs.set_index("run_id")["optimizer.beta"]
    assert (beta["a"], beta["b"]) == ("0.9", "hz") and pd.isna(beta["c"])


def test_plain_pandas_reads_a_part_as_texts_and_numbers(tmp_path):
    write(tmp_path)
    frame = pd.read_parquet(tmp_path / "runs" / "unit.parquet")
    assert pd.api.types.is_string_dtype(frame.run_id) and not isinstance(frame.run_id.dtype, pd.CategoricalDtype)
    metadata = pq.read_metadata(tmp_path / "runs" / "unit.parquet")
    assert metadata.metadata[b"schema_version"] == str(table.SCHEMA_VERSION).encode()
    assert metadata.row_group(0).column(0).compression == "ZSTD"


def test_a_unit_counts_only_when_its_runs_are_written(tmp_path):
    write(tmp_path)
    table.write_part(tmp_path, "curves", "lost", table.curves_rows(["d"], trace(1)))  # killed before `runs`
    assert set(table.load(tmp_path).curves.run_id) == {"a", "b", "c"}


def test_a_truncated_part_is_left_out_with_a_warning_that_names_it(tmp_path):
    write(tmp_path)
    write(tmp_path, "broken", ["d"])
    path = tmp_path / "runs" / "broken.parquet"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.warns(UserWarning, match=r"broken\.parquet cannot be read and is left out"):
        results = table.load(tmp_path)
    assert set(results.runs.run_id) == set(results.curves.run_id) == {"a", "b", "c"}


def test_a_write_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(self, rows):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", fail)
    with pytest.raises(OSError, match="No space left"):
        table.write_part(tmp_path, "runs", "unit", pa.table({"run_id": ["a"]}))
    assert not list((tmp_path / "runs").iterdir())


def test_failed_runs_are_tried_again_and_then_counted_once(tmp_path):
    write(tmp_path, "first", ["a", "b"], status="failed")
    write(tmp_path, "second", ["b"])
    assert table.done(tmp_path) == {"b"}
    assert table.load(tmp_path).runs.set_index("run_id").status.to_dict() == {"a": "failed", "b": "converged"}


def test_many_studies_below_a_folder_are_read_together(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write(tmp_path / name)
    runs = table.load(tmp_path).runs
    assert len(runs) == 6 and set(runs.study) == {"one", "two"}


def test_what_is_no_study_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        table.load(tmp_path / "nowhere")
    with pytest.raises(table.ForeignFolder, match="holds no optlab tables"):
        table.load(tmp_path)
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "thesis.txt").touch()
    with pytest.raises(table.ForeignFolder, match="holds other files"):
        table.open_study(tmp_path, "study")
    (tmp_path / "theirs" / "runs").mkdir(parents=True)
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "theirs" / "runs" / "x.parquet")
    with pytest.raises(table.ForeignFolder, match="was not written by optlab"):
        table.open_study(tmp_path, "theirs")


def test_csv_holds_the_same_numbers(tmp_path):
    write(tmp_path)
    results = table.load(tmp_path)
    runs, curves = results.to_csv(tmp_path)
    assert (runs.name, curves.name) == ("runs.csv", "curves.csv")
    np.testing.assert_array_equal(pd.read_csv(curves).value, results.curves.value)


def test_reading_tables_never_starts_jax():
    code = "import sys, optlab.table, optlab; optlab.load; assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
