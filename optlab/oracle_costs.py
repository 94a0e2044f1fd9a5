"""What a value, a gradient and a Hessian-vector product of a problem cost, as XLA counts it (METRICS 6.1, measured)."""

import jax

from optlab.types import Array, Problem, PyTree


def weights(problem: Problem, *, transcendental: float = 1.0) -> dict[str, float]:
    """Weights of the oracle cost, in units of one value: what `optlab.metrics.cost` takes as ``weights``.

    ``cost(runs, "oracle", weights=weights(problem))``; of several problems
    ``pd.DataFrame([{"problem": name, **weights(p)} for name, p in problems.items()])``.

    Args:
      problem: only shapes are used, nothing is drawn or run.
      transcendental: flops that an exponential, a sine or the like counts; XLA keeps these apart.

    Returns:
      value: 1, gradient, hvp. A gradient is one without the value, so that both together may be less than their sum.

    Raises:
      ValueError: for a value in which XLA counts nothing.
    """
    found = operations(problem, transcendental=transcendental)
    if not found["value"] > 0:
        raise ValueError("XLA counts no operation in a value of this problem: there is no unit")
    return {kind: count / found["value"] for kind, count in found.items()}


def operations(problem: Problem, *, transcendental: float = 1.0) -> dict[str, float]:
    """Operations in one value, gradient and Hessian-vector product after optimization: each compiled alone.

    XLA's count knows neither what a library call does (LAPACK) nor how often a loop turns: there it is no measure.
    """
    key = jax.eval_shape(lambda: jax.random.key(0))
    params = jax.eval_shape(problem.init, key)
    batch = jax.eval_shape(problem.batch, problem.data, key)
    gradient = jax.grad(problem.loss)

    def product(params: PyTree, vector: PyTree, batch: PyTree) -> Array:
        return jax.jvp(lambda p: gradient(p, batch), (params,), (vector,))[1]

    def count(fn, *arguments) -> float:
        known = jax.jit(fn).lower(*arguments).compile().cost_analysis() or {}  # without a kind where there is none
        return float(known.get("flops", 0.0) + transcendental * known.get("transcendentals", 0.0))

    return {
        "value": count(problem.loss, params, batch),
        "gradient": count(gradient, params, batch),
        "hvp": count(product, params, params, batch),
    }
