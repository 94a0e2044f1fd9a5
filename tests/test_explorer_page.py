"""The explorer's page in a browser: what a hand on mouse, keyboard or glass finds, and what must never happen."""

import json
import shutil
import subprocess

import numpy as np
import pytest
from explorer_browser import browsing, needs_chromium, opened, write_page
from PIL import Image

from optlab.app.bad_input import BadInput
from optlab.app.explore import OPTIMIZERS, PROBLEMS, explore, member, scene
from optlab.explorer.page import Scene, embedded, page
from optlab.explorer.presets import PRESETS
from optlab.explorer.translate import Untranslatable
from optlab.markup import filled

pytestmark = pytest.mark.xdist_group("explorer_page")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_page(tmp_path_factory.mktemp("explorer"))


@pytest.fixture(scope="module")
def browser():
    with browsing() as found:
        yield found


def rows(shown):
    """The table of ends: optimizer -> texts of its cells."""
    found = shown.locator("#table tbody tr").evaluate_all(
        "rows => rows.map(row => [row.dataset.name, ...[...row.querySelectorAll('td')].map(cell => cell.textContent)])"
    )
    return {name: cells for name, *cells in found}


def state(shown):
    return shown.evaluate("({...page.state, on: [...page.state.on]})")


def at(shown, x, y):
    """The pixel of the stage where a place of the surface is."""
    box = shown.locator("#stage").bounding_box()
    px, py = shown.evaluate(
        """([x, y]) => stage.project(stage.box(controls.by("stage").clientWidth, controls.by("stage").clientHeight),
           page.here().grid)(x, y)""",
        [x, y],
    )
    return box["x"] + px, box["y"] + py


@needs_chromium
def test_the_page_is_one_small_file_that_holds_twelve_of_each(path, browser):
    assert path.stat().st_size < 1e6
    with opened(browser, path) as shown:
        assert shown.locator("#surface option").count() == len(PROBLEMS) == 12
        assert shown.locator("#list li").count() == len(OPTIMIZERS) == 12
        assert shown.locator("#presets button").all_inner_texts() == [preset.name for preset in PRESETS]
        assert {"lbfgs", "bfgs", "nonlinear_cg", "newton"} <= set(OPTIMIZERS)


@needs_chromium
def test_a_click_starts_all_optimizers_there_and_is_answered_at_once(path, browser):
    with opened(browser, path) as shown:
        shown.click("#all")
        shown.locator("#steps").fill("500")
        shown.locator("#steps").press("Enter")
        shown.mouse.click(*at(shown, 0.7, 0.6))  # the first compiles
        assert len(rows(shown)) == 12
        assert np.allclose(state(shown)["start"], [0.7, 0.6], atol=0.01)  # a pixel is worth 0.005
        assert shown.evaluate("page.playing !== null")
        # the least of five, as other work may be in the way of one
        seconds = shown.evaluate(
            """() => Math.min(...Array.from({ length: 5 }, () => {
            const begun = performance.now(); page.from(0.8, 0.5); page.draw();
            return (performance.now() - begun) / 1000; }))"""
        )
        assert seconds < 0.3
        ends = shown.evaluate("page.all.map((course) => Array.from(course.xy.slice(0, 2)))")
        assert ends == [[0.8, 0.5]] * 12


@needs_chromium
def test_dragging_moves_the_start_all_the_way(path, browser):
    with opened(browser, path) as shown:
        shown.mouse.move(*at(shown, -0.5, 0.5))
        shown.mouse.down()
        shown.mouse.move(*at(shown, 0.5, -0.5), steps=4)
        assert np.allclose(state(shown)["start"], [0.5, -0.5], atol=0.01)
        shown.mouse.up()
        assert shown.evaluate("page.playing === null") and state(shown)["at"] == 1
        assert state(shown)["preset"] is None


@needs_chromium
def test_a_slider_sets_a_number_and_the_run_is_made_anew(path, browser):
    with opened(browser, path) as shown:
        before = rows(shown)["gradient_descent"]
        row = shown.locator("li[data-name=gradient_descent] .number[data-number=learning_rate]")
        row.locator("input[type=range]").fill("0.05")
        rate = state(shown)["numbers"]["gradient_descent"]["learning_rate"]
        assert 1e-6 < rate < 1e-4 and float(row.locator("input[type=number]").input_value()) == rate
        assert rows(shown)["gradient_descent"] != before
        row.locator("input[type=number]").fill("0.25")
        row.locator("input[type=number]").press("Enter")
        assert state(shown)["numbers"]["gradient_descent"]["learning_rate"] == 0.25
        row.locator("input[type=number]").fill("")  # no number: nothing changes
        row.locator("input[type=number]").press("Enter")
        assert state(shown)["numbers"]["gradient_descent"]["learning_rate"] == 0.25
        shown.click("#reset")
        assert state(shown)["numbers"]["gradient_descent"]["learning_rate"] == 0.003


