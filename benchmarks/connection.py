"""One TLS connection that is kept, and as little around it as possible: for thousands of requests one after the other."""

from __future__ import annotations

import socket
import ssl
import time
from typing import Final, NamedTuple, Self, final

from benchmarks.servers import Server

CHUNK: Final = 65_536
TIMEOUT_SECONDS: Final = 20.0


class Timed(NamedTuple):
    """An answer.

    Attributes:
        nanoseconds: from the first byte sent until the last one was there.
    """

    status: int
    head: bytes
    body: bytes
    nanoseconds: int


@final
class Connection:
    """To one server, as one caller."""

    def __init__(self, server: Server, token: str) -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # wrk does not look at it either
        plain = socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT_SECONDS)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = context.wrap_socket(plain, server_hostname="localhost")
        self._rest = f" HTTP/1.1\r\nHost: localhost:{server.port}\r\nAuthorization: Bearer {token}\r\n\r\n".encode()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, path: str) -> Timed:
        """One GET. The answer must have a `Content-Length`.

        Raises:
            SystemExit: the connection ended in the middle of it.
        """
        request = b"GET " + path.encode() + self._rest
        began = time.perf_counter_ns()
        self._socket.sendall(request)
        received = self._socket.recv(CHUNK)
        while not _whole(received):
            more = self._socket.recv(CHUNK)
            if not more:
                raise SystemExit(f"The connection ended in an answer: {received[:200]!r}")
            received += more
        took = time.perf_counter_ns() - began
        head, _, body = received.partition(b"\r\n\r\n")
        return Timed(int(head[9:12]), head, body, took)


def _whole(received: bytes) -> bool:
    head, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return False
    lines = (line.partition(b":") for line in head.lower().split(b"\r\n"))
    length = next((int(value) for name, _, value in lines if name == b"content-length"), 0)
    return len(body) >= length
