"""What a user typed and the program cannot take: one clear sentence, exit code 2."""

import difflib
from collections.abc import Iterable


class BadInput(ValueError):
    """Says what is wrong, what is allowed and the nearest valid name, in one sentence."""


def unknown(what: str, name: str, known: Iterable[str]) -> BadInput:
    """The sentence for a name that does not exist."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        return BadInput(f"there is no {what} '{name}'; did you mean {' or '.join(near)}?")
    some = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
    return BadInput(f"there is no {what} '{name}'; there are: {some or 'none'}")
