"""NIST's fits of exponentials: what decays, and peaks; see `nist_data`."""

import jax.numpy as jnp
import numpy as np

from optlab.types import Array, Point, Surface

from .mgh_fits import _over
from .nist_data import _misfit, _observations


def _damped_hyperbola(b: Array, x: Array) -> Array:
    return _over(jnp.exp(-b[0] * x), b[1] + b[2] * x)


def _three_decays(b: Array, x: Array) -> Array:
    return b[0] * jnp.exp(-b[1] * x) + b[2] * jnp.exp(-b[3] * x) + b[4] * jnp.exp(-b[5] * x)


def _two_peaks(b: Array, x: Array) -> Array:
    first, second = (height * jnp.exp(-_over((x - at) ** 2, width**2)) for height, at, width in (b[2:5], b[5:8]))
    return b[0] * jnp.exp(-b[1] * x) + first + second


def nist_chwirut1() -> Surface:
    """The answer of an ultrasonic reference block against the metal distance: 214 observations.

    ``f(b) = 1/2 sum_i (e^{-b_1 x_i} / (b_2 + b_3 x_i) - y_i)^2``
    """
    residual = _misfit("chwirut1", _damped_hyperbola)
    least = [0.19027818369635974, 0.006131400447711047, 0.01053090839893729]
    return Surface(
        fn=lambda b: 0.5 * jnp.sum(residual(b) ** 2),
        start=[0.1, 0.01, 0.02],
        starts=([0.15, 0.008, 0.01],),
        domain=([0.0, 0.002, 0.004], [0.3, 0.015, 0.03]),
        points=(Point(least, 1192.2385696546748, "minimum"),),
        residual=residual,
        tags=("nonzero-residual", "least-squares", "nist"),
        source="Chwirut 197?; NIST StRD, lower difficulty",
    )


def nist_chwirut2() -> Surface:
    """The answer of an ultrasonic reference block against the metal distance: 54 observations.

    ``f(b) = 1/2 sum_i (e^{-b_1 x_i} / (b_2 + b_3 x_i) - y_i)^2``
    """
    residual = _misfit("chwirut2", _damped_hyperbola)
    least = [0.16657666536804108, 0.005165329128572596, 0.012150007095829604]
    return Surface(
        fn=lambda b: 0.5 * jnp.sum(residual(b) ** 2),
        start=[0.1, 0.01, 0.02],
        starts=([0.15, 0.008, 0.01],),
        domain=([0.0, 0.002, 0.004], [0.3, 0.015, 0.03]),
        points=(Point(least, 256.5240147034327, "minimum"),),
        residual=residual,
        tags=("nonzero-residual", "least-squares", "nist"),
        source="Chwirut 197?; NIST StRD, lower difficulty",
    )


def nist_lanczos1() -> Surface:
    """Three decaying exponentials found again from 24 values of their sum with thirteen decimals.

    ``f(b) = 1/2 sum_i (b_1 e^{-b_2 x_i} + b_3 e^{-b_4 x_i} + b_5 e^{-b_6 x_i} - y_i)^2``

    The rates 1, 3 and 5 and their weights return in all their digits, though the Hessian's condition number is 5e8.
    """
    residual = _misfit("lanczos1", _three_decays)
    least = [
        0.09510000002743146,
        1.000000000127719,
        0.8607000001344579,
        3.0000000002346243,
        1.5575999998381713,
        5.000000000111549,
    ]
    return Surface(
        fn=lambda b: 0.5 * jnp.sum(residual(b) ** 2),
        start=[1.2, 0.3, 5.6, 5.5, 6.5, 7.6],
        starts=([0.5, 0.7, 3.6, 4.2, 4.0, 6.3],),
        domain=([0.0] * 6, [2.0, 2.0, 7.0, 7.0, 8.0, 9.0]),
        points=(Point(least, 7.153933860389883e-26, "minimum"),),
        residual=residual,
        tags=("valley", "ill-conditioned", "least-squares", "nist"),
        source="Lanczos 1956; NIST StRD, average difficulty",
    )


