"""What commands print: nothing in it is carried out by a terminal, whoever wrote it."""

from __future__ import annotations

import json
import re

import pytest

from vallum.cli.output import Lines, show, table

HOSTILE = "a\x1b[2J\x1b]0;x\x07\r\nfake\x9b1m\u202e[red]é"
"""Clears the screen, sets a title, begins a line, colours by a C1 control, turns the direction, and is markup."""


def test_a_table_shows_control_characters_instead_of_sending_them(capsys: pytest.CaptureFixture[str]) -> None:
    """A row's key is what a client chose."""
    table(["key"], [{"key": {"name": HOSTILE}}], as_json=False)
    *_, line = capsys.readouterr().out.splitlines()
    assert line.rstrip() == r"name=a\x1b[2J\x1b]0;x\x07\r\nfake\x9b1m\u202e[red]é"


def test_lines_of_a_cell_stand_below_each_other(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each its own, with nothing carried out in it; in a terminal they fold at its width, elsewhere nowhere."""
    rows = [{"rule": Lines(["allow " + "word " * 20, HOSTILE])}]
    table(["rule"], rows, as_json=False)
    *_, first, second = capsys.readouterr().out.splitlines()
    assert first.rstrip() == ("allow " + "word " * 20).rstrip()
    assert second.startswith(r"a\x1b[2J")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "40")
    table(["rule"], rows, as_json=False)
    folded = [re.sub(r"\x1b\[\d+m", "", line) for line in capsys.readouterr().out.splitlines()]
    assert len(folded) > 5
    assert max(map(len, folded)) <= 40


def test_json_has_no_control_characters_either(capsys: pytest.CaptureFixture[str]) -> None:
    """And says the same."""
    show({"name": HOSTILE})
    text = capsys.readouterr().out
    assert json.loads(text) == {"name": HOSTILE}
    assert not any(ord(each) < 0x20 or 0x7F <= ord(each) < 0xA0 for each in text.replace("\n", ""))
