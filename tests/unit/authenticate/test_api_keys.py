"""What is remembered of an API key: from where it is good, and when it was used."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from vallum.authenticate.api_keys import Known, Uses
from vallum.store.ports import Principal

ROBOT = Principal("robot")


@pytest.mark.parametrize("address", ["", "unknown", "localhost", "192.0.2.1:80", "192.0.2", "fe80::1%eth0"])
def test_an_address_that_cannot_be_read_is_on_no_list(address: str) -> None:
    """Nor is any on an empty list; without a list every one is good."""
    everywhere = tuple(ip_network(network) for network in ("192.0.0.0/8", "127.0.0.0/8", "2001:db8::/32"))
    assert not Known(ROBOT, 0, everywhere).good_from(address)
    assert not Known(ROBOT, 0, ()).good_from("192.0.2.1")
    assert Known(ROBOT, 0, None).good_from(address)


def test_ipv4_in_ipv6_is_ipv4() -> None:
    """A dual-stack socket shows the same client in the other spelling (RFC 4291 §2.5.5.2)."""
    known = Known(ROBOT, 0, (ip_network("192.0.2.0/24"),))
    assert known.good_from("::ffff:192.0.2.1")
    assert not known.good_from("::192.0.2.1")


def test_a_use_is_noted_once_a_minute_and_taken_once() -> None:
    """Each key by itself, in portions; a clock that goes back notes nothing."""
    uses = Uses()
    for key, now in (("a", 100), ("a", 159.9), ("b", 120), ("a", 50)):
        uses.note(key, now)
    assert uses.take(1) == [("a", 100)]
    assert uses.take(9) == [("b", 120)]
    assert uses.take(9) == []
    uses.note("a", 160)
    assert uses.take(9) == [("a", 160)]


def test_what_could_not_be_written_is_taken_again_unless_it_is_old() -> None:
    """A later use of the same key wins."""
    uses = Uses()
    uses.note("a", 100)
    uses.note("b", 100)
    taken = uses.take(9)
    uses.note("a", 200)
    uses.put_back(taken)
    assert sorted(uses.take(9)) == [("a", 200), ("b", 100)]


def test_no_more_keys_are_noted_than_are_remembered() -> None:
    """The one noted longest ago is forgotten; it is written again then, no more."""
    uses = Uses(keys=2)
    for now, key in enumerate("abc"):
        uses.note(key, 100 + now)
    assert len(uses.take(9)) == 3
    for key in "cba":
        uses.note(key, 110)
    assert uses.take(9) == [("a", 110)]
