"""Small networks as they are trained, and planes through the space of their weights, to look at."""

import math
from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np

from optlab.types import Array, Point, Surface


def _drawn(sizes: Sequence[int], state: np.random.RandomState) -> np.ndarray:
    """Random weights and biases of tanh layers of these sizes, one vector; weights scaled by fan-in: `[d]`."""
    layers = zip(sizes[:-1], sizes[1:], strict=True)
    return np.concatenate(
        [part for i, o in layers for part in (state.normal(size=i * o) * i**-0.5, state.normal(size=o))]
    )


def _outputs(weights: Array, inputs: Array, sizes: Sequence[int], tanh: Callable = jnp.tanh) -> Array:
    """What tanh layers answer: weights `[d]`, a row for each layer's weights and biases in turn; inputs `[n, i]`."""
    for i, o in zip(sizes[:-1], sizes[1:], strict=True):
        matrix, bias, weights = weights[: i * o].reshape(i, o), weights[i * o : (i + 1) * o], weights[(i + 1) * o :]
        inputs = tanh(inputs @ matrix + bias[None, :])
    return inputs


def _lesson(sizes: Sequence[int], patterns: int = 32):
    """Residuals of a pupil's weights, the weights of the teacher: `[d]`, and the state to draw on from.

    RandomState, because its numbers are promised never to change: the stated points hang on them.
    """
    state = np.random.RandomState(0)
    inputs, teacher = state.normal(size=(patterns, sizes[0])), _drawn(sizes, state)
    answers = _outputs(teacher, inputs, sizes, np.tanh)

    def residual(weights):
        given, wanted = (jnp.asarray(array, weights.dtype) for array in (inputs, answers))
        return math.sqrt(2 / patterns) * (_outputs(weights, given, sizes) - wanted).ravel()

    return residual, teacher, state


def _in_plane(residual: Callable[[Array], Array], centre: np.ndarray, first: np.ndarray, second: np.ndarray):
    def seen(p):
        middle, u, v = (jnp.asarray(array, p.dtype) for array in (centre, first, second))
        return residual(middle + p[0] * u + p[1] * v)

    return seen


def three_layer_network() -> Surface:
    """A network of 5, 8 and 2 units that learns from another one, on 32 Gaussian inputs.

    ``f(x) = 1/32 sum_p |y(x, a_p) - y(x*, a_p)|^2`` with ``y(x, a) = tanh(V tanh(W a + b) + c)``

    66 weights and biases; the teacher's are a minimum. `three_layer_weights` and `three_layer_directions` look at
    the same lesson in a plane.
    """
    residual, teacher, state = _lesson((5, 8, 2))
    start = _drawn((5, 8, 2), state)
    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=start.tolist(),
        domain=([-4.0] * 66, [4.0] * 66),
        points=(Point(teacher.tolist(), 0.0, "minimum"),),
        residual=residual,
        tags=("plateau", "saddle", "manifold-of-minima", "least-squares"),
        source="after Rumelhart, Hinton and Williams 1986",
    )


def three_layer_weights() -> Surface:
    """The error of an untrained network of 5, 8 and 2 units over two weights of its first layer.

    ``f(p) = g(x_0 + p_1 e_1 + p_2 e_9)`` with g and its start x_0 of `three_layer_network`

    The two weights lead from the first two inputs to one hidden unit; p are their values. Where the unit is saturated
    f depends on their ratio alone: valleys and ridges run outwards for ever.
    """
    residual, _, state = _lesson((5, 8, 2))
    axes = np.eye(66)[[0, 8]]
    residual = _in_plane(residual, _drawn((5, 8, 2), state) * (1 - axes.sum(axis=0)), *axes)
    return Surface(
        fn=lambda p: 0.5 * jnp.sum(residual(p) ** 2),
        start=[6.0, 6.0],
        domain=([-10.0] * 2, [10.0] * 2),
        points=(
            Point([0.8844012653143744, -0.332637373334804], 0.3808169656224166, "minimum"),
            Point([-1.0170467291949685, -0.09683759994027852], 0.4098107788203652, "minimum"),
            Point([-0.45755107769031383, -0.0004340008160434705], 0.4122802279757578, "saddle", 1),
            Point([1.7200433606726984, 4.6745060441834285], 0.40518643389423814, "saddle", 1),
            Point([2.189570523800343, -5.353080278286341], 0.4175361879432369, "saddle", 1),
            Point([-7.656150527655541, -7.933114358933704], 0.43914234347520764, "saddle", 1),
            Point([-3.8638103683157787, 7.5667399494498575], 0.44514126672446064, "saddle", 1),
        ),
        residual=residual,
        tags=("plateau", "saddle", "multimodal", "nonzero-residual", "least-squares"),
        source="after Widrow and Lehr 1990",
    )


