"""# Error surfaces: plateaus, cliffs, saddles, local minima

The error of a network, over its weights, is a landscape that training descends. Already a single sigmoid neuron makes
one that is no bowl: flat plains where the neuron is saturated, steep steps between them. Hidden layers add saddles and
more than one minimum.

## The claim

{{claims}}

## What is seen

{{neuron}}

Two weights and no bias, `f(w) = 1/n sum_p (s(w' x_p) - d_p)^2` with the sigmoid s. Each pattern by itself makes a step
across the line `w' x_p = 0`: on one side the neuron answers as desired, on the other it is saturated at the wrong end.
The sum is a staircase. With four patterns there are more steps, and still one minimum; which of the corners is the low
one, the desired responses decide.

{{network}}

The same with hidden layers, over a plane through the space of all weights, and beside them a wall as the loss of a
recurrent network has it.

{{starts}}

## Why

- *Plateaus.* The gradient of one pattern is `2 (s - d) s (1 - s) x`. Whatever the error s - d, the factor `s (1 - s)`
  vanishes like `exp(-|w' x|)`: a neuron that is certain and wrong learns nothing. Far out each pattern costs 0.01
  where it is met and 0.81 where it is missed (responses are 0.1 and 0.9), so that the terraces lie at these levels.
- *Local minima.* The squared error is bounded along each direction, a sum of bounded steps up and down, and nothing
  keeps such a sum from having many dents. n patterns of d inputs can be chosen so that it has `(n/d)^d` of them: for
  each weight a weak and a strong pattern ask for opposite signs (`contradicting_neuron`).
- *Saddles.* Between two minima there is a pass, and a pass is a saddle. On a surface that rises beyond the box on all
  sides, minima - saddles + maxima = 1 (Morse). An error that saturates does not rise; then the sum is the number of
  turns that the gradient makes along the border of the box (Poincare and Hopf), whatever it may be. It is measured
  beside the count.
- *Cliffs.* Weights that multiply, layer after layer or step after step in time, multiply the slope as well.

## Measured

Stationary points in the box, their sum with signs, the turns of the gradient around the border (if the two agreed, no
point was missed, or as many with one sign as with the other); the share of the box that is *flat*, its slope below 1 %
of the steepest; and how much steeper the steepest place is than the median one.

{{shapes}}

Of 60 random starts, the share that ends in the global minimum after at most 1,000 steps, each method at the best of
the rates 0.01, 0.1, 1 and 10, chosen for each surface on 40 other starts (BFGS has none); one standard error is at
most 0.065.

{{shares}}

Where the others ended, in shares of all scored runs of a method: in a local minimum; on the flat, its slope promising
next to nothing (some with a gradient below 1e-8 far out, which looks like convergence); still on the way.

{{ends}}

On the contradicting patterns the basin of the global minimum is where both weights are below 0.489, and that is
`(2.489 / 6)^2 = 17 %` of the box: what the methods reach, give or take the chance of 60 starts. No rate mends that. On
the plateaus of the neuron long steps count (for descent and the heavy ball the best rate is 10), and they are paid
with runs that land farther out: hence the flat ends of the heavy ball and of BFGS.

The network for the exclusive or has nine weights and no picture. Its plateau is where the output is a half for all
patterns (f = 0.16): most runs end on it, or just leave it when the budget ends.

## Try

- `.venv/bin/optlab explore problem=sigmoid_neuron,mlp_slice,cliff optimizer=gradient_descent,heavy_ball,adam,bfgs`:
  click on a plateau, then on a slope.
- Eight minima of one neuron with three weights: `.venv/bin/optlab -m problem=contradicting_neuron problem.dim=3
  problem.start=random optimizer=bfgs 'seed=range(0,200)' name=eight`.
- Which start leads where: `.venv/bin/optlab landscape basins problem=contradicting_neuron optimizer=gradient_descent
  optimizer.learning_rate=1.0 size=64 name=dents`, then `.venv/bin/optlab plot basins results/dents`.
- A wall, and the gradient's norm clipped before it: `.venv/bin/optlab -m problem=cliff optimizer=gradient_descent
  optimizer.learning_rate=0.1 optimizer.clip_norm=null,1.0 name=wall`.
"""

from typing import NamedTuple

import jax
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import optlab
from experiments.drawing import relief
from experiments.page import Claim, Picture
from optlab.plots import style
from optlab.plots.surface import Field, background
from optlab.types import Surface

