"""Filters on fields that different rules show."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from vallum import API, READ, allow
from vallum.authorise.rights import Rights
from vallum.execute.filters import branches
from vallum.store.sql import render


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[int]
    colour: Mapped[str]
    weight: Mapped[int]


@pytest.fixture
def rights() -> Rights:
    """One rule shows the colour, another the weight."""
    api = API("Notes", roles=["reader"])
    api.resource(
        Note,
        allow("reader", READ, where=Note.owner == 1, fields=["id", "colour"]),
        allow("reader", READ, where=Note.owner == 2, fields=["id", "weight"]),
        filters=["colour", "weight"],
    )
    return Rights(api, "sqlite", ("reader",), frozenset(), True, {})


def test_each_filtered_field_must_be_shown(rights: Rights) -> None:
    """A row that shows only one of two filtered fields matches neither walk: the other's rule is asked as well."""
    resource = rights.api.resources[Note]
    access = rights.on(resource, READ)
    assert access is not None
    (walk,) = branches(resource, access, [("colour", "eq"), ("weight", "eq")], "sqlite")
    text = render(walk, "sqlite").text
    assert text.count("notes.owner = ?") == 2
