"""Many basins: which minimum is found depends on the start, the step and luck."""

import itertools
import math

import jax.numpy as jnp
import numpy as np

from optlab.types import Point, Surface


def peaks() -> Surface:
    """Three hills and three hollows that fade into a plain.

    ``f(x, y) = 3 (1 - x)^2 exp(-x^2 - (y + 1)^2) - 10 (x/5 - x^3 - y^5) exp(-x^2 - y^2)
    - exp(-(x + 1)^2 - y^2) / 3``

    Outside the box it fades, and a step that leaves the box may never return.
    """

    def fn(p):
        x, y = p
        return (
            3 * (1 - x) ** 2 * jnp.exp(-(x**2) - (y + 1) ** 2)
            - 10 * (x / 5 - x**3 - y**5) * jnp.exp(-(x**2) - y**2)
            - jnp.exp(-((x + 1) ** 2) - y**2) / 3
        )

    return Surface(
        fn=fn,
        start=[0.5, 1.5],
        domain=([-3.0, -3.0], [3.0, 3.0]),
        points=(
            Point([0.22827892055636909, -1.6255349574999967], -6.551133332835836, "minimum"),
            Point([-1.3473962443682108, 0.20451886609700515], -3.0498494028002594, "minimum"),
            Point([0.2964455538468321, 0.32019624766683435], -0.06493586825552679, "minimum"),
            Point([0.4163233216785082, -0.3941450984024246], 0.408547924594137, "saddle", 1),
            Point([-0.2659375568372457, 0.4667399937262694], 0.7882934626789644, "saddle", 1),
            Point([1.098272834335093, 0.8544609795247525], 2.249191661526931, "saddle", 1),
            Point([1.285684697241304, -0.004847559075593673], 3.5924899180027534, "maximum", 2),
            Point([-0.4600245180343866, -0.6291965087168009], 3.7765809985322063, "maximum", 2),
            Point([-0.009317581959954118, 1.5813679629389998], 8.106213589442337, "maximum", 2),
        ),
        tags=("multimodal", "saddle", "plateau", "maximum"),
        source="MATLAB peaks",
    )


def goldstein_price() -> Surface:
    """Two crossing valleys with four minima, on a scale that runs from 3 to a million.

    ``f(x, y) = (1 + (x + y + 1)^2 (19 - 14 x + 3 x^2 - 14 y + 6 x y + 3 y^2))
    (30 + (2 x - 3 y)^2 (18 - 32 x + 12 x^2 + 48 y - 36 x y + 27 y^2))``

    Its nine stationary points are multiples of 1/5 in both coordinates.
    """

    def fn(p):
        x, y = p
        one = 1 + (x + y + 1) ** 2 * (19 - 14 * x + 3 * x**2 - 14 * y + 6 * x * y + 3 * y**2)
        two = 30 + (2 * x - 3 * y) ** 2 * (18 - 32 * x + 12 * x**2 + 48 * y - 36 * x * y + 27 * y**2)
        return one * two

    return Surface(
        fn=fn,
        start=[-1.0, 1.0],
        domain=([-2.0, -2.0], [2.0, 2.0]),
        points=(
            Point([0.0, -1.0], 3.0, "minimum"),
            Point([-0.6, -0.4], 30.0, "minimum"),
            Point([1.8, 0.2], 84.0, "minimum"),
            Point([1.2, 0.8], 840.0, "minimum"),
            Point([-0.4, -0.6], 35.0, "saddle", 1),
            Point([1.2, -0.2], 99.0, "saddle", 1),
            Point([1.4, 0.6], 980.0, "saddle", 1),
            Point([0.6, 0.4], 990.0, "saddle", 1),
            Point([0.8, 0.2], 1155.0, "maximum", 2),
        ),
        tags=("multimodal", "saddle", "ill-scaled", "maximum"),
        source="Goldstein and Price 1971",
    )


