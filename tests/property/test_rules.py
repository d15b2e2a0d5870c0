"""The compiled rules against the evaluator: drawn rows, rules and callers, and both must decide alike."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.pool import StaticPool
from tests.general.models import Base
from tests.property.conditions import condition
from tests.property.models import NOW, Choices, Tables, callers, models, pool, tables

from vallum import ANYONE, API, READ, UPDATE, Rule, allow, deny, me
from vallum.authorise.conditions import RequestFacts
from vallum.authorise.evaluator import CallerValues, Evaluator
from vallum.authorise.evaluator_decide import Decision, Question, decide
from vallum.authorise.rights import Access, Rights
from vallum.authorise.stage import Policy
from vallum.declare.policy import Operation
from vallum.declare.resource import Resource
from vallum.execute.filters import FILTER
from vallum.execute.frame import Values
from vallum.execute.listing import LIMIT, ListShape, list_statement
from vallum.execute.order import AFTER
from vallum.execute.shape import row_select, table_of, visible
from vallum.store import schema
from vallum.store.ports import Principal
from vallum.store.sql import Prepared, render
from vallum.store.sqlite_functions import add_functions

ROLES = ("a", "ab", "anna")
FACTS = RequestFacts("token", None, None, "192.0.2.1", NOW.timestamp())
ATTRIBUTES = {"organisation": int, "region": str, "external": bool}

Row = dict[str, Any]


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    """A database in memory, set up as the store sets up its own."""
    engine = create_engine("sqlite://", poolclass=StaticPool, enable_from_linting=False)

    @event.listens_for(engine, "connect")
    def prepare(raw: Any, _: Any) -> None:
        raw.execute("PRAGMA case_sensitive_like = ON")
        add_functions(raw)

    Base.metadata.create_all(engine)
    schema.METADATA.create_all(engine)
    with engine.connect() as opened:
        yield opened
    engine.dispose()


def fill(connection: Connection, rows: Tables) -> None:
    """Make the drawn rows the only ones."""
    for table in reversed(Base.metadata.sorted_tables):
        connection.execute(table.delete())
    for table, listed in rows.items():
        if listed:
            connection.execute(table.insert(), listed)


def drawn_rules(choose: Choices, model: type[Any], names: Sequence[str], operation: Operation) -> list[Rule]:
    """One to four rules of any kind on the model."""
    rules = []
    for number in range(choose.up_to(3) + 1):
        roles = choose.of((ANYONE, ("a", "ab", "anna"), ("a", "ab"), "a", "anna"))
        # The first rule opens many rows, so that the others have something to take away or to mask.
        open_first = number == 0 and choose.up_to(2)
        where = None if open_first or choose.up_to(3) == 0 else condition(choose, model, model, choose.up_to(2))
        fields = None if choose.up_to(2) else [name for name in names if choose.up_to(1)]
        make = deny if number and choose.up_to(2) == 0 else allow
        rules.append(make(roles, operation, where=where, fields=fields or None))
    return rules


def resource_of(choose: Choices, model: type[Any]) -> tuple[API, Resource]:
    """The model as a resource under drawn rules, perhaps with a tenant and soft deletion."""
    names = [attribute.key for attribute in model.__mapper__.column_attrs]
    tenant = ("organisation_id", me.attr["organisation"]) if "organisation_id" in names and choose.up_to(1) else None
    api = API("Drawn", roles=ROLES, attributes=ATTRIBUTES, tenant=tenant)
    removed = getattr(model, "deleted_at", None) if choose.up_to(1) else None
    rules = [*drawn_rules(choose, model, names, READ), *drawn_rules(choose, model, names, UPDATE)]
    return api, api.resource(model, *rules, soft_delete=removed, path="/rows", filters=names, sorts=names)


def rows_of(connection: Connection, prepared: Prepared, values: Values) -> list[Any]:
    """Run it on the driver, as the store does."""
    statement = prepared.bind(values)
    raw: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
    return raw.execute(statement.text, tuple(statement.arguments)).fetchall()


def listed(connection: Connection, resource: Resource, access: Access, shape: ListShape, values: Values) -> list[Row]:
    """The rows of a list, as the caller gets them."""
    rows = rows_of(connection, list_statement(resource, access, shape, "sqlite"), values)
    return [json.loads(row[0]) for row in rows if row[0] is not None]


def identity(resource: Resource, row: Row) -> str:
    """A row's key, whether it is in JSON or in memory."""
    return str([str(row[name]) for name in resource.key])


