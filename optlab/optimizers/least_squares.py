r"""Least squares, :math:`f = \frac12 |r(x)|^2`: curvature :math:`J^T J` from the first derivatives of the residuals.

Every method needs ``residual_fn``: parameters -> `[r]`, among the extra arguments of `update`; `run` and
`minimize` offer it where the problem has residuals. Parameters are flattened to a vector x: `[d]`.

**Counts.** A point counts one value where its residuals are evaluated, and one gradient where its Jacobian is
(J yields :math:`J^T r`), so that ``n_value`` and ``n_grad`` compare with MINPACK's nfev and njev; at the point
where an update begins, the caller has counted both. A Jacobian is min(d, r) products with J or :math:`J^T`; two
of these are one product with the Gauss-Newton Hessian :math:`J^T J`, so it counts half of min(d, r)
Hessian-vector products, rounded up. Under ``vmap`` both branches of a condition are executed; the counts
are those of a run on its own.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from jax import lax

import optlab.lapack as lapack
from optlab.optimizers.counts import Counts, Evaluated, Progress, add, zero
from optlab.optimizers.descent import SearchState, select
from optlab.optimizers.linesearch import armijo
from optlab.types import Array, PyTree
from optlab.vectors import raveled

__all__ = [
    "GaussNewtonState",
    "LevenbergMarquardtState",
    "gauss_newton",
    "geodesic_levenberg_marquardt",
    "levenberg_marquardt",
]

Residual = Callable[[Array], Array]

#: From so many parameters on a tall Jacobian is made square before its SVD, by a QR factorization of [J, r] that forms
#: no Q: Q^T r is its last column.
MANY = 32


class GaussNewtonState(NamedTuple):
    """State of `gauss_newton`."""

    search: SearchState
    evaluated: Evaluated
    counts: Counts  #: of the directions; those of the search are its own


class ScaledModel(NamedTuple):
    r"""The residuals near a point, r + J p, without their dimension r: :math:`J D^{-1} = U \Sigma V^T`."""

    D: Array  #: the scale of each parameter: `[d]`
    sigma: Array  #: singular values, 0 beyond the numerical rank: `[d]`
    V: Array  #: `[d, d]`
    b: Array  #: :math:`U^T r`: `[d]`


class LevenbergMarquardtState(NamedTuple):
    """State of `levenberg_marquardt` and `geodesic_levenberg_marquardt`."""

    started: Array  #: whether `model` is that at the parameters
    model: ScaledModel
    radius: Array  #: of the trust region, |D p| <= radius
    evaluated: Evaluated
    progress: Progress
    counts: Counts


def flattened(residual_fn, params: PyTree) -> tuple[Residual, Array, Callable[[Array], PyTree]]:
    """The residuals as a function of a vector, the parameters as one, and the way back."""
    if residual_fn is None:
        raise ValueError(
            "a least-squares method needs residual_fn=, residuals with loss = 0.5 |residual|^2: choose a problem "
            "that has them (a surface with `residual`, a Problem with `residual`, or minimize(..., residual=...))"
        )
    x, unravel = raveled(params)
    return (lambda x: raveled(residual_fn(unravel(x)))[0].astype(x.dtype)), x, unravel


def linearized(residual: Residual, x: Array) -> tuple[Array, Array, Counts]:
    """r: `[r]`, J: `[r, d]` by d products forward or r backward, whichever are fewer, and these as `Counts`."""
    rows = jax.eval_shape(residual, x).size
    if rows >= x.size:
        r, push = jax.linearize(residual, x)
        J = jax.vmap(push, out_axes=1)(jnp.eye(x.size, dtype=x.dtype))
    else:
        r, pull = jax.vjp(residual, x)
        (J,) = jax.vmap(pull)(jnp.eye(rows, dtype=x.dtype))
    return r, J, made(0, 0, (min(rows, x.size) + 1) // 2)


def made(*numbers: int | Array) -> Counts:
    """`Counts` from numbers."""
    return Counts(*(jnp.asarray(number, jnp.int32) for number in numbers))


def half_square(r: Array) -> Array:
    return 0.5 * (r @ r)


class Verdict(NamedTuple):
    """What the loss at a trial says, without its gradient."""

    helps: Array  #: it falls by a share of what the model promised
    hidden: Array  #: it is the same up to rounding: only the gradient can tell
    floor: Array  #: no more was promised

    @classmethod
    def of(cls, before: Array, after: Array, promised: Array) -> "Verdict":
        drop, noise = before - after, 10 * jnp.finfo(before.dtype).eps * before
        hidden = jnp.abs(drop) <= noise
        return cls((drop > 0) & (drop >= 1e-4 * promised), hidden, hidden & (promised <= noise))


def gauss_newton(
    linesearch: optax.GradientTransformationExtraArgs | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Newton's method without the second derivatives of the residuals, with a line search.

    .. math:: x_{k+1} = x_k - \alpha_k J_k^+ r_k

    :math:`J^+ r` is the shortest solution of :math:`\min_p |J p - r|`, by SVD, so that J may have any rank and any
    shape. Linear residuals need one step. The rate is quadratic where the minimum is 0, linear
    where it is small, and there may be none where residuals at the minimum are large and curved. Where J
    loses rank on the way, the directions turn along the level sets and the search stops short of a minimum; for
    that there is `levenberg_marquardt`.

    Each update is a whole iteration; its search (`armijo` by default) is nested in it, because a Jacobian costs
    more than a trial. Source: Nocedal and Wright, Numerical Optimization (2006), section 10.3.
    """
    search = linesearch or armijo()

    def init(params):
        found: Any = search.init(params)
        return GaussNewtonState(found, Evaluated(found.value, found.grad), zero())

    def update(updates, state, params=None, *, value=None, residual_fn=None, value_fn=None, **unused):
        residual, x, unravel = flattened(residual_fn, params)
        r, J, cost = linearized(residual, x)
        descent = unravel(-lapack.least_squares(J, r))
        value_fn = value_fn or (lambda params: half_square(residual(raveled(params)[0])))
        value = half_square(r) if value is None else value
        at_params = {"value": value, "grad": updates, "value_fn": value_fn}
        steps, found = search.update(descent, state.search, params, **at_params, flat=False)
        found = cast(SearchState, found)
        return steps, GaussNewtonState(found, Evaluated(found.value, found.grad), add(state.counts, cost))

    return optax.GradientTransformationExtraArgs(init, update)


