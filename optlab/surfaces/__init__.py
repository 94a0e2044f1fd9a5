"""Closed forms, filed by what makes them hard: one function each, every one returns a `Surface`.

A new surface is a function in one of these files and one line of YAML in ``conf/problem``.
"""

from .classic import *
from .inflections import *
from .mgh_fits import *
from .mgh_overdetermined import *
from .mgh_systems import *
from .multimodal import *
from .networks import *
from .nonsmooth import *
from .plateaus import *
from .saddles import *
from .valleys import *
