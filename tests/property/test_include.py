"""What is included against the evaluator: drawn rows, rules of every model and callers; each level shows what its rules mean."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.pool import StaticPool
from tests.general.models import MODELS, Base
from tests.property.conditions import condition
from tests.property.models import NOW, ROLES, Choices, Tables, callers, tables
from tests.property.policies import ATTRIBUTES

from vallum import ANYONE, API, READ, Rule, allow, deny, me
from vallum.authorise.conditions import RequestFacts
from vallum.authorise.evaluator import CallerValues, Evaluator
from vallum.authorise.evaluator_decide import Decision, Question, decide
from vallum.authorise.inclusions import Included, Inclusion, inclusion
from vallum.authorise.stage import Policy
from vallum.declare.resource import Resource
from vallum.execute.frame import Values
from vallum.execute.listing import ListShape, list_statement
from vallum.store import schema
from vallum.store.ports import Principal
from vallum.store.sqlite_functions import add_functions

FACTS: Final = RequestFacts("token", None, None, "192.0.2.1", NOW.timestamp())

Row = dict[str, Any]


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    """A database in memory, set up as the store sets up its own."""
    engine = create_engine("sqlite://", poolclass=StaticPool, enable_from_linting=False)
    event.listen(engine, "connect", lambda raw, _: add_functions(raw))
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


def drawn_rules(choose: Choices, model: type[Any], names: Sequence[str]) -> list[Rule]:
    """Two or three rules on reading the model, of which most grant some of its fields on some of its rows."""
    rules = []
    for number in range(choose.up_to(1) + 2):
        roles = choose.of((ANYONE, ANYONE, ROLES, ROLES[:2], ROLES[0]))
        where = None if choose.up_to(2) == 0 else condition(choose, model, model, choose.up_to(1))
        fields = None if choose.up_to(2) == 0 else [name for name in names if choose.up_to(3)]
        make = deny if number == 2 and choose.up_to(1) else allow
        rules.append(make(roles, READ, where=where, fields=fields or None))
    return rules


def listed(
    connection: Connection, world: World, resource: Resource, shape: ListShape, *included: Included
) -> list[Row]:
    """The rows of a list, as the caller gets them."""
    access = world.rights.on(resource, READ)
    assert access is not None
    statement = list_statement(resource, access, shape, "sqlite", included).bind(world.values)
    raw: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
    rows = raw.execute(statement.text, tuple(statement.arguments)).fetchall()
    return [json.loads(row[0]) for row in rows if row[0] is not None]


def identity(resource: Resource, row: Row) -> str:
    """A row's key, whether it is in JSON or in memory."""
    return str([str(row[name]) for name in resource.key])


class World:
    """All models as resources, each under drawn rules; a caller, and a relation of one of them."""

    def __init__(self, rows: Tables, choose: Choices, caller: CallerValues) -> None:
        self.rows = rows
        model = choose.of(MODELS)
        tenant = ("organisation_id", me.attr["organisation"]) if choose.up_to(2) == 0 else None
        self.api = API("Drawn", roles=ROLES, attributes=ATTRIBUTES, tenant=tenant)
        self.picks = [choose.up_to(5) for _ in range(3)]
        for each in MODELS:
            names = [attribute.key for attribute in each.__mapper__.column_attrs]
            removed = getattr(each, "deleted_at", None) if choose.up_to(1) else None
            self.api.resource(each, *drawn_rules(choose, each, names), soft_delete=removed)
        self.resource = self.api.resources[model]
        principal = Principal(caller.id, caller.roles, caller.attributes)
        self.rights = Policy(self.api, "sqlite").rights_of(principal, None)  # type: ignore[arg-type]  # no conditions
        self.values = Values(principal, NOW.timestamp())
        self.evaluator = Evaluator(rows, caller, NOW)

    @staticmethod
    def opened(world: World) -> World:
        """The same without a rule that hides anything."""
        found = World.__new__(World)
        found.api = API("All", roles=ROLES)
        for each in MODELS:
            found.api.resource(each, allow(ANYONE, READ))
        found.rights = Policy(found.api, "sqlite").rights_of(Principal("x", frozenset()), None)  # type: ignore[arg-type]  # no conditions
        found.values = world.values
        return found

    def seen(self, resource: Resource) -> list[tuple[Row, Decision]]:
        """The rows that the rules show, by attribute names."""
        question = Question(self.evaluator, resource, FACTS)
        decided = [(row, decide(resource.rules, READ, question, row)) for row in self.rows[resource.table]]
        columns = {n: f.column.key for n, f in resource.fields.items() if f.column is not None}
        return [({n: row[key] for n, key in columns.items()}, d) for row, d in decided if d.visible]

    def followed(self) -> list[Inclusion]:
        """A chain of up to three relations that the caller may follow."""
        found: list[Inclusion] = []
        resource, access = self.resource, self.rights.on(self.resource, READ)
        for pick in self.picks:
            may = [] if access is None else [inclusion(self.rights, resource, access, n) for n in resource.relations]
            known = [each for each in may if each is not None]
            if not known:
                break
            found.append(known[pick % len(known)])
            resource, access = found[-1].resource, found[-1].access
        return found


