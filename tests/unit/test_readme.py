"""What README.md says to do works as it stands there: the program, the commands, the links of all pages."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from tests.pages import SECONDS, Terminal, blocks
from tests.unit.serve.served import ROOT

README = ROOT / "README.md"
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def test_the_program_and_its_commands_do_what_is_said(tmp_path: Path) -> None:
    """Made, listed, refused."""
    (program,) = blocks(README, "python")
    (tmp_path / "app.py").write_text(program, encoding="utf-8")
    _, serving, asking, *_ = blocks(README, "sh")
    with Terminal(tmp_path) as terminal:
        for line in serving.splitlines():
            assert "vallum: " not in terminal.run(line)
        said = [answer for line in asking.splitlines() if (answer := terminal.run(line))]
    assert [answer.splitlines()[0] for answer in said] == ["HTTP 201", "HTTP 200", "HTTP 403"]
    assert '"name":"Ada"' in said[1]


def test_make_knows_the_two_commands() -> None:
    """A newcomer's first block."""
    for command in blocks(README, "sh")[0].splitlines():
        target = command.partition("#")[0].split()
        subprocess.run([*target, "-n"], cwd=ROOT, check=True, capture_output=True, timeout=SECONDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """To files of this repository; addresses on the web are not asked."""
    links = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []
