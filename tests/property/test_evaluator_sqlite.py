"""The evaluator against a real SQLite: the same rows, the same condition, the same answer; NULL is one of three."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Boolean, Connection, create_engine, event, select, type_coerce
from sqlalchemy.pool import StaticPool
from tests.general.models import Base
from tests.property.conditions import Condition, conditions
from tests.property.models import NOW, Tables, callers, models, tables

from vallum.authorise.evaluator import CallerValues, Evaluator
from vallum.declare import policy


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    """A database in memory with the general application's tables."""
    engine = create_engine("sqlite://", poolclass=StaticPool, enable_from_linting=False)

    @event.listens_for(engine, "connect")
    def mind_case(connection: Any, _: Any) -> None:
        # SQLAlchemy writes contains() as LIKE, which ignores case here unless told otherwise; Vallum's does not.
        connection.execute("PRAGMA case_sensitive_like = ON")

    Base.metadata.create_all(engine)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def fill(connection: Connection, rows: Tables) -> None:
    """Make the drawn rows the only ones."""
    for table in reversed(Base.metadata.sorted_tables):
        connection.execute(table.delete())
    for table, listed in rows.items():
        if listed:
            connection.execute(table.insert(), listed)


def values_of(caller: CallerValues) -> dict[str, Any]:
    """The caller and the instant as parameters of a statement."""
    return {
        policy.ME_ID: caller.id,
        policy.ME_ROLES: sorted(caller.roles),
        policy.NOW: NOW,
        policy.TODAY: NOW.date(),
        **{policy.ME_ATTRIBUTE + name: value for name, value in caller.attributes.items()},
    }


def questions() -> st.SearchStrategy[tuple[type[Any], Condition]]:
    """A model and a condition on its rows."""
    return models().flatmap(lambda model: st.tuples(st.just(model), conditions(model)))


@settings(max_examples=100)
@given(rows=tables(), asked=st.lists(questions(), min_size=2, max_size=4), caller=callers())
def test_the_evaluator_and_sqlite_agree(
    connection: Connection, rows: Tables, asked: list[tuple[type[Any], Condition]], caller: CallerValues
) -> None:
    """For every row SQLite and the evaluator say the same: true, false or NULL."""
    fill(connection, rows)
    evaluator = Evaluator(rows, caller, NOW)
    for model, condition in asked:
        table = model.__table__
        key = [column.key for column in table.primary_key]
        found = connection.execute(select(*table.primary_key, type_coerce(condition, Boolean)), values_of(caller))
        said = {tuple(answer[:-1]): answer[-1] for answer in found}
        assert said == {tuple(row[k] for k in key): evaluator.holds(condition, table, row) for row in rows[table]}
