"""What `when(…)` refuses: a condition that no request meets would lift a deny for everybody."""

from __future__ import annotations

from collections.abc import Callable
from datetime import time, timedelta
from typing import Any

import pytest

from vallum.declare.errors import DeclarationError
from vallum.declare.policy import DELETE, deny
from vallum.declare.when import CREDENTIAL_KINDS, When, when

UNMET: list[dict[str, Any]] = [
    {"credential": "api_key"},
    {"credential": "Key"},
    {"credential": "signature"},
    {"credential": ""},
    {"credential": []},
    {"credential": ["key", "tokens"]},
    {"credential": 5},
    {"credential": [["key"]]},
    {"login_within": timedelta(minutes=-15)},
    {"login_within": timedelta()},
    {"login_within": 15},
    {"login_within": "15 min"},
    {"scope": ""},
    {"scope": "two words"},
    {"scope": 'quo"te'},
    {"scope": ["list"]},
    {"networks": []},
    {"networks": ["10.0.0.1/8"]},
    {"networks": "10.0.0.0/8"},
    {"networks": [10]},
    {"networks": 10},
    {"between": ("8 o'clock", "18:00")},
    {"between": ("08:00+02:00", "18:00")},
    {"between": ("08:00", "18:00Z")},
    {"between": ("08:00+02:00", "18:00+02:00")},
    {"between": (time(8), time(18))},
    {"between": ("08:00",)},
    {"between": ("08:00", "12:00", "18:00")},
    {"between": "08:00"},
    {"scope": "x", "zone": "Europe/Atlantis"},
    {"scope": "x", "zone": "Europe"},
    {"scope": "x", "zone": None},
    {"scope": "x", "credential": "api_key"},
]


@pytest.mark.parametrize("condition", UNMET, ids=repr)
def test_a_condition_that_no_request_meets_is_refused(condition: dict[str, Any]) -> None:
    """In a deny it would open what the author meant to close, or break every request that it concerns."""
    with pytest.raises(DeclarationError) as caught:
        deny("teacher", DELETE, when=when(**condition))
    assert caught.value.identifier == "when-value"
    assert caught.value.place.startswith("when(")
    assert caught.value.mend.endswith(".")


DIRECT: list[Callable[[], When]] = [
    lambda: When(credential=frozenset({"api_key"})),  # type: ignore[arg-type]  # the mistake
    lambda: When(networks=()),
    lambda: When(login_within=timedelta(-1)),
]


@pytest.mark.parametrize("make", DIRECT, ids=["credential", "networks", "login_within"])
def test_a_condition_made_without_when_is_refused_too(make: Callable[[], When]) -> None:
    """Its values are looked at where it comes to be."""
    with pytest.raises(DeclarationError, match="when-value"):
        make()


def test_a_condition_is_made_by_when() -> None:
    """What only looks like one would break each request that the rule concerns."""
    with pytest.raises(DeclarationError, match="when-value: when= of type dict"):
        deny("teacher", DELETE, when={"scope": "x"})  # type: ignore[arg-type]  # the mistake


def test_what_can_be_met_is_kept() -> None:
    """Each kind alone and with others, the shortest span, an IPv6 network, a time over midnight."""
    assert when(credential=["token", "key"]).credential == CREDENTIAL_KINDS
    assert when(login_within=timedelta(microseconds=1)).login_within == timedelta(microseconds=1)
    assert len(when(networks=["2001:db8::/32", "192.0.2.1"]).networks or ()) == 2
    assert when(between=("22:00", "06:00:30")).between == (time(22), time(6, 0, 30))
