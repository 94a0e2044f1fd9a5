"""The eigenvalues of the Hessian: their density at a few steps, and how their ends move during a run."""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false
# pyright: reportReturnType=false, reportCallIssue=false

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from . import style
from .selection import formats, names

PANELS = 4  #: steps shown where none is asked for
POINTS = 1201  #: of the curve
WIDTH = 9.6  #: deviation of the Gaussian at a node, in parts of its eigenvalue, times nodes: they melt into one another
UNIT = 0.01  #: up to this part of the largest absolute eigenvalue the axis is linear: quadratures resolve no less

POSITIVE, NEGATIVE = "#0072B2", "#D55E00"

ORDINALS = {2: "nd", 3: "rd"}
NO_TABLE = "this folder holds no spectrum of a Hessian: optlab landscape spectrum FOLDER makes one"
WORDS = {"hessian": "Hessian", "gauss_newton": "Gauss-Newton matrix"}


def density(rows: pd.DataFrame, grid: np.ndarray, width: float, unit: float) -> tuple[np.ndarray, np.ndarray]:
    r"""Density of u = asinh(eigenvalue / unit) and its standard error over probes: `[n]` each.

    Uses of `rows`: probe, node, weight. In u each node is a Gaussian of deviation `width` and of its weight's area: a
    share of its size far from zero, and of `unit` near it. Of a single probe no error is known: zeros.
    """
    seen = []
    for _, part in rows.groupby("probe"):
        far = (grid[:, None] - np.arcsinh(part.node.to_numpy(float) / unit)) / width
        seen.append(np.exp(-0.5 * far**2) @ part.weight.to_numpy(float) / (width * np.sqrt(2 * np.pi)))
    error = np.std(seen, axis=0, ddof=1) / len(seen) ** 0.5 if len(seen) > 1 else np.zeros(len(grid))
    return np.mean(seen, axis=0), error


def shown(steps: Sequence[int], asked: Any = None) -> list[int]:
    """The steps that get a panel: those asked for, else a few evenly spread ones, the first and the last included."""
    steps = sorted({int(step) for step in steps})
    if asked is None:
        places = np.linspace(0, len(steps) - 1, min(PANELS, len(steps)))
        return [steps[k] for k in np.round(places).astype(int)]
    wanted = names(asked) if isinstance(asked, str) else np.atleast_1d(asked).tolist()
    for step in wanted or []:
        if str(step) not in map(str, steps):
            raise ValueError(f"there is no spectrum of step {step}; there are {', '.join(map(str, steps))}")
    return [int(step) for step in wanted or []]


def panel(ax: Axes, rows: pd.DataFrame, values: pd.DataFrame, *, reach: float, width: float) -> Axes:
    """The density at one step: a line with the error of its probes, ticks at the computed eigenvalues below.

    Uses of `rows`: probe, node, weight; of `values`: value, parameters. The horizontal axis is logarithmic to either
    side of zero as far as `reach`, and linear about zero; the vertical one begins at a third of what a single
    eigenvalue adds at its place.
    """
    unit = UNIT * reach
    u = np.linspace(-1, 1, POINTS) * np.arcsinh(reach / unit)
    middle, error = density(rows, u, width, unit)
    single = 1 / (int(values.parameters.iloc[0]) * width * np.sqrt(2 * np.pi))
    floor = single / 3
    low, middle, high = (np.maximum(y, floor / 10) for y in (middle - error, middle, middle + error))
    # As far as zeros alone can be seen nothing is negative: a Gaussian of weight 1 falls to the floor there.
    zero = -width * np.sqrt(2 * np.log(3 * values.parameters.iloc[0]))
    for part, tint in ((u <= zero, NEGATIVE), (u >= zero - (u[1] - u[0]), POSITIVE)):
        x = unit * np.sinh(u[part])
        ax.fill_between(x, low[part], high[part], color=tint, alpha=0.2, linewidth=0, zorder=2)
        ax.plot(x, middle[part], color=tint, linewidth=1.3, zorder=3)
    ax.set_yscale("log")
    ax.set_ylim(floor, max(4 * middle.max(), 30 * floor))
    ax.yaxis.set_major_locator(LogLocator(numticks=6))
    ax.yaxis.set_minor_locator(NullLocator())
    signed(ax, unit, reach)
    ax.axvline(0, color=style.QUIET, linewidth=0.7, linestyle=(0, (6, 3)), zorder=1)
    ax.axhline(single, color=style.QUIET, linewidth=0.7, linestyle=(0, (2, 2)), zorder=1)
    rug(ax, values.value.to_numpy(float))
    return style.quiet(ax)


