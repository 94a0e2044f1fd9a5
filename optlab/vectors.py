"""A tree of arrays as one vector."""

from collections.abc import Callable

import jax
from jax.flatten_util import ravel_pytree
from jax.sharding import AxisType, NamedSharding, PartitionSpec, reshard

from optlab.types import Array, PyTree


def raveled(tree: PyTree) -> tuple[Array, Callable[[Array], PyTree]]:
    """The leaves one after the other, `[d]`, and the way back, as by JAX's `ravel_pytree`.

    Where shardings belong to types (JAX's explicit mode) the vector lies whole on every device, as do the matrices that
    are made of it, and what comes back is sharded as the tree is.
    """
    x, unravel = ravel_pytree(jax.tree.map(_whole, tree))
    if not any(_is_split(leaf) for leaf in jax.tree.leaves(tree)):
        return x, unravel
    shardings = jax.tree.map(lambda leaf: jax.typeof(leaf).sharding, tree)
    return x, lambda v: jax.tree.map(reshard, unravel(v), shardings)


def _whole(leaf: Array) -> Array:
    if not _is_split(leaf):
        return leaf
    return reshard(leaf, NamedSharding(jax.typeof(leaf).sharding.mesh, PartitionSpec()))


def _is_split(leaf: Array) -> bool:
    sharding = jax.typeof(leaf).sharding
    return AxisType.Explicit in sharding.mesh.axis_types and any(sharding.spec)
