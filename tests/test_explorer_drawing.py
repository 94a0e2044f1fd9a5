"""The explorer draws what the static figures draw: levels, lines, labels and hidden paths, checked against them."""

import json
import shutil
import subprocess
from pathlib import Path

import contourpy
import numpy as np
import pandas as pd
import pytest

from optlab.plots import style, surface

PAGE = Path(__file__).parents[1] / "optlab" / "explorer" / "page"
MODULES = "\n".join((PAGE / f"{name}.js").read_text() for name in ("marks", "contour", "raster", "relief", "chart"))

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")

#: A canvas that notes each call, with the numbers and settings it had.
FAKE = """
const calls = [];
const sizeOf = (font) => Number(/([0-9.]+)px/.exec(font ?? "10px")[1]);
const fake = () => new Proxy({}, {
  get(own, name) {
    if (name in own) return own[name];
    if (name === "measureText") return (text) => ({width: 0.58 * sizeOf(own.font) * Array.from(text).length});
    if (name === "getTransform") return () => ({a: 1});
    if (name === "createImageData") return (w, h) => ({data: new Uint8ClampedArray(4 * w * h)});
    const look = ({font, textAlign, textBaseline, strokeStyle}) => ({font, textAlign, textBaseline, strokeStyle});
    return (...args) => void calls.push({name, args, ...look(own)});
  },
});
globalThis.document = {createElement: () => ({getContext: fake})};
const ctx = fake();
const bare = () => calls.flatMap(({name, args}) => args.flat().filter((x) => typeof x === "number")
  .map((x) => [name, x])).filter(([, x]) => !Number.isFinite(x));
const boxes = () => calls.filter(({name}) => name === "fillText").map(({args: [text, x, y], ...own}) => {
  const size = sizeOf(own.font), width = 0.58 * size * Array.from(text).length;
  const left = {left: x, center: x - width / 2, right: x - width}[own.textAlign];
  const top = {alphabetic: y - 0.75 * size, middle: y - size / 2, top: y}[own.textBaseline];
  return {text, left, top, right: left + width, bottom: top + size};
});
const grid = (f, [x0, x1, y0, y1], n, m) => {
  const x = Float64Array.from({length: n}, (_, i) => x0 + (i / (n - 1)) * (x1 - x0));
  const y = Float64Array.from({length: m}, (_, j) => y0 + (j / (m - 1)) * (y1 - y0));
  const z = new Float64Array(n * m);
  for (let j = 0; j < m; j++) for (let i = 0; i < n; i++) z[j * n + i] = f(x[i], y[j]);
  return {x, y, z};
};
const table = ({x, y, z}) => ({x: Float64Array.from(x), y: Float64Array.from(y), z: Float64Array.from(z, Number)});
"""


