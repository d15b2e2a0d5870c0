"""Relations that an audience may include: the parameter that names them, and what they add to a row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from vallum import defaults
from vallum.authorise.inclusions import Inclusion, inclusion
from vallum.authorise.rights import Access, Rights
from vallum.declare.resource import Resource
from vallum.openapi.bounded import nullable
from vallum.openapi.components import Json
from vallum.validate.column_schemas import choice

MEMBER: Final = "x-included"
"""Marks what is there only where a query includes it; examples leave it out."""
NAMED: Final = 200
"""Relations, and relations of relations, that are listed; beyond, the form of a name is described."""
NAME: Final = r"[A-Za-z_][A-Za-z0-9_]*"
ADDRESS: Final[Json] = {"type": "string", "format": "uri-reference", "maxLength": defaults.MAX_TARGET_BYTES}


def inclusions(rights: Rights, resource: Resource, access: Access) -> Iterator[Inclusion]:
    """The relations of a resource that the audience may follow."""
    for name in resource.relations:
        found = inclusion(rights, resource, access, name)
        if found is not None:
            yield found


def parameter(rights: Rights, resource: Resource, access: Access) -> list[Json]:
    """The parameter `include`, where there is anything to include."""
    names = list(_paths(rights, resource, access, defaults.INCLUDE_DEPTH))
    if not names:
        return []
    deeper = rf"^{NAME}(?:\.{NAME}){{0,{defaults.INCLUDE_DEPTH - 1}}}$"
    item = choice(names) if len(names) <= NAMED else {"type": "string", "pattern": deeper, "maxLength": 300}
    most = min(defaults.MAX_INCLUDES, len(names))
    bounds = f"At most {defaults.MAX_INCLUDES} relations, those on the way to others among them"
    return [
        {
            "name": "include",
            "in": "query",
            "description": f"Rows that are related to these, too. {bounds}, and {defaults.MAX_INCLUDED_ROWS} rows.",
            "schema": {"type": "array", "minItems": 1, "maxItems": most, "uniqueItems": True, "items": item},
            "style": "form",
            "explode": False,
        }
    ]


def continued() -> Json:
    """The parameter `after` of an item."""
    cursor = {"type": "string", "maxLength": defaults.MAX_CURSOR_BYTES, "pattern": "^[A-Za-z0-9_-]+$"}
    words = "Where the one included list goes on; it comes with its `next`."
    return {"name": "after", "in": "query", "description": words, "schema": cursor}


def _paths(rights: Rights, resource: Resource, access: Access, depth: int, before: str = "") -> Iterator[str]:
    for each in inclusions(rights, resource, access) if depth else ():
        name = before + each.relation.name
        yield name
        yield from _paths(rights, each.resource, each.access, depth - 1, f"{name}.")


def page(row: Json) -> Json:
    """The schema of an included list."""
    return {
        "type": "object",
        "properties": {
            "items": {"type": "array", "maxItems": defaults.INCLUDE_LIMIT, "items": row},
            "next": {**nullable(ADDRESS), "description": "Where the list goes on; null where it does not."},
        },
        "required": ["items", "next"],
        "additionalProperties": False,
    }


def member(name: str, schema: Json) -> Json:
    """What a row has under the name of a relation: a row or a list, or null where the caller may not see which."""
    words = f"With `include={name}` only."
    return {**nullable(schema), "description": words, MEMBER: True}
