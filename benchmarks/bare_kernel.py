"""What a user would write by hand for this one sweep: `optax.adam` under one vmap, in chunks, in threads.

`full` returns, run for run and digit for digit, what optlab stores: all columns of the recorded rows,
the status and the ladder of targets. It has to stop what has converged, stalled or diverged as optlab
does, or its numbers would differ. `barest` returns the last parameters alone. Nothing is written.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from benchmarks.jobs import Jobs
from optlab.surfaces import rosenbrock

LANES = 1024  #: the width of optlab's chunks on a CPU
TARGETS = 10.0 ** (2 - 0.2 * np.arange(51))
RUNNING, CONVERGED, MAX_STEPS, STALLED, DIVERGED = range(5)

loss = rosenbrock().fn
value_and_grad = jax.value_and_grad(loss)

#: (learning rates `[W]`, b1 `[W]`, starts `[W, 2]`, steps between records `[T]`) -> {name: `[W, ...]`}
Kernel = Callable[..., dict[str, jax.Array]]


def judge(value, grad_norm, still, limit):
    status = jnp.where(still >= 100, STALLED, RUNNING)
    status = jnp.where(grad_norm <= 1e-8, CONVERGED, status)
    return jnp.where((jnp.abs(value) <= limit) & jnp.isfinite(grad_norm), status, DIVERGED)


def one_run(learning_rate, b1, start, lengths):
    """Adam from `start: [2]`, with all that optlab stores: rows `[T]`, status, ladder `[51]`."""
    optimizer = optax.adam(learning_rate, b1)
    value, grad = value_and_grad(start)
    limit = 1e10 * jnp.maximum(1, jnp.abs(value))

    def body(_, carry):
        x, memory, value, grad, best, step, still, status, missed = carry
        live = status == RUNNING
        update, memory = optimizer.update(grad, memory)
        update = jnp.where(live, update, 0)
        motionless = jnp.all(jnp.abs(update) <= 2 * jnp.finfo(x.dtype).eps * jnp.abs(x))
        still = jnp.where(motionless, still + live, 0)
        x = x + update
        value, grad = value_and_grad(x)
        best = jnp.where(value < best, value, best)
        judged = judge(value, jnp.max(jnp.abs(grad)), still, limit)
        missed = missed + (best > TARGETS).astype(jnp.int32)
        status = jnp.where(live, judged, status)
        return x, memory, value, grad, best, step + live, still, status, missed

    def segment(carry, length):
        carry = lax.fori_loop(0, length, body, carry)
        x, _, value, grad, best, step, _, status, _ = carry
        row = {"step": step, "n_value": step + 1, "n_grad": step + 1, "n_hvp": jnp.zeros_like(step)}
        row |= {"value": value, "best_value": best, "gap": best, "grad_norm": jnp.max(jnp.abs(grad))}
        return carry, row | {"status": status, "x": x}

    zero = jnp.zeros((), jnp.int32)
    status = judge(value, jnp.max(jnp.abs(grad)), zero, limit)
    missed = (value > TARGETS).astype(jnp.int32)
    carry = (start, optimizer.init(start), value, grad, value, zero, zero, status, missed)
    carry, rows = lax.scan(segment, carry, lengths)
    best, status, missed = carry[4], carry[-2], carry[-1]
    ended = jnp.where(status == RUNNING, MAX_STEPS, status)
    reached = best <= TARGETS
    spent = {"step": missed, "n_value": missed + 1, "n_grad": missed + 1, "n_hvp": jnp.zeros_like(missed)}
    rows["status"] = rows["status"].at[-1].set(ended)
    return rows | {f"target_{name}": jnp.where(reached, count, -1) for name, count in spent.items()}


@jax.jit
def full(learning_rate, b1, start, lengths):
    """`one_run` for each of the learning rates, b1 and starts."""
    return jax.vmap(one_run, (0, 0, 0, None))(learning_rate, b1, start, lengths)


@jax.jit
def barest(learning_rate, b1, start, lengths):
    """The last parameters of each run, and not even the value there."""

    def one(learning_rate, b1, x):
        optimizer = optax.adam(learning_rate, b1)

        def body(_, carry):
            x, memory = carry
            update, memory = optimizer.update(jax.grad(loss)(x), memory)
            return x + update, memory

        return {"x": lax.fori_loop(0, lengths.sum(), body, (x, optimizer.init(x)))[0]}

    return jax.vmap(one)(learning_rate, b1, start)


def chunks(kernel: Kernel, jobs: Jobs, lengths: np.ndarray, threads: int) -> Iterator[dict[str, np.ndarray]]:
    """The results of one chunk after the other as NumPy arrays, `threads` chunks at a time."""
    size = len(jobs.b1)

    def chunk(first):
        rows = np.minimum(np.arange(first, first + LANES), size - 1)
        with jax.enable_x64(True):
            results = kernel(*(column[rows] for column in jobs), lengths)
            return {name: np.asarray(column)[: size - first] for name, column in results.items()}

    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(chunk, range(0, size, LANES))
