"""Row-level security where tables of several schemas have one name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import exists, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, aliased, mapped_column, relationship
from tests.path.small import NOON
from tests.under_policies import Under, in_order, made

from vallum import API, DELETE, READ, UPDATE, allow, me
from vallum.declare.errors import DeclarationError
from vallum.row_security.install import installation


class _Base(DeclarativeBase):
    pass


class _Item(_Base):
    __tablename__ = "items"
    __table_args__ = ({"schema": "sales"},)
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    leaves: Mapped[list[_Leave]] = relationship(primaryjoin="foreign(_Leave.item_id) == _Item.id", viewonly=True)


class _Leave(_Base):
    __tablename__ = "items"
    __table_args__ = ({"schema": "acl"},)
    id: Mapped[int] = mapped_column(primary_key=True)
    item_id: Mapped[int] = mapped_column(index=True)
    who: Mapped[str] = mapped_column(index=True)
    item: Mapped[_Item] = relationship(primaryjoin="foreign(_Leave.item_id) == _Item.id", viewonly=True)


class _Plain(_Base):
    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)


_MINE = exists(select(_Leave.id).where(_Leave.item_id == _Item.id, _Leave.who == me.id))


def _api(where: Any) -> API:
    api = API("Items", roles=["clerk"])
    api.resource(_Item, allow("clerk", READ | UPDATE | DELETE, where=where), path="/items")
    api.resource(_Leave, allow("clerk", READ, where=_Leave.item.has(_Item.name == "item 2")), path="/leaves")
    api.accounts.add("ann", roles=["clerk"])
    return api


def _seed(session: Session) -> None:
    session.add_all([_Item(id=number, name=f"item {number}") for number in range(1, 6)])
    session.add_all([_Leave(id=1, item_id=1, who="ann"), _Leave(id=3, item_id=2, who="bob")])


@pytest.mark.parametrize("where", [_MINE, _Item.leaves.any(_Leave.who == me.id)], ids=["exists", "any"])
def test_tables_of_one_name_are_two_tables(tmp_path: Path, where: Any) -> None:
    """A rule that looks into the other compares with the row itself: by a subquery, by a relation, and back."""
    api = _api(where)
    under: Under = made(api, tmp_path / "data", _seed, lambda: NOON - 86_400, ["sales", "acl"])
    items, leaves = api.resources.values()
    for resource, expected in ((items, 1), (leaves, 3)):
        assert under.selected("ann", resource) == [{"id": expected}]
        assert in_order(under.selected("ann", resource)) == in_order(under.listed("ann", resource))
    ann = under.caller("ann")
    assert under.asked(ann, "UPDATE sales.items SET name = 'x' RETURNING id") == [[(1,)]]
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        under.asked(ann, "UPDATE sales.items SET id = 2 + id")
    assert under.asked(ann, "DELETE FROM sales.items RETURNING id") == [[(1,)]]


def test_a_table_of_no_schema_is_another_one() -> None:
    """Its name alone would be that of the row."""
    there = exists(select(_Plain.id).where(_Plain.id == _Item.id))
    text = "\n".join(installation(_api(there), "reader").statements)
    assert 'FROM vallum_rls.items AS ".items"' in text
    assert '".items".id = items.id' in text


def test_an_alias_does_not_take_the_name_of_the_table() -> None:
    """The statement of the API names the schema, the policy cannot: so the alias would hide the row."""
    other = aliased(_Leave, name="items")
    mine = exists(select(other.id).where(other.item_id == _Item.id, other.who == me.id))
    with pytest.raises(DeclarationError, match="rls-alias"):
        installation(_api(mine), "reader")
