"""Data made on the fly, as hard as one number from 0 to 1 says: pictures of shapes, and digits drawn as curves.

A seed draws the same scenes at every difficulty; only how they are rendered differs. `count` examples train, a quarter
as many more validate.

With d the difficulty, a picture of shapes has
  - shapes brighter or darker than what is behind them by 0.5 - 0.32 d (of 1, black to white), in colours of chance,
  - a radius that differs from the usual one by up to the factor 1 +- 0.4 d, a place by up to 0.6 d of that radius along
    both axes, and a turn by up to 90 d degrees,
  - stripes, where the shape has them, of a depth of that contrast times 1 - 0.5 d,
  - clutter: two waves of amplitude 0.12 d behind, and three bits of other shapes in the shape's colour, each there with
    probability d,
  - normal noise of deviation 0.16 d on each pixel and channel.
"""

import functools
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d

from optlab.workloads.data import Dataset, Examples, dataset, difficult, whole

__all__ = ["mnist_1d", "shapes_boxes", "shapes_classes", "shapes_masks"]

SIDE = 32  # pixels of a picture
SLOTS = 4  # shapes that a picture may hold, one in each of its quarters
QUARTERS = [[7.5, 7.5], [7.5, 23.5], [23.5, 7.5], [23.5, 23.5]]  # their centres
BITS = 3  # of other shapes, as clutter
SHAPES = ("disk", "square", "triangle", "cross", "ring")


def shapes_classes(*, count: int = 4096, difficulty: float = 0.5, seed: int = 0) -> Dataset:
    """One shape in the middle of 32 x 32 colour pixels, to be named: 10 classes.

    Disk, square, triangle, cross and ring are 0 to 4, and 5 to 9 where they are striped; all as frequent. What
    `difficulty` changes is at the top of this module.
    """
    return _shapes("classes", whole(count, "count", 4), difficult(difficulty), whole(seed, "the seed of a data set"))


def shapes_masks(*, count: int = 4096, difficulty: float = 0.5, seed: int = 0) -> Dataset:
    """One to four shapes on 32 x 32 colour pixels, each pixel to be named; targets `[n, 32, 32]` int32, 6 classes.

    0 is what is behind, 1 to 5 are disk, square, triangle, cross and ring, striped or not. What `difficulty` changes is
    at the top of this module.
    """
    return _shapes("masks", whole(count, "count", 4), difficult(difficulty), whole(seed, "the seed of a data set"))


def shapes_boxes(*, count: int = 4096, difficulty: float = 0.5, seed: int = 0) -> Dataset:
    """One to four shapes on 32 x 32 colour pixels, to be found and named: 5 classes.

    Targets are ``boxes``, `[n, 4, 4]` float32: y and x of the first pixel, y and x past the last one, of all of the
    shape that is within the picture; and ``classes``, `[n, 4]` int32, -1 (with a box of zeros) where there is none.
    What `difficulty` changes is at the top of this module.
    """
    return _shapes("boxes", whole(count, "count", 4), difficult(difficulty), whole(seed, "the seed of a data set"))


@functools.lru_cache(maxsize=16)
def _shapes(task: str, count: int, difficulty: float, seed: int) -> Dataset:
    total = count + count // 4
    scenes = _scenes(np.random.default_rng(seed), total, 1 if task == "classes" else SLOTS)
    images, inside = _pictures(scenes, difficulty, np.random.default_rng([seed, 1]))
    if task == "classes":
        targets, classes = (scenes.kind + len(SHAPES) * scenes.striped)[:, 0].astype(np.int32), 2 * len(SHAPES)
    elif task == "masks":
        targets, classes = _masks(scenes, inside), len(SHAPES) + 1
    else:
        targets, classes = _boxes(scenes, inside), len(SHAPES)
    return dataset(Examples(images[:count], _rows(targets, slice(count))),
                   Examples(images[count:], _rows(targets, slice(count, None))), classes)  # fmt: skip


