"""Figures of maps show each pixel's fate in its colour, and words that do not overlap."""

import itertools
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex, to_rgb
from PIL import Image
from plots_vision import VISION, closest

from optlab.plots import basins, stability, style

EIGHT = ["newton", "gradient_descent", "momentum", "heavy_ball", "nesterov", "adam", "rmsprop", "bfgs"]


def basin_rows(optimizers, n=12):
    x, y = (a.ravel() for a in np.meshgrid(np.linspace(-2, 2, n), np.linspace(-1, 1, n)))
    reached = np.select([y > 0.8, y < -0.8, x > 0], [-2, -1, 0], 1)
    common = {"problem": "a_well", "learning_rate": 0.1, "x_0": x, "x_1": y, "reached": reached, "label": "",
              "status": "converged", "value": 0.0, "precision": "float64", "budget": 200}  # fmt: skip
    frames = [pd.DataFrame(common | {"optimizer": o, "steps": 1 + np.arange(n * n) % 97}) for o in optimizers]
    points = {"problem": "a_well", "reached": [0, 1, 2], "kind": ["minimum", "minimum", "saddle"],
              "x_0": [1.0, -1.0, 0.0], "x_1": 0.0, "value": 0.0}  # fmt: skip
    return SimpleNamespace(basins=pd.concat(frames), basin_points=pd.DataFrame(points))


def stability_rows(optimizers, n=12, theory=True):
    rates, betas = np.geomspace(0.01, 10, n), np.linspace(0, 0.9, n)
    x, y = (a.ravel() for a in np.meshgrid(rates, betas))
    down, flat = x < 0.2 * (1 + y), y > 0.8
    common = {"problem": "a_bowl", "x_key": "optimizer.learning_rate", "y_key": "optimizer.momentum", "x": x, "y": y,
              "status": np.select([flat, down], ["max_steps", "converged"], "diverged"), "steps": 9, "value": 0.0,
              "speed": np.select([flat, down], [300.0, -1 - 1 / x], 1 + 1 / x)}  # fmt: skip
    frames = [pd.DataFrame(common | {"optimizer": o}) for o in optimizers]
    law = [pd.DataFrame({"problem": "a_bowl", "optimizer": o, "x": 0.2 * (1 + betas), "y": betas,
                         "law": "2 (1 + β) / λ at the minimum"}) for o in optimizers]  # fmt: skip
    return SimpleNamespace(stability=pd.concat(frames), stability_theory=pd.concat(law)[: None if theory else 0])


def overlapping(sheet):
    """Pairs of texts whose boxes share more than a pixel."""
    sheet.canvas.draw()
    texts = list(sheet.texts)
    for ax in sheet.axes:
        texts += [*ax.texts, ax.xaxis.label, ax.yaxis.label]
        for axis, (low, high) in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
            drawn = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high and ax.axison]
            texts += [tick.label1 for tick in drawn if tick.label1.get_visible()]
    boxes = [(t.get_text(), t.get_window_extent()) for t in texts if t.get_text().strip()]
    return [
        (a, b) for (a, p), (b, q) in itertools.combinations(boxes, 2)
        if min(p.x1, q.x1) - max(p.x0, q.x0) > 1 and min(p.y1, q.y1) - max(p.y0, q.y0) > 1
    ]  # fmt: skip


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_no_words_overlap_and_all_are_on_the_sheet(count):
    results, bowl = basin_rows(EIGHT[:count]), stability_rows(EIGHT[:count])
    for sheet in (
        basins.page(results.basins, results.basin_points, "a_well"),
        stability.page(bowl.stability, bowl.stability_theory, "a_bowl"),
    ):
        assert not overlapping(sheet)
        width, height = sheet.get_size_inches() * sheet.dpi
        for text in sheet.texts:
            box = text.get_window_extent()
            assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, text.get_text()


def test_each_pixel_has_the_hue_of_its_fate_and_the_shade_of_its_steps():
    results = basin_rows(["newton"])
    (panel,) = basins.panels(results.basins)
    colors = basins.hues(results.basin_points, [0, 1])
    pixels = basins.image(panel, colors)
    assert pixels.shape == (12, 12, 3) and colors == {0: basins.HUES[0], 1: basins.HUES[1]}
    assert to_hex(pixels[-1, 0]) == basins.LOST and to_hex(pixels[0, 0]) == basins.APART
    for k in colors:
        here = panel.reached == k
        light = pixels[here].sum(axis=1)[np.argsort(panel.steps[here])]
        assert (np.diff(light) <= 1e-9).all() and light[0] > light[-1]


def test_the_maps_of_stability_are_blue_where_it_comes_down_and_orange_where_it_diverges():
    (panel,) = stability.panels(stability_rows(["heavy_ball"]).stability)
    pixels = stability.image(panel, stability.ladder([panel], True), stability.ladder([panel], False))
    red, _, blue = np.moveaxis(pixels, -1, 0)
    assert (blue > red)[panel.speed < 0].all() and (red > blue)[panel.lost].all()
    flat = (panel.speed > 0) & ~panel.lost
    assert np.allclose(pixels[flat], to_rgb(stability.FLAT))
    assert stability.is_log(panel.x) and not stability.is_log(panel.y)


@pytest.mark.parametrize("vision", VISION)
def test_the_hues_differ_to_every_eye_also_from_grey(vision):
    assert closest([*basins.HUES, style.INK], vision) >= 8


def test_draw_writes_a_sheet_for_each_problem_with_ink_on_it(tmp_path):
    (path,) = basins.draw(basin_rows(EIGHT), tmp_path, optimizers="newton,adam")
    assert path.name == "basins_a_well.png"
    seen = {tuple(c) for _, c in Image.open(path).convert("RGB").getcolors(10**6)}
    assert len(seen) > 50
    (path,) = stability.draw(stability_rows(["nesterov"], theory=False), tmp_path, format="svg")
    assert "2 (1" not in path.read_text() and path.name == "stability_a_bowl.svg"


def test_what_is_not_there_is_said_in_one_sentence(tmp_path):
    empty = SimpleNamespace(basins=pd.DataFrame(), stability=pd.DataFrame())
    for kind in (basins, stability):
        with pytest.raises(ValueError, match="optlab landscape"):
            kind.draw(empty, tmp_path)
        with pytest.raises(ValueError, match="optlab landscape"):
            kind.draw(SimpleNamespace(), tmp_path)
    with pytest.raises(ValueError, match="no basin map of problem 'well'.*a_well"):
        basins.draw(basin_rows(["newton"]), tmp_path, problem="well")
    with pytest.raises(ValueError, match="no stability map of optimizer 'adam'"):
        stability.draw(stability_rows(["nesterov"]), tmp_path, optimizers="adam")
