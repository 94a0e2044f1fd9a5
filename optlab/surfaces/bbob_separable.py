"""BBOB, first group: separable functions, which a search along the axes solves.

In all 24, x_opt and f_opt come from the instance, and d, T_osz, T_asy and Lambda are as in `bbob_pieces`.
f_pen is the squared distance to the box [-5, 5]^d.
"""

import jax.numpy as jnp
import numpy as np

from optlab.surfaces.bbob_instances import _known, _optimum, _value
from optlab.surfaces.bbob_pieces import _asymmetric, _graded, _like, _oscillated, _outside, _rastrigin
from optlab.types import Surface


def bbob_f1(dim: int = 2, instance: int = 1) -> Surface:
    """Sphere: whatever cannot solve this is broken.

    ``f(x) = |x - x_opt|^2 + f_opt``

    `dim` from 2, `instance` from 1.
    """
    optimum, value = _optimum(1, dim, instance), _value(1, instance)

    def fn(x):
        (centre,) = _like(x, optimum)
        return jnp.sum((x - centre) ** 2) + value

    return Surface(
        fn=fn,
        **_known(optimum, value),
        tags=("bbob", "separable"),
        source="Hansen et al. 2009 (BBOB), f1",
    )


def bbob_f2(dim: int = 2, instance: int = 1) -> Surface:
    """Separable ellipsoid with ripples, of condition 10^6.

    ``f(x) = sum_i 10^(6 (i-1)/(d-1)) z_i^2 + f_opt`` with ``z = T_osz(x - x_opt)``

    The ripples have no second derivative at the minimum; it is given there as that of the ellipsoid.
    `dim` from 2, `instance` from 1.
    """
    optimum, value = _optimum(2, dim, instance), _value(2, instance)

    def fn(x):
        (centre,) = _like(x, optimum)
        return jnp.sum(_graded(1e6, x) * _oscillated(x - centre) ** 2) + value

    return Surface(
        fn=fn,
        **_known(optimum, value),
        tags=("bbob", "separable", "ill-conditioned"),
        source="Hansen et al. 2009 (BBOB), f2",
    )


def bbob_f3(dim: int = 2, instance: int = 1) -> Surface:
    """Separable Rastrigin, its grid of 10^d minima bent.

    ``f(x) = 10 (d - sum_i cos(2 pi z_i)) + |z|^2 + f_opt`` with ``z = Lambda^10 T_asy^0.2(T_osz(x - x_opt))``

    `dim` from 2, `instance` from 1.
    """
    optimum, value = _optimum(3, dim, instance), _value(3, instance)

    def fn(x):
        (centre,) = _like(x, optimum)
        z = _graded(10**0.5, x) * _asymmetric(_oscillated(x - centre), 0.2)
        return _rastrigin(z) + value

    return Surface(
        fn=fn,
        **_known(optimum, value),
        tags=("bbob", "separable", "multimodal"),
        source="Hansen et al. 2009 (BBOB), f3",
    )


def bbob_f4(dim: int = 2, instance: int = 1) -> Surface:
    """Bueche and Rastrigin's: above the optimum every second coordinate is ten times as dense.

    ``f(x) = 10 (d - sum_i cos(2 pi z_i)) + |z|^2 + 100 f_pen(x) + f_opt`` with ``z_i = s_i T_osz(x_i - x_opt,i)``

    s_i is 10^(1/2 (i-1)/(d-1)), times 10 where i is odd and z_i > 0: the curvature jumps at the minimum. In
    odd coordinates x_opt is positive, which the paper does not say. `dim` from 2, `instance` from 1.
    """
    odd = np.arange(dim) % 2 == 0
    optimum, value = _optimum(4, dim, instance), _value(4, instance)

    def fn(x):
        (centre,) = _like(x, optimum)
        z = _oscillated(x - centre)
        return _rastrigin(_graded(10**0.5, x) * jnp.where(odd & (z > 0), 10 * z, z)) + 100 * _outside(x) + value

    return Surface(
        fn=fn,
        **_known(optimum, value),
        tags=("bbob", "separable", "multimodal"),
        source="Hansen et al. 2009 (BBOB), f4",
    )


def bbob_f5(dim: int = 2, instance: int = 1) -> Surface:
    """Linear slope, down to a corner of the box and flat beyond.

    ``f(x) = sum_i 5 |s_i| - s_i z_i + f_opt`` with ``s_i = sign(x_opt,i) 10^((i-1)/(d-1))``

    z_i is x_i, but x_opt,i = -+5 where x_i lies outside on that side. Only a method that lengthens its steps
    gets there soon. `dim` from 2, `instance` from 1.
    """
    optimum, value = _optimum(5, dim, instance), _value(5, instance)

    def fn(x):
        (corner,) = _like(x, optimum)
        return jnp.sum(_graded(10, x) * (5 - jnp.minimum(jnp.sign(corner) * x, 5))) + value

    return Surface(
        fn=fn,
        **_known(optimum, value),
        tags=("bbob", "separable", "nonsmooth"),
        source="Hansen et al. 2009 (BBOB), f5",
    )
