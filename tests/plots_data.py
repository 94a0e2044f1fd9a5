"""Small tables of real runs, made with NumPy alone, in the columns that optlab's own tables have."""

from types import SimpleNamespace

import numpy as np
import pandas as pd


def beale(x):
    a, b = x[0], x[1]
    return (1.5 - a + a * b) ** 2 + (2.25 - a + a * b**2) ** 2 + (2.625 - a + a * b**3) ** 2


def rosenbrock(x):
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2


def rastrigin(x):
    return 20 + sum(x[i] ** 2 - 10 * np.cos(2 * np.pi * x[i]) for i in (0, 1))


def hyperbolic_saddle(x):
    return x[0] ** 2 - x[1] ** 2


def strict_saddle(x):
    return 0.5 * x[0] ** 2 - 0.5 * x[1] ** 2 + 0.25 * x[1] ** 4


#: Name: function, start, box, least value (None: unbounded), stationary points.
SURFACES = {
    "beale": (
        beale, (1.0, 1.0), ((-1.0, 4.5), (-1.5, 2.0)), 0.0,
        [("minimum", 0, 0.0, 3.0, 0.5), ("saddle", 1, 14.203125, 0.0, 1.0)],
    ),
    "rosenbrock": (
        rosenbrock, (-1.2, 1.0), ((-2.0, 2.0), (-1.0, 3.0)), 0.0, [("minimum", 0, 0.0, 1.0, 1.0)],
    ),
    "rastrigin": (
        rastrigin, (2.2, -1.8), ((-3.2, 3.2), (-3.2, 3.2)), 0.0,
        [("minimum", 0, 0.0, 0.0, 0.0)]
        + [("minimum", 0, 1.0, i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)],
    ),
    "hyperbolic_saddle": (
        hyperbolic_saddle, (1.0, 1e-3), ((-1.5, 1.5), (-1.5, 1.5)), None, [("saddle", 1, 0.0, 0.0, 0.0)],
    ),
    "strict_saddle": (
        strict_saddle, (1.0, 1e-6), ((-1.5, 1.5), (-1.5, 1.5)), -0.25,
        [("minimum", 0, -0.25, 0.0, 1.0), ("minimum", 0, -0.25, 0.0, -1.0), ("saddle", 1, 0.0, 0.0, 0.0)],
    ),
}  # fmt: skip


def gradient(f, x, h=1e-6):
    steps = np.eye(2) * h
    return np.array([(f(x + s) - f(x - s)) / (2 * h) for s in steps])


def hessian(f, x, h=1e-4):
    return np.array([(gradient(f, x + s) - gradient(f, x - s)) / (2 * h) for s in np.eye(2) * h])


def _moments(state, g, k, b1=0.9, b2=0.999):
    state["m"] = b1 * state.get("m", 0) + (1 - b1) * g
    state["v"] = b2 * state.get("v", 0) + (1 - b2) * g * g
    return state["m"] / (1 - b1**k), state["v"] / (1 - b2**k)


def _momentum(state, g, decay=0.9):
    state["v"] = decay * state.get("v", 0) + g
    return state["v"]


def _accumulate(state, g, decay=None):
    state["s"] = state.get("s", 0) + g * g if decay is None else decay * state.get("s", 0) + (1 - decay) * g * g
    return np.sqrt(state["s"]) + 1e-8


def _adadelta(state, g):
    state["s"] = 0.9 * state.get("s", 0) + 0.1 * g * g
    d = np.sqrt(state.get("d", 0) + 1e-6) / np.sqrt(state["s"] + 1e-6) * g
    state["d"] = 0.9 * state.get("d", 0) + 0.1 * d * d
    return d


def _adam(state, g, k):
    m, v = _moments(state, g, k)
    return m / (np.sqrt(v) + 1e-8)


def _nadam(state, g, k):
    m, v = _moments(state, g, k)
    return (0.9 * m + 0.1 * g) / (np.sqrt(v) + 1e-8)


def _lion(state, g, k):
    step = np.sign(0.9 * state.get("m", 0) + 0.1 * g)
    state["m"] = 0.99 * state.get("m", 0) + 0.01 * g
    return step


#: Name: direction from (state, gradient, step), to be scaled by the learning rate.
FIRST_ORDER = {
    "gradient_descent": lambda s, g, k: g,
    "momentum": lambda s, g, k: _momentum(s, g),
    "nesterov": lambda s, g, k: g + 0.9 * _momentum(s, g),
    "adagrad": lambda s, g, k: g / _accumulate(s, g),
    "adadelta": lambda s, g, k: 50 * _adadelta(s, g),
    "rmsprop": lambda s, g, k: g / _accumulate(s, g, 0.9),
    "adam": _adam,
    "adamw": lambda s, g, k: _adam(s, g, k),
    "nadam": _nadam,
    "lion": _lion,
}