def nist_lanczos2() -> Surface:
    """Three decaying exponentials found again from 24 values of their sum with six digits.

    ``f(b) = 1/2 sum_i (b_1 e^{-b_2 x_i} + b_3 e^{-b_4 x_i} + b_5 e^{-b_6 x_i} - y_i)^2``

    Cutting the data's digits moves the parameters by a percent: the sum of exponentials hardly tells its parts.
    """
    residual = _misfit("lanczos2", _three_decays)
    least = [
        0.09625102993894867,
        1.0057332848600404,
        0.8642468905552276,
        3.0078283914901713,
        1.5529016878722537,
        5.002879809984142,
    ]
    return Surface(
        fn=lambda b: 0.5 * jnp.sum(residual(b) ** 2),
        start=[1.2, 0.3, 5.6, 5.5, 6.5, 7.6],
        starts=([0.5, 0.7, 3.6, 4.2, 4.0, 6.3],),
        domain=([0.0] * 6, [2.0, 2.0, 7.0, 7.0, 8.0, 9.0]),
        points=(Point(least, 1.114971406245834e-11, "minimum"),),
        residual=residual,
        tags=("valley", "ill-conditioned", "nonzero-residual", "least-squares", "nist"),
        source="Lanczos 1956; NIST StRD, average difficulty",
    )


def nist_lanczos3() -> Surface:
    """Three decaying exponentials found again from 24 values of their sum with five digits.

    ``f(b) = 1/2 sum_i (b_1 e^{-b_2 x_i} + b_3 e^{-b_4 x_i} + b_5 e^{-b_6 x_i} - y_i)^2``

    Cutting the data's digits moves the parameters by ten percent.
    """
    residual = _misfit("lanczos3", _three_decays)
    least = [
        0.0868164149772815,
        0.9549810150463038,
        0.8440077746252944,
        2.9515951831903005,
        1.582568590149547,
        4.986356508399177,
    ]
    return Surface(
        fn=lambda b: 0.5 * jnp.sum(residual(b) ** 2),
        start=[1.2, 0.3, 5.6, 5.5, 6.5, 7.6],
        starts=([0.5, 0.7, 3.6, 4.2, 4.0, 6.3],),
        domain=([0.0] * 6, [2.0, 2.0, 7.0, 7.0, 8.0, 9.0]),
        points=(Point(least, 8.058596796786749e-09, "minimum"),),
        residual=residual,
        tags=("valley", "ill-conditioned", "nonzero-residual", "least-squares", "nist"),
        source="Lanczos 1956; NIST StRD, lower difficulty",
    )


def nist_gauss1() -> Surface:
    """Two noisy peaks on a decaying background, which lie well apart.

    ``f(b) = 1/2 sum_i (b_1 e^{-b_2 x_i} + b_3 e^{-(x_i - b_4)^2 / b_5^2} + b_6 e^{-(x_i - b_7)^2 / b_8^2} - y_i)^2``
    """
    residual = _misfit("gauss1", _two_peaks)
    least = [
        98.77821087103072,
        0.010497276517168547,
        100.48990632956492,
        67.48111127631947,
        23.129773359658554,
        71.99450300373363,
        178.99805020726387,
        18.389389025487034,
    ]
    return Surface(
        fn=lambda b: 0.5 * jnp.sum(residual(b) ** 2),
        start=[97.0, 0.009, 100.0, 65.0, 20.0, 70.0, 178.0, 16.5],
        starts=([94.0, 0.0105, 99.0, 63.0, 25.0, 71.0, 180.0, 20.0],),
        domain=(
            [50.0, 0.005, 50.0, 50.0, 10.0, 50.0, 120.0, 10.0],
            [150.0, 0.02, 150.0, 120.0, 40.0, 100.0, 200.0, 40.0],
        ),
        points=(Point(least, 657.9111216016892, "minimum"),),
        residual=residual,
        tags=("ill-scaled", "nonzero-residual", "least-squares", "nist"),
        source="Rust 1996; NIST StRD, lower difficulty",
    )


