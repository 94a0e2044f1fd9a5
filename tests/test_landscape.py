"""Slices, paths and connections against closed forms, and the command that stores and draws them."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_training import TINY, tiny

import optlab
from optlab import landscape
from optlab.landscape import Plane
from optlab.problems import from_surface
from optlab.types import Problem, full_batch


def bowl(A, b):
    """f = 1/2 x'Ax - b'x on a tree of two leaves: its values on planes are polynomials."""
    d = len(b)

    def split(x):
        return {"matrix": x[: d - 2].reshape(-1, 2), "vector": x[d - 2 :]}

    def joined(tree):
        return jnp.concatenate([tree["matrix"].ravel(), tree["vector"]])

    def loss(tree, data):
        x = joined(tree)
        return 0.5 * x @ (A @ x) - b @ x

    problem = Problem(
        init=lambda key: split(jnp.zeros(d)),
        batch=full_batch,
        loss=loss,
        measure=lambda tree, data: {"value": loss(tree, data)},
    )
    return problem, split, joined


def random_bowl(seed, d=6):
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((d, d))
    return root @ root.T + np.eye(d), rng.standard_normal(d), rng


# Directions


@settings(max_examples=4)
@given(st.integers(0, 1000), st.integers(1, 4), st.integers(1, 4))
def test_a_filter_normalised_direction_has_each_filters_norm_and_no_biases(seed, rows, filters):
    key = jax.random.key(seed)
    params = {
        "kernel": jax.random.normal(key, (rows, 3, filters)),
        "bias": jnp.ones(filters),
        "dead": jnp.zeros((2, filters)),
    }
    plane = landscape.random_plane(jax.random.key(seed + 1), params)
    for u in plane.directions:
        for leaf in ("kernel", "dead"):
            norms = [np.linalg.norm(np.reshape(t[leaf], (-1, filters)), axis=0) for t in (u, params)]
            np.testing.assert_allclose(*norms, rtol=1e-12)  # a sum of a dozen squares
        assert not np.any(u["bias"])


def test_layers_and_the_whole_model_are_scaled_as_asked():
    params = {"a": 3 * jnp.ones((4, 5)), "b": jnp.arange(7.0)}
    for name, parts in (("layer", ("a", "b")), ("model", ())):
        (u,) = landscape.random_plane(jax.random.key(0), params, normalize=name, dimensions=1).directions
        for leaf in parts:
            assert jnp.linalg.norm(u[leaf]) == pytest.approx(float(jnp.linalg.norm(params[leaf])))
        assert landscape.as_matrix([u]) @ landscape.as_matrix([u]).T == pytest.approx(
            landscape.as_matrix([params]) @ landscape.as_matrix([params]).T
        )


def test_the_same_key_draws_the_same_plane_and_another_another():
    params = {"kernel": jnp.ones((3, 4))}
    one, same, other = (landscape.random_plane(jax.random.key(k), params) for k in (3, 3, 4))
    jax.tree.map(np.testing.assert_array_equal, one, same)
    assert not np.allclose(one.directions[0]["kernel"], other.directions[0]["kernel"])
    assert not np.allclose(one.directions[0]["kernel"], one.directions[1]["kernel"])


def test_vectors_have_no_filters():
    with pytest.raises(ValueError, match="there are no filters: all parameters are vectors; take normalize=none"):
        landscape.random_plane(jax.random.key(0), jnp.ones(3))
    with pytest.raises(ValueError, match="normalize must be one of filter, layer, model, none, not 'filtre'"):
        landscape.random_plane(jax.random.key(0), jnp.ones(3), normalize="filtre")


@settings(max_examples=15)
@given(st.integers(0, 1000))
def test_places_on_a_slanted_plane_are_found_again_and_the_rest_is_off_it(seed):
    rng = np.random.default_rng(seed)
    origin, u, v, w = rng.standard_normal((4, 7))
    v = v + 2 * u  # far from orthogonal
    basis = np.linalg.qr(np.stack([u, v], axis=1))[0]
    w -= basis @ (basis.T @ w)
    plane = Plane(jnp.asarray(origin), (jnp.asarray(u), jnp.asarray(v)))
    on = landscape.place(plane, np.array([0.7, -1.3]))
    coordinates, off = landscape.located(plane, on + w)
    np.testing.assert_allclose(coordinates, [0.7, -1.3], atol=1e-10)  # condition of the basis, up to 1e4
    assert off == pytest.approx(np.linalg.norm(w), rel=1e-9)
    assert landscape.cosine(plane) == pytest.approx(u @ v / np.linalg.norm(u) / np.linalg.norm(v))


@pytest.mark.parametrize("shape", [(5, 40), (40, 5)], ids=["more dimensions", "more points"])
def test_a_path_in_a_plane_is_shown_with_its_own_distances(shape):
    rng = np.random.default_rng(1)
    T, d = shape
    flat = rng.standard_normal((T, 2)) @ np.linalg.qr(rng.standard_normal((d, 2)))[0].T
    path = [jnp.asarray(x) for x in flat]
    found = landscape.principal_plane([path])
    np.testing.assert_allclose(found.explained[:2].sum(), 1, atol=1e-12)
    places = np.stack([landscape.located(found.plane, x)[0] for x in path])
    distances = [np.linalg.norm(p[:, None] - p[None], axis=2) for p in (places, flat)]
    np.testing.assert_allclose(*distances, atol=1e-9)  # directions come from a square root of rounding
    np.testing.assert_allclose([landscape.located(found.plane, x)[1] for x in path], 0, atol=1e-9)


def test_explained_shares_are_those_of_the_covariance():
    rng = np.random.default_rng(2)
    X = rng.standard_normal((30, 6)) * np.array([5, 3, 1, 0.5, 0.1, 0.1])
    found = landscape.principal_plane([[jnp.asarray(x) for x in X]])
    eigenvalues = np.linalg.eigvalsh(np.cov(X.T))[::-1]
    np.testing.assert_allclose(found.explained, eigenvalues / eigenvalues.sum(), rtol=1e-10)


def test_a_random_walk_explains_what_theory_says():
    # 6 / (pi k)^2 in many dimensions (Antognini and Sohl-Dickstein 2018): 0.608 and 0.152; 200 steps in 4,000
    # dimensions leave 1 to 2 % of chance.
    path = np.cumsum(np.ones((200, 4000)), axis=0)
    walk, shares = landscape.random_walk(path)
    np.testing.assert_allclose(shares[:2], [6 / np.pi**2, 1.5 / np.pi**2], rtol=0.06)
    assert walk.shape == (200, 2) and not walk[-1].any()


@pytest.mark.parametrize(
    ("paths", "sentence"),
    [
        ([[np.zeros(3), np.ones(3)]], "needs at least 3 recorded steps, and there are 2: record more of them"),
        ([[k * np.ones(3) for k in range(4)]], "the path does not span a plane: all of its points lie on a line"),
    ],
    ids=["too few", "on a line"],
)
def test_paths_without_a_plane_are_refused(paths, sentence):
    with pytest.raises(ValueError, match=sentence):
        landscape.principal_plane(paths)


def test_three_solutions_lie_on_their_plane():
    a, b, c = (jax.random.normal(jax.random.key(k), (9,)) for k in range(3))
    plane = landscape.through(a, b, c)
    places = np.stack([landscape.located(plane, x)[0] for x in (a, b, c)])
    np.testing.assert_allclose([landscape.located(plane, x)[1] for x in (a, b, c)], 0, atol=1e-12)
    np.testing.assert_allclose(places[0], 0, atol=1e-12)
    np.testing.assert_allclose(places[1], [float(jnp.linalg.norm(b - a)), 0], atol=1e-12)
    assert np.linalg.norm(places[2] - places[1]) == pytest.approx(float(jnp.linalg.norm(c - b)))
    with pytest.raises(ValueError, match="lie on one line"):
        landscape.through(a, b, a + 3 * (b - a))


# Values on a slice


@pytest.mark.parametrize("seed", [0, 1])
def test_a_quadratic_is_a_polynomial_on_every_plane(seed):
    A, b, rng = random_bowl(seed)
    problem, split, joined = bowl(A, b)
    origin, u, v = rng.standard_normal((3, 6))
    at = rng.uniform(-2, 2, (5, 2))
    origin_and_directions = jax.tree.map(jnp.asarray, (split(origin), (split(u), split(v))))
    values = landscape.values_on(problem, Plane(*origin_and_directions), at)["value"]
    x = origin + at[:, :1] * u + at[:, 1:] * v
    np.testing.assert_allclose(values, 0.5 * np.sum(x * (x @ A), axis=1) - x @ b, rtol=1e-10)


def test_chunks_and_widths_do_not_change_the_values(monkeypatch):
    problem = from_surface(optlab.surfaces.rosenbrock(dim=3))
    plane = Plane(jnp.ones(3), (jnp.array([1.0, 0, 0]), jnp.array([0, 1.0, 1])))
    at = np.random.default_rng(0).uniform(-1, 1, (37, 2))
    whole = landscape.values_on(problem, plane, at)
    told = []
    monkeypatch.setattr("optlab.landscape.slices.LIGHT_CHUNK", 8)
    parts = landscape.values_on(problem, plane, at, width=3, progress=told.append)
    assert sum(told) == 37 and len(told) == 5
    np.testing.assert_allclose(parts["value"], whole["value"], rtol=1e-12)  # another order of the same sums


def test_devices_divide_the_points():
    code = """
