"""Networks that name every pixel: down to few pixels with many channels, and up again.

A transposed convolution is a convolution of the image with zeros between its pixels: ``input_dilation``.
"""

import flax.linen as nn
import jax.numpy as jnp

from optlab.types import Array
from optlab.workloads.networks_plain import channels, check, conv, conv_layer, halve, one_of

__all__ = ["fully_convolutional", "unet"]

#: Convolutions and channels of the stages of VGG-16.
_STAGES = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))


def up_conv(x: Array, features: int, side: int, factor: int, name: str, use_bias: bool) -> Array:
    """Transposed convolution: `[B, H, W, C]` -> `[B, factor H, factor W, features]`.

    `factor` - 1 zeros between pixels leave ``factor (H - 1) + 1``; a kernel of `side` then needs a rim of
    ``factor + side - 2`` in all to end with ``factor H``. `side` is even where `factor` is.
    """
    rim = (factor + side - 2) // 2
    return conv(features, side, name, input_dilation=factor, padding=rim, use_bias=use_bias)(x)


def _crop(x: Array, like: Array) -> Array:
    """x without the last row and column that halving an odd side and doubling it again adds."""
    return x[:, : like.shape[1], : like.shape[2]]


class _UNet(nn.Module):
    depth: int
    width: float
    classes: int
    norm: str
    dropout: float

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        def twice(x, level, name):
            features = channels(64 * 2**level, self.width)
            x = conv_layer(x, features, 3, f"_{name}_1", self.norm, train)
            return conv_layer(x, features, 3, f"_{name}_2", self.norm, train)

        skips = []
        for level in range(self.depth):
            skips.append(twice(x, level, f"down{level}"))
            x = halve(skips[-1])
        x = twice(x, self.depth, "bottom")
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        for level in reversed(range(self.depth)):
            x = up_conv(x, channels(64 * 2**level, self.width), 2, 2, f"up{level}", use_bias=True)
            x = twice(jnp.concatenate([skips[level], _crop(x, skips[level])], axis=-1), level, f"up{level}")
        return conv(self.classes, 1, "head")(x)


def unet(
    *, depth: int = 4, width: float = 1.0, classes: int = 2, norm: str = "group", dropout: float = 0.0
) -> nn.Module:
    """U-Net: down `depth` times and up again, each way up joined by what the way down saw at that size.

    x: `[B, H, W, C]` -> logits `[B, H, W, classes]`. 23 convolutions and 31,030,658 parameters at depth 4 on one
    channel, without norm. Convolutions are padded, so that the answer has the size of the image, where the paper's
    lose a border; dropout ends the way down. Source: Ronneberger, Fischer and Brox, U-Net: convolutional networks for
    biomedical image segmentation (2015), figure 1.
    """
    check(norm=norm, dropout=dropout)
    if depth < 1:
        raise ValueError(f"depth of a unet must be at least 1, not {depth!r}")
    return _UNet(depth, width, classes, norm, dropout)


class _FullyConvolutional(nn.Module):
    depth: int
    width: float
    classes: int
    norm: str
    dropout: float

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        image, pooled = x, []
        for stage, (count, features) in enumerate(_STAGES[: self.depth], 1):
            for k in range(1, count + 1):
                x = conv_layer(x, channels(features, self.width), 3, f"{stage}_{k}", self.norm, train)
            x = halve(x)
            pooled.append(x)
        for k, side in ((1, 7), (2, 1)):
            x = conv_layer(x, channels(4096, self.width), side, f"_dense{k}", self.norm, train)
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        x = conv(self.classes, 1, "score")(x)
        for stage in (self.depth - 1, self.depth - 2):
            skip = conv(self.classes, 1, f"score{stage}")(pooled[stage - 1])
            x = skip + _crop(up_conv(x, self.classes, 4, 2, f"up{stage}", use_bias=False), skip)
        factor = 2 ** (self.depth - 2)
        return _crop(up_conv(x, self.classes, 2 * factor, factor, "head", use_bias=False), image)


def fully_convolutional(
    *, depth: int = 5, width: float = 1.0, classes: int = 21, norm: str = "group", dropout: float = 0.0
) -> nn.Module:
    """FCN-8s: the stages of VGG-16, its dense layers as convolutions, and scores of three sizes, upsampled and added.

    x: `[B, H, W, C]` -> logits `[B, H, W, classes]`. `depth` counts the stages, 3 to 5; each halves the image, and the
    last upsampling is by 2^(depth - 2), so 8 at full depth and 2 at depth 3, for small images. 134,489,759 parameters
    at depth 5 without norm (134M). All upsampling is transposed convolution and learned; the paper begins with
    bilinear kernels, keeps the last fixed, and has dropout 0.5. Source: Long, Shelhamer and Darrell, Fully
    convolutional networks for semantic segmentation (2015), section 4.2 and table 1.
    """
    check(norm=norm, dropout=dropout)
    one_of("depth of a fully convolutional network", depth, (3, 4, 5))
    return _FullyConvolutional(depth, width, classes, norm, dropout)
