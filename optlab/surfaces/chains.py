"""Problems of any size, to a hundred thousand variables: each term joins few of them, or a fast transform all.

Others that scale are with what makes them hard: `rosenbrock`, `dixon_price`, `nesterov_worst`, `double_well_chain`.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.layout import Layout, with_layout_constraint
from jax.scipy.fft import dct

from optlab.types import Point, Surface

# The film at rest: its heights over a quarter of the square, by which the others are told, and its area.
_FILMS = {
    4: (
        [[0.3110061236223105, 0.22938985472127382], [0.45532504998307133, 0.3406354306071316]],
        1.9195179856772755,
    ),
    8: (
        [
            [0.2307907574715958, 0.1663042000262063, 0.13451602737435905, 0.12088386571750347],
            [0.39792879832336664, 0.2921538401756192, 0.23951944499957006, 0.21662385609336196],
            [0.5015243163192301, 0.3721904111102348, 0.30767046635979955, 0.27941062933845456],
            [0.5501338557362105, 0.41048681625559047, 0.34068706068269705, 0.3100081703916447],
        ],
        1.903251476792196,
    ),
}


def minimal_surface(side: int = 8) -> Surface:
    """The area of a soap film over a square, on a wire that rises to two arches.

    ``f(v) = h^2 / 4 sum_cells sum_corners sqrt(1 + (v_x / h)^2 + (v_y / h)^2)`` with ``h = 1 / (side + 1)``

    v holds the heights at the inner points of a grid, `side` times `side`; v_x and v_y are the differences along the
    two edges that meet in a corner. The wire is at 4 x (1 - x) on two edges of the square and at 0 on the others.
    Convex; the condition number grows like side^2. The minimum is stated for 4 and 8. `side` from 1.
    """
    size = side + 2
    h = 1 / (side + 1)
    place = np.linspace(0, 1, size)
    wire = np.zeros((size, size))
    wire[:, 0] = wire[:, -1] = 4 * place * (1 - place)

    def fn(v):
        height = jnp.asarray(wire, v.dtype).at[1:-1, 1:-1].set(v.reshape(side, side))
        x, y = (jnp.diff(height, axis=axis) / h for axis in (0, 1))
        corners = (1 + a**2 + b**2 for a in (x[:, 1:], x[:, :-1]) for b in (y[1:], y[:-1]))
        return 0.25 * h**2 * sum(jnp.sum(jnp.sqrt(square)) for square in corners)

    points = ()
    if side in _FILMS:
        quarter, area = _FILMS[side]
        least = [row + row[::-1] for row in quarter + quarter[::-1]]
        points = (Point(sum(least, []), area, "minimum"),)
    return Surface(
        fn=fn,
        start=[0.0] * side**2,
        domain=([-1.0] * side**2, [2.0] * side**2),
        points=points,
        tags=("chain", "convex", "ill-conditioned"),
        source="Plateau's problem; Dolan, More and Munson 2004",
    )


def bratu(dim: int = 10, lam: float = 1.0) -> Surface:
    """The temperature of a reaction that heats itself: below a critical rate it has a quiet state and a threshold.

    ``f(u) = sum_{i=0..d} (u_{i+1} - u_i)^2 / (2 h) - lam h sum_i e^{u_i}`` with ``u_0 = u_{d+1} = 0, h = 1 / (d + 1)``

    The energy of -u'' = lam e^u. For `lam` from 0 to about 3.51 there are a minimum, which is the quiet state, and
    a saddle of index 1, both symmetric; beyond there is neither. Hotter than the saddle, f falls without bound.
    `dim` from 1.
    """

    def fn(u):
        h = 1 / (dim + 1)
        bent = jnp.sum(jnp.diff(jnp.pad(u, 1)) ** 2) / (2 * h)
        return bent - jnp.asarray(lam, u.dtype) * h * jnp.sum(jnp.exp(u))

    return Surface(
        fn=fn,
        start=[0.0] * dim,
        domain=([-1.0] * dim, [6.0] * dim),
        tags=("chain", "saddle", "unbounded", "ill-conditioned"),
        source="Bratu 1914; Gelfand 1963",
    )


@jax.jit
def _cosines(x):
    """The orthonormal cosine transform, of rows that lie in memory one after the other: XLA's FFT takes no others."""
    rows = Layout(tuple(range(x.ndim)))
    return with_layout_constraint(dct(with_layout_constraint(x, rows), norm="ortho"), rows)


def loguniform_quadratic(dim: int = 10, condition: float = 1e6, seed: int = 0) -> Surface:
    """An ellipsoid whose axes have random lengths and lie along no coordinate.

    ``f(x) = 1/2 sum_i lambda_i (Q x)_i^2`` with ``log lambda_i`` uniform from 0 to ``log condition``, both ends taken

    Q is two cosine transforms, each after random changes of sign: it mixes all coordinates, for n log n operations.
    (A few Householder reflections would leave most of each axis where it was.) `dim` from 2, `condition` from 1.
    """
    state = np.random.RandomState(seed)
    exponents = state.uniform(size=dim)
    exponents[:2] = 0, 1
    signs = state.choice([-1.0, 1.0], size=(2, dim))

    def residual(x):
        for sign in signs:
            x = _cosines(jnp.asarray(sign, x.dtype) * x)
        return jnp.sqrt(jnp.asarray(condition, x.dtype)) ** jnp.asarray(exponents, x.dtype) * x

    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[1.0] * dim,
        domain=([-2.0] * dim, [2.0] * dim),
        points=(Point([0.0] * dim, 0.0, "minimum"),),
        residual=residual,
        tags=("chain", "quadratic", "convex", "ill-conditioned", "least-squares"),
        source="textbook",
    )
