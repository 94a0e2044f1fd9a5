"""Runs the solvers on all cases or those named, a JSON line each: `python -m benchmarks.curvature_run [CASE ...]`.

A program of its own, for the Python that has the peers; a solver that cannot be imported is left out.
"""

import json
import sys
import warnings

import jax

from benchmarks.curvature_cases import Case, cases
from benchmarks.curvature_solvers import GTOL, Outcome, solvers

#: Left out beyond so many variables: what costs d^3 an iteration (SciPy's BFGS multiplies whole matrices), and jaxopt's
#: BFGS, which had not ended on Rosenbrock-1000 after eight minutes.
SLOW, LARGEST = {("trust region", "optlab"), ("trust region", "SciPy"), ("BFGS", "SciPy"), ("BFGS", "jaxopt")}, 100


def solved(case: Case, outcome: Outcome) -> bool:
    """At a published minimum to 1e-4 relative (1e-8 where it is zero), or, where none is, at a zero gradient."""
    value, grad = jax.value_and_grad(case.fun)(outcome.x)
    if not case.minima:
        return bool(abs(grad).max() <= 2 * GTOL)
    return any(float(value) <= best + 1e-4 * abs(best) + 1e-8 for best in case.minima)


def main() -> None:
    warnings.simplefilter("ignore")  # peers' deprecations
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_enable_compilation_cache", False)  # compile times are measured
    named = [word for word in sys.argv[1:] if not word.startswith("-")]
    for case in cases("--quick" in sys.argv[1:]):
        if named and case.name not in named:
            continue
        for solver in solvers():
            if solver.needs_residual and case.residual is None:
                continue
            if (solver.family, solver.name) in SLOW and len(case.start) > LARGEST:
                continue
            row = {"family": solver.family, "solver": solver.name, "case": case.name}
            try:
                outcome = solver.solve(case)
                row |= {"solved": solved(case, outcome), "evaluations": outcome.evaluations}
                row |= {"compile": outcome.compile, "run": outcome.run}
            except ImportError as error:
                row |= {"missing": str(error)}
            except Exception as error:  # a peer that raises has not solved the case
                row |= {"solved": False, "error": f"{type(error).__name__}: {error}"[:200]}
            print(json.dumps(row), flush=True)
        jax.clear_caches()


if __name__ == "__main__":
    main()