import jax, numpy as np, jax.numpy as jnp
from optlab import landscape, surfaces
from optlab.problems import from_surface
assert len(jax.devices()) == 3
plane = landscape.Plane(jnp.ones(2), (jnp.array([1.0, 0]), jnp.array([0, 1.0])))
at = np.random.default_rng(0).uniform(-1, 1, (10, 2)).astype(np.float32)
found = landscape.values_on(from_surface(surfaces.rosenbrock()), plane, at)["value"]
x = 1 + at.astype(float)
np.testing.assert_allclose(found, 100 * (x[:, 1] - x[:, 0] ** 2) ** 2 + (1 - x[:, 0]) ** 2, rtol=1e-3, atol=1e-4)
"""
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=3", "JAX_PLATFORMS": "cpu", "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", code], env=flags, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("u", "at", "sentence"),
    [
        (jnp.ones(4), np.zeros((3, 1)), "a direction must have the shapes of the parameters, leaf by leaf"),
        (jnp.ones(3), np.zeros((3, 2)), r"coordinates must be of shape \[N, 1\], one for each direction, not \(3, 2\)"),
    ],
    ids=["direction", "coordinates"],
)
def test_wrong_shapes_are_refused(u, at, sentence):
    problem = from_surface(optlab.surfaces.rosenbrock(dim=3))
    with pytest.raises(ValueError, match=sentence):
        landscape.values_on(problem, Plane(jnp.ones(3), (u,)), at)


@pytest.fixture(scope="module")
def network():
    """A small network with batch normalisation, and parameters of it."""
    problem = tiny(network=optlab.workloads.mlp(depth=1, width=0.02, norm="batch"), evaluated=32)
    return problem, jax.jit(problem.init)(jax.random.key(0))


def test_the_centre_is_what_was_measured_and_statistics_are_recomputed_or_frozen(network):
    problem, params = network
    plane = landscape.random_plane(jax.random.key(1), params, dimensions=1)
    at = np.array([[0.0], [1.0]])
    anew = landscape.values_on(problem, plane, at)
    frozen = landscape.values_on(problem, plane, at, statistics="frozen")
    measure = jax.jit(problem.measure)
    measured = measure(params, problem.data)
    for name in ("value", "validation_loss", "validation_accuracy"):
        np.testing.assert_allclose(anew[name][0], measured[name], rtol=1e-6)  # float32 data, another program
        np.testing.assert_allclose(frozen[name][0], measured[name], rtol=1e-6)
    away = landscape.place(plane, at[1])
    np.testing.assert_allclose(anew["value"][1], measure(away, problem.data)["value"], rtol=1e-5)
    assert abs(frozen["value"][1] - anew["value"][1]) > 1e-3
    assert 0 <= anew["train_accuracy"][0] <= 1
    with pytest.raises(ValueError, match="statistics must be one of recomputed, frozen, not 'old'"):
        landscape.values_on(problem, plane, at, statistics="old")


def test_convolutions_are_taken_out_of_the_loop_and_say_the_same():
    data = optlab.workloads.digits()
    problem = optlab.workloads.training(network=optlab.workloads.lenet5(width=0.5), data=data, evaluated=32)
    params = jax.jit(problem.init)(jax.random.key(0))
    plane = landscape.random_plane(jax.random.key(1), params)
    at = np.array([[0.0, 0.0], [0.5, -0.5], [1.0, 0.2]])
    found = landscape.values_on(problem, plane, at)
    measure = jax.jit(problem.measure)  # patches times a matrix
    for k, coordinates in enumerate(at):
        measured = measure(landscape.place(plane, coordinates), problem.data)
        # float32 sums of a hundred products in two orders
        np.testing.assert_allclose(found["value"][k], measured["value"], rtol=1e-4)
        np.testing.assert_allclose(found["validation_loss"][k], measured["validation_loss"], rtol=1e-4)


# Paths


def test_a_projection_tells_the_true_loss_beside_that_of_the_plane():
    A, b, rng = random_bowl(5)
    problem, split, joined = bowl(A, b)
    plane = Plane(split(jnp.zeros(6)), tuple(split(jnp.eye(6)[k]) for k in range(2)))
    path = rng.standard_normal((4, 6))
    found = landscape.projected(problem, plane, [split(jnp.asarray(x)) for x in path])

    def loss(x):
        return 0.5 * np.sum(x * (x @ A), axis=1) - x @ b

    np.testing.assert_allclose(found.coordinates, path[:, :2], atol=1e-12)
    np.testing.assert_allclose(found.off_plane, np.linalg.norm(path[:, 2:], axis=1), rtol=1e-12)
    np.testing.assert_allclose(found.value, loss(path), rtol=1e-10)
    np.testing.assert_allclose(found.plane_value, loss(path * (np.arange(6) < 2)), rtol=1e-10)


def test_motion_on_a_square():
    path = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1], [1, 1], [1, 1]])
    found = landscape.motion(path)
    np.testing.assert_allclose(found.distance, [0, 1, 2**0.5, 1, 2**0.5, 2**0.5])
    np.testing.assert_allclose(found.length, [0, 1, 2, 3, 4, 4])
    np.testing.assert_allclose(np.degrees(found.angle), [np.nan, 90, 90, 180, np.nan, np.nan])


# Connections


def test_the_curve_between_two_points_of_a_quadratic_is_the_closed_form():
    # The mean loss over t is least where the integral of 2 t (1 - t) grad f(phi(t)) vanishes: for f = x'Ax / 2 that is
    # (1/10 + 1/10) / (2/15) = 3/4 of -(a + b).
    A, _, rng = random_bowl(3)
    problem, split, joined = bowl(A / 10, np.zeros(6))
    a, b = rng.standard_normal((2, 6))
    ends = jax.tree.map(jnp.asarray, (split(a), split(b)))
    curve = landscape.connect(problem, *ends, key=jax.random.key(0), steps=2000, learning_rate=0.05)
    # Chance of 8,000 places along the curve, under a rate that falls to zero.
    np.testing.assert_allclose(joined(curve.bend), -0.75 * (a + b), atol=0.02)
    t = np.linspace(0, 1, 11)
    values = landscape.values_along(problem, curve, t)["value"]
    x = np.outer((1 - t) ** 2, a) + np.outer(2 * t * (1 - t), joined(curve.bend)) + np.outer(t**2, b)
    np.testing.assert_allclose(values, 0.05 * np.sum(x * (x @ A), axis=1), rtol=1e-9)


def test_the_line_reaches_the_other_end_and_a_barrier_is_measured_above_the_ends():
    a, b = {"w": jnp.array([1.0, 2])}, {"w": jnp.array([3.0, -2])}
    line = landscape.line_between(a, b)
    np.testing.assert_allclose(landscape.place(line, np.array([1.0]))["w"], b["w"])
    t = np.linspace(0, 1, 5)
    assert landscape.barrier(np.array([1.0, 2, 5, 2, 3]), t) == 3
    assert landscape.barrier(np.array([1.0, 1.5, 2, 2.5, 3]), t) == 0


# The command


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Three trainings whose paths are kept, and one that has kept nothing."""
    from optlab.app.main import _guarded

    results = tmp_path_factory.mktemp("results")
    words = [*TINY, "steps=12", "record=3", f"results={results}"]
    assert _guarded(["-m", *words, "seed=0,1,2", "save=path", "name=kept"]) == 0
    assert _guarded([*words, "name=forgotten"]) == 0
    return results


