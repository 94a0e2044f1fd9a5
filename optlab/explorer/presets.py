"""Stories that the page opens with one click: a surface, a start, and what to look at there."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Preset(NamedTuple):
    """One story."""

    name: str
    says: str  #: one sentence: what is to be seen
    surface: str
    start: Sequence[float]
    optimizers: Sequence[str]
    numbers: Mapping[str, Mapping[str, float]] = {}  #: {optimizer: {name: value}}; the others as the catalogue has them
    steps: int = 500
    clock: str = "steps"


PRESETS = (
    Preset(
        "Saddle",
        "Newton's step leads to the nearest point without slope, and here that is the saddle; gradient descent "
        "leaves it, slowly, and momentum soon.",
        "bounded_strict_saddle",
        (1.2, 0.01),
        ("gradient_descent", "heavy_ball", "adam", "bfgs", "newton", "trust_region"),
        {"gradient_descent": {"learning_rate": 0.05}, "heavy_ball": {"learning_rate": 0.05, "momentum": 0.8}}
        | {"adam": {"learning_rate": 0.05}},
        300,
    ),
    Preset(
        "Inflection, head on",
        "Head on, all meet the flat step: gradient descent crawls, Newton and the trust region stop without a slope, "
        "and momentum carries over.",
        "inflection_quartic",
        (-0.5, 0.1),
        ("gradient_descent", "heavy_ball", "adam", "bfgs", "newton", "trust_region"),
        {"gradient_descent": {"learning_rate": 0.02}, "heavy_ball": {"learning_rate": 0.02, "momentum": 0.8}}
        | {"adam": {"learning_rate": 0.05}},
        500,
    ),
    Preset(
        "Inflection, from the side",
        "From the side the slope points past the flat step and all slide by, but for Newton: its step leads to where "
        "there is no slope.",
        "inflection_quartic",
        (0.05, 1.4),
        ("gradient_descent", "heavy_ball", "adam", "bfgs", "newton", "trust_region"),
        {"gradient_descent": {"learning_rate": 0.02}, "heavy_ball": {"learning_rate": 0.02, "momentum": 0.8}}
        | {"adam": {"learning_rate": 0.05}},
        500,
    ),
    Preset(
        "Long valley",
        "Down to the floor in a few steps, and then along it: without curvature that takes thousands.",
        "rosenbrock",
        (-1.2, 1.0),
        ("gradient_descent", "heavy_ball", "adam", "nonlinear_cg", "lbfgs", "bfgs", "newton"),
        {"gradient_descent": {"learning_rate": 0.002}, "heavy_ball": {"learning_rate": 0.001}}
        | {"adam": {"learning_rate": 0.1}},
        2000,
    ),
    Preset(
        "Plateau",
        "Where the slope is nearly nothing the length of a step decides: methods that scale by it walk on.",
        "sigmoid_plateau",
        (1.3, 0.9),
        ("gradient_descent", "heavy_ball", "rmsprop", "adam", "lbfgs", "newton", "trust_region"),
        {"gradient_descent": {"learning_rate": 0.1}, "heavy_ball": {"learning_rate": 0.1}}
        | {"adam": {"learning_rate": 0.05}, "rmsprop": {"learning_rate": 0.02}},
        1000,
    ),
)
