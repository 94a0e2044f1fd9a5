"""Controls are runs of a sweep like others, and a task that whoever never moves passes is found out by them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
import pytest

import optlab
from optlab import metrics
from optlab.app import catalogue
from optlab.metrics import controls


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """The quick suite, run by one optimizer and two controls from five random starts; and where its tables are."""
    from optlab.app.main import _guarded

    folder = tmp_path_factory.mktemp("controls")
    words = ["-m", "suite=quick", "optimizer=stay,random_walk,adam", "problem.start=random", "seed=range(0,5)"]
    with pytest.MonkeyPatch.context() as patch:  # where runs end is another test's matter, with programs of its own
        patch.setattr("optlab.app.endings.labels_of", lambda group, trace: ["none"] * group.size)
        assert _guarded([*words, "steps=200", f"results={folder}"]) == 0
    return folder


def walk(optimizer, params, steps):
    """The parameters after each step, whatever the gradient: one that would throw the walker off is given."""
    state, places = optimizer.init(params), []
    for _ in range(steps):
        grads = jax.tree.map(lambda leaf: jnp.full_like(leaf, jnp.nan), params)
        updates, state = optimizer.update(grads, state, params, value=jnp.nan, grad=grads, value_fn=None)
        params = optax.apply_updates(params, updates)
        places.append(params)
    return places


def test_who_stays_does_not_move_whatever_the_gradient():
    start = {"w": jnp.array([[1.0, -2.0]], jnp.float32), "b": jnp.array(3.0)}
    (end,) = walk(optlab.stay(), start, 1)
    assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all() and a.dtype == b.dtype, start, end))


def test_a_random_walk_makes_normal_steps_of_the_rate_and_sees_no_gradient():
    start = {"w": jnp.zeros((40, 50), jnp.float32), "b": jnp.zeros(3)}
    places = walk(optlab.random_walk(0.5, seed=4), start, 4)
    assert places[0]["w"].dtype == jnp.float32 and places[0]["b"].dtype == jnp.float64
    path = np.stack([np.zeros((40, 50)), *(p["w"] for p in places)])
    steps = np.diff(path, axis=0) / 0.5
    n = steps[0].size
    for step in steps:
        assert abs(step.mean()) < 4 / np.sqrt(n) and abs(step.var() - 1) < 4 * np.sqrt(2 / n)
    for earlier, later in zip(steps[:-1], steps[1:], strict=True):
        assert abs(np.mean(earlier * later)) < 4 / np.sqrt(n)  # each step is drawn anew
    leaves = jax.tree.leaves(places[0])
    assert not np.allclose(leaves[0].ravel(), leaves[1].ravel()[:3])  # and each leaf


def test_a_walk_is_that_of_its_seed_traced_or_not_and_a_schedule_is_a_rate():
    start = jnp.zeros(5)
    places = walk(optlab.random_walk(0.1, seed=1), start, 3)
    np.testing.assert_array_equal(places, walk(optlab.random_walk(0.1, seed=1), start, 3))
    assert (np.asarray(places) != walk(optlab.random_walk(0.1, seed=2), start, 3)).all()
    traced = jax.jit(lambda rate, seed: walk(optlab.random_walk(rate, seed), start, 3))(0.1, 1)
    np.testing.assert_allclose(traced, places, rtol=1e-12)
    halved = walk(optlab.random_walk(lambda step: 0.1 * 0.5**step, seed=1), start, 3)
    np.testing.assert_allclose(np.diff(halved, axis=0)[0], 0.5 * np.diff(places, axis=0)[0], rtol=1e-12)


def test_a_sweep_of_the_quick_suite_with_controls_says_which_tasks_are_sound(tables, optlab_command, tmp_path):
    results = optlab.load(tables)
    table = metrics.judge_tasks(metrics.with_oracle(results).runs).set_index("problem")
    assert set(table.index) == set(catalogue.suite("quick"))
    assert set(table.verdict) == {controls.SOUND}
    assert (table["null"] == 0).all() and (table.random_walk == 0).all() and (table.oracle == 1).all()
    stayed = results.runs[results.runs.optimizer == "stay"].set_index("run_id")
    begin = metrics.initial(results.curves)[stayed.index]
    np.testing.assert_allclose(stayed.value, begin, rtol=1e-12)
    np.testing.assert_allclose(stayed.best_value, begin, rtol=1e-12)
    # Where the plateau starts the gradient is as good as zero: a status is no solution where the minimum is known.
    assert set(stayed.status) == {"stalled", "converged"}

    # One problem begun at its minimum: there whoever stays has passed.
    words = ("problem=beale", "problem.start=[3.0,0.5]", "optimizer=stay", "steps=200", "record=last")
    assert optlab_command("-m", *words)[0] == 0
    both = pd.concat([results.runs, optlab.load(tmp_path).runs], ignore_index=True)
    table = metrics.judge_tasks(both)
    assert table.problem[0] == "beale" and table.verdict[0] == controls.FAULTY
    assert (table.verdict[1:] == controls.SOUND).all()


def test_an_oracle_needs_one_evaluation_and_nobody_scores_more(tables):
    before = optlab.load(tables)
    results = metrics.with_oracle(before)
    assert len(results.runs) == len(before.runs) + 12 * 5 and set(results.runs.columns) == set(before.runs.columns)
    assert results.runs.run_id.is_unique
    times = metrics.runtimes(results)
    mine = times[times.optimizer == "oracle"]
    assert len(mine) == 12 * 5 * len(metrics.COCO) and (mine.runtime == 1).all() and (mine.source == "targets").all()
    areas = metrics.anytime_area(results, low=1.0).groupby("optimizer").area.mean()
    assert areas.idxmax() == "oracle" and areas["oracle"] == pytest.approx(1.0)
    assert areas.idxmin() == "stay"
    assert (metrics.digits(results).query("optimizer == 'oracle'").digits == 16).all()
    score = metrics.intervals(metrics.digits(results), "digits")
    assert set(score.optimizer) == {"adam", "oracle", "random_walk", "stay"} and score.runs.eq(5).all()
    with pytest.raises(ValueError, match="already"):
        metrics.with_oracle(results)


def test_an_oracle_knows_no_minimum_that_was_only_observed(tables):
    known = optlab.load(tables)
    unknown = known._replace(runs=known.runs.assign(gap=np.nan), curves=known.curves.assign(gap=np.nan))
    for results in (unknown, metrics.with_gaps(unknown)):
        told = metrics.with_oracle(results)
        assert len(told.runs) == len(results.runs)
        assert metrics.judge_tasks(told.runs).oracle.isna().all()


def test_the_headline_comparison_is_of_twenty_optimizers_on_the_quick_suite_with_every_default_rate():
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(catalogue.conf_dir()), version_base="1.3"):
        config = compose("config", overrides=["experiment=headline"], return_hydra_config=True)
    params = config.hydra.sweeper.params
    listed = {key: [word.strip() for word in str(params[key]).split(",")] for key in ("optimizer", "problem")}
    assert set(listed["problem"]) == set(catalogue.suite("quick"))
    assert len(set(listed["optimizer"]) - {"stay", "random_walk"}) == 20
    rates = np.array([float(word) for word in str(params["optimizer.learning_rate"]).split(",")])
    assert len(rates) - 1 >= 4 * np.log10(rates.max() / rates.min()) and rates.max() / rates.min() >= 1e5 * (1 - 1e-12)
    for name in listed["optimizer"]:
        with initialize_config_dir(str(catalogue.conf_dir()), version_base="1.3"):
            rate = compose("config", overrides=[f"optimizer={name}", "problem=beale"]).optimizer.get("learning_rate")
        assert rate is None or rate in rates
