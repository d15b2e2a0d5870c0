"""`vallum check` says what a start would stop at: in the program, which may not even be imported, and in the files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from tests.unit.cli.conftest import Run
from tests.unit.serve import tiny
from tests.unit.serve.served import command, free_port

from tests import stores
from vallum.audit.seal import CHECKPOINT
from vallum.errors import OperatorError
from vallum.serve.keyring import cursor_secret
from vallum.testing import Client

PROGRAM: Final = """
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from vallum import API, DELETE, READ, Plan, allow, deny, when
class Base(DeclarativeBase): ...
class Meter(Base):
    __tablename__ = "meters"
    id: Mapped[int] = mapped_column(primary_key=True)
class Other(Base):
    __tablename__ = "others"
    id: Mapped[int] = mapped_column(primary_key=True)
api = API("Meters", roles=["reader"], plans={plans})
api.resource(Meter, allow("reader", READ), {more})
"""
SAID: Final = [
    ("{'x': Plan(hour=0)}", "", "vallum: plan-form (hour: 0)"),
    ("{'x': Plan(burst='20')}", "", "vallum: plan-form (rate '20')"),
    ("{'x': '20/s'}", "", "vallum: plan-form (plans, 'x')"),
    ("{}", "cost={'list': 0}", "vallum: cost-form (/meters, list, cost=0)"),
    ("{}", "filters=[Other.id]", "vallum: attribute-model (/meters, filters=)"),
    ("{}", "deny('reader', DELETE, when=when(credential='api_key'))", "vallum: when-value (when(credential=…))"),
]


@pytest.mark.parametrize(("plans", "more", "said"), SAID, ids=[said.split("(")[1] for *_, said in SAID])
def test_what_stops_the_import_is_told_in_a_line(tmp_path: Path, plans: str, more: str, said: str) -> None:
    """Identifier and place, and below them the mend."""
    name = f"declared_{SAID.index((plans, more, said))}"
    (tmp_path / f"{name}.py").write_text(PROGRAM.replace("{plans}", plans).replace("{more}", more))
    found = command("check", "--dev", cwd=tmp_path, VALLUM_APP=f"{name}:api")
    first, mend = found.err.splitlines()
    assert (found.code, found.out, first) == (1, "", said)
    assert mend.endswith(".")


def keys_lost(keys: Path) -> None:
    """Of an audit that has a checkpoint."""
    stores.rows(keys.parent, "INSERT INTO vallum_meta (key, value) VALUES (?, '')", CHECKPOINT)
    (keys / "audit.pem").unlink()


FILES: Final[dict[str, Callable[[Path], object]]] = {
    "wrapped-passphrase": lambda keys: cursor_secret(keys, b"nVtq4cdrZ6gy8bF2KpWmXhYs"),
    "secret-file-open": lambda keys: (keys / "secret").chmod(0o644),
    "audit-key-missing": keys_lost,
    "audit-key": lambda keys: (keys / "audit.pem").write_text("no key"),
}


@pytest.mark.parametrize("identifier", FILES)
def test_a_secret_that_stops_a_start_is_an_error(run: Run, place: Path, identifier: str) -> None:
    """By the same word as from `serve`, or from what `serve` starts; no file is made or mended."""
    keys = place / "data" / "keys"
    FILES[identifier](keys)
    before = {path.name: path.read_bytes() for path in keys.iterdir()}
    (found,) = run("check", "--dev", "--json").json()
    assert (found["identifier"], found["severity"], "data/keys/" in found["place"]) == (identifier, "error", True)
    assert {path.name: path.read_bytes() for path in keys.iterdir()} == before
    if identifier.startswith("audit"):
        with pytest.raises(OperatorError) as stopped:
            Client(tiny.api, data=place / "data", database=stores.database_of(place / "data"))
        assert stopped.value.identifier == identifier
    else:
        assert f"vallum: {identifier}" in run("serve", "--dev", "--port", str(free_port())).err


def test_secrets_that_are_not_there_yet_are_no_finding(run: Run, place: Path) -> None:
    """A start makes them; a look at them does not."""
    keys = place / "data" / "keys"
    for name in ("secret", "audit.pem", "audit.jwks"):
        (keys / name).unlink()
    assert run("check", "--dev", "--json").json() == []
    assert not (keys / "secret").exists()
    assert not (keys / "audit.pem").exists()


@pytest.mark.stores("sqlite")  # whose database is a file that can be missing
def test_a_database_that_is_missing_where_it_is_deployed(tmp_path: Path) -> None:
    """An error, as of a start; a program under development is checked before there is one."""
    found = {finding["identifier"]: finding for finding in command("check", "--json", cwd=tmp_path).json()}
    assert found["database-missing"]["severity"] == "error"
    assert command("check", "--dev", "--json", cwd=tmp_path).json() == []
    assert list(tmp_path.iterdir()) == []
