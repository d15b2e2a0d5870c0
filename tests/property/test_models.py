"""Bodies and texts against columns: whatever comes, a value that a real database keeps exactly, or a fault."""

from __future__ import annotations

import base64
import json
import string
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter
from sqlalchemy import Connection, MetaData, Table, create_engine, select
from sqlalchemy.pool import StaticPool
from sqlalchemy.types import DateTime, Enum, LargeBinary
from tests.unit.validate.things import Thing, access, things

from vallum.declare.policy import CREATE, UPDATE
from vallum.declare.resource import Field
from vallum.refusals import Fault, Refusal
from vallum.validate.columns import parse_text
from vallum.validate.faults import pointer_of
from vallum.validate.models import Models
from vallum.validate.strict_json import Json, parse

models = Models()
NAMES = sorted(access(things, CREATE).granted)

SCALARS: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.integers(-10, 10)
    | st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=3)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(alphabet=string.printable + "é١√", max_size=8)
    | st.dates().map(str)
    | st.datetimes().map(lambda moment: moment.isoformat())
    | st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.isoformat())
    | st.times().map(str)
    | st.uuids().map(str)
    | st.sampled_from(["red", "RED", "one", "S", "AQ==", "AQ", "12.30", "1e3", "2026-01-31T08:30:00+05:30"])
)
DOCUMENTS: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab/~ ", max_size=3), inner, max_size=3),
    max_leaves=8,
)

# Values that are likely right for a column, so that not almost all of them are refused.
LIKELY: dict[str, st.SearchStrategy[Any]] = {
    "name": st.text(max_size=5),
    "note": st.text(),
    "grade": st.integers(0, 7),
    "big": st.integers(-(2**63) - 1, 2**63),
    "price": st.decimals(min_value=0, max_value=10_000, places=2),
    "ratio": st.floats(0, 1),
    "share": st.floats(allow_nan=False, allow_infinity=False),
    "day": st.dates().map(str),
    "hour": st.times().map(str),
    "local": st.datetimes().map(lambda moment: moment.isoformat()),
    "instant": st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.isoformat()),
    "token": st.uuids().map(str),
    "token_text": st.uuids().map(lambda token: str(token).upper()),
    "blob": st.binary(max_size=5).map(lambda data: base64.b64encode(data).decode()),
    "colour": st.sampled_from(["red", "blue"]),
    "word": st.sampled_from(["one", "two"]),
    "document": DOCUMENTS,
    "done": st.booleans(),
}
MEMBERS = st.sampled_from(NAMES).flatmap(lambda name: st.tuples(st.just(name), LIKELY.get(name, SCALARS) | DOCUMENTS))


def as_json(value: Any) -> Json:
    """What the path's parser makes of it on the wire."""
    return parse(json.dumps(value, default=float).encode())


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    """A real database with the table of all types."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    # Without its checks, which are not what is tested: types are.
    columns = [column._copy() for column in Thing.__table__.columns]
    metadata = MetaData()
    table = Table("things", metadata, *columns)
    metadata.create_all(engine)
    with engine.connect() as opened:
        opened.info["table"] = table
        yield opened
    engine.dispose()


def attempt(body: dict[str, Any]) -> tuple[dict[str, Any], tuple[Fault, ...]]:
    """The values of a change, or its faults."""
    try:
        return models.change(things, access(things, UPDATE), as_json(body)), ()
    except Refusal as refusal:
        return {}, refusal.faults


@given(MEMBERS)
def test_an_accepted_value_is_kept_exactly(connection: Connection, member: tuple[str, Any]) -> None:
    """Any JSON value for any column is refused with faults at that column, or comes back equal from the database."""
    name, value = member
    found, faults = attempt({name: value})
    assert {fault.pointer for fault in faults} == (set() if found else {f"/{name}"})
    if faults:
        return
    table = connection.info["table"]
    row = {"name": "n", **found}
    connection.execute(table.insert().values(row))
    [kept] = connection.execute(select(table.c[name])).one()
    connection.rollback()
    if isinstance(table.c[name].type, DateTime) and found[name] is not None and found[name].tzinfo is not None:
        kept = kept.replace(tzinfo=UTC)  # SQLite keeps no offset; everything in it is UTC
    assert kept == found[name]


@given(st.dictionaries(st.sampled_from([*NAMES, "id", "nope", "a/b", "~"]), DOCUMENTS, max_size=8))
def test_faults_are_complete(body: dict[str, Any]) -> None:
    """The faults of a body are those of each field alone, together; no field hides another's."""

    def pointers(part: dict[str, Any]) -> set[tuple[str, str]]:
        return {(fault.pointer, fault.code) for fault in attempt(part)[1]}

    assert pointers(body) == {fault for name, value in body.items() for fault in pointers({name: value})}


def text_of(field: Field, value: Any) -> str:
    """The text of a value, as the API writes it."""
    if isinstance(field.type, Enum):
        return str(getattr(value, "value", value))
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value).lower() if isinstance(value, bool) else str(value)


@given(st.sampled_from(NAMES), st.text(alphabet="0123456789-+.eETZ:abcdef_ ", max_size=24) | SCALARS.map(str))
def test_a_text_is_one_value_or_an_error(name: str, text: str) -> None:
    """Any text for any column gives a value or a ValueError; the value's own text gives the same value again."""
    field = things.fields[name]
    try:
        value = parse_text(field, text, "eq")
    except ValueError:
        return
    if isinstance(value, bool | int):
        assert text_of(field, value) == text  # one text for each, so one path for each row
    if isinstance(field.type, LargeBinary):
        return
    assert parse_text(field, text_of(field, value) if not isinstance(value, Decimal) else f"{value:f}", "eq") == value


class Node(BaseModel):
    """A tree whose parts may be of several types."""

    children: list[Node] | dict[str, Node] | None = None
    weight: float | list[int] = 0
    named: dict[str, Decimal] = {}


@given(DOCUMENTS | st.fixed_dictionaries({}, optional={"children": DOCUMENTS, "weight": DOCUMENTS, "named": DOCUMENTS}))
def test_every_pointer_leads_into_the_body(value: Any) -> None:
    """A pointer of a fault resolves in the body by RFC 6901, whatever Pydantic calls the way there."""
    body = as_json(value)
    try:
        models.handler_body(TypeAdapter(Node), body)
    except Refusal as refusal:
        assume(all(fault.code != "required" for fault in refusal.faults))
        for fault in refusal.faults:
            resolve(body, fault.pointer)


def resolve(document: Any, pointer: str) -> Any:
    """RFC 6901 §4."""
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        document = document[int(name)] if isinstance(document, list) else document[name]
    return document


@given(st.lists(st.text("ab/~01", min_size=1, max_size=4), min_size=1, max_size=4))
def test_pointers_are_escaped_so_that_they_can_be_read(tokens: list[str]) -> None:
    """RFC 6901 §3 and §4: escaping and reading are each other's inverse."""
    document: Any = "found"
    for token in reversed(tokens):
        document = {token: document}
    assert resolve(document, pointer_of(*tokens)) == "found"
