"""What start-up refuses in rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import pytest
from sqlalchemy import func, tuple_
from tests.unit.declare.players import READ_ALL, Player, Team, declared, identifiers, the

from vallum.authorise.checks import check
from vallum.declare.checks_finding import refuse
from vallum.declare.dialect import DialectName
from vallum.declare.errors import DeclarationError
from vallum.declare.policy import CREATE, DELETE, READ, UPDATE, Rule, allow, deny, me, now, today


@pytest.mark.parametrize("rules", [(), (deny("a", READ),)], ids=["none", "only denies"])
def test_what_nobody_may_do_is_not_declared(rules: tuple[Rule, ...]) -> None:
    """A resource, action or endpoint without an allow rule is a mistake, not a decision."""
    assert "resource-without-rules" in identifiers(declared(*rules))
    api = declared(READ_ALL)
    plain = tuple(Rule(rule.effect, rule.roles, None, rule.where) for rule in rules)
    api.action(Player, "cheer", *plain)(lambda call, row: None)
    api.post("/report", *plain)(lambda call: None)
    assert the("action-without-rules", api).place == "POST /players/{id}/cheer"
    assert the("endpoint-without-rules", api).place == "POST /report"


RULES: list[tuple[str, Callable[[], Rule]]] = [
    ("rule-role", lambda: allow("refree", READ)),
    ("rule-role", lambda: deny(["a", "refree"], READ)),
    ("rule-attribute", lambda: allow("a", READ, where=Player.limit == me.attr["agee"])),
    ("rule-attribute", lambda: allow("a", READ, where=Player.limit.between(me.attr["agee"], me.attr["agee"] + 5))),
    ("rule-attribute", lambda: deny("a", READ, where=Player.team.has(Team.name == me.attr["wrd"]))),
    ("rule-attribute", lambda: allow("a", CREATE, set={Player.nick: me.attr["wrd"]})),
    ("rule-attribute", lambda: allow("a", CREATE, set={Player.nick: func.lower(me.attr["wrd"])})),
    ("rule-field", lambda: allow("a", READ, fields=["nmae"])),
    ("rule-field", lambda: deny("a", READ, fields=["nmae"])),
    ("rule-key-writable", lambda: allow("a", UPDATE, fields=["id", "name"])),
    ("rule-key-writable", lambda: allow("a", READ | UPDATE, fields=[Player.id, Player.name])),
    ("rule-operations", lambda: allow("a")),
    ("rule-operations", lambda: allow("a", READ & UPDATE)),
    ("rule-delete-fields", lambda: deny("a", DELETE, fields=["name"])),
    ("rule-field-readonly", lambda: allow("a", UPDATE, fields=["shout"])),
    ("rule-set-operation", lambda: allow("a", CREATE | UPDATE, set={Player.nick: "x"})),
    ("rule-set-operation", lambda: allow("a", READ, set={Player.nick: "x"})),
    ("rule-set-field", lambda: allow("a", CREATE, set={Player.shout: "x"})),
    ("rule-type", lambda: allow("a", READ, where=Player.id == me.id)),
    ("rule-type", lambda: allow("a", READ, where=Player.name == me.attr["age"])),
    ("rule-type", lambda: allow("a", READ, where=me.attr["flag"] == Player.limit)),
    ("rule-type", lambda: allow("a", READ, where=Player.grade == me.attr["word"])),
    ("rule-type", lambda: allow("a", READ, where=Player.born < now)),
    ("rule-type", lambda: allow("a", READ, where=Player.joined < now)),
    ("rule-type", lambda: allow("a", READ, where=Player.deleted_at < today)),
    ("rule-type", lambda: allow("a", CREATE, set={Player.limit: me.id})),
    ("rule-type", lambda: allow("a", CREATE, set={Player.nick: me.roles})),
    ("rule-type", lambda: allow("a", READ, where=Player.limit.in_(me.roles))),
    ("rule-type", lambda: deny("a", READ, where=Player.grade.not_in(me.roles))),
    ("rule-type", lambda: allow("a", READ, where=Player.team.has(Team.id.in_(me.roles)))),
    ("rule-type", lambda: allow("a", READ, where=Player.name == me.roles)),
    ("rule-type", lambda: allow("a", READ, where=func.length(me.roles) > 1)),
    ("rule-type", lambda: allow("a", READ, where=Player.limit.in_([me.attr["word"]]))),
    ("rule-type", lambda: allow("a", READ, where=Player.limit.between(me.attr["word"], 5))),
    ("rule-like", lambda: allow("a", READ, where=Player.name.like("x%"))),
    ("rule-like", lambda: allow("a", READ, where=~Player.name.ilike("x%"))),
    ("rule-like", lambda: allow("a", READ, where=Player.name.icontains("x"))),
    ("rule-like", lambda: allow("a", READ, where=Player.team.has(Team.name.regexp_match("x")))),
]


@pytest.mark.parametrize(("identifier", "rule"), RULES, ids=[f"{name}-{n}" for n, (name, _) in enumerate(RULES)])
def test_a_rule_that_cannot_be_meant(identifier: str, rule: Callable[[], Rule]) -> None:
    """Each is an error under its own word, and names the rule by its number and words."""
    api = declared(READ_ALL, rule())
    found = the(identifier, api)
    assert found.severity == "error"
    assert found.place.startswith("/players, rule 2: ")
    with pytest.raises(DeclarationError) as caught:
        refuse(check(api, dialect="sqlite"), DeclarationError)
    assert caught.value.identifier == identifier


def test_what_has_one_type_is_compared() -> None:
    """Roles with text, the caller's values with each of a list or a span of their own type, two columns at once."""
    for where in (
        Player.nick.in_(me.roles),
        func.lower(Player.nick).not_in(me.roles),
        Player.limit.between(me.attr["age"], me.attr["age"] + 5),
        Player.name.in_([me.id, me.attr["word"], "x"]),
        tuple_(Player.name, Player.limit) == tuple_(me.id, me.attr["age"]),
    ):
        for dialect in get_args(DialectName):
            found = check(declared(READ_ALL, allow("b", READ, where=where)), dialect=dialect)
            assert [finding.identifier for finding in found if finding.severity == "error"] == []


