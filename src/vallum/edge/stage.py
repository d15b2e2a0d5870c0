"""Stage 1, edge: transport, host, method, path, headers, declared size, floods. Cheapest checks first.

Nothing here waits, hashes or asks a database, and nothing that a stranger can see depends on which
routes exist, except for public ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, final

from vallum import defaults
from vallum.declare.route import ErrorForm, Route
from vallum.edge.cors import Cors, Headers, preflight_headers
from vallum.edge.headers import body_length, read_headers, refuse_unsupported
from vallum.edge.host import check_host
from vallum.edge.media import check_accept, check_body
from vallum.edge.proxy import Proxy, client_address
from vallum.edge.routes import RouteTable
from vallum.edge.target import check_method, origin_form, read_path, read_query, shown
from vallum.refusals import ADDRESS_LIMITED, TARGET_TOO_LONG, Refusal
from vallum.request import Receive, Request


@final
class Admitted(NamedTuple):
    """The bytes are a request that this service may look at.

    Attributes:
        request: the parsed request.
        route: what stands at the path, or None; only `authorise` says so to the caller.
        keys: the texts that stand in the path's `{…}`, in order.
    """

    request: Request
    route: Route | None
    keys: tuple[str, ...]


@final
@dataclass(frozen=True, slots=True)
class Preflight:
    """A browser asks whether a page may call: answered 204 with these headers, and the way ends here."""

    request: Request
    headers: Headers


class AddressLimiter(Protocol):
    """The limits of a network address (`store.memory.AddressLimiter`)."""

    def admit(self, address: str, now: float) -> int | None:
        """Count one request; None, or the whole seconds to wait when it is one too many."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Edge:
    """What the stage needs, built once.

    Attributes:
        routes: every route of the service.
        hosts: from `allowed_hosts`.
        limiter: of network addresses.
        request_id: makes 128 random bits as 32 hex digits.
        proxy: what stands in front, or None.
        cors: the origins whose pages may call.
    """

    routes: RouteTable
    hosts: frozenset[bytes]
    limiter: AddressLimiter
    request_id: Callable[[], str]
    proxy: Proxy | None = None
    cors: Cors = field(default_factory=Cors)


def admit(scope: Mapping[str, Any], receive: Receive, edge: Edge, now: float) -> Admitted | Preflight:
    """Read an ASGI HTTP scope.

    Args:
        now: Unix seconds.

    Raises:
        Refusal: every reason of the table's edge section, except for those of a body as it arrives.
    """
    # 1. Who calls, and that it was over HTTPS.
    address = client_address(scope, edge.proxy)
    # 2. Floods.
    wait = edge.limiter.admit(address, now)
    if wait is not None:
        raise Refusal(ADDRESS_LIMITED, retry_after_seconds=wait)
    # 3. The header section, framing, host.
    raw_path, raw_query = scope.get("raw_path") or b"", scope["query_string"]
    if len(raw_path) + len(raw_query) > defaults.MAX_TARGET_BYTES:
        raise Refusal(TARGET_TOO_LONG)
    headers = read_headers(scope["headers"])
    length = body_length(headers, scope["http_version"])
    check_host(headers, edge.hosts)
    # 4. The request line.
    method: str = scope["method"]
    check_method(method)
    path = read_path(raw_path if raw_path[:1] == b"/" else origin_form(raw_path, headers[b"host"]))
    query = read_query(raw_query)
    # 5. What must not be ignored.
    refuse_unsupported(headers)
    # 6. The route.
    route, keys = edge.routes.find(path)
    # 7. The body as declared, and the answer as wanted.
    check_body(method, route, headers, length, edge.routes)
    if route is None or route.public is None:
        check_accept(headers.get(b"accept"))
    request = Request(edge.request_id(), method, shown(path), query, headers, address, now, receive)
    # 8. Pages of other origins.
    preflight = preflight_headers(method, headers, edge.cors)
    return Admitted(request, route, keys) if preflight is None else Preflight(request, preflight)


def error_form(scope: Mapping[str, Any], edge: Edge) -> ErrorForm:
    """How to refuse what :func:`admit` refused: by the route at the path, as far as there is one."""
    try:
        route, _ = edge.routes.find(read_path(scope.get("raw_path") or b""))
    except Refusal:
        return ErrorForm.PROBLEM
    return ErrorForm.PROBLEM if route is None else route.errors
