"""`python -m experiments [CHAPTER ...] [--results FOLDER] [--docs FOLDER]`: runs chapters and writes their pages.

A chapter's runs are those of `optlab experiment=CHAPTER`; what is stored already is not run again. Pages and pictures
go to docs/gallery/, and with all chapters made also one page of all, results/gallery/index.html.
"""

import argparse
import importlib
import shutil
import subprocess
import sys
import time
from pathlib import Path

import optlab
from experiments.page import Chapter, chapter, write_html, write_index, write_markdown

ROOT = Path(__file__).parents[1]
CHAPTERS = (
    "error_surfaces", "newton_steps", "quasi_newton", "conjugate_directions", "conditioning", "momentum",
    "adaptive_rates", "schedules", "initialization", "features",
)  # fmt: skip


def studies(name: str) -> list[str]:
    """The studies that a chapter is made of, its own first."""
    return [name, *getattr(importlib.import_module(f"experiments.{name}"), "STUDIES", ())]


def made(name: str, results: Path, docs: Path) -> Chapter:
    """Runs what is missing of a chapter and fills its page."""
    begun = time.perf_counter()
    module = importlib.import_module(f"experiments.{name}")
    for study in studies(name):
        subprocess.run([sys.executable, "-m", "optlab", f"experiment={study}", f"results={results}"], check=True)
    found = chapter(name, module.__doc__ or "", module.page(optlab.load(results / name), results / name), docs)
    print(f"{docs / name}.md  ({time.perf_counter() - begun:.0f} s)", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments", description=__doc__)
    parser.add_argument("chapters", nargs="*", choices=[*CHAPTERS, []], metavar="CHAPTER", help=", ".join(CHAPTERS))
    parser.add_argument("--fresh", action="store_true", help="run all anew, also what is stored")
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs" / "gallery")
    arguments = parser.parse_args()
    names = arguments.chapters or CHAPTERS
    if arguments.fresh:
        for study in (study for name in names for study in studies(name)):
            shutil.rmtree(arguments.results / study, ignore_errors=True)
    chapters = [made(name, arguments.results, arguments.docs) for name in names]
    write_markdown(chapters, arguments.docs)
    if len(chapters) == len(CHAPTERS):
        write_index(chapters, arguments.docs)
        page = arguments.results / "gallery" / "index.html"
        write_html(chapters, arguments.docs, page)
        print(page)


if __name__ == "__main__":
    main()
