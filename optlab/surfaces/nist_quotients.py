"""NIST's fits of quotients of polynomials, of a power and of waves; see `nist_data`."""

import math

import jax.numpy as jnp

from optlab.types import Array, Point, Surface

from .mgh_fits import _over
from .nist_data import _misfit


def _cubic_over_cubic(b: Array, x: Array) -> Array:
    return _over(
        b[0] + b[1] * x + b[2] * x**2 + b[3] * x**3,
        1 + b[4] * x + b[5] * x**2 + b[6] * x**3,
    )


def _three_waves(b: Array, x: Array) -> Array:
    def wave(period, cos, sin):
        phase = 2 * math.pi * _over(x, period)
        return cos * jnp.cos(phase) + sin * jnp.sin(phase)

    return b[0] + wave(12.0, b[1], b[2]) + wave(*b[3:6]) + wave(*b[6:9])


def nist_kirby2() -> Surface:
    """The width of lines under an electron microscope: a quadratic over a quadratic.

    ``f(b) = 1/2 sum_i ((b_1 + b_2 x_i + b_3 x_i^2) / (1 + b_4 x_i + b_5 x_i^2) - y_i)^2``
    """
    residual = _misfit("kirby2", lambda b, x: _over(b[0] + b[1] * x + b[2] * x**2, 1 + b[3] * x + b[4] * x**2))
    least = [
        1.6745063063218044,
        -0.13927397867473745,
        0.0025961181190934696,
        -0.0017241811869827216,
        2.166480257767361e-05,
    ]
    return Surface(
        fn=lambda b: 0.5 * jnp.sum(residual(b) ** 2),
        start=[2.0, -0.1, 0.003, -0.001, 0.00001],
        starts=([1.5, -0.15, 0.0025, -0.0015, 0.00002],),
        domain=([1.0, -0.2, 0.002, -0.002, 8e-6], [2.5, -0.05, 0.004, -0.0005, 3e-5]),
        points=(Point(least, 1.9525369811954414, "minimum"),),
        residual=residual,
        tags=("ill-scaled", "nonzero-residual", "least-squares", "nist"),
        source="Kirby 197?; NIST StRD, average difficulty",
    )


def nist_hahn1() -> Surface:
    """The thermal expansion of copper against temperature: a cubic over a cubic.

    ``f(b) = 1/2 sum_i ((b_1 + b_2 x_i + b_3 x_i^2 + b_4 x_i^3) / (1 + b_5 x_i + b_6 x_i^2 + b_7 x_i^3) - y_i)^2``

    The denominator has roots among the data in much of the box: f is split by poles.
    """
    residual = _misfit("hahn1", _cubic_over_cubic)
    least = [
        1.0776351733100251,
        -0.12269296921021515,
        0.004086375061046882,
        -1.426266251408103e-06,
        -0.00576099409009232,
        0.00024053735503177414,
        -1.2314450199196947e-07,
    ]
    return Surface(
        fn=lambda b: 0.5 * jnp.sum(residual(b) ** 2),
        start=[10.0, -1.0, 0.05, -1e-5, -0.05, 0.001, -1e-6],
        starts=([1.0, -0.1, 0.005, -1e-6, -0.005, 0.0001, -1e-7],),
        domain=([0.0, -1.1, 0.0, -1.1e-5, -0.055, 0.0, -1.1e-6], [11.0, 0.0, 0.055, 0.0, 0.005, 0.002, 0.0]),
        points=(Point(least, 0.7662191426803115, "minimum"),),
        residual=residual,
        tags=("ill-conditioned", "ill-scaled", "nonzero-residual", "least-squares", "nist"),
        source="Hahn 197?; NIST StRD, average difficulty",
    )


def nist_thurber() -> Surface:
    """The mobility of electrons against the density of a semiconductor: a cubic over a cubic.

    ``f(b) = 1/2 sum_i ((b_1 + b_2 x_i + b_3 x_i^2 + b_4 x_i^3) / (1 + b_5 x_i + b_6 x_i^2 + b_7 x_i^3) - y_i)^2``

    The denominator has roots among the data in part of the box: f is split by poles.
    """
    residual = _misfit("thurber", _cubic_over_cubic)
    least = [
        1288.1396799537592,
        1491.0792535421924,
        583.2383687666528,
        75.41664429100803,
        0.9662950286446008,
        0.3979728579739003,
        0.0497272973488459,
    ]
    return Surface(
        fn=lambda b: 0.5 * jnp.sum(residual(b) ** 2),
        start=[1000.0, 1000.0, 400.0, 40.0, 0.7, 0.3, 0.03],
        starts=([1300.0, 1500.0, 500.0, 75.0, 1.0, 0.4, 0.05],),
        domain=([800.0, 800.0, 300.0, 30.0, 0.6, 0.2, 0.02], [1500.0, 1700.0, 700.0, 90.0, 1.1, 0.5, 0.06]),
        points=(Point(least, 2821.354119833506, "minimum"),),
        residual=residual,
        tags=("ill-conditioned", "nonzero-residual", "least-squares", "nist"),
        source="Thurber 197?; NIST StRD, higher difficulty",
    )


