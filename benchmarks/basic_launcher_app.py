"""One run a job, as one would write it with Hydra and optax: `python -m benchmarks.basic_launcher_app -m ...`.

Hydra's basic sweeper and launcher run the jobs one after the other in one process. A job records what
optlab records of the value, and writes nothing but the folder that Hydra gives it. By default each job
builds its optimizer from its numbers and compiles its own loop; with `loop=shared` the numbers are
arguments of one compiled loop, the best that can be done here.
"""

from dataclasses import dataclass, field
from functools import cache, partial

import hydra
import jax
import jax.numpy as jnp
import numpy as np
import optax
from hydra.core.config_store import ConfigStore
from jax import lax


@dataclass
class Job:
    learning_rate: float = 0.1
    b1: float = 0.9
    start: list[float] = field(default_factory=lambda: [-1.2, 1.0])
    steps: int = 500
    loop: str = "own"  #: or shared


def rosenbrock(x):
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2


def descend(learning_rate, b1, x, lengths):
    """Adam for `sum(lengths)` steps; the value after each of `lengths: [T]`."""
    optimizer = optax.adam(learning_rate, b1)

    def body(_, carry):
        x, memory = carry
        update, memory = optimizer.update(jax.grad(rosenbrock)(x), memory)
        return optax.apply_updates(x, update), memory

    def segment(carry, length):
        carry = lax.fori_loop(0, length, body, carry)
        return carry, rosenbrock(carry[0])

    return lax.scan(segment, (x, optimizer.init(x)), lengths)[1]


@cache
def shared_loop():
    return jax.jit(descend)


def lengths(steps: int) -> np.ndarray:
    """Steps between the recorded ones: eight of these in each decade."""
    recorded = np.unique([0, *np.round(10 ** (np.arange(8 * np.log10(steps) + 1) / 8)), steps])
    return np.diff(recorded, prepend=0).astype(np.int32)


@hydra.main(version_base="1.3", config_path=None, config_name="job")
def job(config: Job) -> float:
    jax.config.update("jax_enable_x64", True)
    x = jnp.array(list(config.start))
    if config.loop == "shared":
        values = shared_loop()(config.learning_rate, config.b1, x, lengths(config.steps))
    else:
        values = jax.jit(partial(descend, config.learning_rate, config.b1))(x, lengths(config.steps))
    return float(values[-1])


ConfigStore.instance().store("job", Job)

if __name__ == "__main__":
    job()