def javascript(code, given=None):
    """What `return` gives in `code`, which sees the modules, the fake canvas and `given`."""
    program = f'"use strict";\n{MODULES}\n{FAKE}\nconst result = ((given) => {{ {code} }})'
    program += '(JSON.parse(require("fs").readFileSync(0, "utf8")));\n'
    program += "console.log(JSON.stringify(result, (_, x) => ArrayBuffer.isView(x) ? Array.from(x, String) : x));"
    done = subprocess.run(["node", "-e", program], input=json.dumps(given), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def array(values):
    return np.array([float(value.replace("Infinity", "inf")) for value in values])


def smooth(seed, n=23, m=17):
    """A few waves on a grid of unequal sides; bounded, with saddles."""
    draw = np.random.default_rng(seed)
    x, y = np.linspace(-1, 2, n), np.linspace(0, 3, m)
    z = sum(
        draw.normal() * np.sin(a * x[None] + b * y[:, None] + c)
        for a, b, c in zip(*draw.uniform(-3, 3, (3, 6)), strict=True)
    )
    return x, y, z


def spelt(x, y, z):
    z = [str(v).replace("inf", "Infinity").replace("nan", "NaN") for v in np.ravel(z)]
    return {"x": list(x), "y": list(y), "z": z}


# Marks


def test_numbers_are_as_short_as_in_the_static_figures():
    draw = np.random.default_rng(0)
    values = list(draw.normal(size=300) * 10.0 ** draw.integers(-20, 20, 300))
    values += [0.0, 1.0, -1.0, 0.001, 999.9, 1000.0, 9999.0, 10000.0, 9.99e-4, 100.0, 0.5, 1e-16, -2e5, 120.0]
    found = javascript("return given.map(marks.number);", values)
    assert found == [style.number(value) for value in values]
    assert javascript("return [NaN, null, Infinity, -Infinity].map(marks.number);") == ["", "", "∞", "−∞"]


def test_labels_are_spread_as_in_the_static_figures():
    draw = np.random.default_rng(1)
    for case in range(20):
        wanted = list(draw.uniform(0, 100, draw.integers(0, 9)).round(case % 3))
        low, high = (0, 120) if case % 2 else (-np.inf, np.inf)
        bounds = ", 0, 120" if case % 2 else ""
        found = javascript(f"return marks.spread(given, 12{bounds});", wanted) if wanted or case < 2 else []
        np.testing.assert_allclose(found, style.spread(wanted, 12, low, high), atol=1e-9)


def test_every_shape_is_a_closed_path_within_its_size():
    shapes = "osv^<>DdhPpX*"
    calls = javascript(
        "return Array.from(given, (shape) => { calls.length = 0;"
        "marks.draw(ctx, shape, 50, 60, 20, '#000000', '#ffffff'); return calls.slice(); });",
        shapes,
    )
    for shape, drawn in zip(shapes, calls, strict=True):
        names = [call["name"] for call in drawn]
        assert names.count("fill") == names.count("stroke") == 1
        points = np.array([call["args"] for call in drawn if call["name"] in ("moveTo", "lineTo")])
        if shape != "o":
            reach = np.abs(points - [50, 60]).max()
            assert 9 < reach < 10 * 1.5, shape  # diamonds are squares on a corner


# Contours

FIELDS = {
    "minimum known": (lambda x, y: (1 - x) ** 2 + 100 * (y - x * x) ** 2, 0.0),
    "minimum unknown": (lambda x, y: 3 + x**4 + y**2, None),
    "both signs": (lambda x, y: x * x - y * y, None),
    "holes": (lambda x, y: np.where(x * x + y * y < 0.5, np.nan, 1e3 * np.exp(x * y)), None),
    "flat": (lambda x, y: 0 * x * y + 2, None),
}


@pytest.mark.parametrize("case", FIELDS)
def test_heights_levels_and_decades_are_those_of_the_static_figures(case):
    function, minimum = FIELDS[case]
    x, y = np.linspace(-2, 2, 31), np.linspace(-1, 3, 27)
    z = np.asarray(function(x[None], y[:, None]))
    rows = pd.DataFrame({"x_0": np.tile(x, len(y)), "x_1": np.repeat(y, len(x)), "value": z.ravel(), "field_id": "f"})
    expected = surface.field(type("Results", (), {"fields": rows}), "f", minimum)
    found = javascript(
        "const grid = table(given.grid), scale = contour.scale(grid, given.minimum);"
        "const levels = contour.levels(scale, grid);"
        "return {scale, levels, heights: contour.heights(scale, grid), decades: contour.decades(scale, levels)};",
        {"grid": spelt(x, y, z), "minimum": minimum},
    )
    scale = found["scale"]
    assert (scale["floor"], scale["signed"]) == (expected.floor, expected.signed)
    np.testing.assert_allclose(scale["unit"], expected.unit, rtol=1e-12)
    np.testing.assert_allclose(array(found["heights"]), surface.height(expected, z).ravel(), rtol=1e-12, atol=1e-12)
    at = surface.levels(expected)
    np.testing.assert_allclose(array(found["levels"]), at, rtol=1e-12, atol=1e-12)
    decades = surface.decade_heights(expected, at)
    np.testing.assert_allclose([d["height"] for d in found["decades"]], list(decades), rtol=1e-12, atol=1e-12)
    plain = [text for text in decades.values() if "^" not in text]
    assert [d["text"] for d in found["decades"] if "10" not in d["text"] or len(d["text"]) < 6 and "⁻" not in d["text"]
            and not set(d["text"]) & set("⁴⁵⁶⁷⁸⁹")] == plain  # fmt: skip


def length(lines):
    return sum(np.hypot(*np.diff(line, axis=0).T).sum() for line in lines)


@pytest.mark.parametrize("seed", range(6))
def test_lines_are_those_of_contourpy(seed):
    x, y, z = smooth(seed)
    if seed % 2:
        z[5:8, 4:9] = [[np.nan], [np.inf], [-np.inf]]
    levels = list(np.quantile(z[np.isfinite(z)], [0.1003, 0.3507, 0.5002, 0.6208, 0.9004]))
    found = javascript(
        "const grid = table(given.grid); return given.levels.map((level) => contour.lines(grid, grid.z, level));",
        {"grid": spelt(x, y, z), "levels": levels},
    )
    masked = np.ma.masked_invalid(z)
    oracle = contourpy.contour_generator(x, y, masked, name="serial", corner_mask=False)
    dx, dy = x[1] - x[0], y[1] - y[0]
    for level, lines in zip(levels, found, strict=True):
        lines = [array(line).reshape(-1, 2) for line in lines]
        expected = oracle.lines(level)
        # Both interpolate linearly along edges and decide saddles by the mean: only rounding differs.
        np.testing.assert_allclose(length(lines), length(expected), rtol=1e-9)
        assert len(lines) == len(expected)
        for px, py in np.concatenate(lines):
            i, j = min(int((px - x[0]) / dx), len(x) - 2), min(int((py - y[0]) / dy), len(y) - 2)
            s, t = (px - x[i]) / dx, (py - y[j]) / dy
            weights = np.array([[(1 - s) * (1 - t), s * (1 - t)], [(1 - s) * t, s * t]])
            corners = z[j : j + 2, i : i + 2]
            near = np.abs(weights) > 1e-9  # a vertex on an edge has nothing to do with the other two corners
            assert abs((weights[near] * corners[near]).sum() - level) < 1e-6


@pytest.mark.parametrize("case", FIELDS)
def test_a_painted_surface_has_finite_places_only_and_labels_that_stand_apart(case):
    f = {
        "minimum known": "(1 - x) ** 2 + 100 * (y - x * x) ** 2",
        "minimum unknown": "3 + x ** 4 + y ** 2",
        "both signs": "x * x - y * y",
        "holes": "x * x + y * y < 0.5 ? NaN : 1e3 * Math.exp(x * y)",
        "flat": "2",
    }[case]
    found = javascript(
        f"const g = grid((x, y) => {f}, [-2, 2, -1, 3], 61, 61), scale = contour.scale(g, given);"
        "contour.paint(ctx, {left: 10, top: 10, width: 500, height: 400}, g, scale, contour.DARK,"
        "{avoid: [[200, 200]]}); return {bare: bare(), boxes: boxes()};",
        FIELDS[case][1],
    )
    assert found["bare"] == []
    assert overlaps(found["boxes"]) == []
    assert case == "flat" or found["boxes"]


def overlaps(boxes):
    return [
        (a["text"], b["text"])
        for k, a in enumerate(boxes)
        for b in boxes[:k]
        if min(a["right"], b["right"]) - max(a["left"], b["left"]) > 0.5
        and min(a["bottom"], b["bottom"]) - max(a["top"], b["top"]) > 0.5
    ]


# Relief

HILL = """
const hill = grid((x, y) => 2 * Math.exp(-6 * (x * x + y * y)), [-1, 1, -1, 1], 81, 81);
const box = {left: 0, top: 0, width: 300, height: 240};
const from = (azimuth, elevation = 15) => relief.view({azimuth, elevation, zoom: 1}, box, hill, hill.z);
"""


def test_what_is_nearer_to_the_eye_has_less_depth_and_everything_fits_the_box():
    found = javascript(
        HILL
        + "const out = []; for (const azimuth of [-170, -90, -60, 0, 45, 100]) for (const elevation of [10, 40, 80])"
        "{ const view = from(azimuth, elevation), a = azimuth * Math.PI / 180, depths = [];"
        "for (let k = -7; k <= 7; k++) depths.push(view.project(Math.cos(a) * k / 10, Math.sin(a) * k / 10, 1)[2]);"
        "const fits = []; for (const x of [-1, 1]) for (const y of [-1, 1]) for (const h of [view.low, view.high])"
        "fits.push(view.project(x, y, h)); out.push({depths, fits}); } return out;"
    )
    for view in found:
        assert (np.diff(view["depths"]) < 0).all()
        px, py, _ = np.array(view["fits"]).T
        assert (px >= 0).all() and (px <= 300).all() and (py >= 0).all() and (py <= 240).all()


def test_a_place_that_is_seen_is_the_place_that_is_picked_there():
    found = javascript(
        HILL + "const out = []; for (const azimuth of [-120, -60, 30]) { const view = from(azimuth, 40);"
        "for (let k = 0; k < 60; k++) { const x = Math.sin(7 * k), y = Math.cos(11 * k + 1);"
        "const [px, py] = view.project(x, y, relief.on(view, x, y)), hit = relief.pick(view, px, py);"
        "out.push({x, y, hit, seen: relief.seen(view, x, y)}); } } return out;"
    )
    seen = [case for case in found if case["seen"]]
    assert len(seen) > 0.8 * len(found)
    exact = [np.hypot(case["hit"]["x"] - case["x"], case["hit"]["y"] - case["y"]) for case in seen]
    # Right at a ridge the pixel belongs to its near side as well: those few are a quad off.
    assert np.quantile(exact, 0.9) < 1e-6 and max(exact) < 0.06
    assert javascript(HILL + "return [relief.pick(from(0), 2, 2), relief.on(from(0), 3, 0)];") == [None, None]


def test_a_path_behind_a_hill_is_not_drawn():
    found = javascript(
        HILL + "const points = Float64Array.of(-0.42, -0.06, -0.38, 0.06);"
        "return [0, 180].map((azimuth) => { calls.length = 0;"
        "relief.paint(ctx, from(azimuth), contour.LIGHT, [{points, color: '#ff0000', width: 2, halo: '#fffffe'}]);"
        "const at = calls.findIndex((call) => call.strokeStyle === '#ff0000');"
        "return {drawn: calls.slice(at - 8).filter((call) => call.name === 'lineTo' && "
        "['#ff0000', '#fffffe'].includes(call.strokeStyle)).length, bare: bare()}; });"
    )
    behind, before = found
    assert behind == {"drawn": 0, "bare": []}
    assert before["drawn"] >= 4 and before["bare"] == []


@pytest.mark.parametrize(
    "points", [[], [0.1, 0.2], [5, 5, 6, 6], [-9, 0, 9, 0.1], [0, 0, "NaN", 0, 0.2, 0.1], [0, 0, 1e300, 1]]
)
def test_paths_of_any_kind_give_finite_places(points):
    found = javascript(
        HILL + "hill.z.fill(NaN, 100, 400); const points = Float64Array.from(given, Number);"
        "relief.paint(ctx, from(-60, 40), contour.DARK, [{points, color: '#ff0000', width: 2, dash: [4, 2]}]);"
        "return {bare: bare(), count: calls.length};",
        points,
    )
    assert found["bare"] == [] and found["count"] > 0


@pytest.mark.parametrize("f", ["2", "NaN", "x < 0 ? Infinity : x * y", "1e200 * x", "-Infinity"])
def test_surfaces_without_slope_or_number_are_drawn_without_a_fault(f):
    found = javascript(
        f"const out = []; for (const n of [2, 3, 200]) {{ const g = grid((x, y) => {f}, [-1, 1, 0, 3], n, 5);"
        "const scale = contour.scale(g, null), box = {left: 0, top: 0, width: 90, height: 70};"
        "const view = relief.view({azimuth: 20, elevation: 30}, box, g, contour.heights(scale, g));"
        "relief.paint(ctx, view, contour.DARK, [{points: [0, 0, 0.5, 1], color: '#ff0000', width: 2, halo: null}]);"
        "contour.paint(ctx, box, g, scale, contour.LIGHT); relief.pick(view, 45, 35);"
        "out.push(bare(), relief.seen(view, 5, 5)); } return out;"
    )
    assert found == [[], False] * 3


def test_the_browser_hides_a_path_behind_a_hill():
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = next((path for name in ("chromium", "google-chrome") if (path := shutil.which(name))), None)
    if chromium is None:
        pytest.skip("no browser is installed")
    grid = FAKE[FAKE.index("const grid") : FAKE.index("const table")]
    page_text = f"""<canvas width=300 height=240></canvas><script>"use strict";{MODULES}\n{grid}\n{HILL}
    const ctx = document.querySelector("canvas").getContext("2d", {{willReadFrequently: true}});
    const points = Float64Array.of(-0.42, -0.06, -0.38, 0.06);
    const red = (azimuth) => {{
      ctx.clearRect(0, 0, 300, 240);
      relief.paint(ctx, from(azimuth), contour.LIGHT, [{{points, color: "#ff0000", width: 2, halo: null}}]);
      const {{data}} = ctx.getImageData(0, 0, 300, 240);
      let count = 0;
      for (let k = 0; k < data.length; k += 4) if (data[k] > data[k + 1] + 100) count++;
      return count;
    }};</script>"""
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium)
        page = browser.new_page()
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.set_content(page_text)
        behind, before = page.evaluate("[red(0), red(180)]")
        browser.close()
    assert errors == []
    assert behind == 0 and before > 20


