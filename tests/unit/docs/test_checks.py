"""docs/checks.md explains every identifier that start-up and the commands say, and none that nobody says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest
from tests.unit.serve.served import ROOT, command

SOURCES: Final = sorted((ROOT / "src" / "vallum").rglob("*.py"))
PAGE: Final = (ROOT / "docs" / "checks.md").read_text(encoding="utf-8")
WORD: Final = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)+")
SAYERS: Final[Mapping[str, int]] = {
    "error": 0,
    "warning": 0,
    "say": 0,
    "without_rules": 0,
    "_refused": 0,
    "_check_port": 2,
}
"""Function → which argument is an identifier; beside these, every class of errors whose base is `OperatorError`."""
PASSED_ON: Final = {
    "error.identifier",
    "fault.identifier",
    "found.identifier",
    "identifier",
    "fault['type']",
    "reason.replace('_', '-')",
}
"""What stands there when somebody else has said it."""


def errors_of(trees: Mapping[Path, ast.Module]) -> set[str]:
    """The names of the classes of errors for operators."""
    classes = [node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    return {c.name for c in classes if any(getattr(base, "id", "") == "OperatorError" for base in c.bases)}


def said(tree: ast.Module, sayers: Mapping[str, int]) -> Iterator[tuple[int, str, set[str]]]:
    """Of each call: its line, the argument as it is written, and the identifiers in it."""
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        place = sayers.get(call.func.id)  # type: ignore[attr-defined]  # a Name, as it was just asked
        if place is not None and len(call.args) > place:
            argument = call.args[place]
            constants = [
                n.value for n in ast.walk(argument) if isinstance(n, ast.Constant) and isinstance(n.value, str)
            ]
            words = {word.replace("_", "-") for word in constants if WORD.fullmatch(word)}
            yield call.lineno, ast.unparse(argument), words


@pytest.fixture(scope="module")
def trees() -> Mapping[Path, ast.Module]:
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES}


def test_every_identifier_is_explained(trees: Mapping[Path, ast.Module]) -> None:
    """An identifier without a row in docs/checks.md, and a row without an identifier, are named here."""
    sayers = {**SAYERS, **dict.fromkeys(errors_of(trees), 0)}
    assert {"DeclarationError", "SettingsError", "StoreError", "BadKey"} <= sayers.keys()
    found = {word for tree in trees.values() for _, _, words in said(tree, sayers) for word in words}
    explained = rows()
    assert found - explained.keys() == set(), "write what these mean in docs/checks.md"
    assert explained.keys() - found == set(), "nobody says these"


def test_identifiers_are_written_out(trees: Mapping[Path, ast.Module]) -> None:
    """So that they are found by a search, and by the test above; what passes one on is listed."""
    sayers = {**SAYERS, **dict.fromkeys(errors_of(trees), 0)}
    sample = ast.parse('error(f"{word}-field", 1)\nerror("a-b" if x else "c-d", 1)')
    assert [(line, words) for line, _, words in said(sample, sayers)] == [(1, set()), (2, {"a-b", "c-d"})]
    hidden = [
        f"{path.relative_to(ROOT)}:{line} {text}"
        for path, tree in trees.items()
        for line, text, words in said(tree, sayers)
        if not words and text not in PASSED_ON
    ]
    assert hidden == []


def rows() -> dict[str, list[str]]:
    """Identifier → its cells: what it means, and what mends it."""
    found: dict[str, list[str]] = {}
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 3 and cells[0].startswith("`"):
            for word in re.findall(r"`([a-z0-9-]+)`", cells[0]):
                assert word not in found, f"{word} is explained twice"
                found[word] = cells[1:]
    return found


def test_every_row_says_what_it_means_and_what_mends_it() -> None:
    """In whole sentences."""
    for word, (meaning, mend) in rows().items():
        assert meaning.endswith("."), word
        assert mend.endswith("."), word


def test_warnings_are_called_so(trees: Mapping[Path, ast.Module]) -> None:
    """Exactly what `warning(…)` says, and what is one on SQLite only."""
    warnings = {word for tree in trees.values() for _, _, words in said(tree, {"warning": 0}) for word in words}
    assert {word for word, (meaning, _) in rows().items() if "*Warning" in meaning} == warnings | {"rule-index"}


PUPIL = """
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from vallum import API, READ, allow
class Base(DeclarativeBase): ...
class Student(Base):
    __tablename__ = "students"
    id: Mapped[int] = mapped_column(primary_key=True)
api = API("School", roles=["student", "teacher"])
api.resource(Student, allow("student", READ), allow("teacher", READ), allow("pupil", READ))
"""


def test_the_sample_is_what_is_said(tmp_path: Path) -> None:
    """By `vallum check`, about a rule for nobody."""
    (tmp_path / "pupil.py").write_text(PUPIL)
    said = command("check", "--dev", cwd=tmp_path, VALLUM_APP="pupil:api")
    (sample,) = re.findall(r"```\n(.*?)```", PAGE, re.DOTALL)
    assert sample in said.out
