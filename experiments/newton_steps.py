"""# Newton's method: the step, its speed, its price

Newton's method replaces the surface by the paraboloid that touches it, with the same slope and the same curvature, and
steps to the stationary point of that. Near a minimum nothing is faster. It does not know a minimum from a saddle, and
its matrix grows with the square of the number of parameters.

## The claim

{{claims}}

## What is seen

{{model}}

Where the Hessian is positive definite the model is a bowl and the step leads to its bottom. Where it is not, the model
is a saddle or a hill, and its stationary point is no place to go. And even a good direction may be too long: a line
search shortens the step until the value falls enough.

{{order}}

{{price}}

## Why

The model at x is `q(p) = f + g' p + p' H p / 2`, with gradient g and Hessian H. Its gradient `g + H p` vanishes at `p
= -H^-1 g`: that is the step, whatever the signs of the eigenvalues of H.

- *Speed.* What the model leaves out is of third order, so that from the error e the step leaves `C e^2`: the number of
  correct digits doubles. Gradient descent leaves a fixed share, `1 - a c` along curvature c at rate a.
- *Invariance.* In other coordinates `y = A x + b` the gradient is `A^-T g` and the Hessian `A^-T H A^-1`, so that the
  step is `A p`: the iterates are the same points. Gradient descent steps along `A^-T g`, which is another direction
  unless A is a rotation (up to a factor).
- *Saddles.* To Newton's method a stationary point is a zero of the gradient; all regular ones attract alike. Take the
  sizes of the eigenvalues instead (`saddle_free_newton`), or the minimum of the model within a radius
  (`trust_region`), and only minima attract. A line search along Newton's direction (`damped_newton`) is not enough:
  the value changes by `-g' H^-1 g / 2 = -sum_i g_i^2 / (2 c_i)` to second order, and as long as the directions of
  positive curvature c_i outweigh the others, the way to the saddle leads downhill.
- *Price.* A Hessian-vector product costs about two gradients, whatever the size; the Hessian is n of them, `8 n^2`
  bytes in float64, and solving with it takes `2/3 n^3` operations. BFGS keeps an estimate of the inverse, `n^2`
  numbers, and L-BFGS the last m steps and changes of the gradient instead, `2 m n` numbers.

## Measured

Where 100 random starts on Himmelblau's function end (four minima, four saddles, one maximum), in shares, and after how
many steps at the median, of those that have converged.

{{ends}}

The last steps of a run of Newton's method: the distance e to the minimum, and log e(k+1) / log e(k), which the
constant C keeps from being 2 at once.

{{digits}}

A network of 64 inputs, h hidden units and 10 outputs on 128 digits: milliseconds for a gradient, a Hessian-vector
product and a Hessian (float32, this machine, the shortest of twenty), and the last two in units of the gradient by the
operations that the compiler counts.

{{times}}

Bytes that the library's own BFGS and L-BFGS (m = 10) carry in float64, and what the formulas say; nothing of that size
is allocated, the shapes of the states are enough. Both hold five vectors more than the formulas count: the last
accepted point and its gradient, and those of the search; BFGS a sixth, that gradient's product with its matrix.

{{memory}}

## Try

- `.venv/bin/optlab explore problem=himmelblau,bounded_strict_saddle
  optimizer=newton,damped_newton,saddle_free_newton,trust_region`: click near a saddle.
- Which start leads to which point: `.venv/bin/optlab landscape basins problem=himmelblau
  optimizer=newton,saddle_free_newton size=64 name=kinds`, then `.venv/bin/optlab plot basins results/kinds`. The
  borders of Newton's basins are fractal.
- Newton's own failures: `.venv/bin/optlab -m problem=newton_cycle,newton_diverge_sqrt optimizer=newton,damped_newton
  name=fails`.
- At a singular minimum order 2 is lost: `.venv/bin/optlab problem=quartic_flat optimizer=newton record=all`; the error
  shrinks by 2/3 a step.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

import optlab
from experiments.curvature_costs import PARAMETERS, memory, price, times, with_units
from experiments.drawing import descents, lines, panels
from experiments.page import Claim, Picture
from optlab.plots import style
from optlab.plots.line import labelled
from optlab.plots.surface import background, field, points_of, stationary

SURFACE = optlab.surfaces.himmelblau()
METHODS = ("gradient_descent", "newton", "damped_newton", "saddle_free_newton", "trust_region")
STRETCH = 10.0  #: of the second axis by `condition=100`
#: A start where the model is a bowl, one where it is a saddle, one from which the whole step goes uphill.
BOWL, PASS, LONG = (4.5, 3.2), (-4.1, -0.9), np.array([2.5, -2.0])
MODEL, TINTS = "#b5482a", {"newton": style.color("newton"), "gradient_descent": style.INK}


def model(x, surface=SURFACE) -> tuple[float, np.ndarray, np.ndarray]:
    """Value, gradient `[d]` and Hessian `[d, d]` at a place, in float64."""
    with jax.enable_x64(True):
        x = jnp.asarray(x, float)
        return float(surface.fn(x)), np.asarray(jax.grad(surface.fn)(x)), np.asarray(jax.hessian(surface.fn)(x))


def step(x) -> np.ndarray:
    """Newton's step from a place: `[d]`."""
    _, g, H = model(x)
    return -np.linalg.solve(H, g)


