"""Points of a landscape of ResNet-20 on 1,000 images: by optlab, by bare forward passes, by PyTorch; prints JSON.

Run in one process with what there is. All see the same number of images of 32 x 32 colour pixels at each point.
"""

import contextlib
import json
import statistics
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from optlab import landscape, workloads
from optlab.workloads import networks_plain

IMAGES, BATCH = 1000, 250


def problem_of():
    """ResNet-20 with its customary width: 800 training images and 200 validation images."""
    data = workloads.shapes_classes(count=4 * IMAGES // 5, difficulty=0.25)
    return workloads.training(network=workloads.resnet(classes=data.classes), data=data, init="he", evaluated=800), data


def optlab_loop(problem, params):
    """points -> seconds: what `optlab landscape plane` computes, its program compiled before."""
    plane = landscape.random_plane(jax.random.key(0), params)

    def loop(points):
        at = np.random.default_rng(0).uniform(-1, 1, (points, 2))
        landscape.values_on(problem, plane, at)

    return loop


def bare_loop(problem, params, data, convolution=None):
    """points -> seconds: so many compiled forward passes over the images, in batches, called from Python."""
    images = [*np.split(np.concatenate([data.train.inputs, data.validation.inputs]), IMAGES // BATCH)]
    images = [jnp.asarray((part - data.mean) / data.scale, jnp.float32) for part in images]
    network = workloads.resnet(classes=data.classes)
    forward = jax.jit(lambda params, images: network.apply({"params": params}, images, train=False))

    def traced(params, images):
        plain = networks_plain.convolution
        networks_plain.convolution = convolution or plain
        try:
            return forward(params, images)
        finally:
            networks_plain.convolution = plain

    def loop(points):
        for _ in range(points):
            jax.block_until_ready([traced(params, part) for part in images])

    return loop


def torch_loop(classes):
    """points -> seconds: the per-point loop of the well-known tool: weights set, batches of 128, loss and accuracy."""
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self, before, features, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(before, features, 3, stride, 1, bias=False)
            self.norm1, self.norm2 = nn.BatchNorm2d(features), nn.BatchNorm2d(features)
            self.conv2 = nn.Conv2d(features, features, 3, 1, 1, bias=False)
            self.more, self.stride = features - before, stride

        def forward(self, x):
            y = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x)))))
            short = nn.functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more))
            return torch.relu(y + short)

    layers, before = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()], 16
    for stage, features in enumerate((16, 32, 64)):
        for block in range(3):
            layers.append(Block(before, features, 2 if stage and not block else 1))
            before = features
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes)).eval()
    images, labels = torch.randn(IMAGES, 3, 32, 32), torch.randint(classes, (IMAGES,))
    weights = [p.data.clone() for p in network.parameters()]
    directions = [[torch.randn_like(w) * 1e-3 for w in weights] for _ in range(2)]
    compare = nn.CrossEntropyLoss()

    def loop(points):
        with torch.no_grad():
            for k in range(points):
                for p, w, u, v in zip(network.parameters(), weights, *directions, strict=True):
                    p.data = w + k * u + v
                total, right = 0.0, 0
                for first in range(0, IMAGES, 128):
                    rows = slice(first, first + 128)
                    outputs = network(images[rows])
                    total += compare(outputs, labels[rows]).item() * len(labels[rows])
                    right += (outputs.argmax(1) == labels[rows]).sum().item()

    return loop


def main():
    points, rounds = int(sys.argv[1]), int(sys.argv[2])
    problem, data = problem_of()
    params = jax.jit(problem.init)(jax.random.key(0))
    loops = {
        "optlab": optlab_loop(problem, params),
        "bare": bare_loop(problem, params, data),
        "bare, XLA's convolution": bare_loop(problem, params, data, lax.conv_general_dilated),
    }
    with contextlib.suppress(ImportError):
        loops["torch"] = torch_loop(data.classes)
    times = {name: [] for name in loops}
    for loop in loops.values():
        loop(points)
    for _ in range(rounds):
        for name, loop in loops.items():
            begun = time.perf_counter()
            loop(points)
            times[name].append((time.perf_counter() - begun) / points)
    ratios = {name: statistics.median(np.divide(spent, times["optlab"])) for name, spent in times.items()}
    print(json.dumps({"seconds": {n: statistics.median(t) for n, t in times.items()}, "ratios": ratios}))


if __name__ == "__main__":
    main()
