"""More, Garbow and Hillstrom's systems of equations: as many residuals as unknowns.

Most have a root, so that f falls to zero; a descent may still end in a minimum that is no root.
"""

import math

import jax.numpy as jnp
import numpy as np

from optlab.types import Point, Surface


def mgh_powellbs() -> Surface:
    """A hyperbola and a near-contour of exponentials, scaled a million to one.

    ``f(x, y) = (10^4 x y - 1)^2 + (e^-x + e^-y - 1.0001)^2``

    The floor of the valley is the hyperbola; at the minima the Hessian's condition number is 7e17, beyond
    float64. Powell's badly scaled function; x and y may change places.
    """

    def residual(p):
        x, y = p
        return math.sqrt(2) * jnp.stack([1e4 * x * y - 1, jnp.exp(-x) + jnp.exp(-y) - 1.0001])

    near, far = 1.0981593296998053e-05, 9.106146739866624
    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[0.0, 1.0],
        domain=([-1.0, -1.0], [10.0, 10.0]),
        points=(Point([near, far], 0.0, "minimum"), Point([far, near], 0.0, "minimum")),
        residual=residual,
        tags=("valley", "ill-conditioned", "ill-scaled", "least-squares", "mgh"),
        source="Powell 1970; More, Garbow and Hillstrom 1981, problem 3",
    )


def mgh_helix() -> Surface:
    """A valley that climbs like a spiral stair.

    ``f(x) = 100 (x_3 - 10 theta)^2 + 100 (r - 1)^2 + x_3^2`` with ``r = sqrt(x_1^2 + x_2^2)``

    theta is the angle of (x_1, x_2) in turns, between -1/4 and 3/4: f jumps on the half-plane x_1 = 0 > x_2.
    """

    def residual(x):
        axis = (x[0] == 0) & (x[1] == 0)  # neither angle nor radius has a derivative there
        a, b = jnp.where(axis, 1.0, x[0]), jnp.where(axis, 0.0, x[1])
        theta = 0.25 + jnp.arctan2(-a, b) / (2 * math.pi)
        radius = jnp.where(axis, 0.0, jnp.sqrt(a**2 + b**2))
        return math.sqrt(2) * jnp.stack([10 * (x[2] - 10 * theta), 10 * (radius - 1), x[2]])

    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[-1.0, 0.0, 0.0],
        domain=([-2.0, -2.0, -2.0], [2.0, 2.0, 8.0]),
        points=(Point([1.0, 0.0, 0.0], 0.0, "minimum"),),
        residual=residual,
        tags=("valley", "least-squares", "mgh"),
        source="Fletcher and Powell 1963; More, Garbow and Hillstrom 1981, problem 7",
    )


def mgh_extended_rosenbrock(dim: int = 10) -> Surface:
    """Many banana-shaped valleys side by side, one for each pair of variables.

    ``f(x) = sum_{i<=d/2} 100 (x_{2i} - x_{2i-1}^2)^2 + (1 - x_{2i-1})^2``

    The pairs do not touch, unlike in the chained form, and from the customary start all do the same.
    `dim` even.
    """

    def residual(x):
        odd, even = x[::2], x[1::2]
        return math.sqrt(2) * jnp.concatenate([10 * (even - odd**2), 1 - odd])

    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[-1.2, 1.0] * (dim // 2),
        domain=([-2.0] * dim, [2.0] * dim),
        points=(Point([1.0] * dim, 0.0, "minimum"),),
        residual=residual,
        tags=("valley", "ill-conditioned", "least-squares", "mgh"),
        source="Spedicato 1975; More, Garbow and Hillstrom 1981, problem 21",
    )