def signed(ax: Axes, unit: float, reach: float) -> None:
    """The horizontal axis: as far to either side, with zero and a few powers of ten."""
    ax.set_xscale("asinh", linear_width=unit)
    ax.set_xlim(-reach, reach)
    powers = 10.0 ** np.arange(np.ceil(np.log10(unit)), np.log10(reach))
    ax.xaxis.set_major_locator(FixedLocator([*-powers[::-1], 0.0, *powers]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: style.number(v)))


def rug(ax: Axes, values: np.ndarray) -> None:
    """A tick at the foot of the axes for each eigenvalue."""
    for sign, tint in ((values < 0, NEGATIVE), (values >= 0, POSITIVE)):
        foot = {"transform": ax.get_xaxis_transform(), "color": tint, "linewidth": 1.1, "zorder": 4}
        ax.vlines(values[sign], 0, 0.055, **foot)


def heading(ax: Axes, step: int, values: pd.DataFrame) -> None:
    """Above a panel its step, and the ends of its spectrum."""
    largest, smallest = (values.value[values["rank"] == rank].iloc[0] for rank in (0, -1))
    ends = f"from {style.number(smallest)} to {style.number(largest)}"
    above: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "bottom"}
    ax.annotate(f"step {step:,}", (0, 1), (0, 5), weight="bold", fontsize=10, color=style.INK, **above)
    ax.annotate(ends, (1, 1), (0, 5), fontsize=8, color=style.QUIET, ha="right", **above)


