"""Newton's method and what tames it: a line search, a positive definite Hessian, or products alone."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

import optlab.lapack as lapack
from optlab.optimizers.counts import Counts, zero
from optlab.optimizers.descent import dot, searched
from optlab.optimizers.hessian import gauss_newton_products, matrix, products, real_type, require, solution, spectrum
from optlab.optimizers.linear_cg import CURVED, Iterate, conjugate_gradients
from optlab.optimizers.linesearch import strong_wolfe
from optlab.types import Array, PyTree
from optlab.vectors import raveled

__all__ = [
    "damped_newton",
    "gauss_newton_cg",
    "modified_newton",
    "newton",
    "newton_cg",
    "saddle_free_newton",
    "shifted_newton",
]

_Rate = float | Array | optax.Schedule
_Search = optax.GradientTransformationExtraArgs | None


class NewtonState(NamedTuple):
    """State of a Newton method at a fixed rate."""

    step: Array  #: updates made so far, what a schedule is a function of: `[]`
    counts: PyTree


class ForcingState(NamedTuple):
    """What `newton_cg` remembers to choose its tolerance."""

    grad_norm: Array  #: at the last iterate, infinite before the first: `[]`
    eta: Array  #: the last relative tolerance: `[]`
    counts: Counts


def _dense(solve: Callable[[Callable, PyTree, Array], Array]) -> optax.GradientTransformationExtraArgs:
    """Gradient -> `solve(value_fn, params, g)`, with vectors `[d]` for trees; d products each time."""

    def init(params):
        real_type(params)
        return zero()

    def update(updates, state, params=None, *, value_fn=None, **unused):
        g, unravel = raveled(updates)
        ascent = solve(require(value_fn), params, g)
        return unravel(ascent), state._replace(n_hvp=state.n_hvp + g.size)

    return optax.GradientTransformationExtraArgs(init, update)


def _at_rate(
    direction: optax.GradientTransformationExtraArgs, learning_rate: _Rate
) -> optax.GradientTransformationExtraArgs:
    def init(params):
        return NewtonState(jnp.zeros((), jnp.int32), direction.init(params))

    def update(updates, state, params=None, **extra):
        ascent, counts = direction.update(updates, state.counts, params, **extra)
        rate = learning_rate(state.step) if callable(learning_rate) else learning_rate
        return jax.tree.map(lambda p: -jnp.asarray(rate, p.dtype) * p, ascent), NewtonState(state.step + 1, counts)

    return optax.GradientTransformationExtraArgs(init, update)


def _searched(
    direction: optax.GradientTransformationExtraArgs, linesearch: _Search
) -> optax.GradientTransformationExtraArgs:
    return searched(direction, linesearch or strong_wolfe())


def _solve(value_fn, params, g):
    return solution(matrix(value_fn, params), g)


def newton(learning_rate: _Rate = 1.0) -> optax.GradientTransformationExtraArgs:
    r"""The iteration for a zero of the gradient, as it is taught.

    .. math:: x_{t+1} = x_t - \alpha_t \nabla^2 f(x_t)^{-1} \nabla f(x_t)

    One step solves a quadratic, and near a point with a regular Hessian each step doubles the correct digits,
    whatever the coordinates: the iterates are the same after any linear change of variables. That point may be a
    saddle or a maximum: these attract as minima do. Farther out it may cycle or diverge, and a singular Hessian gives
    steps that are no numbers; both are left as they are.

    Remembers nothing; d Hessian-vector products, d^2 memory and 2/3 d^3 operations a step. To teach, and as the
    control of the methods below. Source: Nocedal and Wright, Numerical Optimization (2006), eq. 3.30, theorem 3.5.
    """
    return _at_rate(_dense(_solve), learning_rate)


def damped_newton(linesearch: _Search = None) -> optax.GradientTransformationExtraArgs:
    r"""Newton's direction and a line search along it; steepest descent where it does not descend.

    .. math:: x_{t+1} = x_t - \alpha_t \nabla^2 f(x_t)^{-1} \nabla f(x_t)

    with the rate from `linesearch` (by default `strong_wolfe()`, first trial 1). Where the direction goes uphill, or
    the Hessian is singular, the search goes along the negative gradient instead, which is slow near saddles.

    d Hessian-vector products, d^2 memory and 2/3 d^3 operations an iteration, besides the search's values and
    gradients. For convex functions. Source: Nocedal and Wright (2006), section 3.3; convergence: theorem 3.2.
    """
    return _searched(_dense(_solve), linesearch)


def modified_newton(delta: float | Array = 1e-8, linesearch: _Search = None) -> optax.GradientTransformationExtraArgs:
    r"""Newton's direction with the Hessian's eigenvalues made positive, and a line search along it.

    .. math::
        d = -V \operatorname{diag}(\max(|w_i|, \delta \max_j |w_j|))^{-1} V^T \nabla f,
        \qquad \nabla^2 f = V \operatorname{diag}(w) V^T

    Always a descent direction: along negative curvature it goes as far down as Newton's goes up. The inverse of `delta`
    bounds the condition number of what stands for the Hessian.

    d Hessian-vector products, d^2 memory and about 10 d^3 operations an iteration, besides the search. The robust
    choice among the searches for few parameters. Source: Greenstadt, On the relative efficiencies of gradient
    methods (1967); Nocedal and Wright (2006), section 3.4.
    """

    def solve(value_fn, params, g):
        w, V = spectrum(value_fn, params)
        size = jnp.abs(w)
        return V @ ((g @ V) / jnp.maximum(size, jnp.asarray(delta, w.dtype) * jnp.max(size)))

    return _searched(_dense(solve), linesearch)


def shifted_newton(beta: float | Array = 1e-3, linesearch: _Search = None) -> optax.GradientTransformationExtraArgs:
    r"""Newton's direction with a multiple of the identity added until the Hessian is positive definite.

    .. math:: d = -(\nabla^2 f + \tau I)^{-1} \nabla f, \qquad \tau = \tau_0, \; \tau \leftarrow \max(2 \tau, \beta)

    with :math:`\tau_0 = 0` if the diagonal is positive, else :math:`\beta - \min_i h_{ii}`; the first tau for which the
    Cholesky factorization exists. A line search along it.

    d Hessian-vector products, d^2 memory and d^3/3 operations for each factorization. Cheaper than
    `modified_newton`, but one shift for all directions: near singular Hessians the step can be far too long or too
    short. Source: Nocedal and Wright (2006), algorithm 3.3.
    """

    def solve(value_fn, params, g):
        return lapack.cholesky_solve(_shifted_cholesky(matrix(value_fn, params), beta), g)

    return _searched(_dense(solve), linesearch)


def _shifted_cholesky(H: Array, beta: float | Array) -> Array:
    """The factor L of H + tau I, with the first tau that has one: `[d, d]`; NaN if H is no number."""
    least, eye = jnp.min(jnp.diagonal(H)), jnp.eye(H.shape[0], dtype=H.dtype)
    # The book's beta is absolute; below the rounding error of H it would be doubled in vain.
    beta = jnp.maximum(jnp.asarray(beta, H.dtype), jnp.finfo(H.dtype).eps * jnp.max(jnp.abs(H)))

    def factor(tau):
        return lapack.cholesky(H + tau * eye)

    def failed(carry):
        tau, L = carry
        return jnp.isfinite(tau) & ~jnp.all(jnp.isfinite(L))

    def more(carry):
        tau = jnp.maximum(2 * carry[0], beta)
        return tau, factor(tau)

    tau = jnp.where(least > 0, 0, beta - least)
    return lax.while_loop(failed, more, (tau, factor(tau)))[1]


def saddle_free_newton(
    learning_rate: _Rate = 1.0, damping: float | Array = 1e-6, linesearch: _Search = None
) -> optax.GradientTransformationExtraArgs:
    r"""Newton's method with the absolute values of the Hessian's eigenvalues: saddles repel it.

    .. math:: x_{t+1} = x_t - \alpha_t (|\nabla^2 f(x_t)| + \lambda I)^{-1} \nabla f(x_t)

    Near a minimum it is `newton`; along negative curvature the step keeps its length and turns downhill. `damping` is
    the lambda, which limits the steps where the Hessian is nearly singular.

    d Hessian-vector products, d^2 memory and about 10 d^3 operations a step. To be seen beside `newton` at a saddle;
    where it shall converge from afar, give it a `linesearch` (which then decides the rate) or take
    `modified_newton`. Source: Dauphin et al., Identifying and attacking the saddle point problem in high-dimensional
    non-convex optimization (2014), algorithm 1, with the whole space for its Krylov subspace.
    """

    def solve(value_fn, params, g):
        w, V = spectrum(value_fn, params)
        return V @ ((g @ V) / (jnp.abs(w) + jnp.asarray(damping, w.dtype)))

    if linesearch is None:
        return _at_rate(_dense(solve), learning_rate)
    return _searched(_dense(solve), linesearch)


def newton_cg(
    max_iterations: int | Array | None = None,
    forcing: float | Array = 0.5,
    linesearch: _Search = None,
    preconditioner: Callable[[PyTree, PyTree], PyTree] | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Newton's method without the Hessian: inexact directions by conjugate gradients, and a line search.

    CG on :math:`\nabla^2 f \, d = -\nabla f` from zero until the residual is below :math:`\eta_t \|\nabla f_t\|`,

    .. math::
        \eta_t = \min(\texttt{forcing}, \max(0.9 \|\nabla f_t\|^2 / \|\nabla f_{t-1}\|^2, \; 0.9 \eta_{t-1}^2))

    (the last only while it exceeds 0.1): rough far away, and exact soon enough for quadratic convergence. Where a
    direction :math:`p_j` of CG curves down, CG ends with a last step along it, at the length that Newton's step would
    have for the opposite curvature,

    .. math:: d = d_j + \frac{r_j^T z_j}{|p_j^T \nabla^2 f \, p_j|} \, p_j

    and the line search goes along d. All directions of CG descend, so d does, too. Without this last step the
    iterates crawl by steepest descent wherever the Hessian is indefinite: on Rosenbrock's function from (-12, 10), ten
    times its customary start, for more than 3,000 iterations where about 50 are enough.

    Needs products alone: some copies of the parameters in memory, and as many Hessian-vector products an iteration
    as CG takes steps, besides the search. For many parameters.

    Source: Nocedal and Wright (2006), algorithm 7.1; Eisenstat and Walker, Choosing the forcing terms in an
    inexact Newton method (1996), choice 2; the sign that is turned where p curves down: Grippo, Lampariello and Lucidi,
    A truncated Newton method with nonmonotone line search for unconstrained optimization (1989).

    Args:
      max_iterations: of CG for one direction; by default ten times the number of parameters.
      forcing: the largest relative residual at which CG may end, and the first one.
      linesearch: by default `strong_wolfe()`.
      preconditioner: (parameters, v) -> M v with M symmetric positive definite, close to the inverse Hessian.
    """

    def curved(value_fn=None, **unused):
        return partial(products, require(value_fn))

    return _searched(_inexact(curved, max_iterations, forcing, preconditioner), linesearch)


