"""The figures of a spectrum, from tables made with NumPy."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from optlab import plots
from optlab.plots import spectrum
from optlab.table import Results

EMPTY = pd.DataFrame()
STEPS = (0, 10, 40, 100, 1000)


def tables(runs=("0123456789", "abcdefabcd"), steps=STEPS, operators=("hessian",), probes=3):
    """Eigenvalues that grow with the step, a bulk at zero and a few that are negative."""
    random = np.random.default_rng(0)
    rows, values = [], []
    for run, step, operator in itertools.product(runs, steps, operators):
        at = {"run_id": run, "optimizer": "adam", "step": step, "operator": operator}
        top = (1 + np.log1p(step)) * np.array([1.0, 0.98, 0.5, -0.2])
        for probe in range(probes):
            nodes = np.concatenate([top, random.normal(size=26) * 0.02])
            weights = np.concatenate([np.full(4, 1e-3), random.uniform(size=26)])
            weights /= weights.sum()
            rows += [at | {"probe": probe, "node": n, "weight": w} for n, w in zip(nodes, weights, strict=True)]
        whole = {"residual": 0.0, "trace": 40.0 + step, "trace_error": 3.0, "negative_share": 0.2, "parameters": 1000}
        values += [at | whole | {"rank": rank, "value": top[rank]} for rank in (0, 1, 2, -1)]
    return pd.DataFrame(rows), pd.DataFrame(values)


def results(rows, values):
    given = {"spectra": rows, "eigenvalues": values}
    return Results(**{name: given.get(name, EMPTY) for name in Results._fields})


@pytest.fixture(scope="module")
def two_runs():
    return results(*tables())


def test_the_density_has_the_area_of_the_weights_and_its_error_is_over_probes():
    rows = pd.DataFrame({"probe": [0, 0, 1, 1], "node": [-2.0, 3.0] * 2, "weight": [0.5, 0.5, 0.25, 0.75]})
    u = np.linspace(-8, 8, 4001)
    middle, error = spectrum.density(rows, u, 0.1, 0.01)
    # Gaussians of 40 points for each deviation: the sum over points is their area but for rounding
    np.testing.assert_allclose(middle.sum() * (u[1] - u[0]), 1, rtol=1e-9)
    at = np.argmin(np.abs(u - np.arcsinh(-2 / 0.01)))
    np.testing.assert_allclose(middle[at], 0.375 / 0.1 / np.sqrt(2 * np.pi), rtol=1e-3)
    np.testing.assert_allclose(error[at] / middle[at], 0.125 / 0.375, rtol=1e-9)  # |0.5 - 0.25| / 2 of the mean
    assert not spectrum.density(rows[:2], u, 0.1, 0.01)[1].any()  # of one probe none is known


def test_steps_are_those_asked_for_or_a_few_with_both_ends():
    assert spectrum.shown([5, 5, 0, 9]) == [0, 5, 9]
    assert spectrum.shown(range(101)) == [0, 33, 67, 100]
    assert spectrum.shown(range(101), "7,3") == [7, 3] and spectrum.shown(range(9), 4) == [4]
    with pytest.raises(ValueError, match="no spectrum of step 5; there are 0, 10"):
        spectrum.shown([0, 10], 5)


def test_each_run_gets_a_figure_and_one_over_its_steps(two_runs, tmp_path):
    paths = plots.draw("spectrum", two_runs, tmp_path)
    stems = ["spectrum_hessian_adam_01234567", "spectrum_hessian_adam_abcdefab"]
    assert [path.name for path in paths] == [f"{s}{end}.png" for s in stems for end in ("", "_steps")]
    assert all(path.stat().st_size > 20_000 for path in paths)


def test_one_run_at_one_step_gives_one_figure_and_operators_are_apart(tmp_path):
    rows, values = tables(runs=("0123456789",), steps=(7,), operators=("hessian", "gauss_newton"), probes=1)
    paths = spectrum.draw(results(rows, values), tmp_path, run="0123", format="svg")
    assert [path.name for path in paths] == [
        "spectrum_hessian_adam_01234567.svg", "spectrum_gauss_newton_adam_01234567.svg"
    ]  # fmt: skip


def test_of_two_spectra_of_one_run_the_finer_is_drawn():
    parts = {name: tables(runs=("0123456789",), probes=probes) for name, probes in (("a", 2), ("b", 4), ("c", 3))}
    rows, values = (pd.concat([p[k].assign(landscape_id=name) for name, p in parts.items()]) for k in (0, 1))
    ((kept, ends),) = spectrum.chosen(results(rows, values), None)
    assert set(kept.landscape_id) == set(ends.landscape_id) == {"b"} and len(ends) == 4 * len(STEPS)


def words_of(page):
    """Boxes of all words on a sheet, but the ticks beyond the ends of an axis, which are not drawn."""
    page.canvas.draw()
    axes = [axis for ax in page.axes for axis in (ax.xaxis, ax.yaxis)]
    ends = [(axis, *sorted(axis.get_view_interval())) for axis in axes]
    ticks = [(tick, low, high) for axis, low, high in ends for tick in axis.get_major_ticks()]
    beyond = {tick.label1 for tick, low, high in ticks if not low <= tick.get_loc() <= high}
    words = [t for t in page.findobj(Text) if t.get_visible() and t.get_text().strip() and t not in beyond]
    return {text: text.get_window_extent() for text in words}


@pytest.mark.parametrize("steps", [(0,), (0, 1000), (0, 10, 1000), (0, 10, 100, 1000), STEPS, None], ids=str)
def test_no_words_overlap_or_leave_the_sheet(two_runs, steps):
    ((rows, values), _) = spectrum.chosen(two_runs, None)
    page = spectrum.sheet(rows, values, steps) if steps else spectrum.over_steps(rows, values)
    boxes = words_of(page)
    assert len(boxes) > 10
    for (one, first), (other, second) in itertools.combinations(boxes.items(), 2):
        assert not first.overlaps(second), (one, other)
    for text, box in boxes.items():
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= page.bbox.x1 and box.y1 <= page.bbox.y1, text


def test_panels_share_their_axes_and_reach_as_far_to_either_side(two_runs):
    ((rows, values),) = spectrum.chosen(two_runs, "0123")
    page = spectrum.sheet(rows, values, [0, 1000], 0.1)
    limits = {(ax.get_xlim(), ax.get_ylim()) for ax in page.axes}
    assert len(limits) == 1
    ((low, high), (floor, _)) = limits.pop()
    assert low == -high and high > 1 + np.log1p(1000)
    # a third of a Gaussian of the weight of one of a thousand
    np.testing.assert_allclose(floor, 1e-3 / 3 / 0.1 / np.sqrt(2 * np.pi), rtol=1e-9)


def test_what_cannot_be_drawn_is_refused_in_one_sentence(two_runs, tmp_path):
    with pytest.raises(ValueError, match="optlab landscape spectrum FOLDER"):
        spectrum.draw(results(EMPTY, EMPTY), tmp_path)
    with pytest.raises(ValueError, match="no spectrum of run 'zzz'; there are 0123456789, abcdefabcd"):
        spectrum.draw(two_runs, tmp_path, run="zzz")
    with pytest.raises(ValueError, match="no spectrum of step 3"):
        spectrum.draw(two_runs, tmp_path, step=3)
    with pytest.raises(ValueError, match="width"):
        spectrum.draw(two_runs, tmp_path, width=0)
    assert not list(tmp_path.iterdir())
