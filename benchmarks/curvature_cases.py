"""What curvature methods are compared on: closed forms, the MGH suite, a quadratic, two networks on digits."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import yaml

from benchmarks.spent import ROOT


class Case(NamedTuple):
    """A function to minimize from a start."""

    name: str
    fun: Callable  #: `[d]` -> `[]`
    start: np.ndarray
    minima: tuple[float, ...]  #: published, global and local; empty: a zero gradient is a solution
    residual: Callable | None = None  #: `[d]` -> `[r]`


def cases(quick: bool = False) -> Iterator[Case]:
    """All cases, or with `quick` one of each kind."""
    from optlab import surfaces

    for dim in (2,) if quick else (2, 10, 100, 1000):
        surface = surfaces.rosenbrock(dim=dim)
        yield Case(f"rosenbrock_{dim}", surface.fn, np.asarray(surface.start, float), (0.0,))
    for path in sorted((ROOT / "tests" / "data").glob("mgh_scipy_counts.csv")):
        rows = [line.split(",") for line in path.read_text().splitlines()]
        names = [row[rows[0].index("problem")] for row in rows[1:]]
        for name in names[:2] if quick else names:
            if name != "MEYER3":  # its gradient is about 1e4 at the published digits: no tolerance ends it
                yield mgh(name)
    yield quadratic(20 if quick else 1000, 1e6)
    yield network("logistic_regression", [])
    yield network("mlp", [16])


def mgh(name: str) -> Case:
    """One of the forty cases of More, Garbow and Hillstrom."""
    from optlab import surfaces

    config = yaml.safe_load((ROOT / "conf" / "problem" / f"mgh_{name.lower()}.yaml").read_text())
    surface = getattr(surfaces, config.pop("_target_").rpartition(".")[2])(**config)
    minima = tuple(float(point.value) for point in surface.points if point.kind == "minimum")
    return Case(name.lower(), surface.fn, np.asarray(surface.start, float), minima, surface.residual)


def quadratic(dim: int, condition: float) -> Case:
    """Eigenvalues evenly spaced in the logarithm, along the axes."""
    eigenvalues = np.logspace(0, np.log10(condition), dim)
    return Case(f"quadratic_{dim}", lambda x: 0.5 * jnp.sum(eigenvalues * x**2), np.ones(dim), (0.0,))


def network(name: str, hidden: list[int], penalty: float = 1e-3) -> Case:
    """Mean cross-entropy of a dense tanh network on scikit-learn's digits, plus half `penalty` |x|^2."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images = images / 16
    sizes = [64, *hidden, 10]
    shapes = [shape for pair in zip(sizes, sizes[1:], strict=False) for shape in (pair, (pair[1],))]
    cuts = np.cumsum([int(np.prod(shape)) for shape in shapes])
    generator = np.random.default_rng(0)
    start = [generator.normal(0, s[0] ** -0.5, s).ravel() if len(s) == 2 else np.zeros(s) for s in shapes]

    def fun(x):
        layers = [part.reshape(s) for part, s in zip(jnp.split(x, cuts[:-1]), shapes, strict=True)]
        signal = jnp.asarray(images, x.dtype)
        for k in range(0, len(layers), 2):
            signal = (jnp.tanh(signal) if k else signal) @ layers[k] + layers[k + 1]
        scores = jax.nn.log_softmax(signal)
        return -jnp.mean(scores[np.arange(len(labels)), labels]) + 0.5 * penalty * jnp.sum(x**2)

    return Case(name, fun, np.concatenate(start) if hidden else np.zeros(int(cuts[-1])), ())
