"""The same list by somebody who knows where FastAPI's time goes.

One pure ASGI middleware for identity, limit and headers instead of dependencies and `@app.middleware`; tokens that were
verified are kept until they expire; the statement on sqlite3, inline; orjson; keyset pages; a response that is sent
as it is. Served by granian.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Annotated, Any

import jwt
import orjson
from fastapi import FastAPI, Query, Request, Response
from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

SECRET = os.environ["SECRET"]
LIMIT = parse(f"{os.environ['LIMIT']}/minute")
KEPT_TOKENS = 10_000
HEADERS = [
    (b"strict-transport-security", b"max-age=63072000"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]
PAGE = (
    'SELECT id, name, born, classroom_id, account, notes, "left" FROM students'
    " WHERE classroom_id IN (SELECT id FROM classrooms WHERE teacher_id = ?) AND id > ? ORDER BY id LIMIT ?"
)
COLUMNS = ("id", "name", "born", "classroom_id", "account", "notes", "left")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Scope]]
Send = Callable[[Scope], Awaitable[None]]


class Guard:
    """Who calls, how often, and the headers of every answer."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self.app = app
        self.limiter = FixedWindowRateLimiter(MemoryStorage())
        self.verified: dict[bytes, tuple[str, float]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def hardened(message: Scope) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        caller = self.caller(scope)
        if caller is None:
            await refuse(hardened, 401, (b"www-authenticate", b"Bearer"))
        elif not self.limiter.hit(LIMIT, caller):
            await refuse(hardened, 429, (b"retry-after", b"60"))
        else:
            scope["caller"] = caller
            await self.app(scope, receive, hardened)

    def caller(self, scope: Scope) -> str | None:
        shown = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        kept = self.verified.get(shown)
        if kept is not None and kept[1] > time.time():
            return kept[0]
        try:
            claims = jwt.decode(
                shown.removeprefix(b"Bearer "), SECRET, algorithms=["HS256"], options={"require": ["exp", "sub"]}
            )
        except jwt.InvalidTokenError:
            return None
        if "teacher" not in claims.get("roles", ()):
            return None
        if len(self.verified) >= KEPT_TOKENS:
            self.verified.clear()
        self.verified[shown] = (claims["sub"], claims["exp"])
        return claims["sub"]


async def refuse(send: Send, status: int, header: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [header]})
    await send({"type": "http.response.body", "body": b""})


app = FastAPI(openapi_url=None)
app.add_middleware(Guard)
cursor = sqlite3.connect(f"file:{os.environ['DATABASE']}?mode=ro", uri=True, isolation_level=None).cursor()


@app.get("/students")
async def students(request: Request, after: int = 0, limit: Annotated[int, Query(ge=1, le=100)] = 10) -> Response:
    rows = cursor.execute(PAGE, (request.scope["caller"], after, limit)).fetchall()
    items = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    body = orjson.dumps({"items": items, "next": items[-1]["id"] if len(items) == limit else None})
    return Response(body, media_type="application/json")
