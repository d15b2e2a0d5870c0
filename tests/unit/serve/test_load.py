"""Finding the application, the mark of development, the master key."""

from __future__ import annotations

from pathlib import Path

import pytest

from vallum.serve.development import is_marked, mark, served_at
from vallum.serve.errors import SettingsError
from vallum.serve.load import load_api
from vallum.serve.master_key import read_master_key


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


def refused(target: str | None) -> str:
    with pytest.raises(SettingsError) as caught:
        load_api(target)
    return caught.value.identifier


def test_it_is_found_in_the_current_directory() -> None:
    """`module:attribute`, where the attribute may lie deeper."""
    Path("application_one.py").write_text("from vallum import API\nclass Inside:\n    api = API('One', roles=['r'])\n")
    assert load_api("application_one:Inside.api").title == "One"


def test_what_is_not_there_is_refused_by_name() -> None:
    """No name, no module, no attribute, an attribute that is no API."""
    Path("application_two.py").write_text("api = 1\n")
    assert refused(None) == "app-missing"
    assert refused("application_nowhere:api") == "app-import"
    assert refused("application_nowhere.inside:api") == "app-import"
    assert refused("application_two:nothing") == "app-attribute"
    assert refused("application_two:api") == "app-attribute"
    Path("application_five.py").write_text("from vallum import API\nschool = API('One', roles=['r'])\n")
    with pytest.raises(SettingsError, match="in application_five there is school"):
        load_api("application_five:api")


def test_an_error_of_the_application_is_its_own() -> None:
    """A module that it misses itself is not reported as the application missing."""
    Path("application_three.py").write_text("import application_that_is_missing\n")
    with pytest.raises(ModuleNotFoundError, match="application_that_is_missing"):
        load_api("application_three:api")


def test_models_that_sqlalchemy_refuses_are_told_with_their_line() -> None:
    """Not with the sixty lines of its own that lead there."""
    Path("application_four.py").write_text(
        "from sqlalchemy.orm import DeclarativeBase\nclass Base(DeclarativeBase): ...\n\n"
        "class Book(Base):\n    __tablename__ = 'books'\n"
    )
    with pytest.raises(SettingsError) as caught:
        load_api("application_four:api")
    assert (caught.value.identifier, caught.value.place) == ("app-models", f"{Path.cwd()}/application_four.py:4")
    assert caught.value.mend.startswith(
        "SQLAlchemy says: Mapper Mapper[Book(books)] could not assemble any primary key"
    )


def test_a_directory_is_marked_for_development(tmp_path: Path) -> None:
    """With the address under which it is served; marking again renews it."""
    assert (is_marked(tmp_path), served_at(tmp_path)) == (False, None)
    mark(tmp_path, "https://localhost:1")
    mark(tmp_path, "https://localhost:2")
    assert (is_marked(tmp_path), served_at(tmp_path)) == (True, "https://localhost:2")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"public_url": 1}', "\xff"])
def test_a_damaged_mark_gives_no_address(tmp_path: Path, content: str) -> None:
    """And so no tokens; production refuses the directory all the same."""
    (tmp_path / "development.json").write_text(content, encoding="latin-1")
    assert (is_marked(tmp_path), served_at(tmp_path)) == (True, None)


def test_a_master_key_is_read_without_its_line_end(tmp_path: Path) -> None:
    """As `openssl rand -base64 32 > file` writes it."""
    path = tmp_path / "master"
    path.write_bytes(b"nVtq4cdrZ6gy8bF2KpWmXhYs\n")
    path.chmod(0o600)
    assert read_master_key(path) == b"nVtq4cdrZ6gy8bF2KpWmXhYs"
    assert read_master_key(None) is None