def branin() -> Surface:
    """Three equal minima along a bent valley with a cosine in it.

    ``f(x, y) = (y - 5.1 x^2 / (4 pi^2) + 5 x / pi - 6)^2 + 10 (1 - 1 / (8 pi)) cos(x) + 10``

    Every odd multiple of pi is such a minimum and every even one a saddle; those in the box are stated.
    """

    def floor(x):
        return 5.1 * x**2 / (4 * math.pi**2) - 5 * x / math.pi + 6

    def fn(p):
        x, y = p
        return (y - floor(x)) ** 2 + 10 * (1 - 1 / (8 * math.pi)) * jnp.cos(x) + 10

    return Surface(
        fn=fn,
        start=[2.5, 7.5],
        domain=([-5.0, 0.0], [10.0, 15.0]),
        points=(
            *(Point([k * math.pi, floor(k * math.pi)], 5 / (4 * math.pi), "minimum") for k in (1, -1, 3)),
            *(Point([k * math.pi, floor(k * math.pi)], 20 - 5 / (4 * math.pi), "saddle", 1) for k in (0, 2)),
        ),
        tags=("multimodal", "saddle"),
        source="Branin 1972; Dixon and Szego 1978",
    )


def mccormick() -> Surface:
    """A corrugated slope: a sine along a trough that falls for ever.

    ``f(x, y) = sin(x + y) + (x - y)^2 - 1.5 x + 2.5 y + 1``

    Stationary where x - y = 1 and x + y = -+ 2 pi/3 + 2 pi k. The first point is the least in the customary
    box; every period further down the trough is lower by pi.
    """

    def fn(p):
        x, y = p
        return jnp.sin(x + y) + (x - y) ** 2 - 1.5 * x + 2.5 * y + 1

    third, height = math.pi / 3, math.sqrt(0.75)
    return Surface(
        fn=fn,
        start=[0.0, 0.0],
        domain=([-1.5, -3.0], [4.0, 4.0]),
        points=(
            Point([0.5 - third, -0.5 - third], -third - height, "minimum"),
            Point([0.5 + 2 * third, -0.5 + 2 * third], 2 * third - height, "minimum"),
            Point([0.5 + third, -0.5 + third], third + height, "saddle", 1),
        ),
        tags=("multimodal", "saddle", "unbounded"),
        source="McCormick 1976",
    )


def levy(dim: int = 2) -> Surface:
    """A wide bowl under waves that grow with the distance from the minimum.

    ``f(x) = sin(pi w_1)^2 + sum_{i<d} (w_i - 1)^2 (1 + 10 sin(pi w_i + 1)^2)
    + (w_d - 1)^2 (1 + sin(2 pi w_d)^2)`` with ``w = 1 + (x - 1) / 4``

    `dim` from 1.
    """

    def fn(x):
        w = 1 + (x - 1) / 4
        inner = jnp.sum((w[:-1] - 1) ** 2 * (1 + 10 * jnp.sin(math.pi * w[:-1] + 1) ** 2))
        last = (w[-1] - 1) ** 2 * (1 + jnp.sin(2 * math.pi * w[-1]) ** 2)
        return jnp.sin(math.pi * w[0]) ** 2 + inner + last

    return Surface(
        fn=fn,
        start=[(-4.0, 5.0, -3.0)[i % 3] for i in range(dim)],
        domain=([-10.0] * dim, [10.0] * dim),
        points=(Point([1.0] * dim, 0.0, "minimum"),),
        tags=("multimodal",),
        source="Levy and Montalvo 1985",
    )


def griewank(dim: int = 2) -> Surface:
    """A very wide bowl with small ripples all over it.

    ``f(x) = 1 + |x|^2 / 4000 - prod_i cos(x_i / sqrt(i))``

    The ripples fade as the dimension grows, so it becomes easier. `dim` from 1.
    """

    def fn(x):
        frequency = jnp.arange(1, dim + 1, dtype=x.dtype) ** -0.5
        return 1 + jnp.sum(x**2) / 4000 - jnp.prod(jnp.cos(x * frequency))

    return Surface(
        fn=fn,
        start=[50.0] * dim,
        domain=([-60.0] * dim, [60.0] * dim),
        points=(Point([0.0] * dim, 0.0, "minimum"),),
        tags=("multimodal",),
        source="Griewank 1981",
    )


