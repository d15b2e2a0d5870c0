"""Drawn APIs as they are served: the whole pipeline on SQLite and on PostgreSQL, with another API for each case.

The databases, accounts, keys and connections are made once. A case changes what depends on the API: routes, compiled
rules, models and statements.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar, final

from sqlalchemy.orm import Session
from tests.property.models import NOW, Tables
from tests.property.policies import empty_api, open_policy
from tests.property.schemas import Schema, schema

from vallum.authorise.conditions import RequestFacts
from vallum.authorise.evaluator import CallerValues
from vallum.authorise.stage import Policy
from vallum.crypto import api_key
from vallum.declare.accounts import Account
from vallum.declare.app import API
from vallum.edge.routes import RouteTable
from vallum.execute.frame import Plans
from vallum.pipeline import Pipeline, answer
from vallum.serve.wire import Place, build_service
from vallum.store import api_keys
from vallum.store.ports import Script, WithSession
from vallum.store.postgres_address import parse
from vallum.testing import ORIGIN, Answer, Failures, Headers, create_database
from vallum.testing.wire import dumped, receiver, scope_of
from vallum.validate.models import Models

T = TypeVar("T")

CAST: Final = (
    CallerValues("a", frozenset({"a"}), {"organisation": 1, "region": "a", "external": True}),
    CallerValues("anna", frozenset({"ab", "anna"}), {"organisation": 2, "region": "A", "external": False}),
    CallerValues("ab", frozenset({"a", "ab", "anna"}), {"organisation": 1, "region": "", "external": True}),
    CallerValues("A", frozenset({"a", "ab"}), {"organisation": 1}),
    CallerValues("aB", frozenset({"ab"}), {"region": "ab", "external": False}),
    CallerValues("50%", frozenset({"anna"}), {"organisation": 0, "region": "50%"}),
)
KEYED: Final = tuple(
    CallerValues(name, frozenset({"a", "anna"}), {"organisation": 1, "region": "x/y", "external": False})
    for name in ("x/y", "a_b", "b")
)
"""Callers with an API key, one for each of the scopes."""
NOBODY: Final = CallerValues(None)
ADDRESSES: Final = ("192.0.2.1", "192.0.2.200", "2001:db8::1", "203.0.113.9")
SCOPES: Final = (None, frozenset({"read"}), frozenset({"write"}))
LOGINS: Final = (None, 60, 7200)
"""Seconds between the login and the request."""


@final
@dataclass(frozen=True)
class Visitor:
    """A caller with a credential at an address.

    Attributes:
        login: seconds between the login and the request; None where the token does not say.
    """

    caller: CallerValues
    scopes: frozenset[str] | None
    login: int | None
    address: str

    @property
    def facts(self) -> RequestFacts:
        """What `when=` asks about."""
        now = NOW.timestamp()
        if self.caller is NOBODY:
            return RequestFacts(None, None, None, self.address, now)
        if self.caller in KEYED:
            return RequestFacts("key", None, SCOPES[KEYED.index(self.caller)], self.address, now)
        return RequestFacts("token", None if self.login is None else now - self.login, self.scopes, self.address, now)


@final
class Store:
    """One database with a service on it."""

    def __init__(self, place: Path, schemas: Sequence[Schema], url: str | None) -> None:
        api = empty_api(tenant=False)
        for found in schemas:
            for model in found.models:
                api.resource(model)
        for caller in CAST:
            if caller.id is not None:
                api.accounts.add(caller.id, roles=caller.roles, attributes=caller.attributes)
        create_database(api, place, clock=NOW.timestamp, database=url)
        self.journal = Failures()
        there = Place(
            data=place,
            dev=True,
            public_url=ORIGIN,
            allowed_hosts=("testserver",),
            database=None if url is None else parse(url),
            address_per_second=1e6,
            address_burst=10**9,
        )
        self.service = build_service(api, there, self.journal, NOW.timestamp)
        self.credentials: dict[tuple[Any, ...], dict[str, str]] = {}

    async def start(self) -> None:
        """Open the database and make every credential. Counters and audit are not what is looked at."""
        await self.service.database.start()
        for caller in CAST:
            for scopes in SCOPES:
                for login in LOGINS:
                    more = {} if login is None else {"auth_time": NOW.timestamp() - login}
                    token = await self.service.keyring.issue(
                        str(caller.id),
                        issuer=ORIGIN,
                        audience=ORIGIN,
                        lifetime_seconds=600,
                        scopes=scopes or (),
                        **more,
                    )
                    self.credentials[caller.id, scopes, login] = {"authorization": f"Bearer {token}"}
        database = self.service.database
        for caller, scopes in zip(KEYED, SCOPES, strict=True):
            made = api_key.generate()
            account = Account(str(caller.id), caller.roles, caller.attributes, "default")
            limits = api_keys.Limits(scopes)
            await database.write(api_keys.add(account, made, limits, NOW.timestamp(), database.dialect))
            for each, login in itertools.product(SCOPES, LOGINS):
                self.credentials[caller.id, each, login] = {"x-api-key": made.text}

    async def fill(self, rows: Tables) -> None:
        """Make these the only rows of their tables."""

        def work(db: Session) -> None:
            for table in reversed(rows):
                db.execute(table.delete())
            for table, listed in rows.items():
                if listed:
                    db.execute(table.insert(), listed)

        def script() -> Script[None]:
            yield WithSession(work)

        await self.service.database.write(script)

    def serving(self, api: API) -> Pipeline:
        """The pipeline of this service, with another API."""
        pipeline, models = self.service.pipeline, Models()
        return replace(
            pipeline,
            edge=replace(pipeline.edge, routes=RouteTable([*api.routes.values()])),
            policy=Policy(api, self.service.database.dialect),
            validation=replace(pipeline.validation, models=models),
            execution=replace(pipeline.execution, models=models, plans=Plans()),
        )

    async def ask(
        self, pipeline: Pipeline, visitor: Visitor, method: str, path: str, query: str = "", body: Any = None
    ) -> Answer:
        """One request from bytes to bytes."""
        sent = {"host": "testserver", **self.credentials.get((visitor.caller.id, visitor.scopes, visitor.login), {})}
        content = b"" if body is None else dumped(body)
        if body is not None:
            sent["content-type"] = "application/merge-patch+json" if method == "PATCH" else "application/json"
            sent["content-length"] = str(len(content))
        if method == "PATCH":
            sent["if-match"] = "*"
        scope = scope_of(method, path, query, [(k.encode(), v.encode()) for k, v in sent.items()])
        scope["client"] = (visitor.address, 50_000)
        reply = await answer(scope, receiver(content), pipeline, NOW.timestamp())
        if reply.status == 500:
            raise self.journal.errors.pop()
        return Answer(reply.status, Headers(reply.headers), reply.body)


@final
class Both:
    """Both stores, asked the same."""

    def __init__(self, places: Sequence[Path], url: str, schemas: int) -> None:
        self.loop = asyncio.new_event_loop()
        found = [schema(number) for number in range(schemas)]
        self.stores = [Store(place, found, there) for place, there in zip(places, (None, url), strict=True)]
        self.run(self.each([store.start() for store in self.stores]))
        self.opened: dict[Schema, Asking] = {}
        self.native: Any = None  # a connection to the second database, for what goes round the pipeline

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """To its end."""
        return self.loop.run_until_complete(work)

    async def each(self, work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
        """At the same time."""
        return await asyncio.gather(*work)

    async def fill(self, rows: Tables) -> None:
        """See `Store.fill`."""
        await self.each([store.fill(rows) for store in self.stores])

    def opening(self, schema: Schema) -> Asking:
        """An API that shows everything to everybody."""
        if schema not in self.opened:
            self.opened[schema] = Asking(self, open_policy(schema), Visitor(NOBODY, None, None, ADDRESSES[0]))
        return self.opened[schema]

    def close(self) -> None:
        """Let the databases go."""
        self.run(self.each([store.service.database.stop() for store in self.stores]))
        self.loop.close()


@final
class Asking:
    """A case: an API on both stores, asked by one visitor."""

    def __init__(self, both: Both, api: API, visitor: Visitor) -> None:
        self.both = both
        self.api = api
        self.visitor = visitor
        self.pipelines = [store.serving(api) for store in both.stores]

    async def ask(self, method: str, path: str, query: str = "", body: Any = None) -> Answer:
        """The answer of both, after seeing that it is one."""
        return (await self._asked(method, path, [query, query], body))[0]

    async def pages(self, path: str, query: str) -> list[Answer]:
        """All pages of a list; each store goes on with its own cursor."""
        found, queries = [], [query, query]
        while True:
            answers = await self._asked("GET", path, queries, None)
            found.append(answers[0])
            after = [answer.json().get("next") for answer in answers]
            if after[0] is None:
                return found
            queries = [f"{query}&after={cursor}" for cursor in after]

    async def _asked(self, method: str, path: str, queries: Sequence[str], body: Any) -> list[Answer]:
        here, there = await self.both.each(
            [
                store.ask(pipeline, self.visitor, method, path, query, body)
                for store, pipeline, query in zip(self.both.stores, self.pipelines, queries, strict=True)
            ]
        )
        said = (method, path, queries, body, here.text, there.text)
        assert (here.status_code, plain(here)) == (there.status_code, plain(there)), said
        assert here.headers.get("etag") == there.headers.get("etag"), said
        return [here, there]


def plain(found: Answer) -> bytes:
    """The bytes, but for what is made anew for each answer."""
    if b'"request_id"' not in found.content and b'"next"' not in found.content:
        return found.content
    body = json.loads(found.content)
    for name in ("request_id", "next"):
        value = body.get(name)
        if isinstance(value, str):
            return found.content.replace(value.encode(), name.encode())
    return found.content
