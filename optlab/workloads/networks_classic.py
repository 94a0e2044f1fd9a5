"""The plain convolutional networks, in the order of their papers: layer upon layer, no shortcuts."""

import flax.linen as nn
import jax.numpy as jnp

from optlab.types import Array
from optlab.workloads.networks_plain import channels, check, conv, conv_layer, flatten, halve, one_of

__all__ = ["alexnet", "inception", "lenet5", "vgg"]

#: Convolutions in each of the five stages, by depth: configurations A, B, D and E of table 1.
_VGG_STAGES = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}

#: Table 1: 1x1; 1x1 before 3x3, 3x3; 1x1 before 5x5, 5x5; 1x1 after pooling.
_INCEPTION = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


class _LeNet5(nn.Module):
    width: float
    classes: int

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        del train
        sides = x.shape[1:3]
        padding = "VALID" if min(sides) >= 28 else "SAME"
        if padding == "VALID":
            rims = [max(0, 32 - side) for side in sides]
            x = jnp.pad(x, ((0, 0), *((rim // 2, rim - rim // 2) for rim in rims), (0, 0)))
        for k, features in enumerate((6, 16), 1):
            x = jnp.tanh(conv(channels(features, self.width), 5, f"conv{k}", padding=padding)(x))
            if min(x.shape[1:3]) > 4:
                x = nn.avg_pool(x, (2, 2), (2, 2), padding)
        x = flatten(x)
        for k, features in enumerate((120, 84), 1):
            x = jnp.tanh(nn.Dense(channels(features, self.width), name=f"dense{k}")(x))
        return nn.Dense(self.classes, name="head")(x)


def lenet5(*, width: float = 1.0, classes: int = 10) -> nn.Module:
    """LeNet-5: two 5x5 convolutions with tanh and average pooling, then three dense layers.

    x: `[B, H, W, C]` -> logits `[B, classes]`. 61,706 parameters on 32x32x1. The images' shorter side decides on
    borders: from 28 pixels convolutions are unpadded as in the paper, and images below 32 are set in a rim of zeros to
    32, as it does with MNIST; smaller ones, as the 8x8 digits, keep their size ("SAME"), and no more than 4x4 pixels
    are not pooled, so that something is left.
    C3 here sees all maps of S2, pooling has no coefficients, C5 is the dense layer it is on 32x32, the output is
    linear. Source: LeCun et al., Gradient-based learning applied to document recognition (1998), section II.B.
    """
    return _LeNet5(width, classes)


class _AlexNet(nn.Module):
    depth: int
    width: float
    classes: int
    norm: str
    dropout: float

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        small = self.depth == 5
        for k, features in enumerate((64, 64) if small else (96, 256, 384, 384, 256), 1):
            x = conv_layer(x, channels(features, self.width), 5 if k < 3 else 3, str(k), self.norm, train)
            if k in (1, 2, 5):
                x = nn.max_pool(x, (3, 3), (2, 2), "SAME")
        x = flatten(x)
        for k, features in enumerate((384, 192) if small else (4096, 4096), 1):
            x = nn.relu(nn.Dense(channels(features, self.width), name=f"dense{k}")(x))
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.classes, name="head")(x)


def alexnet(
    *, depth: int = 8, width: float = 1.0, classes: int = 10, norm: str = "group", dropout: float = 0.0
) -> nn.Module:
    """AlexNet for small images, of 8 layers or 5: large kernels, overlapping pools, dense layers.

    x: `[B, H, W, C]` -> logits `[B, classes]`. `depth` 8 is the original in one tower, its first convolution 5x5
    with stride 1 where it has 11x11 with stride 4 on 224x224: 37 million parameters on 32x32x3. `depth` 5 is the
    "small Alexnet" of two convolutions: 1,387,786 on 28x28x3 without norm. `norm` stands where both have local
    response normalisation, but before the ReLU; the papers' dropout is 0.5 and none.
    Source: Krizhevsky, Sutskever and Hinton, ImageNet classification with deep convolutional neural networks (2012),
    section 3; Zhang et al., Understanding deep learning requires rethinking generalization (2017), appendix A.
    """
    check(norm=norm, dropout=dropout)
    one_of("depth of alexnet", depth, (5, 8))
    return _AlexNet(depth, width, classes, norm, dropout)


class _VGG(nn.Module):
    depth: int
    width: float
    classes: int
    norm: str
    dropout: float

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        for stage, (count, features) in enumerate(
            zip(_VGG_STAGES[self.depth], (64, 128, 256, 512, 512), strict=True), 1
        ):
            for k in range(1, count + 1):
                x = conv_layer(x, channels(features, self.width), 3, f"{stage}_{k}", self.norm, train)
            x = halve(x)
        x = flatten(x)
        for k in (1, 2):
            x = nn.relu(nn.Dense(channels(4096, self.width), name=f"dense{k}")(x))
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.classes, name="head")(x)


def vgg(
    *, depth: int = 16, width: float = 1.0, classes: int = 10, norm: str = "group", dropout: float = 0.0
) -> nn.Module:
    """VGG: stages of 3x3 convolutions, each stage with half the pixels and up to twice the channels.

    x: `[B, H, W, C]` -> logits `[B, classes]`. `depth` 11, 13, 16 or 19 are configurations A, B, D and E.
    138,357,544 parameters on 224x224x3 with 1000 classes, depth 16 and no norm; 34 million on 32x32x3 with 10. The
    paper has no norm, and dropout 0.5. Source: Simonyan and Zisserman, Very deep convolutional networks for
    large-scale image recognition (2015), tables 1 and 2.
    """
    check(norm=norm, dropout=dropout)
    one_of("depth of vgg", depth, tuple(_VGG_STAGES))
    return _VGG(depth, width, classes, norm, dropout)


class _InceptionModule(nn.Module):
    features: tuple[int, ...]  #: a row of `_INCEPTION`
    norm: str

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        def layer(x, features, side, name):
            return conv_layer(x, features, side, name, self.norm, train)

        one, before3, three, before5, five, after = self.features
        pooled = nn.max_pool(x, (3, 3), (1, 1), "SAME")
        branches = [
            layer(x, one, 1, "1x1"),
            layer(layer(x, before3, 1, "3x3_reduce"), three, 3, "3x3"),
            layer(layer(x, before5, 1, "5x5_reduce"), five, 5, "5x5"),
            layer(pooled, after, 1, "_pool"),
        ]
        return jnp.concatenate(branches, axis=-1)


class _Inception(nn.Module):
    depth: int
    width: float
    classes: int
    norm: str
    dropout: float

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        x = conv_layer(x, channels(192, self.width), 3, "1", self.norm, train)
        for name in list(_INCEPTION)[: self.depth]:
            if name in ("4a", "5a"):
                x = nn.max_pool(x, (3, 3), (2, 2), "SAME")
            features = tuple(channels(f, self.width) for f in _INCEPTION[name])
            x = _InceptionModule(features, self.norm, name=f"inception{name}")(x, train)
        x = nn.Dropout(self.dropout, deterministic=not train)(x.mean(axis=(1, 2)))
        return nn.Dense(self.classes, name="head")(x)


def inception(
    *, depth: int = 9, width: float = 1.0, classes: int = 10, norm: str = "group", dropout: float = 0.0
) -> nn.Module:
    """GoogLeNet for small images: modules of 1x1, 3x3 and 5x5 convolutions and a pool, side by side.

    x: `[B, H, W, C]` -> logits `[B, classes]`. `depth` counts the modules 3a, 3b, 4a to 4e, 5a, 5b from the first, 1 to
    9. One 3x3 convolution stands for the paper's stem, which would shrink 32x32 to 4x4, and there are no auxiliary
    classifiers. 5.9 million parameters, the modules' within 8% of table 1. The paper has no norm, and dropout 0.4.
    Source: Szegedy et al., Going deeper with convolutions (2015), table 1.
    """
    check(norm=norm, dropout=dropout)
    one_of("depth of inception", depth, tuple(range(1, 10)))
    return _Inception(depth, width, classes, norm, dropout)
