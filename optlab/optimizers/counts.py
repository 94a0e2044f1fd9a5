"""What an optimizer tells whoever runs it, by nodes of these types anywhere in its state.

An optimizer that calls `value_fn` within `update` keeps one `Counts` and adds to it; what it was offered
(`value`, `grad`) the caller has counted already. One that has evaluated the loss where it goes keeps an
`Evaluated`, so that nobody does it again. One whose updates may be mere trials keeps a `Progress`; one whose result
is an average of where it was, an `Averaged`. What it has to say of its last update beside that, scheduled numbers or
an `UpdateRatio`, becomes columns of the trace.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from optlab.types import Array, PyTree


class Counts(NamedTuple):
    """Evaluations since `init`, cumulative; each is an integer array: `[]`."""

    n_value: Array  #: of the loss
    n_grad: Array  #: of its gradient
    n_hvp: Array  #: of Hessian-vector products


class Evaluated(NamedTuple):
    """The loss where the last update leads; `value` is infinite before the first.

    The names are those that `optax.value_and_grad_from_state` looks for.
    """

    value: Array
    grad: PyTree


class Progress(NamedTuple):
    """Where an iteration of one or more updates stands."""

    fresh: Array  #: an iteration ended with the last update
    stalled: Array  #: the method can go no further


class Averaged(NamedTuple):
    """An average of the parameters on the way, which is what the optimizer offers as its result."""

    mean: PyTree  #: like the parameters


class Snapshots(NamedTuple):
    """Parameters that were kept on the way, to judge by together."""

    params: PyTree  #: like the parameters: `[m, ...]`
    taken: Array  #: how many of the m places hold one: `[]`


class UpdateRatio(NamedTuple):
    """How large the last update was beside the parameters that it changed."""

    by_layer: Array  #: |update| / |parameters|, Euclidean, in the order of `optlab.probes.layer_names`: `[layers]`


def zero() -> Counts:
    """Nothing evaluated yet."""
    return Counts(*(jnp.zeros((), jnp.int32) for _ in Counts._fields))


def add(a: Counts, b: Counts) -> Counts:
    return jax.tree.map(jnp.add, a, b)


def nodes(state: PyTree, *kinds: type) -> list:
    """All nodes of some types in an optimizer's state, however deep a chain has put them."""
    leaves = jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, kinds))
    return [node for node in leaves if isinstance(node, kinds)]


def spent(before: PyTree, after: PyTree) -> Counts | None:
    """What an update has evaluated by itself; None where the optimizer never does.

    optax's line searches keep only the number of trials of the last search: each costs a value and a
    gradient in the zoom search, a value in backtracking.
    """
    own = [jax.tree.map(jnp.subtract, b, a) for a, b in zip(nodes(before, Counts), nodes(after, Counts), strict=True)]
    for node in nodes(after, optax.ScaleByZoomLinesearchState, optax.ScaleByBacktrackingLinesearchState):
        trials = jnp.asarray(node.info.num_linesearch_steps)
        zoom = isinstance(node, optax.ScaleByZoomLinesearchState)
        gradients = trials if zoom else jnp.full_like(trials, node.grad is not None)
        own.append(Counts(trials, gradients, jnp.zeros_like(trials)))
    if not own:
        return None
    return jax.tree.map(lambda *parts: sum(part.astype(jnp.int32) for part in parts), *own)


def known(state: PyTree) -> tuple[Array, PyTree] | None:
    """Value and gradient at the new parameters, where the optimizer has them already."""
    kinds = (Evaluated, optax.ScaleByZoomLinesearchState, optax.ScaleByBacktrackingLinesearchState)
    for node in nodes(state, *kinds):
        if node.grad is not None:
            return node.value, node.grad
    return None


def columns(state: PyTree) -> dict[str, Array]:
    """What an optimizer tells of its last update: {name: `[]` or `[...]`}.

    Hyperparameters on a schedule (by `optax.inject_hyperparams`) by their own names, and ``update_ratio``.
    """
    found: dict[str, Array] = {}
    for node in nodes(state, optax.InjectStatefulHyperparamsState):
        found |= {name: jnp.asarray(node.hyperparams[name]) for name in node.hyperparams_states}
    for node in nodes(state, UpdateRatio):
        found["update_ratio"] = node.by_layer
    return found
