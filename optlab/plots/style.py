"""How figures look: one colour, marker and dash for each optimizer everywhere, and room for every label."""

import re
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import Normal, Stroke
from matplotlib.text import Text
from matplotlib.transforms import blended_transform_factory

PAPER, INK, QUIET, FAINT = "#ffffff", "#1d2733", "#5d6875", "#d5dae0"
SURFACE = LinearSegmentedColormap.from_list("optlab_surface", ["#2b4a6b", "#fbfbf9"])

#: Family: its colour and its members, best known first. Any two of the colours differ by at least 8
#: (CIEDE2000) for normal, protan, deutan and tritan eyes; a test holds them to it.
FAMILIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "descent": (
        "#000000",
        ("gradient_descent", "sgd", "polyak_sgd", "noisy_sgd", "optimistic_gradient_descent"),
    ),
    "momentum": ("#0072B2", ("momentum", "heavy_ball", "lookahead", "lars", "fromage")),
    "nesterov": ("#56B4E9", ("nesterov", "nag", "adan", "schedule_free_sgd", "acprop")),
    "adagrad": ("#009E73", ("adagrad", "adafactor", "sm3", "ademamix")),
    "adadelta": ("#7a7a7a", ("adadelta", "dog", "dowg", "prodigy", "dadapt_adamw", "mechanize", "cocob")),
    "rmsprop": ("#CC79A7", ("rmsprop", "novograd", "rprop")),
    "adam": (
        "#D55E00",
        ("adam", "adamw", "nadam", "amsgrad", "adamax", "yogi", "radam", "adabelief", "lamb")
        + ("nadamw", "adamaxw", "optimistic_adam", "optimistic_adam_v2", "schedule_free_adamw"),
    ),
    "quasi_newton": ("#E69F00", ("lbfgs", "bfgs", "nonlinear_cg", "dfp", "sr1")),
    "newton": (
        "#7d2413",
        ("newton", "levenberg_marquardt", "trust_region", "saddle_free_newton", "newton_cg", "gauss_newton")
        + ("cubic_newton", "sophia"),
    ),
    "sign": ("#440a6c", ("lion", "signum", "sign_sgd", "muon")),
}
#: The same families on dark paper, by the same test.
ON_DARK = dict(
    zip(
        FAMILIES,
        ("#ffffff", "#5a99c9", "#b2e9ff", "#30c88a", "#a29697", "#ffa8c6", "#ff7f33", "#f0d76c", "#c4533b", "#8b5fec"),
        strict=True,
    )
)
#: The star, the cross and the plain triangle belong to the stationary points.
MARKERS = ("o", "s", "v", "D", "h", "P", "^", "p", "<", ">")
DASHES = ("solid", (0, (5, 1.6)), (0, (2.2, 1.4)), (0, (6, 1.6, 1.6, 1.6)), (0, (1.2, 1.2)), (0, (9, 2)))
#: Parts of a name that tell the family of an optimizer which is not listed above.
KINSHIP = (
    ("newton", "newton trust_region gauss levenberg hessian"),
    ("quasi_newton", "bfgs conjugate _cg sr1"),
    ("nesterov", "nesterov accelerated"),
    ("sign", "sign lion"),
    ("adam", "adam yogi"),
    ("rmsprop", "rms"),
    ("momentum", "momentum heavy"),
    ("descent", "descent sgd"),
)


def place(optimizer: str) -> tuple[str, int]:
    """Family and rank in it. Names nobody listed get the same place in every process, from their hash."""
    for family, (_, members) in FAMILIES.items():
        if optimizer in members:
            return family, members.index(optimizer)
    digest = zlib.crc32(optimizer.encode())
    for family, parts in KINSHIP:
        if any(part in optimizer for part in parts.split()):
            return family, 1 + digest % 29
    return list(FAMILIES)[digest % len(FAMILIES)], 1 + digest % 29


def color(optimizer: str, dark: bool = False) -> str:
    """The colour of its family, on light or dark paper."""
    family, _ = place(optimizer)
    return ON_DARK[family] if dark else FAMILIES[family][0]


def marker(optimizer: str) -> str:
    """The shape at its head; the best known of each family all differ."""
    family, rank = place(optimizer)
    return MARKERS[(list(FAMILIES).index(family) + rank) % len(MARKERS)]


def dash(optimizer: str) -> str | tuple:
    """Solid for the best known of a family, other dashes for the rest."""
    return DASHES[place(optimizer)[1] % len(DASHES)]


def name(optimizer: str) -> str:
    """The name as a label shows it."""
    return optimizer.replace("_", " ")


@cache
def mix(first: str, second: str, share: float) -> str:
    """An opaque colour that has `share` of the first and the rest of the second."""
    return to_hex((share * np.array(to_rgb(first)) + (1 - share) * np.array(to_rgb(second))).tolist())


