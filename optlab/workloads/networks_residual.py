"""Networks with shortcuts: layers that add to what they are given, or append to it."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from optlab.types import Array
from optlab.workloads.networks_plain import channels, check, conv, conv_layer, normalise, one_of

__all__ = ["densenet", "resnet", "se_resnet"]


def survival_factor(keep: float, train: bool, key: Callable[[], Array]) -> float | Array:
    """The factor of a branch that survives with probability `keep`: 0 or 1 in training, `keep` itself after it: `[]`.

    One draw for the whole batch, and none where nothing is dropped. Source: Huang et al., Deep networks with
    stochastic depth (2016), eqs. 2 and 5.
    """
    if not train or keep == 1:
        return keep
    return jax.random.bernoulli(key(), keep)


def _shortcut(x: Array, features: int, stride: int) -> Array:
    """Option A: every second pixel, and zeros for the new channels. It has no parameters."""
    x = x[:, ::stride, ::stride]
    return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, features - x.shape[-1])))


class _SqueezeExcitation(nn.Module):
    """Channels weighted by what their means say: eqs. 2 to 4. Without biases, as the paper counts them."""

    reduction: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        features = x.shape[-1]
        z = nn.Dense(max(1, features // self.reduction), use_bias=False, name="dense1")(x.mean(axis=(1, 2)))
        s = nn.Dense(features, use_bias=False, name="dense2")(nn.relu(z))
        return x * nn.sigmoid(s)[:, None, None, :]


class _ResidualBlock(nn.Module):
    features: int
    stride: int
    keep: float  #: the probability that the branch survives a training step
    norm: str
    shortcut: str
    reduction: int | None

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        # one pixel on each side, not SAME: the kernels stand on the pixels that the shortcut takes
        how = {"strides": self.stride, "padding": 1}
        y = conv_layer(x, self.features, 3, "1", self.norm, train, **how)
        y = conv(self.features, 3, "conv2", use_bias=self.norm == "none")(y)
        y = normalise(y, self.norm, train, "norm2")
        if self.reduction is not None:
            y = _SqueezeExcitation(self.reduction, name="squeeze")(y)
        if x.shape != y.shape and self.shortcut == "projection":
            x = conv(self.features, 1, "projection", strides=self.stride, padding=0, use_bias=self.norm == "none")(x)
            x = normalise(x, self.norm, train, "projection_norm")
        else:
            x = _shortcut(x, self.features, self.stride)
        return nn.relu(x + survival_factor(self.keep, train, lambda: self.make_rng("dropout")) * y)


class _ResNet(nn.Module):
    depth: int
    width: float
    classes: int
    norm: str
    survival: float
    shortcut: str
    reduction: int | None = None  #: of squeeze and excitation; none without

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        n = (self.depth - 2) // 6
        x = conv_layer(x, channels(16, self.width), 3, "1", self.norm, train)
        for block in range(3 * n):
            stage, k = divmod(block, n)
            x = _ResidualBlock(
                features=channels(16 * 2**stage, self.width),
                stride=2 if stage > 0 and k == 0 else 1,
                keep=1 - (block + 1) / (3 * n) * (1 - self.survival),
                norm=self.norm,
                shortcut=self.shortcut,
                reduction=self.reduction,
                name=f"stage{stage + 1}_block{k}",
            )(x, train)
        return nn.Dense(self.classes, name="head")(x.mean(axis=(1, 2)))


def _check_resnet(depth: int, norm: str, survival: float, shortcut: str) -> None:
    check(norm=norm)
    one_of("shortcut", shortcut, ("pad", "projection"))
    if depth < 8 or depth % 6 != 2:
        raise ValueError(f"depth of a resnet must be 6n + 2 (8, 14, 20, 32, 56, 110, ...), not {depth!r}")
    if not 0 < survival <= 1:
        raise ValueError(f"survival must be a probability above 0 and up to 1, not {survival!r}")


def resnet(
    *,
    depth: int = 20,
    width: float = 1.0,
    classes: int = 10,
    norm: str = "group",
    survival: float = 1.0,
    shortcut: str = "pad",
) -> nn.Module:
    """The residual network for 32x32 images: three stages of n blocks of two 3x3 convolutions, depth 6n + 2.

    x: `[B, H, W, C]` -> logits `[B, classes]`. 269,722 parameters at depth 20 and 853,018 at 56 (0.27M and 0.85M).
    `shortcut` into a wider stage: "pad" is option A, every second pixel and zeros, without parameters; "projection" is
    option B, a 1x1 convolution. `survival` below 1 is stochastic depth: the last block's probability to take part in a
    training step, falling linearly from 1 along the depth (0.5 in that paper); in evaluation each branch is
    multiplied by its own. Draws come from the collection "dropout", one for each block and batch.
    Source: He et al., Deep residual learning for image recognition (2016), section 4.2 and table 6; Huang et al.,
    Deep networks with stochastic depth (2016), eqs. 2, 4 and 5.
    """
    _check_resnet(depth, norm, survival, shortcut)
    return _ResNet(depth, width, classes, norm, survival, shortcut)


def se_resnet(
    *,
    depth: int = 20,
    width: float = 1.0,
    classes: int = 10,
    norm: str = "group",
    survival: float = 1.0,
    shortcut: str = "pad",
    reduction: int = 16,
) -> nn.Module:
    """`resnet` with squeeze and excitation: each block weights its channels by their means over the image.

    x: `[B, H, W, C]` -> logits `[B, classes]`. The two dense layers of a block, C -> C / `reduction` -> C, add
    2/r sum_s N_s C_s^2 parameters (eq. 5): 2,016 at depth 20, 271,738 in all. The weighting comes before the addition.
    Source: Hu et al., Squeeze-and-excitation networks (2018), section 3.
    """
    _check_resnet(depth, norm, survival, shortcut)
    if reduction < 1:
        raise ValueError(f"reduction must be at least 1, not {reduction!r}")
    return _ResNet(depth, width, classes, norm, survival, shortcut, reduction)


class _DenseLayer(nn.Module):
    """Appends `growth` channels, by a bottleneck of four times as many."""

    growth: int
    norm: str
    dropout: float

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        y = nn.relu(normalise(x, self.norm, train, "norm1"))
        y = conv(4 * self.growth, 1, "conv1", use_bias=False)(y)
        y = nn.relu(normalise(y, self.norm, train, "norm2"))
        y = conv(self.growth, 3, "conv2", use_bias=self.norm == "none")(y)
        y = nn.Dropout(self.dropout, deterministic=not train)(y)
        return jnp.concatenate([x, y], axis=-1)


class _Transition(nn.Module):
    """Halves the channels and the sides of the image."""

    norm: str

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        x = nn.relu(normalise(x, self.norm, train, "norm1"))
        x = conv(x.shape[-1] // 2, 1, "conv1", use_bias=self.norm == "none")(x)
        return nn.avg_pool(x, (2, 2), (2, 2), "SAME")


class _DenseNet(nn.Module):
    depth: int
    width: float
    classes: int
    norm: str
    dropout: float

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        growth = channels(12, self.width)
        x = conv(2 * growth, 3, "conv1", use_bias=self.norm == "none")(x)
        for stage in range(1, 4):
            for k in range((self.depth - 4) // 6):
                x = _DenseLayer(growth, self.norm, self.dropout, name=f"stage{stage}_layer{k}")(x, train)
            if stage < 3:
                x = _Transition(self.norm, name=f"transition{stage}")(x, train)
        x = nn.relu(normalise(x, self.norm, train, "norm1"))
        return nn.Dense(self.classes, name="head")(x.mean(axis=(1, 2)))


def densenet(
    *, depth: int = 100, width: float = 1.0, classes: int = 10, norm: str = "group", dropout: float = 0.0
) -> nn.Module:
    """DenseNet-BC for 32x32 images: each layer sees all before it in its stage, and appends `12 width` channels.

    x: `[B, H, W, C]` -> logits `[B, classes]`. `depth` is 6n + 4: three stages of n layers, each a 1x1 bottleneck and a
    3x3 convolution; transitions halve channels and sides. 769,162 parameters at depth 100 (0.8M for growth rate 12).
    The paper's dropout, without augmentation, is 0.2.
    Source: Huang et al., Densely connected convolutional networks (2017), section 3 and table 2.
    """
    check(norm=norm, dropout=dropout)
    if depth < 10 or depth % 6 != 4:
        raise ValueError(f"depth of a densenet must be 6n + 4 (10, 16, 22, 40, 100, ...), not {depth!r}")
    return _DenseNet(depth, width, classes, norm, dropout)
