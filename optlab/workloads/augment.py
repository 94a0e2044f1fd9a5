"""Images made anew at each step, so that a network does not see the same twice.

Images are floats `[B, H, W, C]`, standardised: zero is the mean, and what comes in from outside is zero. Each image has
draws of its own. All functions may be jitted and vmapped; only `padding` and the `pixels` of a shift are read while
tracing. A key draws one array of uniform numbers, whatever is asked for: each further draw is a compilation of its own.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.ndimage import map_coordinates

from optlab.types import Array

__all__ = [
    "augmented",
    "cutout",
    "gaussian_noise",
    "random_brightness",
    "random_crop",
    "random_flip",
    "random_rotation",
    "random_shift",
]

_Number = float | Array


def augmented(
    key: Array,
    images: Array,
    *,
    crop: int = 0,
    shift: int = 0,
    flip: bool = False,
    rotation: _Number = 0.0,
    brightness: _Number = 0.0,
    noise: _Number = 0.0,
    cutout: int | Array = 0,
) -> Array:
    """The images after all changes that are asked for, made in the order of these arguments: `[B, H, W, C]`.

    What is 0 or False costs nothing; a traced number counts as asked for.

    Args:
      key: draws all of them.
      images: `[B, H, W, C]` floats.
      crop, shift, flip, rotation, brightness, noise, cutout: strengths: see `random_crop`, `random_shift`,
        `random_flip`, `random_rotation`, `random_brightness`, `gaussian_noise` and `cutout`.

    Raises:
      ValueError: for a negative strength.
    """
    pixels = math.prod(images.shape[1:])
    changes = [
        ("crop", crop, 2, _cropped),
        ("shift", shift, 2, _shifted),
        ("flip", flip, 1, _flipped),
        ("rotation", rotation, 1, _rotated),
        ("brightness", brightness, 1, _brightened),
        ("noise", noise, pixels, _noisy),
        ("cutout", cutout, 2, _cut),
    ]
    for name, strength, _, _ in changes:
        if isinstance(strength, int | float) and not strength >= 0:
            raise ValueError(f"{name} must be a number of at least 0, not {strength}")
    asked = [change for change in changes if not (isinstance(change[1], int | float) and change[1] == 0)]
    if not asked:
        return images
    uniform = _uniform(key, images, sum(count for _, _, count, _ in asked))
    for _, strength, count, change in asked:
        images, uniform = change(uniform[:, :count], images, strength), uniform[:, count:]
    return images


def random_crop(key: Array, images: Array, padding: int) -> Array:
    """A window as large as the image, anywhere within the image and a border of `padding` zeros around it.

    The augmentation of CIFAR by He et al. (2016, section 4.2), with 4.
    """
    return _cropped(_uniform(key, images, 2), images, padding)


def random_shift(key: Array, images: Array, pixels: int) -> Array:
    """Moved by up to `pixels` whole ones along both axes; the pixels at the border are repeated outwards."""
    return _shifted(_uniform(key, images, 2), images, pixels)


def random_flip(key: Array, images: Array) -> Array:
    """Every other image, by chance, with left and right exchanged."""
    return _flipped(_uniform(key, images, 1), images, True)


def random_rotation(key: Array, images: Array, degrees: _Number) -> Array:
    """Turned about its centre by an angle uniform in +-`degrees`, bilinear between pixels."""
    return _rotated(_uniform(key, images, 1), images, degrees)


def random_brightness(key: Array, images: Array, strength: _Number) -> Array:
    """One number uniform in +-`strength`, in standard deviations of the data, added to all pixels of an image."""
    return _brightened(_uniform(key, images, 1), images, strength)


def gaussian_noise(key: Array, images: Array, deviation: _Number) -> Array:
    """A normal number of this standard deviation added to each pixel and channel."""
    return _noisy(_uniform(key, images, math.prod(images.shape[1:])), images, deviation)


def cutout(key: Array, images: Array, size: int | Array) -> Array:
    """A square of `size` x `size` set to zero, its centre uniform over the pixels, so that some of it may lie outside.

    Source: DeVries and Taylor 2017.
    """
    return _cut(_uniform(key, images, 2), images, size)


def _uniform(key: Array, images: Array, count: int) -> Array:
    """Numbers in [0, 1) for each image: `[B, count]`; float32 whatever the precision, so that a seed means the same."""
    return jax.random.uniform(key, (len(images), count), jnp.float32)


def _windows(padded: Array, uniform: Array, images: Array) -> Array:
    """A window of each padded image, as large as it was, at a place that follows from `uniform`: `[B, 2]`."""
    places = padded.shape[1] - images.shape[1] + 1
    corners = jnp.pad(jnp.floor(uniform * places).astype(jnp.int32), ((0, 0), (0, 1)))  # from channel 0
    return jax.vmap(lambda image, corner: lax.dynamic_slice(image, corner, images.shape[1:]))(padded, corners)


def _cropped(uniform, images, padding):
    border = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    return _windows(jnp.pad(images, border), uniform, images)


def _shifted(uniform, images, pixels):
    border = ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0))
    return _windows(jnp.pad(images, border, mode="edge"), uniform, images)


def _flipped(uniform, images, _):
    # Columns are gathered: a choice between two images, fused with the change before, made each pixel many times.
    column = jnp.arange(images.shape[2])[None]
    columns = jnp.where(uniform < 0.5, column[:, ::-1], column)
    return jax.vmap(lambda image, columns: image[:, columns])(images, columns)


def _rotated(uniform, images, degrees):
    """Output pixel (y, x) shows the input at (cos y + sin x, cos x - sin y), from the centre: anticlockwise."""
    angles = jnp.deg2rad((2 * uniform[:, 0] - 1) * degrees).astype(jnp.float32)
    middle = [(side - 1) / 2 for side in images.shape[1:3]]
    y, x = jnp.meshgrid(*(jnp.arange(side) - half for side, half in zip(images.shape[1:3], middle, strict=True)),
                        indexing="ij")  # fmt: skip

    def turned(image, angle):
        cos, sin = jnp.cos(angle), jnp.sin(angle)
        places = [cos * y + sin * x + middle[0], cos * x - sin * y + middle[1]]
        return jax.vmap(lambda channel: map_coordinates(channel, places, order=1), -1, -1)(image)

    return jax.vmap(turned)(images, angles).astype(images.dtype)


def _brightened(uniform, images, strength):
    return images + ((2 * uniform[:, :, None, None] - 1) * strength).astype(images.dtype)


def _noisy(uniform, images, deviation):
    # Halfway between the 2^23 values that a draw may take, so that neither end is infinite.
    normal = jnp.sqrt(2.0).astype(jnp.float32) * lax.erf_inv(2 * uniform - 1 + jnp.float32(2**-23))
    return images + (deviation * normal).astype(images.dtype).reshape(images.shape)


def _cut(uniform, images, size):
    height, width = images.shape[1:3]
    centres = jnp.floor(uniform * jnp.array([[height, width]], jnp.float32)).astype(jnp.int32)

    def within(axis, side):
        offset = jnp.arange(side)[None] - centres[:, axis, None] + size // 2
        return (offset >= 0) & (offset < size)

    hidden = within(0, height)[:, :, None, None] & within(1, width)[:, None, :, None]
    return jnp.where(hidden, jnp.zeros((), images.dtype), images)
