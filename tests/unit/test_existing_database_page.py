"""docs/existing-database.md on a database that another program has made: its program, its user, its commands, served."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.existing.places import make
from tests.pages import DOCS, assert_said, blocks, commands
from tests.unit.serve.served import Served, command, serving

from tests import stores

PAGE = DOCS / "existing-database.md"
TABLES = {
    "sqlite": "SELECT name FROM sqlite_master WHERE name LIKE 'vallum!_p%' ESCAPE '!'",
    "postgresql": "SELECT schemaname || '.' || tablename FROM pg_tables WHERE tablename LIKE 'vallum!_p%' ESCAPE '!'",
}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The page's program in a directory of its own; on PostgreSQL by the user that the page makes."""
    store: str = request.param
    tmp_path = tmp_path_factory.mktemp("trade")
    (tmp_path / f"trade_{store}.py").write_text(blocks(PAGE, "python")[0], encoding="utf-8")
    make(tmp_path / "data", store)
    settings = {"VALLUM_APP": f"trade_{store}:api"}
    url = stores.database_of(tmp_path / "data")
    if url is not None:
        stores.server().script(stores.name_of(url), blocks(PAGE, "sql")[0])
        settings["VALLUM_DATABASE"] = url.replace("postgres@", "vallum@")
    with serving(tmp_path, **settings) as served:
        yield served


def test_the_page_is_what_happens(server: Served) -> None:
    """Its commands say what they are shown to say; rows are served under the rules; Vallum's tables are where it says."""
    shown = dict(commands(blocks(PAGE, "console")[0]))
    assert_said(shown["vallum check --dev"], server.run("check", "--dev").out)
    clara, anna = server.token("clara"), server.token("anna")
    listed = json.loads(server.ask("GET", "/customer-list?orders[gt]=1", clara)[2])["items"]
    assert [(row["id"], row["orders"]) for row in listed] == [("ALFKI", 2)]
    mine = json.loads(server.ask("GET", "/customers", anna)[2])["items"]
    assert [(row["customer_id"], row["company"]) for row in mine] == [("ALFKI", 'Alfreds "Futter" & Co')]
    assert server.ask("POST", "/orders", clara, {"select": "BOLID"})[0] == 201
    assert server.ask("GET", "/orders", anna)[0] == 403
    store = "sqlite" if "VALLUM_DATABASE" not in server.settings else "postgresql"
    place = "" if store == "sqlite" else "vallum."
    assert stores.rows(server.place / "data", TABLES[store]) == [(f"{place}vallum_principal",)]


def test_what_is_not_granted_is_named_before_it_is_missed(server: Served) -> None:
    """By the start, which stops, and by the command; with the line of the page."""
    if "VALLUM_DATABASE" not in server.settings:
        (server.place / "data" / "vallum.db").chmod(0o644)
        assert "database-mode" in server.run("check", "--dev").out
        return
    url = stores.database_of(server.place / "data") or ""
    stores.server().script(stores.name_of(url), 'REVOKE INSERT ON "order" FROM vallum')
    for arguments in (["check", "--dev"], ["serve", "--dev"]):
        said = server.run(*arguments)
        assert said.code == 1
        assert 'GRANT INSERT ON "order" TO vallum;' in said.out + said.err


def test_a_user_without_a_place_for_the_tables(tmp_path: Path) -> None:
    """Is told of the schema that the page makes, not shown a traceback."""
    make(tmp_path / "data", "postgresql")
    (tmp_path / "trade_poor.py").write_text(blocks(PAGE, "python")[0], encoding="utf-8")
    url = stores.database_of(tmp_path / "data") or ""
    stores.server().script(stores.name_of(url), 'CREATE ROLE poor LOGIN; GRANT SELECT ON "Customers" TO poor')
    settings = {"VALLUM_APP": "trade_poor:api", "VALLUM_DATABASE": url.replace("postgres@", "poor@")}
    said = command("db", "create", "--dev", cwd=tmp_path, **settings)
    assert (said.code, said.err.split()[:2]) == (1, ["vallum:", "database-privilege"])
    assert "permission denied for schema public" in said.err


def test_every_identifier_on_the_page_is_a_check() -> None:
    """Links and words lead to docs/checks.md."""
    known = (DOCS / "checks.md").read_text(encoding="utf-8")
    words = set(re.findall(r"`([a-z]+-index)`", PAGE.read_text(encoding="utf-8")))
    assert words
    assert all(f"`{word}`" in known for word in words)
