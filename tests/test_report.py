"""A report says what the metrics say, claims no more, and is one file that can be read anywhere."""

import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from explorer_browser import browsing, needs_chromium, opened

from benchmarks.metrics import tables
from optlab import metrics
from optlab.metrics.intervals import interquartile_mean
from optlab.report import build, html, ink, problems, scores, sections
from optlab.report.comparison import compare, losses
from optlab.table import Results, runs_rows, write_part

NONE = pd.DataFrame()
NAMES = ("adam", "lbfgs", "gradient_descent", "nesterov")


def made(optimizers=4, count=5, seeds=None):
    results = tables(optimizers, count)
    runs = results.runs.assign(optimizer=results.runs.optimizer.map({f"o{k}": n for k, n in enumerate(NAMES)}))
    if seeds is not None:
        runs = runs[runs.seed.isin(seeds)]
    return results._replace(runs=runs.reset_index(drop=True))


def part_of(results, keep):
    return results._replace(runs=results.runs[keep].reset_index(drop=True))


def many(repeats=12):
    """One problem of two optimizers, each with so many seeds at two rates; adam is the better one."""
    rng = np.random.default_rng(3)
    runs, curves = [], []
    for optimizer, speed in (("adam", 0.2), ("lion", 0.02)):
        for rate in (0.1, 1.0):
            for seed in range(repeats):
                run_id, step = f"{optimizer}{rate}{seed}", np.arange(0, 101, 5)
                gap = rng.uniform(1, 2) * np.exp(-speed * rate * step * rng.uniform(0.9, 1.1))
                counts = {"n_value": step + 1, "n_grad": step + 1, "n_hvp": 0}
                curves.append(pd.DataFrame({"run_id": run_id, "step": step, **counts, "value": gap, "best_value": gap}))
                curves[-1]["gap"] = gap
                ends = {"value": gap[-1], "best_value": gap[-1], "gap": gap[-1], "status": "max_steps"}
                ends |= {"steps": 100, "n_value": 101, "n_grad": 101, "n_hvp": 0, "seconds": 0.1, "study": "many"}
                keys = {"run_id": run_id, "problem": "bowl", "optimizer": optimizer, "seed": seed}
                runs.append(keys | {"optimizer.learning_rate": rate} | ends)
    return Results(pd.DataFrame(runs), pd.concat(curves, ignore_index=True), NONE, NONE, NONE, NONE)


class Outline(HTMLParser):
    """Ids, tables as lists of rows of texts, and tags of a page."""

    def __init__(self):
        super().__init__()
        self.ids, self.tags, self.tables, self.open = [], [], [], False

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.ids += [value for name, value in attrs if name == "id"]
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("th", "td"):
            self.tables[-1][-1].append("")
            self.open = True

    def handle_endtag(self, tag):
        if tag in ("th", "td"):
            self.open = False

    def handle_data(self, data):
        if self.open:
            self.tables[-1][-1][-1] += data


def outline(page):
    found = Outline()
    found.feed(page)
    return found


def written(results, folder, **options):
    build.write(results, folder / "report.html", folder=folder, figures=False, **options)
    return (folder / "report.html").read_text()


def cells(page, head):
    """The table whose first line ends so, as {first cell: other cells}."""
    (table,) = [rows for rows in outline(page).tables if rows[0][-1] == head]
    return {row[0].replace(" ", "_"): row[1:] for row in table[1:]}


@pytest.fixture(scope="module")
def results():
    return made()


@pytest.fixture(scope="module")
def page(results, tmp_path_factory):
    return written(results, tmp_path_factory.mktemp("report"))


# What is compared


def test_seeds_that_choose_do_not_score_and_the_choice_is_that_of_the_metrics():
    results = many()
    found = compare(results)
    assert found.tuned and found.apart
    chooses = set(results.runs.seed) - set(found.chosen.runs.seed)
    assert len(chooses) == 6 and len(set(found.chosen.runs.seed)) == 6
    expected = metrics.tune(results.runs, chooses, chance=metrics.initial(results.curves, "gap"), measure="gap")
    pd.testing.assert_frame_equal(found.settings, expected)
    scored = metrics.scored(results.runs, expected, chooses, "tuned")
    assert set(scored.run_id) == set(found.chosen.runs.run_id)


@pytest.mark.parametrize(("repeats", "scoring"), [(2, 1), (4, 2), (6, 5), (8, 5), (12, 6)])
def test_at_least_half_of_the_repeats_score_and_five_where_there_are_six(repeats, scoring):
    assert compare(many(repeats)).chosen.runs.seed.nunique() == scoring


def test_a_single_repeat_must_do_both_and_that_is_said():
    found = compare(many(1))
    assert found.tuned and not found.apart and "too good by chance" in found.protocol
    as_given = part_of(many(1), many(1).runs["optimizer.learning_rate"] == 1.0)
    assert "as it was given" in compare(as_given).protocol


def test_without_a_known_minimum_scores_are_the_share_of_the_way():
    results = many()
    unknown = results._replace(
        runs=results.runs.assign(gap=np.nan, value=results.runs.value + 5, best_value=results.runs.best_value + 5),
        curves=results.curves.assign(
            gap=np.nan, value=results.curves.value + 5, best_value=results.curves.best_value + 5
        ),
    )
    found = compare(unknown)
    assert not found.known
    row = found.scores.iloc[0]
    own = unknown.curves[unknown.curves.run_id == row.run_id].value
    least = unknown.runs.best_value.min()
    np.testing.assert_allclose(row.score, (own.iloc[0] - own.iloc[-1]) / (own.iloc[0] - least), rtol=1e-12)
    assert set(found.times.target) == set(metrics.MORE_WILD)


def test_starts_stated_by_hand_are_repeats_and_controls_compete_with_nobody(results):
    by_hand = results._replace(runs=results.runs.assign(**{"problem.start": results.runs.seed.astype(str), "seed": 0}))
    assert compare(by_hand).chosen.runs.seed.nunique() == 3
    renamed = results._replace(runs=results.runs.assign(optimizer=results.runs.optimizer.replace("lbfgs", "stay")))
    found = compare(renamed)
    assert "stay" not in set(found.scores.optimizer) and any("Controls" in s for s in found.left_out)


# Numbers


def test_the_leaderboard_has_the_numbers_of_the_metrics(results, page):
    found = compare(results)
    board = metrics.intervals(found.scores, "score").set_index("optimizer")
    shown = cells(page, f"P({board.score.idxmax().replace('_', ' ')} better)")
    hits = found.times[np.isclose(found.times.target, 1e-8)]
    rank = metrics.critical_difference(losses(found)).ranks
    gained = metrics.digits(found.chosen)
    for optimizer, (_, score, solved, digits, mean, _) in shown.items():
        assert score == f"{board.score[optimizer]:.2f} ({metrics.TOO_SMALL})"  # of 5 seeds 3 score
        own = np.isfinite(hits.runtime[hits.optimizer == optimizer])
        low, high = metrics.wilson(own.sum(), len(own))
        assert solved == f"{own.mean():.0%} [{float(low):.0%}, {float(high):.0%}]"
        assert mean == f"{rank[optimizer]:.1f}"
        own = interquartile_mean(gained.digits[gained.optimizer == optimizer].to_numpy())
        assert digits == f"{own:.1f} ({metrics.TOO_SMALL})"
    assert [int(row[0]) for row in shown.values()] == list(range(1, len(shown) + 1))


def test_with_runs_enough_there_are_intervals_and_a_claim_that_the_rule_bears(tmp_path):
    results = many()
    page = written(results, tmp_path)
    found = compare(results)
    board = metrics.intervals(found.scores, "score").set_index("optimizer")
    row = board.loc["adam"]
    shown = cells(page, "P(adam better)")
    assert shown["adam"][1] == f"{row.score:.2f} [{row.low:.2f}, {row.high:.2f}]"
    assert shown["lion"][-1] == "1.00 [1.00, 1.00]"
    values = {o: part.score.to_numpy() for o, part in found.scores.groupby("optimizer")}
    claim = metrics.beats(values["adam"], values["lion"], goal="max")
    assert claim.holds and f"adam is better than lion: {claim.statistic:.1f} standard errors" in page
    assert "Across problems no difference is claimed: n too small (1 problems" in page


def test_what_the_rule_does_not_bear_is_not_claimed():
    results = many()
    alike = results._replace(runs=results.runs[results.runs.optimizer == "adam"].copy())
    alike.runs["optimizer"] = np.where(alike.runs.seed % 2, "adam", "lion")
    alike.runs["seed"] //= 2
    only = part_of(alike, alike.runs["optimizer.learning_rate"] == 1.0)
    found = compare(only)
    order = list(problems.board_of_each(found.scores)["bowl"].optimizer)
    assert problems.verdict(found, "bowl", order).startswith("No difference is claimed between")