S = optlab.surfaces
#: Name on the page, and the surface: one neuron, then networks.
NEURONS = {
    "2 patterns, both true": S.sigmoid_neuron("or", 2), "2 patterns, one true": S.sigmoid_neuron("and", 2),
    "4 patterns, or": S.sigmoid_neuron("or", 4), "4 patterns, exclusive or": S.sigmoid_neuron("xor", 4),
}  # fmt: skip
NETWORKS = {
    "4 patterns that contradict": S.contradicting_neuron(), "5-8-2 network, two weights": S.three_layer_weights(),
    "5-8-2 network, trained": S.three_layer_directions(), "two hidden layers": S.mlp_slice(), "a wall": S.cliff(),
}  # fmt: skip
#: Where a relief is looked at from, in degrees; from the low side the stairs are seen.
SEEN_FROM = {
    "2 patterns, both true": 60, "2 patterns, one true": 150, "4 patterns, or": 50, "4 patterns, exclusive or": 40,
    "5-8-2 network, trained": 60, "two hidden layers": -40,
}  # fmt: skip
DOTTED = "dotted: slope below 1 % of the steepest"
FLAT = 0.01  #: of the steepest slope in the box
TUNING = 40  #: seeds below choose the rate, those from here on score
OPTIMIZERS = ("gradient_descent", "heavy_ball", "adam", "bfgs")


class Slopes(NamedTuple):
    """A surface on a grid with its gradient's norm."""

    field: Field
    norm: np.ndarray  #: `[m, n]`

    def flat(self) -> float:
        """The share of the box where the slope is below `FLAT` of the steepest."""
        return float(np.mean(self.norm < FLAT * self.norm.max()))

    def steepness(self) -> float:
        """The steepest slope in units of the median one."""
        return float(self.norm.max() / np.median(self.norm))


def slopes(surface: Surface, points: int = 201) -> Slopes:
    """Value and slope on a grid over the surface's box."""
    lower, upper = (np.asarray(side, float) for side in surface.domain)
    x, y = (np.linspace(lower[k], upper[k], points) for k in range(2))
    places = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    value, gradient = evaluated(surface, places)
    z, floor = value.reshape(points, points), float(surface.points[0].value)
    unit = max(float(np.quantile(z - floor, 0.001)), 1e-3 * float(np.ptp(z)))
    norm = np.linalg.norm(gradient, axis=1).reshape(points, points)
    return Slopes(Field(x, y, z, floor, unit, False, ("", "")), norm)


