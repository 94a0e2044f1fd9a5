"""Figures of slices, paths and connections say what their tables say, with room for every word."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from test_plots import film_frames
from test_plots_maps import overlapping

from optlab.plots import connection, descent, landscape, line, motion, planes, projection

STEPS = np.array([0, 1, 3, 10, 30, 100])
OPTIMIZERS = ("sgd", "heavy_ball", "adam")
FACTS = {
    "problem": "lenet_digits", "normalize": "filter", "seed": 0, "statistics": "recomputed", "precision": "float32",
    "cosine": -0.02, "parameters": 44426, "train_examples": 512, "explained_0": np.nan, "explained_1": np.nan,
    "null_explained_0": np.nan, "null_explained_1": np.nan,
}  # fmt: skip


def plane_row(identity, kind, directions):
    return FACTS | {"landscape_id": identity, "kind": kind, "directions": directions}


def tables():
    """A bowl on a random plane, on the plane of three paths and on a line, and a connection; with NumPy alone."""
    a, b = (m.ravel() for m in np.meshgrid(np.linspace(-1, 1, 21), np.linspace(-1, 1, 17), indexing="ij"))

    def grid(identity, a, b):
        loss = 0.02 + a**2 + 2 * b**2
        scores = {"train_accuracy": np.exp(-loss), "validation_accuracy": 0.9 * np.exp(-loss)}
        losses = {"value": loss, "validation_loss": 1.3 * loss}
        return pd.DataFrame({"landscape_id": identity, "a": a, "b": b, **losses, **scores})

    paths, curves, runs, moved = [], [], [], []
    for k, optimizer in enumerate(OPTIMIZERS):
        shrink = np.exp(-STEPS / (20 + 30 * k))
        way = pd.DataFrame({
            "landscape_id": "path0000", "run_id": f"run{k}", "problem": "lenet_digits", "optimizer": optimizer,
            "step": STEPS, "a": 0.8 * shrink, "b": (0.3 - 0.4 * k) * shrink, "off_plane": 0.1 * (1 - shrink),
        })  # fmt: skip
        way["value"] = 0.02 + way.a**2 + 2 * way.b**2 + way.off_plane**2
        way["plane_value"] = 0.02 + way.a**2 + 2 * way.b**2
        way["null_a"], way["null_b"] = (way.a, way.b**2) if k == 0 else (np.nan, np.nan)
        paths.append(way)
        counts = {"n_value": STEPS + 1, "n_grad": STEPS + 1, "n_hvp": 0}
        curves.append(pd.DataFrame({"run_id": f"run{k}", "step": STEPS, "value": way.value, **counts}))
        runs.append({"run_id": f"run{k}", "problem": "lenet_digits", "optimizer": optimizer, "status": "max_steps",
                     "value": way.value.iloc[-1], "gap": np.nan, "optimizer.learning_rate": 0.1})  # fmt: skip
        angle = np.where((STEPS > 0) & (STEPS < 100), 1 + 0.3 * k, np.nan)
        moved.append(
            way[["run_id", "problem", "optimizer", "step"]].assign(distance=STEPS**0.5, length=STEPS, angle=angle)
        )
    t = np.linspace(0, 1, 11)
    ways = [
        pd.DataFrame({
            "landscape_id": "conn0000", "first_run": "run0aaaaaa", "second_run": "run1aaaaaa", "curve": name, "t": t,
            "value": 0.1 + height * t * (1 - t), "validation_loss": 0.2 + height * t * (1 - t),
            "validation_accuracy": 0.9 - 0.1 * t * (1 - t), "a": t - 0.5, "b": height * t * (1 - t),
            "barrier": height / 4,
        })
        for name, height in (("line", 1.0), ("bezier", 0.1))
    ]  # fmt: skip
    shares = {"explained_0": 0.86, "explained_1": 0.1, "null_explained_0": 0.55, "null_explained_1": 0.17}
    known = [
        plane_row("rand0000", "plane", "random"), plane_row("path0000", "plane", "path") | shares,
        plane_row("line0000", "line", "random"), plane_row("conn0000", "connection", "solutions"),
    ]  # fmt: skip
    flat = grid("line0000", np.linspace(-1, 1, 21), 0)
    return SimpleNamespace(
        planes=pd.DataFrame(known), projections=pd.concat(paths), curves=pd.concat(curves), runs=pd.DataFrame(runs),
        grid=pd.concat([*(grid(i, a, b) for i in ("rand0000", "path0000", "conn0000")), flat]),
        motion=pd.concat(moved), connections=pd.concat(ways),
    )  # fmt: skip


@pytest.fixture(scope="module")
def results():
    return tables()


def plane(results, identity):
    return results.planes[results.planes.landscape_id == identity].iloc[0]


SHEETS = {
    "random": lambda r: landscape.flat(r, plane(r, "rand0000"), ["value"]),
    "paths": lambda r: landscape.flat(r, plane(r, "path0000"), ["value", "validation_loss", "train_accuracy"]),
    "in perspective": lambda r: landscape.deep(r, plane(r, "path0000"), "value"),
    "line": lambda r: line.sheet(r, plane(r, "line0000")),
    "connection": lambda r: connection.sheet(r, "conn0000"),
    "motion": lambda r: motion.sheet(r, "lenet_digits", r.motion),
    "projection": lambda r: projection.sheet(r, plane(r, "path0000")),
}


@pytest.mark.parametrize("name", SHEETS)
def test_no_words_overlap_and_all_are_on_the_sheet(name, results):
    page = SHEETS[name](results)
    assert not overlapping(page)
    for text in page.texts:
        box = text.get_window_extent()
        assert box.x0 >= 0 and box.x1 <= page.bbox.x1 and box.y1 <= page.bbox.y1, text.get_text()


def test_paths_are_drawn_where_the_table_has_them(results):
    page = landscape.flat(results, plane(results, "path0000"), ["value"])
    (ax,) = page.axes
    drawn = [line.get_xydata() for line in ax.lines]
    for run_id in ("run0", "run1", "run2"):
        rows = results.projections[results.projections.run_id == run_id]
        wanted = rows[["a", "b"]].to_numpy()
        assert any(xy.shape == wanted.shape and np.allclose(xy, wanted) for xy in drawn)


def test_levels_of_a_positive_loss_are_those_of_the_loss(results):
    shown = planes.as_surface(results, plane(results, "rand0000"), "value")
    surface = landscape.loss_field(shown, "rand0000")
    assert surface.floor == 0 and not surface.signed
    np.testing.assert_allclose(surface.z[8, 10], 0.02)  # the middle: rows go along b
    np.testing.assert_allclose(surface.z[0, 20], 3.02)


def test_the_head_says_what_the_plane_is(results):
    said = planes.facts(plane(results, "rand0000"))
    assert "filter-normalised, seed 0" in said and "cosine of the directions −0.02" in said
    assert "normalisation statistics recomputed" in said
    assert "explains 96% of the path, 72% of a random walk's" in planes.facts(plane(results, "path0000"))


def test_the_film_moves_along_the_paths_and_has_its_frames(results, tmp_path):
    (path,) = descent.draw(results, tmp_path, frames=12, size="640x360", format="mp4")
    assert path.name == "descent_path_path0000.mp4"
    assert film_frames(path) == (12, (640, 360))
    scene = descent.scene_of(results, plane(results, "path0000"), "step", (640, 360), "2d")
    ends = {course.optimizer: course.pixels[-1] for course in scene.courses}
    for optimizer, end in ends.items():
        last = results.projections[results.projections.optimizer == optimizer].iloc[-1]
        np.testing.assert_allclose(end, scene.ground.ax.transData.transform((last.a, last.b)), atol=1e-9)


@pytest.mark.parametrize("kind", [landscape, line, connection, motion, projection], ids=lambda m: m.__name__[13:])
def test_each_kind_writes_its_files_and_takes_the_beginning_of_an_id(kind, results, tmp_path):
    options = (
        {} if kind is motion else {"landscape": {landscape: "rand", line: "line", projection: "path"}.get(kind, "conn")}
    )
    paths = kind.draw(results, tmp_path, **options)
    assert len(paths) == 1 and paths[0].stat().st_size > 10_000
    if options:
        with pytest.raises(ValueError, match="there is no"):
            kind.draw(results, tmp_path, landscape="zzz")
