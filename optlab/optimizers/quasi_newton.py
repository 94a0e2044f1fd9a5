"""Quasi-Newton methods: curvature learnt from the gradients along the way."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree

from optlab.optimizers.linesearch import SearchState, dot, select, strong_wolfe
from optlab.types import Array, PyTree


class DescentState(NamedTuple):
    """A direction and a search along it."""

    memory: PyTree
    search: SearchState


def searched(
    direction: optax.GradientTransformation, search: optax.GradientTransformationExtraArgs
) -> optax.GradientTransformationExtraArgs:
    """Goes down a direction's update as far as a line search says.

    `direction` maps a gradient to an ascent direction, as `optax.scale_by_lbfgs` does. It is updated once an
    iteration, at the accepted points, and forgets what it has learnt when the search had to fall back
    to steepest descent.
    """

    def init(params):
        return DescentState(direction.init(params), search.init(params))

    def update(updates, state, params, **extra):
        ascent, memory = direction.update(updates, state.memory, params)
        descent = jax.tree.map(jnp.negative, ascent)
        steps, found = search.update(descent, state.search, params, **{**extra, "grad": updates})
        _, fresh = direction.update(updates, direction.init(params), params)
        memory = select(found.steepest, fresh, memory)
        return steps, DescentState(select(found.progress.fresh, memory, state.memory), found)

    return optax.GradientTransformationExtraArgs(init, update)


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
