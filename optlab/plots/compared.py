"""What the figures of scores share: they draw a comparison, the one that the report makes of the same tables."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import style
from .selection import formats


def write(
    stem: str,
    find: str,
    sheet: Callable[..., Any],
    results: Any,
    folder: Path,
    optimizers: str | Sequence[str] | None,
    axis: str,
    format: str | Sequence[str],
) -> list[Path]:
    """Writes a sheet of what the function `find` of `optlab.report.scores` finds in a comparison along a cost axis."""
    from optlab.report import comparison, scores  # the report draws with these figures

    endings = formats(format)
    found = getattr(scores, find)(comparison.compare(results, optimizers, axis=axis))
    return style.save(sheet(*found), Path(folder), stem, endings)
