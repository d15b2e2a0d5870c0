"""The index that rules, sorts, filters and keys need, looked for in the database itself, with rows and without."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import ForeignKey, String, and_, or_
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from tests import stores
from vallum import API, READ, UPDATE, allow, deny, me
from vallum.declare.checks_finding import Finding
from vallum.serve.checks import stored
from vallum.serve.database import command_database
from vallum.store.postgres_address import parse

pytestmark = pytest.mark.stores("sqlite", "postgresql")
MANY = 1_500


def hall(*, indexed: bool) -> tuple[Any, Any, Any]:
    """Halls, seats and labels, by models that know of indexes or of none."""

    class Base(DeclarativeBase):
        pass

    class Hall(Base):
        __tablename__ = "halls"
        id: Mapped[int] = mapped_column(primary_key=True)
        keeper: Mapped[str] = mapped_column(index=indexed)

    class Seat(Base):
        __tablename__ = "seats"
        id: Mapped[int] = mapped_column(primary_key=True)
        hall_id: Mapped[int] = mapped_column(ForeignKey("halls.id"), index=indexed)
        owner: Mapped[str] = mapped_column(index=indexed)
        guest: Mapped[str] = mapped_column(index=indexed)
        row: Mapped[int | None]
        name: Mapped[str] = mapped_column(String(20))
        free: Mapped[bool]
        hall = relationship(Hall, backref="seats")

    class Label(Base):
        __tablename__ = "labels"
        word: Mapped[str] = mapped_column(String(20), primary_key=True)

    return Hall, Seat, Label


Hall, Seat, Label = hall(indexed=False)
INDEXED = hall(indexed=True)


def api(*rules: Any, existing: bool = True, seat: Any = Seat, **options: Any) -> API:
    """Seats under these rules."""
    made = API("Hall", roles=["a", "b"], attributes={"hall": int, "free": bool}, existing_tables=existing)
    made.resource(seat, *rules, **options)
    return made


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory, store: str) -> Path:
    """Tables as the models have them, without an index of their own and without a row."""
    data = tmp_path_factory.mktemp("hall") / "data"
    everything = API("Hall", roles=["a"])
    for model in (Seat, Hall, Label):
        everything.resource(model, allow("a", READ))
    stores.create(everything, data, store=store)
    return data


@pytest.fixture
def data(empty: Path, tmp_path: Path) -> Path:
    return stores.copied(empty, tmp_path / "data")


def run(data: Path, *lines: str) -> None:
    """As the owner of the tables."""
    for line in lines:
        stores.rows(data, line)


def filled(data: Path) -> None:
    """Many rows, and the statistics that a database makes of them."""
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MANY})"
    postgresql = stores.database_of(data) is not None
    run(
        data,
        "INSERT INTO halls VALUES (1, 'kim'), (2, 'kai'), (3, 'kit')",
        f"{numbers} INSERT INTO seats SELECT i, 1 + i % 3, 'o' || (i % 400), 'g' || (i % 300), i % 90, 'n' || i,"
        f" {'i % 2 = 0' if postgresql else 'i % 2'} FROM n",
        f"{numbers} INSERT INTO labels SELECT 'w' || i FROM n",
        "ANALYZE",
    )


def found(data: Path, api: API, *, lists: bool = False) -> Sequence[Finding]:
    url = stores.database_of(data)
    with command_database(None if url is None else parse(url), data) as database:
        return stored(api, database, lists=lists)


def lines(data: Path, api: API, *, lists: bool = False) -> list[str]:
    """Identifier and the line that mends it."""
    return [f"{f.identifier}: {f.mend.lower().rpartition('run: ')[2]}" for f in found(data, api, lists=lists)]


OWNER = "rule-index: create index ix_seats_owner on seats (owner);"
GUEST = "rule-index: create index ix_seats_guest on seats (guest);"
HALL = "rule-index: create index ix_seats_hall_id on seats (hall_id);"
KEEPER = "rule-index: create index ix_halls_keeper on halls (keeper);"
RULES: dict[str, tuple[Callable[[Any, Any], Any], list[str]]] = {
    "the caller": (lambda _, seat: seat.owner == me.id, [OWNER]),
    "a relation": (lambda hall, seat: seat.hall.has(hall.keeper == me.id), [KEEPER, HALL]),
    "either": (lambda _, seat: or_(seat.owner == me.id, seat.guest == me.id), [OWNER, GUEST]),
}


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("rule", RULES)
def test_the_lines_that_are_said_are_enough(data: Path, rule: str, full: bool) -> None:
    """Without the indexes each is named, though the models have them; with them nothing is said, be the table full or empty."""
    if full:
        filled(data)
    where, needed = RULES[rule]
    models, indexed = (Hall, Seat), INDEXED[:2]
    assert sorted(lines(data, api(allow("a", READ, where=where(*models))))) == sorted(needed)
    expected = api(allow("a", READ, where=where(*indexed)), seat=INDEXED[1])
    assert sorted(lines(data, expected)) == sorted(needed)
    run(data, *(line.partition(": ")[2] for line in needed))
    assert lines(data, expected) == []


@pytest.mark.parametrize("full", [False, True])
def test_one_index_serves_two_conditions_that_both_hold(data: Path, full: bool) -> None:
    """The other one is asked of the few rows that it finds. The models alone could not tell."""
    if full:
        filled(data)
    rules = api(allow("a", READ, where=and_(Seat.owner == me.id, Seat.guest == me.id)))
    assert lines(data, rules) == [OWNER, GUEST]
    run(data, GUEST.partition(": ")[2])
    assert lines(data, rules) == []


def test_what_serves_and_what_does_not(data: Path, store: str) -> None:
    """An index over several columns that begins with this one serves; one over some rows, or that ends with it, does not."""
    rules = api(allow("a", READ, where=Seat.owner == me.id))
    run(data, "CREATE INDEX few ON seats (owner) WHERE row > 5", "CREATE INDEX last ON seats (row, owner)")
    run(data, "CREATE INDEX worked ON seats (lower(owner))")
    assert lines(data, rules) == [OWNER]
    run(data, "CREATE INDEX first ON seats (owner, row)")
    assert lines(data, rules) == []


def test_rules_that_look_nothing_up(data: Path) -> None:
    """A deny, a change of a row that its key finds, yes and no, and a comparison that is none with the caller."""
    filled(data)
    for rule in (
        allow("a", READ, where=Seat.free == me.attr["free"]),
        allow("a", READ, where=Seat.row > 3),
        allow("a", UPDATE, where=Seat.owner == me.id, fields=["name"]),
    ):
        assert lines(data, api(allow("b", READ), rule)) == []
    assert lines(data, api(allow("a", READ), deny("a", READ, where=Seat.owner == me.id))) == []
    changes = allow("a", UPDATE, where=Seat.hall.has(Hall.keeper == me.id), fields=["name"])
    assert lines(data, api(allow("b", READ), changes)) == [], "the hall is found by its key"


def test_it_stops_a_start_only_where_the_tables_are_ours(data: Path, store: str) -> None:
    """And on PostgreSQL, as the models' own check does."""
    rules = allow("a", READ, where=Seat.owner == me.id)
    assert [f.severity for f in found(data, api(rules))] == ["warning"]
    severity = "error" if store == stores.POSTGRESQL else "warning"
    assert [f.severity for f in found(data, api(rules, existing=False))] == [severity]