def evaluated(surface: Surface, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values `[N]` and gradients `[N, d]` at places `[N, d]`, in float64."""
    with jax.enable_x64(True):
        value, gradient = jax.jit(jax.vmap(jax.value_and_grad(surface.fn)))(places)
        return np.asarray(value), np.asarray(gradient)


def turns(surface: Surface, points: int = 10_000) -> int:
    """How often the gradient turns along the border of the box, counterclockwise: the sum of the indices within."""
    (x0, y0), (x1, y1) = surface.domain
    t = np.linspace(0, 1, points)
    x = np.concatenate([x0 + (x1 - x0) * t, np.full(points, x1), x1 - (x1 - x0) * t, np.full(points, x0)])
    y = np.concatenate([np.full(points, y0), y0 + (y1 - y0) * t, np.full(points, y1), y1 - (y1 - y0) * t])
    _, gradient = evaluated(surface, np.stack([x, y], axis=1))
    angle = np.unwrap(np.arctan2(gradient[:, 1], gradient[:, 0]))
    return round(float(angle[-1] - angle[0]) / (2 * np.pi))


def terraces(surface: Surface, far: float = 1e4, rays: int = 720) -> np.ndarray:
    """The distinct heights of the surface far out, where all is saturated: `[levels]`, ascending."""
    angle = 2 * np.pi * (np.arange(rays) + 0.5) / rays
    value, _ = evaluated(surface, far * np.stack([np.cos(angle), np.sin(angle)], axis=1))
    return np.unique(np.round(value, 6))


def counted(surface: Surface) -> dict[str, int]:
    """Stationary points in the box by kind: of a neuron found, of a network those that its surface states."""
    points = surface.points
    if len(points) == 1 and "cliff" not in surface.tags:
        points = optlab.find_critical_points(surface, starts=256, max_steps=50)
    return {kind: sum(point.kind == kind for point in points) for kind in ("minimum", "saddle", "maximum")}


def dents(dim: int) -> int:
    """Minima of one neuron with `dim` weights on 2 `dim` patterns that contradict each other, as stated."""
    return sum(point.kind == "minimum" for point in S.contradicting_neuron(dim).points)


def shapes(seen: dict[str, Slopes]) -> pd.DataFrame:
    """A row for each surface."""
    rows = []
    for name, surface in (NEURONS | NETWORKS).items():
        n = counted(surface)
        signed = n["minimum"] - n["saddle"] + n["maximum"]
        rows.append((name, *n.values(), signed, turns(surface), seen[name].flat(), seen[name].steepness()))
    columns = ["surface", "minima", "saddles", "maxima", "with signs", "turns", "flat", "steepest / median"]
    return pd.DataFrame(rows, columns=columns)


def scored(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs that score, each optimizer on each surface at the rate that reached most minima from other starts."""
    runs = runs.assign(surface=_surfaces(runs), rate=runs["optimizer.learning_rate"].fillna(0.0))
    runs = runs.assign(reached=runs.end_label == "global_min")
    keys = ["surface", "optimizer"]
    tried = runs[runs.seed < TUNING].groupby([*keys, "rate"]).reached.mean().reset_index()
    best = tried.sort_values("reached", kind="stable").groupby(keys).tail(1)[[*keys, "rate"]]
    return runs[runs.seed >= TUNING].merge(best, on=[*keys, "rate"])


def _surfaces(runs: pd.DataFrame) -> pd.Series:
    names = {
        "sigmoid_neuron": "neuron", "contradicting_neuron": "neuron, contradictions",
        "three_layer_weights": "5-8-2, two weights", "three_layer_directions": "5-8-2, trained",
        "mlp_slice": "two hidden layers", "xor_network": "exclusive or, 2-2-1",
    }  # fmt: skip
    response = runs["problem.response"].fillna("").map(lambda word: f", {word}" if word else "")
    return runs.problem.map(names) + response


def shares(best: pd.DataFrame) -> pd.DataFrame:
    """The share of starts that end in the global minimum: a row for each surface, the easiest first."""
    table = best.pivot_table(index="surface", columns="optimizer", values="reached")[list(OPTIMIZERS)]
    table = table.loc[table.mean(axis=1).sort_values(ascending=False).index]
    return table.rename(columns=style.name).reset_index()


def ends(best: pd.DataFrame) -> pd.DataFrame:
    """Where the runs of each optimizer end."""
    words = {
        "global_min": "global minimum", "local_min": "local minimum", "plateau": "flat", "degenerate": "flat",
        "none": "on the way", "saddle_1": "on the way", "diverged": "diverged",
    }  # fmt: skip
    table = pd.crosstab(best.optimizer, best.end_label.map(words).fillna("on the way"), normalize="index")
    table = table.reindex(index=list(OPTIMIZERS), columns=list(dict.fromkeys(words.values())), fill_value=0.0)
    return table.loc[:, table.any()].rename(index=style.name).reset_index()


def page(results, folder):
    seen = {name: slopes(surface) for name, surface in (NEURONS | NETWORKS).items()}
    best = scored(results.runs)
    shape, reached = shapes(seen), shares(best)
    two, four = (len(terraces(NEURONS[name])) for name in ("2 patterns, both true", "4 patterns, or"))
    held = {name: row for name, row in zip(shape.surface, shape.itertuples(), strict=True)}
    hidden = held["two hidden layers"]
    steep = {name: seen[name].steepness() for name in seen}
    mean = reached.drop(columns="surface").mean()
    agree = bool((shape["with signs"] == shape.turns).all())
    claims = [
        Claim(
            "the error of a sigmoid neuron has large plateaus",
            f"{seen['2 patterns, both true'].flat():.0%} of the box is flat with two patterns, "
            f"{seen['4 patterns, or'].flat():.0%} with four",
            True,
        ),
        Claim("more patterns make more terraces", f"{two} levels with two patterns, {four} with four", four > two),
        Claim(
            "more patterns make local minima",
            f"not these: one minimum for and, or, exclusive or; but four patterns that contradict make {dents(2)}, "
            f"six on three weights {dents(3)}, as (n/d)^d says",
            None,
        ),
        Claim(
            "hidden layers make saddles and local minima",
            f"two hidden layers, in one plane: {hidden.minima} minima, {hidden.saddles} saddles, {hidden.maxima} "
            "maxima; the plane through a trained 5-8-2 network shows one bowl",
            hidden.minima > 1,
        ),
        Claim(
            "minima - saddles + maxima = 1",
            f"equal to the turns of the gradient on the border {'everywhere' if agree else 'not everywhere'}; but "
            f"these are {hidden.turns} for two hidden layers, whose error does not rise beyond the box",
            None,
        ),
        Claim(
            "cliffs",
            f"the steepest slope is {steep['2 patterns, both true']:.0f} (neuron) and {steep['two hidden layers']:.0f} "
            f"(two hidden layers) times the median one, {steep['a wall']:.0f} times at the wall that is made so",
            None,
        ),
        Claim(
            "gradient descent is held up by plateaus and local minima",
            f"{mean['gradient descent']:.0%} of its starts reach the global minimum on the mean, "
            f"{mean['heavy ball']:.0%} with momentum, {mean['adam']:.0%} with Adam, {mean['bfgs']:.0%} with BFGS: "
            "curvature does not help against local minima",
            True,
        ),
    ]  # fmt: skip
    return {
        "claims": claims, "neuron": neuron(seen), "network": network(seen), "starts": starts(reached),
        "shapes": shape, "shares": reached, "ends": ends(best),
    }  # fmt: skip


def sheet_of(head: str, line: str, count: int) -> tuple[Figure, list[Axes], list[Axes]]:
    """A row of maps, and below each the same as a relief."""
    step, width = 2.85, 2.25
    sheet = style.figure(0.3 + step * count, 6.15)
    maps = [style.quiet(style.inches(sheet, 0.5 + step * k, 2.95, width, width)) for k in range(count)]
    style.title(sheet, head, line)
    return sheet, maps, [style.inches(sheet, 0.3 + step * k, 0.1, 2.6, 2.5, projection="3d") for k in range(count)]


def drawn(head: str, line: str, names: list[str], seen: dict[str, Slopes]) -> Figure:
    sheet, maps, below = sheet_of(head, line, len(names))
    for k, name in enumerate(names):
        found = seen[name]
        background(maps[k], found.field, labels=False)
        maps[k].grid(False)
        maps[k].contourf(
            found.field.x, found.field.y, found.norm < FLAT * found.norm.max(), levels=[0.5, 1.5], colors="none",
            hatches=["...."], zorder=1,
        ).set(edgecolor="#b5482a", linewidth=0)  # fmt: skip
        maps[k].set_title(name, fontsize=9.5, color=style.INK, loc="left", pad=5)
        stars(maps[k], (NEURONS | NETWORKS)[name])
        relief(below[k], found.field, azimuth=SEEN_FROM.get(name, -120))
    return sheet


def stars(ax: Axes, surface: Surface) -> None:
    """The stated stationary points, each kind by its marker."""
    for kind, shape, size in (("saddle", "X", 6), ("maximum", "^", 6), ("minimum", "*", 10)):
        places = np.array([point.x for point in surface.points if point.kind == kind]).reshape(-1, 2)
        ax.plot(*places.T, shape, markersize=size, color=style.PAPER, markeredgecolor=style.INK, markeredgewidth=0.8)


def neuron(seen: dict[str, Slopes]) -> Picture:
    line = f"first weight across, second up; responses 0.1 and 0.9 · {DOTTED} · star: minimum"
    sheet = drawn("One sigmoid neuron: a staircase", line, list(NEURONS), seen)
    return Picture(
        sheet,
        "The error of one neuron for two sets of desired responses, with two patterns and with four: maps with "
        "logarithmic levels above, relief below. Dotted is flat.",
    )


def network(seen: dict[str, Slopes]) -> Picture:
    line = f"planes through the weights · {DOTTED} · star: minimum, cross: saddle, triangle: maximum"
    sheet = drawn("Contradictions, hidden layers, a wall", line, list(NETWORKS), seen)
    return Picture(
        sheet,
        "One neuron on patterns that contradict each other, two planes through the weights of a 5-8-2 network, one of "
        "a network with two hidden layers, and a wall. Beside the wall all else counts as flat.",
    )


def starts(reached: pd.DataFrame) -> Picture:
    sheet = style.figure(8.2, 4.0)
    ax = style.quiet(style.inches(sheet, 2.1, 0.75, 5.6, 2.2))
    rows = np.arange(len(reached))[::-1]
    for offset, optimizer in zip((0.24, 0.08, -0.08, -0.24), OPTIMIZERS, strict=True):
        share = reached[style.name(optimizer)].to_numpy()
        ax.hlines(rows + offset, 0, share, color=style.color(optimizer), linewidth=1.2)
        look = {"color": style.color(optimizer), "markersize": 5, "linestyle": "none", "clip_on": False}
        ax.plot(share, rows + offset, style.marker(optimizer), **look)
    ax.set(xlim=(0, 1), ylim=(-0.5, len(rows) - 0.5), xlabel="share of random starts that end in the global minimum")
    ax.set_yticks(rows, reached.surface, fontsize=8.5, color=style.INK)
    line = "1,000 steps, 60 starts, each method at its best of four rates · float64"
    style.title(sheet, "Half of the starts end elsewhere", line)
    style.key(sheet, OPTIMIZERS, 0.82)
    return Picture(
        sheet,
        "The share of random starts from which each method reaches the global minimum. On the bowl all do; local "
        "minima stop all alike; on the plateaus of the neuron and of the exclusive or Adam gets farthest.",
    )
