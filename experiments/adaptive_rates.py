"""# A rate for each coordinate: AdaGrad, RMSProp, AdaDelta, Adam

A valley asks for a small step across it and a large one along it. Methods that divide each coordinate's step by the
size of its own past gradients give every coordinate its own rate. They differ in how they remember.

## The claim

{{claims}}

## What is seen

{{races}}

SGD crawls along the valley's floor, momentum overshoots and comes back, and the methods that scale by coordinate walk
straight for the minimum, as if the valley were round. Near the saddle the same division enlarges the small
gradient that leads off it. Turned by 45 degrees, nothing of this is left in the valley: both coordinates see the steep
direction, and both are slowed by it.

{{turned}}

## Why

With g the gradient of one coordinate, in every step:

- *AdaGrad* divides by the root of the sum of all squares: `a g / sqrt(sum g^2)`. On a steady slope the t-th step is
  `a / sqrt(t)`: the rate never recovers, and what was steep at the beginning is walked slowly for ever. That is right
  for a convex valley with noise and wrong for a plateau after a cliff.
- *RMSProp* divides by a decaying average, `E <- r E + (1 - r) g^2`, and forgets after 1 / (1 - r) steps. On a steady
  slope the step is `a`, steep or flat. So it never settles either: at a minimum it goes to and fro by about `a`.
- *AdaDelta* replaces a by the root of the average of its own past squared steps. It has the units of x and no rate to
  choose, but begins from nothing: its first step is `sqrt(e / (1 - r))`, with e a number that was meant to protect
  from division by zero.
- *Adam* is RMSProp with momentum, and divides both averages by what they lack after few steps. Its first step is `a`
  in each coordinate, whatever the gradient.

All four take the same path if the loss is multiplied by a thousand. None of them takes the same path if the axes are
turned; SGD and momentum do, but know nothing of scale.

## Measured

Steps until the gap is 1e-4, each at the best of ten rates from 0.001 to 0.7 (*never*: not within 800). The rate is
chosen for each surface, but in the turned valley it is that of the straight one:

{{steps}}

How the methods remember, one coordinate on a steady slope of 1 and at the bottom of x^2 / 2:

{{memory}}

{{remembered}}

## Try

- Turn the valley by degrees, and watch where the advantage goes:

      $ .venv/bin/optlab -m problem=long_valley 'problem.angle=range(0,50,5)' optimizer=adagrad,adam,sgd \\
          optimizer.learning_rate=0.012 steps=2000 name=turning

- The race as a film:

      $ .venv/bin/optlab plot race results/adaptive_rates problem=beale

- Multiply the loss: `problem.scale=1000.0` changes nothing for Adam and everything for SGD.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd

from experiments.drawing import ground, lines, panels
from experiments.page import Claim, Picture
from experiments.targets import first_reached
from optlab.plots import style
from optlab.plots.contour import path

GAP = 1e-4
RATE = "optimizer.learning_rate"
STRAIGHT, TURNED = "long_valley", "long_valley_turned"
ORDER = ("sgd", "heavy_ball", "nag", "adagrad", "adadelta", "rmsprop", "adam")
SCALED = ("adagrad", "adadelta", "rmsprop", "adam")
SURFACES = {
    STRAIGHT: "long valley",
    TURNED: "the same, turned",
    "beale": "Beale",
    "bounded_strict_saddle": "saddle",
    "inflection_x": "inflection, head on",
    "inflection_y": "inflection, from aside",
}


def reached(results: Any, gap: float = GAP) -> pd.DataFrame:
    """The runs with `to_gap`, the step at which each first came to a gap; infinite where it did not."""
    return results.runs.assign(to_gap=first_reached(results, results.runs, gap).fillna(np.inf))


def best(runs: pd.DataFrame) -> pd.DataFrame:
    """The best rate of each optimizer on each surface: soonest at the gap, else nearest; turned, the straight one's.

    So the turned valley shows what a turn does to one and the same method.
    """
    order = runs[runs.problem != TURNED].sort_values(["to_gap", "gap"], kind="stable")
    chosen = order.groupby(["problem", "optimizer"], sort=False).head(1)
    straight = chosen.loc[chosen.problem == STRAIGHT, ["optimizer", RATE]]
    return pd.concat([chosen, runs[runs.problem == TURNED].merge(straight, on=["optimizer", RATE])])


def safety(runs: pd.DataFrame, chosen: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """For each optimizer: its steps against the best one's where that is most; how many rates serve, on the average."""
    at = chosen[chosen.problem != TURNED].pivot(index="optimizer", columns="problem", values="to_gap")
    serve = np.isfinite(runs[runs.problem != TURNED].set_index(["optimizer", "problem"]).to_gap)
    return (at / at.min()).max(axis=1), serve.groupby(["optimizer", "problem"]).sum().groupby("optimizer").mean()


