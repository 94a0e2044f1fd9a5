"""The numbers that the chapter on conjugate gradients states (`experiments/conjugate_directions.py`)."""

import numpy as np
import pytest

import optlab
from experiments import conjugate_directions as chapter


@pytest.fixture(scope="module")
def found():
    return chapter.measured()


def test_from_the_worst_start_each_exact_step_leaves_the_same_share_of_the_error_and_turns_by_a_right_angle(found):
    error = chapter.relative(chapter.ELLIPSE, found["zig"])
    # Closed form, (K - 1) / (K + 1); the search ends at 1e-8 of the slope, which the value feels to its square.
    np.testing.assert_allclose(error[1:] / error[:-1], 19 / 21, rtol=1e-12)
    steps = np.diff(found["zig"][:20], axis=0)
    steps /= np.linalg.norm(steps, axis=1)[:, None]
    np.testing.assert_allclose(np.sum(steps[1:] * steps[:-1], axis=1), 0, atol=1e-6)
    assert chapter.relative(chapter.ELLIPSE, found["zag"])[2] < 1e-14  # two steps in two dimensions, to rounding


def test_the_points_are_the_best_that_so_many_products_with_the_matrix_can_reach():
    """Against the minimizer over the Krylov space b, A b, ..., by a dense least-squares solver."""
    A, start = chapter.matrix(np.geomspace(1, 100, 20)), np.random.default_rng(1).normal(size=20)
    errors, _ = chapter.conjugate_gradients(A, start, 6)
    root = np.linalg.cholesky(A).T  # |R e| is the norm of A
    space = np.empty((20, 0))
    for k in range(1, 7):
        new = A @ (space[:, -1] if k > 1 else start)
        space, _ = np.linalg.qr(np.column_stack([space, new]))
        best = np.linalg.lstsq(root @ space, -root @ start, rcond=None)[0]
        # The first directions are conjugate to 1e-10.
        np.testing.assert_allclose(errors[k], start + space @ best, atol=1e-9)


def test_directions_are_conjugate_and_n_steps_enough_until_rounding_forbids_it(found):
    rows = found["roundings"]
    assert rows["n"].tolist() == [2, 5, 10, 20, 20]
    assert (
        rows["largest cosine"][0] < 1e-12 and rows["largest cosine"][1] < 1e-8
    )  # of 1e-16 times the condition, and more
    assert rows["error after n steps"][0] < 1e-12 and rows["error after n steps"][1] < 1e-10
    assert rows["steps to 1e-10"].tolist()[:2] == [2, 5]
    # Lost: the directions are far from conjugate, and it takes a little, or many, more than n steps.
    assert rows["largest cosine"][3] > 0.1 and 20 < rows["steps to 1e-10"][3] <= 30
    assert rows["largest cosine"][4] > 0.1 and 60 < rows["steps to 1e-10"][4] <= 120


def test_as_many_steps_as_distinct_eigenvalues_and_more_where_these_are_only_close(found):
    assert [chapter.steps_to(errors) for errors in found["clusters"].values()] == [1, 2, 3, 4, 5]
    after = [errors[3] for errors in found["widths"].values()]
    assert after[0] < 1e-10 and min(after[1:]) > 0.1  # even 0.1 % is not equal
    ends = [errors[18] for errors in found["widths"].values()]
    assert ends[0] < ends[1] < ends[2] < ends[3]


def test_the_error_keeps_to_chebyshevs_bound_and_steepest_descents_to_its_own(found):
    k, K = np.arange(1, chapter.DIM + 1), chapter.CONDITION
    assert (found["cg"][k] <= chapter.chebyshev(K, k)).all()
    assert (found["steepest"][k] <= ((K - 1) / (K + 1)) ** k * (1 + 1e-12)).all()  # Kantorovich
    assert found["cg"][chapter.DIM] < 1e-2 * found["steepest"][chapter.DIM]


def median(surface, column, optimizer, **numbers):
    """Of the study's own 20 runs: gradients to a gap of 1e-8, or what they end with."""
    problem = optlab.problems.from_surface(surface, start="random")
    make = lambda: optimizer(**numbers)  # noqa: E731
    trace = optlab.run_sweep(problem, make, {}, seeds=np.arange(20), steps=1000, gtol=1e-10, record="last")
    last = trace[column][:, -1].astype(float)
    return float(np.median(np.where(last < 0, np.inf, last)))


def test_in_a_valley_they_beat_steepest_descent_by_far_and_bfgs_beats_them():
    valley, gradients = optlab.surfaces.rosenbrock(dim=4), "target_n_grad"
    betas = [median(valley, gradients, optlab.nonlinear_cg, beta=beta) for beta in ("fr", "pr+")]
    # Medians of 20 starts, the page's 105 to 114, 48 and none: a tenth for what other builds of XLA round.
    assert betas == pytest.approx([110, 105], rel=0.1)
    assert median(valley, gradients, optlab.steepest_descent) == np.inf
    assert median(valley, gradients, optlab.bfgs) == pytest.approx(48, rel=0.1)


def test_on_a_network_fletcher_and_reeves_stays_behind_and_steepest_descent_further():
    network = optlab.surfaces.three_layer_network()
    loss = [median(network, "best_value", optlab.nonlinear_cg, beta=beta) for beta in ("pr+", "fr")]
    loss.append(median(network, "best_value", optlab.steepest_descent))
    # 0.026, 0.034 and 0.490; of chaotic descents that other rounding sends elsewhere.
    assert 1.2 * loss[0] < loss[1] < 0.5 * loss[2]
