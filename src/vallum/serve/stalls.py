"""Connections whose client does not read on: the server has no time limit for an answer, the kernel has."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from vallum import defaults

DESCRIPTORS: Final = Path("/proc/self/fd")


def end_stalled(port: int) -> int:
    """Have the kernel end each connection to `port` whose client takes nothing for `STALLED_SECONDS` (RFC 5482).

    What is set on a listening socket passes to the connections that it accepts. The server makes that socket itself,
    so it is looked for among those of this process; off Linux none is found.

    Returns:
        how many sockets listen there.
    """
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is None or not DESCRIPTORS.is_dir():
        return 0
    found = 0
    for descriptor in [int(entry.name) for entry in DESCRIPTORS.iterdir()]:
        with suppress(OSError), _borrowed(descriptor) as candidate:
            if candidate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) and _port(candidate) == port:
                candidate.setsockopt(socket.IPPROTO_TCP, option, round(defaults.STALLED_SECONDS * 1000))
                found += 1
    return found


@contextmanager
def _borrowed(descriptor: int) -> Iterator[socket.socket]:
    """The socket behind a descriptor of somebody else, who goes on to own it.

    Raises:
        OSError: it is no socket.
    """
    candidate = socket.socket(fileno=descriptor)
    try:
        yield candidate
    finally:
        candidate.detach()


def _port(listening: socket.socket) -> int | None:
    if listening.family not in {socket.AF_INET, socket.AF_INET6}:
        return None
    port: int = listening.getsockname()[1]
    return port
