"""Loss landscapes: slices, paths, connections, spectra, basins and stability maps, as arrays from a Problem.

Nothing here draws or writes: `optlab landscape KIND ...` stores what these functions return, `optlab plot` draws it.
"""

from optlab.landscape.basins import *
from optlab.landscape.connections import *
from optlab.landscape.directions import *
from optlab.landscape.outcomes import *
from optlab.landscape.paths import *
from optlab.landscape.slices import *
from optlab.landscape.spectra import *
from optlab.landscape.stability import *
