"""How many runs go side by side, and how many in a chunk, which is what a dispatch takes.

A chunk is made of blocks, one after another, of lanes side by side. All widths are powers of two, so that sweeps of
other sizes, or what is left of one, find their program compiled.
"""

import math
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from optlab import devices
from optlab.cores import cores

#: Runs side by side on a CPU, at most: more do not go faster, as XLA splits no operation of this size among threads.
CPU_LANES = 1024
LANES = 16384  # elsewhere

#: With fewer short runs side by side starting an operation costs more than its work.
FEWEST = 32

#: Bytes that the rows and the last state of one chunk may take.
BUDGET = 2**27

#: Bytes that the states of runs side by side may take on a CPU, where what leaves the cache is lost time, and those of
#: long runs elsewhere.
CACHE, MEMORY = 2**20, 2**31

#: The same where a loop is one function, in which to start an operation costs nothing.
NEAR = 2**17


def chunk_width(size: int, lanes: int | None = None, run_bytes: int = 0, shares: int = 1) -> int:
    """Runs in a chunk: on each device a power of two, within what it likes and what the budget holds."""
    size = -(-size // shares)
    most = lanes or (CPU_LANES if jax.default_backend() == "cpu" else LANES)
    if run_bytes:
        most = max(1, min(most, BUDGET // run_bytes))
    return shares * min(1 << (size - 1).bit_length(), 1 << (most.bit_length() - 1))


def lanes_for(states: Any, long: bool, in_one: bool = False) -> int:
    """Runs to go side by side on a device, given the state of one: `[1, ...]`; of short ones a power of two.

    `in_one`: whether their loop is one function, see `one_function.in_one_functions`.
    """
    on_cpu = jax.default_backend() == "cpu"
    if not on_cpu and not long:
        return LANES
    run_bytes = _bytes(states)
    if in_one:
        # A method may make a matrix. Of larger ones XLA shares the work among threads, which one function cannot.
        size = sum(leaf.size for leaf in jax.tree.leaves(states.params))
        run_bytes = max(run_bytes, size * _bytes(states.params))
    room = (NEAR if in_one else CACHE if on_cpu else MEMORY) / max(1, run_bytes)
    if long:
        return max(1, min(int(room), LANES))
    return min(CPU_LANES, max(FEWEST, 1 << round(math.log2(room))) if room > 1 else FEWEST)


def _bytes(tree: Any) -> int:
    return sum(leaf.nbytes for leaf in jax.tree.leaves(tree) if isinstance(leaf, np.ndarray))


def dispatched(size: int, lanes: int, shares: int = 1) -> int:
    """Of `size` short runs those that a dispatch takes on a device, one block of `lanes` side by side after another.

    So it takes longer than it costs to begin; each core has one at least.
    """
    blocks = min(CPU_LANES // lanes, size // (cores() * lanes * shares))
    return lanes * max(1, blocks)


def lengths_of(recorded: np.ndarray, width: int, lanes: int, mesh: Mesh | None) -> np.ndarray:
    """The steps before each recorded one, for each block of a chunk: `[B, T]`; `[T]` if it is one."""
    shares = devices.shares(mesh)
    count = shares * max(1, width // (shares * lanes))
    lengths = np.diff(recorded, prepend=0).astype(np.int32)
    return lengths if count == 1 else np.tile(lengths, (count, 1))
