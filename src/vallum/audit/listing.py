"""Entries as an operator asks for them: the newest first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final, final

from vallum.audit.entry import SELECT
from vallum.declare.dialect import DialectName
from vallum.store.ports import Statement
from vallum.store.sql import Param, Sql, all_of, render, sql

_CONDITIONS: Final[Mapping[str, Sql]] = {
    "principal": sql("principal = ", Param("principal")),
    "verb": sql("verb = ", Param("verb")),
    "resource": sql("resource = ", Param("resource")),
    "request_id": sql("request_id = ", Param("request_id")),
    "since": sql("at >= ", Param("since")),
    "until": sql("at < ", Param("until")),
}


@final
@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries; None does not ask.

    Attributes:
        since, until: Unix seconds.
    """

    principal: str | None = None
    verb: str | None = None
    resource: str | None = None
    request_id: str | None = None
    since: float | None = None
    until: float | None = None


def entries(wanted: Wanted, limit: int, dialect: DialectName) -> Statement:
    """Rows with the columns of `entry.COLUMNS`. Nothing but the id has an index: who asks for the rare waits."""
    values = {name: value for name, value in asdict(wanted).items() if value is not None}
    asked = all_of(_CONDITIONS[name] for name in values)
    text = render(sql(SELECT, " WHERE ", asked, " ORDER BY id DESC LIMIT ", Param("limit")), dialect)
    return text.bind({**values, "limit": limit})
