"""# Quasi-Newton: curvature learnt from gradients

Newton's method needs the Hessian. Quasi-Newton methods need only what every descent has, gradients at two points:
their difference tells the curvature along the step between them.

## The claim

{{claims}}

## What is seen

{{orders}}

{{matrix}}

The matrix need not be right to be good: it is asked only for the direction of the next step, and there it is right
long before it is right everywhere.

{{memory}}

{{scaling}}

## Why

With the step `s_k = x_{k+1} - x_k` and the change of the gradient `y_k = g_{k+1} - g_k`, the mean value theorem says
`y_k = G s_k`, where G is the Hessian averaged along the step. Whatever stands for the Hessian next should say the
same, the *secant condition*

`B_{k+1} s_k = y_k`, or with the inverse H of B, `H_{k+1} y_k = s_k`.

It gives n equations for n(n+1)/2 unknowns. Of all symmetric H that satisfy it, BFGS takes the one nearest to the last
(in a norm that makes the choice independent of the units), and with `rho = 1 / y's` that is

`H <- (I - rho s y') H (I - rho y s') + rho s s'`,

positive definite as long as `y's > 0`, for which the line search cares (the Wolfe conditions).

- On a *quadratic* with exact line searches the directions are conjugate: the points are those of conjugate
  gradients, and after n steps H is the inverse Hessian.
- *Near a minimum* the step gets ever nearer to Newton's, `|(B_k - G*) s_k| / |s_k| -> 0` (Dennis and More), and this
  is just what makes convergence *superlinear*: the error's factor itself goes to zero. For Newton the error is
  squared in each step.
- *Scaling.* If the variables are changed by x = M z, Newton's steps and BFGS's updates change along, and nothing
  else does. Only the matrix to begin with does not: the identity means something else in other units. BFGS must
  unlearn it, gradient descent keeps it for ever and pays with the square of a factor between the units.
- *L-BFGS* never forms H. It keeps the last m pairs, 2 m n numbers, and applies their updates to the gradient, to a
  multiple of the identity that the newest pair tells, at 4 m n multiplications a step: linear in n. BFGS has n^2 of
  both. With many variables that is no loss, even on a quadratic, where old pairs stay true and forgetting them cannot
  help: what helps is that L-BFGS scales the identity anew in each step, BFGS once, where the descent begins.

## Measured

{{order_table}}

*Order*: the slope of log e_{k+1} over log e_k, of the distance e to the minimum of Beale's function below 0.1, from
8 starts.

L-BFGS with m pairs and BFGS, 100 variables: median evaluations to a gap of 1e-8 from 10 random starts. *Numbers
stored* are those of the state that grow with m; the time of a direction is measured at 20,000 variables, where BFGS
would have to store 3.2 GB.

{{memory_table}}

Rosenbrock's valley with one variable in units that many times smaller, and from a start that many times as far out:
gradients to a gap of 1e-8. Gradient descent has the best of 21 rates and 200,000 steps.

{{scaling_table}}

## Try

- `.venv/bin/optlab explore problem=rosenbrock optimizer=gradient_descent,bfgs,newton`: BFGS's matrix is drawn as an
  ellipse at its head; see it turn along the valley.
- Is more memory always better? `.venv/bin/optlab -m problem=rosenbrock_chained problem.dim=100
  problem.start=random optimizer=lbfgs optimizer.memory=1,5,30 name=much`.
- DFP, the older update of the inverse: `.venv/bin/optlab -m problem=rosenbrock optimizer=bfgs,dfp,sr1
  problem.condition=1.0,1e4,1e8 steps=3000 name=units`.
"""

import timeit

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jax import lax

import optlab
from experiments.conjugate_directions import conjugate_gradients, matrix
from experiments.drawing import lines, named, ordered, panels
from experiments.page import Claim, Picture
from experiments.targets import first_reached
from optlab.optimizers.quasi_newton import LimitedState, two_loops
from optlab.plots import style

BEALE = np.array([3.0, 0.5])
METHODS = {
    "gradient_descent": (lambda: optlab.gradient_descent(0.04), 400),
    "bfgs": (optlab.bfgs, 20),
    "newton": (optlab.newton, 8),
}
UNITS = 10.0 ** np.arange(7)
MILD = np.array([1.0, 1.5, 2.0, 3.0, 4.0])  # as far as gradient descent can follow
FAR = np.array([1.0, 10.0, 100.0])
MANY = 200_000


