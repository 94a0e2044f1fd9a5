"""The suite of NIST's Statistical Reference Datasets against what NIST certifies of it."""

import csv
import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optlab
from optlab import surfaces


def table(file):
    return csv.DictReader((Path(__file__).parent / "data" / file).read_text().splitlines())


# from NIST's files: the certified parameters and sum of squares, eleven digits each, and both starts
CERTIFIED = {row["set"]: row for row in table("nist_certified.csv")}
# what More, Garbow and Hillstrom publish of the three sets that they share, at the nearer start
MGH = {row["problem"]: row for row in table("mgh_scipy_counts.csv")}

each = pytest.mark.parametrize("name", CERTIFIED)


@functools.cache
def build(name):
    return getattr(surfaces, f"nist_{name}")()


def numbers(name, key):
    return np.asarray([float(number) for number in CERTIFIED[name][key].split()])


def digits(found, certified):
    """NIST's log relative error: how many digits of the worst parameter are right, eleven at most."""
    error = np.abs(found - certified) / np.abs(certified)
    return np.minimum(11, -np.log10(np.maximum(error, 1e-16))).min(axis=-1)


@each
def test_the_stated_minimum_has_the_certified_digits(name):
    point = build(name).points[0]
    assert " ".join(f"{number:.10e}" for number in point.x) == CERTIFIED[name]["parameters"]
    assert f"{2 * point.value:.10e}" == CERTIFIED[name]["rss"]


@functools.cache
def certified_sums_of_squares():
    """At the certified parameters, by one program for all sets: it compiles sooner than 27."""
    places = {name: jnp.asarray(numbers(name, "parameters")) for name in CERTIFIED}
    return jax.jit(lambda places: {name: 2 * build(name).fn(b) for name, b in places.items()})(places)


@each
def test_the_certified_parameters_leave_the_certified_sum_of_squares(name):
    # Lanczos1 has residuals of 1e-13, less than what the eleventh digit of a parameter does
    expected = float(CERTIFIED[name]["rss"])
    np.testing.assert_allclose(certified_sums_of_squares()[name], expected, rtol=2e-10, atol=1e-20)


@each
def test_the_starts_are_nists_and_the_far_one_comes_first(name):
    (near,) = build(name).starts
    np.testing.assert_array_equal(build(name).start, numbers(name, "start1"))
    np.testing.assert_array_equal(near, numbers(name, "start2"))
    lower, upper = (np.asarray(side) for side in build(name).domain)
    assert np.all((lower <= near) & (near <= upper))


@pytest.mark.parametrize("name, published", [("mgh09", "KOWOSB"), ("mgh10", "MEYER3"), ("mgh17", "OSBORNEA")])
def test_the_value_at_the_start_is_the_published_one(name, published):
    (near,) = build(name).starts
    np.testing.assert_allclose(2 * build(name).fn(jnp.asarray(near)), float(MGH[published]["f0"]), rtol=1e-13)


@functools.cache
def levenberg_marquardt():
    """Where it ends from both starts of each set when only rounding stops it: (set, which start, radius) -> `[d]`.

    Parameters and residuals are filled up with zeros to one size, so that all runs are one program.
    """

    def filled(residual, d):
        return lambda x: jnp.pad(r := residual(x[:d]), (0, 250 - r.size))

    branches = [filled(build(name).residual, len(build(name).start)) for name in CERTIFIED]

    def residual(x, k):
        return jax.lax.switch(k, branches, x)

    def solve(lane):
        k, start, radius = lane
        return optlab.minimize(
            lambda x, k: 0.5 * jnp.sum(residual(x, k) ** 2),
            start,
            optlab.levenberg_marquardt(radius),
            args=(k,),
            residual=residual,
            gtol=0.0,
            max_steps=3000,
        )

    runs = [(name, which, 100.0) for name in CERTIFIED for which in (0, 1)] + [("boxbod", 0, 1.0)]
    starts = np.zeros((len(runs), 9))
    for row, (name, which, _) in zip(starts, runs, strict=True):
        start = (build(name).start, *build(name).starts)[which]
        row[: len(start)] = start
    lanes = (
        np.asarray([list(CERTIFIED).index(name) for name, *_ in runs]),
        starts,
        np.asarray([radius for *_, radius in runs]),
    )
    found = np.asarray(jax.jit(lambda lanes: jax.lax.map(solve, lanes))(lanes).x)
    return {run: x[: len(build(run[0]).start)] for run, x in zip(runs, found, strict=True)}


@each
def test_levenberg_marquardt_finds_six_certified_digits_from_both_starts(name):
    far = levenberg_marquardt()[name, 0, 1.0 if name == "boxbod" else 100.0]
    near = levenberg_marquardt()[name, 1, 100.0]
    assert min(digits(x, numbers(name, "parameters")) for x in (far, near)) > 6


def test_a_long_first_step_loses_boxbod_on_its_plateau():
    # MINPACK's first region, a hundred times the start, ends there too: b_2 runs away, and f is constant
    lost = levenberg_marquardt()["boxbod", 0, 100.0]
    assert lost[1] > 1e6
    np.testing.assert_allclose(build("boxbod").fn(jnp.asarray(lost)), 9771.5 / 2)  # the scatter about the mean
