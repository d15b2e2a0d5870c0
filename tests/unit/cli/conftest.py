"""A data directory for development, made once and copied for each test."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.serve.served import Said, command

Run = Callable[..., Said]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("template")
    made = command("db", "create", "--dev", "--seed", "--port", "9443", cwd=place)
    assert made.code == 0, made.err
    return place


@pytest.fixture
def place(template: Path, tmp_path: Path) -> Path:
    """A directory with `data` in it."""
    shutil.copytree(template / "data", tmp_path / "data")
    return tmp_path


@pytest.fixture
def run(place: Path) -> Run:
    """A command on that data."""

    def call(*arguments: str, stdin: str = "", **settings: str) -> Said:
        return command(*arguments, cwd=place, stdin=stdin, **settings)

    return call
