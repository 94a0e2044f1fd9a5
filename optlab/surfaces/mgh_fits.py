"""More, Garbow and Hillstrom's curve fits: a model with a few parameters against a table of data.

The suite has 40 cases, one ``mgh_`` file of the catalogue each; the others are in `mgh_systems` and
`mgh_overdetermined`. Its f is the plain sum of squares, so residuals here are sqrt(2) times those of the
paper. It also asks for starts 10 and 100 times the customary one: a benchmark sets them, and where an
exponential then overflows the run ends there.
"""

import math

import jax.numpy as jnp
import numpy as np

from optlab.types import Array, Point, Surface


def _over(numerator: Array, denominator: Array) -> Array:
    """The quotient, and on a pole, where no number is right, at least a finite one."""
    return numerator / jnp.where(denominator == 0, 1.0, denominator)


def mgh_jensmp() -> Surface:
    """Two exponentials that should be a straight line and end up equal.

    ``f(x, y) = sum_{i=1..10} (2 + 2 i - e^{i x} - e^{i y})^2``

    The last residuals grow like e^{10 x}: a small step to the right multiplies f.
    """

    def residual(p):
        i = jnp.arange(1, 11, dtype=p.dtype)
        return math.sqrt(2) * (2 + 2 * i - jnp.exp(i * p[0]) - jnp.exp(i * p[1]))

    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[0.3, 0.4],
        domain=([-1.0, -1.0], [0.6, 0.6]),
        points=(Point([0.2578252136703641] * 2, 124.36218235561485, "minimum"),),
        residual=residual,
        tags=("valley", "nonzero-residual", "least-squares", "mgh"),
        source="Jennrich and Sampson 1968; More, Garbow and Hillstrom 1981, problem 6",
    )


def mgh_bard() -> Surface:
    """A rational function with three parameters fitted to fifteen values.

    ``f(x) = sum_{u=1..15} (y_u - x_1 - u / (v x_2 + w x_3))^2`` with ``v = 16 - u, w = min(u, v)``

    Another minimum, 17.4286, lies at infinity (x_1 = 0.8406, the others to minus infinity), behind poles;
    in the box there are none.
    """
    data = (0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39)

    def residual(x):
        u = jnp.arange(1, 16, dtype=x.dtype)
        v = 16 - u
        w = jnp.minimum(u, v)
        return math.sqrt(2) * (jnp.asarray(data, x.dtype) - x[0] - _over(u, v * x[1] + w * x[2]))

    least = [0.08241055974978899, 1.1330360920297224, 2.3436951786425366]
    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[1.0] * 3,
        domain=([-1.0, 0.2, 0.2], [2.0, 4.0, 4.0]),
        points=(Point(least, 0.00821487730657898, "minimum"),),
        residual=residual,
        tags=("nonzero-residual", "least-squares", "mgh"),
        source="Bard 1970; More, Garbow and Hillstrom 1981, problem 8",
    )


def mgh_gaussian() -> Surface:
    """The bell curve found again from fifteen of its values, from next to the answer.

    ``f(x) = sum_i (x_1 exp(-x_2 (t_i - x_3)^2 / 2) - y_i)^2`` with ``t_i = (8 - i) / 2, i = 1..15``

    The start is so good that f begins at 4e-6: an absolute tolerance stops here without a step.
    """
    half = (0.0009, 0.0044, 0.0175, 0.0540, 0.1295, 0.2420, 0.3521)
    data, times = (*half, 0.3989, *half[::-1]), np.arange(7, -8, -1) / 2

    def residual(x):
        t = jnp.asarray(times, x.dtype)
        return math.sqrt(2) * (x[0] * jnp.exp(-0.5 * x[1] * (t - x[2]) ** 2) - jnp.asarray(data, x.dtype))

    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[0.4, 1.0, 0.0],
        domain=([0.0, 0.0, -1.0], [1.0, 2.0, 1.0]),
        points=(Point([0.39895613783875666, 1.0000190844878056, 0.0], 1.1279327696190113e-08, "minimum"),),
        residual=residual,
        tags=("nonzero-residual", "least-squares", "mgh"),
        source="More, Garbow and Hillstrom 1981, problem 9",
    )


