"""Column types: how a value is rendered as JSON inside SQL, and how it is given to the driver.

Both stores give the same text: booleans as true and false, dates and times in RFC 3339, spans in ISO 8601, decimals
and bytes (base64) as strings, enums by value, UUIDs with hyphens, documents as PostgreSQL's `jsonb` writes them.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple, final

from sqlalchemy import BindParameter, ColumnElement, types
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

from vallum.declare.dialect import DURATION, DialectName
from vallum.declare.resource import Field
from vallum.store.sql import DIALECTS, Convert, Param, Sql, converter, param, sql, value_sql
from vallum.store.sql_parameters import Attributes

JSON_OBJECT_PAIRS: Final = 60
"""SQLite takes 127 arguments a function."""

FIELDS_CACHED: Final = 4_096
"""Fields whose converter is kept: SQLAlchemy takes 2 µs to find it, and every key in a path needs one."""

_PAIR: Final = r"\\u([dD][89abAB]..)\\u([dD][c-fC-F]..)"
_ALONE: Final = r"\\u(0000|[dD][89a-fA-F]..)"

PLAIN: Final = (types.Integer, types.String)
"""Both stores render these as JSON by themselves. `Enum` is a String and comes before."""


def json_value(type_: TypeEngine[Any], text: str, dialect: DialectName) -> str:
    """SQL for the JSON value of the column or expression `text`.

    Raises:
        TypeError: a type that this function does not know; start-up refuses the model.
    """
    if isinstance(type_, types.Enum):
        return _enum(type_, text)
    if isinstance(type_, PLAIN):
        return text
    render = _SQLITE if dialect == "sqlite" else _POSTGRESQL
    for kind, write in render:
        if isinstance(type_, kind):
            return write(type_, text)
    raise TypeError(f"no JSON form for the column type {type_!r}")


@final
class Member(NamedTuple):
    """One of a JSON object: its name, the SQL of its JSON value, and whether that is the text of a document."""

    name: str
    value: str
    is_document: bool


def is_document(type_: TypeEngine[Any]) -> bool:
    """Whether the JSON value is a document of the application's own."""
    return isinstance(type_, types.JSON)


def json_object(members: Sequence[Member], dialect: DialectName) -> str:
    """SQL for a JSON object as text, its members in that order, without spaces around them."""
    if dialect == "postgresql":
        columns = ", ".join(f"{member.value} AS {_identifier(member.name)}" for member in members)
        return f"(SELECT row_to_json(vallum_o)::text FROM (SELECT {columns}) vallum_o)"
    text, *others = _chunks(members) or ["json_object()"]
    for chunk in others:
        text = f"(SELECT substr(j, 1, length(j) - 1) FROM (SELECT {text} AS j)) || ',' || substr({chunk}, 2)"
    return text


def _chunks(members: Sequence[Member]) -> list[str]:
    """Objects whose members together are these: a function takes so many, and SQLite would write documents anew."""
    found: list[str] = []
    plain: list[str] = []
    for member in [*members, None]:
        if plain and (member is None or member.is_document or len(plain) == JSON_OBJECT_PAIRS):
            found.append(f"json_object({', '.join(plain)})")
            plain = []
        if member is not None and member.is_document:
            key = _literal("{" + json.dumps(member.name, ensure_ascii=False) + ":")
            found.append(f"({key} || coalesce({member.value}, 'null') || '}}')")
        elif member is not None:
            plain.append(f"{_literal(member.name)}, {member.value}")
    return found


@lru_cache(maxsize=FIELDS_CACHED)
def to_driver(field: Field, dialect: DialectName) -> Convert | None:
    """From the validated Python value of a field to what the driver takes; None when it is the value itself."""
    return converter(field.type, dialect)