def iterates(optimizer, fn, starts: np.ndarray, steps: int):
    """Points, gradients and states before each of `steps` iterations, searches whole: `[R, T, ...]` each."""

    def step(carry, _):
        x, state = carry
        value, grad = jax.value_and_grad(fn)(x)
        update, new = optimizer.update(grad, state, x, value=value, grad=grad, value_fn=fn)
        return (x + update, new), (x, grad, new)

    def descend(x):
        return lax.scan(step, (x, optimizer.init(x)), length=steps)[1]

    return jax.tree.map(np.asarray, jax.jit(jax.vmap(descend))(jnp.asarray(starts)))


def secant_residuals(x: np.ndarray, g: np.ndarray, H: np.ndarray) -> np.ndarray:
    """|H y - s| / |s| of each pair, with the matrix that was made from it; NaN where nothing moves: `[T - 1]`."""
    s, y = np.diff(x, axis=0), np.diff(g, axis=0)
    size = np.linalg.norm(s, axis=1)
    off = np.linalg.norm(np.einsum("kij,kj->ki", H[1:], y) - s, axis=1)
    return np.divide(off, size, out=np.full_like(size, np.nan), where=size > 0)


def learnt(start: np.ndarray, steps: int) -> pd.DataFrame:
    """How BFGS learns on Beale's function: distance, secant residual, error of B, and along the step (Dennis and "
    "More)."""
    surface = optlab.surfaces.beale()
    x, g, states = iterates(optlab.bfgs(), surface.fn, start[None], steps)
    x, g, H = x[0], g[0], states.memory.H[0]
    true = np.asarray(jax.hessian(surface.fn)(jnp.asarray(BEALE)))
    s = np.diff(x, axis=0)
    error = np.linalg.inv(H[1:]) - true  # of the matrix after each pair, against the Hessian at the minimum
    taken = np.linalg.norm(s[1:], axis=1)
    along = np.linalg.norm(np.einsum("kij,kj->ki", error[:-1], s[1:]), axis=1) / taken
    size = np.linalg.norm(true)
    return pd.DataFrame(
        {"distance": np.linalg.norm(x[1:-1] - BEALE, axis=1), "secant": secant_residuals(x, g, H)[:-1],
         "matrix": np.linalg.norm(error[:-1], axis=(1, 2)) / size, "along": along / size}
    )  # fmt: skip


def on_a_quadratic(dim: int = 8) -> pd.DataFrame:
    """BFGS with exact searches and conjugate gradients: how far apart, how near, and the error of H, step by step."""
    A, start = matrix(np.geomspace(1, 100, dim)), np.random.default_rng(1).normal(size=dim)
    half, search = 0.5 * jnp.asarray(A), optlab.exact(tolerance=1e-12)
    x, _, states = iterates(optlab.bfgs(search), lambda z: z @ half @ z, start[None], dim + 2)
    ours, theirs = x[0, : dim + 1], conjugate_gradients(A, start, dim)[0]
    H = states.memory.H[0, 1 : dim + 1]
    off = np.linalg.norm(H @ A - np.eye(dim), axis=(1, 2)) / np.sqrt(dim)
    size = np.linalg.norm(start)
    return pd.DataFrame(
        {"apart": np.linalg.norm(ours - theirs, axis=1) / size, "bfgs": np.linalg.norm(ours, axis=1) / size,
         "cg": np.linalg.norm(theirs, axis=1) / size, "inverse": [np.nan, *off]}
    )  # fmt: skip


def errors(method: str) -> np.ndarray:
    """Distances to the minimum of Beale's function from 8 starts around it: `[8, T]`."""
    angles = 2 * np.pi * np.arange(8) / 8
    starts = BEALE + 0.15 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    make, steps = METHODS[method]
    x, _, _ = iterates(make(), optlab.surfaces.beale().fn, starts, steps)
    return np.linalg.norm(x - BEALE, axis=2)


def order(distances: np.ndarray) -> float:
    """The slope of log e_{k+1} over log e_k, between 0.1 and rounding."""
    before, after = distances[:, :-1].ravel(), distances[:, 1:].ravel()
    used = (before < 0.1) & (after > 1e-13)
    return float(np.polyfit(np.log(before[used]), np.log(after[used]), 1)[0])


def scaled(condition, start_scale):
    """Rosenbrock's function, its second variable in units sqrt(condition) times smaller, from a start further out."""
    return optlab.problems.from_surface(optlab.surfaces.rosenbrock(), condition=condition, start_scale=start_scale)