def walk(f, optimizer, start, rate, steps):
    """Places and evaluation counts of one run, each step recorded: `[T, 2]`, `[T]`; ends when it diverged."""
    x, state, places, counts = np.array(start, float), {}, [np.array(start, float)], [1]
    with np.errstate(all="ignore"):
        for k in range(1, steps + 1):
            g = gradient(f, x)
            if optimizer in ("lbfgs", "newton"):
                h = hessian(f, x)
                values, vectors = np.linalg.eigh(h) if np.isfinite(h).all() else (np.ones(2), np.eye(2))
                d = vectors @ ((vectors.T @ g) / np.maximum(np.abs(values), 1e-3))
                length, used = 1.0, 1
                while f(x - length * d) > f(x) - 1e-4 * length * g @ d and used < 25:
                    length, used = length / 2, used + 1
                x, cost = x - length * (0.8 if optimizer == "lbfgs" else 1.0) * d, used + 1
            else:
                x, cost = x - rate * FIRST_ORDER[optimizer](state, g, k), 2
            places.append(x)
            counts.append(counts[-1] + cost)
            if not np.isfinite(x).all() or np.abs(x).max() > 1e8 or np.abs(g).max() < 1e-11:
                break
    return np.array(places), np.array(counts)


def tables(problems, optimizers, rates=(1e-3, 1e-2, 1e-1), starts=1, steps=300, points=81):
    """`runs`, `curves`, `fields` and `points` of every optimizer at every rate from every start."""
    rng = np.random.default_rng(7)
    runs, curves, fields, known = [], [], [], []
    for problem in problems:
        f, start, ((x0, x1), (y0, y1)), least, stationary = SURFACES[problem]
        x, y = np.meshgrid(np.linspace(x0, x1, points), np.linspace(y0, y1, points))
        fields.append(
            pd.DataFrame({"field_id": problem, "x_0": x.ravel(), "x_1": y.ravel(), "value": f((x, y)).ravel()})
        )
        known += [(problem, *point) for point in stationary]
        places = [(None, start)] + [(s := rng.uniform((x0, y0), (x1, y1)).round(3), s) for _ in range(starts - 1)]
        for optimizer in optimizers:
            own = (np.nan,) if optimizer in ("lbfgs", "newton") else rates
            for rate in own:
                for text, place in places:
                    run_id = f"r{len(runs)}"
                    run, curve = one_run(f, optimizer, place, rate, steps, least)
                    curves.append(curve.assign(run_id=run_id))
                    asked = None if text is None else str(list(map(float, text)))
                    ids = {
                        "run_id": run_id,
                        "study": "test",
                        "problem": problem,
                        "optimizer": optimizer,
                        "seed": 0,
                    }
                    leaves = {"problem.start": asked, "problem.dim": 2, "optimizer.learning_rate": rate}
                    runs.append({**ids, "precision": "float64", **leaves, **run, "field_id": problem})
    columns = ["field_id", "kind", "index", "value", "x_0", "x_1"]
    return SimpleNamespace(
        runs=pd.DataFrame(runs),
        curves=pd.concat(curves, ignore_index=True),
        fields=pd.concat(fields, ignore_index=True),
        points=pd.DataFrame(known, columns=columns),
    )


def one_run(f, optimizer, start, rate, steps, least):
    """A row of `runs` and the log-spaced rows of `curves`."""
    xy, counts = walk(f, optimizer, start, rate, steps)
    last = len(xy) - 1
    step = np.unique(np.round(np.geomspace(1, last + 1, 120)).astype(int) - 1)
    with np.errstate(all="ignore"):
        value = np.array([f(p) for p in xy])
    lost = not np.isfinite(value[-1]) or np.abs(xy[-1]).max() > 1e8
    gap = value - least if least is not None else np.full(len(value), np.nan)
    columns = {"step": step, "n_value": step + 1, "n_grad": counts[step] - step - 1, "n_hvp": 0 * step}
    heights = {"value": value[step], "best_value": np.fmin.accumulate(value)[step], "gap": gap[step]}
    curve = pd.DataFrame({**columns, **heights, "grad_norm": np.nan, "x_0": xy[step, 0], "x_1": xy[step, 1]})
    ends = {"value": value[-1], "best_value": np.nanmin(value), "gap": gap[-1], "grad_norm": np.nan}
    counts = {"n_value": last + 1, "n_grad": counts[-1] - last - 1, "n_hvp": 0}
    status = "diverged" if lost else "converged" if last < steps else "max_steps"
    run = {"status": status, "error": None, "steps": last, **counts, **ends, "seconds": 0.01}
    return run, curve
