"""Stability maps: where in a plane of two numbers (rate, momentum, scale of the start) training comes down, stays or
diverges; and where theory draws the line."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

import optlab.lapack as lapack
from optlab.landscape.outcomes import Build, by_blocks, outcomes
from optlab.probes import sharpness
from optlab.run import GTOL
from optlab.types import Array, Problem, PyTree, Surface

__all__ = ["StabilityMap", "largest_stable_rate", "stability_map"]


class StabilityMap(NamedTuple):
    """How runs end over a plane of two numbers; rows go along y."""

    x: np.ndarray  #: values of the first number: `[n]`
    y: np.ndarray  #: values of the second number: `[m]`
    status: np.ndarray  #: a `Status`: `[m, n]`
    steps: np.ndarray  #: updates made: `[m, n]`
    value: np.ndarray  #: the loss at the end: `[m, n]`
    speed: np.ndarray  #: below zero where the loss came down, above where not; the smaller in size the faster: `[m, n]`


class Law(NamedTuple):
    """The largest stable rate of a method on a quadratic."""

    factor: Callable[[Array | float], Array | float]  #: momentum -> the rate times the largest curvature
    text: str  #: the formula


#: method: its law. Each follows from the roots of the method's characteristic polynomial in the direction of the
#: largest curvature: z^2 - (1 + b - a c) z + b for heavy ball leaves the unit disk at z = -1, where a c = 2 (1 + b).
LAWS: dict[str, Law] = {
    "gradient_descent": Law(lambda beta: 2 + 0 * beta, "2 / λ"),
    "heavy_ball": Law(lambda beta: 2 * (1 + beta), "2 (1 + β) / λ"),
    "momentum": Law(lambda beta: 2 * (1 + beta) / (1 - beta), "2 (1 + β) / ((1 − β) λ)"),
    "nesterov": Law(lambda beta: 2 * (1 + beta) / (1 + 2 * beta), "2 (1 + β) / ((1 + 2 β) λ)"),
}


def largest_stable_rate(method: str, curvature: Array | float, momentum: Array | float = 0.0) -> Array | float:
    r"""The learning rate beyond which a method diverges on a quadratic with this largest eigenvalue.

    .. math::
        \text{gradient descent} \quad & 2 / \lambda \\
        \text{heavy ball} \quad & 2 (1 + \beta) / \lambda \\
        \text{momentum (moving average)} \quad & 2 (1 + \beta) / ((1 - \beta) \lambda) \\
        \text{Nesterov} \quad & 2 (1 + \beta) / ((1 + 2 \beta) \lambda)

    for momenta from 0 to below 1. On other functions it holds near a minimum, with the Hessian there, and says where a
    minimum is left; from afar a run may diverge before.

    Args:
      method: a key of `LAWS`: ``gradient_descent``, ``heavy_ball``, ``momentum`` or ``nesterov``.
      curvature: lambda, the largest eigenvalue of the Hessian: `[...]`.
      momentum: beta: `[...]`.

    Raises:
      ValueError: for another method.

    Source: Polyak, Some methods of speeding up the convergence of iteration methods (1964), section 2 (theorem 9 has
    the triangle); for Nesterov's: Cohen et al., Gradient descent on neural networks typically occurs at the edge of
    stability (2021), equation 1 and appendix B.
    """
    if method not in LAWS:
        raise ValueError(f"the largest stable rate is known for {', '.join(LAWS)}, not for {method!r}")
    return LAWS[method].factor(momentum) / curvature


def curvature_at_minimum(surface: Surface) -> Array | None:
    """The largest eigenvalue of the Hessian at the stated global minimum: `[]`; None where none is stated."""
    if not surface.points or surface.points[0].kind != "minimum":
        return None
    return lapack.eigh(jax.hessian(surface.fn)(jnp.asarray(surface.points[0].x, float)))[0][-1]


def curvature_at_start(problem: Problem, key: Array) -> Array:
    """The largest eigenvalue of the Hessian of the loss at the initial parameters: `[]`."""
    params = problem.init(key)
    size = ravel_pytree(params)[0].size
    return sharpness(problem, params, products=min(size, 32))


def stability_map(
    build: Build,
    x: Mapping[str, Array],
    y: Mapping[str, Array],
    *,
    steps: int,
    numbers: Mapping[str, float] | None = None,
    seed: int = 0,
    data: PyTree = (),
    gtol: float = GTOL,
    lanes: int | None = None,
    rows: int | None = None,
) -> StabilityMap:
    """One run for each pair of two numbers, all from the same key: who comes down, who stays, who diverges, how fast.

    Args:
      build: (numbers) -> problem, optimizer; traced. Networks take their full batch, or batches by the key.
      x, y: {name: `[n]`} and {name: `[m]`}, a name each: what varies.
      steps: the budget.
      numbers: further numbers, the same for all.
      seed: decides initialization and batches, for all runs alike: the map is one of the two numbers alone.
      data: the problem's data, where it has some.
      gtol, lanes, rows: see `outcomes`; so are status and speed.

    Returns:
      A `StabilityMap`. For a closer look give narrower x and y: the boundary may have structure at every scale.

    Raises:
      ValueError: for more or less than one name in x or y, or the same in both, or a budget below 1.

    Source: Sohl-Dickstein, The boundary of neural network trainability is fractal (2024).
    """
    if len(x) != 1 or len(y) != 1 or set(x) == set(y):
        raise ValueError("a map is over two different numbers, one along x and one along y")
    ((x_name, across),), ((y_name, along),) = x.items(), y.items()
    across, along = np.asarray(across, float), np.asarray(along, float)
    plane = {x_name: np.tile(across, len(along)), y_name: np.repeat(along, len(across))}
    plane |= {name: np.full(len(across) * len(along), number) for name, number in (numbers or {}).items()}
    order = by_blocks(len(along), len(across))
    plane = {name: column[order] for name, column in plane.items()}
    found = outcomes(
        build, plane, steps=steps, seeds=seed, data=data, keep=("speed",), gtol=gtol, lanes=lanes, rows=rows
    )
    back = np.argsort(order)
    parts = (found.status, found.steps, found.value, found.speed)
    return StabilityMap(across, along, *(part[back].reshape(len(along), len(across)) for part in parts))
