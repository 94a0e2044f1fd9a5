"""More, Garbow and Hillstrom's overdetermined systems: more equations than unknowns, and no table of data."""

import math

import jax.numpy as jnp
import numpy as np

from optlab.types import Point, Surface


def mgh_brownbs() -> Surface:
    """A minimum with one coordinate of a million and one of two millionths.

    ``f(x, y) = (x - 10^6)^2 + (y - 2 10^-6)^2 + (x y - 2)^2``

    Brown's badly scaled function. The first direction has curvature 2, the second 2 10^12; a trust region that is
    round must grow to 10^6 first.
    """

    def residual(p):
        x, y = p
        return math.sqrt(2) * jnp.stack([x - 1e6, y - 2e-6, x * y - 2])

    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[1.0, 1.0],
        domain=([-1e6, -1.0], [2e6, 2.0]),
        points=(Point([1e6, 2e-6], 0.0, "minimum"),),
        residual=residual,
        tags=("valley", "ill-conditioned", "ill-scaled", "least-squares", "mgh"),
        source="More, Garbow and Hillstrom 1981, problem 4",
    )


def mgh_watson(dim: int = 6) -> Surface:
    """A differential equation solved by a polynomial, in the worst of bases.

    ``f(x) = sum_{i<30} (p'(t_i) - p(t_i)^2 - 1)^2 + x_1^2 + (x_2 - x_1^2 - 1)^2`` with
    ``p(t) = sum_j x_j t^(j-1), t_i = i / 29``

    p is to be the tangent. The Hessian's condition number is 9e4 for 6 variables, 2e9 for 9 and 7e13 for 12, the
    three for which the minimum is stated. `dim` from 2 to 31.
    """
    times = np.arange(1, 30)[:, None] / 29
    powers = times ** np.arange(dim)
    slopes = np.arange(dim) * times ** np.maximum(np.arange(dim) - 1, 0)

    def residual(x):
        p, slope = (jnp.matmul(jnp.asarray(m, x.dtype), x, precision="highest") for m in (powers, slopes))
        ends = jnp.stack([x[0], x[1] - x[0] ** 2 - 1])
        return math.sqrt(2) * jnp.concatenate([slope - p**2 - 1, ends])

    six = [-0.015725086401458456, 1.0124348693691099, -0.2329916259567377]
    six += [1.2604300877996084, -1.5137289227222797, 0.9929964324311346]
    nine = [-1.5307036521394342e-05, 0.9997897039319483, 0.014763963693556958]
    nine += [0.14634232829936222, 1.0008211030047092, -2.617731140519015]
    nine += [4.104403164478857, -3.1436122785564424, 1.0526264080101668]
    twelve = [-6.638060464520687e-09, 1.000001644117862, -0.0005639322103423058, 0.34782054050404243]
    twelve += [-0.15673150409616513, 1.0528151772071777, -3.2472711534596677, 7.288434897938061]
    twelve += [-10.271848241321724, 9.074113647075317, -4.541375466692512, 1.0120118885528104]
    points = {
        6: (Point(six, 0.0022876700535524363, "minimum"),),
        9: (Point(nine, 1.39976013809902e-06, "minimum"),),
        12: (Point(twelve, 4.722381105891757e-10, "minimum"),),
    }
    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[0.0] * dim,
        domain=([-12.0] * dim, [12.0] * dim),
        points=points.get(dim, ()),
        residual=residual,
        tags=("valley", "ill-conditioned", "nonzero-residual", "least-squares", "mgh"),
        source="Kowalik and Osborne 1968; More, Garbow and Hillstrom 1981, problem 20",
    )


def mgh_penalty1(dim: int = 10) -> Surface:
    """A soft pull towards ones, held on a sphere by a penalty a hundred thousand times stronger.

    ``f(x) = 10^-5 sum_i (x_i - 1)^2 + (|x|^2 - 1/4)^2``

    All stationary points are stated: multiples t of ones with 4 d t^3 - (1 - 2 10^-5) t = 2 10^-5, the minimum, a
    saddle across the sphere, and a maximum by the origin.
    """
    pull = 1e-5

    def residual(x):
        return math.sqrt(2) * jnp.append(math.sqrt(pull) * (x - 1), jnp.sum(x**2) - 0.25)

    across, middle, least = (float(t) for t in np.sort(np.roots([4 * dim, 0, 2 * pull - 1, -2 * pull]).real))

    def value(t):
        return dim * pull * (t - 1) ** 2 + (dim * t**2 - 0.25) ** 2

    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[float(j) for j in range(1, dim + 1)],
        domain=([-1.0] * dim, [float(dim)] * dim),
        points=(
            Point([least] * dim, value(least), "minimum"),
            Point([across] * dim, value(across), "saddle", dim - 1),
            Point([middle] * dim, value(middle), "maximum", dim),
        ),
        residual=residual,
        tags=("valley", "ill-conditioned", "saddle", "maximum", "nonzero-residual", "least-squares", "mgh"),
        source="Gill, Murray and Pitfield 1972; More, Garbow and Hillstrom 1981, problem 23",
    )


