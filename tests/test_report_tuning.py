"""The report keeps default, tuned and scheduled settings apart, says by which seeds, and how much numbers matter."""

import numpy as np
import pandas as pd
import pytest
from test_report import cells, made, many, outline, part_of, written

from optlab import metrics
from optlab.metrics.intervals import interquartile_mean
from optlab.report import scores, sensitivity, tuning
from optlab.report.comparison import compare
from optlab.table import load

RATE = "optimizer.learning_rate"


def marked(repeats=12, default=0.1):
    """`many` with its default marked: adam and lion at two rates, of which 1.0 is the better one."""
    results = many(repeats)
    return results._replace(runs=results.runs.assign(default=results.runs[RATE] == default, schedule="constant"))


def scheduled(repeats=12):
    """The same also with a schedule, with which lion comes down as fast as adam; it is the default, too."""
    results = marked(repeats)
    curves, runs = results.curves, results.runs
    own = runs[runs.optimizer == "lion"]
    better = own.run_id.str.replace("lion", "adam")
    way = curves[curves.run_id.isin(better)].copy()
    way["run_id"] = way.run_id.str.replace("adam", "cosine")
    ends = way.groupby("run_id")[["value", "best_value", "gap"]].last()
    more = own.assign(run_id=own.run_id.str.replace("lion", "cosine"), schedule="cosine")
    more[["value", "best_value", "gap"]] = ends.loc[more.run_id].to_numpy()
    return results._replace(
        runs=pd.concat([runs, more], ignore_index=True), curves=pd.concat([curves, way], ignore_index=True)
    )


def areas(found, optimizer, rate, schedule="constant"):
    """Anytime areas of the scoring seeds at a setting, straight from the metrics."""
    runs = found.stored.runs
    here = runs[(runs.optimizer == optimizer) & (runs[RATE] == rate) & (runs.schedule == schedule)]
    here = here[here.seed.isin(found.scoring)]
    whole = metrics.anytime_area(found.stored).set_index("run_id").area
    return whole.loc[here.run_id].to_numpy()


def test_default_tuned_and_schedule_are_scored_on_the_seeds_that_chose_nothing():
    found = compare(scheduled())
    known = tuning.protocols(found)
    assert list(known) == ["default", "tuned", "schedule"]
    assert not set(found.tuning) & set(found.scoring) and len(found.scoring) == 6
    for each in known.values():
        assert set(each.scores.seed) == set(found.scoring)
    settings = {what: each.settings.set_index("optimizer") for what, each in known.items()}
    assert settings["default"][RATE].tolist() == [0.1, 0.1]
    assert settings["tuned"].loc["lion", [RATE, "schedule", "tried"]].tolist() == [1.0, "constant", 2]
    assert settings["schedule"].loc["lion", [RATE, "schedule", "tried"]].tolist() == [1.0, "cosine", 4]
    assert settings["schedule"].loc["adam", [RATE, "schedule", "tried"]].tolist() == [1.0, "constant", 2]


def test_the_page_has_each_protocol_with_its_numbers_and_claims(tmp_path):
    results = scheduled()
    page, found = written(results, tmp_path), compare(results)
    shown = cells(page, "at an edge")
    for optimizer, best in (("lion", "cosine"), ("adam", "constant")):
        rows = areas(found, optimizer, 0.1), areas(found, optimizer, 1.0), areas(found, optimizer, 1.0, best)
        for cell, own in zip(shown[optimizer], rows, strict=False):
            assert cell.startswith(f"{interquartile_mean(own):.2f} [")
    assert shown["lion"][3:5] == ["2", "4"] and shown["adam"][3:5] == ["2", "2"]
    assert "Seeds 0 to 5 chose the settings, 6 to 11 scored them: no run does both." in page
    lion = metrics.beats(areas(found, "lion", 1.0, "cosine"), areas(found, "lion", 1.0), goal="max")
    assert lion.holds
    assert f"From tuned to the best schedule a gain is claimed for lion ({lion.statistic:.1f} standard errors)." in page


