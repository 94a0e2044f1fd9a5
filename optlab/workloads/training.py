"""A network, a data set and a task as one `Problem`: what an optimizer trains.

The network is a `flax.linen.Module`, but a loss sees nothing of it but a pure function: no state changes in it.
Batch normalisation takes the statistics of its own batch there, and those of a fixed calibration set when measured.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from optlab.types import Array, Problem, PyTree, full_batch
from optlab.workloads.augment import augmented
from optlab.workloads.data import Dataset, Examples, standardised
from optlab.workloads.forward import Forward, forward
from optlab.workloads.initializers import SCHEMES, parameters_drawn, unit_variance
from optlab.workloads.paths import flat, nested
from optlab.workloads.shuffle import pass_indices
from optlab.workloads.tasks import Task, classification
from optlab.workloads.transfer import begun_with, joined, overlaid, trained

__all__ = ["Batch", "Held", "training"]

#: Training examples from which statistics of batch normalisation are taken when a network is measured.
CALIBRATION = 1024

#: Training examples on which layer-sequential unit variance is attained.
SEEN = 128


class Held(NamedTuple):
    """The data of a workload, `Problem.data`."""

    train: Examples
    validation: Examples
    frozen: PyTree  #: parameters that are not trained: {layer: ...}


class Batch(NamedTuple):
    """What the loss of a step is made of."""

    inputs: Array  #: standardised and augmented: `[B, ...]`
    targets: PyTree  #: `[B, ...]`
    frozen: PyTree
    key: Array | None = None  #: decides dropout and stochastic depth


def training(
    *,
    network: nn.Module,
    data: Dataset,
    task: Task | None = None,
    batch_size: int = 128,
    init: str = "lecun",
    gain: float | Array = 1.0,
    weight_decay: float | Array | None = None,
    augment: Mapping[str, Any] | None = None,
    compute: str = "same",
    parameters: str = "",
    redrawn: Sequence[str] = (),
    frozen: Sequence[str] = (),
    trainable_layers: int = 0,
    evaluated: int = 512,
    target: float | Array | None = None,
    budget: int = 0,
) -> Problem:
    """Training a network: its loss on a batch is descended, its loss on held-out data is measured.

    Measured are ``value``, the loss without chance on the first `evaluated` training examples, ``validation_loss`` and
    the scores of the task on the validation set (of classes: ``validation_accuracy``), and ``reached``, whether the
    first score has come to the `target`.

    Args:
      network: a `flax.linen.Module`, called as ``network.apply(variables, inputs, train=...)``.
      data: what `optlab.workloads.digits` and its like return.
      task: what its outputs are compared by; by default `classification`.
      batch_size: examples in a step, in passes over the data in a fresh order each; 0 takes them all.
      init: scheme of the initialization: one of `optlab.workloads.initializers.SCHEMES`, or ``lsuv``.
      gain: what the scheme's kernels are multiplied by.
      weight_decay: the loss gains ``weight_decay / 2`` times the squared length of all kernels (the L2 penalty: every
        optimizer minimizes the same loss, also those that search along lines). `optax.adamw` and its like decay by
        themselves instead, in proportion to their rate. It is part of ``value``, not of the scores.
      augment: what `augmented` is told, by name.
      compute: type of numbers in the network, such as ``bfloat16``; the parameters keep their own.
      parameters: folder of saved parameters to begin with (of another run, told ``save=true``).
      redrawn: layers that are drawn nevertheless, such as the ``head`` where classes are others.
      frozen: layers that stay as they are; ``block1`` stands for all within it.
      trainable_layers: only so many layers are trained, counted from the output; 0 for all.
      evaluated: training examples that the measured loss is taken of.
      target: the score to be reached, by the baseline study.
      budget: steps that the baseline study had: what ``steps`` is on the command line where it is not stated.

    Raises:
      ValueError: for a batch larger than the data, an unknown scheme, type or layer, parameters that do not fit, or
        outputs that are not as many as the classes.
    """
    del budget
    task = task or classification()
    size = len(data.train.inputs)
    _check(batch_size, size, init, augment or {})
    net = forward(network, data.train.inputs.shape[1:], compute)
    if task.check is not None:
        task.check(net.outputs, data)
    fresh = _fresh(net, data, init, gain, begun_with(net, parameters, _listed(redrawn)))
    ours = trained(net, _listed(frozen), trainable_layers)
    fixed = set(flat(net.shapes)) - ours
    held = Held(data.train, data.validation, _only(jax.jit(fresh)(jax.random.key(0)), fixed) if fixed else {})
    whole = batch_size in (0, size) and not augment and not net.random
    batch_of = _batches(net, data, batch_size or size, augment)

    def seen(batch: Any) -> Batch:  # `Held` where every step sees all data
        return Batch(_inputs(batch.train, data), batch.train.targets, batch.frozen) if whole else batch

    def outputs(params: PyTree, batch: Any) -> PyTree:
        batch = seen(batch)
        return net.train(joined(params, batch.frozen), batch.inputs, batch.key)

    def compared(by: Callable[[PyTree, PyTree], Array]) -> Callable[[PyTree, PyTree], Array]:
        return lambda params, batch: by(outputs(params, batch), seen(batch).targets)

    survey = _survey(net, data, task, evaluated, weight_decay)
    plain = weight_decay is None  # with a penalty the loss is neither a sum of squares nor one of outputs alone
    return Problem(
        init=lambda key: _only(fresh(key), ours),
        batch=full_batch if whole else lambda held, key: batch_of(held, key, 0),
        passes=None if whole else batch_of,
        loss=_penalized(compared(task.loss), weight_decay),
        measure=_measure(survey, target),
        survey=survey,
        residual=compared(task.residual) if plain and task.residual else None,
        split=(outputs, lambda z, batch: task.loss(z, seen(batch).targets)) if plain else None,
        ensemble=_ensemble(net, data, task),
        data=held,
    )


def _listed(names: str | Sequence[str]) -> Sequence[str]:
    return [names] if isinstance(names, str) else names


def _inputs(examples: Examples, data: Dataset) -> Array:
    return standardised(examples.inputs, data.mean, data.scale)


def _calibration(held: Held, data: Dataset) -> Array:
    return standardised(held.train.inputs[:CALIBRATION], data.mean, data.scale)


def _batches(
    net: Forward, data: Dataset, batch_size: int, augment: Mapping[str, Any] | None
) -> Callable[[Held, Array, Array | int], Batch]:
    """(data, key, step) -> the batch of a step, in passes over the training examples."""

    def batch_of(held: Held, key: Array, step: Array | int) -> Batch:
        rows = pass_indices(key, step, batch_size, len(data.train.inputs))
        examples = jax.tree.map(lambda leaf: jnp.asarray(leaf)[rows], held.train)
        inputs, inner = _inputs(examples, data), None
        if augment or net.random:
            inner, moved = jax.random.split(jax.random.fold_in(key, step))
            inputs = augmented(moved, inputs, **augment) if augment else inputs
        return Batch(inputs, examples.targets, held.frozen, inner)

    return batch_of


def _survey(
    net: Forward, data: Dataset, task: Task, evaluated: int, decay: float | Array | None
) -> Callable[[PyTree, Held, PyTree], dict[str, Array]]:
    """`Problem.survey`: all losses and scores, without chance, by statistics of a calibration set."""

    def survey(params: PyTree, held: Held, at: PyTree = None) -> dict[str, Array]:
        few = jax.tree.map(lambda leaf: leaf[:evaluated], held.train)
        # One pass for both: a network is longer to compile than to evaluate.
        inputs = jnp.concatenate([_inputs(few, data), _inputs(held.validation, data)])
        known = net.calibrate(joined(params if at is None else at, held.frozen), _calibration(held, data))
        outputs = net.evaluate(joined(params, held.frozen), known, inputs)
        here = jax.tree.map(lambda leaf: leaf[: len(few.inputs)], outputs)
        there = jax.tree.map(lambda leaf: leaf[len(few.inputs) :], outputs)
        scores = task.scores(there, held.validation.targets)
        row = {"value": _penalized(lambda params, outputs: task.loss(outputs, few.targets), decay)(params, here)}
        row |= {f"validation_{name}": score for name, score in scores.items()}
        _, *others = task.scores(here, few.targets).items()
        return row | {f"train_{name}": score for name, score in others}

    return survey


def _measure(survey: Callable[..., dict[str, Array]], target: float | Array | None) -> Callable[..., dict[str, Array]]:
    """(parameters, data) -> the measures of `training`: what a survey says but of the training set's scores."""

    def measure(params: PyTree, held: Held) -> dict[str, Array]:
        row = {name: score for name, score in survey(params, held).items() if not name.startswith("train_")}
        if target is not None:
            _, _, score, *_ = row.values()
            row["reached"] = score >= jnp.asarray(target, score.dtype)
        return row

    return measure