def nist_gauss2() -> Surface:
    """Two noisy peaks on a decaying background, which touch.

    ``f(b) = 1/2 sum_i (b_1 e^{-b_2 x_i} + b_3 e^{-(x_i - b_4)^2 / b_5^2} + b_6 e^{-(x_i - b_7)^2 / b_8^2} - y_i)^2``
    """
    residual = _misfit("gauss2", _two_peaks)
    least = [
        99.01832840593642,
        0.010994945398639277,
        101.88022527525033,
        107.0309551859637,
        23.57858402856899,
        72.04558947063778,
        153.2701019412732,
        19.525972636335613,
    ]
    return Surface(
        fn=lambda b: 0.5 * jnp.sum(residual(b) ** 2),
        start=[96.0, 0.009, 103.0, 106.0, 18.0, 72.0, 151.0, 18.0],
        starts=([98.0, 0.0105, 103.0, 105.0, 20.0, 73.0, 150.0, 20.0],),
        domain=(
            [50.0, 0.005, 50.0, 50.0, 10.0, 50.0, 120.0, 10.0],
            [150.0, 0.02, 150.0, 120.0, 40.0, 100.0, 200.0, 40.0],
        ),
        points=(Point(least, 623.7641046154994, "minimum"),),
        residual=residual,
        tags=("ill-scaled", "nonzero-residual", "least-squares", "nist"),
        source="Rust 1996; NIST StRD, lower difficulty",
    )


def nist_gauss3() -> Surface:
    """Two noisy peaks on a decaying background, which flow into one.

    ``f(b) = 1/2 sum_i (b_1 e^{-b_2 x_i} + b_3 e^{-(x_i - b_4)^2 / b_5^2} + b_6 e^{-(x_i - b_7)^2 / b_8^2} - y_i)^2``
    """
    residual = _misfit("gauss3", _two_peaks)
    least = [
        98.94036896986974,
        0.01094587933488693,
        100.69553077815806,
        111.6361945872533,
        23.300500029169758,
        73.70503141760364,
        147.76164250510556,
        19.668221229597737,
    ]
    return Surface(
        fn=lambda b: 0.5 * jnp.sum(residual(b) ** 2),
        start=[94.9, 0.009, 90.1, 113.0, 20.0, 73.8, 140.0, 20.0],
        starts=([96.0, 0.0096, 80.0, 110.0, 25.0, 74.0, 139.0, 25.0],),
        domain=(
            [50.0, 0.005, 50.0, 50.0, 10.0, 50.0, 120.0, 10.0],
            [150.0, 0.02, 150.0, 120.0, 40.0, 100.0, 200.0, 40.0],
        ),
        points=(Point(least, 622.2423180065783, "minimum"),),
        residual=residual,
        tags=("ill-scaled", "nonzero-residual", "least-squares", "nist"),
        source="Rust 1996; NIST StRD, average difficulty",
    )


def nist_mgh17() -> Surface:
    """A constant and two exponentials of opposite sign: `mgh_osbornea` from a start a hundred times farther.

    ``f(b) = 1/2 sum_i (b_1 + b_2 e^{-b_4 x_i} + b_3 e^{-b_5 x_i} - y_i)^2``
    """
    residual = _misfit("mgh17", lambda b, x: b[0] + b[1] * jnp.exp(-x * b[3]) + b[2] * jnp.exp(-x * b[4]))
    least = [0.37541005210695205, 1.9358469127123674, -1.464687136613423, 0.012867534640057288, 0.02212269966167261]
    return Surface(
        fn=lambda b: 0.5 * jnp.sum(residual(b) ** 2),
        start=[50.0, 150.0, -100.0, 1.0, 2.0],
        starts=([0.5, 1.5, -1.0, 0.01, 0.02],),
        domain=([0.0, 0.0, -120.0, 0.0, 0.0], [60.0, 180.0, 0.0, 1.2, 2.4]),
        points=(Point(least, 2.7324473487414534e-05, "minimum"),),
        residual=residual,
        tags=("valley", "ill-conditioned", "ill-scaled", "nonzero-residual", "least-squares", "nist"),
        source="Osborne 1972; NIST StRD, average difficulty",
    )


