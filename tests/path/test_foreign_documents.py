"""Documents that another program stored, and that cannot be shown as they are: no list, item or change fails by one."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import JSON
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from tests import stores
from vallum import API, READ, UPDATE, Call, Plan, allow

pytestmark = pytest.mark.stores("sqlite", "postgresql")

EMOJI: Final = "\U0001f600"


class Base(DeclarativeBase):
    """The table of these tests."""


class Page(Base):
    __tablename__ = "pages"

    id: Mapped[int] = mapped_column(primary_key=True)
    doc: Mapped[Any] = mapped_column(JSON)
    other: Mapped[Any] = mapped_column(JSON().with_variant(JSONB(), "postgresql"))


api: Final = API("Pages", roles=["u"], plans={"default": Plan(burst="1000/s")})
api.resource(Page, allow("u", READ | UPDATE))
api.accounts.add("ann", roles=["u"])


@api.get("/numbers", allow("u"))
def numbers(call: Call) -> list[int]:
    """What a handler reads of the pages."""
    rows = [*call.list(Page), *(call.get(Page, row["id"]) for row in call.list(Page))]
    return [row["doc"]["b"] for row in rows]


STORED: Final[list[tuple[str, Any]]] = [
    (r'{"a":"\ud83d"}', {"a": "\ufffd"}),
    (r'{"\uDE00":["\uD83D","\ud83d\ude00"]}', {"\ufffd": ["\ufffd", EMOJI]}),
    (r'"\ude00\ud83d\ude00\ud83d\ud83d\ude00"', f"\ufffd{EMOJI}\ufffd{EMOJI}"),
    (r'"\\ud83d \\\ud83d \\\\ud83d \\\\\ude00 \n\""', '\\ud83d \\\ufffd \\\\ud83d \\\\\ufffd \n"'),
    (r'"\\u0000 \u00e9"', "\\u0000 é"),
    ('{"a": [1e-7, "x"]}', {"a": [1e-07, "x"]}),
]
"""The text of a document, and the value that is shown."""
AT_POSTGRESQL: Final = (r'["\u0000\\\u0000", "\\u0000"]', ["\ufffd\\\ufffd", "\\u0000"])
AT_SQLITE: Final = [("no json", None), ('{"a": NaN}', {"a": None}), ("1e999999999", None), (r'"\u0000"', "\0")]
"""A column of PostgreSQL's holds nothing like it."""


def test_they_are_shown_as_far_as_they_can_be(tmp_path: Path, store: str) -> None:
    """Half of a surrogate pair is U+FFFD, and a list that has such a document shows every other row as well."""
    known = [*STORED, AT_POSTGRESQL] if store == stores.POSTGRESQL else STORED + AT_SQLITE

    def seed(db: Session) -> None:
        db.add_all([Page(id=number, doc={}, other={"b": "\\u"}) for number in range(len(known))])

    data = tmp_path / "data"
    stores.create(api, data, seed, store=store)
    cast = "?" if store == stores.SQLITE else "?::text::json"
    for number, (text, _) in enumerate(known):
        stores.rows(data, f"UPDATE pages SET doc = {cast} WHERE id = {number}", text)
    with stores.client(api, "ann", data) as ann:
        listed = ann.get("/pages?limit=50")
        assert listed.status_code == 200, listed.text
        assert [row["doc"] for row in listed.json()["items"]] == [value for _, value in known]
        for number, (_, value) in enumerate(known):
            item = ann.get(f"/pages/{number}")
            assert item.json() == {"id": number, "doc": value, "other": {"b": "\\u"}}
            tag = {"if-match": item.headers["etag"]}
            changed = ann.patch(f"/pages/{number}", json={"doc": {"new": 1}}, headers=tag)
            assert changed.status_code == 200, changed.text
            kept = value if isinstance(value, dict) else {}
            assert changed.json()["doc"] == {**kept, "new": 1}
            assert json.loads(changed.content) == ann.get(f"/pages/{number}").json()


EXACT: Final = '{"n": -1e400, "b": 1}'
UNKEPT: Final = [
    '{"n": 1e5000, "b": 1}',
    EXACT,
    f'{{"n": {"9" * 5_000}, "b": 1}}',
    f'{{"n": 0.{"0" * 400}1, "b": 1}}',
]
"""Numbers that no double is, or that Python does not read."""
DEEP: Final = f'{{"a": {"[" * 2_000}{"]" * 2_000}, "b": 1}}'


@pytest.mark.parametrize("field", ["doc", "other"])
def test_a_patch_of_another_member_loses_nothing(tmp_path: Path, store: str, field: str) -> None:
    """Where the document could not be written back with all that it has, it is refused, and a handler reads it."""
    data = tmp_path / "data"
    stores.create(api, data, lambda db: db.add_all([Page(id=n, doc={"b": 1}, other={}) for n in range(5)]), store=store)
    kind = "json" if field == "doc" else "jsonb"
    cast = "?" if store == stores.SQLITE else f"?::text::{kind}"

    def stored(number: int) -> Any:
        ((text,),) = stores.rows(data, f"SELECT CAST({field} AS TEXT) FROM pages WHERE id = {number}")
        return json.loads(text, parse_int=Decimal, parse_float=Decimal) if number < len(UNKEPT) else text

    with stores.client(api, "ann", data) as ann:
        for number, text in enumerate(UNKEPT):
            stores.rows(data, f"UPDATE pages SET {field} = {cast} WHERE id = {number}", text)
            before = stored(number)
            answer = ann.patch(f"/pages/{number}", json={field: {"c": 2}}, headers={"if-match": "*"})
            if (
                store == stores.POSTGRESQL and field == "other" and text == EXACT
            ):  # on PostgreSQL a whole number, and read as one
                assert (answer.status_code, stored(number)) == (200, {**before, "c": 2})
            else:
                assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, f"/{field}")
                assert stored(number) == before
        assert ann.get("/numbers").json() == [1] * 10
        stores.rows(data, f"UPDATE pages SET {field} = {cast} WHERE id = 4", DEEP)
        deep = stored(4)
        refused = ann.patch("/pages/4", json={field: {"c": 2}}, headers={"if-match": "*"})
        assert (refused.status_code, stored(4)) == (422, deep)
        for number in range(5):
            replaced = ann.patch(f"/pages/{number}", json={field: []}, headers={"if-match": "*"})
            assert (replaced.status_code, replaced.json()[field]) == (200, [])