def gradients_needed(
    make, units: np.ndarray, far: np.ndarray, steps: int, rates: np.ndarray | None = None
) -> np.ndarray:
    """Gradients to a gap of 1e-8 with each factor between the units and of the start, at the best of `rates`; "
    "inf: never."""
    rows = np.array(
        [(u**2, f, r) for u, f in zip(units, far, strict=True) for r in (rates if rates is not None else [0.0])]
    )
    columns = {"problem.condition": rows[:, 0], "problem.start_scale": rows[:, 1]}
    if rates is not None:
        columns["learning_rate"] = rows[:, 2]
    trace = optlab.run_sweep(scaled, make, columns, steps=steps, record="last", gtol=0.0)
    reached = trace["target_n_grad"][:, -1].astype(float)
    return np.where(reached < 0, np.inf, reached).reshape(len(units), -1).min(axis=1)


def scalings() -> dict[str, np.ndarray]:
    """For each method the gradients by the factor between units, and then by that of the start."""
    units, far = np.concatenate([UNITS, np.ones(len(FAR))]), np.concatenate([np.ones(len(UNITS)), FAR])
    found = {name: gradients_needed(getattr(optlab, name), units, far, 2000) for name in ("newton", "bfgs", "lbfgs")}
    rates = np.geomspace(3e-4, 3e-3, 21)
    return found | {
        "gradient_descent": gradients_needed(optlab.gradient_descent, MILD, np.ones(len(MILD)), MANY, rates)
    }


def numbers_stored(memory: int, dim: int) -> int:
    """Numbers in L-BFGS's state that grow with its memory: the pairs and their 1 / s'y."""
    state = jax.eval_shape(optlab.lbfgs(memory).init, jnp.zeros(dim)).memory
    assert isinstance(state, LimitedState)
    return sum(leaf.size for leaf in (state.S, state.Y, state.rho))


def direction_seconds(memory: int, dim: int = 20_000) -> float:
    """The least time of 50 that the two loops take."""
    keys = jax.random.split(jax.random.key(0), 3)
    S, Y = (jax.random.normal(key, (memory, dim)) for key in keys[:2])
    g, rho = jax.random.normal(keys[2], (dim,)), jnp.ones(memory) / dim
    direction = jax.jit(two_loops)
    direction(S, Y, rho, g).block_until_ready()
    return min(timeit.repeat(lambda: direction(S, Y, rho, g).block_until_ready(), number=1, repeat=50))


def remembered(results) -> pd.DataFrame:
    """Gradients to a gap of 1e-8 of each run, by problem and memory (0: BFGS)."""
    runs = results.runs.assign(spent=first_reached(results, results.runs, 1e-8, "n_grad").fillna(np.inf))
    runs["memory"] = runs["optimizer.memory"].astype(float).fillna(0).astype(int)
    return runs[["problem", "memory", "spent"]]


def conditions(units: np.ndarray) -> np.ndarray:
    """Condition numbers of the scaled Rosenbrock function at its minimum, [[802, -400], [-400, 200]] in those units."""
    return np.array([np.linalg.cond(np.array([[802, -400 / u], [-400 / u, 200 / u**2]])) for u in units])


def page(results, folder):
    with jax.enable_x64(True):
        found = {
            "errors": {method: errors(method) for method in METHODS},
            "learnt": learnt(np.array([2.5, 0.4]), 16),
            "quadratic": on_a_quadratic(),
            "scalings": scalings(),
        }
        runs = remembered(results)
        memories = sorted(set(runs.memory) - {0})
        stored = {m: numbers_stored(m, 100) for m in memories} | {0: 100**2}
        seconds = {m: f"{1000 * direction_seconds(m):.2f}" for m in memories} | {0: ""}
    median = runs.groupby(["problem", "memory"]).spent.median()
    valley, chain = median["rosenbrock_chained"], median["nesterov_worst"]
    orders = {method: order(distances) for method, distances in found["errors"].items()}
    theory = {"gradient_descent": "1", "bfgs": "above 1", "newton": "2"}
    columns = ["memory", "bent valley", "quadratic chain", "numbers stored", "direction, ms"]
    rows = [(f"m = {m}" if m else "bfgs", valley[m], chain[m], stored[m], seconds[m]) for m in [*memories, 0]]
    return {
        "claims": claims(found, orders, valley, chain),
        "orders": convergence(found), "matrix": matrices(found), "memory": memory(runs),
        "scaling": scaling(found["scalings"]),
        "order_table": pd.DataFrame(
            [(style.name(m), value, theory[m]) for m, value in orders.items()], columns=["method", "order", "by theory"]
        ),
        "memory_table": pd.DataFrame(rows, columns=columns),
        "scaling_table": scaling_table(found["scalings"]),
    }  # fmt: skip