def _rows(targets, rows: slice):
    return {name: array[rows] for name, array in targets.items()} if isinstance(targets, dict) else targets[rows]


class _Scenes(NamedTuple):
    """What chance decides, the same at each difficulty: numbers in +-1 are yet to be scaled by it."""

    kind: np.ndarray  #: of shape: `[n, S]`
    striped: np.ndarray  #: `[n, S]`
    present: np.ndarray  #: `[n, S]`
    radius: np.ndarray  #: `[n, S]`, in +-1
    place: np.ndarray  #: `[n, S, 2]`, in +-1
    turn: np.ndarray  #: `[n, S]`, in +-1
    stripes: np.ndarray  #: direction and phase, in +-1: `[n, S, 2]`
    hue: np.ndarray  #: colours of what is behind and of the shapes, in +-1: `[n, 1 + S, 3]`
    bright: np.ndarray  #: whether shapes are brighter than what is behind: `[n]`
    waves: np.ndarray  #: two frequencies along y and x, and a phase, in +-1: `[n, 2, 3]`
    bits: np.ndarray  #: place, radius, turn, kind, presence of each: `[n, BITS, 6]`, in +-1


def _scenes(generator: np.random.Generator, n: int, slots: int) -> _Scenes:
    def spread(*shape):
        return generator.uniform(-1, 1, (n, *shape)).astype(np.float32)

    label = generator.permutation(n * slots).reshape(n, slots) % (2 * len(SHAPES))
    present = generator.permuted(np.tile(np.arange(slots), (n, 1)), axis=1) < generator.integers(1, slots + 1, (n, 1))
    return _Scenes(
        label % len(SHAPES), label >= len(SHAPES), present, spread(slots), spread(slots, 2), spread(slots),
        spread(slots, 2), spread(1 + slots, 3), generator.random(n) < 0.5, spread(2, 3), spread(BITS, 6),
    )  # fmt: skip


