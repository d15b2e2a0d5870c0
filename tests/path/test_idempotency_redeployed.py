"""What docs/limitations.md says of a replay after a redeploy: the rules of then, the address of now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from tests.path.small import NOON

from vallum import API, CREATE, READ, allow
from vallum.testing import Client, create_database


class Base(DeclarativeBase):
    pass


class Paper(Base):
    __tablename__ = "papers"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    price: Mapped[int]


def deployed(*read: str) -> API:
    """The API with these fields to read."""
    api = API("Papers", roles=["writer"])
    api.resource(Paper, allow("writer", CREATE), allow("writer", READ, fields=["id", *read]))
    api.accounts.add("walt", roles=["writer"])
    return api


def test_a_replay_does_not_notice_other_rules(tmp_path: Path) -> None:
    """A field that is hidden now is in the first answer still; a change of the account ends that."""
    sent: dict[str, Any] = {"json": {"title": "Rye", "price": 3}, "headers": {"Idempotency-Key": '"one"'}}
    data = tmp_path / "data"
    create_database(deployed("title", "price"), data, clock=lambda: NOON - 60)
    with Client(deployed("title", "price"), "walt", data, lambda: NOON) as walt:
        first = walt.post("/papers", **sent)
        assert first.json() == {"id": 1, "title": "Rye", "price": 3}
    with Client(deployed("title"), "walt", data, lambda: NOON) as walt:
        replayed = walt.post("/papers", **sent)
        assert (replayed.content, replayed.headers["Idempotent-Replayed"]) == (first.content, "true")
        assert walt.get("/papers/1").json() == {"id": 1, "title": "Rye"}
