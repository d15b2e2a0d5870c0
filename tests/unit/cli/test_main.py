"""The command line itself: exit codes, errors, help."""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.conftest import Run
from tests.unit.serve.served import command
from typer.main import get_command

from vallum.cli import COMMANDS, program, told
from vallum.crypto.errors import BadKey


def test_help_names_every_command(tmp_path: Path) -> None:
    """`vallum`, `vallum --help`, and each command's own help."""
    for arguments, code in ((["--help"], 0), ([], 2)):
        said = command(*arguments, cwd=tmp_path)
        assert said.code == code
        assert all(name in said.out + said.err for name in COMMANDS)
    for name in COMMANDS:
        assert command(name, "--help", cwd=tmp_path).code == 0


def test_the_version_is_that_of_the_distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is one place for it."""
    try:
        expected = version("vallum")
    except ModuleNotFoundError:  # the tests run before it is installed
        expected = "0.0.0"
        monkeypatch.setattr("importlib.metadata.version", lambda _: expected)
    assert command("--version", cwd=tmp_path).out.strip() == expected


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["token"], ["token", "rita", "--ttl", "long"], ["user", "change", "rita"], ["serve", "--port", "x"]],
)
def test_what_is_not_understood_leaves_with_2(run: Run, arguments: list[str]) -> None:
    """With a usage message on standard error."""
    said = run(*arguments)
    assert (said.code, said.out) == (2, "")
    assert said.err


def test_a_refusal_leaves_with_1_and_says_what_mends_it(run: Run) -> None:
    """On standard error; as JSON when JSON was asked for."""
    said = run("user", "disable", "nobody")
    assert (said.code, said.out) == (1, "")
    assert said.err == "vallum: account-unknown (nobody)\nThere is no account of this name.\n"
    as_json = json.loads(run("user", "disable", "nobody", "--json").err)
    assert as_json == {
        "error": {"identifier": "account-unknown", "place": "nobody", "mend": "There is no account of this name."}
    }


def test_a_bad_key_is_told_like_the_others() -> None:
    """Its word has hyphens, as all words of the commands have."""
    assert told(BadKey("pem_passphrase", "set the master key"), as_json=False) == (
        "vallum: pem-passphrase\nset the master key\n"
    )


def test_a_reader_that_leaves_early_is_no_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """`vallum user list | head -1`: no traceback."""

    def gone(_: str) -> None:
        raise OSError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr("vallum.cli.output.typer.echo", gone)
    said = run("user", "list", "--json")
    assert (said.code, said.err) == (1, "")


@pytest.mark.parametrize("arguments", [["routes"], ["user", "list"], ["keys", "list"], ["check", "--dev"]])
def test_commands_take_their_settings_from_the_file(place: Path, arguments: list[str]) -> None:
    """`app` and `data` of vallum.toml, so that a project needs no flags."""
    (place / "data").rename(place / "elsewhere")
    (place / "vallum.toml").write_text('app = "tiny:api"\ndata = "elsewhere"\n')
    said = command(*arguments, cwd=place, VALLUM_APP="")
    assert said.code == 0, said.err


def options() -> dict[str, set[str]]:
    """Of every command that does something, by its words."""

    def each(path: str, one: Any) -> Iterator[tuple[str, set[str]]]:
        parts = getattr(one, "commands", {})
        for name, part in parts.items():
            yield from each(f"{path} {name}", part)
        if not parts:
            yield path, {option for parameter in one.params for option in parameter.opts}

    return dict(each("vallum", get_command(program([]))))


def test_every_command_answers_in_json() -> None:
    """When it is asked to, whatever it does."""
    assert [path for path, taken in options().items() if "--json" not in taken] == []


def test_secrets_are_no_arguments() -> None:
    """No command has an option that takes a password, a key or a secret."""
    words = ("password", "secret", "key", "token")
    takes = {option for taken in options().values() for option in taken if any(word in option for word in words)}
    assert takes == {"--password-stdin", "--no-password", "--public-key"}  # a file of it
    assert "vallum.cli.token" in sys.modules