def everything(connection: Connection, resource: Resource, values: Values) -> dict[str, Row]:
    """The full JSON of every row, by key."""
    api = API("All", roles=["all"])
    whole = api.resource(resource.model, allow("all", READ))
    access = Policy(api, "sqlite").rights_of(Principal("x", frozenset({"all"})), None).on(whole, READ)  # type: ignore[arg-type]  # no conditions
    assert access is not None
    shape = ListShape(access.shown, (), (), None)
    found = listed(connection, whole, access, shape, values.with_({LIMIT: 1000}))
    return {identity(resource, row): row for row in found}


class World:
    """One drawn case."""

    def __init__(self, rows: Tables, model: type[Any], choose: Choices, caller: CallerValues) -> None:
        self.rows = rows
        self.api, self.resource = resource_of(choose, model)
        self.caller = caller
        principal = Principal(caller.id, caller.roles, caller.attributes)
        self.rights: Rights = Policy(self.api, "sqlite").rights_of(principal, None)  # type: ignore[arg-type]  # no conditions
        self.values = Values(principal, NOW.timestamp()).with_({LIMIT: 1000})
        self.evaluator = Evaluator(rows, caller, NOW)
        self.question = Question(self.evaluator, self.resource, FACTS)

    def decisions(self, operation: Operation) -> list[tuple[Row, Decision]]:
        """What the evaluator says of each row."""
        return [
            (row, decide(self.resource.rules, operation, self.question, row)) for row in self.rows[self.resource.table]
        ]

    def attribute_row(self, row: Row) -> Row:
        """A row by attribute names; the evaluator has it by column keys."""
        return {n: row[f.column.key] for n, f in self.resource.fields.items() if f.column is not None}


def worlds() -> st.SearchStrategy[World]:
    """Rows, a model, rules on it and a caller."""
    choices = st.binary(min_size=256, max_size=256).map(Choices)
    return st.builds(World, tables(), models(), choices, callers())


@settings(max_examples=200)
@given(world=worlds())
def test_lists_show_what_the_rules_mean(connection: Connection, world: World) -> None:
    """The same rows, and in each row the same fields; a hidden field is null."""
    fill(connection, world.rows)
    resource = world.resource
    access = world.rights.on(resource, READ)
    seen = [(row, decision) for row, decision in world.decisions(READ) if decision.visible]
    if access is None:
        assert seen == []
        return
    shape = ListShape(access.shown, (), (), None)
    found = (
        {identity(resource, row): row for row in listed(connection, resource, access, shape, world.values)}
        if set(resource.key) <= access.granted
        else None
    )
    full = everything(connection, resource, world.values)
    expected = {}
    for row, decision in seen:
        key = identity(resource, world.attribute_row(row))
        shown = {name: (full[key][name] if name in decision.fields else None) for name in access.shown}
        expected[key] = shown
    got = listed(connection, resource, access, shape, world.values)
    assert sorted(json.dumps(r) for r in got) == sorted(json.dumps(r) for r in expected.values())
    if found is not None:
        assert len(found) <= len(expected)


