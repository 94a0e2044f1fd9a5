"""The command `optlab`: an argument without ``=`` in first place is a verb, otherwise it is Hydra's."""

import os
import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn

from optlab.app.bad_input import BadInput, unknown
from optlab.app.catalogue import NODES, conf_dir, groups, names, suite, top_level_keys

USAGE = """optlab: benchmarks optimizers and shows loss surfaces

  optlab problem=rosenbrock optimizer=adam steps=500       one run
  optlab -m optimizer=sgd,adam problem=beale,himmelblau \\
         'optimizer.learning_rate=tag(log,interval(1e-4,1))' seed='range(0,10)'
                                                           a sweep: every combination, compiled together
  optlab experiment=demo                                   a study that is written down

  optlab list [GROUP] [tag=T] [dim=N] [suite=S]
                                what there is: optimizers, problems, workloads, suites, experiments, probes
  optlab show NAME              what it is: formula, facts, source, parameters, a small plot
  optlab landscape KIND ...     slices, spectra, basins, stability maps of a loss; without arguments: how
  optlab status FOLDER          what is done, failed and left of the commands given there, and for how long
  optlab explore [FOLDER]       a page in which optimizers descend surfaces live, or stored runs are replayed
  optlab report FOLDER          one page on a study: leaderboard, profiles, intervals, failures, figures
  optlab plot KIND FOLDER       a figure or animation from stored tables; without arguments: the kinds

Keys: optimizer, optimizer.<parameter>, problem or suite, problem.<parameter> (dim, start, angle, noise, ...), steps,
  seed, precision=float32|float64, record=log|all|last|N, gtol, name, results, csv=true, save=true|path,
  checkpoint=SECONDS between saved states of training, time_limit=SECONDS after which a run is given up,
  memory=GIB that programs may hold on each device (by default what is free: batches are as wide as fits).
Values of a sweep: 1,2,3   range(0,10)   interval(0,1)   tag(log,interval(1e-4,1)), with
  sweep.points=N, sweep.sampling=grid|random|sobol, sweep.budget=N.
Tables go to <results>/<name>/ (default results/study); read them with optlab.load(folder).
Exit codes: 0 done, 1 some runs raised (they are rows too), 2 bad input, 130 interrupted.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the console script; leaves through SystemExit."""
    sys.exit(_guarded(list(sys.argv[1:] if arguments is None else arguments)))


def _guarded(arguments: list[str]) -> int:
    """Runs a command; what the user can mend is one sentence, not a traceback."""
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            return _dispatch(arguments)
    except BadInput as error:
        return _say(str(error), 2)
    except KeyboardInterrupt:
        return _say("interrupted; what was finished is written, the same command goes on from there", 130)
    except BrokenPipeError:  # a reader such as `head` has seen enough
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        return 0
    except MemoryError:
        return _say("no memory is left; what was finished is written, the same command goes on from there", 1)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        return _say(f"cannot read or write{where}: {error.strerror or error}", 2)


