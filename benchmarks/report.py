"""What a report of 10,000 runs costs, from tables to the closed page.

`python -m benchmarks.report` prints the table; nothing here starts JAX.
"""

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks import metrics
from benchmarks.page import Row, Section, at_most, seconds, show
from optlab.report import build

HOW = """
The made-up tables of the metrics' benchmark: 20 optimizers x 20 problems x 5 learning rates x 5 seeds, a million rows
of curves. Reading them and imports are out. The page has all its sections and charts; in the second line its figures
are written as SVG and PDF, too.
"""


def sections(quick: bool) -> list[Section]:
    """The tables of this file."""
    results = metrics.tables(4 if quick else 20, 4 if quick else 20)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "report.html"
        for what, figures in (("the page", False), ("the page and its figures as files", True)):
            begun, before = time.perf_counter(), time.process_time()
            paths = build.write(results, output, folder=Path(folder), figures=figures)
            wall, cpu = time.perf_counter() - begun, time.process_time() - before
            said = f"{output.stat().st_size / 1e6:.1f} MB" + (f", {len(paths) - 1} figures" if figures else "")
            rows.append(Row(what, seconds(cpu), seconds(wall), said, at_most(wall, 10, " s")))
    return [Section(f"A report of {len(results.runs):,} runs", HOW.strip(), rows)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    show(sections(parser.parse_args().quick))
