"""Several rules that write into a new row: what was tried under one that does not hold leaves nothing behind."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import ForeignKey, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tests import stores
from vallum import API, CREATE, READ, Call, allow, me
from vallum.testing import Client

pytestmark = pytest.mark.stores("sqlite", "postgresql")


NUMBERS: Final = itertools.count(1)


class Base(DeclarativeBase):
    """The tables of these tests."""


class Box(Base):
    __tablename__ = "boxes"

    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(Text)
    packer: Mapped[str | None] = mapped_column(Text)
    watch: Mapped[str | None] = mapped_column(Text)
    number: Mapped[int] = mapped_column(default=lambda: next(NUMBERS))


class Seen(Base):
    """What a trigger has seen of boxes; it keeps them from being removed."""

    __tablename__ = "seen"

    id: Mapped[int] = mapped_column(primary_key=True)
    box_id: Mapped[int] = mapped_column(ForeignKey("boxes.id"), index=True)
    text: Mapped[str] = mapped_column(Text)


api: Final = API("Boxes", roles=["u"])
api.accounts.add("ann", roles=["u"])
api.resource(
    Box,
    allow("u", READ),
    allow("u", CREATE, where=Box.state == "packed", fields=["id", "state"], set={Box.packer: me.id}),
    allow("u", CREATE, where=Box.state == "watched", fields=["id", "state"], set={Box.watch: me.id}),
    allow("u", CREATE, where=Box.state == "free", fields=["id", "state"]),
    bulk=10,
)


@api.post("/boxed", allow("u"))
def boxed(call: Call) -> dict[str, Any]:
    """One more, by a handler."""
    return call.create(Box, {"id": 9, "state": "watched"}) or {}


VALUES: Final = "(box_id, text) VALUES (NEW.id, NEW.state || coalesce(NEW.packer, '-') || coalesce(NEW.watch, '-'))"
SQLITE: Final = (f"CREATE TRIGGER t AFTER INSERT ON boxes BEGIN INSERT INTO seen {VALUES}; END",)
POSTGRESQL: Final = (
    f"CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen {VALUES}; RETURN NULL; END $$",
    "CREATE TRIGGER t AFTER INSERT ON boxes FOR EACH ROW EXECUTE FUNCTION f()",
)


def test_a_trigger_keeps_no_row_that_never_was(tmp_path: Path, store: str) -> None:
    """One row for each box, as it is: by itself, in a bulk, and from a handler; none for one that no rule allows."""
    data = tmp_path / "data"
    stores.create(api, data, store=store)
    for text in SQLITE if store == stores.SQLITE else POSTGRESQL:
        stores.rows(data, text)
    with stores.client(api, "ann", data) as ann:
        packed, free = _made(ann, {"id": 1, "state": "packed"}), _made(ann, {"id": 2, "state": "free"})
        assert (packed["packer"], packed["watch"]) == ("ann", None)
        assert (free["packer"], free["watch"]) == (None, None)
        assert free["number"] > packed["number"] + 1  # a default is made anew for each attempt
        several = [{"id": 3, "state": "watched"}, {"id": 4, "state": "packed"}, {"id": 5, "state": "free"}]
        assert [row["packer"] for row in _made(ann, several)["items"]] == [None, "ann", None]
        refused = ann.post("/boxes", json={"id": 6, "state": "burnt"})
        assert (refused.status_code, refused.json()["code"]) == (403, "state_forbidden")
        taken = ann.post("/boxes", json={"id": 1, "state": "free"})
        assert (taken.status_code, taken.json()["code"]) == (409, "conflict")
        assert ann.post("/boxed").json()["watch"] == "ann"
    found = stores.rows(data, "SELECT box_id, text FROM seen ORDER BY box_id")
    told = {1: "packedann-", 2: "free--", 3: "watched-ann", 4: "packedann-", 5: "free--", 9: "watched-ann"}
    assert found == list(told.items())
    assert len(stores.rows(data, "SELECT 1 FROM vallum_audit WHERE verb = 'create'")) == len(told)


def _made(client: Client, body: Any) -> Any:
    answer = client.post("/boxes", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()