def sheet(rows: pd.DataFrame, values: pd.DataFrame, steps: Sequence[int], width: float | None = None) -> Figure:
    """The density at each of the steps, all on the same axes."""
    width = min(0.4, WIDTH / nodes_of(rows)) if width is None else float(width)
    sizes = pd.concat([values[values.step.isin(steps)].value, rows[rows.step.isin(steps)].node]).abs()
    reach = 1.4 * sizes.max() or 1.0
    columns = 2 if len(steps) == 4 else min(3, len(steps))
    wide, tall = {1: (6.2, 3.2), 2: (4.4, 2.4), 3: (3.6, 2.4)}[columns]
    lines = -(-len(steps) // columns)
    page = style.figure(0.95 + columns * (wide + 0.35), 1.27 + lines * (tall + 0.5))
    axes = []
    for k, step in enumerate(steps):
        bottom = 0.62 + (lines - 1 - k // columns) * (tall + 0.5)
        ax = style.inches(page, 0.9 + (k % columns) * (wide + 0.35), bottom, wide, tall)
        here = values[values.step == step]
        axes.append(panel(ax, rows[rows.step == step], here, reach=reach, width=width))
        heading(ax, step, here)
        ax.set_xlabel("eigenvalue") if k + columns >= len(steps) else ax.tick_params(labelbottom=False)
        ax.set_ylabel("density along the axis") if k % columns == 0 else ax.tick_params(labelleft=False)
    top = max(ax.get_ylim()[1] for ax in axes)
    for ax in axes:
        ax.set_ylim(top=top)
    first = values[values.step == steps[0]].value
    single(axes[0], left=-first.min() < first.max())
    head, facts = words(rows, values)
    ranks = int((values["rank"] >= 0).groupby(values.step).sum().max())
    ticks = f"ticks: the {ranks} largest and the smallest" if ranks > 1 else "ticks: the largest and the smallest"
    style.title(page, head, f"{facts} · {ticks} · smoothed by {style.number(100 * width)}%")
    return page


def single(ax: Axes, *, left: bool) -> None:
    """Name the line of one eigenvalue, on the side where there are few."""
    place, aside = ((0, 3 * ax.get_ylim()[0]), (3, 2)) if left else ((1, 3 * ax.get_ylim()[0]), (-3, 2))
    words: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": "bottom"}
    words |= {"ha": "left" if left else "right", "fontsize": 7, "color": style.QUIET, "path_effects": style.halo(1.5)}
    ax.annotate("one eigenvalue", place, aside, **words)


def nodes_of(rows: pd.DataFrame) -> int:
    """Nodes of a quadrature."""
    return int(rows.groupby(["step", "probe"]).size().max())


def words(rows: pd.DataFrame, values: pd.DataFrame) -> tuple[str, str]:
    """Head and facts of a figure."""
    first = values.iloc[0]
    probes, nodes = rows.probe.nunique(), nodes_of(rows)
    seen = f"{probes} random vectors of {nodes} nodes" if probes > 1 else f"1 random vector of {nodes} nodes"
    band = " · band: standard error over vectors" if probes > 1 else ""
    head = f"Spectrum of the {WORDS.get(first.operator, first.operator)} with {style.name(first.optimizer)}"
    return head, f"{int(first.parameters):,} parameters · {seen}{band}"


def ends_panel(ax: Axes, values: pd.DataFrame) -> Axes:
    """The largest eigenvalues and the smallest against the step, each named at its last point."""
    heads = []
    for rank in sorted(values["rank"].unique().tolist()):
        part = values[values["rank"] == rank].sort_values("step")
        tint = NEGATIVE if rank < 0 else style.mix(POSITIVE, style.PAPER, max(0.35, 1 - 0.2 * rank))
        ax.plot(part.step, part.value, color=tint, linewidth=1.4, marker="o", markersize=2.5, zorder=4 - 0.1 * rank)
        label = "smallest" if rank < 0 else "largest" if rank == 0 else f"{rank + 1}{ORDINALS.get(rank + 1, 'th')}"
        heads.append((float(part.value.iloc[-1]), label, tint))
    ax.set_ylabel("eigenvalue")
    ax.axhline(0, color=style.QUIET, linewidth=0.7, linestyle=(0, (6, 3)), zorder=1)
    style.quiet(ax)
    ax.set_ylim(ax.get_ylim())  # fixed, so that the names stay where their lines end
    line_ends(ax, heads)
    return ax


def line_ends(ax: Axes, heads: Sequence[tuple[float, str, str]]) -> None:
    """Names right of the axes, beside the last point of each line and apart from one another."""
    point = ax.figure.dpi / 72
    box = ax.get_window_extent()
    pixels = [ax.transData.transform((0, y))[1] for y, *_ in heads]
    places = style.spread(pixels, 9.5 * point, box.y0, box.y1)
    for place, (y, label, tint) in zip(places, heads, strict=True):
        at = (box.x1 + 5 * point, place)
        text = {"fontsize": 8, "color": style.INK, "va": "center_baseline", "transform": ax.transAxes}
        inside = ax.transAxes.inverted().transform
        ax.text(*inside((at[0] + 9 * point, place)), f"{label}  {style.number(y)}", **text)
        leader = inside([(box.x1, ax.transData.transform((0, y))[1]), at, (at[0] + 6 * point, place)])
        ax.plot(*leader.T, color=tint, linewidth=0.8, transform=ax.transAxes, clip_on=False)


def over_steps(rows: pd.DataFrame, values: pd.DataFrame) -> Figure:
    """What becomes of the spectrum during the run: its ends, its trace, its negative share."""
    page = style.figure(11.6, 4.0)
    ends = style.inches(page, 0.85, 0.62, 3.6, 2.45)
    below, share = (style.inches(page, left, 0.62, 2.1, 2.45) for left in (6.3, 9.25))
    once = values.drop_duplicates("step").sort_values("step")
    for ax, column, label in ((below, "trace", "trace"), (share, "negative_share", "negative share of eigenvalues")):
        ax.plot(once.step, once[column], color=style.INK, linewidth=1.4, marker="o", markersize=2.5)
        ax.set_ylabel(label)
        style.quiet(ax)
    error = once.trace_error.fillna(0)
    below.fill_between(once.step, once.trace - error, once.trace + error, color=style.INK, alpha=0.15, linewidth=0)
    share.set_ylim(0, 1.1 * once.negative_share.max() or 1)
    share.yaxis.set_major_locator(MaxNLocator(4))
    for ax in (ends, below, share):
        steps_axis(ax, once.step.to_numpy(float))
    ends_panel(ends, values)
    style.title(page, *words(rows, values))
    return page


def steps_axis(ax: Axes, steps: np.ndarray) -> None:
    """Steps evenly, with few and whole ticks."""
    ax.set_xlim(steps.min() - 0.03 * np.ptp(steps), steps.max() + 0.03 * np.ptp(steps))
    ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: style.number(v)))
    ax.set_xlabel("step")