@pytest.mark.parametrize("dialect", get_args(DialectName))
@pytest.mark.parametrize("members", [[("Ann", 1)], [(me.id, me.attr["age"])], []])
def test_a_list_of_several_columns_at_once_is_refused(members: list[Any], dialect: DialectName) -> None:
    """No store is given one as a parameter: SQLite would refuse each request, PostgreSQL's words have no type for it."""
    for where in (tuple_(Player.name, Player.limit).in_(members), tuple_(Player.name, Player.limit).not_in(members)):
        (found,) = check(declared(READ_ALL, allow("b", READ, where=where)), dialect=dialect)
        assert (found.severity, found.identifier) == ("error", "rule-parameter")
        assert "or_(and_(…), …)" in found.mend


def test_a_rule_that_reads_may_name_what_nobody_writes() -> None:
    """`READ | UPDATE` on a read-only expression reads it, and that is clear."""
    assert "rule-field-readonly" not in identifiers(declared(allow("a", READ | UPDATE, fields=["name", "shout"])))


def test_another_table_enters_a_rule_through_a_relation_only() -> None:
    """A second table in FROM would multiply rows; the compiler refuses it, for rules of actions too."""
    assert the("rule-other-table", declared(READ_ALL, allow("b", READ, where=Team.captain == me.id))).place.startswith(
        "/players, rule 2: allow(b, READ)"
    )
    api = declared(READ_ALL)
    api.action(Player, "cheer", allow("a", where=Team.captain == "x"))(lambda call, row: None)
    assert the("rule-other-table", api).place.startswith("POST /players/{id}/cheer, rule 1")


def test_a_relation_of_another_model_does_not_lead_to_this_row() -> None:
    """`Team.players.any(…)` on Player asks about any player of any team: it would let everybody read every row."""
    found = the("rule-own-table", declared(READ_ALL, allow("b", READ, where=Team.players.any(Player.name == me.id))))
    assert (found.severity, found.place) == ("error", "/players, rule 2: allow(b, READ)")
    back = Player.team.has(Team.players.any(Player.name == me.id))
    assert identifiers(declared(READ_ALL, allow("b", READ, where=back)), severity="error") == []


def test_a_written_value_stands_on_its_own() -> None:
    """`set=` with another column has no row to take it from."""
    for value in (Player.name, func.lower(Player.name)):
        api = declared(READ_ALL, allow("b", CREATE, fields=["name"], set={Player.nick: value}))
        assert identifiers(api, severity="error") == ["value-form"]
    api = declared(READ_ALL, allow("b", CREATE, fields=["name"], set={Player.nick: func.lower("X")}))
    assert identifiers(api, severity="error") == []
