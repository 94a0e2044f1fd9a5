"""Sweep syntax to axes: Hydra's overrides, parsed once each, with their ranges sampled."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, QuotedString, Sweep
from hydra.errors import OverrideParseException

from optlab.app.bad_input import BadInput

SAMPLINGS = ("grid", "random", "sobol")


class Axis(NamedTuple):
    """One thing that varies: every value of `key` is combined with every value of the other axes."""

    key: tuple[str, ...]  #: what varies; the sampled intervals vary together, as one axis
    values: list[tuple]  #: one tuple for each place along the axis, aligned with `key`


class Interval(NamedTuple):
    key: str
    low: float
    high: float
    log: bool


class Sampling(NamedTuple):
    """How intervals become values; the keys of ``sweep`` in the configuration."""

    points: int = 10  #: values of an interval in a grid, or samples where no budget is given
    sampling: str = "grid"
    budget: int | None = None  #: joint samples of all intervals
    seed: int = 0


def parse(arguments: Sequence[str], config_loader: Any = None) -> list[Override]:
    """Hydra's overrides. Raises BadInput with the parser's reason in one sentence."""
    parser = OverridesParser.create(config_loader=config_loader)
    try:
        return parser.parse_overrides(list(arguments))
    except OverrideParseException as error:
        reason = str(error).strip().split("\n")[0]
        raise BadInput(f"'{error.override}' cannot be read: {reason}") from None


def plain(value: object) -> Any:
    """A parsed value as numbers, texts and lists of them."""
    if isinstance(value, QuotedString):
        return value.text
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(plain(k)): plain(v) for k, v in value.items()}
    return value


def axes(overrides: Sequence[Override], sampling: Sampling) -> list[Axis]:
    """The axes of a sweep, in the order typed; a later override of a key replaces an earlier one."""
    last = {override.key_or_group: override for override in overrides}
    discrete: list[Axis] = []
    intervals: list[Interval] = []
    for key, override in last.items():
        value = override.value()
        if isinstance(value, IntervalSweep):
            intervals.append(_interval(key, value))
        else:
            discrete.append(Axis((key,), [(item,) for item in _values(key, override)]))
    return discrete + sample(intervals, sampling)


def _values(key: str, override: Override) -> list:
    if not override.is_sweep_override():
        return [plain(override.value())]
    try:
        values = [plain(value) for value in override.sweep_iterator(transformer=lambda value: value)]
    except (ValueError, TypeError, OverflowError) as error:  # a range with steps of 0
        raise BadInput(f"the sweep over {key} cannot be had: {error}") from error
    if not values:
        raise BadInput(f"the sweep over {key} is empty")
    if any(isinstance(value, Sweep) for value in values):
        raise BadInput(f"an interval of {key} stands alone; it cannot be one of several values")
    return values


def _interval(key: str, sweep: IntervalSweep) -> Interval:
    low, high = float(sweep.start or 0), float(sweep.end or 0)
    log = "log" in sweep.tags
    if not np.isfinite([low, high]).all() or low >= high:
        raise BadInput(f"the interval of {key} must run from a smaller to a larger number, not from {low} to {high}")
    if log and low <= 0:
        raise BadInput(f"the log interval of {key} must begin above 0, not at {low}")
    return Interval(key, low, high, log)


def sample(intervals: Sequence[Interval], how: Sampling) -> list[Axis]:
    """Values of the intervals: each an axis of its own in a grid, else all of them one joint axis."""
    if how.sampling not in SAMPLINGS:
        raise BadInput(f"sweep.sampling must be one of {', '.join(SAMPLINGS)}, not '{how.sampling}'")
    for name, number in (("points", how.points), ("budget", how.budget)):
        if number is not None and (not isinstance(number, int) or number < 1):
            raise BadInput(f"sweep.{name} must be a whole number of at least 1, not {number}")
    if not intervals:
        return []
    if how.sampling == "grid":
        unit = np.linspace(0, 1, how.points) if how.points > 1 else np.array([0.5])
        return [Axis((i.key,), [(float(v),) for v in _scale(i, unit)]) for i in intervals]
    size = how.budget or how.points
    unit = _unit_cube(how.sampling, size, len(intervals), how.seed)
    columns = [_scale(interval, unit[:, k]) for k, interval in enumerate(intervals)]
    rows = [tuple(map(float, row)) for row in zip(*columns, strict=True)]
    return [Axis(tuple(i.key for i in intervals), rows)]


def _unit_cube(sampling: str, size: int, dim: int, seed: int) -> np.ndarray:
    if sampling == "random":
        return np.random.default_rng(seed).uniform(size=(size, dim))
    from scipy.stats import qmc

    # The sequence is balanced in powers of two; what exceeds the budget is cut off.
    return qmc.Sobol(dim, rng=seed).random_base2((size - 1).bit_length())[:size]


def _scale(interval: Interval, unit: np.ndarray) -> np.ndarray:
    if interval.log:
        low, high = np.log10([interval.low, interval.high])
        return 10.0 ** (low + unit * (high - low))
    return interval.low + unit * (interval.high - interval.low)


def product(axes: Sequence[Axis]) -> list[dict[str, Any]]:
    """All combinations of some axes, as {key: value}; one empty one where there is no axis."""
    rows: list[dict[str, Any]] = [{}]
    for axis in axes:
        rows = [row | dict(zip(axis.key, values, strict=True)) for row in rows for values in axis.values]
    return rows