def _pictures(scenes: _Scenes, d: float, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The images, `[n, 32, 32, 3]` bytes, and whether each shape covers half of each pixel, `[n, S, 32, 32]`."""
    few = 256  # at a time: what they pass through stays in the processor's cache
    parts = [_Scenes(*(part[i : i + few] for part in scenes)) for i in range(0, len(scenes.kind), few)]
    images, inside = zip(*(_painted(part, d, generator) for part in parts), strict=True)
    return np.concatenate(images), np.concatenate(inside)


def _painted(scenes: _Scenes, d: float, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    n, slots = scenes.kind.shape
    usual, centres = (10.5, [[15.5, 15.5]]) if slots == 1 else (5.8, QUARTERS)
    contrast = 0.5 - 0.32 * d
    radius = usual * (1 + 0.4 * d * scenes.radius)
    centre = np.array(centres, np.float32) + 0.6 * usual * d * scenes.place
    about = zip(
        scenes.kind.T, centre.swapaxes(0, 1), radius.T, np.pi / 2 * d * scenes.turn.T, scenes.present.T, strict=True
    )
    covered = np.stack([_coverage(*shape) for shape in about], axis=1)
    sign = np.where(scenes.bright, 1, -1).astype(np.float32)
    hue = 0.12 * (scenes.hue - scenes.hue.mean(-1, keepdims=True))  # leaves the brightness alone
    colour = 0.5 + (sign * contrast / 2)[:, None, None] * np.array([[-1], *[[1]] * slots], np.float32) + hue
    images = np.broadcast_to(colour[:, 0, None, None], (n, SIDE, SIDE, 3)).copy()
    if d > 0:
        images += 0.12 * d * _waves(scenes.waves)[..., None]
        for k in range(BITS):
            bit = scenes.bits[:, k]
            kind = ((bit[:, 4] + 1) / 2 * len(SHAPES)).astype(int) % len(SHAPES)
            size = (0.3 + 0.1 * bit[:, 2]) * usual
            cover = _coverage(kind, 15.5 + 15 * bit[:, :2], size, np.pi * bit[:, 3], bit[:, 5] < 2 * d - 1)
            images += cover[..., None] * (colour[:, 1, None, None] - images)
    for k in range(slots):
        depth = (contrast * (1 - 0.5 * d) * sign * scenes.striped[:, k])[:, None, None]
        paint = colour[:, k + 1, None, None] - (depth * _stripes(scenes.stripes[:, k]))[..., None]
        images += covered[:, k, ..., None] * (paint - images)
    if d > 0:
        images += 0.16 * d * generator.standard_normal(images.shape, np.float32)
    return np.clip(np.rint(255 * images), 0, 255).astype(np.uint8), covered >= 0.5


_AXIS = np.arange(SIDE, dtype=np.float32)


def _coverage(kind, centre, radius, turn, present) -> np.ndarray:
    """The share of each pixel within the shape, from the distance to its edge: `[n, 32, 32]`."""
    cover = np.zeros((len(kind), SIDE, SIDE), np.float32)
    for which, distance in enumerate(_DISTANCES):
        rows = np.flatnonzero((kind == which) & present)
        r, angle = (part[rows, None, None].astype(np.float32) for part in (radius, turn))
        y, x = (_AXIS - centre[rows, axis, None].astype(np.float32) for axis in (0, 1))
        y, x = y[:, :, None] / r, x[:, None, :] / r
        cos, sin = np.cos(angle), np.sin(angle)
        cover[rows] = np.clip(0.5 - r * distance(cos * y + sin * x, cos * x - sin * y), 0, 1)
    return cover


def _square(y, x, half: float):
    return np.maximum(np.abs(y), np.abs(x)) - half


def _bar(y, x):
    return np.maximum(np.abs(y) - 1, np.abs(x) - 0.32)


#: From points (y, x) to the edge of a shape of radius 1, negative within, in the order of `SHAPES`.
_DISTANCES = (
    lambda y, x: np.sqrt(y * y + x * x) - 0.95,
    lambda y, x: _square(y, x, 0.8),
    lambda y, x: np.maximum(y - 0.62, (3**0.5 * np.abs(x) - y) / 2 - 0.55),
    lambda y, x: np.minimum(_bar(y, x), _bar(x, y)),
    lambda y, x: np.abs(np.sqrt(y * y + x * x) - 0.74) - 0.24,
)


def _waves(waves: np.ndarray) -> np.ndarray:
    """The sum of two plane waves, of 1 to 3 periods a picture: `[n, 32, 32]`."""
    total = np.zeros((len(waves), SIDE, SIDE), np.float32)
    for frequency_y, frequency_x, phase in np.moveaxis(waves, 0, -1):
        y, x = (f[:, None] * 6 * np.pi / SIDE * _AXIS for f in (frequency_y, frequency_x))
        total += np.sin(y[:, :, None] + x[:, None, :] + np.pi * phase[:, None, None])
    return total


def _stripes(stripes: np.ndarray) -> np.ndarray:
    """1 on the dark and 0 on the light ones, four pixels a period, soft at their edges: `[n, 32, 32]`."""
    angle, phase = (np.pi * part[:, None, None] for part in stripes.T)
    wave = np.sin(np.pi / 2 * (np.cos(angle) * _AXIS[:, None] + np.sin(angle) * _AXIS) + phase)
    return np.clip(0.5 + 1.5 * wave, 0, 1)


def _masks(scenes: _Scenes, inside: np.ndarray) -> np.ndarray:
    """A pixel belongs to the last drawn shape that covers half of it."""
    masks = np.zeros((len(inside), SIDE, SIDE), np.int32)
    for k in range(inside.shape[1]):
        masks = np.where(inside[:, k], scenes.kind[:, k, None, None].astype(np.int32) + 1, masks)
    return masks


def _boxes(scenes: _Scenes, inside: np.ndarray) -> dict[str, np.ndarray]:
    sides = []
    for axis in (3, 2):
        along = np.any(inside, axis=axis)  # rows, then columns: [n, S, 32]
        sides += [along.argmax(2), SIDE - along[..., ::-1].argmax(2)]
    boxes = np.stack([sides[0], sides[2], sides[1], sides[3]], axis=-1).astype(np.float32)
    boxes[~scenes.present] = 0
    return {"boxes": boxes, "classes": np.where(scenes.present, scenes.kind, -1).astype(np.int32)}


#: Heights of the ten digits as curves, twelve points each (Greydanus 2020, figure 2 and its code).
TEMPLATES = np.array(
    [
        [5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5],
        [5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5],
        [5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5],
        [5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5],
        [5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5],
        [5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5],
        [5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5],
        [5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5],
        [5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5],
        [5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5],
    ]
)


def mnist_1d(*, count: int = 4000, difficulty: float = 0.5, seed: int = 0) -> Dataset:
    """Ten digits as curves of 40 points, a small MNIST of one dimension: inputs `[n, 40, 1, 1]` float32.

    At difficulty d = 0.5 it is MNIST-1D of Greydanus (2020), drawn anew. A template of 12 points is stretched by
    0 to 50%, multiplied by up to 1 +- 0.4 d, moved along 72 points by up to 47, with smooth noise of 0.5 d (normal,
    filtered with a deviation of two points) where there is no signal and white noise of 0.04 d on all, tilted by a line
    of up to +-0.75 d from end to end, and sampled at 40 points. For d < 0.5, stretch and move are 2 d times as large.

    Source: Greydanus 2020, Scaling down deep learning.
    """
    return _mnist_1d(whole(count, "count", 4), difficult(difficulty), whole(seed, "the seed of a data set"))


@functools.lru_cache(maxsize=16)
def _mnist_1d(count: int, d: float, seed: int) -> Dataset:
    points, long, least, most = 40, 72, 36, 60  # least and most points that a template is padded by
    generator = np.random.default_rng(seed)
    total, share = count + count // 4, min(1, 2 * d)
    labels = (generator.permutation(total) % 10).astype(np.int32)
    stretch, size, move, tilt = generator.random((4, total, 1))
    templates = (TEMPLATES - TEMPLATES.mean(1, keepdims=True)) / TEMPLATES.std(1, keepdims=True)
    templates = np.pad((templates - templates[:, :1]) / 6, ((0, 0), (0, 2)))

    padding = most - np.floor(stretch * share * (most - least + 1))
    source = (np.arange(long) - np.floor(move * share * 48)) % long * (11 + padding) / (long - 1)
    before = np.minimum(np.floor(source), 12).astype(int)
    low, high = (templates[labels[:, None], place] for place in (before, before + 1))
    signal = (low + (source - before).clip(0, 1) * (high - low)) * (1 + 0.8 * d * (size - 0.5))
    smooth = gaussian_filter1d(0.5 * d * generator.standard_normal(signal.shape), 2, axis=1)
    curves = np.where(source < 12, signal, smooth) + 0.04 * d * generator.standard_normal(signal.shape)
    curves -= 1.5 * d * (tilt - 0.5) * np.linspace(-0.5, 0.5, long)
    sampled = curves @ _interpolation(long, points)
    inputs = sampled.astype(np.float32)[:, :, None, None]
    return dataset(Examples(inputs[:count], labels[:count]), Examples(inputs[count:], labels[count:]), 10)


def _interpolation(long: int, short: int) -> np.ndarray:
    """The matrix that takes values at `long` even points to those at `short` even points, linear between."""
    place = np.linspace(0, long - 1, short)
    return np.maximum(0, 1 - np.abs(np.arange(long)[:, None] - place))
