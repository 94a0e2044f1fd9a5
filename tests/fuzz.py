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
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from optlab import table
from optlab.app import build, catalogue
from optlab.app.execute import Outcome
from optlab.app.main import _guarded

CODES = {0, 1, 2, 130}

# Words of a command

NUMBERS = st.sampled_from(
    [
        "0",
        "-1",
        "1",
        "2",
        "3",
        "0.5",
        "1e-3",
        "nan",
        "inf",
        "-inf",
        "1e400",
        "-0.0",
        "9" * 25,
        "1_000",
        "0x10",
        "1e",
        "1+1",
    ]
)
TEXTS = st.one_of(
    st.sampled_from(
        [
            "null",
            "true",
            "false",
            "",
            "''",
            '""',
            "[]",
            "{}",
            "[1,2]",
            "[1,[2]]",
            "{a:1}",
            "{_target_:os.system}",
            "${oc.env:HOME}",
            "${steps}",
            "${nothing}",
            "${",
            "range(0,3)",
            "range(0)",
            "range(1,2,0)",
            "interval(0,1)",
            "interval(1,0)",
            "tag(log,interval(0,1))",
            "tag(",
            "choice(1,2)",
            "glob(*)",
            "shuffle(1,2)",
            "sort(3,1)",
            "int(1.5)",
            "str(1)",
            "float(x)",
            "a,b",
            ",",
            "1,",
            "'",
            '"',
            "[",
            "]",
            "{",
            "}",
            "(",
            "\\",
            "=",
            "@",
            "~",
            "$",
            "random",
            "he",
            "log",
            "linear",
            "all",
            "last",
            "path",
            "<script>",
            "a b",
            "é",
            "日本",
            "\u202e",
            "\x00",
            "\n",
            "💥",
        ]
    ),
    st.text(max_size=8),
)
PLACES = st.sampled_from(
    [
        "..",
        "../x",
        "../../x",
        "a/../../x",
        "/",
        "/etc/passwd",
        ".",
        "",
        "a/b",
        "~",
        "~/x",
        "a\x00b",
        "x" * 300,
        "file",
        "a/./b",
        "//x",
        "..\\x",
        "con:",
        " ",
        "-",
        "study/../../../x",
        "runs",
        ".hidden",
        "link",
    ]
)
VALUES = st.one_of(NUMBERS, TEXTS, st.lists(st.one_of(NUMBERS, TEXTS), min_size=2, max_size=3).map(",".join))

SOME = {
    "optimizer": ["adam", "sgd", "bfgs", "heavy_ball", "newton", "lbfgs", "lion"],
    "problem": ["beale", "rosenbrock", "himmelblau", "newton_cycle", "quadratic", "mlp_digits"],
    "schedule": ["constant", "cosine"],
    "probe": ["position"],
    "engine": ["local"],
    "experiment": ["demo", "null"],
    "suite": ["quick"],
}


def misspelt(names):
    """Real names, and such with a letter too few, too many or wrong."""
    names = st.sampled_from(sorted(names))
    changed = st.builds(
        lambda name, k, letter: name[:k] + letter + name[k + 1 :], names, st.integers(0, 8), st.sampled_from("xé_ .-/")
    )
    return st.one_of(names, names, changed, names.map(lambda name: name[:-1]))


def choices():
    return st.sampled_from(sorted(SOME)).flatmap(
        lambda group: misspelt(SOME[group]).map(lambda name: f"{group}={name}")
    )


PARAMETERS = ["learning_rate", "b1", "momentum", "dim", "angle", "noise", "start", "condition", "scale", "init",
              "batch_size", "_target_", "_partial_", "mu_dtype", "a.b.c", "data", "", "average", "weight_decay"]  # fmt: skip
