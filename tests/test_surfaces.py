"""Every surface is what it says it is: its values, its derivatives, and each stationary point it states."""

import ast
import functools
import importlib
import inspect
import json
import pkgutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import yaml

from optlab import surfaces
from optlab.types import Surface, minimum

HERE = Path(__file__).parent
PUBLISHED = json.loads((HERE / "data" / "surfaces.json").read_text())
CATALOGUE = {
    path.stem: config
    for path in sorted((HERE.parent / "conf" / "problem").glob("*.yaml"))
    if (config := yaml.safe_load(path.read_text())).get("_target_", "").startswith("optlab.surfaces.")
}
MODULES = [
    importlib.import_module(f"optlab.surfaces.{module.name}") for module in pkgutil.iter_modules(surfaces.__path__)
]
FUNCTIONS = {
    name: function
    for module in MODULES
    for name, function in vars(module).items()
    if inspect.isfunction(function) and function.__module__ == module.__name__ and not name.startswith("_")
}

# where the published name is not ours; a dimension follows from the published start
RENAMED = {
    "rosenbrock_chained_n4": ("rosenbrock", {}),
    "schwefel226": ("schwefel", {}),
    "michalewicz10": ("michalewicz", {"steepness": 10}),
    "lennard_jones3": ("lennard_jones", {"atoms": 3}),
    "quadratic_k1e6_n20": ("quadratic", {"condition": 1e6}),
    "hilbert8": ("hilbert", {}),
    "nesterov_worst_n10": ("nesterov_worst", {}),
    "deep_linear_scalar_L4": ("deep_linear", {"depth": 4}),
    "matrix_factorization_2x2r1": ("matrix_factorization", {}),
    "phase_retrieval_pop": ("phase_retrieval", {}),
    "crescent_I": ("crescent", {}),
}


def published_case(entry):
    name, numbers = RENAMED.get(entry["name"], (entry["name"], {}))
    if "dim" in inspect.signature(FUNCTIONS[name]).parameters:
        numbers = numbers | {"dim": len(entry["x0"])}
    return case(name, **numbers)


def case(name, **numbers):
    """A surface to be, in a form that can be hashed; numbers equal to the defaults are dropped."""
    defaults = {key: p.default for key, p in inspect.signature(FUNCTIONS[name]).parameters.items()}
    return name, tuple(sorted((key, v) for key, v in numbers.items() if defaults[key] != v))


# beside the defaults and the published ones: sizes and numbers at which the code takes another turn
CASES = sorted(
    {case(name) for name in FUNCTIONS}
    | {published_case(entry) for entry in PUBLISHED}
    | {case("double_well_chain", dim=2), case("double_well_chain", dim=2, coupling=0.0)}
    | {case("deep_linear", depth=2), case("phase_retrieval", dim=4), case("styblinski_tang", dim=5)}
    | {case("dixon_price", dim=3), case("michalewicz", dim=10), case("quadratic", dim=1)}
    | {case("lennard_jones", atoms=2), case("lennard_jones", atoms=4), case("lennard_jones", atoms=13)}
    | {case("lennard_jones", atoms=38), case("minimal_surface", side=4)}
    | {case(name, dim=2) for name in ("mgh_trigonometric", "mgh_brown_almost_linear", "mgh_penalty2")}
    | {case("sigmoid_plateau", steepness=1.0), case("gaussian_well", width=0.5)}
)
DEFAULTS = [c for c in CASES if not c[1]]


def build(case) -> Surface:
    name, numbers = case
    return FUNCTIONS[name](**dict(numbers))


def smooth(case):
    return "nonsmooth" not in build(case).tags


def spell(case):
    name, numbers = case
    return name + "".join(f"-{key}={number:g}" for key, number in numbers)


each_case = pytest.mark.parametrize("case", CASES, ids=spell)
each_smooth_case = pytest.mark.parametrize("case", [c for c in CASES if smooth(c)], ids=spell)
each_default = pytest.mark.parametrize("case", DEFAULTS, ids=spell)

STEP = 1e-6  # of central differences, as a fraction of the domain


