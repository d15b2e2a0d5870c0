"""The query of a list and of an item, as parameters: what `validate/query.py` reads, for what this audience may name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from vallum import defaults
from vallum.authorise.rights import Access
from vallum.declare.resource import Field, Resource
from vallum.openapi.components import Components, Json
from vallum.openapi.rows import CURSOR, choices_of, identifier
from vallum.validate.column_schemas import LISTED, as_text, choice
from vallum.validate.columns import TEXTUAL, operators_of
from vallum.validate.query import COUNTS, RESERVED

MEANINGS: Final = {
    "eq": "is this",
    "ne": "is something else, and known",
    "lt": "is less than this",
    "lte": "is at most this",
    "gt": "is more than this",
    "gte": "is at least this",
    "in": "is one of these. In a value a comma is written `\\,` and a backslash `\\\\`",
    "contains": "contains this text",
    "startswith": "starts with this text",
}


def of_list(resource: Resource, access: Access, components: Components) -> list[Json]:
    """Paging, order, choice of fields, count, and the filters."""
    shared = [components.ref("parameters", name, lambda made=made: made) for name, made in _SHARED.items()]  # type: ignore[misc]
    sorts = [name for name in resource.sorts if name in access.certain]
    filters = [name for name in resource.filters if name in access.granted and name not in RESERVED]
    return [
        *shared,
        *([_sort(sorts)] if sorts else []),
        fields(access.shown),
        *(parameter for name in filters for parameter in _filters(resource.fields[name])),
    ]


def of_keys(resource: Resource) -> list[Json]:
    """The keys of a bulk removal: of a key with several parts one takes [in], the last one here."""
    *others, last = [resource.fields[name] for name in resource.key]
    item = as_text(last, choices_of(last), LISTED)
    listed = {"type": "array", "minItems": 1, "maxItems": resource.bulk, "uniqueItems": True, "items": item}
    words = "Keys of the rows. In a value a comma is written `\\,` and a backslash `\\\\`."
    return [
        *(
            {
                **_parameter(f.name, identifier(f.name, as_text(f, choices_of(f))), "Of all these rows."),
                "required": True,
            }
            for f in others
        ),
        {**_parameter(f"{last.name}[in]", listed, words, listed=True), "required": True},
    ]


def fields(names: Sequence[str]) -> Json:
    """The choice of members."""
    schema = {"type": "array", "minItems": 1, "maxItems": len(names), "uniqueItems": True, "items": choice([*names])}
    return _parameter("fields", schema, "Only these members of each row.", listed=True)


_SHARED: Final = {
    "limit": {
        "name": "limit",
        "in": "query",
        "description": "Rows of a page.",
        "schema": {
            "type": "integer",
            "format": "int32",
            "minimum": 1,
            "maximum": defaults.PAGE_MAX,
            "default": defaults.PAGE_DEFAULT,
        },
    },
    "after": {
        "name": "after",
        "in": "query",
        "description": "`next` of the page before, with the same filters and order.",
        "schema": CURSOR,
    },
    "count": {
        "name": "count",
        "in": "query",
        "description": f"Count the rows of all pages, too: each of them, or the first {defaults.COUNT_EXACT_ROWS} and "
        "an estimate of what is beyond.",
        "schema": choice([*COUNTS]),
    },
}


def _sort(names: Sequence[str]) -> Json:
    both = [[name, f"-{name}"] for name in names]
    schema = {
        "type": "array",
        "minItems": 1,
        "maxItems": min(defaults.MAX_SORTS, len(names)),
        "uniqueItems": True,
        "items": choice([way for pair in both for way in pair]),
        # A field goes up or down.
        "not": {"anyOf": [{"allOf": [{"contains": {"const": way}} for way in pair]} for pair in both]},
    }
    return _parameter("sort", schema, "In this order; `-` in front goes down. The key comes last.", listed=True)


def _filters(field: Field) -> Iterator[Json]:
    for operator in operators_of(field):
        schema = as_text(field, choices_of(field))
        if operator in TEXTUAL:
            schema = {**schema, "minLength": 1, "maxLength": defaults.MAX_PATTERN_CHARACTERS}
        if operator == "in":
            item = as_text(field, choices_of(field), LISTED)
            schema = {"type": "array", "minItems": 1, "maxItems": defaults.MAX_IN_VALUES, "items": item}
        name = field.name if operator == "eq" else f"{field.name}[{operator}]"
        words = f"Rows whose `{field.name}` {MEANINGS[operator]}."
        yield _parameter(name, identifier(name, schema), words, listed=operator == "in")
    if field.nullable:
        words = f"Rows whose `{field.name}` is null, or is not."
        yield _parameter(f"{field.name}[isnull]", {"type": "boolean"}, words)


def _parameter(name: str, schema: Json, description: str, *, listed: bool = False) -> Json:
    found: Json = {"name": name, "in": "query", "description": description, "schema": schema}
    return {**found, "style": "form", "explode": False} if listed else found
