"""From Hydra's configuration to a study on disk: compose each choice once, plan, run, say what came out."""

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from optlab import table
from optlab.app import status, summary
from optlab.app.axes import Axis, Sampling, axes, parse, product
from optlab.app.bad_input import BadInput, unknown
from optlab.app.catalogue import NODES, WORKLOADS, top_level_keys
from optlab.app.plan import HOW, Group, groups

#: Configuration groups whose choices make other programs.
CHOICES = ("optimizer", "problem", "probe", "schedule")

#: Parameters of these are set after composing: a file need not state them to let them be swept.
PATCHED = tuple(f"{node}." for node in NODES)


def surface_or_network(surface: Any, network: Any, *, _root_: DictConfig) -> Any:
    """``${surface_or_network:a,b}`` in a configuration: a value for closed forms, another for training."""
    return network if str(_root_.problem._target_).startswith(WORKLOADS) else surface


OmegaConf.register_new_resolver("surface_or_network", surface_or_network, replace=True)


def no_environment(name: str, *_: Any) -> None:
    """``${oc.env:NAME}`` would put what this machine keeps secret into tables that are shared."""
    raise ValueError(f"a configuration cannot read the environment variable {name}")


OmegaConf.register_new_resolver("oc.env", no_environment, replace=True)


def sweep(arguments: Sequence[str], master: DictConfig, config_loader: Any) -> None:
    """All runs of a sweep, as `FoldingSweeper` is asked to do."""
    overrides = {override.key_or_group: override for override in parse(arguments, config_loader)}
    swept = _moved(overrides)

    @cache
    def compose(*extra: str) -> DictConfig:
        return config_loader.load_sweep_config(master, [*fixed, *extra])

    fixed = [o.input_line for o in overrides.values() if o.key_or_group not in swept and o.input_line]
    composed = compose()
    sampling = Sampling(**plain(composed, dict(composed.hydra.runtime.choices))["sweep"] or {})
    all_axes = axes([overrides[key] for key in swept], sampling)
    choices = [axis for axis in all_axes if axis.key[0] in CHOICES]
    rest = [axis for axis in all_axes if axis.key[0] not in CHOICES]
    _carry_out(_structures(choices, compose, config_loader), rest)


def single(config: DictConfig, choices: dict[str, str]) -> None:
    """The one run of a configuration that Hydra has composed."""
    from hydra.core.hydra_config import HydraConfig

    # Hydra has put these into the optimizer already, and what they replaced is gone.
    changed = any(word.lstrip("+").startswith("optimizer.") for word in HydraConfig.get().overrides.task)
    _carry_out([plain(config, choices) | {"defaults": not changed}], [])


def _moved(overrides: dict[str, Override]) -> list[str]:
    """The keys that the plan handles: whatever is swept, and the parameters of optimizers and problems."""
    swept = [key for key, o in overrides.items() if o.is_sweep_override() or key.startswith(PATCHED)]
    for key in swept:
        if key.split(".")[0] in HOW:
            raise BadInput(f"{key} says how to run and cannot be swept")
        if key == "experiment":
            raise BadInput("experiments cannot be swept; run one after the other")
    return swept


def _structures(choices: Sequence[Axis], compose: Callable, config_loader: Any) -> list[dict[str, Any]]:
    """The configuration of every combination of choices, from one composition for each choice.

    Composing costs a tenth of a second; groups do not depend on each other's choice.
    """
    for axis in choices:
        for (name,) in axis.values:
            known = config_loader.get_group_options(axis.key[0])
            if name not in known:
                raise unknown(axis.key[0], str(name), known)
    nodes: dict[tuple[str, str], Any] = {}
    first = {axis.key[0]: axis.values[0][0] for axis in choices}
    base = None
    for axis in choices:
        for (name,) in axis.values:
            composed = compose(*(f"{group}={chosen}" for group, chosen in (first | {axis.key[0]: name}).items()))
            base = composed if base is None else base
            nodes[axis.key[0], name] = composed[axis.key[0]]
    base = compose() if base is None else base
    chosen = dict(base.hydra.runtime.choices)
    # What depends on the problem is resolved when it is known.
    unresolved = {k: v for k, v in OmegaConf.to_container(base, resolve=False).items() if k != "hydra"}  # type: ignore
    structures = []
    for row in product(choices):
        config = OmegaConf.create(unresolved)
        for group, name in row.items():
            config[group] = nodes[group, name]
        structures.append(plain(config, chosen | row))
    return structures


