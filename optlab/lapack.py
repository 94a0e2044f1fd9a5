"""LAPACK's factorizations for many lanes: on a CPU one after the other.

XLA's CPU kernels share a batch among the threads of a pool and wait for them, on threads of that same pool: two
programs (or two factorizations of one) at once can wait for ever, and on two cores they did. A kernel for one matrix
waits for nobody, and from three dimensions on costs the same. Other backends take batches as they are. Where lanes lie
side by side in one function, which can call nobody, linear systems are solved by `elimination`.
"""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import jax
import jax.numpy as jnp

import optlab.elimination as elimination
from optlab.one_function import in_one
from optlab.types import Array


def _by_lane(function: Callable[..., Any], together: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """`together`: the same without LAPACK."""
    one_by_one = jax.custom_batching.sequential_vmap(function)

    @wraps(function)
    def call(*matrices: Array) -> Any:
        if together and in_one.value:
            return together(*matrices)
        return (one_by_one if jax.default_backend() == "cpu" else function)(*matrices)

    return call


@_by_lane
def eigh(H: Array) -> tuple[Array, Array]:
    """Eigenvalues, ascending: `[d]`, and vectors, the columns: `[d, d]`, of a symmetric matrix."""
    w, V = jnp.linalg.eigh(H)
    return w, V


@_by_lane
def qr(A: Array) -> tuple[Array, Array]:
    """Q with orthonormal columns and R, an upper triangle, with A = Q R."""
    Q, R = jnp.linalg.qr(A)
    return Q, R


@_by_lane
def qr_triangle(A: Array) -> Array:
    """R alone, which is less than half of the work."""
    return jnp.linalg.qr(A, mode="r")


@_by_lane
def svd(A: Array) -> tuple[Array, Array, Array]:
    """U, singular values, descending, and V', of the smaller size."""
    U, sigma, Vt = jnp.linalg.svd(A, full_matrices=False)
    return U, sigma, Vt


@partial(_by_lane, together=elimination.cholesky)
def cholesky(H: Array) -> Array:
    """L, a lower triangle, with H = L L'; not a number where H is not positive definite."""
    return jnp.linalg.cholesky(H, symmetrize_input=False)


@partial(_by_lane, together=elimination.cholesky_solve)
def cholesky_solve(L: Array, g: Array) -> Array:
    """x with L L' x = g: `[d]`."""
    return jax.scipy.linalg.cho_solve((L, True), g)


@partial(_by_lane, together=elimination.solve)
def solve(H: Array, g: Array) -> Array:
    """x with H x = g: `[d]`."""
    return jnp.linalg.solve(H, g)


@_by_lane
def least_squares(A: Array, b: Array) -> Array:
    """The shortest x with the least |A x - b|: `[d]`."""
    return jnp.linalg.lstsq(A, b)[0]
