"""The runs one after the other in Python: `torch.optim.Adam`, and SciPy's minimizer; prints JSON.

A script for any Python that has PyTorch or SciPy: it knows nothing of optlab. Jobs come on standard
input as ``[[learning_rate, b1, [x, y]], ...]``. Only the loops are timed, imports are not, and one job
goes before to warm up. One thread: these tensors have two entries.
"""

import json
import sys
import time


def torch_adam(learning_rate, b1, start, steps, recorded):
    """500 steps of Adam; the value is taken out at the recorded steps only."""
    import torch

    torch.set_num_threads(1)
    x = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([x], lr=learning_rate, betas=(b1, 0.999))
    values = []
    for step in range(steps):
        optimizer.zero_grad()
        value = 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2
        value.backward()
        if step in recorded:
            values.append(value.item())
        optimizer.step()
    return steps


def scipy_cg(learning_rate, b1, start, steps, recorded):
    """SciPy has no Adam: nonlinear conjugate gradients on SciPy's own Rosenbrock function and gradient.

    It stops early, at the minimum. Returns how often it evaluated value and gradient.
    """
    from scipy.optimize import minimize, rosen, rosen_der

    found = minimize(rosen, start, jac=rosen_der, method="CG", options={"maxiter": steps, "gtol": 1e-8})
    return found.nfev


LOOPS = {"torch": torch_adam, "scipy": scipy_cg}


def main():
    loop, steps, recorded = LOOPS[sys.argv[1]], int(sys.argv[2]), set(map(int, sys.argv[3].split(",")))
    jobs = json.load(sys.stdin)
    loop(*jobs[0], steps, recorded)
    cpu, wall = time.process_time(), time.perf_counter()
    evaluations = sum(loop(*job, steps, recorded) for job in jobs)
    spent = time.process_time() - cpu, time.perf_counter() - wall
    version = sys.modules[sys.argv[1]].__version__
    print(json.dumps({"spent": spent, "evaluations": evaluations, "version": version}))


if __name__ == "__main__":
    main()
