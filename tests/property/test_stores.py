"""Both stores answer alike to the letter: the JSON of every column type, order, filters, entity tags, refusals.

Rows are drawn and created through the API on SQLite and on a PostgreSQL whose own rules of case are those of Unicode, so
that nothing is equal by accident. (The wheel's server has no collation but that of code points; that none is relied on
shows in the statements.)
"""

from __future__ import annotations

import enum
import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Double,
    Enum,
    Float,
    Interval,
    LargeBinary,
    Numeric,
    SmallInteger,
    String,
    Text,
    Uuid,
    literal,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column

from tests import stores
from vallum import API, CREATE, DELETE, READ, UPDATE, Plan, allow
from vallum.testing import Answer, Client, create_database

ANY: Final = {"if-match": "*"}


class Base(DeclarativeBase):
    """All tables."""


class Colour(enum.Enum):
    """Declared in another order than that of its names, which are stored, and of its values."""

    RED = "c"
    GREEN = "a"
    BLUE = "b"


class Thing(Base):
    """A column of each type that is supported, nullable."""

    __tablename__ = "things"

    id: Mapped[int] = mapped_column(primary_key=True)
    flag: Mapped[bool | None]
    small: Mapped[int | None] = mapped_column(SmallInteger)
    whole: Mapped[int | None]
    big: Mapped[int | None] = mapped_column(BigInteger)
    ratio: Mapped[float | None] = mapped_column(Float)
    share: Mapped[float | None] = mapped_column(Double)
    price: Mapped[Decimal | None] = mapped_column(Numeric(15, 4))
    text: Mapped[str | None] = mapped_column(String(60))
    prose: Mapped[str | None] = mapped_column(Text)
    day: Mapped[date | None]
    hour: Mapped[time | None]
    local: Mapped[datetime | None]
    instant: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    span: Mapped[timedelta | None] = mapped_column(Interval)
    ident: Mapped[uuid.UUID | None]
    ident_text: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))
    colour: Mapped[Colour | None] = mapped_column(Enum(Colour, name="colour"))
    shade: Mapped[Colour | None] = mapped_column(Enum(Colour, native_enum=False, length=10))
    word: Mapped[str | None] = mapped_column(Enum("b", "a", "é", name="word"))
    blob: Mapped[bytes | None] = mapped_column(LargeBinary)
    document: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    binary_document: Mapped[Any | None] = mapped_column(JSON(none_as_null=True).with_variant(JSONB(), "postgresql"))
    twice: Mapped[Decimal | None] = column_property(price * literal(2))


FIELDS: Final = tuple(column.key for column in Thing.__table__.columns)
UNSORTED: Final = ("blob", "document", "binary_document", "twice")
SORTED: Final = tuple(name for name in FIELDS if name not in UNSORTED)

api: Final = API(
    "Things",
    roles=["all", "masked"],
    plans={"default": Plan(burst="100000/s"), "anonymous": Plan(burst="1/s")},
)
api.resource(
    Thing,
    allow("all", CREATE, fields=list(FIELDS)),
    allow("all", READ | UPDATE | DELETE),
    # In code points "Z" < "a" < "é"; in the words of a person it is not.
    allow("masked", READ, where=Thing.text < "a", fields=["id", "text", "document", "price"]),
    allow("masked", READ, where=Thing.text.between("a", "é"), fields=["id", "text", "colour", "span", "ratio"]),
    allow("masked", READ, where=Thing.colour > Colour.GREEN, fields=["id", "colour", "blob", "instant"]),
    filters=[name for name in FIELDS if "document" not in name],
    sorts=[*SORTED, "twice"],
)
for role in ("all", "masked"):
    api.accounts.add(role, roles=[role])


class Both:
    """A client of each store for each account."""

    def __init__(self, clients: Mapping[str, tuple[Client, Client]]) -> None:
        self.clients = clients

    def ask(self, method: str, path: str, body: Any = None, name: str = "all") -> Answer:
        """The answer of both, after seeing that it is one."""
        headers = ANY if method == "PATCH" else {}
        here, there = (c.request(method, path, json=body, headers=headers) for c in self.clients[name])
        assert (there.status_code, _plain(there)) == (here.status_code, _plain(here)), (
            path,
            body,
            here.text,
            there.text,
        )
        assert there.headers.get("etag") == here.headers.get("etag")
        return here

    def clear(self) -> None:
        """What a failed example left would hide why it failed."""
        for client in self.clients["all"]:
            for row in client.get("/things?fields=id&limit=100").json()["items"]:
                client.delete(f"/things/{row['id']}")


