"""The solvers that are compared, each as a function of a case. JAX's compile; SciPy and PyTorch call back.

All stop where the gradient's largest entry is at most `GTOL` (jaxopt: its length; optimistix has no such rule, and
stops where neither the point nor the value changes by more than `CAUCHY`), or after `MAX_STEPS` iterations. So that
optimistix is also compared with what goes as far, there are families that stop at `FINE`.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.curvature_cases import Case

GTOL, FINE, CAUCHY, MAX_STEPS, REPEATS = 1e-5, 1e-8, 1e-8, 10_000, 3

#: Seconds of runs shorter than which a median means nothing.
LONG = 0.1

#: Of those that call back for each evaluation, a thousand times slower.
CALLED_STEPS = 2000


class Outcome(NamedTuple):
    x: Any
    evaluations: int  #: of the value plus of the gradient
    compile: float  #: seconds
    run: float  #: seconds, the median of `REPEATS` or, of short ones, more


class Solver(NamedTuple):
    family: str
    name: str
    solve: Callable[[Case], Outcome]
    needs_residual: bool = False


def _timed(program: Callable, start: np.ndarray, evaluations: Callable[[Any], int]) -> Outcome:
    """`program(x0) -> x, or x and how many evaluations it took`, compiled ahead and run a few times."""
    begun = time.perf_counter()
    run = jax.jit(program).lower(start).compile()
    compiled, seconds = time.perf_counter() - begun, []
    while len(seconds) < REPEATS or (sum(seconds) < LONG and len(seconds) < 100 * REPEATS):
        begun = time.perf_counter()
        found = jax.block_until_ready(run(start))
        seconds.append(time.perf_counter() - begun)
    return Outcome(np.asarray(jax.tree.leaves(found)[0]), evaluations(found), compiled, statistics.median(seconds))


def _counting(fun: Callable) -> tuple[Callable, dict[str, int]]:
    """The function and how often it is evaluated alone, or together with a derivative."""
    calls = {"value": 0, "both": 0}

    def tick(what):
        calls[what] += 1

    @jax.custom_jvp
    def counted(x):
        jax.debug.callback(lambda: tick("value"))
        return fun(x)

    @counted.defjvp
    def derivative(primals, tangents):
        jax.debug.callback(lambda: tick("both"))
        return jax.jvp(fun, primals, tangents)

    return counted, calls


def _counted(make: Callable[[Callable], Callable], fun: Callable, start: np.ndarray) -> int:
    """Evaluations that a solver makes which does not count them: a linearization is a value and a gradient."""
    counted, calls = _counting(fun)
    jax.block_until_ready(jax.jit(make(counted))(start))
    jax.effects_barrier()
    return calls["value"] + 2 * calls["both"]


def optlab_solver(optimizer: Callable, gtol: float = GTOL) -> Callable[[Case], Outcome]:
    import optlab

    def solve(case):
        def program(x):
            options = {"residual": case.residual, "gtol": gtol, "max_steps": MAX_STEPS}
            found = optlab.minimize(case.fun, x, optimizer(), **options)
            return found.x, found.n_value + found.n_grad

        return _timed(program, case.start, lambda found: int(found[1]))

    return solve


def optax_lbfgs(case: Case) -> Outcome:
    import optax

    optimizer, both = optax.lbfgs(), optax.value_and_grad_from_state(case.fun)

    def program(x):
        def going(carry):
            x, state, steps, trials, norm = carry
            return (norm > GTOL) & (steps < MAX_STEPS)

        def step(carry):
            x, state, steps, trials, _ = carry
            value, grad = both(x, state=state)
            updates, state = optimizer.update(grad, state, x, value=value, grad=grad, value_fn=case.fun)
            made = jnp.asarray(optax.tree.get(state, "num_linesearch_steps"), int)
            norm = jnp.max(jnp.abs(optax.tree.get(state, "grad")))
            return optax.apply_updates(x, updates), state, steps + 1, trials + made, norm

        zero = jnp.zeros((), int)
        x, _, _, trials, _ = jax.lax.while_loop(going, step, (x, optimizer.init(x), zero, zero, jnp.full((), jnp.inf)))
        return x, trials

    return _timed(program, case.start, lambda found: 2 * (1 + int(found[1])))


def optimistix_solver(solver: str, least_squares: bool = False) -> Callable[[Case], Outcome]:
    import optimistix

    def solve(case):
        method = getattr(optimistix, solver)(rtol=CAUCHY, atol=CAUCHY)
        minimise = optimistix.least_squares if least_squares else optimistix.minimise
        fun = case.residual if least_squares else case.fun

        def make(fun):
            return lambda x: minimise(lambda y, _: fun(y), method, x, max_steps=2 * MAX_STEPS, throw=False).value

        evaluations = _counted(make, fun, case.start)
        return _timed(make(fun), case.start, lambda _: evaluations)

    return solve


def jaxopt_solver(solver: str, least_squares: bool = False) -> Callable[[Case], Outcome]:
    import jaxopt

    def solve(case):
        fun = case.residual if least_squares else case.fun

        def make(fun):
            more = {"xtol": 0.0, "gtol": GTOL} if least_squares else {}
            method = getattr(jaxopt, solver)(fun, maxiter=MAX_STEPS, tol=GTOL, implicit_diff=False, **more)
            return lambda x: method.run(x).params

        evaluations = _counted(make, fun, case.start)
        return _timed(make(fun), case.start, lambda _: evaluations)

    return solve


def scipy_solver(method: str) -> Callable[[Case], Outcome]:
    from scipy.optimize import least_squares, minimize

    def solve(case):
        both, value = jax.jit(jax.value_and_grad(case.fun)), jax.jit(case.fun)
        curved = {}
        if method == "trust-exact":
            hessian = jax.jit(jax.hessian(case.fun))
            curved = {"hess": lambda x: np.asarray(hessian(x))}
        if method == "Newton-CG":
            product = jax.jit(lambda x, p: jax.jvp(jax.grad(case.fun), (x,), (p,))[1])
            curved = {"hessp": lambda x, p: np.asarray(product(x, p))}

        def reached(intermediate_result):
            if np.abs(both(intermediate_result.x)[1]).max() <= GTOL:
                raise StopIteration

        if method == "lm":
            residual, jacobian = jax.jit(case.residual), jax.jit(jax.jacfwd(case.residual))
            tolerances = {"xtol": 1e-8, "ftol": 1e-8, "gtol": 1e-8, "max_nfev": CALLED_STEPS}
        else:
            tolerances = {"gtol": GTOL, "maxiter": CALLED_STEPS}
            if method == "L-BFGS-B":
                tolerances |= {"ftol": 0.0, "maxfun": 2 * CALLED_STEPS}
            if curved:  # trust-exact measures the gradient's length, Newton-CG only how far x has moved
                tolerances = {"maxiter": CALLED_STEPS} | ({"gtol": 1e-7} if "hess" in curved else {"xtol": 1e-12})

        def once():
            if method == "lm":
                return least_squares(
                    lambda x: np.asarray(residual(x)), case.start, lambda x: np.asarray(jacobian(x)),
                    method="lm", **tolerances,
                )  # fmt: skip
            return minimize(
                lambda x: float(value(x)), case.start, jac=lambda x: np.asarray(both(x)[1]), method=method,
                options=tolerances, callback=reached if curved else None, **curved,
            )  # fmt: skip

        return _called_back(once, lambda found: found.x, lambda found: found.nfev + (found.njev or 0))

    return solve


def _called_back(once: Callable, x: Callable, evaluations: Callable) -> Outcome:
    begun = time.perf_counter()
    found = once()  # compiles what it calls
    first, seconds = time.perf_counter() - begun, []
    for _ in range(2):
        begun = time.perf_counter()
        once()
        seconds.append(time.perf_counter() - begun)
    run = statistics.median(seconds)
    return Outcome(np.asarray(x(found)), int(evaluations(found)), max(0.0, first - run), run)


def torch_lbfgs(case: Case) -> Outcome:
    """PyTorch's search on JAX's values and gradients, so that only the method differs."""
    import torch

    torch.set_num_threads(1)
    both = jax.jit(jax.value_and_grad(case.fun))

    def once():
        x = torch.tensor(case.start, dtype=torch.float64, requires_grad=True)
        calls = 0

        def closure():
            nonlocal calls
            calls += 1
            value, grad = both(x.detach().numpy())
            x.grad = torch.tensor(np.asarray(grad))
            return torch.tensor(float(value))

        optimizer = torch.optim.LBFGS(
            [x], max_iter=CALLED_STEPS, max_eval=2 * CALLED_STEPS, history_size=10, tolerance_grad=GTOL,
            tolerance_change=0.0, line_search_fn="strong_wolfe",
        )  # fmt: skip
        optimizer.step(closure)
        return x.detach().numpy(), calls

    return _called_back(once, lambda found: found[0], lambda found: 2 * found[1])


def solvers() -> list[Solver]:
    """All of them; ours is the first of its family."""
    import optlab

    return [
        Solver("BFGS", "optlab", optlab_solver(optlab.bfgs)),
        Solver("BFGS", "optimistix", optimistix_solver("BFGS")),
        Solver("BFGS", "jaxopt", jaxopt_solver("BFGS")),
        Solver("BFGS", "SciPy", scipy_solver("BFGS")),
        Solver("L-BFGS", "optlab", optlab_solver(optlab.lbfgs)),
        Solver("L-BFGS", "optax", optax_lbfgs),
        Solver("L-BFGS", "optimistix", optimistix_solver("LBFGS")),
        Solver("L-BFGS", "jaxopt", jaxopt_solver("LBFGS")),
        Solver("L-BFGS", "SciPy", scipy_solver("L-BFGS-B")),
        Solver("L-BFGS", "PyTorch", torch_lbfgs),
        Solver("nonlinear CG", "optlab", optlab_solver(optlab.nonlinear_cg)),
        Solver("nonlinear CG", "optimistix", optimistix_solver("NonlinearCG")),
        Solver("nonlinear CG", "jaxopt", jaxopt_solver("NonlinearCG")),
        Solver("nonlinear CG", "SciPy", scipy_solver("CG")),
        Solver("Levenberg-Marquardt", "optlab", optlab_solver(optlab.levenberg_marquardt), True),
        Solver("Levenberg-Marquardt", "optimistix", optimistix_solver("LevenbergMarquardt", True), True),
        Solver("Levenberg-Marquardt", "jaxopt", jaxopt_solver("LevenbergMarquardt", True), True),
        Solver("Levenberg-Marquardt", "SciPy", scipy_solver("lm"), True),
        Solver("BFGS to 1e-8", "optlab", optlab_solver(optlab.bfgs, FINE)),
        Solver("BFGS to 1e-8", "optimistix", optimistix_solver("BFGS")),
        Solver("L-BFGS to 1e-8", "optlab", optlab_solver(optlab.lbfgs, FINE)),
        Solver("L-BFGS to 1e-8", "optimistix", optimistix_solver("LBFGS")),
        Solver("nonlinear CG to 1e-8", "optlab", optlab_solver(optlab.nonlinear_cg, FINE)),
        Solver("nonlinear CG to 1e-8", "optimistix", optimistix_solver("NonlinearCG")),
        Solver("Levenberg-Marquardt to 1e-8", "optlab", optlab_solver(optlab.levenberg_marquardt, FINE), True),
        Solver("Levenberg-Marquardt to 1e-8", "optimistix", optimistix_solver("LevenbergMarquardt", True), True),
        Solver("trust region", "optlab", optlab_solver(optlab.trust_region)),
        Solver("trust region", "SciPy", scipy_solver("trust-exact")),
        Solver("Newton-CG", "optlab", optlab_solver(optlab.newton_cg)),
        Solver("Newton-CG", "SciPy", scipy_solver("Newton-CG")),
    ]  # fmt: skip
