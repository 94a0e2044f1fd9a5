"""Saddles: the gradient vanishes and the way down is a direction that it does not show."""

from itertools import combinations_with_replacement, product

import jax.numpy as jnp

from optlab.types import Point, Surface


def bounded_strict_saddle() -> Surface:
    """The plainest strict saddle with somewhere to go: two minima on either side of it.

    ``f(x, y) = x^2 / 2 - y^2 / 2 + y^4 / 4``

    The start lies almost on the line that leads straight into the saddle.
    """
    return Surface(
        fn=lambda p: 0.5 * p[0] ** 2 - 0.5 * p[1] ** 2 + 0.25 * p[1] ** 4,
        start=[1.0, 1e-6],
        domain=([-1.5, -1.75], [1.5, 1.75]),
        points=(
            Point([0.0, 1.0], -0.25, "minimum"),
            Point([0.0, -1.0], -0.25, "minimum"),
            Point([0.0, 0.0], 0.0, "saddle", 1),
        ),
        tags=("saddle",),
        source="after Jin et al. 2017",
    )


def hyperbolic_saddle() -> Surface:
    """The horse saddle itself, without any minimum.

    ``f(x, y) = x^2 - y^2``

    Leaving the saddle means leaving for infinity; what counts is how soon.
    """
    return Surface(
        fn=lambda p: p[0] ** 2 - p[1] ** 2,
        start=[1.0, 1e-6],
        domain=([-1.5, -1.5], [1.5, 1.5]),
        points=(Point([0.0, 0.0], 0.0, "saddle", 1),),
        tags=("saddle", "quadratic", "unbounded"),
        source="textbook",
    )


def monkey_saddle_bounded() -> Surface:
    """A saddle for two legs and a tail, closed by a fourth power.

    ``f(x, y) = x^3 - 3 x y^2 + (x^2 + y^2)^2``

    The Hessian at the origin is zero, so second order does not show the three ways down; each leads to a
    minimum at distance 3/4.
    """

    def fn(p):
        x, y = p
        return x**3 - 3 * x * y**2 + (x**2 + y**2) ** 2

    return Surface(
        fn=fn,
        start=[0.5, 0.001],
        domain=([-1.25, -1.25], [1.25, 1.25]),
        points=(
            Point([-0.75, 0.0], -27 / 256, "minimum"),
            Point([0.375, 0.375 * 3**0.5], -27 / 256, "minimum"),
            Point([0.375, -0.375 * 3**0.5], -27 / 256, "minimum"),
            Point([0.0, 0.0], 0.0, "degenerate"),
        ),
        tags=("degenerate-saddle",),
        source="monkey saddle with a quartic, textbook",
    )


def mexican_hat() -> Surface:
    """A ring of minima around a maximum.

    ``f(x, y) = (x^2 + y^2 - 1)^2 / 4``

    Along the ring the Hessian is singular. The start sits almost on the maximum.
    """

    def residual(p):
        return (jnp.sum(p**2, keepdims=True) - 1) * 0.5**0.5

    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[0.001, 0.0],
        domain=([-1.5, -1.5], [1.5, 1.5]),
        points=(
            Point([1.0, 0.0], 0.0, "minimum"),
            Point([0.0, 1.0], 0.0, "minimum"),
            Point([-1.0, 0.0], 0.0, "minimum"),
            Point([0.0, -1.0], 0.0, "minimum"),
            Point([0.0, 0.0], 0.25, "maximum", 2),
        ),
        residual=residual,
        tags=("manifold-of-minima", "maximum", "least-squares"),
        source="textbook",
    )


def three_hump_camel() -> Surface:
    """Three basins in a row with a saddle between neighbours.

    ``f(x, y) = 2 x^2 - 1.05 x^4 + x^6 / 6 + x y + y^2``

    Stationary where y = -x/2 and x^2 is 0 or 2.1 -+ sqrt(0.91).
    """

    def fn(p):
        x, y = p
        return 2 * x**2 - 1.05 * x**4 + x**6 / 6 + x * y + y**2

    near, far = (2.1 - 0.91**0.5) ** 0.5, (2.1 + 0.91**0.5) ** 0.5
    return Surface(
        fn=fn,
        start=[2.0, -1.0],
        domain=([-2.5, -2.5], [2.5, 2.5]),
        points=(
            Point([0.0, 0.0], 0.0, "minimum"),
            Point([far, -far / 2], 0.29863844223685943, "minimum"),
            Point([-far, far / 2], 0.29863844223685943, "minimum"),
            Point([near, -near / 2], 0.8773615577631403, "saddle", 1),
            Point([-near, near / 2], 0.8773615577631403, "saddle", 1),
        ),
        tags=("saddle", "multimodal"),
        source="Dixon and Szego 1975",
    )


