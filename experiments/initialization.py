"""# Initialization: where training begins

A network with ten layers multiplies ten matrices. If each makes a signal a little smaller, nothing arrives at the
output, and no gradient at the input; if each makes it a little larger, everything saturates. How the weights are drawn
decides whether there is anything to learn from.

## The claim

{{claims}}

## What is seen

{{levels}}

A signal enters at the left and passes ten layers of 512 units. On the logarithmic scale each scheme is a straight line
for linear units: its slope is the factor of a layer. The gradient takes the same factors on its way back, from right to
left.

{{histograms}}

With small weights all outputs are zero to begin with: there is no gradient. With large ones nearly every tanh is at -1
or 1, where its slope is zero. The few units that are not pass the gradient on through the large weights, so that it
does not vanish: it grows, and says nothing of the loss a step further.

## Why

- A unit that sums n inputs of variance v with independent weights of variance s^2 has the variance `n s^2 v`. A layer
  multiplies the size of a signal by `s sqrt(n)`, ten layers by its tenth power.
- Backwards a unit sums over the m units it feeds: `s sqrt(m)`. *LeCun's* scheme, `s^2 = 1/n`, keeps the signal, the
  scheme of *Glorot*, `s^2 = 2/(n + m)`, compromises between both ways, *orthogonal* matrices keep every length exactly.
- A ReLU is zero for half of its inputs, and halves the mean square. *He's* scheme draws with `s^2 = 2/n`, which makes
  up for that.
- tanh is below its argument, so that signals shrink under Glorot's scheme too, if slowly: nearer to 0 it is more nearly
  linear. To keep a level one needs a gain (`problem.gain=1.2`), or weights that are scaled by what is seen (`lsuv`).
- *Equal* weights are worst in a quieter way: units with the same weights get the same gradient, for ever. A layer of 64
  is then one unit, to the bit. Chance is what breaks the symmetry.

## Measured

The factor of a layer, over ten layers of 512 linear units and of ReLUs, forwards and backwards, against theory:

{{factors}}

{{tanh}}

Validation accuracy after 300 steps of the heavy ball, ten hidden layers of 64 units on handwritten digits, each at the
best of three rates (mean of three seeds, least and largest; chance is 0.1):

{{accuracy}}

Different units in the first hidden layer of 64 after 100 steps, the columns of its kernel compared bit by bit:

{{symmetry}}

## Try

- Make up for what tanh takes away:

      $ .venv/bin/optlab -m problem=mlp_digits problem.network.depth=10 problem.network.activation=tanh \\
          problem.init=glorot problem.gain=0.5,1.0,1.2,2.0 optimizer=heavy_ball steps=300 seed=0,1,2 name=gain

- Let normalisation do the work of initialization: `problem.network.norm=batch` with `problem.init=normal`.
- Watch the variances while it learns: `probe=activation_variance`.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd

import optlab
from experiments.drawing import lines, ordered, panels
from experiments.page import Claim, Picture
from optlab import workloads
from optlab.plots import style
from optlab.workloads.initializers import parameters_drawn

LAYERS, UNITS = 10, 512
ACTIVATIONS = {"linear": lambda x: x, "ReLU": jax.nn.relu, "tanh": jnp.tanh}
SCHEMES = ("small", "normal", "uniform", "lecun", "glorot", "orthogonal", "he")


def signals(scheme: str, activation: str, gain: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray, list]:
    """Root mean squares of signals and of gradients after each of ten layers: `[11]` each, and all outputs.

    The signal begins with size 1 at the input, the gradient with size 1 at the output.
    """
    shapes = {f"dense{k}": {"kernel": jax.ShapeDtypeStruct((UNITS, UNITS), float)} for k in range(LAYERS)}
    drawing, entering, leaving = jax.random.split(jax.random.key(seed), 3)
    params = parameters_drawn(shapes, scheme, gain, drawing)
    x, back = (jax.random.normal(key, (UNITS, UNITS)) for key in (entering, leaving))

    def outputs(added):
        h, seen = x + added[0], []
        for k in range(LAYERS):
            h = ACTIVATIONS[activation](h @ params[f"dense{k}"]["kernel"]) + added[k + 1]
            seen.append(h)
        return jnp.sum(h * back), seen

    nothing = [jnp.zeros_like(x)] * (LAYERS + 1)
    gradients, seen = jax.grad(outputs, has_aux=True)(nothing)
    size = lambda z: float(jnp.sqrt(jnp.mean(z.astype(jnp.float32) ** 2)))  # noqa: E731
    return np.array([size(z) for z in (x, *seen)]), np.array([size(g) for g in gradients]), seen


def factor(sizes: np.ndarray) -> float:
    """By what a layer multiplies, on the geometric mean: the last size against the first."""
    return float((sizes[-1] / sizes[0]) ** (1 / LAYERS))


#: Standard deviation of a weight times the root of 512, the factor of a linear layer.
THEORY = {
    "small": 0.01 * UNITS**0.5, "normal": UNITS**0.5, "uniform": 3**-0.5, "lecun": 1.0, "glorot": 1.0,
    "orthogonal": 1.0, "he": 2**0.5,
}  # fmt: skip


def factors(measured: dict) -> pd.DataFrame:
    """Factor of a layer by scheme: linear and ReLU, forwards and backwards, beside theory's (a ReLU: by 1/sqrt(2))."""
    rows = []
    for scheme in SCHEMES:
        found = [
            f"{factor(s):.3f}"
            for a in ("linear", "ReLU")
            for s in (measured[scheme, a][0], measured[scheme, a][1][::-1])
        ]
        rows.append((scheme, f"{THEORY[scheme]:.3f}", *found[:2], f"{THEORY[scheme] / 2**0.5:.3f}", *found[2:]))
    names = ["scheme", "linear, theory", "signal", "gradient", "ReLU, theory", "signal ", "gradient "]
    return pd.DataFrame(rows, columns=names)


