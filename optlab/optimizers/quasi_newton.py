"""Quasi-Newton methods: curvature learnt from the gradients along the way."""

from typing import NamedTuple

import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree

from optlab.optimizers.descent import searched
from optlab.optimizers.linesearch import strong_wolfe
from optlab.types import Array


class BFGSState(NamedTuple):
    H: Array  #: inverse Hessian: `[d, d]`
    x: Array
    g: Array
    started: Array  #: pairs seen


def scale_by_bfgs() -> optax.GradientTransformation:
    """The inverse BFGS update, H <- (I - rho s y^T) H (I - rho y s^T) + rho s s^T, with rho = 1 / y^T s."""

    def init(params):
        x, _ = ravel_pytree(params)
        return BFGSState(jnp.eye(x.size, dtype=x.dtype), x, jnp.zeros_like(x), jnp.zeros((), jnp.int32))

    def update(updates, state, params):
        (g, unravel), (x, _) = ravel_pytree(updates), ravel_pytree(params)
        s, y = x - state.x, g - state.g
        sy, yy = s @ y, y @ y
        good = (state.started > 0) & (sy > 1e-10 * jnp.sqrt((s @ s) * yy))
        rho = jnp.where(good, 1 / sy, 0)
        H = jnp.where((state.started == 1) & good, sy / yy, 1) * state.H
        Hy = H @ y
        H_new = H + rho * ((1 + rho * (y @ Hy)) * jnp.outer(s, s) - jnp.outer(s, Hy) - jnp.outer(Hy, s))
        H = jnp.where(good, H_new, state.H)
        d = H @ g
        d = jnp.where(state.started > 0, d, d / jnp.maximum(jnp.sqrt(g @ g), 1))
        return unravel(d), BFGSState(H, x, g, jnp.where(good | (state.started == 0), state.started + 1, state.started))

    return optax.GradientTransformation(init, update)


def bfgs(linesearch=None):
    return searched(scale_by_bfgs(), linesearch or strong_wolfe())