def mgh_penalty2(dim: int = 10) -> Surface:
    """Exponentials with a tiny weight, held on an ellipsoid by a penalty.

    ``f(x) = (x_1 - 1/5)^2 + a sum_{i>1} ((e^{x_i/10} + e^{x_{i-1}/10} - y_i)^2 + (e^{x_i/10} - e^{-1/10})^2)
    + (sum_j (d - j + 1) x_j^2 - 1)^2`` with ``a = 10^-5, y_i = e^{i/10} + e^{(i-1)/10}``

    The floor of the valley is so flat that most methods stop early. The minimum is stated for 4 and 10,
    all of the ring of the ellipse for 2.
    """
    weight = math.sqrt(1e-5)
    data = np.exp(np.arange(2, dim + 1) / 10) + np.exp(np.arange(1, dim) / 10)

    def residual(x):
        e = jnp.exp(x / 10)
        pairs = weight * (e[1:] + e[:-1] - jnp.asarray(data, x.dtype))
        singles = weight * (e[1:] - math.exp(-0.1))
        sphere = jnp.sum(jnp.arange(dim, 0, -1, dtype=x.dtype) * x**2, keepdims=True) - 1
        return math.sqrt(2) * jnp.concatenate([x[:1] - 0.2, pairs, singles, sphere])

    four = [0.1999993333503804, 0.19131670099277245, 0.48010148533262315, 0.5188454043902005]
    ten = [0.19998360519782363, 0.010350648471292297, 0.0196049344804384, 0.03208906722068565, 0.049932677399641294]
    ten += [0.07651399515399361, 0.11862407286950417, 0.19214487233557667, 0.34732058694184365, 0.3691643741593508]
    points = {
        2: (
            Point([0.20000020532774787, 0.95916622198851], 8.066390041118848e-07, "minimum"),
            Point([0.20000055520062143, -0.959165975822333], 1.5828443373221051e-06, "minimum"),
            Point([0.6433202528023279, -4.787745816470235e-07], 0.22621335911406487, "saddle", 1),
            Point([-0.5758338478349533, -4.265762419963792e-07], 0.7153746737628406, "saddle", 1),
            Point([-0.06748640664113192, -1.2016306250028919e-07], 1.053415489644794, "maximum", 2),
        ),
        4: (Point(four, 9.376293007355442e-06, "minimum"),),
        10: (Point(ten, 0.00029366053745674594, "minimum"),),
    }
    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[0.5] * dim,
        domain=([-1.0] * dim, [1.0] * dim),
        points=points.get(dim, ()),
        residual=residual,
        tags=("valley", "ill-conditioned", "nonzero-residual", "least-squares", "mgh"),
        source="Gill, Murray and Pitfield 1972; More, Garbow and Hillstrom 1981, problem 24",
    )


def mgh_variably_dimensioned(dim: int = 10) -> Surface:
    """A bowl with a fourth power along one direction that dwarfs all else far away.

    ``f(x) = sum_i (x_i - 1)^2 + s^2 + s^4`` with ``s = sum_j j (x_j - 1)``

    Convex. Zakharov's function, moved, doubled in s and started elsewhere.
    """

    def residual(x):
        s = jnp.sum(jnp.arange(1, dim + 1, dtype=x.dtype) * (x - 1), keepdims=True)
        return math.sqrt(2) * jnp.concatenate([x - 1, s, s**2])

    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[1 - j / dim for j in range(1, dim + 1)],
        domain=([-1.0] * dim, [3.0] * dim),
        points=(Point([1.0] * dim, 0.0, "minimum"),),
        residual=residual,
        tags=("valley", "convex", "least-squares", "mgh"),
        source="More, Garbow and Hillstrom 1981, problem 25",
    )


def mgh_linear_full_rank(dim: int = 10, residuals: int = 20) -> Surface:
    """Linear least squares with a Hessian that is a multiple of the identity.

    ``f(x) = sum_{i<=d} (x_i - 2 s / m - 1)^2 + (m - d) (2 s / m + 1)^2`` with ``s = sum_j x_j``

    m is `residuals`, not below `dim`. One gradient step of the right length ends at -1, where f = m - d.
    """

    def residual(x):
        return math.sqrt(2) * (jnp.pad(x, (0, residuals - dim)) - 2 / residuals * jnp.sum(x) - 1)

    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[1.0] * dim,
        domain=([-3.0] * dim, [3.0] * dim),
        points=(Point([-1.0] * dim, float(residuals - dim), "minimum"),),
        residual=residual,
        tags=("quadratic", "convex", "nonzero-residual", "least-squares", "mgh"),
        source="More, Garbow and Hillstrom 1981, problem 32",
    )


def mgh_linear_rank_one(dim: int = 10, residuals: int = 20) -> Surface:
    """Linear least squares in which only one combination of the variables is seen.

    ``f(x) = sum_{i<=m} (i s - 1)^2`` with ``s = sum_j j x_j``

    m is `residuals`. The minima, f = m (m - 1) / (4 m + 2), fill the hyperplane s = 3 / (2 m + 1); the one nearest
    the origin is stated, and its Hessian has rank 1.
    """

    def residual(x):
        s = jnp.sum(jnp.arange(1, dim + 1, dtype=x.dtype) * x)
        return math.sqrt(2) * (jnp.arange(1, residuals + 1, dtype=x.dtype) * s - 1)

    nearest = 3 / (2 * residuals + 1) / sum(j**2 for j in range(1, dim + 1))
    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[1.0] * dim,
        domain=([-2.0] * dim, [2.0] * dim),
        points=(
            Point(
                [j * nearest for j in range(1, dim + 1)], residuals * (residuals - 1) / (4 * residuals + 2), "minimum"
            ),
        ),
        residual=residual,
        tags=(
            "quadratic",
            "convex",
            "degenerate-min",
            "manifold-of-minima",
            "nonzero-residual",
            "least-squares",
            "mgh",
        ),
        source="More, Garbow and Hillstrom 1981, problem 33",
    )
