"""What docs/limits.md shows is what happens: its program, its commands, its answers, its codes."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import pytest
from tests.path.small import NOON
from tests.unit.serve.served import ROOT, Said, command

from vallum import API
from vallum.authorise.checks import check
from vallum.crypto import api_key
from vallum.declare.plan import OAUTH_PLAN
from vallum.refusals import REASONS
from vallum.testing import Client, create_database

PAGE = (ROOT / "docs" / "limits.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (\d{3}) \| `(\w+)` \|", re.MULTILINE)


def block(language: str) -> str:
    """The one block of that language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty directory with the program."""
    (tmp_path / "reports.py").write_text(block("python"), encoding="utf-8")
    return tmp_path


def test_the_commands_do_what_is_said(place: Path) -> None:
    """In their order, on the page's program: made, listed, explained, rotated, one ended, all ended."""

    def run(*arguments: str) -> Said:
        return command(*arguments, cwd=place, VALLUM_APP="reports:api")

    assert run("db", "create", "--dev").code == 0
    identifier, printed = "", []
    for line in block("sh").splitlines():
        name, *arguments = line.replace("IDENTIFIER", identifier).split()
        said = run(*arguments)
        assert (name, said.code) == ("vallum", 0), said.err
        if arguments[:2] in (["key", "add"], ["key", "rotate"]):
            printed.append(said.out.strip())
            identifier = api_key.identifier_of(printed[0])
        elif arguments[1] == "revoke":
            assert identifier in said.out if "--id" in arguments else api_key.identifier_of(printed[1]) in said.out
    assert [row["state"] for row in run("key", "list", "--json").json()] == ["revoked", "revoked"]


def test_a_client_is_told_what_the_page_shows(place: Path) -> None:
    """A first list at noon, then `/limits`: the fields and the document, to the number."""
    api = runpy.run_path(str(place / "reports.py"))["api"]
    assert isinstance(api, API)
    assert check(api, dialect="sqlite") == []
    api.accounts.add("mirror", roles=["reader"], plan="school")
    create_database(api, place / "data", clock=lambda: NOON - 86_400)
    with Client(api, "mirror", place / "data", lambda: NOON) as mirror:
        answer = mirror.get("/reports")
        told = mirror.get("/limits").json()
    for line in block("http").splitlines():
        field, _, value = line.partition(": ")
        assert answer.headers[field] == value
    assert told == json.loads(block("json"))


def test_the_plans_that_nobody_declares_are_those_of_the_table() -> None:
    """To the number."""
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| (\S+) \| (\S+) \| (\S+) \|$", PAGE, re.MULTILINE)
    plans = {**API("Empty", roles=["r"]).plans, "oauth": OAUTH_PLAN}

    def shown(units: int | None) -> str:
        return "–" if units is None else f"{units:,}"

    assert rows == [
        (name, f"{plans[name].burst.count}/s", shown(plans[name].hour), shown(plans[name].day))
        for name in ("default", "anonymous", "oauth")
    ]
    assert all(plans[name].burst.seconds == 1 for name, *_ in rows)
    assert set(plans) == {name for name, *_ in rows}


def test_the_codes_are_those_of_the_table() -> None:
    """With their statuses."""
    rows = ROW.findall(PAGE)
    assert len(rows) == 4
    assert {code: REASONS[code].status for _, code in rows} == {code: int(status) for status, code in rows}
