"""How many programs go at once: on a CPU each core takes one, another device runs one after the other."""

import os

import jax


def cores() -> int:
    """Programs to run side by side."""
    return (os.cpu_count() or 1) if jax.default_backend() == "cpu" else 1
