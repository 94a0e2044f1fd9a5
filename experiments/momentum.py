"""# Momentum: past saddles, along valleys

Momentum lets a descent remember. It may be read in two ways, and both are the same arithmetic: as a *low-pass filter*
of the gradients, and as a *ball with friction* that rolls down the surface.

## The claim

{{claims}}

## What is seen

{{readings}}

{{saddle}}

From (1, 1e-6) the straight way leads into the saddle. All runs come near it; how soon they leave is decided by how
fast the tiny offset in the second coordinate grows. At the inflection, plain descent stops on the flat, the ball
rolls across it.

{{valley}}

## Why

Along a direction of curvature c the heavy ball with rate a and momentum m multiplies by a root of
`z^2 - (1 + m - a c) z + m = 0` in each step.

- In a *valley* (c > 0) the roots are real while `m < (1 - sqrt(a c))^2`: it creeps. Above, they are complex with
  modulus `sqrt(m)`: it swings, and the swing dies out by `sqrt(m)` a step whatever the curvature. The best momentum
  for a direction is the critical one, between the two.
- At a *saddle* (c < 0) one root is above 1, and it grows with m: an offset of 1e-6 needs `log(1e6) / log(z)` steps to
  become visible.
- As a *filter*, the average `v <- m v + (1 - m) g` leaves `(1 - m) / (1 + m)` of the variance of white noise, so that
  0.9 passes 1/19 of it and delays the signal by `m / (1 - m) = 9` steps.
- *Nesterov's* method takes the gradient where the velocity would carry it. In a valley this adds friction in
  proportion to the curvature: the modulus is `sqrt(m (1 - a c))` instead of `sqrt(m)`, so that steep directions stop
  swinging first.

## Measured

Steps until the saddle is left (below it, and away from it), rate 0.01. *Predicted* are the steps in which the linear
recursion above enlarges the offset as much as it had grown when the run without momentum left.

{{escape}}

On the quadratic with curvatures 1 and 100, from the same start: how far it swings beyond the minimum along the flat
direction (1 would be as far as it began), and the rate at which it closes in, measured over the middle third of the
run, against theory.

{{damping}}

{{filter}}

## Try

- Drag the momentum in the explorer, and start wherever you like:

      $ .venv/bin/optlab explore problem=bounded_strict_saddle,inflection_quartic optimizer=heavy_ball,nesterov

- Start exactly on the line into the saddle. No momentum leaves it; a little noise does:

      $ .venv/bin/optlab -m problem=bounded_strict_saddle 'problem.start=[1.0,0.0]' steps=3000 name=on_the_line \\
          optimizer=heavy_ball,noisy_sgd optimizer.learning_rate=0.01

- Meet the inflection from the other side, where even plain descent has only to walk downhill:

      $ .venv/bin/optlab problem=inflection_quartic 'problem.start=[0.5,1.0]' optimizer=gradient_descent name=side
"""

import numpy as np
import pandas as pd

from experiments.drawing import descents, lines, ordered, panels
from experiments.page import Claim, Picture
from optlab.plots import style

RATE = 0.01
MOMENTA = (0.0, 0.5, 0.9, 0.99)
STEEP, FLAT = 100.0, 1.0


def roots(rate: float, momentum: float, curvature: float, ahead: bool = False) -> np.ndarray:
    """Factors of a step along one curvature: the roots of z^2 - (1 + m - a c) z + m, with `ahead` those of Nesterov's
    z^2 - (1 + m) (1 - a c) z + m (1 - a c): `[2]`, the largest modulus first."""
    keep = 1 - rate * curvature
    middle, last = ((1 + momentum) * keep, momentum * keep) if ahead else (momentum + keep, momentum)
    found = np.roots([1, -middle, last])
    return found[np.argsort(-np.abs(found))]


def filtered(momentum: float, steps: int = 200_000, seed: int = 0) -> float:
    """The share of white noise's variance that the average v <- m v + (1 - m) g lets through: (1 - m) / (1 + m)."""
    return float(np.var(average(np.random.default_rng(seed).normal(size=steps), momentum)[1000:]))


def growth_steps(momentum: float, reached: float) -> float:
    """Steps in which an offset from a saddle of curvature -1 grows `reached` times: the first term of A z^n + B w^n."""
    z, w = roots(RATE, momentum, -1.0).real
    share = (1 + RATE - w) / (z - w)  # from rest: the first step adds a c alone
    return float(np.log(reached / share) / np.log(z))


