"""Mean ranks over problems, with bars over optimizers that cannot be told apart (Demsar 2006, figure 1)."""

# pandas declares a selection from a frame to be a frame, a column or a value; pyright cannot tell which.
# pyright: reportArgumentType=false, reportGeneralTypeIssues=false, reportAttributeAccessIssue=false

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from . import compared, style
from .profile import PER_LETTER, WIDTH

ROW = 0.21  #: inches for each optimizer
BAR = 0.11  #: inches for each group


def listed(ax: Axes, found: Any) -> Axes:
    """Ranks from the best on top, a row each; groups are bars below the axis, which stands on top.

    `found` is a `metrics.CriticalDifference`. The vertical axis counts rows; bars stand in rows above 0.
    """
    style.quiet(ax)
    ax.grid(visible=False, axis="y")
    for side, spine in ax.spines.items():
        spine.set_visible(side == "top")
    ax.set_yticks([])
    ax.xaxis.tick_top()
    ax.xaxis.set_label_position("top")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    for row, (optimizer, rank) in enumerate(found.ranks.items()):
        tint = style.color(str(optimizer))
        ax.plot([ax.get_xlim()[0], rank], [row, row], color=style.FAINT, linewidth=0.7, zorder=1)
        shape = {"marker": style.marker(str(optimizer)), "markersize": 7, "markeredgewidth": 0.8}
        ax.plot(rank, row, color=tint, markeredgecolor=style.PAPER, zorder=4, **shape)
    for k, group in enumerate(found.groups):
        held = found.ranks[list(group)]
        y = -0.9 - k * BAR / ROW
        ends = [held.min() - 0.05, held.max() + 0.05]
        ax.plot(ends, [y, y], color=style.INK, linewidth=2.4, solid_capstyle="butt", zorder=3, clip_on=False)
    return ax


def sheet(found: Any, problems: int) -> Any:
    """The whole figure."""
    count = len(found.ranks)
    longest = max(len(style.name(o)) for o in found.ranks.index)
    left, above = 0.35 + min(PER_LETTER * longest, 2.2), 0.2 + BAR * len(found.groups)
    tall = ROW * count + above
    page = style.figure(WIDTH, tall + 1.45)
    ax = style.inches(page, left, 0.15, WIDTH - left - 0.6, tall)
    ax.set_xlim(0.8, count + 0.2)
    ax.set_ylim(count - 0.4, -0.6 - above / ROW)
    listed(ax, found)
    at: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": "center_baseline"}
    for row, (optimizer, rank) in enumerate(found.ranks.items()):
        ax.annotate(style.name(str(optimizer)), (0, row), (-8, 0), ha="right", fontsize=8, color=style.INK, **at)
        ax.annotate(f"{rank:.1f}", (1, row), (8, 0), ha="left", fontsize=7.5, color=style.QUIET, **at)
    ax.set_xlabel("mean rank (1 is best)")
    apart = f"ranks differ if more than {found.difference:.2f} apart; a bar joins those that do not"
    style.title(page, f"Ranks over {problems} problems", apart)
    return page


def draw(
    results: Any,
    folder: Path,
    *,
    optimizers: str | Sequence[str] | None = None,
    axis: str = "evaluations",
    format: str | Sequence[str] = ("png", "svg"),
) -> list[Path]:
    """Write `ranks`: the critical-difference diagram of the optimizers at their best settings (see `optlab report`).

    axis: what the cost counts: steps, evaluations, oracle (value 1, gradient 2, Hessian product 4) or seconds.
    """
    return compared.write("ranks", "ranks", sheet, results, folder, optimizers, axis, format)
