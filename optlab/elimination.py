"""Small linear systems solved by loops alone, so that lanes side by side go through them together (see `lanes`).

LAPACK takes one lane after the other: in ten dimensions that is six times as slow. Each part of a turn is stored before
others read it, and each index is the same for all lanes. Source: Golub and Van Loan, Matrix Computations (2013).
"""

from functools import partial

import jax.numpy as jnp
from jax import lax

from optlab.lanes import innermost
from optlab.one_function import apart
from optlab.types import Array


def solve(H: Array, g: Array) -> Array:
    """x with H x = g, by Gauss and Jordan's elimination with partial pivoting: `[d]`; d^3 multiplications.

    As accurate as Gauss's own, without back substitution. Not a number, or infinite, where H is singular. Source:
    section 3.4; Peters and Wilkinson, On the stability of Gauss-Jordan elimination with pivoting (1975).
    """
    rows = jnp.arange(len(g))

    def pivot(k, column):
        largest = jnp.argmax(jnp.where(rows >= k, jnp.abs(column), -1))
        return (rows == largest).astype(column.dtype)

    def picked(chosen, M):
        return jnp.sum(chosen[:, None] * M, axis=0)

    def factors(k, column, row):
        return jnp.where(rows == k, 0, column / row[k])

    def turn(k, M):
        M = innermost(M)
        chosen = apart(partial(pivot, k), M[:, k])
        row = apart(picked, chosen, M)
        M = jnp.where(chosen[:, None] > 0, M[k][None], M)  # rows change places, the other half of it below
        factor = apart(partial(factors, k), M[:, k], row)
        return innermost(jnp.where((rows == k)[:, None], row[None], M - factor[:, None] * row[None]))

    M = lax.fori_loop(0, len(g), turn, innermost(jnp.concatenate([H, g[:, None]], axis=1)))
    return M[:, -1] / jnp.diagonal(M[:, :-1])


def cholesky(H: Array) -> Array:
    """L, a lower triangle, with H = L L', by outer products (section 4.2.5): `[d, d]`.

    Where H is not positive definite, some entries are no finite numbers.
    """
    rows = jnp.arange(len(H))

    def scaled(k, column):
        return jnp.where(rows >= k, column / jnp.sqrt(column[k]), 0)

    def turn(k, M):
        M = innermost(M)
        column = apart(partial(scaled, k), M[:, k])
        return innermost(jnp.where((rows == k)[None], column[:, None], M - column[:, None] * column[None]))

    return jnp.tril(lax.fori_loop(0, len(H), turn, innermost(H)))


def cholesky_solve(L: Array, g: Array) -> Array:
    """x with L L' x = g: `[d]`, by substitution forwards and backwards (section 3.1)."""
    rows = jnp.arange(len(g))

    def onwards(k, carry):
        L, x = innermost(carry)
        return innermost((L, _eliminated(rows > k, k, L[:, k], x)))

    def back(k, carry):
        L, x = innermost(carry)
        k = len(g) - 1 - k
        return innermost((L, _eliminated(rows < k, k, L[k], x)))

    return lax.fori_loop(0, len(g), back, lax.fori_loop(0, len(g), onwards, innermost((L, g))))[1]


def _eliminated(others: Array, k: Array, row: Array, x: Array) -> Array:
    """The right side x once its unknown k is known and taken out of the others."""
    found = apart(lambda row, x: x[k] / row[k], row, x)
    return jnp.where(others, x - row * found, jnp.where(jnp.arange(len(x)) == k, found, x))
