"""A detector in one stage, and all around it as pure functions: anchors, matching, losses, suppression, precision.

Boxes are ``(y0, x0, y1, x1)`` in pixels; `A` anchors an image, `M` boxes at most, `K` detections. A box of class -1
is absent. All shapes are fixed, so everything runs under `jit` and `vmap`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from optlab.types import Array
from optlab.workloads.networks_plain import channels, check, conv, conv_layer

__all__ = [
    "anchors",
    "average_precision",
    "decode",
    "detection_loss",
    "detections",
    "detector",
    "encode",
    "focal_loss",
    "intersection_over_union",
    "match",
]

SCALES = (8.0, 12.0, 18.0)  #: the anchors' sizes, roots of their areas, in pixels
RATIOS = (0.5, 1.0, 2.0)  #: the anchors' heights, in widths
PRIOR = 0.01  #: the probability of each class at each anchor that an untrained network states
BACKGROUND, IGNORED = -1, -2  #: classes of anchors that shall find nothing, and of those that do not count


class Outputs(NamedTuple):
    """What the network says of every anchor."""

    scores: Array  #: logits of the classes: `[B, A, classes]`
    offsets: Array  #: from the anchor to the box, as `encode` has them: `[B, A, 4]`


class Targets(NamedTuple):
    """What the network should say of every anchor of an image."""

    classes: Array  #: the class, `BACKGROUND` or `IGNORED`: `[A]`
    boxes: Array  #: the box to find, of no meaning without one: `[A, 4]`


class Detections(NamedTuple):
    """What was found in an image, by falling score; places left over have class -1 and score 0."""

    boxes: Array  #: `[K, 4]`
    classes: Array  #: `[K]`
    scores: Array  #: probabilities: `[K]`


class _Head(nn.Module):
    shapes: int
    classes: int

    @nn.compact
    def __call__(self, x: Array) -> Outputs:
        # rows, columns and shapes become one axis, in the order of `anchors`
        scores = conv(self.shapes * self.classes, 3, "scores")(x).reshape(x.shape[0], -1, self.classes)
        offsets = conv(self.shapes * 4, 3, "offsets")(x).reshape(x.shape[0], -1, 4)
        return Outputs(scores - float(np.log((1 - PRIOR) / PRIOR)), offsets)


class _Detector(nn.Module):
    depth: int
    width: float
    classes: int
    norm: str
    shapes: int

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Outputs:
        for k in range(1, self.depth + 1):
            features = channels(32 * 2 ** (k - 1), self.width)
            x = conv_layer(x, features, 3, f"{k}_1", self.norm, train, strides=2)
            x = conv_layer(x, features, 3, f"{k}_2", self.norm, train)
        x = conv_layer(x, channels(32 * 2**self.depth, self.width), 3, "_tower", self.norm, train)
        return _Head(self.shapes, self.classes, name="head")(x)


def detector(
    *,
    depth: int = 2,
    width: float = 1.0,
    classes: int = 3,
    norm: str = "group",
    shapes: int = len(SCALES) * len(RATIOS),
) -> nn.Module:
    """A small RetinaNet: `depth` stages of a strided and a plain 3x3 convolution, one map, one head on it.

    x: `[B, H, W, C]` -> `Outputs(scores [B, A, classes], offsets [B, A, 4])` with `shapes` anchors in each cell of the
    map, which has a stride of 2^depth: 8x8 cells and 576 anchors on 32x32. 212,383 parameters on three channels. Scores
    are sigmoid logits and have log((1 - 0.01) / 0.01) taken off, so that whatever draws the parameters, the many
    empty anchors do not swamp the first steps (section 4.1).
    Source: Lin et al., Focal loss for dense object detection (2017), with one level of its pyramid.
    """
    check(norm=norm)
    if depth < 1:
        raise ValueError(f"depth of a detector must be at least 1, not {depth!r}")
    return _Detector(depth, width, classes, norm, shapes)


def anchors(size: int, stride: int, scales: Sequence[float] = SCALES, ratios: Sequence[float] = RATIOS) -> np.ndarray:
    """The boxes that offsets start from: of each shape one around the middle of each cell of a square image: `[A, 4]`.

    Ordered by row, column, scale and ratio. A shape has the area scale^2 and the height ratio times its width.
    Source: Ren et al., Faster R-CNN (2015), section 3.1.1.
    """
    middle = (np.arange(-(-size // stride)) + 0.5) * stride
    root = np.sqrt(np.asarray(ratios))
    half = 0.5 * np.asarray(scales)[:, None, None] * np.stack([root, 1 / root], axis=-1)
    centre = np.stack(np.meshgrid(middle, middle, indexing="ij"), axis=-1)[:, :, None, None]
    return np.concatenate([centre - half, centre + half], axis=-1).reshape(-1, 4)


def _centre_and_size(boxes: Array) -> tuple[Array, Array]:
    low, high = boxes[..., :2], boxes[..., 2:]
    return 0.5 * (low + high), high - low


def encode(boxes: Array, anchors: Array) -> Array:
    """Boxes as seen from their anchors: `[..., 4]` twice -> offsets `[..., 4]`.

    ``t_y = (y - y_a) / h_a``, ``t_x = (x - x_a) / w_a``, ``t_h = log(h / h_a)``, ``t_w = log(w / w_a)`` with the
    centres (y, x). Source: Girshick et al., Rich feature hierarchies (2014), appendix C, eqs. 6 to 9.
    """
    (centre, size), (centre_a, size_a) = _centre_and_size(boxes), _centre_and_size(anchors)
    return jnp.concatenate([(centre - centre_a) / size_a, jnp.log(size / size_a)], axis=-1)


def decode(offsets: Array, anchors: Array) -> Array:
    """Boxes from offsets, the inverse of `encode`: `[..., 4]` twice -> `[..., 4]`."""
    centre_a, size_a = _centre_and_size(anchors)
    centre, half = centre_a + offsets[..., :2] * size_a, 0.5 * size_a * jnp.exp(offsets[..., 2:])
    return jnp.concatenate([centre - half, centre + half], axis=-1)


def intersection_over_union(a: Array, b: Array) -> Array:
    """The area that boxes share, of the area they cover together: `[n, 4]`, `[m, 4]` -> `[n, m]`."""
    sides = jnp.minimum(a[:, None, 2:], b[None, :, 2:]) - jnp.maximum(a[:, None, :2], b[None, :, :2])
    shared = jnp.prod(jnp.maximum(sides, 0), axis=-1)
    area_a, area_b = (jnp.prod(box[:, 2:] - box[:, :2], axis=-1) for box in (a, b))
    union = area_a[:, None] + area_b[None, :] - shared
    return shared / jnp.where(union > 0, union, 1)


def match(anchors: Array, boxes: Array, classes: Array, *, positive: float = 0.5, negative: float = 0.4) -> Targets:
    """What each anchor of an image should find.

    An anchor is given the box it overlaps most if that is at least `positive`; below `negative` it is background;
    between them it is ignored. Each box has its best anchor besides, however small the overlap; an anchor that is the
    best of two goes to the one it overlaps more.
    Source: Lin et al. (2017), section 4; the best anchor as in Ren et al. (2015), section 3.1.2.

    Args:
      anchors: `[A, 4]`.
      boxes: `[M, 4]`.
      classes: `[M]`, -1 for an absent box.
    """
    overlap = jnp.where(classes[None] >= 0, intersection_over_union(anchors, boxes), 0)
    best = jnp.arange(len(overlap))[:, None] == overlap.argmax(axis=0)[None]
    forced = jnp.where(best, overlap, 0)
    is_forced = forced.max(axis=1) > 0
    box = jnp.where(is_forced, forced.argmax(axis=1), overlap.argmax(axis=1))
    most = overlap.max(axis=1)
    empty = jnp.where(most < negative, BACKGROUND, IGNORED)
    return Targets(jnp.where(is_forced | (most >= positive), classes[box], empty), boxes[box])


def focal_loss(logits: Array, targets: Array, alpha: float = 0.25, gamma: float = 2.0) -> Array:
    """Cross-entropy that forgets what is known already: `[...]`, `[...]` of 0 and 1 -> `[...]`.

    ``FL = -alpha_t (1 - p_t)^gamma log(p_t)``: p_t is the probability given to the truth, alpha_t is `alpha` where
    that is 1 and 1 - `alpha` where it is 0. Source: Lin et al. (2017), eq. 5.
    """
    signed = logits * (2 * targets - 1)
    weight = alpha * targets + (1 - alpha) * (1 - targets)
    return -weight * jnp.exp(gamma * jax.nn.log_sigmoid(-signed)) * jax.nn.log_sigmoid(signed)


def detection_loss(
    outputs: Outputs, boxes: Array, classes: Array, anchors: Array, *, delta: float | Array = 1.0
) -> Array:
    """Focal loss of all anchors that count and Huber loss of the offsets of positive ones: `[]`.

    Both are sums over an image, divided by its number of positive anchors (1 without any), and then the mean over
    images, so that the loss of a set is the mean over its batches. The Huber loss turns linear at `delta`; 1 is
    the smooth L1 of Girshick, Fast R-CNN (2015), eq. 3. Source: Lin et al. (2017), section 4.1.

    Args:
      outputs: of the network, `[B, A, ...]`.
      boxes: `[B, M, 4]`.
      classes: `[B, M]`, -1 for an absent box.
      anchors: `[A, 4]`.
    """
    anchors = jnp.asarray(anchors, outputs.offsets.dtype)

    def of_image(scores, offsets, boxes, classes):
        targets = match(anchors, boxes, classes)
        found = targets.classes >= 0
        truth = jax.nn.one_hot(targets.classes, scores.shape[-1], dtype=scores.dtype)
        named = jnp.sum(focal_loss(scores, truth), axis=-1, where=(targets.classes != IGNORED)[:, None])
        # where no box is to be found the anchor itself stands in: a logarithm of nothing has no gradient
        goal = encode(jnp.where(found[:, None], targets.boxes, anchors), anchors)
        placed = jnp.where(found, optax.losses.huber_loss(offsets, goal, delta=delta).sum(axis=-1), 0)
        return jnp.sum(named + placed) / jnp.maximum(found.sum(), 1)

    return jnp.mean(jax.vmap(of_image)(outputs.scores, outputs.offsets, boxes, classes))


def detections(
    outputs: Outputs, anchors: Array, *, count: int = 16, threshold: float = 0.05, overlap: float = 0.5
) -> Detections:
    """The `count` best boxes of each image, without those that overlap a better one of their class: `[B, K, ...]`.

    Greedy non-maximum suppression: the best score above `threshold` is taken, boxes of its class with an intersection
    over union above `overlap` are struck out, and so on.
    """
    anchors = jnp.asarray(anchors, outputs.offsets.dtype)

    def of_image(logits, offsets):
        boxes = decode(offsets, anchors)
        scores = jax.nn.sigmoid(logits)

        def take(left, _):
            place, label = jnp.unravel_index(left.argmax(), left.shape)
            score, box = left[place, label], boxes[place]
            struck = (intersection_over_union(box[None], boxes)[0] > overlap).at[place].set(True)
            left = left.at[:, label].set(jnp.where(struck, 0, left[:, label]))
            return left, Detections(box, jnp.where(score > 0, label, -1), score)

        return jax.lax.scan(take, jnp.where(scores > threshold, scores, 0), length=count)[1]

    return jax.vmap(of_image)(outputs.scores, outputs.offsets)


def _hits(found: Detections, boxes: Array, classes: Array, overlap: float) -> Array:
    """Which detections of an image are right: `[K]`. Of several on one box the first, which has the best score."""
    same = (found.classes[:, None] == classes[None]) & (classes[None] >= 0)
    over = jnp.where(same, intersection_over_union(found.boxes, boxes), 0)
    claim = jnp.where(over.max(axis=1) >= overlap, over.argmax(axis=1), -1)
    again = jnp.tril(claim[:, None] == claim[None], -1).any(axis=1)
    return (claim >= 0) & ~again


def average_precision(found: Detections, boxes: Array, classes: Array, number: int, *, overlap: float = 0.5) -> Array:
    """The mean over classes of the area below precision as a function of recall, on a set: `[]` in 0 to 1.

    A detection is right if the box of its class that it overlaps most, by `overlap` at least, has not been found by
    one with a better score. Precision at a recall is the best at that recall or a larger one. Classes that do not
    occur in the set are left out. Source: Everingham et al., The PASCAL visual object classes challenge (2010),
    section 4.2, with all points of the curve as from 2010 on.

    Args:
      found: `[N, K, ...]`, by falling score within an image.
      boxes: `[N, M, 4]`.
      classes: `[N, M]`, -1 for an absent box.
      number: of classes.
    """
    hits = jax.vmap(_hits, (0, 0, 0, None))(found, boxes, classes, overlap).ravel()
    order = jnp.argsort(-found.scores.ravel(), stable=True)
    hits, labels = hits[order], found.classes.ravel()[order]

    def of_class(label):
        mine = labels == label
        right = mine & hits
        precision = jnp.cumsum(right) / jnp.maximum(jnp.cumsum(mine), 1)
        best = jax.lax.cummax(precision, reverse=True)
        there = jnp.sum(classes == label)
        return jnp.sum(best, where=right) / jnp.maximum(there, 1), there > 0

    areas, occurs = jax.vmap(of_class)(jnp.arange(number))
    mean = jnp.sum(areas, where=occurs) / jnp.maximum(occurs.sum(), 1)
    return mean.astype(found.scores.dtype)
