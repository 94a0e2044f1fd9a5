"""All benchmarks, one after the other: `python -m benchmarks [--quick] [--markdown FILE]`.

`--quick` shows in some minutes that everything runs; its numbers say nothing and goals are left out.
`--markdown` writes the tables as a page, too.
"""

import argparse
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path

from benchmarks import (
    animation,
    curvature,
    explorer,
    landscape,
    maps,
    metrics,
    programs,
    report,
    scaling,
    sweep,
    training,
)
from benchmarks.page import markdown, show


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    begun, done = time.perf_counter(), []
    for benchmark in (
        sweep,
        scaling,
        programs,
        training,
        curvature,
        landscape,
        maps,
        metrics,
        report,
        explorer,
        animation,
    ):
        measured = benchmark.sections(arguments.quick)
        if arguments.quick:
            measured = [s._replace(rows=[row._replace(goal=None) for row in s.rows]) for s in measured]
        show(measured)
        done += measured
    setting = f"{where()}; {time.perf_counter() - begun:.0f} s in all."
    print(setting)
    if arguments.markdown:
        arguments.markdown.write_text(markdown(done, setting))


def where() -> str:
    """The machine and the versions that the numbers depend on."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("jax", "optax", "hydra-core", "pyarrow"))
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} cores ({platform.machine()}), load {load:.1f}, {platform.system()}; {libraries}"


if __name__ == "__main__":
    main()
