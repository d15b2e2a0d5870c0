"""A row out of sight and a row that does not exist: the same statements, the same header fields, the same bytes.

Whatever a row's key can stand in: a path, a condition, a body, what a handler asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import ForeignKey, String, or_
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from tests.path.small import NOON, Clock

from tests import stores
from vallum import API, CREATE, DELETE, READ, UPDATE, Call, Plan, allow, me
from vallum.testing import Answer, Client

As = Callable[[str], Client]

pytestmark = pytest.mark.stores("sqlite", "postgresql")


class Base(DeclarativeBase):
    """All tables."""


class Team(Base):
    """Of one coach."""

    __tablename__ = "teams"

    id: Mapped[int] = mapped_column(primary_key=True)
    coach: Mapped[str] = mapped_column(String(20), index=True)


class Player(Base):
    """In a team, seen by its coach; a scout sees some of them, and not their names."""

    __tablename__ = "players"

    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[int] = mapped_column(ForeignKey("teams.id"), index=True)
    friend_id: Mapped[int | None] = mapped_column(ForeignKey("players.id"), index=True)
    name: Mapped[str] = mapped_column(String(20))
    fame: Mapped[int] = mapped_column(default=0)

    team: Mapped[Team] = relationship()


class Trade(BaseModel):
    """What an action is told."""

    name: str


api = API("League", roles=["coach", "scout"], plans={"default": Plan(burst="100000/s")})
own = Player.team.has(Team.coach == me.id)
api.resource(Team, allow("coach", READ, where=Team.coach == me.id), filters=["id"])
api.resource(
    Player,
    allow("coach", READ | CREATE | UPDATE | DELETE, where=own),
    allow("scout", READ, where=Player.fame > 5, fields=["id", "team_id", "friend_id", "fame"]),
    filters=["id", "team_id", "friend_id"],
)


@api.action(Player, "trade", allow("coach", where=or_(own, Player.fame > 3)), body=Trade)
def trade(call: Call, player: Player, body: Trade) -> Player:
    """Under another name."""
    player.name = body.name
    return player


@api.action(Player, "rest", allow("coach", where=own))
def rest(call: Call, player: Player) -> Player:
    """Without a body."""
    return player


class Named(BaseModel):
    """A key in a body."""

    id: int


@api.post("/found", allow("coach"), body=Named)
def found(call: Call, body: Named) -> dict[str, Any]:
    """By the caller's rules, and by the caller's Session."""
    return {"row": call.get(Player, body.id), "there": call.db.get(Player, body.id) is not None}


@api.post("/dropped", allow("coach"), body=Named)
def dropped(call: Call, body: Named) -> dict[str, Any]:
    """By a handler."""
    call.delete(Player, body.id)
    return {}


api.accounts.add("ann", roles=["coach"])
api.accounts.add("bob", roles=["coach"])
api.accounts.add("both", roles=["coach", "scout"])


def seed(db: Session) -> None:
    """Teams 1 of Ann's, 2 of Bob's, 3 of one who is both; nobody has 9."""
    db.add_all([Team(id=1, coach="ann"), Team(id=2, coach="bob"), Team(id=3, coach="both")])
    db.flush()
    db.add_all([Player(id=n, team_id=(n - 1) // 2 + 1, name=f"p{n}", fame=n) for n in range(1, 7)])


def made(place: Path, store: str) -> Path:
    """A data directory."""
    stores.create(api, place / "data", seed=seed, clock=lambda: NOON - 86_400, store=store)
    return place / "data"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, store: str) -> Iterator[As]:
    """`client("ann")`, for what changes nothing."""
    data = made(tmp_path_factory.mktemp("league"), store)
    with ExitStack() as stack:
        callers = {name: stack.enter_context(stores.client(api, name, data, Clock())) for name in MINE}
        yield callers.__getitem__


ANY = {"if-match": "*"}
MINE: Mapping[str, int] = {"ann": 1, "both": 5}
"""A row of the caller's own."""