def halo(width: float, paper: str = PAPER) -> list:
    """Path effects that put a white rim of `width` points on either side under a line or text."""
    return [Stroke(linewidth=2 * width, foreground=paper), Normal()]


def figure(width: float, height: float, dpi: float = 150) -> Figure:
    """A blank sheet in inches, with its own Agg canvas: pyplot and its global state stay untouched."""
    sheet = Figure(figsize=(width, height), dpi=dpi, facecolor=PAPER)
    FigureCanvasAgg(sheet)
    return sheet


def inches(sheet: Figure, left: float, bottom: float, width: float, height: float, **options) -> Axes:
    """Axes placed in inches from the lower left corner."""
    w, h = sheet.get_size_inches()
    return sheet.add_axes((left / w, bottom / h, width / w, height / h), **options)


def quiet(ax: Axes, grid: bool = True) -> Axes:
    """Thin grey frame, small ticks, no top and right border."""
    ax.tick_params(labelsize=8, colors=QUIET, length=3, width=0.6)
    ax.tick_params(which="minor", length=1.5, width=0.4)
    for side, spine in ax.spines.items():
        spine.set(color="#aab2bb", linewidth=0.7, visible=side in ("left", "bottom"))
    ax.xaxis.label.set(color=QUIET, fontsize=9)
    ax.yaxis.label.set(color=QUIET, fontsize=9)
    ax.set_axisbelow(True)
    if grid:
        ax.grid(color="#eceff2", linewidth=0.6)
    return ax


def title(sheet: Figure, head: str, line: str, left: float = 0.35, right: float = 0.2) -> None:
    """The head in bold and under it one quiet line, made smaller until it fits the width."""
    w, h = sheet.get_size_inches()
    sheet.text(left / w, 1 - 0.27 / h, head, fontsize=13, weight="bold", color=INK, va="center")
    text = sheet.text(left / w, 1 - 0.55 / h, line, fontsize=9, color=QUIET, va="center")
    fit(text, (w - left - right) * sheet.dpi)


def fit(text: Text, width: float, least: float = 6.0) -> Text:
    """Shrink a text to a width in pixels, and below the least size cut it with an ellipsis."""
    while (extent := text.get_window_extent().width) > width:
        size = float(text.get_fontsize())
        if size > least:
            text.set_fontsize(max(least, size * max(0.9, width / extent)))
        else:
            text.set_text(text.get_text().rstrip("…")[:-2] + "…")
    return text


def number(value: float) -> str:
    """A number as short as a label needs it: three digits, no leading zeros in the exponent."""
    if value is None or not np.isfinite(value):
        return "" if value is None or np.isnan(value) else ("∞" if value > 0 else "−∞")
    text = f"{value:.3g}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.1e}"
    mantissa, _, exponent = text.partition("e")
    text = f"{mantissa.removesuffix('.0')}e{int(exponent)}" if exponent else text
    return text.replace("-", "−")


def spread(wanted: Sequence[float] | np.ndarray, room: float, low: float = -np.inf, high: float = np.inf) -> np.ndarray:
    """The places nearest to the wanted ones (least squares) that are at least `room` apart: `[n]`.

    Pool adjacent violators: with y_i = z_i + i room the z must not decrease, so neighbours that
    clash form a block which is centred on the mean of what its members want. A block therefore
    does not drift to one side, as it does when labels are pushed one after the other. Equal
    wishes keep their order.
    """
    wishes = np.asarray(wanted, float)
    order = np.argsort(wishes, kind="stable")
    offset = room * np.arange(len(wishes))
    blocks: list[tuple[float, int]] = []
    for z in wishes[order] - offset:
        total, size = z, 1
        while blocks and blocks[-1][0] / blocks[-1][1] >= total / size:
            before, members = blocks.pop()
            total, size = total + before, size + members
        blocks.append((total, size))
    free = np.repeat([total / size for total, size in blocks], [size for _, size in blocks])
    places = np.empty_like(wishes)
    places[order] = np.clip(free, low, max(low, high - (offset[-1] if len(offset) else 0))) + offset
    return places


