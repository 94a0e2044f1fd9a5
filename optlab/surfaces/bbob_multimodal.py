"""BBOB, fourth group: many basins that together form a slope towards the best one."""

import math

import jax.numpy as jnp
import numpy as np

from optlab.surfaces.bbob_instances import _known, _optimum, _rotations, _value
from optlab.surfaces.bbob_pieces import (
    _asymmetric,
    _graded,
    _like,
    _oscillated,
    _outside,
    _power,
    _rastrigin,
    _rosenbrock,
    _stretch,
    _turn,
)
from optlab.types import Surface


def bbob_f15(dim: int = 2, instance: int = 1) -> Surface:
    """Rastrigin, turned, its grid of 10^d minima bent.

    ``f(x) = 10 (d - sum_i cos(2 pi z_i)) + |z|^2 + f_opt`` with
    ``z = R Lambda^10 Q T_asy^0.2(T_osz(R (x - x_opt)))``

    `dim` from 2, `instance` from 1.
    """
    optimum, value = _optimum(15, dim, instance), _value(15, instance)
    rotations = _rotations(15, dim, instance)

    def fn(x):
        centre, R, Q = _like(x, optimum, *rotations)
        bent = _asymmetric(_oscillated(_turn(R, x - centre)), 0.2)
        return _rastrigin(_turn(R, _graded(10**0.5, x) * _turn(Q, bent))) + value

    return Surface(
        fn=fn,
        **_known(optimum, value),
        tags=("bbob", "multimodal"),
        source="Hansen et al. 2009 (BBOB), f15",
    )


def bbob_f16(dim: int = 2, instance: int = 1) -> Surface:
    """Weierstrass: rough on every scale down to 3^-11, and repeated all over the box.

    ``f(x) = 10 (1/d sum_i sum_{k<12} 2^-k cos(2 pi 3^k (z_i + 1/2)) - f_0)^3 + 10/d f_pen(x) + f_opt`` with
    ``z = R Lambda^(1/100) Q T_osz(R (x - x_opt))``

    f_0 is the least that the inner sum can be, -(2 - 2^-11). `dim` from 2, `instance` from 1.
    """
    optimum, value = _optimum(16, dim, instance), _value(16, instance)
    rotations = _rotations(16, dim, instance)
    k = np.arange(12)

    def fn(x):
        centre, R, Q, heights, frequencies = _like(x, optimum, *rotations, 0.5**k, 3.0**k)
        z = _turn(R, _graded(0.1, x) * _turn(Q, _oscillated(_turn(R, x - centre))))
        waves = heights[None] * jnp.cos(2 * math.pi * (z + 0.5)[:, None] * frequencies[None])
        return 10 * (jnp.sum(waves) / dim + (2 - 0.5**11)) ** 3 + 10 / dim * _outside(x) + value

    return Surface(
        fn=fn,
        **_known(optimum, value),
        tags=("bbob", "multimodal", "nonsmooth", "rough"),
        source="Hansen et al. 2009 (BBOB), f16",
    )


def _schaffers(condition: float, optimum, rotations, value):
    """The mean over neighbours, which both Schaffers functions share."""

    def fn(x):
        centre, R, Q = _like(x, optimum, *rotations)
        z = _graded(condition**0.5, x) * _turn(Q, _asymmetric(_turn(R, x - centre), 0.5))
        square = z[:-1] ** 2 + z[1:] ** 2
        waves = _power(square, 0.25) * (1 + jnp.sin(50 * _power(square, 0.1)) ** 2)
        return jnp.mean(waves) ** 2 + 10 * _outside(x) + value

    return fn


def bbob_f17(dim: int = 2, instance: int = 1) -> Surface:
    """Schaffers' F7: waves that become denser and lower towards the minimum.

    ``f(x) = (1/(d-1) sum_{i<d} sqrt(s_i) (1 + sin(50 s_i^0.2)^2))^2 + 10 f_pen(x) + f_opt`` with
    ``s_i = sqrt(z_i^2 + z_{i+1}^2)`` and ``z = Lambda^10 Q T_asy^0.5(R (x - x_opt))``

    `dim` from 2, `instance` from 1.
    """
    optimum, value = _optimum(17, dim, instance), _value(17, instance)
    return Surface(
        fn=_schaffers(10, optimum, _rotations(17, dim, instance), value),
        **_known(optimum, value),
        tags=("bbob", "multimodal", "nonsmooth"),
        source="Hansen et al. 2009 (BBOB), f17",
    )


def bbob_f18(dim: int = 2, instance: int = 1) -> Surface:
    """Schaffers' F7, stretched by a condition of 1000.

    ``f(x) = (1/(d-1) sum_{i<d} sqrt(s_i) (1 + sin(50 s_i^0.2)^2))^2 + 10 f_pen(x) + f_opt`` with
    ``s_i = sqrt(z_i^2 + z_{i+1}^2)`` and ``z = Lambda^1000 Q T_asy^0.5(R (x - x_opt))``

    `dim` from 2, `instance` from 1.
    """
    optimum, value = _optimum(18, dim, instance), _value(18, instance)
    return Surface(
        fn=_schaffers(1000, optimum, _rotations(18, dim, instance), value),
        **_known(optimum, value),
        tags=("bbob", "multimodal", "ill-conditioned", "nonsmooth"),
        source="Hansen et al. 2009 (BBOB), f18",
    )


def bbob_f19(dim: int = 2, instance: int = 1) -> Surface:
    """Griewank's ripples along the heights of Rosenbrock's valley.

    ``f(x) = 10/(d-1) sum_{i<d} (s_i / 4000 - cos(s_i)) + 10 + f_opt`` with
    ``s_i = 100 (z_i^2 - z_{i+1})^2 + (z_i - 1)^2`` and ``z = max(1, sqrt(d)/8) Q x + 1/2``

    `dim` from 2, `instance` from 1.
    """
    value, (_, rotation) = _value(19, instance), _rotations(19, dim, instance)
    optimum = rotation.sum(axis=0) / (2 * _stretch(dim))

    def fn(x):
        (Q,) = _like(x, rotation)
        s = _rosenbrock(_stretch(dim) * _turn(Q, x) + 0.5)
        return 10 * jnp.mean(s / 4000 + 2 * jnp.sin(s / 2) ** 2) + value

    return Surface(
        fn=fn,
        **_known(optimum, value),
        tags=("bbob", "multimodal", "valley", "rough"),
        source="Hansen et al. 2009 (BBOB), f19",
    )