def accepted(x) -> float:
    """Which share of Newton's step the line search of `damped_newton` takes."""
    with jax.enable_x64(True):
        start = jnp.asarray(x, float)
        end = optlab.minimize(SURFACE.fn, start, optlab.damped_newton(), max_steps=1)
        return float(jnp.linalg.norm(end.x - start)) / float(np.linalg.norm(step(x)))


def errors(runs: pd.DataFrame, curves: pd.DataFrame, optimizer: str) -> list[np.ndarray]:
    """Distances to the minimum that was reached, step by step: an array for each run on the plain surface."""
    minima = np.array([point.x for point in SURFACE.points if point.kind == "minimum"])
    chosen = (runs.optimizer == optimizer) & (runs["problem.condition"] == 1) & (runs.end_label == "global_min")
    found = []
    for run in runs[chosen].sort_values("seed").run_id:
        x = path(curves, run)
        least = minima[np.linalg.norm(minima - x[-1], axis=1).argmin()]
        found.append(np.linalg.norm(x - least, axis=1))
    return found


def path(curves: pd.DataFrame, run_id: str) -> np.ndarray:
    """The places of a run: `[T, 2]`; `curves` by run."""
    return curves.loc[run_id].sort_values("step")[["x_0", "x_1"]].to_numpy(float)


def pairs(errors: list[np.ndarray], near: float = 0.1, floor: float = 1e-13) -> np.ndarray:
    """Errors and those after one more step, near the minimum and above rounding: `[n, 2]`."""
    both = np.concatenate([np.stack([e[:-1], e[1:]], axis=1) for e in errors])
    return both[(both[:, 0] < near) & (both[:, 1] > floor) & (both[:, 1] < both[:, 0])]


def order(both: np.ndarray) -> float:
    """The order of convergence: the slope of log e(k+1) over log e(k)."""
    return float(np.polyfit(*np.log(both).T, 1)[0])


def invariance(runs: pd.DataFrame, curves: pd.DataFrame, optimizer: str, steps: int = 5) -> float:
    """How far the first iterates on the stretched surface, mapped back, are from the others: at the median start."""
    chosen = runs[runs.optimizer == optimizer].pivot(index="seed", columns="problem.condition", values="run_id")
    apart = []
    for plain, stretched in chosen[[1.0, 100.0]].to_numpy():
        x, y = path(curves, plain)[: steps + 1], path(curves, stretched)[: steps + 1] / [1, STRETCH]
        n = min(len(x), len(y))
        apart.append(np.abs(x[:n] - y[:n]).max())
    return float(np.median(apart))


