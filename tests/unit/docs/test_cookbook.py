"""docs/rules-cookbook.md: each recipe is a sound declaration, and each line below it is what is answered."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session
from tests.pages import DOCS
from tests.path.small import NOON
from tests.path.test_authenticate import change

from vallum import API
from vallum.authorise.checks import check
from vallum.cli.explain import Asked, explained
from vallum.crypto import api_key
from vallum.edge.routes import RouteTable
from vallum.serve.database import command_database
from vallum.store import api_keys, principals
from vallum.store.api_keys import Limits
from vallum.testing import ORIGIN, Answer, Client, create_database
from vallum.testing.wire import freshness, scope_of

PAGE = (DOCS / "rules-cookbook.md").read_text(encoding="utf-8")
SHARED, *RECIPES = re.split(r"^## ", PAGE, flags=re.MULTILINE)
LINE = re.compile(r"(\w+)(?:@([\d.]+))?(?:/(\w+))?\s+([A-Z]+)\s+(/\S+)(?:\s+(\{.*?\}))?\s+(\d{3})(?:\s+(.+))?")
MINUTES = re.compile(r"(\d+)min")
VERDICTS = {
    "200": "allowed",
    "201": "allowed",
    "204": "allowed",
    "401": "refused",
    "403": "refused",
    "404": "not found",
}
VERDICTS["405"] = "refused"
BEYOND_RULES = {"state_forbidden", "eve        DELETE  /articles/2    403 forbidden"}
"""Of the answer to a line, or the line: what hangs on the body, and a token without the time of its login."""


def block(text: str, language: str) -> str:
    """The one block of that language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return str(found)


def shared() -> dict[str, Any]:
    """The models, the rows and the people of the page."""
    names: dict[str, Any] = {"__name__": "cookbook"}
    exec(compile(block(SHARED, "python"), "rules-cookbook.md", "exec", dont_inherit=True), names)  # noqa: S102  # our own page
    return names


@pytest.fixture(scope="module")
def kitchen() -> dict[str, Any]:
    """Executed once: a class can be mapped once."""
    return shared()


def seed(names: dict[str, Any]) -> Callable[[Session], None]:
    """What fills a database with the rows of the page."""

    def fill(db: Session) -> None:
        for row in names["rows"](datetime.fromtimestamp(NOON, UTC)):
            db.add(row)
            db.flush()

    return fill


@pytest.fixture(scope="module")
def filled(kitchen: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of all models and people, which each recipe copies."""
    api = API("All", roles=kitchen["ROLES"], attributes={"house": int, "clearance": int})
    for model in ("Article", "Event", "Booking"):
        api.resource(kitchen[model])
    for name, (roles, attributes) in kitchen["people"].items():
        api.accounts.add(name, roles=roles, attributes=attributes)
    data = tmp_path_factory.mktemp("cookbook") / "data"
    create_database(api, data, seed(kitchen), clock=lambda: NOON - 86_400)
    return data


class Caller:
    """Callers of one recipe, as the page writes them."""

    def __init__(self, api: API, data: Path, keys: Mapping[str, str]) -> None:
        self.keys = keys
        self.stranger = Client(api, None, data, lambda: NOON)

    def credential(self, name: str, limit: str | None) -> dict[str, str]:
        """A token, with a scope or the time of a login; or an API key."""
        if name == "nobody":
            return {}
        if limit == "key":
            return {"x-api-key": self.keys[name]}
        claims: dict[str, Any] = {}
        minutes = MINUTES.fullmatch(limit or "")
        if minutes is not None:
            claims["auth_time"] = int(NOON) - 60 * int(minutes[1])
        elif limit is not None:
            claims["scopes"] = [limit]
        issued = self.stranger.service.keyring.issue(
            name, issuer=ORIGIN, audience=ORIGIN, lifetime_seconds=900, **claims
        )
        return {"authorization": f"Bearer {self.stranger._running.run(issued)}"}

    def ask(self, match: re.Match[str]) -> Answer:
        """The request of a line."""
        name, address, limit, method, path, body, *_ = match.groups()
        headers = {"host": "testserver", **freshness(NOON), **self.credential(name, limit)}
        content = (body or "").encode()
        if content:
            kind = "merge-patch+json" if method == "PATCH" else "json"
            headers |= {"content-type": f"application/{kind}", "content-length": str(len(content))}
        if method == "PATCH":
            headers["if-match"] = "*"
        where, _, query = path.partition("?")
        scope = scope_of(method, where, query, [(k.encode(), v.encode()) for k, v in headers.items()])
        if address is not None:
            scope["client"] = (address, 50_000)
        return self.stranger.send(scope, content)


def assert_explained(api: API, data: Path, match: re.Match[str], line: str) -> None:
    """`vallum explain` says of the request before it is sent what will be answered, where the rules decide that."""
    name, address, limit, method, path, _, status, answered = match.groups()
    if limit not in (None, "key") or status not in VERDICTS or {answered, line} & BEYOND_RULES:
        return
    asked = Asked(method, path, None if name == "nobody" else name, address or "192.0.2.1", NOON)
    with command_database(None, data) as database:
        lines = explained(api, RouteTable(api.routes.values()), database, asked)
    verdicts = {told.verdict for told in lines if told.depth == 0} - {""}
    assert verdicts == {VERDICTS[status]}, (line, lines)


def assert_answered(answer: Answer, status: str, expected: str | None, line: str) -> None:
    """The status; the keys of a list, a part of an object, or a code."""
    assert answer.status_code == int(status), (line, answer.text)
    if expected is None:
        return
    body = answer.json()
    if expected.startswith("["):
        assert [row["id"] for row in body["items"]] == json.loads(expected), line
    elif expected.startswith("{"):
        wanted = json.loads(expected)
        assert {key: body[key] for key in wanted} == wanted, line
    else:
        assert body["code"] == expected, (line, answer.text)


def test_there_are_enough_recipes() -> None:
    """Numbered one after the other."""
    numbers = [int(recipe.partition(".")[0]) for recipe in RECIPES]
    assert numbers == list(range(1, len(RECIPES) + 1))
    assert len(numbers) >= 15


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.partition("\n")[0].replace(" ", "-"))
def test_a_recipe_does_what_is_said(recipe: str, kitchen: dict[str, Any], filled: Path, tmp_path: Path) -> None:
    """It can be served as it stands, and each request is explained and answered so."""
    names = dict(kitchen)
    exec(compile(block(recipe, "python"), "recipe", "exec", dont_inherit=True), names)  # noqa: S102  # our own page
    api: API = names["api"]
    assert check(api, dialect="sqlite") == []
    data = tmp_path / "data"
    shutil.copytree(filled, data)
    keys = {account.name: api_key.generate() for account in api.accounts.declared.values()}
    for account in api.accounts.declared.values():  # as `db create` makes them, then `key add`
        change(data, principals.add(account, "user", NOON - 86_400, "sqlite"))
        change(data, api_keys.add(account, keys[account.name], Limits(), NOON - 86_400, "sqlite"))
    callers = Caller(api, data, {name: key.text for name, key in keys.items()})
    with callers.stranger:
        for line in block(recipe, "text").splitlines():
            match = LINE.fullmatch(line.rstrip())
            assert match, line
            assert_explained(api, data, match, line)
            assert_answered(callers.ask(match), match[7], match[8], line)
