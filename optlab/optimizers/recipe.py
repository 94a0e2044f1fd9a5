"""What may be done around any optimizer in training: scheduled numbers, clipping, accumulation, averaging."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from optlab.optimizers.counts import Averaged as _Averaged
from optlab.optimizers.counts import Snapshots as _Snapshots
from optlab.optimizers.counts import UpdateRatio as _UpdateRatio
from optlab.probes import by_layer as _by_layer
from optlab.types import Array, PyTree

__all__ = ["averaged", "recipe", "snapshots", "tracked_updates"]

#: What optimizers call their momentum.
_MOMENTA = ("momentum", "beta", "b1", "decay")


def recipe(
    factory: Callable[..., optax.GradientTransformation],
    numbers: Mapping[str, Any],
    *,
    schedule: Callable[[Array], Array] | None = None,
    cycle_momentum: Sequence[float] | Array | None = None,
    clip_norm: float | Array | None = None,
    accumulate: int | None = None,
    average: float | Array | None = None,
    track_updates: bool | None = None,
    ensemble: int | None = None,
    steps: int | None = None,
) -> optax.GradientTransformation:
    """An optimizer as it is used to train a network.

    Args:
      factory: makes the optimizer from its numbers, by keyword.
      numbers: the optimizer's own.
      schedule: step -> factor that the learning rate is multiplied by.
      cycle_momentum: (low, high): the momentum, inversely to the rate: ``high - (high - low) factor`` (Smith 2018).
      clip_norm: gradients longer than this (Euclidean norm over all parameters) are shortened to it.
      accumulate: an update is made of the mean gradient of so many steps.
      average: see `averaged`; the run is judged by the average.
      track_updates: see `tracked_updates`; of accumulated gradients the last update that was made is told.
      ensemble: the parameters at the ends of so many equal parts of the budget are kept and judged together; for
        ``schedule=warm_restarts`` with as many cycles (Huang et al., Snapshot ensembles, 2017). See `snapshots`.
      steps: the budget that an ensemble divides.

    Raises:
      ValueError: for a schedule without a learning rate, a cycle without a momentum or without a schedule, and for
        fewer than one step or part.
    """
    if accumulate is not None and int(accumulate) < 1:
        raise ValueError(f"accumulate must be a whole number of at least 1, not {accumulate}")
    optimizer = factory(**numbers) if schedule is None else _scheduled(factory, numbers, schedule, cycle_momentum)
    if schedule is None and cycle_momentum is not None:
        raise ValueError("cycle_momentum follows a schedule inversely: state a schedule too")
    if clip_norm is not None:
        optimizer = optax.chain(optax.clip_by_global_norm(clip_norm), optimizer)  # pyright: ignore[reportArgumentType]
    if track_updates:
        optimizer = tracked_updates(optimizer)
    if accumulate is not None:
        optimizer = optax.MultiSteps(optimizer, int(accumulate)).gradient_transformation()
    if ensemble is not None:
        if steps is None or not 1 <= int(ensemble) <= steps:
            raise ValueError(f"an ensemble takes from 1 to {steps} parts of the budget, not {ensemble}")
        optimizer = snapshots(optimizer, steps // int(ensemble), int(ensemble))
    return optimizer if average is None else averaged(optimizer, average)


def _scheduled(factory, numbers, schedule, cycle_momentum) -> optax.GradientTransformation:
    taken = inspect.signature(factory).parameters
    if "learning_rate" not in numbers:
        raise ValueError("a schedule changes the learning rate, and this optimizer has none")
    peak = numbers["learning_rate"]
    changed: dict[str, Any] = {"learning_rate": lambda step: peak * schedule(step)}
    if cycle_momentum is not None:
        name = next((name for name in _MOMENTA if name in taken), None)
        if name is None:
            raise ValueError("cycle_momentum changes the momentum, and this optimizer has none")
        low, high = cycle_momentum[0], cycle_momentum[1]
        changed[name] = lambda step: high - (high - low) * schedule(step)
    # What is not scheduled stays as given: a number that sets a shape may not become an array.
    fixed = [name for name in taken if name not in changed]
    return optax.inject_hyperparams(factory, static_args=fixed)(**{**numbers, **changed})


class BesideState(NamedTuple):
    """State of an optimizer with something kept beside it."""

    inner: PyTree
    kept: Any  #: a node of `optlab.optimizers.counts`
    step: Array  #: updates made so far: `[]`


def _beside(
    optimizer: optax.GradientTransformation,
    first: Callable[[PyTree], Any],
    onward: Callable[[Any, PyTree, PyTree, Array], Any],
) -> optax.GradientTransformationExtraArgs:
    """The optimizer, unchanged, with what is kept of its way: `first` (parameters), then `onward` (kept, parameters
    before, updates, number of this one)."""
    inner = optax.with_extra_args_support(optimizer)

    def init(params):
        return BesideState(inner.init(params), first(params), jnp.zeros((), jnp.int32))

    def update(updates, state, params=None, **extra):
        if params is None:
            raise ValueError("what is kept of the parameters needs them: pass `params` to update")
        updates, opt_state = inner.update(updates, state.inner, params, **extra)
        step = state.step + 1
        return updates, BesideState(opt_state, onward(state.kept, params, updates, step), step)

    return optax.GradientTransformationExtraArgs(init, update)


def snapshots(optimizer: optax.GradientTransformation, every: int, count: int) -> optax.GradientTransformationExtraArgs:
    """The optimizer, with the parameters after each `every` steps kept beside them, the first `count` of them.

    `optlab.run` judges all of them together, by their mean prediction, where the problem can tell (`Problem.ensemble`).
    It costs `count` copies of the parameters.
    """

    def first(params):
        places = jax.tree.map(lambda leaf: jnp.zeros((count, *jnp.shape(leaf)), leaf.dtype), params)
        return _Snapshots(places, jnp.zeros((), jnp.int32))

    def onward(kept, params, updates, step):
        here = (jnp.arange(count) == kept.taken) & (step % every == 0)

        def placed(places, leaf):
            return jnp.where(here.reshape(-1, *[1] * leaf.ndim), leaf[None], places)

        places = jax.tree.map(placed, kept.params, optax.apply_updates(params, updates))
        return _Snapshots(places, kept.taken + jnp.any(here).astype(jnp.int32))

    return _beside(optimizer, first, onward)


def averaged(optimizer: optax.GradientTransformation, decay: float | Array) -> optax.GradientTransformationExtraArgs:
    r"""The optimizer, with an average of the parameters after each step kept beside them.

    .. math:: \bar\theta_t = \bar\theta_{t-1} + \max(1 - d, 1/t)\,(\theta_t - \bar\theta_{t-1})

    With decay d = 1 it is the mean of all steps (Polyak and Juditsky 1992), below 1 an exponential moving average
    that remembers about 1/(1 - d) steps and none of the start. The optimizer goes its way without it; `optlab.run`
    measures and probes the average. It costs one copy of the parameters.
    """

    def onward(kept, params, updates, step):
        def moved(mean, leaf):
            weight = jnp.maximum(1 - jnp.asarray(decay, leaf.dtype), 1 / step.astype(leaf.dtype))
            return mean + weight * (leaf - mean)

        return _Averaged(jax.tree.map(moved, kept.mean, optax.apply_updates(params, updates)))

    # A copy: the state's buffers may be given away with the parameters'.
    return _beside(optimizer, lambda params: _Averaged(jax.tree.map(jnp.array, params)), onward)


def tracked_updates(optimizer: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    """The optimizer, unchanged, telling how large its last update was: ``|update| / |parameters|`` for each layer.

    `optlab.run` records it as ``update_ratio``, in the order of `optlab.probes.layer_names`: about 1e-3 is a common
    size in training. It is zero before the first update, and infinite where a layer moves away from zero.
    """

    def lengths(tree):
        return jnp.stack([optax.tree.norm(leaves) for leaves in _by_layer(tree).values()])

    def onward(kept, params, updates, step):
        moved, size = lengths(updates), lengths(params)
        ratio = jnp.where(moved == 0, 0, moved / size)
        return _UpdateRatio(ratio.astype(kept.by_layer.dtype))

    return _beside(optimizer, lambda params: _UpdateRatio(jnp.zeros_like(lengths(params))), onward)
