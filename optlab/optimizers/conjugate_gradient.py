"""Nonlinear conjugate gradients: each direction keeps a share of the last one.

d_k = -g_k + beta_k d_{k-1}, with y = g_k - g_{k-1}. The formulas for beta are equal on a quadratic with an exact
line search, where they give linear CG.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from optlab.one_function import apart
from optlab.optimizers.descent import dot, expected_change, searched, select
from optlab.optimizers.linesearch import strong_wolfe
from optlab.types import Array, PyTree


class ConjugateState(NamedTuple):
    """The last accepted point's gradient and the direction taken from there."""

    g: PyTree
    d: PyTree
    since: Array  #: iterations since the last restart; -1 before the first


class Products(NamedTuple):
    """Inner products from which every beta is made."""

    gg: Array  #: g_k^T g_k
    gg_old: Array  #: g_{k-1}^T g_{k-1}
    gy: Array  #: g_k^T y
    dy: Array  #: d_{k-1}^T y
    gd: Array  #: g_k^T d_{k-1}
    yy: Array  #: y^T y
    dd: Array  #: d_{k-1}^T d_{k-1}
    gd_old: Array  #: g_{k-1}^T d_{k-1}


def _hager_zhang_beta(p: Products) -> Array:
    """max(beta_HZ, eta_k), with eta_k = 0.4 d^T g_old / |d|^2 (CG_DESCENT 5; Hager and Zhang 2013, eq. 2.2)."""
    beta = (p.gy - 2 * p.yy * p.gd / p.dy) / p.dy
    return jnp.maximum(beta, 0.4 * p.gd_old / p.dd)


#: Fletcher and Reeves (1964); Polak and Ribiere (1969) cut at zero, Gilbert and Nocedal (1992); Hestenes and Stiefel
#: (1952) cut at zero; Dai and Yuan (1999); Hager and Zhang (2005).
BETAS: dict[str, Callable[[Products], Array]] = {
    "fr": lambda p: p.gg / p.gg_old,
    "pr+": lambda p: jnp.maximum(p.gy / p.gg_old, 0),
    "hs": lambda p: jnp.maximum(p.gy / p.dy, 0),
    "dy": lambda p: p.gg / p.dy,
    "hz": _hager_zhang_beta,
}


def scale_by_conjugate(beta: str = "pr+", restart: float = 0.2) -> optax.GradientTransformationExtraArgs:
    """A gradient to the conjugate ascent direction: d <- g + beta d.

    Restarts with the gradient where successive gradients are far from orthogonal after as many iterations as
    there are parameters, |g_k^T g_{k-1}| >= restart |g_k|^2 (Powell 1977), or where the direction would not descend.
    """
    if beta not in BETAS:
        raise ValueError(f"beta must be one of {', '.join(BETAS)}, not '{beta}'")
    formula = BETAS[beta]

    def init(params):
        zeros = jax.tree.map(jnp.zeros_like, params)
        return ConjugateState(zeros, zeros, jnp.full((), -1, jnp.int32))

    def update(updates, state, params=None, *, forget=False, **unused):
        del params
        g = updates
        y = jax.tree.map(jnp.subtract, g, state.g)
        # The stored direction ascends; the formulas are for the one that descends.
        d = jax.tree.map(jnp.negative, state.d)
        p = Products(
            dot(g, g), dot(state.g, state.g), dot(g, y), dot(d, y), dot(g, d), dot(y, y), dot(d, d), dot(state.g, d)
        )
        size = sum(leaf.size for leaf in jax.tree.leaves(g))

        def share(p, along, since, forget):
            value = formula(p)
            far = jnp.abs(along) >= restart * p.gg
            again = forget | (since < 0) | ~jnp.isfinite(value) | (far & (since >= size))
            return jnp.where(again, 0, value), again

        value, again = apart(share, p, dot(g, state.g), state.since, jnp.asarray(forget))
        ascent = jax.tree.map(lambda a, b: a + value.astype(a.dtype) * b, g, state.d)
        again = apart(lambda again, slope: again | ~(slope > 0), again, dot(ascent, g))
        ascent = select(again, g, ascent)
        return ascent, ConjugateState(g, ascent, jnp.where(again, 0, state.since + 1))

    return optax.GradientTransformationExtraArgs(init, update)


def nonlinear_cg(
    beta: str = "pr+", restart: float = 0.2, linesearch: optax.GradientTransformationExtraArgs | None = None
) -> optax.GradientTransformationExtraArgs:
    """Conjugate gradients for any smooth function, with a few vectors of memory.

    x <- x + alpha d, d <- -g + beta d, with `beta` one of ``fr``, ``pr+``, ``hs``, ``dy``, ``hz`` and alpha from a
    line search: strong Wolfe with c2 = 0.1 by default, which the theory of all five asks for. Costs two values and
    gradients an iteration and 4 vectors of memory: for many parameters, where L-BFGS does not fit. Source:
    Nocedal and Wright (2006), alg. 5.4; Hager and Zhang, A survey of nonlinear CG methods (2006). Raises
    ValueError for another `beta`.
    """
    return searched(scale_by_conjugate(beta, restart), linesearch or strong_wolfe(c2=0.1, first=expected_change))


def steepest_descent(
    linesearch: optax.GradientTransformationExtraArgs | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Cauchy's method: down the negative gradient, as far as a line search says.

    .. math:: x_{t+1} = x_t - \alpha_t \nabla f(x_t)

    Strong Wolfe with c2 = 0.1 by default, as for `nonlinear_cg`, which is this with beta = 0; with `exact()` each
    direction is orthogonal to the last one, and on a quadratic of condition number k the gap falls by no more than
    ((k - 1) / (k + 1))^2 a step from the worst start. No rate to choose, two values and gradients an iteration.
    Stores nothing but the search's. The control of all methods with a search; `gradient_descent` has a given rate.
    Source: Cauchy (1847); Nocedal and Wright (2006), theorem 3.3.
    """
    return searched(optax.identity(), linesearch or strong_wolfe(c2=0.1, first=expected_change))
