"""Strategies over the general application: rows of all its tables, callers, models.

Values come from small pools, so that conditions are often true, often false and often NULL.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

from hypothesis import strategies as st
from sqlalchemy import (
    Boolean,
    Date,
    DateTime,
    Enum,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Uuid,
)
from sqlalchemy.types import JSON, Float
from tests.general.models import MODELS, Base, Person, Project, Task

from vallum.authorise.evaluator import CallerValues

Tables = dict[Table, list[dict[str, Any]]]

NOW: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
TEXTS: Final = ("", "a", "A", "ab", "aB", "ä", "Ä", "50%", "a_b", "x/y", "anna")
UUIDS: Final = tuple(uuid.UUID(int=n << 96 | n) for n in range(1, 7))
INTEGERS: Final = (-1, 0, 1, 2, 3, 5)
_OWN: Final[Mapping[str, tuple[int, ...]]] = {"priority": (1, 2, 3, 5), "organisation_id": (1, 1, 2)}
"""By the column's name: what the table's check lets pass, tenants that callers belong to."""
NUMBERS: Final = tuple(Decimal(n) / 4 for n in (-3, 0, 1, 4, 7, 400))
"""Quarters: exact in decimal and in binary, because SQLite calculates in binary."""
DATES: Final = (date(2025, 12, 31), date(2026, 3, 1), date(2026, 3, 2))
INSTANTS: Final = (NOW.replace(hour=11), NOW, NOW.replace(microsecond=1))
ROLES: Final = ("a", "ab", "anna")


def pool(type_: Any) -> tuple[Any, ...]:
    """Values of a column type."""
    if isinstance(type_, Enum):
        return tuple(type_.enum_class or type_.enums)
    if isinstance(type_, DateTime):
        return INSTANTS if type_.timezone else tuple(i.replace(tzinfo=None) for i in INSTANTS)
    for kind, values in (
        (Boolean, (False, True)),
        (Integer, INTEGERS),
        (Numeric, NUMBERS),
        (Float, tuple(float(n) for n in NUMBERS)),
        (String, TEXTS),
        (Date, DATES),
        (Uuid, UUIDS),
        (JSON, ({},)),
    ):
        if isinstance(type_, kind):
            return values
    raise TypeError(f"no values of {type_!r}")


class Choices:
    """Choices made by drawn bytes; by zeros when they run out.

    One draw of bytes is many times as fast as a draw for each choice, and shrinks to the first choices.
    """

    def __init__(self, data: bytes) -> None:
        self._data = iter(data)

    def up_to(self, most: int) -> int:
        """0 to `most`, both inclusive; a byte of zero is the most."""
        return most - next(self._data, 0) % (most + 1)

    def of(self, values: Sequence[Any]) -> Any:
        """One of the values; a byte of zero is the first."""
        return values[next(self._data, 0) % len(values)]


def choices(size: int) -> st.SearchStrategy[Choices]:
    return st.binary(min_size=size, max_size=size).map(Choices)


def tables(max_rows: int = 4) -> st.SearchStrategy[Tables]:
    """Rows of all tables; foreign keys point to rows that exist, or nowhere where NULL may stand."""
    return choices(320).map(lambda choose: rows_of(choose, Base.metadata, max_rows))


def rows_of(choose: Choices, metadata: MetaData, max_rows: int, min_rows: int = 0) -> Tables:
    """Rows of all tables of an application."""
    drawn: Tables = {}
    for table in metadata.sorted_tables:
        drawn[table] = rows = []
        keys: set[tuple[Any, ...]] = set()
        for number in range(min_rows + choose.up_to(max_rows - min_rows)):
            row = row_of(choose, table, drawn, number)
            key = tuple(row[column.key] for column in table.primary_key) if row else ()
            if row and key not in keys:
                keys.add(key)
                rows.append(row)
    return drawn


def row_of(choose: Choices, table: Table, drawn: Tables, number: int) -> dict[str, Any]:
    """A row, or an empty one when a parent that it needs does not exist. Another number, another key."""
    row: dict[str, Any] = {}
    for constraint in sorted(table.foreign_key_constraints, key=lambda c: str(c.column_keys)):
        optional = all(element.parent.nullable for element in constraint.elements)
        parents = [*drawn[constraint.referred_table], *([None] if optional else [])]
        if not parents:
            return {}
        parent = choose.of(parents)
        for element in constraint.elements:
            row[element.parent.key] = None if parent is None else parent[element.column.key]
    for column in table.columns:
        if column.key in row:
            continue
        values = pool(column.type) if column.primary_key else _OWN.get(column.name, pool(column.type))
        if column.unique:
            row[column.key] = choose.of((TEXTS[number], None)) if column.nullable else TEXTS[number]
        elif column.primary_key:
            row[column.key] = values[number]
        else:
            row[column.key] = choose.of([*values, *([None] * len(values) if column.nullable else [])])
    return row


def callers() -> st.SearchStrategy[CallerValues]:
    """Callers that have every attribute; what lacking ones mean is decided above expressions."""
    return st.builds(
        CallerValues,
        id=st.sampled_from(("a", "anna")),
        roles=st.frozensets(st.sampled_from(ROLES)),
        attributes=st.fixed_dictionaries(
            {"organisation": st.sampled_from((0, 1, 2)), "region": st.sampled_from(TEXTS), "external": st.booleans()}
        ),
    )


def models() -> st.SearchStrategy[type[Any]]:
    """A mapped class; those with the most relations come more often."""
    return st.sampled_from((*MODELS, Project, Task, Task, Person))
