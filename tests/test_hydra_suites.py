"""Hydra's own suites for launchers and sweepers, driven through our sweeper for tasks that are not optlab's."""

import pytest
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from hydra.plugins.sweeper import Sweeper
from hydra.test_utils.launcher_common_tests import (
    BatchedSweeperTestSuite,
    IntegrationTestSuite,
    LauncherTestSuite,
)
from hydra.version import VersionBase

from hydra_plugins.optlab import FoldingSweeper

# The jobs of the suites give no version_base, which Hydra warns about.
pytestmark = pytest.mark.filterwarnings("ignore:Future Hydra versions will no longer change working directory")


@pytest.fixture(autouse=True)
def as_in_a_fresh_process(monkeypatch):
    """Commands of other tests have set Hydra's version_base for this process; the suites expect none."""
    monkeypatch.setitem(Singleton._instances, VersionBase, VersionBase.__new__(VersionBase))
    VersionBase.instance().__init__()


def test_an_installed_optlab_is_found_by_hydra():
    found = [plugin.__name__ for plugin in Plugins.instance().discover(Sweeper)]
    assert FoldingSweeper.__name__ in found


@pytest.mark.parametrize("launcher_name, overrides", [("basic", ["hydra/sweeper=optlab"])])
class TestFoldingSweeperLaunches(LauncherTestSuite):
    """Any task that is not ours goes through the launcher that the user chose."""


@pytest.mark.parametrize(
    "launcher_name, overrides",
    [("basic", ["hydra/sweeper=optlab", "hydra.sweeper.max_batch_size=2"])],
)
class TestFoldingSweeperBatches(BatchedSweeperTestSuite):
    """In batches, as the basic sweeper does."""


@pytest.mark.parametrize(
    "task_launcher_cfg, extra_flags",
    [({"defaults": [{"override hydra/launcher": "basic"}]}, ["-m", "hydra/sweeper=optlab"])],
)
class TestFoldingSweeperIntegration(IntegrationTestSuite):
    """From a command line of its own."""