def mgh_extended_powell(dim: int = 12) -> Surface:
    """Many of Powell's singular functions side by side, one for each four variables.

    ``f(x) = sum_k (a + 10 b)^2 + 5 (c - d)^2 + (b - 2 c)^4 + 10 (a - d)^4`` with the k-th four (a, b, c, d)

    The Hessian at the minimum has half the full rank. `dim` a multiple of 4, else filled up with zeros.
    """

    def residual(x):
        a, b, c, d = jnp.pad(x, (0, -dim % 4)).reshape(-1, 4).T
        parts = [a + 10 * b, math.sqrt(5) * (c - d), (b - 2 * c) ** 2, math.sqrt(10) * (a - d) ** 2]
        return math.sqrt(2) * jnp.concatenate(parts)

    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[(3.0, -1.0, 0.0, 1.0)[i % 4] for i in range(dim)],
        domain=([-4.0] * dim, [4.0] * dim),
        points=(Point([0.0] * dim, 0.0, "minimum"),),
        residual=residual,
        tags=("convex", "degenerate-min", "least-squares", "mgh"),
        source="Spedicato 1975; More, Garbow and Hillstrom 1981, problem 22",
    )


def mgh_trigonometric(dim: int = 10) -> Surface:
    """Sines and cosines with many roots and, between them, minima that are none.

    ``f(x) = sum_i (d - sum_j cos x_j + i (1 - cos x_i) - sin x_i)^2``

    The origin is a root. From the customary start with 10 variables all methods end in the same minimum
    of 2.8e-5, though a root lies close by: both are stated. So are both points in the box of 2 variables.
    """

    def residual(x):
        i = jnp.arange(1, dim + 1, dtype=x.dtype)
        return math.sqrt(2) * (dim - jnp.sum(jnp.cos(x)) + i * (1 - jnp.cos(x)) - jnp.sin(x))

    points = (Point([0.0] * dim, 0.0, "minimum"),)
    if dim == 2:
        points += (Point([0.06539530260586912, 0.3143813897850891], 0.025762855220700955, "saddle", 1),)
    if dim == 10:
        root = [0.046495191107614464, 0.04768968368136957, 0.049021271079534225, 0.05052335948250633]
        root += [0.052243367880800806, 0.054252024079504454, 0.22713197545417682, 0.05967181777795895]
        root += [0.06368644129308151, 0.12952160929189768]
        local = [0.05515090398069129, 0.05684061679473856, 0.058764001762695084, 0.06099060865676081]
        local += [0.06362621369585451, 0.06684317945275879, 0.20816151856988116, 0.16436309588564774]
        local += [0.08500689568850744, 0.09143145071470794]
        points += (Point(root, 0.0, "minimum"), Point(local, 2.7950561218794563e-05, "minimum"))
    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[1 / dim] * dim,
        domain=([-0.5] * dim, [0.5] * dim),
        points=points,
        residual=residual,
        tags=("multimodal", "least-squares", "mgh"),
        source="Spedicato 1975; More, Garbow and Hillstrom 1981, problem 26",
    )


def mgh_brown_almost_linear(dim: int = 10) -> Surface:
    """Linear equations, all but the last, which asks for a product of 1.

    ``f(x) = sum_{i<d} (x_i + sum_j x_j - d - 1)^2 + (prod_j x_j - 1)^2``

    Roots at ones and at (a, ..., a, a^(1-d)) with d a^d - (d+1) a^(d-1) + 1 = 0, stated for 2, with the
    saddle between them, and for 10. The published local minimum of 1 at (0, ..., 0, d + 1) is none: along
    (1, ..., 1, -d) f falls like the power d - 1. `dim` from 2.
    """

    def residual(x):
        return math.sqrt(2) * jnp.append(x[:-1] + jnp.sum(x) - (dim + 1), jnp.prod(x) - 1)

    points = (Point([1.0] * dim, 0.0, "minimum"),)
    if dim == 2:
        saddle = Point([0.7351392590499013, 1.4702785180998027], 0.010071718280402122, "saddle", 1)
        points += (Point([0.5, 2.0], 0.0, "minimum"), saddle)
    if dim == 10:
        points += (Point([0.9794303033498625] * 9 + [1.2056969665013755], 0.0, "minimum"),)
    if dim > 3:
        points += (Point([0.0] * (dim - 1) + [dim + 1.0], 1.0, "degenerate"),)
    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[0.5] * dim,
        domain=([-1.0] * dim, [2.0] * (dim - 1) + [dim + 2.0]),
        points=points,
        residual=residual,
        tags=("plateau", "least-squares", "mgh"),
        source="Brown 1969; More, Garbow and Hillstrom 1981, problem 27",
    )


