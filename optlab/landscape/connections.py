"""Between two solutions: the straight line, and a curve of low loss."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from optlab.landscape.directions import Plane
from optlab.landscape.slices import values_on
from optlab.types import Array, Problem, PyTree

__all__ = ["Curve", "barrier", "bezier_point", "connect", "line_between", "values_along"]


class Curve(NamedTuple):
    """A quadratic Bezier curve between two solutions."""

    first: PyTree
    bend: PyTree  #: the point that pulls the curve
    second: PyTree


def line_between(first: PyTree, second: PyTree) -> Plane:
    """The line with the first at coordinate 0 and the second at 1.

    Goodfellow, Vinyals, Saxe, Qualitatively characterizing neural network optimization problems (2015).
    """
    return Plane(first, (jax.tree.map(jnp.subtract, second, first),))


def bezier_point(curve: Curve, t: Array) -> PyTree:
    r"""Its point at t: :math:`\phi(t) = (1-t)^2 \theta_1 + 2 t (1-t) \theta + t^2 \theta_2`."""

    def at(a: Array, bend: Array, b: Array) -> Array:
        s = jnp.asarray(t, a.dtype)
        return (1 - s) ** 2 * a + 2 * s * (1 - s) * bend + s**2 * b

    return jax.tree.map(at, *curve)


def connect(
    problem: Problem,
    first: PyTree,
    second: PyTree,
    *,
    key: Array,
    steps: int = 1000,
    learning_rate: float = 0.01,
    points: int = 4,
) -> Curve:
    r"""The curve of least mean loss between two solutions, from the straight line on.

    .. math:: \min_\theta E_{t \sim U(0, 1)}\, L(\phi(t))

    by Adam under a cosine schedule; each step sees `points` places along the curve, one in each equal part, on one
    batch. Source: Garipov, Izmailov, Podoprikhin, Vetrov, Wilson (2018), eqs. 2 and 5.
    """
    optimizer = optax.adam(optax.cosine_decay_schedule(learning_rate, steps))
    parts = jnp.arange(points)

    def mean_loss(bend: PyTree, key: Array, data: PyTree) -> Array:
        along, drawn = jax.random.split(key)
        batch = problem.batch(data, drawn)
        places = (parts + jax.random.uniform(along, (points,))) / points
        losses = lax.map(lambda t: problem.loss(bezier_point(Curve(first, bend, second), t), batch), places)
        return jnp.mean(losses)

    def step(carry, key, data):
        bend, state = carry
        updates, state = optimizer.update(jax.grad(mean_loss)(bend, key, data), state, bend)
        return optax.apply_updates(bend, updates), state

    def train(bend: PyTree, keys: Array, data: PyTree) -> PyTree:
        begun = (bend, optimizer.init(bend))
        return lax.scan(lambda carry, key: (step(carry, key, data), None), begun, keys)[0][0]

    middle = jax.tree.map(lambda a, b: (a + b) / 2, first, second)
    bend = jax.jit(train)(middle, jax.random.split(key, steps), jax.device_put(problem.data))
    return Curve(first, bend, second)


def values_along(
    problem: Problem, curve: Curve, t: np.ndarray, *, statistics: str = "recomputed"
) -> dict[str, np.ndarray]:
    """Losses and scores at places `t: [N]` of a curve, which lies in the plane of its three points: {name: `[N]`}."""
    directions = tuple(jax.tree.map(jnp.subtract, end, curve.first) for end in (curve.bend, curve.second))
    coordinates = np.stack([2 * t * (1 - t), t**2], axis=1)
    return values_on(problem, Plane(curve.first, directions), coordinates, statistics=statistics)


def barrier(values: np.ndarray, t: np.ndarray) -> float:
    """How far the loss rises above the straight line between the losses of the ends: the most over all places."""
    return float(np.max(values - ((1 - t) * values[0] + t * values[-1])))
