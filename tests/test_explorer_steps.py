"""The page's steps are JAX's steps: the same first fifty, for each optimizer on each kind of surface."""

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax

import optlab
from optlab import surfaces
from optlab.explorer.opaque import opaque
from optlab.explorer.steps import Descent, derivatives
from optlab.explorer.translate import Untranslatable, translate
from optlab.types import Status

RUNTIME = (Path(__file__).parents[1] / "optlab" / "explorer" / "runtime.js").read_text()
STEPS = 50

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")

#: A valley, minima with saddles between, a saddle without a bottom, a plateau, an inflection, and more than a plane.
SURFACES = {
    "rosenbrock": surfaces.rosenbrock(), "himmelblau": surfaces.himmelblau(), "saddle": surfaces.hyperbolic_saddle(),
    "plateau": surfaces.sigmoid_plateau(), "inflection": surfaces.inflection_quartic(),
    "rosenbrock_5": surfaces.rosenbrock(5),
}  # fmt: skip

#: The optimizer and the numbers that are a slider of it.
OPTIMIZERS = {
    "gradient_descent": (optlab.gradient_descent, {"learning_rate": 1e-3}),
    "heavy_ball": (optlab.heavy_ball, {"learning_rate": 3e-4, "momentum": 0.9}),
    "nesterov": (optlab.nesterov, {"learning_rate": 3e-4}),
    "adam": (optax.adam, {"learning_rate": 0.05, "b1": 0.9}),
    "rmsprop": (optax.rmsprop, {"learning_rate": 0.01}),
    "adagrad": (optax.adagrad, {"learning_rate": 0.3}),
    "adadelta": (optax.adadelta, {"learning_rate": 1.0}),
    "lion": (optax.lion, {"learning_rate": 0.01}),
    "optax_lbfgs": (optax.lbfgs, {}),
    "lbfgs": (optlab.lbfgs, {}),
    "bfgs": (optlab.bfgs, {}),
    "nonlinear_cg": (optlab.nonlinear_cg, {}),
    "newton": (optlab.newton, {"learning_rate": 0.9}),
    "trust_region": (optlab.trust_region, {}),
    "saddle_free_newton": (optlab.saddle_free_newton, {"learning_rate": 0.7}),
    "levenberg_marquardt": (optlab.levenberg_marquardt, {}),
}

#: More than a plane, for those whose linear algebra differs there; and what takes long to compile, once.
ONLY = {
    "rosenbrock_5": {"adam", "lbfgs", "newton", "trust_region", "saddle_free_newton", "levenberg_marquardt"},
    "optax_lbfgs": {"rosenbrock", "himmelblau"},
}

#: Where one rounding error at the start becomes millions of them, in JAX itself: (how many steps must agree, why no
#: more).
SENSITIVE = {
    ("rosenbrock", "optax_lbfgs"): (
        15,
        "rounding grows millionfold within twenty steps: 1e-16 at first, 1e-9 to 1e-8 then",
    ),
}

CASES = [
    (place, method)
    for place, surface in SURFACES.items()
    for method in OPTIMIZERS
    if method in ONLY.get(place, OPTIMIZERS)
    and place in ONLY.get(method, SURFACES)
    and (method != "levenberg_marquardt" or surface.residual is not None)
]


def descent(place, method):
    make, numbers = OPTIMIZERS[method]
    return Descent(SURFACES[place], make, numbers), numbers


def starts(place):
    """The customary one, and two others in the box that is drawn."""
    surface = SURFACES[place]
    lower, upper = (np.asarray(side, float) for side in surface.domain)
    return np.stack([np.asarray(surface.start, float), lower + 0.37 * (upper - lower), lower + 0.81 * (upper - lower)])


