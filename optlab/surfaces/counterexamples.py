"""Functions on which a trusted method fails, each made for one method, as a proof that it may."""

import jax.numpy as jnp
import numpy as np

from optlab.types import Point, Surface


def heavy_ball_cycle() -> Surface:
    """A convex function on which the heavy ball with the best numbers for a quadratic goes round for ever.

    ``f(x) = 25/2 x^2`` up to 1, ``f(x) = x^2 / 2 + 24 x - 12`` up to 2, ``f(x) = 25/2 x^2 - 24 x + 36`` beyond

    The curvature is 25, then 1, then 25 again, and the gradient continuous. With rate 4 / (sqrt(25) + sqrt(1))^2 = 1/9
    and momentum ((5 - 1) / (5 + 1))^2 = 4/9, from a start between 3.07 and 3.46, the ball ends in a cycle of
    three places: 792/1225, -2208/1225 and 2592/1225.
    """

    def fn(p):
        (x,) = p
        middle = 0.5 * x**2 + 24 * x - 12
        return jnp.where(x < 1, 12.5 * x**2, jnp.where(x < 2, middle, 12.5 * x**2 - 24 * x + 36))

    return Surface(
        fn=fn,
        start=[3.3],
        domain=([-4.0], [4.0]),
        points=(Point([0.0], 0.0, "minimum"),),
        tags=("counterexample", "convex"),
        source="Lessard, Recht and Packard 2016",
    )


def bfgs_cycle() -> Surface:
    """A polynomial on which BFGS, with steps that every line search accepts, goes round a circle of no minima.

    ``f(x) = Re(conj(w) sum_ab c_ab z^a conj(z)^b)`` with ``(Re z, Im z, Re w, Im w) = C x``

    From the start the unit step is a local minimizer of every search. z jumps round a regular octagon, w turns by a
    right angle and shrinks by 0.8385 at each step: f falls to zero and the gradient does not. It works because f
    is the same, but for that factor, after z has turned by 45 and w by 90 degrees, so that one step of BFGS that maps
    one corner to the next maps all. Rounding errors grow by half a step, and after some 65 steps the iterates leave.
    The 13 numbers c and the map C solve the equations of such a step and of a first one from an identity matrix.
    Linear in w, f has no bound. Stated are the origin, where all second derivatives vanish, and one saddle of many.
    """
    terms = {
        (0, 6): (-0.01091236648387174, -0.0006005075257847533),
        (2, 0): (-0.006205048993560707, 0.014125068129742038),
        (2, 8): (0.0015492350412311538, -0.00039473868564781755),
        (3, 1): (-0.00024980861247864535, 0.018634589785246177),
        (5, 3): (-2.1208115517651686e-05, 0.0014845843157532824),
        (6, 4): (0.0, -0.0011563722796622152),
        (10, 0): (-0.0004384321034019073, 0.0006798028351629953),
    }
    C = np.asarray(
        [
            [-2.716357731852545, 0.0, 0.0, 0.0],
            [0.9825161834121418, -2.822470419834679, 0.0, 0.0],
            [-1.724324387048737, 0.36583953042552186, 4.87271158855398, 0.0],
            [0.2574293066826171, 0.3040224674898613, -0.3965723005219267, 4.034227556883438],
        ]
    )

    def fn(x):
        re, im, u, v = jnp.asarray(C, x.dtype) @ x
        z, conjugate = re + 1j * im, re - 1j * im
        slope = sum((real + 1j * imag) * z**a * conjugate**b for (a, b), (real, imag) in terms.items())
        return slope.real * u + slope.imag * v

    return Surface(
        fn=fn,
        start=[0.7211780276832462, 0.5998591838130127, 0.6393099374036161, 0.07425772384659377],
        domain=([-1.0] * 4, [1.0] * 4),
        points=(
            Point([0.0] * 4, 0.0, "degenerate"),
            Point(
                [0.5853213634068757, -0.03175000888935543, 0.20951359237519349, -0.014361824807152217], 0.0, "saddle", 2
            ),
        ),
        tags=("counterexample", "saddle", "unbounded"),
        source="after Dai 2013; the coefficients are optlab's",
    )
