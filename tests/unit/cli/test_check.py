"""`vallum check` of a program that cannot be meant: what stops its import is told in a line, never as a traceback."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from tests.unit.serve.served import command

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
