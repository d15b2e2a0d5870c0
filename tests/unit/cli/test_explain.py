"""`vallum explain` about callers and rows that the small API does not have. What the cookbook's recipes answer is compared
with it in tests/unit/docs/test_cookbook.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.serve.served import Said, command

Explain = Callable[..., tuple[int, str]]

GAUGES = """
import enum
import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from sqlalchemy import JSON, DateTime, Float, ForeignKey, Numeric, and_
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from vallum import API, CREATE, DELETE, READ, UPDATE, Call, allow, deny, me, when
class Base(DeclarativeBase): ...
class Meter(Base):
    __tablename__ = "meters"
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
    owner: Mapped[str]
    readings: Mapped[list["Reading"]] = relationship(viewonly=True)
class Reading(Base):
    __tablename__ = "readings"
    id: Mapped[int] = mapped_column(primary_key=True)
    meter_at: Mapped[datetime] = mapped_column(ForeignKey("meters.at"), index=True)
class Kind(enum.Enum):
    GAS = "natural gas"
class Part(Base):
    __tablename__ = "parts"
    number: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    made: Mapped[date] = mapped_column(primary_key=True)
    kind: Mapped[Kind] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(primary_key=True)
    price: Mapped[Decimal] = mapped_column(Numeric(8, 2))
    share: Mapped[Decimal] = mapped_column(Float(asdecimal=True, decimal_return_scale=2))
    weight: Mapped[float]
    ratio: Mapped[float] = mapped_column(Numeric(8, 2, asdecimal=False))
    labels: Mapped[dict[str, int]] = mapped_column(JSON)
api = API("Meters", roles=["reader", "blind", "trainee", "scoped", "signed"])
api.resource(
    Meter,
    allow("reader", READ, where=Meter.owner == "rita"),
    allow("reader", DELETE, where=Meter.readings.any(Reading.id > 0)),
    allow(["reader", "blind"], CREATE | UPDATE | DELETE),
    deny("trainee", CREATE),
    allow("scoped", READ, when=when(scope="meters")),
    allow("signed", READ, when=when(login_within=timedelta(minutes=15))),
    bulk=10,
)
api.resource(Reading, allow("scoped", READ))
worth = and_(Part.price == Decimal("1.50"), Part.share > 0, Part.weight == 2.5, Part.ratio == 0.25)
api.resource(Part, allow("reader", READ, where=worth))
@api.action(Meter, "reset", allow("reader"))
def reset(call: Call, meter: Meter) -> None: ...
api.accounts.add("rita", roles=["reader", "trainee"])
api.accounts.add("bert", roles=["blind"])
api.accounts.add("sam", roles=["signed"])
@api.on_seed
def fill(db: Session) -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    db.add_all([Meter(at=noon, owner="rita"), Meter(at=noon + timedelta(days=1), owner="bert")])
    db.add(Part(number=uuid.UUID(int=1), made=date(2026, 3, 1), kind=Kind.GAS, text="Größe 1,5",
        price=Decimal("1.50"), share=Decimal("0.5"), weight=2.5, ratio=0.25, labels={"a": 1}))
    db.flush()
    db.add_all([Reading(id=n, meter_at=noon) for n in range(1, 4)])
