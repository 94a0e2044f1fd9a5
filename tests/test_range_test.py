"""The rate that a range test suggests, and its figure."""

import numpy as np
import pandas as pd
import pytest

from optlab.plots import range_test
from optlab.table import Results

EMPTY = pd.DataFrame()


def results(rate, value):
    curves = pd.DataFrame({"run_id": "a", "step": np.arange(len(rate)), "learning_rate": rate, "value": value})
    row = {"run_id": "a", "optimizer": "sgd", "problem": "p", "status": "max_steps", "seed": 0}
    runs = pd.DataFrame([row | {"optimizer.learning_rate": rate[-1]}])
    return Results(runs, curves, EMPTY, EMPTY, EMPTY, EMPTY)


def test_the_suggested_rate_is_where_the_loss_falls_fastest_and_not_where_it_rises():
    rate = np.logspace(-5, 1, 121)
    at = np.log10(rate)
    value = 2 - np.tanh(3 * (at + 2)) + np.exp(4 * (at - 0.2))  # falls about 0.01, lowest near 0.16, then explodes
    (row,) = range_test.table(*results(rate, value)[:2]).itertuples()
    # Within two rows of 0.05 decades: smoothing over five rows flattens the steepest place.
    assert abs(np.log10(row.suggested) + 2) <= 0.1
    assert row.suggested < row.lowest < 0.5
    value[-5:] = np.nan  # a run that diverges in the end
    (same,) = range_test.table(*results(rate, value)[:2]).itertuples()
    assert same.suggested == row.suggested


def test_the_figure_is_written_and_runs_without_a_schedule_are_refused(tmp_path):
    rate = np.logspace(-4, 0, 41)
    paths = range_test.draw(results(rate, 2 - np.log10(rate) ** 2 / 9), tmp_path, format="png")
    assert [path.name for path in paths] == ["range_test_p.png"] and paths[0].stat().st_size > 10_000
    found = results(rate, rate)
    with pytest.raises(ValueError, match="schedule=range_test"):
        range_test.draw(found._replace(curves=found.curves.drop(columns="learning_rate")), tmp_path)
