"""`include=classroom,grades.course`: names of relations from row to row; grammar only.

include = path *( "," path )
path    = name *( "." name )
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias, final

from vallum import defaults
from vallum.refusals import Fault

POINTER: Final = "#query/include"

Path: TypeAlias = tuple[str, ...]
"""Names of relations, each of the row before."""


@final
class ItemQuery(NamedTuple):
    """What an item is asked for: `fields` and `include` as of a list, `after` the cursor of an included page."""

    fields: tuple[str, ...] | None = None
    include: tuple[Path, ...] = ()
    after: str | None = None


def read_paths(text: str) -> tuple[tuple[Path, ...], list[Fault]]:
    """The paths, none where one is faulty; and the faults."""
    paths = tuple([tuple(path.split(".")) for path in text.split(",")])
    faults = []
    if not all(name.isidentifier() for path in paths for name in path):
        detail = "Names of relations, separated by commas; a dot leads from one to the next."
        faults.append(Fault(POINTER, "name", detail))
    if len(set(paths)) != len(paths):
        faults.append(Fault(POINTER, "repeated", "A relation is named more than once."))
    if any(len(path) > defaults.INCLUDE_DEPTH for path in paths):
        faults.append(Fault(POINTER, "too_deep", f"At most {defaults.INCLUDE_DEPTH} relations from row to row."))
    elif len({path[:length] for path in paths for length in range(1, len(path) + 1)}) > defaults.MAX_INCLUDES:
        detail = f"At most {defaults.MAX_INCLUDES} relations, those on the way to others among them."
        faults.append(Fault(POINTER, "too_many", detail))
    return ((), faults) if faults else (paths, faults)
