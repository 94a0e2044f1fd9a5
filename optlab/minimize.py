"""The same step as `run`, until it has converged: one while loop, for library users."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from optlab.one_function import alone_in_one_function
from optlab.optimizers.counts import nodes
from optlab.optimizers.descent import SearchState, select
from optlab.run import PATIENCE, State, advance, infinity_norm, start
from optlab.types import Array, Problem, PyTree, Status, full_batch


class Minimum(NamedTuple):
    """Where a minimization ended."""

    x: PyTree  #: the parameters
    value: Array  #: the function there: `[]`
    grad_norm: Array  #: infinity norm of its gradient: `[]`
    status: Array  #: an `optlab.Status`, e.g. ``optlab.Status.converged``
    steps: Array  #: iterations: a line search and its trials are one
    n_value: Array
    n_grad: Array
    n_hvp: Array


def minimize(
    fun: Callable[..., Array],
    x0: PyTree,
    optimizer: optax.GradientTransformation,
    *,
    args: tuple = (),
    max_steps: int = 1000,
    gtol: float = 1e-6,
    residual: Callable[..., Array] | None = None,
) -> Minimum:
    """Minimizes ``fun(x, *args)`` from `x0`, until no entry of the gradient exceeds `gtol`.

    Works under ``jit`` and ``vmap``, and has derivatives in forward mode (``jax.jacfwd``, with respect to `args`, say).
    Under ``vmap`` each lane ends on its own and keeps what it had. A small one alone (up to about a hundred parameters,
    on a CPU) is one function of the machine's code, several times as fast (`optlab.one_function`).

    Args:
      fun: (x, *args) -> `[]`.
      x0: any pytree of floating arrays.
      optimizer: any optax transform.
      args: further arguments, not differentiated.
      max_steps: the budget, at least 1.
      gtol: infinity norm of the gradient at which to stop.
      residual: (x, *args) -> `[r]` with ``fun = 0.5 |residual|^2``, for least-squares methods.

    Returns:
      A `Minimum`. Its status is ``converged``, ``max_steps``, ``stalled`` or ``diverged``.
    """
    if isinstance(max_steps, int) and max_steps < 1:
        raise ValueError(f"max_steps must be at least 1, not {max_steps}")
    residuals = None if residual is None else lambda x, data: residual(x, *data)
    key = jax.random.key(0)  # nothing is random here

    def unfinished(carry):
        state, iterations = carry
        return (state.status == Status.running) & (iterations < max_steps)

    def minimized(x0):
        problem = Problem(
            init=lambda key: x0,
            batch=full_batch,
            loss=lambda x, data: fun(x, *data),
            measure=lambda x, data: {},
            residual=residuals,
            data=args,
        )

        def body(carry):
            state, iterations = carry
            new = advance(problem, optimizer, key, state, gtol=gtol, patience=PATIENCE)
            return new, iterations + _ended(state, new)

        begun = start(problem, optimizer, (key, key), gtol=gtol)
        state, iterations = lax.while_loop(unfinished, body, (begun, jnp.zeros((), jnp.int32)))
        status = jnp.where(state.status == Status.running, Status.max_steps, state.status).astype(jnp.int32)
        if nodes(state.opt_state, SearchState):  # the search whose trial has converged is an iteration too
            iterations += ((status == Status.converged) & (state.step > 0)).astype(jnp.int32)
        return Minimum(*_settled(state), status, iterations, *state.counts)

    return alone_in_one_function(minimized, x0)


def _ended(before: State, after: State) -> Array:
    """1 where an iteration has ended. An update is one, unless a line search goes on: it ends where the next begins."""
    searches = nodes(after.opt_state, SearchState)
    if not searches:
        return jnp.ones((), jnp.int32)
    return (searches[0].progress.fresh & (before.step > 0)).astype(jnp.int32)


def _settled(state: State) -> tuple[PyTree, Array, Array]:
    """The last point; of a method with a line search the last accepted one, where a search has been cut off."""
    x, value, norm = state.params, state.value, state.grad_norm
    for search in nodes(state.opt_state, SearchState):
        back = ((state.status == Status.running) | (state.status == Status.stalled)) & jnp.isfinite(search.value)
        x, value = select(back, search.base, x), jnp.where(back, search.value, value)
        norm = jnp.where(back, infinity_norm(search.grad), norm)
    return x, value, norm
