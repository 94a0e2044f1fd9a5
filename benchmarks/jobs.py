"""The runs that are compared: Adam on Rosenbrock-2, 500 steps, learning rate x b1 x start."""

from typing import NamedTuple

import numpy as np

STEPS = 500
RATES, B1 = (1e-4, 1.0), (0.5, 0.99)  #: ends of the two intervals; the first is logarithmic
STARTS = [(round(-2 + 4 * i / 7, 3), round(-1 + 3 * j / 4, 3)) for i in range(8) for j in range(5)]


class Jobs(NamedTuple):
    """One entry for each run."""

    learning_rate: np.ndarray  #: `[R]`
    b1: np.ndarray  #: `[R]`
    start: np.ndarray  #: `[R, 2]`


def jobs(points: int) -> Jobs:
    """All runs, in the order of the command's: 40 starts x `points` learning rates x `points` b1."""
    unit = np.linspace(0, 1, points)
    low, high = np.log10(RATES)
    rates, b1 = 10.0 ** (low + unit * (high - low)), B1[0] + unit * (B1[1] - B1[0])
    start, rate, beta = np.meshgrid(np.arange(len(STARTS)), rates, b1, indexing="ij")
    return Jobs(rate.ravel(), beta.ravel(), np.array(STARTS)[start.ravel()])


def words(points: int, results: str) -> list[str]:
    """The same as words of the command `optlab`."""
    starts = ",".join(f"[{x},{y}]" for x, y in STARTS)
    return [
        "-m", "optimizer=adam", "problem=rosenbrock", f"steps={STEPS}", f"problem.start={starts}",
        f"optimizer.learning_rate=tag(log,interval({RATES[0]},{RATES[1]}))",
        f"optimizer.b1=interval({B1[0]},{B1[1]})", f"sweep.points={points}", f"results={results}",
    ]  # fmt: skip


def few(count: int) -> Jobs:
    """`count` of the 100,000, spread evenly."""
    every = jobs(50)
    chosen = np.linspace(0, len(every.b1) - 1, count).astype(int)
    return Jobs(*(column[chosen] for column in every))
