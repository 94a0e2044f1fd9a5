"""`run_sweep`: the same numbers as `run`, many at a time."""

from types import SimpleNamespace

import jax
import numpy as np
import optax
import pytest

import optlab
from optlab.sweep import grid
from optlab.types import Status
from optlab.widths import BUDGET, CPU_LANES, chunk_width


def test_a_sweep_in_chunks_gives_what_each_run_gives_alone():
    rates = np.logspace(-4, 0, 11)
    starts = np.stack([np.linspace(-2, 2, 11), np.linspace(2, -1, 11)], axis=1)

    def problem(start):
        return optlab.problems.from_surface(optlab.surfaces.rosenbrock(), start=start)

    numbers = {"learning_rate": rates, "b1": 0.8, "problem.start": starts}
    together = optlab.run_sweep(problem, optax.adam, numbers, steps=100, lanes=4)
    assert together["value"].shape[0] == 11  # three chunks of four, the last filled up with a copy
    alone = jax.jit(
        lambda rate, start: optlab.run(problem(start), optax.adam(rate, b1=0.8), jax.random.key(0), steps=100)
    )
    for lane in range(11):
        for name, column in alone(rates[lane], starts[lane]).items():
            # Other vector widths round differently; 100 steps of Adam amplify that by less than 1e4.
            np.testing.assert_allclose(together[name][lane], column, rtol=1e-11, atol=1e-11, err_msg=name)


def test_seeds_decide_starts_and_noise_as_they_do_in_a_single_run():
    problem = optlab.problems.from_surface(optlab.surfaces.beale(), start="random", noise=0.1)
    numbers, seeds = grid({"learning_rate": [1e-3, 1e-2]}, seeds=3)
    together = optlab.run_sweep(problem, optax.sgd, (numbers, seeds), steps=20)
    assert numbers["learning_rate"].tolist() == [1e-3] * 3 + [1e-2] * 3 and seeds.tolist() == [0, 1, 2] * 2
    for lane in range(6):
        rate, key = numbers["learning_rate"][lane], jax.random.key(seeds[lane])
        alone = optlab.run(problem, optax.sgd(rate), key, steps=20)
        np.testing.assert_allclose(together["x"][lane], alone["x"], rtol=1e-12)  # same draws, fused differently


def test_a_lane_that_ends_does_not_disturb_the_others():
    problem = optlab.problems.from_surface(optlab.surfaces.quadratic(condition=10.0))
    trace = optlab.run_sweep(problem, optax.sgd, {"learning_rate": np.array([0.25, 0.05, 0.15])}, steps=300)
    ends = [Status(s).name for s in trace["status"][:, -1]]
    assert ends == ["diverged", "max_steps", "converged"]
    assert np.isfinite(trace["x"][1:]).all()


def test_columns_of_different_length_are_refused():
    problem = optlab.problems.from_surface(optlab.surfaces.beale())
    with pytest.raises(ValueError, match=r"same length, not \[2, 3\]"):
        optlab.run_sweep(problem, optax.sgd, {"learning_rate": np.ones(2)}, seeds=np.arange(3), steps=3)


def test_the_width_of_a_chunk_is_a_power_of_two_within_the_budget():
    assert [chunk_width(n) for n in (1, 2, 3, 100, 10**6)] == [1, 2, 4, 128, CPU_LANES]
    assert chunk_width(10**6, run_bytes=BUDGET // 5) == 4
    assert chunk_width(10**6, run_bytes=10 * BUDGET) == 1


def test_the_common_loop_ends_with_the_last_lane():
    """A budget of a billion steps, of which every lane needs some dozen."""
    problem = optlab.problems.from_surface(optlab.surfaces.quadratic(condition=3.0))
    numbers = {"learning_rate": np.array([0.3, 0.5, 2.5])}
    trace = optlab.run_sweep(problem, optax.sgd, numbers, steps=10**9, record="last")
    assert [Status(s).name for s in trace["status"][:, -1]] == ["converged", "converged", "diverged"]
    assert trace["step"][:, -1].max() < 100


def test_lanes_that_go_on_in_a_narrower_program_end_as_they_would_have(monkeypatch):
    """With every pause worth a compilation; some lanes end at once, some in time, some never."""
    numbers = {"learning_rate": np.logspace(-2.7, 0.5, 64)}
    problem = optlab.problems.from_surface(optlab.surfaces.quadratic(dim=3, condition=10.0), start=np.full(3, 1e-3))
    widths = []

    def sweep():
        return optlab.run_sweep(problem, optax.sgd, numbers, steps=3000, gtol=1e-6)

    wide = sweep()
    monkeypatch.setattr("optlab.narrowing.NARROWEST", 4)
    monkeypatch.setattr("optlab.narrowing.WORTHWHILE", 0)
    take = optlab.narrowing._take
    monkeypatch.setattr("optlab.narrowing._take", lambda leaf, lanes: widths.append(len(lanes)) or take(leaf, lanes))
    narrow = sweep()
    assert set(widths) == {16, 4}
    statuses = wide["status"][:, -1]
    assert len(set(statuses)) == 3 and len(set(wide["step"][:, -1])) > 10
    for name in wide:
        np.testing.assert_allclose(narrow[name], wide[name], rtol=1e-9, atol=1e-300, err_msg=name)


def test_what_compiling_takes_is_not_taken_for_time_to_be_saved(monkeypatch):
    now, widths = [0.0], []
    compiled, take = optlab.sweep.compile_with, optlab.narrowing._take

    def slowly(*given):
        now[0] += 100.0
        return compiled(*given)

    monkeypatch.setattr("optlab.narrowing.time", SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr("optlab.sweep.compile_with", slowly)
    monkeypatch.setattr("optlab.narrowing._take", lambda leaf, lanes: widths.append(len(lanes)) or take(leaf, lanes))
    problem = optlab.problems.from_surface(optlab.surfaces.quadratic(dim=3, condition=10.0), start=np.full(3, 1e-3))
    optlab.run_sweep(problem, optax.sgd, {"learning_rate": np.logspace(-2.7, 0.5, 64)}, steps=3000, gtol=1e-6)
    assert now == [100.0] and set(widths) == {64}


def test_blocks_that_follow_one_another_in_a_dispatch_end_as_all_lanes_together_do(monkeypatch):
    """Each narrows on its own, too: some lanes end at once, some in time, some never."""
    numbers = {"learning_rate": np.random.default_rng(0).permutation(np.logspace(-2.7, 0.5, 150))}
    problem = optlab.problems.from_surface(optlab.surfaces.quadratic(dim=3, condition=10.0), start=np.full(3, 1e-3))
    lengths = []

    def sweep(lanes):
        return optlab.run_sweep(problem, optax.sgd, numbers, steps=1000, gtol=1e-6, lanes=lanes)

    together = sweep(256)
    monkeypatch.setattr("optlab.narrowing.NARROWEST", 4)
    monkeypatch.setattr("optlab.narrowing.WORTHWHILE", 0)
    monkeypatch.setattr("optlab.widths.cores", lambda: 1)
    over = optlab.narrowing.overwritten
    monkeypatch.setattr("optlab.narrowing.overwritten", lambda *given: lengths.append(given[3].shape) or over(*given))
    blocks = sweep(16)
    assert {shape[0] for shape in lengths} == {8}  # 128 runs a dispatch: the second is nearly empty
    for name in together:
        np.testing.assert_allclose(blocks[name], together[name], rtol=1e-9, atol=1e-300, err_msg=name)
