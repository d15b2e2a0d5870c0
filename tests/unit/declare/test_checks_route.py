"""What start-up refuses in actions and endpoints."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.declare.players import READ_ALL, Player, Team, declared, identifiers, the

from vallum.authorise.checks import check
from vallum.declare.app import API
from vallum.declare.plan import Plan
from vallum.declare.policy import ANYONE, READ, allow, me


def test_rules_of_handlers_say_less() -> None:
    """No operation (it is the call), no set=, no fields; without a row, no where=."""
    api = declared(READ_ALL)
    wrong = allow("a", READ, where=Player.limit > 1, fields=["name"], set={Player.nick: "x"})
    api.action(Player, "cheer", wrong)(lambda call, row: None)
    expected = ["rule-operations-given", "rule-set-operation", "handler-rule-fields"]
    assert identifiers(api) == expected
    api.post("/report", wrong)(lambda call: None)
    assert identifiers(api)[3:] == [*expected[:2], "endpoint-rule-row", expected[2]]
    assert the("endpoint-rule-row", api).place == "POST /report, rule 1: allow(a, READ)"


def test_rules_of_handlers_name_what_is_declared() -> None:
    """Roles and attributes are checked there as well."""
    api = declared(READ_ALL)
    api.action(Player, "cheer", allow("c", where=Player.nick == me.attr["wrd"]))(lambda call, row: None)
    api.get("/report", allow("d"))(lambda call: None)
    assert sorted(identifiers(api)) == ["rule-attribute", "rule-role", "rule-role"]


def test_an_action_does_not_wait() -> None:
    """Its row is locked; an endpoint may be `async def`."""
    api = declared(READ_ALL)

    async def wait(call: Any, row: Any = None) -> None:
        """Does nothing."""

    api.post("/wait", allow("a"))(wait)
    assert identifiers(api) == []
    api.action(Player, "wait", allow("a"))(wait)
    assert identifiers(api) == ["action-async"]


def test_a_handler_can_be_called() -> None:
    """Call, row and body, as far as there are any."""
    api = declared(READ_ALL)
    api.action(Player, "one", allow("a"))(lambda call: None)
    api.action(Player, "two", allow("a"), body=int)(lambda call, row, body: None)
    api.post("/three", allow("a"), body=int)(lambda call: None)
    api.get("/four", allow("a"))(lambda call, *rest: None)
    assert [f.place for f in check(api, dialect="sqlite") if f.identifier == "handler-signature"] == [
        "POST /players/{id}/one",
        "POST /three",
    ]


def test_a_path_that_cannot_be_served_is_a_finding() -> None:
    """What the routes themselves refuse is told with the rest."""
    api = declared(READ_ALL)
    api.action(Team, "cheer", allow("a"))(lambda call, row: None)
    assert identifiers(api) == ["action-without-resource"]


def test_a_cost_that_no_budget_covers() -> None:
    """A request that costs more than the plan ever has would always be refused; anonymous callers only where let in."""
    api = API("Test", roles=["a"], plans={"small": Plan(burst="2/s")})
    api.post("/big", allow("a"), cost=6)(lambda call: None)
    assert [(f.severity, f.place) for f in check(api, dialect="sqlite")] == [("warning", "POST /big")]
    api.get("/open", allow(ANYONE), cost=6)(lambda call: None)
    assert [f.message for f in check(api, dialect="sqlite")][1:] == [
        "It costs 6, and the plan 'anonymous' never has more than 5 at once.",
        "It costs 6, and the plan 'small' never has more than 2 at once.",
    ]


@pytest.mark.parametrize(("word", "found"), [("writes", []), ("all", []), ("off", ["DELETE /x", "POST /x", "POST /y"])])
def test_a_write_that_may_be_repeated_is_a_finding(word: Any, found: list[str]) -> None:
    """Each method that changes something and is not fresh; reads are no finding, and what the author keeps fresh is none."""
    api = API("x", roles=["r"], fresh=word)
    for declare in (api.get, api.post, api.delete):
        declare("/x", allow("r"))(lambda call: None)
    api.post("/y", allow("r"))(lambda call: None)
    api.post("/z", allow("r"), fresh="writes")(lambda call: None)
    findings = [f for f in check(api, dialect="sqlite") if f.identifier == "fresh-off"]
    assert sorted(f.place for f in findings) == found
    assert {f.severity for f in findings} <= {"warning"}
