"""Methods that bound the step and not the search: a quadratic model, trusted in a ball or regularized by a cubic.

Each update is one trial: the model's minimizer, and the value and gradient there. It is taken where the loss falls by
a fair part of what the model promised; otherwise the update is zero and the next trial shorter. They need
no line search, no convexity, and leave saddles along the negative curvature.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from optlab.optimizers.counts import Counts, Evaluated, Progress, zero
from optlab.optimizers.descent import dot, select
from optlab.optimizers.hessian import Spectrum, products, real_type, require, spectrum
from optlab.optimizers.linear_cg import CURVED, OUTSIDE, conjugate_gradients
from optlab.types import Array, PyTree
from optlab.vectors import raveled

__all__ = ["TrustState", "cubic_newton", "steihaug", "trust_region"]


class TrustState(NamedTuple):
    """State of the methods in this file."""

    size: Array  #: the radius of the ball: `[]`
    memory: PyTree  #: what is known of the Hessian at the parameters
    rejected: Array  #: whether the last trial was, so that `memory` still holds
    evaluated: Evaluated  #: at the parameters
    progress: Progress
    counts: Counts


class CubicState(TrustState):
    """State of `cubic_newton`: `size` is the weight sigma of the cubic."""


class Proposal(NamedTuple):
    """A trial step."""

    step: PyTree
    predicted: Array  #: the decrease that the model promises
    n_hvp: Array  #: Hessian-vector products it took
    memory: PyTree


class Verdict(NamedTuple):
    """What a trial has shown."""

    ratio: Array  #: of the actual decrease to the predicted one; -inf where the trial is no number
    length: Array  #: of the step


class Shift(NamedTuple):
    """One turn of the search for the shift of the Hessian."""

    mu: Array  #: the shift less the pole
    p: Array  #: the step that it gives: `[d]`
    step: Array  #: by how much Newton's method would change mu
    far: Array  #: whether p is too long, and mu changes by more than rounding


def trying(
    size: float | Array,
    remember: Callable[[int, Any], PyTree],
    propose: Callable[..., Proposal],
    resize: Callable[[Array, Verdict], Array],
    eta: float | Array,
    learn: Callable[[PyTree, PyTree, PyTree, Verdict], PyTree] = lambda memory, *_: memory,
    state_type: type[TrustState] = TrustState,
) -> optax.GradientTransformationExtraArgs:
    """The loop that all share.

    `propose(size, memory, still valid, value_fn, params, grad)` is the method; `learn(memory, step, change of the
    gradient, verdict)` what a trial teaches it, also one that is rejected.
    """

    def init(params):
        dtype = real_type(params)
        d = sum(jnp.size(leaf) for leaf in jax.tree.leaves(params))
        no, zeros = jnp.asarray(False), jax.tree.map(jnp.zeros_like, params)
        evaluated = Evaluated(jnp.full((), jnp.inf, dtype), zeros)
        return state_type(jnp.asarray(size, dtype), remember(d, dtype), no, evaluated, Progress(~no, no), zero())

    def update(updates, state, params: PyTree = None, *, value=None, value_fn=None, **unused):
        value_fn = require(value_fn)
        if value is None:
            raise ValueError("a trust region compares with value=, the loss at the parameters")
        dtype = state.size.dtype
        value = jnp.asarray(value, dtype)
        # On another batch the Hessian would be that of another function; so would the value.
        valid = state.rejected & (value == state.evaluated.value)
        proposal = propose(state.size, state.memory, valid, value_fn, params, updates)
        step, predicted = proposal.step, proposal.predicted
        new_value, new_grad = jax.value_and_grad(value_fn)(optax.apply_updates(params, step))
        new_value = new_value.astype(dtype)

        actual, norm, new_norm = value - new_value, _norm(updates), _norm(new_grad)
        noise = 10 * jnp.finfo(dtype).eps * jnp.abs(value)
        hidden = (predicted <= noise) & (jnp.abs(actual) <= noise)  # only the gradient can tell
        ratio = jnp.where(hidden, jnp.where(new_norm < norm, 1.0, 0.0).astype(dtype), actual / predicted)
        usable = jnp.isfinite(ratio) & jnp.isfinite(new_norm)
        accepted = usable & (ratio > eta) & (predicted > 0)
        length = _norm(step)
        verdict = Verdict(jnp.where(usable, ratio, -jnp.inf), length)
        stalled = ~accepted & ~(length > jnp.finfo(dtype).eps * _norm(params))
        counts = state.counts
        new_state = state_type(
            size=resize(state.size, verdict).astype(dtype),
            memory=learn(proposal.memory, step, jax.tree.map(jnp.subtract, new_grad, updates), verdict),
            rejected=~accepted,
            evaluated=select(accepted, Evaluated(new_value, new_grad), Evaluated(value, updates)),
            progress=Progress(jnp.asarray(True), stalled),
            counts=Counts(counts.n_value + 1, counts.n_grad + 1, counts.n_hvp + proposal.n_hvp),
        )
        return select(accepted, step, jax.tree.map(jnp.zeros_like, step)), new_state

    return optax.GradientTransformationExtraArgs(init, update)


def _norm(tree: PyTree) -> Array:
    return jnp.sqrt(dot(tree, tree))


def resized(
    max_radius: float | Array, poor: float = 0.25, shrink: float = 0.25, good: float = 0.75
) -> Callable[[Array, Verdict], Array]:
    """The new radius: a part of a poor step, twice the radius after a good step that reached it."""

    def resize(radius, seen):
        shorter = shrink * jnp.minimum(seen.length, radius)
        longer = jnp.minimum(2 * radius, jnp.asarray(max_radius, radius.dtype))
        grown = jnp.where((seen.ratio > good) & (seen.length > 0.9 * radius), longer, radius)
        return jnp.where(seen.ratio < poor, shorter, grown)

    return resize


def _spectral(solve: Callable[[Array, Array, Array], tuple[Array, Array]]) -> Callable[..., Proposal]:
    """A proposal by `solve(size, w, g) -> p, predicted`, which sees the model in the eigenvectors' coordinates."""

    def propose(size, memory, valid, value_fn, params, grad):
        g, unravel = raveled(grad)
        w, V = memory = lax.cond(valid, lambda: memory, lambda: spectrum(value_fn, params))
        p, predicted = solve(size, w, g @ V)
        return Proposal(unravel(V @ p), predicted, jnp.where(valid, 0, g.size), memory)

    return propose


