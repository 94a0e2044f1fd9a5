"""Commands, configurations and result folders that nobody would write, against what is promised of any input:

a documented exit code, for bad input one sentence and never a traceback, no file outside the study's folder, and
nothing half-written. `python tests/fuzz.py [--cases N]`; `make torture` runs 10,000, the tests a few hundred.

Everything happens in this process. Runs that an input asks for are planned and checked and not carried out: what
happens then is the same for all input, and takes a hundred times as long.
"""

# Inputs are longer than lines.
# ruff: noqa: E501

import argparse
import contextlib
import io
import os
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from unittest import mock

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("OPTLAB_CACHE", str(Path(__file__).parents[1] / ".cache" / "jax"))

import pyarrow as pa
import pyarrow.parquet as pq
from fuzz_inputs import COMMANDS, FILES, verbs
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from optlab import table
from optlab.app import build, catalogue
from optlab.app.execute import Outcome
from optlab.app.main import _guarded

CODES = {0, 1, 2, 130}

# Result folders

DAMAGES = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "runs",
                "curves",
                "targets",
                "fields",
                "points",
                "environments",
                "commands",
                "configurations",
                "landscapes",
            ]
        ),
        st.sampled_from(
            [
                "truncated",
                "empty",
                "garbage",
                "foreign",
                "older",
                "newer",
                "fewer columns",
                "other kinds",
                "folder",
                "link",
                "dangling",
                "gone",
                "no rows",
                "twice",
                "nulls",
            ]
        ),
        st.integers(0, 1000),
    ),
    min_size=1,
    max_size=3,
)
READERS = st.sampled_from(
    [
        *[["status", "study"], ["status", "."], ["problem=beale", "optimizer=adam", "steps=2"], ["explore", "study"]]
        * 3,
        *[["report", "study", "figures=false"], ["landscape", "motion", "study"]] * 2,
        ["plot", "curves", "study"],
        ["plot", "sensitivity", "study"],
        ["plot", "contour", "study"],
        ["plot", "profile", "study"],
        ["plot", "ranks", "study"],
        ["plot", "ecdf", "study"],
        ["plot", "leaderboard", "study"],
    ]
)


def damage(study: Path, kind: str, how: str, seed: int) -> None:
    """Does to one file of a table what a disk, a stranger or another release may have done."""
    place = study / kind
    place.mkdir(exist_ok=True)
    files = sorted(path for path in place.iterdir() if path.is_file())
    path = (
        files[seed % len(files)]
        if files
        else place / ("x.json" if kind in ("commands", "configurations") else "x.parquet")
    )
    content = path.read_bytes() if files else b""
    readable = path.suffix == ".parquet" and content
    rows = pq.read_table(io.BytesIO(content)) if readable else pa.table({"a": [1]})
    about = {"optlab_table": kind, "schema_version": str(table.SCHEMA_VERSION)}
    match how:
        case "truncated":
            path.write_bytes(content[: seed % (len(content) + 1)])
        case "empty":
            path.write_bytes(b"")
        case "garbage":
            path.write_bytes(bytes((seed * k) % 251 for k in range(300)))
        case "foreign":
            pq.write_table(pa.table({"a": [1]}), place / "theirs.parquet")
        case "older" | "newer":
            pq.write_table(
                rows.replace_schema_metadata(about | {"schema_version": "0" if how == "older" else "99"}), path
            )
        case "fewer columns":
            names = rows.column_names
            pq.write_table(rows.drop_columns([names[seed % len(names)]]).replace_schema_metadata(about), path)
        case "other kinds":
            name = rows.column_names[seed % rows.num_columns]
            other = pa.array([f"x{k}" for k in range(len(rows))] if seed % 2 else [{"a": k} for k in range(len(rows))])
            pq.write_table(
                rows.set_column(rows.column_names.index(name), name, other).replace_schema_metadata(about), path
            )
        case "nulls":
            name = rows.column_names[seed % rows.num_columns]
            other = pa.nulls(len(rows), rows.schema.field(name).type)
            pq.write_table(
                rows.set_column(rows.column_names.index(name), name, other).replace_schema_metadata(about), path
            )
        case "no rows":
            pq.write_table(rows.slice(0, 0).replace_schema_metadata(about), path)
        case "twice":
            (place / f"again{path.suffix}").write_bytes(content)
        case "folder":
            path.unlink(missing_ok=True)
            path.mkdir()
        case "link":
            path.unlink(missing_ok=True)
            path.symlink_to("/etc/passwd")
        case "dangling":
            path.unlink(missing_ok=True)
            path.symlink_to("nothing")
        case "gone":
            shutil.rmtree(place)


# The property