def three_layer_directions() -> Surface:
    """The error of a trained network of 5, 8 and 2 units over two random directions.

    ``f(p) = g(x* + p_1 u + p_2 v)`` with g and its minimum x* of `three_layer_network`

    u and v are drawn like the weights themselves: at p = (1, 0) as much is added as was there.
    """
    sizes = (5, 8, 2)
    residual, teacher, state = _lesson(sizes)
    _drawn(sizes, state)  # the start of `three_layer_network`
    residual = _in_plane(residual, teacher, _drawn(sizes, state), _drawn(sizes, state))
    return Surface(
        fn=lambda p: 0.5 * jnp.sum(residual(p) ** 2),
        start=[-1.5, -1.5],
        domain=([-2.0] * 2, [2.0] * 2),
        points=(Point([0.0, 0.0], 0.0, "minimum"),),
        residual=residual,
        tags=("plateau", "valley", "least-squares"),
        source="after Li et al. 2018",
    )


def mlp_slice() -> Surface:
    """The error of a network with two hidden layers over two random directions: many minima and saddles.

    ``f(p) = g(x* + p_1 u + p_2 v)`` with ``g(x) = 1/32 sum_i |y(x, a_i) - y(x*, a_i)|^2``

    y has 2, 8, 8 and 1 tanh units. A line through the weights bends all features at once: what has one basin
    in its 105 dimensions may have several in a plane.
    """
    sizes = (2, 8, 8, 1)
    residual, teacher, state = _lesson(sizes)
    residual = _in_plane(residual, teacher, _drawn(sizes, state), _drawn(sizes, state))
    return Surface(
        fn=lambda p: 0.5 * jnp.sum(residual(p) ** 2),
        start=[2.0, 2.0],
        domain=([-3.0] * 2, [3.0] * 2),
        points=(
            Point([0.0, 0.0], 0.0, "minimum"),
            Point([-1.3674995242037424, -1.5689232614814983], 0.19427290639630562, "minimum"),
            Point([1.5807712074135232, -2.0969636539330616], 0.27150475396541573, "minimum"),
            Point([2.7972377795408, 1.8486233425815213], 0.5341588730760136, "minimum"),
            Point([-0.9818014302582555, -1.227831370655221], 0.2135954356029657, "saddle", 1),
            Point([-1.482223904535852, 2.7063687827361074], 0.27524402007294446, "saddle", 1),
            Point([1.037065876663271, -1.3638908358506272], 0.2962511272009807, "saddle", 1),
            Point([-1.7599115771427498, -2.9449825313141496], 0.3032795549572164, "saddle", 1),
            Point([0.9415471255488503, 1.4742025320626733], 0.4435130703332501, "saddle", 1),
            Point([-0.7745568308915185, -2.954379723573805], 0.4604784294067539, "saddle", 1),
            Point([2.513129961723016, 1.7151715744685712], 0.5365185979495222, "saddle", 1),
            Point([2.795615812557517, 1.5767230493162434], 0.5420982708289598, "saddle", 1),
            Point([-0.9219748081877523, -2.639853991959302], 0.46534208127935, "maximum", 2),
            Point([2.497366905453237, 1.3985505470167112], 0.5450348421419342, "maximum", 2),
        ),
        residual=residual,
        tags=("saddle", "multimodal", "maximum", "least-squares"),
        source="after Li et al. 2018",
    )