def six_hump_camel() -> Surface:
    """Six minima, seven saddles and two maxima, symmetric about the origin.

    ``f(x, y) = (4 - 2.1 x^2 + x^4 / 3) x^2 + x y + (4 y^2 - 4) y^2``
    """

    def fn(p):
        x, y = p
        return (4 - 2.1 * x**2 + x**4 / 3) * x**2 + x * y + (4 * y**2 - 4) * y**2

    half = (
        Point([0.08984201310031806, -0.7126564030207396], -1.0316284534898774, "minimum"),
        Point([1.7036067149699807, -0.7960835686726251], -0.21546382438371905, "minimum"),
        Point([1.607104752920198, 0.5686514548841312], 2.1042503103112566, "minimum"),
        Point([1.1092053368047865, -0.7682680925095399], 0.5437186009781853, "saddle", 1),
        Point([1.638067984189779, 0.22867406904439413], 2.2293571975307134, "saddle", 1),
        Point([1.296070267167109, 0.6050843880386585], 2.2294708180298595, "saddle", 1),
        Point([1.2302298765166524, 0.16233458445899493], 2.496295351023577, "maximum", 2),
    )
    mirrored = tuple(point._replace(x=[-point.x[0], -point.x[1]]) for point in half)
    return Surface(
        fn=fn,
        start=[-1.5, 0.5],
        domain=([-2.1, -1.25], [2.1, 1.25]),
        points=(*half, *mirrored, Point([0.0, 0.0], 0.0, "saddle", 1)),
        tags=("saddle", "multimodal", "maximum"),
        source="Dixon and Szego 1978",
    )


def himmelblau() -> Surface:
    """Four equal minima around a maximum, with a saddle between neighbours.

    ``f(x, y) = (x^2 + y - 11)^2 + (x + y^2 - 7)^2``

    The start is close to the maximum: which basin wins is a matter of the optimizer.
    """

    def residual(p):
        x, y = p
        return 2**0.5 * jnp.stack([x**2 + y - 11, x + y**2 - 7])

    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[-0.27, -0.9],
        domain=([-6.0, -6.0], [6.0, 6.0]),
        points=(
            Point([3.0, 2.0], 0.0, "minimum"),
            Point([-2.805118086952745, 3.131312518250573], 0.0, "minimum"),
            Point([-3.779310253377747, -3.2831859912861696], 0.0, "minimum"),
            Point([3.5844283403304917, -1.8481265269644036], 0.0, "minimum"),
            Point([3.385154183607021, 0.0738518798377493], 13.31192627040559, "saddle", 1),
            Point([0.08667750455539636, 2.884254701174776], 67.71915008752613, "saddle", 1),
            Point([-3.0730257507643897, -0.08135304428796751], 104.01516291755811, "saddle", 1),
            Point([-0.12796134673068005, -1.9537149802445766], 178.33723920192745, "saddle", 1),
            Point([-0.2708445906673476, -0.9230385564799815], 181.6165215225827, "maximum", 2),
        ),
        residual=residual,
        tags=("saddle", "multimodal", "maximum", "least-squares"),
        source="Himmelblau 1972",
    )