@needs_chromium
def test_newton_goes_to_the_saddle_and_gradient_descent_off_it(path, browser):
    with opened(browser, path) as shown:
        shown.get_by_role("button", name="Saddle").click()
        ends = rows(shown)
        assert ends["newton"][0] == "converged" and ends["newton"][1].startswith("saddle (0, ")
        for other in ("gradient_descent", "heavy_ball", "adam", "bfgs", "trust_region"):
            assert ends[other][1].startswith("minimum ("), other


@needs_chromium
def test_the_other_stories_are_told_by_their_ends(path, browser):
    with opened(browser, path) as shown:
        shown.get_by_role("button", name="Inflection, head on").click()
        ends = rows(shown)
        stuck = ("newton", "trust_region", "gradient_descent")
        assert all(ends[name][1].startswith("degenerate") for name in stuck)
        assert all(ends[name][1].startswith("minimum") for name in ("heavy_ball", "adam", "bfgs"))
        shown.get_by_role("button", name="Inflection, from the side").click()
        ends = rows(shown)
        assert ends.pop("newton")[1].startswith("degenerate")
        assert all(cells[1].startswith("minimum") for cells in ends.values())
        shown.get_by_role("button", name="Long valley").click()
        steps = {name: int(cells[4]) for name, cells in rows(shown).items()}
        assert steps["newton"] < steps["bfgs"] < 100 < 1500 < steps["adam"] < steps["gradient_descent"]
        shown.get_by_role("button", name="Plateau").click()
        ends = rows(shown)
        assert all(ends[name][1].startswith("minimum") for name in ("rmsprop", "trust_region", "heavy_ball"))
        assert np.hypot(*eval(ends["gradient_descent"][1])) > 1.5  # still where it began
        assert np.hypot(*eval(ends["newton"][1])) > np.hypot(1.3, 0.9)  # uphill, away


@needs_chromium
def test_the_link_restores_the_exact_state(path, browser):
    with opened(browser, path) as shown:
        shown.select_option("#surface", label="himmelblau")
        shown.mouse.click(*at(shown, 1.234, -2.5))
        shown.locator("li[data-name=adam] .number[data-number=b1] input[type=range]").fill("0.4")
        shown.locator("li[data-name=bfgs] button").click()
        shown.select_option("#clock", "evals")
        shown.click("#view")
        shown.locator("#at").fill("0.37")
        shown.click("#link")
        address = shown.url
        before, table = state(shown), rows(shown)
    with opened(browser, path, "#" + address.split("#")[1]) as again:
        assert state(again) == before
        untimed = lambda ends: {name: cells[:-1] for name, cells in ends.items()}  # noqa: E731
        assert untimed(rows(again)) == untimed(table)
        assert again.evaluate("page.playing === null")


@needs_chromium
@pytest.mark.parametrize(
    "fragment",
    [
        "#surface=nowhere&start=a,b&on=,,&steps=-3&clock=no&at=7&view=4d&camera=1&speed=x&inside=x&story=x&theme=x",
        "#%E0%A4%A&=&&===&adam.learning_rate=NaN&adam.nothing=3&constructor=1&__proto__=2&start=1e999,0",
        "#story=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E&surface=%3Cscript%3Ealert(1)%3C/script%3E",
    ],
)
def test_a_link_that_makes_no_sense_breaks_nothing(path, browser, fragment):
    with opened(browser, path, fragment) as shown:
        assert np.isfinite(state(shown)["start"]).all()
        assert shown.locator("#surface option").count() == 12
        assert shown.locator("body img").count() == 0


@needs_chromium
def test_the_keyboard_does_all_that_the_pointer_does(path, browser):
    with opened(browser, path) as shown:
        shown.locator("#stage").focus()
        before = state(shown)["start"]
        shown.keyboard.press("ArrowRight")
        shown.keyboard.press("ArrowUp")
        after = state(shown)["start"]
        assert after[0] > before[0] and after[1] > before[1]
        shown.keyboard.press("v")
        assert state(shown)["view"] == "3d"
        shown.keyboard.press(" ")
        assert shown.evaluate("page.playing !== null")
        shown.keyboard.press(" ")
        assert shown.evaluate("page.playing === null")
        place = state(shown)["at"]
        shown.keyboard.press(".")
        assert state(shown)["at"] > place
        # Every control is reached by Tab, and shows that it is
        seen = set()
        for _ in range(80):
            shown.keyboard.press("Tab")
            seen.add(shown.evaluate("document.activeElement.id || document.activeElement.type || ''"))
        assert {"surface", "play", "at", "clock", "view", "link", "theme", "checkbox", "range"} <= seen


