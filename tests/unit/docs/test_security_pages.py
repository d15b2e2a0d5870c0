"""What the pages say about tests, files and requirements is there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
from tests.pages import DOCS
from tests.unit.serve.served import ROOT

PAGES: Final = [*DOCS.rglob("*.md"), *ROOT.glob("*.md")]
NAMED: Final = re.compile(r"`((?:tests/)?(?:path|unit|property|vectors|system|examples)/[\w/.-]+\.py)(?:::(\w+))?`")
FILE: Final = re.compile(r"`((?:src|tests|docs|examples|benchmarks|requirements)/[\w/.-]*\w)`")
ASVS: Final = DOCS / "security" / "asvs-5.md"
ROW: Final = re.compile(r"^\| (V\d+\.\d+\.\d+) \| ([123]) \| [^|]+ \| (\S[^|]*) \| ([^|]+) \|([^|]*)\|$", re.MULTILINE)
REQUIREMENTS: Final[Mapping[str, str]] = {
    "V2.1": "122",
    "V2.2": "112",
    "V2.3": "12223",
    "V2.4": "23",
    "V4.1": "12233",
    "V4.2": "23333",
    "V4.3": "22",
    "V4.4": "1222",
    "V8.1": "1233",
    "V8.2": "1123",
    "V8.3": "133",
    "V8.4": "23",
    "V9.1": "111",
    "V9.2": "1222",
    "V10.1": "22",
    "V10.2": "223",
    "V10.3": "22223",
    "V10.4": "1111122222233333",
    "V10.5": "22222",
    "V10.6": "22",
    "V10.7": "222",
    "V13.1": "2333",
    "V13.2": "222223",
    "V13.3": "2233",
    "V13.4": "1222233",
    "V14.1": "22",
    "V14.2": "12223333",
    "V14.3": "122",
    "V15.1": "12233",
    "V15.2": "12233",
    "V15.3": "1222222",
    "V15.4": "3333",
    "V16.1": "2",
    "V16.2": "22222",
    "V16.3": "2222",
    "V16.4": "222",
    "V16.5": "2223",
}
"""Section → the levels of its requirements in their order (OWASP ASVS 5.0.0)."""


def found(path: str) -> Path:
    """A test is named from `tests/` or from the repository."""
    return ROOT / path if path.startswith(("tests/", "examples/")) else ROOT / "tests" / path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_tests_and_files_that_a_page_names_exist(page: Path) -> None:
    """Tests by file and function, files by path."""
    text = page.read_text(encoding="utf-8")
    for path, function in NAMED.findall(text):
        assert found(path).is_file(), path
        if function:
            source = found(path).read_text(encoding="utf-8")
            assert re.search(rf"^(?:async )?def {function}\(", source, re.MULTILINE), f"{path}::{function}"
    assert [path for path in FILE.findall(text) if not (ROOT / path).exists()] == []


def test_each_requirement_of_asvs_has_its_line() -> None:
    """Of the nine chapters, each once, in order, with its level."""
    expected = [
        (f"{section}.{n}", level) for section, levels in REQUIREMENTS.items() for n, level in enumerate(levels, 1)
    ]
    assert [row[:2] for row in ROW.findall(ASVS.read_text(encoding="utf-8"))] == expected


def test_each_chapter_is_here_or_has_a_reason_why_not() -> None:
    """V1 to V17, each once; the README counts those that are here."""
    text = ASVS.read_text(encoding="utf-8")
    here = re.findall(r"^## V(\d+) ", text, re.MULTILINE)
    assert sorted(map(int, here + re.findall(r"^\| V(\d+) [^|]+ \| \S", text, re.MULTILINE))) == list(range(1, 18))
    assert "[nine chapters of ASVS 5.0]" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(here) == 9


def test_what_is_met_is_shown_and_what_is_counted_is_right() -> None:
    """A claim of `met` names a test or the page that meets it; the sums at the top are those of the lines."""
    text = ASVS.read_text(encoding="utf-8")
    rows = ROW.findall(text)
    assert [row[0] for row in rows if row[2] == "met" and not NAMED.search(row[4]) and ".md)" not in row[3]] == []
    words = {"met": "met", "part": "part", "yours": "yours", "**not met**": "not met", "–": "do not apply"}
    assert {row[2] for row in rows} == set(words)
    sums = text.partition("## ")[0]
    assert f"{len(rows)} requirements: " in sums
    for word, name in words.items():
        assert re.search(rf"[ ,]{sum(row[2] == word for row in rows)} {name}[,.]", sums), name


def test_all_ten_risks_are_answered() -> None:
    """API1 to API10, each with a test."""
    rows = re.findall(r"^\| API(\d+) .*$", (DOCS / "security" / "owasp-api-2023.md").read_text(), re.MULTILINE)
    assert [int(number) for number in rows] == list(range(1, 11))
