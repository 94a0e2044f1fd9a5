"""The figures of scores: what is drawn is what the metrics say, and every word can be read."""

import itertools

import numpy as np
import pandas as pd
import plots_data
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text

from benchmarks.metrics import tables
from optlab import metrics, plots
from optlab.plots import curves, data_profile, ecdf, leaderboard, profile, ranks, sensitivity_map, style, tuning_curve
from optlab.plots.selection import select
from optlab.report import scores, sensitivity
from optlab.report.comparison import compare
from optlab.table import Results

NAMES = ("adam", "lbfgs", "gradient_descent", "nesterov", "momentum", "rmsprop", "lion", "adagrad")


@pytest.fixture(scope="module")
def results():
    """800 runs of 8 optimizers on 4 problems, at 5 rates and 5 seeds."""
    made = tables(8, 4)
    runs = made.runs.assign(optimizer=made.runs.optimizer.map({f"o{k}": name for k, name in enumerate(NAMES)}))
    return made._replace(runs=runs.assign(**{"problem.dim": 10}))


@pytest.fixture(scope="module")
def found(results):
    return compare(results)


def line_of(ax, optimizer, points=3):
    tint = style.color(optimizer)
    lines = [line for line in ax.lines if to_hex(line.get_color()) == tint.lower() and line.get_label() == optimizer]
    assert len(lines) == 1 and len(lines[0].get_xdata()) >= min(points, 2)
    return np.asarray(lines[0].get_xdata(), float), np.asarray(lines[0].get_ydata(), float)


def test_a_profile_is_drawn_at_its_exact_breakpoints(found):
    curves, score, _, what = scores.profiles(found)
    ax = profile.sheet(curves, score, "evaluations", what).axes[0]
    right = ax.get_xlim()[1]
    for optimizer in NAMES:
        x, y = line_of(ax, optimizer)
        own = curves[(curves.optimizer == optimizer) & (curves.ratio <= right)]
        np.testing.assert_array_equal(x[:-1], own.ratio)
        np.testing.assert_array_equal(y[:-1], own.share)
        assert x[-1] == right and y[-1] == y[-2]
    assert all(line.get_drawstyle() == "steps-post" for line in ax.lines if line.get_label() in NAMES)


def test_a_thinned_distribution_is_exact_where_it_stands(found):
    curves, budget, unit, what = scores.distributions(found)
    ax = ecdf.sheet(curves, budget, unit, what).axes[0]
    left, right = ax.get_xlim()
    for optimizer in NAMES:
        x, y = line_of(ax, optimizer)
        exact = metrics.share_at(curves[curves.optimizer == optimizer], x[1:-1])[optimizer]
        np.testing.assert_array_equal(y[1:-1], exact)
        assert len(x) <= ecdf.FINE + 2 and left == x[0] and right == x[-1]
    crosses = {to_hex(line.get_color()): line.get_xydata()[0] for line in ax.lines if line.get_marker() == "x"}
    for optimizer in NAMES:
        at, height = crosses[style.color(optimizer).lower()]
        assert at == budget[optimizer]
        near = metrics.share_at(curves[curves.optimizer == optimizer], [at])[optimizer].iloc[0]
        assert abs(height - near) < 0.02  # the cross lies on the drawn curve


def test_the_leaderboard_shows_scores_and_intervals_from_the_best_down():
    table = pd.DataFrame(
        {"optimizer": ["lion", "adam", "momentum"], "score": [0.2, 0.7, 0.5], "low": [0.1, 0.6, np.nan]}
    ).assign(high=[0.3, 0.8, np.nan], note=["", "", metrics.TOO_SMALL])
    ax = leaderboard.sheet(table, "score", "how").axes[0]
    markers = [line for line in ax.lines if line.get_marker() == style.marker("adam")]
    assert [tuple(line.get_xydata()[0]) for line in markers] == [(0.7, 0)]
    spans = {tuple(line.get_xdata()) for line in ax.lines if line.get_linewidth() == 2.2}
    assert spans == {(0.6, 0.8), (0.1, 0.3)}
    said = [t.get_text() for t in ax.texts]
    assert "0.70  [0.60, 0.80]" in said and "0.50" in said


def test_the_diagram_of_ranks_has_a_bar_over_each_group(found):
    told, problems = scores.ranks(found)
    ax = ranks.sheet(told, problems).axes[0]
    bars = [line for line in ax.lines if to_hex(line.get_color()) == style.INK]
    assert len(bars) == len(told.groups)
    for bar, group in zip(bars, told.groups, strict=True):
        held = told.ranks[list(group)]
        np.testing.assert_allclose(sorted(bar.get_xdata()), [held.min() - 0.05, held.max() + 0.05])