def _say(sentence: str, code: int) -> int:
    """One line, whatever was typed or stands in a file: no line breaks, nothing that a terminal would obey."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in " ".join(sentence.split()))
    print(f"optlab: {shown}", file=sys.stderr)
    return code


def _show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    print(f"warning: {message}", file=sys.stderr)


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0
    if arguments[0] == "--version":
        from optlab import __version__

        print(__version__)
        return 0
    first = arguments[0]
    if "=" not in first and not first.startswith(("-", "+", "~")):
        from optlab.app.verbs import VERBS

        if first not in VERBS:
            raise unknown("command", first, VERBS)
        return VERBS[first](arguments[1:])
    return _hydra(arguments)


def _hydra(arguments: list[str]) -> int:
    """Hands over to Hydra, with its errors as exceptions and without its folders."""
    import hydra
    from hydra.errors import HydraException
    from omegaconf import DictConfig
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    from optlab.app.hydra_node import watched

    raised: list[BaseException] = []

    def task(config: DictConfig) -> None:
        from hydra.core.hydra_config import HydraConfig

        from optlab.app.study import single

        try:
            single(config, dict(HydraConfig.get().runtime.choices))
        except BaseException as error:
            # Hydra would announce it in its own words before handing it on.
            raised.append(error)

    task.folds = True  # type: ignore[attr-defined]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        sys.argv = ["optlab", *_arranged([_checked(argument) for argument in _unfolded(_allowing(arguments))])]
        with watched():
            hydra.main(config_path=str(conf_dir()), config_name="config", version_base="1.3")(task)()
        if raised:
            raise raised[0]
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        raise BadInput(one_sentence(error)) from error
    except RecursionError as error:
        raise BadInput("the configuration contains itself, or is nested too deeply") from error
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 2 * bool(stop.code)
    return 0


def _arranged(arguments: list[str]) -> list[str]:
    """Hydra's flags before all else, wherever they were typed. Raises BadInput for what are none."""
    from hydra._internal.utils import get_args_parser

    def error(message: str) -> NoReturn:
        raise BadInput(f"{message}; optlab --help says what there is")

    parser = get_args_parser()
    parser.error = error  # it would print its usage
    typed = parser.parse_intermixed_args(arguments)
    modes = [name for name in ("run", "multirun", "cfg", "info", "shell_completion") if getattr(typed, name)]
    if len(modes) > 1:
        raise BadInput(f"--{' and --'.join(modes)} do not go together")
    if typed.shell_completion:
        raise BadInput("there is no shell completion")
    if (typed.resolve or typed.package) and typed.cfg != "job":
        raise BadInput("--resolve and --package go with --cfg job")
    words = typed.overrides
    left = list(words)
    flags = [argument for argument in arguments if not (argument in left and left.remove(argument) is None)]
    return [*flags, *words]


def _allowing(arguments: list[str]) -> list[str]:
    """Takes ``allow=PREFIX,...`` out: only whoever types the command may widen what configs can name."""
    from optlab.app.build import extra_allowed

    for argument in arguments:
        if argument.startswith("allow="):
            extra_allowed.extend(argument.removeprefix("allow=").split(","))
    return [argument for argument in arguments if not argument.startswith("allow=")]


def _unfolded(arguments: list[str]) -> list[str]:
    """``suite=NAME,...`` as the problems that it names."""
    stated = [argument for argument in arguments if argument.startswith("suite=")]
    if not stated:
        return arguments
    if len(stated) > 1 or any(argument.startswith("problem=") for argument in arguments):
        raise BadInput("state one of suite= and problem=, once; several suites are suite=a,b")
    if not {"-m", "--multirun"} & set(arguments):
        raise BadInput(f"a suite is many runs; add -m to sweep it: optlab -m {stated[0]}")
    problems = [problem for name in stated[0].removeprefix("suite=").split(",") for problem in suite(name)]
    return [f"problem={','.join(dict.fromkeys(problems))}" if a is stated[0] else a for a in arguments]


def _checked(argument: str) -> str:
    """Offers the nearest names for a choice that does not exist; lets parameters be set that no file states."""
    key, _, value = argument.partition("=")
    if argument.startswith(("-", "+", "~")) or not _:
        return argument
    if "." in key and key.split(".")[0] in NODES:
        return f"++{argument}"
    if key in groups():
        for name in value.split(","):
            if name.replace("_", "").isalnum() and name not in ("null", *names(key)):
                raise unknown(key, name, names(key))
    elif "." not in key and key not in top_level_keys():
        raise unknown("key", key, {*top_level_keys(), *groups()})
    return argument


def one_sentence(error: Exception) -> str:
    from yaml import YAMLError

    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines and lines[0].startswith("Ambiguous value for argument"):
        return f"{lines[0].removeprefix('Ambiguous value for argument ')} has several values; add -m to sweep them"
    if isinstance(error, YAMLError):
        return f"a configuration file is no YAML: {' '.join(lines)}"
    if len(lines) > 1 and lines[0].endswith(":"):
        return " ".join(lines[:2])
    return lines[0].partition(" See http")[0] if lines else type(error).__name__


if __name__ == "__main__":
    main()
