"""What the service behind a built-in route answers, ready for `respond`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, final

from vallum.request import Header


@final
class Document(NamedTuple):
    """An answer of Vallum's own.

    Attributes:
        status: of HTTP.
        media_type: of the body; empty when there is none.
        body: as it is sent.
        headers: further fields. One that every answer has anyway (`cache-control`) takes its place.
    """

    status: int = 200
    media_type: str = ""
    body: bytes = b""
    headers: tuple[Header, ...] = ()


Service = Callable[[Any], Awaitable[Document]]
"""Called with an `execute.service.ServiceCall`, which this layer does not know; may raise a Refusal."""
