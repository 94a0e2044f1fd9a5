"""What a network's outputs are compared by: the loss that is descended, the scores that are measured."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from optlab.types import Array, PyTree
from optlab.workloads.data import Dataset
from optlab.workloads.network_detector import (
    RATIOS,
    SCALES,
    Outputs,
    anchors,
    average_precision,
    detection_loss,
    detections,
)

__all__ = ["Task", "classification", "detection", "regression", "segmentation"]


class Task(NamedTuple):
    """How outputs are compared with targets."""

    loss: Callable[[PyTree, PyTree], Array]  #: (outputs, targets) -> `[]`, the mean over examples
    scores: Callable[[PyTree, PyTree], dict[str, Array]]  #: (outputs, targets) -> {name: `[]`}; first a loss, then
    #: the score, in 0 to 1, that a target is stated for
    residual: Callable[[PyTree, PyTree], Array] | None = None  #: (outputs, targets) -> `[r]`, loss = 0.5 |residual|^2
    check: Callable[[PyTree, Dataset], None] | None = None  #: (shapes of outputs `[1, ...]`, data); raises ValueError
    #: where they do not fit
    pooled: Callable[[PyTree, Array], PyTree] | None = None  #: (outputs of many: `[m, ...]`, weights: `[m]`) -> outputs


def mean_probability(logits: Array, weights: Array) -> Array:
    """The logits of the mean of many predicted distributions, `[m, ..., classes]`: ``log sum_m w_m softmax(z_m)``."""
    return jax.nn.logsumexp(jax.nn.log_softmax(logits), axis=0, b=weights.reshape(-1, *[1] * (logits.ndim - 1)))


def classification(*, loss: str = "cross_entropy", label_smoothing: float | Array = 0.0) -> Task:
    """One class for each example: outputs are logits `[B, classes]`, targets `[B]` whole numbers.

    ``cross_entropy``: ``-mean_b sum_k q_bk log softmax(z_b)_k`` with ``q = (1 - e) onehot + e / classes``;
    ``squared``: ``1 / (2 B) sum_b |z_b - q_b|^2``, which has residuals for the least-squares methods. Scores:
    the loss without smoothing, and the accuracy. Label smoothing e: Szegedy et al. 2016, section 7.

    Raises ValueError for another loss.
    """
    if loss not in ("cross_entropy", "squared"):
        raise ValueError(f"loss must be cross_entropy or squared, not {loss!r}")

    def wanted(logits, labels, smoothing):
        return optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype), smoothing)

    def residual(logits, labels):
        smoothing = jnp.asarray(label_smoothing, logits.dtype)
        return (logits - wanted(logits, labels, smoothing)).ravel() / len(logits) ** 0.5

    def squared(logits, labels):
        return 0.5 * jnp.sum(residual(logits, labels) ** 2)

    def cross_entropy(logits, labels):
        smoothed = wanted(logits, labels, jnp.asarray(label_smoothing, logits.dtype))
        return -jnp.mean(jnp.sum(smoothed * jax.nn.log_softmax(logits), axis=-1))

    def scores(logits, labels):
        exact = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
        return {"loss": exact, "accuracy": jnp.mean(jnp.argmax(logits, -1) == labels, dtype=logits.dtype)}

    def squared_scores(logits, labels):
        return scores(logits, labels) | {"loss": squared(logits, labels)}

    if loss == "squared":
        return Task(squared, squared_scores, residual, _check_logits)
    return Task(cross_entropy, scores, check=_check_logits, pooled=mean_probability)


def _check_logits(logits: Any, data: Dataset) -> None:
    """One logit for each class at each place that has a target."""
    _check_classes(logits.shape[-1], data)
    places = data.train.targets.shape[1:]
    if logits.shape[1:-1] != places:
        raise ValueError(
            f"the network tells classes at places {logits.shape[1:-1]} of an example, the data at {places}"
        )


def _check_classes(told: int, data: Dataset) -> None:
    if told != data.classes:
        raise ValueError(
            f"the network tells {told} classes apart and the data has {data.classes}; "
            f"state problem.network.classes={data.classes}"
        )


def segmentation(*, background: int = 0) -> Task:
    """A class for each pixel: outputs are logits `[B, H, W, classes]`, targets `[B, H, W]` whole numbers.

    The loss is the cross entropy, mean over pixels. Scores: that loss; ``iou``, for each class but the background
    ``|predicted and true| / |predicted or true|`` over the pixels of all examples, mean over the classes that occur;
    and the accuracy of pixels. Source: Long et al. 2015, section 5.
    """

    def loss(logits, labels):
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    def scores(logits, labels):
        classes = logits.shape[-1]
        found = jax.nn.one_hot(jnp.argmax(logits, -1).ravel(), classes, dtype=logits.dtype)
        true = jax.nn.one_hot(labels.ravel(), classes, dtype=logits.dtype)
        both = jnp.sum(found * true, axis=0)
        either = jnp.sum(found, axis=0) + jnp.sum(true, axis=0) - both
        counted = (either > 0) & (jnp.arange(classes) != background)
        iou = jnp.sum(jnp.where(counted, both / jnp.maximum(either, 1), 0)) / jnp.maximum(jnp.sum(counted), 1)
        return {
            "loss": loss(logits, labels), "iou": iou.astype(logits.dtype),
            "accuracy": jnp.sum(both) / labels.size,
        }  # fmt: skip

    return Task(loss, scores, check=_check_logits, pooled=mean_probability)


def detection(*, size: int = 32, delta: float | Array = 1.0) -> Task:
    """Boxes to be found and named: outputs are a `detector`'s, targets ``boxes [B, M, 4]`` and ``classes [B, M]``.

    The loss is `detection_loss`: focal loss of all anchors, Huber loss of the boxes, linear beyond `delta`. Scores:
    that loss, and ``average_precision`` at an overlap of 0.5, after suppression. Images have `size` pixels a side; the
    network's stride, and so the anchors, follow from the number of its outputs.
    """

    def placed(outputs: Outputs):
        cells = (outputs.scores.shape[1] // (len(SCALES) * len(RATIOS))) ** 0.5
        return anchors(size, 2 ** round(math.log2(size / cells)))

    def loss(outputs, targets):
        beyond = jnp.asarray(delta, outputs.offsets.dtype)
        return detection_loss(outputs, targets["boxes"], targets["classes"], placed(outputs), delta=beyond)

    def scores(outputs, targets):
        found = detections(outputs, placed(outputs))
        precision = average_precision(found, targets["boxes"], targets["classes"], outputs.scores.shape[-1])
        return {"loss": loss(outputs, targets), "average_precision": precision}

    def check(outputs, data):
        if not isinstance(data.train.targets, dict) or {"boxes", "classes"} - set(data.train.targets):
            raise ValueError("boxes are to be found and the data has none; take shapes_boxes")
        _check_classes(outputs.scores.shape[-1], data)
        pixels = data.train.inputs.shape[1]
        if pixels != size:
            raise ValueError(f"the images have {pixels} pixels a side; state problem.task.size={pixels}")
        if len(placed(outputs)) != outputs.scores.shape[1]:
            raise ValueError(f"{outputs.scores.shape[1]} anchors are not those of any stride on {size} pixels a side")

    return Task(loss, scores, check=check)


def regression() -> Task:
    """Real targets: ``1 / (2 B) sum_b |z_b - y_b|^2``; scores: that loss, and ``r2``, the variance explained."""

    def residual(outputs, targets):
        return (outputs - targets).ravel() / len(outputs) ** 0.5

    def loss(outputs, targets):
        return 0.5 * jnp.sum(residual(outputs, targets) ** 2)

    def scores(outputs, targets):
        left, whole = jnp.sum((outputs - targets) ** 2), jnp.sum((targets - targets.mean(0)) ** 2)
        return {"loss": loss(outputs, targets), "r2": 1 - left / whole}

    return Task(loss, scores, residual)
