"""The page that `make demo` prints."""

from __future__ import annotations

import subprocess
from pathlib import Path

from school.demo import Shell, demo_text, practices

PLACE = Path("/tmp/a b")  # noqa: S108  # only spelled, never opened: a blank wants quotes
SHELL = Shell("https://localhost:8443", PLACE / "ca.pem", PLACE)


def test_each_practice_has_one_command() -> None:
    """No token, forbidden, invisible, pages, unknown field, large body, unknown method, throttled: all are there."""
    found = [practice.status for practice in practices(SHELL)]
    assert set(found) == {200, 400, 401, 403, 404, 405, 409, 413, 422, 429}
    text = demo_text(SHELL.base_url, SHELL.ca_path, SHELL.data)
    for practice in practices(SHELL):
        assert f"# {practice.status}: {practice.shows}\n{practice.command}\n" in text


def test_every_line_can_be_pasted() -> None:
    """The page as a whole is what a shell reads, in a directory with a blank too."""
    commands = "\n".join(practice.command for practice in practices(SHELL))
    subprocess.run(["sh", "-n"], input=commands, text=True, check=True)  # every system has a sh


def test_commands_verify_the_certificate() -> None:
    """No command switches off what it should show."""
    for practice in practices(SHELL):
        words = practice.command.split()
        assert "--cacert" in words
        assert not {"-k", "--insecure"} & set(words)
