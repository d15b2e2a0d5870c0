"""What goes over the wire in a test: ASGI scopes and bodies in, answers out."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, final

from vallum.crypto.random import request_id

ADDRESS: Final = ("192.0.2.1", 50000)
"""Of documentation (RFC 5737); the client's."""
FRESHNESS: Final = frozenset({"x-request-timestamp", "x-request-nonce"})


@final
class Headers(Mapping[str, str]):
    """Header fields by name, in whatever case (RFC 9110 §5.1); repeated ones are joined."""

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        self._values: dict[str, str] = {}
        for name, value in pairs:
            key = name.decode().lower()
            present = self._values.get(key)
            self._values[key] = value.decode() if present is None else f"{present}, {value.decode()}"

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


@final
@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status_code: int
    headers: Headers
    content: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.content.decode()

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.content)


def freshness(now: float) -> dict[str, str]:
    """The header fields of a request that is made now: its time, and a nonce that no other request has."""
    return {"x-request-timestamp": str(int(now)), "x-request-nonce": request_id()}


def dumped(value: Any) -> bytes:
    """JSON in UTF-8."""
    return json.dumps(value).encode()


def scope_of(method: str, path: str, query: str, headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    """What an ASGI server would hand over."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": headers,
        "client": ADDRESS,
        "server": ("testserver", 443),
    }


def receiver(body: bytes) -> Callable[[], Awaitable[Mapping[str, object]]]:
    """A body that arrives at once."""
    messages: list[Mapping[str, object]] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Mapping[str, object]:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive
