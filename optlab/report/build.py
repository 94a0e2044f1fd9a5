"""The file itself: sections in order, figures within and beside it, written whole or not at all."""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false
# pyright: reportCallIssue=false

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pandas as pd

from optlab.markup import filled
from optlab.metrics.sensitivity import RATE
from optlab.plots import data_profile, ecdf, leaderboard, profile, ranks, sensitivity_map, style, tuning_curve
from optlab.plots import sensitivity as rates_figure
from optlab.table import Results, write_whole

from . import problems, scores, sections, sensitivity, tuning
from .comparison import Comparison, compare
from .html import Raw, drawing, listed, palette, paragraph, source, text, untitled

HERE = Path(__file__).parent
PANELS = 6  #: problems side by side among learning rates; each has its own chart in its section
LINES = 72  #: optimizers times problems that the figure of learning rates has at most: it takes long
HIGHLIGHTED = 4
LABELS = {
    "leaderboard": "Scores with intervals; the table below has the numbers",
    "ranks": "Mean ranks over problems; the table above has the numbers",
    "profile": "Performance profiles; the table below has their ends",
    "ecdf": "Runtime distributions; the table below has their ends",
    "data_profile": "Data profiles in simplex gradients; the table below has the numbers",
    "gradient_profile": "Data profiles in gradients; the table below has the numbers",
    "tuning_curve": "Expected best of k trials; the table below has the ends",
    "sensitivity_map": "Final gap over two numbers; the table below has best values and areas",
}
SHOWN = (".png", ".svg", ".pdf", ".mp4", ".gif", ".html")


def write(
    results: Results,
    output: Path,
    *,
    folder: Path,
    figures: bool = True,
    axis: str = "evaluations",
    budget: int | None = None,
) -> list[Path]:
    """Writes the page, and with `figures` each of its figures as SVG and PDF into ``report`` beside it.

    Args:
      results: the tables of `folder`.
      output: the file; its folder is made if need be.
      folder: where the study's own figures and animations are, to link to.
      figures: whether figures are written, too.
      axis: what the cost counts, see `metrics.cost`.
      budget: how many settings each optimizer may try on each problem, see `comparison.compare`.

    Returns:
      Paths, the page first.

    Raises:
      ValueError: where there is nothing to compare; nothing is written then.
    """
    found = judged(compare(results, axis=axis, budget=budget), results)
    svgs = {stem: source(sheet) for stem, sheet in found.sheets.items()}
    page = assembled(found, results, svgs, links(folder, output.parent))
    beside = _files(found, svgs, output.parent / "report") if figures else []
    write_whole(output, page.encode())
    return [output, *beside]


def _files(found: "Judged", svgs: dict[str, str], folder: Path) -> list[Path]:
    """Each figure as PDF and SVG."""
    sheets = found.sheets | ({"sensitivity": _panels(found)} if RATE in found.responses else {})
    paths = []
    for stem, sheet in sheets.items():
        paths += style.save(sheet, folder, stem, ("pdf",))
        paths.append(folder / f"{stem}.svg")
        paths[-1].write_text(svgs[stem] if stem in svgs else source(sheet), encoding="utf-8")
    return paths


class Judged(NamedTuple):
    """A comparison with all that is drawn and told of it, each found once."""

    comparison: Comparison
    scores: dict[str, tuple]  #: what each figure draws, by its name
    sheets: dict[str, Any]  #: the figures
    reasons: dict[str, str]  #: why a figure makes no sense here
    responses: sensitivity.Responses  #: to the numbers that were swept, see `sensitivity.responses`


def judged(found: Comparison, results: Results) -> Judged:
    """Everything that is drawn; what cannot be says why."""
    makers: dict[str, tuple[Callable[[Comparison], tuple], Callable[..., Any]]] = {
        "leaderboard": (scores.board, leaderboard.sheet), "ranks": (scores.ranks, ranks.sheet),
        "profile": (scores.profiles, profile.sheet), "ecdf": (scores.distributions, ecdf.sheet),
        "data_profile": (partial(scores.data_profiles, axis="evaluations"), data_profile.sheet),
        "gradient_profile": (partial(scores.data_profiles, axis="oracle"), data_profile.sheet),
        "tuning_curve": (scores.tuning_curves, tuning_curve.sheet),
    }  # fmt: skip
    told, sheets, reasons = {}, {}, {}
    for stem, (find, sheet) in makers.items():
        try:
            told[stem] = find(found)
        except ValueError as error:
            reasons[stem] = f"Left out: {error}."
        else:
            sheets[stem] = sheet(*told[stem])
    responses = sensitivity.responses(found, results)
    for pair, table in ((pair, table) for pair, table in responses.items() if " " in pair):
        whole = sensitivity.whole_grids(table, *pair.split(" "))
        if len(whole):  # of many problems the first: the others are one `optlab plot sensitivity_map` away
            first = str(whole.problem.min())
            sheets["sensitivity_map"] = sensitivity_map.page(whole[whole.problem == first], *pair.split(" "), first)
            break
    return Judged(found, told, sheets, reasons, responses)


