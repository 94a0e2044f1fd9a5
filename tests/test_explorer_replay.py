"""Stored runs in the page: what plays there is what the tables hold."""

import json

import numpy as np
import pytest
from explorer_browser import browsing, needs_chromium, opened, write_page

import optlab
from optlab.app.bad_input import BadInput
from optlab.app.explore import explore
from optlab.app.main import _guarded

pytestmark = pytest.mark.xdist_group("explorer_page")


@pytest.fixture(scope="module")
def browser():
    with browsing() as found:
        yield found


@pytest.fixture(scope="module")
def races(tmp_path_factory):
    """Three optimizers on two surfaces, every step kept."""
    results = tmp_path_factory.mktemp("results")
    words = ["problem=beale,himmelblau", "optimizer=adam,bfgs,gradient_descent", "steps=60", "record=all"]
    assert _guarded(["-m", *words, f"results={results}", "name=races"]) == 0
    return results / "races"


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    """Two trainings of a small network whose paths are kept, and the plane of the first."""
    results = tmp_path_factory.mktemp("results")
    words = ["problem=mlp_digits", "problem.network.width=0.05", "optimizer=adam,momentum", "steps=12", "record=3"]
    assert _guarded(["-m", *words, "save=path", f"results={results}", "name=nets"]) == 0
    folder = results / "nets"
    runs = ",".join(optlab.load(folder).runs.run_id)
    assert _guarded(["landscape", "plane", str(folder), "directions=path", "size=9", f"run={runs}"]) == 0
    return folder


def courses(shown):
    return shown.evaluate(
        """page.all.map((course) => ({name: course.name, xy: [...course.xy], value: [...course.value],
        step: [...course.step], evaluations: [...course.evaluations], status: course.status}))"""
    )


@needs_chromium
def test_runs_on_surfaces_play_as_they_were_recorded(races, browser, tmp_path):
    path = write_page(tmp_path, str(races))
    assert path.stat().st_size < 1e6
    results = optlab.load(races)
    with opened(browser, path) as shown:
        assert shown.locator("#surface option").all_inner_texts() == ["beale", "himmelblau"]
        for problem in ("beale", "himmelblau"):
            shown.select_option("#surface", label=problem)
            found = courses(shown)
            assert {course["name"] for course in found} == {"adam", "bfgs", "gradient_descent"}
            for course in found:
                run = results.runs.query("problem == @problem and optimizer == @course['name']").iloc[0]
                rows = results.curves[results.curves.run_id == run.run_id].sort_values("step")
                np.testing.assert_array_equal(course["step"], rows.step)
                np.testing.assert_array_equal(course["value"], rows.value)
                np.testing.assert_array_equal(course["evaluations"], rows.n_value + rows.n_grad + rows.n_hvp)
                found_xy, kept = np.reshape(course["xy"], (-1, 2)), rows[["x_0", "x_1"]]
                np.testing.assert_allclose(found_xy, kept, rtol=1e-6, atol=1e-6)  # float32: enough for a picture
                assert course["status"] == run.status.replace("max_steps", "budget spent")


@needs_chromium
def test_a_click_on_stored_runs_starts_nothing(races, browser, tmp_path):
    with opened(browser, write_page(tmp_path, str(races), "problem=beale", "optimizer=adam")) as shown:
        before = courses(shown)
        assert [course["name"] for course in before] == ["adam"]
        box = shown.locator("#stage").bounding_box()
        shown.mouse.click(box["x"] + 200, box["y"] + 200)
        shown.keyboard.press("ArrowLeft")
        shown.click("#view")
        shown.evaluate("page.draw()")
        assert courses(shown) == before
        assert not shown.locator("#from").is_visible() and not shown.locator("#best").is_visible()


@needs_chromium
def test_trainings_play_on_their_landscape(training, browser, tmp_path):
    results = optlab.load(training)
    (_, plane), *_ = results.planes.iterrows()
    with opened(browser, write_page(tmp_path, str(training))) as shown:
        assert "mlp digits path" in shown.locator("#surface").inner_text()
        assert "principal direction" in shown.locator("#says").inner_text()
        found = courses(shown)
        assert {course["name"] for course in found} == {"adam", "momentum"}
        for course in found:
            run = results.runs[results.runs.optimizer == course["name"]].iloc[0]
            ways = results.projections
            rows = ways[(ways.run_id == run.run_id) & (ways.landscape_id == plane.landscape_id)].sort_values("step")
            np.testing.assert_allclose(np.reshape(course["xy"], (-1, 2)), rows[["a", "b"]], rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(course["value"], rows.value, rtol=1e-12)
        grid = shown.evaluate("({n: page.here().grid.x.length, z: [...page.here().grid.z]})")
        stored = results.grid[results.grid.landscape_id == plane.landscape_id].sort_values(["b", "a"])
        assert grid["n"] == 9
        np.testing.assert_allclose(grid["z"], stored.value, rtol=1e-6)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["FOLDER", "problem=beal"], "did you mean 'beale'"),
        (["FOLDER", "optimizer=adamm"], "did you mean 'adam'"),
        (["FOLDER", "optimizer.learning_rate=1"], "replayed as they are"),
        (["/nowhere"], "there is no folder"),
    ],
)
def test_what_is_not_in_the_folder_is_one_sentence(races, tmp_path, words, said):
    path = tmp_path / "page.html"
    with pytest.raises(BadInput, match=said):
        explore([word.replace("FOLDER", str(races)) for word in words] + [f"output={path}", "open=false"])
    assert not path.exists()


def test_a_study_without_a_surface_says_what_to_do(tmp_path):
    words = ["problem=rosenbrock", "problem.dim=5", "optimizer=bfgs", "steps=5", f"results={tmp_path}"]
    assert _guarded(words) == 0
    with pytest.raises(BadInput, match="landscape plane"):
        explore([str(tmp_path / "study"), "open=false"])


def test_the_data_of_a_replay_is_json_of_texts_and_numbers(races, tmp_path):
    text = write_page(tmp_path, str(races)).read_text()
    data = json.loads(text.split('id="data">')[1].split("</script>")[0])
    assert [scene["name"] for scene in data["stored"]["scenes"]] == ["beale", "himmelblau"]
    assert data["presets"] == [] and data["surfaces"] == []
