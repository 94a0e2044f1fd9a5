"""# The condition number: crawling, oscillating, diverging

One rate must serve all directions of an error surface. The steepest direction decides how large it may be, the
flattest how long the descent then takes, and their ratio, the *condition number*, is what gradient descent suffers
from.

## The claim

{{claims}}

## What is seen

{{rates}}

The neuron's surface is an ellipse, because its two inputs have a mean and are correlated. Far below the limit the
descent drops across the valley and then crawls along it. Just below the limit it jumps from wall to wall, ever a
little lower, and still makes the better way along the valley. Just above, each jump ends a little higher.

{{limit}}

{{condition}}

## Why

A linear neuron with weights w, inputs x and desired response d has the *mean square error*

`J(w) = E[(d - w'x)^2] = E[d^2] - 2 p'w + w'R w`, with `R = E[x x']` and `p = E[d x]`.

R is the *correlation matrix of the inputs*; the Hessian is 2R, the same everywhere. The error e = w - w* therefore
obeys `e <- (I - 2 a R) e` with the rate a: along an eigenvector of R with the eigenvalue l it is multiplied by `1 -
2 a l` in each step. It

- *crawls* where `a l` is small: the factor is near 1,
- *oscillates* where `a l > 1/2`: the factor is negative,
- *diverges* where `a l > 1`: the factor is below -1.

So a must be below `1 / lambda_max(R)`. With 1/2 in front of the loss its Hessian is R and the limit `2 /
lambda_max(R)`; both are one rule, **2 divided by the largest eigenvalue of the Hessian**, and near a minimum it is
that of any smooth surface.

The slowest direction is fastest where the factors of the flattest and the steepest are equal but for their sign, at
the rate `2 / (L + m)` with the Hessian's eigenvalues m to L. Both are then `(k - 1) / (k + 1)` in size, with the
condition number `k = L / m`, and the gap to the minimum shrinks by its square in each step: a decade takes `ln 10 /
(2 ln((k + 1) / (k - 1)))` steps, about 0.58 k.

What is done about it *before* any descent is to change the inputs. A mean m adds m m' to the covariance, a long axis
of the ellipse along m; *centring* removes it. *Whitening* (decorrelating, and scaling to variance 1) makes R the
identity: the ellipse is a circle, and one step of the best rate ends in its centre. The momentum of the next chapter
and Newton's method of an earlier one treat the same illness elsewhere.

## Measured

The largest of 1,001 rates (each 0.6 % above the last) with which 2,000 steps do not diverge, against theory.

{{stable}}

Steps to a gap of 1e-8 from the same start: the fewest with any of the rates, and at that rate by the recursion
above.

{{whitened}}

`2 / (L + m)` is the best rate for the *worst* start. Nearly all of the gap at this one lies along the steep
direction, which a slightly smaller rate shrinks faster.

{{beale}}

## Try

- `.venv/bin/optlab explore problem=linear_neuron optimizer=gradient_descent optimizer.learning_rate=0.15`: drag the
  rate over the limit, 0.159, and then the mean to 0.
- Can momentum bear a larger rate? (Up to `2 (1 + m) / L`.) `.venv/bin/optlab -m experiment=conditioning
  optimizer=heavy_ball optimizer.momentum=0.5 problem.factor=1.0 name=heavier`
- Where is the limit on a network, whose Hessian changes on the way? `.venv/bin/optlab -m problem=xor_network
  optimizer=gradient_descent optimizer.learning_rate=5,20,40 steps=5000 probe=sharpness name=edge`, and look at
  `sharpness`, the largest eigenvalue, in `optlab.load("results/edge").curves`. At the start it is 0.20, above 2 /
  20: with that rate the loss grows at first, the descent is thrown to where the sharpness is 0.05, and learns there.
  40 finds no such place.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

import optlab
from experiments.drawing import descents, ordered, panels
from experiments.page import Claim, Picture
from experiments.targets import first_reached
from optlab.plots import style

#: What the inputs are: their mean and correlation, the worst last.
INPUTS = {"whitened": (0.0, 0.0), "decorrelated": (1.5, 0.0), "centred": (0.0, 0.8), "raw": (1.5, 0.8)}
START, TARGET = np.array([-1.0, 0.5]), 1e-8
CONDITIONS = np.logspace(0.5, 4, 15)
#: What the first picture shows: share of the limit, steps.
SHOWN = {"crawling": (0.05, 40), "oscillating": (0.95, 20), "diverging": (1.05, 10)}


def spectrum(mean: float, correlation: float) -> np.ndarray:
    """Eigenvalues of the inputs' correlation matrix, covariance plus m m', ascending: `[2]`."""
    covariance = np.array([[1.0, correlation], [correlation, 1.0]])
    return np.linalg.eigvalsh(covariance + mean**2)


def largest_stable(rates: np.ndarray, lost: np.ndarray) -> float:
    """The largest rate up to which none is lost; NaN where the smallest is."""
    order = np.argsort(rates)
    first = int(np.argmax(lost[order])) if lost.any() else len(rates)
    return float(rates[order][first - 1]) if first else float("nan")


def chosen(runs: pd.DataFrame, name: str, factor: float = 1.0) -> pd.DataFrame:
    """The runs with one kind of inputs, by their rates."""
    mean, correlation = INPUTS[name]
    of = (runs["problem.mean"] == mean) & (runs["problem.correlation"] == correlation)
    return runs[of & (runs["problem.factor"] == factor)].sort_values("optimizer.learning_rate")


def rates_of(runs: pd.DataFrame) -> np.ndarray:
    return runs["optimizer.learning_rate"].to_numpy(float)


def limits(runs: pd.DataFrame) -> pd.DataFrame:
    """For each kind of inputs the largest stable rate of either convention, measured and by theory."""
    rows = []
    for name, inputs in INPUTS.items():
        most = spectrum(*inputs)[1]
        row: list = [name, most]
        for factor in (1.0, 0.5):
            here = chosen(runs, name, factor)
            found = largest_stable(rates_of(here), (here.status == "diverged").to_numpy())
            row += [1 / (factor * most), found]
        rows.append(row)
    sides = ["1 / lambda_max", "measured, mean square", "2 / lambda_max", "measured, with 1/2"]
    return pd.DataFrame(rows, columns=["inputs", "lambda_max(R)", *sides])


def steps_to_target(results, runs: pd.DataFrame) -> np.ndarray:
    """Steps to a gap of 1e-8, NaN for a run that does not reach it."""
    return first_reached(results, runs, TARGET).to_numpy(float)


def steps_by_theory(rates: np.ndarray, mean: float, correlation: float, most: int = 2000) -> np.ndarray:
    """The same by the recursion along each eigenvector, e <- (1 - 2 a l) e: the first n with sum l e^2 <= 1e-8."""
    low, high = spectrum(mean, correlation)
    error = np.array([[1, -1], [1, 1]]) @ (START - 1) / np.sqrt(2)  # along the eigenvectors of `low` and `high`
    n = np.arange(most + 1)
    with np.errstate(over="ignore", under="ignore"):
        parts = [
            c * e**2 * np.abs(1 - 2 * rates[:, None] * c) ** (2.0 * n) for c, e in ((low, error[0]), (high, error[1]))
        ]
        gap = parts[0] + parts[1]
    return np.where((gap <= TARGET).any(axis=1), (gap <= TARGET).argmax(axis=1), np.nan)


def best_rates(results) -> pd.DataFrame:
    """For each kind of inputs the rate that needs the fewest steps, and how many; measured and by theory."""
    rows = []
    for name, inputs in INPUTS.items():
        runs, (low, high) = chosen(results.runs, name), spectrum(*inputs)
        steps = steps_to_target(results, runs)
        best = float(np.median(rates_of(runs)[steps == np.nanmin(steps)]))
        predicted = steps_by_theory(rates_of(runs), *inputs)
        rows.append((name, high / low, 1 / (low + high), best, int(np.nanmin(steps)), int(np.nanmin(predicted))))
    columns = ["inputs", "condition number k", "2 / (L + m)", "best rate", "steps", "by theory"]
    return pd.DataFrame(rows, columns=columns)


def measured_factors(results, runs: pd.DataFrame) -> np.ndarray:
    """By what the first step multiplies the error along the two eigenvectors, the larger of them in size: `[R]`."""
    curves = results.curves[results.curves.run_id.isin(runs.run_id)]
    along = []
    for step in (0, 1):
        at = curves[curves.step == step].set_index("run_id").loc[runs.run_id, ["x_0", "x_1"]].to_numpy(float) - 1
        along.append(np.abs(at @ np.array([[1, 1], [1, -1]])))
    return (along[1] / along[0]).max(axis=1)


def steps_by_condition(conditions: np.ndarray) -> dict[str, np.ndarray]:
    """Gradient descent at its best rate on ellipses of any condition number, its trace and `decade`: steps for a tenth.

    The start (1, 1) is a bad one: at that rate both directions shrink alike.
    """
    columns = {"problem.condition": conditions, "learning_rate": 2 / (1 + conditions)}
    trace = optlab.run_sweep(
        lambda condition: optlab.problems.from_surface(optlab.surfaces.quadratic(condition=condition)),
        optlab.optimizers.gradient_descent, columns, steps=100_000,
    )  # fmt: skip
    decades = np.log10((1 + conditions) / 2 / TARGET)
    theory = np.log(10) / (2 * np.log((conditions + 1) / (conditions - 1)))
    return trace | {"decade": trace["target_step"][:, -1] / decades, "theory": theory}


def sharpest_at_beale() -> float:
    """The largest eigenvalue of the Hessian 2 J'J at the minimum of Beale's function, where all residuals vanish."""
    x, y = 3.0, 0.5
    J = np.array([[y**i - 1, i * x * y ** (i - 1)] for i in (1, 2, 3)])  # of the residuals c_i - x (1 - y^i)
    return float(np.linalg.eigvalsh(2 * J.T @ J)[1])


def largest_converging(rates: np.ndarray, steps: int = 4000) -> float:
    """The largest rate with which gradient descent from close by still arrives at the minimum of Beale's function."""
    problem = optlab.problems.from_surface(optlab.surfaces.beale(), start=jnp.array([3.005, 0.501]))
    descent, columns = optlab.optimizers.gradient_descent, {"learning_rate": rates}
    trace = optlab.run_sweep(problem, descent, columns, steps=steps, record="last")
    away = np.linalg.norm(trace["x"][:, -1] - np.array([3.0, 0.5]), axis=1)
    return largest_stable(rates, ~(away < 1e-6))


