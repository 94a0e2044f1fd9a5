"""Numbers as the sections say them."""

from collections.abc import Callable

import numpy as np

from optlab import metrics
from optlab.plots.style import number


def span(value: float, low: float, high: float, note: str = "", form: Callable[[float], str] = number) -> str:
    """A number with its interval, or the words that say why it has none."""
    if note:
        return f"{form(value)} ({note})"
    return f"{form(value)} [{form(low)}, {form(high)}]"


def share(value: float) -> str:
    """A score between 0 and 1."""
    return f"{value:.2f}"


def count(value: float) -> str:
    """A cost."""
    return f"{value:,.0f}" if 100 <= value < 1e7 else number(value)


def rate(hits: int, n: int) -> str:
    """A rate with Wilson's 95% interval, in percent."""
    low, high = metrics.wilson(np.array(hits), np.array(n))
    return f"{hits / n:.0%} [{float(low):.0%}, {float(high):.0%}]"
