"""Hydra finds optlab's sweeper here. Hydra imports this at every start, so nothing heavy is imported above."""

from dataclasses import dataclass, field
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore


class FoldingSweeper(BasicSweeper):
    """Folds a sweep of optlab's own task into few compiled programs; for any other task it is Hydra's basic sweeper."""

    def setup(self, *, hydra_context: Any, task_function: Any, config: Any) -> None:
        self.task_function = task_function
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def sweep(self, arguments: list[str]) -> Any:
        if not getattr(self.task_function, "folds", False):
            return super().sweep(arguments)
        from optlab.app.study import sweep

        assert self.config is not None and self.hydra_context is not None
        overrides = [*self._parse_config(), *arguments]
        return sweep(overrides, self.config, self.hydra_context.config_loader)


@dataclass
class FoldingSweeperConf:
    _target_: str = "hydra_plugins.optlab.FoldingSweeper"
    max_batch_size: int | None = None
    params: dict[str, Any] | None = field(default_factory=dict)


ConfigStore.instance().store(group="hydra/sweeper", name="optlab", node=FoldingSweeperConf, provider="optlab")
