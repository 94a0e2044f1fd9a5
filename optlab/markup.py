"""Pages from templates."""

from collections.abc import Mapping


def filled(template: str, parts: Mapping[str, str]) -> str:
    """A template with its ``{{NAME}}`` replaced, each once; what is put in is not looked at again."""
    pieces = template.split("{{")
    return pieces[0] + "".join(parts[name] + rest for name, rest in (piece.split("}}", 1) for piece in pieces[1:]))