def different_units(init: str, steps: int = 100) -> int:
    """Columns of the first hidden layer's kernel that differ in any bit after training."""
    problem = workloads.training(
        network=workloads.mlp(depth=2, width=0.125), data=workloads.digits(), batch_size=64, init=init
    )
    kernel = lambda problem, params: params["dense1"]["kernel"]  # noqa: E731
    run = jax.jit(
        lambda key: optlab.run(problem, optax.sgd(0.1), key, steps=steps, record="last", probes={"k": kernel})
    )
    return len(np.unique(np.asarray(run(jax.random.key(0))["k"][-1]), axis=1).T)


def accuracies(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean, least and largest accuracy over the seeds at the best rate, by scheme and activation."""
    keys = ["problem.init", "problem.network.activation"]
    runs = runs.assign(score=runs.validation_accuracy.astype(float).where(runs.status != "diverged", 0.1).fillna(0.1))
    by_rate = runs.groupby([*keys, "optimizer.learning_rate"]).score.agg(["mean", "min", "max"]).reset_index()
    return by_rate.sort_values("mean", ascending=False).groupby(keys).head(1).set_index(keys)


def accuracy_table(best: pd.DataFrame) -> pd.DataFrame:
    words = best.apply(lambda r: f"{r['mean']:.3f} ({r['min']:.3f} to {r['max']:.3f})", axis=1).unstack()
    return words.loc[["zeros", *SCHEMES]].rename_axis("scheme").reset_index()


def page(results, folder):
    measured = {(s, a): signals(s, a) for s in SCHEMES for a in ACTIVATIONS}
    best = accuracies(results.runs)
    units = {init: different_units(init) for init in ("zeros", "constant", "glorot")}
    decay = measured["glorot", "tanh"][0]
    return {
        "claims": claims(measured, best, units), "levels": levels(measured), "histograms": histograms(measured),
        "factors": factors(measured), "accuracy": accuracy_table(best),
        "tanh": f"tanh under Glorot's scheme: {decay[1]:.2f} after the first layer, {decay[-1]:.2f} after the tenth.",
        "symmetry": pd.DataFrame(units.items(), columns=["weights", "different units of 64"]),
    }  # fmt: skip


def claims(measured: dict, best: pd.DataFrame, units: dict[str, int]) -> list[Claim]:
    mean = best["mean"]
    forward = {s: factor(measured[s, "linear"][0]) for s in SCHEMES}
    rectified, decay = {s: factor(measured[s, "ReLU"][0]) for s in SCHEMES}, measured["glorot", "tanh"][0]
    kept = ", ".join(f"{s} {forward[s]:.3f}" for s in ("lecun", "glorot", "orthogonal"))
    saturated = float(np.mean(np.abs(measured["normal", "tanh"][2][5]) > 0.99))
    chance = ", ".join(f"{s} {mean[s, 'relu']:.2f}" for s in ("zeros", "small", "normal"))
    return [
        Claim("units with equal weights never part",
              f"different units of 64 after 100 steps: {units['constant']} (equal), {units['glorot']} (random)",
              units["constant"] == 1),
        Claim("Glorot, LeCun and orthogonal keep the signals of linear layers", f"factor of a layer: {kept}",
              all(abs(forward[s] - 1) < 0.03 for s in ("lecun", "glorot", "orthogonal"))),
        Claim("and those of tanh", f"nearly: from {decay[1]:.2f} to {decay[-1]:.2f} in ten layers", None),
        Claim("He's scheme keeps them through ReLUs, Glorot's does not",
              f"factor of a layer {rectified['he']:.3f} and {rectified['glorot']:.3f} (1/sqrt(2) = 0.707)",
              abs(rectified["he"] - 1) < 0.03),
        Claim("saturated units pass no gradient",
              f"of tanh units with weights from N(0, 1) {saturated:.0%} are beyond 0.99, but the gradient grows, by "
              f"{factor(measured['normal', 'tanh'][1][::-1]):.1f} in each layer on its way back", False),
        Claim("too small or too large weights do not train",
              f"accuracy with ReLU: {chance}; He {mean['he', 'relu']:.2f}",
              all(mean[s, "relu"] < 0.3 for s in ("zeros", "small")) and bool(mean["he", "relu"] > 0.9)),
        Claim("a scheme serves the activation it is made for",
              f"ReLU: He {mean['he', 'relu']:.3f}, Glorot {mean['glorot', 'relu']:.3f}; "
              f"tanh: He {mean['he', 'tanh']:.3f}, Glorot {mean['glorot', 'tanh']:.3f}",
              bool(mean["he", "relu"] > mean["glorot", "relu"]) or None),
    ]  # fmt: skip


def levels(measured: dict) -> Picture:
    sheet, axes = panels("A signal on its way through ten layers, and a gradient on its way back",
                         f"root mean square · {UNITS} units a layer · seed 0", [f"signal: {a}" for a in ACTIVATIONS]
                         + [f"gradient: {a}" for a in ACTIVATIONS], columns=3)  # fmt: skip
    shown = ("small", "uniform", "glorot", "he", "normal")
    for k, ax in enumerate(axes):
        way, activation = divmod(k, 3)
        entries: list[Any] = []
        for scheme, colour in zip(shown, ordered(len(shown)), strict=True):
            entries.append(
                (np.arange(LAYERS + 1), measured[scheme, list(ACTIVATIONS)[activation]][way], scheme, colour)
            )
        lines(ax, entries, yscale="log", ylim=(1e-7, 1e7), xlabel="layer")
    return Picture(
        sheet,
        "The size of a signal after each layer (above), of the gradient before each (below), for weights from small to "
        "large. Glorot's scheme is level for linear units, He's for ReLUs.",
    )


def histograms(measured: dict) -> Picture:
    """Outputs of tanh units at four depths for weights too small, right and too large."""
    schemes, depths = ("small", "glorot", "normal"), (0, 3, 6, 9)
    sheet, axes = panels("Outputs of tanh units, layer by layer", f"{UNITS} units, {UNITS} inputs", [
        "N(0, 0.01²): they vanish", "Glorot: they live", "N(0, 1): they saturate"], columns=3)  # fmt: skip
    for ax, scheme in zip(axes, schemes, strict=True):
        seen, entries = measured[scheme, "tanh"][2], []
        edges = np.linspace(-1, 1, 81)
        for depth, colour in zip(depths, ordered(len(depths)), strict=True):
            share, _ = np.histogram(np.asarray(seen[depth]).ravel(), edges, density=True)
            entries.append(((edges[1:] + edges[:-1]) / 2, share + 1e-3, f"layer {depth + 1}", colour))
        lines(ax, entries, yscale="log", ylim=(1e-3, 60), xlabel="output")
        ax.axvline(0, color=style.FAINT, linewidth=0.7)
    axes[0].set_ylabel("density")
    return Picture(
        sheet,
        "How often each output occurs, at four depths. Left all mass is at zero after a few layers; right it is at -1 "
        "and 1, where the slope of tanh is zero.",
    )