@settings(max_examples=200)
@given(world=worlds(), pick=st.integers(0, 1000), operator=st.sampled_from(("eq", "ne", "lt", "gte")))
def test_a_hidden_field_never_matches_a_filter(connection: Connection, world: World, pick: int, operator: str) -> None:
    """A filtered list has exactly the rows that show the field and hold the comparison."""
    fill(connection, world.rows)
    resource = world.resource
    access = world.rights.on(resource, READ)
    if access is None:
        return
    names = [n for n in access.shown if resource.fields[n].column is not None and resource.fields[n].enum_class is None]
    names = [
        n for n in names if type(resource.fields[n].type).__name__ not in ("JSON", "Boolean", "Enum", "LargeBinary")
    ]
    if not names:
        return
    names = sorted(names, key=lambda n: n in access.certain)
    chosen = [names[0], names[min(pick % 3, len(names) - 1)]]
    values = [pool(resource.fields[n].type)[pick % len(pool(resource.fields[n].type))] for n in chosen]
    shape = ListShape(access.shown, ((chosen[0], operator), (chosen[1], "ne")), (), None, "exact")
    bound = world.values.with_({f"{FILTER}{i}": v for i, v in enumerate(values)})
    rows = rows_of(connection, list_statement(resource, access, shape, "sqlite"), bound)
    compare = {"eq": "__eq__", "ne": "__ne__", "lt": "__lt__", "gte": "__ge__"}[operator]
    tests = [getattr(resource.fields[chosen[0]].expression, compare)(values[0])]
    tests.append(resource.fields[chosen[1]].expression != values[1])
    expected = [
        row
        for row, decision in world.decisions(READ)
        if decision.visible
        and set(chosen) <= decision.fields
        and all(world.evaluator.holds(test, resource.table, row) is True for test in tests)
    ]
    assert len(rows) - 1 == len(expected)
    assert int(rows[0][2]) == len(expected)


@settings(max_examples=100)
@given(world=worlds(), pick=st.integers(0, 1000), descending=st.booleans(), size=st.integers(1, 3))
def test_pages_make_up_the_list(connection: Connection, world: World, pick: int, descending: bool, size: int) -> None:
    """Walking page by page gives every row once, in the order of the whole, NULLs last."""
    fill(connection, world.rows)
    resource = world.resource
    access = world.rights.on(resource, READ)
    if access is None:
        return
    sortable = [n for n in resource.sorts if n in access.certain and type(resource.fields[n].type).__name__ != "JSON"]
    sort = ((sortable[pick % len(sortable)], descending),) if sortable else ()
    whole = rows_of(
        connection,
        list_statement(resource, access, ListShape(access.shown, (), sort, None), "sqlite"),
        world.values,
    )[1:]
    pages: list[Any] = []
    after: tuple[Any, ...] | None = None
    for _ in range(20):
        shape = ListShape(access.shown, (), sort, None if after is None else tuple(v is None for v in after))
        values = world.values.with_({LIMIT: size, **{f"{AFTER}{i}": v for i, v in enumerate(after or ())}})
        page = rows_of(connection, list_statement(resource, access, shape, "sqlite"), values)[1:]
        pages += page
        if len(page) < size:
            break
        after = tuple(page[-1][3:])
    assert pages == whole
    if sort:
        values_sorted = [row[3] for row in whole]
        present = [v for v in values_sorted if v is not None]
        assert values_sorted == [*sorted(present, reverse=descending), *[None] * (len(whole) - len(present))]


@settings(max_examples=200)
@given(world=worlds())
def test_masks_say_which_fields_may_be_written(connection: Connection, world: World) -> None:
    """For each row that the caller may read, the mask grants the fields that the rules on UPDATE grant."""
    fill(connection, world.rows)
    resource = world.resource
    read, update = world.rights.on(resource, READ), world.rights.on(resource, UPDATE)
    decisions = [d for _, d in world.decisions(UPDATE) if d.visible]
    if read is None or update is None:
        assert not any(d.allowed for d in decisions)
        return
    names = update.granted
    statement = row_select(
        resource, read, read.shown, table_of(resource, "sqlite"), visible(read), "sqlite", [update.mask()]
    )
    masks = [row[1] for row in rows_of(connection, render(statement, "sqlite"), world.values)]
    granted = sorted(sorted(n for n in names if update.allows(mask, n)) for mask in masks if update.holds(mask))
    assert granted == sorted(sorted(d.fields) for d in decisions if d.allowed)