@functools.cache
def evaluated(case):
    """Value, gradient and Hessian wherever a test asks for them, from one compiled call a surface."""
    surface = build(case)
    lower, upper = (np.asarray(bound) for bound in surface.domain)
    generator = np.random.default_rng(0)
    inside = lower + (upper - lower) * generator.uniform(0.02, 0.98, (16, len(lower)))
    along = (upper - lower) * generator.normal(size=inside.shape) / len(lower) ** 0.5
    if len(lower) <= 2:  # odd, so that the centre and many a kink lie on it
        axes = np.meshgrid(*np.linspace(lower, upper, 21).T, indexing="ij")
        grid = np.stack(axes, axis=-1).reshape(-1, len(lower))
    else:
        corners = np.stack([lower, upper, (lower + upper) / 2, np.zeros_like(lower)])
        grid = np.concatenate([corners, generator.uniform(lower, upper, (64, len(lower)))])
    parts = {
        "start": np.asarray(surface.start)[None],
        "points": np.asarray([point.x for point in surface.points]).reshape(-1, len(lower)),
        "grid": grid,
        "inside": inside,
        "ahead": inside + STEP * along,
        "behind": inside - STEP * along,
    }

    def all_of_it(x):
        return surface.fn(x), jax.grad(surface.fn)(x), jax.hessian(surface.fn)(x)

    everything = jax.jit(jax.vmap(all_of_it))(np.concatenate(list(parts.values())))
    cuts = np.cumsum([len(part) for part in parts.values()])[:-1]
    split = [np.split(np.asarray(array), cuts) for array in everything]
    return {"along": along} | {name: (parts[name], *arrays) for name, *arrays in zip(parts, *split, strict=True)}


def inertia(hessian):
    """Negative and vanishing eigenvalues, the latter to 1e-8 of the largest: points have 16 digits."""
    eigenvalues = np.linalg.eigvalsh(hessian)
    small = 1e-8 * np.abs(eigenvalues).max()
    return np.sum(eigenvalues < -small), np.sum(np.abs(eigenvalues) <= small)


def rounding(case):
    """What the last digit of each place leaves open of the value: `[m]`; much where large terms cancel (Meyer)."""
    places, values, _, hessians = evaluated(case)["points"]
    curvature = np.einsum("mi,mij,mj->m", np.abs(places), np.abs(hessians), np.abs(places))
    return np.finfo(float).eps * np.sqrt(np.abs(values) * curvature)


def test_every_surface_is_in_the_catalogue_under_its_own_name():
    targets = {name: config["_target_"] for name, config in CATALOGUE.items()}
    assert {name: f"optlab.surfaces.{name}" for name in FUNCTIONS}.items() <= targets.items()


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_line_of_the_catalogue_names_a_surface_that_can_be_built(name):
    function = getattr(surfaces, CATALOGUE[name]["_target_"].removeprefix("optlab.surfaces."))
    known = inspect.signature(function).parameters  # the other keys belong to `problems`
    surface = function(**{key: value for key, value in CATALOGUE[name].items() if key in known})
    assert isinstance(surface, Surface)
    if "start" in CATALOGUE[name]:
        assert len(CATALOGUE[name]["start"]) == len(surface.start)


@each_default
def test_what_a_surface_says_can_be_read_without_running_it(case):
    name, _ = case
    function = FUNCTIONS[name]
    first, blank, *rest = inspect.getdoc(function).splitlines()
    assert first.endswith(".") and blank == "" and name not in first.lower().split()
    assert any(line.startswith("``f(") for line in rest)
    calls = [
        node
        for node in ast.walk(ast.parse(inspect.getsource(function)))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Surface"
    ]
    keywords = {keyword.arg: keyword.value for keyword in calls[0].keywords}
    assert ast.literal_eval(keywords["tags"]) == build(case).tags
    assert ast.literal_eval(keywords["source"])
    assert ("residual" in keywords) == ("least-squares" in build(case).tags)


@each_case
def test_start_and_stated_points_lie_in_the_domain(case):
    surface = build(case)
    lower, upper = (np.asarray(bound) for bound in surface.domain)
    for x in (surface.start, *(point.x for point in surface.points)):
        assert np.shape(x) == lower.shape == upper.shape
        assert np.all((lower <= np.asarray(x)) & (np.asarray(x) <= upper))


@each_smooth_case
def test_the_gradient_vanishes_at_every_stated_point(case):
    places, _, gradients, hessians = evaluated(case)["points"]
    # a place known to a relative 1e-10 leaves a gradient of so much of the Hessian
    allowed = 1e-10 * np.linalg.norm(hessians, axis=(1, 2)) * (1 + np.linalg.norm(places, axis=1))
    np.testing.assert_array_less(np.linalg.norm(gradients, axis=1), allowed + 1e-300)