def _no_spectrum(d: int, dtype: Any) -> Spectrum:
    return Spectrum(jnp.zeros(d, dtype), jnp.zeros((d, d), dtype))


def _shifted(w: Array, g: Array, lower: Array, reach: Callable[[Array], tuple[Array, Array]]) -> Array:
    """p = -(w + lambda)^-1 g with |p| = reach(lambda), or |p| below it at the least lambda: `[d]`.

    Newton's method on 1/|p| - 1/reach, which is increasing and concave, from the left: no safeguard
    is needed. The unknown is mu = lambda + w_0, the distance to the pole, so that nothing cancels near it.
    """
    gap = w - w[0]

    def at(mu):
        p = jnp.where(gap + mu > 0, -g / (gap + mu), 0)
        size = jnp.sqrt(p @ p)
        bound, slope = reach(mu - w[0])
        excess = 1 / bound - 1 / size
        rise = jnp.sum(p * p / (gap + mu)) / size**3 + slope / bound**2
        step = excess / rise
        return Shift(mu, p, step, (size > bound) & (step > 4 * jnp.finfo(mu.dtype).eps * mu))

    def onward(carry):
        shift, k = carry
        return at(shift.mu + shift.step), k + 1

    # In a batch a condition is evaluated twice, each time fused with other operations. If it computed what rounding
    # decides, the two might differ, and a loop go on for ever of which no lane does. So it reads what is carried.
    start = at(lower), jnp.zeros((), jnp.int32)
    return lax.while_loop(lambda carry: carry[0].far & (carry[1] < 100), onward, start)[0].p


def _decrease(w: Array, g: Array, p: Array) -> Array:
    return -(g @ p + p @ (w * p) / 2)


def _nudged(w: Array, g: Array, radius: Array) -> Array:
    """The gradient with a component along the most negative curvature that is at least its rounding error.

    It is known no better than that; and there is no hard case then.
    """
    floor = jnp.finfo(g.dtype).eps * jnp.maximum(-w[0], 0) * radius
    return g.at[0].set(jnp.where(jnp.abs(g[0]) < floor, jnp.where(g[0] < 0, -floor, floor), g[0]))