def ackley(dim: int = 2) -> Surface:
    """A funnel with a cusp at its bottom in a nearly flat field of dents.

    ``f(x) = 20 - 20 exp(-0.2 sqrt(|x|^2 / d)) + e - exp(sum_i cos(2 pi x_i) / d)``

    At the minimum it has a kink like a norm; the gradient there is given as zero. `dim` from 1.
    """

    def fn(x):
        square = jnp.mean(x**2)
        # the second `where` keeps the infinite slope of the root at 0 out of the gradient
        radius = jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)
        waves = jnp.exp(jnp.mean(jnp.cos(2 * math.pi * x)))
        return 20 - 20 * jnp.exp(-0.2 * radius) + (math.e - waves)

    return Surface(
        fn=fn,
        start=[(10.0, 15.0)[i % 2] for i in range(dim)],
        domain=([-20.0] * dim, [20.0] * dim),
        points=(Point([0.0] * dim, 0.0, "minimum"),),
        tags=("multimodal", "plateau", "nonsmooth"),
        source="Ackley 1987",
    )


def rastrigin(dim: int = 2, amplitude: float = 10.0) -> Surface:
    """A bowl under an egg box: a minimum near every integer point.

    ``f(x) = sum_i x_i^2 + amplitude (1 - cos(2 pi x_i))``

    Only the one at the origin is global. `dim` from 1, `amplitude` from 0 (a plain bowl).
    """

    def fn(x):
        waves = jnp.asarray(amplitude, x.dtype) * (1 - jnp.cos(2 * math.pi * x))
        return jnp.sum(x**2 + waves)

    return Surface(
        fn=fn,
        start=[(-2.0, 3.5, 1.2)[i % 3] for i in range(dim)],
        domain=([-5.12] * dim, [5.12] * dim),
        points=(Point([0.0] * dim, 0.0, "minimum"),),
        tags=("multimodal",),
        source="Rastrigin 1974",
    )


def schwefel(dim: int = 2) -> Surface:
    """Deceptive: the best minimum sits in a corner, far from the second best.

    ``f(x) = sum_i 418.98288727243374 - x_i sin(sqrt(|x_i|))``

    That is problem 2.26 in the box |x_i| <= 500. Outside, where it would fall without bound, the square
    of the distance to the box is added. `dim` from 1.
    """

    def fn(x):
        size = jnp.abs(x)
        root = jnp.sqrt(jnp.where(size > 0, size, 1))  # the term vanishes at 0, where the root has no slope
        outside = jnp.maximum(size - 500, 0)
        return jnp.sum(418.98288727243374 - x * jnp.sin(root) + outside**2)

    return Surface(
        fn=fn,
        start=[(100.0, -200.0, 300.0)[i % 3] for i in range(dim)],
        domain=([-500.0] * dim, [500.0] * dim),
        points=(Point([420.9687463599821] * dim, 0.0, "minimum"),),
        tags=("multimodal",),
        source="Schwefel 1981, problem 2.26",
    )


# place and value of each coordinate's own minimum, for steepness 10
_MICHALEWICZ = (
    (2.2029055201726093, -0.8013034100985533),
    (math.pi / 2, -1.0),
    (1.2849915705529245, -0.959091269896007),
    (1.9230584698663629, -0.9384624184720844),
    (1.7204697725658409, -0.9888010806215034),
    (math.pi / 2, -1.0),
    (1.454413971362379, -0.9932271353558825),
    (1.7560865209450263, -0.98287203627221),
    (1.6557174168210291, -0.9963943649251024),
    (math.pi / 2, -1.0),
)


def michalewicz(dim: int = 2, steepness: int = 10) -> Surface:
    """Narrow crossing trenches in a plain.

    ``f(x) = -sum_i sin(x_i) sin(i x_i^2 / pi)^(2 steepness)``

    Meant for the box 0 <= x_i <= pi; outside, where it has deeper minima, the square of the distance to the
    box is added. The minimum is stated for `dim` up to 10 and `steepness` 10. Both are integers from 1; a
    larger `steepness` makes narrower trenches.
    """

    def fn(x):
        inside = jnp.sin(jnp.arange(1, dim + 1, dtype=x.dtype) * x**2 / math.pi) ** (2 * steepness)
        outside = x - jnp.clip(x, 0, math.pi)
        return jnp.sum(outside**2 - jnp.sin(x) * inside)

    points = ()
    if dim <= len(_MICHALEWICZ) and steepness == 10:
        place, values = zip(*_MICHALEWICZ[:dim], strict=True)
        points = (Point(list(place), math.fsum(values), "minimum"),)
    return Surface(
        fn=fn,
        start=[1.0] * dim,
        domain=([0.0] * dim, [math.pi] * dim),
        points=points,
        tags=("multimodal", "plateau"),
        source="Michalewicz 1992",
    )