def _panels(found: Judged) -> Any:
    response = found.responses[RATE]
    most = max(1, min(PANELS, LINES // response.optimizer.nunique()))
    chosen = sorted(response.problem.unique())[:most]
    return rates_figure.sheet(*rates_figure.collect(found.comparison.stored.runs, chosen, None), HIGHLIGHTED)


def assembled(found: Judged, results: Results, svgs: dict[str, str], linked: list[tuple[str, str]]) -> str:
    """The whole page."""
    runs = results.runs.drop_duplicates("run_id").reset_index(drop=True)
    parts = list(_sections(found, runs, results.environments, svgs, linked))
    body = "".join(
        f'<section id="{key}"><h2>{title}</h2>{inside}</section>' if key != "problems" else inside
        for key, title, inside in parts
    )
    names = ", ".join(map(str, runs.study.unique())) if "study" in runs else "study"
    head = f"<h1>{text(names)}</h1>" + sections.facts(found.comparison, runs)
    bar = "<div>" + "".join(f'<a href="#{key}">{title}</a>' for key, title, _ in parts) + "</div>"
    css = (HERE / "page.css").read_text(encoding="utf-8")
    pieces = {"TITLE": text(f"{names} – optlab report"), "HEAD": head, "LINKS": bar, "BODY": body}
    template = (HERE / "page.html").read_text(encoding="utf-8")
    return filled(template, pieces | {"STYLE": css + palette(head + body)})


def _sections(
    found: Judged,
    runs: pd.DataFrame,
    environments: pd.DataFrame,
    svgs: dict[str, str],
    linked: list[tuple[str, str]],
) -> Iterator[tuple[str, str, str]]:
    """Key, title and inside of each section, in order."""
    comparison = found.comparison
    plots = {stem: drawing(untitled(svg), stem, LABELS[stem]) for stem, svg in svgs.items()}

    def told(stem: str, section: Callable[..., str], *more: str) -> str:
        if stem not in plots:
            return paragraph(found.reasons[stem])
        return section(comparison, found.scores[stem], plots[stem], *more)

    yield "runs", "What was run", sections.protocol(comparison)
    rank = plots.get("ranks", "") or paragraph(found.reasons["ranks"], quiet=True)
    yield "leaderboard", "Leaderboard", told("leaderboard", sections.leaderboard, rank)
    yield "tuning", "Tuning", tuning.section(comparison, _bought(found, plots))
    yield "profiles", "Profiles", told("profile", sections.profiles) + "".join(_data_profiles(found, plots))
    yield "runtimes", "Runtimes", told("ecdf", sections.distributions)
    map_ = plots.get("sensitivity_map", "")
    if map_:
        map_ = paragraph("The maps of the first problem; optlab plot sensitivity_map draws the others.") + map_
    yield "rates", "Sensitivity", sensitivity.section(comparison, found.responses, _rate_charts, map_)
    yield "failures", "Failures", sections.failures(comparison, runs)
    each = "".join(problems.sections(comparison, found.responses.get(RATE)))
    yield "problems", "Problems", f'<h2 id="problems">Problems</h2>{each}'
    if linked:
        items = [Raw(f'<a href="{text(href)}">{text(shown)}</a>') for shown, href in linked]
        yield "figures", "Figures", listed(items)
    yield "provenance", "Provenance", sections.provenance(runs, environments)


def _bought(found: Judged, plots: dict[str, str]) -> str:
    """Tuning curves with their table, or why there are none."""
    if "tuning_curve" not in plots:
        return paragraph(found.reasons["tuning_curve"], quiet=True)
    return tuning.curves_section(found.scores["tuning_curve"][0], plots["tuning_curve"], found.comparison.apart)


def _data_profiles(found: Judged, plots: dict[str, str]) -> Iterator[str]:
    """Data profiles in simplex gradients, and in gradients."""
    yield "<h3>Data profiles</h3>"
    yield paragraph(
        "The share of cases solved within a cost, whoever else is there (More and Wild): in simplex gradients, n + 1 "
        "evaluations each, and for methods with gradients in the price of one. Targets are parts of the way to the "
        "best value that any stored run found."
    )
    for stem in ("data_profile", "gradient_profile"):
        if stem in plots:
            yield sections.data_profiles(found.scores[stem], plots[stem])
        else:
            yield paragraph(found.reasons[stem], quiet=True)


def _rate_charts(parameter: str, response: pd.DataFrame) -> str:
    """Charts of the first problems side by side."""
    held = sorted(response.problem.unique())
    charts = [
        drawing(
            problems.rates(response[response.problem == p], style.name(str(p)), parameter),
            f"{parameter.replace('.', '-')}-{k}",
            f"{p}: final gap by {sensitivity.title(parameter)}",
        )
        for k, p in enumerate(held[:PANELS])
    ]
    lead = f"Final gap over the range of {sensitivity.title(parameter)}, mean of the middle half of runs; one that "
    lead += "diverged counts as its start."
    rest = f" The first {PANELS} of {len(held)} problems; the others are in their sections." if held[PANELS:] else ""
    return paragraph(lead + rest) + f'<div class="pair">{"".join(charts)}</div>'


def links(folder: Path, base: Path) -> list[tuple[str, str]]:
    """Figures and animations of the study that are there: name and address relative to the page."""
    held = sorted(p for p in (folder / "figures").glob("*") if p.suffix in SHOWN and not p.name.startswith("."))
    held += [p for p in (folder / "explorer.html",) if p.is_file()]
    return [(p.name, quote(os.path.relpath(p.resolve(), base.resolve()).replace(os.sep, "/"))) for p in held]
