"""BBOB, fifth group: many basins that do not tell where the best one is."""

import jax.numpy as jnp
import numpy as np

from optlab.surfaces.bbob_instances import _known, _optimum, _Peaks, _peaks, _rotations, _value
from optlab.surfaces.bbob_pieces import _graded, _like, _oscillated, _outside, _rounded, _turn
from optlab.types import Surface


def bbob_f20(dim: int = 2, instance: int = 1) -> Surface:
    """Schwefel: the 2^d best basins sit near the corners, and all but one of them are false.

    ``f(x) = 4.189828872724339 - 1/(100 d) sum_i z_i sin(sqrt(|z_i|)) + 100 f_pen(z / 100) + f_opt`` with
    ``z = 100 (Lambda^10 y + 2 |x_opt|)``

    y_i is how far 2 |x_i|, taken on the side of x_opt, is from 2 |x_opt,i|, and a quarter of that of its
    predecessor. `dim` from 2, `instance` from 1.
    """
    optimum, value = _optimum(20, dim, instance), _value(20, instance)

    def fn(x):
        (centre,) = _like(x, optimum)
        off = 2 * jnp.sign(centre) * (x - centre)
        y = off.at[1:].add(0.25 * off[:-1])
        z = 100 * (_graded(10**0.5, x) * y + 2 * jnp.abs(centre))
        size = jnp.abs(z)
        root = jnp.sqrt(jnp.where(size > 0, size, 1))  # the term vanishes at 0, where the root has no slope
        return 0.01 * (418.9828872724339 - jnp.mean(z * jnp.sin(root)) + _outside(z, 500)) + value

    return Surface(
        fn=fn,
        **_known(optimum, value),
        tags=("bbob", "multimodal", "weak-structure"),
        source="Hansen et al. 2009 (BBOB), f20",
    )


def _gallagher(peaks: _Peaks, rotation, value):
    """The upper hull of the peaks, which both Gallagher functions share."""
    turned = peaks.centres @ rotation.T  # once, not for every peak at every evaluation

    def fn(x):
        places, curvatures, heights, Q = _like(x, turned, peaks.curvatures, peaks.heights, rotation)
        square = jnp.sum(curvatures * (_turn(Q, x)[None] - places) ** 2, axis=1)
        hills = heights * jnp.exp(-square / (2 * x.size))
        # not `jnp.max`: where peaks tie, a compiled gradient may divide by a count of zero
        return _oscillated(10 - hills[jnp.argmax(hills)]) ** 2 + _outside(x) + value

    return fn


def bbob_f21(dim: int = 2, instance: int = 1) -> Surface:
    """Gallagher's 101 peaks, turned upside down, each with a condition of its own up to 1000.

    ``f(x) = T_osz(10 - max_i w_i exp(-1/(2d) (x - y_i)^T Q^T C_i Q (x - y_i)))^2 + f_pen(x) + f_opt``

    Far from all peaks it is almost flat; at the bottom it is a fourth power, and the Hessian zero. `dim` from
    2, `instance` from 1.
    """
    peaks, value = _peaks(21, 101, 10.0, 1000**0.5, dim, instance), _value(21, instance)
    return Surface(
        fn=_gallagher(peaks, _rotations(21, dim, instance)[1], value),
        **_known(peaks.centres[0], value),
        tags=("bbob", "multimodal", "weak-structure", "plateau"),
        source="Hansen et al. 2009 (BBOB), f21",
    )


def bbob_f22(dim: int = 2, instance: int = 1) -> Surface:
    """Gallagher's 21 peaks, turned upside down, the best of them as stretched as any.

    ``f(x) = T_osz(10 - max_i w_i exp(-1/(2d) (x - y_i)^T Q^T C_i Q (x - y_i)))^2 + f_pen(x) + f_opt``

    As the one with 101, with fewer peaks and a condition of 1000 at the best one. `dim` from 2, `instance` from 1.
    """
    peaks, value = _peaks(22, 21, 9.8, 1000.0, dim, instance), _value(22, instance)
    return Surface(
        fn=_gallagher(peaks, _rotations(22, dim, instance)[1], value),
        **_known(peaks.centres[0], value),
        tags=("bbob", "multimodal", "weak-structure", "plateau", "ill-conditioned"),
        source="Hansen et al. 2009 (BBOB), f22",
    )


def bbob_f23(dim: int = 2, instance: int = 1) -> Surface:
    """Katsuura: more than 10^d minima, kinks on every scale down to 2^-32.

    ``f(x) = 10/d^2 prod_i (1 + i sum_{j=1}^32 |2^j z_i - [2^j z_i]| / 2^j)^(10 / d^1.2) - 10/d^2 + f_pen(x) + f_opt``
    with ``z = R Lambda^100 Q (x - x_opt)`` and [] the nearest integer

    `dim` from 2, `instance` from 1.
    """
    optimum, value = _optimum(23, dim, instance), _value(23, instance)
    rotations = _rotations(23, dim, instance)
    powers, index = 2.0 ** np.arange(1, 33), np.arange(1, dim + 1)

    def fn(x):
        centre, R, Q, scales, i = _like(x, optimum, *rotations, powers, index)
        z = _turn(R, _graded(10, x) * _turn(Q, x - centre))
        scaled = z[:, None] * scales[None]
        rough = jnp.sum(jnp.abs(scaled - _rounded(scaled)) / scales[None], axis=1)
        # the product less 1 without cancelling
        return 10 / dim**2 * jnp.expm1(10 / dim**1.2 * jnp.sum(jnp.log1p(i * rough))) + _outside(x) + value

    return Surface(
        fn=fn,
        **_known(optimum, value),
        tags=("bbob", "multimodal", "weak-structure", "nonsmooth", "rough"),
        source="Hansen et al. 2009 (BBOB), f23",
    )


def bbob_f24(dim: int = 2, instance: int = 1) -> Surface:
    """Lunacek's two funnels under Rastrigin's waves, the wider one false.

    ``f(x) = min(|y - m_0|^2, d + s |y - m_1|^2) + 10 (d - sum_i cos(2 pi z_i)) + 10^4 f_pen(x) + f_opt`` with
    ``z = R Lambda^100 Q (y - m_0)``

    y is 2 x on the side of x_opt, ``m_0 = 2.5``, ``m_1 = -sqrt((m_0^2 - 1) / s)`` and
    ``s = 1 - 1 / (2 sqrt(d + 20) - 8.2)``. `dim` from 2, `instance` from 1.
    """
    optimum, value = _optimum(24, dim, instance), _value(24, instance)
    rotations = _rotations(24, dim, instance)
    near, s = 2.5, 1 - 1 / (2 * (dim + 20) ** 0.5 - 8.2)
    far = -(((near**2 - 1) / s) ** 0.5)

    def fn(x):
        centre, R, Q = _like(x, optimum, *rotations)
        y = 2 * jnp.sign(centre) * x
        funnels = jnp.minimum(jnp.sum((y - near) ** 2), dim + s * jnp.sum((y - far) ** 2))
        z = _turn(R, _graded(10, x) * _turn(Q, y - near))
        waves = 20 * jnp.sum(jnp.sin(jnp.pi * z) ** 2)
        return funnels + waves + 1e4 * _outside(x) + value

    return Surface(
        fn=fn,
        **_known(optimum, value),
        tags=("bbob", "multimodal", "weak-structure"),
        source="Hansen et al. 2009 (BBOB), f24",
    )
