"""What a configuration may tell Hydra itself: hardly anything.

From its own node Hydra makes callbacks, logging handlers, launchers and sweepers of whatever path is named there, and
takes folders and environment variables. A file that somebody else has written could run code with it. `_target_`
elsewhere goes through `optlab.app.build`.
"""

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

from omegaconf import DictConfig, OmegaConf

from optlab.app.bad_input import BadInput

#: What must stay as it is in every configuration.
FIXED: dict[str, Any] = {
    "callbacks": {},
    "launcher._target_": "hydra._internal.core_plugins.basic_launcher.BasicLauncher",
    "sweeper._target_": "hydra_plugins.optlab.FoldingSweeper",
    "job_logging": {"version": 1, "root": None, "disable_existing_loggers": False},
    "hydra_logging": {"version": 1, "root": None, "disable_existing_loggers": False},
    "output_subdir": None, "run.dir": ".", "sweep.dir": ".", "sweep.subdir": ".",
    "job.chdir": None, "job.env_set": {}, "verbose": False, "searchpath": [],
}  # fmt: skip


def check(config: DictConfig) -> DictConfig:
    """The configuration. Raises BadInput where it tells Hydra something that is not for it to tell."""
    node = OmegaConf.to_container(config, resolve=False)["hydra"]  # type: ignore[index, call-overload]
    for key, value in FIXED.items():
        found: Any = node
        for name in key.split("."):
            found = found.get(name) if isinstance(found, dict) else None
        if found != value:
            raise BadInput(f"hydra.{key} cannot be set: it says how optlab is run, not what")
    return config


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """While it lasts, every configuration that Hydra composes is checked before Hydra makes anything of it."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl

    load = ConfigLoaderImpl.load_configuration

    def checked(*arguments: Any, **named: Any) -> DictConfig:
        try:
            composed = load(*arguments, **named)
        except (AssertionError, AttributeError, KeyError, TypeError, ValueError) as error:  # its own node is none
            reason = str(error) or "a word of it is no key=value"
            raise BadInput(f"the configuration cannot be composed: {reason}") from error
        return check(composed)

    with mock.patch.object(ConfigLoaderImpl, "load_configuration", checked):
        yield
