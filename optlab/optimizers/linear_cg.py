"""Linear conjugate gradients: symmetric systems from products with the matrix alone."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from optlab.optimizers.descent import dot, select
from optlab.types import Array, PyTree

__all__ = ["LinearSolution", "linear_cg"]

RUNNING, SOLVED, CURVED, OUTSIDE, BROKEN = range(5)


class LinearSolution(NamedTuple):
    """Where linear conjugate gradients ended."""

    x: PyTree  #: the last iterate; with negative curvature the one before it was met
    residual_norm: Array  #: |b - A x| as the recurrence has it: `[]`
    steps: Array
    n_matvec: Array  #: products with A
    converged: Array  #: whether the residual is within the tolerance
    negative_curvature: Array  #: whether A proved not to be positive definite
    direction: PyTree  #: the last direction p; with negative curvature <p, A p> is not above rounding


class Iterate(NamedTuple):
    """Within the iteration; `x` has come from zero, or from where the residual was taken."""

    x: PyTree
    r: PyTree  #: b - A x
    p: PyTree  #: the direction of the next product, or of the one that ended the iteration
    rz: Array  #: <r, M r> = <r, p>
    pAp: Array  #: of the last product
    decrease: Array  #: of <x, A x> / 2 - <b, x>
    largest: Array  #: Rayleigh quotient seen, in absolute value
    products: Array
    status: Array


def conjugate_gradients(
    matvec: Callable[[PyTree], PyTree],
    r: PyTree,
    *,
    tolerance: Array,
    max_steps: int | Array,
    preconditioner: Callable[[PyTree], PyTree] = lambda r: r,
    radius: float | Array = jnp.inf,
) -> Iterate:
    """Solves A x = r from x = 0 until |r - A x| <= tolerance, x would leave the ball, or A shows no curvature.

    The last two keep the iterate before and the direction in which it would have gone.
    """
    zeros, p = jax.tree.map(jnp.zeros_like, r), preconditioner(r)
    rz = dot(r, p)
    none = jnp.zeros_like(rz)
    solved = jnp.sqrt(dot(r, r)) <= tolerance
    status = jnp.where(solved, SOLVED, jnp.where(rz > 0, RUNNING, BROKEN))
    count = jnp.zeros((), jnp.int32)
    begun = Iterate(zeros, r, p, rz, none, none, none, count, status.astype(jnp.int32))

    def step(now: Iterate) -> Iterate:
        Ap = matvec(now.p)
        pAp = dot(now.p, Ap)
        rayleigh = pAp / dot(now.p, now.p)
        largest = jnp.maximum(now.largest, jnp.abs(rayleigh))
        curved = ~(rayleigh > jnp.finfo(rz.dtype).eps * largest)
        alpha = now.rz / jnp.where(curved, 1, pAp)
        x = _plus(now.x, alpha, now.p)
        r = _plus(now.r, -alpha, Ap)
        z = preconditioner(r)
        rz_new = dot(r, z)
        outside = ~curved & (dot(x, x) >= radius**2)
        solved = jnp.sqrt(dot(r, r)) <= tolerance
        status = jnp.where(solved, SOLVED, jnp.where(rz_new > 0, RUNNING, BROKEN))
        status = jnp.where(curved, CURVED, jnp.where(outside, OUTSIDE, status))
        decrease = now.decrease + alpha * now.rz / 2
        new = Iterate(x, r, _plus(z, rz_new / now.rz, now.p), rz_new, pAp, decrease, largest, now.products, status)
        ended = now._replace(pAp=pAp, largest=largest)
        kept = select(curved | outside, ended, new._replace(status=now.status))
        return kept._replace(products=now.products + 1, status=status.astype(jnp.int32))

    return lax.while_loop(lambda now: (now.status == RUNNING) & (now.products < max_steps), step, begun)


def _plus(x: PyTree, alpha: Array, p: PyTree) -> PyTree:
    return jax.tree.map(lambda a, b: a + alpha.astype(a.dtype) * b, x, p)


def linear_cg(
    matvec: Callable[[PyTree], PyTree],
    b: PyTree,
    x0: PyTree | None = None,
    *,
    tol: float | Array = 1e-8,
    max_steps: int | Array | None = None,
    preconditioner: Callable[[PyTree], PyTree] | None = None,
) -> LinearSolution:
    r"""Solves A x = b for a symmetric positive definite A that is known by its products.

    .. math::
        \alpha_j &= r_j^T z_j / p_j^T A p_j, & x_{j+1} &= x_j + \alpha_j p_j, &
        r_{j+1} &= r_j - \alpha_j A p_j \\
        z_{j+1} &= M r_{j+1}, & \beta_j &= r_{j+1}^T z_{j+1} / r_j^T z_j, & p_{j+1} &= z_{j+1} + \beta_j p_j

    In exact arithmetic it ends in as many steps as A has distinct eigenvalues, and the error in the norm of A falls at
    least like :math:`2 ((\sqrt\kappa-1)/(\sqrt\kappa+1))^j`. One product a step, and one for `x0`; four copies of
    `b` in memory. Works under ``jit`` and ``vmap``, on any pytree. An A that is not positive definite, to
    rounding, is found out and told, not divided by.

    Source: Hestenes and Stiefel, Methods of conjugate gradients (1952); Nocedal and Wright, Numerical
    Optimization (2006), algorithms 5.2 and 5.3; the bound: eq. 5.36.

    Args:
      matvec: v -> A v.
      b: the right-hand side: any pytree of floating arrays.
      x0: where to begin; by default zero.
      tol: relative to \|b\|, on the residual norm of the recurrence.
      max_steps: by default ten times the size of b, since rounding costs conjugacy.
      preconditioner: v -> M v with M symmetric positive definite, close to the inverse of A.

    Returns:
      A `LinearSolution`.
    """
    size = sum(leaf.size for leaf in jax.tree.leaves(b))
    r = b if x0 is None else jax.tree.map(jnp.subtract, b, matvec(x0))
    end = conjugate_gradients(
        matvec,
        r,
        tolerance=tol * jnp.sqrt(dot(b, b)),
        max_steps=10 * size if max_steps is None else max_steps,
        preconditioner=preconditioner or (lambda r: r),
    )
    return LinearSolution(
        x=end.x if x0 is None else jax.tree.map(jnp.add, x0, end.x),
        residual_norm=jnp.sqrt(dot(end.r, end.r)),
        steps=end.products,
        n_matvec=end.products + (x0 is not None),
        converged=end.status == SOLVED,
        negative_curvature=(end.status == CURVED) & jnp.isfinite(end.pAp),
        direction=end.p,
    )
