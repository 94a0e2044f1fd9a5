"""Functions on which a trusted method fails, each made for one method, as a proof that it may."""

import math

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


def polak_ribiere_cycle() -> Surface:
    """A function on which conjugate gradients of Polak and Ribiere, with an ideal line search, go round no minima.

    ``f(x, y, z) = y P(x) + z Q(x) + max(0, 0.18 - cos x)^3 + (y^2 + z^2)^2 / 4``
    with ``P(x) = sum_n a_n cos n x, Q(x) = sum_n b_n sin n x``

    Bounded below and twice continuously differentiable. From the start, the first direction being -g and each step
    going to the first local minimizer of its line, x tends to 1.285, -0.796, -1.285, 0.796 and round again, with
    gradients of 0.112, 1, 0.112 and 1 along (0, P, Q); y and z shrink by 0.9199 in two steps, and f falls to zero.
    As Powell needs it, all directions tend to the x axis, and each second one is nearly contrary to the last: its
    beta is -0.0135, the others' 80. Cut at zero (PR+) beta leaves the cycle. It attracts: rounding does not grow.
    Its numbers are from a search over such cycles with f(-x, y, -z) = f(x, y, z), each with a linear program for the
    coefficients that make f fall all along these lines. The first step starts beside the saddle at x = pi.
    """
    a = (-0.5128449946, 0.5568084627, -0.0316643893, -0.3541664956)
    a += (0.4060583789, -0.2442014337, 0.0837092725, -0.0131886148)
    b = (1.2013726979, 0.199743815, -0.9704044081, 1.3444706665, -0.170089625, -0.8397701106, 0.4717700939)

    minima = (
        ([1.8916172060060632, 0.2287076798827292, -1.5700665692151556], -4.63149673359834),
        ([2.503471390510927, 0.887613649289649, 1.0817658279667386], -1.9250548586231846),
        ([0.8202990935361533, 0.11129236986253521, -0.9951495435425393], -0.7540684108120479),
    )
    saddles = (
        ([2.2663104524745177, 1.1627180267841155, -0.06405111880165601], -0.8261406671152005),
        ([1.287915994625637, 0.47794757239657715, -0.05838490562878158], -0.04031327091182589),
    )
    points = (
        *(Point([sign * x, y, sign * z], value, "minimum") for (x, y, z), value in minima for sign in (1, -1)),
        *(Point([sign * x, y, sign * z], value, "saddle", 1) for (x, y, z), value in saddles for sign in (1, -1)),
        *(Point([x, -0.018516809654925, 0.0], 1.6430319118289702, "saddle", 1) for x in (math.pi, -math.pi)),
        Point([0.0, 0.4784000751471249, 0.0], -0.03928495139820355, "saddle", 1),
    )

    def fn(p):
        x, y, z = p
        P = sum(a_n * jnp.cos(n * x) for n, a_n in enumerate(a))
        Q = sum(b_n * jnp.sin(n * x) for n, b_n in enumerate(b, 1))
        return y * P + z * Q + jnp.maximum(0, 0.18 - jnp.cos(x)) ** 3 + 0.25 * (y**2 + z**2) ** 2

    return Surface(
        fn=fn,
        start=[3.141555159570912, -0.01840346917593015, -0.0004558087529592823],
        domain=([-3.2, -2.0, -2.0], [3.2, 2.0, 2.0]),
        points=points,
        tags=("counterexample", "saddle", "multimodal"),
        source="after Powell 1984; the coefficients are optlab's",
    )
