"""Networks, data and tasks to train on: each a function, put together by `training` into one `Problem`.

A new workload is one YAML in ``conf/problem`` that names a network, a data set and a task.
"""

from .activations import *
from .augment import *
from .convolution import *
from .data import *
from .data_files import *
from .data_procedural import *
from .dreaming import *
from .forward import *
from .initializers import *
from .network_detector import *
from .networks_classic import *
from .networks_plain import *
from .networks_residual import *
from .networks_segmentation import *
from .schedules import *
from .shuffle import *
from .tasks import *
from .training import *
from .transfer import *
