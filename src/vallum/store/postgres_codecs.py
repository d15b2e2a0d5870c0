"""How values go to PostgreSQL and come back, where asyncpg's own way is not meant.

asyncpg takes the last day of its calendar for infinity: who wrote 9999-12-31 would read `infinity`. And JSON comes as
SQLAlchemy expects it, which reads it by the connection's own codecs.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, TypeVar

D = TypeVar("D", date, datetime)

_DAY: Final = date(2000, 1, 1)
_LOCAL: Final = datetime(2000, 1, 1)  # noqa: DTZ001  # a column without a zone
_INSTANT: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_ENDS: Final = (datetime.min, datetime.max)  # noqa: DTZ901  # the same


async def set_codecs(connection: Any) -> None:
    """For this connection, whoever uses it."""
    for kind in ("json", "jsonb"):
        await connection.set_type_codec(kind, encoder=str, decoder=json.loads, schema="pg_catalog")
    for kind, encode, decode in _DATES:
        await connection.set_type_codec(kind, encoder=encode, decoder=decode, schema="pg_catalog", format="tuple")


def _from_day(value: date) -> tuple[int]:
    day = value.date() if isinstance(value, datetime) else value
    return ((day - _DAY).days,)


def _from_local(value: date) -> tuple[int]:
    return ((_moment(value).replace(tzinfo=None) - _LOCAL) // _MICROSECOND,)


def _from_instant(value: date) -> tuple[int]:
    return ((_moment(value).astimezone(UTC) - _INSTANT) // _MICROSECOND,)


def _moment(value: date) -> datetime:
    return value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)  # noqa: DTZ001


def _to_day(value: tuple[int]) -> date:
    return _within(_DAY, timedelta(days=1), value[0], (date.min, date.max))


def _to_local(value: tuple[int]) -> datetime:
    return _within(_LOCAL, _MICROSECOND, value[0], _ENDS)


def _to_instant(value: tuple[int]) -> datetime:
    return _within(_INSTANT, _MICROSECOND, value[0], (_ENDS[0].replace(tzinfo=UTC), _ENDS[1].replace(tzinfo=UTC)))


def _within(start: D, unit: timedelta, number: int, ends: tuple[D, D]) -> D:
    """Python's calendar ends where PostgreSQL's does not: infinity, and years that nobody here can write."""
    try:
        return start + number * unit
    except OverflowError:
        return ends[number > 0]


_DATES: Final = (
    ("date", _from_day, _to_day),
    ("timestamp", _from_local, _to_local),
    ("timestamptz", _from_instant, _to_instant),
)