def steps_table(chosen: pd.DataFrame) -> pd.DataFrame:
    """Steps to the gap, a row for each optimizer, a column for each surface."""
    at = chosen.pivot(index="optimizer", columns="problem", values="to_gap").loc[list(ORDER), list(SURFACES)]
    words = at.map(lambda n: f"{n:.0f}" if np.isfinite(n) else "never").rename(columns=SURFACES)
    return words.rename(index=style.name).reset_index()


def walk(optimizer: optax.GradientTransformation, slope: Any, start: float, steps: int) -> np.ndarray:
    """Where an optimizer goes along one coordinate, whose slope at x is `slope(x)`: `[steps + 1]`."""

    def step(carry, _):
        x, state = carry
        update, state = optimizer.update(slope(x), state, x)
        return (x + update, state), x + update

    x = jnp.asarray(start, jnp.float64 if jax.config.read("jax_enable_x64") else jnp.float32)
    _, path = jax.lax.scan(step, (x, optimizer.init(x)), None, length=steps)
    return np.concatenate([[float(x)], np.asarray(path)])


def methods(rate: float) -> dict[str, optax.GradientTransformation]:
    """The four at one rate; AdaDelta's own is 1."""
    return {
        "adagrad": optax.adagrad(rate, initial_accumulator_value=0.0),
        "adadelta": optax.adadelta(1.0),
        "rmsprop": optax.rmsprop(rate),
        "adam": optax.adam(rate),
    }


def remembered(rate: float = 0.01, steps: int = 2000) -> pd.DataFrame:
    """Sizes of steps 1, 100 and 2,000 on a steady slope, and the mean distance from a minimum at the end."""
    rows = []
    for name, optimizer in methods(rate).items():
        sizes = np.abs(np.diff(walk(optimizer, jnp.ones_like, 0.0, steps)))
        ends = walk(optimizer, lambda x: x, 1.0, steps)[-100:]
        rows.append((style.name(name), sizes[0], sizes[99], sizes[-1], float(np.abs(ends).mean())))
    return pd.DataFrame(
        rows, columns=["on a slope of 1", "step 1", "step 100", f"step {steps:,}", "distance from a minimum"]
    )


def page(results, folder):
    runs, memory = reached(results), remembered()
    chosen = best(runs)
    return {
        "claims": claims(runs, chosen, memory), "steps": steps_table(chosen), "memory": memory,
        "races": races(results, chosen), "turned": in_the_valley(results, chosen), "remembered": sizes_on_a_slope(),
    }  # fmt: skip


def claims(runs: pd.DataFrame, chosen: pd.DataFrame, memory: pd.DataFrame) -> list[Claim]:
    worst, served = safety(runs, chosen)
    at = chosen.set_index(["problem", "optimizer"]).to_gap
    rows = memory.set_index("on a slope of 1")
    adagrad, rmsprop = rows.loc["adagrad"], rows.loc["rmsprop"]
    same = all(at[STRAIGHT, o] == at[TURNED, o] for o in ("sgd", "heavy_ball", "nag"))
    slower = {o: at[TURNED, o] / at[STRAIGHT, o] for o in SCALED if np.isfinite(at[STRAIGHT, o])}
    return [
        Claim(
            "AdaGrad stops early",
            f"on a steady slope its step falls from {adagrad.iloc[0]:.2g} to {adagrad.iloc[2]:.2g} in 2,000 steps, as "
            f"1/sqrt(t); head on at the inflection it never arrives",
            bool(np.isinf(at["inflection_x", "adagrad"])),
        ),
        Claim(
            "RMSProp forgets, and goes on",
            f"its step stays {rmsprop.iloc[2]:.2g} on the slope, and at a minimum it stays {rmsprop.iloc[3]:.2g} away",
            None,
        ),
        Claim(
            "AdaDelta needs no rate",
            f"none to choose, but its first step is {rows.loc['adadelta'].iloc[0]:.1e}: a rate by the name of epsilon",
            None,
        ),
        Claim(
            "Adam, which combines both, is the safest choice",
            "steps on the surface that suits it least, against the best there, each at its best rate: "
            + ", ".join(f"{style.name(o)} {worst[o]:.1f}" for o in ("adam", "nag", "heavy_ball", "sgd"))
            + "; of ten rates reach the gap, on the average: "
            + ", ".join(f"{style.name(o)} {served[o]:.1f}" for o in ("adam", "nag", "heavy_ball", "sgd")),
            None if served["adam"] > served["nag"] else False,
        ),
        Claim(
            "scaling by coordinate is at home on the axes only",
            "steps in the turned valley against the straight one: "
            + ", ".join(f"{style.name(o)} {'never' if np.isinf(f) else f'{f:.1f} times'}" for o, f in slower.items())
            + "; SGD and both momenta " + ("the same to the step" if same else "not the same"),
            same and all(f > 1 for f in slower.values()),
        ),
    ]  # fmt: skip


