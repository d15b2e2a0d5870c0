"""The lines of a matrix as a person reads them: in tables, on the page and in a difference."""

from __future__ import annotations

from typing import Final

from vallum.authorise.matrix import Line, Right

SOME: Final = "*"
"""Behind a field that may be in some rows only, or on some requests only."""


def fields_words(right: Right) -> list[str]:
    """Its fields in alphabetical order, `notes*` where it depends."""
    marked = {**dict.fromkeys(right.always, ""), **dict.fromkeys(right.sometimes, SOME)}
    return [f"{name}{marked[name]}" for name in sorted(marked)]


def line_words(line: Line, right: Right) -> str:
    """`allow id, name where … when … set …`; the fields are left out where they are all of the right's."""
    words: list[str] = [line.effect]
    if line.fields is not None and {*line.fields} != {*right.always, *right.sometimes}:
        words.append(", ".join(line.fields) or "no field")
    if line.where:
        words.append(f"where {line.where}")
    if line.when:
        words.append(f"when {' and '.join(line.when)}")
    if line.set:
        words.append(f"set {', '.join(f'{name} = {value}' for name, value in line.set.items())}")
    return " ".join(words)


def is_plain(right: Right, read: Right | None) -> bool:
    """Whether it is about every row and request, with the same fields.

    Args:
        read: the right to READ of the same role and resource: only what can be read can be changed, removed or acted on.
    """
    reached = read is None or right.action == "CREATE" or _reaches_all(read)
    return reached and _reaches_all(right) and not right.sometimes


def _reaches_all(right: Right) -> bool:
    free = any(line.effect == "allow" and not (line.where or line.when) for line in right.rules)
    return free and not any(line.effect == "deny" and line.fields is None for line in right.rules)