class Bench:
    """A scratch folder, six levels down so that `..` is seen, and a study that inputs are tried on."""

    def __init__(self, root: Path) -> None:
        self.root, self.home, self.seen = root, root / "a" / "b" / "c" / "d" / "here", Counter()
        self.original = root / "original"
        code = self.command(["-m", "problem=beale,rosenbrock", "optimizer=adam,bfgs", "steps=3", "seed=0,1", "save=path",
                             f"results={self.original}"])[0]  # fmt: skip
        assert code == 0
        shutil.copytree(catalogue.conf_dir(), root / "conf")
        self.fresh()

    def fresh(self) -> None:
        shutil.rmtree(self.root / "a", ignore_errors=True)
        self.home.mkdir(parents=True)
        (self.home / "file").touch()
        (self.home / "link").symlink_to("/proc/self/nothing")
        os.chdir(self.home)

    def command(self, words) -> tuple[int, str, str]:
        """A command in this process: (exit code, output, errors)."""
        build.extra_allowed.clear()
        output, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            code = _guarded([*words])
        return code, output.getvalue(), errors.getvalue()

    def holds(self, words, *, planned_only: bool = True) -> None:
        """Tries a command; raises AssertionError where something promised of any input is not so."""
        before = self.outside()
        with planning() if planned_only else contextlib.nullcontext():
            try:
                code, output, errors = self.command(words)
            except BaseException as error:
                raise AssertionError(f"{words} raised {type(error).__name__}: {error}") from error
        said = [line for line in errors.splitlines() if line and not line.startswith("warning: ")]
        assert code in CODES, f"{words} left with {code}"
        assert "Traceback" not in output + errors, f"{words} shows a traceback: {errors[-2000:]}"
        if code == 2:
            assert len(said) == 1 and said[0].startswith("optlab: ") and len(said[0]) > 15, f"{words} says {said}"
        assert self.outside() == before, f"{words} wrote outside: {self.outside() ^ before}"
        half = [path for path in self.home.rglob("*") if path.name.endswith(".tmp")]
        assert not half, f"{words} left {half}"
        self.seen[code] += 1

    def outside(self) -> set[str]:
        """All there is but what is in the folder of the command."""
        above = [self.root, *(folder for folder in self.home.parents if self.root in folder.parents)]
        found = {str(path) for folder in above for path in folder.iterdir()}
        return (
            found | {str(path) for path in self.home.rglob("*pwned*")} | {key for key in os.environ if key == "PWNED"}
        )


@contextlib.contextmanager
def planning():
    """Runs are planned, checked and have their folder, and are then taken for done."""

    def run(planned, folder, config, total):
        return Outcome(Counter({"max_steps": total}), 0, [])

    with mock.patch("optlab.app.study._run", run), mock.patch("optlab.app.summary.print_study", lambda *about: None):
        yield


def try_command(bench: Bench, words) -> None:
    words = [word for word in words if not word.startswith(("results=", "output="))]
    bench.fresh()
    bench.holds([*words, *(["results=r"] if "=" in words[0] or words[0].startswith("-") else [])])


def try_results(bench: Bench, words) -> None:
    bench.fresh()
    bench.holds(words)


def try_configuration(bench: Bench, file) -> None:
    group, text, multirun = file
    bench.fresh()
    mine = bench.root / "conf"
    for path in mine.glob("*/mine.yaml"):
        path.unlink()
    (mine / group / "mine.yaml").write_text(text)
    with (
        mock.patch("optlab.app.main.conf_dir", lambda: mine),
        mock.patch("optlab.app.catalogue.conf_dir", lambda: mine),
    ):
        words = [f"{group}=mine", "results=r", "problem=beale", "optimizer=adam", "steps=2"]
        words = [word for k, word in enumerate(words) if k == 0 or not word.startswith(f"{group}=")]
        bench.holds([*(["-m"] if multirun else []), *words])
        bench.holds(["show", "mine"])


def try_folder(bench: Bench, damages, words) -> None:
    bench.fresh()
    shutil.copytree(bench.original / "study", bench.home / "study", symlinks=True)
    for kind, how, seed in damages:
        with contextlib.suppress(OSError, pa.ArrowException, ZeroDivisionError):  # damaged twice
            damage(bench.home / "study", kind, how, seed)
    runs = "=" in words[0]
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        bench.holds([*words, *(["results=."] if runs else [])])


def fuzz(cases: int, only: str = "") -> tuple[Counter, list[str]]:
    """So many cases of all kinds; how often each exit code came, and an input for each defect found."""
    from optlab import plots

    kinds = {
        "commands": (0.2, COMMANDS.map(lambda words: (try_command, words))),
        "verbs": (0.35, verbs(plots.kinds()).map(lambda words: (try_results, words))),
        "configurations": (0.1, FILES.map(lambda file: (try_configuration, file))),
        "folders": (0.35, st.tuples(DAMAGES, READERS).map(lambda both: (try_folder, *both))),
    }
    here, defects = Path.cwd(), {}
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder).resolve())
        for name, (share, inputs) in kinds.items():
            if only not in ("", name):
                continue
            begun = time.time()

            @settings(
                max_examples=max(1, round(share * cases)),
                database=None,
                deadline=None,
                derandomize=True,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.generate],
            )
            @given(inputs)
            def tried(case):
                action, *about = case
                try:
                    action(bench, *about)
                except AssertionError as error:  # the others are tried all the same
                    if place(error) not in defects:
                        defects[place(error)] = f"{about}: {error} {place(error)}"
                        print(defects[place(error)], file=sys.stderr, flush=True)

            tried()
            print(f"{name}: {round(share * cases)} cases in {time.time() - begun:.0f} s", file=sys.stderr, flush=True)
            os.chdir(here)
        return bench.seen, list(defects.values())


def place(error: BaseException) -> str:
    """Where something went wrong: one defect is reported once."""
    cause = error.__cause__ or error
    frames = [f"{f.filename}:{f.lineno}" for f in traceback.extract_tb(cause.__traceback__) if "optlab/" in f.filename]
    return f"{type(cause).__name__} {frames[-2:] or str(error)[-60:]}" if error.__cause__ else str(error)[-60:]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--only", default="", help="one of commands, verbs, configurations, folders")
    options = parser.parse_args()
    found, wrong = fuzz(options.cases, options.only)
    codes = ", ".join(f"{count:,} left with {code}" for code, count in sorted(found.items()))
    print(f"{found.total():,} inputs: {codes}; {len(wrong)} defects")
    print(*wrong, sep="\n\n")
    sys.exit(bool(wrong))