def runs(folder):
    return ",".join(optlab.load(folder).runs.sort_values("seed").run_id)


@pytest.mark.parametrize(
    ("words", "table", "figure"),
    [
        (["line", "size=5"], "grid", "line"),
        (["plane", "size=5"], "grid", "landscape"),
        (["plane", "size=4", "directions=path"], "projections", "projection"),
        (["plane", "size=4", "directions=hessian", "reach=0.1"], "grid", "landscape"),
        (["plane", "size=4", "directions=solutions"], "grid", "landscape"),
        (["connection", "size=5", "steps=5", "plane_size=4"], "connections", "connection"),
        (["motion"], "motion", "motion"),
    ],
    ids=["line", "random", "path", "hessian", "solutions", "connection", "motion"],
)
def test_each_kind_is_stored_once_and_drawn_from_there(words, table, figure, study, optlab_command, monkeypatch):
    folder = study / "kept"
    ids = runs(folder).split(",")
    count = {"connection": 2, "motion": 3}.get(words[0], 3 if "directions=solutions" in words else 1)
    command = ["landscape", words[0], str(folder), *words[1:], f"run={','.join(ids[:count])}"]
    code, output, errors = optlab_command(*command)
    assert code == 0, errors
    assert len(getattr(optlab.load(folder), table))
    monkeypatch.setattr("optlab.landscape.slices.values_on", None)
    code, output, _ = optlab_command(*command)
    assert code == 0 and output.startswith("there already")
    code, output, errors = optlab_command("plot", figure, str(folder))
    assert code == 0, errors
    assert all(path.endswith(".png") for path in output.split())


