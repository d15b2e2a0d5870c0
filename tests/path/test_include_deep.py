"""`include` through rules that are nested themselves: SQLite takes so many levels in one statement and no more."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from tests import stores
from vallum import API, READ, allow, deny, me


class Base(DeclarativeBase):
    pass


class Node(Base):
    __tablename__ = "nodes"

    id: Mapped[int] = mapped_column(primary_key=True)
    above_id: Mapped[int | None] = mapped_column(ForeignKey("nodes.id"), index=True)
    owner: Mapped[str]
    above: Mapped[Node | None] = relationship(remote_side="Node.id", back_populates="below")
    below: Mapped[list[Node]] = relationship(back_populates="above")
    tags: Mapped[list[Tag]] = relationship(back_populates="node")


class Tag(Base):
    __tablename__ = "tags"

    id: Mapped[int] = mapped_column(primary_key=True)
    node_id: Mapped[int] = mapped_column(ForeignKey("nodes.id"), index=True)
    word: Mapped[str]
    node: Mapped[Node] = relationship(back_populates="tags")
    letters: Mapped[list[Letter]] = relationship(back_populates="tag")


class Letter(Base):
    __tablename__ = "letters"

    id: Mapped[int] = mapped_column(primary_key=True)
    tag_id: Mapped[int] = mapped_column(ForeignKey("tags.id"), index=True)
    owner: Mapped[str]
    tag: Mapped[Tag] = relationship(back_populates="letters")
    stamps: Mapped[list[Stamp]] = relationship(back_populates="letter")


class Stamp(Base):
    __tablename__ = "stamps"

    id: Mapped[int] = mapped_column(primary_key=True)
    letter_id: Mapped[int] = mapped_column(ForeignKey("letters.id"), index=True)
    owner: Mapped[str]
    letter: Mapped[Letter] = relationship(back_populates="stamps")


api: Final = API("Nodes", roles=["reader"])
api.accounts.add("rita", roles=["reader"])
own: Final = Node.tags.any(Tag.letters.any(Letter.stamps.any(Stamp.owner == me.id)))
api.resource(
    Node,
    allow("reader", READ, where=own),
    allow("reader", READ, where=~own, fields=["id", "owner"]),
    deny("reader", READ, where=~own, fields=["owner"]),
)


def seed(db: Session) -> None:
    """One node of Rita's below another."""
    for number in (1, 2):
        db.add(Node(id=number, above_id=number - 1 or None, owner="rita"))
        db.flush()
        db.add(Tag(id=number, node_id=number, word="t"))
        db.flush()
        db.add(Letter(id=number, tag_id=number, owner="rita"))
        db.flush()
        db.add(Stamp(id=number, letter_id=number, owner="rita"))
        db.flush()


def test_too_many_levels_are_refused(tmp_path: Path, store: str) -> None:
    """A 400 that says what to do, where a shorter path is answered; PostgreSQL and later SQLites answer both."""
    data = tmp_path / "data"
    stores.create(api, data, seed=seed, store=store)
    with stores.client(api, "rita", data) as rita:
        assert rita.get("/nodes?include=above").json()["items"][1]["above"]["id"] == 1
        answer = rita.get("/nodes?include=above.below.above")
        if answer.status_code != 200:
            faults = [(fault["pointer"], fault["code"]) for fault in answer.json()["errors"]]
            assert (answer.status_code, faults) == (400, [("#query", "too_deep")])
