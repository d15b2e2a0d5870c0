"""A data directory for development, made once and copied for each test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from tests.unit.serve.served import Said, command, on_store

Run = Callable[..., Said]


Template = Callable[[], Path]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """Of the store of the run, or of SQLite for a test that is about it."""

    @cache
    def made(stores: str | None) -> Path:
        place = tmp_path_factory.mktemp("template")
        said = command("db", "create", "--dev", "--seed", "--port", "9443", cwd=place)
        assert said.code == 0, said.err
        return place

    return lambda: made(os.environ.get("TEST_STORES"))


@pytest.fixture
def place(template: Template, tmp_path: Path) -> Path:
    """A directory with `data` in it."""
    shutil.copytree(template() / "data", tmp_path / "data")
    on_store(tmp_path, {}, template())
    return tmp_path


@pytest.fixture
def run(place: Path) -> Run:
    """A command on that data."""

    def call(*arguments: str, stdin: str = "", **settings: str) -> Said:
        return command(*arguments, cwd=place, stdin=stdin, **settings)

    return call