def test_differences_across_problems_are_those_that_pass_holms_correction():
    clear = pd.DataFrame({"adam": np.linspace(0.1, 0.2, 9), "lion": np.linspace(0.5, 0.9, 9)}, index=list("abcdefghi"))
    found = compare(many())
    said = sections.differences(found, clear.rename_axis("problem"))
    assert "adam is better than lion: on 9 of 9 problems, p = 0.0039" in said
    said = sections.differences(found, clear.assign(lion=clear.adam[::-1].to_numpy()).rename_axis("problem"))
    assert "No difference between any two optimizers is claimed" in said


def test_profiles_and_runtimes_have_the_numbers_of_the_metrics(results, page):
    found = compare(results)
    costs = scores.cases(found)
    score, profile = metrics.algoperf_score(costs), metrics.performance_profile(costs)
    for optimizer, row in cells(page, "ahead of the next").items():
        own = profile[profile.optimizer == optimizer].share
        assert row[:3] == [f"{score[optimizer]:.2f}", f"{own.iloc[0]:.0%}", f"{own.iloc[-1]:.0%}"]
    assert len(costs) == 4 * 5 and "20 cases: 5 problems" in page
    budget = metrics.median_budget(found.times)
    for optimizer, row in cells(page, "budget").items():
        assert row[-1] == sections.count(budget[optimizer])


def test_each_problem_has_a_section_with_its_own_intervals():
    found = compare(made())
    boards = problems.board_of_each(found.scores)
    for problem, board in boards.items():
        part = found.scores[found.scores.problem == problem]
        alone = metrics.intervals(part, "score", draws=2000).set_index("optimizer")
        np.testing.assert_array_equal(board.score, alone.score[board.optimizer])
    found = compare(many())
    alone = metrics.intervals(found.scores, "score", draws=2000).set_index("optimizer")
    board = problems.board_of_each(found.scores)["bowl"].set_index("optimizer")
    np.testing.assert_array_equal(board[["low", "high"]], alone.loc[board.index, ["low", "high"]])


def test_losses_are_interquartile_means(results):
    found = compare(results)
    part = found.scores[(found.scores.problem == "p1") & (found.scores.optimizer == "adam")]
    np.testing.assert_allclose(losses(found).loc["p1", "adam"], 1 - interquartile_mean(part.score.to_numpy()))


def test_the_median_curve_is_an_order_statistic_of_the_runs():
    found = compare(many())
    (line,) = [line for line in problems.medians(found)["bowl"] if line.optimizer == "adam"]
    ids = found.chosen.runs.run_id[found.chosen.runs.optimizer == "adam"]
    last = found.chosen.curves[found.chosen.curves.run_id.isin(ids)].groupby("run_id").gap.last()
    np.testing.assert_allclose(line.y[-1], sorted(last)[(len(last) - 1) // 2], rtol=1e-12)


def test_failures_count_all_runs(results, page):
    shown = cells(page, "diverged")
    lost = (results.runs.status == "diverged").groupby(results.runs.optimizer)
    for optimizer, row in shown.items():
        assert int(row[-1].replace(",", "")) == lost.sum()[optimizer]
        assert row[0].startswith(f"{lost.mean()[optimizer]:.0%} [")


# The page


def test_the_page_is_one_file_with_unique_ids_and_no_script(page):
    found = outline(page)
    assert len(found.ids) == len(set(found.ids))
    assert not {"script", "img", "link", "iframe", "object"} & set(found.tags)
    assert "default-src 'none'" in page and not re.search(r"(?:src|href)=\"(?:https?:)?//", page)
    for key in ("runs", "leaderboard", "profiles", "runtimes", "rates", "failures", "problems", "provenance"):
        assert key in found.ids and f'href="#{key}"' in page
    assert page.count("<details") == 5


EVIL = "</script><img src=x onerror=alert(1)>"


def test_texts_from_tables_inject_nothing(results, tmp_path):
    problem = results.runs.problem.replace("p0", EVIL)
    optimizer = results.runs.optimizer.replace("adam", EVIL)
    error = pd.Series(None, index=results.runs.index, dtype=object)
    error[results.runs.status == "diverged"] = EVIL
    runs = results.runs.assign(problem=problem, optimizer=optimizer, error=error, study=EVIL)
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "<img src=x onerror=alert(2)>.png").touch()
    environments = pd.DataFrame({"environment_id": ["e"], "device": [EVIL]})
    page = written(results._replace(runs=runs, environments=environments), tmp_path)
    assert not {"img", "script"} & set(outline(page).tags)
    assert page.count("onerror") > 5 and "<img" not in page  # it is there, as text


def test_a_label_in_a_chart_is_escaped_and_lines_keep_to_the_axes():
    lines = [ink.Line(EVIL, np.array([1.0, 10.0, 100.0]), np.array([1.0, 1e-3, np.inf]))]
    svg = ink.chart(lines, EVIL, "x")
    assert "<img" not in svg
    heights = [float(y) for d in re.findall(r'd="M([\d. ]+)"', svg) for y in d.split()[1::2]]
    assert min(heights) >= ink.TOP and max(heights) <= ink.HEIGHT - ink.BOTTOM


def test_on_dark_paper_every_colour_has_a_counterpart(page):
    light, dark = (set(re.findall(r"--k([0-9a-f]{6}):", block)) for block in page.split("prefers-color-scheme:dark"))
    used = set(re.findall(r"var\(--k([0-9a-f]{6})", page))
    assert used <= light and used <= dark
    assert html.on_dark("#000000") == "#ffffff" and html.on_dark("#ffffff") == "#161b22"


# Small and odd studies


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (lambda r: r.optimizer == "adam", "a comparison needs at least two optimizers; this folder holds adam"),
        (lambda r: r.problem == "p0", "this needs 2 problems that all ran on, and there is 1"),
        (lambda r: (r.optimizer == "adam") == (r.problem == "p0"), "no problem was run by all of these optimizers"),
        (lambda r: r["optimizer.learning_rate"] == 1e-3, "No optimizer ran at three learning rates"),
        (lambda r: r.run_id == r.run_id.iloc[0], "Only adam ran here"),
        (lambda r: ~((r.optimizer == "adam") & (r.problem == "p0")), "1 of 5 problems were not run by every optimizer"),
    ],
    ids=["one optimizer", "one problem", "nothing in common", "one rate", "one run", "a hole"],
)
def test_what_makes_no_sense_is_left_out_with_a_sentence(results, tmp_path, kept, said):
    page = written(part_of(results, kept(results.runs)), tmp_path)
    assert said in page and 'id="provenance"' in page and "<details" in page