def ends(runs: pd.DataFrame) -> pd.DataFrame:
    """Where the runs of each method have ended on the unstretched surface, and the steps of those that converged."""
    runs = runs[runs["problem.condition"] == 1]
    words = {"global_min": "minimum", "saddle_1": "saddle", "max": "maximum"}
    shares = pd.crosstab(runs.optimizer, runs.end_label.map(words).fillna("none"), normalize="index")
    shares = shares.reindex(index=list(METHODS), columns=[*words.values(), "none"], fill_value=0.0)
    shares["steps"] = runs[runs.status == "converged"].groupby("optimizer").steps.median().reindex(METHODS)
    return shares.rename(index=style.name).reset_index()


def digits(error: np.ndarray, last: int = 6) -> pd.DataFrame:
    """The last steps of a run before it reaches rounding."""
    error = error[error > 0]
    error = error[max(0, len(error) - last) :]
    ratio = [f"{np.log(b) / np.log(a):.2f}" if a < 0.5 else "" for a, b in zip(error[:-1], error[1:], strict=True)]
    return pd.DataFrame({"e": [style.number(e) for e in error], "log e(k+1) / log e(k)": [*ratio, ""]})


def page(results, folder):
    runs, curves = results.runs, results.curves.set_index("run_id")
    far = {name: errors(runs, curves, name) for name in ("newton", "gradient_descent")}
    orders = {name: order(pairs(found)) for name, found in far.items()}
    apart = {name: invariance(runs, curves, name) for name in far}
    ended, spent, held = ends(runs), times(), memory()
    shown = next(e for e in far["newton"] if len(e) > 6)
    return {
        "claims": claims(orders, apart, ended.set_index("optimizer"), spent.iloc[-1], held.iloc[-1]),
        "model": models(results), "order": orders_drawn(results, curves, far), "price": price(spent, held),
        "ends": ended, "digits": digits(shown), "times": spent, "memory": with_units(held),
    }  # fmt: skip


def claims(orders: dict, apart: dict, at: pd.DataFrame, most: pd.Series, big: pd.Series) -> list[Claim]:
    """Of the ends by method, of the largest network that was timed, and of the largest state."""
    newton, searched = at.loc["newton"], at.loc["damped newton"]
    return [
        Claim(
            "near a minimum Newton's method is of order 2, gradient descent of order 1",
            f"{orders['newton']:.2f} and {orders['gradient_descent']:.2f}",
            abs(orders["newton"] - 2) < 0.1 and abs(orders["gradient_descent"] - 1) < 0.1,
        ),
        Claim(
            "its steps do not depend on the scaling of the axes",
            "on the surface stretched tenfold the first five iterates, mapped back, are "
            f"{style.number(apart['newton'])} apart at the median start, those of gradient descent "
            f"{style.number(apart['gradient_descent'])}",
            apart["newton"] < 1e-9 < apart["gradient_descent"],
        ),
        Claim(
            "it is unstable at a saddle",
            f"it converges to saddles, from {newton.saddle:.0%} of the starts, and from {newton.maximum:.0%} to the "
            "maximum: the iteration is stable there, what is lost is the descent",
            None,
        ),
        Claim(
            "a line search mends it",
            f"with it {searched.saddle:.0%} still end on a saddle; all starts reach a minimum where the matrix is "
            f"mended ({at.minimum['saddle free newton']:.0%} saddle-free, {at.minimum['trust region']:.0%} "
            "trust region)",
            bool(searched.minimum > 0.95),
        ),
        Claim(
            "a Hessian costs as much as n gradients",
            f"for {most.parameters:.0f} parameters as many operations as {most['Hessian, operations']:.0f} gradients, "
            f"one product alone as {most['product, operations']:.1f}",
            bool(most["Hessian, operations"] > most.parameters),
        ),
        Claim(
            f"BFGS needs 1 TB for {PARAMETERS:,} parameters, L-BFGS 57 MB",
            f"{big['BFGS'] / 1e12:.3f} TB and {big['8 (2 m n)'] / 1e6:.1f} MB in float64, {big['L-BFGS'] / 1e6:.1f} MB "
            "with the five vectors besides; half of it in float32, where 500,000 parameters fill the terabyte",
            True,
        ),
    ]


