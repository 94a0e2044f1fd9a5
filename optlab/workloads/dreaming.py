"""Inputs that excite a unit of a network: the weights stay, the picture is what is descended."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from optlab.types import Array, Problem, PyTree, full_batch
from optlab.workloads.activations import layer_outputs
from optlab.workloads.data import Dataset, standardised, whole
from optlab.workloads.forward import forward
from optlab.workloads.initializers import SCHEMES, parameters_drawn
from optlab.workloads.networks_plain import one_of
from optlab.workloads.paths import flat
from optlab.workloads.training import CALIBRATION
from optlab.workloads.transfer import begun_with, overlaid

__all__ = ["dreaming"]


def dreaming(
    *,
    network: nn.Module,
    data: Dataset,
    parameters: str = "",
    layer: str = "head",
    unit: int = 0,
    weight_decay: float | Array = 0.05,
    noise: float | Array = 0.1,
    init: str = "he",
) -> Problem:
    """The input that a unit of a network answers most strongly to, of those that are not too bright.

    ``f(x) = -a(x) + weight_decay / 2 |x|^2``

    x is the standardised picture `[H, W, C]`, drawn as noise of a size; a(x) is what the unit sums up before its
    activation, of a convolution the mean over all places. Without the penalty most units have no largest answer: they
    are linear far out. Measured are ``value`` and ``activation``.

    Args:
      network: a `flax.linen.Module`; batch normalisation takes the statistics of the data.
      data: what the network was trained on; its shape and scale are those of the picture.
      parameters: folder of the saved parameters of a run (told ``save=true``); without, the network is untrained.
      layer: a dense or convolutional one by its name, ``head`` the last.
      unit: number of the unit or channel in it.
      weight_decay: the price of brightness.
      noise: standard deviation of each pixel to begin with.
      init: how the untrained network is drawn.

    Raises:
      ValueError: for a layer, a unit or a scheme that there is not.

    Source: Erhan et al., Visualizing higher-layer features of a deep network (2009); Simonyan, Vedaldi and Zisserman,
    Deep inside convolutional networks (2014), section 2.
    """
    shape = data.train.inputs.shape[1:]
    net = forward(network, shape)
    kernels = {"/".join(path[:-1]): leaf.shape for path, leaf in flat(net.shapes).items() if path[-1] == "kernel"}
    one_of("layer", layer, tuple(kernels))
    one_of("init", init, tuple(SCHEMES))
    units = kernels[layer][-1]
    if whole(unit, "the number of a unit") >= units:
        raise ValueError(f"{layer} has the units 0 to {units - 1}, not {unit}")
    known = begun_with(net, parameters, ())

    @jax.jit
    def weights(calibration: Array) -> tuple[PyTree, PyTree]:
        params = overlaid(parameters_drawn(net.shapes, init, 1.0, jax.random.key(0)), known)
        return params, net.calibrate(params, calibration)

    def activation(image: Array, held: tuple[PyTree, PyTree]) -> Array:
        found = layer_outputs(lambda: net.evaluate(*held, image[None]))
        return jnp.mean(found[layer][..., int(unit)])

    def loss(image: Array, held: tuple[PyTree, PyTree]) -> Array:
        return -activation(image, held) + 0.5 * weight_decay * jnp.sum(image**2)

    return Problem(
        init=lambda key: noise * jax.random.normal(key, shape),
        batch=full_batch,
        loss=loss,
        measure=lambda image, held: {"value": loss(image, held), "activation": activation(image, held)},
        data=weights(standardised(data.train.inputs[:CALIBRATION], data.mean, data.scale)),
    )
