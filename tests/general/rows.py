"""The second application's sample data: in a database, and as the rows that the evaluator reads."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, select
from sqlalchemy.exc import SAWarning
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool
from tests.general.app import seed
from tests.general.models import Base

Tables = dict[Table, list[dict[str, Any]]]


def seeded() -> Engine:
    """A SQLite database in memory with the sample data."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        seed(session)
        session.commit()
    return engine


def rows_in(connection: Connection) -> Tables:
    """All rows of all tables, by column key, with SQLAlchemy's Python values."""
    with warnings.catch_warnings():
        # SQLite has no decimals; these were written with two places and come back with two.
        warnings.filterwarnings("ignore", "Dialect sqlite.* does .*not.* support Decimal", SAWarning)
        return {
            table: [
                {column.key: row[column] for column in table.columns}
                for row in connection.execute(select(table)).mappings()
            ]
            for table in Base.metadata.sorted_tables
        }


@cache
def sample_rows() -> Tables:
    """The sample data as rows."""
    engine = seeded()
    with engine.connect() as connection:
        found = rows_in(connection)
    engine.dispose()
    return found
