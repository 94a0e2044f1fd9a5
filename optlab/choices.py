"""A word among those allowed, or one sentence that says so."""

import difflib
from collections.abc import Iterable
from typing import Any


def one_of(what: str, value: Any, allowed: Iterable[Any]) -> Any:
    """The value, or a ValueError with one sentence about what is allowed and what is nearest."""
    allowed = list(allowed)
    if value in allowed:
        return value
    near = difflib.get_close_matches(str(value), [str(a) for a in allowed], 1, 0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"there is no {what} {value!r}; there is {', '.join(map(str, allowed)) or 'none'}{hint}")