def page(results, folder):
    with jax.enable_x64(True):
        by_condition, found = steps_by_condition(CONDITIONS), largest_converging(np.logspace(-2, -1, 1001))
    stable, best, beale = limits(results.runs), best_rates(results), 2 / sharpest_at_beale()
    off = [float((stable.iloc[:, k + 1] / stable.iloc[:, k] - 1).abs().max()) for k in (2, 4)]
    slope = np.polyfit(np.log(CONDITIONS[5:]), np.log(by_condition["decade"][5:]), 1)[0]
    inputs = best.set_index("inputs")
    reached = ", ".join(f"{share:g} of the limit {n}" for share, n in shown_steps(results).items())
    share = inputs["best rate"]["raw"] * spectrum(*INPUTS["raw"])[1]
    claims = [
        Claim(
            "a small rate crawls, a large one oscillates, a larger one diverges",
            f"steps to a gap of 1e-8: {reached}",
            True,
        ),
        Claim(
            "with the mean square error the largest stable rate is 1 / lambda_max(R)",
            f"for four kinds of inputs, within {off[0]:.2%}",
            off[0] < 0.01,
        ),
        Claim(
            "in general it is 2 / lambda_max of the Hessian",
            f"with 1/2 in front of the loss within {off[1]:.2%}; at the minimum of Beale's function {found:.5f}, by "
            f"theory {beale:.5f}",
            off[1] < 0.01 and abs(found / beale - 1) < 0.01,
        ),
        Claim(
            "the steps grow in proportion to the condition number",
            f"from k = {CONDITIONS[5]:.0f} to {CONDITIONS[-1]:,.0f} as its power {slope:.4f}",
            abs(slope - 1) < 0.01,
        ),
        Claim(
            "centring and whitening the inputs helps",
            f"to a gap of 1e-8 {inputs.steps['raw']} steps with raw inputs, {inputs.steps['centred']} with centred, "
            f"{inputs.steps['whitened']} with whitened ones",
            inputs.steps["raw"] > inputs.steps["centred"] > inputs.steps["whitened"],
        ),
        Claim(
            "the best rate is half the largest stable one",
            f"with whitened inputs; with raw ones it is {share:.2f} of it: the worse the condition, the nearer",
            None,
        ),
    ]
    digits = {column: stable[column].map("{:.4f}".format) for column in stable.columns[2:]}
    return {
        "claims": claims,
        "rates": three_rates(results), "limit": limit(results), "condition": condition(by_condition),
        "stable": stable.assign(**digits), "whitened": best,
        "beale": "Beale's function is no quadratic: of 1,001 rates the largest that still arrives from close by is "
                 f"{found:.5f}; 2 / lambda_max of the Hessian at its minimum is {beale:.5f}.",
    }  # fmt: skip


