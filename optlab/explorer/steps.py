"""One step of a run for the page: numbers and a state in, the next state out, as JAX traces it and as JavaScript.

The step is that of `optlab.run`, with its own counts and its own verdict on convergence and divergence, without what
only a table shows: no ladder of targets, no passage of saddles. A slider is one number.
"""

from collections.abc import Callable, Mapping
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.tree_util import keystr

from optlab.explorer import insight
from optlab.explorer.opaque import ORDERS
from optlab.explorer.translate import translate
from optlab.problems import from_surface
from optlab.run import GTOL, PATIENCE, State, advance, split_key, start
from optlab.types import Array, Problem, Surface

#: (numbers by name) -> transform; called with tracers.
Make = Callable[..., optax.GradientTransformation]


class Descent:
    """An optimizer on a surface, step by step, from any point.

    Args:
      surface: what to descend; `opaque` for one that is chosen when the page calls.
      make: the optimizer, from its numeric hyperparameters by keyword.
      numbers: those that stay open, with any value; the others are `make`'s own.
      gtol, patience: as for `optlab.run`.
    """

    def __init__(
        self,
        surface: Surface,
        make: Make,
        numbers: Mapping[str, float],
        *,
        gtol: float = GTOL,
        patience: int = PATIENCE,
    ):
        self.surface, self.make, self.gtol, self.patience = surface, make, gtol, patience
        self.numbers = {name: jax.ShapeDtypeStruct((), np.dtype(float)) for name in sorted(numbers)}
        self.x = jax.ShapeDtypeStruct(np.shape(surface.start), np.dtype(float))

    def _case(self, numbers: Mapping[str, Array]) -> tuple[Problem, optax.GradientTransformation]:
        problem = from_surface(self.surface)._replace(minimum=None, landmarks=None)
        return problem, self.make(**numbers)

    def start(self, numbers: Mapping[str, Array], x: Array) -> State:
        """The state before the first step, from a point: `[d]`."""
        problem, optimizer = self._case(numbers)
        return start(problem, optimizer, split_key(jax.random.key(0)), gtol=self.gtol, params=x)

    def step(self, numbers: Mapping[str, Array], state: State) -> State:
        """The next state; one that has ended stays as it is."""
        problem, optimizer = self._case(numbers)
        _, key = split_key(jax.random.key(0))
        return advance(problem, optimizer, key, state, gtol=self.gtol, patience=self.patience)

    @cached_property
    def state(self) -> State:
        """The shapes and types of a state."""
        with jax.enable_x64(True):
            return jax.eval_shape(self.start, self.numbers, self.x)

    def shapes(self, numbers: Mapping[str, Array], state: State) -> dict[str, Array]:
        """What can be drawn of what the optimizer knows, see `optlab.explorer.insight`."""
        return insight.shapes(state.opt_state, numbers)

    @cached_property
    def shape_names(self) -> tuple[str, ...]:
        """The names of `shapes`, in order."""
        with jax.enable_x64(True):
            return tuple(sorted(jax.eval_shape(self.shapes, self.numbers, self.state)))

    @cached_property
    def leaves(self) -> tuple[str, ...]:
        """The names of a state's leaves, in order: ``params``, ``status``, ``opt_state[0].mu`` and so on."""
        return tuple(keystr(path).removeprefix(".") for path, _ in jax.tree_util.tree_leaves_with_path(self.state))

    def leaf(self, name: str) -> int:
        """The place of a leaf, for whoever reads a state in JavaScript."""
        return self.leaves.index(name)

    def javascript(self, name: str) -> str:
        """Source of ``NAME_start`` (numbers, then the point), ``NAME_step`` and ``NAME_shapes`` (numbers, then the
        state's leaves).

        Numbers come in the alphabetical order of their names, as in `numbers`.
        """
        first = translate(f"{name}_start", self.start, self.numbers, self.x)
        step = translate(f"{name}_step", self.step, self.numbers, self.state)
        return first + step + translate(f"{name}_shapes", self.shapes, self.numbers, self.state)


def derivatives(name: str, surface: Surface) -> str:
    """Source of ``NAME_0, NAME_1, NAME_2``: leaves [x] -> value, gradient and Hessian, `ORDERS` of them."""
    x = jax.ShapeDtypeStruct(np.shape(surface.start), np.dtype(float))
    function, found = (lambda x: jnp.asarray(surface.fn(x))), []
    for order in range(ORDERS):
        found.append(translate(f"{name}_{order}", function, x))
        function = jax.jacfwd(function) if order else jax.grad(function)
    return "".join(found)
