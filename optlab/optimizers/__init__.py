"""Optimizers that optax lacks, in optax's own form.

Call them as `optlab.optimizers.heavy_ball(...)`. A module and a function may share a name
(`momentum`); the function is the attribute.
"""

from optlab.optimizers.conjugate_gradient import *
from optlab.optimizers.controls import *
from optlab.optimizers.delay import *
from optlab.optimizers.hager_zhang_search import *
from optlab.optimizers.least_squares import *
from optlab.optimizers.linear_cg import *
from optlab.optimizers.linesearch import *
from optlab.optimizers.matrix_free_least_squares import *
from optlab.optimizers.momentum import *
from optlab.optimizers.newton import *
from optlab.optimizers.quasi_newton import *
from optlab.optimizers.recipe import *
from optlab.optimizers.symmetric_rank_one import *
from optlab.optimizers.trust_region import *