def mgh_meyer3() -> Surface:
    """The resistance of a thermistor: the worst scaled fit of the suite.

    ``f(x) = sum_i (x_1 exp(x_2 / (t_i + x_3)) - y_i)^2`` with ``t_i = 45 + 5 i, i = 1..16``

    The Hessian's condition number is 1e16. A gradient of 1e4 is met where f has the published six digits,
    and rounding hides all beyond the eleventh: a test on the gradient's size never stops a run.
    """
    data = (34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744, 8261, 7030, 6005, 5147, 4427, 3820, 3307, 2872)

    def residual(x):
        t = 45 + 5 * jnp.arange(1, 17, dtype=x.dtype)
        return math.sqrt(2) * (x[0] * jnp.exp(x[1] / (t + x[2])) - jnp.asarray(data, x.dtype))

    least = [0.005609636471028053, 6181.346346286372, 345.2236346241365]
    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[0.02, 4000.0, 250.0],
        domain=([0.0, 3000.0, 200.0], [0.03, 8000.0, 500.0]),
        points=(Point(least, 87.94585517085112, "minimum"),),
        residual=residual,
        tags=("valley", "ill-conditioned", "ill-scaled", "nonzero-residual", "least-squares", "mgh"),
        source="Meyer 1970; More, Garbow and Hillstrom 1981, problem 10",
    )


def mgh_gulf() -> Surface:
    """A distribution with a location, a scale and a power, found again from 99 of its quantiles.

    ``f(x) = sum_{i<100} (exp(-|y_i - x_2|^x_3 / x_1) - t_i)^2`` with ``t_i = i / 100`` and
    ``y_i = 25 + (-50 log t_i)^(2/3)``

    Printed with "m i" where a minus sign is meant. Beyond the least y_i = 25.63 it has kinks.
    """
    levels = np.arange(1, 100) / 100
    data = 25 + (-50 * np.log(levels)) ** (2 / 3)

    def residual(x):
        distance = jnp.abs(jnp.asarray(data, x.dtype) - x[1])
        met = distance == 0
        power = jnp.where(met, 0.0, jnp.where(met, 1.0, distance) ** x[2])
        return math.sqrt(2) * (jnp.exp(-_over(power, x[0])) - jnp.asarray(levels, x.dtype))

    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[5.0, 2.5, 0.15],
        domain=([1.0, 0.0, 0.0], [100.0, 25.5, 3.0]),
        points=(Point([50.0, 25.0, 1.5], 0.0, "minimum"),),
        residual=residual,
        tags=("valley", "plateau", "least-squares", "mgh"),
        source="Cox 1969; More, Garbow and Hillstrom 1981, problem 11",
    )


def mgh_box3() -> Surface:
    """The difference of two exponentials with a weight, whose minima are two points and a line.

    ``f(x) = sum_{i=1..10} (e^{-t x_1} - e^{-t x_2} - x_3 (e^{-t} - e^{-10 t}))^2`` with ``t = i / 10``

    f = 0 at (1, 10, 1), at (10, 1, -1), and wherever x_1 = x_2 and x_3 = 0.
    """

    def residual(x):
        t = jnp.arange(1, 11, dtype=x.dtype) / 10
        model = jnp.exp(-t * x[0]) - jnp.exp(-t * x[1]) - x[2] * (jnp.exp(-t) - jnp.exp(-10 * t))
        return math.sqrt(2) * model

    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[0.0, 10.0, 20.0],
        domain=([0.0, 0.0, -5.0], [12.0, 12.0, 20.0]),
        points=(Point([1.0, 10.0, 1.0], 0.0, "minimum"), Point([10.0, 1.0, -1.0], 0.0, "minimum")),
        residual=residual,
        tags=("manifold-of-minima", "least-squares", "mgh"),
        source="Box 1966; More, Garbow and Hillstrom 1981, problem 12",
    )