def test_failed_runs_without_curves_count_as_failures(results, tmp_path):
    gone = (results.runs.optimizer == "lbfgs") & (results.runs.problem == "p0")
    empty = dict.fromkeys(("value", "best_value", "gap", "n_value", "n_grad", "steps"), np.nan)
    runs = results.runs.copy()
    runs.loc[gone, list(empty)] = np.nan
    runs.loc[gone, "status"] = "failed"
    curves = results.curves[~results.curves.run_id.isin(runs.run_id[gone])]
    page = written(results._replace(runs=runs, curves=curves, targets=NONE), tmp_path)
    assert "failed" in page and "n too small" in page
    assert compare(results._replace(runs=runs, curves=curves, targets=NONE)).scores.score.notna().all()


def test_a_folder_without_a_number_is_refused(results, tmp_path):
    for part in (results._replace(runs=NONE), results._replace(curves=NONE)):
        with pytest.raises(ValueError, match="this folder holds no"):
            build.write(part, tmp_path / "report.html", folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_figures_are_written_beside_and_linked_where_they_are(results, tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "race_beale & co.mp4").touch()
    paths = build.write(results, tmp_path / "out" / "page.html", folder=tmp_path)
    stems = {"leaderboard", "ranks", "profile", "ecdf", "gradient_profile", "tuning_curve", "sensitivity"}
    assert {p.name for p in paths[1:]} == {f"{s}.{end}" for s in stems for end in ("svg", "pdf")}
    assert all(p.stat().st_size > 3000 for p in paths)
    assert 'href="../figures/race_beale%20%26%20co.mp4"' in paths[0].read_text()
    assert not list(tmp_path.glob("**/*.part"))


def test_the_same_tables_give_the_same_page(results, page, tmp_path):
    shuffled = results._replace(runs=results.runs.sample(frac=1, random_state=1).reset_index(drop=True))
    assert written(results, tmp_path) == page
    assert cells(written(shuffled, tmp_path), "budget") == cells(page, "budget")


def test_settings_that_only_some_have_are_counted_and_chosen(results, tmp_path):
    runs = results.runs.assign(**{"optimizer.nesterov": None, "optimizer.decay": np.nan})
    runs.loc[runs.optimizer == "lbfgs", "optimizer.nesterov"] = True
    runs.loc[runs.optimizer == "adam", "optimizer.decay"] = np.where(runs.seed[runs.optimizer == "adam"] % 2, 0.5, 0.9)
    mixed = results._replace(runs=runs)
    shown = [rows for rows in outline(written(mixed, tmp_path)).tables if rows[0][1] == "swept"][0]
    assert {row[0]: row[2] for row in shown[1:]} == {
        "adam": "10", "lbfgs": "5", "gradient descent": "5", "nesterov": "5",
    }  # fmt: skip
    assert len(compare(results).chosen.runs) == 4 * 5 * 3
    one = part_of(mixed, (runs["optimizer.learning_rate"] == 0.1) & (runs.optimizer != "adam"))
    shown = [rows for rows in outline(written(one, tmp_path)).tables if rows[0][1] == "swept"][0]
    assert [row[1:4] for row in shown[1:]] == [["one setting", "1", "5"]] * 3


def test_what_cannot_be_written_leaves_nothing_half_done(results, tmp_path):
    (tmp_path / "report.html").mkdir()
    with pytest.raises(OSError):
        written(results, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


# The command


def test_the_command_writes_the_page_without_jax(tmp_path):
    folder = tmp_path / "study"
    results = many(4)
    columns = {c: results.runs[c].tolist() for c in results.runs} | {"precision": "float64"}
    curves = results.curves.assign(grad_norm=np.nan)
    write_part(folder, "curves", "part", pa.Table.from_pandas(curves, preserve_index=False))
    write_part(folder, "runs", "part", runs_rows(columns, len(results.runs)))
    code = f"""
import sys
from optlab.app.main import _guarded
assert _guarded(["report", {str(folder)!r}]) == 0
assert "jax" not in sys.modules and "matplotlib.pyplot" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (folder / "report.html").is_file() and len(list((folder / "report").glob("*.svg"))) >= 3


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["report"], "report takes one folder of tables"),
        (["report", "nowhere"], "there is no folder nowhere"),
        (["report", "nowhere", "outptu=x"], "there is no option 'outptu'; did you mean output?"),
        (["report", "nowhere", "figures=no"], "figures is true or false, not 'no'"),
        (["report", "nowhere", "budget=0"], "budget is a whole number of at least 1"),
        (["report", "nowhere", "budget=many"], "budget is a whole number of at least 1"),
    ],
)
def test_bad_input_is_one_sentence(words, sentence, optlab_command):
    code, _, errors = optlab_command(*words)
    assert code == 2 and sentence in errors and errors.count("\n") == 1


@needs_chromium
def test_a_browser_reads_it_on_a_phone_and_in_the_dark_and_asks_for_nothing(page, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(page)
    with browsing() as browser:
        papers = set()
        for width in (390, 1280):
            for scheme in ("light", "dark"):
                options = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
                with opened(browser, path, **options) as tab:
                    tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
                    assert tab.evaluate("document.documentElement.scrollWidth") == width
                    outside = "[...document.querySelectorAll('svg, p, h2, summary')].filter(e => "
                    outside += "e.getBoundingClientRect().right > innerWidth + 1).length"
                    assert tab.evaluate(outside) == 0
                    papers.add(tab.evaluate("getComputedStyle(document.querySelector('section')).backgroundColor"))
                    ground = "getComputedStyle(document.querySelector('#patch_1 path, [id$=patch_1] path')).fill"
                    papers.add(tab.evaluate(ground))
        assert papers == {"rgb(255, 255, 255)", "rgb(22, 27, 34)"}  # paper and figures alike


@needs_chromium
def test_a_problem_that_is_markup_starts_nothing(results, tmp_path):
    runs = results.runs.assign(problem=results.runs.problem.replace("p0", EVIL))
    written(results._replace(runs=runs), tmp_path)
    with browsing() as browser, opened(browser, tmp_path / "report.html") as tab:
        assert tab.evaluate("document.querySelectorAll('img, script').length") == 0
        assert EVIL in tab.evaluate("document.querySelector('#problems').parentElement.textContent")


@pytest.mark.parametrize(
    ("axis", "word"), [("steps", "steps"), ("oracle", "units of one value"), ("seconds", "seconds")]
)
def test_every_score_and_runtime_is_along_the_cost_axis_that_was_asked_for(axis, word):
    found, usual = compare(many(), axis=axis), compare(many())
    wanted = metrics.runtimes(found.chosen, axis=axis)
    pd.testing.assert_frame_equal(found.times, wanted[wanted.run_id.isin(found.chosen.runs.run_id)])
    area = metrics.anytime_area(found.chosen, axis=axis).area
    np.testing.assert_array_equal(found.scores.score, area)
    assert found.unit == word and word in scores.distributions(found)[2] and scores.profiles(found)[2] == word
    assert usual.unit == "evaluations"


def test_an_axis_that_there_is_not_is_one_sentence():
    with pytest.raises(ValueError, match="there is no cost axis 'time'; there is steps"):
        compare(many(), axis="time")
