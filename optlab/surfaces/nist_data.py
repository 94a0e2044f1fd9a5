"""The data of NIST's Statistical Reference Datasets for nonlinear regression, and models set against them.

The suite has 27 sets, one ``nist_`` file of the catalogue each; the surfaces are in `nist_growth`,
`nist_decays` and `nist_quotients`. Parameters are called b as NIST does, and each set has two starts, the far one
first. f is half of the sum of squares that NIST certifies; the points are its eleven digits, polished to sixteen.
"""

import csv
import functools
from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from optlab.types import Array


@functools.cache
def _observations(name: str) -> np.ndarray:
    """What was observed, y, and where: a row for y and one for each predictor: `[2 or 3, r]`."""
    with (Path(__file__).parent / "nist.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["set"] == name]
    return np.asarray([[float(row[key]) for row in rows] for key in ("y", "x1", "x2") if rows[0][key]])


def _misfit(name: str, model: Callable[[Array, Array], Array]) -> Callable[[Array], Array]:
    """Model less observations as a function of the parameters; the model takes b: `[d]` and x: `[r]`."""
    observations = _observations(name)

    def residual(b):
        y, x = jnp.asarray(observations, b.dtype)
        return model(b, x) - y

    return residual
