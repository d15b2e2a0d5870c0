"""A value for each schema, always the same one. Where no simple value fits, there is no example rather than a wrong one."""

from __future__ import annotations

import re
from typing import Any, Final

from vallum.openapi.bounded import types_of
from vallum.openapi.components import Components, Json
from vallum.openapi.inclusions import MEMBER

FORMATS: Final = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T08:30:00Z",
    "time": "08:30:00Z",
    "duration": "PT15M",
    "uuid": "0198c1a5-0d5e-7d30-9c55-3f1f0f6b2a41",
    "uri": "https://example.org/",
    "email": "name@example.org",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "ipvanyaddress": "192.0.2.1",
    "hostname": "example.org",
    "json-string": "{}",
    "binary": "AQID",
}
TEXTS: Final = (
    "2026-01-31T08:30:00",
    "08:30:00",
    "12",
    "1.0",
    "12.50",
    "1.250",
    "1.0000",
    "1.000000",
    "AQID",
    "a",
    "abc",
    "A1",
    "0123456789abcdef0123456789abcdef",
)
"""Tried on a pattern, in this order."""
NUMBERS: Final = (1, 1.5, 0.5, 0, -1)
DEEPEST: Final = 8


class NoExampleError(Exception):
    """No simple value fits."""


def example_of(schema: Json, components: Components, name: str = "text", depth: int = 0) -> Any:
    """A value that fits.

    Args:
        name: of the member, which stands for a text that may be any.

    Raises:
        NoExampleError: none was found.
    """
    if depth > DEEPEST:
        raise NoExampleError
    if "$ref" in schema:
        return example_of(components.resolved(schema), components, name, depth + 1)
    if schema.get("examples"):
        return schema["examples"][0]
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return _first(schema[word], components, name, depth)
    if "allOf" in schema:
        merged = {key: value for part in schema["allOf"] for key, value in components.resolved(part).items()}
        return example_of(merged, components, name, depth + 1)
    return _by_type(schema, components, name, depth)


def _first(schemas: list[Json], components: Components, name: str, depth: int) -> Any:
    for schema in schemas:
        try:
            return example_of(schema, components, name, depth + 1)
        except NoExampleError:
            continue
    raise NoExampleError


def _by_type(schema: Json, components: Components, name: str, depth: int) -> Any:
    kind = next(iter(types_of(schema)), None)
    if kind == "string":
        return _text(schema, name)
    if kind == "integer":
        return _number(schema, (1, schema.get("minimum", 1), schema.get("exclusiveMinimum", 0) + 1))
    if kind == "number":
        return _number(schema, (*NUMBERS, schema.get("minimum", 1), schema.get("maximum", 1)))
    if kind == "array":
        return _array(schema, components, name, depth)
    if kind == "object":
        return _object(schema, components, depth)
    return {"boolean": True, "null": None}.get(kind or "", {})  # {}: any value


def _text(schema: Json, name: str) -> str:
    least, most = schema.get("minLength", 0), schema.get("maxLength", 100)
    own = (name * (least // max(len(name), 1) + 1) if least > len(name) else name)[:most]
    form = FORMATS.get(schema.get("format", ""))
    if form is None and "format" in schema:
        raise NoExampleError
    pattern = schema.get("pattern")
    for text in (form,) if form is not None else (own, *TEXTS):
        if least <= len(text) <= most and (pattern is None or re.search(pattern, text)):
            return text
    raise NoExampleError


def _number(schema: Json, candidates: tuple[Any, ...]) -> Any:
    for value in candidates:
        inside = (
            schema.get("minimum", value) <= value <= schema.get("maximum", value)
            and schema.get("exclusiveMinimum", value - 1) < value < schema.get("exclusiveMaximum", value + 1)
            and value % schema.get("multipleOf", 1 if isinstance(value, int) else value) == 0
        )
        if inside:
            return value
    raise NoExampleError


def _array(schema: Json, components: Components, name: str, depth: int) -> list[Any]:
    listed = schema.get("prefixItems")
    if listed is not None:
        return [example_of(member, components, name, depth + 1) for member in listed]
    least = schema.get("minItems", 0)
    if least > 1 and schema.get("uniqueItems"):
        raise NoExampleError
    if schema.get("maxItems") == 0:
        return []
    try:
        return [example_of(schema.get("items", {}), components, name, depth + 1)] * max(least, 1)
    except NoExampleError:
        if least:
            raise
        return []


def _object(schema: Json, components: Components, depth: int) -> Json:
    needed = set(schema.get("required", ()))
    found: Json = {}
    for name, member in schema.get("properties", {}).items():
        if MEMBER in member:
            continue
        try:
            found[name] = example_of(member, components, name, depth + 1)
        except NoExampleError:
            if name in needed:
                raise
    rest = schema.get("additionalProperties")
    if not found and isinstance(rest, dict):
        found["name"] = example_of(rest, components, "name", depth + 1)
    if needed - found.keys() or len(found) < schema.get("minProperties", 0):
        raise NoExampleError
    return found