@each_smooth_case
def test_the_hessian_has_the_stated_kind_and_index(case):
    for point, hessian in zip(build(case).points, evaluated(case)["points"][3], strict=True):
        negative, zero = inertia(hessian)
        assert negative == point.index
        if point.kind == "minimum":
            assert negative == 0
        elif point.kind == "saddle":
            assert 0 < negative < len(hessian)
        elif point.kind == "maximum":
            assert negative == len(hessian)
        else:
            assert point.kind == "degenerate" and zero > 0


@each_case
def test_the_surface_has_the_stated_value_at_every_stated_point(case):
    stated = np.asarray([point.value for point in build(case).points])
    error = np.abs(evaluated(case)["points"][1] - stated)
    assert np.all(error <= 2e-14 * (1 + np.abs(stated)) + rounding(case))


@each_case
def test_nothing_in_the_domain_lies_below_the_first_point_where_it_is_a_minimum(case):
    surface, seen = build(case), evaluated(case)
    if surface.points and surface.points[0].kind == "minimum":
        values = np.concatenate([seen[part][1] for part in ("start", "points", "grid", "inside")])
        allowed = 1e-13 * (1 + abs(surface.points[0].value)) + rounding(case)[0]
        assert values.min() >= surface.points[0].value - allowed
    if "unbounded" in surface.tags:
        assert minimum(surface) is None


# what is rough has waves and kinks between the two places of a difference; its own test looks closer
@pytest.mark.parametrize("case", [c for c in CASES if "rough" not in build(c).tags], ids=spell)
def test_the_gradient_agrees_with_central_differences(case):
    seen = evaluated(case)
    _, value, gradient, _ = seen["inside"]
    expected = np.sum(gradient * seen["along"], axis=1)
    difference = (seen["ahead"][1] - seen["behind"][1]) / (2 * STEP)
    truncation = 1e-5 * np.sum(np.abs(gradient * seen["along"]), axis=1)
    cancellation = 100 * np.finfo(float).eps * (1 + np.abs(value)) / STEP
    np.testing.assert_array_less(np.abs(difference - expected), truncation + cancellation)


@each_case
def test_value_and_gradient_are_finite_all_over_the_domain(case):
    for part in ("start", "points", "grid", "inside"):
        _, value, gradient, _ = evaluated(case)[part]
        assert np.isfinite(value).all() and np.isfinite(gradient).all()


@each_default
def test_values_are_the_same_with_and_without_compilation(case):
    for part in ("start", "grid"):
        places, values, *_ = evaluated(case)[part]
        np.testing.assert_allclose(build(case).fn(jnp.asarray(places[0])), values[0], rtol=1e-12, atol=1e-12)


@each_default
def test_float32_stays_float32(case):
    name, _ = case
    numbers = {  # as a sweep gives them: arrays of the widest type
        key: jnp.asarray(p.default, float)
        for key, p in inspect.signature(FUNCTIONS[name]).parameters.items()
        if isinstance(p.default, float)
    }
    surface = FUNCTIONS[name](**numbers)
    x = jnp.asarray(surface.start, jnp.float32)
    functions = [surface.fn, jax.grad(surface.fn), *([surface.residual] if surface.residual else [])]
    for function in functions:
        assert jax.eval_shape(function, x).dtype == jnp.float32
    assert surface.fn(x).shape == ()


@each_case
def test_half_the_squared_residual_is_the_surface(case):
    surface = build(case)
    if surface.residual is not None:
        places, values, *_ = evaluated(case)["inside"]
        residuals = jax.jit(jax.vmap(surface.residual))(places)
        assert residuals.ndim == 2
        np.testing.assert_allclose(0.5 * np.sum(np.asarray(residuals) ** 2, axis=1), values, rtol=1e-13)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_float_parameter_may_be_traced(name):
    parameters = inspect.signature(FUNCTIONS[name]).parameters
    numbers = {key: p.default for key, p in parameters.items() if isinstance(p.default, float)}
    sizes = {"dim": 2} if "dim" in parameters else {}

    def everything(numbers):
        surface = FUNCTIONS[name](**numbers, **sizes)
        start = jnp.asarray(surface.start, float)
        points = [(jnp.asarray(point.x, float), jnp.asarray(point.value)) for point in surface.points]
        return surface.fn(start), points

    jax.eval_shape(everything, numbers)


