"""`vallum explain` beside the path: of each account, route, method and a few rows it says what is answered."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
from tests.general.app import api, seed
from tests.path.small import NOON

from tests import stores
from vallum.cli.explain import Asked, explained
from vallum.cli.explain_rows import tables_of
from vallum.declare.route import Kind, Route
from vallum.edge.routes import RouteTable
from vallum.serve.database import command_database
from vallum.store.ports import CommandDatabase
from vallum.store.postgres_address import parse
from vallum.testing.wire import ADDRESS

ROWS: Final = 2
VERDICTS: Final = {401: "refused", 403: "refused", 404: "not found", 405: "refused"}
ROUTES: Final = [(route, method) for route in api.routes.values() for method in route.methods]
OF_A_LOGIN: Final = ("/comments/{id}", "PATCH")
"""Its rule asks for a recent one, which the test's client has not had and an explained user has."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, store: str) -> Path:
    """The general API, filled."""
    data = tmp_path_factory.mktemp("explained") / "data"
    stores.create(api, data, seed=seed, clock=lambda: NOON - 86_400, store=store)
    return data


def paths(route: Route, database: CommandDatabase) -> Iterator[str]:
    """Of a few rows, where the route is about one."""
    if route.resource is None or route.kind is Kind.COLLECTION:
        yield route.path
        return
    keys = [column for name in route.resource.key if (column := route.resource.fields[name].column) is not None]
    head, _, tail = route.path.rpartition("}")
    for row in list(tables_of(api, database)[route.resource.table])[:ROWS]:
        yield f"{head.partition('{')[0]}{','.join(text(row[key.key]) for key in keys)}{tail}"


def text(value: Any) -> str:
    """A key in a path."""
    return quote(str(value.value if isinstance(value, enum.Enum) else value), safe="")


@pytest.mark.parametrize("account", [None, *api.accounts.declared])
def test_an_explanation_is_what_is_answered(data: Path, account: str | None) -> None:
    """Refused by role, not found, or let through to where the precondition or the body is looked at."""
    table = RouteTable(api.routes.values())
    url = stores.database_of(data)
    place = command_database(None if url is None else parse(url), data)
    with place as database, stores.client(api, account, data, lambda: NOON) as client:
        for route, method in ROUTES:
            for path in () if (route.path, method) == OF_A_LOGIN else paths(route, database):
                lines = explained(api, table, database, Asked(method, path, account, ADDRESS[0], NOON))
                body: Any = {} if method in route.bodies else None
                answer = client.request(method, path, json=body, headers={"if-match": '"another"'})
                if answer.status_code == 400 or b"state_forbidden" in answer.content:
                    continue
                verdicts = {line.verdict for line in lines if line.depth == 0} - {""}
                assert verdicts == {VERDICTS.get(answer.status_code, "allowed")}, (method, path, answer.text, lines)
