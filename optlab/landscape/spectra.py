r"""Eigenvalues of Hessians and Gauss-Newton matrices that are too large to be written down, from their products.

An operator is a function v -> H v on pytrees like the parameters; all else takes one, and `like`, a pytree of that
form. What is drawn at random is told with its standard error. Products are made one after the other, so that memory
does not grow with their number.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

import optlab.lapack as lapack
from optlab import krylov
from optlab.krylov import Product, flattened, matmul
from optlab.optimizers.hessian import gauss_newton_products, products
from optlab.probes import fixed_batch
from optlab.types import Array, Problem, PyTree, full_batch

__all__ = [
    "Eigenpairs",
    "Estimate",
    "Quadrature",
    "condition_number",
    "density",
    "diagonal",
    "gauss_newton_product",
    "hessian_product",
    "moments",
    "negative_share",
    "spectral_density",
    "top_eigenpairs",
    "trace",
    "trace_plus",
]

#: What the first eigenvalues are the first in.
WHICH: dict[str, Callable[[Array], Array]] = {
    "magnitude": jnp.abs,
    "largest": lambda values: values,
    "smallest": lambda values: -values,
}

#: Cycles of a search for eigenpairs, of about as many products as it holds vectors, before it gives up.
CYCLES = 20


class Estimate(NamedTuple):
    """A mean over random probes."""

    value: PyTree
    standard_error: PyTree  #: of that mean; no number where there was one probe only


class Eigenpairs(NamedTuple):
    """Eigenvalues and unit eigenvectors, the first first."""

    values: Array  #: `[k]`
    vectors: PyTree  #: `[k, ...]`
    residuals: Array  #: |H v - value v| but for rounding; an eigenvalue of H is no farther from each value: `[k]`


class Quadrature(NamedTuple):
    """Gauss quadratures of the spectrum, one for each probe; each one's weights sum to 1."""

    nodes: Array  #: ascending: `[probes, m]`
    weights: Array  #: shares of the spectrum: `[probes, m]`


# Operators


def hessian_product(problem: Problem, params: PyTree, batch: PyTree = None, *, examples: int = 0) -> Product:
    r"""v -> :math:`\nabla^2 f(\mathrm{params}) v`, f the loss on a batch or the mean over batches.

    Args:
      problem: its `loss` is differentiated.
      params: where.
      batch: by default the one on which probes look, the whole data where a problem has no chance in it.
      examples: so many, as batches of the problem's own size in a pass over its data, in place of the one batch; all of
        them at most. One batch at a time is in memory, and its gradient is taken anew for each product. A problem
        without passes over data has its one batch.
    """
    return _mean(problem, batch, examples, lambda batch: products(lambda x: problem.loss(x, batch), params))


def gauss_newton_product(problem: Problem, params: PyTree, batch: PyTree = None, *, examples: int = 0) -> Product:
    r"""v -> :math:`J^T H J v`, J of the outputs and H of the loss by them: positive semidefinite.

    For a sum of squares it is :math:`J^T J v` with J of the residual. The arguments are those of `hessian_product`.
    Source: Schraudolph, Fast curvature matrix-vector products (2002), equation 3.

    Raises:
      ValueError: for a problem that has neither `split` nor `residual`.
    """
    split, residual = problem.split, problem.residual
    if split is not None:
        parts = split
    elif residual is not None:
        parts = residual, lambda r, _: 0.5 * jnp.sum(r**2)
    else:
        raise ValueError("a Gauss-Newton matrix needs a loss of outputs (split) or a sum of squares (residual)")

    def of_batch(batch):
        return gauss_newton_products((lambda x: parts[0](x, batch), lambda z: parts[1](z, batch)), params)

    return _mean(problem, batch, examples, of_batch)


def _mean(problem: Problem, batch: PyTree, examples: int, of_batch: Callable[[PyTree], Product]) -> Product:
    """The product of one batch, or the mean of those of several."""
    passes, count = problem.passes, _batches(problem, examples)
    if batch is not None or passes is None or count == 1:
        return of_batch(fixed_batch(problem) if batch is None else batch)

    def product(v):
        def add(total, step):
            part = of_batch(passes(problem.data, jax.random.key(0), step))(v)
            return jax.tree.map(jnp.add, total, part), None

        total, _ = lax.scan(add, jax.tree.map(jnp.zeros_like, v), jnp.arange(count))
        return jax.tree.map(lambda leaf: leaf / count, total)

    return product


