"""The command line: one run, sweeps folded into few programs, resumed, sampled, stored."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import optlab
from optlab.app import axes, execute, plan
from optlab.app.axes import Axis, Interval, Sampling, sample


def test_one_run_prints_a_summary_and_leaves_its_rows(optlab_command, tmp_path):
    code, output, _ = optlab_command("problem=beale", "optimizer=adam", "optimizer.learning_rate=0.1", "steps=50")
    assert code == 0
    for word in (
        "adam on beale",
        "max_steps after 50 steps",
        "grad_norm",
        "51 gradients",
        f"tables: {tmp_path}",
    ):
        assert word in output.replace("\n", " ")
    results = optlab.load(tmp_path)
    (row,) = results.runs.to_dict("records")
    assert row["optimizer.b1"] == 0.9  # a default that nobody typed
    assert row["status"] == "max_steps" and row["steps"] == row["max_steps"] == 50
    assert row["gap"] == pytest.approx(results.curves.gap.iloc[-1])
    assert set(results.curves.run_id) == {row["run_id"]}
    environment = results.environments.set_index("environment_id").loc[row["environment_id"]]
    assert environment.backend == "cpu" and environment.jax and environment.optlab == optlab.__version__
    assert set(results.fields.field_id) == {row["field_id"]} == set(results.points.field_id)


def test_a_sweep_gives_every_combination_its_row_with_its_configuration(optlab_command, tmp_path):
    code, output, _ = optlab_command(
        "-m", "optimizer=adam,heavy_ball", "problem=beale,rosenbrock", "optimizer.learning_rate=1e-5,1e-4",
        "seed=range(0,3)", "problem.start=random", "steps=10", "precision=float32,float64",
    )  # fmt: skip
    assert code == 0 and "48 of 48 runs" in output
    runs = optlab.load(tmp_path).runs
    keys = ["optimizer", "problem", "optimizer.learning_rate", "seed", "precision"]
    assert len(runs) == len(runs.drop_duplicates(keys)) == len(set(runs.run_id)) == 48
    assert runs["optimizer.momentum"].isna().eq(runs.optimizer == "adam").all()
    same = runs.pivot_table(index=keys[:4], columns="precision", values="value")
    # Ten small steps: float32 follows float64 to a few of its roundings (6e-8 each), relative to values up to 1e5.
    np.testing.assert_allclose(same.float32, same.float64, rtol=1e-4)


def test_numbers_fold_into_one_program_and_choices_do_not(tmp_path):
    structure = configuration("adam", "rosenbrock")
    groups, _ = plan.groups(
        [structure],
        [
            axis("optimizer.learning_rate", 0.1, 0.2), axis("seed", 0, 1, 2), axis("steps", 10, 20),
            axis("problem.start", [0.0, 0.0], [1.0, 2.0]), axis("problem.angle", 0.0, 30.0),
        ],
    )  # fmt: skip
    assert [group.size for group in groups] == [24, 24]
    assert {group.config["steps"] for group in groups} == {10, 20}


def test_an_axis_that_an_optimizer_lacks_is_left_out_for_it_with_a_note(optlab_command, tmp_path):
    code, output, _ = optlab_command(
        "-m", "optimizer=gradient_descent,heavy_ball", "optimizer.momentum=0.5,0.9", "steps=5"
    )
    assert code == 0
    assert "optimizer gradient_descent has no momentum: left out for it" in output
    assert optlab.load(tmp_path).runs.groupby("optimizer").size().to_dict() == {
        "gradient_descent": 1,
        "heavy_ball": 2,
    }


def test_a_number_that_shapes_the_program_splits_the_sweep(optlab_command, tmp_path):
    code, output, _ = optlab_command("-m", "problem=rosenbrock", "problem.dim=2,3,5", "seed=0,1", "steps=5")
    assert code == 0 and "6 of 6 runs" in output
    results = optlab.load(tmp_path)
    assert results.runs["problem.dim"].value_counts().to_dict() == {2: 2, 3: 2, 5: 2}
    five = results.runs[results.runs["problem.dim"] == 5].run_id
    assert results.curves[results.curves.run_id.isin(five)].x.map(len).eq(5).all()


def test_the_same_command_runs_only_what_is_missing(optlab_command, tmp_path):
    words = ("-m", "optimizer=adam", "seed=range(0,4)", "problem.start=random", "steps=5")
    assert "4 of 4 runs" in optlab_command(*words)[1]
    more = optlab_command(*words[:2], "seed=range(0,6)", *words[3:])[1]
    assert "2 of 6 runs" in more and "4 were there already" in more
    assert "0 of 6 runs" in optlab_command(*words[:2], "seed=range(0,6)", *words[3:])[1]
    results = optlab.load(tmp_path)
    assert len(results.runs) == len(set(results.runs.run_id)) == 6
    assert not results.curves.duplicated(["run_id", "step"]).any()


def test_a_run_that_raises_is_a_row_and_the_others_go_on(optlab_command, tmp_path):
    # Only adam has the parameter, and only when it is used does optax find that there is no such dtype.
    code, _, errors = optlab_command("-m", "optimizer=adam,sgd", "optimizer.mu_dtype=nonsense", "steps=5")
    assert code == 1 and "failed: adam on rosenbrock" in errors
    runs = optlab.load(tmp_path).runs.set_index("optimizer")
    assert runs.status.to_dict() == {"sgd": "max_steps", "adam": "failed"}
    assert "nonsense" in runs.error["adam"]


def test_ids_do_not_depend_on_the_sweep_around_a_run():
    structure = configuration("adam", "beale")
    swept, _ = plan.groups([structure], [axis("optimizer.learning_rate", 0.1, 1), axis("seed", 0, 1), axis("steps", 7)])
    ids = plan.run_ids(swept[0])
    rows = [(0.1, 0), (0.1, 1), (1.0, 0), (1, 1)]
    for run_id, (rate, seed) in zip(ids, rows, strict=True):
        alone, _ = plan.groups(
            [structure], [axis("seed", seed), axis("steps", 7), axis("optimizer.learning_rate", rate)]
        )
        assert plan.run_ids(alone[0]) == [run_id]
    assert len(set(ids)) == 4
    typed, _ = plan.groups(
        [structure], [axis("optimizer.b1", 0.9), axis("optimizer.learning_rate", 0.1), axis("steps", 7)]
    )
    assert plan.run_ids(typed[0]) == ids[:1]  # b1=0.9 is the default


def test_ids_differ_where_any_leaf_does():
    base = configuration("adam", "beale")
    variants = [
        [], [axis("steps", 9)], [axis("optimizer.b1", 0.8)], [axis("problem.start", [0.0, 0.0])], [axis("seed", 3)],
        [axis("precision", "float32")], [axis("record", "all")], [axis("problem.angle", 1.0)],
    ]  # fmt: skip
    ids = [plan.run_ids(plan.groups([base], variant)[0][0])[0] for variant in variants]
    assert len(set(ids)) == len(variants)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(axes.SAMPLINGS),
    st.integers(1, 33),
    st.floats(1e-6, 1.0),
    st.floats(1.5, 1e6),
    st.booleans(),
)
def test_samples_of_an_interval_lie_within_it_and_are_as_many_as_asked(sampling, size, low, ratio, log):
    interval = Interval("optimizer.learning_rate", low, low * ratio, log)
    (found,) = sample([interval], Sampling(points=size, sampling=sampling))
    values = np.array(found.values)[:, 0]
    assert len(values) == size
    assert (values >= low * (1 - 1e-12)).all() and (values <= low * ratio * (1 + 1e-12)).all()


def test_grids_are_even_in_the_scale_asked_for():
    log, linear = Interval("a", 1e-3, 10, True), Interval("b", 0, 2, False)
    a, b = sample([log, linear], Sampling(points=5))
    np.testing.assert_allclose(np.array(a.values)[:, 0], [1e-3, 1e-2, 1e-1, 1, 10])
    np.testing.assert_allclose(np.array(b.values)[:, 0], [0, 0.5, 1, 1.5, 2])


def test_sobol_points_fill_the_square_more_evenly_than_random_ones():
    intervals = [Interval("a", 0, 1, False), Interval("b", 0, 1, False)]
    from scipy.stats import qmc

    sets = {
        how: np.array(sample(intervals, Sampling(sampling=how, budget=64))[0].values) for how in ("sobol", "random")
    }
    assert all(points.shape == (64, 2) for points in sets.values())
    # Centred discrepancy of 64 points: about 5e-4 for Sobol, 5e-3 for random ones.
    assert qmc.discrepancy(sets["sobol"]) < 0.3 * qmc.discrepancy(sets["random"])


def test_joint_samples_are_crossed_with_discrete_axes(optlab_command, tmp_path):
    code, output, _ = optlab_command(
        "-m", "optimizer=adam", "optimizer.learning_rate=tag(log,interval(1e-4,1))", "optimizer.b1=interval(0.5,0.99)",
        "sweep.sampling=sobol", "sweep.budget=10", "seed=0,1", "steps=3",
    )  # fmt: skip
    assert code == 0 and "20 of 20 runs" in output
    runs = optlab.load(tmp_path).runs
    assert len(runs[["optimizer.learning_rate", "optimizer.b1"]].drop_duplicates()) == 10


def test_csv_is_written_on_request(optlab_command, tmp_path):
    assert optlab_command("steps=3", "csv=true", "name=x/y")[0] == 0
    runs = pd.read_csv(tmp_path / "x" / "y" / "runs.csv")
    assert runs.study.tolist() == ["x/y"]


def test_starts_are_texts_in_runs_and_numbers_in_curves(optlab_command, tmp_path):
    optlab_command("-m", "problem.start=[0,1],[2,-1.5]", "steps=3")
    results = optlab.load(tmp_path)
    rows = results.runs.set_index("run_id")["problem.start"]
    first = results.curves[results.curves.step == 0].set_index("run_id")
    for run_id, text in rows.items():
        assert json.loads(text) == first.loc[run_id, ["x_0", "x_1"]].tolist()


def test_long_sweeps_are_written_in_units_and_chunks_and_lose_nothing(tmp_path, monkeypatch):
    from collections import Counter

    monkeypatch.setattr(execute, "UNIT_RUNS", 100)
    monkeypatch.setattr("optlab.widths.CPU_LANES", 64)
    rates = np.linspace(0.001, 0.1, 300)
    groups, _ = plan.groups([configuration("adam", "beale")], [axis("optimizer.learning_rate", *rates.tolist())])
    finished = []
    outcome = execute.execute(groups, execute.Study(tmp_path, "s", "e", finished.append))
    assert outcome.statuses == Counter(max_steps=300) and sum(finished) == 300
    parts = list((tmp_path / "runs").glob("*.parquet"))
    assert len(parts) == 3  # 128, 128 and 44 runs
    results = optlab.load(tmp_path)
    assert sorted(results.runs["optimizer.learning_rate"]) == rates.tolist()
    assert results.runs.seconds.gt(0).all() and results.runs.compile_seconds.gt(0).all()


def axis(key, *values):
    return Axis((key,), [(value,) for value in values])


def configuration(optimizer, problem, **more):
    """A composed configuration, as `study` hands it to `plan`."""
    return {
        "choices": {"optimizer": optimizer, "problem": problem, "probe": "position"},
        "optimizer": {"_target_": f"optax.{optimizer}", "learning_rate": 0.1},
        "problem": {"_target_": f"optlab.surfaces.{problem}"},
        "probe": {"x": "optlab.probes.position"},
        "steps": 20, "seed": 0, "precision": "float64", "record": "log", "gtol": 1e-8, "patience": 100,
    } | more  # fmt: skip
