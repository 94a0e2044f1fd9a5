"""What the experimenter may ask of a point: each probe is one more column of the trace.

What is asked of a step is asked on one batch, the same at every step: the whole data where a problem has no chance in
it. What is told by layer is a vector, an entry for each layer in the order of `layer_names`; in the table of curves it
is a list, or columns ``name_0, name_1, ...`` for up to three layers.
"""

import re
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jax.flatten_util import ravel_pytree

from optlab.krylov import FLAT, lanczos, negative_weight, quadratic_forms, quadrature, recursion, ritz_values
from optlab.types import Array, Problem, PyTree, full_batch

#: Hessian-vector products for a largest eigenvalue.
PRODUCTS = 32

#: Random vectors for a share of the spectrum.
VECTORS = 4

#: Batches by which the noise of gradients is estimated.
BATCHES = 32


def position(problem: Problem, params: PyTree) -> Array:
    """The parameters as one vector: `[d]`."""
    del problem
    return ravel_pytree(params)[0]


def sharpness(problem: Problem, params: PyTree, *, products: int = PRODUCTS) -> Array:
    r"""The largest eigenvalue of the Hessian, :math:`\lambda_{max}(\nabla^2 f)`: `[]`.

    The largest in the algebraic sense, whatever the size of negative ones. It comes by `optlab.krylov.recursion` from a
    random direction, from below but for rounding. One linearization of the gradient serves all products, and no more
    than three vectors are kept. Gradient descent at rate a is stable up to 2 / a (Cohen et al. 2021).
    """
    product, start = _hessian(problem, params)
    return ritz_values(*recursion(product, start, products))[-1]


def top_eigenvalues(problem: Problem, params: PyTree, *, k: int = 3, products: int = PRODUCTS) -> Array:
    """The k largest eigenvalues of the Hessian, the largest first, and then the smallest: `[k + 1]`.

    Of a problem with fewer parameters all, and the smallest again. They come from inside the spectrum, the ends first,
    by Lanczos' method with reorthogonalization: it keeps as many vectors as there are products.
    """
    product, start = _hessian(problem, params)
    found = lanczos(product, start, products)
    values = ritz_values(found.alpha, found.beta)
    return jnp.concatenate([values[::-1][:k], values[:1]])


def hessian_trace(problem: Problem, params: PyTree, *, products: int = PRODUCTS) -> Array:
    """The trace of the Hessian, the mean of v^T H v over vectors of random signs (Hutchinson 1990): `[]`."""
    product, start = _hessian(problem, params)
    return jnp.mean(quadratic_forms(product, start, jax.random.key(0), products))


def negative_curvature(
    problem: Problem, params: PyTree, *, vectors: int = VECTORS, products: int = PRODUCTS, flat: float = FLAT
) -> Array:
    """The share of the Hessian's eigenvalues below `-flat` times the largest absolute one: `[]`.

    By stochastic Lanczos quadrature from `vectors` of random signs, `products` each (Ghorbani et al. 2019). Each vector
    sees eigenvalues by its own weights, a random error about the square root of 2 / (vectors x parameters).
    """
    product, start = _hessian(problem, params)

    def seen(key):
        signs = jax.random.rademacher(key, start.shape, start.dtype)
        return negative_weight(*quadrature(*recursion(product, signs, products)), flat)

    return jnp.mean(lax.map(seen, jax.random.split(jax.random.key(0), vectors)))


def _hessian(problem: Problem, params: PyTree) -> tuple[Callable[[Array], Array], Array]:
    """v -> H v on vectors on the one batch, and a random direction to begin with: `[d]`."""
    batch = fixed_batch(problem)
    x, unravel = ravel_pytree(params)
    _, product = jax.linearize(jax.grad(lambda x: problem.loss(unravel(x), batch)), x)
    return product, jax.random.normal(jax.random.key(0), x.shape, x.dtype)


def gradient_noise_scale(problem: Problem, params: PyTree, *, batches: int = BATCHES) -> Array:
    r"""How many batches must be averaged until the noise of the gradient is as large as the gradient: `[]`.

    .. math:: \mathrm{tr}\, \mathrm{Cov}(g) / |\nabla f|^2

    with g the gradient of one batch of the problem's own size B. Times B it is the simple noise scale in examples,
    tr(Sigma) / |G|^2 (for batches without replacement out of n less a factor (n - B) / (n - 1)). Both parts are
    estimated without bias, from single batches and from the mean of all K of them:

    .. math::
        \mathrm{tr}\, \mathrm{Cov} &= (\overline{|g_k|^2} - |\bar g|^2) / (1 - 1/K) \\
        |\nabla f|^2 &= (K |\bar g|^2 - \overline{|g_k|^2}) / (K - 1)

    It is zero for a problem without chance, and infinite where these batches do not tell the gradient from zero.
    Source: McCandlish et al., An empirical model of large-batch training (2018), equations A.2 and A.3.
    """
    if problem.batch is full_batch:
        return jnp.zeros((), ravel_pytree(params)[0].dtype)

    def seen(total, key):
        grad = ravel_pytree(jax.grad(problem.loss)(params, problem.batch(problem.data, key)))[0]
        return total + grad, grad @ grad

    keys = jax.random.split(jax.random.key(0), batches)
    total, squares = lax.scan(seen, jnp.zeros_like(ravel_pytree(params)[0]), keys)
    mean = total / batches
    single, joint = jnp.mean(squares), mean @ mean
    noise = (single - joint) / (1 - 1 / batches)
    slope = (batches * joint - single) / (batches - 1)
    return jnp.where(slope <= 0, jnp.where(noise <= 0, 0, jnp.inf), noise / slope)


def gradient_variance(problem: Problem, params: PyTree) -> Array:
    """The variance of the gradient's entries within each layer, on the one batch: `[layers]`.

    That of a good initialization is alike in all of them (Glorot and Bengio 2010, equation 6).
    """
    grad = jax.grad(problem.loss)(params, fixed_batch(problem))
    parts = by_layer(grad).values()
    return jnp.stack([jnp.var(ravel_pytree(leaves)[0]) for leaves in parts])


def layer_names(params: PyTree) -> list[str]:
    """The layers that a vector by layer speaks of, in its order: ``conv1, conv2, dense1, head``.

    A layer holds the parameters that share a dictionary (`kernel` and `bias`); one within another is called ``outer/
    inner``. In alphabetical order, but numbers by their size: parameters do not know in which order they are used.
    """
    return list(by_layer(params))


def by_layer(params: PyTree) -> dict[str, list[Array]]:
    """The parameters of each layer, in the order of `layer_names`."""
    found: dict[str, list[Array]] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        found.setdefault(jax.tree_util.keystr(path[:-1], simple=True, separator="/"), []).append(leaf)
    return {name: found[name] for name in sorted(found, key=by_number)}


def by_number(name: str) -> list[tuple[int, str]]:
    """A key to sort names by: numbers within them count by their size."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def fixed_batch(problem: Problem) -> PyTree:
    """The batch on which all probes look, at every step: the whole data where a problem has no chance in it."""
    return problem.batch(problem.data, jax.random.key(0))