def scaling_table(found: dict[str, np.ndarray]) -> pd.DataFrame:
    """A row for each factor: between units first, then of the start."""
    descent = dict(zip(MILD, found["gradient_descent"], strict=True))
    rows = [(f"units 1 : {u:,.0f}" if u > 1 else "as they are", *(found[m][k] for m in ("newton", "bfgs", "lbfgs")),
             f"{descent[u]:,.0f}" if u in descent else f"more than {MANY:,}") for k, u in enumerate(UNITS)]  # fmt: skip
    rows += [(f"start {f:.0f} times as far", *(found[m][len(UNITS) + k] for m in ("newton", "bfgs", "lbfgs")), "")
             for k, f in enumerate(FAR) if f > 1]  # fmt: skip
    return pd.DataFrame(rows, columns=["", "newton", "bfgs", "lbfgs", "gradient descent"])


def claims(found: dict, orders: dict[str, float], valley: pd.Series, chain: pd.Series) -> list[Claim]:
    way, square, units = found["learnt"], found["quadratic"], found["scalings"]
    wrong = way[way.distance < 1e-2].iloc[0]
    grown, theory = units["gradient_descent"] / units["gradient_descent"][0], conditions(MILD) / conditions(MILD)[0]
    return [
        Claim(
            "BFGS keeps the secant condition",
            f"H y differs from s by at most {way.secant.max():.0e} of its length at any step",
            True,
        ),
        Claim(
            "on a quadratic it makes the steps of conjugate gradients and ends in n",
            f"8 dimensions, exact searches: the points differ by at most {square.apart.max():.0e}, the error after 8 "
            f"steps is {square.bfgs.iloc[-1]:.0e}, and H the inverse Hessian to {square.inverse.iloc[-1]:.0e}",
            True,
        ),
        Claim(
            "its matrix becomes the Hessian",
            f"not before it is of use: {wrong.distance:.0e} from the minimum it is {wrong.matrix:.0%} off, but "
            f"{wrong.along:.2%} along the step; in the end {way.matrix.iloc[-1]:.0e}",
            None,
        ),
        Claim(
            "gradient descent converges linearly, BFGS superlinearly, Newton quadratically",
            "order " + ", ".join(f"{style.name(method)} {value:.2f}" for method, value in orders.items()),
            True,
        ),
        Claim(
            "L-BFGS needs few pairs",
            f"in the valley m = 1, 5, 50 take {valley[1]:.0f}, {valley[5]:.0f} and {valley[50]:.0f} evaluations, on "
            f"the quadratic {chain[1]:.0f}, {chain[5]:.0f} and {chain[50]:.0f}: a quadratic goes on gaining",
            None,
        ),
        Claim(
            "BFGS, which forgets nothing, needs fewer evaluations than L-BFGS",
            f"{valley[0]:.0f} in the valley and {chain[0]:.0f} on the quadratic, L-BFGS with m = 10 {valley[10]:.0f} "
            f"and {chain[10]:.0f}",
            False if valley[0] > valley[10] else None,
        ),
        Claim(
            "Newton does not feel the units, BFGS hardly, gradient descent fully",
            f"units 1 : 1e6: Newton {units['newton'][0]:.0f} and {units['newton'][6]:.0f} gradients, BFGS "
            f"{units['bfgs'][0]:.0f} and {units['bfgs'][6]:.0f}; gradient descent {grown[-1]:.1f} times as many at 1 "
            f": 4 (the condition number is {theory[-1]:.1f} times as large)",
            True,
        ),
    ]  # fmt: skip


