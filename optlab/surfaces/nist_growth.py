"""NIST's fits of what grows and saturates: eight sets of few observations; see `nist_data`."""

import jax.numpy as jnp

from optlab.types import Array, Point, Surface

from .mgh_fits import _over
from .nist_data import _misfit


def _saturation(b: Array, x: Array) -> Array:
    return b[0] * (1 - jnp.exp(-b[1] * x))


def nist_misra1a() -> Surface:
    """A gas adsorbed by dental material: the volume saturates with pressure.

    ``f(b) = 1/2 sum_i (b_1 (1 - e^{-b_2 x_i}) - y_i)^2``
    """
    residual = _misfit("misra1a", _saturation)
    least = [238.9421291788617, 0.0005501564318059136]
    return Surface(
        fn=lambda b: 0.5 * jnp.sum(residual(b) ** 2),
        start=[500.0, 0.0001],
        starts=([250.0, 0.0005],),
        domain=([100.0, 5e-5], [600.0, 0.001]),
        points=(Point(least, 0.062275694472202756, "minimum"),),
        residual=residual,
        tags=("ill-scaled", "nonzero-residual", "least-squares", "nist"),
        source="Misra 1978; NIST StRD, lower difficulty",
    )


def nist_misra1b() -> Surface:
    """A gas adsorbed by dental material: the volume saturates with pressure like an inverse square.

    ``f(b) = 1/2 sum_i (b_1 (1 - (1 + b_2 x_i / 2)^{-2}) - y_i)^2``
    """
    residual = _misfit("misra1b", lambda b, x: b[0] * (1 - (1 + b[1] * x / 2) ** -2))
    least = [337.9974616336873, 0.00039039091286570036]
    return Surface(
        fn=lambda b: 0.5 * jnp.sum(residual(b) ** 2),
        start=[500.0, 0.0001],
        starts=([300.0, 0.0002],),
        domain=([100.0, 5e-5], [600.0, 0.001]),
        points=(Point(least, 0.037732340766704474, "minimum"),),
        residual=residual,
        tags=("ill-scaled", "nonzero-residual", "least-squares", "nist"),
        source="Misra 1978; NIST StRD, lower difficulty",
    )


def nist_misra1c() -> Surface:
    """A gas adsorbed by dental material: the volume saturates with pressure like an inverse root.

    ``f(b) = 1/2 sum_i (b_1 (1 - (1 + 2 b_2 x_i)^{-1/2}) - y_i)^2``
    """
    residual = _misfit("misra1c", lambda b, x: b[0] * (1 - (1 + 2 * b[1] * x) ** -0.5))
    least = [636.4272580930023, 0.00020813627256328722]
    return Surface(
        fn=lambda b: 0.5 * jnp.sum(residual(b) ** 2),
        start=[500.0, 0.0001],
        starts=([600.0, 0.0002],),
        domain=([300.0, 5e-5], [900.0, 0.0004]),
        points=(Point(least, 0.020483418485347352, "minimum"),),
        residual=residual,
        tags=("ill-scaled", "nonzero-residual", "least-squares", "nist"),
        source="Misra 1978; NIST StRD, average difficulty",
    )


def nist_misra1d() -> Surface:
    """A gas adsorbed by dental material: the volume saturates with pressure like an inverse.

    ``f(b) = 1/2 sum_i (b_1 b_2 x_i / (1 + b_2 x_i) - y_i)^2``
    """
    residual = _misfit("misra1d", lambda b, x: b[0] * b[1] * x / (1 + b[1] * x))
    least = [437.3697075398934, 0.00030227324449004327]
    return Surface(
        fn=lambda b: 0.5 * jnp.sum(residual(b) ** 2),
        start=[500.0, 0.0001],
        starts=([450.0, 0.0003],),
        domain=([200.0, 5e-5], [700.0, 0.0006]),
        points=(Point(least, 0.028209647641323707, "minimum"),),
        residual=residual,
        tags=("ill-scaled", "nonzero-residual", "least-squares", "nist"),
        source="Misra 1978; NIST StRD, average difficulty",
    )


