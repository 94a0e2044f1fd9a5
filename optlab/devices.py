"""How the runs of a sweep lie on the devices of this process: a mesh with one axis, named by what is divided.

Either each device has runs of its own, in a loop of its own: no device waits for another. Or all devices share one run
and split the examples of its steps. One device needs no mesh, and `None` stands for it.
"""

import math
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from optlab.types import Array, Problem, PyTree

#: The axis of a mesh: runs, or the examples of one.
RUNS, EXAMPLES = "runs", "examples"


def mesh_for(size: int, count_examples: Callable[[], int] = lambda: 0) -> Mesh | None:
    """The devices for so many runs; of a single one for those that share the examples of its steps.

    These are counted where several devices are to share them only: for that the problem is built. A device that is set
    as JAX's default is the only one.
    """
    devices = jax.local_devices()
    if len(devices) == 1 or jax.config.values["jax_default_device"] is not None:
        return None
    if size > 1:
        return Mesh(np.array(devices[:size]), (RUNS,))
    examples = count_examples()
    count = max((n for n in range(1, len(devices) + 1) if examples % n == 0), default=1) if examples else 1
    if examples and count < len(devices):
        warnings.warn(
            f"{len(devices)} devices cannot have equal shares of {examples} examples: {count} used; "
            f"problem.batch_size={len(devices) * math.ceil(examples / len(devices))} would use all",
            stacklevel=2,
        )
    return Mesh(np.array(devices[:count]), (EXAMPLES,)) if count > 1 else None


def shares(mesh: Mesh | None) -> int:
    """Into how many parts the runs of a chunk are divided."""
    return mesh.size if mesh is not None and mesh.axis_names == (RUNS,) else 1


def examples_of(problem: Problem, data: PyTree) -> int:
    """The examples that a step's loss is made of; 0 where it has no batch."""
    leaves = jax.tree.leaves(jax.eval_shape(problem.batch, data, jax.random.key(0)))
    return leaves[0].shape[0] if leaves and leaves[0].shape else 0


def put(tree: PyTree, mesh: Mesh | None, axis: str | None = RUNS) -> PyTree:
    """Arrays on the devices of a mesh, divided along the first axis where that is the mesh's, else whole on each."""
    if mesh is None:
        return jax.device_put(tree)
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec(axis if axis in mesh.axis_names else None)))


def spread(program: Any, mesh: Mesh | None, donated: tuple[int, ...] = ()) -> Any:
    """A `sweep.Program`, jitted for the devices of a mesh.

    Where each has its own runs, ``lengths`` and the steps done are divided with them, and runs that end early end the
    loop of their device only.
    """
    if mesh is None:
        return jax.jit(program, donate_argnums=donated)
    whole = NamedSharding(mesh, PartitionSpec())
    if shares(mesh) == 1:
        return jax.jit(program, in_shardings=whole, out_shardings=whole, donate_argnums=donated)

    mine, all_ = PartitionSpec(RUNS), PartitionSpec()
    parts = (mine, mine, mine, all_, all_, all_, mine)
    mapped = jax.shard_map(program, mesh=mesh, in_specs=parts, out_specs=mine, check_vma=False)
    placed = tuple(NamedSharding(mesh, part) for part in parts)
    return jax.jit(mapped, in_shardings=placed, out_shardings=placed[0], donate_argnums=donated)


def sharing(problem: Problem, mesh: Mesh | None) -> Problem:
    """The problem with the examples of its batches divided among the devices, where the mesh is for that.

    This says where numbers are, not what they are: the loss stays a mean over the whole batch, statistics of batch
    normalisation included, and XLA adds up over devices what that takes.
    """
    if mesh is None or mesh.axis_names != (EXAMPLES,):
        return problem

    def apart(batch: PyTree) -> PyTree:
        size = jax.tree.leaves(batch)[0].shape[0]

        def placed(leaf: Array) -> Array:
            if not jnp.ndim(leaf) or len(leaf) != size or size % mesh.size:
                return leaf
            return lax.with_sharding_constraint(leaf, NamedSharding(mesh, PartitionSpec(EXAMPLES)))

        return jax.tree.map(placed, batch)

    def of(function: Any) -> Any:
        return None if function is None else lambda first, batch: function(first, apart(batch))

    split = problem.split and (of(problem.split[0]), of(problem.split[1]))
    return problem._replace(loss=of(problem.loss), residual=of(problem.residual), split=split)


def is_key(leaf: Any) -> bool:
    """Whether an array holds the keys of random numbers, which cannot leave the device as they are."""
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