def test_a_path_plane_ends_at_the_recorded_loss(study, optlab_command):
    folder = study / "kept"
    (first, *_) = runs(folder).split(",")
    assert optlab_command("landscape", "plane", str(folder), "directions=path", "size=3", f"run={first}")[0] == 0
    results = optlab.load(folder)
    plane = results.planes[(results.planes.runs == first) & (results.planes.directions == "path")].iloc[-1]
    path = results.projections[results.projections.landscape_id == plane.landscape_id].sort_values("step")
    curve = results.curves[results.curves.run_id == first].sort_values("step")
    np.testing.assert_array_equal(path.step, curve.step)
    np.testing.assert_allclose(path.value, curve.value, rtol=1e-5)  # float32, another program
    last = path.iloc[-1]
    np.testing.assert_allclose([last.a, last.b, last.off_plane, last.plane_value - last.value], 0, atol=1e-6)
    assert path.off_plane.max() > 0 and plane.null_explained_0 > 0


def test_closed_forms_need_nothing_kept(tmp_path, optlab_command):
    assert optlab_command("problem=rosenbrock", "problem.dim=5", "optimizer=bfgs", "steps=60")[0] == 0
    folder = str(tmp_path / "study")
    code, _, errors = optlab_command("landscape", "plane", folder, "directions=path", "size=5")
    assert code == 0, errors
    results = optlab.load(folder)
    path = results.projections.sort_values("step")
    np.testing.assert_allclose(path.value, results.curves.sort_values("step").value, rtol=1e-9)


