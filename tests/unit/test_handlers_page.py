"""What docs/handlers.md shows is what happens: its program as a whole, with hooks and seed."""

from __future__ import annotations

import re
import runpy
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.pages import DOCS, blocks
from tests.unit.serve.served import command

from vallum import API
from vallum.authorise.checks import check
from vallum.execute.call import Call
from vallum.testing import Client, create_database

PAGE = DOCS / "handlers.md"
LEFT = re.compile(r'"hour";r=(\d+)')


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with the program."""
    (tmp_path / "tools.py").write_text("\n\n".join(blocks(PAGE, "python")), encoding="utf-8")
    return tmp_path


@pytest.fixture
def program(place: Path) -> dict[str, Any]:
    """Its names."""
    return runpy.run_path(str(place / "tools.py"))


@pytest.fixture
def clients(place: Path, program: dict[str, Any]) -> Iterator[dict[str, Client]]:
    """Everybody whom it declares, on its seed."""
    api: API = program["api"]
    create_database(api, place / "data", seed=program["seed"])
    with ExitStack() as stack:
        yield {n: stack.enter_context(Client(api, as_=n, data=place / "data")) for n in ("mia", "walt")}


def test_actions_and_endpoints_do_what_is_said(clients: dict[str, Client]) -> None:
    """Lent once, with a note of the caller's; nothing hidden is in the answer; what nobody may READ is counted."""
    mia, walt = clients["mia"], clients["walt"]
    lent = mia.post("/tools/1/lend", json={"note": "For the shed."})
    assert (lent.status_code, lent.json()) == (200, {"id": 1, "name": "saw", "borrower": "mia"})
    again = mia.post("/tools/1/lend")
    assert (again.status_code, again.json()["detail"]) == (409, "Somebody has it already.")
    assert [note["text"] for note in mia.get("/notes").json()["items"]] == ["For the shed."]
    assert mia.post("/tools/9/lend").status_code == 404
    assert walt.post("/tools/2/lend").status_code == 403
    assert walt.post("/inventory").json() == {"tools": 2, "lent": 1, "notes": 1}
    assert walt.post("/tools/orders").json() == {"ordered": "hammer"}
    assert walt.get("/tools?name=hammer").status_code == 400  # no filter was declared
    assert len(walt.get("/tools").json()["items"]) == 3
    assert walt.post("/tools/orders", headers={"idempotency-key": "x" * 32}).status_code == 400


def test_the_declaration_has_no_fault(program: dict[str, Any]) -> None:
    """`vallum check` finds nothing, on either store."""
    assert check(program["api"], dialect="sqlite") == []
    assert check(program["api"], dialect="postgresql") == []


def test_the_table_names_what_a_call_has(program: dict[str, Any]) -> None:
    """All of it, and nothing else."""
    text = PAGE.read_text(encoding="utf-8").partition("## What a `Call` has")[2].partition("\n## ")[0]
    public = {name for name in dir(Call) if not name.startswith("_")} | {"principal", "now", "request_id"}
    assert {name for name in public if f"call.{name}" in text} == public - {"finish"}


def test_the_seed_is_sown_when_asked_for(place: Path) -> None:
    """And not otherwise; accounts are there either way."""
    for flag, rows in (["--seed"], 2), ([], 0):
        data = f"data-{rows}"
        made = command("db", "create", "--dev", *flag, "--data", data, "--json", cwd=place, VALLUM_APP="tools:api")
        assert (made.code, made.json()["accounts"]) == (0, 2), made.err
        with Client(runpy.run_path(str(place / "tools.py"))["api"], as_="walt", data=place / data) as walt:
            assert len(walt.get("/tools").json()["items"]) == rows


def test_a_declared_account_gets_its_key(place: Path) -> None:
    """By the command that the page names, in production as well; the program then calls with it as that account."""
    assert "`vallum key add mia`" in PAGE.read_text(encoding="utf-8")
    made = command("db", "create", "--seed", "--data", "data", cwd=place, VALLUM_APP="tools:api")
    assert made.code == 0, made.err
    said = command("key", "add", "mia", "--data", "data", cwd=place, VALLUM_APP="tools:api")
    assert said.code == 0, said.err
    api: API = runpy.run_path(str(place / "tools.py"))["api"]
    with Client(api, data=place / "data") as client:
        lent = client.post("/tools/1/lend", headers={"x-api-key": said.out.strip()})
        assert lent.json()["borrower"] == "mia"


def test_a_stop_that_fails_still_closes(place: Path) -> None:
    """The author's hook raises; the counters are written and the store is closed all the same."""
    api: API = runpy.run_path(str(place / "tools.py"))["api"]

    @api.on_stop
    def fails() -> None:
        raise RuntimeError("no")

    create_database(api, place / "data")
    client = Client(api, as_="mia", data=place / "data")
    assert client.get("/tools").status_code == 200
    with pytest.raises(RuntimeError, match="no"):
        client.close()
    with Client(runpy.run_path(str(place / "tools.py"))["api"], as_="mia", data=place / "data") as again:
        standing = again.get("/tools").headers["ratelimit"]
    assert LEFT.findall(standing) == ["4998"]
