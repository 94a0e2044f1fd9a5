"""What the BBOB functions are put together from: the maps T_osz, T_asy and Lambda, and sums that several share.

Each is written so that its derivatives are finite where its own are not, or do not exist: a second `where`
keeps what is not taken out of the gradient.
"""

import math

import jax.numpy as jnp
import numpy as np


def _like(x, *arrays):
    """The arrays in the precision of x, which is what decides how a surface is evaluated."""
    return tuple(jnp.asarray(array, x.dtype) for array in arrays)


def _turn(R, x):
    """R x, with all digits: accelerators keep ten bits of the factors unless asked."""
    return jnp.matmul(R, x, precision="highest")


def _steps(x):
    """(i - 1) / (d - 1) for i from 1 to d: `[d]`."""
    return jnp.asarray(np.linspace(0, 1, x.size), x.dtype)


def _graded(base: float, x):
    """Factors from 1 to `base` in equal ratios; the diagonal of Lambda^alpha with base sqrt(alpha): `[d]`."""
    return jnp.asarray(base ** np.linspace(0, 1, x.size), x.dtype)


def _oscillated(x):
    """T_osz, smooth but for 0: ``x exp(0.049 (sin(c_1 log |x|) + sin(c_2 log |x|)))``, other c on either side.

    There the ripples become infinitely narrow, and the slope, which swings between 0.1 and 1.9, is given as 1.
    """
    safe = jnp.where(x == 0, 1, x)
    log = jnp.log(jnp.abs(safe))
    ripples = jnp.where(x > 0, jnp.sin(10 * log) + jnp.sin(7.9 * log), jnp.sin(5.5 * log) + jnp.sin(3.1 * log))
    return jnp.where(x == 0, x, safe * jnp.exp(0.049 * ripples))


def _asymmetric(x, beta: float):
    """T_asy^beta: ``x_i^(1 + beta (i-1)/(d-1) sqrt(x_i))`` where x_i is positive, x_i elsewhere."""
    safe = jnp.where(x > 0, x, 1)
    return jnp.where(x > 0, safe ** (1 + beta * _steps(x) * jnp.sqrt(safe)), x)


def _power(y, exponent: float):
    """y^exponent for y from 0, with the slope at 0 given as 0 where it is infinite."""
    return jnp.where(y > 0, jnp.where(y > 0, y, 1) ** exponent, 0)


def _rounded(x):
    """To the nearest integer, halves upwards."""
    return jnp.floor(x + 0.5)


def _outside(x, bound: float = 5.0):
    """f_pen, the squared distance to the box: `[]`."""
    return jnp.sum(jnp.maximum(jnp.abs(x) - bound, 0) ** 2)


def _rastrigin(z):
    """``10 (d - sum_i cos(2 pi z_i)) + |z|^2``, the cosine as a sine so that nothing cancels near 0."""
    return jnp.sum(20 * jnp.sin(math.pi * z) ** 2 + z**2)


def _rosenbrock(z):
    """The terms of the chain, ``100 (z_i^2 - z_{i+1})^2 + (z_i - 1)^2``: `[d-1]`."""
    return 100 * (z[:-1] ** 2 - z[1:]) ** 2 + (z[:-1] - 1) ** 2


def _stretch(dim: int) -> float:
    """max(1, sqrt(d) / 8): keeps Rosenbrock's valley as wide as the box grows."""
    return max(1.0, dim**0.5 / 8)