def test_too_few_seeds_are_flagged_and_not_reused_in_silence(tmp_path):
    page = written(marked(1), tmp_path)
    assert "Not kept apart." in page and "Seed 0 chose the settings and scored them, too" in page
    assert "Not kept apart." not in written(marked(2), tmp_path)
    assert "Seed 0 chose the settings, 1 scored them" in written(marked(2), tmp_path)
    assert "no gain is claimed: n too small (1 scoring repeats" in written(marked(2), tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r.drop(columns="default"), "do not mark which settings are defaults"),
        (lambda r: r.assign(default=None), "do not mark which settings are defaults"),
        (lambda r: r.assign(default=r.default & (r.optimizer == "adam")), "these did not run: lion"),
        (lambda r: r[r[RATE] == 1.0].reset_index(drop=True), "Each optimizer ran at one setting: nothing was tuned"),
    ],
)
def test_what_is_not_known_of_defaults_is_said(tmp_path, change, said):
    results = marked()
    page = written(results._replace(runs=change(results.runs)), tmp_path)
    assert said in page
    if "did not run" in said:
        assert cells(page, "at an edge")["lion"][0] == "–"


def test_a_budget_is_the_number_of_trials_of_each(tmp_path):
    results = made()
    found = compare(results, budget=2)
    assert set(found.settings.tried) == {2} and set(found.settings.of) == {5}
    page = written(results, tmp_path, budget=2)
    assert "the budget is 2" in page and "best of 2 trials" in page
    assert {row[-2] for row in cells(page, "at an edge").values()} == {"2"}
    with pytest.raises(ValueError, match="budget must be a whole number of at least 1"):
        compare(results, budget=0)


def test_trials_are_chosen_by_gaps_of_tuning_seeds_and_worth_the_scores_of_others():
    found = compare(marked())
    table = tuning.trials(found)
    assert len(table) == 4
    own = table[table.optimizer == "adam"].sort_values("chosen_by")
    runs = found.stored.runs
    for row, rate in zip(own.itertuples(), (1.0, 0.1), strict=True):
        here = runs[(runs.optimizer == "adam") & (runs[RATE] == rate)]
        gaps = here.gap[here.seed.isin(found.tuning)].to_numpy(float)
        np.testing.assert_allclose(row.chosen_by, interquartile_mean(gaps), rtol=1e-12)
        np.testing.assert_allclose(1 - row.loss, interquartile_mean(areas(found, "adam", rate)), rtol=1e-12)
    curves, _, _ = scores.tuning_curves(found)
    last = curves[(curves.optimizer == "adam") & (curves.k == 2)]
    np.testing.assert_allclose(last.expected, interquartile_mean(areas(found, "adam", 1.0)), rtol=1e-12)


# Sensitivity


def quadratic(rates=(0.25, 0.5, 1.0, 2.0, 4.0), momenta=(0.5, 0.7, 0.9), curvature=2.0):
    """Runs whose gap is 1e-4 (1 + |log2 rate| 100) at momentum 0.9, else ten times that; 4 diverges."""
    results = many(1)
    kept, curves = [], []
    for optimizer, seed in (("adam", 0), ("lion", 0)):
        for rate in rates:
            for momentum in momenta:
                run_id = f"{optimizer}{rate}{momentum}"
                gap = 1e-4 * (1 + 100 * abs(np.log2(rate))) * (1 if momentum == 0.9 else 10)
                one = results.runs.iloc[0].to_dict() | {"run_id": run_id, "optimizer": optimizer, "seed": seed}
                one |= {RATE: rate, "optimizer.momentum": momentum, "gap": gap, "value": gap, "best_value": gap}
                kept.append(one | {"status": "diverged" if rate == 4 else "max_steps"})
                way = results.curves[results.curves.run_id == results.runs.run_id[0]].copy()
                way = way.assign(run_id=run_id, gap=np.linspace(1, gap, len(way)), sharpness=curvature)
                curves.append(way)
    return results._replace(runs=pd.DataFrame(kept), curves=pd.concat(curves, ignore_index=True))


def test_a_response_has_other_settings_at_their_best_and_maps_have_both():
    results = quadratic()
    made_of = sensitivity.responses(compare(results), results)
    assert list(made_of) == [RATE, "optimizer.momentum", f"{RATE} optimizer.momentum"]
    two = quadratic(momenta=(0.5, 0.9))
    assert list(sensitivity.responses(compare(two), two)) == [RATE]  # of two values nothing is said
    own = made_of[RATE][made_of[RATE].optimizer == "adam"]
    np.testing.assert_allclose(own.loss, [0.0201, 0.0101, 1e-4, 0.0101, 1.0], rtol=1e-12)  # the last diverged
    assert len(made_of[f"{RATE} optimizer.momentum"]) == 2 * 5 * 3