def muller_brown() -> Surface:
    """The energy of a small reaction: three minima joined by a winding path over two saddles.

    ``f(x, y) = sum_k A_k exp(a_k (x - X_k)^2 + b_k (x - X_k)(y - Y_k) + c_k (y - Y_k)^2)``

    Far outside its box it grows doubly exponentially. The start is close to the higher saddle.
    """
    terms = (
        (-200.0, -1.0, 0.0, -10.0, 1.0, 0.0),
        (-100.0, -1.0, 0.0, -10.0, 0.0, 0.5),
        (-170.0, -6.5, 11.0, -6.5, -0.5, 1.5),
        (15.0, 0.7, 0.6, 0.7, -1.0, 1.0),
    )

    def fn(p):
        x, y = p
        return sum(
            A * jnp.exp(a * (x - X) ** 2 + b * (x - X) * (y - Y) + c * (y - Y) ** 2) for A, a, b, c, X, Y in terms
        )

    return Surface(
        fn=fn,
        start=[-0.82, 0.62],
        domain=([-1.7, -0.5], [1.3, 2.1]),
        points=(
            Point([-0.5582236346330243, 1.4417258418046688], -146.69951720995402, "minimum"),
            Point([0.6234994049308764, 0.028037758528685675], -108.16672411685236, "minimum"),
            Point([-0.05001082299820609, 0.4666941048719721], -80.76781812965903, "minimum"),
            Point([0.21248658200066203, 0.2929883251073677], -72.24894011232522, "saddle", 1),
            Point([-0.8220015587327321, 0.6243128028148713], -40.664843508657405, "saddle", 1),
        ),
        tags=("saddle", "multimodal"),
        source="Muller and Brown 1979",
    )


def styblinski_tang(dim: int = 2) -> Surface:
    """Saddles of every index: each coordinate by itself has two wells and a hump.

    ``f(x) = 1/2 sum_i x_i^4 - 16 x_i^2 + 5 x_i``

    3^d stationary points; the index counts the coordinates that sit on the hump. For more than four
    variables they are stated up to a permutation of the coordinates. `dim` from 1.
    """
    roots = (
        (-2.9035340277711783, -39.16616570377142, 0),
        (0.15673125678034014, 0.1956123590553581, 1),
        (2.746802770990838, -25.029446655283938, 0),
    )
    choices = product(roots, repeat=dim) if dim <= 4 else combinations_with_replacement(roots, dim)

    def point(choice):
        place, values, humps = zip(*choice, strict=True)
        index = sum(humps)
        kind = {0: "minimum", dim: "maximum"}.get(index, "saddle")
        return Point(list(place), sum(values), kind, index)

    return Surface(
        fn=lambda x: 0.5 * jnp.sum(x**4 - 16 * x**2 + 5 * x),
        start=[0.2] * dim,
        domain=([-5.0] * dim, [5.0] * dim),
        points=tuple(point(choice) for choice in choices),
        tags=("saddle", "multimodal", "maximum"),
        source="Styblinski and Tang 1990",
    )


def double_well_chain(dim: int = 4, coupling: float = 0.05) -> Surface:
    """A chain of double wells tied by springs, with saddles of every index.

    ``f(x) = sum_i (x_i^2 - 1)^2 / 4 + coupling sum_{i<d} (x_{i+1} - x_i)^2``

    Both aligned states are least; a state with a kink is a higher minimum, and 3^d points are stationary
    while the coupling is weak. All are stated for two variables. `dim` from 1, `coupling` in [0, 1/8).
    """

    def fn(x):
        springs = jnp.asarray(coupling, x.dtype) * jnp.sum(jnp.diff(x) ** 2)
        return 0.25 * jnp.sum((x**2 - 1) ** 2) + springs

    points = (
        Point([1.0] * dim, 0.0, "minimum"),
        Point([-1.0] * dim, 0.0, "minimum"),
        Point([0.0] * dim, 0.25 * dim, "maximum", dim),
    )
    if dim == 2:
        kink = jnp.sqrt(1 - 4 * coupling)
        total, gap = jnp.sqrt(1 - 6 * coupling), jnp.sqrt(1 + 2 * coupling)
        high, low = (total + gap) / 2, (total - gap) / 2
        step = 4 * coupling - 8 * coupling**2
        barrier = 0.25 + coupling + coupling**2
        points += (
            Point([kink, -kink], step, "minimum"),
            Point([-kink, kink], step, "minimum"),
            Point([high, low], barrier, "saddle", 1),
            Point([low, high], barrier, "saddle", 1),
            Point([-high, -low], barrier, "saddle", 1),
            Point([-low, -high], barrier, "saddle", 1),
        )
    return Surface(
        fn=fn,
        start=[(0.001, -0.001)[i % 2] for i in range(dim)],
        domain=([-1.75] * dim, [1.75] * dim),
        points=points,
        tags=("saddle", "multimodal", "maximum"),
        source="phi^4 or Allen-Cahn chain, textbook",
    )