def mgh_kowosb() -> Surface:
    """A rational function with four parameters: the rate of an enzyme reaction.

    ``f(x) = sum_{i=1..11} (y_i - x_1 (u_i^2 + u_i x_2) / (u_i^2 + u_i x_3 + x_4))^2``

    Another minimum, 0.00102734, lies at infinity. The variant with u as printed (0.167, 0.0833, 0.0714); the
    other has 1/6, 1/12 and 1/14.
    """
    data = (0.1957, 0.1947, 0.1735, 0.1600, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246)
    places = (4.0, 2.0, 1.0, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625)

    def residual(x):
        u = jnp.asarray(places, x.dtype)
        model = x[0] * _over(u**2 + u * x[1], u**2 + u * x[2] + x[3])
        return math.sqrt(2) * (jnp.asarray(data, x.dtype) - model)

    least = [0.1928069345790379, 0.19128232873436676, 0.12305650692632074, 0.13606233068379475]
    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[0.25, 0.39, 0.415, 0.39],
        domain=([0.0] * 4, [0.6] * 4),
        points=(Point(least, 0.0003075056038492378, "minimum"),),
        residual=residual,
        tags=("valley", "nonzero-residual", "least-squares", "mgh"),
        source="Kowalik and Osborne 1968; More, Garbow and Hillstrom 1981, problem 15",
    )


def mgh_brownden() -> Surface:
    """Two straight lines fitted to an exponential and a cosine, with residuals that stay large.

    ``f(x) = sum_{i=1..20} ((x_1 + t x_2 - e^t)^2 + (x_3 + x_4 sin t - cos t)^2)^2`` with ``t = i / 5``

    Levenberg-Marquardt, which drops the residuals' own curvature, needs 250 steps; Newton's method 10.
    """

    def residual(x):
        t = jnp.arange(1, 21, dtype=x.dtype) / 5
        line, wave = x[0] + t * x[1] - jnp.exp(t), x[2] + x[3] * jnp.sin(t) - jnp.cos(t)
        return math.sqrt(2) * (line**2 + wave**2)

    least = [-11.594439904762165, 13.203630051207204, -0.40343948817685954, 0.2367787744557363]
    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[25.0, 5.0, -5.0, -1.0],
        domain=([-30.0] * 4, [30.0] * 4),
        points=(Point(least, 85822.20162635634, "minimum"),),
        residual=residual,
        tags=("nonzero-residual", "least-squares", "mgh"),
        source="Brown and Dennis 1971; More, Garbow and Hillstrom 1981, problem 16",
    )


def mgh_osbornea() -> Surface:
    """A constant and two exponentials of opposite sign fitted to 33 values.

    ``f(x) = sum_i (y_i - x_1 - x_2 e^{-t_i x_4} - x_3 e^{-t_i x_5})^2`` with ``t_i = 10 (i - 1), i = 1..33``

    Rates of 0.01 beside weights of 1: the Hessian's condition number is 2e9.
    """
    data = (
        *(0.844, 0.908, 0.932, 0.936, 0.925, 0.908, 0.881, 0.850, 0.818, 0.784, 0.751, 0.718),
        *(0.685, 0.658, 0.628, 0.603, 0.580, 0.558, 0.538, 0.522, 0.506, 0.490, 0.478, 0.467),
        *(0.457, 0.448, 0.438, 0.431, 0.424, 0.420, 0.414, 0.411, 0.406),
    )

    def residual(x):
        t = 10 * jnp.arange(33, dtype=x.dtype)
        model = x[0] + x[1] * jnp.exp(-t * x[3]) + x[2] * jnp.exp(-t * x[4])
        return math.sqrt(2) * (jnp.asarray(data, x.dtype) - model)

    weights, rates = [0.37541005210695194, 1.9358469127123559, -1.4646871366134115], [0.012867534640057266]
    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[0.5, 1.5, -1.0, 0.01, 0.02],
        domain=([-3.0, -3.0, -3.0, 0.0, 0.0], [3.0, 3.0, 3.0, 0.05, 0.05]),
        points=(Point([*weights, *rates, 0.02212269966167266], 5.464894697482912e-05, "minimum"),),
        residual=residual,
        tags=("valley", "ill-conditioned", "ill-scaled", "nonzero-residual", "least-squares", "mgh"),
        source="Osborne 1972; More, Garbow and Hillstrom 1981, problem 17",
    )