@needs_chromium
def test_a_reader_that_sees_no_picture_is_told_the_same(path, browser):
    with opened(browser, path) as shown:
        for name in ("stage", "by_steps", "by_evals"):
            canvas = shown.locator(f"#{name}")
            assert canvas.get_attribute("role") == "img" and len(canvas.get_attribute("aria-label")) > 30
        assert "newton converged" in shown.locator("#live").inner_text()
        unnamed = shown.evaluate(
            """() => Array.from(document.querySelectorAll("button, input, select")).filter((one) => !(one.labels?.length
            || one.getAttribute("aria-label") || one.textContent.trim())).map((one) => one.outerHTML)"""
        )
        assert unnamed == []
        assert shown.locator("button[aria-pressed]").count() > 12


@needs_chromium
def test_time_runs_to_the_end_and_can_be_stepped_in_every_clock(path, browser):
    with opened(browser, path) as shown:
        for clock, word in (("steps", "steps"), ("evals", "evaluations"), ("seconds", "s")):
            shown.select_option("#clock", clock)
            shown.locator("#at").fill("0")
            shown.click("#onward")
            shown.click("#onward")
            shown.evaluate("page.draw()")  # not waiting for the next frame
            text = shown.locator("#time").inner_text()
            assert text.endswith(word)
            if clock != "seconds":
                assert text.startswith("2 ")
            shown.click("#back")
        shown.select_option("#speed", "4")
        shown.click("#play")
        for _ in range(80):  # 9 s at a quarter of the time
            shown.wait_for_timeout(100)
            if shown.evaluate("page.playing === null"):
                break
        assert state(shown)["at"] == 1


@needs_chromium
def test_on_the_clock_of_evaluations_newton_moves_at_its_price(path, browser):
    with opened(browser, path) as shown:
        spent = shown.evaluate("Object.fromEntries(page.all.map((course) => [course.name, course.spent]))")
        values, gradients, products = spent["newton"]
        assert products == 2 * (values - 1)  # a Hessian of two variables is two products
        assert spent["gradient_descent"] == [301, 301, 0]


@needs_chromium
def test_who_wants_no_motion_sees_the_final_picture(path, browser):
    with opened(browser, path, reduced_motion="reduce") as shown:
        assert shown.evaluate("page.playing === null") and state(shown)["at"] == 1
        shown.click("#play")
        assert shown.evaluate("page.playing === null")


@needs_chromium
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_what_is_inside_is_drawn_for_every_optimizer(path, browser, name):
    with opened(browser, path, "#surface=rosenbrock&start=-1.2,1&steps=30&at=0.8") as shown:
        shown.locator(f"li[data-name={name}] button").click()
        shown.evaluate("page.draw()")  # not waiting for the next frame
        assert shown.locator("#inside").is_visible()
        found = shown.evaluate("page.inside(courses.longest(page.all, 'steps'))")
        assert found["cross"] is not None and all(np.isfinite(found["cross"]))
        own = {"lbfgs": "inverse Hessian", "bfgs": "inverse Hessian", "nonlinear_cg": "trials", "adam": "stretches"}
        own |= {"trust_region": "trusts", "heavy_ball": "velocity", "adagrad": "stretches"}
        assert own.get(name, "quadratic model") in shown.locator("#inside").inner_text()
        shown.click("#view")
        shown.wait_for_timeout(50)


@needs_chromium
def test_the_ellipse_of_bfgs_is_its_inverse_hessian(path, browser):
    with opened(browser, path, "#surface=rosenbrock&start=-1.2,1&steps=100&on=bfgs") as shown:
        learnt, true = shown.evaluate(
            """() => { const optimizer = page.data.optimizers.find((one) => one.name === "bfgs");
            const course = page.all[0], k = courses.last(course);
            return [Array.from(insight.shapes(course, optimizer, k).inverse_hessian),
                    insight.inverse(insight.local(course, optimizer, page.here(), k).H)]; }"""
        )
        exact = np.linalg.inv([[802, -400], [-400, 200]])  # of Rosenbrock's function at (1, 1)
        np.testing.assert_allclose(true, exact.ravel(), rtol=1e-6)  # it stops within 1e-9 of the minimum
        np.testing.assert_allclose(learnt, exact.ravel(), rtol=0.05)  # superlinear convergence makes it nearly so


