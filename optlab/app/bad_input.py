"""What a user typed and the program cannot take: one clear sentence, exit code 2."""

import difflib
from collections.abc import Iterable
from typing import Any


class BadInput(ValueError):
    """Says what is wrong, what is allowed and the nearest valid name, in one sentence."""


def value_of(key: str, text: str) -> Any:
    """What a word ``key=text`` sets, as YAML reads it. Raises BadInput where it is none."""
    import yaml

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError):
        raise BadInput(f"{key} cannot be '{text}': put quotes around a text") from None


def unknown(what: str, name: str, known: Iterable[str]) -> BadInput:
    """The sentence for a name that does not exist."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        return BadInput(f"there is no {what} '{name}'; did you mean {' or '.join(near)}?")
    some = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
    return BadInput(f"there is no {what} '{name}'; there are: {some or 'none'}")