def nist_mgh10() -> Surface:
    """The resistance of a thermistor: `mgh_meyer3` from a start a hundred times farther.

    ``f(b) = 1/2 sum_i (b_1 e^{b_2 / (x_i + b_3)} - y_i)^2``

    The Hessian's condition number is 1e16. Where b_2 is large and b_3 is small the exponential would overflow:
    its argument is cut at 300, far from any path downhill.
    """
    residual = _misfit("mgh10", lambda b, x: b[0] * jnp.exp(jnp.minimum(b[1] / (x + b[2]), 300)))
    least = [0.005609636471028053, 6181.346346286372, 345.2236346241365]
    return Surface(
        fn=lambda b: 0.5 * jnp.sum(residual(b) ** 2),
        start=[2.0, 400000.0, 25000.0],
        starts=([0.02, 4000.0, 250.0],),
        domain=([0.0, 3000.0, 200.0], [2.5, 450000.0, 30000.0]),
        points=(Point(least, 43.97292758542556, "minimum"),),
        residual=residual,
        tags=("valley", "ill-conditioned", "ill-scaled", "nonzero-residual", "least-squares", "nist"),
        source="Meyer 1970; NIST StRD, higher difficulty",
    )


def nist_eckerle4() -> Surface:
    """The transmittance of an interference filter: one narrow peak, which the first start does not meet.

    ``f(b) = 1/2 sum_i (b_1 / b_2 e^{-(x_i - b_3)^2 / (2 b_2^2)} - y_i)^2``
    """
    residual = _misfit("eckerle4", lambda b, x: _over(b[0], b[1]) * jnp.exp(-0.5 * _over(x - b[2], b[1]) ** 2))
    least = [1.5543827177526135, 4.088832175423007, 451.54121843614496]
    return Surface(
        fn=lambda b: 0.5 * jnp.sum(residual(b) ** 2),
        start=[1.0, 10.0, 500.0],
        starts=([1.5, 5.0, 450.0],),
        domain=([0.5, 2.0, 400.0], [2.0, 12.0, 510.0]),
        points=(Point(least, 0.0007317943743637356, "minimum"),),
        residual=residual,
        tags=("plateau", "nonzero-residual", "least-squares", "nist"),
        source="Eckerle 197?; NIST StRD, higher difficulty",
    )


def nist_nelson() -> Surface:
    """The strength of an insulation as it ages: how fast depends on the temperature through an exponential.

    ``f(b) = 1/2 sum_i (b_1 - b_2 x_i e^{-b_3 z_i} - log y_i)^2`` with weeks x and degrees z

    b_2 is 6e-9, where its standard deviation is as large: b_2 and b_3 make up for each other.
    """

    def residual(b):
        strength, weeks, degrees = _observations("nelson")
        ageing = b[1] * jnp.asarray(weeks, b.dtype) * jnp.exp(-b[2] * jnp.asarray(degrees, b.dtype))
        return b[0] - ageing - jnp.asarray(np.log(strength), b.dtype)

    least = [2.5906836021362443, 5.617771702648369e-09, -0.05770101317444845]
    return Surface(
        fn=lambda b: 0.5 * jnp.sum(residual(b) ** 2),
        start=[2.0, 0.0001, -0.01],
        starts=([2.5, 5e-9, -0.05],),
        domain=([1.5, 0.0, -0.08], [3.0, 0.00015, 0.0]),
        points=(Point(least, 1.8988416588225747, "minimum"),),
        residual=residual,
        tags=("valley", "ill-conditioned", "ill-scaled", "nonzero-residual", "least-squares", "nist"),
        source="Nelson 1981; NIST StRD, average difficulty",
    )
