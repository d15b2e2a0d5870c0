"""Prints a port that nobody listens on, nor on the next one."""

from __future__ import annotations

import contextlib
import socket

while True:
    with socket.socket() as first, socket.socket() as second, contextlib.suppress(OSError, OverflowError):
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", first.getsockname()[1] + 1))
        print(first.getsockname()[1])
        break