def _scaled(r: Array, J: Array, D: Array) -> ScaledModel:
    """The model at a point; `D` is the scale so far, and grows with the columns of J (More 1978, eq. 6.3)."""
    D = jnp.maximum(D, jnp.sqrt(jnp.sum(J * J, axis=0)))
    D = jnp.where(D > 0, D, 1)
    A, d = J / D[None, :], D.size
    if d >= MANY and len(r) >= 2 * d:
        R = lapack.qr_triangle(jnp.concatenate([A, r[:, None]], axis=1))
        A, r = R[:d, :d], R[:d, d]
    U, sigma, Vt = lapack.svd(A)
    sigma = jnp.where(sigma > jnp.finfo(J.dtype).eps * max(J.shape) * sigma[0], sigma, 0)
    missing = D.size - sigma.size
    return ScaledModel(
        D, jnp.pad(sigma, (0, missing)), jnp.pad(Vt, ((0, missing), (0, 0))).T, jnp.pad(r @ U, (0, missing))
    )


def _damped(model: ScaledModel, damping: Array) -> Array:
    r""":math:`V^T D p` for the p that solves :math:`(J^T J + \lambda D^2) p = -J^T r`: `[d]`."""
    sigma = model.sigma
    square = sigma**2 + damping
    return -jnp.where(sigma > 0, sigma * model.b / jnp.where(sigma > 0, square, 1), 0)


def _damping(model: ScaledModel, radius: Array) -> Array:
    r"""The :math:`\lambda \ge 0` at which the step is as long as the region or up to a tenth longer; 0 if it is inside.

    Newton's method on :math:`1/|D p(\lambda)| = 1/\Delta`, whose left side is concave in :math:`\lambda`, so that
    it rises from 0 to the root monotonically.
    """

    def at(damping):
        q = _damped(model, damping)
        length = jnp.linalg.norm(q)
        square = jnp.where(model.sigma > 0, model.sigma**2 + damping, 1)
        step = (length / radius - 1) * length**2 / jnp.sum(q**2 / square)
        return damping, step, length > 1.1 * radius

    def onward(carry):
        damping, step, _, trials = carry
        return *at(damping + step), trials + 1

    # The condition only reads, see `trust_region`: in a batch it must not compute what rounding decides.
    start = *at(jnp.zeros_like(radius)), jnp.zeros((), jnp.int32)
    return lax.while_loop(lambda carry: carry[2] & (carry[3] < 60), onward, start)[0]


