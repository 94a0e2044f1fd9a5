"""Words of the command line to plain configurations, outside of Hydra's own main function."""

from collections.abc import Sequence
from typing import Any

from optlab.app.bad_input import BadInput
from optlab.app.build import complete
from optlab.app.catalogue import NODES, conf_dir


def composed(words: Sequence[str]) -> dict[str, Any]:
    """The configuration that Hydra makes of overrides, its defaults filled in, as a run of the command has it.

    Raises BadInput with Hydra's reason in one sentence.
    """
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from optlab.app.main import one_sentence
    from optlab.app.study import plain

    try:
        with initialize_config_dir(str(conf_dir().absolute()), version_base="1.3"):
            found = compose("config", list(words), return_hydra_config=True)
            config = plain(found, dict(found.hydra.runtime.choices))
    except (HydraException, OmegaConfBaseException) as error:
        raise BadInput(one_sentence(error)) from error
    for root in NODES:
        if config.get(root):
            config[root] = complete(config[root], root)
    return config
