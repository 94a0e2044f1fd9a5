"""Quasi-Newton methods: curvature learnt from the gradients along the way.

With s the step between two accepted points and y the change of the gradient, each update makes H, the
approximate inverse Hessian, satisfy the secant equation H y = s. A pair whose curvature s^T y is not
positive, relative to |s| |y|, is left out (the cautious update), so that H stays positive definite.
"""

# optax declares the arguments of an update more narrowly than it uses them.
# pyright: reportArgumentType=false

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree

from optlab.optimizers.descent import searched
from optlab.optimizers.linesearch import strong_wolfe
from optlab.types import Array

#: A pair counts if its curvature s^T y exceeds this share of |s| |y|: the angle between them is below 90 degrees.
CAUTION = 1e-8


class DenseState(NamedTuple):
    """What a dense quasi-Newton method remembers."""

    H: Array  #: inverse Hessian, of no meaning before the first pair: `[d, d]`
    x: Array  #: the last accepted point: `[d]`
    g: Array  #: its gradient: `[d]`
    pairs: Array  #: pairs learnt since the last restart; -1 before the first gradient


#: (H, s, y, H y) -> H with H y = s
Update = Callable[[Array, Array, Array, Array], Array]


def bfgs_update(H: Array, s: Array, y: Array, Hy: Array | None = None) -> Array:
    """H <- (I - rho s y^T) H (I - rho y s^T) + rho s s^T, rho = 1 / s^T y (Nocedal and Wright, eq. 6.17)."""
    rho, Hy = 1 / (s @ y), H @ y if Hy is None else Hy
    return H + rho * ((1 + rho * (y @ Hy)) * jnp.outer(s, s) - jnp.outer(s, Hy) - jnp.outer(Hy, s))


def dfp_update(H: Array, s: Array, y: Array, Hy: Array | None = None) -> Array:
    """H <- H - H y y^T H / y^T H y + s s^T / s^T y (Nocedal and Wright, eq. 6.15)."""
    Hy = H @ y if Hy is None else Hy
    return H - jnp.outer(Hy, Hy) / (y @ Hy) + jnp.outer(s, s) / (s @ y)


def _good(s: Array, y: Array) -> Array:
    return s @ y > CAUTION * jnp.sqrt((s @ s) * (y @ y))


def scale_by_dense(update: Update) -> optax.GradientTransformationExtraArgs:
    """A gradient times the inverse Hessian that `update` has learnt: d <- H g.

    The first update of all, and the first after a restart, changes the identity times s^T y / y^T y (Nocedal and
    Wright, eq. 6.20); without a pair the direction is g / max(1, |g|). Memory: d^2 numbers.
    """

    def init(params):
        x, _ = ravel_pytree(params)
        return DenseState(jnp.eye(x.size, dtype=x.dtype), x, jnp.zeros_like(x), jnp.full((), -1, jnp.int32))

    def step(updates, state, params, *, forget=False, **unused):
        (g, unravel), (x, _) = ravel_pytree(updates), ravel_pytree(params)
        s, y = x - state.x, g - state.g
        learnt = jnp.where(forget, -1, state.pairs)
        good = (learnt >= 0) & _good(s, y)
        scale, first = (s @ y) / (y @ y), learnt == 0
        # With the product given, all the rest is one pass over H.
        Hy = jnp.where(first, scale * y, state.H @ y)
        begun = jnp.where(first, scale * jnp.eye(x.size, dtype=x.dtype), state.H)
        H = jnp.where(good, update(begun, s, y, Hy), state.H)
        pairs = jnp.where(good | (learnt < 0), learnt + 1, learnt)
        d = jnp.where(pairs > 0, H @ g, g / jnp.maximum(jnp.sqrt(g @ g), 1))
        return unravel(d), DenseState(H, x, g, pairs)

    return optax.GradientTransformationExtraArgs(init, step)


