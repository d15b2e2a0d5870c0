"""Columns: types that both stores keep and show alike, defaults that need no ORM, constraints that hold at once."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Column, types
from sqlalchemy.dialects.postgresql import CITEXT
from sqlalchemy.sql.schema import CallableColumnDefault, ColumnElementColumnDefault, ScalarElementColumnDefault
from sqlalchemy.types import TypeEngine

from vallum.declare.checks_finding import Finding, error
from vallum.declare.dialect import DURATION, DialectName
from vallum.declare.model import renamed
from vallum.declare.resource import Resource

FAMILIES: Final = (
    types.Integer,
    types.Enum,
    types.String,
    types.Boolean,
    types.Numeric,
    types.Float,
    types.DateTime,
    types.Date,
    types.Time,
    types.Uuid,
    types.JSON,
    types.LargeBinary,
    *DURATION,
)
"""The types of columns that have a JSON form; an Enum is a String and stands before it."""
NO_KEY: Final = (types.JSON, types.LargeBinary, types.Float, types.Boolean, *DURATION)
"""Types whose text in a path is not one, or not exact."""
SINGLE_BITS: Final = 24
"""Of the mantissa of a float of 32 bits (IEEE 754)."""
SQLITE_DIGITS: Final = 15
"""SQLite keeps a decimal as a double, which gives 15 digits back exactly (sqlite.org/floatingpoint.html)."""
DEFAULTS: Final = (CallableColumnDefault, ScalarElementColumnDefault, ColumnElementColumnDefault)


def column_findings(resource: Resource, dialect: DialectName) -> list[Finding]:
    """What of the table's columns and constraints cannot be honoured in this store."""
    findings: list[Finding] = []
    for field in resource.fields.values():
        place = f"{resource.model.__name__}.{field.name}"
        findings += type_findings(field.type, place, dialect)
        if not field.name.isidentifier():
            findings.append(
                error(
                    "field-name",
                    place,
                    "No query can name a field like this.",
                    f"Name the attribute: {renamed(field)}.",
                )
            )
        if field.key and isinstance(field.type, NO_KEY):
            findings.append(
                error("key-type", place, "A column of this type cannot be part of a path.", "Use another key.")
            )
        if field.column is not None:
            findings += _default_findings(field.column, place)
    return [*findings, *_constraint_findings(resource, dialect)]


def type_findings(type_: TypeEngine[Any], place: str, dialect: DialectName) -> Iterator[Finding]:
    """What of a column type has no JSON form, or not the same one in both stores."""
    if isinstance(type_, types.TypeDecorator) and not isinstance(type_, DURATION):
        yield error(
            "column-decorator",
            place,
            f"{type(type_).__name__} converts values in Python; answers and rules come from the database.",
            "Use a plain column type.",
        )
        return
    variant = type_._variant_mapping.get(dialect, type_)  # noqa: SLF001  # no public accessor
    if family_of(type_) is None or family_of(variant) is not family_of(type_) or _is_own(type_) or _is_own(variant):
        yield error(
            "column-type",
            place,
            f"The column type {variant!r} has no JSON form.",
            "Use an integer, text, boolean, decimal, float, date, time, interval, UUID, enum, JSON or bytes of SQLAlchemy, or "
            'leave the column out: __mapper_args__ = {"exclude_properties": […]}.',
        )
    elif isinstance(type_, types.Time) and type_.timezone:
        yield error("column-type", place, "A time of day with an offset means no instant.", "Use Time() or DateTime.")
    elif isinstance(type_, types.Float) and type_.asdecimal:
        yield error("column-type", place, "A Float is no exact decimal.", "Use Numeric(precision, scale) or Float().")
    elif isinstance(type_, types.Float) and _is_single(type_):
        yield error("column-type", place, "REAL keeps six digits and rounds the rest.", "Use Float() or Double().")
    elif isinstance(type_, (types.CHAR, types.NCHAR, CITEXT)):
        yield error("column-type", place, f"{variant!r} compares by padding or case of its own.", "Use String().")
    elif isinstance(type_, types.Numeric):
        yield from _numeric_findings(type_, place, dialect)
    elif isinstance(type_, types.Enum):
        yield from _enum_findings(type_, place)


def family_of(type_: TypeEngine[Any]) -> type[TypeEngine[Any]] | None:
    """The generic type behind a column type, or None for one without a JSON form."""
    return next((family for family in FAMILIES if isinstance(type_, family)), None)


def _is_own(type_: TypeEngine[Any]) -> bool:
    """Whether the application or a further package wrote the type: then it may bind and render as it likes."""
    return (
        not type(type_).__module__.startswith("sqlalchemy.")
        or type_._has_bind_expression  # noqa: SLF001  # SQLAlchemy's own compilers ask the same
        or type_._has_column_expression  # noqa: SLF001
    )


def _is_single(type_: types.Float[Any]) -> bool:
    """Whether PostgreSQL would keep it in 32 bits (its `float(p)`, 8.1.3)."""
    return isinstance(type_, types.REAL) or (type_.precision is not None and type_.precision <= SINGLE_BITS)


def _numeric_findings(type_: types.Numeric[Any], place: str, dialect: DialectName) -> Iterator[Finding]:
    if not type_.asdecimal:
        return
    if dialect == "sqlite" and (type_.precision is None or type_.scale is None):
        yield error(
            "numeric-scale",
            place,
            "Without precision and scale SQLite does not know which digits to show.",
            "Write Numeric(12, 2), or Float() where exactness does not matter.",
        )
    elif dialect == "sqlite" and (type_.precision or 0) > SQLITE_DIGITS:
        yield error(
            "numeric-precision",
            place,
            f"SQLite keeps decimals as doubles: beyond {SQLITE_DIGITS} digits they change.",
            f"Use at most {SQLITE_DIGITS} digits, an integer of the smallest unit, or PostgreSQL.",
        )


def _enum_findings(type_: types.Enum, place: str) -> Iterator[Finding]:
    members = type_.enum_class
    values = [m.value for m in members] if isinstance(members, enum.EnumMeta) else list(type_.enums)
    if not all(isinstance(value, str) for value in values):
        yield error(
            "enum-values",
            place,
            "Enumerations are written by value, and these values are not text.",
            'Give each member a text: OWNER = "owner".',
        )


def _default_findings(column: Column[Any], place: str) -> Iterator[Finding]:
    for word, default in (("default", column.default), ("onupdate", column.onupdate)):
        if default is None:
            continue
        if not isinstance(default, DEFAULTS):
            yield error(
                "default-form",
                place,
                f"{word}= of this kind is filled in by SQLAlchemy's own INSERT only.",
                "Use a value, a function without arguments, a SQL expression or a server_default.",
            )
        # SQLAlchemy wraps a function without arguments; one that takes the context stays itself.
        elif isinstance(default, CallableColumnDefault) and default.arg is default._given_arg:  # noqa: SLF001
            yield error(
                "default-context",
                place,
                f"{word}= takes the context of an ORM statement, which there is not.",
                "Use a function without arguments.",
            )


def _constraint_findings(resource: Resource, dialect: DialectName) -> Iterator[Finding]:
    if dialect != "sqlite":
        return
    for constraint in sorted(resource.table.constraints, key=lambda c: str(c.name or "")):
        if constraint.deferrable or constraint.initially:
            yield error(
                "constraint-deferrable",
                f"{resource.model.__name__}, {type(constraint).__name__} {constraint.name or ''}".rstrip(),
                "On SQLite it would be checked at the commit that several writes share.",
                "Drop deferrable= and initially=.",
            )
