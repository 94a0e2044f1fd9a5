"""# Features: what a network has learned

Three ways to look into a trained network: at the weights of its first layer, at what its layers answer to a picture,
and at the picture that a unit would like best. The last is an optimization like the others, with the weights fixed and
the picture as what is descended. The network is small (two convolutions of 8 channels, three dense layers), the data
are made: ten shapes on 32 x 32 colour pixels.

## The claim

{{claims}}

## What is seen

{{filters}}

Both networks have the same draw of weights, one of them times 0.3, and both name about nine of ten shapes.

{{maps}}

The first layer still shows the picture: its inside, what is around it, its edges on one side. The second is coarser and
choosier; channels of it stay silent for whole classes. At the rim both answer to the zeros the picture is padded with.

{{dreams}}

What is dreamed are textures and pieces of edges where shapes have theirs, not shapes: the striped ones ask for a
grating, the cross for strokes. From usual weights the dreams are coloured noise, although this network names pictures
about as well. The pictures of lectures, with eyes and feathers, come from networks trained on ImageNet and from priors
that forbid noise; neither is had here.

{{climb}}

## Why

- *What training adds to a filter* is a sum of patches of pictures, each times an error. The pictures here are
  {{patches}} (as the table below measures filters),
  and so is their sum: smooth, and nearly the same in all three colours, as these shapes differ from what is behind them
  in brightness alone. What was drawn stays: nothing in the loss takes it
  away, and the sum stands out only where little was drawn.
- *A network of ReLUs and maxima is linear in pieces.* Within one, a(x) = g'x + b, and `-a(x) + c |x|^2 / 2` is least at
  `x = g / c`: the dream of a linear unit is its weights over the price c of brightness.
- *The curvature is c in all directions*, but on the kinks. There is nothing for L-BFGS to learn and no valley for
  momentum to follow; what is left are kinks. A step of 1/c is Newton's: exact for a linear unit, it leaves the piece
  whose gradient it trusts. A tenth of it climbs.
- *Brightness.* Without biases a(t x) = t a(x), and a dream is exactly as long as 1/c says; biases make the difference.
- *The strongest picture need not be a likely one.* There are 3,072 directions, and training has seen few of them. A
  unit is free to like what no picture contains, and two networks are free to differ there.

## Measured

The first filters. *Rough*: the mean squared difference of neighbours over twice the mean square, 1 for independent
weights. *Grey*: the share of their squares that is the same in all colours, 1/3 for independent ones.

{{learned}}

The share of the variance of a layer's answers (means over places) that is between the classes of 1,024 training
pictures, the mean of four networks:

{{layers}}

Dreams of ten classes by two seeds each, named as the class they were dreamed for (chance: one in ten):

{{judged}}

A unit is maximized, not its lead over the others: some dreams excite another class still more, in their own network.

## Try

- Does weight decay take away what was drawn? In 300 steps little of it, and small weights lose accuracy:

      $ .venv/bin/optlab experiment=features problem.weight_decay=0.01 name=decayed
      $ .venv/bin/python -c "from experiments.features import *; print(learned(networks(Path('results/decayed'))))"

- Dream of handwritten digits (without `problem.parameters`, of an untrained network):

      $ .venv/bin/optlab problem=lenet_digits optimizer=adam steps=300 save=true name=lenet
      $ .venv/bin/optlab -m problem=dream_digits 'problem.unit=range(0,10)' optimizer=adam \\
          optimizer.learning_rate=0.1 problem.parameters="$(ls -d results/lenet/parameters/*)" steps=200 name=dreamed

- Pay ten times as much for brightness, `problem.weight_decay=0.5` above: these dreams are about half as long, not a
  tenth. LeNet's tanh saturates, so that more brightness hardly excites more.
"""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

import optlab
from experiments.drawing import lines, panels, tiles
from experiments.dreams import (
    PRICE,
    WHEN,
    adam,
    climbs,
    dreams,
    judgements,
    lengths,
    outputs_of,
    reached,
    strongest,
    wishes,
)
from experiments.page import Claim, Picture
from optlab import workloads
from optlab.app.stored_runs import find
from optlab.plots import style
from optlab.types import PyTree

PRICES = (0.0125, PRICE, 0.2)
CHANNEL_PRICE = 0.005  #: of a channel's mean, where each pixel counts for a thousandth
LAYERS = ("conv1", "conv2", "dense1", "dense2", "head")
NAMES = [f"{kind}{shape}" for kind in ("", "striped ") for shape in ("disk", "square", "triangle", "cross", "ring")]


class Network(NamedTuple):
    """A run of the study: its parameters as they were drawn and as training left them."""

    gain: float
    seed: int
    before: PyTree
    after: PyTree
    accuracy: float