def bfgs(linesearch: optax.GradientTransformationExtraArgs | None = None) -> optax.GradientTransformationExtraArgs:
    """The quasi-Newton method of choice up to some thousand parameters.

    x <- x - alpha H g with H learnt by `bfgs_update` and alpha from the line search (strong Wolfe by default, which
    makes every pair's curvature positive). Superlinear near a minimum, invariant under linear changes of variables.
    Stores d^2 numbers and costs O(d^2) and about 1.2 values and gradients an iteration. Source: Broyden, Fletcher,
    Goldfarb, Shanno (1970); Nocedal and Wright (2006), alg. 6.1.
    """
    return searched(scale_by_dense(bfgs_update), linesearch or strong_wolfe())


def dfp(linesearch: optax.GradientTransformationExtraArgs | None = None) -> optax.GradientTransformationExtraArgs:
    """The first quasi-Newton method; corrects a bad H more slowly than BFGS and wants an accurate line search.

    x <- x - alpha H g with H learnt by `dfp_update`; the search is strong Wolfe with c2 = 0.1 by default. Memory
    and cost as `bfgs`. Source: Davidon (1959), Fletcher and Powell (1963); Nocedal and Wright (2006), eq. 6.15.
    """
    return searched(scale_by_dense(dfp_update), linesearch or strong_wolfe(c2=0.1))


class LimitedState(NamedTuple):
    """The last m pairs, the newest first."""

    S: Array  #: steps: `[m, d]`
    Y: Array  #: changes of the gradient: `[m, d]`
    rho: Array  #: 1 / s^T y, 0 where there is no pair yet: `[m]`
    x: Array
    g: Array
    begun: Array


def scale_by_limited(memory: int) -> optax.GradientTransformationExtraArgs:
    """A gradient times the inverse Hessian of the last `memory` pairs, by the two-loop recursion.

    Source: Nocedal (1980); Nocedal and Wright (2006), alg. 7.4, the scaling eq. 7.20.
    """

    def init(params):
        x, _ = ravel_pytree(params)
        pairs = jnp.zeros((memory, x.size), x.dtype)
        return LimitedState(pairs, pairs, jnp.zeros(memory, x.dtype), x, jnp.zeros_like(x), jnp.asarray(False))

    def update(updates, state, params, *, forget=False, **unused):
        (g, unravel), (x, _) = ravel_pytree(updates), ravel_pytree(params)
        s, y = x - state.x, g - state.g
        good = state.begun & _good(s, y)
        old = jnp.where(forget, 0, state.rho)

        # The newest pair goes in front. An index that says where would differ from lane to lane in a
        # batch, and make each update a scatter.
        def pushed(new, old):
            return jnp.where(good, jnp.concatenate([new[None], old[:-1]]), old)

        S, Y = pushed(s, state.S), pushed(y, state.Y)
        rho = pushed(1 / (s @ y), old)
        d = two_loops(S, Y, rho, g)
        d = jnp.where(rho[0] > 0, d, g / jnp.maximum(jnp.sqrt(g @ g), 1))
        return unravel(d), LimitedState(S, Y, rho, x, g, jnp.asarray(True))

    return optax.GradientTransformationExtraArgs(init, update)


def two_loops(S: Array, Y: Array, rho: Array, g: Array) -> Array:
    """H g with the inverse Hessian of m pairs (Nocedal and Wright, alg. 7.4, scaled by eq. 7.20): `[d]`."""
    alphas, q = [], g
    for i in range(len(rho)):
        alpha = rho[i] * (S[i] @ q)
        alphas.append(alpha)
        q = q - alpha * Y[i]
    q = q / jnp.where(rho[0] > 0, rho[0] * (Y[0] @ Y[0]), 1)
    for i in reversed(range(len(rho))):
        q = q + (alphas[i] - rho[i] * (Y[i] @ q)) * S[i]
    return q


def lbfgs(
    memory: int = 10, linesearch: optax.GradientTransformationExtraArgs | None = None
) -> optax.GradientTransformationExtraArgs:
    """BFGS from the last `memory` pairs only, for any number of parameters.

    Stores 2 m d numbers and costs 4 m d multiplications and about 1.1 values and gradients an iteration. A
    memory of 5 to 20 is customary. Source: Liu and Nocedal (1989); Nocedal and Wright (2006), alg. 7.5.
    Raises ValueError for a memory below 1.
    """
    if memory < 1:
        raise ValueError(f"memory must be at least 1, not {memory}")
    return searched(scale_by_limited(memory), linesearch or strong_wolfe())