def _cluster(shape, kind: str, index: int = 0) -> Point:
    """A symmetric cluster at its equilibrium size: only the scale is left to be found, in closed form."""
    shape = np.asarray(shape, float)
    i, j = np.triu_indices(len(shape), 1)
    square = np.sum((shape[i] - shape[j]) ** 2, axis=1)
    attract, repel = np.sum(square**-3), np.sum(square**-6)
    scale = (2 * repel / attract) ** (1 / 6)
    return Point((scale * shape).ravel().tolist(), float(-(attract**2) / repel), kind, index)


_GOLDEN = (1 + math.sqrt(5)) / 2
_SIMPLEX = (
    (0, 0, 0),
    (1, 0, 0),
    (1 / 2, math.sqrt(3 / 4), 0),
    (1 / 2, math.sqrt(1 / 12), math.sqrt(2 / 3)),
)
_CORNERS = [(0, a, b * _GOLDEN) for a in (-1, 1) for b in (-1, 1)]
_ICOSAHEDRON = [(0, 0, 0), *(corner[-k:] + corner[:-k] for k in (1, 2, 3) for corner in _CORNERS)]
# Fcc: 38 atoms on the axes of a cube, on its diagonals and in the planes between.
_ORBITS = [(0.7759309576204478, 0, 0), (0.7790009250831657,) * 3, (1.5655837414624079, 0.7808894437219709, 0)]
_SIGNS = list(itertools.product((1, -1), repeat=3))
_OCTAHEDRON = sorted(
    {(p * x, q * y, r * z) for orbit in _ORBITS for x, y, z in itertools.permutations(orbit) for p, q, r in _SIGNS}
)
_LINE = ((0, 0, 0), (1, 0, 0), (2, 0, 0))
_CLUSTERS = {
    2: (_cluster(_SIMPLEX[:2], "minimum"),),
    3: (_cluster(_SIMPLEX[:3], "minimum"), _cluster(_LINE, "saddle", 2)),
    4: (_cluster(_SIMPLEX, "minimum"),),
    13: (_cluster(_ICOSAHEDRON, "minimum"),),
    38: (_cluster(_OCTAHEDRON, "minimum"),),
}


def lennard_jones(atoms: int = 3) -> Surface:
    """The energy of a cluster of atoms that attract from afar and repel when close.

    ``f(x) = 4 sum_{i<j} r_ij^-12 - r_ij^-6`` for atoms at ``x_{3i}, x_{3i+1}, x_{3i+2}``

    Moving or turning the cluster changes nothing, so the Hessian is singular everywhere. The minimum is
    stated for 2, 3, 4, 13 (an icosahedron) and 38 atoms (a truncated octahedron; the last two are the best known),
    and the straight line of 3 as a saddle of index 2. Below a distance of 0.1 the energy goes on as a straight
    line in r^2, so that it stays finite. `atoms` from 2.
    """
    i, j = np.triu_indices(atoms, 1)
    closest = 0.01

    def fn(x):
        position = x.reshape(atoms, 3)
        square = jnp.sum((position[i] - position[j]) ** 2, axis=1)
        bounded = jnp.maximum(square, closest)
        slope = 3 * closest**-4 - 6 * closest**-7
        return 4 * jnp.sum(bounded**-6 - bounded**-3 + slope * jnp.minimum(square - closest, 0))

    def start(atom):
        x, y, z = ((0.0, 0.0, 0.0), (1.5, 0.0, 0.0), (0.7, 1.4, 0.1))[atom % 3]
        layer = atom // 3
        return x + 0.1 * layer, y + 0.05 * layer, z + 1.2 * layer

    return Surface(
        fn=fn,
        start=[coordinate for atom in range(atoms) for coordinate in start(atom)],
        domain=([-2.0] * 3 * atoms, [2.0 + 0.4 * atoms] * 3 * atoms),
        points=_CLUSTERS.get(atoms, ()),
        tags=("multimodal", "saddle", "manifold-of-minima"),
        source="Lennard-Jones 1924; Cambridge Cluster Database",
    )
