"""Which relations a caller may follow: a read shows what of the other resource its own rules show, and nothing by itself.

To follow a relation is to compare fields, as a filter does. So the fields that relate two rows must be fields that the
caller may read, on both sides; in a row where one is hidden there is nothing to follow. Rows of a table between two
others are rows like any other: without a resource of their own no rule opens them, and they stay closed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, final

from sqlalchemy import types

from vallum.authorise.rights import Access, Rights
from vallum.declare.policy import Operation
from vallum.declare.relation import Relation
from vallum.declare.resource import Resource

UNCARRIED: Final = (types.Float, types.LargeBinary)
"""Types of a key that JSON would not carry to the letter on every store: such rows cannot be paged."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Inclusion:
    """A relation as the callers of one role set may follow it.

    Attributes:
        resource, access: the target, and what of it they may READ.
        link: the resource of the table between, and what of it they may READ.
        between: fields of the link, in the order of its `near` and of its `far`.
    """

    relation: Relation
    resource: Resource
    access: Access
    link: tuple[Resource, Access] | None = None
    between: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())


@final
class Included(NamedTuple):
    """A relation that a query follows, and those that it follows from there.

    Attributes:
        owner: whose relation it is.
        number: in the order in which the tree is walked, from 1.
    """

    owner: Resource
    inclusion: Inclusion
    number: int
    children: tuple[Included, ...]


def inclusion(rights: Rights, resource: Resource, access: Access, name: str) -> Inclusion | None:
    """The relation `name` of a resource; None when there is none that this caller may follow.

    Args:
        access: of the caller, to READ the resource.
    """
    relation = resource.relations.get(name)
    if relation is None:
        return None
    key = resource.name, name
    if key not in rights.inclusions:
        rights.inclusions[key] = _inclusion(rights, resource, access, relation)
    found: Inclusion | None = rights.inclusions[key]
    return found


def _inclusion(rights: Rights, resource: Resource, access: Access, relation: Relation) -> Inclusion | None:
    target = rights.api.resources.get(relation.target)
    theirs = None if target is None else rights.on(target, Operation.READ)
    if target is None or theirs is None:
        return None
    if not access.granted.issuperset(relation.near) or not theirs.granted.issuperset(relation.far):
        return None
    # The next page is asked for by the row's key.
    if relation.many and not (access.granted.issuperset(resource.key) and _paged(resource) and _paged(target)):
        return None
    if relation.link is None:
        return Inclusion(relation, target, theirs)
    link = next((r for r in rights.api.resources.values() if r.table is relation.link.table), None)
    between = None if link is None else rights.on(link, Operation.READ)
    if link is None or between is None:
        return None
    names = {f.column.key: name for name, f in link.fields.items() if f.column is not None}
    near = tuple(names.get(column, "") for _, column in relation.link.near)
    far = tuple(names.get(column, "") for _, column in relation.link.far)
    if not between.granted.issuperset((*near, *far)):
        return None
    return Inclusion(relation, target, theirs, (link, between), (near, far))


def _paged(resource: Resource) -> bool:
    return not any(isinstance(resource.fields[name].type, UNCARRIED) for name in resource.key)


def names_of(included: Sequence[Included], before: str = "") -> tuple[str, ...]:
    """The relations at the ends of the tree, as a query names them; the same tree always gives the same names."""
    found: list[str] = []
    for each in included:
        name = before + each.inclusion.relation.name
        found += names_of(each.children, f"{name}.") if each.children else [name]
    return tuple(found)
