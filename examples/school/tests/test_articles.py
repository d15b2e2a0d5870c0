"""Articles: written by teachers and the head, read by all whom the school knows, and by programs with a key."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests import stores
from vallum.crypto import api_key
from vallum.declare.accounts import Account
from vallum.store import api_keys
from vallum.store.api_keys import Limits
from vallum.testing import Client

Calling = Callable[[str | None], Client]

LOST = {"title": "Lost", "body": "A blue cup.", "topic": "canteen"}


def change(caller: Client, path: str, body: dict[str, Any]) -> int:
    """The status of a PATCH that knows the present state, as far as the caller can see it."""
    etag = caller.get(path).headers.get("ETag", '"unseen"')
    return caller.patch(path, json=body, headers={"If-Match": etag}).status_code


def test_the_author_is_who_writes(client: Calling) -> None:
    """The server sets the author; a body that names one is refused."""
    teacher = client("teacher-1")
    created = teacher.post("/articles", json=LOST)
    assert created.status_code == 201
    assert created.json()["author"] == "teacher-1"
    assert teacher.post("/articles", json={**LOST, "author": "head-1"}).status_code == 422


def test_a_draft_comes_out_when_its_author_says_so(client: Calling) -> None:
    """Before, it exists for the author and the head; from its hour on, for everybody."""
    author, reader = client("teacher-1"), client("student-1")
    assert reader.get("/articles/2").status_code == 404
    assert client("teacher-2").get("/articles/2").status_code == 404
    assert client("head-1").get("/articles/2").status_code == 200
    hour = datetime.now(UTC) - timedelta(minutes=1)
    assert change(author, "/articles/2", {"published_at": hour.isoformat()}) == 200
    assert reader.get("/articles/2").status_code == 200
    assert change(author, "/articles/2", {"published_at": None}) == 200
    assert reader.get("/articles/2").status_code == 404


def test_an_article_of_tomorrow_waits(client: Calling) -> None:
    """An hour in the future publishes nothing yet."""
    hour = datetime.now(UTC) + timedelta(hours=1)
    created = client("teacher-1").post("/articles", json={**LOST, "published_at": hour.isoformat()})
    assert created.status_code == 201
    assert client("student-1").get(created.headers["Location"]).status_code == 404


def test_nobody_writes_under_another_name(client: Calling) -> None:
    """What is read is not written: 403; what is not even read: 404. No author is changed, nor given away."""
    assert change(client("teacher-2"), "/articles/1", {"title": "Mine"}) == 403
    assert change(client("teacher-2"), "/articles/2", {"title": "Mine"}) == 404
    assert change(client("head-1"), "/articles/1", {"title": "Mine"}) == 403
    assert change(client("student-1"), "/articles/1", {"title": "Mine"}) == 403
    assert change(client("teacher-1"), "/articles/1", {"author": "teacher-2"}) == 422
    assert client("head-1").get("/articles/1").json()["title"] == "Concert"


def test_a_program_reads_what_is_published(data: Path, client: Calling) -> None:
    """With an API key of the plan `reader`: the articles that are out, no author, a thousand an hour; nothing else at all."""
    key = api_key.generate()
    account = Account("mirror", frozenset({"reader"}), {}, "reader")
    with stores.opened(data) as file:
        file.write(api_keys.add(account, key, Limits(), time.time(), "sqlite"))
    stranger, shown = client(None), {"X-API-Key": key.text}
    answer = stranger.get("/articles", headers=shown)
    assert [row["id"] for row in answer.json()["items"]] == [1, 3]
    assert set(answer.json()["items"][0]) == {"id", "title", "body", "topic", "published_at"}
    assert answer.headers["RateLimit-Policy"] == '"hour";q=1000;w=3600,"day";q=10000;w=86400'
    assert [stranger.get(f"/articles/{number}", headers=shown).status_code for number in (1, 2, 4)] == [200, 404, 404]
    assert stranger.get("/articles?author=head-1", headers=shown).status_code == 400
    assert stranger.get("/students", headers=shown).status_code == 403
    told = stranger.get("/limits", headers=shown).json()
    assert (told["account"], told["plan"]) == ("mirror", "reader")
    assert [(cost["method"], cost["path"]) for cost in told["costs"]] == [
        ("GET", "/articles"),
        ("GET", "/articles/{id}"),
    ]


def test_topics_are_words(client: Calling) -> None:
    """An enum is its value on the wire, in filters too; any other word is a fault."""
    student = client("student-1")
    found = student.get("/articles", params={"topic": "news"}).json()["items"]
    assert [(row["id"], row["topic"]) for row in found] == [(3, "news")]
    assert student.get("/articles", params={"topic": "NEWS"}).status_code == 400
    assert client("teacher-1").post("/articles", json={**LOST, "topic": "gossip"}).status_code == 422
