"""The Hessian at a point, as products with vectors and as a matrix."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

import optlab.lapack as lapack
from optlab.types import Array, PyTree
from optlab.vectors import raveled


def real_type(params: PyTree):
    """The floating type that all leaves fit in; a TypeError where one of them is not of real numbers."""
    types = [jnp.asarray(leaf).dtype for leaf in jax.tree.leaves(params)]
    for dtype in types:
        if not jnp.issubdtype(dtype, jnp.floating):
            raise TypeError(f"this optimizer needs parameters of floating-point numbers, not {dtype}")
    return jnp.result_type(*types)


def require(value_fn: Callable | None) -> Callable:
    """`value_fn`, or a ValueError that says what it is for."""
    if value_fn is None:
        raise ValueError("a Newton method takes its Hessian from value_fn=, the loss as a function of the parameters")
    return value_fn


def products(value_fn: Callable, params: PyTree) -> Callable[[PyTree], PyTree]:
    """v -> H v, each about two gradients' worth of work: the gradient is linearized once, for all of them."""
    _, hvp = jax.linearize(jax.grad(value_fn), params)
    return hvp


def gauss_newton_products(split_fn: tuple[Callable, Callable], params: PyTree) -> Callable[[PyTree], PyTree]:
    """v -> J^T H J v for a loss of outputs, with J of the outputs and H of the loss by them (Schraudolph 2002)."""
    outputs, criterion = split_fn
    z, push = jax.linearize(outputs, params)
    pull = jax.linear_transpose(push, params)
    _, curve = jax.linearize(jax.grad(criterion), z)
    return lambda v: pull(curve(push(v)))[0]


def matrix(value_fn: Callable, params: PyTree) -> Array:
    """The symmetric Hessian of the raveled parameters, by d products at once: `[d, d]`."""
    x, unravel = raveled(params)
    hvp = products(lambda x: value_fn(unravel(x)), x)
    H = jax.vmap(hvp)(jnp.eye(x.size, dtype=x.dtype))
    return (H + H.T) / 2


class Spectrum(NamedTuple):
    """H = V diag(w) V^T."""

    w: Array  #: eigenvalues, ascending: `[d]`
    V: Array  #: eigenvectors, the columns: `[d, d]`


def spectrum(value_fn: Callable, params: PyTree) -> Spectrum:
    """Eigenvalues and vectors of the Hessian, about 10 d^3 operations; those of zero where it is not finite."""
    H = matrix(value_fn, params)
    return eigenpairs(jnp.where(jnp.all(jnp.isfinite(H)), H, jnp.zeros_like(H)))


def eigenpairs(H: Array) -> Spectrum:
    r"""Eigenvalues and vectors of a symmetric matrix `[d, d]`; in one and two dimensions by formula.

    Side by side in many runs LAPACK is called for one matrix after the other, six times as slowly. In the
    plane, with :math:`\delta = (a - c) / 2`, :math:`r = \sqrt{\delta^2 + b^2}` and :math:`m = (a + c) / 2`,

    .. math:: w_1 = m + \operatorname{sign}(m)\, r, \quad w_2 = (a / w_1) c - (b / w_1) b, \quad
        \tan\theta = b / (|\delta| + r)

    None of it cancels but what `a c - b^2` does: eigenvalues of very different size each keep their digits. Source:
    LAPACK's `dlaev2`.
    """
    if H.shape == (1, 1):
        return Spectrum(H[0], jnp.ones_like(H))
    if H.shape != (2, 2):
        return Spectrum(*lapack.eigh(H))
    (a, b), (_, c) = H
    middle, delta = a / 2 + c / 2, a / 2 - c / 2
    r = jnp.hypot(delta, b)
    outer = jnp.where(middle < 0, middle - r, middle + r)  # the larger one in size
    wide, slim = jnp.where(jnp.abs(a) > jnp.abs(c), a, c), jnp.where(jnp.abs(a) > jnp.abs(c), c, a)
    safe = jnp.where(outer == 0, 1, outer)
    inner = (wide / safe) * slim - (b / safe) * b
    tangent = b / jnp.where(r == 0, 1, jnp.abs(delta) + r)
    cos = 1 / jnp.sqrt(1 + tangent**2)
    sin = tangent * cos
    # The eigenvector of the upper one: along the axis with the larger diagonal entry but for a turn of up to 45°
    x, y = jnp.where(delta < 0, sin, cos), jnp.where(delta < 0, cos, sin)
    w = jnp.stack([jnp.minimum(outer, inner), jnp.maximum(outer, inner)])
    return Spectrum(w, jnp.stack([jnp.stack([-y, x]), jnp.stack([x, y])]))


def solution(H: Array, g: Array) -> Array:
    """x with H x = g: `[d]`; in one and two dimensions by the elimination with a pivot that LAPACK makes, see above."""
    if H.shape == (1, 1):
        return g / H[0]
    if H.shape != (2, 2):
        return lapack.solve(H, g)
    (a, b), (d, c) = H
    turned = jnp.abs(d) > jnp.abs(a)
    upper = [jnp.where(turned, *pair) for pair in ((d, a), (c, b), (g[1], g[0]))]
    lower = [jnp.where(turned, *pair) for pair in ((a, d), (b, c), (g[0], g[1]))]
    factor = lower[0] / upper[0]
    y = (lower[2] - factor * upper[2]) / (lower[1] - factor * upper[1])
    return jnp.stack([(upper[2] - upper[1] * y) / upper[0], y])
