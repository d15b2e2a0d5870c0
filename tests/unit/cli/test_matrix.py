"""`vallum matrix`: table, JSON, page, comparison, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.cli.test_others import BROKEN
from tests.unit.serve.served import Said, command

from vallum.authorise.matrix import FORMAT


@pytest.fixture
def matrix(tmp_path: Path) -> Path:
    """A directory with the agreed matrix of the small API in it."""
    (tmp_path / "agreed.json").write_text(command("matrix", "--json", cwd=tmp_path).out)
    return tmp_path


def run(place: Path, *arguments: str) -> Said:
    return command("matrix", *arguments, cwd=place)


def test_it_needs_no_database(tmp_path: Path) -> None:
    """Rules are all that it reads, and it writes nothing of itself."""
    said = run(tmp_path)
    assert said.code == 0
    words = [line.split() for line in said.out.splitlines() if line]
    assert ["role", "resource", "may", "fields", "by", "these", "rules"] in words
    assert ["reader", "notes", "READ", "id,", "owner,", "text", "allow", "where", "notes.owner", "=", "me.id"] in words
    assert ["writer", "slow", "POST", "–", "allow"] in words
    assert "May do nothing: ANYONE, (no role)" in said.out
    assert list(tmp_path.iterdir()) == []


def test_json_is_the_same_each_time(matrix: Path) -> None:
    """Versioned, and to the byte what it was."""
    said = run(matrix, "--json")
    assert (said.code, said.out) == (0, (matrix / "agreed.json").read_text())
    document = said.json()
    assert (document["format"], document["title"]) == (FORMAT, "Tiny")
    assert document["rights"][0] == {
        "role": "reader",
        "resource": "notes",
        "action": "READ",
        "granted": True,
        "requests": ["GET /notes", "GET /notes/{id}"],
        "always": ["id", "owner", "text"],
        "sometimes": [],
        "rules": [
            {
                "effect": "allow",
                "fields": ["id", "owner", "text"],
                "where": "notes.owner = me.id",
                "when": [],
                "set": {},
            }
        ],
    }


def test_no_difference_leaves_with_0(matrix: Path) -> None:
    """And says how much was compared."""
    said = run(matrix, "--against", "agreed.json")
    assert (said.code, said.out, said.err) == (0, "No difference in 6 rights.\n", "")
    assert run(matrix, "--against", "agreed.json", "--json").json()["equal"] is True


def test_a_difference_leaves_with_1(matrix: Path) -> None:
    """In lines for people, as JSON for programs."""
    document = json.loads((matrix / "agreed.json").read_text())
    document["rights"][0]["always"].remove("owner")
    document["rights"][0]["rules"][0].update(fields=["id", "text"], where="false")
    document["rights"].pop()
    (matrix / "agreed.json").write_text(json.dumps(document))
    said = run(matrix, "--against", "agreed.json")
    assert said.code == 1
    assert said.out.splitlines() == [
        "added    writer · slow · POST",
        "           allow",
        "changed  reader · notes · READ",
        "         + field owner",
        "         + rule allow where notes.owner = me.id",
        "         - rule allow where false",
    ]
    found = run(matrix, "--against", "agreed.json", "--json")
    assert (found.code, found.json()["equal"]) == (1, False)
    assert [right["resource"] for right in found.json()["added"]] == ["slow"]
    assert found.json()["changed"][0]["before"]["always"] == ["id", "text"]


@pytest.mark.parametrize("content", [None, "", "{}", "[1", '{"format": "vallum-matrix/9"}'])
def test_an_unusable_file_leaves_with_2(tmp_path: Path, content: str | None) -> None:
    """Missing, empty, no JSON, no matrix: named, with nothing on standard output."""
    if content is not None:
        (tmp_path / "agreed.json").write_text(content)
    said = run(tmp_path, "--against", "agreed.json")
    assert (said.code, said.out) == (2, "")
    assert "--against" in said.err
    assert "agreed.json" in said.err


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    """Neither to compare with nor to write to."""
    assert run(tmp_path, "--against", ".").code == 2
    assert run(tmp_path, "--html", ".").code == 2
    assert run(tmp_path, "--html", "nowhere/matrix.html").code == 2


def test_the_page_is_written_and_nothing_said(tmp_path: Path) -> None:
    """The same bytes each time; beside it, JSON may still be asked for."""
    assert (run(tmp_path, "--html", "m.html").code, run(tmp_path, "--html", "m.html").out) == (0, "")
    first = (tmp_path / "m.html").read_bytes()
    said = run(tmp_path, "--html", "m.html", "--json")
    assert (said.json()["title"], (tmp_path / "m.html").read_bytes()) == ("Tiny", first)
    assert first.startswith(b"<!doctype html>")


def test_rules_that_cannot_be_served_have_no_matrix(tmp_path: Path) -> None:
    """The fault is told as `check` tells it."""
    (tmp_path / "broken.py").write_text(BROKEN)
    said = command("matrix", cwd=tmp_path, VALLUM_APP="broken:api")
    assert (said.code, said.out) == (1, "")
    assert "rule-role" in said.err
