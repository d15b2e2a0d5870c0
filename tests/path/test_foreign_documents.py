"""Documents that another program stored, and that cannot be shown as they are: no list, item or change fails by one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import JSON
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from tests import stores
from vallum import API, READ, UPDATE, Plan, allow

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