def mgh_biggs6() -> Surface:
    """Three exponentials found again from thirteen values of their sum.

    ``f(x) = sum_i (x_3 e^{-t x_1} - x_4 e^{-t x_2} + x_6 e^{-t x_5} - y_i)^2`` with ``t = i / 10, i = 1..13``
    and ``y = e^{-t} - 5 e^{-10 t} + 3 e^{-4 t}``

    The pairs (x_1, x_3) and (x_5, x_6) may change places, and at the customary start they are equal: no gradient
    leaves that plane, and only rounding does. Its best, the published 0.00565565, is a saddle. The same fit with
    two exponentials is a minimum where the third one splits the negative one in two. A point of each is stated.
    """

    def residual(x):
        t = jnp.arange(1, 14, dtype=x.dtype) / 10
        data = jnp.exp(-t) - 5 * jnp.exp(-10 * t) + 3 * jnp.exp(-4 * t)
        model = x[2] * jnp.exp(-t * x[0]) - x[3] * jnp.exp(-t * x[1]) + x[5] * jnp.exp(-t * x[4])
        return math.sqrt(2) * (model - data)

    slow, fast, plus, minus = 1.7114159947195875, 17.683198180949066, 2.326287321837785, 5.186561551993452
    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[1.0, 2.0, 1.0, 1.0, 1.0, 1.0],
        domain=([0.0, 0.0, 0.0, 0.0, 0.0, -6.0], [20.0, 20.0, 6.0, 6.0, 20.0, 6.0]),
        points=(
            Point([1.0, 10.0, 1.0, 5.0, 4.0, 3.0], 0.0, "minimum"),
            Point([4.0, 10.0, 3.0, 5.0, 1.0, 1.0], 0.0, "minimum"),
            Point([slow, fast, plus, minus / 2, fast, -minus / 2], 0.005655649925499931, "minimum"),
            Point([slow, fast, plus / 2, minus, slow, plus / 2], 0.005655649925499931, "saddle", 1),
        ),
        residual=residual,
        tags=("valley", "saddle", "ill-conditioned", "multimodal", "least-squares", "mgh"),
        source="Biggs 1971; More, Garbow and Hillstrom 1981, problem 18",
    )


def mgh_osborneb() -> Surface:
    """A decaying background and three peaks, eleven parameters fitted to 65 values.

    ``f(x) = sum_i (y_i - x_1 e^{-t x_5} - sum_{k=2,3,4} x_k exp(-(t - x_{k+7})^2 x_{k+4}))^2`` with
    ``t = (i - 1) / 10, i = 1..65``

    Of the two variants in use, the one of the paper: f = 2.0934195142 at the start.
    """
    data = (
        *(1.366, 1.191, 1.112, 1.013, 0.991, 0.885, 0.831, 0.847, 0.786, 0.725, 0.746, 0.679, 0.608),
        *(0.655, 0.616, 0.606, 0.602, 0.626, 0.651, 0.724, 0.649, 0.649, 0.694, 0.644, 0.624, 0.661),
        *(0.612, 0.558, 0.533, 0.495, 0.500, 0.423, 0.395, 0.375, 0.372, 0.391, 0.396, 0.405, 0.428),
        *(0.429, 0.523, 0.562, 0.607, 0.653, 0.672, 0.708, 0.633, 0.668, 0.645, 0.632, 0.591, 0.559),
        *(0.597, 0.625, 0.739, 0.710, 0.729, 0.720, 0.636, 0.581, 0.428, 0.292, 0.162, 0.098, 0.054),
    )

    def residual(x):
        t = jnp.arange(65, dtype=x.dtype) / 10
        model = x[0] * jnp.exp(-t * x[4])
        for height, width, place in zip(x[1:4], x[5:8], x[8:11], strict=True):
            model += height * jnp.exp(-((t - place) ** 2) * width)
        return math.sqrt(2) * (jnp.asarray(data, x.dtype) - model)

    heights = [1.3099771546273007, 0.431553794602989, 0.633661698960724, 0.5994305347859163]
    widths = [0.7541832263280115, 0.9042885798596334, 1.3658118352370285, 4.8236988172271555]
    places = [2.3986848661317546, 4.568874597667672, 5.6753414705806415]
    return Surface(
        fn=lambda x: 0.5 * jnp.sum(residual(x) ** 2),
        start=[1.3, 0.65, 0.65, 0.7, 0.6, 3.0, 5.0, 7.0, 2.0, 4.5, 5.5],
        domain=([0.0] * 11, [2.0] * 5 + [8.0] * 6),
        points=(Point([*heights, *widths, *places], 0.04013773629354774, "minimum"),),
        residual=residual,
        tags=("multimodal", "nonzero-residual", "least-squares", "mgh"),
        source="Osborne 1972; More, Garbow and Hillstrom 1981, problem 19",
    )
