"""Maps of basins and of stability, from plain configurations to the columns of tables."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from optlab.app.axes import Interval
from optlab.app.bad_input import BadInput
from optlab.app.build import complete, make_optimizer, make_problem, make_surface, parameter, problem_data
from optlab.app.execute import STATUS_NAMES, first_line, precision
from optlab.app.plan import patched

Columns = dict[str, np.ndarray]

#: Points of a curve of theory; and where each is a network's curvature, some dozen passes over its data.
CURVE, FEW = 257, 65

#: Optimizers whose largest stable rate is known: which law of `optlab.landscape.stability.LAWS` they follow.
THEORY = {
    "optlab.optimizers.gradient_descent": "gradient_descent",
    "optlab.optimizers.heavy_ball": "heavy_ball",
    "optlab.optimizers.momentum": "momentum",
    "optlab.optimizers.nesterov": "nesterov",
    "optax.sgd": "heavy_ball",
}

#: What these optimizers call their momentum.
MOMENTA = ("momentum", "beta")


def basins(
    configs: Sequence[Mapping[str, Any]],
    axes: Sequence[Interval] = (),
    *,
    size: int = 256,
    box: str | Sequence[float] = "",
    steps: int = 0,
) -> dict[str, Columns]:
    """Basin maps of all optimizers, as the tables ``basins`` and ``basin_points``.

    Args:
      configs: one for each pair of optimizer and problem.
      axes: none: a map is over starts.
      size: starts along each axis.
      box: of the map: ``x_low,x_high,y_low,y_high``; by default the surface's domain.
      steps: the budget; by default that of the configuration.

    Raises:
      BadInput: for a problem that is no surface of two or more variables, and for an option that is none.
    """
    from optlab.landscape.basins import basin_map, label

    if axes:
        raise BadInput(f"a basin map is over starts: {axes[0].key} cannot be an interval here")
    size = _whole("size", size, 2)
    corners = _corners(box)

    def mapped(config):
        config, chosen = _with_steps(config, steps), config["choices"]
        with precision(config):
            surface = _made(config, "problem", lambda: make_surface(config["problem"]))
            if surface is None or len(np.asarray(surface.start)) < 2:
                raise BadInput(f"a basin map needs a surface of two or more variables; {chosen['problem']} is none")
            optimizer = _made(config, "optimizer", lambda: make_optimizer(config))
            found = _made(
                config,
                "optimizer",
                lambda: basin_map(
                    surface, optimizer, size=size, box=corners, steps=config["steps"], gtol=float(config["gtol"])
                ),
            )
        x, y = np.meshgrid(found.x, found.y)
        numbers = np.arange(-2, len(found.points))
        labels = np.array([label(found.points, int(k)) for k in numbers])
        reached = found.reached.ravel()
        table = _named(config, x.size) | {
            "learning_rate": np.full(x.size, _rate(config)),
            "x_0": x.ravel(),
            "x_1": y.ravel(),
            "reached": reached,
            "label": labels[reached + 2],
            "status": _status(found.status),
            "steps": found.steps.ravel(),
            "value": found.value.ravel().astype(float),
        }
        return table, chosen["problem"], found.points

    done = _side_by_side(mapped, configs)
    # One list of points for each problem: the longest, since those that an optimizer adds follow the stated ones.
    points: dict[str, tuple] = {}
    for _, problem, known in done:
        points[problem] = max(points.get(problem, ()), known, key=len)
    return {
        "basins": _joined(table for table, *_ in done),
        "basin_points": _joined(_points(problem, known) for problem, known in points.items()),
    }


def _points(problem: str, points: Sequence[Any]) -> Columns:
    places = np.array([np.asarray(point.x, float)[:2] for point in points]).reshape(-1, 2)
    return {
        "problem": np.full(len(points), problem, object),
        "reached": np.arange(len(points)),
        "kind": np.array([point.kind for point in points], object),
        "x_0": places[:, 0],
        "x_1": places[:, 1],
        "value": np.array([float(point.value) for point in points]),
    }


def stability(
    configs: Sequence[Mapping[str, Any]], axes: Sequence[Interval], *, size: int = 256, steps: int = 0
) -> dict[str, Columns]:
    """Stability maps of all optimizers over two intervals, as the tables ``stability`` and ``stability_theory``.

    Narrower intervals show the same part larger.

    Args:
      configs: one for each pair of optimizer and problem.
      axes: x and y: intervals of numbers of the optimizer or the problem.
      size: values of each interval.
      steps: the budget; by default that of the configuration.

    Raises:
      BadInput: for other than two intervals, or one of something that a configuration does not have or that is not a
        number to its program.
    """
    from optlab.landscape.stability import stability_map

    size = _whole("size", size, 2)
    if len(axes) != 2 or axes[0].key == axes[1].key:
        raise BadInput(
            "a stability map is over two intervals, such as optimizer.learning_rate=tag(log,interval(0.01,10)) "
            "optimizer.momentum=interval(0,0.99)"
        )
    x, y = (_sampled(axis, size) for axis in axes)

    def mapped(config):
        config = _with_steps(config, steps)
        _refuse_unknown(config, axes)

        def build(numbers):
            changed = patched(config, numbers)
            return make_problem(changed["problem"]), make_optimizer(changed)

        with precision(config):
            data = _made(config, "problem", lambda: problem_data(config["problem"]))
            found = _made(
                config,
                "optimizer",
                lambda: stability_map(
                    build, {axes[0].key: x}, {axes[1].key: y},
                    steps=config["steps"], seed=config["seed"], data=data, gtol=float(config["gtol"]),
                ),
            )  # fmt: skip
            theory = _theory(config, axes, data)
        table = _named(config, found.status.size) | {
            "x_key": np.full(found.status.size, axes[0].key, object),
            "y_key": np.full(found.status.size, axes[1].key, object),
            "x": np.tile(x, len(y)),
            "y": np.repeat(y, len(x)),
            "status": _status(found.status),
            "steps": found.steps.ravel(),
            "value": found.value.ravel().astype(float),
            "speed": found.speed.ravel().astype(float),
        }
        return table, theory

    done = _side_by_side(mapped, configs)
    return {"stability": _joined(t for t, _ in done), "stability_theory": _joined(t for _, t in done)}


def _theory(config: Mapping[str, Any], axes: Sequence[Interval], data: Any) -> Columns:
    """The curve of the largest stable rate in the plane of the map; empty where there is none."""
    keys = [axis.key for axis in axes]
    law = _law(config)
    if law is None or "optimizer.learning_rate" not in keys or config.get("schedule"):
        return _curve(config, np.zeros(0), np.zeros(0), "")
    from optlab.landscape.stability import LAWS, largest_stable_rate

    which = keys.index("optimizer.learning_rate")
    other = axes[1 - which]
    closed = make_surface(config["problem"]) is not None
    values = _sampled(other, CURVE if closed or not other.key.startswith("problem.") else FEW)
    optimizer = complete(config["optimizer"], "optimizer")
    name = next((name for name in MOMENTA if name in optimizer), "")
    beta = values if other.key == f"optimizer.{name}" else float(optimizer.get(name) or 0)
    curvature, where = _curvature(config, other.key, values, data)
    if curvature is None:
        return _curve(config, np.zeros(0), np.zeros(0), "")
    rate = np.broadcast_to(np.asarray(largest_stable_rate(law, curvature, beta)), values.shape)
    inside = np.isfinite(rate) & (rate > axes[which].low) & (rate < axes[which].high)
    places = (rate, values) if which == 0 else (values, rate)
    return _curve(config, places[0][inside], places[1][inside], f"{LAWS[law].text} {where}")


def _law(config: Mapping[str, Any]) -> str | None:
    node = config["optimizer"]
    law = THEORY.get(node["_target_"])
    return "nesterov" if law == "heavy_ball" and node.get("nesterov") else law


def _curvature(config: Mapping[str, Any], key: str, values: np.ndarray, data: Any):
    """The largest curvature for each value of the other number, and of which place it is: at the stated minimum of a
    surface, else at the start."""
    import jax

    from optlab.landscape.stability import curvature_at_minimum, curvature_at_start
    from optlab.run import split_key

    def at(value):
        node = patched(config, {key: value})["problem"]
        surface = make_surface(node)
        if surface is not None:
            return curvature_at_minimum(surface)
        problem = make_problem(node)
        return curvature_at_start(problem._replace(data=data), split_key(jax.random.key(config["seed"]))[0])

    if make_surface(config["problem"]) is not None:
        if at(values[0]) is None:
            return None, ""
        where = "at the minimum"
    else:
        where = "at the start"
    if not key.startswith("problem."):
        return np.asarray(jax.jit(at)(values[0])), where
    return np.asarray(jax.jit(lambda values: jax.lax.map(at, values))(values)), where


def _curve(config: Mapping[str, Any], x: np.ndarray, y: np.ndarray, law: str) -> Columns:
    return _chosen(config, len(x)) | {"x": x, "y": y, "law": np.full(len(x), law, object)}


def _refuse_unknown(config: Mapping[str, Any], axes: Sequence[Interval]) -> None:
    for axis in axes:
        root, _, rest = axis.key.partition(".")
        if root not in ("optimizer", "problem"):
            raise BadInput(f"a stability map is over numbers of the optimizer and the problem, not over {axis.key}")
        if parameter(config[root], root, rest) is None:
            raise BadInput(f"{root} {config['choices'][root]} has no {rest}: leave it out of this map")
        if rest == "learning_rate" and axis.low < 0:
            raise BadInput(f"{axis.key} must be at least 0, not {axis.low:g}")


def _side_by_side(work, configs: Sequence[Mapping[str, Any]]) -> list:
    """Two at a time: one compiles while the other runs."""
    if not configs:
        raise BadInput("a map needs an optimizer and a problem")
    with ThreadPoolExecutor(min(2, len(configs))) as pool:
        return list(pool.map(work, configs))


def _made(config: Mapping[str, Any], what: str, make):
    """What `make` makes; what it refuses is bad input, and so is a number on which a program's shape depends."""
    import jax

    try:
        return make()
    except BadInput:
        raise
    except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError) as error:
        raise BadInput(
            f"an interval of {config['choices']['optimizer']} on {config['choices']['problem']} is of a number that "
            "shapes the program; a map can only vary others"
        ) from error
    except ValueError as error:
        raise BadInput(f"no map of {what} '{config['choices'][what]}': {first_line(error)}") from error