def gutter(
    ax: Axes,
    heads: Sequence[tuple[float, float]],
    optimizers: Sequence[str],
    notes: Sequence[str],
    *,
    left: float = 16,
    room: float = 15,
    size: float = 9,
) -> list[Text]:
    """Direct labels right of the axes, spread apart, each with a thin leader to its head.

    heads: pixel coordinates, the best optimizer first. `left`, `room` and `size` are in points, `left`
    counted from the right edge of the axes.
    """
    point = ax.figure.dpi / 72
    box = ax.get_window_extent()
    edge = box.x1 + left * point
    room = min(room * point, box.height / max(len(heads), 1))
    order = stacking(np.asarray(heads, float), box.y0, box.y1, room)
    wanted = np.clip([heads[k][1] for k in order], box.y0, box.y1)
    texts = []
    # In axes coordinates the labels stay put when the figure is saved at another resolution.
    to, fixed = ax.transAxes.inverted().transform, {"transform": ax.transAxes, "clip_on": False}
    for k, y in zip(order, _stacked(wanted, room, box.y0, box.y1), strict=True):
        tint = color(optimizers[k])
        head = (heads[k][0], np.clip(heads[k][1], box.y0, box.y1))
        leader = to([head, (edge - 4 * point, y), (edge + point, y)])
        ax.plot(*leader.T, color=tint, alpha=0.55, linewidth=0.6, zorder=4.4, **fixed)
        glyph = {"marker": marker(optimizers[k]), "markersize": size * 0.7, "markeredgewidth": 0.5}
        ax.plot(*to((edge + 6 * point, y)), color=tint, markeredgecolor=PAPER, zorder=6, **glyph, **fixed)
        place = to((edge + 14 * point, y))
        words = {"va": "center_baseline", "zorder": 7, **fixed}
        text = ax.text(place[0], place[1], name(optimizers[k]), fontsize=size, color=INK, **words)
        texts.append(text)
        if notes[k]:
            after = text.get_window_extent().x1 + 5 * point
            ax.text(to((after, 0))[0], place[1], notes[k], fontsize=size - 2, color=QUIET, **words)
    return texts


def stacking(heads: np.ndarray, low: float, high: float, room: float) -> list[int]:
    """Order of labels from the bottom up, such that few leaders cross.

    Heads less than half a label apart count as one place, and there the best (the first) stands on
    top. Along the upper border the rightmost head takes the top label, along the lower the bottom one.
    """
    y = np.clip(heads[:, 1], low, high)
    close = np.round(y / (0.5 * room))
    # At the border leaders run from it downwards (upwards), so horizontal order decides.
    side = np.where(y > high - room, heads[:, 0], np.where(y < low + room, -heads[:, 0], 0))
    return list(np.lexsort((-np.arange(len(heads)), np.round(side / 4), close)))


def _stacked(wanted: np.ndarray, room: float, low: float, high: float) -> np.ndarray:
    # The order is settled: a rising sequence of wishes keeps `spread` from sorting anew.
    return spread(np.maximum.accumulate(wanted), room, low, high)


def key(sheet: Figure, optimizers: Sequence[str], y: float, left: float = 0.35, size: float = 8.5) -> None:
    """One row that names every optimizer by its marker, `y` inches below the top, shrunk to fit."""
    w, h = sheet.get_size_inches()
    texts = [sheet.text(0, 1 - y / h, name(o), fontsize=size, color=INK, va="center") for o in optimizers]
    while True:
        widths = [t.get_window_extent().width / sheet.dpi + size * 0.036 for t in texts]
        if sum(widths) < w - left - 0.2 or size < 5:
            break
        size *= 0.94
        for text in texts:
            text.set_fontsize(size)
    x = left
    across = blended_transform_factory(sheet.dpi_scale_trans, sheet.transFigure)
    for text, width, optimizer in zip(texts, widths, optimizers, strict=True):
        look = {"color": color(optimizer), "linestyle": dash(optimizer), "linewidth": 1.3}
        shape = {"marker": marker(optimizer), "markersize": size * 0.6, "markevery": [1]}
        sheet.add_artist(line := Line2D([x, x + size * 0.009, x + size * 0.018], [1 - y / h] * 3, **look, **shape))
        line.set_transform(across)
        text.set_x((x + size * 0.023) / w)
        x += width


def frame_steps(last: float, frames: int) -> np.ndarray:
    """Times of the frames, geometric from 0 to `last`: `[frames]`, strictly increasing.

    They are whole steps as long as there are enough of them: rounding merges the first ones, and
    the frames so won fill the gaps that are widest in log(1 + step). A run of fewer steps than
    frames is shown in between its steps.
    """
    steps = np.unique(np.round(np.geomspace(1, last + 1, frames) - 1).astype(int))
    steps[-1] = last
    while len(steps) < min(frames, int(last) + 1):
        ratio = np.where(np.diff(steps) > 1, (steps[1:] + 1) / (steps[:-1] + 1), 0)
        widest = int(np.argmax(ratio))
        middle = round(np.sqrt((steps[widest] + 1.0) * (steps[widest + 1] + 1.0)) - 1)
        steps = np.insert(steps, widest + 1, np.clip(middle, steps[widest] + 1, steps[widest + 1] - 1))
    return np.interp(np.linspace(0, len(steps) - 1, frames), np.arange(len(steps)), steps)


def file_name(text: str) -> str:
    """A text from a table as part of a file's name: it cannot lead out of the folder."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "_", text)


def save(sheet: Figure, folder: Path, stem: str, formats: Sequence[str]) -> list[Path]:
    """Write the figure once for each format, without a date so that equal figures are equal files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{file_name(stem)}.{suffix}" for suffix in formats]
    for path in paths:
        undated = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[path.suffix[1:]]
        sheet.savefig(path, metadata=undated, facecolor=PAPER)
    return paths
