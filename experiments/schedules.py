"""# The course of the learning rate

A rate that is large enough to move is too large to settle. So rates are lowered, in steps, along a curve, or down and
up again; and as the noise of a batch acts like a rate, the size of the batch belongs to the same question.

## The claim

{{claims}}

## What is seen

{{courses}}

With a constant rate the loss falls until the noise of the batches throws the weights out as fast as the slope leads
them in. Whatever lowers the rate lets them sink. A restart throws them out again, on purpose: each valley gives a
model.

{{noise}}

## Why

Near a minimum of curvature c, with gradient noise of deviation s, a constant rate a does not converge but hovers:

`E f - f* = a s^2 / (2 (2 - a c))`, about `a s^2 / 4`

for each direction. A batch of B examples has `s^2` proportional to `1/B`, so that what counts is `a / B`: a batch
eight times as large allows for a rate eight times as large, as long as that is below the limit of stability `2/c`;
beyond, there is nothing to gain. Momentum m makes a rate a act like `a / (1 - m)`; a cycle of the rate with the
momentum against it keeps that product from moving as far.

*Snapshot ensembles*: predictions of models from different valleys err in different places, and their mean errs less
than one of them. They cost the same as one long training, if the models are taken at the ends of its cycles.

## Measured

A perceptron of two hidden layers on 3,200 curves of 40 points (like MNIST-1D), 1,000 steps of the heavy ball with
batches of 128, five seeds. Validation accuracy at the best of four rates, least and largest seed, and that of the
mean prediction of the models after each quarter of the same training:

{{accuracy}}

One cycle, sixteen passes over the data, batches of 128 to 1,024 (400 to 50 steps), three seeds each: accuracy with
the rate of the smallest batch, with the rate scaled in proportion, with the momentum against it from 0.95 to 0.85,
and at the best of five rates.

{{batches}}

Sixteen passes are few for 1,024: 50 steps. These are 15,000 weights and 3,200 examples. The lecture's figure is a
ResNet-56 on CIFAR-10, and that is not what is seen here; `conf/experiment/one_cycle_cifar.yaml` has the four commands
that make it, for a GPU and with the real data.

## Try

- The course of the rate beside the loss:

      $ .venv/bin/optlab plot curves results/schedules

- More and shorter cycles, more models: does the ensemble gain, or do its members lose?

$ .venv/bin/optlab -m problem=mlp_mnist_1d optimizer=heavy_ball optimizer.learning_rate=0.3 optimizer.ensemble=8 \\
schedule=warm_restarts schedule.cycles=8 steps=1000 seed=0,1,2,3,4 name=eight

- Which rate is too much, in one run: `.venv/bin/optlab experiment=rate_range`, then
  `.venv/bin/optlab plot range_test results/rate_range`.
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
from optlab import metrics
from optlab.plots import style

#: Studies beside the chapter's own.
STUDIES = ("one_cycle",)
RATE, BATCH = "optimizer.learning_rate", "problem.batch_size"
ORDER = ("constant", "staircase", "exponential", "cosine", "one_cycle", "cyclic", "warm_restarts")
PASSES = 51_200  #: steps times batch size of the runs that see the data sixteen times
BASE = 0.05  #: rate of the smallest batch

#: The same colours wherever a schedule is drawn.
COLOURS = dict(zip(ORDER, ("#000000", "#7a7a7a", "#E69F00", "#0072B2", "#D55E00", "#56B4E9", "#009E73"), strict=True))


def best_rates(runs: pd.DataFrame, measure: str = "validation_accuracy") -> pd.DataFrame:
    """The runs of each schedule at the rate with the highest mean of `measure` over the seeds."""
    mean = runs.groupby(["schedule", RATE])[measure].mean()
    best = mean.groupby("schedule").idxmax().map(lambda pair: pair[1])
    return runs[runs[RATE] == runs.schedule.map(best)]


def spread(values: pd.Series) -> str:
    """Mean, least and largest."""
    return f"{values.mean():.3f} ({values.min():.3f} to {values.max():.3f})"


def accuracy_table(runs: pd.DataFrame) -> pd.DataFrame:
    """A row for each schedule: one model at its best rate, and the ensemble at the best rate for it."""
    rows = []
    alone, together = best_rates(runs), best_rates(runs, "ensemble_accuracy")
    for name in ORDER:
        one, four = (part[part.schedule == name] for part in (alone, together))
        rows.append((style.name(name), f"{one[RATE].iloc[0]:g}", spread(one.validation_accuracy),
                     f"{four[RATE].iloc[0]:g}", spread(four.ensemble_accuracy)))  # fmt: skip
    return pd.DataFrame(rows, columns=["schedule", "rate", "one model", "rate ", "mean of four"])


def batch_table(runs: pd.DataFrame) -> pd.DataFrame:
    """A row for each batch size, of the runs that see the data sixteen times."""
    runs = runs[runs[BATCH] * runs.max_steps == PASSES]
    rows = []
    for size, mine in runs.groupby(BATCH):
        cycled, scaled = mine["optimizer.cycle_momentum"].notna(), BASE * size / 128
        plain = mine[~cycled]
        against = mine[cycled & np.isclose(mine[RATE], scaled)].validation_accuracy
        mean = plain.groupby(RATE).validation_accuracy.mean()
        at = {rate: plain[np.isclose(plain[RATE], rate)].validation_accuracy for rate in (BASE, scaled, mean.idxmax())}
        rows.append((int(size), PASSES // int(size), at[BASE].mean(), scaled, at[scaled].mean(), against.mean(),
                     mean.idxmax(), mean.max()))  # fmt: skip
    names = ["batch", "steps", f"rate {BASE}", "scaled rate", "accuracy", "momentum cycled", "best rate", "accuracy "]
    return pd.DataFrame(rows, columns=names)


def hovering(rates: Any, noises: Any, steps: int = 4000, dim: int = 64) -> np.ndarray:
    """The mean loss that SGD hovers at on |x|^2 / 2, for each direction: `[n]`, of pairs of a rate and a noise."""
    sphere = optlab.problems.from_surface(optlab.surfaces.quadratic(dim=dim, condition=1.0))

    @jax.jit
    @jax.vmap
    def ends(rate, noise, key):
        seen = optlab.problems.perturb(sphere, noise=noise)
        return optlab.run(seen, optax.sgd(rate), key, steps=steps, record=10, probes={})["value"]

    values = ends(jnp.asarray(rates), jnp.asarray(noises), jax.random.split(jax.random.key(0), len(rates)))
    return np.asarray(values)[:, values.shape[1] // 2 :].mean(axis=1) / dim


def hovering_in_theory(rate: Any, noise: Any) -> Any:
    """a s^2 / (2 (2 - a c)) for c = 1: half the stationary variance of x <- (1 - a) x - a s xi."""
    return rate * noise**2 / (2 * (2 - rate))


def page(results, folder):
    runs, batches = results.runs, batch_table(optlab.load(folder.parent / "one_cycle").runs)
    sizes = 2.0 ** np.arange(0, 9, 2)
    pairs = np.array([(rate, size) for rate in (0.03, 0.1, 0.3) for size in sizes])
    measured = hovering(pairs[:, 0], pairs[:, 1] ** -0.5)
    return {
        "claims": claims(runs, batches, pairs, measured), "courses": courses(results), "noise": noise(pairs, measured),
        "accuracy": accuracy_table(runs), "batches": batches,
    }  # fmt: skip


def claims(runs: pd.DataFrame, batches: pd.DataFrame, pairs: np.ndarray, measured: np.ndarray) -> list[Claim]:
    alone, together = best_rates(runs), best_rates(runs, "ensemble_accuracy")
    of = lambda part, name, measure: part[part.schedule == name].sort_values("seed")[measure]  # noqa: E731
    one = {name: of(alone, name, "validation_accuracy") for name in ORDER}
    four = {name: of(together, name, "ensemble_accuracy") for name in ORDER}
    off = np.abs(measured / hovering_in_theory(pairs[:, 0], pairs[:, 1] ** -0.5) - 1).max()
    ranked = sorted(ORDER, key=lambda name: -one[name].mean())
    small, large = batches.iloc[0], batches.iloc[-1]
    gain = metrics.beats(four["warm_restarts"], one[ranked[0]], goal="max")
    decays = [name for name in ORDER[1:5] if metrics.beats(one[name], one["constant"], goal="max").holds]
    return [
        Claim("a constant rate hovers where noise and slope balance, at a/B",
              f"15 pairs of a rate and a batch size: within {off:.1%} of a s²/(2(2 - a c))", bool(off < 0.05)),
        Claim("lowering the rate pays",
              f"constant {one['constant'].mean():.3f}; cosine {one['cosine'].mean():.3f}, staircase "
              f"{one['staircase'].mean():.3f}, exponential {one['exponential'].mean():.3f}; by the claim rule better: "
              f"{', '.join(decays) or 'none'}", len(decays) == 4 or None),
        Claim("cyclic rates and restarts are as good as a decay",
              f"best of all: {', '.join(f'{style.name(n)} {one[n].mean():.3f}' for n in ranked[:3])}",
              ranked[0] in ("cyclic", "warm_restarts") or None),
        Claim("an ensemble of snapshots beats the best single model of the same cost",
              f"{four['warm_restarts'].mean():.3f} against {one[ranked[0]].mean():.3f} ({style.name(ranked[0])}); "
              f"of a constant rate's quarters {four['constant'].mean():.3f}",
              bool(gain.holds) or (None if four["warm_restarts"].mean() > one[ranked[0]].mean() else False)),
        Claim("a larger batch wants a larger rate, in proportion",
              f"best rate {small['best rate']:g} at 128, {large['best rate']:g} at 1,024; with the small one's rate "
              f"1,024 gives {large.iloc[2]:.3f}, scaled {large['accuracy']:.3f}",
              bool(large["accuracy"] > large.iloc[2] and large["best rate"] > small["best rate"]) or None),
        Claim("then it trains as well in as many passes",
              f"at best {large['accuracy ']:.3f} in {large['steps']:.0f} steps, {small['accuracy ']:.3f} in "
              f"{small['steps']:.0f}",
              bool(large["accuracy "] > small["accuracy "] - 0.01)),
        Claim("cycling the momentum against the rate helps",
              f"{large['momentum cycled']:.3f} against {large['accuracy']:.3f} (1,024), {small['momentum cycled']:.3f} "
              f"against {small['accuracy']:.3f} (128)",
              all(row["momentum cycled"] > row["accuracy"] for row in (small, large)) or None),
    ]  # fmt: skip


def courses(results: Any) -> Picture:
    """Rate and validation loss of each schedule at its best rate, the mean over the seeds."""
    titles = ["learning rate", "training loss, as measured", "validation accuracy"]
    shown = ("constant", "staircase", "cosine", "one_cycle", "warm_restarts")
    sheet, axes = panels("Courses of the rate", "each at the best of four rates · means of five seeds", titles,
                         width=3.2, right=1.05)  # fmt: skip
    best = best_rates(results.runs)
    curves = results.curves.merge(best[["run_id", "schedule", RATE]], on="run_id")
    curves["learning_rate"] = curves.learning_rate.fillna(curves[RATE])  # recorded where it changes
    settings: list[dict] = [{}, {"yscale": "log"}, {"ylim": (0.2, None)}]
    for ax, column, how in zip(axes, ("learning_rate", "value", "validation_accuracy"), settings, strict=True):
        entries = []
        for name in shown:
            mean = curves[curves.schedule == name].groupby("step")[column].mean()
            mean = mean[mean.index >= 50] if column != "learning_rate" else mean
            entries.append((mean.index, mean.to_numpy(float), style.name(name), COLOURS[name]))
        lines(ax, entries, xlabel="step", **how)
    return Picture(
        sheet,
        "Five courses of the learning rate, and what they do to the loss and to the accuracy on data that was not "
        "trained on. At each restart the loss jumps up.",
    )


def noise(pairs: np.ndarray, measured: np.ndarray) -> Picture:
    titles = ["the loss that SGD hovers at"]
    sheet, (ax,) = panels(
        "A batch as noise", "|x|²/2 in 64 directions · gradient noise of variance 1/B", titles, width=4.2
    )
    rates = np.unique(pairs[:, 0])
    entries = []
    for rate, colour in zip(rates, ordered(len(rates)), strict=True):
        mine = pairs[:, 0] == rate
        entries.append((pairs[mine, 1], measured[mine], f"rate {rate:g}", colour))
    lines(ax, entries, xscale="log", yscale="log", xlabel="batch size B", ylabel="loss for each direction")
    for rate in rates:
        sizes = pairs[pairs[:, 0] == rate, 1]
        ax.plot(
            sizes, hovering_in_theory(rate, sizes**-0.5), "o", markerfacecolor="none", color=style.INK, markersize=5
        )
    words = "Lines: measured. Circles: a s²/(2(2 - a)), with s² = 1/B. Four times the batch is a quarter of the rate."
    return Picture(sheet, words)
