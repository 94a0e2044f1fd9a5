r"""What products with a symmetric matrix tell of its eigenvalues: Lanczos' recursion and its tridiagonal matrices.

From a unit vector :math:`v_1` it builds, with one product a step, an orthonormal basis V of
:math:`v_1, H v_1, H^2 v_1, \ldots` in which H is tridiagonal:

.. math:: \beta_k v_{k+1} = H v_k - \alpha_k v_k - \beta_{k-1} v_{k-1}, \qquad \alpha_k = v_k^T H v_k.

The eigenvalues of that small matrix (Ritz values) come near the ends of the spectrum of H first. In finite precision
the basis loses its orthogonality as soon as one of them has converged (Paige 1972): `lanczos` puts that right and keeps
all vectors, `recursion` lives with it and keeps three.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

import optlab.lapack as lapack
from optlab.types import Array, PyTree
from optlab.vectors import raveled

#: Linear and symmetric: v -> H v, from a pytree to one like it.
Product = Callable[[PyTree], PyTree]

#: A step is the last of its space where no more is left of a product than this many units of rounding.
ENDED = 10

#: An eigenvalue counts as negative below this part of the largest absolute one, with its sign turned.
FLAT = 1e-3

#: Some devices round factors to 10 bits otherwise, and orthogonality is lost.
matmul = partial(jnp.matmul, precision="highest")


class Lanczos(NamedTuple):
    """H V^T = V^T T + beta[-1] last e_m^T, with T the tridiagonal matrix of alpha and beta[:-1]."""

    alpha: Array  #: `[m]`
    beta: Array  #: not negative; zero where a step was the last of its space: `[m]`
    V: Array  #: raveled vectors, the rows, those held in front: `[held + m, d]`
    last: Array  #: what would come next: `[d]`


def flattened(product: Product, like: PyTree) -> tuple[Callable[[Array], Array], Array, Callable[[Array], PyTree]]:
    """The operator on vectors `[d]`, `like` as one of them, and the way back to a pytree."""
    x, unravel = raveled(like)
    return lambda v: raveled(product(unravel(v)))[0], x, unravel


def lanczos(product: Product, start: PyTree, steps: int, *, held: Array | None = None) -> Lanczos:
    """Lanczos' recursion with full reorthogonalization; `steps` (no more than the dimension) products.

    Where an invariant subspace is exhausted the recursion goes on from a random direction orthogonal to it, with beta
    = 0 between the two: copies of a multiple eigenvalue are found that way, and weights of a quadrature stay what they
    are. About 12 (held + m) d operations a step beside the product, and memory for held + m vectors.

    Args:
      product: v -> H v on pytrees like `start`, H symmetric.
      start: not zero; orthogonal to what is held.
      steps: m.
      held: orthonormal rows to which all vectors are kept orthogonal (those of zeros do nothing): `[held, d]`.

    Source: Golub and Van Loan, Matrix computations (4th edition), section 10.3; orthogonalized twice, as in 10.3.5.
    """
    apply, first, _ = flattened(product, start)
    steps = min(steps, first.size)
    kept = 0 if held is None else len(held)
    basis = jnp.zeros((kept + steps, first.size), first.dtype)
    basis = basis if held is None else basis.at[:kept].set(held)
    noise = ENDED * jnp.finfo(first.dtype).eps

    def step(carry, k):
        basis, v = carry
        basis = basis.at[kept + k].set(v)
        w = apply(v)
        alpha, size = matmul(v, w), jnp.linalg.norm(w)
        w = _without(basis, _without(basis, w))
        beta = jnp.linalg.norm(w)
        ended = beta <= noise * size
        w = lax.cond(
            ended,
            lambda: jax.random.normal(jax.random.fold_in(jax.random.key(0), k), v.shape, v.dtype),
            lambda: w / jnp.where(ended, 1, beta),
        )
        return (basis, _unit(_without(basis, w))), (alpha, jnp.where(ended, 0, beta))

    (basis, last), (alpha, beta) = lax.scan(step, (basis, _unit(first)), jnp.arange(steps))
    return Lanczos(alpha, beta, basis, last)


def _without(basis: Array, w: Array) -> Array:
    return w - matmul(matmul(basis, w), basis)


def _unit(w: Array) -> Array:
    size = jnp.linalg.norm(w)
    return w / jnp.where(size > 0, size, 1)


def quadratic_forms(apply: Callable[[Array], Array], like: Array, key: Array, count: int) -> Array:
    """v^T H v for so many vectors `[d]` of random signs, one after the other: each the trace on average: `[count]`."""

    def seen(key):
        v = jax.random.rademacher(key, like.shape, like.dtype)
        return matmul(v, apply(v))

    return lax.map(seen, jax.random.split(key, count))


def recursion(product: Product, start: PyTree, steps: int) -> tuple[Array, Array]:
    """Lanczos' recursion as it stands, three vectors in memory: alpha `[m]`, beta `[m]`.

    Without reorthogonalization eigenvalues may appear more than once, each with a part of its weight: the largest stays
    what it is (Paige 1972), and so does a quadrature (Knizhnerman 1996), but the second may be a copy of the first.
    Where the recursion has come to its end nothing is left to be seen: a value within the spectrum fills the rest.
    """
    apply, first, _ = flattened(product, start)

    def step(carry, _):
        v, before, beta = carry
        w = apply(v) - beta * before
        alpha = matmul(w, v)
        w = w - alpha * v
        beta = jnp.linalg.norm(w)
        return (w / jnp.where(beta > 0, beta, 1), v, beta), (alpha, beta)

    begun = (first / jnp.linalg.norm(first), jnp.zeros_like(first), jnp.zeros((), first.dtype))
    _, (alpha, beta) = lax.scan(step, begun, length=steps)
    going = jnp.cumprod(jnp.concatenate([jnp.ones(1, bool), beta[:-1] > 0])).astype(bool)
    return jnp.where(going, alpha, alpha[0]), beta


def tridiagonal(alpha: Array, beta: Array) -> Array:
    """The symmetric matrix with alpha `[m]` on its diagonal and beta[:-1] beside it: `[m, m]`."""
    return jnp.diag(alpha) + jnp.diag(beta[:-1], 1) + jnp.diag(beta[:-1], -1)


def ritz_values(alpha: Array, beta: Array) -> Array:
    """Eigenvalues of the tridiagonal matrix, ascending: `[m]`."""
    return lapack.eigh(tridiagonal(alpha, beta))[0]


def quadrature(alpha: Array, beta: Array) -> tuple[Array, Array]:
    r"""Nodes :math:`\theta`, ascending, and weights :math:`w` of a Gauss quadrature: `[m]` each.

    .. math:: v_1^T f(H) v_1 \approx \sum_i w_i f(\theta_i), \qquad \sum_i w_i = 1,

    exact for polynomials f of degree up to 2 m - 1. The weights are the squares of the first entries of the
    eigenvectors (Golub and Welsch 1969).
    """
    nodes, vectors = lapack.eigh(tridiagonal(alpha, beta))
    return nodes, vectors[0] ** 2


def negative_weight(nodes: Array, weights: Array, flat: float = FLAT) -> Array:
    """The weight of nodes below `-flat` times the largest absolute one of all: `[..., m]` -> `[...]`."""
    return jnp.sum(jnp.where(nodes < -flat * jnp.max(jnp.abs(nodes)), weights, 0), axis=-1)