def _batches(problem: Problem, examples: int) -> int:
    """How many batches hold so many examples, within one pass. Examples are the first axis of the first leaf."""
    if not examples or problem.batch is full_batch or problem.passes is None:
        return 1
    size = jax.tree.leaves(jax.eval_shape(lambda: fixed_batch(problem)))[0].shape[0]
    held = jax.tree.leaves(problem.data)[0].shape[0]
    return max(1, min(math.ceil(examples / size), held // size))


# Eigenpairs


class _Kept(NamedTuple):
    values: Array  #: `[p]`
    vectors: Array  #: `[p, d]`
    coupling: Array  #: of each to `following`: H vector = value vector + coupling following: `[p]`
    following: Array  #: `[d]`
    scale: Array  #: the largest absolute Ritz value so far
    products: Array


def top_eigenpairs(
    product: Product,
    like: PyTree,
    k: int,
    *,
    key: Array,
    which: str = "magnitude",
    steps: int | None = None,
    tolerance: float | None = None,
) -> Eigenpairs:
    """The first k eigenpairs: in ``magnitude``, or from the ``largest`` or the ``smallest`` on, negative ones included.

    Lanczos' method with full reorthogonalization and thick restarts (Wu and Simon 2000, algorithm 1): of max(40, 2k +
    20) vectors those that come first are kept, the rest makes room for new ones. Ritz values come from inside the
    spectrum. Copies of a multiple eigenvalue may be missed.

    Args:
      product: symmetric.
      like: the parameters, or anything of their form.
      k: from 1 to their number.
      key: of the random start.
      which: ``magnitude``, ``largest`` or ``smallest``.
      steps: products after which no further cycle begins, by default 20 cycles' worth.
      tolerance: to which residuals must fall, in parts of the largest absolute Ritz value; by default the square root
        of the machine's precision (an isolated eigenvalue is then exact to about its square).

    Raises:
      ValueError: for k out of its range, or another word for `which`.
    """
    apply, x, unravel = flattened(product, like)
    if not 1 <= k <= x.size:
        raise ValueError(f"k must be from 1 to {x.size}, the number of parameters, not {k}")
    if which not in WHICH:
        raise ValueError(f"which must be one of {', '.join(WHICH)}, not {which!r}")
    size = min(x.size, max(40, 2 * k + 20))
    # All vectors at once fill the space; else at most half of them are kept, so that the first cycle finds as many.
    kept = k if size == x.size else k + (size - 2 * k) // 4
    steps = CYCLES * size if steps is None else steps
    tolerance = float(jnp.finfo(x.dtype).eps) ** 0.5 if tolerance is None else tolerance
    zeros = jnp.zeros(kept, x.dtype)
    state = _Kept(
        zeros, jnp.zeros((kept, x.size), x.dtype), jnp.full_like(zeros, jnp.inf),
        jax.random.normal(key, x.shape, x.dtype), jnp.zeros((), x.dtype), jnp.zeros((), jnp.int32),
    )  # fmt: skip

    def unsettled(state):
        return (state.products < steps) & jnp.any(jnp.abs(state.coupling[:k]) > tolerance * state.scale)

    if size == x.size:
        state = _cycle(apply, state._replace(vectors=state.vectors[:0]), kept, size, which)
    else:
        state = lax.while_loop(unsettled, lambda state: _cycle(apply, state, kept, size, which), state)
    # The coupling of a settled vector falls without end; the vector itself is known to rounding only.
    residuals = jnp.maximum(jnp.abs(state.coupling[:k]), jnp.finfo(x.dtype).eps * state.scale)
    return Eigenpairs(state.values[:k], jax.vmap(unravel)(state.vectors[:k]), residuals)


def _cycle(apply: Product, state: _Kept, kept: int, size: int, which: str) -> _Kept:
    """Fill the basis up to `size` vectors, and keep those Ritz vectors that come first."""
    held = len(state.vectors)
    found = krylov.lanczos(apply, state.following, size - held, held=state.vectors)
    values, coupling = state.values[:held], jnp.where(state.products > 0, state.coupling, 0)[:held]
    bound = (
        jnp.max(jnp.abs(state.values)) + jnp.max(jnp.abs(coupling), initial=0)
        + jnp.max(jnp.abs(found.alpha)) + 2 * jnp.max(found.beta)
    )  # fmt: skip
    # Before the first cycle nothing is kept: its empty places stand far outside of the spectrum, and are not chosen.
    outside = jnp.where(bound > 0, 4 * bound, 1)
    T = jnp.zeros((size, size), found.alpha.dtype)
    T = T.at[:held, :held].set(jnp.diag(jnp.where(state.products > 0, values, outside)))
    T = T.at[:held, held].set(coupling).at[held, :held].set(coupling)
    T = T.at[held:, held:].set(krylov.tridiagonal(found.alpha, found.beta))
    w, Y = lapack.eigh(T)
    inside = jnp.abs(w) < outside / 2
    first = jnp.argsort(jnp.where(inside, -WHICH[which](w), jnp.inf))[:kept]
    return _Kept(
        w[first], matmul(Y[:, first].T, found.V), found.beta[-1] * Y[-1, first], found.last,
        jnp.maximum(state.scale, jnp.max(jnp.where(inside, jnp.abs(w), 0))), state.products + (size - held),
    )  # fmt: skip


def condition_number(product: Product, like: PyTree, *, key: Array, steps: int = 80) -> Array:
    """The largest eigenvalue over the smallest of a positive definite operator; infinite if one is not positive: `[]`.

    From below: both are Ritz values of `steps` Lanczos steps, exact from as many steps as there are parameters on.
    """
    apply, x, _ = flattened(product, like)
    found = krylov.lanczos(apply, jax.random.normal(key, x.shape, x.dtype), steps)
    values = krylov.ritz_values(found.alpha, found.beta)
    # Zero comes with either sign, from rounding.
    positive = values[0] > jnp.finfo(x.dtype).eps * jnp.abs(values[-1])
    return jnp.where(positive, values[-1] / jnp.where(positive, values[0], 1), jnp.inf)


# Trace and diagonal


def trace(product: Product, like: PyTree, *, key: Array, probes: int = 32) -> Estimate:
    r"""The trace, as the mean of :math:`v^T H v` over vectors of random signs.

    The variance is :math:`2 \sum_{i \ne j} H_{ij}^2` over the number of probes.
    Source: Hutchinson, A stochastic estimator of the trace (1990), proposition 1.
    """
    apply, x, _ = flattened(product, like)
    return _estimate(krylov.quadratic_forms(apply, x, key, probes))


def trace_plus(product: Product, like: PyTree, *, key: Array, products: int = 48) -> Estimate:
    r"""The trace by Hutch++, the better the faster the eigenvalues decay; exact for a rank up to a third of `products`.

    .. math:: \mathrm{tr}(Q^T H Q) + \mathrm{mean}_g\; g^T (I - Q Q^T) H (I - Q Q^T) g

    with Q an orthonormal basis of H S, for S and g of random signs: a third of the products for H S, for H Q and for
    the vectors g each. Only the second part has an error. Memory for a third of `products` vectors.
    Source: Meyer, Musco, Musco and Woodruff, Hutch++: optimal stochastic trace estimation (2021), algorithm 1.

    Raises:
      ValueError: for less than 3 products.
    """
    if products < 3:
        raise ValueError(f"Hutch++ needs at least 3 products, not {products}")
    apply, x, _ = flattened(product, like)
    third = min(products // 3, x.size)
    sketched, probed = jax.random.split(key)
    Q, _ = lapack.qr(lax.map(apply, jax.random.rademacher(sketched, (third, x.size), x.dtype)).T)

    def seen(key):
        g = jax.random.rademacher(key, x.shape, x.dtype)
        g = g - matmul(Q, matmul(g, Q))
        return matmul(g, apply(g))

    within = jnp.sum(lax.map(lambda q: matmul(q, apply(q)), Q.T))
    rest = _estimate(lax.map(seen, jax.random.split(probed, products // 3)))
    return Estimate(within + rest.value, rest.standard_error)


def diagonal(product: Product, like: PyTree, *, key: Array, probes: int = 32) -> Estimate:
    r"""The diagonal as a pytree, the mean of :math:`v \odot H v` over vectors of random signs.

    The variance of entry i is :math:`\sum_{j \ne i} H_{ij}^2` over the number of probes.
    Source: Bekas, Kokiopoulou and Saad, An estimator for the diagonal of a matrix (2007), equation 6.
    """
    apply, x, unravel = flattened(product, like)

    def add(carry, key):
        mean, squares, count = carry
        v = jax.random.rademacher(key, x.shape, x.dtype)
        seen = v * apply(v)
        off = seen - mean
        mean = mean + off / (count + 1)
        return (mean, squares + off * (seen - mean), count + 1), None  # Welford's: all probes need not be kept

    begun = (jnp.zeros_like(x), jnp.zeros_like(x), jnp.zeros((), x.dtype))
    (mean, squares, count), _ = lax.scan(add, begun, jax.random.split(key, probes))
    return Estimate(unravel(mean), unravel(jnp.sqrt(squares / (count - 1) / count)))


def _estimate(seen: Array) -> Estimate:
    """The mean over the first axis."""
    return Estimate(jnp.mean(seen, axis=0), jnp.std(seen, axis=0, ddof=1) / len(seen) ** 0.5)


# The whole spectrum


def spectral_density(product: Product, like: PyTree, *, key: Array, probes: int = 8, steps: int = 80) -> Quadrature:
    r"""The distribution of all eigenvalues, by stochastic Lanczos quadrature: probes x steps products.

    For v of random signs, :math:`v^T f(H) v / d` is the mean of f over the eigenvalues on average, and Lanczos' method
    from v has it as :math:`\sum_i w_i f(\theta_i)`, exact for polynomials up to degree 2 steps - 1. Memory for `steps`
    (no more than there are parameters) vectors, as all are kept orthogonal.
    Source: Lin, Saad and Yang, Approximating spectral densities of large matrices (2016), section 3.2; Ghorbani,
    Krishnan and Xiao, An investigation into neural net optimization via Hessian eigenvalue density (2019), algorithm 1.
    """
    apply, x, _ = flattened(product, like)

    def seen(key):
        found = krylov.lanczos(apply, jax.random.rademacher(key, x.shape, x.dtype), steps)
        return krylov.quadrature(found.alpha, found.beta)

    return Quadrature(*lax.map(seen, jax.random.split(key, probes)))


def density(quadrature: Quadrature, grid: Array, width: float | Array) -> Estimate:
    r"""The density of eigenvalues on a grid, each node a Gaussian of deviation `width`: `[n]`.

    .. math:: \phi(t) = \sum_i w_i N(t; \theta_i, \mathrm{width}^2)
    """

    def seen(nodes, weights):
        far = (grid[:, None] - nodes[None]) / width
        return jnp.exp(-0.5 * far**2) @ weights / (width * (2 * math.pi) ** 0.5)

    return _estimate(jax.vmap(seen)(quadrature.nodes, quadrature.weights))


def negative_share(quadrature: Quadrature, *, flat: float = krylov.FLAT) -> Estimate:
    """The share of eigenvalues below `-flat` times the largest absolute one: `[]`."""
    return _estimate(krylov.negative_weight(*quadrature, flat))


def moments(quadrature: Quadrature, degree: int) -> Estimate:
    r"""The means :math:`\mathrm{tr}(H^j) / d` for j from 0 to `degree`: `[degree + 1]`.

    Without bias up to the degree 2 steps - 1. The first, times d, is Hutchinson's trace.
    """
    powers = quadrature.nodes[..., None] ** jnp.arange(degree + 1)[None, None]
    return _estimate(jnp.sum(powers * quadrature.weights[..., None], axis=1))