def levenberg_marquardt(initial_radius: float | Array = 100.0) -> optax.GradientTransformationExtraArgs:
    r"""Gauss-Newton steps within a region of trust whose shape follows the scale of each parameter.

    .. math::
        \min_p \tfrac12 |J p + r|^2 \text{ with } |D p| \le \Delta
        \quad\Longleftrightarrow\quad (J^T J + \lambda D^2)\, p = -J^T r, \quad \lambda \ge 0

    D holds the largest norm so far of each column of J (Marquardt's scaling, never smaller), so that a
    diagonal change of variables changes nothing. The damped system is solved through the SVD of
    :math:`J D^{-1}`, never through :math:`J^T J`, at any rank and shape; :math:`\lambda` by Newton's method to a
    tenth of :math:`\Delta`. The region shrinks where the loss falls by less than a quarter of what the model
    promises, and doubles where it falls by three quarters; a step is taken from 1e-4 on.

    Each update is one trial. A rejected one (it does not help, or is no number) is a zero update and costs a
    value; an accepted one a Jacobian too, whose SVD is kept: memory d^2, work r d^2 + d^3. Where the loss is not
    that of the last update (``flat`` is not True: minibatches, a loop of one's own) the Jacobian is made
    afresh at each update. Below the rounding error of the loss, a step counts that makes the gradient smaller;
    the method has stalled where none does.

    Source: More, The Levenberg-Marquardt algorithm: implementation and theory (1978), algorithm 7.1, as in
    MINPACK's lmder; Levenberg (1944), Marquardt (1963).

    Args:
      initial_radius: of the region, in units of :math:`|D x_0|`, or 1 where that is 0.
    """
    return _trusted(initial_radius, _straight)


def geodesic_levenberg_marquardt(
    initial_radius: float | Array = 100.0, bend: float | Array = 0.75
) -> optax.GradientTransformationExtraArgs:
    r"""`levenberg_marquardt` along a parabola: a step p and half the acceleration a of the geodesic.

    .. math::
        (J^T J + \lambda D^2)\, a = -J^T r''_{pp}, \quad
        p + \tfrac12 a \text{ where } 2 |D a| \le \alpha |D p|, \text{ else } p

    :math:`r''_{pp}` is the second derivative of the residuals along p (a product of products), which lets
    the path follow a narrow bent valley. It costs one Hessian-vector product a trial more.

    Source: Transtrum and Sethna, Improvements to the Levenberg-Marquardt algorithm for nonlinear least-squares
    minimization (2012), eqs. 12 to 15. There a step that bends too much is rejected; here it goes straight.

    Args:
      initial_radius: see `levenberg_marquardt`.
      bend: the largest bend :math:`\alpha` that is trusted.
    """

    def bent(residual, x, p, model, damping):
        def velocity(x):
            return jax.jvp(residual, (x,), (p,))[1]

        _, second = jax.jvp(velocity, (x,), (p,))
        _, pull = jax.vjp(residual, x)
        (pulled,) = pull(second)
        square = jnp.where(model.sigma > 0, model.sigma**2 + damping, 1)
        coefficients = jnp.where(model.sigma > 0, (pulled / model.D) @ model.V / square, 0)
        a = -(model.V @ coefficients) / model.D
        trusted = 2 * jnp.linalg.norm(model.D * a) <= bend * jnp.linalg.norm(model.D * p)
        return jnp.where(trusted, 0.5 * a, 0), made(0, 0, 1)

    return _trusted(initial_radius, bent)


def _straight(residual, x, p, model, damping):
    del residual, x, model, damping
    return jnp.zeros_like(p), zero()


