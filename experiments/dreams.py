"""Pictures that units of a small network ask for: many at once, by any optimizer, and judged by other networks."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import optlab
from optlab import workloads
from optlab.types import Array, Problem, PyTree, full_batch

PRICE = 0.05
WHEN = (1, 2, 3, 5, 7, 10, 14, 20, 30, 40, 50, 70, 100)
#: Rate times price, and momentum. Within a linear piece the curvature is the price c, and 1/c is Newton's step.
DESCENTS = {"descent, 1/c": (1.0, 0.0), "descent, 0.1/c": (0.1, 0.0), "heavy ball": (0.1, 0.8)}


def outputs(params: PyTree, images: Array) -> dict[str, Array]:
    """What each layer sums up of some pictures, before its activation: `[n, ..., units]`."""
    width = params["conv1"]["kernel"].shape[-1] / 64
    network = workloads.alexnet(depth=5, width=width, norm="none")
    return workloads.layer_outputs(lambda: network.apply({"params": params}, images))


outputs_of = jax.jit(outputs)


class Wish(NamedTuple):
    """What is asked of a picture: that a unit of a network answers strongly, for a price of brightness."""

    params: PyTree
    unit: Any
    price: Any = PRICE


def wishes(params: Sequence[PyTree], units: int, prices: Sequence[float] = (PRICE,)) -> Wish:
    """A wish for each price, network and one of its first units, in this order: all with a leading axis."""
    rows = [Wish(p, np.int32(unit), np.float32(c)) for c in prices for p in params for unit in range(units)]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *rows)


def dreaming(layer: str) -> Problem:
    """`optlab.workloads.dreaming` with network, unit and price as data, so that all dreams are one program."""

    def activation(image: Array, wish: Wish) -> Array:
        return jnp.mean(outputs(wish.params, image[None])[layer][..., wish.unit])

    def loss(image: Array, wish: Wish) -> Array:
        return -activation(image, wish) + 0.5 * wish.price * jnp.sum(image**2)

    return Problem(
        init=lambda key: 0.1 * jax.random.normal(key, (32, 32, 3), jnp.float32),
        batch=full_batch,
        loss=loss,
        measure=lambda image, wish: {"value": loss(image, wish), "activation": activation(image, wish)},
    )


def dreams(
    layer: str, asked: Wish, optimizer: Callable, numbers: Sequence[Array] = (), *, steps: int = WHEN[-1], record=WHEN
) -> dict[str, np.ndarray]:  # fmt: skip
    """Climbs from noise, side by side: the trace, and the pictures at the end as ``image``, `[n, 32, 32, 3]`.

    optimizer: made of each run's `numbers`, columns `[n]`. Each unit begins from the same noise in all networks.
    """
    problem = dreaming(layer)

    def one(wish: Wish, own: Sequence[Array]) -> dict[str, Array]:
        key = jax.random.fold_in(jax.random.key(0), wish.unit)
        return optlab.run(problem._replace(data=wish), optimizer(*own), key, steps=steps, record=record)

    trace = jax.jit(jax.vmap(one))(asked, tuple(jnp.asarray(column, jnp.float32) for column in numbers))
    found = {name: np.asarray(column) for name, column in trace.items()}
    return found | {"image": found["x"][:, -1].reshape(-1, 32, 32, 3)}


def adam(rate: float = 0.1) -> optax.GradientTransformation:
    return optax.adam(rate)


def climbs(params: PyTree, units: int = 10) -> dict[str, dict[str, np.ndarray]]:
    """The traces of each method on the same units of one network."""
    alone, moving = wishes([params], units), wishes([params] * len(DESCENTS), units)
    rate, momentum = np.repeat(np.array(list(DESCENTS.values())), units, axis=0).T
    trace = dreams("head", moving, lambda a, m: optlab.heavy_ball(a, momentum=m), (rate / PRICE, momentum))
    parts = {name: {key: column[k * units : (k + 1) * units] for key, column in trace.items()}
             for k, name in enumerate(DESCENTS)}  # fmt: skip
    return parts | {"adam": dreams("head", alone, adam), "lbfgs": dreams("head", alone, optlab.lbfgs)}


def reached(traces: dict[str, dict[str, np.ndarray]]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Evaluations, and the share of the best objective of any method that is reached then: the median over units."""
    best = np.min([trace["best_value"][:, -1] for trace in traces.values()], axis=0)
    return {name: (np.median(trace["n_grad"], axis=0), np.median(trace["best_value"] / best[:, None], axis=0))
            for name, trace in traces.items()}  # fmt: skip


def lengths(images: np.ndarray) -> np.ndarray:
    return np.sqrt(np.sum(images**2, axis=(1, 2, 3)))


def named(params: PyTree, images: np.ndarray) -> np.ndarray:
    """The class that a network sees in each picture: `[n]`."""
    return np.asarray(outputs_of(params, images)["head"]).argmax(axis=1)


def strongest(params: PyTree, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each unit of the head the picture with the largest answer for its length, and that answer: `[10]` each."""
    answers = np.asarray(outputs_of(params, images)["head"]) / lengths(images)[:, None]
    return answers.argmax(axis=0), answers.max(axis=0)


def judgements(networks: Sequence[PyTree], dreamed: np.ndarray) -> np.ndarray:
    """How many of the ten dreams of a network (row) another one (column) names by the unit that was asked for."""
    units = np.arange(dreamed.shape[1])
    return np.array([[np.sum(named(judge, images) == units) for judge in networks] for images in dreamed])