# Charts

SERIES = {
    "none": "[]",
    "no points": "[make([])]",
    "one point": "[make([3])]",
    "all equal": "[make([2, 2, 2, 2]), make([2, 2, 2, 2])]",
    "no number": "[make([NaN, NaN, Infinity]), make([NaN])]",
    "zeros": "[make([0, 0, 0])]",
    "many": "Array.from({length: 30}, (_, k) => make(Array.from({length: 400}, (_, t) => Math.exp(-t * k / 50))))",
    "diverging": "[make([1, 1e10, 1e200, Infinity]), make([1, -5, 1e-3, -1e300])]",
    "oscillating": "[make(Array.from({length: 4000}, (_, t) => 2 + Math.sin(2 * t)))]",
    "narrow": "[make([3.21, 3.2, 3.199])]",
    "narrow and small": "[make([1.23e-7, 1.22e-7])]",
}
CHART = """
const make = (y, k) => ({name: "adam", label: "levenberg marquardt", color: "#D55E00", dash: [5, 2], marker: "o",
  x: Float64Array.from(y, (_, t) => t), y: Float64Array.from(y), head: y.length - 1, muted: false});
const draw = (series, [width, height], options) => { calls.length = 0;
  return chart.draw(ctx, {left: 5, top: 5, width, height}, series, {title: "Gap", xLabel: "steps", yLabel: "f − f*",
    palette: contour.LIGHT, ...options}); };
"""


