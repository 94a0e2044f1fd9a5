"""Least squares with many parameters: J and its transpose as functions, never as matrices."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from optlab.optimizers.counts import Counts, Evaluated, Progress, add, zero
from optlab.optimizers.least_squares import Verdict, flattened, half_square, made
from optlab.types import Array
from optlab.vectors import raveled

__all__ = ["MatrixFreeState", "matrix_free_levenberg_marquardt"]


class MatrixFreeState(NamedTuple):
    """State of `matrix_free_levenberg_marquardt`."""

    started: Array
    damping: Array
    growth: Array  #: by what the next rejection multiplies the damping
    curvature: Array  #: of the loss along its gradient at the start, what damping is measured by
    slope: Array  #: |gradient| at the start
    evaluated: Evaluated
    progress: Progress
    counts: Counts


class Inner(NamedTuple):
    """Within the inner iteration."""

    p: Array  #: `[d]`
    Jp: Array  #: `[r]`
    s: Array  #: what is left: -(J^T (r + J p) + lambda p)
    way: Array  #: the next direction
    left: Array  #: |s|^2
    products: Array


def matrix_free_levenberg_marquardt(
    initial_damping: float | Array = 1e-3, forcing: float | Array = 0.1, max_products: int | None = None
) -> optax.GradientTransformationExtraArgs:
    r"""Damped Gauss-Newton steps, solved only as far as it pays by conjugate gradients.

    .. math:: |(J^T J + \lambda I)\, p + J^T r| \le \eta_k |J^T r|, \quad \eta_k = \min(\eta, \sqrt{|g_k| / |g_0|})

    The inner iteration is CGLS, conjugate gradients on :math:`J^T J + \lambda I` whose residual is formed in the
    space of r: as short as CG and more accurate. Each of its steps is a product with J and one with
    :math:`J^T`, together one Hessian-vector product in the counts; all of an update share one linearization.
    With :math:`\rho` the ratio of the decrease to the promised one, :math:`\lambda` is multiplied by
    :math:`\max(1/3, 1 - (2\rho - 1)^3)`, or after a rejected trial by 2, 4, 8, ...; it starts as a multiple of the
    curvature along the first gradient. The local rate is superlinear where the minimum is 0.

    Memory is a few vectors of d and r numbers. There is no scaling: for a few parameters of different scale
    use `levenberg_marquardt`. Each update is one trial, as there; one that is taken costs a value, a gradient
    and the products.

    Source: Nielsen, Damping parameter in Marquardt's method (1999), eq. 2.5, for the damping; Bjorck, Numerical
    Methods for Least Squares Problems (1996), algorithm 7.4.1 (CGLS); Dembo, Eisenstat and Steihaug, Inexact
    Newton methods (1982), for the forcing.

    Args:
      initial_damping: the first :math:`\lambda`, in units of :math:`g^T J^T J g / g^T g`.
      forcing: the largest :math:`\eta`, below 1.
      max_products: inner steps at most; 2 min(d, r) by default, since rounding delays conjugate gradients.
    """

    def init(params):
        x, _ = raveled(params)
        value, no = jnp.full((), jnp.inf, x.dtype), jnp.asarray(False)
        none = jnp.zeros_like(value)
        evaluated = Evaluated(value, jax.tree.map(jnp.zeros_like, params))
        return MatrixFreeState(no, none, none + 2, none, none, evaluated, Progress(no, no), zero())

    def update(updates, state, params=None, *, residual_fn=None, flat=False, **unused):
        residual, x, unravel = flattened(residual_fn, params)
        g, eps = raveled(updates)[0], jnp.finfo(x.dtype).eps
        r, push = jax.linearize(residual, x)
        transposed = jax.linear_transpose(push, x)

        def pull(r):
            return transposed(r)[0]

        def begin():
            curvature = jnp.sum(push(g) ** 2) / jnp.maximum(g @ g, jnp.finfo(x.dtype).tiny)
            return curvature, jnp.linalg.norm(g), (initial_damping * curvature).astype(x.dtype), made(0, 0, 1)

        curvature, slope, damping, cost = lax.cond(
            state.started, lambda: (state.curvature, state.slope, state.damping, zero()), begin
        )
        tolerance = jnp.minimum(forcing, jnp.sqrt(jnp.linalg.norm(g) / slope)).astype(x.dtype)
        limit = 2 * min(x.size, r.size) if max_products is None else max_products
        found = _cgls(push, pull, r, g, damping, tolerance, limit)
        p, value, trial = found.p, half_square(r), half_square(residual(x + found.p))
        promised = -(g @ p) - half_square(found.Jp)
        seen = Verdict.of(value, trial, promised)
        cost = add(cost, made(1, 0, found.products))

        if flat:
            worth = seen.helps | seen.hidden
            new_g = lax.cond(worth, lambda x: _gradient(residual, x), lambda x: g, x + p)
            cost = add(cost, made(0, worth, 0))
            flatter = jnp.linalg.norm(new_g) < jnp.linalg.norm(g)
            accepted = jnp.isfinite(jnp.sum(new_g)) & (seen.helps | (seen.hidden & flatter))
            evaluated = Evaluated(jnp.where(accepted, trial, value), unravel(jnp.where(accepted, new_g, g)))
        else:
            accepted, evaluated = seen.helps, state.evaluated
        rho = jnp.where(seen.helps, (value - trial) / promised, 0.5)
        eased = jnp.maximum(damping * jnp.clip(1 - (2 * rho - 1) ** 3, 1 / 3, 2), eps * curvature)
        short = jnp.linalg.norm(p) <= eps * jnp.linalg.norm(x)
        new_state = MatrixFreeState(
            started=jnp.asarray(True),
            damping=jnp.where(accepted, eased, damping * state.growth),
            growth=jnp.where(accepted, 2, 2 * state.growth).astype(x.dtype),
            curvature=curvature, slope=slope, evaluated=evaluated,
            progress=Progress(jnp.asarray(True), ~accepted & (seen.floor | short | ~jnp.isfinite(promised))),
            counts=add(state.counts, cost),
        )  # fmt: skip
        return unravel(jnp.where(accepted, p, 0)), new_state

    return optax.GradientTransformationExtraArgs(init, update)


def _gradient(residual, x: Array) -> Array:
    r, pull = jax.vjp(residual, x)
    return pull(r)[0]


def _cgls(push, pull, r: Array, g: Array, damping: Array, tolerance: Array, limit: int) -> Inner:
    """The p with |J^T (r + J p) + damping p| <= tolerance |g|, where g = J^T r, or that after `limit` products."""

    enough = tolerance**2 * (g @ g)  # not within the condition, which in a batch must only read, see `trust_region`

    def unfinished(now: Inner) -> Array:
        return (now.left > enough) & (now.products < limit)

    def step(now: Inner) -> Inner:
        Jd = push(now.way)
        alpha = now.left / (Jd @ Jd + damping * (now.way @ now.way))
        p, Jp = now.p + alpha * now.way, now.Jp + alpha * Jd
        s = -pull(r + Jp) - damping * p
        left = s @ s
        return Inner(p, Jp, s, s + left / now.left * now.way, left, now.products + 1)

    begun = Inner(jnp.zeros_like(g), jnp.zeros_like(r), -g, -g, g @ g, jnp.zeros((), jnp.int32))
    return lax.while_loop(unfinished, step, begun)