def escapes(runs: pd.DataFrame) -> pd.DataFrame:
    """Steps to leave the saddle against the growth of the offset, a row for each momentum."""
    at = runs[runs.problem == "bounded_strict_saddle"].pivot(
        index="optimizer.momentum", columns="optimizer", values="escape_step"
    )
    reached = roots(RATE, 0.0, -1.0)[0].real ** float(at.heavy_ball.iloc[0])
    return pd.DataFrame(
        {"momentum": MOMENTA, "root": [f"{roots(RATE, m, -1.0)[0].real:.4f}" for m in MOMENTA],
         "heavy ball": [int(n) for n in at.heavy_ball], "predicted": [round(growth_steps(m, reached)) for m in MOMENTA],
         "nesterov": [int(n) for n in at.nesterov]}
    )  # fmt: skip


def dampings(runs: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """Overshoot along the flat direction and factor a step, measured and by theory, for each optimizer and momentum."""
    rows = []
    for _, run in runs[runs.problem == "quadratic"].sort_values(["optimizer", "optimizer.momentum"]).iterrows():
        x = curves[curves.run_id == run.run_id].sort_values("step")[["x_0", "x_1"]].to_numpy(float)
        ahead, m = run.optimizer == "nesterov", run["optimizer.momentum"]
        modulus = max(np.abs(roots(RATE, m, c, ahead)[0]) for c in (FLAT, STEEP))
        beyond = max(0.0, -float((x[:, 0] / x[0, 0]).min()))
        rows.append((run.optimizer, m, beyond, factor(np.abs(x).max(axis=1)), modulus))
    return pd.DataFrame(rows, columns=["optimizer", "momentum", "overshoot", "factor a step", "by theory"])


def factor(size: np.ndarray, swing: int = 64) -> float:
    """By what a swinging size shrinks in a step: between the peaks of two swings that are a third of the run apart."""
    first, last = len(size) // 3, 2 * len(size) // 3
    early, late = first + size[first : first + swing].argmax(), last + size[last : last + swing].argmax()
    return float((size[late] / size[early]) ** (1 / (late - early)))


def page(results, folder):
    runs, curves = results.runs, results.curves
    left, swing = escapes(runs), dampings(runs, curves)
    across = {m: path_end(runs, curves, m) for m in MOMENTA}
    shares = {m: filtered(m) for m in (0.5, 0.9, 0.99)}
    sooner = left["heavy ball"].iloc[0] / left["heavy ball"].iloc[2]
    claims = [
        Claim("momentum leaves a saddle sooner", f"{sooner:.1f} times sooner with 0.9 than without", sooner > 1),
        Claim(
            "momentum passes inflections where descent stops",
            f"after 2,000 steps x = {across[0.0]:.3f} without, {across[0.9]:.3f} with 0.9 (inflection 0, minimum 1)",
            across[0.0] < 0.1 and abs(across[0.9] - 1) < 1e-3,
        ),
        Claim(
            "more momentum is better",
            f"in the valley 0.99 swings {swing.overshoot[3]:.2f} of the way beyond the minimum and closes in by "
            f"{swing['factor a step'][3]:.4f} a step, 0.9 by {swing['factor a step'][2]:.4f}",
            False,
        ),
        Claim(
            "Nesterov's lookahead damps",
            f"overshoot with 0.99: {swing.overshoot[7]:.2f} against {swing.overshoot[3]:.2f}: the friction it adds "
            "grows with the curvature, and the flat direction has little",
            None,
        ),
        Claim(
            "momentum is a low-pass filter",
            "of white noise it passes " + ", ".join(f"{s:.4f} ({m})" for m, s in shares.items()),
            True,
        ),
    ]
    return {
        "claims": claims, "readings": readings(), "saddle": saddle(results), "valley": valley(results),
        "escape": left, "damping": swing,
        "filter": f"A momentum of 0.9 leaves {shares[0.9]:.4f} of the variance of white noise (1/19 = {1/19:.4f}).",
    }  # fmt: skip


def path_end(runs: pd.DataFrame, curves: pd.DataFrame, momentum: float) -> float:
    """Where the heavy ball is at the end along the inflection's axis."""
    chosen = (runs.problem == "inflection_quartic") & (runs.optimizer == "heavy_ball")
    (run,) = runs[chosen & (runs["optimizer.momentum"] == momentum)].run_id
    return float(curves[curves.run_id == run].sort_values("step").x_0.iloc[-1])


def readings() -> Picture:
    """The filter and the ball, each on one coordinate."""
    titles = ["a filter: noisy slopes and their average", "a ball: place", "a ball: velocity"]
    sheet, axes = panels(
        "One arithmetic, two readings", "left: slopes 1 + noise · right: f(x) = x² / 2 from 1, rate 0.01", titles
    )
    noise, colours = 1 + np.random.default_rng(1).normal(size=200), ordered(3)
    axes[0].plot(noise, ".", color=style.FAINT, markersize=3)
    drawn: list[list] = [[], [], []]
    for m, colour in zip((0.5, 0.9, 0.99), colours, strict=True):
        for entries, y in zip(drawn, (average(noise, m), *rolled(m).T), strict=True):
            entries.append((np.arange(len(y)), y, f"m = {m:g}", colour))
    for ax, entries in zip(axes, drawn, strict=True):
        lines(ax, entries, xlabel="step")
    for ax in axes[1:]:
        ax.axhline(0, color=style.QUIET, linewidth=0.7)
    return Picture(
        sheet,
        "Left: the average of noisy slopes grows quieter, and slower to follow, with the momentum m. Middle and right: "
        "the same m as what is left of the velocity after each step; 0.99 is too little friction.",
    )


def average(slopes: np.ndarray, momentum: float) -> np.ndarray:
    """v <- m v + (1 - m) g from 0, after each slope."""
    v, seen = 0.0, np.empty_like(slopes)
    for t, g in enumerate(slopes):
        seen[t] = v = momentum * v + (1 - momentum) * g
    return seen


def rolled(momentum: float, steps: int = 400) -> np.ndarray:
    """Place and velocity of the heavy ball on x^2 / 2 from 1, after each step: `[steps, 2]`."""
    x, v, seen = 1.0, 0.0, np.empty((steps, 2))
    for t in range(steps):
        seen[t] = x, v
        v = momentum * v - RATE * x
        x += v
    return seen


def saddle(results) -> Picture:
    titles = ["a saddle, 250 steps", "an inflection met head on, 250 steps", "offset from the way into the saddle"]
    sheet, axes = panels(
        "Momentum at a saddle and at an inflection", f"heavy ball with momentum m · rate {RATE} · float64", titles
    )
    names, colours = [f"m = {m:g}" for m in MOMENTA], ordered(len(MOMENTA))
    for ax, problem in zip(axes, ("bounded_strict_saddle", "inflection_quartic"), strict=False):
        descents(ax, results, held(results.runs, problem), names, colours, steps=250)
    curves = results.curves.set_index("run_id")
    entries = []
    for run, name, colour in zip(held(results.runs, "bounded_strict_saddle").run_id, names, colours, strict=True):
        rows = curves.loc[run].sort_values("step")
        entries.append((rows.step + 1, rows.x_1.abs(), name, colour))
    lines(axes[2], entries, xscale="log", yscale="log", xlabel="step")
    return Picture(
        sheet,
        "Left and middle: paths of the heavy ball with four momenta. Right: how the offset from the line that leads "
        "into the saddle grows: exponentially, and faster with more momentum.",
    )


def held(runs: pd.DataFrame, problem: str, optimizer: str = "heavy_ball") -> pd.DataFrame:
    return runs[(runs.problem == problem) & (runs.optimizer == optimizer)].sort_values("optimizer.momentum")


def valley(results) -> Picture:
    setting = f"quadratic, curvatures 1 and 100 · start (1, 1) · rate {RATE} · momentum m · float64"
    titles = ["heavy ball", "nesterov"]
    sheet, axes = panels("The same momentum, creeping and swinging", setting, titles, columns=2, width=3.9)
    curves = results.curves.set_index("run_id")
    for ax, optimizer in zip(axes, ("heavy_ball", "nesterov"), strict=True):
        runs = held(results.runs, "quadratic", optimizer)
        entries = []
        for (_, run), colour in zip(runs.iterrows(), ordered(len(runs)), strict=True):
            rows = curves.loc[run.run_id].sort_values("step")
            rows = rows[rows.step <= 1000]
            entries.append((rows.step, rows.gap.clip(lower=1e-16), f"m = {run['optimizer.momentum']:g}", colour))
        lines(ax, entries, yscale="log", xlabel="step", ylim=(1e-16, 1e3))
    axes[0].set_ylabel("best gap so far")
    return Picture(
        sheet,
        "The best gap so far in a valley of condition number 100. Momentum 0.9 is near the critical one for the flat "
        "direction; 0.99 swings, and loses by it.",
    )