# One boundary value problem, u'' = (u + t + 1)^3 / 2 with u(0) = u(1) = 0, on ten inner grid points. As a
# differential and as an integral equation, discretized, it has the same root.
_BOUNDARY_VALUE_10 = (
    *(-0.04316498251876487, -0.08157715653538689, -0.11448571438052929, -0.14097357686259668, -0.1599086961819831),
    *(-0.16987720231277492, -0.16908998378120835, -0.15524953522183182, -0.125355891678935, -0.07541653368589209),
)


def mgh_discrete_boundary_value(dim: int = 10) -> Surface:
    """A two-point boundary value problem on a grid, by second differences.

    ``f(x) = sum_i (2 x_i - x_{i-1} - x_{i+1} + h^2 (x_i + t_i + 1)^3 / 2)^2`` with ``t_i = i h, h = 1 / (d+1)``

    The condition number grows like the fourth power of `dim`. The root is stated for 10.
    """
    grid = np.arange(1, dim + 1) / (dim + 1)

    def residual(x):
        pull = (x + jnp.asarray(grid, x.dtype) + 1) ** 3 / (2 * (dim + 1) ** 2)
        return math.sqrt(2) * (pull - jnp.diff(jnp.pad(x, 1), 2))

    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[float(t * (t - 1)) for t in grid],
        domain=([-1.0] * dim, [1.0] * dim),
        points=(Point(_BOUNDARY_VALUE_10, 0.0, "minimum"),) if dim == 10 else (),
        residual=residual,
        tags=("ill-conditioned", "least-squares", "mgh"),
        source="More and Cosnard 1979; More, Garbow and Hillstrom 1981, problem 28",
    )


def mgh_discrete_integral_equation(dim: int = 10) -> Surface:
    """The same boundary value problem as an integral equation: well conditioned, but every variable in all.

    ``f(x) = sum_i (x_i + h/2 ((1 - t_i) sum_{j<=i} t_j c_j + t_i sum_{j>i} (1 - t_j) c_j))^2`` with
    ``c_j = (x_j + t_j + 1)^3, t_j = j h, h = 1 / (d+1)``

    The root is that of the difference equation, stated for 10.
    """
    grid = np.arange(1, dim + 1) / (dim + 1)

    def residual(x):
        t = jnp.asarray(grid, x.dtype)
        c = (x + t + 1) ** 3
        before, after = jnp.cumsum(t * c), (1 - t) * c
        after = jnp.sum(after) - jnp.cumsum(after)
        return math.sqrt(2) * (x + ((1 - t) * before + t * after) / (2 * (dim + 1)))

    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[float(t * (t - 1)) for t in grid],
        domain=([-1.0] * dim, [1.0] * dim),
        points=(Point(_BOUNDARY_VALUE_10, 0.0, "minimum"),) if dim == 10 else (),
        residual=residual,
        tags=("least-squares", "mgh"),
        source="More and Cosnard 1979; More, Garbow and Hillstrom 1981, problem 29",
    )


def mgh_broyden_tridiagonal(dim: int = 10) -> Surface:
    """Quadratic equations, each of a variable and its two neighbours.

    ``f(x) = sum_i ((3 - 2 x_i) x_i - x_{i-1} - 2 x_{i+1} + 1)^2`` with ``x_0 = x_{d+1} = 0``

    Easy from the customary start; from others there are many minima that are no roots. The root is stated for
    10.
    """

    def residual(x):
        padded = jnp.pad(x, 1)
        return math.sqrt(2) * ((3 - 2 * x) * x - padded[:-2] - 2 * padded[2:] + 1)

    root = [-0.5707221320112248, -0.681806949984275, -0.7022100760176601, -0.7055106298950804, -0.7049061557287437]
    root += [-0.7014966070298512, -0.6918893223547983, -0.6657965144058537, -0.5960351090263657, -0.4164122575286934]
    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[-1.0] * dim,
        domain=([-2.0] * dim, [2.0] * dim),
        points=(Point(root, 0.0, "minimum"),) if dim == 10 else (),
        residual=residual,
        tags=("multimodal", "least-squares", "mgh"),
        source="Broyden 1965; More, Garbow and Hillstrom 1981, problem 30",
    )