def race(ax: Any, results: Any, runs: pd.DataFrame, steps: int) -> None:
    """The paths of runs on one surface in their optimizers' colours, to a number of steps."""
    found, (low, high) = ground(ax, results, runs, steps)
    heads = [path(ax, track, low, high, 2 + 0.01 * k) for k, track in enumerate(found)]
    pixels = [tuple(head) for head in ax.transData.transform(np.array(heads))]
    style.gutter(ax, pixels, [track.optimizer for track in found], [""] * len(found))


def races(results: Any, chosen: pd.DataFrame) -> Picture:
    shown = dict(zip(SURFACES, (60, 60, 200, 100, 60, 60), strict=True))
    titles = [f"{SURFACES[problem]}: {steps} steps" for problem, steps in shown.items()]
    setting = "float64 · each at the best of ten rates, by the steps to a gap of 1e-4"
    sheet, axes = panels("The well-known races", setting, titles, columns=3, right=1.25)
    for ax, (problem, steps) in zip(axes, shown.items(), strict=True):
        race(ax, results, chosen[chosen.problem == problem], steps)
    words = "The well-known races, the inflection from two sides: where each method is after few steps."
    return Picture(sheet, words)


def in_the_valley(results: Any, chosen: pd.DataFrame) -> Picture:
    """Loss in the straight and in the turned valley."""
    setting = "condition number 100 · rates chosen in the straight valley"
    titles = ["along the axes", "turned by 45 degrees"]
    sheet, axes = panels("The same valley, turned", setting, titles, columns=2, width=3.9, right=1.2)
    curves = results.curves.set_index("run_id")
    for ax, problem in zip(axes, (STRAIGHT, TURNED), strict=True):
        at, entries = chosen[chosen.problem == problem].set_index("optimizer").run_id, []
        for optimizer in ORDER:
            rows = curves.loc[at[optimizer]].sort_values("step")
            rows = rows[rows.step <= 400]
            gap = rows.gap.clip(lower=1e-10)
            entries.append((rows.step, gap, style.name(optimizer), style.color(optimizer)))
        lines(ax, entries, yscale="log", ylim=(1e-10, 1e2), xlabel="step")
    axes[0].set_ylabel("best gap so far")
    return Picture(sheet, "SGD and momentum draw the same lines left and right. The others lose what they had gained.")


def sizes_on_a_slope(rate: float = 0.01, steps: int = 2000) -> Picture:
    titles = ["size of a step on a steady slope", "distance from the minimum of x² / 2"]
    sheet, axes = panels(
        "How they remember", f"rate {rate}; AdaDelta 1 · one coordinate", titles, columns=2, width=3.9, right=1.0
    )
    slope, bowl = [], []
    for name, optimizer in methods(rate).items():
        look = (style.name(name), style.color(name))
        slope.append((np.arange(1, steps + 1), np.abs(np.diff(walk(optimizer, jnp.ones_like, 0.0, steps))), *look))
        distance = np.maximum(np.abs(walk(optimizer, lambda x: x, 1.0, steps)), 1e-6)
        bowl.append((np.arange(steps + 1), distance, *look))
    lines(axes[0], slope, xscale="log", yscale="log", xlabel="step")
    lines(axes[1], bowl, yscale="log", xlabel="step", ylim=(1e-6, 2), width=1.1)
    return Picture(
        sheet,
        "Left: AdaGrad's steps shrink as 1/sqrt(t), RMSProp's and Adam's stay, AdaDelta's grow from nothing. Right: "
        "RMSProp never settles, as its steps do not shrink with the slope.",
    )
