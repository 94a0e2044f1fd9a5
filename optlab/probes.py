"""What the experimenter may ask of a point: each probe is one more column of the trace."""

from jax.flatten_util import ravel_pytree

from optlab.types import Array, Problem, PyTree


def position(problem: Problem, params: PyTree) -> Array:
    """The parameters as one vector: `[d]`."""
    del problem
    return ravel_pytree(params)[0]
