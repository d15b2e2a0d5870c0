"""What docs/matrix.md shows is what happens: its commands, its difference, its table of members."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from tests.unit.serve.served import ROOT, Said, command

from vallum.authorise.matrix import FORMAT, Right

PAGE = (ROOT / "docs" / "matrix.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", PAGE, re.DOTALL)


def run(place: Path, line: str) -> Said:
    """A command of the page, on the School; its output goes where it says."""
    line, _, file = line.partition(" > ")
    name, *arguments = shlex.split(line)
    assert name == "vallum"
    said = command(*arguments, cwd=place, VALLUM_APP="school:api")
    if file:
        (place / file).write_text(said.out)
    return said


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which the commands were run, from the top to the bottom."""
    place = tmp_path_factory.mktemp("matrix")
    for line in BLOCKS[0][1].splitlines():
        said = run(place, line)
        assert (said.code, said.err) == (0, ""), line
    return place


def test_the_files_are_written(place: Path) -> None:
    """The page, and the matrix that the School keeps."""
    assert (place / "matrix.html").read_text().startswith("<!doctype html>")
    agreed = ROOT / "examples" / "school" / "matrix.json"
    assert (place / "matrix.json").read_text() == agreed.read_text(encoding="utf-8")


def test_the_sample_lines_are_lines_of_the_table(place: Path) -> None:
    """Up to the `…` of what was too long for the page."""
    table = [" ".join(line.split()) for line in run(place, "vallum matrix").out.splitlines()]
    for line in BLOCKS[1][1].splitlines():
        parts = [" ".join(part.split()) for part in line.replace("…)", "…").split("…")]
        assert any(all(part in row for part in parts) for row in table), line


def test_the_difference_is_told_like_that(place: Path) -> None:
    """After a right is taken from the agreed file, and another one was agreed to otherwise."""
    document = json.loads((place / "matrix.json").read_text())
    by_key = {(right["role"], right["resource"], right["action"]): right for right in document["rights"]}
    document["rights"].remove(by_key["registrar", "enrolments", "DELETE"])
    update = by_key["teacher", "students", "UPDATE"]
    update["always"] = update["rules"][0]["fields"] = ["name"]
    update["rules"][0]["where"] = "students.account = me.id"
    (place / "agreed.json").write_text(json.dumps(document))
    said = run(place, "vallum matrix --against agreed.json")
    assert (said.code, said.out) == (1, BLOCKS[2][1])


def test_every_member_is_explained() -> None:
    """Of a right, in the page's table; and the version."""
    explained = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE))))
    assert explained == {*Right.__dataclass_fields__}
    assert f'"format": "{FORMAT}"' in PAGE