def written_sql(field: Field, value: ColumnElement[Any], dialect: DialectName, attributes: Attributes) -> Sql:
    """What a rule's `set=` writes into the field."""
    if isinstance(value, BindParameter):
        typed = param(value._with_binary_element_type(field.type) if value.type._isnull else value, dialect)  # noqa: SLF001
        return sql(Param(typed.name, to_driver(field, dialect), typed.value, typed.cast) if typed.name else typed)
    return value_sql(value, dialect, attributes)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _identifier(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _enum(type_: types.Enum, text: str) -> str:
    members = type_.enum_class
    if not (isinstance(members, type) and issubclass(members, enum.Enum)):
        return text
    # The stored word is what SQLAlchemy's type writes: the member's name unless values_callable says otherwise.
    pairs = [(stored, str(member.value)) for stored, member in zip(type_.enums, members, strict=True)]
    if all(stored == value for stored, value in pairs):
        return text
    cases = " ".join(f"WHEN {_literal(stored)} THEN {_literal(value)}" for stored, value in pairs)
    return f"CASE {text} {cases} END"


def _sqlite_boolean(_: Any, text: str) -> str:
    return f"json(CASE {text} WHEN 0 THEN 'false' WHEN 1 THEN 'true' END)"


def _sqlite_time(_: Any, text: str) -> str:
    return f"CASE WHEN substr({text}, -7) = '.000000' THEN substr({text}, 1, length({text}) - 7) ELSE {text} END"


def _sqlite_datetime(type_: Any, text: str) -> str:
    suffix = " || 'Z'" if type_.timezone else ""
    return f"replace({_sqlite_time(type_, text)}, ' ', 'T'){suffix}"


def _sqlite_float(_: Any, text: str) -> str:
    return f"json(vallum_float({text}))"


def _sqlite_numeric(type_: Any, text: str) -> str:
    if not type_.asdecimal:
        return _sqlite_float(type_, text)
    scale = 0 if type_.scale is None else type_.scale
    return f"CASE WHEN {text} IS NOT NULL THEN printf('%.{scale}f', {text}) END"


def _sqlite_uuid(_: Any, text: str) -> str:
    return f"vallum_uuid({text})"


def _sqlite_json(_: Any, text: str) -> str:
    return f"vallum_json({text})"


def _sqlite_duration(_: Any, text: str) -> str:
    return f"vallum_duration({text})"


def _sqlite_bytes(_: Any, text: str) -> str:
    return f"vallum_b64({text})"


def _as_is(_: Any, text: str) -> str:
    return text


def _postgres_datetime(type_: Any, text: str) -> str:
    value = f"{text} AT TIME ZONE 'UTC'" if type_.timezone else text
    suffix = '"Z"' if type_.timezone else ""
    whole = f"to_char({value}, 'YYYY-MM-DD\"T\"HH24:MI:SS{suffix}')"
    exact = f"to_char({value}, 'YYYY-MM-DD\"T\"HH24:MI:SS.US{suffix}')"
    return f"CASE WHEN date_trunc('second', {text}) = {text} THEN {whole} ELSE {exact} END"


def _postgres_time(_: Any, text: str) -> str:
    return (
        f"CASE WHEN date_trunc('second', {text}::interval) = {text}::interval"
        f" THEN to_char({text}, 'HH24:MI:SS') ELSE to_char({text}, 'HH24:MI:SS.US') END"
    )


def _postgres_duration(_: Any, text: str) -> str:
    # `intervalstyle` is iso_8601 (postgres_connection), whose signs stand before each part.
    negative = f"'-' || justify_hours(-({text}))::text"
    return f"CASE WHEN {text} < INTERVAL '0' THEN {negative} ELSE justify_hours({text})::text END"


def _postgres_float(_: Any, text: str) -> str:
    # row_to_json would write NaN and infinity as texts; SQLite has no NaN, and its infinity is null here. Nor does it keep
    # a minus before zero: added to zero, none is left.
    return f"CASE WHEN {text} NOT IN ('NaN', 'Infinity', '-Infinity') THEN {text} + 0 END"


def _postgres_json(type_: Any, text: str) -> str:
    if isinstance(type_.dialect_impl(DIALECTS["postgresql"]), JSONB):
        return text
    # `json` keeps escapes that `jsonb` refuses: NUL, and halves of a pair (RFC 8259 §8.2). They are looked for between
    # escaped backslashes and whole pairs, which stay aside meanwhile as characters that no JSON text holds.
    aside = f"replace(({text})::text, '\\\\', chr(1))"
    aside = f"regexp_replace({aside}, '{_PAIR}', chr(2) || '\\1' || chr(2) || '\\2', 'g')"
    shown = f"regexp_replace({aside}, '{_ALONE}', '\\\\ufffd', 'g')"
    shown = f"replace(replace({shown}, chr(2), '\\u'), chr(1), '\\\\')"
    return f"CASE WHEN strpos(({text})::text, '\\u') = 0 THEN ({text})::jsonb ELSE {shown}::jsonb END"


def _postgres_numeric(type_: Any, text: str) -> str:
    return f"({text})::text" if type_.asdecimal else _postgres_float(type_, text)


def _postgres_text(_: Any, text: str) -> str:
    return f"{text}::text"


def _postgres_bytes(_: Any, text: str) -> str:
    return f"replace(encode({text}, 'base64'), E'\\n', '')"


# The order matters only where one type is another's child.
_SQLITE: Final = (
    (types.Boolean, _sqlite_boolean),
    (types.DateTime, _sqlite_datetime),
    (types.Date, _as_is),
    (types.Time, _sqlite_time),
    (types.Float, _sqlite_float),
    (types.Numeric, _sqlite_numeric),
    (types.Uuid, _sqlite_uuid),
    (types.JSON, _sqlite_json),
    (types.LargeBinary, _sqlite_bytes),
    *((kind, _sqlite_duration) for kind in DURATION),
)
_POSTGRESQL: Final = (
    (types.Boolean, _as_is),
    (types.DateTime, _postgres_datetime),
    (types.Date, _postgres_text),
    (types.Time, _postgres_time),
    (types.Float, _postgres_float),
    (types.Numeric, _postgres_numeric),
    (types.Uuid, _postgres_text),
    (types.JSON, _postgres_json),
    (types.LargeBinary, _postgres_bytes),
    *((kind, _postgres_duration) for kind in DURATION),
)