def _below(bound: Array) -> Array:
    """A lower bound that is one in spite of rounding."""
    return bound * (1 - 8 * jnp.finfo(bound.dtype).eps)


def ball_minimizer(radius: Array, w: Array, g: Array) -> tuple[Array, Array]:
    """The minimizer of <g, p> + <p, w p> / 2 over \\|p\\| <= radius, and the decrease: `[d]`, `[]`."""
    nudged = _nudged(w, g, radius)
    lower = jnp.maximum(_below(jnp.max(jnp.abs(nudged) / radius - (w - w[0]))), jnp.maximum(w[0], 0))
    p = _shifted(w, nudged, lower, lambda shift: (radius, jnp.zeros_like(radius)))
    p = p * jnp.minimum(1, radius / jnp.sqrt(p @ p))
    return p, _decrease(w, g, p)


def cubic_minimizer(sigma: Array, w: Array, g: Array) -> tuple[Array, Array]:
    """The minimizer of <g, p> + <p, w p> / 2 + sigma \\|p\\|^3 / 3, and the decrease: `[d]`, `[]`."""
    nudged = _nudged(w, g, jnp.abs(w[0]) / sigma)
    # For each i the mu at which |g_i| / (gap_i + mu) alone is as long as lambda / sigma.
    b, c = w - 2 * w[0], jnp.minimum(-((w - w[0]) * w[0] + sigma * jnp.abs(nudged)), 0)
    root = jnp.sqrt(b**2 - 4 * c)
    bounds = jnp.where(b > 0, -2 * c / jnp.where(b > 0, b + root, 1), (root - b) / 2)
    lower = jnp.maximum(_below(jnp.max(bounds)), jnp.maximum(w[0], 0))
    p = _shifted(w, nudged, lower, lambda shift: (shift / sigma, 1 / sigma))
    return p, _decrease(w, g, p) - sigma * (p @ p) ** 1.5 / 3


def trust_region(
    initial_radius: float | Array = 1.0, max_radius: float | Array = jnp.inf, eta: float | Array = 0.15
) -> optax.GradientTransformationExtraArgs:
    r"""Newton's method within a ball, its model minimized exactly.

    .. math::
        p = \arg\min_{\|p\| \le \Delta} \; g^T p + \tfrac12 p^T H p, \qquad
        \rho = \frac{f(x) - f(x + p)}{-g^T p - \frac12 p^T H p}

    p solves :math:`(H + \lambda I) p = -g` with :math:`\lambda \ge \max(0, -\lambda_1)` and
    :math:`\lambda (\Delta - \|p\|) = 0`. The step is taken if :math:`\rho > \eta`. Below 1/4 the radius becomes a
    quarter of the step's length; above 3/4, and at the boundary, it doubles.

    The Hessian is diagonalized once for each accepted point; the secular equation
    :math:`1/\|p(\lambda)\| = 1/\Delta` is then solved to rounding by Newton's method, d operations a turn. Stores two
    matrices; a trial costs one value and one gradient, a new point d Hessian-vector products and about
    10 d^3 operations. The most robust method here up to some hundred parameters: it needs no convexity, and leaves
    saddles even where the gradient has no component along the negative curvature (the hard case).

    Source: More and Sorensen, Computing a trust region step (1983); Nocedal and Wright, Numerical
    Optimization (2006), algorithms 4.1 and 4.3; optimality: theorem 4.1.

    Args:
      initial_radius: of the first ball, in the units of the parameters.
      max_radius: no ball is larger.
      eta: in [0, 1/4), how much of the promised decrease a step must keep.
    """
    return trying(initial_radius, _no_spectrum, _spectral(ball_minimizer), resized(max_radius), eta)


