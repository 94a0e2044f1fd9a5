"""Figures and films say what the tables say, in colours that can be told apart, and without JAX."""

import re
import subprocess
import sys
import weakref
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_hex, to_rgb
from PIL import Image
from plots_data import SURFACES, tables
from plots_vision import VISION, ciede2000, closest

from optlab import metrics, plots
from optlab.plots import contour, curves, race, sensitivity, stage, style, surface, video
from optlab.plots.selection import select

EIGHT = ["gradient_descent", "momentum", "nesterov", "adagrad", "adadelta", "rmsprop", "adam", "lbfgs"]
TWELVE = [*EIGHT, "adamw", "nadam", "lion", "newton"]


@pytest.fixture(scope="module")
def results():
    rates = (1e-3, 1e-2, 1e-1)
    return tables(["beale", "hyperbolic_saddle"], TWELVE, rates, starts=2, steps=120, points=41)


def film_frames(path):
    """Frames and size of a film, as ffmpeg decodes it (ffprobe may be absent)."""
    command = [video.ffmpeg(), "-i", path, "-map", "0:v", "-f", "framecrc", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    width, height = re.search(r"#dimensions 0: (\d+)x(\d+)", done.stdout).groups()
    return sum(not line.startswith("#") for line in done.stdout.splitlines()), (int(width), int(height))


# Colour and shape


def test_ciede2000_agrees_with_the_published_pairs():
    # Sharma, Wu and Dalal 2005, table 1, pairs 1, 7 and 19.
    pairs = [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 0, 0), (50, -1, 2), 2.3669),
        ((50, 2.5, 0), (61, -5, 29), 22.8977),
    ]
    for first, second, wanted in pairs:
        assert ciede2000(np.array(first, float), np.array(second, float)) == pytest.approx(wanted, abs=2e-4)


@pytest.mark.parametrize("vision", VISION)
def test_colours_of_the_families_differ_to_every_eye(vision):
    # One man in twelve lacks a kind of cone; below 8 two thin lines are taken for one another.
    assert closest([tint for tint, _ in style.FAMILIES.values()], vision) >= 8
    assert closest(list(style.ON_DARK.values()), vision) >= 8


def test_colours_stand_out_from_dark_paper():
    def luminance(tint):  # WCAG 2.1
        channels = np.array(to_rgb(tint))
        return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4) @ [
            0.2126,
            0.7152,
            0.0722,
        ]

    for tint in style.ON_DARK.values():  # 3 is what lines and signs need (WCAG 1.4.11)
        assert (luminance(tint) + 0.05) / (luminance("#12171e") + 0.05) >= 3


def test_optimizers_of_one_family_differ_in_marker_or_dash():
    for _, members in style.FAMILIES.values():
        assert len({(style.marker(o), str(style.dash(o))) for o in members}) == len(members)
    first = [members[0] for _, members in style.FAMILIES.values()]
    assert len({style.marker(o) for o in first}) == len(first)


def test_an_unlisted_optimizer_keeps_its_look_and_joins_its_family():
    assert style.color("my_adam_variant") == style.color("adam")
    assert style.color("stochastic_lbfgs") == style.color("lbfgs")
    script = "from optlab.plots import style; print(style.color('zeta'), style.marker('zeta'))"
    seen = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert seen.split() == [style.color("zeta"), style.marker("zeta")]


# Room for labels, times of frames


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=12), st.floats(0.1, 20))
def test_spread_labels_keep_their_distance_and_order(wanted, room):
    places = style.spread(wanted, room)
    order = np.argsort(wanted, kind="stable")
    assert (np.diff(places[order]) >= room - 1e-9).all()
    # Least squares moves no label for nothing: the mean place is the mean wish.
    assert np.mean(places) == pytest.approx(np.mean(wanted), abs=1e-6)


