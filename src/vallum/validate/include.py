"""The relations that a query follows, as a tree of what its caller may follow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from vallum import defaults
from vallum.authorise.inclusions import Included, inclusion
from vallum.authorise.rights import Access, Rights
from vallum.declare.resource import Resource
from vallum.declare.width import may_exceed_page
from vallum.refusals import Fault
from vallum.validate.paths import POINTER, Path

_Tree = dict[str, Any]


def included_of(
    paths: Sequence[Path], rights: Rights, resource: Resource, access: Access, rows: int, faults: list[Fault]
) -> tuple[Included, ...]:
    """The tree, in the order of the models; what is wrong with it is added to the faults.

    Args:
        access: of the caller, to READ the resource.
        rows: of the resource itself that the answer may have.
    """
    tree: _Tree = {}
    for path in paths:
        below = tree
        for name in path:
            below = below.setdefault(name, {})
    known = [path for path in paths if _is_known(path, rights, resource, access)]
    # In the same words whether there is none, or one that this caller may not follow.
    faults += [Fault(POINTER, "unknown_field", f"There is no relation {'.'.join(p)}.") for p in paths if p not in known]
    if len(known) < len(paths):
        return ()
    found = _grown(tree, rights, resource, access, iter(range(1, defaults.MAX_INCLUDES + 1)))
    most = included_rows(found, rows)
    if most > defaults.MAX_INCLUDED_ROWS:
        bound = f"At most {defaults.MAX_INCLUDED_ROWS} included rows, and these could be {most}"
        faults.append(Fault(POINTER, "too_many", f"{bound}: ask for fewer relations, or a smaller limit."))
    places = wide_places(found, rows)
    if places > defaults.MAX_WIDE_INCLUDES:
        bound = f"Rows of long texts are included at most in {defaults.MAX_WIDE_INCLUDES} places, and here in {places}"
        faults.append(Fault(POINTER, "too_many", f"{bound}: ask for fewer relations, or a smaller limit."))
    return found


def included_rows(included: Sequence[Included], rows: int) -> int:
    """How many rows may be included in so many."""
    total = 0
    for each in included:
        here = rows * (defaults.INCLUDE_LIMIT if each.inclusion.relation.many else 1)
        total += here + included_rows(each.children, here)
    return total


def wide_places(included: Sequence[Included], rows: int) -> int:
    """In how many places of so many rows there may be pages, or single rows, that no type keeps short."""
    total = 0
    for each in included:
        followed = each.inclusion
        inside = rows * (defaults.INCLUDE_LIMIT if followed.relation.many else 1)
        wide = may_exceed_page(followed.resource, followed.access.shown)
        total += rows * wide + wide_places(each.children, inside)
    return total


def _is_known(path: Path, rights: Rights, resource: Resource, access: Access) -> bool:
    for name in path:
        found = inclusion(rights, resource, access, name)
        if found is None:
            return False
        resource, access = found.resource, found.access
    return True


def _grown(
    tree: _Tree, rights: Rights, resource: Resource, access: Access, numbers: Iterator[int]
) -> tuple[Included, ...]:
    found = []
    for name in (name for name in resource.relations if name in tree):
        followed = inclusion(rights, resource, access, name)
        if followed is None:
            raise TypeError("every path was looked at before")
        number = next(numbers)
        below = _grown(tree[name], rights, followed.resource, followed.access, numbers)
        found.append(Included(resource, followed, number, below))
    return tuple(found)
