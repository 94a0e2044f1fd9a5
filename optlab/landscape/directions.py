r"""Lines and planes through the parameters of any problem, and where points lie on them.

A plane is its origin and one or two directions, trees like the parameters. Directions need not be orthogonal: random
ones that are scaled filter by filter are nearly so in many dimensions, and making them so would undo their scales.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from optlab.types import Array, PyTree

__all__ = [
    "NORMALIZATIONS",
    "Plane",
    "PrincipalPlane",
    "cosine",
    "filter_normalized",
    "layer_normalized",
    "located",
    "model_normalized",
    "place",
    "principal_plane",
    "random_plane",
    "random_walk",
    "through",
]


class Plane(NamedTuple):
    """A line or a plane: origin + a u (+ b v)."""

    origin: PyTree  #: like the parameters
    directions: tuple[PyTree, ...]  #: one or two, like the parameters


class PrincipalPlane(NamedTuple):
    """The plane in which a path moves most."""

    plane: Plane  #: through the last point of the (first) path; its directions have length 1 and are orthogonal
    explained: np.ndarray  #: shares of the path's variance along all its principal directions, descending


def place(plane: Plane, coordinates: Array) -> PyTree:
    """The parameters at `coordinates: [k]`."""

    def moved(origin: Array, *along: Array) -> Array:
        return origin + sum(jnp.asarray(c, origin.dtype) * u for c, u in zip(coordinates, along, strict=True))

    return jax.tree.map(moved, plane.origin, *plane.directions)


def located(plane: Plane, params: PyTree) -> tuple[np.ndarray, float]:
    r"""Coordinates of the plane's point that is nearest to the parameters, `[k]`, and the distance to it.

    .. math:: \min_c |\theta - \theta_0 - U c|

    by least squares, so that directions need not be orthogonal.
    """
    U = np.stack([_vector(u) for u in plane.directions], axis=1)
    offset = _vector(params) - _vector(plane.origin)
    coordinates = np.linalg.lstsq(U, offset, rcond=None)[0]
    return coordinates, float(np.linalg.norm(offset - U @ coordinates))


def cosine(plane: Plane) -> float:
    """Of the angle between the two directions; 0 for a line."""
    if len(plane.directions) < 2:
        return 0.0
    u, v = (_vector(u) for u in plane.directions)
    return float(u @ v / (np.linalg.norm(u) * np.linalg.norm(v)))


def filter_normalized(direction: PyTree, params: PyTree) -> PyTree:
    r"""The direction with each filter as long as that of the parameters, and zero in one-dimensional leaves.

    .. math:: d_{i,j} \leftarrow \frac{d_{i,j}}{|d_{i,j}|} |\theta_{i,j}|

    for filter j of layer i: a kernel's last axis counts filters (`HWIO`, `IO`), so that its norm is taken over all
    others. Biases and the scales of normalisation layers do not move: what they do depends on the filters. A network
    whose filters are rescaled, its output unchanged, keeps its landscape.

    Source: Li, Xu, Taylor, Studer, Goldstein, Visualizing the loss landscape of neural nets (2018), section 4.
    """

    def scaled(d: Array, p: Array) -> Array:
        if p.ndim < 2:
            return jnp.zeros_like(d)
        axes = tuple(range(p.ndim - 1))
        return d * _ratio(jnp.sqrt(jnp.sum(p**2, axes, keepdims=True)), jnp.sqrt(jnp.sum(d**2, axes, keepdims=True)))

    return jax.tree.map(scaled, direction, params)


def layer_normalized(direction: PyTree, params: PyTree) -> PyTree:
    """The direction with each leaf as long as that of the parameters: ``d_i |theta_i| / |d_i|``."""
    return jax.tree.map(lambda d, p: d * _ratio(jnp.sqrt(jnp.sum(p**2)), jnp.sqrt(jnp.sum(d**2))), direction, params)


def model_normalized(direction: PyTree, params: PyTree) -> PyTree:
    """The direction as long as all parameters together."""
    ratio = _ratio(jnp.linalg.norm(ravel_pytree(params)[0]), jnp.linalg.norm(ravel_pytree(direction)[0]))
    return jax.tree.map(lambda d: d * ratio.astype(d.dtype), direction)


def _unchanged(direction: PyTree, params: PyTree) -> PyTree:
    del params
    return direction


#: How a random direction is scaled.
NORMALIZATIONS = {
    "filter": filter_normalized,
    "layer": layer_normalized,
    "model": model_normalized,
    "none": _unchanged,
}


def random_plane(key: Array, params: PyTree, *, normalize: str = "filter", dimensions: int = 2) -> Plane:
    """A plane (or line) through the parameters in directions of independent normal entries.

    Args:
      key: the same one draws the same plane.
      params: its origin.
      normalize: one of `NORMALIZATIONS`.
      dimensions: 1 or 2.

    Raises:
      ValueError: for an unknown normalisation, and for filters where all leaves are one-dimensional.
    """
    if normalize not in NORMALIZATIONS:
        raise ValueError(f"normalize must be one of {', '.join(NORMALIZATIONS)}, not {normalize!r}")
    leaves, structure = jax.tree.flatten(params)
    if normalize == "filter" and all(jnp.ndim(leaf) < 2 for leaf in leaves):
        raise ValueError("there are no filters: all parameters are vectors; take normalize=none (or layer, model)")

    def drawn(key: Array) -> PyTree:
        keys = jax.random.split(key, len(leaves))
        normal = [jax.random.normal(k, jnp.shape(leaf), jnp.asarray(leaf).dtype) for k, leaf in zip(keys, leaves)]  # noqa: B905
        return NORMALIZATIONS[normalize](jax.tree.unflatten(structure, normal), params)

    return Plane(params, tuple(drawn(k) for k in jax.random.split(key, dimensions)))


def principal_plane(paths: Sequence[Sequence[PyTree]]) -> PrincipalPlane:
    """The two principal directions of all points of some paths, about their mean.

    Args:
      paths: parameters on the way of one run, or of several to be seen together.

    Raises:
      ValueError: where the points are fewer than three, or do not span a plane.
    """
    points = [params for path in paths for params in path]
    if len(points) < 3:
        raise ValueError(
            f"a principal plane needs at least 3 recorded steps, and there are {len(points)}: record more of them"
        )
    X = np.stack([_vector(params) for params in points])
    scores, directions = _principal(X - X.mean(axis=0))
    if not scores[0] > 0 or scores[1] <= 1e-12 * scores[0]:
        raise ValueError("the path does not span a plane: all of its points lie on a line")
    origin = paths[0][-1]
    unravel = ravel_pytree(origin)[1]
    plane = Plane(origin, tuple(unravel(jnp.asarray(u)) for u in directions))
    return PrincipalPlane(plane, scores / scores.sum())


def _principal(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squared singular values, descending, and the first two right singular vectors of `X: [T, d]`.

    By the T x T matrix of products where points are fewer than dimensions, which for networks they are.
    """
    if X.shape[0] > X.shape[1]:
        _, sigma, Vt = np.linalg.svd(X, full_matrices=False)
        sigma, Vt = np.pad(sigma, (0, max(0, 2 - len(sigma)))), np.pad(Vt, ((0, max(0, 2 - len(Vt))), (0, 0)))
        return sigma**2, Vt[:2]
    square, left = np.linalg.eigh(X @ X.T)
    order = np.argsort(square)[::-1]
    square, left = np.maximum(square[order], 0), left[:, order]
    directions = left[:, :2].T @ X
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    return square, directions / np.where(lengths > 0, lengths, 1)


