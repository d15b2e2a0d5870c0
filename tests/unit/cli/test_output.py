"""What commands print: nothing in it is carried out by a terminal, whoever wrote it."""

from __future__ import annotations

import json

import pytest

from vallum.cli.output import show, table

HOSTILE = "a\x1b[2J\x1b]0;x\x07\r\nfake\x9b1m\u202e[red]é"
"""Clears the screen, sets a title, begins a line, colours by a C1 control, turns the direction, and is markup."""


def test_a_table_shows_control_characters_instead_of_sending_them(capsys: pytest.CaptureFixture[str]) -> None:
    """A row's key is what a client chose."""
    table(["key"], [{"key": {"name": HOSTILE}}], as_json=False)
    *_, line = capsys.readouterr().out.splitlines()
    assert line.rstrip() == r"name=a\x1b[2J\x1b]0;x\x07\r\nfake\x9b1m\u202e[red]é"


def test_json_has_no_control_characters_either(capsys: pytest.CaptureFixture[str]) -> None:
    """And says the same."""
    show({"name": HOSTILE})
    text = capsys.readouterr().out
    assert json.loads(text) == {"name": HOSTILE}
    assert not any(ord(each) < 0x20 or 0x7F <= ord(each) < 0xA0 for each in text.replace("\n", ""))