def nearest(results, share: float) -> pd.DataFrame:
    """The run with raw inputs whose rate is nearest to a share of the limit."""
    runs = chosen(results.runs, "raw")
    k = int(np.abs(rates_of(runs) * spectrum(*INPUTS["raw"])[1] / share - 1).argmin())
    return runs.iloc[k : k + 1]


def shown_steps(results) -> dict[float, str]:
    steps = {share: steps_to_target(results, nearest(results, share))[0] for share, _ in SHOWN.values()}
    never = {0.05: "more than 2,000"}
    return {share: never.get(share, "never") if np.isnan(n) else f"{n:.0f}" for share, n in steps.items()}


def three_rates(results) -> Picture:
    titles = [f"{name}: {share:g} of the limit, {steps} steps" for name, (share, steps) in SHOWN.items()]
    limit = 1 / spectrum(*INPUTS["raw"])[1]
    line = f"linear neuron with raw inputs, mean square error · largest stable rate {limit:.3f} · float64"
    sheet, axes = panels("The same ellipse, three rates", line, titles, right=0.45)
    for ax, (share, steps), colour in zip(axes, SHOWN.values(), ordered(3), strict=True):
        descents(ax, results, nearest(results, share), [""], [colour], steps=steps)
    words = (
        "Gradient descent on the error surface of a linear neuron, with a rate far below the largest stable one, "
        "just below it and just above it."
    )
    return Picture(sheet, words)