def _plain(found: Answer) -> bytes:
    """The bytes, but for what is made anew for each answer."""
    try:
        body = found.json()
    except ValueError:
        return found.content
    for name in ("request_id", "next"):
        value = body.get(name) if isinstance(body, dict) else None
        if isinstance(value, str):
            return found.content.replace(value.encode(), name.encode())
    return found.content


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """Empty."""
    server = stores.server()
    name = "collated"
    server.execute(
        f"CREATE DATABASE {name} TEMPLATE template0 LOCALE_PROVIDER builtin BUILTIN_LOCALE 'PG_UNICODE_FAST'"
    )
    places = [tmp_path_factory.mktemp("here") / "data", tmp_path_factory.mktemp("there") / "data"]
    urls = [None, server.url(name)]
    for place, url in zip(places, urls, strict=True):
        create_database(api, place, database=url)
    with ExitStack() as stack:
        clients = {}
        for role in ("all", "masked"):
            here, there = (
                stack.enter_context(Client(api, role, place, database=url))
                for place, url in zip(places, urls, strict=True)
            )
            clients[role] = here, there
        yield Both(clients)
    server.drop(name)


# What is drawn -----------------------------------------------------------------------------

_CHARACTERS: Final = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")
_TEXT: Final = st.one_of(
    st.text(_CHARACTERS, max_size=20),
    st.text(st.sampled_from("aAbBzZéÉßẞ ıİ-_%\\'\"/\t\n\x01\x1f\x7f\u2028😀\ufeff"), max_size=8),
)
_FLOAT: Final = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 1e23, 5e-324, 1.7976931348623157e308, 2.0**53, 1e15, 1e16, 0.1, 123456789012345680.0]),
)
_SPAN: Final = timedelta(days=700_000)
_NUMBER: Final = st.one_of(st.integers(-(2**63), 2**63 - 1), _FLOAT)
_DOCUMENT: Final = st.recursive(
    st.one_of(st.none(), st.booleans(), _NUMBER, _TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_TEXT, inner, max_size=4)),
    max_leaves=8,
)
_MEMBER: Final = st.sampled_from([member.value for member in Colour])


def _iso(value: Any) -> str:
    return str(value.isoformat())


VALUES: Final[Mapping[str, st.SearchStrategy[Any]]] = {
    "flag": st.booleans(),
    "small": st.integers(-(2**15), 2**15 - 1),
    "whole": st.integers(-(2**31), 2**31 - 1),
    "big": st.integers(-(2**63), 2**63 - 1),
    "ratio": _FLOAT,
    "share": _FLOAT,
    "price": st.decimals(Decimal("-99999999999.9999"), Decimal("99999999999.9999"), places=4).map(lambda d: f"{d:f}"),
    "text": _TEXT,
    "prose": _TEXT,
    "day": st.dates().map(_iso),
    "hour": st.times().map(_iso),
    "local": st.datetimes().map(_iso),
    "instant": st.datetimes(timezones=st.just(UTC)).map(lambda at: _iso(at).replace("+00:00", "Z")),
    "span": st.timedeltas(-_SPAN, _SPAN).map(
        lambda s: f"{'-' if s < timedelta(0) else ''}P{abs(s).days}DT{abs(s).seconds}.{abs(s).microseconds:06}S"
    ),
    "ident": st.uuids().map(str),
    "ident_text": st.uuids().map(str),
    "colour": _MEMBER,
    "shade": _MEMBER,
    "word": st.sampled_from(["a", "b", "é"]),
    "blob": st.binary(max_size=20).map(lambda b: __import__("base64").b64encode(b).decode()),
    "document": _DOCUMENT,
    "binary_document": _DOCUMENT,
}
ROWS: Final = st.lists(
    st.fixed_dictionaries({name: st.one_of(st.none(), drawn) for name, drawn in VALUES.items()}), min_size=3, max_size=6
)
EXTREME: Final[list[dict[str, Any]]] = [
    {
        **dict.fromkeys(VALUES),
        "big": -(2**63),
        "ratio": 1e23,
        "price": "99999999999.9999",
        "text": '\x01\x1f\x7f\u2028"\\/',
        "day": "0001-01-01",
        "local": "0001-01-01T00:00:00.000001",
        "instant": "9999-12-31T23:59:59.999999Z",
        "hour": "23:59:59.999999",
        "span": "-P1DT0.000001S",
        "document": {"b": 1.50, "a": [1e2, -0.0, {"é": None, "z": "\u2028\x01"}], "": {}},
        "binary_document": 1e300,
    },
    {
        **dict.fromkeys(VALUES),
        "big": 2**63 - 1,
        "day": "9999-12-31",
        "text": "Z",
        "colour": "a",
        "document": 100.0,
        "span": "PT0S",
    },
    {**dict.fromkeys(VALUES), "text": "a", "colour": "b", "document": "abc", "blob": ""},
    {**dict.fromkeys(VALUES), "text": "Ä", "colour": "c", "document": [], "blob": "AA=="},
    {**dict.fromkeys(VALUES), "document": 6.268963029132763e16, "binary_document": -6.268963029132763e18},
    {**dict.fromkeys(VALUES), "document": 2.0**63, "binary_document": -(2.0**63)},
    {**dict.fromkeys(VALUES), "document": 2.0**63 - 1024, "binary_document": -(2.0**63) - 2048},
]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=8)
@example(rows=EXTREME)
@given(rows=ROWS)
def test_whatever_is_written_is_answered_alike(both: Both, rows: list[dict[str, Any]]) -> None:
    """Created, listed whole and masked, in each order, by each field's own values, changed, and removed again."""
    both.clear()
    for key, row in enumerate(rows, 1):
        created = both.ask("POST", "/things", {"id": key, **row})
        assert created.status_code == 201, created.text
        assert created.json()["big"] == row["big"]
        assert _as_doubles(created.json()["document"]) == _as_doubles(row["document"])
    both.ask("GET", "/things")
    both.ask("GET", "/things", name="masked")
    for name in (*SORTED, "twice"):
        both.ask("GET", f"/things?sort={name}&fields=id,{name}")
        both.ask("GET", f"/things?sort=-{name}&fields=id,{name}")
    shown = both.ask("GET", "/things").json()["items"]
    for name in (name for name in FIELDS if "document" not in name):
        value = next((row[name] for row in shown if row[name] is not None), None)
        if value is not None:
            _filtered(both, name, value)
    both.ask("PATCH", "/things/1", {"document": rows[-1]["document"], "span": "P1D", "text": "é"})
    for key in range(1, len(rows) + 1):
        both.ask("GET", f"/things/{key}", name="masked")
        assert both.ask("DELETE", f"/things/{key}").status_code == 204