def convergence(found: dict) -> Picture:
    titles = ["distance to the minimum, one start", "each distance against the last, 8 starts"]
    line = "Beale's function · gradient descent at a rate of 0.04 · float64 · dashed: slopes 1 and 2"
    sheet, axes = panels("Linear, superlinear, quadratic", line, titles, columns=2, width=3.9, right=1.3)
    axes[0].set(yscale="log", xlabel="iteration", ylim=(1e-16, 1))
    entries = []
    for method, distances in found["errors"].items():
        colour, one = style.color(method), distances[0][:21]
        one = one[one > 0]
        entries.append((np.arange(len(one)), one, style.name(method), colour))
        before, after = distances[:, :-1].ravel(), distances[:, 1:].ravel()
        axes[1].plot(before[after > 1e-15], after[after > 1e-15], "o", color=colour, markersize=3)
    lines(axes[0], entries)
    e = np.geomspace(1e-14, 0.3, 50)
    for power in (1, 2):
        axes[1].plot(e, e**power, color=style.QUIET, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    axes[1].set(xscale="log", yscale="log", xlabel="distance", ylim=(1e-15, 1), xlim=(1e-12, 0.5))
    named(axes[1], "1", style.QUIET, (1e-10, 1e-10), off=(-8, 4))
    named(axes[1], "2", style.QUIET, (1e-7, 1e-14), off=(5, 0))
    words = (
        "Left: gradient descent, BFGS and Newton's method from the same start. Right: how the next distance depends "
        "on the last: in proportion, with a higher power, with its square."
    )
    return Picture(sheet, words)


def matrices(found: dict) -> Picture:
    titles = ["Beale's function: errors of B, relative", "a quadratic in 8 dimensions: relative errors"]
    line = "left strong Wolfe, right exact searches · B against the Hessian at the minimum · float64"
    sheet, axes = panels("What the matrix has learnt", line, titles, columns=2, width=3.7, right=1.5)
    way, square = found["learnt"], found["quadratic"]
    shades = ordered(3)
    k = np.arange(1, len(way) + 1)
    for ax in axes:
        ax.set(yscale="log", xlabel="iteration", ylim=(1e-14, 3))
    names = {"matrix": "whole matrix", "along": "along the step", "distance": "distance left"}
    lines(axes[0], [(k, way[c], name, colour) for (c, name), colour in zip(names.items(), shades, strict=True)])
    k = np.arange(len(square))
    axes[1].plot(k, square.cg, "o", color=style.color("gradient_descent"), markersize=8, markerfacecolor="none")
    entries = [(k, square.bfgs, "points of BFGS", style.color("bfgs")), (k, square.inverse, "matrix H", shades[1])]
    lines(axes[1], entries)
    named(axes[1], "circles: points of\nconjugate gradients", style.INK, (0.4, 1e-8), off=(0, 0))
    words = (
        "Left: BFGS's matrix is right along the step before it is right as a whole, and the descent is over when it "
        "is. Right: on a quadratic with exact searches BFGS is conjugate gradients, and knows the Hessian after as "
        "many steps as dimensions."
    )
    return Picture(sheet, words)


def memory(runs: pd.DataFrame) -> Picture:
    titles = ["a bent valley, 100 variables", "a quadratic chain, 100 variables"]
    line = "evaluations to a gap of 1e-8 · dots: 10 random starts · line: median · dashed: BFGS · float64"
    sheet, axes = panels("How many pairs L-BFGS needs", line, titles, columns=2, width=3.9, right=0.7)
    colour = style.color("lbfgs")
    for ax, problem in zip(axes, ("rosenbrock_chained", "nesterov_worst"), strict=True):
        here = runs[runs.problem == problem]
        limited = here[here.memory > 0]
        ax.plot(limited.memory, limited.spent, ".", color=style.mix(colour, style.PAPER, 0.45), markersize=5)
        median = limited.groupby("memory").spent.median()
        ax.plot(median.index, median, "o-", color=colour, linewidth=1.7, markersize=5)
        full = float(here[here.memory == 0].spent.median())
        ax.axhline(full, color=style.INK, linewidth=1, linestyle=(0, (4, 3)))
        named(ax, "bfgs", style.INK, (52, full), off=(2, 5), ha="right")
        ax.set(xscale="log", xlabel="pairs m", xticks=median.index, xticklabels=[str(m) for m in median.index])
        ax.minorticks_off()
        ax.set_ylim(0, 1.12 * max(limited.spent.max(), full))
    words = (
        "Evaluations that L-BFGS needs with 1 to 50 pairs. In the bent valley old pairs tell of a Hessian that is "
        "no longer there; on the quadratic every pair stays true."
    )
    return Picture(sheet, words)


def scaling(found: dict[str, np.ndarray]) -> Picture:
    head, line = (
        "Units: felt fully, hardly, not at all",
        "Rosenbrock's function, its second variable in other units · float64",
    )
    sheet, (ax,) = panels(head, line, ["gradients to a gap of 1e-8"], columns=1, width=5.2, right=1.4)
    ax.set(xscale="log", yscale="log", xlabel="factor between the units", ylim=(3, 3e5), xlim=(0.8, 1.2e6))
    colours = {"bfgs": style.color("bfgs"), "lbfgs": "#a46f00", "newton": style.color("newton")}
    lines(ax, [(UNITS, found[method][: len(UNITS)], method, colour) for method, colour in colours.items()])
    descent = found["gradient_descent"]
    ax.plot(MILD, descent, "o-", color=style.INK, markersize=3.5, linewidth=1.6)
    named(ax, "gradient descent, best of 21 rates", style.INK, (MILD[-1], descent[-1]), off=(6, -4))
    words = (
        "Gradients to the minimum of Rosenbrock's function against the factor between the units of its two "
        "variables. Gradient descent's go with the condition number, beyond 4 it needs more than 200,000."
    )
    return Picture(sheet, words)