TOP = ["steps", "seed", "precision", "record", "gtol", "patience", "save", "checkpoint", "time_limit", "csv", "results",
       "sweep.points", "sweep.sampling", "sweep.budget", "sweep.seed", "engine.workers", "sweep", "engine", "hydra.run.dir",
       "hydra.job.chdir", "hydra.callbacks", "hydra.sweeper.params.seed", "hydra.mode", "hydra.verbose", "hydra.searchpath",
       "hydra.output_subdir", "hydra.job.env_set.X", "hydra/launcher", "hydra/job_logging", "allow", "probe.x"]  # fmt: skip
SETTINGS = st.one_of(
    st.builds(
        "{}.{}={}".format,
        st.sampled_from(["optimizer", "problem", "schedule", "probe"]),
        st.sampled_from(PARAMETERS),
        VALUES,
    ),
    st.builds("{}={}".format, misspelt(TOP), VALUES),
    st.builds(
        "{}={}".format, st.sampled_from(["steps", "seed", "record", "time_limit", "checkpoint", "gtol"]), NUMBERS
    ),
    st.builds("name={}".format, PLACES),
)
FLAGS = st.sampled_from(
    [
        "-m",
        "--multirun",
        "-h",
        "--help",
        "--version",
        "--cfg",
        "--cfg=job",
        "-c",
        "--info",
        "--info=all",
        "--resolve",
        "-x",
        "--",
        "--package",
        "-p",
        "--run",
        "-r",
        "--config-dir",
        "--config-dir=nowhere",
        "-cn",
        "--config-name=x",
        "--hydra-help",
        "--shell-completion",
        "-sc",
        "~optimizer",
        "~steps",
        "+steps=1",
        "++steps=2",
        "+new=1",
        "optimizer@x=adam",
        "=",
        "==",
        "=1",
    ]
)
ODD = st.one_of(
    TEXTS, st.builds("{}={}".format, TEXTS, VALUES), st.builds("{}{}".format, st.sampled_from("+~-@"), TEXTS)
)
STEPS = st.sampled_from([["steps=2"], ["steps=2"], ["steps=1", "-m"], []])
COMMANDS = st.builds(
    lambda steps, words: [*steps, *words],
    STEPS,
    st.lists(st.one_of(choices(), choices(), SETTINGS, SETTINGS, SETTINGS, FLAGS, ODD), min_size=1, max_size=4),
)

# Verbs

OPTIONS = st.one_of(
    st.builds(
        "{}={}".format,
        st.sampled_from(
            [
                "tag",
                "dim",
                "suite",
                "problem",
                "optimizer",
                "figures",
                "axis",
                "open",
                "fps",
                "seconds",
                "x",
                "y",
                "column",
                "run",
                "size",
                "points",
                "directions",
                "top",
                "where",
                "cost",
            ]
        ),
        VALUES,
    ),
    st.builds("{}={}".format, VALUES, VALUES),
)
FOLDERS = st.sampled_from(["study", "results", "nowhere", "file", "", ".", "link", "a\x00b", "x" * 300, "study/runs"])
GROUPS = ["optimizers", "problems", "workloads", "suites", "experiments", "probes", "engine", "schedule"]


def verbs(kinds):
    words = st.one_of(OPTIONS, OPTIONS, FOLDERS, ODD)
    named = st.one_of(misspelt(GROUPS), misspelt(SOME["problem"] + SOME["optimizer"]), TEXTS)
    return st.one_of(
        st.builds(lambda name, more: ["list", name, *more], named, st.lists(words, max_size=2)),
        st.builds(lambda name, more: ["show", name, *more], named, st.lists(words, max_size=1)),
        st.builds(
            lambda *parts: ["plot", *parts[:2], *parts[2]], misspelt(kinds), FOLDERS, st.lists(words, max_size=2)
        ),
        st.builds(
            lambda folder, more: ["report", folder, "figures=false", *more], FOLDERS, st.lists(words, max_size=1)
        ),
        st.builds(lambda folder, more: ["status", folder, *more], FOLDERS, st.lists(words, max_size=1)),
        st.builds(lambda more: ["explore", "nowhere", *more], st.lists(words, max_size=2)),
        st.builds(
            lambda kind, folder, more: ["landscape", kind, folder, *more],
            misspelt(["line", "plane", "motion", "spectrum", "connection"]),
            st.sampled_from(["nowhere", "file", "", "link"]),
            st.lists(words, max_size=2),
        ),
        st.builds(
            lambda verb, more: [verb, *more],
            st.one_of(misspelt(["lists", "plot", "status", "report"]), TEXTS),
            st.lists(words, max_size=3),
        ),
    )