def chosen(results: Any, run: str | Sequence[str] | None) -> list[tuple[pd.DataFrame, pd.DataFrame]]:
    """Rows of `spectra` and of `eigenvalues` of each run and operator; runs are named by the beginning of their id."""
    rows, values = (getattr(results, table, pd.DataFrame()) for table in ("spectra", "eigenvalues"))
    if not len(rows) or not len(values):
        raise ValueError(NO_TABLE)
    held = list(dict.fromkeys(values.run_id))
    asked = names(run)
    for name in asked or []:
        if not any(each.startswith(name) for each in held):
            raise ValueError(f"there is no spectrum of run {name!r}; there are {', '.join(held)}")
    wanted = [each for each in held if not asked or any(each.startswith(name) for name in asked)]
    values = values[values.run_id.isin(wanted)]
    found = []
    for (run_id, operator), part in values.groupby(["run_id", "operator"], sort=False):
        ours = rows[(rows.run_id == run_id) & (rows.operator == operator)]
        if "landscape_id" in rows:  # computed more than once: the one of most nodes and steps
            finest = ours.landscape_id.value_counts(sort=False).idxmax()
            ours, part = ours[ours.landscape_id == finest], part[part.landscape_id == finest]
        found.append((ours, part))
    return found


def draw(
    results: Any,
    folder: Path,
    *,
    run: str | Sequence[str] | None = None,
    step: int | str | Sequence[int] | None = None,
    width: float | None = None,
    format: str | Sequence[str] = "png",
) -> list[Path]:
    """Write ``spectrum_<operator>_<optimizer>_<run>`` for each run, and ``..._steps`` where it has several steps.

    Uses of `results.spectra`: run_id, step, operator, probe, node, weight; of `results.eigenvalues`: run_id, optimizer,
    step, operator, rank, value, trace, trace_error, negative_share, parameters. Without `step` a few are shown, the
    first and the last among them. `width` is the deviation of the smoothing
    Gaussians in parts of an eigenvalue, by default such that those of neighbouring nodes melt into one another.

    Raises ValueError without these tables, for a run or step that they do not hold, and for a width not above 0.
    """
    endings = formats(format)
    if width is not None and not width > 0:
        raise ValueError(f"width must be above 0, not {width}")
    paths = []
    for rows, values in chosen(results, run):
        first = values.iloc[0]
        stem = f"spectrum_{first.operator}_{first.optimizer}_{first.run_id[:8]}"
        paths += style.save(sheet(rows, values, shown(values.step, step), width), Path(folder), stem, endings)
        if values.step.nunique() > 1:
            paths += style.save(over_steps(rows, values), Path(folder), f"{stem}_steps", endings)
    return paths
