"""Curvature methods against their peers, each in one run; and batches of them against bare evaluations.

The peers need an environment of their own (`make bench-peers`); without it that section is left out.
"""

import json
import math
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable

from benchmarks.page import Goal, Row, Section, at_least, at_most, show
from benchmarks.spent import ROOT
from benchmarks.sweep import python_with

PEERS = """
Rosenbrock in 2, 10, 100 and 1,000 variables, 39 cases of More, Garbow and Hillstrom (without Meyer's), a
quadratic of condition 1e6 in 1,000, logistic regression and a small network on scikit-learn's digits; float64, one
process. All stop at a gradient of 1e-5 in the largest entry (jaxopt: in length; optimistix has no such rule, and
stops where neither point nor value changes by 1e-8), or after 10,000 iterations (SciPy and PyTorch 2,000). Solved: a
published minimum to 1e-4 (1e-8 where it is zero), else a zero gradient. Ratios are ours by theirs, geometric means
over what both have solved: evaluations (value plus gradient; a linearization is both), seconds to run and, where a
peer is compiled too, seconds to compile. At most 1 means that optlab is not behind. "To 1e-8" optlab stops at that
gradient, so that it goes as far as optimistix.
"""

#: Peers that call back for each evaluation: all they have compiled is the function.
CALLED_BACK = {"SciPy", "PyTorch"}

BATCH = """
Rosenbrock in 10 variables from random starts in [-2, 2], to a gradient of 1e-5, float64, as a sweep runs them but one
chunk at a time: as many lanes side by side as the cache holds, the last quarter in narrower programs. Bare is the
batched value and gradient alone. The cost is that of a lane, compiled before, the least of five; the ratio is to bare
times the evaluations made, a Hessian-vector product as 4/3 of one (a value costs 1, a gradient 2, a product 4).
"""


def sections(quick: bool) -> list[Section]:
    """The tables of this file."""
    found = [Section("Batches of curvature methods", BATCH.strip(), batch(quick))]
    python = python_with("optimistix")
    if python is None:
        return found
    command = [python, "-m", "benchmarks.curvature_run", *(["--quick"] if quick else [])]
    lines = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    return [*found, Section("Curvature methods and their peers", PEERS.strip(), list(rows(lines.splitlines())))]


def rows(lines: Iterable[str]) -> Iterable[Row]:
    """From the JSON lines of `curvature_run`: a row for each solver."""
    by_family: dict[str, dict[str, dict[str, dict]]] = defaultdict(lambda: defaultdict(dict))
    for line in lines:
        row = json.loads(line)
        if "missing" not in row:
            by_family[row["family"]][row["solver"]][row["case"]] = row
    for family, solvers in by_family.items():
        ours = solvers.pop("optlab")
        yield Row(f"{family}: optlab", measured=f"solved {_solved(ours)} of {len(ours)}")
        for name, theirs in solvers.items():
            both = [(ours[case], row) for case, row in theirs.items() if row["solved"] and ours[case]["solved"]]
            missed = [case for case, row in theirs.items() if row["solved"] and not ours[case]["solved"]]
            compared = ("evaluations", "run") if name in CALLED_BACK else ("evaluations", "compile", "run")
            ratios = {what: _mean_ratio(both, what) for what in compared}
            text = f"solved {_solved(theirs)} of {len(theirs)}; ours by its: " + ", ".join(
                f"{what} {ratio:.2f}" for what, ratio in ratios.items()
            )
            if missed:
                text += f"; solves where we do not: {', '.join(missed)}"
            met = not missed and all(ratio <= 1 for ratio in ratios.values())
            yield Row(f"{family}: {name}", measured=text, goal=Goal("not behind in any", met))


def _solved(rows: dict[str, dict]) -> int:
    return sum(row["solved"] for row in rows.values())


def _mean_ratio(pairs: list[tuple[dict, dict]], what: str) -> float:
    logs = [math.log(ours[what] / theirs[what]) for ours, theirs in pairs if theirs[what] > 0]
    return math.exp(statistics.fmean(logs)) if logs else math.nan


