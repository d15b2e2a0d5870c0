"""Conditions on the request: each kind on its boundary, and what is unknown."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from vallum.authorise.conditions import RequestFacts, conditions_hold, conditions_may_hold
from vallum.declare.when import When, when

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC).timestamp()
FACTS = RequestFacts(credential="token", login_at=NOON - 60, scopes=frozenset({"grades"}), address="10.1.2.3", now=NOON)


def at(text: str) -> RequestFacts:
    """The facts of a request that came at an ISO time in UTC."""
    return replace(FACTS, now=datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def both(condition: When, facts: RequestFacts) -> bool:
    """The answer where nothing is unknown: both readings must agree."""
    held = conditions_hold(condition, facts)
    assert conditions_may_hold(condition, facts) is held
    return held


def unknown(condition: When, facts: RequestFacts) -> bool:
    """Whether an allow fails on the condition and a deny applies."""
    return not conditions_hold(condition, facts) and conditions_may_hold(condition, facts)


def test_no_conditions_hold() -> None:
    """A rule without `when` is about every request."""
    assert conditions_hold(None, FACTS)
    assert conditions_may_hold(None, FACTS)


@pytest.mark.parametrize(("kind", "held"), [("token", True), ("key", False), (None, False)])
def test_kind_of_credential(kind: str | None, held: bool) -> None:
    """Only the named kinds pass, and the anonymous caller has none."""
    facts = RequestFacts(kind, None, None, "10.1.2.3", NOON)  # type: ignore[arg-type]  # parametrised text
    assert both(when(credential="token"), facts) is held


@pytest.mark.parametrize(
    ("age", "held"), [(0, True), (3599, True), (3600, True), (3600.001, False), (3601, False), (-5, True)]
)
def test_age_of_the_login(age: float, held: bool) -> None:
    """A login counts up to and including the last second, and within the leeway of another clock."""
    assert both(when(login_within=timedelta(hours=1)), replace(FACTS, login_at=NOON - age)) is held


@pytest.mark.parametrize("login_at", [None, NOON + 5.001, NOON + 86400])
def test_a_login_that_is_missing_or_in_the_future(login_at: float | None) -> None:
    """Without a believable login time an allow fails and a deny applies."""
    assert unknown(when(login_within=timedelta(hours=1)), replace(FACTS, login_at=login_at))


def test_scope() -> None:
    """The credential must carry the scope; one without a limit carries all, no credential carries none."""
    condition = when(scope="grades")
    assert both(condition, FACTS)
    assert not both(condition, replace(FACTS, scopes=frozenset({"grade", "grades:read"})))
    assert not both(condition, replace(FACTS, scopes=frozenset()))
    assert both(condition, replace(FACTS, scopes=None))
    assert not both(condition, replace(FACTS, scopes=None, credential=None))


@pytest.mark.parametrize(
    ("address", "held"),
    [
        ("10.0.0.0", True),
        ("10.255.255.255", True),
        ("11.0.0.0", False),
        ("9.255.255.255", False),
        ("::ffff:10.1.2.3", True),
        ("::ffff:11.1.2.3", False),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
    ],
)
def test_network(address: str, held: bool) -> None:
    """An address is inside from the first to the last of the network, in both families, mapped or not."""
    assert both(when(networks=["10.0.0.0/8", "2001:db8::/32"]), replace(FACTS, address=address)) is held


@pytest.mark.parametrize("address", ["", "localhost", "10.1.2", "10.1.2.3, 1.1.1.1"])
def test_an_address_that_cannot_be_read(address: str) -> None:
    """What is no address is in no network for an allow, and not known to be outside for a deny."""
    assert unknown(when(networks=["0.0.0.0/0", "::/0"]), replace(FACTS, address=address))


@pytest.mark.parametrize(
    ("instant", "held"),
    [
        ("2026-07-01T07:59:59.999", False),
        ("2026-07-01T08:00:00", True),
        ("2026-07-01T17:59:59.999", True),
        ("2026-07-01T18:00:00", False),
    ],
)
def test_time_of_day(instant: str, held: bool) -> None:
    """The first second is inside, the last is outside."""
    assert both(when(between=("08:00", "18:00")), at(instant)) is held


@pytest.mark.parametrize(
    ("instant", "held"),
    [
        ("2026-07-01T21:59:59", False),
        ("2026-07-01T22:00:00", True),
        ("2026-07-01T23:59:59.999", True),
        ("2026-07-02T00:00:00", True),
        ("2026-07-02T05:59:59", True),
        ("2026-07-02T06:00:00", False),
    ],
)
def test_time_of_day_over_midnight(instant: str, held: bool) -> None:
    """A span whose start is later than its end runs through midnight."""
    assert both(when(between=("22:00", "06:00")), at(instant)) is held


@pytest.mark.parametrize(
    ("instant", "held"),
    [
        ("2026-07-01T05:59:59", False),  # 07:59:59 in summer
        ("2026-07-01T06:00:00", True),
        ("2026-01-05T06:59:59", False),  # 07:59:59 in winter
        ("2026-01-05T07:00:00", True),
        ("2026-10-25T00:30:00", False),
    ],
)
def test_time_of_day_in_a_zone(instant: str, held: bool) -> None:
    """The zone's own clock decides, summer time included."""
    assert both(when(between=("08:00", "18:00"), zone="Europe/Zurich"), at(instant)) is held


def test_an_hour_that_comes_twice_counts_twice() -> None:
    """When clocks go back, both passes of the hour show the same times of day."""
    condition = when(between=("02:15", "02:45"), zone="Europe/Zurich")
    assert both(condition, at("2026-10-25T00:30:00"))
    assert both(condition, at("2026-10-25T01:30:00"))
    assert not both(condition, at("2026-10-25T02:30:00"))


def test_two_equal_times_are_unknown() -> None:
    """From 08:00 to 08:00 could mean always or never: an allow fails, a deny applies."""
    assert unknown(when(between=("08:00", "08:00")), at("2026-07-01T08:00:00"))


def test_all_conditions_must_hold() -> None:
    """One unmet condition is enough to fail both; one unknown beside met ones leaves it unknown."""
    condition = when(scope="grades", login_within=timedelta(hours=1), credential="token")
    assert both(condition, FACTS)
    assert not both(condition, replace(FACTS, credential="key", login_at=None))
    assert unknown(condition, replace(FACTS, login_at=None))
