"""Closed forms, filed by what makes them hard: one function each, every one returns a `Surface`.

A new surface is a function in one of these files and one line of YAML in ``conf/problem``.
"""

from .bbob_conditioned import *
from .bbob_multimodal import *
from .bbob_separable import *
from .bbob_weak import *
from .chains import *
from .classic import *
from .counterexamples import *
from .inflections import *
from .mgh_fits import *
from .mgh_overdetermined import *
from .mgh_systems import *
from .multimodal import *
from .network_neurons import *
from .network_slices import *
from .networks import *
from .nist_decays import *
from .nist_growth import *
from .nist_quotients import *
from .nonsmooth import *
from .plateaus import *
from .saddles import *
from .valleys import *
