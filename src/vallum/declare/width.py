"""How wide a row can become, in bytes of JSON: what bounds a page of it is decided here, once for each statement."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import types
from sqlalchemy.types import TypeEngine

from vallum import defaults
from vallum.declare.resource import Resource

ESCAPED: Final = 6
"""Bytes of one character at most: `\\u0001` (RFC 8259 §7); in UTF-8 it has four."""
FRAME: Final = 5
"""Quotes of the name, colon, comma, and room."""
SHORT: Final = 64
"""Bytes of numbers, dates, spans and UUIDs at most, quotes included."""
_SHORT: Final = (
    types.Boolean,
    types.Integer,
    types.Date,
    types.Time,
    types.DateTime,
    types.Interval,
    types.Uuid,
    types.Float,
)


def may_exceed_page(resource: Resource, names: Iterable[str]) -> bool:
    """Whether `PAGE_MAX` rows of these fields can have more than `PAGE_BYTES`."""
    total = 0
    for name in names:
        width = _width(resource.fields[name].type)
        if width is None:
            return True
        total += ESCAPED * len(name) + FRAME + width
    return total * defaults.PAGE_MAX > defaults.PAGE_BYTES


def measured(resource: Resource, names: Iterable[str]) -> tuple[str, ...]:
    """Of these fields, the ones whose values' lengths differ."""
    return tuple(name for name in names if (_width(resource.fields[name].type) or SHORT + 1) > SHORT)


def _width(type_: TypeEngine[Any]) -> int | None:
    """Of a value's JSON; None when the type does not say."""
    if isinstance(type_, types.Enum):
        return ESCAPED * max(map(len, type_.enums), default=0) + 2
    if isinstance(type_, types.String):
        return None if type_.length is None else ESCAPED * type_.length + 2
    if isinstance(type_, types.Numeric) and type_.asdecimal:
        return None if type_.precision is None else SHORT + type_.precision
    if isinstance(type_, types.LargeBinary):
        return None if type_.length is None else (type_.length + 2) // 3 * 4 + 2
    return SHORT if isinstance(type_, (*_SHORT, types.Numeric)) else None