def nist_mgh09() -> Surface:
    """The rate of an enzyme reaction: `mgh_kowosb` from a start a hundred times farther.

    ``f(b) = 1/2 sum_i (b_1 (x_i^2 + b_2 x_i) / (x_i^2 + b_3 x_i + b_4) - y_i)^2``

    Half of 0.00102734 is another minimum, at infinity (b_2 = -14.07, the others beyond all bounds).
    """
    residual = _misfit("mgh09", lambda b, x: b[0] * (x**2 + x * b[1]) / (x**2 + x * b[2] + b[3]))
    least = [0.19280693457903786, 0.19128232873436696, 0.12305650692632066, 0.13606233068379484]
    return Surface(
        fn=lambda b: 0.5 * jnp.sum(residual(b) ** 2),
        start=[25.0, 39.0, 41.5, 39.0],
        starts=([0.25, 0.39, 0.415, 0.39],),
        domain=([0.0] * 4, [30.0, 45.0, 45.0, 45.0]),
        points=(Point(least, 0.00015375280192461872, "minimum"),),
        residual=residual,
        tags=("valley", "nonzero-residual", "least-squares", "nist"),
        source="Kowalik and Osborne 1968; NIST StRD, higher difficulty",
    )


def nist_bennett5() -> Surface:
    """The magnetization of a superconductor against time: a power with all three parameters free.

    ``f(b) = 1/2 sum_i (b_1 (b_2 + x_i)^{-1 / b_3} - y_i)^2``

    The parameters make up for each other: the Hessian's condition number is 1e17, 3e9 after scaling.
    """
    residual = _misfit("bennett5", lambda b, x: b[0] * (b[1] + x) ** -_over(1.0, b[2]))
    least = [-2523.505804303253, 46.736564643570304, 0.9321848319330337]
    return Surface(
        fn=lambda b: 0.5 * jnp.sum(residual(b) ** 2),
        start=[-2000.0, 50.0, 0.8],
        starts=([-1500.0, 45.0, 0.85],),
        domain=([-4000.0, 30.0, 0.6], [-1000.0, 60.0, 1.2]),
        points=(Point(least, 0.00026202372036320437, "minimum"),),
        residual=residual,
        tags=("valley", "ill-conditioned", "ill-scaled", "nonzero-residual", "least-squares", "nist"),
        source="Bennett, Swartzendruber and Brown 1994; NIST StRD, higher difficulty",
    )


def nist_roszman1() -> Surface:
    """The quantum defects of iodine against the energy of the excited state: a line less an arctangent.

    ``f(b) = 1/2 sum_i (b_1 - b_2 x_i - arctan(b_3 / (x_i - b_4)) / pi - y_i)^2``
    """
    residual = _misfit("roszman1", lambda b, x: b[0] - b[1] * x - jnp.arctan(b[2] / (x - b[3])) / math.pi)
    least = [0.20196866396090946, -6.195351625575966e-06, 1204.4556707836073, -181.34269536904927]
    return Surface(
        fn=lambda b: 0.5 * jnp.sum(residual(b) ** 2),
        start=[0.1, -0.00001, 1000.0, -100.0],
        starts=([0.2, -0.000005, 1200.0, -150.0],),
        domain=([0.0, -2e-5, 800.0, -300.0], [0.4, 0.0, 1500.0, 0.0]),
        points=(Point(least, 0.0002474242366548451, "minimum"),),
        residual=residual,
        tags=("ill-scaled", "nonzero-residual", "least-squares", "nist"),
        source="Roszman 19??; NIST StRD, average difficulty",
    )


def nist_enso() -> Surface:
    """The air pressure at the Easter Island less that at Darwin: a year and two cycles of unknown length.

    ``f(b) = 1/2 sum_i (b_1 + sum_{k=0,1,2} c_k cos(2 pi x_i / T_k) + s_k sin(2 pi x_i / T_k) - y_i)^2`` with
    ``T = (12, b_4, b_7)``, ``c = (b_2, b_5, b_8)``, ``s = (b_3, b_6, b_9)``

    Periods in months; other beats of the two free ones are further minima.
    """
    residual = _misfit("enso", _three_waves)
    least = [
        10.510749192771353,
        3.076212808538501,
        0.5328013822659606,
        44.31108870022046,
        -1.6231428586266647,
        0.5255449375581781,
        26.887614440024592,
        0.2123228848815158,
        1.4966870418316047,
    ]
    return Surface(
        fn=lambda b: 0.5 * jnp.sum(residual(b) ** 2),
        start=[11.0, 3.0, 0.5, 40.0, -0.7, -1.3, 25.0, -0.3, 1.4],
        starts=([10.0, 3.0, 0.5, 44.0, -1.5, 0.5, 26.0, -0.1, 1.5],),
        domain=([9.0, 2.0, 0.0, 38.0, -2.5, -2.0, 24.0, -1.0, 1.0], [12.0, 4.0, 1.0, 50.0, 0.0, 1.0, 29.0, 1.0, 2.0]),
        points=(Point(least, 394.2698933414557, "minimum"),),
        residual=residual,
        tags=("multimodal", "nonzero-residual", "least-squares", "nist"),
        source="Kahaner, Moler and Nash 1989; NIST StRD, average difficulty",
    )
