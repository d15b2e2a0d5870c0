"""What CONTRIBUTING.md says of the code is so."""

from __future__ import annotations

import re
import tomllib

from tests.pages import blocks
from tests.unit.serve.served import ROOT

PAGE = ROOT / "CONTRIBUTING.md"


def test_the_layers_are_those_that_are_enforced() -> None:
    """In their order, as pyproject.toml has them for import-linter."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (layers,) = [contract["layers"] for contract in contracts if contract["id"] == "layers"]
    (diagram,) = [block for block in blocks(PAGE, "") if "›" in block]
    drawn = [
        {name.strip() for name in layer.split("|")} for layer in diagram.replace("\n", " ").split("›") if layer.strip()
    ]
    assert drawn == [set(re.findall(r"\w+", layer)) for layer in layers]
    package = ROOT / "src" / "vallum"
    assert [
        name
        for layer in drawn
        for name in layer
        if not (package / name).exists() and not (package / f"{name}.py").exists()
    ] == []


def test_every_target_that_is_named_is_made() -> None:
    """By the Makefile; each once in the table."""
    page, makefile = PAGE.read_text(encoding="utf-8"), (ROOT / "Makefile").read_text(encoding="utf-8")
    named = re.findall(r"^\| `make ([a-z-]+)", page, re.MULTILINE)
    assert {name for name in named if named.count(name) > 1} <= {"test"}
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)", page)) <= targets
    assert targets - set(named) == {"venv", "help"}


def test_each_kind_of_addition_is_told_once() -> None:
    """Two paragraphs of one name would say two things in the end."""
    kinds = re.findall(r"^\*\*(an? [a-z]+)\*\*|^\*\*(an? [a-z]+)\.\*\*", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    words = [one or other for one, other in kinds]
    assert len(words) > 5
    assert len(words) == len(set(words))
