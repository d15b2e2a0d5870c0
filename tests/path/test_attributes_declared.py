"""An author changes the type of an attribute while accounts have one of the old type: those count as not given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from tests import stores
from vallum import API, CREATE, READ, allow, deny, me
from vallum.cli.explain import Asked, explained
from vallum.edge.routes import RouteTable
from vallum.serve.database import command_database
from vallum.store.postgres_address import parse
from vallum.testing.wire import ADDRESS


class Base(DeclarativeBase):
    """The table of these tests."""


class Desk(Base):
    """Compared with the caller in each type."""

    __tablename__ = "desks"

    id: Mapped[int] = mapped_column(primary_key=True)
    school: Mapped[int] = mapped_column(index=True)
    town: Mapped[str] = mapped_column(index=True)
    open: Mapped[bool] = mapped_column(index=True)


GIVEN = {"school": 1, "town": "1", "open": True}
BEFORE = {"school": "1", "town": 1, "open": 1}
api = API(
    "Test",
    roles=[role for name in GIVEN for role in (name, f"not-{name}", f"made-{name}")],
    attributes={name: type(value) for name, value in GIVEN.items()},
)
COLUMNS = {name: getattr(Desk, name) for name in GIVEN}
api.resource(
    Desk,
    *(allow(name, READ, where=column == me.attr[name]) for name, column in COLUMNS.items()),
    *(allow(f"not-{name}", READ) for name in GIVEN),
    *(deny(f"not-{name}", READ, where=column != me.attr[name]) for name, column in COLUMNS.items()),
    *(
        allow(f"made-{name}", CREATE, fields=["id", *(GIVEN.keys() - {name})], set={column: me.attr[name]})
        for name, column in COLUMNS.items()
    ),
    path="/desks",
)
for role in api.roles:
    api.accounts.add(role, roles=[role])


def seed(db: Session) -> None:
    """A desk that each caller would find."""
    db.add(Desk(id=1, school=1, town="1", open=True))


@pytest.mark.parametrize("values", [GIVEN, BEFORE], ids=["declared", "before"])
def test_what_is_not_of_the_declared_type_counts_as_not_given(
    values: dict[str, int | str], store: str, tmp_path: Path
) -> None:
    """No allow holds by it, a deny that needs it applies; SQLite would compare `1` with `"1"`, PostgreSQL refuses to.
    `vallum explain` says so too.
    """
    data, is_given = tmp_path / "data", values is GIVEN
    stores.create(api, data, seed, store=store)
    stores.rows(data, "UPDATE vallum_principal SET attributes = ? RETURNING 1", json.dumps(values))
    url, table = stores.database_of(data), RouteTable(api.routes.values())
    with command_database(None if url is None else parse(url), data) as database:
        lines = {
            name: explained(api, table, database, Asked("GET", "/desks/1", name, ADDRESS[0], 0.0)) for name in api.roles
        }
    told = {name: {line.verdict for line in each if line.depth == 0} - {""} for name, each in lines.items()}
    for name in GIVEN:
        with stores.client(api, name, data) as client:
            answers = [client.get(path) for path in ("/desks", "/desks/1")]
            assert [answer.status_code for answer in answers] == [200 if is_given else 403] * 2, name
        with stores.client(api, f"not-{name}", data) as client:
            answer = client.get("/desks")
            assert (answer.status_code, len(answer.json()["items"])) == (200, int(is_given)), name
        with stores.client(api, f"made-{name}", data) as client:
            body = {"id": 2, **{other: value for other, value in GIVEN.items() if other != name}}
            assert client.post("/desks", json=body).status_code == (201 if is_given else 403), name
            stores.rows(data, "DELETE FROM desks WHERE id = 2 RETURNING 1")
        assert told[name] == {"allowed" if is_given else "refused"}, name
        assert told[f"not-{name}"] == {"allowed" if is_given else "not found"}, name