@cache
def by_node():
    """All cases in one process: (place, method) -> status and parameters after each step, from each start."""
    lines = [RUNTIME, "const out = [];", "const plain = (x) => Array.from(x, String);"]
    for k, (place, method) in enumerate(CASES):
        case, numbers = descent(place, method)
        given = json.dumps([numbers[name] for name in sorted(numbers)])
        status, params = case.leaf("status"), case.leaf("params")
        lines.append(case.javascript(f"f{k}"))
        lines.append(
            f"out.push({json.dumps(starts(place).tolist())}.map((x) => runtime.descend(f{k}_step, {given}, "
            f"f{k}_start([...{given}, Float64Array.from(x)]), {status}, {STEPS})"
            f".map((s) => [s[{status}], plain(s[{params}])])));"
        )
    lines.append("console.log(JSON.stringify(out));")
    done = subprocess.run(["node", "-"], input="\n".join(lines), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(zip(CASES, json.loads(done.stdout), strict=True))


def by_jax(place, method, nudge=0.0):
    """Status and parameters after each step, from each start: `[3, 51]`, `[3, 51, d]`."""
    case, numbers = descent(place, method)

    def path(numbers, x):
        def onward(state, _):
            return case.step(numbers, state), (state.status, state.params)

        return lax.scan(onward, case.start(numbers, x), length=STEPS + 1)[1]

    program = jax.jit(lambda numbers, many: lax.map(lambda x: path(numbers, x), many))
    return program(
        {name: jnp.asarray(number) for name, number in numbers.items()}, jnp.asarray(starts(place) * (1 + nudge))
    )


def numbers_of(texts):
    return np.array([float(text.replace("Infinity", "inf")) for text in texts])


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_the_first_fifty_steps_are_those_of_jax(case):
    status, params = map(np.asarray, by_jax(*case))
    agreed, _ = SENSITIVE.get(case, (STEPS, ""))
    for k, rows in enumerate(by_node()[case]):
        found = np.stack([numbers_of(texts) for _, texts in rows])[: agreed + 1]
        here = params[k][: len(found)]
        np.testing.assert_allclose(found, here, rtol=1e-9, atol=1e-9)
        if agreed == STEPS:
            assert [s for s, _ in rows] == status[k][: len(rows)].tolist()
            # It stops where run says so: no state after the end, and none missing before
            assert len(rows) == STEPS + 1 or rows[-1][0] != Status.running


@pytest.mark.parametrize("case", SENSITIVE, ids="-".join)
def test_what_need_not_agree_is_sensitive_to_the_last_digit_in_jax_too(case):
    eps = np.finfo(float).eps
    (_, here), (_, nudged) = by_jax(*case), by_jax(*case, nudge=eps)
    assert np.max(np.abs(here - nudged)) > 1e6 * eps


def node_says(source):
    done = subprocess.run(["node", "-"], input=RUNTIME + source, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_a_run_beyond_the_stable_rate_stops_as_diverged_and_a_slider_is_a_number():
    case = Descent(SURFACES["rosenbrock"], optlab.gradient_descent, {"learning_rate": 1.0})
    status = case.leaf("status")
    go = "".join(
        f"const r{k} = runtime.descend(f_step, [{rate}], f_start([{rate}, Float64Array.of(-1.2, 1)]), {status}, 2000);"
        for k, rate in enumerate([1e-3, 0.1])
    )
    ends = node_says(
        case.javascript("f") + go + f"console.log(JSON.stringify([r0, r1].map((r) => [r.length, r.at(-1)[{status}]])));"
    )
    assert ends[0] == [2001, Status.running]
    assert ends[1][0] < 10 and ends[1][1] == Status.diverged


def test_the_derivatives_of_a_surface_are_those_of_jax():
    names = ["rosenbrock", "himmelblau", "plateau", "rosenbrock_5"]
    source = "".join(derivatives(f"s{name}", SURFACES[name]) for name in names)
    calls = ", ".join(
        f"...(x => [s{name}_0([x])[0], ...s{name}_1([x])[0], ...s{name}_2([x])[0]])"
        f"(Float64Array.from({starts(name)[1].tolist()}))"
        for name in names
    )
    found = node_says(f"{source}console.log(JSON.stringify([{calls}]));")
    expected = []
    for name in names:
        fn, x = SURFACES[name].fn, jnp.asarray(starts(name)[1])
        expected += [fn(x), *jax.grad(fn)(x), *jnp.ravel(jax.hessian(fn)(x))]
    # Entries of the plateau's Hessian cancel to a thousandth of their terms
    np.testing.assert_allclose(found, np.array(expected), rtol=1e-11, atol=1e-12)


def test_an_optimizer_of_an_unknown_surface_goes_down_whichever_it_is_given():
    cases = {name: Descent(opaque(2), *OPTIMIZERS[name]) for name in ("adam", "bfgs", "newton", "trust_region")}
    source = derivatives("s", SURFACES["himmelblau"]) + "".join(case.javascript(name) for name, case in cases.items())
    runs = []
    for name, case in cases.items():
        given = json.dumps([OPTIMIZERS[name][1][key] for key in sorted(OPTIMIZERS[name][1])])
        runs.append(
            f"runtime.descend({name}_step, {given}, {name}_start([...{given}, Float64Array.of(1, 2)], s), "
            f"{case.leaf('status')}, {STEPS}, s).map((state) => Array.from(state[{case.leaf('params')}]))"
        )
    found = node_says(f"{source}const s = [s_0, s_1, s_2]; console.log(JSON.stringify([{', '.join(runs)}]));")
    for rows, name in zip(found, cases, strict=True):
        case, numbers = Descent(SURFACES["himmelblau"], *OPTIMIZERS[name]), OPTIMIZERS[name][1]
        state = case.start(numbers, jnp.asarray([1.0, 2.0]))
        step = jax.jit(case.step)
        for row in rows:
            np.testing.assert_allclose(row, state.params, rtol=1e-9)  # the bound for fifty steps
            state = step(numbers, state)


def test_what_an_opaque_surface_lacks_is_named():
    with pytest.raises(Untranslatable, match="order 3"):
        translate("f", lambda x: jax.jvp(jax.hessian(opaque(2).fn), (x,), (x,))[1], jnp.zeros(2))
    with pytest.raises(Untranslatable, match="dimensions"):
        translate("f", opaque(9).fn, jnp.zeros(9))


def test_an_opaque_surface_is_differentiated_and_batched_like_any_other():
    def both(fn):
        many = jax.vmap(fn)(jnp.arange(6.0).reshape(3, 2))
        x = jnp.array([0.3, -0.2])
        return many, jax.value_and_grad(fn)(x), jax.hessian(fn)(x), jax.jvp(jax.grad(fn), (x,), (x[::-1],))[1]

    source = derivatives("s", SURFACES["rosenbrock"]) + translate("f", lambda: both(opaque(2).fn))
    found = node_says(
        f"{source}console.log(JSON.stringify(f([], [s_0, s_1, s_2]).flatMap((one) => one.length ? [...one] : [one])));"
    )
    wanted = jax.tree.leaves(both(SURFACES["rosenbrock"].fn))
    # Sums of three terms of which the largest is a thousand times the result
    np.testing.assert_allclose(found, np.concatenate([np.ravel(leaf) for leaf in wanted]), rtol=1e-12)


def test_nothing_in_a_state_is_unnamed():
    case, _ = descent("rosenbrock", "adam")
    assert case.leaves[0] == "params" and {"value", "grad", "grad_norm", "status", "step"} <= set(case.leaves)