def _as_doubles(document: Any) -> Any:
    """Numbers as most readers have them: a double may come back as the whole number that its digits say."""
    return json.loads(json.dumps(document), parse_int=float)


def _filtered(both: Both, name: str, value: Any) -> None:
    """By equality, membership and order, as far as the field has them."""
    text = value if isinstance(value, str) else json.dumps(value)
    if any(ord(character) < 0x20 or 0x7F <= ord(character) <= 0x9F for character in text):
        return  # a query holds no control characters
    listed = quote(text.replace("\\", "\\\\").replace(",", "\\,"), safe="")
    assert both.ask("GET", f"/things?{name}={quote(text, safe='')}&fields=id").json()["items"], (name, text)
    both.ask("GET", f"/things?{name}[in]={listed}&fields=id")
    for operator in ("gt", "lte"):
        both.ask("GET", f"/things?{name}[{operator}]={quote(text, safe='')}&sort=-{name}&fields=id,{name}")


def test_a_page_goes_on_where_the_other_ended(both: Both) -> None:
    """Cursors over each order, NULLs last, one row at a time."""
    both.clear()
    words = ["a", "Z", "é", None, "B", "ä", "a"]
    for key, word in enumerate(words, 1):
        colour = None if word is None else ("a", "b", "c")[key % 3]
        both.ask("POST", "/things", {"id": key, "text": word, "colour": colour, "span": f"PT{key % 3}S"})
    for sort in ("text", "-text", "colour,-text", "-span,text", "word,id"):
        for store in (0, 1):
            client, after = both.clients["all"][store], ""
            seen: list[Any] = []
            page: dict[str, Any] = {}
            for _ in words:
                page = client.get(f"/things?sort={sort}&limit=1{after}").json()
                seen += page["items"]
                after = f"&after={page['next']}"
            assert page["next"] is None
            assert seen == both.ask("GET", f"/things?sort={sort}").json()["items"]
    for key in range(1, len(words) + 1):
        both.ask("DELETE", f"/things/{key}")


@pytest.mark.parametrize("body", [{"text": "a\x00b"}, {"document": {"a\x00": 1}}, {"document": ["\x00"]}])
def test_nul_is_refused_by_both(both: Both, body: Any) -> None:
    """PostgreSQL has no such text; on SQLite functions would stop at it."""
    assert both.ask("POST", "/things", {"id": 1, **body}).status_code in {400, 422}