def random_walk(path: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    r"""A walk with the path's step lengths in random directions, on its own principal plane: what a path's figure is
    to be compared with.

    In many dimensions a random walk explains shares :math:`6 / (\pi k)^2` of its variance by its k-th principal
    direction, 61 % by the first and 15 % by the second, and draws a smooth arc there (Antognini and Sohl-Dickstein,
    PCA of high dimensional random walks, 2018, eq. 11): an arc alone says nothing of the optimizer.

    Args:
      path: `[T, d]`.
      seed: of NumPy's generator.

    Returns:
      Its coordinates `[T, 2]` from its last point, and the shares of its variance: `[min(T, d)]`.
    """
    steps = np.random.default_rng(seed).standard_normal((len(path) - 1, path.shape[1]))
    lengths = np.linalg.norm(np.diff(path, axis=0), axis=1, keepdims=True)
    steps *= lengths / np.linalg.norm(steps, axis=1, keepdims=True)
    walk = np.concatenate([np.zeros((1, path.shape[1])), np.cumsum(steps, axis=0)])
    scores, directions = _principal(walk - walk.mean(axis=0))
    return (walk - walk[-1]) @ directions.T, scores / max(scores.sum(), 1e-300)


def through(first: PyTree, second: PyTree, third: PyTree) -> Plane:
    """The plane through three parameters, its origin at the first; its directions have length 1 and are orthogonal.

    Raises ValueError where the three lie on a line. Source: Garipov et al., Loss surfaces, mode connectivity, and fast
    ensembling of DNNs (2018), section A.
    """
    origin = _vector(first)
    u, v = _vector(second) - origin, _vector(third) - origin
    length = np.linalg.norm(u)
    v = v - u * (u @ v / length**2) if length else u
    height = np.linalg.norm(v)
    if not length or height <= 1e-9 * length:
        raise ValueError("the three solutions lie on one line: they span no plane")
    unravel = ravel_pytree(first)[1]
    return Plane(first, (unravel(jnp.asarray(u / length)), unravel(jnp.asarray(v / height))))


def _ratio(a: Array, b: Array) -> Array:
    return jnp.where(b > 0, a / jnp.where(b > 0, b, 1), 0)


def _vector(tree: PyTree) -> np.ndarray:
    """All entries as one vector of doubles: `[d]`."""
    return np.concatenate([np.ravel(np.asarray(leaf)).astype(float) for leaf in jax.tree.leaves(tree)])