def plain(config: DictConfig, choices: dict[str, Any]) -> dict[str, Any]:
    """Dicts, lists and numbers; ``choices`` says which files an optimizer and a problem came from."""
    node: Any = OmegaConf.to_container(config, resolve=True)
    node.pop("hydra", None)
    check_shape(node, choices)
    return node | {"choices": {group: choices[group] for group in CHOICES}}


def check_shape(node: Mapping[str, Any], choices: Mapping[str, Any]) -> None:
    """Refuses what stands where a function and its parameters belong: a file may put anything anywhere."""
    for key in (*top_level_keys(), *CHOICES):
        if key not in node and key != "hydra" or key in CHOICES and key not in choices:
            raise BadInput(f"{key} cannot be taken out of the configuration")
    for key in ("optimizer", "problem", "engine"):
        held = node.get(key)
        if not isinstance(held, dict) or not isinstance(held.get("_target_"), str):
            raise BadInput(f"{key} must be a node with a _target_, not {held!r}")
    for key in ("schedule", "probe", "sweep"):
        if not isinstance(node.get(key) or {}, dict):
            raise BadInput(f"{key} must be a node, not {node[key]!r}")
    for key in node["sweep"] or {}:
        if key not in Sampling._fields:
            raise unknown("key of sweep", str(key), Sampling._fields)
    _check_engine(node["engine"])
    _check_plain(node, "")


def _check_engine(node: Mapping[str, Any]) -> None:
    from optlab.app.engines import ENGINES

    name = str(node["_target_"]).removeprefix("optlab.app.engines.")
    if name not in ENGINES:
        raise unknown("engine", name, ENGINES)
    _, _, *taken = inspect.signature(ENGINES[name]).parameters
    for key in node:
        if key != "_target_" and key not in taken:
            raise unknown("engine parameter", str(key), taken)


def _check_plain(value: object, path: str) -> None:
    """Refuses what is no number, text, list or node of such: YAML and OmegaConf know more."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise BadInput(f"the keys of {path or 'a configuration'} must be names, not {key!r}")
            _check_plain(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for inner in value:
            _check_plain(inner, path)
    elif not isinstance(value, bool | int | float | str | None):
        raise BadInput(f"{path} must be a number, a text, a list or a node, not {value!r}")


def _carry_out(structures: list[dict[str, Any]], rest: Sequence[Axis]) -> None:
    """Plans, runs what is missing, writes it and sums up; SystemExit with code 1 where runs have raised."""
    planned, notes = groups(structures, rest)
    config = structures[0]
    total = sum(group.size for group in planned)
    _begin(config)
    _check(planned)
    folder = open_folder(config)
    status.record(folder, structures, rest)
    begun = perf_counter()
    outcome = _run(planned, folder, config, total)
    seconds = perf_counter() - begun
    if config["csv"]:
        table.load(folder).to_csv(folder)
    summary.print_study(folder, planned, outcome, notes, seconds)
    if outcome.errors:
        raise SystemExit(1)


def _begin(config: Mapping[str, Any]) -> None:
    from optlab.app.engines import begin

    begin(config["engine"])


def _check(planned: Sequence[Group]) -> None:
    from optlab.app.execute import check_input

    for group in planned:
        check_input(group)


def open_folder(config: Mapping[str, Any]) -> Path:
    """The folder of a study, made if need be. Raises BadInput where it cannot be one."""
    name = str(config["name"])
    if name in ("", ".", "..") or Path(name).is_absolute() or ".." in Path(name).parts:
        raise BadInput(f"name must be a name within the results folder, not '{name}'")
    try:
        folder = table.open_study(config["results"], name)
        probe = folder / f".writable.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except table.ForeignFolder as error:
        raise BadInput(str(error)) from None
    return folder


def _run(planned: Sequence[Group], folder: Path, config: Mapping[str, Any], total: int):
    from optlab.app import compilation_cache, environment
    from optlab.app.engines import run_on
    from optlab.app.execute import Study

    compilation_cache.turn_on()
    row = environment.describe()
    table.write_once(folder, "environments", row["environment_id"], {key: [value] for key, value in row.items()})
    with summary.progress(total) as advance:
        return run_on(config["engine"], planned, Study(folder, config["name"], row["environment_id"], advance))