def networks(folder: Path) -> list[Network]:
    """The runs of the study, small initial weights first."""
    accuracy = optlab.load(folder).runs.set_index("run_id").validation_accuracy
    found = [
        Network(run.config["problem"]["gain"], run.config["seed"], run.params[0], run.params[-1], accuracy[run.run_id])
        for run in find(folder, [])
    ]
    return sorted(found, key=lambda one: (one.gain, one.seed))


@functools.cache
def pictures() -> tuple[np.ndarray, np.ndarray]:
    """The training pictures of the study, standardised, `[1024, 32, 32, 3]`, and their classes."""
    data = workloads.shapes_classes(count=1024, difficulty=0.25)
    return np.asarray(workloads.standardised(data.train.inputs, data.mean, data.scale)), data.train.targets


def roughness(kernel: np.ndarray) -> float:
    """The mean squared difference of neighbouring weights over twice their mean square: 1 for independent ones."""
    steps = [np.mean(np.diff(kernel, axis=axis) ** 2) for axis in (0, 1)]
    return float(np.mean(steps) / (2 * np.mean(kernel**2)))


def greyness(kernel: np.ndarray) -> float:
    """The share of the weights' squares that is the same in all three colours: 1/3 for independent ones."""
    return float(3 * np.sum(kernel.mean(axis=2) ** 2) / np.sum(kernel**2))


def between_classes(values: np.ndarray, classes: np.ndarray) -> float:
    """The share of the variance of some units' outputs, `[n, units]`, that is variance of the classes' means."""
    means = np.stack([values[classes == k].mean(axis=0) for k in np.unique(classes)])
    weights = np.bincount(classes)[:, None] / len(classes)
    return float(np.sum(weights * (means - values.mean(axis=0)) ** 2) / np.sum(values.var(axis=0)))


def steepness(prices: Sequence[float], sizes: np.ndarray) -> np.ndarray:
    """Exponents of a length against its price: from the first to the last, `[units]` of `[prices, units]`."""
    return np.log(sizes[-1] / sizes[0]) / np.log(prices[-1] / prices[0])


