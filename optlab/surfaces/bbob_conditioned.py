"""BBOB, second and third group: one basin, but bent, stepped or stretched, and turned away from the axes.

R and Q are rotations that the instance draws. Where the paper's two changed places in the code that all
published results come from, the formulas here follow the code.
"""

import jax.numpy as jnp

from optlab.surfaces.bbob_instances import _known, _optimum, _rotations, _value
from optlab.surfaces.bbob_pieces import (
    _asymmetric,
    _graded,
    _like,
    _oscillated,
    _outside,
    _power,
    _rosenbrock,
    _rounded,
    _steps,
    _stretch,
    _turn,
)
from optlab.types import Surface


def bbob_f6(dim: int = 2, instance: int = 1) -> Surface:
    """Attractive sector: a cone of directions in which the slope is a hundred times less.

    ``f(x) = T_osz(sum_i (s_i z_i)^2)^0.9 + f_opt`` with ``z = R Lambda^10 Q (x - x_opt)``

    s_i is 100 where z_i has the sign of x_opt,i and 1 elsewhere. `dim` from 2, `instance` from 1.
    """
    optimum, value = _optimum(6, dim, instance), _value(6, instance)
    rotations = _rotations(6, dim, instance)

    def fn(x):
        centre, R, Q = _like(x, optimum, *rotations)
        z = _turn(R, _graded(10**0.5, x) * _turn(Q, x - centre))
        return _power(_oscillated(jnp.sum(jnp.where(z * centre > 0, 100 * z, z) ** 2)), 0.9) + value

    return Surface(
        fn=fn,
        **_known(optimum, value),
        tags=("bbob", "nonsmooth"),
        source="Hansen et al. 2009 (BBOB), f6",
    )


def bbob_f7(dim: int = 2, instance: int = 1) -> Surface:
    """Step ellipsoid: plateaus of many sizes, on which the gradient is zero.

    ``f(x) = 0.1 max(|y_1| / 10^4, sum_i 10^(2 (i-1)/(d-1)) z_i^2) + f_pen(x) + f_opt`` with
    ``y = Lambda^10 Q (x - x_opt)``

    z is R times y rounded, to integers where |y_i| > 1/2 and to tenths below. `dim` from 2, `instance` from 1.
    """
    optimum, value = _optimum(7, dim, instance), _value(7, instance)
    rotations = _rotations(7, dim, instance)

    def fn(x):
        centre, R, Q = _like(x, optimum, *rotations)
        y = _graded(10**0.5, x) * _turn(Q, x - centre)
        z = _turn(R, jnp.where(jnp.abs(y) > 0.5, _rounded(y), _rounded(10 * y) / 10))
        bowl = jnp.sum(_graded(100, x) * z**2)
        return 0.1 * jnp.maximum(1e-4 * jnp.abs(y[0]), bowl) + _outside(x) + value

    return Surface(
        fn=fn,
        **_known(optimum, value),
        tags=("bbob", "plateau", "nonsmooth"),
        source="Hansen et al. 2009 (BBOB), f7",
    )


def bbob_f8(dim: int = 2, instance: int = 1) -> Surface:
    """Rosenbrock, moved.

    ``f(x) = sum_{i<d} 100 (z_i^2 - z_{i+1})^2 + (z_i - 1)^2 + f_opt`` with
    ``z = max(1, sqrt(d)/8) (x - x_opt) + 1``

    From 4 variables on it has a second, false minimum. `dim` from 2, `instance` from 1.
    """
    optimum, value = _optimum(8, dim, instance), _value(8, instance)

    def fn(x):
        (centre,) = _like(x, optimum)
        return jnp.sum(_rosenbrock(_stretch(dim) * (x - centre) + 1)) + value

    return Surface(
        fn=fn,
        **_known(optimum, value),
        tags=("bbob", "valley"),
        source="Hansen et al. 2009 (BBOB), f8",
    )


def bbob_f9(dim: int = 2, instance: int = 1) -> Surface:
    """Rosenbrock, turned.

    ``f(x) = sum_{i<d} 100 (z_i^2 - z_{i+1})^2 + (z_i - 1)^2 + f_opt`` with ``z = max(1, sqrt(d)/8) Q x + 1/2``

    `dim` from 2, `instance` from 1.
    """
    value, (_, rotation) = _value(9, instance), _rotations(9, dim, instance)
    optimum = rotation.sum(axis=0) / (2 * _stretch(dim))

    def fn(x):
        (Q,) = _like(x, rotation)
        return jnp.sum(_rosenbrock(_stretch(dim) * _turn(Q, x) + 0.5)) + value

    return Surface(
        fn=fn,
        **_known(optimum, value),
        tags=("bbob", "valley"),
        source="Hansen et al. 2009 (BBOB), f9",
    )