# functions that grow to infinity in every direction, and of which all stationary points are stated
@pytest.mark.parametrize(
    "case",
    [
        *map(case, ["bounded_strict_saddle", "three_hump_camel", "six_hump_camel", "himmelblau"]),
        *map(case, ["muller_brown", "styblinski_tang", "phase_retrieval", "goldstein_price"]),
        *map(case, ["rosenbrock", "freudenstein_roth", "dixon_price", "booth", "matyas", "trid"]),
        *map(case, ["quadratic", "zakharov", "nesterov_chebyshev_rosenbrock_smooth", "cliff"]),
        case("double_well_chain", dim=2),
    ],
    ids=spell,
)
def test_minima_less_saddles_and_maxima_make_one(case):
    kinds = [point.kind for point in build(case).points]
    assert len(build(case).start) == 2 and "degenerate" not in kinds
    assert kinds.count("minimum") - kinds.count("saddle") + kinds.count("maximum") == 1


@pytest.mark.parametrize("entry", PUBLISHED, ids=lambda entry: entry["name"])
def test_published_points_values_and_starts_are_ours(entry):
    surface = build(published_case(entry))
    np.testing.assert_array_equal(surface.start, entry["x0"])
    places, values, _, hessians = evaluated(published_case(entry))["points"]
    for point in entry["pts"]:
        distance = np.linalg.norm(places - np.asarray(point["x"]), axis=1)
        near = distance.argmin()
        # published to eight decimals; where there is a kink the value inherits their error
        assert distance[near] < 1e-7
        tolerance = 1e-12 if smooth(published_case(entry)) else 1e-6
        np.testing.assert_allclose(values[near], point["f"], rtol=tolerance, atol=tolerance)
        if point["morse_neg"] >= 0:
            assert inertia(hessians[near]) == (point["morse_neg"], point["zero"])


# Wales and Doye 1997; the Cambridge Cluster Database, to its six decimals
@pytest.mark.parametrize("atoms, energy", [(2, -1), (3, -3), (4, -6), (13, -44.326801), (38, -173.928427)])
def test_clusters_have_the_energies_of_the_database(atoms, energy):
    np.testing.assert_allclose(build(case("lennard_jones", atoms=atoms)).points[0].value, energy, atol=5.1e-7)


def descend(case, optimizer, start, steps):
    surface = build(case)
    x = jnp.asarray(start)

    def step(carry, _):
        x, state = carry
        updates, state = optimizer.update(jax.grad(surface.fn)(x), state, x)
        x = optax.apply_updates(x, updates)
        return (x, state), x

    return np.asarray(jax.jit(lambda x: jax.lax.scan(step, (x, optimizer.init(x)), length=steps))(x)[1])


@pytest.mark.parametrize("learning_rate", [0.05, 0.1, 0.2])
def test_a_step_at_the_cliff_is_thrown_far_away_unless_the_gradient_is_clipped(learning_rate):
    start = build(case("cliff")).start
    plain = optax.sgd(learning_rate)
    clipped = optax.chain(optax.clip_by_global_norm(1.0), plain)
    far = descend(case("cliff"), plain, start, 200)
    near = descend(case("cliff"), clipped, start, 200)
    assert far[:, 0].min() < -100 * learning_rate and np.abs(near).max() <= np.abs(start).max()
    assert np.linalg.norm(near[-1]) < 1e-2


def test_the_two_ways_into_the_inflection_end_differently():
    into, past = (CATALOGUE[name]["start"] for name in ("inflection_x", "inflection_y"))
    stuck = descend(case("inflection_quartic"), optax.sgd(0.02), into, 1000)[-1]
    through = descend(case("inflection_quartic"), optax.sgd(0.02), past, 1000)[-1]
    np.testing.assert_allclose(stuck, [0, 0], atol=0.01)
    np.testing.assert_allclose(through, [1, 0], atol=1e-6)


def test_newton_goes_round_in_a_circle_and_away_as_the_traps_promise():
    def newton(name, x):
        fn = build(case(name)).fn
        x = jnp.asarray(x)
        gradient, hessian = jax.jit(lambda x: (jax.grad(fn)(x), jax.hessian(fn)(x)))(x)
        return x - gradient / hessian[0]

    np.testing.assert_allclose(newton("newton_cycle", [0.0]), [1], rtol=1e-15)
    np.testing.assert_allclose(newton("newton_cycle", [1.0]), [0], atol=1e-15)
    np.testing.assert_allclose(newton("newton_diverge_sqrt", [1.1]), [-(1.1**3)], rtol=1e-14)
