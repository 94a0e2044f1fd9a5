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
from jax import lax

from optlab.lanes import SHORT, innermost, symmetric_product
from optlab.one_function import apart
from optlab.optimizers.descent import dot, searched, select
from optlab.optimizers.linesearch import strong_wolfe
from optlab.types import Array
from optlab.vectors import raveled

#: A pair counts if its curvature s^T y exceeds this share of |s| |y|: the angle between them is below 90 degrees.
CAUTION = 1e-8


class DenseState(NamedTuple):
    """What a dense quasi-Newton method remembers."""

    H: Array  #: inverse Hessian, of no meaning before the first pair: `[d, d]`
    x: Array  #: the last accepted point: `[d]`
    g: Array  #: its gradient: `[d]`
    Hg: Array  #: their product: `[d]`
    pairs: Array  #: pairs learnt since the last restart; -1 before the first gradient


#: (s, y, H y) -> pairs of vectors a, b for which H + sum of a b^T + b a^T satisfies the secant equation
Update = Callable[[Array, Array, Array], list[tuple[Array, Array]]]


def bfgs_update(s: Array, y: Array, Hy: Array) -> list[tuple[Array, Array]]:
    """H <- (I - rho s y^T) H (I - rho y s^T) + rho s s^T, rho = 1 / s^T y (Nocedal and Wright, eq. 6.17)."""
    rho = 1 / dot(s, y)
    return [(s, rho * (0.5 * (1 + rho * dot(y, Hy)) * s - Hy))]


def dfp_update(s: Array, y: Array, Hy: Array) -> list[tuple[Array, Array]]:
    """H <- H - H y y^T H / y^T H y + s s^T / s^T y (Nocedal and Wright, eq. 6.15)."""
    return [(s, 0.5 / dot(s, y) * s), (Hy, -0.5 / dot(y, Hy) * Hy)]


def updated(H: Array, change: list[tuple[Array, Array]]) -> Array:
    """H + sum of a b^T + b a^T: `[d, d]`."""
    for a, b in change:
        H = H + (jnp.outer(a, b) + jnp.outer(b, a))
    return H


def _good(s: Array, y: Array) -> Array:
    return dot(s, y) > CAUTION * jnp.sqrt(dot(s, s) * dot(y, y))


def scale_by_dense(update: Update) -> optax.GradientTransformationExtraArgs:
    """A gradient times the inverse Hessian that `update` has learnt: d <- H g.

    The first update of all, and the first after a restart, changes the identity times s^T y / y^T y (Nocedal and
    Wright, eq. 6.20); without a pair the direction is g / max(1, |g|). Memory: d^2 numbers.
    """

    def init(params):
        x, _ = raveled(params)
        zero = jnp.zeros_like(x)
        return DenseState(jnp.eye(x.size, dtype=x.dtype), x, zero, zero, jnp.full((), -1, jnp.int32))

    def changes(s, y, Hy, learn):
        return [(jnp.where(learn, a, 0), jnp.where(learn, b, 0)) for a, b in update(s, y, Hy)]

    def step(updates, state, params, *, forget=False, asked=True, **unused):
        (g, unravel), (x, _) = raveled(updates), raveled(params)
        s, y = x - state.x, g - state.g
        learnt = jnp.where(forget, -1, state.pairs)
        good, first = asked & (learnt >= 0) & _good(s, y), learnt == 0
        scale = dot(s, y) / dot(y, y)
        # With both products of the old H, all the rest is one pass over it. In many dimensions H y is the difference
        # of two that are needed anyway; in few its own product takes no time, and keeps some digits more.
        d = symmetric_product(state.H, g)
        Hy = symmetric_product(state.H, y) if x.size <= SHORT else d - state.Hg
        Hy, d = jnp.where(first, scale * y, Hy), jnp.where(first, scale * g, d)
        change = apart(changes, s, y, Hy, good)
        scale = apart(jnp.where, good & first, scale, jnp.zeros_like(scale))
        begun = jnp.where(scale > 0, scale * jnp.eye(x.size, dtype=x.dtype), state.H)
        for a, b in change:
            d = d + dot(b, g) * a + dot(a, g) * b
        pairs = jnp.where(good | (learnt < 0), learnt + 1, learnt)
        d = jnp.where(pairs > 0, d, g / jnp.maximum(jnp.sqrt(dot(g, g)), 1))
        there = select(asked, (x, g, d, pairs), (state.x, state.g, state.Hg, state.pairs))
        return unravel(d), DenseState(updated(begun, change), *there)

    return optax.GradientTransformationExtraArgs(init, step)


