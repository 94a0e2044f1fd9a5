"""# Conjugate gradients: never undo what is done

Steepest descent minimizes along one direction after the other, and each new one spoils what the last ones had
reached. Conjugate directions do not: what is minimized along one of them stays minimized.

## The claim

{{claims}}

## What is seen

{{zigzag}}

From the worst start steepest descent goes to and fro for ever, each turn a right angle. Conjugate gradients take the
same first step; the second one is bent just so far that it goes through the minimum.

{{clusters}}

Few different eigenvalues are as good as few dimensions. If they are not equal but only close together, each round
through the clusters gains a fixed number of digits.

{{losses}}

## Why

On a quadratic `f(x) = 1/2 x'A x - b'x` take directions p_0, p_1, ... that are *conjugate*, `p_i' A p_j = 0`:
orthogonal in the geometry in which the ellipse is a circle. Then f is a sum of parabolas, one in each of the steps
a_i along them, and each is minimized once and for all: after n directions nothing is left of n dimensions.

They need not be known beforehand. With the gradient `g_k = A x_k - b` the recurrence

`p_k = -g_k + beta_k p_{k-1}`, `beta_k = g_k'g_k / g_{k-1}'g_{k-1}`

keeps all of them conjugate, although it looks back one step only. After k steps x_k is the best point of all that k
products with A can reach, so that its error is `q(A) e_0` with the *best polynomial* q of degree k with `q(0) = 1`:

- with k distinct eigenvalues one of degree k vanishes on all of them: k steps,
- with eigenvalues anywhere from m to L the Chebyshev polynomial gives `|e_k| <= 2 ((sqrt(K) - 1) / (sqrt(K) + 1))^k
  |e_0|`, in the norm of A, with the condition number `K = L / m`. Steepest descent has K where this has its square
  root.

All of this holds in exact arithmetic. Rounding makes directions lose their conjugacy to the early ones, the sooner
the worse the condition; the method then goes on converging, but not in n steps.

On a *loss* that is no quadratic a line search finds the steps, and beta has several formulas that are equal on a
quadratic with an exact search: Fletcher and Reeves (fr, above), Polak and Ribiere cut at zero (pr+), Hestenes and
Stiefel (hs), Dai and Yuan (dy), Hager and Zhang (hz). After a bad step fr keeps going where it went, as its beta is
near 1 while the gradient hardly changes; pr+, hs and hz have `g_k'(g_k - g_{k-1})` in the numerator, are near 0 then,
and so begin anew by themselves.

## Measured

In n dimensions with eigenvalues spread evenly on a logarithm: the largest cosine `|p_i'A p_j| / (|p_i| |p_j|)`
between any two directions, in the geometry of A; the error after n steps, and the steps that it takes to 1e-10, both
in the norm of A.

{{rounding}}

Steps to 1e-10 of the error in 50 dimensions, by the number of distinct eigenvalues between 1 and 100.

{{distinct}}

From 20 random starts each, 1,000 evaluations of value and gradient: the share that solves the valley (a gap of
1e-8), the median of the evaluations that this takes, and the median loss that a network of 66 weights is left with.

{{table}}

## Try

- `.venv/bin/optlab explore problem=quadratic,rosenbrock optimizer=steepest_descent,nonlinear_cg,bfgs`: start on an
  axis of the ellipse, and then off it.
- A careless line search costs conjugacy: `.venv/bin/optlab -m problem=rosenbrock optimizer=nonlinear_cg
  optimizer.beta=fr,pr+ optimizer.restart=0.01,0.2,1000.0 problem.start=random 'seed=range(0,10)' name=restarts`. A
  large `restart` never begins anew.
- As a solver: `optlab.linear_cg(lambda v: A @ v, b)` says in `steps` what it took; give it clustered matrices.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

import optlab
from experiments.drawing import named, ordered, panels
from experiments.page import Claim, Picture
from experiments.targets import first_reached
from optlab.plots import style
from optlab.plots.line import labelled
from optlab.plots.surface import Field, background
from optlab.run import recorded_steps

BETAS = ("fr", "pr+", "hs", "dy", "hz")
COLOURS = {"fr": "#D55E00", "pr+": "#0072B2", "hs": "#56B4E9", "dy": "#CC79A7", "hz": "#009E73"}
COLOURS |= {method: style.color(method) for method in ("steepest_descent", "bfgs")}
ELLIPSE, WORST = np.diag([1.0, 20.0]), np.array([2.0, 0.1])
DIM, CONDITION, STEPS = 60, 1000.0, 150
TARGET = 1e-10


def matrix(eigenvalues: np.ndarray, seed: int = 0) -> np.ndarray:
    """A symmetric matrix with these eigenvalues along random axes: `[d, d]`."""
    Q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(eigenvalues),) * 2))
    return (Q * eigenvalues) @ Q.T


def conjugate_gradients(A: np.ndarray, start: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Errors after 0 to `steps` steps towards the minimum of 1/2 x'Ax, and the directions: `[steps + 1, d]` each."""

    def after(k):
        found = optlab.linear_cg(lambda v: jnp.asarray(A) @ v, -jnp.asarray(A @ start), tol=0.0, max_steps=k)
        return start + found.x, found.direction

    errors, directions = jax.jit(jax.vmap(after))(jnp.arange(steps + 1))
    return np.asarray(errors), np.asarray(directions)