# KEY stands for the key of a row out of sight, and of one that does not exist; OWN for one of the caller's.
PATHS: list[tuple[str, str, Any, Mapping[str, str], int]] = [
    ("GET", "/players/KEY", None, {}, 404),
    ("GET", "/players/KEY?fields=id", None, {"if-none-match": '"x"'}, 404),
    ("PATCH", "/players/KEY", {"fame": 2}, ANY, 404),
    ("PATCH", "/players/KEY", {"fame": 2}, {"if-match": '"x"'}, 404),
    ("PATCH", "/players/KEY", {"friend_id": None}, ANY, 404),
    ("DELETE", "/players/KEY", None, {}, 404),
    ("DELETE", "/players/KEY", None, {"if-match": '"x"'}, 404),
    ("POST", "/players/KEY/trade", {"name": "x"}, {}, 404),
    ("POST", "/players/KEY/trade", {"name": "x"}, {"idempotency-key": "once-KEY"}, 404),
    ("POST", "/players/KEY/rest", None, {}, 404),
    ("POST", "/found", {"id": "KEY"}, {}, 404),
    ("POST", "/dropped", {"id": "KEY"}, {}, 404),
    ("GET", "/players?id=KEY", None, {}, 200),
    ("GET", "/players?friend_id=KEY&count=exact", None, {}, 200),
    ("GET", "/players?friend_id[ne]=KEY&count=estimated", None, {}, 200),
    ("GET", "/players?id[in]=KEY,KEY", None, {}, 200),
    ("POST", "/players", {"team_id": "TEAM", "name": "x"}, {}, 422),
    ("POST", "/players", {"team_id": "TEAM", "name": "x"}, {"idempotency-key": "two-KEY"}, 422),
    ("POST", "/players", {"team_id": "OWN", "friend_id": "KEY", "name": "x"}, {}, 422),
    ("PATCH", "/players/OWN", {"team_id": "TEAM"}, ANY, 422),
    ("PATCH", "/players/OWN", {"friend_id": "KEY"}, ANY, 422),
    ("PATCH", "/players/OWN", {"friend_id": "KEY", "team_id": "TEAM", "fame": 3}, ANY, 422),
    ("GET", "/players?team_id=TEAM", None, {}, 200),
    ("GET", "/players?team_id[in]=TEAM,TEAM&count=exact&fields=id", None, {}, 200),
    ("GET", "/teams?id=TEAM", None, {}, 200),
    ("GET", "/teams/TEAM", None, {}, 404),
]


def told(answer: Answer) -> tuple[int, dict[str, str], bytes]:
    """Everything but what counts requests."""
    own = {"x-request-id", "ratelimit"}
    body = answer.content.replace(answer.headers["x-request-id"].encode(), b"")
    return answer.status_code, {k: v for k, v in answer.headers.items() if k not in own}, body


@pytest.mark.parametrize("name", MINE)
@pytest.mark.parametrize(("method", "path", "body", "headers", "status"), PATHS)
def test_out_of_sight_is_what_does_not_exist(
    client: As,
    statements: list[str],
    name: str,
    method: str,
    path: str,
    body: Any,
    headers: Mapping[str, str],
    status: int,
) -> None:
    """Four times in turns: what is remembered in between makes no difference either."""
    caller = client(name)

    def put(what: Any, key: int, team: int) -> Any:
        places = {"KEY": str(key), "TEAM": str(team), "OWN": str(MINE[name])}
        if isinstance(what, dict):
            own = {**places, "OWN": str((MINE[name] - 1) // 2 + 1)}
            return {k: int(own[v]) if v in own else v for k, v in what.items()}
        for word, value in places.items():
            what = what.replace(word, value)
        return what

    def ask(key: int, team: int) -> tuple[Any, list[str]]:
        statements.clear()
        given = {k: put(v, key, team) for k, v in headers.items()}
        sent = None if body is None else put(body, key, team)
        return told(caller.request(method, put(path, key, team), json=sent, headers=given)), list(statements)

    assert caller.get(f"/players/{MINE[name]}").status_code == 200
    ask(93, 92)  # statements are built, and are there from now on
    hidden, missing, again, once_more = ask(4, 2), ask(94, 9), ask(4, 2), ask(94, 9)
    assert hidden[0][0] == status, hidden
    assert hidden[1]
    assert (hidden, again) == (missing, once_more)
    assert hidden[0] == again[0]


def test_what_is_in_sight_is_another_matter(tmp_path: Path, store: str) -> None:
    """The cases above would all be 404 and 422 of a caller who sees nothing: with a row in sight they are carried out."""
    with stores.client(api, "ann", made(tmp_path, store), Clock()) as ann:
        for method, path, body, headers in (
            ("GET", "/players/2", None, {}),
            ("PATCH", "/players/2", {"fame": 2}, ANY),
            ("POST", "/players/2/trade", {"name": "x"}, {}),
            ("POST", "/players/2/rest", None, {}),
            ("POST", "/found", {"id": 2}, {}),
            ("POST", "/players", {"team_id": 1, "friend_id": 2, "name": "x"}, {}),
            ("PATCH", "/players/1", {"friend_id": 2, "team_id": 1}, ANY),
            ("GET", "/players?friend_id=2", None, {}),
        ):
            answer = ann.request(method, path, json=body, headers=headers)
            assert answer.status_code < 300, (path, answer.text)
        assert len(ann.get("/players?friend_id=2").json()["items"]) == 2
