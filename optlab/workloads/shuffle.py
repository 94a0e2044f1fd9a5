"""Shuffling that remembers nothing: which examples a step sees is computed from its number.

A permutation drawn anew for each pass would be sorted (`jax.random.permutation`) and carried along. Here it is a
function from position to example, keyed as a block cipher is, and a step evaluates it at its own positions only.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

from optlab.types import Array

__all__ = ["pass_indices"]

#: Of the Feistel network. Four make it a pseudo-random permutation (Luby and Rackoff 1988) where one of its two parts
#: takes many values; the grids of small sets do not, and want more.
ROUNDS = 6


def pass_indices(key: Array, step: int | Array, batch_size: int, size: int) -> Array:
    """The examples of a step: `[batch_size]` int32, below `size`.

    Steps go through the data in passes of ``size // batch_size`` batches, each pass in an order of its own, and within
    a pass no example comes twice; what is left at its end and fills no batch is left out. In O(batch_size).

    Args:
      key: a JAX key; the orders of all passes follow from it.
      step: which one, from 0; may be traced.
      batch_size, size: examples in a batch, and in all.

    Raises:
      ValueError: where a batch would be empty or larger than the data.
    """
    if not 1 <= batch_size <= size:
        raise ValueError(f"batch_size must be from 1 to {size}, the number of examples, not {batch_size}")
    batches = size // batch_size
    step = jnp.asarray(step).astype(jnp.uint32)
    first = step % jnp.uint32(batches) * jnp.uint32(batch_size)
    positions = first + jnp.arange(batch_size, dtype=jnp.uint32)
    return _permuted(_seed(key, step // jnp.uint32(batches)), positions, size).astype(jnp.int32)


def _seed(key: Array, count: Array) -> Array:
    """One word from a key and the number of a pass: `[]` uint32. Hashed, since a threefry call compiles longer."""
    seed = count
    for word in jax.random.key_data(key).ravel():
        seed = _hash(seed * jnp.uint32(0x9E3779B9) ^ word)
    return seed


def _hash(x: Array) -> Array:
    """A permutation of 32-bit words in which each bit of the input changes about half of the output's.

    The constants are those of Wellons's ``lowbias32`` (2018), found by search for least bias.
    """
    x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)


def _permuted(seed: Array, positions: Array, size: int) -> Array:
    """Where a permutation of 0 to size - 1 takes these positions, as uint32.

    It is the generalized Feistel cipher of Black and Rogaway (2002, section 5) on the grid of a x b >= size cells. With
    x = b L + R, rounds in turn replace L by L + F(R) modulo a, and R by R + F(L) modulo b. A cell beyond `size` is
    permuted again until it falls below (their section 4, cycle walking), which keeps it one to one.
    """
    a, b = _grid(size)
    keys = _hash(seed + jnp.uint32(0x9E3779B9) * jnp.arange(1, ROUNDS + 1, dtype=jnp.uint32))

    def enciphered(x):
        left, right = x // jnp.uint32(b), x % jnp.uint32(b)
        for k in range(0, ROUNDS, 2):
            left = _added(left, right, keys[k], a)
            right = _added(right, left, keys[k + 1], b)
        return left * jnp.uint32(b) + right

    if a * b == size:
        return enciphered(positions)

    def walked(state):
        x, beyond = state
        x = jnp.where(beyond, enciphered(x), x)
        return x, x >= size

    return lax.while_loop(lambda state: jnp.any(state[1]), walked, (positions, positions < size))[0]


def _added(part: Array, other: Array, key: Array, modulus: int) -> Array:
    """``part + F(other) mod modulus``: F scales 16 bits of a hash, which later rounds even out, without a division."""
    offset = ((_hash(other ^ key) >> 16) * jnp.uint32(modulus)) >> 16
    total = part + offset
    return jnp.where(total >= modulus, total - jnp.uint32(modulus), total)


def _grid(size: int) -> tuple[int, int]:
    """Sides of a nearly square grid with as few cells beyond `size` as there can be."""
    root = math.isqrt(size - 1) + 1
    sides = [(a, -(-size // a)) for a in range(max(1, math.ceil(0.7 * size**0.5)), root + 1)]
    return min(sides, key=lambda side: side[0] * side[1])
