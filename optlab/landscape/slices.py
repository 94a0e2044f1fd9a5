"""What a problem says of many points of a line or a plane: one compiled program, in chunks, over cores and devices."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, PartitionSpec

from optlab.cores import cores
from optlab.landscape.directions import Plane, place
from optlab.types import Array, Problem, PyTree
from optlab.workloads.convolution import outside_loops

__all__ = ["STATISTICS", "surveyed", "values_on"]

#: Where statistics of batch normalisation come from: at each point anew, from the calibration set, or the origin's.
STATISTICS = ("recomputed", "frozen")

#: Points in a chunk, each of some networks' worth of work: so much is lost by an interruption, and no more is held.
CHUNK = 64

#: The same for closed forms, which cost next to nothing.
LIGHT_CHUNK = 2**14


#: (parameters, data, the plane's origin) -> {name: `[]`}
Survey = Callable[[PyTree, PyTree, PyTree], dict[str, Array]]


@lru_cache(maxsize=8)
def _survey(measure: Callable, survey: Callable | None, statistics: str) -> Survey:
    if survey is None:
        return lambda params, data, origin: measure(params, data)
    return survey if statistics == "frozen" else lambda params, data, origin: survey(params, data, None)


def surveyed(problem: Problem, statistics: str = "recomputed") -> Survey:
    """(parameters, data, the plane's origin) -> {name: `[]`}: all that is shown of a place.

    What `Problem.survey` says, else ``value``, the loss without chance that is measured, and the measures.

    Raises ValueError for statistics that are none of `STATISTICS`.
    """
    if statistics not in STATISTICS:
        raise ValueError(f"statistics must be one of {', '.join(STATISTICS)}, not {statistics!r}")
    return _survey(problem.measure, problem.survey, statistics)


def values_on(
    problem: Problem,
    plane: Plane,
    coordinates: Array,
    *,
    statistics: str = "recomputed",
    width: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[str, np.ndarray]:
    """Losses and scores at points of a plane: {name: `[N]`}, ``value`` among them.

    The points of a chunk follow one another in a compiled loop, `width` side by side; chunks take the cores of a CPU,
    and each is divided among the devices of other kinds. So memory does not grow with the grid. A network with
    convolutions has chunks of one point on a CPU, since XLA's are slow in a loop.

    Args:
      problem: whose loss it is.
      plane: a line or a plane.
      coordinates: `[N, 1]` or `[N, 2]`.
      statistics: see `STATISTICS`.
      width: points side by side; by default one where there is data (on a CPU a network over many weights costs about
        twice as much as one after the other), else a whole chunk.
      progress: told how many points are done, chunk by chunk.

    Raises:
      ValueError: for coordinates or directions of another shape, and for unknown statistics.
    """
    coordinates = np.asarray(coordinates, float)
    _check(plane, coordinates)
    heavy = bool(jax.tree.leaves(problem.data))
    devices = tuple(jax.devices())
    cpu = devices[0].platform == "cpu"
    most = 1 if cpu and heavy and _convolves(plane.origin) else CHUNK if heavy else LIGHT_CHUNK
    # The same program for a grid of any size.
    size = min(most, 1 << (len(coordinates) - 1).bit_length())
    size = -(-size // len(devices)) * len(devices)
    width = width or (1 if heavy else size // len(devices))
    program = _program(surveyed(problem, statistics), width, devices)
    data = jax.device_put(problem.data)
    x64 = jax.dtypes.canonicalize_dtype(float) == np.float64  # each thread has its own setting

    def chunk(first: int) -> dict[str, np.ndarray]:
        rows = coordinates[first : first + size]
        filled = np.concatenate([rows, np.repeat(rows[-1:], size - len(rows), axis=0)])
        with jax.enable_x64(x64):
            found = program(plane, filled, data)
            return {name: np.asarray(column)[: len(rows)] for name, column in found.items()}

    parts = [chunk(0)]  # and compiled, once
    with ThreadPoolExecutor(cores()) as pool:
        for part in pool.map(chunk, range(size, len(coordinates), size)):
            if progress is not None:
                progress(len(parts[-1]["value"]))
            parts.append(part)
    if progress is not None:
        progress(len(parts[-1]["value"]))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@lru_cache(maxsize=8)
def _program(survey: Survey, width: int, devices: tuple) -> Callable[[Plane, Array, PyTree], dict[str, Array]]:
    """(plane, coordinates: `[N, k]`, data) -> {name: `[N]`}, compiled once; N a multiple of the devices."""

    def at(plane: Plane, data: PyTree, coordinates: Array) -> dict[str, Array]:
        return survey(place(plane, coordinates), data, plane.origin)

    def mapped(plane: Plane, coordinates: Array, data: PyTree) -> dict[str, Array]:
        each = partial(at, plane, data)
        if len(coordinates) == 1:
            with outside_loops():
                return jax.tree.map(lambda leaf: leaf[None], each(coordinates[0]))
        if width >= len(coordinates):
            return jax.vmap(each)(coordinates)
        return lax.map(each, coordinates, batch_size=width if width > 1 else None)

    if len(devices) == 1:
        return jax.jit(mapped)
    everywhere, divided = PartitionSpec(), PartitionSpec("points")
    mesh = Mesh(np.array(devices), ("points",))
    specs = (everywhere, divided, everywhere)
    return jax.jit(jax.shard_map(mapped, mesh=mesh, in_specs=specs, out_specs=divided, check_vma=False))


def _convolves(params: PyTree) -> bool:
    """Whether there are kernels of convolutions, `[height, width, in, out]`."""
    return any(jnp.ndim(leaf) == 4 for leaf in jax.tree.leaves(params))


def _check(plane: Plane, coordinates: np.ndarray) -> None:
    k = len(plane.directions)
    if coordinates.ndim != 2 or coordinates.shape[1] != k or not len(coordinates):
        raise ValueError(f"coordinates must be of shape [N, {k}], one for each direction, not {coordinates.shape}")
    shapes = jax.tree.map(jnp.shape, plane.origin)
    for u in plane.directions:
        same = jax.tree.structure(u) == jax.tree.structure(plane.origin)
        if not same or jax.tree.map(jnp.shape, u) != shapes:
            raise ValueError("a direction must have the shapes of the parameters, leaf by leaf")
