"""How many programs go at once: on a CPU each core takes one, other devices run one after the other."""

import os

import jax


def cores() -> int:
    """Programs to run side by side; ``OPTLAB_CORES`` is a worker's share of the machine."""
    if jax.default_backend() != "cpu" or jax.local_device_count() > 1:  # several are a stand-in for others
        return 1
    return int(os.environ.get("OPTLAB_CORES", 0)) or os.cpu_count() or 1
