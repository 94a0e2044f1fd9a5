"""LeNet-5 on scikit-learn's digits: a step of optlab, of a scan written by hand, of PyTorch; prints JSON.

Run in one process with what there is. Every loop draws its batches, takes gradients and makes the optimizer's updates;
none measures anything but its time.
"""

import contextlib
import json
import statistics
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax

from optlab import workloads
from optlab.sweep import blank, compiled, first_rows

RATE = 0.002


def optlab_loop(batch_size, optimizer):
    """steps -> seconds, by the program that a sweep runs, one run wide."""
    problem = workloads.training(
        network=workloads.lenet5(), data=workloads.digits(), init="glorot", batch_size=batch_size
    )
    data = jax.device_put(problem.data)

    def build(numbers):
        return problem, getattr(optax, optimizer)(numbers["learning_rate"])

    columns = {"learning_rate": np.full(1, RATE)}
    rows = first_rows(columns, np.zeros(1, int), 0, 1)
    program = compiled(build, probes={}, begun=True)
    states = blank(build, *rows, data)
    states = states._replace(params=jax.jit(jax.vmap(problem.init))(rows[1][0]))
    run = program.lower(*rows, np.zeros(1, np.int32), data, 0, True, states).compile()
    _, state, _ = run(*rows, np.zeros(1, np.int32), data, 0, True, states)

    def loop(steps):
        nonlocal state
        _, state, _ = run(*rows, np.array([steps], np.int32), data, 0, False, state)
        jax.block_until_ready(state)

    return loop


def hand_written(batch_size, optimizer, convolution=None):
    """The same network, batches drawn by `jax.random`, under `lax.scan`: returns (key, rate, steps) -> parameters."""
    import flax.linen as nn

    from optlab.workloads.convolution import convolution as patches

    class LeNet(nn.Module):
        @nn.compact
        def __call__(self, x):
            for features in (6, 16):
                x = nn.Conv(features, (5, 5), conv_general_dilated=convolution or patches)(x)
                x = jnp.tanh(x)
                x = nn.avg_pool(x, (2, 2), (2, 2)) if features == 6 else x
            x = x.reshape(len(x), -1)
            for features in (120, 84):
                x = jnp.tanh(nn.Dense(features)(x))
            return nn.Dense(10)(x)

    network, data = LeNet(), workloads.digits()
    images = jnp.asarray((data.train.inputs - data.mean) / data.scale, jnp.float32)
    labels = jnp.asarray(data.train.targets)

    def train(params, key, rate, steps):
        transform = getattr(optax, optimizer)(rate)

        def step(carry, key):
            params, state = carry
            rows = jax.random.randint(key, (batch_size,), 0, len(labels))

            def loss(params):
                logits = network.apply(params, images[rows])
                return optax.softmax_cross_entropy_with_integer_labels(logits, labels[rows]).mean()

            updates, state = transform.update(jax.grad(loss)(params), state, params)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, transform.init(params)), jax.random.split(key, steps))[0][0]

    fresh = jax.jit(lambda key: network.init(key, images[:1]))
    return jax.jit(train, static_argnums=3), fresh


def hand_loop(batch_size, optimizer, steps):
    train, fresh = hand_written(batch_size, optimizer)
    params, key = fresh(jax.random.key(0)), jax.random.key(1)
    jax.block_until_ready(train(params, key, RATE, steps))
    return lambda steps: jax.block_until_ready(train(params, key, RATE, steps))


def torch_loop(batch_size, optimizer):
    import torch
    from torch import nn

    data = workloads.digits()
    images = torch.tensor(np.moveaxis((data.train.inputs - data.mean) / data.scale, -1, 1).astype(np.float32))
    labels = torch.tensor(data.train.targets, dtype=torch.long)
    network = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5, padding=2), nn.Tanh(),
        nn.Flatten(), nn.Linear(256, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10),
    )  # fmt: skip
    transform = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[optimizer](network.parameters(), lr=RATE)
    compare = nn.CrossEntropyLoss()

    def loop(steps):
        for _ in range(steps):
            rows = torch.randint(len(labels), (batch_size,))
            transform.zero_grad()
            compare(network(images[rows]), labels[rows]).backward()
            transform.step()

    return loop


def step_rates(batch_size, optimizer, steps, rounds):
    """Milliseconds a step of each loop: medians over rounds in which all take turns."""
    loops = {"optlab": optlab_loop(batch_size, optimizer), "hand": hand_loop(batch_size, optimizer, steps)}
    with contextlib.suppress(ImportError):
        loops["torch"] = torch_loop(batch_size, optimizer)
    times = {name: [] for name in loops}
    for _ in range(rounds):
        for name, loop in loops.items():
            begun = time.perf_counter()
            loop(steps)
            times[name].append((time.perf_counter() - begun) / steps * 1e3)
    ratios = {name: statistics.median(np.divide(times[name], times["optlab"])) for name in loops}
    return {name: statistics.median(spent) for name, spent in times.items()}, ratios


def one_by_one(steps, runs):
    """Seconds that 648 trainings would take one after the other by hand: compilation, and 108 for each program."""
    compiling, running = 0.0, 0.0
    for optimizer in ("sgd", "adam"):
        for batch_size in (32, 128, 512):
            begun = time.perf_counter()
            train, fresh = hand_written(batch_size, optimizer)
            compiled_train = train.lower(fresh(jax.random.key(0)), jax.random.key(1), RATE, steps).compile()
            compiling += time.perf_counter() - begun
            spent = []
            for seed in range(runs):
                begun = time.perf_counter()
                params = fresh(jax.random.key(seed))
                jax.block_until_ready(compiled_train(params, jax.random.key(seed), RATE))
                spent.append(time.perf_counter() - begun)
            running += 108 * statistics.median(spent)
    return {"compiling": compiling, "running": running}


def torch_one_by_one(steps):
    """The same by PyTorch, from one training of each of the six kinds."""
    running = 0.0
    for optimizer in ("sgd", "adam"):
        for batch_size in (32, 128, 512):
            loop = torch_loop(batch_size, optimizer)
            loop(5)
            begun = time.perf_counter()
            loop(steps)
            running += 108 * (time.perf_counter() - begun)
    return {"running": running}


def main():
    what, steps, repeats = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if what == "steps":
        for batch_size in (32, 128, 512):
            times, ratios = step_rates(batch_size, "adam", steps, repeats)
            print(json.dumps({"batch_size": batch_size, "times": times, "ratios": ratios}), flush=True)
    elif what == "hand":
        print(json.dumps(one_by_one(steps, repeats)))
    else:
        print(json.dumps(torch_one_by_one(steps)))


if __name__ == "__main__":
    main()
