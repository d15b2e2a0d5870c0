"""A reply for each HTTP request of an ASGI server; `worker` adds the lifespan."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, final

from vallum.pipeline import answer
from vallum.request import Receive
from vallum.respond.stage import GONE
from vallum.serve.hang_ups import HangUps
from vallum.serve.wire import Service

Send = Callable[[Mapping[str, Any]], Awaitable[None]]


@final
class Application:
    """`await application(scope, receive, send)`, for one request."""

    def __init__(self, service: Service, clock: Callable[[], float] = time.time) -> None:
        self.service = service
        self.hang_ups = HangUps()
        self._clock = clock

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request. Websockets are not answered: the server has them switched off."""
        if scope["type"] != "http":
            return
        read = self.hang_ups.begin(scope, receive)
        try:
            reply = await answer(scope, receive, self.service.pipeline, self._clock())
        except asyncio.CancelledError:
            if not self.hang_ups.end(read):
                raise
            reply = GONE
        finally:
            self.hang_ups.end(read)
        await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
        await send({"type": "http.response.body", "body": reply.body})
