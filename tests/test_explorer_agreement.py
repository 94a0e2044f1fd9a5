"""What the page computes is what JAX computes: every surface and optimizer of the default page, in a browser."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from explorer_browser import browsing, needs_chromium, opened, write_page
from jax import lax

from optlab.app.explore import OPTIMIZERS, PROBLEMS, member, scene
from optlab.explorer.steps import Descent
from optlab.types import Status

STARTS, STEPS, LONG = 20, 50, 2000
EPS = np.finfo(float).eps

pytestmark = [needs_chromium, pytest.mark.xdist_group("explorer_agreement")]

#: The pairs, of all 144, in which some start strays, and why no other order of operations could give the same digits.
#: All are seen in JAX itself: a last digit of the start becomes as large within fifty steps.
SENSITIVE = {
    ("gradient_descent", "muller_brown"): "a rate beyond the stability limit on the steep walls: chaotic steps",
    ("heavy_ball", "muller_brown"): "a rate beyond the stability limit on the steep walls: chaotic steps",
    ("nesterov", "muller_brown"): "a rate beyond the stability limit on the steep walls: chaotic steps",
    ("nonlinear_cg", "muller_brown"): "walls of an exponential: searches start far too long, and cancel",
    ("nonlinear_cg", "rastrigin"): "searches over the hills between minima, where digits grow a thousandfold",
    ("bfgs", "beale"): "past a saddle and out into the flat basin: curvature from differences that cancel",
    ("bfgs", "muller_brown"): "past a saddle: curvature from differences that cancel",
    ("bfgs", "staircase_inflection"): "on a tread, where the slope vanishes: curvature from differences that cancel",
    ("lbfgs", "staircase_inflection"): "on a tread, where the slope vanishes: curvature from differences that cancel",
    ("newton", "beale"): "full steps near a singular Hessian are thrown far",
    ("newton", "muller_brown"): "full steps near a singular Hessian are thrown far",
}


@cache
def scenes():
    return [scene(name) for name in PROBLEMS]


@cache
def starts():
    """Anywhere in the box of each surface: `[surfaces, 20, 2]`."""
    unit = np.random.default_rng(0).uniform(size=(STARTS, 2))
    boxes = [np.asarray(each.surface.domain, float) for each in scenes()]
    return np.stack([low + unit * (high - low) for low, high in boxes])


@cache
def program(name, steps):
    """(surface, start) -> status, parameters and gradient norm after each step, or after the last: one program for all
    surfaces, so that each is a branch of it and not a compilation."""
    optimizer, functions = member(name), [each.surface.fn for each in scenes()]
    numbers = {key: jnp.asarray(value) for key, value in optimizer.numbers.items()}

    def run(k, x):
        surface = scenes()[0].surface._replace(fn=lambda y: lax.switch(k, functions, y))
        descent = Descent(surface, optimizer.make, optimizer.numbers)
        step = partial(descent.step, numbers)
        begun = descent.start(numbers, x)
        if steps == STEPS:
            shown = lambda state: (state.status, state.params, state.grad_norm)  # noqa: E731
            return lax.scan(lambda state, _: (step(state), shown(state)), begun, length=steps + 1)[1]
        going = lambda carry: (carry[1] < steps) & (carry[0].status == Status.running)  # noqa: E731
        state, _ = lax.while_loop(going, lambda carry: (step(carry[0]), carry[1] + 1), (begun, 0))
        return state.status, state.params, state.grad_norm

    return jax.jit(lambda ks, xs: lax.map(lambda case: run(*case), (ks, xs)))


def by_jax(name, steps, nudge=(0.0, 0.0)):
    """For all surfaces and starts, each changed by so many units in the last place: `[surfaces, 20, ...]` each."""
    xs = starts() * (1 + EPS * np.asarray(nudge))
    ks = np.repeat(np.arange(len(xs)), STARTS)
    found = program(name, steps)(ks, xs.reshape(-1, 2))
    return [np.asarray(part).reshape(len(xs), STARTS, *np.shape(part)[1:]) for part in found]


IN_PAGE = """([name, starts, steps]) => starts.map((many, k) => many.map((x) => {
  const at = page.data.optimizers.findIndex((optimizer) => optimizer.name === name);
  const optimizer = page.data.optimizers[at];
  const given = optimizer.numbers.map((number) => number.value);
  const course = courses.run(optimizer, at, page.data.scenes[k], x, given, steps);
  const rows = course.states.map((state) => [state[optimizer.leaves.status], ...Array.from(state[0], String)]);
  return steps > 50 ? rows.slice(-1) : rows;
}))"""


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    path = write_page(tmp_path_factory.mktemp("agreement"))
    with browsing() as browser, opened(browser, path) as page:
        page.evaluate("page.pause()")

        def run(name, steps):
            found = page.evaluate(IN_PAGE, [name, starts().tolist(), steps])
            rows = [[[[float(text) for text in row] for row in one] for one in many] for many in found]
            return [[np.array(one) for one in many] for many in rows]

        yield run


def apart(found, wanted):
    """The largest difference, relative to numbers above one, at each step: `[T]`; equal where both are no number."""
    scale = np.maximum(np.abs(wanted), 1)
    with np.errstate(invalid="ignore"):
        difference = np.abs(found - wanted) / scale
    same = (found == wanted) | (np.isnan(found) & np.isnan(wanted))
    return np.where(same, 0, np.nan_to_num(difference, nan=np.inf)).max(axis=-1)


def compared(shown, name):
    """(surface, error at each step, what a unit in the last place of the start becomes there, in JAX) of each start."""
    status, params, slope = by_jax(name, STEPS)
    nudged = [by_jax(name, STEPS, nudge)[1] for nudge in ((1, 1), (-1, 1), (2, -1))]
    for k, many in enumerate(shown(name, STEPS)):
        for i, rows in enumerate(many):
            running = int((status[k, i] == Status.running).sum())
            both = min(len(rows), running + 1, STEPS + 1)
            error = apart(rows[:both, 1:], params[k, i, :both])
            growth = np.max([apart(other[k, i, :both], params[k, i, :both]) for other in nudged], axis=0)
            # From where the slope is this small a step wins a billionth of a unit and less, which the loss, rounded to
            # 1e-16 of one, knows to a few digits; a search interpolates with these, and accepts or rejects by them:
            # the places are then known to the square root of that rounding only.
            known = np.minimum.accumulate(slope[k, i, :both]) > 2e-5
            if known.all() and (error <= 1e-9).all():
                assert rows[:both, 0].tolist() == status[k, i, :both].tolist()
            yield PROBLEMS[k], error, np.maximum.accumulate(growth), known


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_first_fifty_steps_from_twenty_starts_are_those_of_jax(shown, name):
    strayed = set()
    for place, error, growth, known in compared(shown, name):
        # Each of fifty steps has a rounding error of its own, of some ten operations
        assert (error <= np.maximum(1e-9, 500 * growth))[known].all(), place
        if (error[known] > 1e-9).any() or (error > 1e-6).any():
            strayed.add((name, place))
    assert strayed == {pair for pair in SENSITIVE if pair[0] == name}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_ends_after_two_thousand_steps_are_those_of_jax_where_it_converges(shown, name):
    status, params, slope = by_jax(name, LONG)
    converged = 0
    for k, many in enumerate(shown(name, LONG)):
        for i, rows in enumerate(many):
            if status[k, i] != Status.converged:
                continue
            if (name, PROBLEMS[k]) in SENSITIVE and apart(rows[-1, 1:], params[k, i]) > 1e-6:
                # Another minimum, or another place on a bottom as flat as x^6: both without slope
                assert rows[-1, 0] in (Status.converged, Status.stalled)
                continue
            converged += 1
            assert apart(rows[-1, 1:], params[k, i]) <= 1e-6, (PROBLEMS[k], starts()[k, i])
    assert converged >= 60