def limit(results) -> Picture:
    titles = ["factor of the slowest direction in a step", "steps to a gap of 1e-8"]
    line = "linear neuron, mean square error · 1,001 rates for each kind of inputs · dashed: 1 / lambda_max(R)"
    sheet, axes = panels("The steepest direction sets the limit", line, titles, columns=2, width=4.3, right=0.4)
    axes[0].axhline(1, color=style.INK, linewidth=0.8)
    for (name, inputs), colour in zip(INPUTS.items(), ordered(len(INPUTS)), strict=True):
        runs = chosen(results.runs, name)
        rate, steps = rates_of(runs), steps_to_target(results, runs)
        axes[0].plot(rate, measured_factors(results, runs), color=colour, linewidth=1.6)
        axes[1].plot(rate, steps, color=colour, linewidth=1.6)
        for ax in axes:
            ax.axvline(1 / spectrum(*inputs)[1], color=colour, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
        least = int(np.nanargmin(steps))
        label = {"textcoords": "offset points", "ha": "right", "va": "top", "path_effects": style.halo(1.5)}
        axes[1].annotate(
            f"{name}: {steps[least]:.0f}", (rate[least], steps[least]), (-3, -6), fontsize=8.5, color=colour, **label
        )
    axes[0].annotate("grows", (0.011, 1.03), fontsize=8.5, color=style.QUIET)
    axes[0].set(xscale="log", xlabel="rate", xlim=(0.01, 1.3), ylim=(0, 1.3))
    axes[1].set(xscale="log", yscale="log", xlabel="rate", xlim=(0.01, 1.3), ylim=(0.7, 2500))
    words = (
        "Left: the factor by which a step multiplies the error in the direction where it is largest. It reaches 1, "
        "the end of all convergence, at 1 / lambda_max whatever the inputs. Right: the steps that this costs."
    )
    return Picture(sheet, words)


def condition(found: dict[str, np.ndarray]) -> Picture:
    head, line = (
        "Steps grow in proportion to the condition number k",
        "quadratics from (1, 1) · gradient descent at 2 / (L + m)",
    )
    titles = ["steps for each tenth of the gap", "the gap against steps / k"]
    sheet, axes = panels(head, f"{line} · float64", titles, columns=2, width=3.9, right=0.6)
    axes[0].plot(CONDITIONS, found["theory"], color=style.QUIET, linewidth=1.2)
    axes[0].plot(CONDITIONS, found["decade"], "o", color=ordered(2)[1], markersize=5)
    key = {"xycoords": "axes fraction", "va": "top", "fontsize": 8.5, "color": style.QUIET}
    axes[0].annotate("dots: measured\nline: theory, about 0.58 k", (0.06, 0.94), **key)
    axes[0].set(xscale="log", yscale="log", xlabel="condition number k")
    shown = [0, 2, 6, 14]
    for row, (i, colour) in enumerate(zip(shown, ordered(len(shown)), strict=True)):
        k, gap = CONDITIONS[i], found["gap"][i] / found["gap"][i][0]
        seen = gap > 1e-14
        look = {"linewidth": 1.4, "markersize": 3, "path_effects": style.halo(0.8)}
        axes[1].plot(found["step"][i][seen] / k, gap[seen], "o-", color=colour, **look)
        axes[1].annotate(f"k = {style.number(k)}", (0.4, 10.0 ** (-9 - 1.2 * row)), fontsize=8.5, color=colour)
    axes[1].set(yscale="log", xlabel="steps / k", ylim=(1e-14, 3), xlim=(0, 8))
    words = (
        "Left: how many steps divide the gap by ten, at the best rate, against the condition number. Right: counted "
        "in steps / k all ellipses but the roundest have the same descent."
    )
    return Picture(sheet, words)
