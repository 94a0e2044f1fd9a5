"""16 programs (4 optimizers x 4 surfaces): the command with nothing compiled yet, and once more.

Run: `python -m benchmarks.programs [--quick]`.
"""

import sys
import tempfile

from benchmarks.page import Row, Section, seconds, show
from benchmarks.spent import Spent, median, optlab

OPTIMIZERS = ("adam", "rmsprop", "lion", "heavy_ball")
PROBLEMS = ("rosenbrock", "beale", "himmelblau", "styblinski_tang")
RATES = "1e-3,3e-3,1e-2,3e-2,1e-1"


def sections(quick: bool) -> list[Section]:
    """Medians of three pairs: cold with an empty folder for XLA's programs, then warm with the same."""
    optimizers, problems = (OPTIMIZERS[:1], PROBLEMS[:2]) if quick else (OPTIMIZERS, PROBLEMS)
    count = len(optimizers) * len(problems)
    cold, warm = [], []
    for _ in range(1 if quick else 3):
        with tempfile.TemporaryDirectory() as folder:
            cold.append(command(optimizers, problems, folder, "cold"))
            warm.append(command(optimizers, problems, folder, "warm"))
    first, again = median(cold), median(warm)
    rows = [
        _row(f"{count} programs, empty cache", first, count),
        _row(f"{count} programs, warm cache", again, count),
        Row("empty over warm", f"{first.cpu / again.cpu:.1f}", f"{first.wall / again.wall:.1f}"),
    ]
    return [Section(f"{count} programs, compiled and found again", HOW, rows)]


HOW = """\
The whole command in a process of its own, from process start to the summary: 4 optimizers x 4 surfaces, each
pair one program, with 5 learning rates of 500 steps. Cold begins with an empty folder for compiled programs
(OPTLAB_CACHE), warm is the same command with that folder and other results; medians of three pairs."""


def command(optimizers: tuple[str, ...], problems: tuple[str, ...], folder: str, name: str) -> Spent:
    """One sweep; its tables go to a folder called `name`, so that no run is there already."""
    words = ["-m", f"optimizer={','.join(optimizers)}", f"problem={','.join(problems)}", "steps=500"]
    words += [f"optimizer.learning_rate={RATES}", f"results={folder}", f"name={name}"]
    return optlab(*words, cache=f"{folder}/cache")


def _row(what: str, spent: Spent, count: int) -> Row:
    return Row(what, seconds(spent.cpu), seconds(spent.wall), f"{spent.cpu / count:.2f} CPU-s a program")


if __name__ == "__main__":
    show(sections("--quick" in sys.argv[1:]))
