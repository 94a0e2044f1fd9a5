"""What nobody would type or write: words of a command, verbs with theirs, and YAML. See `fuzz.py`."""

# Inputs are longer than lines.
# ruff: noqa: E501

from hypothesis import strategies as st

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
