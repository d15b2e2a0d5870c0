"""Tables that are called as some part of our statements was once called: none of these names is taken from an application."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest
from sqlalchemy import ForeignKey, Integer, String, Text
from sqlalchemy.orm import DeclarativeBase, Session, mapped_column, relationship

from tests import stores
from vallum import API, CREATE, DELETE, READ, UPDATE, Plan, allow, me
from vallum.testing import Client

pytestmark = pytest.mark.stores("sqlite", "postgresql")

NAMES: Final = ("b", "gone", "item", "k", "logged", "n", "o", "p", "page", "sized", "u", "whole")


class Base(DeclarativeBase):
    """The tables of these tests."""


def model(name: str) -> Any:
    """A table with long texts, whose rows have a row of the same table above them and others below."""
    columns: dict[str, Any] = {
        "id": mapped_column(Integer, primary_key=True),
        "above_id": mapped_column(ForeignKey(f"{name}.id"), index=True),
        "owner": mapped_column(String(40), index=True, nullable=False),
        "n": mapped_column(Integer, index=True),
        "text": mapped_column(Text, nullable=False),
    }
    row: Any = type(name.title(), (Base,), {"__tablename__": name, **columns})
    row.above = relationship(row, remote_side=row.id, back_populates="below", foreign_keys=row.above_id)
    row.below = relationship(row, back_populates="above", foreign_keys=row.above_id)
    return row


MODELS: Final = {name: model(name) for name in NAMES}
api: Final = API("Names", roles=["some", "all"], plans={"default": Plan(burst="100000/s")})
api.accounts.add("sam", roles=["some"])
api.accounts.add("ann", roles=["all"])
for name, row in MODELS.items():
    mine = row.owner == me.id
    api.resource(
        row,
        allow("some", READ | CREATE | UPDATE | DELETE, where=mine),
        allow("some", READ, where=row.n > 2, fields=["id", "above_id", "n"]),
        allow("all", READ | CREATE | UPDATE | DELETE),
        path=f"/{name}",
        sorts=["n"],
        filters=["n"],
    )


def seed(db: Session) -> None:
    """Four rows in each table, one below the other."""
    for row in MODELS.values():
        for number in range(1, 5):
            above = number - 1 or None
            db.add(row(id=number, above_id=above, owner="sam" if number < 3 else "x", n=number, text="t"))
            db.flush()


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory, store: str) -> Iterator[dict[str, Client]]:
    data = tmp_path_factory.mktemp("names") / "data"
    stores.create(api, data, seed, store=store)
    with stores.client(api, "sam", data) as sam, stores.client(api, "ann", data) as ann:
        yield {"sam": sam, "ann": ann}


def got(client: Client, path: str) -> Any:
    answer = client.get(path)
    assert answer.status_code == 200, (path, answer.text)
    return answer.json()


@pytest.mark.parametrize("who", ["sam", "ann"])
@pytest.mark.parametrize("name", NAMES)
def test_a_table_may_be_called_so(clients: dict[str, Client], name: str, who: str) -> None:
    """Lists by one rule and by two, sorted, counted, going on and with what is included; items, and each write."""
    client, path = clients[who], f"/{name}"
    assert [row["id"] for row in got(client, path)["items"]] == [1, 2, 3, 4]
    page = got(client, f"{path}?sort=-n&limit=2&count=exact&include=above,below")
    assert (page["count"], [row["id"] for row in page["items"]]) == (4, [4, 3])
    assert [row["above"]["id"] for row in page["items"]] == [3, 2]
    rest = got(client, f"{path}?sort=-n&limit=2&count=estimated&n[gt]=0&fields=id")
    assert [row["id"] for row in rest["items"]] == [4, 3]
    following = got(client, f"{path}?sort=-n&limit=2&include=above,below&after={page['next']}")
    assert [row["id"] for row in following["items"]] == [2, 1]
    assert [row["id"] for row in got(client, f"{path}/1?include=below&fields=id")["below"]["items"]] == [2]
    made = client.post(path, json={"owner": who, "above_id": 1, "n": 5, "text": "new"})
    assert made.status_code == 201, made.text
    place = f"{path}/{made.json()['id']}"
    changed = client.patch(place, json={"text": "old", "above_id": 2}, headers={"if-match": made.headers["etag"]})
    assert changed.status_code == 200, changed.text
    assert client.patch(place, json={"text": "x"}, headers={"if-match": made.headers["etag"]}).status_code == 412
    assert client.get(place).text == changed.text
    assert client.delete(place).status_code == 204
    assert client.get(place).status_code == 404