def bbob_f10(dim: int = 2, instance: int = 1) -> Surface:
    """Ellipsoid with ripples, of condition 10^6, turned.

    ``f(x) = sum_i 10^(6 (i-1)/(d-1)) z_i^2 + f_opt`` with ``z = T_osz(R (x - x_opt))``

    The second derivatives at the minimum are given as those of the ellipsoid. `dim` from 2, `instance` from 1.
    """
    optimum, value = _optimum(10, dim, instance), _value(10, instance)
    rotation, _ = _rotations(10, dim, instance)

    def fn(x):
        centre, R = _like(x, optimum, rotation)
        return jnp.sum(_graded(1e6, x) * _oscillated(_turn(R, x - centre)) ** 2) + value

    return Surface(
        fn=fn,
        **_known(optimum, value),
        tags=("bbob", "ill-conditioned"),
        source="Hansen et al. 2009 (BBOB), f10",
    )


def bbob_f11(dim: int = 2, instance: int = 1) -> Surface:
    """Discus: one direction a thousand times shorter than all others.

    ``f(x) = 10^6 z_1^2 + sum_{i>1} z_i^2 + f_opt`` with ``z = T_osz(R (x - x_opt))``

    The second derivatives at the minimum are given as if there were no ripples. `dim` from 2, `instance` from 1.
    """
    optimum, value = _optimum(11, dim, instance), _value(11, instance)
    rotation, _ = _rotations(11, dim, instance)

    def fn(x):
        centre, R = _like(x, optimum, rotation)
        z = _oscillated(_turn(R, x - centre))
        return 1e6 * z[0] ** 2 + jnp.sum(z[1:] ** 2) + value

    return Surface(
        fn=fn,
        **_known(optimum, value),
        tags=("bbob", "ill-conditioned"),
        source="Hansen et al. 2009 (BBOB), f11",
    )


def bbob_f12(dim: int = 2, instance: int = 1) -> Surface:
    """Bent cigar: a narrow ridge that is not straight.

    ``f(x) = z_1^2 + 10^6 sum_{i>1} z_i^2 + f_opt`` with ``z = R T_asy^0.5(R (x - x_opt))``

    `dim` from 2, `instance` from 1.
    """
    optimum, value = _optimum(12, dim, instance), _value(12, instance)
    rotation, _ = _rotations(12, dim, instance)

    def fn(x):
        centre, R = _like(x, optimum, rotation)
        z = _turn(R, _asymmetric(_turn(R, x - centre), 0.5))
        return z[0] ** 2 + 1e6 * jnp.sum(z[1:] ** 2) + value

    return Surface(
        fn=fn,
        **_known(optimum, value),
        tags=("bbob", "ill-conditioned", "valley"),
        source="Hansen et al. 2009 (BBOB), f12",
    )


def bbob_f13(dim: int = 2, instance: int = 1) -> Surface:
    """Sharp ridge: a crease that has to be followed, with a slope across that does not shrink.

    ``f(x) = z_1^2 + 100 sqrt(sum_{i>1} z_i^2) + f_opt`` with ``z = R Lambda^10 Q (x - x_opt)``

    `dim` from 2, `instance` from 1.
    """
    optimum, value = _optimum(13, dim, instance), _value(13, instance)
    rotations = _rotations(13, dim, instance)

    def fn(x):
        centre, R, Q = _like(x, optimum, *rotations)
        z = _turn(R, _graded(10**0.5, x) * _turn(Q, x - centre))
        return z[0] ** 2 + 100 * _power(jnp.sum(z[1:] ** 2), 0.5) + value

    return Surface(
        fn=fn,
        **_known(optimum, value),
        tags=("bbob", "ill-conditioned", "nonsmooth"),
        source="Hansen et al. 2009 (BBOB), f13",
    )


def bbob_f14(dim: int = 2, instance: int = 1) -> Surface:
    """Sum of different powers: the nearer the minimum, the more the directions differ.

    ``f(x) = sqrt(sum_i |z_i|^(2 + 4 (i-1)/(d-1))) + f_opt`` with ``z = R (x - x_opt)``

    `dim` from 2, `instance` from 1.
    """
    optimum, value = _optimum(14, dim, instance), _value(14, instance)
    rotation, _ = _rotations(14, dim, instance)

    def fn(x):
        centre, R = _like(x, optimum, rotation)
        z = jnp.abs(_turn(R, x - centre))
        return _power(jnp.sum(z ** (2 + 4 * _steps(x))), 0.5) + value

    return Surface(
        fn=fn,
        **_known(optimum, value),
        tags=("bbob", "ill-conditioned", "nonsmooth"),
        source="Hansen et al. 2009 (BBOB), f14",
    )