def bfgs(linesearch: optax.GradientTransformationExtraArgs | None = None) -> optax.GradientTransformationExtraArgs:
    """The quasi-Newton method of choice up to some thousand parameters.

    x <- x - alpha H g with H learnt by `bfgs_update` and alpha from the line search (strong Wolfe by default, which
    makes every pair's curvature positive). Superlinear near a minimum, invariant under linear changes of variables.
    Stores d^2 numbers and costs O(d^2) and about 1.2 values and gradients an iteration. Source: Broyden, Fletcher,
    Goldfarb, Shanno (1970); Nocedal and Wright (2006), alg. 6.1.
    """
    return searched(scale_by_dense(bfgs_update), linesearch or strong_wolfe(), selective=True)


def dfp(linesearch: optax.GradientTransformationExtraArgs | None = None) -> optax.GradientTransformationExtraArgs:
    """The first quasi-Newton method; corrects a bad H more slowly than BFGS and wants an accurate line search.

    x <- x - alpha H g with H learnt by `dfp_update`; the search is strong Wolfe with c2 = 0.1 by default. Memory
    and cost as `bfgs`. Source: Davidon (1959), Fletcher and Powell (1963); Nocedal and Wright (2006), eq. 6.15.
    """
    return searched(scale_by_dense(dfp_update), linesearch or strong_wolfe(c2=0.1), selective=True)


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
        x, _ = raveled(params)
        pairs = jnp.zeros((memory, x.size), x.dtype)
        return LimitedState(pairs, pairs, jnp.zeros(memory, x.dtype), x, jnp.zeros_like(x), jnp.asarray(False))

    def update(updates, state, params, *, forget=False, asked=True, **unused):
        (g, unravel), (x, _) = raveled(updates), raveled(params)
        s, y = x - state.x, g - state.g
        good = asked & state.begun & _good(s, y)
        old = jnp.where(asked & forget, 0, state.rho)
        learn = apart(lambda good: good.astype(x.dtype), good)  # as wide as what it chooses among

        # The newest pair goes in front. An index that says where would differ from lane to lane in a
        # batch, and make each update a scatter.
        def pushed(new, old):
            return jnp.where(learn > 0, jnp.concatenate([new[None], old[:-1]]), old)

        S, Y = pushed(s, state.S), pushed(y, state.Y)
        rho = pushed(1 / dot(s, y), old)
        d = two_loops(S, Y, rho, g)
        d = jnp.where(rho[0] > 0, d, g / jnp.maximum(jnp.sqrt(dot(g, g)), 1))
        there = select(asked, (x, g, jnp.asarray(True)), (state.x, state.g, state.begun))
        return unravel(d), LimitedState(S, Y, rho, *there)

    return optax.GradientTransformationExtraArgs(init, update)


def two_loops(S: Array, Y: Array, rho: Array, g: Array) -> Array:
    """H g with the inverse Hessian of m pairs (Nocedal and Wright, alg. 7.4, scaled by eq. 7.20): `[d]`."""

    def at(i, *tables):
        return (lax.dynamic_index_in_dim(table, i, keepdims=False) for table in tables)

    # Loops: a compiler would fuse each turn that is written out into all that follow, and do it again in each.
    def newest_first(carry, i):
        q, S, Y, rho = innermost(carry)
        s, y, r = at(i, S, Y, rho)
        alpha = r * dot(s, q)
        return innermost((q - alpha * y, S, Y, rho)), alpha

    def oldest_first(carry, turn):
        q, S, Y, rho = innermost(carry)
        i, alpha = turn
        s, y, r = at(i, S, Y, rho)
        return innermost((q + (alpha - r * dot(y, q)) * s, S, Y, rho)), None

    turns = jnp.arange(len(rho))
    (q, *pairs), alphas = lax.scan(newest_first, innermost((g, S, Y, rho)), turns)
    q = q / jnp.where(rho[0] > 0, rho[0] * dot(Y[0], Y[0]), 1)
    (d, *_), _ = lax.scan(oldest_first, innermost((q, *pairs)), (turns, alphas), reverse=True)
    return d


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
    return searched(scale_by_limited(memory), linesearch or strong_wolfe(), selective=True)