def _trusted(initial_radius, curved) -> optax.GradientTransformationExtraArgs:
    """More's trust region; `curved` adds to a step what the curvature of the residuals says."""

    def init(params):
        x, _ = raveled(params)
        none, square = jnp.zeros_like(x), jnp.zeros((x.size, x.size), x.dtype)
        value, no = jnp.full((), jnp.inf, x.dtype), jnp.asarray(False)
        evaluated = Evaluated(value, jax.tree.map(jnp.zeros_like, params))
        return LevenbergMarquardtState(
            no, ScaledModel(none, none, square, none), jnp.zeros_like(value), evaluated, Progress(no, no), zero()
        )

    def update(updates, state, params=None, *, residual_fn=None, flat=False, **unused):
        residual, x, unravel = flattened(residual_fn, params)
        g, eps = raveled(updates)[0], jnp.finfo(x.dtype).eps

        def at(x):
            r, J, cost = linearized(residual, x)
            return _scaled(r, J, state.model.D), half_square(r), r @ J, cost

        here = (state.model, state.evaluated.value, g, zero())
        model, value, _, cost = lax.cond(state.started & bool(flat), lambda x: here, at, x)
        size = jnp.linalg.norm(model.D * x)
        wide = jnp.asarray(initial_radius * jnp.where(size > 0, size, 1), x.dtype)
        radius = jnp.where(state.started, state.radius, wide)
        damping = _damping(model, radius)
        q = _damped(model, damping)
        p = model.V @ q / model.D
        bend, more = curved(residual, x, p, model, damping)
        step = p + bend
        trial = half_square(residual(x + step))
        promise = _Promise(jnp.linalg.norm(q), jnp.linalg.norm(model.sigma * q), damping)
        radius = jnp.where(state.started, radius, jnp.minimum(radius, promise.length))
        seen = Verdict.of(value, trial, promise.decrease)
        cost = add(add(cost, more), made(1, 0, 0))

        if flat:
            worth = seen.helps | seen.hidden
            new, _, new_g, more = lax.cond(worth, at, lambda x: here, x + step)
            cost = add(add(cost, more), made(0, worth, 0))
            flatter = jnp.linalg.norm(new_g / new.D) < jnp.linalg.norm(g / new.D)
            sound = jnp.isfinite(jnp.sum(new_g)) & jnp.isfinite(jnp.sum(new.V))
            accepted = sound & (seen.helps | (seen.hidden & flatter))
            trial = jnp.where(sound, trial, jnp.inf)
            model = select(accepted, new, model)
            evaluated = Evaluated(jnp.where(accepted, trial, value), unravel(jnp.where(accepted, new_g, g)))
        else:
            accepted, evaluated = seen.helps, state.evaluated
        radius = jnp.where(accepted & ~seen.helps, radius, _adapted(radius, promise, value, trial))
        lost = seen.floor | (radius <= eps * size) | ~jnp.isfinite(promise.length)
        new_state = LevenbergMarquardtState(
            started=jnp.asarray(True), model=model, radius=radius, evaluated=evaluated,
            progress=Progress(jnp.asarray(True), lost & ~accepted), counts=add(state.counts, cost),
        )  # fmt: skip
        return unravel(jnp.where(accepted, step, 0)), new_state

    return optax.GradientTransformationExtraArgs(init, update)


class _Promise(NamedTuple):
    """What the model says of a step p."""

    length: Array  #: |D p|
    change: Array  #: |J p|
    damping: Array

    @property
    def decrease(self) -> Array:
        return self.change**2 / 2 + self.damping * self.length**2

    @property
    def slope(self) -> Array:
        return -(self.change**2) - self.damping * self.length**2


def _adapted(radius: Array, promise: _Promise, value: Array, trial: Array) -> Array:
    """The region after a trial (More 1978, section 4)."""
    drop = value - trial
    parabola = 0.5 * promise.slope / (promise.slope + jnp.minimum(drop, 0))
    shrink = jnp.where((trial < 100 * value) & (parabola > 0.1), parabola, 0.1)
    shorter = shrink * jnp.minimum(radius, 10 * promise.length)
    fine = (promise.damping == 0) | (drop >= 0.75 * promise.decrease)
    return jnp.where(drop > 0.25 * promise.decrease, jnp.where(fine, 2 * promise.length, radius), shorter)
