"""One run a job, as one would write it with Hydra, JAX and optax: `python -m benchmarks.basic_launcher_app`.

Hydra's basic sweeper and launcher run the jobs of ``-m`` one after the other in one process. A job builds
its optimizer from its numbers, compiles a loop around it and writes nothing but the folder that Hydra
gives it. What the loop returns is chosen by `loop`:

- `rows`: what optlab stores, by the bare kernel for one run;
- `values`: the value at the recorded steps and nothing else;
- `shared`: the same, with numbers as arguments of a loop compiled once for all jobs: what remains is Hydra.
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

from benchmarks.bare_kernel import loss, one_run


@dataclass
class Job:
    learning_rate: float = 0.1
    b1: float = 0.9
    start: list[float] = field(default_factory=lambda: [-1.2, 1.0])
    steps: int = 500
    loop: str = "rows"


def values(learning_rate, b1, x, lengths):
    """Adam for `sum(lengths)` steps; the value after each of `lengths: [T]`."""
    optimizer = optax.adam(learning_rate, b1)

    def body(_, carry):
        x, memory = carry
        update, memory = optimizer.update(jax.grad(loss)(x), memory)
        return optax.apply_updates(x, update), memory

    def segment(carry, length):
        carry = lax.fori_loop(0, length, body, carry)
        return carry, loss(carry[0])

    return lax.scan(segment, (x, optimizer.init(x)), lengths)[1]


@cache
def compiled_once():
    return jax.jit(values)


LOOPS = {
    "rows": lambda *numbers: jax.jit(partial(one_run, *numbers)),
    "values": lambda *numbers: jax.jit(partial(values, *numbers)),
    "shared": lambda *numbers: partial(compiled_once(), *numbers),
}


def lengths(steps: int) -> np.ndarray:
    """Steps between the recorded ones: eight of these in each decade."""
    recorded = np.unique([0, *np.round(10 ** (np.arange(8 * np.log10(steps) + 1) / 8)), steps])
    return np.diff(recorded, prepend=0).astype(np.int32)


@hydra.main(version_base="1.3", config_path=None, config_name="job")
def job(config: Job) -> None:
    jax.config.update("jax_enable_x64", True)
    loop = LOOPS[config.loop](config.learning_rate, config.b1)
    jax.block_until_ready(loop(jnp.array(list(config.start)), lengths(config.steps)))


ConfigStore.instance().store("job", Job)

if __name__ == "__main__":
    job()
