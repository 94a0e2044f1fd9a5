"""What networks are trained and validated on, as NumPy arrays that are made once and travel as arguments.

Pixels stay whole bytes, a quarter of float32: a batch is standardised on the device, by the mean and the scale that a
data set carries for each channel. A set is made once for each choice of its parameters and then shared; its arrays
are read-only.
"""

import functools
import math
from typing import NamedTuple

import jax
import numpy as np

from optlab.types import Array, PyTree

__all__ = ["Dataset", "Examples", "digits", "standardised"]


class Examples(NamedTuple):
    """Inputs and what is to be said of each, along a common first axis."""

    inputs: Array  #: `[n, ...]`, channels last
    targets: PyTree  #: arrays `[n, ...]`


class Dataset(NamedTuple):
    """Two disjoint sets of examples, and what brings their inputs to zero mean and unit variance."""

    train: Examples
    validation: Examples
    classes: int  #: how many there are; of pixels, the background is one
    mean: Array  #: of the training inputs, for each channel: `[C]` float32
    scale: Array  #: their standard deviation, 1 where they do not vary: `[C]` float32


def standardised(inputs: Array, mean: Array, scale: Array) -> Array:
    """``(inputs - mean) / scale`` for each channel, as floats of the mean's precision, NumPy or JAX as the inputs.

    Args:
      inputs: `[..., C]`, whole numbers or floats.
      mean, scale: `[C]`, a data set's.
    """
    channels = (1,) * (inputs.ndim - 1) + (-1,)
    return (inputs.astype(mean.dtype) - mean.reshape(channels)) / scale.reshape(channels)


def digits(*, seed: int = 0) -> Dataset:
    """Handwritten digits of 8 x 8 pixels, 1,797 real ones that come with scikit-learn; inputs 0 to 16.

    The test part of the UCI set by Alpaydin and Kaynak (1998). A fifth of each class, chosen by `seed`, validates;
    both parts are in an order of chance.
    """
    return _digits(whole(seed, "the seed of a split"))


@functools.cache
def _digits(seed: int) -> Dataset:
    from sklearn.datasets import load_digits  # half a second, for those who want it

    loaded = [np.asarray(part) for part in load_digits(return_X_y=True)]
    inputs, targets = loaded[0].astype(np.uint8).reshape(-1, 8, 8, 1), loaded[1].astype(np.int32)
    train, validation = stratified(targets, 0.2, seed)
    return dataset(Examples(inputs[train], targets[train]), Examples(inputs[validation], targets[validation]), 10)


def stratified(labels: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two disjoint sets of positions, each in an order of chance: the second holds `share` of each class, rounded."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(labels))
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        chosen[members[: math.floor(share * len(members) + 0.5)]] = True
    return order[~chosen[order]], order[chosen[order]]


def dataset(train: Examples, validation: Examples, classes: int) -> Dataset:
    """The two parts with the statistics of the first; their arrays become read-only, since all callers share them."""
    mean, deviation = _moments(train.inputs)
    scale = np.where(deviation > 0, deviation, 1)
    made = Dataset(train, validation, classes, mean.astype(np.float32), scale.astype(np.float32))
    for array in jax.tree.leaves(made._replace(classes=())):
        array.flags.writeable = False
    return made


def _moments(inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each channel; of bytes by counting them, exact and without a copy as floats."""
    channels = np.moveaxis(inputs, -1, 0)
    if inputs.dtype != np.uint8:
        flat = channels.reshape(len(channels), -1).astype(float)
        return flat.mean(1), flat.std(1)
    shares = np.stack([np.bincount(channel.ravel(), minlength=256) for channel in channels]) / channels[0].size
    values = np.arange(256)
    mean = shares @ values
    return mean, np.sqrt(np.sum(shares * (values - mean[:, None]) ** 2, axis=1))


def whole(number: float, what: str, least: int = 0) -> int:
    """A whole number of at least `least`; a traced one raises JAX's concretization error."""
    if number != int(number) or number < least:
        raise ValueError(f"{what} must be a whole number of at least {least}, not {number}")
    return int(number)


def difficult(difficulty: float) -> float:
    """A difficulty, a number from 0 to 1."""
    if not 0 <= float(difficulty) <= 1:
        raise ValueError(f"difficulty must be from 0 to 1, not {difficulty}")
    return float(difficulty)