def batch(quick: bool) -> list[Row]:
    """What a lane costs: ours by the sweep, optax's L-BFGS under vmap."""
    import jax
    import numpy as np

    import optlab

    sizes = (256,) if quick else (1024, 4096)
    found = []
    with jax.enable_x64(True):
        starts = np.random.default_rng(0).uniform(-2, 2, (sizes[-1], 10))
        bare = _bare(starts[: sizes[0]])
        found.append(Row("bare value and gradient", measured=f"{bare * 1e9:.0f} ns a lane and evaluation"))
        optax_cost = _optax(starts[: sizes[0]])
        found.append(Row("optax.lbfgs, vmap", measured=f"{optax_cost * 1e6:.0f} us a lane"))
        for name in ("bfgs", "lbfgs", "nonlinear_cg", "newton", "modified_newton"):
            for size in sizes:
                cost, evaluations = _lane(getattr(optlab, name)(), starts[:size])
                ratio = cost / (bare * evaluations)
                text = f"{cost * 1e6:.0f} us a lane, {evaluations:.0f} evaluations, {ratio:.1f} times bare"
                found.append(Row(f"{name}, {size} lanes", measured=text, goal=at_most(ratio, 4, " times bare")))
                if name == "lbfgs":
                    faster = optax_cost / cost
                    found.append(Row("  than optax.lbfgs", measured=f"{faster:.1f} times faster",
                                     goal=at_least(faster, 4, " times")))  # fmt: skip
    return found


def _bare(starts) -> float:
    import jax

    import optlab

    both = jax.vmap(jax.value_and_grad(optlab.surfaces.rosenbrock(dim=10).fn))

    @jax.jit
    def run(x):
        def step(_, carry):
            x, total = carry
            value, grad = both(x)
            return x - 1e-9 * grad, total + value

        return jax.lax.fori_loop(0, 100, step, (x, starts[:, 0] * 0))

    return _least(lambda: jax.block_until_ready(run(starts))) / 100 / len(starts)


def _optax(starts) -> float:
    """optax's own loop (its documentation's example) under vmap."""
    import jax
    import jax.numpy as jnp
    import optax

    import optlab

    fun, optimizer = optlab.surfaces.rosenbrock(dim=10).fn, optax.lbfgs()
    both = optax.value_and_grad_from_state(fun)

    def minimized(x):
        def step(carry):
            x, state, _, steps = carry
            value, grad = both(x, state=state)
            updates, state = optimizer.update(grad, state, x, value=value, grad=grad, value_fn=fun)
            grad = optax.tree.get(state, "grad")
            return optax.apply_updates(x, updates), state, jnp.max(jnp.abs(grad)), steps + 1

        def going(carry):
            return (carry[2] > 1e-5) & (carry[3] < 500)

        return jax.lax.while_loop(going, step, (x, optimizer.init(x), jnp.asarray(jnp.inf), 0))[0]

    run = jax.jit(jax.vmap(minimized))
    return _least(lambda: jax.block_until_ready(run(starts)), 3) / len(starts)


def _lane(optimizer, starts) -> tuple[float, float]:
    """Seconds and evaluations of a lane, one chunk at a time; its programs, narrow ones too, compiled before."""
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np

    import optlab
    from optlab import narrowing, sweep, widths
    from optlab.metrics.costs import NOMINAL
    from optlab.one_function import in_one_functions
    from optlab.run import recorded_steps

    surface = optlab.surfaces.rosenbrock(dim=10)

    def build(numbers):
        problem = optlab.problems.from_surface(surface, start=numbers["start"])
        return problem._replace(minimum=None, landmarks=None), optimizer  # as a peer: no ladder, no landmarks

    columns, seeds = {"start": starts}, np.zeros(len(starts), int)
    first = sweep.first_rows(columns, seeds, 0, 1)
    one = sweep.blank(build, *first, ())
    beside = sweep.lie_side_by_side(build, *first, one, len(starts), long=False)
    options = sweep.compiler_options(beside, sweep.FEW + 1)
    lanes = widths.lanes_for(one, long=False, in_one=in_one_functions(options))
    program = sweep.compiled(build, probes={}, gtol=1e-5, beside=beside)
    drive = sweep.all_at_once(sweep.at_each_width(program, options), ())
    product = NOMINAL["hvp"] / (NOMINAL["value"] + NOMINAL["gradient"])
    found: list = []

    def run():
        with ThreadPoolExecutor(1) as pool:
            width = widths.chunk_width(len(starts), widths.dispatched(len(starts), lanes))
            chunks = sweep.run_chunks(drive, columns, seeds, recorded_steps(1000, "last"), one, width, lanes, pool)
            found[:] = [trace["n_grad"][:, -1] + product * trace["n_hvp"][:, -1] for _, trace, _ in chunks]

    cores, worthwhile = sweep.cores, narrowing.WORTHWHILE
    sweep.cores, narrowing.WORTHWHILE = (lambda: 1), 0.0
    try:
        run()
        return _least(run) / len(starts), float(np.concatenate(found).mean())
    finally:
        sweep.cores, narrowing.WORTHWHILE = cores, worthwhile


def _least(work, repeats: int = 5) -> float:
    work()
    spent = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        spent.append(time.perf_counter() - begun)
    return min(spent)


if __name__ == "__main__":
    show(sections("--quick" in sys.argv[1:]))