def _with_steps(config: Mapping[str, Any], steps: int) -> dict[str, Any]:
    budget = _whole("steps", steps or config["steps"], 1)
    return dict(config) | {"steps": budget}


def _whole(what: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise BadInput(f"{what} must be a whole number of at least {least}, not {value!r}")
    return value


def _corners(box: str | Sequence[float]) -> tuple[list[float], list[float]] | None:
    parts = [part for part in box.split(",") if part.strip()] if isinstance(box, str) else list(box)
    if not parts:
        return None
    try:
        numbers = [float(part) for part in parts]
        x_low, x_high, y_low, y_high = numbers
    except (TypeError, ValueError):
        raise BadInput(f"box is four numbers, x_low,x_high,y_low,y_high, not {box!r}") from None
    if not np.isfinite(numbers).all() or x_low >= x_high or y_low >= y_high:
        raise BadInput(f"box must run from smaller to larger finite numbers, not {box!r}")
    return [x_low, y_low], [x_high, y_high]


def _sampled(axis: Interval, size: int) -> np.ndarray:
    return (np.geomspace if axis.log else np.linspace)(axis.low, axis.high, size)


def _rate(config: Mapping[str, Any]) -> float:
    node = config["optimizer"]
    default = parameter(node, "optimizer", "learning_rate")
    rate = node.get("learning_rate", None if default is None else default.default)
    return float(rate) if isinstance(rate, int | float) and rate is not inspect.Parameter.empty else np.nan


def _status(numbers: np.ndarray) -> np.ndarray:
    return STATUS_NAMES.astype(object)[numbers.ravel()]


def _chosen(config: Mapping[str, Any], size: int) -> Columns:
    return {name: np.full(size, config["choices"][name], object) for name in ("problem", "optimizer")}


def _named(config: Mapping[str, Any], size: int) -> Columns:
    """Of what a row is, and what a figure of it states."""
    return _chosen(config, size) | {
        "precision": np.full(size, config["precision"], object),
        "budget": np.full(size, config["steps"]),
    }


def _joined(tables: Iterable[Columns]) -> Columns:
    tables = list(tables)
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