"""


@pytest.fixture(scope="module")
def meters(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Said]:
    """Commands on their data, with two clients among the accounts."""
    place = tmp_path_factory.mktemp("meters")
    (place / "gauges.py").write_text(GAUGES)

    def run(*arguments: str) -> Said:
        return command(*arguments, cwd=place, VALLUM_APP="gauges:api")

    assert run("db", "create", "--dev", "--seed").code == 0
    for name, options in (
        ("right", ["--role", "scoped", "--scope", "meters"]),
        ("wrong", ["--role", "scoped", "--scope", "other"]),
        ("wide", ["--role", "scoped"]),
        ("program", ["--role", "signed"]),
        ("both", ["--role", "signed", "--role", "reader"]),
        ("gone", ["--role", "scoped"]),
    ):
        assert run("client", "add", name, *options).code == 0
    assert run("client", "revoke", "gone").code == 0
    return run


@pytest.fixture
def explain(meters: Callable[..., Said]) -> Explain:
    """The exit code and all that is said."""

    def ask(name: str, *arguments: str) -> tuple[int, str]:
        said = meters("explain", "--as", name, *arguments)
        return said.code, said.out + said.err

    return ask


@pytest.mark.parametrize(
    ("name", "method", "code", "words"),
    [
        ("rita", "POST", 1, "deny(trainee, CREATE) → applies"),
        ("bert", "POST", 0, "POST /meters: rows and fields as these rules grant them → allowed"),
        ("bert", "PATCH", 1, "PATCH /meters: 403, whichever row → refused"),
        ("bert", "DELETE", 1, "allow(reader, READ): not a role of this caller → no"),
        ("rita", "PATCH", 0, "→ allowed"),
        ("rita", "GET", 0, "→ allowed"),
    ],
)
def test_a_collection_is_decided_as_by_the_path(
    explain: Explain, name: str, method: str, code: int, words: str
) -> None:
    """A deny without a condition takes the operation away, and what is changed must be READ by somebody."""
    left, said = explain(name, method, "/meters")
    assert (left, words in said) == (code, True), said


def test_a_client_is_explained_with_its_scopes(explain: Explain) -> None:
    """Its token carries all of its scopes, and is not limited without any; one that was revoked gets no token."""
    assert [explain(name, "GET", "/meters")[0] for name in ("right", "wrong", "wide")] == [0, 1, 0]
    assert "its conditions on the request are not met: scope meters" in explain("wrong", "GET", "/meters")[1]
    assert "client-unknown (gone)\nNone of its credentials is valid" in explain("gone", "GET", "/meters")[1]


def test_each_rule_is_told_alike(explain: Explain) -> None:
    """Its number, its operation and what the request lacks, whether or not a row is looked at."""
    row = "/meters/2026-03-01T12:00:00Z"
    unmet = "rule 6: allow(signed, READ): its conditions on the request are not met: login within 15 min → no"
    other = "rule 5: allow(scoped, READ): not a role of this caller → no"
    for name, path, line in (("program", "/meters", unmet), ("both", row, unmet), ("rita", "/meters", other)):
        assert f"\n  {line}\n" in explain(name, "GET", path)[1]
    assert f"\n  {other}\n" in explain("rita", "GET", row)[1]


def test_nobody_has_signed_in_for_a_client(explain: Explain) -> None:
    """A condition on the age of the login is met by a user, never by a program."""
    assert [explain(name, "GET", "/meters")[0] for name in ("sam", "program")] == [0, 1]


@pytest.fixture
def deployed(tmp_path: Path) -> Callable[..., Said]:
    """Commands on data that were not made for development."""
    (tmp_path / "gauges.py").write_text(GAUGES)
    settings = {"VALLUM_APP": "gauges:api", "VALLUM_PUBLIC_URL": "https://meters.example"}
    settings["VALLUM_UNIX_SOCKET"] = str(tmp_path / "socket")

    def run(*arguments: str) -> Said:
        return command(*arguments, cwd=tmp_path, **settings)

    assert run("db", "create").code == 0
    return run


def test_in_production_nobody_is_explained_who_has_no_credential(deployed: Callable[..., Said]) -> None:
    """A login that cannot be is not assumed; with a key the account is explained as what it is."""
    said = deployed("explain", "--as", "rita", "GET", "/meters")
    assert (said.code, said.out, "api-key-unknown (rita)" in said.err) == (1, "", True)
    assert deployed("explain", "GET", "/meters").code == 1  # anonymous
    for name in ("rita", "sam"):
        assert deployed("key", "add", name).code == 0
    assert [deployed("explain", "--as", name, "GET", "/meters").code for name in ("rita", "sam")] == [0, 1]


def test_a_rule_that_asks_for_a_login_is_warned_of(deployed: Callable[..., Said]) -> None:
    """Where it is deployed, by `check` and by a start; not in development."""
    found = [finding for finding in deployed("check", "--json").json() if finding["identifier"] == "when-unmet"]
    assert [(one["place"], one["severity"]) for one in found] == [("/meters, rule 6: allow(signed, READ)", "warning")]
    assert "when-unmet" not in deployed("check", "--dev").out
    assert "warning: when-unmet (/meters, rule 6" in deployed("serve").err


@pytest.mark.parametrize(
    ("key", "code", "words"),
    [
        ("2026-03-01T12:00:00Z", 0, "READ meters"),
        ("2026-03-01T12:00:00+00:00", 0, "READ meters"),
        ("2026-03-02T12:00:00Z", 1, "not found"),
        ("2026-03-03T12:00:00Z", 1, "there is no row with the key"),
        ("yesterday", 1, "there is no row with the key"),
    ],
)
def test_a_row_is_found_by_its_key_as_by_the_path(explain: Explain, key: str, code: int, words: str) -> None:
    """In every form that the path takes; a text that no key can be is no row's."""
    left, said = explain("rita", "GET", f"/meters/{key}")
    assert (left, words in said) == (code, True), said


PART = "/parts/00000000-0000-0000-0000-000000000001,2026-03-01"


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        (f"{PART},natural%20gas,Gr%C3%B6%C3%9Fe%201%2C5", 0, "READ parts"),
        (f"{PART},natural%20gas,Gr%C3%B6%C3%9Fe%201,5", 1, "no route has the path"),
        (f"{PART},natural gas,x", 1, "must be percent-encoded: 400"),
        (f"{PART},gas,x", 1, "there is no row with the key"),
        ("/parts/%2E%2E", 1, "dot segment"),
        ("/parts/\udcff", 1, "must be percent-encoded"),
    ],
)
def test_a_path_is_read_as_that_of_a_request(explain: Explain, path: str, code: int, words: str) -> None:
    """Decoded once, split at the commas that are not encoded, with a value of each column's type."""
    left, said = explain("rita", "GET", path)
    assert (left, words in said) == (code, True), said


def test_a_query_is_left_out_and_that_is_said(explain: Explain) -> None:
    """It may be refused for itself, and what is included is the other resource's."""
    left, said = explain("rita", "GET", "/meters?include=readings")
    assert (left, "what stands behind ? is not looked at" in said) == (0, True), said
    assert "behind ?" not in explain("rita", "GET", "/meters")[1]


def test_an_action_finds_no_row_that_the_caller_may_not_read(explain: Explain) -> None:
    """The path looks for it among the readable ones."""
    assert explain("rita", "POST", "/meters/2026-03-01T12:00:00Z/reset")[0] == 0
    left, said = explain("rita", "POST", "/meters/2026-03-02T12:00:00Z/reset")
    assert (left, "→ not found" in said) == (1, True), said


def test_a_table_that_a_rule_names_is_read_up_to_a_bound(explain: Explain, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it the condition is unknown, and the memory of the machine its own."""
    path = "/meters/2026-03-01T12:00:00Z"
    monkeypatch.setattr("vallum.defaults.EXPLAINED_ROWS", 3)
    assert explain("rita", "DELETE", path)[0] == 0
    monkeypatch.setattr("vallum.defaults.EXPLAINED_ROWS", 2)
    left, said = explain("rita", "DELETE", path)
    assert (left, "table-too-large: readings has more than 2 rows → unknown" in said) == (1, True), said
    assert explain("rita", "GET", path)[0] == 0
