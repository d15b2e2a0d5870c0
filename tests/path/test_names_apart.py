"""Names that could be taken for others: one table name in two schemas, a key's name with a table's name in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from tests import stores
from vallum import API, DELETE, READ, allow, me
from vallum.testing import Client, create_database


class Base(DeclarativeBase):
    """The two tables `items`."""


class Item(Base):
    """What is seen by whom a row of the other table names."""

    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    grants: Mapped[list[Grant]] = relationship(back_populates="item")


class Grant(Base):
    """Seen by whoever sees its item."""

    __tablename__ = "items"
    __table_args__ = {"schema": "acl"}  # noqa: RUF012  # as authors do
    id: Mapped[int] = mapped_column(primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"), index=True)
    who: Mapped[str] = mapped_column(index=True)
    item: Mapped[Item] = relationship(back_populates="grants")


GRANTS: Final = ((2, 1, "anna"), (3, 1, "bert"), (1, 3, "bert"))


def listed(client: Client, path: str) -> list[dict[str, Any]]:
    """The rows of a list."""
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


@pytest.mark.stores("postgresql")
def test_two_tables_of_one_name(tmp_path: Path, store: str) -> None:
    """Each is meant where it is named: in rules that lead from one to the other and back, and in what is included."""
    assert store == "postgresql"
    api = API("Test", roles=["u"])
    seen = Item.grants.any(Grant.who == me.id)
    api.resource(Item, allow("u", READ, where=seen), path="/items")
    api.resource(Grant, allow("u", READ, where=Grant.item.has(seen)), path="/grants")
    api.accounts.add("anna", roles=["u"])
    server = stores.server()
    name = server.database()
    server.script(name, "CREATE SCHEMA acl")

    def seed(db: Session) -> None:
        db.add_all([Item(id=number) for number in (1, 2, 3)])
        db.flush()
        db.add_all([Grant(id=key, item_id=item, who=who) for key, item, who in GRANTS])

    data, url = tmp_path / "data", server.url(name)
    create_database(api, data, seed, database=url)
    with Client(api, "anna", data, database=url) as client:
        assert [row["id"] for row in listed(client, "/items")] == [1]
        assert [row["id"] for row in listed(client, "/grants")] == [2, 3]
        [item] = listed(client, "/items?include=grants")
        assert [row["id"] for row in item["grants"]["items"]] == [2, 3]
        assert [row["item"]["id"] for row in listed(client, "/grants?include=item")] == [1, 1]


@pytest.mark.stores("sqlite", "postgresql")
def test_a_key_whose_name_has_its_table_s_in_it(tmp_path: Path, store: str) -> None:
    """A removal asks for what would go along by the column's whole name."""

    class Own(DeclarativeBase):
        """The tables of this test."""

    class Thing(Own):
        __tablename__ = "things"
        id: Mapped[int] = mapped_column("old things.id", primary_key=True)

    class Part(Own):
        __tablename__ = "parts"
        id: Mapped[int] = mapped_column(primary_key=True)
        thing: Mapped[int] = mapped_column(
            ForeignKey(Thing.__table__.c["old things.id"], ondelete="CASCADE"), index=True
        )

    api = API("Test", roles=["u"])
    api.resource(Thing, allow("u", READ | DELETE), path="/things")
    api.accounts.add("anna", roles=["u"])

    def seed(db: Session) -> None:
        db.add_all([Thing(id=1), Thing(id=2)])
        db.flush()
        db.add(Part(id=1, thing=1))

    stores.create(api, tmp_path / "data", seed, store=store)
    with stores.client(api, "anna", tmp_path / "data") as client:
        assert client.delete("/things/1").json()["code"] == "in_use"
        assert client.delete("/things/2").status_code == 204