def test_a_block_of_equal_wishes_is_centred():
    np.testing.assert_allclose(style.spread([5, 5, 5, 20], 2), [3, 5, 7, 20])
    np.testing.assert_allclose(style.spread([0, 0, 0], 2, low=0, high=9), [0, 2, 4])


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30_000), st.integers(2, 300))
def test_frame_steps_are_geometric_whole_and_unique(last, frames):
    steps = style.frame_steps(last, frames)
    assert len(steps) == frames
    assert steps[0] == 0
    assert steps[-1] == last
    assert (np.diff(steps) > 0).all()
    if frames <= last + 1:
        np.testing.assert_array_equal(steps, np.round(steps))
        gaps = np.log((steps[1:] + 1) / (steps[:-1] + 1))[np.diff(steps) > 1]
        # Nowhere a gap that another frame would have halved: all but whole steps are about equal.
        assert len(gaps) == 0 or gaps.max() <= 2.6 * max(np.median(gaps), np.log(last + 1) / frames)


# What is drawn is what the tables hold


def test_the_package_finds_its_kinds():
    assert {"contour", "curves", "race", "sensitivity"} <= set(plots.kinds())
    assert "style" not in plots.kinds()
    assert plots.contour is contour


@pytest.mark.parametrize("kind", ["contour", "curves", "sensitivity", "race"])
def test_no_plot_imports_jax(kind):
    script = f"import optlab.plots.{kind}, sys; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_the_best_setting_has_the_lowest_median_gap(results):
    chosen = select(results, "beale")
    runs = results.runs[results.runs.problem == "beale"]
    lost = runs.assign(gap=runs.gap.where((runs.status != "diverged") & np.isfinite(runs.gap), np.inf))
    for _, run in chosen.best.iterrows():
        own = lost[lost.optimizer == run.optimizer]
        medians = own.groupby("optimizer.learning_rate", dropna=False).gap.median()
        here = own[own["optimizer.learning_rate"].fillna(-1) == (run["optimizer.learning_rate"] or -1)]
        if len(here):
            assert here.gap.median() == medians.min()
        assert run["problem.start"] is None or run["problem.start"] != run["problem.start"]
    assert "best of 3 learning rates" in chosen.how
    assert "start (1, 1)" in chosen.how
    assert "float64" in chosen.how
    assert chosen.minimum == pytest.approx(0, abs=1e-12)
    assert select(results, "hyperbolic_saddle").minimum is None


def test_paths_are_the_rows_of_the_table(results):
    chosen = select(results, "beale", EIGHT, plane=True)
    page = style.figure(6, 4)
    ax = style.inches(page, 0.5, 0.5, 3, 3)
    ax.set(xlim=(-1, 4.5), ylim=(-1.5, 2))
    assert contour.paths(ax, chosen.best, chosen.curves) is ax
    drawn = [np.stack(line.get_data(), axis=1) for line in ax.lines]
    for _, run in chosen.best.iterrows():
        rows = chosen.curves[chosen.curves.run_id == run.run_id][["x_0", "x_1"]].to_numpy(float)
        assert any(d.shape == rows.shape and np.allclose(d, rows) for d in drawn)


def test_losses_are_the_rows_of_the_table(results):
    chosen = select(results, "beale", ["adam", "newton"])
    page = style.figure(6, 4)
    ax = curves.loss(style.inches(page, 0.5, 0.5, 3, 3), chosen.best, chosen.curves, x="evaluations")
    for _, run in chosen.best.iterrows():
        rows = chosen.curves[chosen.curves.run_id == run.run_id]
        wanted = np.maximum(rows.gap.to_numpy(float), curves.FLOOR)
        lines = [line.get_ydata() for line in ax.lines if line.get_color() == style.color(run.optimizer)]
        assert any(len(y) > 1 and np.allclose(y, wanted[: len(y)]) for y in lines)


def test_several_runs_become_median_and_quartiles():
    runs = pd.DataFrame({"run_id": list("abcde"), "optimizer": "adam", "status": "max_steps"})
    runs.loc[4, "status"] = "diverged"
    rows = [(r, s, float(g) / (s + 1)) for r, g in zip("abcd", (4, 1, 3, 2), strict=True) for s in (0, 1, 2)]
    rows += [("e", 0, 5.0), ("e", 1, np.inf)]
    (line,) = curves.lines(runs, pd.DataFrame(rows, columns=["run_id", "step", "gap"]), "step", "gap")
    np.testing.assert_allclose(line.y, [3, 3 / 2, 1])
    np.testing.assert_allclose(line.low, [2, 1, 2 / 3])
    np.testing.assert_allclose(line.high, [4, 2, 4 / 3])