def models(results) -> Picture:
    """The step into a bowl, the step to a saddle, and a step that is too long."""
    titles = [
        "a bowl: the step leads to its bottom",
        "a saddle: the step leads to the pass",
        "along a step that is too long",
    ]
    line = "Himmelblau's function · dashed: levels of the quadratic model"
    sheet, axes = panels("The model that touches the surface, and its stationary point", line, titles, left=0.9)
    one = plain(results.runs).field_id.iloc[0]
    for ax, start in zip(axes, (BOWL, PASS), strict=False):
        background(ax, field(results, one, 0.0), labels=False).grid(False)
        touching(ax, np.array(start))
        stationary(ax, points_of(results, one), dots=False)
    along(axes[2])
    return Picture(
        sheet,
        "Left and middle: the model (dashed) that touches at the circle, and the step to its stationary point. Right: "
        "the surface along a step that ends uphill, the model along it, and what the line search takes.",
    )


def touching(ax, start: np.ndarray) -> None:
    """The levels of the model at a place, and its step."""
    (f, g, H), p = model(start), step(start)
    middle, reach = start + p / 2, 1.1 * max(1.0, np.abs(p).max())
    x = np.stack(np.meshgrid(*(np.linspace(m - reach, m + reach, 101) for m in middle)), axis=-1)
    q = f + (x - start) @ g + 0.5 * np.einsum("...i,ij,...j", x - start, H, x - start)
    flat = f + 0.5 * g @ p
    levels = flat + np.array([-0.6, -0.25, -0.06, 0.06, 0.25, 0.6, 1.0, 1.6]) * max(abs(f - flat), 1.0)
    ax.contour(x[..., 0], x[..., 1], q, levels=levels, colors=MODEL, linestyles="dashed", linewidths=1.1)
    arrow = {"arrowstyle": "-|>", "color": style.INK, "linewidth": 1.6, "shrinkA": 3, "shrinkB": 0}
    ax.annotate("", start + p, start, arrowprops=arrow)
    ax.plot(*start, "o", markersize=7, markerfacecolor=style.PAPER, markeredgecolor=style.INK)
    ax.set(xlim=(middle[0] - reach, middle[0] + reach), ylim=(middle[1] - reach, middle[1] + reach))
    ax.locator_params(nbins=5)


def along(ax) -> None:
    """The surface and its model along the step that is too long."""
    (f, g, _), p, shares, taken = model(LONG), step(LONG), np.linspace(0, 1.1, 111), accepted(LONG)
    true = np.array([model(LONG + t * p)[0] for t in shares])
    touching = f + (shares - shares**2 / 2) * (g @ p)  # as p' H p = -g' p
    entries = [(shares, true, "surface", style.INK), (shares, touching, "model", MODEL)]
    lines(ax, entries, xlabel="share of the step", ylabel="value")
    for t, words, place, side in (
        (1.0, "whole step", (-8, 0), "right"),
        (taken, f"line search: {taken:.2f}", (0, 28), "center"),
    ):
        value = model(LONG + t * p)[0]
        ax.plot(t, value, "o", markersize=6, color=style.INK)
        ax.annotate(words, (t, value), place, "data", "offset points", fontsize=8.5, color=style.INK, ha=side)


def plain(runs: pd.DataFrame) -> pd.DataFrame:
    return runs[runs["problem.condition"] == 1]


