"""What a study's runs took to come to a gap, from the ladder of targets that is stored to the step."""

from typing import Any

import numpy as np
import pandas as pd


def first_reached(results: Any, runs: pd.DataFrame, gap: float, count: str = "step") -> pd.Series:
    """The `count` (step, n_value, n_grad, n_hvp) at which each run first came to a gap, NaN where it did not.

    gap: one of the ladder, 100, 10^1.8 ... 1e-8.
    """
    rows = results.targets[np.isclose(results.targets.target, gap, rtol=1e-6, atol=0)]
    return runs.run_id.map(rows.set_index("run_id")[count]).astype(float)