def steepest_descent(A: np.ndarray, start: np.ndarray, steps: int) -> np.ndarray:
    """The same errors with an exact search along the negative gradient: `[steps + 1, d]`."""

    def after(k):
        search, half = optlab.steepest_descent(optlab.exact()), 0.5 * jnp.asarray(A)
        return optlab.minimize(lambda x: x @ half @ x, jnp.asarray(start), search, max_steps=k, gtol=0.0).x

    return np.concatenate([start[None], jax.jit(jax.vmap(after))(jnp.arange(1, steps + 1))])


def relative(A: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Errors in the norm of A over the first: `[steps + 1]`."""
    size = np.sqrt(np.maximum(np.einsum("ki,ij,kj->k", errors, A, errors), 0))
    return size / size[0]


def steps_to(errors: np.ndarray, target: float = TARGET) -> float:
    """Steps until the relative error is within the target, NaN for never."""
    return float(np.argmax(errors <= target)) if (errors <= target).any() else float("nan")


def cosines(A: np.ndarray, directions: np.ndarray) -> float:
    """The largest cosine between two directions in the geometry of A: 0 where all are conjugate."""
    product = directions @ A @ directions.T
    size = np.sqrt(np.diag(product))
    return float(np.abs(product / np.outer(size, size) - np.eye(len(size))).max())


def chebyshev(condition: float, steps: np.ndarray) -> np.ndarray:
    """The bound 2 ((sqrt K - 1) / (sqrt K + 1))^k of the relative error in the norm of A."""
    root = np.sqrt(condition)
    return 2 * ((root - 1) / (root + 1)) ** steps


def clustered(count: int, width: float = 0.0, dim: int = 50) -> np.ndarray:
    """Eigenvalues in so many clusters between 1 and 100, each spread by this share of itself: `[dim]`."""
    centres = np.geomspace(1, 100, count) if count > 1 else np.array([10.0])
    return np.resize(centres, dim) * (1 + width * np.linspace(-1, 1, dim))


def descended(eigenvalues: np.ndarray, steps: int) -> np.ndarray:
    """Relative errors of conjugate gradients from a random start."""
    A, start = matrix(eigenvalues), np.random.default_rng(1).normal(size=len(eigenvalues))
    return relative(A, conjugate_gradients(A, start, steps)[0])


def roundings() -> pd.DataFrame:
    """What the method promises in n steps, by dimension and condition number."""
    rows = []
    for dim, condition in ((2, 100.0), (5, 100.0), (10, 100.0), (20, 100.0), (20, 1e8)):
        A, start = matrix(np.geomspace(1, condition, dim)), np.random.default_rng(1).normal(size=dim)
        errors, directions = conjugate_gradients(A, start, 6 * dim)
        found = relative(A, errors)
        rows.append((dim, f"{condition:g}", cosines(A, directions[:dim]), found[dim], int(steps_to(found))))
    columns = ["n", "condition number", "largest cosine", "error after n steps", "steps to 1e-10"]
    return pd.DataFrame(rows, columns=columns)


def methods(runs: pd.DataFrame) -> pd.Series:
    """The beta of a run, or its method where it has none."""
    return runs["optimizer.beta"].where(runs.optimizer == "nonlinear_cg", runs.optimizer)


def minimized(results) -> pd.DataFrame:
    """For each method: share solved and median evaluations in the valley, median loss of the network."""
    runs = results.runs.assign(method=methods(results.runs))
    runs["spent"] = first_reached(results, runs, 1e-8, "n_grad").fillna(np.inf)
    valley = runs[runs.problem == "rosenbrock_chained"].groupby("method").spent
    network = runs[runs.problem == "three_layer_network"].groupby("method").best_value.median()
    solved = valley.apply(lambda spent: float(np.isfinite(spent).mean()))
    rows = [(m, solved[m], valley.median()[m], network[m]) for m in COLOURS]
    return pd.DataFrame(rows, columns=["method", "valley: solved", "evaluations", "network: loss"])


def measured() -> dict:
    """All that is measured on quadratics: relative errors in the norm of A, step by step."""
    A, start = matrix(np.geomspace(1, CONDITION, DIM)), np.random.default_rng(1).normal(size=DIM)
    return {
        "zig": steepest_descent(ELLIPSE, WORST, 40),
        "zag": conjugate_gradients(ELLIPSE, WORST, 2)[0],
        "steepest": relative(A, steepest_descent(A, start, STEPS)),
        "cg": relative(A, conjugate_gradients(A, start, STEPS)[0]),
        "roundings": roundings(),
        "clusters": {count: descended(clustered(count), 8) for count in range(1, 6)},
        "widths": {width: descended(clustered(3, width), 18) for width in (0.0, 1e-3, 1e-2, 1e-1)},
    }


def page(results, folder):
    with jax.enable_x64(True):
        found = measured()
    losses = minimized(results)
    distinct = pd.DataFrame([(count, int(steps_to(errors))) for count, errors in found["clusters"].items()],
                            columns=["distinct eigenvalues", "steps to 1e-10"])  # fmt: skip
    shown = losses.assign(method=losses.method.map(style.name))
    shown["valley: solved"] = shown["valley: solved"].map("{:.0%}".format)
    shown["evaluations"] = shown["evaluations"].map(lambda n: f"{n:.0f}" if np.isfinite(n) else "more than 1,000")
    rounded = found["roundings"].assign(**{"largest cosine": found["roundings"]["largest cosine"].map("{:.0e}".format)})
    return {
        "claims": claims(found, losses, distinct), "zigzag": zigzag(found), "clusters": clusters(found),
        "losses": curves(results), "rounding": rounded, "distinct": distinct, "table": shown,
    }  # fmt: skip


def claims(found: dict, losses: pd.DataFrame, distinct: pd.DataFrame) -> list[Claim]:
    zig = relative(ELLIPSE, found["zig"])
    factor = zig[1:] / zig[:-1]
    small, twenty, worse = (found["roundings"].iloc[k] for k in (1, 3, 4))
    k = np.arange(1, DIM + 1)
    share = float((found["cg"][k] / chebyshev(CONDITION, k)).max())
    at = losses.set_index("method")
    spent, loss = at["evaluations"], at["network: loss"]
    ours, others = spent[list(BETAS)], loss[["pr+", "hs", "dy", "hz"]]
    return [
        Claim(
            "steepest descent zigzags",
            f"from the worst start each step leaves {factor.min():.4f} of the error, each the same; by theory (K - "
            f"1) / (K + 1) = {19 / 21:.4f}",
            True,
        ),
        Claim(
            "conjugate directions reach the minimum in n steps",
            f"2 dimensions: {relative(ELLIPSE, found['zag'])[2]:.0e} of the error is left after 2 steps; 5: "
            f"{small['error after n steps']:.0e} after 5; 20: {twenty['steps to 1e-10']} steps to 1e-10, and "
            f"{worse['steps to 1e-10']} with a condition number of 1e8, for the directions lose their conjugacy by "
            "rounding",
            None,
        ),
        Claim(
            "k clusters of eigenvalues take k steps",
            "distinct eigenvalues and steps: " + ", ".join(f"{c}: {n}" for c, n in distinct.to_numpy().tolist())
            + f"; 3 clusters 1 % wide on either side leave {found['widths'][1e-2][3]:.2f} of the error after 3 steps",
            None,
        ),
        Claim(
            "the error falls at least like 2 ((sqrt K - 1) / (sqrt K + 1))^k",
            f"in {DIM} dimensions with K = {CONDITION:,.0f} it is at most {share:.2f} of this, over the first {DIM} "
            "steps",
            share <= 1,
        ),
        Claim(
            "as a minimizer of losses they beat steepest descent",
            f"the valley in {ours.min():.0f} to {ours.max():.0f} evaluations, steepest descent not in 1,000; on the "
            f"network a loss of {others.median():.3f} against {loss['steepest_descent']:.3f}",
            True,
        ),
        Claim(
            "all formulas for beta are alike",
            f"in the valley within {ours.max() / ours.min() - 1:.0%}; on the network fr is left with "
            f"{loss['fr']:.3f}, the others with {others.min():.3f} to {others.max():.3f}",
            None,
        ),
        Claim(
            "BFGS is faster still, for n^2 numbers of memory",
            f"the valley in {spent['bfgs']:.0f} evaluations, {ours.median() / spent['bfgs']:.1f} times fewer; the "
            f"network {loss['bfgs']:.3f}",
            True,
        ),
    ]  # fmt: skip


def zigzag(found: dict) -> Picture:
    titles = ["an ellipse, condition number K = 20", f"{DIM} dimensions, K = {CONDITION:,.0f}: error in the norm of A"]
    head, line = (
        "Right angles, or conjugate ones",
        "exact steps · left from the worst start, right from a random one · float64",
    )
    sheet, axes = panels(head, line, titles, columns=2, width=4.2, right=0.7)
    x, y = np.linspace(-0.6, 2.2, 141), np.linspace(-0.25, 0.25, 101)
    z = 0.5 * (ELLIPSE[0, 0] * x[None, :] ** 2 + ELLIPSE[1, 1] * y[:, None] ** 2)
    background(axes[0], Field(x, y, z, 0.0, 1e-3, False), labels=False).grid(False)
    black, blue = COLOURS["steepest_descent"], COLOURS["pr+"]
    for path, colour in ((found["zig"], black), (found["zag"], blue)):
        axes[0].plot(*path.T, color=colour, linewidth=1.5, path_effects=style.halo(0.9))
    axes[0].plot(0, 0, "*", markersize=11, markerfacecolor=style.PAPER, markeredgecolor=style.INK)
    named(axes[0], "steepest descent", black, tuple(found["zig"][3]), off=(0, -16))
    named(axes[0], "conjugate gradients", blue, (0.55, -0.03), off=(0, -22), ha="center")
    k = np.arange(STEPS + 1)
    for bound in (chebyshev(CONDITION, k), ((CONDITION - 1) / (CONDITION + 1)) ** k):
        axes[1].plot(k, bound, color=style.QUIET, linewidth=1, linestyle=(0, (4, 3)))
    for name, colour in (("steepest", black), ("cg", blue)):
        axes[1].plot(k, found[name], color=colour, linewidth=1.7)
    named(axes[1], "steepest descent", black, (90, found["steepest"][90]), off=(0, 5))
    named(axes[1], "conjugate gradients", blue, (62, found["cg"][62]), ha="right", off=(-4, -12))
    named(axes[1], "dashed: what is promised", style.QUIET, (82, 4e-4), off=(0, 0))
    axes[1].set(yscale="log", xlabel="step", ylim=(1e-12, 5), xlim=(0, STEPS))
    words = (
        "Left: steepest descent and conjugate gradients on an ellipse from the same start. Right: in many "
        "dimensions both keep what theory promises, of which conjugate gradients are promised the square root of "
        "the condition number."
    )
    return Picture(sheet, words)


def clusters(found: dict) -> Picture:
    titles = ["eigenvalues of 1 to 5 kinds", "three clusters, each so wide"]
    head = "As many steps as there are clusters of eigenvalues"
    line = "conjugate gradients in 50 dimensions · error in the norm of A · condition number 100 · float64"
    sheet, axes = panels(head, line, titles, columns=2, width=3.9, right=0.8)
    for ax, lines in ((axes[0], found["clusters"]), (axes[1], found["widths"])):
        for (key, errors), colour in zip(lines.items(), ordered(len(lines)), strict=True):
            seen = np.flatnonzero(errors > 1e-13)
            last = min(int(seen[-1]) + 1, len(errors) - 1)
            shown = np.maximum(errors[: last + 1], 1e-14)
            ax.plot(
                np.arange(last + 1),
                shown,
                "o-",
                color=colour,
                linewidth=1.4,
                markersize=3.5,
                path_effects=style.halo(0.8),
            )
            if ax is axes[0]:
                named(ax, str(key), colour, (last, shown[-1]), off=(0, 6), ha="left")
        ax.set(yscale="log", xlabel="step", ylim=(1e-14, 3))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ends = [(float(np.maximum(e, 1e-14)[-1]), f"± {100 * w:g} %" if w else "equal", c)
            for (w, e), c in zip(found["widths"].items(), ordered(4), strict=True)]  # fmt: skip
    labelled(axes[1], ends)
    words = (
        "Left: with 1 to 5 distinct eigenvalues the error is gone after 1 to 5 steps. Right: of three clusters, the "
        "wider they are the less is gained in each three steps."
    )
    return Picture(sheet, words)


def curves(results) -> Picture:
    titles = ["a bent valley in 4 dimensions: gap", "a network of 66 weights: loss"]
    line = "best so far, median of 20 random starts · strong Wolfe search · fr, pr+, hs, dy, hz: values of beta"
    sheet, axes = panels("Conjugate gradients as minimizers of losses", line, titles, columns=2, width=3.9, right=1.35)
    runs = results.runs.assign(method=methods(results.runs)).set_index("run_id")
    for ax, problem in zip(axes, ("rosenbrock_chained", "three_layer_network"), strict=True):
        rows = results.curves[results.curves.run_id.isin(runs.index[runs.problem == problem])]
        # A run that has ended keeps what it has; the steps at which some have ended are not those of the others.
        held = rows.pivot(index="run_id", columns="step", values="best_value").ffill(axis=1)
        medians = held.groupby(runs.method).median()[[n for n in recorded_steps(1000) if n in held]].T
        ends = []
        for method, colour in COLOURS.items():
            median = medians[method].clip(lower=1e-16)
            dash = style.dash(method) if method == "bfgs" else "solid"
            ax.plot(
                median.index + 1,
                median.clip(lower=1e-16),
                color=colour,
                linewidth=1.6,
                linestyle=dash,
                path_effects=style.halo(0.8),
            )
            ends.append((float(median.iloc[-1]), style.name(method), colour))
        ax.set(xscale="log", yscale="log", xlabel="evaluations")
        if problem == "rosenbrock_chained":
            ax.set(ylim=(1e-16, 1e4))
        labelled(ax, ends)
    words = (
        "Conjugate gradients with five formulas for beta, steepest descent with the same line search, and BFGS, by "
        "evaluations of value and gradient."
    )
    return Picture(sheet, words)
