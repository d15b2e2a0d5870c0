"""Stage 1, edge: transport, host, method, path, headers, declared size, floods. Cheapest checks first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from vallum.declare.route import Route
from vallum.request import Request


@final
@dataclass(frozen=True, slots=True)
class Admitted:
    """The bytes are a request that this service may look at.

    Attributes:
        request: the parsed request.
        route: what stands at the path, or None; only `authorise` says so to the caller.
        keys: the texts that stand in the path's `{…}`, in order.
    """

    request: Request
    route: Route | None
    keys: tuple[str, ...]