@pytest.mark.parametrize("case", SERIES)
def test_charts_of_any_series_have_finite_places_and_no_two_labels_on_one_another(case):
    found = javascript(
        CHART + f"const series = {SERIES[case]}, out = [];"
        "for (const size of [[900, 620], [360, 420], [300, 160]])"
        "for (const options of [{floor: 1e-16}, {floor: null}, {signed: true, unit: 0.1, xMax: 1e5}])"
        "{ draw(series, size, options); out.push({bare: bare(), boxes: boxes(), width: size[0]}); } return out;"
    )
    for drawn in found:
        assert drawn["bare"] == []
        assert overlaps(drawn["boxes"]) == []
        assert max(box["right"] for box in drawn["boxes"]) <= drawn["width"] + 5
        assert min(box["left"] for box in drawn["boxes"]) >= 0


def test_a_line_is_drawn_up_to_its_head_and_the_best_of_equal_ones_is_named_first():
    found = javascript(
        CHART + "const series = [make([8, 4, 2, 1]), make([8, 4, 2, 1])];"
        "series[0].label = 'first'; series[1].label = 'second';"
        "const full = draw(series, [600, 400], {}); const names = boxes().filter((b) => b.text.length > 4);"
        "for (const each of series) each.head = 1; const half = draw(series, [600, 400], {});"
        "return {names, full: chart.head(series[0], full).x, x: full.toX(1), half: chart.head(series[0], half)};"
    )
    tops = {box["text"]: box["top"] for box in found["names"]}
    assert tops["first"] < tops["second"]
    assert found["half"]["x"] == found["x"] and found["half"]["value"] == 4


