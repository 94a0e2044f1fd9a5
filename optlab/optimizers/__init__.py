"""Optimizers that optax lacks, in optax's own form.

Call them as `optlab.optimizers.heavy_ball(...)`. A module and a function may share a name
(`momentum`); the function is the attribute.
"""

from optlab.optimizers.momentum import *