def steihaug(
    initial_radius: float | Array = 1.0,
    max_radius: float | Array = jnp.inf,
    eta: float | Array = 0.15,
    forcing: float | Array = 0.5,
    max_iterations: int | Array | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Newton's method within a ball, its model minimized by conjugate gradients that stop at the boundary.

    CG on :math:`H p = -g` from zero; the iterates grow in length while the model falls. It ends when the residual is
    below :math:`\min(\texttt{forcing}, \sqrt{\|g\|}) \|g\|`, where the path leaves the ball, or, along a direction of
    negative curvature, where that meets the boundary. Radius and acceptance as in `trust_region`.

    Needs products alone: some copies of the parameters in memory; a trial costs a value, a gradient and as many
    Hessian-vector products as CG takes steps, after a rejection again. For many parameters. From a saddle it
    escapes by what the gradient shows of the negative curvature, more slowly than `trust_region`.

    Source: Steihaug, The conjugate gradient method and trust regions in large scale optimization (1983); Nocedal and
    Wright, Numerical Optimization (2006), algorithm 7.2.

    Args:
      initial_radius: of the first ball, in the units of the parameters.
      max_radius: no ball is larger.
      eta: in [0, 1/4), how much of the promised decrease a step must keep.
      forcing: the largest relative residual at which CG may end.
      max_iterations: of CG for one step; by default ten times the number of parameters.
    """

    def propose(radius, memory, valid, value_fn, params, grad):
        del valid
        size = sum(leaf.size for leaf in jax.tree.leaves(params))
        norm = _norm(grad)
        end = conjugate_gradients(
            products(value_fn, params),
            jax.tree.map(jnp.negative, grad),
            tolerance=jnp.minimum(forcing, jnp.sqrt(norm)) * norm,
            max_steps=10 * size if max_iterations is None else max_iterations,
            radius=radius,
        )
        to_edge = (end.status == CURVED) | (end.status == OUTSIDE)
        tau = jnp.where(to_edge, _to_sphere(end.x, end.p, radius), 0)
        step = jax.tree.map(lambda x, p: x + tau.astype(x.dtype) * p, end.x, end.p)
        curvature = jnp.where(jnp.isfinite(end.pAp), end.pAp, 0)
        predicted = end.decrease + tau * end.rz - tau**2 * curvature / 2
        return Proposal(step, predicted.astype(radius.dtype), end.products, memory)

    return trying(initial_radius, lambda d, dtype: (), propose, resized(max_radius), eta)


def _to_sphere(x: PyTree, p: PyTree, radius: Array) -> Array:
    """The positive tau with |x + tau p| = radius: `[]`."""
    xx, xp, pp = dot(x, x), dot(x, p), dot(p, p)
    left = radius**2 - xx
    root = jnp.sqrt(xp**2 + pp * left)
    return jnp.where(xp > 0, left / (xp + root), (root - xp) / pp)


def cubic_newton(initial_sigma: float | Array = 1.0, eta: float | Array = 0.1) -> optax.GradientTransformationExtraArgs:
    r"""Newton's method with a cubic regularization whose weight adapts (ARC), its model minimized exactly.

    .. math::
        p = \arg\min_p m(p) = g^T p + \tfrac12 p^T H p + \tfrac{\sigma}{3} \|p\|^3, \qquad
        \rho = \frac{f(x) - f(x + p)}{-m(p)}

    p solves :math:`(H + \lambda I) p = -g` with :math:`\lambda = \sigma \|p\| \ge -\lambda_1`. The step is taken if
    :math:`\rho > \eta`. Above 0.9 sigma is divided by 5; where the step is rejected it is multiplied by 10. The paper
    leaves the factors free; with those of its experiments a fifth more evaluations were measured.

    Costs what `trust_region` costs. With sigma above half the Lipschitz constant of the Hessian every step is taken,
    and the gradient falls to :math:`\epsilon` within :math:`O(\epsilon^{-3/2})` steps, the best that second-order
    methods can do: use it where that guarantee or the regularized path is the subject.

    Source: Cartis, Gould and Toint, Adaptive cubic regularisation methods for unconstrained optimization, part I
    (2011), algorithm 2.1; optimality: theorem 3.1; Nesterov and Polyak, Cubic regularization of Newton method (2006).

    Args:
      initial_sigma: the first weight of the cubic.
      eta: in (0, 0.9), how much of the promised decrease a step must keep.
    """

    def resize(sigma, seen):
        easier = jnp.maximum(sigma / 5, jnp.finfo(sigma.dtype).eps)
        return jnp.where(seen.ratio > 0.9, easier, jnp.where(seen.ratio > eta, sigma, 10 * sigma))

    return trying(initial_sigma, _no_spectrum, _spectral(cubic_minimizer), resize, eta, state_type=CubicState)