def test_an_oscillation_becomes_its_middle_and_a_band():
    found = javascript(
        CHART + "const series = [make(Array.from({length: 4000}, (_, t) => 10 ** Math.sin(2 * t)))];"
        "const layout = draw(series, [600, 400], {}); const {points, band} = chart.columns(series[0], layout);"
        "const piece = band.at(-1).slice(-20);"
        "return {count: points.length, least: piece.map((p) => p[1]), most: piece.map((p) => p[2]),"
        "top: layout.toY(10), bottom: layout.toY(0.1), middle: layout.toY(1),"
        "y: points.slice(-20, -1).map((p) => p[1])};"
    )
    assert found["count"] < 600
    np.testing.assert_allclose(found["least"], found["top"], atol=3)
    np.testing.assert_allclose(found["most"], found["bottom"], atol=3)
    np.testing.assert_allclose(found["y"], found["middle"], atol=15)


def test_the_pointer_finds_the_nearest_point_that_is_drawn():
    found = javascript(
        CHART + "const series = [make([8, 4, 2, 1]), make([80, 40, NaN, 10])]; series[1].name = 'other';"
        "const layout = draw(series, [600, 400], {}); const at = (x, y) => [layout.toX(x) + 2, layout.toY(y) - 3];"
        "const near = (x, y) => { const hit = chart.nearest(layout, ...at(x, y));"
        "return hit && [hit.series.name, hit.index]; };"
        "series[0].head = 2; return [near(1, 4), near(1, 40), near(3, 1), chart.nearest(layout, -500, 0)];"
    )
    assert found == [["adam", 1], ["other", 1], None, None]