def orders_drawn(results, curves: pd.DataFrame, far: dict) -> Picture:
    """Errors against the errors before, the same run in two coordinate systems, and the ways from beside a saddle."""
    titles = ["error after a step against before", "dashed: one axis stretched tenfold", "ways from beside a saddle"]
    line = "Himmelblau's function from random starts · gradient descent at rate 0.003 · float64"
    sheet, axes = panels("Newton's method: its order, its invariance, its saddles", line, titles, right=1.15)
    for name, found in far.items():
        both = pairs(found, near=1.0)
        axes[0].loglog(*both[:: max(1, len(both) // 400)].T, "o", markersize=2.5, color=TINTS[name], alpha=0.6)
    e = np.geomspace(1e-6, 1, 50)
    axes[0].loglog(e, 0.3 * e**2, color=style.QUIET, linewidth=0.8, linestyle="--")
    axes[0].annotate("slope 2", (1e-4, 3e-9), (8, -8), "data", "offset points", fontsize=8.5, color=style.QUIET)
    axes[0].set(xlabel="error", ylabel="one step later", xlim=(1e-8, 2), ylim=(1e-14, 2))
    labelled(axes[0], [(0.9, "descent", TINTS["gradient_descent"]), (0.2, "newton", TINTS["newton"])])
    coordinates(axes[1], results.runs, curves)
    saddle(axes[2], results, curves)
    return Picture(
        sheet,
        "Left: each step's error over the one before; Newton's cloud has slope 2, gradient descent's slope 1. Middle: "
        "stretching an axis changes nothing for Newton's method, and nearly stops gradient descent. Right: from the "
        "circle Newton's method goes to a saddle, with a line search too; where the matrix is mended it goes down.",
    )


def coordinates(ax, runs: pd.DataFrame, curves: pd.DataFrame) -> None:
    """One start of both methods, on the plain surface and on the stretched one."""
    seed = runs[(runs.optimizer == "newton") & (runs.end_label == "global_min")].seed.min()
    chosen, ends = runs[runs.seed == seed].set_index(["optimizer", "problem.condition"]).run_id, []
    for name, condition, words, dash in (
        ("newton", 1.0, "newton, both", "solid"), ("newton", 100.0, "", (0, (2, 1.5))),
        ("gradient_descent", 1.0, "descent", "solid"), ("gradient_descent", 100.0, "stretched", (0, (2, 1.5))),
    ):  # fmt: skip
        rows = curves.loc[chosen[name, condition]].sort_values("step")
        gap = rows.gap.clip(lower=1e-20)
        ax.plot(rows.step, gap, color=TINTS[name], linewidth=1.6, linestyle=dash)
        ends += [(float(gap.iloc[-1]), words, TINTS[name])] if words else []
    ax.set(xscale="symlog", yscale="log", xlabel="step", ylabel="gap", xlim=(0, 300))
    labelled(ax, ends)
    ax.set_xticks([0, 1, 10, 100], ["0", "1", "10", "100"])


def saddle(ax, results, curves: pd.DataFrame) -> None:
    """From a start at a distance of about 1.5 Newton's method goes to the saddle, with a line search too."""
    runs = plain(results.runs).set_index(["seed", "optimizer"])
    label = runs.end_label.unstack()
    seeds = label[(label.newton == "saddle_1") & (label.damped_newton == "saddle_1")].index
    ways = {seed: path(curves, runs.loc[(seed, "newton")].run_id) for seed in seeds}
    seed = min(seeds, key=lambda seed: abs(np.linalg.norm(ways[seed][0] - ways[seed][-1]) - 1.5))
    chosen = runs.loc[[(seed, name) for name in ("newton", "saddle_free_newton", "trust_region")]].reset_index()
    descents(ax, results, chosen, ["newton", "saddle-free", "trust region"], [TINTS["newton"], "#009E73", "#0072B2"])
