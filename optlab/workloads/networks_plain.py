"""Networks without convolution, and the few pieces that every network here is made of.

A network is a function that returns a `flax.linen.Module`; ``network.apply(variables, x, train=False)`` gives logits.
None sets an initializer or a dtype: parameters are drawn by whoever trains, and the dtype follows them. Parameters
are called `kernel` and `bias`, those of normalisation `scale` and `bias`; layers have names in forward order, and the
last one is always `head`.
"""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp

from optlab.types import Array
from optlab.workloads.convolution import convolution

__all__ = ["logistic_regression", "mlp"]

NORMS = ("group", "batch", "none")
_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": nn.relu,
    "tanh": jnp.tanh,
    "sigmoid": nn.sigmoid,
    "identity": lambda x: x,
}


def channels(paper: int, width: float) -> int:
    """A layer's number of channels: the paper's times `width`, rounded, at least 1."""
    return max(1, round(paper * width))


def one_of(what: str, choice: object, allowed: tuple) -> None:
    """Refuse a choice that is not among those allowed, in one sentence that names them."""
    if choice not in allowed:
        raise ValueError(f"{what} must be one of {', '.join(map(str, allowed))}, not {choice!r}")


def check(*, norm: str = "none", dropout: float = 0.0) -> None:
    """Refuse an unknown normalisation, or a dropout rate that is no rate."""
    one_of("norm", norm, NORMS)
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must be a rate from 0 to below 1, not {dropout!r}")


def groups(features: int) -> int:
    """Groups of a GroupNorm: the largest divisor of `features` up to 8 that leaves two channels in each, or 1.

    Wu and He (2018) take 32 groups for 64 channels and more, so two channels in the smallest group: this is a quarter
    of theirs for networks a quarter as wide. A group of one channel on a map of one pixel would always be zero.
    """
    return max((g for g in range(1, min(8, features // 2) + 1) if features % g == 0), default=1)


def normalise(x: Array, norm: str, train: bool, name: str) -> Array:
    """x: `[..., C]` normalised over groups of its channels, over its batch, or not at all.

    With momentum zero one pass over a calibration set, as one batch with ``train=True`` and
    ``mutable=["batch_stats"]``, sets the statistics of BatchNorm exactly.
    """
    if norm == "none":
        return x
    if norm == "batch":
        return nn.BatchNorm(use_running_average=not train, momentum=0.0, name=name)(x)
    return nn.GroupNorm(groups(x.shape[-1]), name=name)(x)


def conv(features: int, side: int, name: str, **options) -> nn.Conv:
    """A convolution with a square kernel, computed by the one function that all networks share."""
    return nn.Conv(features, (side, side), conv_general_dilated=convolution, name=name, **options)


def conv_layer(x: Array, features: int, side: int, name: str, norm: str, train: bool, **options) -> Array:
    """Convolution `conv<name>`, normalisation `norm<name>`, ReLU. A normalised convolution has no bias."""
    x = conv(features, side, f"conv{name}", use_bias=norm == "none", **options)(x)
    return nn.relu(normalise(x, norm, train, f"norm{name}"))


def halve(x: Array) -> Array:
    """The maximum of each 2 by 2 pixels: `[B, H, W, C]` -> `[B, ceil(H/2), ceil(W/2), C]`, so one pixel stays one."""
    return nn.max_pool(x, (2, 2), (2, 2), "SAME")


def flatten(x: Array) -> Array:
    """`[B, ...]` -> `[B, features]`."""
    return x.reshape(x.shape[0], -1)


class _LogisticRegression(nn.Module):
    classes: int

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        del train
        return nn.Dense(self.classes, name="head")(flatten(x))


def logistic_regression(*, classes: int = 10) -> nn.Module:
    """The linear model: one dense layer on all pixels; its cross-entropy is convex.

    x: `[B, H, W, C]` -> logits `[B, classes]`. It has no width. 7,850 parameters on 28x28x1 with 10 classes.
    Source: Cox, The regression analysis of binary sequences (1958).
    """
    return _LogisticRegression(classes)


class _MLP(nn.Module):
    depth: int
    width: float
    classes: int
    activation: str
    norm: str
    dropout: float

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        x = flatten(x)
        for k in range(1, self.depth + 1):
            x = nn.Dense(channels(512, self.width), name=f"dense{k}")(x)
            x = _ACTIVATIONS[self.activation](normalise(x, self.norm, train, f"norm{k}"))
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.classes, name="head")(x)


def mlp(
    *,
    depth: int = 3,
    width: float = 1.0,
    classes: int = 10,
    activation: str = "relu",
    norm: str = "none",
    dropout: float = 0.0,
) -> nn.Module:
    """A multilayer perceptron: `depth` hidden layers of `512 width` units.

    x: `[B, H, W, C]` -> logits `[B, classes]`. `activation` is relu, tanh, sigmoid or identity (a deep linear network).
    1,735,178 parameters on 28x28x3. Source: Zhang et al., Understanding deep learning requires rethinking
    generalization (2017), table 1, "MLP 3x512".
    """
    check(norm=norm, dropout=dropout)
    one_of("activation", activation, tuple(_ACTIVATIONS))
    return _MLP(depth, width, classes, activation, norm, dropout)