def test_the_table_of_rates_has_the_widths_by_hand_and_the_limit_of_theory(tmp_path):
    page = written(quadratic(), tmp_path)
    shown = cells(page, "by 2/λmax")["adam"]
    # 1e-4 + d (1 - 1e-4) is reached where 0.01 |log2 rate| is d (1 - 1e-4) up to rate 2 and down to 0.25: at 1 % after
    # 0.9999 octaves on either side; at 5 and 10 % on the left the grid's end (two octaves), on the right between 2 and
    # the diverged 4, by (0.0501 - 0.0101) / (1 - 0.0101) = 0.0403 octaves beyond 2, or 0.0908.
    octave = np.log10(2)
    expected = [1.9998 * octave, 3.0404 * octave, 3.0909 * octave]
    assert shown[:3] == [f"{w:.2f}" for w in expected]
    assert shown[3] == "1, 0" and shown[-2:] == ["2", "2"]  # 2 / lambda_max is 1
    areas_shown = cells(page, "problems")["adam"]
    assert areas_shown[:2] == ["1", "0.9"]


@pytest.mark.parametrize("parameter", ["problem.batch_size", "problem.init_scale"])
def test_numbers_of_the_training_problem_are_axes_and_its_dimension_is_none(parameter):
    results = quadratic(momenta=(0.9,))
    runs = results.runs.rename(columns={RATE: parameter}).drop(columns="optimizer.momentum")
    results = results._replace(runs=runs.assign(**{"problem.dim": runs[parameter]}))
    assert sensitivity.axes(results.runs) == [parameter]
    alone = results._replace(runs=runs)
    table = sensitivity.responses(compare(alone), alone)[parameter]
    assert table.problem.unique().tolist() == ["bowl"] and table[parameter].nunique() == 5


# Data profiles


def test_data_profiles_are_those_of_the_metrics_in_both_units(tmp_path):
    results = made()
    results = results._replace(runs=results.runs.assign(**{"problem.dim": 10}))
    found = compare(results)
    page = written(results, tmp_path)
    for axis, unit in (("evaluations", 11), ("oracle", 2)):
        profile, _, _, what = scores.data_profiles(found, axis)
        times = metrics.relative_runtimes(found.stored, axis=axis)
        costs = metrics.typical(times[times.run_id.isin(found.chosen.runs.run_id)]) / unit
        at = np.geomspace(0.1, 1000, 30)
        for optimizer, column in metrics.share_at(profile, at).items():
            expected = (costs[optimizer].to_numpy()[None] <= at[:, None] * (1 + 1e-12)).mean(axis=1)
            np.testing.assert_allclose(column, expected, atol=1e-12)
        assert f"({what})" in page
    unknown = written(made(), tmp_path)
    assert "the dimension of problem" in unknown and "gradients (oracle cost of one)" in unknown
    with pytest.raises(ValueError, match="counts evaluations or oracle cost, not steps"):
        scores.data_profiles(compare(results, axis="steps"))


def test_digits_are_not_claimed_of_a_minimum_that_nobody_knows(tmp_path):
    results = many()
    assert cells(written(results, tmp_path), "P(adam better)")["adam"][3].endswith("]")
    unknown = results._replace(runs=results.runs.assign(gap=np.nan), curves=results.curves.assign(gap=np.nan))
    (table,) = [t for t in outline(written(unknown, tmp_path)).tables if t[0][-1] == "P(adam better)"]
    assert "digits" not in table[0]


def test_a_problem_of_its_own_has_no_common_protocol(tmp_path):
    results = made()
    apart = part_of(results, (results.runs.optimizer == "adam") == (results.runs.problem == "p0"))
    assert "their ways of tuning are not compared" in written(apart, tmp_path)


# The mark


def test_the_sweep_marks_what_the_catalogue_has_whatever_the_schedule(optlab_command, tmp_path):
    rates = "optimizer.learning_rate=0.1,0.3,0.30000000000000004"  # the last as a grid of logarithms meets 0.3
    words = [f"results={tmp_path}", "problem=beale", "steps=3"]
    assert optlab_command("-m", *words, "optimizer=adam,bfgs", "schedule=constant,cosine", rates)[0] == 0
    runs = load(tmp_path).runs
    assert set(runs.schedule) == {"constant", "cosine"}
    assert (runs["default"] == ((runs.optimizer == "bfgs") | (runs[RATE] > 0.2))).all()  # conf has 0.3 for adam
    assert len(runs) == 2 * 3 + 1
    # Of a single run Hydra has put the changed rate into the optimizer: what it replaced is not known.
    assert optlab_command(*words, "name=one", "optimizer=adam")[0] == 0
    assert optlab_command(*words, "name=other", "optimizer=adam", "optimizer.learning_rate=0.2")[0] == 0
    assert load(tmp_path / "one").runs["default"].tolist() == [True]
    assert "default" not in load(tmp_path / "other").runs
