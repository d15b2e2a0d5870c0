"""Two processes: what a command changes counts for the server's next request, under load, whatever is cached there."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Iterator

import pytest
from tests.path.load import Load, library
from tests.unit.serve.served import Served, vallum

from tests import stores
from vallum.store import principals

AFTER_SECONDS = 0.3


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with library(tmp_path_factory.mktemp("library")) as running:
        yield running


def command(server: Served, *arguments: str) -> None:
    """`vallum user …` in this process, which is not the server's; over when this returns."""
    done = server.run("user", *arguments)
    assert done.code == 0, done.err


def switched(load: Load, server: Served, *arguments: str) -> tuple[set[int], set[int]]:
    """Statuses of the requests that ended before the command began, and of those that began after it ended."""
    with load:
        time.sleep(AFTER_SECONDS)
        began = time.time()
        command(server, *arguments)
        ended = time.time()
        time.sleep(AFTER_SECONDS)
    answered = [one for one in load.asked if one.status]
    before = {one.status for one in answered if one.ended < began}
    between = {one.status for one in answered if one.ended >= began and one.began <= ended}
    after = {one.status for one in answered if one.began > ended}
    assert between <= before | after, "nobody meets anything else while it changes"
    return before, after


@pytest.mark.parametrize(
    ("name", "method", "path", "on", "allowed", "off", "denied"),
    [
        ("rita", "GET", "/loans?count=exact", "reader", 200, "writer", 403),
        ("walt", "GET", "/books/2", "writer", 200, "reader", 404),
        ("both", "POST", "/books", "writer", 201, "reader", 403),
    ],
)
def test_under_load_the_next_request_is_decided_by_the_new_state(
    server: Served, name: str, method: str, path: str, on: str, allowed: int, off: str, denied: int
) -> None:
    """A list, an item and a write, asked all the time: none that begins after the command meets the old state."""
    command(server, "change", name, "--role", on, "--plan", "load")
    token = server.token(name)

    def load() -> Load:
        return Load(server, token, method, path, "x", (lambda mark: {"title": mark}) if method == "POST" else None, 2)

    assert switched(load(), server, "change", name, "--role", off) == ({allowed}, {denied})
    assert switched(load(), server, "change", name, "--role", on) == ({denied}, {allowed})
    assert switched(load(), server, "disable", name) == ({allowed}, {401})
    assert switched(load(), server, "enable", name) == ({401}, {allowed})
    assert switched(load(), server, "revoke-tokens", name) == ({allowed}, {401})


def test_a_refused_write_is_not_in_the_table(server: Served) -> None:
    """The first request after the operator's command took the role is the write: 403, and the table is as it was."""
    writer, admin = server.token("wim"), server.token("ada")
    assert server.ask("POST", "/books", writer, {"title": "kept"})[0] == 201
    done = vallum("user", "change", "wim", "--role", "reader", cwd=server.place, **server.settings)
    assert done.returncode == 0, done.stderr
    assert server.ask("POST", "/books", writer, {"title": "lost"})[0] == 403
    command(server, "change", "wim", "--role", "writer")
    _, _, body = server.ask("GET", "/books?title[in]=kept,lost&fields=title", admin)
    assert json.loads(body)["items"] == [{"title": "kept"}]


def test_fifty_changes_in_a_row_each_count_at_once(server: Served) -> None:
    """On one connection that stays open, by a writer that needs no start-up time: attributes, roles, plan."""
    headers = {"Authorization": f"Bearer {server.token('tom')}"}
    connection = http.client.HTTPSConnection("localhost", server.port, context=server.context(), timeout=20)
    with contextlib.closing(connection), stores.opened(server.place / "data") as file:

        def asked(path: str) -> tuple[int, bytes, str]:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers["ratelimit-policy"]

        for number in range(25):
            shelf = 1 + number % 2
            plan, hour = (("default", "q=10000;"), ("load", "q=10000000;"))[number % 2]
            file.write(principals.alter("tom", "sqlite", roles=["reader"], attributes={"shelf": shelf}, plan=plan))
            status, body, policy = asked("/books?price[gt]=0&fields=title")
            assert status == 200, body
            titles = [row["title"] for row in json.loads(body)["items"]]
            assert titles == (["Amber", "Elm"] if shelf == 1 else ["Birch", "Dune"])
            assert hour in policy
            file.write(principals.alter("tom", "sqlite", roles=[]))
            assert asked("/books")[0] == 403
