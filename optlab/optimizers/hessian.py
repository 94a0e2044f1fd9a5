"""The Hessian at a point, as products with vectors and as a matrix."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from optlab.types import Array, PyTree


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
    x, unravel = ravel_pytree(params)
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
    return Spectrum(*jnp.linalg.eigh(jnp.where(jnp.all(jnp.isfinite(H)), H, jnp.zeros_like(H))))
