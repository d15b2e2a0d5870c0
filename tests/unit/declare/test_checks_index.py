"""The index that a rule needs."""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, exists, or_, select
from sqlalchemy.orm import aliased
from tests.unit.declare.players import READ_ALL, Player, Team, declared, identifiers, the

from vallum.declare.checks import check_api
from vallum.declare.policy import CREATE, DELETE, READ, UPDATE, allow, deny, me


def needed(where: Any, operations: Any = READ) -> list[str]:
    """The lines that are asked for."""
    found = check_api(declared(allow("a", operations, where=where)), dialect="sqlite")
    return [f.mend.partition(" run: ")[2] for f in found if f.identifier == "rule-index"]


def test_an_index_serves_each_comparison_with_the_caller() -> None:
    """On the row's own table and behind a relation; an index, a unique column or the key will do."""
    assert needed(Player.account == me.id) == []
    assert needed(Player.nick == me.id) == ["CREATE INDEX ix_players_nick ON players (nick);"]
    assert needed(me.attr["word"] == Player.nick) == ["CREATE INDEX ix_players_nick ON players (nick);"]
    assert needed(Player.team.has(Team.name == me.id)) == []
    assert needed(Player.team.has(Team.captain == me.id)) == ["CREATE INDEX ix_teams_captain ON teams (captain);"]
    assert needed(or_(Player.account == me.id, and_(Player.nick == me.id, Player.limit > 1))) != []
    assert needed(Player.nick == "constant") == []


def test_an_index_serves_each_relation() -> None:
    """The foreign key has to lead one that covers all rows."""
    assert needed(Player.second.has(Team.name == "x")) == ["CREATE INDEX ix_players_second_id ON players (second_id);"]
    both = or_(Player.team.has(Team.name == "x"), Player.second.has(Team.name == "y"))
    assert needed(both) == ["CREATE INDEX ix_players_second_id ON players (second_id);"]
    other = aliased(Player)
    same_nick = exists(select(other.id).where(other.nick == Player.name, other.id > 5))
    assert needed(same_nick, UPDATE) == ["CREATE INDEX ix_players_nick ON players (nick);"]


def test_a_row_that_is_found_by_its_key_needs_no_index_of_its_own() -> None:
    """A change reads one row; only what its rule looks up elsewhere has to be quick."""
    for operations in (UPDATE, CREATE, DELETE):
        assert needed(Player.nick == me.id, operations) == []
        assert needed(Player.second.has(Team.captain == me.id), operations) == []
    assert needed(Player.nick == me.id, UPDATE | READ) != []


def test_an_index_that_would_find_nothing_is_not_asked_for() -> None:
    """A deny looks at rows that an allow has found; yes and no are no way to find rows."""
    assert needed(Player.active == me.attr["flag"]) == []
    denied = declared(READ_ALL, deny("a", READ, where=Player.nick == me.id))
    assert identifiers(denied) == []
    behind = declared(READ_ALL, deny("a", READ, where=exists().where(Team.captain == Player.nick)))
    assert identifiers(behind) == ["rule-index"]


def test_a_missing_index_stops_a_server_and_warns_a_file() -> None:
    """An error on PostgreSQL, a warning on SQLite."""
    api = declared(allow("a", READ, where=Player.nick == me.id))
    assert the("rule-index", api, "sqlite").severity == "warning"
    assert the("rule-index", api, "postgresql").severity == "error"
