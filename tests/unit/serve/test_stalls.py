"""Clients that do not take their answer."""

from __future__ import annotations

import asyncio
import os
import socket

from vallum import defaults
from vallum.serve import worker
from vallum.serve.stalls import end_stalled

LIMIT = round(defaults.STALLED_SECONDS * 1000)


def limit_of(listening: socket.socket) -> int:
    """Of a connection that is accepted now, milliseconds."""
    with socket.create_connection(listening.getsockname()), listening.accept()[0] as accepted:
        return accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)


def test_connections_inherit_the_limit() -> None:
    """What listens on the port gets it, and nothing else of this process."""
    with socket.create_server(("127.0.0.1", 0)) as ours, socket.create_server(("127.0.0.1", 0)) as other:
        assert limit_of(ours) == 0
        assert end_stalled(ours.getsockname()[1]) == 1
        assert (limit_of(ours), limit_of(other)) == (LIMIT, 0)


def test_what_was_looked_at_stays_open() -> None:
    """A descriptor of somebody else is borrowed, whatever it is."""
    reading, writing = os.pipe()
    with socket.create_server(("127.0.0.1", 0)) as other, open(reading, "rb") as out, open(writing, "wb") as into:  # noqa: PTH123  # descriptors
        assert end_stalled(1) == 0
        into.write(b"still here")
        into.close()
        assert out.read() == b"still here"
        limit_of(other)


async def test_a_server_that_listens_later_is_waited_for() -> None:
    """Granian opens its socket after the application has started."""
    with socket.socket() as late:
        late.bind(("127.0.0.1", 0))
        looking = asyncio.create_task(worker._end_stalled(late.getsockname()[1]))
        await asyncio.sleep(0)
        assert not looking.done()
        late.listen()
        await asyncio.wait_for(looking, 5)
        assert limit_of(late) == LIMIT