def test_an_oscillating_run_gets_an_envelope_of_its_values():
    x = np.arange(40.0)
    _, y, low, high = curves.envelope(x, 2.0 + (-1) ** x)
    assert ((low <= y) & (y <= high)).all()
    np.testing.assert_allclose((low[10:30], high[10:30]), [np.full(20, 1), np.full(20, 3)])
    _, y, low, high = curves.envelope(x, 1 / (1 + x))
    np.testing.assert_array_equal(low, y)
    np.testing.assert_array_equal(high, y)


def test_the_sensitivity_table_never_drops_a_diverged_run():
    runs = pd.DataFrame(
        {
            "optimizer": "adam", "optimizer.learning_rate": [0.1] * 4 + [1.0] * 4, "value": 0.0,
            "gap": [1, 2, 3, 4, 1, np.nan, 1e30, np.inf], "status": ["max_steps"] * 5 + ["diverged"] * 3,
        }
    )  # fmt: skip
    rows = sensitivity.table(runs).set_index("rate")
    assert rows.loc[0.1, "median"] == 2
    assert rows.loc[0.1, "lost"] == 0
    assert rows.loc[1.0, "median"] == np.inf
    assert rows.loc[1.0, "lost"] == 0.75


def test_a_far_point_is_cut_along_its_own_direction():
    low, high = np.array([-1.0, -1]), np.array([1.0, 1])
    xy = np.array([[0, 0], [0.5, 0.5], [1e12, 2e12]])
    short = surface.cut(xy, low, high)
    assert np.abs(short).max() < 100
    np.testing.assert_allclose((short[2] - xy[1])[1] / (short[2] - xy[1])[0], 2, rtol=1e-9)
    place, _ = surface.exit_point(short, low, high)
    np.testing.assert_allclose(place, [0.75, 1])
    assert surface.exit_point(xy[:2], low, high) is None


def test_levels_are_equally_spaced_and_hit_the_decades(results):
    grid = surface.field(results, "beale", 0.0)
    at = surface.levels(grid)
    assert 15 <= len(at) <= 45
    np.testing.assert_allclose(np.diff(at), at[1] - at[0])
    assert min(abs(at - 1)) < 1e-9  # ten
    saddle = surface.field(results, "hyperbolic_saddle", None)
    assert saddle.signed
    assert min(abs(surface.levels(saddle))) < 1e-9  # the zero line


@pytest.mark.parametrize("optimizers", [EIGHT, TWELVE], ids=["8", "12"])
@pytest.mark.parametrize("problem", ["beale", "hyperbolic_saddle"])
def test_labels_do_not_overlap(results, problem, optimizers):
    chosen = select(results, problem, optimizers, plane=True)
    for page in (contour.sheet(results, chosen), curves.sheet(chosen)):
        renderer = page.canvas.get_renderer()
        texts = [t for ax in page.axes for t in ax.texts]
        named = [t.get_window_extent(renderer) for t in texts if t.get_text() in map(style.name, optimizers)]
        assert len(named) == len(optimizers)
        # Rims of a pixel may touch; letters may not.
        boxes = [box.padded(-1.5) for box in named]
        assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])
        assert max(box.x1 for box in named) < page.bbox.x1
        assert max(t.get_window_extent(renderer).x1 for t in page.texts) <= page.bbox.x1


def test_a_diverged_run_leaves_through_the_top():
    results = tables(["beale"], ["gradient_descent", "adam"], rates=(1.0,), steps=60, points=21)
    chosen = select(results, "beale")
    assert "diverged" in set(chosen.best.status)
    assert "learning rates as given" in chosen.how
    page = style.figure(6, 4)
    ax = curves.loss(style.inches(page, 0.5, 0.5, 3, 3), chosen.best, chosen.curves)
    tops = [line for line in ax.lines if line.get_marker() == "^" and line.get_ydata()[0] == ax.get_ylim()[1]]
    assert to_hex(tops[0].get_color()) == style.color("gradient_descent")
    assert "diverged" in [t.get_text() for t in ax.texts]


# Files