def nist_boxbod() -> Surface:
    """The oxygen used up in polluted water after days: six observations, and a plateau to get lost on.

    ``f(b) = 1/2 sum_i (b_1 (1 - e^{-b_2 x_i}) - y_i)^2``

    At the first start the exponential is over before the first day, so that b_2 hardly shows in the residuals.
    Where nothing is used up, at the corner 0, is a saddle.
    """
    residual = _misfit("boxbod", _saturation)
    least = [213.8094088903979, 0.5472374854191994]
    return Surface(
        fn=lambda b: 0.5 * jnp.sum(residual(b) ** 2),
        start=[1.0, 1.0],
        starts=([100.0, 0.75],),
        domain=([0.0, 0.0], [300.0, 2.0]),
        points=(Point(least, 584.0044382777762, "minimum"), Point([0.0, 0.0], 94154.5, "saddle", 1)),
        residual=residual,
        tags=("plateau", "nonzero-residual", "least-squares", "nist"),
        source="Box, Hunter and Hunter 1978; NIST StRD, higher difficulty",
    )


def nist_danwood() -> Surface:
    """The light of a carbon filament against its temperature: a power law of six observations.

    ``f(b) = 1/2 sum_i (b_1 x_i^{b_2} - y_i)^2``
    """
    residual = _misfit("danwood", lambda b, x: b[0] * x ** b[1])
    least = [0.768862261764983, 3.8604055870760567]
    return Surface(
        fn=lambda b: 0.5 * jnp.sum(residual(b) ** 2),
        start=[1.0, 5.0],
        starts=([0.7, 4.0],),
        domain=([0.2, 2.0], [1.5, 6.0]),
        points=(Point(least, 0.0021586542041455957, "minimum"),),
        residual=residual,
        tags=("valley", "nonzero-residual", "least-squares", "nist"),
        source="Daniel and Wood 1980; NIST StRD, lower difficulty",
    )


def nist_rat42() -> Surface:
    """The yield of a pasture against time: growth along a logistic curve.

    ``f(b) = 1/2 sum_i (b_1 / (1 + e^{b_2 - b_3 x_i}) - y_i)^2``
    """
    residual = _misfit("rat42", lambda b, x: b[0] / (1 + jnp.exp(b[1] - b[2] * x)))
    least = [72.46223757556919, 2.618076840208497, 0.06735920006610502]
    return Surface(
        fn=lambda b: 0.5 * jnp.sum(residual(b) ** 2),
        start=[100.0, 1.0, 0.1],
        starts=([75.0, 2.5, 0.07],),
        domain=([50.0, 0.0, 0.0], [120.0, 4.0, 0.2]),
        points=(Point(least, 4.02826146690565, "minimum"),),
        residual=residual,
        tags=("nonzero-residual", "least-squares", "nist"),
        source="Ratkowsky 1983; NIST StRD, higher difficulty",
    )


def nist_rat43() -> Surface:
    """The dry weight of onions against time: growth along a logistic curve with a power.

    ``f(b) = 1/2 sum_i (b_1 (1 + e^{b_2 - b_3 x_i})^{-1 / b_4} - y_i)^2``
    """
    residual = _misfit("rat43", lambda b, x: b[0] * (1 + jnp.exp(b[1] - b[2] * x)) ** -_over(1.0, b[3]))
    least = [699.6415126964457, 5.27712530245004, 0.7596293832941341, 1.2792483859097123]
    return Surface(
        fn=lambda b: 0.5 * jnp.sum(residual(b) ** 2),
        start=[100.0, 10.0, 1.0, 1.0],
        starts=([700.0, 5.0, 0.75, 1.3],),
        domain=([50.0, 0.0, 0.2, 0.5], [900.0, 12.0, 1.5, 2.0]),
        points=(Point(least, 4393.202453981574, "minimum"),),
        residual=residual,
        tags=("plateau", "nonzero-residual", "least-squares", "nist"),
        source="Ratkowsky 1983; NIST StRD, higher difficulty",
    )
