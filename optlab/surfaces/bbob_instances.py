"""What an instance of a BBOB function is drawn from: random numbers that are the same on every machine.

The generator and the seeds are those of COCO, so that an instance here is the instance there. All of it
happens in NumPy when a surface is built, in float64 whatever the surface is evaluated in.
"""

from typing import Any, NamedTuple

import numpy as np

from optlab.types import Point

_MODULUS = 2**31 - 1


def _seed(function: int, instance: int) -> int:
    """Two functions take the seed of their kin: f4 that of Rastrigin, f18 that of the first Schaffers F7."""
    return {4: 3, 18: 17}.get(function, function) + 10_000 * instance


def _uniform(seed: int, count: int) -> np.ndarray:
    """Park and Miller's minimal standard generator behind a shuffling table of 32 (Bays and Durham): `[count]`."""
    state = seed

    def advance():
        nonlocal state
        state = 16807 * state % _MODULUS
        return state

    table = [advance() for _ in range(40)][:-33:-1]  # the last 32, the newest first
    drawn = np.empty(count)
    newest = table[0]
    for i in range(count):
        slot = newest // 67108865  # a 32nd of the modulus
        newest, table[slot] = table[slot], advance()
        drawn[i] = newest
    return drawn / _MODULUS


def _normal(seed: int, count: int) -> np.ndarray:
    """The cosine half of Box and Muller's pairs; radii come first in the stream, then angles: `[count]`."""
    radius, angle = np.split(_uniform(seed, 2 * count), 2)
    return np.sqrt(-2 * np.log(radius)) * np.cos(2 * np.pi * angle)


def _rotation(seed: int, dim: int) -> np.ndarray:
    """Normal numbers, filled in by columns and made orthonormal by Gram and Schmidt: `[d, d]`."""
    basis = np.ascontiguousarray(_normal(seed, dim * dim).reshape(dim, dim).T)
    for j in range(dim):
        # summed from first to last, as COCO does: the condition of the numbers drawn amplifies rounding
        basis[:, j] /= np.sqrt(np.cumsum(basis[:, j] ** 2)[-1])
        along = np.cumsum(basis[:, j, None] * basis[:, j + 1 :], axis=0)[-1]
        basis[:, j + 1 :] -= basis[:, j, None] * along
    return basis


def _rotations(function: int, dim: int, instance: int) -> tuple[np.ndarray, np.ndarray]:
    """The paper's R and Q: `[d, d]` each."""
    seed = _seed(function, instance)
    return _rotation(seed + 1_000_000, dim), _rotation(seed, dim)


def _value(function: int, instance: int) -> float:
    """f_opt: Cauchy numbers with a median size of 100, rounded to 2 decimals, at most 1000 in size."""
    seed = _seed(function, instance)
    ratio = _normal(seed, 1) / _normal(seed + 1, 1)
    return float(np.clip(np.floor(100 * 100 * ratio + 0.5) / 100, -1000, 1000)[0])


def _optimum(function: int, dim: int, instance: int) -> np.ndarray:
    """x_opt: uniform in [-4, 4) to 4 decimals, and what single functions make of it: `[d]`."""
    seed = _seed(function, instance)
    if function == 20:  # the place of the best basin along one axis, halved
        return 4.2096874637 / 2 * np.where(_uniform(seed, dim) < 0.5, -1, 1)
    if function == 24:
        return 1.25 * np.where(_normal(seed, dim) < 0, -1, 1)
    place = 8 * np.floor(1e4 * _uniform(seed + (1_000_000 if function == 12 else 0), dim)) / 1e4 - 4
    place[place == 0] = -1e-5
    if function == 4:
        place[::2] = np.abs(place[::2])
    return {5: 5 * np.sign(place), 8: 0.75 * place}.get(function, place)


class _Peaks(NamedTuple):
    centres: np.ndarray  #: y_i, the highest peak first: `[n, d]`
    curvatures: np.ndarray  #: the diagonals of C_i: `[n, d]`
    heights: np.ndarray  #: w_i: `[n]`


def _peaks(function: int, count: int, width: float, condition: float, dim: int, instance: int) -> _Peaks:
    """Gallagher's peaks in a box `width` wide, and the `condition` of the highest, which lies further inside."""
    seed = _seed(function, instance)
    order = np.argsort(_uniform(seed, count - 1))
    conditions = np.concatenate([[condition], 1000 ** (order / (count - 2))])
    axes = [np.argsort(_uniform(seed + 1000 * i, dim)) for i in range(count)]
    centres = width * _uniform(seed, count * dim).reshape(count, dim) - width / 2
    centres[0] *= 0.8
    return _Peaks(
        centres,
        conditions[:, None] ** (np.stack(axes) / (dim - 1) - 0.5),
        np.concatenate([[10.0], np.linspace(1.1, 9.1, count - 1)]),
    )


def _known(optimum: np.ndarray, value: float) -> dict[str, Any]:
    """What all functions of the suite have alike: the start, the box, and the optimum as the one stated point."""
    dim = len(optimum)
    return {
        "start": [0.0] * dim,
        "domain": ([-5.0] * dim, [5.0] * dim),
        "points": (Point(optimum, value, "minimum"),),
    }