def _ensemble(net: Forward, data: Dataset, task: Task) -> Callable[[PyTree, Array, Held], dict[str, Array]] | None:
    """(many parameters, how many count, data) -> the scores of their mean prediction; no numbers where none counts."""
    pooled = task.pooled
    if pooled is None:
        return None

    def ensemble(members: PyTree, count: Array, held: Held) -> dict[str, Array]:
        calibration, inputs = _calibration(held, data), _inputs(held.validation, data)

        def judged(params: PyTree) -> PyTree:
            whole = joined(params, held.frozen)
            return net.evaluate(whole, net.calibrate(whole, calibration), inputs)

        outputs = lax.map(judged, members)
        places = len(jax.tree.leaves(members)[0])
        weights = (jnp.arange(places) < count) / jnp.maximum(count, 1)
        scores = task.scores(
            pooled(outputs, weights.astype(jax.tree.leaves(outputs)[0].dtype)), held.validation.targets
        )
        return {f"ensemble_{name}": jnp.where(count > 0, score, jnp.nan) for name, score in scores.items()}

    return ensemble


def _penalized(
    loss: Callable[[PyTree, PyTree], Array], decay: float | Array | None
) -> Callable[[PyTree, PyTree], Array]:
    """The loss with its penalty; the loss itself where there is none."""
    if decay is None:
        return loss
    half = 0.5 * decay
    return lambda params, batch: loss(params, batch) + half * _length(params)