class Oracle:
    """What must be shown."""

    def __init__(self, connection: Connection, world: World) -> None:
        self.world = world
        whole = World.opened(world)
        self.full = {
            resource.name: {
                identity(resource, row): row
                for row in listed(
                    connection, whole, resource, ListShape(tuple(resource.fields), 1000, (), (), None, cut=False)
                )
            }
            for resource in whole.api.resources.values()
        }

    def shown(self, resource: Resource, row: Row, decision: Decision, chain: list[Inclusion]) -> Row:
        """A row, masked, with what is included along the chain."""
        access = self.world.rights.on(resource, READ)
        assert access is not None
        full = self.full[resource.name][identity(resource, row)]
        found = {name: full[name] if name in decision.fields else None for name in access.shown}
        if chain:
            found[chain[0].relation.name] = self.included(resource, row, decision, chain)
        return found

    def included(self, resource: Resource, row: Row, decision: Decision, chain: list[Inclusion]) -> Any:
        """What the first relation of the chain leads to."""
        first, *rest = chain
        relation, target = first.relation, first.resource
        if not decision.fields.issuperset((*relation.near, *(resource.key if relation.many else ()))):
            return None
        related = [
            (theirs, d)
            for theirs, d in self.world.seen(target)
            if d.fields.issuperset(relation.far)
            and all(row[own] is not None and row[own] == theirs[far] for own, far in relation.pairs)
        ]
        related.sort(key=lambda pair: tuple(str(pair[0][name]) for name in target.key))
        items = [self.shown(target, theirs, d, rest) for theirs, d in related]
        return {"items": items, "next": None} if relation.many else next(iter(items), None)


def worlds() -> st.SearchStrategy[World]:
    """Rows, rules on every model and a caller."""
    choices = st.binary(min_size=768, max_size=768).map(Choices)
    return st.builds(World, tables(), choices, callers())


@settings(max_examples=60)
@given(world=worlds())
def test_included_rows_are_what_the_rules_mean(connection: Connection, world: World) -> None:
    """Along up to three relations: the same rows, masked alike, related only where both sides show by what."""
    chain = world.followed()
    access = world.rights.on(world.resource, READ)
    if access is None or not chain:
        return
    fill(connection, world.rows)
    included: tuple[Included, ...] = ()
    for index, each in reversed([*enumerate(chain)]):
        owner = chain[index - 1].resource if index else world.resource
        included = (Included(owner, each, index + 1, included),)
    shape = ListShape(access.shown, 1000, (), (), None, cut=False, include=("drawn",))
    got = listed(connection, world, world.resource, shape, *included)
    oracle = Oracle(connection, world)
    expected = [oracle.shown(world.resource, row, d, chain) for row, d in world.seen(world.resource)]
    assert sorted(map(json.dumps, got)) == sorted(map(json.dumps, expected))
