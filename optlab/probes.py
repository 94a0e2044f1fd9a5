"""What the experimenter may ask of a point: each probe is one more column of the trace.

What is asked of a step is asked on one batch, the same at every step: the whole data where a problem has no chance in
it. What is told by layer is a vector, an entry for each layer in the order of `layer_names`; in the table of curves it
is a list, or columns ``name_0, name_1, ...`` for up to three layers.
"""

import re

import jax
import jax.numpy as jnp
from jax import lax
from jax.flatten_util import ravel_pytree

from optlab.types import Array, Problem, PyTree, full_batch

#: Hessian-vector products for a largest eigenvalue.
PRODUCTS = 32

#: Batches by which the noise of gradients is estimated.
BATCHES = 32


def position(problem: Problem, params: PyTree) -> Array:
    """The parameters as one vector: `[d]`."""
    del problem
    return ravel_pytree(params)[0]


def sharpness(problem: Problem, params: PyTree, *, products: int = PRODUCTS) -> Array:
    r"""The largest eigenvalue of the Hessian, :math:`\lambda_{max}(\nabla^2 f)`: `[]`.

    The largest in the algebraic sense, whatever the size of negative ones. It comes by Lanczos' recursion from a
    random direction,

    .. math:: \beta_{k+1} v_{k+1} = H v_k - \alpha_k v_k - \beta_k v_{k-1}, \qquad \alpha_k = v_k^T H v_k,

    as the largest eigenvalue of the tridiagonal matrix of all alpha and beta, which is never above that of H but for
    rounding. One linearization of the gradient serves all products, and no more than three vectors are kept: without
    reorthogonalization eigenvalues may appear twice, which leaves the largest what it is (Paige 1972). Gradient
    descent at rate a is stable up to 2 / a (Cohen et al. 2021).
    """
    batch = _fixed_batch(problem)
    x, unravel = ravel_pytree(params)
    _, product = jax.linearize(jax.grad(lambda x: problem.loss(unravel(x), batch)), x)
    first = jax.random.normal(jax.random.key(0), x.shape, x.dtype)

    def step(carry, _):
        v, before, beta = carry
        w = product(v) - beta * before
        alpha = w @ v
        w = w - alpha * v
        beta = jnp.linalg.norm(w)
        return (w / jnp.where(beta > 0, beta, 1), v, beta), (alpha, beta)

    begun = (first / jnp.linalg.norm(first), jnp.zeros_like(x), jnp.zeros((), x.dtype))
    _, (alpha, beta) = lax.scan(step, begun, length=products)
    # Where the recursion has come to its end nothing is left to be seen; a value within the spectrum fills the rest.
    going = jnp.cumprod(jnp.concatenate([jnp.ones(1, bool), beta[:-1] > 0])).astype(bool)
    diagonal = jnp.where(going, alpha, alpha[0])
    return jnp.linalg.eigvalsh(jnp.diag(diagonal) + jnp.diag(beta[:-1], 1) + jnp.diag(beta[:-1], -1))[-1]


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
    grad = jax.grad(problem.loss)(params, _fixed_batch(problem))
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


def _fixed_batch(problem: Problem) -> PyTree:
    return problem.batch(problem.data, jax.random.key(0))
