"""What an optimizer knows at a point, as shapes that can be drawn there: read from its state, never recomputed.

Shapes by name, all in the units of the parameters: ``inverse_hessian [d, d]`` (what it has learnt of the curvature),
``scaling [d]`` (by what it multiplies each entry of the gradient), ``region [d, d]`` (M with p^T M^-1 p <= 1, how far
it trusts its model), ``direction [d]`` (of the line search), ``velocity [d]``. A new kind of state is one more entry.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from optlab.optimizers.counts import nodes
from optlab.optimizers.descent import SearchState
from optlab.optimizers.least_squares import LevenbergMarquardtState
from optlab.optimizers.momentum import LookaheadState, VelocityState
from optlab.optimizers.quasi_newton import DenseState, LimitedState, two_loops
from optlab.optimizers.symmetric_rank_one import Learnt
from optlab.optimizers.trust_region import TrustState
from optlab.types import Array, PyTree

Shapes = dict[str, Array]


def _dense(state: Any, settings: Mapping[str, Any]) -> Shapes:
    return {"inverse_hessian": jnp.where(state.pairs > 0, state.H, jnp.nan)}


def _limited(state: Any, settings: Mapping[str, Any]) -> Shapes:
    columns = [two_loops(state.S, state.Y, state.rho, unit) for unit in jnp.eye(state.x.size, dtype=state.x.dtype)]
    return {"inverse_hessian": jnp.where(state.rho[0] > 0, jnp.stack(columns, axis=1), jnp.nan)}


def _rank_one(state: Any, settings: Mapping[str, Any]) -> Shapes:
    return {"inverse_hessian": jnp.where(state.begun, jnp.linalg.inv(state.B), jnp.nan)}


def _searched(state: Any, settings: Mapping[str, Any]) -> Shapes:
    return {"direction": state.direction}


def _ball(state: Any, settings: Mapping[str, Any]) -> Shapes:
    return {"region": state.size**2 * jnp.eye(state.evaluated.grad.size, dtype=state.size.dtype)}


def _ellipsoid(state: Any, settings: Mapping[str, Any]) -> Shapes:
    return {"region": jnp.diag((state.radius / state.model.D) ** 2)}


def _velocity(state: Any, settings: Mapping[str, Any]) -> Shapes:
    return {"velocity": state.velocity}


def _trace(state: Any, settings: Mapping[str, Any]) -> Shapes:
    return {"velocity": -settings["learning_rate"] * state.trace} if "learning_rate" in settings else {}


def _adam(state: Any, settings: Mapping[str, Any]) -> Shapes:
    second = state.nu / (1 - settings.get("b2", 0.999) ** state.count)
    return {"scaling": 1 / (jnp.sqrt(second) + settings.get("eps", 1e-8))}


def _rms(state: Any, settings: Mapping[str, Any]) -> Shapes:
    return {"scaling": 1 / jnp.sqrt(state.nu + settings.get("eps", 1e-8))}


def _sum_of_squares(state: Any, settings: Mapping[str, Any]) -> Shapes:
    return {"scaling": 1 / jnp.sqrt(state.sum_of_squares + settings.get("eps", 1e-7))}


def _delta(state: Any, settings: Mapping[str, Any]) -> Shapes:
    eps = settings.get("eps", 1e-6)
    return {"scaling": jnp.sqrt(state.e_x + eps) / jnp.sqrt(state.e_g + eps)}


SHAPES: dict[type, Callable[[Any, Mapping[str, Any]], Shapes]] = {
    DenseState: _dense, LimitedState: _limited, Learnt: _rank_one, SearchState: _searched, TrustState: _ball,
    LevenbergMarquardtState: _ellipsoid, VelocityState: _velocity, LookaheadState: _velocity,
    optax.TraceState: _trace, optax.ScaleByAdamState: _adam, optax.ScaleByRmsState: _rms,
    optax.ScaleByRssState: _sum_of_squares, optax.ScaleByAdaDeltaState: _delta,
}  # fmt: skip


def shapes(opt_state: PyTree, settings: Mapping[str, Any]) -> Shapes:
    """What can be drawn of an optimizer's state, for parameters that are one vector; none where nothing is known.

    Args:
      opt_state: of any chain.
      settings: the optimizer's numbers by name; what optax does not keep in its states is taken from there.

    Returns:
      {name: shape}, see above; NaN where it has learnt nothing yet.
    """
    found: Shapes = {}
    for node in _with_inner(opt_state):
        found |= SHAPES[type(node)](node, settings)
    return jax.tree.map(lambda shape: jnp.asarray(shape, float), found)


def _with_inner(state: PyTree) -> list[Any]:
    """Nodes of known types, also those within one another."""
    outer = [node for node in nodes(state, *SHAPES) if type(node) in SHAPES]
    return outer + [inner for node in outer for child in node for inner in _with_inner(child)]