@needs_chromium
@pytest.mark.parametrize(("width", "height"), [(1400, 1000), (390, 844)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_off_and_every_optimizer_shows_its_colour(path, browser, tmp_path, width, height, scheme):
    with opened(browser, path, viewport={"width": width, "height": height}, color_scheme=scheme) as shown:
        shown.evaluate("page.pause(); page.state.at = 1; page.draw()")
        assert shown.evaluate("document.documentElement.scrollWidth") <= width
        shown.locator("#stage").screenshot(path=tmp_path / "stage.png")
        pixels = np.asarray(Image.open(tmp_path / "stage.png").convert("RGB"), int)
        looks = shown.evaluate("page.all.map((course) => stage.color(course, page.palette()))")
        for tint in looks:
            wanted = [int(tint[k : k + 2], 16) for k in (1, 3, 5)]
            assert (np.abs(pixels - wanted).max(axis=2) <= 2).sum() > 8, tint


@needs_chromium
def test_texts_of_problems_and_optimizers_run_no_script(browser, tmp_path):
    bad = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
    surface = scene("beale").surface._replace(source=bad, tags=(bad,))
    odd = member("adam")._replace(name=bad, summary=bad)
    path = tmp_path / "odd.html"
    path.write_text(page([Scene(bad, surface, bad)], [odd, member("bfgs")], title=bad))
    with opened(browser, path) as shown:
        shown.mouse.click(*at(shown, 1, 1))
        shown.click("#link")
        assert shown.evaluate("window.hacked") is None
        assert shown.locator("img").count() == 0
        assert len(rows(shown)) == 2
    with opened(browser, path, "#" + shown.url.split("#")[1]) as again:
        assert again.evaluate("window.hacked") is None


@pytest.mark.skipif(shutil.which("firefox-esr") is None, reason="Firefox is not installed")
def test_it_opens_in_firefox(path, tmp_path):
    picture = tmp_path / "firefox.png"
    words = ["firefox-esr", "--headless", "--no-remote", "--profile", str(tmp_path), "--window-size=1400,1000"]
    address = f"file://{path}#surface=rosenbrock&start=-1.2,1&at=1&theme=light&on=newton,adam"
    subprocess.run([*words, f"--screenshot={picture}", address], check=True, capture_output=True, timeout=120)
    pixels = np.asarray(Image.open(picture).convert("RGB"), int)
    near = lambda tint: (np.abs(pixels - tint).max(axis=2) <= 3).sum()  # noqa: E731
    assert near([213, 94, 0]) > 50  # Adam's path and marker: it has computed and drawn
    assert near([176, 0, 32]) < 50  # the band that says what went wrong


def test_what_stands_in_the_page_closes_no_element():
    text = embedded({"a": "</script><!--", "b": [np.float64("nan"), np.inf, 1.5, None, True], "c": "\u2028&"})
    assert "<" not in text and "&" not in text and ">" not in text
    assert json.loads(text) == {"a": "</script><!--", "b": [None, None, 1.5, None, True], "c": "\u2028&"}
    assert filled("a{{X}}b{{Y}}c", {"X": "{{Y}}", "Y": "2"}) == "a{{Y}}b2c"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["problem=rosenbrok"], "did you mean rosenbrock"),
        (["optimizer=adamm"], "did you mean adam"),
        (["problem=lenet_digits"], "no closed form"),
        (["problem=wood"], "4 variables"),
        (["color=red"], "there is no option 'color'"),
        (["optimizer.speed=2"], "there is no optimizer parameter 'speed'"),
        (["one", "two"], "one folder"),
        (["open=maybe"], "open is true or false"),
        (["optimizer=noisy_sgd"], "cannot be shown in a page: primitive"),
        (["optimizer=levenberg_marquardt", "problem=six_hump_camel"], "residual"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence_and_no_file(tmp_path, words, said):
    path = tmp_path / "page.html"
    with pytest.raises(BadInput, match=said):
        explore([*words, f"output={path}", "open=false"])
    assert list(tmp_path.iterdir()) == []


def test_a_stated_number_is_where_its_slider_begins(tmp_path, capsys):
    path = write_page(tmp_path, "problem=branin", "optimizer=adam,bfgs", "optimizer.learning_rate=0.125")
    data = json.loads(path.read_text().split('id="data">')[1].split("</script>")[0])
    rates = {number["name"]: number["value"] for number in data["optimizers"][0]["numbers"]}
    assert rates["learning_rate"] == 0.125
    assert str(path) in capsys.readouterr().out


def test_a_method_of_residuals_is_there_where_there_are_some():
    text = page([scene("beale"), scene("six_hump_camel")], [member("levenberg_marquardt"), member("adam")])
    data = json.loads(text.split('id="data">')[1].split("</script>")[0])
    assert [optimizer["only"] for optimizer in data["optimizers"]] == [["beale"], None]
    with pytest.raises(Untranslatable, match="random"):
        page([scene("beale")], [member("noisy_sgd")])
