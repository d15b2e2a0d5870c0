"""`vallum openapi`."""

from __future__ import annotations

import json

from tests.unit.cli.conftest import Run
from tests.unit.serve.tiny import api

from vallum.testing import ORIGIN, Client


def test_it_prints_what_is_served(run: Run) -> None:
    """To the byte, for callers with that role."""
    with Client(api, as_="will") as will:
        served = will.get("/openapi.json").text
    said = run("openapi", "--role", "writer", VALLUM_PUBLIC_URL=ORIGIN, VALLUM_DEV="true")
    assert (said.code, said.out) == (0, served + "\n")


def test_without_a_role_it_is_for_nobody_known(run: Run) -> None:
    """The flag --json changes nothing: it is JSON anyway."""
    said = run("openapi", "--dev")
    assert run("openapi", "--dev", "--json").out == said.out
    assert "no credential" in json.loads(said.out)["info"]["description"]
    assert json.loads(said.out)["paths"] == {}


def test_what_is_missing_is_named(run: Run) -> None:
    """A role that the API does not have, and the address that the document names."""
    said = run("openapi", "--dev", "--role", "teacher")
    assert (said.code, said.out) == (1, "")
    assert "role-unknown (teacher)" in said.err
    assert "reader, writer" in said.err
    assert "public-url-missing" in run("openapi").err
