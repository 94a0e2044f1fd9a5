"""Wall seconds of many short runs with the CPU as one device or several: `... scaling_devices DEVICES RUNS STEPS`.

A process of its own, as devices are chosen before JAX starts. Compiling is out, and one program goes at a time.
"""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import optax

from optlab import devices, problems, surfaces, sweep, widths


def main(count: int, runs: int, steps: int) -> float:
    os.environ["OPTLAB_CORES"] = "1"  # several devices run one program at a time: so does one
    jax.config.update("jax_num_cpu_devices", count)
    jax.config.update("jax_enable_x64", True)
    problem = problems.from_surface(surfaces.rosenbrock(), start="random")

    def build(numbers):
        return problem, optax.adam(**numbers)

    columns, seeds = {"learning_rate": np.full(runs, 1e-3)}, np.arange(runs)
    mesh = devices.mesh_for(runs)
    width = widths.chunk_width(runs, shares=devices.shares(mesh))
    states = sweep.blank(build, *sweep.first_rows(columns, seeds, 0, 1), ())
    program = sweep.compiled(build, probes={}, gtol=0.0, mesh=mesh)
    drive = sweep.all_at_once(sweep.at_each_width(program, sweep.compiler_options(False, sweep.FEW + 1)), ())

    def whole():
        with ThreadPoolExecutor(1) as pool:
            for _ in sweep.run_chunks(drive, columns, seeds, np.array([0, steps]), states, width, width, pool, mesh):
                pass

    whole()
    begun = time.perf_counter()
    whole()
    return time.perf_counter() - begun


if __name__ == "__main__":
    print(main(*map(int, sys.argv[1:])))
