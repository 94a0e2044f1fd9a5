"""Controls: whoever never moves solves nothing of a suite, whoever starts at the solution has solved it all."""

import functools

import jax
import numpy as np
import pytest

from optlab.app import catalogue
from optlab.app.build import complete, make_problem, make_surface

PROBLEMS = sorted({name for suite in catalogue.names("suite") for name in catalogue.suite(suite)})

#: A gap of this part of max(1, |f*|) is a solution: between the digits of sums of exponentials and the least start's.
SOLVED = 1e-8


def node(name):
    entry = catalogue.entry("problem", name)
    return complete({"_target_": entry.target, **entry.settings}, name)


@functools.cache
def surface_of(name):
    return make_surface(node(name))


def gap_without_a_step(name, **where):
    """What a run that never moves ends with, on the loss that is measured."""
    problem = make_problem(node(name) | where)
    assert problem.minimum is not None
    with jax.disable_jit():  # a run that never moves is its start, and not worth a compilation
        value = problem.measure(problem.init(jax.random.key(0)), problem.data)["value"]
    return float((value - problem.minimum) / max(1.0, abs(problem.minimum)))


@pytest.mark.parametrize("name", [name for name in PROBLEMS if make_problem(node(name)).minimum is not None])
def test_whoever_never_moves_solves_nothing_and_whoever_starts_at_the_solution_all(name):
    assert gap_without_a_step(name) > SOLVED
    if surface_of(name) is None:  # a random loss starts where it says
        return
    points = surface_of(name).points
    assert abs(gap_without_a_step(name, start=np.asarray(points[0].x).tolist())) <= SOLVED


def test_suites_have_the_sizes_of_their_sources_and_hold_what_exists():
    sizes = {name: len(catalogue.suite(name)) for name in catalogue.names("suite")}
    assert (sizes["mgh"], sizes["nist"], sizes["bbob"], sizes["quick"]) == (40, 27, 24, 12)
    assert set(PROBLEMS) <= set(catalogue.names("problem"))
    for name in sizes:
        assert len(set(catalogue.suite(name))) == sizes[name]


def test_a_suite_is_an_axis_of_a_sweep_and_nothing_else(optlab_command, tmp_path):
    import optlab

    code, _, errors = optlab_command("-m", "suite=nonsmooth", "optimizer=adam", "steps=2", "record=last")
    assert code == 0, errors
    assert set(optlab.load(tmp_path).runs.problem) == set(catalogue.suite("nonsmooth"))
    for words, sentence in (
        (["suite=quick"], "add -m to sweep it"),
        (["-m", "suite=quick", "problem=beale"], "state one of suite= and problem="),
        (["-m", "suite=quik"], "did you mean quick"),
    ):
        code, _, errors = optlab_command(*words)
        assert code == 2 and sentence in errors and "Traceback" not in errors


def test_list_filters_by_tag_dimension_and_suite(optlab_command):
    def listed(*words):
        code, output, errors = optlab_command("list", *words)
        assert code == 0, errors
        return {line.split()[0] for line in output.splitlines()[1:]}

    assert listed("problems", "suite=nist") == set(catalogue.suite("nist"))
    saddles = listed("problems", "tag=saddle")
    assert {"beale", "himmelblau"} <= saddles and "booth" not in saddles
    assert listed("tag=saddle,valley") < saddles
    four = listed("suite=mgh", "dim=4")
    assert {"mgh_woods", "mgh_powellsg", "mgh_penalty1_4", "mgh_vardim10"} <= four  # the last may have any
    assert not {"mgh_beale", "mgh_helix", "mgh_osbornea"} & four
    assert "bbob" in listed("suites")
    for words, sentence in (
        (["problems", "tag=sadle"], "did you mean saddle"),
        (["problems", "dim=two"], "dim must be a whole number"),
        (["problems", "size=2"], "no filter 'size'"),
    ):
        code, _, errors = optlab_command("list", *words)
        assert code == 2 and sentence in errors


def test_show_has_formula_facts_source_and_a_small_plot(optlab_command):
    code, output, _ = optlab_command("show", "himmelblau")
    assert code == 0
    for part in (
        "(x^2 + y - 11)^2",
        "source: Himmelblau 1972",
        "181.6165215",
        "o minimum, x saddle, ^ maximum, S start",
    ):
        assert part in output
    plot = [line for line in output.splitlines() if line.startswith("|")]
    assert len(plot) == 20 and sum(line.count("o") for line in plot) == 4
    assert "27 problems: nist_misra1a" in optlab_command("show", "nist")[1]
