"""Refusals are counted within bounds; what has no place is counted as lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.audit.chained import make

from vallum.audit.denials import Denials, Kind, write
from vallum.store.ports import Statement
from vallum.store.sqlite import SqliteFile

NOW = 1_790_000_000.0
HOME, ELSEWHERE = "192.0.2.1", "198.51.100.9"


def refuse(counts: Denials, who: str | None, *, code: str = "forbidden", address: str = HOME, at: float = NOW) -> None:
    counts.refused(code, who, address, "/books/{id}", f"request-{at}", at)


def test_equal_refusals_are_one_count() -> None:
    """With the first time, the last time and the last request."""
    counts = Denials()
    for seconds in range(3):
        refuse(counts, "rita", at=NOW + seconds)
    refuse(counts, "rita", code="not_found")
    first, second = counts.take()
    assert first[0] == Kind(True, "rita", "/books/{id}", "forbidden")
    assert (first[1].count, first[1].since, first[1].last) == (3, NOW, NOW + 2)
    assert first[1].request_id == f"request-{NOW + 2}"
    assert second[1].count == 1
    assert counts.take() == []


def test_a_caller_that_is_not_known_is_its_address() -> None:
    """IPv6 by its /64, which one customer holds whole; a known caller is counted wherever it calls from."""
    counts = Denials()
    for address in ("2001:db8::1", "2001:db8::2", ELSEWHERE, "no address"):
        refuse(counts, None, address=address)
        refuse(counts, "rita", address=address)
    kinds = {(kind.known, kind.who): count.count for kind, count in counts.take() if kind is not None}
    assert kinds == {(True, "rita"): 4, (False, "2001:db8::/64"): 2, (False, ELSEWHERE): 1, (False, "unknown"): 1}


def test_an_account_named_like_an_address_is_not_that_address() -> None:
    """They are counted apart."""
    counts = Denials()
    refuse(counts, HOME)
    refuse(counts, None, address=HOME)
    assert [count.count for _, count in counts.take()] == [1, 1]


def test_a_flood_of_strangers_hides_no_known_caller() -> None:
    """What strangers have no place for is lost, and counted; the place of known callers is their own."""
    counts = Denials(known=2, strangers=3)
    for number in range(10):
        refuse(counts, None, address=f"192.0.2.{number}", at=NOW + number)
    refuse(counts, "rita")
    refuse(counts, None, address="192.0.2.1")
    taken = counts.take()
    assert [kind.who for kind, _ in taken if kind is not None] == ["rita", "192.0.2.0", "192.0.2.1", "192.0.2.2"]
    assert taken[-1][0] is None
    assert (taken[-1][1].count, taken[-1][1].since) == (7, NOW + 3)


def test_what_could_not_be_written_is_counted_on() -> None:
    """Together with what came meanwhile; a place that is taken by then makes it a loss, not nothing."""
    counts = Denials(known=1)
    refuse(counts, "rita")
    taken = counts.take()
    refuse(counts, "rita", at=NOW + 5)
    counts.put_back(taken)
    ((_, count),) = counts.take()
    assert (count.count, count.since, count.last) == (2, NOW, NOW + 5)
    refuse(counts, "walt")
    counts.put_back(taken)
    assert [(kind and kind.who, count.count) for kind, count in counts.take()] == [("walt", 1), (None, 1)]


@given(st.lists(st.tuples(st.sampled_from([None, "a", "b", "c"]), st.sampled_from([HOME, ELSEWHERE, "192.0.2.7"]))))
def test_no_refusal_is_forgotten(asked: list[tuple[str | None, str]]) -> None:
    """Whatever comes, counted and lost are as many as were refused."""
    counts = Denials(known=2, strangers=2)
    for who, address in asked:
        refuse(counts, who, address=address)
    assert sum(count.count for _, count in counts.take()) == len(asked)


def test_counts_are_entries(tmp_path: Path) -> None:
    """The caller where it is known, else its address in the note; a loss has no caller and no route."""
    make(tmp_path / "data")
    counts = Denials(strangers=1)
    refuse(counts, "rita")
    refuse(counts, None)
    refuse(counts, None, address=ELSEWHERE)
    taken = counts.take()
    with SqliteFile(tmp_path / "data" / "vallum.db") as file:
        file.write(lambda: write(taken, "sqlite"))
        rows: list[Any] = file.read(
            Statement("SELECT at, principal, verb, resource, request_id, note FROM vallum_audit ORDER BY id", ())
        )
    request = f"request-{NOW}"
    assert [(*row[:-1], json.loads(row[-1])) for row in rows] == [
        (NOW, "rita", "refuse", "/books/{id}", request, {"code": "forbidden", "count": 1, "since": NOW}),
        (NOW, None, "refuse", "/books/{id}", request, {"code": "forbidden", "count": 1, "address": HOME, "since": NOW}),
        (NOW, None, "refuse", "*", request, {"lost": 1, "since": NOW}),
    ]
