"""Spectra of the Hessian at the points that runs have stored, as columns of tables."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from optlab.app.bad_input import BadInput, unknown
from optlab.app.stored_runs import Stored
from optlab.landscape import spectra
from optlab.types import Array, Problem, PyTree

#: What `operator` may be.
OPERATORS = {"hessian": spectra.hessian_product, "gauss_newton": spectra.gauss_newton_product}


def spectrum(
    stored: Sequence[Stored],
    *,
    operator: str = "hessian",
    products: int = 80,
    vectors: int = 8,
    top: int = 5,
    examples: int = 512,
    every: int = 1,
    seed: int = 0,
) -> dict[str, dict[str, list | np.ndarray]]:
    """Tables of the spectrum at stored parameters: ``spectra`` and ``eigenvalues``.

    ``spectra`` has a row for each node of each quadrature: run_id, optimizer, step, operator, probe, node, weight.
    ``eigenvalues`` has a row for each eigenvalue: the `top` largest with rank 0, 1, ... and the smallest with rank -1;
    beside each its residual and, of the whole spectrum, trace, trace_error, negative_share and parameters (their
    number). All points are seen by the same random vectors, on the same examples: what differs between steps is not
    chance. One program serves all steps of all runs of a problem.

    Args:
      stored: runs with their parameters.
      operator: ``hessian`` or ``gauss_newton``.
      products: of each vector of the quadrature, its nodes; no more than there are parameters.
      vectors: of the quadrature.
      top: eigenvalues, no more than there are parameters.
      examples: on which the loss is taken, in whole batches; 0 for one batch.
      every: every so many-th recorded step, and the last.
      seed: of all random vectors.

    Raises:
      BadInput: for an unknown operator, or a number below 1.
      ValueError: for the Gauss-Newton matrix of a loss that has none.
    """
    if operator not in OPERATORS:
        raise unknown("operator", operator, OPERATORS)
    for name, number in {"products": products, "vectors": vectors, "top": top, "every": every}.items():
        if number < 1:
            raise BadInput(f"{name} must be at least 1, not {number}")
    programs: dict[tuple, Callable] = {}
    nodes, values = [], []
    for run in stored:
        last = len(run.steps) - 1
        problem = run.problem
        # Functions that are the same make the same program, wherever the data are.
        same = (problem.loss, problem.batch, problem.passes, problem.split, problem.residual)
        if same not in programs:
            programs[same] = _program(problem, operator, products, vectors, top, examples)
        for k in sorted({*range(0, last + 1, every), last}):
            found = jax.device_get(programs[same](run.params[k], problem.data, jax.random.key(seed)))
            at = {"run_id": run.run_id, "optimizer": run.optimizer, "step": int(run.steps[k]), "operator": operator}
            nodes.append(_node_rows(found["quadrature"]) | at)
            values.append(_value_rows(found) | at)
    return {
        "spectra": _stacked(nodes, "run_id optimizer step operator probe node weight"),
        "eigenvalues": _stacked(
            values,
            "run_id optimizer step operator rank value residual trace trace_error negative_share parameters",
        ),
    }


def _program(problem: Problem, operator: str, products: int, vectors: int, top: int, examples: int) -> Callable:
    """(parameters, data, key) -> what the tables are made of."""

    @jax.jit
    def program(params: PyTree, data: PyTree, key: Array) -> dict[str, Any]:
        product = OPERATORS[operator](problem._replace(data=data), params, examples=examples)
        d = sum(leaf.size for leaf in jax.tree.leaves(params))
        drawn, begun = jax.random.split(key)
        quadrature = spectra.spectral_density(product, params, key=drawn, probes=vectors, steps=products)
        mean = spectra.moments(quadrature, 1)
        return {
            "quadrature": quadrature,
            "largest": spectra.top_eigenpairs(product, params, min(top, d), key=begun, which="largest")[::2],
            "smallest": spectra.top_eigenpairs(product, params, 1, key=begun, which="smallest")[::2],
            # The first moment of a quadrature is v^T H v / d: Hutchinson's trace, for no product more.
            "trace": d * mean.value[1],
            "trace_error": d * mean.standard_error[1],
            "negative_share": spectra.negative_share(quadrature).value,
            "parameters": d,
        }

    return program


def _node_rows(quadrature: spectra.Quadrature) -> dict[str, Any]:
    nodes, weights = quadrature
    probe = np.broadcast_to(np.arange(len(nodes))[:, None], nodes.shape)
    return {"probe": probe.ravel(), "node": nodes.ravel(), "weight": weights.ravel()}


def _value_rows(found: dict[str, Any]) -> dict[str, Any]:
    value, residual = (np.concatenate(pair) for pair in zip(found["largest"], found["smallest"], strict=True))
    rows = {"rank": np.append(np.arange(len(value) - 1), -1), "value": value, "residual": residual}
    whole = ("trace", "trace_error", "negative_share", "parameters")
    return rows | {name: found[name].item() for name in whole}


def _stacked(parts: Sequence[dict[str, Any]], columns: str) -> dict[str, list | np.ndarray]:
    """Columns of all parts below one another; what is one value in a part stands in each of its rows."""
    sizes = [max((np.size(column) for column in part.values()), default=0) for part in parts]
    table = {}
    for name in columns.split():
        pieces = [np.broadcast_to(part[name], size) for part, size in zip(parts, sizes, strict=True)]
        table[name] = np.concatenate(pieces) if pieces else np.empty(0)
    return table | {name: table[name].tolist() for name in ("run_id", "optimizer", "operator")}