# Configurations

TARGETS = st.sampled_from(
    [
        "os.system",
        "builtins.eval",
        "subprocess.Popen",
        "optlab.optimizers.os.system",
        "optax.adam",
        "optax",
        "optax.",
        "",
        "optlab.surfaces.beale",
        "optlab.optimizers.jnp.save",
        "optlab.app.main.main",
        "optlab.workloads.load_parameters",
        "pickle.loads",
        "shutil.rmtree",
        "optlab.surfaces",
        "optax.sgd",
        "optlab.workloads.training",
        "jax.numpy.save",
    ]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.text(max_size=6),
    TARGETS,
    st.sampled_from(
        ["${oc.env:HOME}", "${a.b}", "${oc.decode:'1'}", "${", "???", "${hydra:run.dir}", "${surface_or_network:a,b}"]
    ),
)
NODES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["_target_", "learning_rate", "a", "data", "network", "_partial_", "_args_", "dim"]),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=8,
)
BROKEN = st.sampled_from(
    [
        "a: [1",
        "a: &x [*x]",
        "a: b: c",
        "\t",
        "- 1",
        "1",
        "",
        "a: !!python/object/apply:os.system [touch pwned]",
        "? ",
        "%YAML 9",
        "_target_: !!binary aGVsbG8=",
        "<<: *none",
        "{",
        "\x00",
        "a: 'x",
        "learning_rate: 1\nlearning_rate: 2",
        "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c,*c]",
        "# @package _global_\nhydra: {callbacks: {x: {_target_: os.mkdir, path: pwned}}}",
        "# @package _global_\nhydra: {job_logging: {version: 1, handlers: {x: {(): os.mkdir, path: pwned}}, root: {handlers: [x]}}}",
        "# @package _global_\nhydra: {hydra_logging: {version: 1, handlers: {x: {(): os.mkdir, path: pwned}}, root: {handlers: [x]}}}",
        "# @package _global_\nhydra: {launcher: {_target_: os.mkdir, path: pwned}}",
        "# @package _global_\nhydra: {run: {dir: ../pwned}, output_subdir: pwned, job: {chdir: true}}",
        "# @package _global_\nhydra: {job: {env_set: {PWNED: 1}}}",
        "# @package _global_\nname: ../pwned",
        "defaults: [nothing]",
        "# @package _global_\nengine: {_target_: os.system}",
        "# @package _global_\nengine: {workers: 1}",
        "# @package _global_\nprobe: {x: os.system}",
        "# @package _global_\nresults: null",
        "# @package _global_\nname: [1]",
        "# @package _global_\nname: null",
        "# @package _global_\nsweep: 3",
        "# @package _global_\nsteps: {a: 1}",
    ]
)


def written(node):
    import yaml

    return yaml.safe_dump(node, allow_unicode=True)


YAMLS = st.one_of(
    BROKEN,
    st.builds(
        lambda target, node: written({"_target_": target} | (node if isinstance(node, dict) else {"a": node})),
        TARGETS,
        NODES,
    ),
    st.builds(
        lambda key, node: written({key: node}),
        st.sampled_from(["optimizer", "problem", "steps", "hydra", "sweep", "name"]),
        NODES,
    ).map(lambda text: f"# @package _global_\n{text}"),
    NODES.map(written),
)
FILES = st.tuples(st.sampled_from(["optimizer", "problem", "experiment", "schedule", "probe"]), YAMLS, st.booleans())

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
