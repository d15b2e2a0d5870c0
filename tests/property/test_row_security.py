"""Native row-level security against the evaluator: drawn rows, rules and callers, and both must decide alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Table
from sqlalchemy.schema import CreateTable
from sqlalchemy.sql.schema import ScalarElementColumnDefault
from tests.general.models import Base
from tests.native import MAKE_ROLE, Native, driver_value, key_of, native
from tests.property.conditions import condition
from tests.property.models import NOW, ROLES, Choices, Tables, callers, models, pool, tables
from tests.property.policies import ATTRIBUTES

from tests import stores
from vallum import ANYONE, API, READ, Rule, allow, deny, me
from vallum.authorise.conditions import RequestFacts
from vallum.authorise.evaluator import CallerValues, Evaluator
from vallum.authorise.evaluator_decide import Question, decide, fields_of, is_about
from vallum.declare.model import acting_on
from vallum.declare.policy import Operation
from vallum.declare.resource import Resource
from vallum.store.sql import cast, quoted
from vallum.store.sql_dialects import DIALECTS

Row = Mapping[str, Any]
FACTS = RequestFacts("token", None, None, "192.0.2.1", NOW.timestamp())
OWNER = "vallum_test_owner"
MAKE_OWNER = MAKE_ROLE.replace("vallum_test_reader", OWNER)


class Owned:
    """A connection of the tables' owner, who is no superuser, to a database of its own."""

    def __init__(self) -> None:
        self.server = stores.server()
        self.server.execute(MAKE_ROLE)
        self.server.execute(MAKE_OWNER)
        self.name = self.server.database()
        self.server.execute(f"ALTER DATABASE {self.name} OWNER TO {OWNER}")
        self.server.execute(f"GRANT vallum_test_reader TO {OWNER} WITH INHERIT FALSE")
        self.connection = self.server.wait(self._connected())

    async def _connected(self) -> Any:
        connection = await self.server.connect(self.name, OWNER)
        await connection.execute("SET TimeZone = 'UTC'")
        for table in Base.metadata.sorted_tables:
            made = str(CreateTable(table).compile(dialect=DIALECTS["postgresql"]))
            await connection.execute(made.replace("VARCHAR(2)", "VARCHAR"))  # what is drawn is longer
        return connection

    def run(self, rows: Tables, api: API, work: Callable[[Native], Awaitable[None]]) -> None:
        """With these rows and the policies of this API, none of which stay."""

        async def running() -> None:
            transaction = self.connection.transaction()
            await transaction.start()
            try:
                await fill(self.connection, rows)
                async with AsyncExitStack() as stack:
                    await work(await stack.enter_async_context(native(self.connection, api, NOW)))
            finally:
                await transaction.rollback()

        self.server.wait(running())

    def close(self) -> None:
        self.server.wait(self.connection.close())
        self.server.drop(self.name)


@pytest.fixture(scope="module")
def owned() -> Iterator[Owned]:
    """Empty tables of the general application."""
    found = Owned()
    yield found
    found.close()


async def fill(connection: Any, rows: Tables) -> None:
    for table, listed in rows.items():
        columns = list(table.columns)
        names = ", ".join(quoted(column.name, "postgresql") for column in columns)
        marks = ", ".join(f"${n}{cast(column.type, 'postgresql')}" for n, column in enumerate(columns, 1))
        await connection.executemany(
            f"INSERT INTO {table.name} ({names}) VALUES ({marks})",
            [[driver_value(column, row[column.key]) for column in columns] for row in listed],
        )


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