def mgh_broyden_banded(dim: int = 10) -> Surface:
    """Cubic equations, each of a variable, the five before it and the one after.

    ``f(x) = sum_i (x_i (2 + 5 x_i^2) + 1 - sum_{j in J_i} x_j (1 + x_j))^2`` with
    ``J_i = {i-5, ..., i-1, i+1}``

    Easy from the customary start; from others there are minima that are no roots. The root is stated for 10.
    """

    def residual(x):
        padded = jnp.pad(x * (1 + x), (5, 1))
        neighbours = sum(padded[k : k + dim] for k in (0, 1, 2, 3, 4, 6))
        return math.sqrt(2) * (x * (2 + 5 * x**2) + 1 - neighbours)

    root = [-0.4283028635872503, -0.47659642435629024, -0.5196524636468617, -0.5580993248321809, -0.5925061568294574]
    root += [-0.624503682199468, -0.6232394714405911, -0.6213938417965735, -0.6204535966590874, -0.5864692707204351]
    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[-1.0] * dim,
        domain=([-2.0] * dim, [2.0] * dim),
        points=(Point(root, 0.0, "minimum"),) if dim == 10 else (),
        residual=residual,
        tags=("multimodal", "least-squares", "mgh"),
        source="Broyden 1971; More, Garbow and Hillstrom 1981, problem 31",
    )


def mgh_chebyquad(dim: int = 8) -> Surface:
    """The points of a quadrature rule with equal weights, from its exactness for polynomials.

    ``f(x) = sum_{i<=d} (1/d sum_j T_i(x_j) - int_0^1 T_i)^2`` with T_i Chebyshev's polynomial shifted to [0, 1]

    A root exists for 1 to 7 and 9 points. For 10 the published 0.00650395 is no more than a local minimum: there
    is 0.00477271, not symmetric. Minima are stated for 8, 9 and 10; the coordinates may change places.
    """
    integrals = [-1 / (i**2 - 1) if i % 2 == 0 else 0.0 for i in range(1, dim + 1)]

    def residual(x):
        means, before, now = [], jnp.ones_like(x), 2 * x - 1
        for _ in range(dim):
            means.append(jnp.mean(now))
            before, now = now, 2 * (2 * x - 1) * now - before
        return math.sqrt(2) * (jnp.stack(means) - jnp.asarray(integrals, x.dtype))

    eight = [0.04315276015101663, 0.1930908403841861, 0.26632870689027294, 0.5]
    nine = [0.044205346135782767, 0.19949067230988096, 0.23561910847106, 0.416046907892598, 0.5]
    ten = [0.0596199005358127, 0.16670828183586142, 0.2391706589426085, 0.3988842923060445, 0.3988842923060445]
    skew = [0.032993373018074465, 0.15514535775907337, 0.20018919846138622, 0.38326166496125497, 0.38326166496125497]
    skew += [0.5292494771334065, 0.6403535493710659, 0.7135658474159999, 0.8284818230519073, 0.9252518337853975]
    points = {
        8: (Point([*eight, *(1 - c for c in eight[::-1])], 0.0035168737256779316, "minimum"),),
        9: (Point([*nine, *(1 - c for c in nine[-2::-1])], 0.0, "minimum"),),
        10: (
            Point(skew, 0.004772713696375349, "minimum"),
            Point([*ten, *(1 - c for c in ten[::-1])], 0.006503954800882306, "minimum"),
        ),
    }
    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[j / (dim + 1) for j in range(1, dim + 1)],
        domain=([0.0] * dim, [1.0] * dim),
        points=points.get(dim, ()),
        residual=residual,
        tags=("multimodal", "nonzero-residual", "least-squares", "mgh"),
        source="Fletcher 1965; More, Garbow and Hillstrom 1981, problem 35",
    )
