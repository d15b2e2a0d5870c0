"""Numbers that the database gives: after rows that came with their keys it goes on behind the last of them.

SQLite does so by itself; a sequence of PostgreSQL does not know of them.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import MetaData

from vallum.declare.dialect import DialectName
from vallum.store.ports import Script, Statement
from vallum.store.sql import quoted, table_sql


def go_on(metadatas: Iterable[MetaData], dialect: DialectName) -> Script[None]:
    """Set the sequence behind each generated key to the greatest key that there is."""
    if dialect == "sqlite":
        return
    for table in (table for metadata in metadatas for table in metadata.sorted_tables):
        column = table.autoincrement_column
        if column is None:
            continue
        name, place = quoted(column.name, dialect), table_sql(table, dialect)
        yield Statement(
            f"SELECT setval(s, m) FROM pg_get_serial_sequence($1, $2) s, (SELECT max({name}) AS m FROM {place}) n"
            " WHERE s IS NOT NULL AND m IS NOT NULL",
            [place, column.name],
        )