def of_classes(networks: Sequence[PyTree]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Dreams of each network's ten classes, `[n, 10, 32, 32, 3]`, the answers for their length, `[n, 10]`, and how long
    those of the first network are for each of `PRICES`, `[prices, 10]`: all in one program."""
    asked = [wishes(networks, 10), *(wishes(networks[:1], 10, [price]) for price in PRICES if price != PRICE)]
    trace = dreams("head", jax.tree.map(lambda *parts: jnp.concatenate(parts), *asked), adam)
    size = lengths(trace["image"]).reshape(-1, 10)
    answers = trace["activation"][:, -1].reshape(-1, 10) / size
    low, high = size[len(networks) :]
    images = trace["image"].reshape(-1, 10, 32, 32, 3)
    return images[: len(networks)], answers[: len(networks)], np.stack([low, size[0], high])


def page(results, folder):
    found = networks(folder)
    first, images = found[0].after, pictures()[0]
    patches = np.moveaxis(images, 0, -1)  # as filters lie
    dreamers = [one.after for one in found] + [one.before for one in found if one.gain == found[-1].gain]
    dreamed, answers, sizes = of_classes(dreamers)
    judged, layers, climbed = judgements(dreamers, dreamed), selectivity(found), climbs(first)
    beyond = np.stack([answers[k] / strongest(one.after, images)[1] for k, one in enumerate(found)])
    return {
        "claims": claims(found, layers, judged, beyond, reached(climbed), steepness(PRICES, sizes)),
        "filters": filters(found[-2], found[0]), "maps": maps(first), "climb": climb(climbed, sizes),
        "dreams": dreamed_picture(images[strongest(first, images)[0]], dreamed[[0, 1, 2, len(found)]]),
        "patches": f"{roughness(patches):.2f} rough and {greyness(patches):.2f} grey",
        "learned": learned(found), "layers": layers, "judged": recognised(judged, len(found)),
    }  # fmt: skip


def learned(found: Sequence[Network]) -> pd.DataFrame:
    """Of the first filters as drawn, as trained, and of what training has added."""
    rows = []
    for one in found:
        before, after = (np.asarray(params["conv1"]["kernel"]) for params in (one.before, one.after))
        numbers = [measure(kernel) for measure in (roughness, greyness) for kernel in (before, after, after - before)]
        rows.append((f"{one.gain:g}", str(one.seed), f"{one.accuracy:.2f}", *(f"{number:.2f}" for number in numbers)))
    names = [f"{what}: {when}" for what in ("rough", "grey") for when in ("drawn", "trained", "the change")]
    return pd.DataFrame(rows, columns=["gain", "seed", "accuracy", *names])


def selectivity(found: Sequence[Network]) -> pd.DataFrame:
    """`between_classes` of each layer, of a convolution for the means over all places: means of the networks."""
    images, classes = pictures()

    def shares(params: PyTree) -> list[float]:
        seen = outputs_of(params, images)
        flat = [np.asarray(seen[name]).reshape(len(images), -1, seen[name].shape[-1]) for name in LAYERS]
        return [between_classes(values.mean(axis=1), classes) for values in flat]

    ends = {when: np.mean([shares(getattr(one, when)) for one in found], axis=0) for when in ("before", "after")}
    return pd.DataFrame({"layer": LAYERS, "untrained": ends["before"], "trained": ends["after"]})


def recognised(judged: np.ndarray, trained: int) -> pd.DataFrame:
    """The judgements of dreams by who dreamed and who judges; two seeds stand side by side."""
    rows = []
    for first, words in ((0, "trained, gain 0.3"), (2, "trained, gain 1"), (trained, "untrained")):
        us, pair = slice(first, first + 2), judged[first : first + 2, first : first + 2]
        rest = np.delete(judged[us, :trained], np.arange(trained)[us] if first < trained else [], axis=1)
        own, twin = np.trace(pair), pair.sum() - np.trace(pair)
        rows.append((words, f"{own} of 20", f"{twin} of 20", f"{rest.sum()} of {10 * rest.size}"))
    names = ["dreamed for", "by itself", "by its twin of another seed", "by other trained ones"]
    return pd.DataFrame(rows, columns=names)


def claims(found, layers, judged, beyond, progress, steep) -> list[Claim]:
    return [*claims_on_training(found, layers), *claims_on_dreams(judged, len(found), beyond, progress, steep)]


def claims_on_training(found: Sequence[Network], layers: pd.DataFrame) -> list[Claim]:
    def mean(measure: Callable, gain: float) -> float:
        return float(np.mean([measure(np.asarray(n.after["conv1"]["kernel"])) for n in found if n.gain == gain]))

    accurate = {gain: " and ".join(f"{n.accuracy:.2f}" for n in found if n.gain == gain) for gain in (0.3, 1.0)}
    begun, ended = layers.untrained.to_numpy(), layers.trained.to_numpy()
    return [
        Claim("the first layer learns edges and colours",
              f"from small weights its filters turn smooth (roughness {mean(roughness, 0.3):.2f}, noise 1) and grey "
              f"({mean(greyness, 0.3):.2f} of their squares, noise 0.33): blobs and edges of brightness. Colour tells "
              "nothing of these shapes, and none is learned", None),
        Claim("noisy filters show that a network is not trained",
              f"from usual weights they stay noise ({mean(roughness, 1.0):.2f}), with an accuracy of {accurate[1.0]} "
              f"({accurate[0.3]} from small ones): what is learned is as smooth, and lies under what was drawn", False),
        Claim("the deeper a layer, the more it is about classes",
              f"of its variance between classes: {ended[0]:.2f} in the first, {ended[-1]:.2f} in the last; untrained "
              f"{begun[0]:.2f} and {begun[-1]:.2f}", bool(np.all(np.diff(ended) > 0))),
    ]  # fmt: skip


def claims_on_dreams(judged: np.ndarray, trained: int, beyond: np.ndarray, progress: dict, steep: np.ndarray) -> list:
    ours, idle = judged[:trained, :trained], np.trace(judged[trained:, trained:])
    own, pairs = np.trace(ours), trained * (trained - 1)
    ends = {name: f"{share[-1]:.2f}" for name, (_, share) in progress.items()}
    good = ", ".join(f"{name} {end}" for name, end in ends.items() if name != "descent, 1/c")
    return [
        Claim("a dream shows what its unit stands for",
              f"to its own network ({own} of {10 * trained} named rightly); other networks, trained on the same "
              f"pictures, name {ours.sum() - own} of {10 * pairs} (chance {pairs}); untrained ones name {idle} of 20 "
              "of their own", None),
        Claim("units can be excited more than by any picture",
              f"at equal length {beyond.min():.1f} to {beyond.max():.1f} times as much as by the best of 1,024",
              bool(beyond.min() > 1)),
        Claim("dreaming is an optimization like the others",
              f"after 100 evaluations all have about the same share of the best: {good}. But Newton's step, 1/c, has "
              f"{ends['descent, 1/c']}", None),
        Claim("the price decides the brightness",
              f"the length goes as price^{np.median(steep):.2f} ({steep.min():.2f} to {steep.max():.2f} in ten units)",
              bool(np.all(np.abs(steep + 1) < 0.1))),
    ]  # fmt: skip


def filters(large: Network, small: Network) -> Picture:
    drawn, usual, less, little = (
        np.moveaxis(np.asarray(params["conv1"]["kernel"]), -1, 0)
        for params in (large.before, large.after, small.before, small.after)
    )
    rows = [("drawn", drawn), ("trained from\nusual weights", usual), ("what training\nhas added", usual - drawn),
            ("trained from\nsmall weights", little), ("what training\nhas added", little - less)]  # fmt: skip
    line = (
        "5 x 5 x 3 weights as colours, grey is zero · each tile on its own scale · the same draw times 1 and times 0.3"
    )
    channels = [f"channel {k}" for k in range(len(drawn))]
    return Picture(
        tiles("The first layer: what was drawn hides what was learned", line, rows, channels),
        "The filters of the first layer. From usual weights training seems to change nothing; the difference is as "
        "smooth as it is from small ones, where it shows.",
    )


def maps(params: PyTree, count: int = 4) -> Picture:
    """Pictures, what the busiest channels of both convolutions answer, and below what these ask for."""
    images, classes = pictures()[0], (0, 3, 6, 9)
    chosen = strongest(params, images)[0][list(classes)]
    seen = {name: np.asarray(outputs_of(params, images)[name]) for name in ("conv1", "conv2")}
    busy = {name: np.argsort(-values.var(axis=(0, 1, 2)))[:count] for name, values in seen.items()}
    rows = []
    for row, k in zip(chosen, classes, strict=True):
        answers = [np.maximum(seen[name][row, ..., c], 0) for name in seen for c in busy[name]]
        rows.append((NAMES[k].replace(" ", "\n"), [images[row], *answers]))
    asked = wishes([params], seen["conv2"].shape[-1], (CHANNEL_PRICE,))
    dreamed = dreams("conv2", asked, adam, record="last")["image"][busy["conv2"]]
    kernels = np.moveaxis(np.asarray(params["conv1"]["kernel"]), -1, 0)[busy["conv1"]]
    rows.append(("what the\nchannel asks for", [None, *kernels, *dreamed]))
    line = "dark: the channel's strongest answer in this picture, after the ReLU · trained from small weights"
    return Picture(
        tiles("What two convolutions answer", line, rows, ["picture", *(f"{n}, {c}" for n in seen for c in busy[n])]),
        "Activation maps of four channels of each convolution. Below the filter of the first layer's channels, and the "
        "picture that excites the second layer's most on the average over all places.",
    )


def dreamed_picture(strong: np.ndarray, dreamed: np.ndarray) -> Picture:
    rows = [("training picture,\nstrongest answer", strong), ("dream", dreamed[0]), ("dream,\nother seed", dreamed[1]),
            ("dream,\nusual weights", dreamed[2]), ("dream,\nuntrained", dreamed[3])]  # fmt: skip
    line = f"pictures that maximize a unit of the head · adam, {WHEN[-1]} steps · price {PRICE} · each on its own scale"
    return Picture(
        tiles("What the units of ten classes dream of", line, rows, [name.replace(" ", "\n") for name in NAMES]),
        "Above, of 1,024 training pictures the one that each unit answers to most for its length; below what it asks "
        "for itself, in four networks.",
    )


def climb(traces: dict, sizes: np.ndarray) -> Picture:
    sheet, axes = panels("Climbing an activation", f"ten units of the head, medians · left: price c = {PRICE}",
                         ["objective, as a share of the best found", "length of the dream (dashed: 1/price)"],
                         columns=2, width=3.3, height=2.7, right=1.3)  # fmt: skip
    tints = {"descent, 1/c": style.QUIET, "descent, 0.1/c": style.color("gradient_descent")}
    entries = [(n, np.maximum(share, -0.1), name, tints.get(name) or style.color(name.replace(" ", "_")))
               for name, (n, share) in reached(traces).items()]  # fmt: skip
    lines(axes[0], entries, xscale="log", ylim=(-0.12, 1.05), xlabel="evaluations")
    middle, ax = np.median(sizes, axis=1), axes[1]
    ax.plot(PRICES, sizes, color=style.FAINT, linewidth=0.8)
    inverse = middle[1] * PRICES[1] / np.array(PRICES)
    ax.plot(PRICES, inverse, color=style.INK, linewidth=1, linestyle=(0, (4, 3)), zorder=3)
    lines(ax, [(PRICES, middle, "median", style.color("heavy_ball"))], xscale="log", yscale="log", xlabel="price")
    ax.set_xticks(PRICES, [f"{price:g}" for price in PRICES])
    ax.minorticks_off()
    return Picture(
        sheet,
        "Left: the objective against evaluations of value and gradient. Descent with the step that is Newton's within "
        "a linear piece stays where it began. Right: how bright a dream is for three prices, each unit in grey.",
    )