def test_a_data_profile_is_drawn_at_its_exact_breakpoints(found):
    table, area, unit, what = scores.data_profiles(found)
    ax = data_profile.sheet(table, area, unit, what).axes[0]
    left, right = ax.get_xlim()
    for optimizer in NAMES:
        x, y = line_of(ax, optimizer)
        own = table[(table.optimizer == optimizer) & (table.cost > left) & (table.cost <= right)]
        np.testing.assert_array_equal(x[1:-1], own.cost)
        np.testing.assert_array_equal(y[1:-1], own.share)


def test_a_tuning_curve_ends_at_the_score_of_the_best_of_all_with_the_band_of_the_metrics(found):
    table, judged, how = scores.tuning_curves(found)
    ax = tuning_curve.sheet(table, judged, how).axes[0]
    for optimizer in NAMES:
        x, y = line_of(ax, optimizer)
        own = table[table.optimizer == optimizer]
        np.testing.assert_array_equal(x, own.k)
        np.testing.assert_array_equal(y, own.expected)
        assert (own.low <= own.expected).all() and (own.expected <= own.high).all()
    assert len(ax.collections) == curves.BANDS
    said = {t.get_text() for t in ax.texts}
    assert {f"{v:.2f}" for v in table[table.k == 5].expected} <= said


def swept_twice():
    """Gap 1e-4 x 10^(distance from rate 0.1 and momentum 0.9 in cells) of two optimizers, started at 1."""
    rows, ways = [], []
    for optimizer in ("momentum", "nesterov"):
        for i, rate in enumerate((0.01, 0.1, 1.0)):
            for j, beta in enumerate((0.5, 0.9, 0.99, 0.999)):
                run_id, gap = f"{optimizer}{i}{j}", 1e-4 * 10.0 ** (abs(i - 1) + abs(j - 1))
                counts = {"n_value": 1, "n_grad": 1, "n_hvp": 0, "steps": 1, "seconds": 1.0, "status": "max_steps"}
                leaves = {"optimizer.learning_rate": rate, "optimizer.momentum": beta}
                ends = {"value": gap, "best_value": gap, "gap": gap}
                rows.append(
                    {"run_id": run_id, "problem": "bowl", "optimizer": optimizer, "seed": 0} | leaves | ends | counts
                )
                ways += [{"run_id": run_id, "step": k, "n_value": k + 1, "n_grad": k + 1, "n_hvp": 0} | e
                         for k, e in enumerate(({"value": 1.0, "best_value": 1.0, "gap": 1.0}, ends))]  # fmt: skip
    none = pd.DataFrame()
    return Results(pd.DataFrame(rows), pd.DataFrame(ways), none, none, none, none)


