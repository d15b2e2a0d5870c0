"""What start-up refuses, all together."""

from __future__ import annotations

import pytest
from sqlalchemy import and_, bindparam, or_, true
from tests.unit.declare.players import READ_ALL, Player, Team, declared, identifiers

from vallum.authorise.checks import check, check_policy
from vallum.declare.app import API
from vallum.declare.checks import check_api
from vallum.declare.checks_finding import refuse
from vallum.declare.errors import DeclarationError
from vallum.declare.policy import ANYONE, CREATE, DELETE, READ, UPDATE, allow, deny, me, now, today


def test_a_sound_declaration_has_no_finding() -> None:
    """Rules over rows, fields, relations and the clock, on both stores."""
    api = declared(
        allow("a", READ, where=or_(Player.account == me.id, Player.team.has(Team.name == me.attr["word"]))),
        allow("b", CREATE, fields=["name", "team_id", "nick"], set={Player.account: me.id, Player.born: today}),
        allow("b", UPDATE, where=and_(Player.born < today, Player.name.startswith("x")), fields=["name"]),
        allow(["a", ANYONE], DELETE, where=Player.deleted_at < now),
        deny("b", READ, fields=["extra"]),
        filters=["name"],
        sorts=["born"],
        soft_delete=Player.deleted_at,
    )
    api.resource(Team, READ_ALL)
    assert check(api, dialect="sqlite") == []
    assert check(api, dialect="postgresql") == []


def test_origins_are_exact() -> None:
    """No wildcard, no null, no path, no plain http but for a developer's own machine."""
    good = ["https://app.example.org", "https://app.example.org:8443", "http://localhost:5173"]
    bad = ["*", "null", "https://*.example.org", "http://app.example.org", "https://a.example/", "a.example", ""]
    api = API("Test", roles=["a"], cors=[*good, *bad])
    assert identifiers(api) == ["cors-origin"] * len(bad)


def test_errors_stop_start_up_all_at_once() -> None:
    """The first gives its identifier and place, the text lists each of them; warnings alone stop nothing."""
    api = declared(allow("c", READ), allow("a", READ, fields=["nmae"]), filters=["nmae"])
    with pytest.raises(DeclarationError) as caught:
        refuse(check_api(api, dialect="sqlite"), DeclarationError)
    assert caught.value.identifier == "filter-field"
    assert all(word in str(caught.value) for word in ("filter-field", "rule-role", "rule-field"))
    refuse([], DeclarationError)
    refuse(check(declared(allow("a", READ, where=Player.nick == me.id)), dialect="sqlite"), DeclarationError)


def test_the_compiler_is_asked_only_about_sound_declarations() -> None:
    """An unknown field is told as that, and not as what it does to the compiler."""
    api = declared(allow("a", READ, fields=["nmae"], where=Team.captain == "x"))
    assert identifiers(api) == ["rule-field"]
    assert [f.identifier for f in check_policy(declared(allow("a", READ, where=true())), dialect="sqlite")] == []


def test_a_warning_does_not_hide_what_does_not_compile() -> None:
    """Only an error keeps a declaration from the compiler."""
    api = declared(READ_ALL, allow("a", UPDATE, fields=["team_id"]), allow("b", READ, where=Team.captain == me.id))
    assert {"reference-unreadable", "rule-other-table"} <= {*identifiers(api)}


def test_a_missing_index_does_not_hide_what_does_not_compile() -> None:
    """Both are told at once."""
    api = declared(READ_ALL, allow("a", READ, where=and_(Player.nick == me.id, Player.name == bindparam("x"))))
    assert identifiers(api, "postgresql", severity="error") == ["rule-index", "rule-parameter"]


def test_more_rules_than_a_mask_has_bits() -> None:
    """Sixty-three conditions on one operation of one role set."""
    rules = [allow("a", READ, where=Player.limit == number) for number in range(63)]
    assert identifiers(declared(*rules[:62])) == []
    assert identifiers(declared(*rules)) == ["too-many-rules"]
