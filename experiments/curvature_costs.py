"""What curvature costs in time and memory, for the chapter on Newton's method."""

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jax.flatten_util import ravel_pytree

import optlab
from experiments.drawing import lines, ordered, panels
from experiments.page import Picture
from optlab.optimizers.hessian import matrix, products
from optlab.plots import style

PARAMETERS = 354_000  #: of the lecture's example: a terabyte in float64
MEMORY = 10  #: pairs of L-BFGS
HIDDEN = (1, 3, 9)  #: units of the networks that are timed


def network(hidden: int) -> tuple[Callable, jax.Array]:
    """(parameters -> loss) of a network on 128 digits, and its parameters as one vector."""
    problem = optlab.workloads.training(
        network=optlab.workloads.mlp(depth=1, width=hidden / 512, activation="tanh"),
        data=optlab.workloads.digits(),
        batch_size=128,
    )
    x, unravel = ravel_pytree(problem.init(jax.random.key(0)))
    batch = problem.batch(problem.data, jax.random.key(1))
    return (lambda x: problem.loss(unravel(x), batch)), x


def oracles(value_fn, x) -> dict:
    """The gradient, a Hessian-vector product and the Hessian as compiled programs of the parameters and a vector."""
    programs = {
        "gradient": lambda x, v: jax.grad(value_fn)(x), "product": lambda x, v: products(value_fn, x)(v),
        "Hessian": lambda x, v: matrix(value_fn, x),
    }  # fmt: skip
    return {name: jax.jit(program, keep_unused=True).lower(x, x).compile() for name, program in programs.items()}


def times(hidden: tuple[int, ...] = HIDDEN, tries: int = 20) -> pd.DataFrame:
    """Milliseconds for each, and operations in units of the gradient's: a row for each network."""
    rows = []
    for units in hidden:
        value_fn, x = network(units)
        programs, v = oracles(value_fn, x), jnp.flip(x)
        spent = [min(_seconds(program, x, v) for _ in range(tries)) * 1e3 for program in programs.values()]
        count = [program.cost_analysis()["flops"] for program in programs.values()]
        rows.append((int(x.size), *spent, count[1] / count[0], count[2] / count[0]))
    return pd.DataFrame(rows, columns=["parameters", *programs, "product, operations", "Hessian, operations"])


def _seconds(program, *inputs) -> float:
    begun = time.perf_counter()
    program(*inputs).block_until_ready()
    return time.perf_counter() - begun


def state_bytes(optimizer, parameters: int) -> int:
    """What an optimizer of the library carries from step to step, in float64; only shapes are made."""
    with jax.enable_x64(True):
        state = jax.eval_shape(optimizer.init, jax.ShapeDtypeStruct((parameters,), float))
        return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))


def memory(sizes: tuple[int, ...] = (10, 100, 10_000, PARAMETERS)) -> pd.DataFrame:
    """Bytes measured and by the formulas, a row for each number of parameters."""
    rows = [
        (n, state_bytes(optlab.bfgs(), n), 8 * n**2, state_bytes(optlab.lbfgs(MEMORY), n), 8 * 2 * MEMORY * n)
        for n in sizes
    ]
    return pd.DataFrame(rows, columns=["parameters", "BFGS", "8 n^2", "L-BFGS", "8 (2 m n)"])


def with_units(held: pd.DataFrame) -> pd.DataFrame:
    """The table of memory in bytes, kB, MB, GB, TB."""

    def unit(n: float) -> str:
        power = min(int(np.log10(n)) // 3, 4)
        return f"{n / 1000**power:.4g} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"

    return held.assign(**{name: held[name].map(unit) for name in held.columns[1:]})


def price(spent: pd.DataFrame, held: pd.DataFrame) -> Picture:
    """Time and memory over the number of parameters."""
    line = f"left: a network on 128 digits, float32 · right: states of BFGS and of L-BFGS with m = {MEMORY}, float64"
    sheet, axes = panels("What curvature costs", line, ["milliseconds", "bytes"], columns=2, width=3.9, right=1.0)
    tints, both = ordered(3), {"xscale": "log", "yscale": "log", "xlabel": "parameters"}
    names = ("gradient", "product", "Hessian")
    entries = [(spent.parameters, spent[name], name, tint) for name, tint in zip(names, tints, strict=True)]
    lines(axes[0], entries, xlim=(60, 1000), **both)
    for x, y, _, tint in entries:
        axes[0].plot(x, y, "o", markersize=4, color=tint)
    axes[0].set_xticks(spent.parameters, [f"{n}" for n in spent.parameters])
    axes[0].minorticks_off()
    n = np.geomspace(10, 1e7, 50)
    sizes = [
        (n, 8 * n**2, "BFGS", tints[2]),
        (n, 16 * MEMORY * n, "L-BFGS", tints[1]),
        (n, 8 * n, "parameters", tints[0]),
    ]
    lines(axes[1], sizes, xlim=(10, 1e7), ylim=(50, 1e16), **both)
    for _, _, name, tint in sizes[:2]:
        axes[1].plot(held.parameters, held[name], "o", markersize=5, color=tint)
    axes[1].axhline(1e12, color=style.QUIET, linewidth=0.8, linestyle="--")
    look = {"fontsize": 8.5, "color": style.INK, "ha": "right"}
    axes[1].annotate(f"1 TB: {PARAMETERS:,} parameters", (PARAMETERS, 1e12), (-6, 6), "data", "offset points", **look)
    return Picture(
        sheet,
        "Left: a Hessian-vector product costs about two gradients whatever the size, the Hessian grows faster. Right: "
        "lines are the formulas, dots what the library's own states take.",
    )