def test_a_map_is_darkest_at_the_best_pair_and_outlines_what_is_near(tmp_path):
    results = swept_twice()
    made = sensitivity.responses(compare(results), results)["optimizer.learning_rate optimizer.momentum"]
    page = sensitivity_map.page(made, "optimizer.learning_rate", "optimizer.momentum", "bowl")
    for ax in page.axes[:2]:
        pixels = np.asarray(ax.images[0].get_array())
        assert pixels.shape == (4, 3, 3)  # momentum upwards, rates across
        assert np.unravel_index(pixels.sum(axis=2).argmin(), (4, 3)) == (1, 1)
        (star,) = [line for line in ax.lines if line.get_marker() == "*"]
        assert tuple(star.get_xydata()[0]) == (1, 1)
        # Near is a gap of at most 1e-4 + 0.05 (1 - 1e-4) = 0.0501: three cells away (0.1) is out; there are two.
        edges = sum(len(c.get_segments()) for c in ax.collections)
        assert edges == 2 * (3 + 4)  # cutting two corners off a rectangle leaves its perimeter as it is
        assert [t.get_text() for t in ax.xaxis.get_ticklabels()] == ["0.01", "0.1", "1"]
    assert [p.name for p in plots.draw("sensitivity_map", results, tmp_path)] == [
        "sensitivity_map_bowl.png", "sensitivity_map_bowl.svg",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"y": "optimizer.momentun"}, "did you mean 'optimizer.momentum'"),
        ({"x": "optimizer.beta"}, "no swept number 'optimizer.beta'"),
        ({"problem": "bawl"}, "did you mean 'bowl'"),
        ({"optimizers": "adam"}, "no sensitivity map of optimizer 'adam'"),
    ],
)
def test_a_map_that_there_is_not_is_one_sentence(options, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        plots.draw("sensitivity_map", swept_twice(), tmp_path, **options)
    assert list(tmp_path.iterdir()) == []


def test_one_number_alone_makes_no_map(results, tmp_path):
    with pytest.raises(ValueError, match="no sweep over two numbers at once"):
        plots.draw("sensitivity_map", results, tmp_path)


def sheets(found):
    return {
        "data_profile": data_profile.sheet(*scores.data_profiles(found)),
        "tuning_curve": tuning_curve.sheet(*scores.tuning_curves(found)),
        "profile": profile.sheet(*scores.profiles(found)), "ecdf": ecdf.sheet(*scores.distributions(found)),
        "leaderboard": leaderboard.sheet(*scores.board(found)), "ranks": ranks.sheet(*scores.ranks(found)),
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["profile", "ecdf", "leaderboard", "ranks", "data_profile", "tuning_curve"])
@pytest.mark.parametrize("count", [2, 8])
def test_no_words_overlap_or_leave_the_sheet(results, found, kind, count):
    chosen = found if count == 8 else compare(results, NAMES[:count])
    page = sheets(chosen)[kind]
    page.canvas.draw()
    axes = [axis for ax in page.axes for axis in (ax.xaxis, ax.yaxis)]
    beyond = {
        label
        for axis in axes
        for tick in axis.get_major_ticks()
        for label in (tick.label1, tick.label2)
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    }
    words = [t for t in page.findobj(Text) if t.get_visible() and t.get_text().strip() and t not in beyond]
    boxes = {text: text.get_window_extent() for text in words}
    assert len(boxes) > count + 4
    for (one, first), (other, second) in itertools.combinations(boxes.items(), 2):
        assert not first.padded(-1.5).overlaps(second.padded(-1.5)), (one, other)
    for text, box in boxes.items():
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= page.bbox.x1 and box.y1 <= page.bbox.y1, text


@pytest.mark.parametrize("kind", ["profile", "ecdf", "leaderboard", "ranks", "data_profile", "tuning_curve"])
def test_each_kind_is_written_and_refuses_in_one_sentence(results, tmp_path, kind):
    paths = plots.draw(kind, results, tmp_path, optimizers="adam,lion")
    assert [path.name for path in paths] == [f"{kind}.png", f"{kind}.svg"]
    with pytest.raises(ValueError, match="no run with optimizer 'adm'.*did you mean 'adam'"):
        plots.draw(kind, results, tmp_path, optimizers="adm")
    if kind != "tuning_curve":  # one optimizer alone may be tuned
        with pytest.raises(ValueError, match="at least two optimizers; this folder holds adam"):
            plots.draw(kind, results, tmp_path, optimizers="adam")
    with pytest.raises(ValueError, match="holds no runs"):
        plots.draw(kind, results._replace(runs=pd.DataFrame()), tmp_path)


@pytest.mark.parametrize("axis", ["steps", "evaluations", "oracle", "seconds"])
def test_losses_are_drawn_against_the_cost_that_was_asked_for(axis):
    results = plots_data.tables(["beale"], ["adam", "newton"])
    chosen = select(results, "beale", ["adam", "newton"])
    ax = curves.loss(style.figure(6, 4).add_axes((0.2, 0.2, 0.5, 0.7)), chosen.best, chosen.curves, x=axis)
    for _, run in chosen.best.iterrows():
        rows = chosen.curves[chosen.curves.run_id == run.run_id]
        paid = np.sort(metrics.cost(rows, axis, runs=chosen.best))
        lines = [line.get_xdata() for line in ax.lines if line.get_color() == style.color(run.optimizer)]
        assert any(len(x) > 1 and np.allclose(x, paid[: len(x)]) for x in lines)
    assert ax.get_xlabel() == curves.COSTS[axis]
    shown = [tick for tick in ax.get_xticks() if ax.get_xlim()[0] <= tick <= ax.get_xlim()[1]]
    assert len(shown) >= 2


@pytest.mark.parametrize(("axes", "said"), [("steps", "two costs"), ("steps,hours", "there is no cost axis 'hours'")])
def test_other_costs_are_one_sentence(axes, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        plots.draw("curves", plots_data.tables(["beale"], ["adam", "newton"]), tmp_path, axes=axes)
    assert list(tmp_path.iterdir()) == []