@pytest.mark.parametrize("kind", ["contour", "curves", "sensitivity"])
def test_every_figure_is_written(results, tmp_path, kind):
    only = {} if kind == "sensitivity" else {"problem": "hyperbolic_saddle", "optimizers": "adam,lbfgs,momentum"}
    paths = plots.draw(kind, results, tmp_path, **only)
    assert [p.suffix for p in paths] == [".png", ".svg"]
    assert set(paths) == set(tmp_path.iterdir())
    pixels = np.asarray(Image.open(paths[0]).convert("RGB"))
    assert min(pixels.shape[:2]) > 500
    for optimizer in ("adam", "momentum"):
        assert (np.abs(pixels - 255 * np.array(to_rgb(style.color(optimizer)))) < 2).all(axis=2).sum() > 30
    text = paths[1].read_text()
    assert text.rstrip().endswith("</svg>")
    assert len(text) < 1_500_000
    assert ("<image" in text) == (kind == "contour")  # the filling is rasterised, nothing else


def test_a_sweep_without_divergence_has_no_strip(results, tmp_path):
    runs = results.runs[(results.runs.optimizer == "adam") & (results.runs.problem == "beale")]
    (path,) = sensitivity.draw(SimpleNamespace(runs=runs), tmp_path, format="png")
    assert path.stat().st_size > 10_000


@pytest.fixture(scope="module")
def scene(results):
    chosen = select(results, "beale", EIGHT, plane=True)
    return stage.stage(results, chosen, axis="step", size=(640, 360), view="2d", panel=True)


def test_in_mid_film_every_optimizer_shows_its_colour(scene):
    times = race.timing(scene, 20)
    shown = [frame.copy() for frame in race.frames(scene, times[[0, 10, 19]])]
    box = scene.field
    rows = slice(int(360 - box.y1), int(360 - box.y0))
    first, middle, last = (s[rows, int(box.x0) : int(box.x1), :3].astype(int) for s in shown)
    assert (middle != first).any(axis=2).mean() > 0.005
    assert (last != middle).any(axis=2).mean() > 0.002
    changed = (shown[1] != shown[0]).any(axis=2)
    for optimizer in EIGHT:
        tint = 255 * np.array(to_rgb(style.color(optimizer)))
        near = (np.abs(shown[1][:, :, :3] - tint) < 24).all(axis=2)
        assert (near & changed).sum() > 8, optimizer


