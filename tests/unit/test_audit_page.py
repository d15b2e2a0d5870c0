"""What docs/audit.md and docs/backup.md show is what happens: their commands, their tables, their numbers."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from tests.unit.serve.served import ROOT, Said, command

from vallum import defaults
from vallum.audit.denials import STATUSES
from vallum.audit.fault import KINDS
from vallum.store.restored import TABLES

AUDIT = (ROOT / "docs" / "audit.md").read_text(encoding="utf-8")
BACKUP = (ROOT / "docs" / "backup.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([\w-]+)` \| (.*) \|$", re.MULTILINE)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with data in it."""
    made = command("db", "create", "--dev", "--seed", cwd=tmp_path)
    assert made.code == 0, made.err
    return tmp_path


def commands(page: str) -> list[str]:
    """Of the blocks for a shell, in their order."""
    return [line for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) for line in block.splitlines()]


def run(place: Path, line: str) -> Said:
    """One of them; its output goes where it says."""
    line, _, file = line.partition(" > ")
    name, *arguments = shlex.split(line)
    assert name == "vallum"
    said = command(*arguments, cwd=place)
    if file:
        (place / file).write_text(said.out)
    return said


def test_the_commands_of_the_audit_do_what_is_said(place: Path) -> None:
    """From the top to the bottom of the page, after an operator has done something."""
    command("user", "add", "ada", "--no-password", cwd=place)
    lines = commands(AUDIT)
    assert len(lines) == 10
    for line in lines:
        said = run(place, line)
        assert said.code == 0, (line, said.out, said.err)
    assert (place / "checkpoint.txt").read_text().count(".") == 2
    assert (place / "audit.jsonl").exists()
    assert command("audit", "rekey", "--stolen", cwd=place).code == 0


def test_the_commands_of_the_backup_do_what_is_said(place: Path) -> None:
    """The file has the name of its moment, and the digest that was printed."""
    directory, backup, restore = commands(BACKUP)
    subprocess.run(shlex.split(directory), cwd=place, check=True)
    said = run(place, backup)
    assert said.code == 0, said.err
    (file,) = (place / "backups").iterdir()
    assert re.fullmatch(r"vallum-\d{8}T\d{6}Z\.db", file.name)
    digest = said.out.split()[-1]
    said = run(place, restore.replace("vallum-20261130T120000Z.db", file.name).replace("DIGEST", digest))
    assert said.code == 0, said.err
    assert (place / "restored" / "vallum.db").exists()


def test_every_command_that_leaves_an_entry_is_named() -> None:
    """By its whole name, or by the group of which each command that changes something leaves one."""
    (named,) = re.findall(r"\*\*Every command that changes something\*\* \((.*?)\)", AUDIT, re.DOTALL)
    told = set(re.findall(r"`([a-z ]+)`", " ".join(named.split())))
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "src" / "vallum" / "cli").glob("*.py")]
    deeds = {words for source in sources for words in re.findall(r'Deed\(f?"([a-z ]+)', source)}
    groups = {words.strip() for words in deeds if words.endswith(" ")}
    assert groups == {"user", "key", "client", "keys"}
    assert told == groups | {words for words in deeds if not words.endswith(" ")} | {"restore", "audit prune"}


def test_every_fault_is_explained() -> None:
    """By the words of the program."""
    assert dict(ROW.findall(AUDIT)) == KINDS


def test_every_table_is_explained() -> None:
    """By the words of the program."""
    assert dict(ROW.findall(BACKUP)) == TABLES


def test_the_numbers_are_those_of_the_program() -> None:
    """Of the page's first two sections."""
    assert f"({', '.join(map(str, sorted(STATUSES)))})" in AUDIT
    assert (defaults.AUDIT_DENIALS_KNOWN, defaults.AUDIT_DENIALS_STRANGERS) == (256, 128)
    text = " ".join(AUDIT.split())
    assert "256 kinds of known callers and for 128 of strangers" in text
    assert (defaults.AUDIT_SEAL_SECONDS, defaults.AUDIT_SEGMENT_ROWS, defaults.AUDIT_DENIAL_SECONDS) == (5, 500, 60)
    assert "Every five seconds" in text
    assert "segments of at most 500" in text