class World:
    """One drawn case."""

    def __init__(self, rows: Tables, model: type[Any], choose: Choices, caller: CallerValues) -> None:
        self.rows = rows
        self.choose = choose
        self.caller = self.poorer(caller)
        names = [attribute.key for attribute in model.__mapper__.column_attrs]
        tenanted = "organisation_id" in names and choose.up_to(1)
        tenant = ("organisation_id", me.attr["organisation"]) if tenanted else None
        self.api = API("Drawn", roles=ROLES, attributes=ATTRIBUTES, tenant=tenant)
        removed = getattr(model, "deleted_at", None) if choose.up_to(1) else None
        rules = [rule for operation in Operation for rule in drawn_rules(choose, model, names, operation)]
        self.resource = self.api.resource(model, *rules, soft_delete=removed, path="/rows")
        self.before = self.question(rows)

    def poorer(self, caller: CallerValues) -> CallerValues:
        """Perhaps without a name or some attributes."""
        kept = {name: value for name, value in caller.attributes.items() if self.choose.up_to(4)}
        return CallerValues(caller.id if self.choose.up_to(4) else None, caller.roles, kept)

    @property
    def here(self) -> list[dict[str, Any]]:
        return self.rows[self.resource.table]

    def question(self, rows: Tables) -> Question:
        return Question(Evaluator(rows, self.caller, NOW), self.resource, FACTS)

    def visible(self, row: Row, question: Question | None = None) -> bool:
        return decide(self.resource.rules, READ, question or self.before, row).visible

    def drawn_row(self) -> dict[str, Any] | None:
        """A new row, with NULL or the default in many columns."""
        row: dict[str, Any] = {}
        for column in self.resource.table.columns:
            values = [*pool(column.type), *([None] * 6 if column.nullable else [])]
            if column.name == "priority":
                values = [1, 2, None, None]
            default = column.default
            if isinstance(default, ScalarElementColumnDefault):
                values += [default.arg] * len(values)
            row[column.key] = self.choose.of(values)
        for constraint in self.resource.table.foreign_key_constraints:
            parents = self.rows[constraint.referred_table]
            if not parents:
                return None
            parent = self.choose.of(parents)
            for element in constraint.elements:
                if not element.parent.nullable or self.choose.up_to(2) == 0:
                    row[element.parent.key] = parent[element.column.key]
                else:
                    row[element.parent.key] = None
        return row

    def created(self, row: Row) -> bool:
        """Whether the rules let this row in."""
        question = self.question({**self.rows, self.resource.table: [*self.here, row]})  # type: ignore[list-item]
        granted = self._granted(Operation.CREATE, [(question, row)])
        return (
            granted is not None
            and all(name in granted or _made(self.resource, name, row) for name in self.resource.fields)
            and self._pointed(row, set(granted))
        )

    def changed(self, row: Row, after: Row) -> bool:
        """Whether the rules let this change be, and PostgreSQL, which asks to see what is left."""
        others = [other for other in self.here if other is not row]
        question = self.question({**self.rows, self.resource.table: [*others, after]})  # type: ignore[list-item]
        granted = self._granted(Operation.UPDATE, [(self.before, row), (question, after)])
        changed = {
            name
            for name, field in self.resource.fields.items()
            if field.column is not None and row[field.column.key] != after[field.column.key]
        }
        return (
            granted is not None
            and self.visible(row)
            and self.visible(after, question)
            and changed <= granted
            and self._pointed(after, changed)
        )

    def removed(self, row: Row) -> bool:
        """Whether the rules let it go; nothing may go along."""
        if self.resource.soft_delete is not None or not self.visible(row):
            return False
        along = any(
            all(child[e.parent.key] == row[e.column.key] for e in constraint.elements)
            for constraint in acting_on(self.resource.table)
            for child in self.rows[constraint.table]
        )
        return decide(self.resource.rules, Operation.DELETE, self.before, row).allowed and not along

    def _granted(self, operation: Operation, states: list[tuple[Question, Row]]) -> set[str] | None:
        if not all(question.exists(row) for question, row in states):
            return None
        rules = [r for r in self.resource.rules if is_about(r, operation) and self.before.concerns(r)]
        allows = [r for r in rules if r.effect == "allow" and all(q.applies(r, operation, row) for q, row in states)]
        denies = [r for r in rules if r.effect == "deny" and any(q.applies(r, operation, row) for q, row in states)]
        if not allows or any(rule.fields is None for rule in denies):
            return None
        named = {name for rule in allows for name in fields_of(self.resource, rule, operation)}
        return named - {name for rule in denies for name in rule.fields or ()}

    def _pointed(self, row: Row, touched: set[str]) -> bool:
        for reference in self.resource.references:
            columns = [self.resource.fields[name].column for name in reference.fields]
            values = [row[column.key] for column in columns if column is not None]
            if not touched.intersection(reference.fields) or None in values:
                continue
            if reference.target is not self.resource.table:
                return False  # the drawn API has no other resource
            found = [r for r in self.here if [r[e.column.key] for e in reference.constraint.elements] == values]
            if not any(self.visible(target) for target in found):
                return False
        return True


def _made(resource: Resource, name: str, row: Row) -> bool:
    """Whether nobody need have given the field this value."""
    field = resource.fields[name]
    column = field.column
    if column is None or (resource.tenant is not None and name == resource.tenant[0]):
        return True
    if isinstance(column.default, ScalarElementColumnDefault):
        return bool(row[column.key] == column.default.arg)
    return field.generated or row[column.key] is None


def worlds() -> st.SearchStrategy[World]:
    """Rows, a model, rules on it and a caller."""
    return st.builds(World, tables(), models(), st.binary(min_size=400, max_size=400).map(Choices), callers())


@settings(max_examples=40)
@given(world=worlds())
def test_the_database_decides_as_the_rules_mean(owned: Owned, world: World) -> None:
    """Rows seen, created, changed and removed, each as the evaluator says."""

    async def ask(asked: Native) -> None:
        await asked.become(world.caller)
        resource = world.resource
        seen = {key_of(resource, row) for row in world.here if world.visible(row)}
        assert await asked.seen(resource) == seen
        for row in world.here:
            assert await asked.removes(resource, row) in (world.removed(row), None)
            values = changes(world, row)
            done = await asked.changes(resource, row, values)
            assert done in (world.changed(row, {**row, **values}), None), values
        for _ in range(2):
            new = world.drawn_row()
            if new is not None and key_of(resource, new) not in {key_of(resource, row) for row in world.here}:
                assert await asked.creates(resource, new) in (world.created(new), None), new
        await asked.become(None)
        assert await asked.seen(resource) == set()

    owned.run(world.rows, world.api, ask)


def changes(world: World, row: Row) -> dict[str, Any]:
    """One or two other values, no key among them."""
    columns: list[Column[Any]] = [c for c in world.resource.table.columns if not c.primary_key]
    found = {}
    for _ in range(world.choose.up_to(1) + 1):
        column = world.choose.of(columns)
        values = [*pool(column.type), *([None] if column.nullable else [])]
        found[column.key] = world.choose.of([1, 2] if column.name == "priority" else values)
    return found


def table_rows(rows: Tables, table: Table) -> list[dict[str, Any]]:
    return rows[table]
