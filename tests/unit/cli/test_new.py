"""`vallum new`: a project that passes its own tests and serves, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.pages import Terminal, assert_said, blocks
from tests.unit.serve.served import ROOT, command

from vallum.cli import commands_doc
from vallum.cli.new import FILES


@pytest.mark.stores("sqlite")  # that is what a new project has
def test_a_new_project_does_what_its_readme_says(tmp_path: Path) -> None:
    """Its tests pass, `check` finds nothing, and it is served: what is its owner's is listed, made and finished."""
    with Terminal(tmp_path) as terminal:
        assert_said("Made shop", terminal.run("vallum new shop"))
        terminal.run("cd shop")
        first, second = blocks(tmp_path / "shop" / "README.md", "sh")
        tests, check, made, served = map(terminal.run, first.splitlines())
        assert_said("5 passed", tests)
        assert_said("0 errors, 0 warnings", check)
        assert_said("accounts: 3", made)
        assert_said("Shop is served at", served)
        _, listed, created, finished = map(terminal.run, second.splitlines())
    assert_said('HTTP 200 … "title":"Buy bread"', listed)
    assert "Call Ada" not in listed
    assert_said('HTTP 201 … "owner":"member-1"', created)
    assert_said('HTTP 200 … "done_at":"', finished)


def test_the_files_are_told(tmp_path: Path) -> None:
    """As JSON, and every one is there; nothing secret among them, and what will be is ignored by git."""
    said = command("new", "my_shop", "--json", cwd=tmp_path).json()
    assert said["project"] == str(tmp_path / "my_shop")
    assert said["files"] == [path.format(name="my_shop") for path in FILES]
    written = {str(path.relative_to(tmp_path / "my_shop")) for path in (tmp_path / "my_shop").rglob("*.*")}
    assert set(said["files"]) <= written
    assert "data/" in (tmp_path / "my_shop" / ".gitignore").read_text().splitlines()
    assert '"My Shop"' in (tmp_path / "my_shop" / "my_shop" / "app.py").read_text()


@pytest.mark.parametrize(
    ("name", "identifier"),
    [
        ("", "project-name"),
        ("My", "project-name"),
        ("my-shop", "project-name"),
        ("../shop", "project-name"),
        ("shop/", "project-name"),
        ("shop\n", "project-name"),
        ("9lives", "project-name"),
        ("größe", "project-name"),
        ("a" * 41, "project-name"),
        ("class", "project-name"),
        ("match", "project-name"),
        ("json", "project-name-taken"),
        ("vallum", "project-name-taken"),
        ("pytest", "project-name-taken"),
        ("tests", "project-name-taken"),
        ("data", "project-name-taken"),
    ],
)
def test_names_that_python_could_not_import_are_refused(tmp_path: Path, name: str, identifier: str) -> None:
    """Or that would hide another module; nothing is written."""
    said = command("new", name, "--json", cwd=tmp_path)
    assert (said.code, json.loads(said.err)["error"]["identifier"]) == (1, identifier)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    """A directory with something in it, a file, a link to anywhere; an empty directory is taken."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / ".hidden").touch()
    (tmp_path / "file").touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "empty").mkdir()
    for name in ("full", "file", "link"):
        said = command("new", name, cwd=tmp_path)
        assert (said.code, said.err.split()[1]) == (1, "project-exists")
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert command("new", "empty", cwd=tmp_path).code == 0
    assert (tmp_path / "empty" / "vallum.toml").exists()


def test_a_place_where_nothing_can_be_written_is_named() -> None:
    """Not by a traceback."""
    said = command("new", "shop", cwd=Path("/proc"))
    assert (said.code, said.err.split()[1]) == (1, "project-place")


def test_the_page_of_the_commands_is_of_this_version() -> None:
    """Mend: `python -m vallum.cli.commands_doc docs/commands.md`."""
    assert (ROOT / "docs" / "commands.md").read_text(encoding="utf-8") == commands_doc.page()