def gauss_newton_cg(
    max_iterations: int | Array | None = None,
    forcing: float | Array = 0.5,
    linesearch: _Search = None,
    preconditioner: Callable[[PyTree, PyTree], PyTree] | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""`newton_cg` with the generalized Gauss-Newton matrix, which is never indefinite where the loss is convex.

    .. math:: G = J^T \, \nabla^2_z \ell \, J, \quad f(x) = \ell(z(x)), \quad J = \partial z / \partial x

    with the outputs z of a network and a loss convex in them: the Hessian without the curvature of the network
    itself. For problems that tell their outputs (networks) or residuals. A product costs about two gradients.

    Source: Schraudolph, Fast curvature matrix-vector products (2002), section 3; Martens, Deep learning via
    Hessian-free optimization (2010), section 4.2. Arguments as for `newton_cg`.

    Raises ValueError in `update` for a problem that tells neither.
    """

    def curved(split_fn=None, **unused):
        if split_fn is None:
            raise ValueError("gauss_newton_cg needs outputs or residuals: a problem that tells them, or split_fn=")
        return partial(gauss_newton_products, split_fn)

    return _searched(_inexact(curved, max_iterations, forcing, preconditioner), linesearch)


def _inexact(
    curved: Callable[..., Callable[[PyTree], Callable[[PyTree], PyTree]]], max_iterations, forcing, preconditioner
) -> optax.GradientTransformationExtraArgs:
    """Directions by conjugate gradients; `curved` takes what `update` is offered to (parameters -> products)."""

    def init(params):
        dtype = real_type(params)
        return ForcingState(jnp.full((), jnp.inf, dtype), jnp.zeros((), dtype), zero())

    def update(updates, state, params=None, **offered):
        product = curved(**offered)(params)
        size = sum(leaf.size for leaf in jax.tree.leaves(params))
        norm = jnp.sqrt(dot(updates, updates)).astype(state.eta.dtype)
        most = jnp.asarray(forcing, norm.dtype)
        before = 0.9 * state.eta**2
        eta = jnp.maximum(0.9 * (norm / state.grad_norm) ** 2, jnp.where(before > 0.1, before, 0))
        eta = jnp.where(jnp.isfinite(state.grad_norm), jnp.minimum(eta, most), most)
        end = conjugate_gradients(
            product,
            updates,
            tolerance=eta * norm,
            max_steps=10 * size if max_iterations is None else max_iterations,
            preconditioner=(lambda v: v) if preconditioner is None else partial(preconditioner, params),
        )
        last = _length_along(end)
        ascent = jax.tree.map(lambda x, p: jnp.where(last > 0, x + last.astype(p.dtype) * p, x), end.x, end.p)
        counts = state.counts._replace(n_hvp=state.counts.n_hvp + end.products)
        return ascent, ForcingState(norm, eta, counts)

    return optax.GradientTransformationExtraArgs(init, update)


def _length_along(end: Iterate) -> Array:
    """How far to go along the direction in which CG found no curvature; 0 where it ended otherwise: `[]`."""
    size = jnp.abs(end.pAp)
    far = jnp.where(size > 0, end.rz / size, 1)
    rounding = jnp.finfo(size.dtype).eps * end.largest * dot(end.p, end.p)
    # The first direction is the gradient, whatever its curvature; a later one without curvature may be rounding alone.
    taken = (end.status == CURVED) & ((end.products == 1) | (end.pAp < -rounding))
    return jnp.where(taken, far, 0)
