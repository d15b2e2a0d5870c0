"""Schemas of a resource's rows, pages, bodies and keys, as one audience sees them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import types

from vallum import defaults
from vallum.authorise.inclusions import Inclusion
from vallum.authorise.rights import Access, Rights
from vallum.declare.model import acting_on
from vallum.declare.policy import READ
from vallum.declare.resource import Field, Resource
from vallum.declare.route import Verb
from vallum.openapi import inclusions
from vallum.openapi.bounded import Definitions, Plain, nullable
from vallum.openapi.components import Components, Json
from vallum.openapi.names import Names
from vallum.validate.column_schemas import as_text, in_answer, key_text
from vallum.validate.columns import enum_values
from vallum.validate.models import Models

_ID: Final = re.compile(r"^id$|_id$|Id$")
CURSOR: Final[Json] = {"type": "string", "maxLength": defaults.MAX_CURSOR_BYTES, "pattern": "^[A-Za-z0-9_-]+$"}


def choices_of(field: Field) -> Mapping[str, Any] | None:
    """Of an enumeration: what stands on the wire."""
    return enum_values(field.type) if isinstance(field.type, types.Enum) else None


def readable(rights: Rights, resource: Resource) -> Access | None:
    """What of a resource's rows an audience may ever read."""
    return rights.on(resource, READ)


def row(resource: Resource, access: Access, rights: Rights, components: Components, names: Names) -> Json:
    """A reference to the schema of a row."""
    return components.ref("schemas", names.schema(resource), lambda: _row(resource, access, rights, components, names))


def _row(resource: Resource, access: Access, rights: Rights, components: Components, names: Names) -> Json:
    """Any member may be missing: `fields` and `include` of the query choose."""
    members = {name: _shown(resource.fields[name], name in access.certain) for name in access.shown}
    for each in inclusions.inclusions(rights, resource, access):
        members[each.relation.name] = _included(each, rights, components, names)
    return {"type": "object", "properties": members, "additionalProperties": False}


def _included(each: Inclusion, rights: Rights, components: Components, names: Names) -> Json:
    schema = row(each.resource, each.access, rights, components, names)
    if each.relation.many:
        item, name = schema, f"{names.schema(each.resource)}Included"
        schema = components.ref("schemas", name, lambda: inclusions.page(item))
    return inclusions.member(each.relation.name, schema)


def _shown(field: Field, certain: bool) -> Json:
    schema = in_answer(field, choices_of(field))
    if not schema:
        return described(schema, field)  # a document may be null as it is
    return described(nullable(schema) if field.nullable or not certain else schema, field)


def described(schema: Json, field: Field) -> Json:
    """With what the author says of the column (`doc=`)."""
    words = None if field.column is None else field.column.doc
    return {**schema, "description": words} if words else schema


def page(resource: Resource, access: Access, rights: Rights, components: Components, names: Names) -> Json:
    """A reference to the schema of a list's answer."""
    item = row(resource, access, rights, components, names)
    return components.ref("schemas", f"{names.schema(resource)}Page", lambda: _page(item))


def _page(item: Json) -> Json:
    return {
        "type": "object",
        "properties": {
            "items": {"type": "array", "maxItems": defaults.PAGE_MAX, "items": item},
            "next": {**nullable(CURSOR), "description": "For `after`; null on the last page."},
            "count": {
                "type": "integer",
                "format": "int64",
                "minimum": 0,
                "maximum": 2**63 - 1,
                "description": "Rows of all pages; with `count` only.",
            },
            "count_estimated": {
                "type": "boolean",
                "description": "Whether `count` is an estimate; with `count=estimated` only.",
            },
        },
        "required": ["items", "next"],
        "additionalProperties": False,
    }


def body(
    resource: Resource, verb: Verb, access: Access, models: Models, definitions: Definitions, names: Names
) -> Json:
    """A reference to the schema of a create's or change's body: what its validator takes."""
    raw = models.schema(resource, verb, access, Plain)
    for name, member in raw["properties"].items():
        raw["properties"][name] = described(member, resource.fields[name])
    name = f"{names.schema(resource)}{verb.value.capitalize()}"
    return definitions.placed({key: value for key, value in raw.items() if key != "title"}, name)


def many(resource: Resource, access: Access, rights: Rights, components: Components, names: Names) -> Json:
    """A reference to the schema of what a bulk answers."""
    item = row(resource, access, rights, components, names)
    return components.ref("schemas", f"{names.schema(resource)}Rows", lambda: _many(resource, item))


def _many(resource: Resource, item: Json) -> Json:
    listed = {
        "type": "array",
        "minItems": 1,
        "maxItems": resource.bulk,
        "items": nullable(item),
        "description": "In the order of the request; null where the caller may not read the row.",
    }
    return {"type": "object", "properties": {"items": listed}, "required": ["items"], "additionalProperties": False}


def in_bulk(resource: Resource, schema: Json) -> Json:
    """The body of a bulk whose rows have this schema."""
    return {"type": "array", "minItems": 1, "maxItems": resource.bulk, "items": schema}


def changed_row(resource: Resource, access: Access, models: Models, definitions: Definitions, names: Names) -> Json:
    """A reference to the schema of one row of a bulk change: its key, and what it may change."""
    key = models.key_model(resource).json_schema(schema_generator=Plain)["properties"]
    raw = models.schema(resource, Verb.CHANGE, access, Plain)
    members = {name: described(member, resource.fields[name]) for name, member in {**key, **raw["properties"]}.items()}
    whole = {**raw, "properties": members, "required": [*resource.key]}
    return definitions.placed({n: v for n, v in whole.items() if n != "title"}, f"{names.schema(resource)}ChangeRow")


def keys(resource: Resource) -> list[Json]:
    """The parameters of an item's path."""
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": identifier(name, _key(resource.fields[name])),
        }
        for name in resource.key
    ]


def identifier(name: str, schema: Json) -> Json:
    """The schema of a parameter; one that is called an id is text, of digits where the column is a whole number.

    OWASP's rule set forbids whole numbers there, because they can be counted through. Here a row is found only by who
    may read it, and what an id is, the model says (ADR 28).
    """
    if schema.get("type") != "integer" or _ID.search(name) is None:
        return schema
    longest = len(str(schema["maximum"]))
    return {"type": "string", "pattern": f"^(?:0|-?[1-9][0-9]{{0,{longest - 1}}})$", "maxLength": longest + 1}


def _key(field: Field) -> Json:
    if isinstance(field.type, types.String) and not isinstance(field.type, types.Enum):
        return key_text(field.type.length)
    return as_text(field, choices_of(field))


def of_others(resource: Resource) -> str:
    """What becomes of rows that refer to one that is removed; which ones these are is not every caller's to know."""
    if resource.soft_delete is not None:
        return "Rows that refer to it stay."
    if acting_on(resource.table):
        return "Rows that depend on it go along, or lose their reference; where others refer to it, it stays (409)."
    return "Where other rows refer to it, it stays (409)."
