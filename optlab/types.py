"""The nouns of optlab: what is descended, what is recorded, how a run ends.

An optimizer needs no noun of its own: it is optax's ``GradientTransformationExtraArgs``.
Letters for shapes are the same in the whole project: `d` parameters, `r` residuals, `T` recorded
steps, `R` runs.
"""

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

Array = Any  # a jax.Array, a NumPy array or a tracer
PyTree = Any


class Point(NamedTuple):
    """A stationary point of a surface (or a minimum at which it is not differentiable)."""

    x: Sequence[float] | Array  #: its place: `[d]`
    value: float | Array  #: the surface there: `[]`
    kind: str  #: ``minimum``, ``saddle``, ``maximum`` or ``degenerate`` (singular Hessian)
    #: Morse index, the number of negative eigenvalues of the Hessian
    index: int = 0  # pyright: ignore[reportIncompatibleMethodOverride]


class Surface(NamedTuple):
    """A closed form on R^d with what is known of it."""

    fn: Callable[[Array], Array]  #: `[d]` -> `[]`
    start: Sequence[float] | Array  #: the customary start: `[d]`
    domain: tuple[Sequence[float] | Array, Sequence[float] | Array]  #: box to draw: lower, upper `[d]`
    points: tuple[Point, ...] = ()  #: what is known of its stationary points; a global minimum first
    residual: Callable[[Array], Array] | None = None  #: `[d]` -> `[r]` with fn = 0.5 |residual|^2
    tags: tuple[str, ...] = ()  #: what makes it hard: ``saddle``, ``valley``, ``plateau``, ...
    source: str = ""  #: where the formula comes from
    starts: tuple[Sequence[float] | Array, ...] = ()  #: further customary starts: `[d]` each


def minimum(surface: Surface) -> float | Array | None:
    """The least value of the surface, or None where it is unknown or does not exist: `[]`."""
    if "unbounded" in surface.tags or not surface.points or surface.points[0].kind != "minimum":
        return None
    return surface.points[0].value


def full_batch(data: PyTree, key: Array) -> PyTree:
    """All data at every step. A problem with this batch is deterministic, and `run` relies on it."""
    del key
    return data


class Landmarks(NamedTuple):
    """What of a surface a run is watched for."""

    width: Array  #: the longest side of the surface's box: `[]`
    saddles: Array  #: the stated saddles, degenerate points and maxima: `[s, d]`
    values: Array  #: the surface there: `[s]`


class Problem(NamedTuple):
    """What an optimizer is run on: pure functions, and the data as a field, not in a closure.

    Arrays that a jitted function closes over are compiled into it; `data` travels as an argument.
    """

    init: Callable[[Array], PyTree]  #: key -> parameters
    batch: Callable[[PyTree, Array], PyTree]  #: (data, key) -> batch
    loss: Callable[[PyTree, PyTree], Array]  #: (parameters, batch) -> `[]`; what the optimizer sees
    measure: Callable[
        [PyTree, PyTree], dict[str, Array]
    ]  #: (parameters, data) -> {name: `[]`}; what the optimizer does not see
    residual: Callable[[PyTree, PyTree], Array] | None = None  #: (parameters, batch) -> `[r]`, loss = 0.5 |residual|^2
    data: PyTree = ()
    minimum: float | Array | None = None  #: the least noise-free loss where it is known; `gap` is measured from it
    landmarks: Landmarks | None = None  #: of a closed form; then the parameters are one vector
    #: (data, key, step) -> batch, where batches are those of passes over the data; `batch` then draws one of them
    passes: Callable[[PyTree, Array, Array], PyTree] | None = None
    #: (many parameters: `[m, ...]`, how many of them count, data) -> {name: `[]`}: scores of their mean prediction
    ensemble: Callable[[PyTree, Array, PyTree], dict[str, Array]] | None = None
    #: (parameters, batch) -> outputs, (outputs, batch) -> `[]`: the loss is the second of the first, convex in outputs
    split: tuple[Callable[[PyTree, PyTree], PyTree], Callable[[PyTree, PyTree], Array]] | None = None
    #: (parameters, data, parameters or None) -> {name: `[]`}: what a landscape shows of a place, ``value`` and scores
    #: of both sets; statistics of batch normalisation are those of the third, where it is given, else of the place
    survey: Callable[[PyTree, PyTree, PyTree], dict[str, Array]] | None = None


#: One more column of the trace: (problem, parameters) -> array.
Probe = Callable[[Problem, PyTree], Array]

#: What `run` returns: {name: `[T, ...]`}, one row for each recorded step.
Trace = dict[str, Any]


def of_run(name: str) -> bool:
    """Whether a part of a trace says something of the whole run, and has no axis of recorded steps."""
    return name in ("escape_step", "plateau_share", "end") or name.startswith("target_")


class Status(IntEnum):
    """How a run ended; tables hold the name, arrays the number."""

    running = 0
    converged = 1  #: the gradient's largest entry fell to `gtol`
    max_steps = 2  #: the step budget ended first
    stalled = 3  #: the parameters stopped moving, to the last digits
    diverged = 4  #: non-finite, or beyond the bound
    failed = 5  #: an exception; only a table can hold it
