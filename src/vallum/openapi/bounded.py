"""Schemas that Pydantic writes, made ready for the document: named components, plain nulls, and the bounds that hold anyway.

Where an author's type gives no bound of its own, the bounds of a JSON document here are stated (`strict_json.py`): they
are what a body meets. An answer of an author's type is stated by the same ones and is not measured against them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, Literal, final

from pydantic import PydanticSchemaGenerationError, TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind

from vallum import defaults
from vallum.openapi.components import Components, Json
from vallum.validate.column_schemas import INT32, INT64, LONGEST_TEXT, WITHOUT_NUL

DEFINITION: Final = "#/$defs/"
_REFERENCE: Final = re.compile(r'"#/\$defs/([^"]+)"')
COMPONENT: Final = "#/components/schemas/"
SCHEMAS_BY_NAME: Final = frozenset({"properties", "patternProperties", "dependentSchemas"})
SCHEMA_LISTS: Final = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
SCHEMAS: Final = frozenset(
    {"items", "additionalProperties", "not", "contains", "propertyNames", "unevaluatedProperties", "if", "then", "else"}
)
LARGEST_INTEGER: Final = 10**defaults.MAX_JSON_DIGITS - 1


class Plain(GenerateJsonSchema):
    """Without a title for each field, and without warnings: what has no schema is any value."""

    ignored_warning_kinds: set[JsonSchemaWarningKind] = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012  # as Pydantic has it

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  # Pydantic's signature
        """A title that repeats the name says nothing."""
        return False


@final
class Definitions:
    """Authors' types as components of one document.

    Args:
        taken: names that belong to resources.
    """

    def __init__(self, components: Components, taken: frozenset[str]) -> None:
        self._components = components
        self._taken = taken
        self._known: dict[str, tuple[Json, Json]] = {}

    def of(self, adapter: TypeAdapter[Any], mode: Literal["validation", "serialization"]) -> Json:
        """The schema of a type, or a reference to it; that of any value when it has none."""
        try:
            # What is read goes by its alias, what is written by its name: as Pydantic does unless it is told otherwise.
            raw = adapter.json_schema(mode=mode, by_alias=mode == "validation", schema_generator=Plain)
        except (PydanticInvalidForJsonSchema, PydanticSchemaGenerationError):
            return {}
        title = raw.get("title")
        return self.placed(raw, None if title is None or "properties" not in raw else self._name(title, raw, {}))

    def placed(self, raw: Json, name: str | None) -> Json:
        """The schema with its definitions among the components, itself too under `name`."""
        definitions: Json = raw.get("$defs", {})
        names = {word: self._name(word, found, definitions) for word, found in definitions.items()}
        for word, found in definitions.items():
            self._components.ref("schemas", names[word], lambda found=found: bounded(found, names))  # type: ignore[misc]
        own = {key: value for key, value in raw.items() if key != "$defs"}
        return (
            bounded(own, names) if name is None else self._components.ref("schemas", name, lambda: bounded(own, names))
        )

    def _name(self, word: str, found: Json, beside: Json) -> str:
        """Of equal names for different types the later ones get a number."""
        name, number, whole = word, 1, (found, _reachable(found, beside))
        while name in self._taken or self._known.get(name, whole) != whole:
            number += 1
            name = f"{word}{number}"
        self._known[name] = whole
        return name


def _reachable(schema: Json, definitions: Json) -> Json:
    """Those definitions that a schema refers to, and that these refer to."""
    found: Json = {}
    waiting = [schema]
    while waiting:
        for name in _REFERENCE.findall(json.dumps(waiting.pop(), default=str)):
            if name in definitions and name not in found:
                found[name] = definitions[name]
                waiting.append(definitions[name])
    return found


def bounded(schema: Any, names: Mapping[str, str]) -> Any:
    """The schema with the bounds that hold anyway.

    Args:
        names: of definitions → of components.
    """
    if not isinstance(schema, dict):
        return schema  # true and false are schemas too
    found: Json = {}
    for key, value in schema.items():
        if key in SCHEMAS_BY_NAME:
            found[key] = {name: bounded(member, names) for name, member in value.items()}
        elif key in SCHEMA_LISTS:
            found[key] = [bounded(member, names) for member in value]
        elif key in SCHEMAS:
            found[key] = bounded(value, names)
        elif key == "$ref":
            found[key] = _renamed(value, names)
        elif key == "discriminator":
            found[key] = {
                **value,
                "mapping": {word: _renamed(v, names) for word, v in value.get("mapping", {}).items()},
            }
        else:
            found[key] = value
    return _with_bounds(with_plain_null(found))


def _renamed(reference: str, names: Mapping[str, str]) -> str:
    return COMPONENT + names[reference.removeprefix(DEFINITION)]


def nullable(schema: Json) -> Json:
    """The same or null."""
    return with_plain_null({"anyOf": [schema, {"type": "null"}]})


def with_plain_null(schema: Json) -> Json:
    """`{"anyOf": [{"type": "string"}, {"type": "null"}]}` as `{"type": ["string", "null"]}`."""
    several = schema.get("anyOf", ())
    if len(several) != 2 or several[1] != {"type": "null"}:
        return schema
    beside = {key: value for key, value in schema.items() if key != "anyOf"}
    one = several[0]
    if one.keys() == {"anyOf"}:
        return {**beside, "anyOf": [*one["anyOf"], several[1]]}
    if not isinstance(one.get("type"), str) or "const" in one:
        return schema
    listed = {"enum": [*one["enum"], None]} if "enum" in one else {}
    return {**beside, **one, "type": [one["type"], "null"], **listed}


def types_of(schema: Json) -> tuple[str, ...]:
    """The JSON types that a schema names."""
    found = schema.get("type", ())
    return (found,) if isinstance(found, str) else tuple(found)


def _with_bounds(schema: Json) -> Json:
    kinds = types_of(schema)
    if "integer" in kinds:
        return _with_range(schema)
    if "string" in kinds and not schema.keys() & {"enum", "const"}:
        form = {} if schema.keys() & {"format", "pattern"} else {"pattern": WITHOUT_NUL}
        return {"maxLength": LONGEST_TEXT, **form, **schema}
    if "array" in kinds:
        return {"maxItems": defaults.MAX_JSON_ITEMS, **schema}
    if "object" in kinds and schema.get("additionalProperties"):
        return {"maxProperties": defaults.MAX_JSON_KEYS, **schema}
    return schema


def _with_range(schema: Json) -> Json:
    low = schema.get("minimum", schema.get("exclusiveMinimum", -LARGEST_INTEGER))
    high = schema.get("maximum", schema.get("exclusiveMaximum", LARGEST_INTEGER))
    if low >= INT32[0] and high <= INT32[1]:
        word = "int32"
    else:
        word = "int64" if low >= INT64[0] and high <= INT64[1] else "integer"
    limits = {} if "exclusiveMinimum" in schema else {"minimum": low}
    limits |= {} if "exclusiveMaximum" in schema else {"maximum": high}
    return {"format": word, **limits, **schema}
