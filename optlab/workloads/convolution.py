"""Convolution as patches times a matrix, for where XLA's own is slow.

On a CPU a convolution within a loop falls off XLA's fast path, and over members with weights of their own (`vmap`) it
becomes a grouped one: both cost about ten times as much. Products of matrices keep their speed in either. Other
devices take XLA's, and so does what is evaluated `outside_loops`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from optlab.types import Array

__all__ = ["convolution"]

#: Whether what is traced is called step by step from Python.
_OUTSIDE = ContextVar("outside_loops", default=False)

#: What it costs to copy one entry of a patch, in multiplications of it (measured: 10 to 45 on two processors).
COPY = 32


@contextmanager
def outside_loops(outside: bool = True) -> Iterator[None]:
    """What is traced within is in no compiled loop (or is, where a part of it goes back to one)."""
    token = _OUTSIDE.set(outside)
    try:
        yield
    finally:
        _OUTSIDE.reset(token)


def are_outside_loops() -> bool:
    """Whether tracing is `outside_loops`."""
    return _OUTSIDE.get()


def convolution(
    lhs: Array,
    rhs: Array,
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    **others: Any,
) -> Array:
    """``out[n, y, x, o] = sum_{i, j, c} lhs[n, s y + i, s x + j, c] rhs[i, j, c, o]``, as `lax.conv_general_dilated`.

    Networks hand it to ``flax.linen.Conv(conv_general_dilated=...)``. Two spatial axes, ``NHWC`` and ``HWIO``.

    Args:
      lhs: images `[n, H, W, c]`.
      rhs: kernels `[h, w, c, o]`.
      window_strides: steps of the window along both axes.
      padding: ``"SAME"``, ``"VALID"``, or (before, after) for each axis.
      lhs_dilation: the images' pixels so far apart, zeros between them: a transposed convolution.
      rhs_dilation: the kernel's entries so far apart.
      dimension_numbers, feature_group_count, others: as there; groups are left to XLA.
    """
    if jax.default_backend() != "cpu" or feature_group_count != 1 or are_outside_loops():
        return lax.conv_general_dilated(
            lhs, rhs, window_strides, padding, lhs_dilation, rhs_dilation, dimension_numbers, feature_group_count,
            **others,
        )  # fmt: skip
    apart = tuple(rhs_dilation or (1, 1))
    lhs = _padded(lhs, rhs.shape[:2], tuple(window_strides), padding, tuple(lhs_dilation or (1, 1)), apart)
    if apart == (1, 1) and tuple(window_strides) == (1, 1) and _rows_are_cheaper(lhs.shape, rhs.shape):
        return _by_rows(lhs, rhs)
    return _by_patches(lhs, rhs, tuple(window_strides), apart)


def _padded(lhs, window, strides, padding, lhs_dilation, apart):
    extent = [a * (k - 1) + 1 for a, k in zip(apart, window, strict=True)]
    if isinstance(padding, str):
        if lhs_dilation != (1, 1):
            raise ValueError("a transposed convolution states its padding in numbers")
        padding = lax.padtype_to_pads(lhs.shape[1:3], extent, strides, padding)
    sides = [(0, 0, 0), *((*side, d - 1) for side, d in zip(padding, lhs_dilation, strict=True)), (0, 0, 0)]
    return lax.pad(lhs, jnp.zeros((), lhs.dtype), sides)


def _rows_are_cheaper(padded: Sequence[int], kernel: Sequence[int]) -> bool:
    """Whether multiplying whole rows, zeros included, costs less than copying patches of them does."""
    _, window, _, out = kernel
    return (padded[2] / window - 1) * out <= COPY


def _by_patches(lhs, rhs, strides, apart):
    """Shifted copies side by side, along one axis and then the other: h + w copies instead of h w."""
    h, w, channels, out = rhs.shape
    height, width = ((lhs.shape[1 + k] - apart[k] * (rhs.shape[k] - 1) - 1) // strides[k] + 1 for k in range(2))

    def shifted(x, axis, offset, size):
        return lax.slice_in_dim(x, offset, offset + strides[axis - 1] * (size - 1) + 1, strides[axis - 1], axis)

    if h > 1 or strides[0] > 1:
        lhs = jnp.concatenate([shifted(lhs, 1, apart[0] * i, height) for i in range(h)], axis=-1)
    if w > 1 or strides[1] > 1:
        lhs = jnp.concatenate([shifted(lhs, 2, apart[1] * j, width) for j in range(w)], axis=-1)
    matrix = rhs.transpose(1, 0, 2, 3).reshape(h * w * channels, out)
    return (lhs.reshape(-1, h * w * channels) @ matrix).reshape(-1, height, width, out)


def _by_rows(lhs, rhs):
    """Whole rows times the kernel written as a band: for images hardly wider than the kernel."""
    (h, w, channels, out), padded = rhs.shape, lhs.shape[2]
    height, width = lhs.shape[1] - h + 1, padded - w + 1
    rows = jnp.concatenate([lax.slice_in_dim(lhs, i, i + height, 1, 1) for i in range(h)], axis=-1)
    place = np.zeros((w, padded, width))
    for j in range(w):
        place[j, np.arange(width) + j, np.arange(width)] = 1
    kernel = rhs.transpose(1, 0, 2, 3).reshape(w, h * channels * out)
    band = jnp.asarray(place, rhs.dtype).reshape(w, -1).T @ kernel
    band = band.reshape(padded, width, h * channels, out).transpose(0, 2, 1, 3).reshape(-1, width * out)
    return (rows.reshape(-1, padded * h * channels) @ band).reshape(-1, height, width, out)
