"""A surface of two variables as a few lines of text."""

import jax
import jax.numpy as jnp
import numpy as np

from optlab.types import Surface

WIDTH, HEIGHT = 56, 20  # a character is about twice as high as wide
SHADES = " .:-=+*%@"
MARKS = {"minimum": "o", "saddle": "x", "maximum": "^", "degenerate": "d"}


def sketch(surface: Surface) -> str:
    """Shades by rank, so that each covers as much of the box: the darker the higher; marks at stationary points."""
    lower, upper = (np.asarray(side, float) for side in surface.domain)
    across, up = np.linspace(lower[0], upper[0], WIDTH), np.linspace(upper[1], lower[1], HEIGHT)
    x = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
    values = np.nan_to_num(np.asarray(jax.jit(jax.vmap(surface.fn))(jnp.asarray(x))), nan=np.inf)
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    picture = np.array(list(SHADES))[ranks * len(SHADES) // len(x)].reshape(HEIGHT, WIDTH)
    shown = set()
    for mark, place in [*((MARKS[p.kind], p.x) for p in surface.points), ("S", surface.start)]:
        column, row = (np.asarray(place, float) - lower) / (upper - lower) * (WIDTH - 1, 1 - HEIGHT) + (0, HEIGHT - 1)
        if 0 <= round(column) < WIDTH and 0 <= round(row) < HEIGHT:
            picture[round(row), round(column)] = mark
            shown.add(mark)
    key = [f"{mark} {kind}" for kind, mark in MARKS.items() if mark in shown] + ["S start"] * ("S" in shown)
    side = "+" + "-" * WIDTH + "+"
    rows = ["|" + "".join(row) + "|" for row in picture]
    return "\n".join(
        [
            f"\nx_1 from {lower[1]:g} to {upper[1]:g}",
            side,
            *rows,
            side,
            f"x_0 from {lower[0]:g} to {upper[0]:g};  low '{SHADES[0]}' to high '{SHADES[-1]}';  {', '.join(key)}",
        ]
    )