def test_heads_stand_where_the_table_says(scene, results):
    track, course = scene.found[-1], scene.courses[-1]
    for row in (0, len(track.step) // 2, -1):
        place = stage.pieces(course, (0, np.log1p(track.step[row])))[0][-1]
        wanted = scene.ground.ax.transData.transform(track.xy[row])
        np.testing.assert_allclose(place, wanted, atol=1e-6)


def test_frames_share_one_buffer(scene):
    shown = list(race.frames(scene, race.timing(scene, 6)))
    assert all(np.shares_memory(shown[0], frame) for frame in shown)


def test_a_film_is_streamed_and_never_collected(tmp_path):
    alive = []

    def source():
        for k in range(12):
            frame = np.full((90, 160, 4), 20 * k, np.uint8)
            alive.append(weakref.ref(frame))
            yield frame
            del frame
            assert sum(ref() is not None for ref in alive) <= 2

    paths = video.write(source(), [tmp_path / "a.mp4", tmp_path / "a.gif"], fps=30)
    for path in paths:
        assert film_frames(path) == (12, (160, 90))
    assert set(tmp_path.iterdir()) == set(paths)


def test_a_film_that_fails_leaves_the_old_one(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")

    def source():
        yield np.zeros((90, 160, 4), np.uint8)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        video.write(source(), [path])
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_without_ffmpeg_a_gif_is_written_and_said(tmp_path, monkeypatch):
    monkeypatch.setattr(video, "ffmpeg", lambda: None)
    frames = [np.full((60, 80, 4), 255, np.uint8) for _ in range(5)]
    for k, frame in enumerate(frames[1:]):
        frame[10:20, 10 * k : 10 * k + 10, :3] = (213, 94, 0)
    with pytest.warns(UserWarning, match="optlab\\[video\\]"):
        (path,) = video.write(iter(frames), [tmp_path / "a.mp4"], fps=30)
    with Image.open(path) as film:
        assert (film.format, film.n_frames, film.size) == ("GIF", 5, (80, 60))
        for k in (0, 2, 4):
            film.seek(k)
            seen = np.asarray(film.convert("RGB")).astype(int)
            assert np.abs(seen - frames[k][:, :, :3]).max() <= 12


@pytest.mark.parametrize(
    "options", [{}, {"clock": "evals", "panel": False}, {"clock": "seconds"}, {"view": "3d"}], ids=str
)
def test_the_race_has_its_frames_and_size(results, tmp_path, options):
    short = {"frames": 12, "size": "480x270", "format": "mp4", "optimizers": EIGHT}
    (path,) = plots.draw("race", results, tmp_path, problem="hyperbolic_saddle", **short, **options)
    assert path.name == f"race_hyperbolic_saddle{'_3d' if 'view' in options else ''}.mp4"
    assert film_frames(path) == (12, (480, 270))


def test_on_the_clock_of_seconds_each_run_has_its_share_of_them_at_each_step(results):
    spent = results.runs.assign(seconds=0.001 + 0.002 * np.arange(len(results.runs)))
    chosen = select(SimpleNamespace(**vars(results) | {"runs": spent}), "hyperbolic_saddle", EIGHT)
    found = surface.tracks(chosen.best, chosen.curves)
    scaled, unit = stage.timed(found)
    last = max(track.seconds[-1] for track in found)
    per = {"s": 1, "ms": 1e3, "µs": 1e6}[unit]
    assert 1e3 <= last * per < 1e6
    for track, (_, run) in zip(scaled, chosen.best.iterrows(), strict=True):
        rows = chosen.curves[chosen.curves.run_id == run.run_id].sort_values("step")
        told = metrics.cost(rows, "seconds", runs=spent).to_numpy()
        # One division more or less of doubles.
        np.testing.assert_allclose(track.seconds, per * told[: len(track.seconds)], rtol=1e-12)
        assert run.status == "diverged" or track.seconds[-1] == pytest.approx(per * run.seconds, rel=1e-12)
    unknown = [track._replace(seconds=np.full(len(track.seconds), np.nan)) for track in found]
    with pytest.raises(ValueError, match="do not say how many seconds"):
        stage.timed(unknown)


# Bad input is one sentence


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("contuor", {}, "did you mean 'contour'?"),
        ("contour", {"colour": 1}, "no option of 'contour' 'colour'"),
        ("contour", {"problem": "beal"}, "on a 2-D surface for problem 'beal' (did you mean 'beale'?)"),
        ("curves", {"problem": "x"}, "for problem 'x'; it holds: beale, hyperbolic_saddle"),
        ("curves", {"optimizers": "adma"}, "did you mean 'adam'?"),
        ("curves", {"format": "jpeg"}, "there is png, svg, pdf"),
        ("sensitivity", {"problem": "bale"}, "did you mean 'beale'?"),
        ("sensitivity", {"best": 0}, "whole number of at least 1"),
        ("race", {"clock": "hours"}, "there is step, evals, seconds"),
        ("race", {"frames": 1}, "frames must be a whole number"),
        ("race", {"size": "big"}, "like 1280x720"),
        ("race", {"size": (401, 300)}, "even"),
        ("race", {"view": "4d"}, "there is 2d, 3d"),
    ],
)  # fmt: skip
def test_bad_options_are_one_sentence(results, tmp_path, kind, options, said):
    with pytest.raises(ValueError, match=re.escape(said)) as raised:
        plots.draw(kind, results, tmp_path, **options)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["contour", "curves", "race", "sensitivity"])
def test_empty_tables_are_one_sentence(results, tmp_path, kind):
    frames = {name: getattr(results, name).iloc[:0] for name in ("runs", "curves", "fields", "points")}
    with pytest.raises(ValueError, match="this folder holds no"):
        plots.draw(kind, SimpleNamespace(**frames), tmp_path)


def test_the_made_up_surfaces_have_the_stationary_points_they_claim():
    from plots_data import gradient

    for f, *_, points in SURFACES.values():
        for kind, _, value, x, y in points:
            if f.__name__ != "rastrigin" or (x, y) == (0, 0):
                np.testing.assert_allclose(gradient(f, np.array([x, y], float)), 0, atol=1e-6, err_msg=kind)
                assert f((x, y)) == pytest.approx(value)