def sought(*rules: Any) -> API:
    """Lists with sorts and filters of their own."""
    return api(*rules, sorts=["row", "name", "owner"], filters=["guest", "row", "free"])


def test_sorts_and_filters_of_who_reads_all(data: Path, store: str) -> None:
    """Each line makes its warning go. Texts are ordered by their code points, NULLs stand last; of few values each is soon
    found without an index.
    """
    rules = sought(allow("a", READ), allow("b", READ, where=Seat.owner == me.id))
    run(data, OWNER.partition(": ")[2])
    assert lines(data, rules, lists=True) == [], "the table is small"
    filled(data)
    collated = ' collate "c"' if store == stores.POSTGRESQL else ""
    asked = lines(data, rules, lists=True)
    expected = [
        "sort-index: create index ix_seats_row_order on seats (row, id);",
        f"sort-index: create index ix_seats_name_order on seats (name{collated}, id);",
        f"sort-index: create index ix_seats_owner_order on seats (owner{collated}, id);",
        "filter-index: create index ix_seats_guest_value on seats (guest);",
    ]
    if store == stores.SQLITE:  # its index on the owner ends with the key
        del expected[2]
    assert [line.replace('"row"', "row") for line in asked] == expected
    run(data, *(line.partition(": ")[2].replace('"c"', '"C"') for line in asked))
    assert lines(data, rules, lists=True) == []


def test_who_reads_few_rows_has_them_sorted(data: Path) -> None:
    """Where every rule finds its rows by an index, no sort or filter needs one."""
    filled(data)
    run(data, OWNER.partition(": ")[2])
    assert lines(data, sought(allow("a", READ, where=Seat.owner == me.id)), lists=True) == []


def test_what_an_include_follows(data: Path) -> None:
    """From a hall to its seats; the way back is by their halls' key."""
    filled(data)
    both = api(allow("a", READ))
    both.resource(Hall, allow("a", READ))
    line = "include-index: create index ix_seats_hall_id_of on seats (hall_id);"
    assert lines(data, both, lists=True) == [line]
    run(data, line.partition(": ")[2])
    assert lines(data, both, lists=True) == []


def test_the_order_of_a_text_key(data: Path, store: str) -> None:
    """PostgreSQL keeps a key in the order of the database's language, a list is in that of code points."""
    filled(data)
    labels = API("Hall", roles=["a"], existing_tables=True)
    labels.resource(Label, allow("a", READ))
    line = 'sort-index: create index ix_labels_word_order on labels (word collate "c");'
    assert lines(data, labels, lists=True) == ([line] if store == stores.POSTGRESQL else [])
