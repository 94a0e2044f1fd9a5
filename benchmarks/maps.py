"""Basin maps against the bare kernel: what it costs beside the steps themselves to end, judge and refill lanes."""

import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

import optlab
from benchmarks.page import Row, Section, at_least, at_most, seconds, show
from optlab.landscape.basins import basin_map
from optlab.landscape.outcomes import CPU_LANES
from optlab.optimizers.counts import known

HOW = """
Himmelblau's function, 512 x 512 starts, at most 1,000 steps, float64, all cores. Optimizer steps that the map needs
(not those that lanes make which have ended) by its wall time, compiled before, finding the points reached included.
Bare is the optimizer's update and the value and gradient under vmap and fori_loop, 1,024 lanes side by side on each
core, nothing judged and nothing kept. Judged is the same, by hand, with what a map has to know: lanes stop when they
have converged or diverged, and count their steps. All in turn, the median of five. The whole is all eight maps.
"""

OPTIMIZERS: dict[str, Callable[[], optax.GradientTransformation]] = {
    "gradient_descent": lambda: optlab.gradient_descent(0.003),
    "momentum": lambda: optlab.momentum(0.03),
    "heavy_ball": lambda: optlab.heavy_ball(0.003),
    "nesterov": lambda: optlab.nesterov(0.001),
    "adam": lambda: optax.adam(0.3),
    "adagrad": lambda: optax.adagrad(0.5),
    "newton": optlab.newton,
    "bfgs": optlab.bfgs,
}


def sections(quick: bool) -> list[Section]:
    """The table of this file."""
    with jax.enable_x64(True):
        return [Section("Basin maps", HOW.strip(), rows(*(64, 200, 3) if quick else (512, 1000, 5)))]


def rows(size: int, steps: int, repeats: int) -> list[Row]:
    surface = optlab.surfaces.himmelblau()
    found, whole, compiling = [], 0.0, 0.0
    for name, make in OPTIMIZERS.items():
        optimizer = make()

        mapped = partial(basin_map, surface, optimizer, size=size, steps=steps)
        loops = [kernel(surface, optimizer, 200, judged) for judged in (False, True)]
        begun = time.perf_counter()
        made = int(mapped().steps.sum())
        first = time.perf_counter() - begun
        ours, *theirs = interleaved([mapped, *(run for run, _ in loops)], repeats)
        whole, compiling = whole + ours, compiling + first - ours
        rate = made / ours
        bare, judged = (total / spent for (_, total), spent in zip(loops, theirs, strict=True))
        text = f"{rate / 1e6:.1f} M steps/s, bare {bare / 1e6:.1f} M: {rate / bare:.2f}, "
        text += f"judged {judged / 1e6:.1f} M: {rate / judged:.2f}"
        found.append(Row(name, wall=seconds(ours), measured=text, goal=at_least(rate / bare, 0.8, " of bare")))
    text = f"and {seconds(compiling)} to compile, once"
    return [*found, Row("all eight maps", wall=seconds(whole), measured=text, goal=at_most(whole, 5, " s"))]


def kernel(surface, optimizer, steps: int, judged: bool) -> tuple[Callable[[], object], int]:
    """The loop on every core, and how many steps it makes in all."""
    optimizer = optax.with_extra_args_support(optimizer)
    both = jax.value_and_grad(surface.fn)

    def move(x, state, value, grad):
        return optimizer.update(grad, state, x, value=value, grad=grad, value_fn=surface.fn, flat=True)

    def bare(_, carry):
        x, *others = carry
        updates, state = move(x, *others)
        x = x + updates
        return x, state, *(known(state) or both(x))

    def stopping(_, carry):
        (x, *others), live, limit, made = carry
        updates, state = move(x, *others)
        x = x + jnp.where(live, updates, 0)
        value, grad = known(state) or both(x)
        norm = jnp.max(jnp.abs(grad))
        # Below zero: it stops nobody, so that all steps are made, and is computed nevertheless.
        going = live & ~(norm <= limit - 2e10) & (jnp.abs(value) <= limit) & jnp.isfinite(norm)
        return (x, state, value, grad), going, limit, made + live

    def one(x):
        carry = (x, optimizer.init(x), *both(x))
        if not judged:
            return lax.fori_loop(0, steps, bare, carry)[0]
        begun = (carry, x[0] < 7, jnp.minimum(1e10, 1e10 + x[0]), jnp.zeros((), jnp.int32))
        (x, *_), live, _, made = lax.fori_loop(0, steps, stopping, begun)
        return x, live, made

    cores = os.cpu_count() or 1
    starts = np.random.default_rng(0).uniform(-6, 6, (CPU_LANES, 2))
    program = jax.jit(jax.vmap(one))

    def once(_):
        with jax.enable_x64(True):
            for _ in range(8):
                jax.block_until_ready(program(starts))

    once(0)

    def run():
        with ThreadPoolExecutor(cores) as pool:
            list(pool.map(once, range(cores)))

    return run, 8 * cores * CPU_LANES * steps


def interleaved(works: Sequence[Callable[[], object]], repeats: int) -> list[float]:
    """Median wall seconds of some works, done in turn."""
    spent: list[list[float]] = [[] for _ in works]
    for _ in range(repeats):
        for work, times in zip(works, spent, strict=True):
            begun = time.perf_counter()
            work()
            times.append(time.perf_counter() - begun)
    return list(map(statistics.median, spent))


if __name__ == "__main__":
    show(sections("--quick" in sys.argv[1:]))
