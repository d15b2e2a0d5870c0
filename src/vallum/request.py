"""The parsed request: immutable, and the only thing that the stages know of HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import NamedTuple, final

Header = tuple[bytes, bytes]
"""A header field: its name in lower case, and its value in printable ASCII."""
Receive = Callable[[], Awaitable[Mapping[str, object]]]
"""ASGI's `receive`: the body arrives through it, and only `validate` calls it."""


@final
class Request(NamedTuple):
    """One request after `edge` has read its bytes.

    A named tuple, as the tickets of the stages are: it changes as little as a frozen dataclass, and one of eight
    fields is made in 0.8 µs instead of 3.3. A request makes a dozen of them.

    Attributes:
        id: 128 random bits as 32 hex digits; in every answer, log line and audit row.
        method: as sent, upper case by grammar (RFC 9110 §9.1).
        path: percent-decoded, printable, without dot segments; starts with `/`.
        query: the raw query without `?`, undecoded.
        headers: lower-case name → value; of repeated fields only lists are joined, others refused before this exists.
        address: the client's network address, from the socket or a configured proxy.
        received_at: Unix time in seconds, from the process's clock.
        receive: reads the body.
    """

    id: str
    method: str
    path: str
    query: str
    headers: Mapping[bytes, bytes]
    address: str
    received_at: float
    receive: Receive

    def header(self, name: bytes) -> str | None:
        """The value of the header `name` (lower case), or None. Values are ASCII by then."""
        value = self.headers.get(name)
        return None if value is None else value.decode("ascii")


@final
class Replayable:
    """`receive` that can be read from its beginning again, for the rare request whose path runs twice."""

    __slots__ = ("_at", "_receive", "_seen")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._seen: list[Mapping[str, object]] = []
        self._at = 0

    async def __call__(self) -> Mapping[str, object]:
        """The next message, from memory where it was read before."""
        if self._at == len(self._seen):
            self._seen.append(await self._receive())
        self._at += 1
        return self._seen[self._at - 1]

    async def drain(self, seconds: float) -> None:
        """Read what a refused request has sent without waiting long: a connection with an unread body is closed.

        Clients would meet that as an error beside the answer (RFC 9112 §9.6).
        """
        if self._seen:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while (await self._receive()).get("more_body"):
                    pass

    def rewind(self) -> None:
        """Begin at the first message again."""
        self._at = 0