def test_of_a_large_sweep_runs_must_be_named(tmp_path, optlab_command):
    words = ["-m", "problem=beale", "optimizer=adam", "steps=2", "optimizer.learning_rate=interval(0.1,1)"]
    assert optlab_command(*words, "sweep.points=33")[0] == 0
    code, _, errors = optlab_command("landscape", "motion", str(tmp_path / "study"))
    assert code == 2 and "holds 33 runs to look at: state run=ID,... of some, such as " in errors


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["plane", "FORGOTTEN"], "has kept its parameters: run it with save=path (or save=true)"),
        (["plane", "KEPT", "run=zz"], "no run's id begins with 'zz'; there are "),
        (["plane", "KEPT"], "directions=random takes one run, and there are 3: state run=ID, one of "),
        (["plane", "KEPT", "direction=path"], "there is no option 'direction'; did you mean directions"),
        (["plane", "KEPT", "directions=pth"], "there is no kind of directions 'pth'; did you mean path?"),
        (["plane", "KEPT", "FIRST", "normalize=filtre"], "normalize must be one of filter, layer, model, none"),
        (["plane", "KEPT", "FIRST", "size=big"], "size must be a whole number, not 'big'"),
        (["plane", "KEPT", "FIRST", "size=1"], "size must be a whole number from 2 to 4096, not 1"),
        (["plane", "KEPT", "FIRST", "statistics=old"], "statistics must be one of recomputed, frozen, not 'old'"),
        (["plane", "KEPT", "FIRST", "steps=4"], "of a stored run only problem.<parameter> can be changed, not steps"),
        (["connection", "KEPT"], "a connection takes two runs, run=A,B, not 3"),
        (["plane"], "landscape plane takes a folder of tables: optlab landscape plane results/study"),
        (["plan", "KEPT"], "there is no kind of landscape 'plan'; did you mean plane"),
        (["plane", "/nowhere"], "there is no folder /nowhere"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_sentence_and_code_2(words, sentence, study, optlab_command):
    first = runs(study / "kept").split(",")[0]
    names = {"KEPT": str(study / "kept"), "FORGOTTEN": str(study / "forgotten"), "FIRST": f"run={first}"}
    before = sorted(study.glob("**/*.parquet"))
    code, _, errors = optlab_command("landscape", *(names.get(word, word) for word in words))
    assert code == 2, errors
    assert sentence in errors
    assert errors.startswith("optlab: ") and errors.count("\n") == 1
    assert sorted(study.glob("**/*.parquet")) == before


def test_too_few_recorded_steps_and_a_lost_path_are_refused(study, optlab_command, tmp_path):
    words = [*TINY, "steps=1", "record=last", "save=path"]
    assert optlab_command(*words)[0] == 0
    code, _, errors = optlab_command("landscape", "plane", str(tmp_path / "study"), "directions=path")
    assert code == 2 and "needs at least 3 recorded steps, and there are 2" in errors
    for kept in [*(tmp_path / "study").glob("paths/*"), *(tmp_path / "study").glob("parameters/*/*")]:
        kept.unlink() if kept.is_file() else None
    (run_id,) = optlab.load(tmp_path / "study").runs.run_id
    code, _, errors = optlab_command("landscape", "plane", str(tmp_path / "study"), f"run={run_id}")
    assert code == 2 and "holds no parameters that can be read" in errors


@pytest.mark.parametrize("kind", ["landscape", "line", "connection", "motion", "projection", "descent"])
def test_figures_without_a_landscape_say_which_command_makes_one(kind, study, optlab_command):
    code, _, errors = optlab_command("plot", kind, str(study / "forgotten"))
    assert code == 2
    assert "optlab landscape" in errors and errors.count("\n") == 1