def _length(params: PyTree) -> Array:
    """The sum of the squares of all kernels: `[]`."""
    return sum((jnp.sum(leaf**2) for path, leaf in flat(params).items() if path[-1] == "kernel"), jnp.zeros(()))


def _check(batch_size: int, size: int, init: str, augment: Mapping[str, Any]) -> None:
    if not 0 <= batch_size <= size:
        raise ValueError(f"batch_size must be from 1 to {size}, the training examples, or 0 for all, not {batch_size}")
    if init not in (*SCHEMES, "lsuv"):
        raise ValueError(f"init must be one of {', '.join((*SCHEMES, 'lsuv'))}, not {init!r}")
    kinds = [name for name in inspect.signature(augmented).parameters if name not in ("key", "images")]
    for name, strength in augment.items():
        if name not in kinds:
            raise ValueError(f"there is no augmentation {name!r}; there are {', '.join(kinds)}")
        if isinstance(strength, int | float) and not strength >= 0:
            raise ValueError(f"{name} must be a number of at least 0, not {strength}")


def _fresh(net: Forward, data: Dataset, init: str, gain: float | Array, known: Mapping) -> Callable[[Array], PyTree]:
    """key -> all parameters of the network, before the first step."""

    def fresh(key: Array) -> PyTree:
        params = parameters_drawn(net.shapes, "orthogonal" if init == "lsuv" else init, gain, key)
        if init == "lsuv":
            seen = standardised(data.train.inputs[:SEEN], data.mean, data.scale)
            params = unit_variance(params, lambda params: net.train(params, seen, jax.random.key(0)), gain)
        return overlaid(params, known)

    return fresh


def _only(params: PyTree, chosen: set[tuple[str, ...]]) -> PyTree:
    return nested({path: leaf for path, leaf in flat(params).items() if path in chosen})
