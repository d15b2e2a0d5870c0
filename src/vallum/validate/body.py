"""The body of a request, read from ASGI: counted and timed while it arrives."""

from __future__ import annotations

import asyncio
from typing import cast

from vallum import defaults
from vallum.refusals import BODY_TOO_LARGE, BODY_UNEXPECTED, REQUEST_MALFORMED, REQUEST_TIMEOUT, Refusal
from vallum.request import Receive, Request


async def body_of(request: Request, max_bytes: int) -> bytes:
    """The whole body of a request that takes one; :func:`read_body` says what is refused."""
    length = request.header(b"content-length")
    return await read_body(
        request.receive,
        max_bytes=max_bytes,
        seconds=defaults.BODY_SECONDS,
        expected_length=None if length is None else int(length),
    )


async def refuse_body(request: Request) -> None:
    """Refuse a body that nobody would read (BODY_UNEXPECTED); a chunked one may still turn out to be empty."""
    if int(request.headers.get(b"content-length", b"0")):
        raise Refusal(BODY_UNEXPECTED)
    if b"transfer-encoding" in request.headers:
        try:
            await read_body(request.receive, max_bytes=0, seconds=defaults.BODY_SECONDS, expected_length=None)
        except Refusal as refusal:
            raise Refusal(BODY_UNEXPECTED) if refusal.reason is BODY_TOO_LARGE else refusal from None


async def read_body(receive: Receive, *, max_bytes: int, seconds: float, expected_length: int | None) -> bytes:
    """The whole body.

    Args:
        receive: ASGI's `receive`; its messages are `http.request` until `more_body` is false.
        max_bytes: the largest body that this route accepts.
        seconds: within which all of it must have arrived.
        expected_length: of `Content-Length`, or None when there is none (RFC 9112 §6.3).

    Raises:
        Refusal: BODY_TOO_LARGE as soon as it is, REQUEST_TIMEOUT, REQUEST_MALFORMED when it is longer
            or shorter than `expected_length`, or ends before it is whole.
    """
    deadline = asyncio.timeout(seconds)
    try:
        async with deadline:
            body = await _collect(receive, max_bytes, expected_length)
    except TimeoutError:
        if not deadline.expired():
            raise  # the receiver's own
        raise Refusal(REQUEST_TIMEOUT, "The body did not arrive in time.") from None
    if expected_length is not None and len(body) != expected_length:
        raise _wrong_length()
    return body


async def _collect(receive: Receive, max_bytes: int, expected_length: int | None) -> bytes:
    first, more = await _next(receive)
    _check_size(len(first), max_bytes, expected_length)
    if not more:
        return first
    # One buffer: a list of single bytes would take forty times what it holds.
    body = bytearray(first)
    empty = 0
    while more:
        chunk, more = await _next(receive)
        empty += not chunk
        if empty > defaults.MAX_EMPTY_BODY_MESSAGES:
            raise Refusal(REQUEST_MALFORMED, "The body comes in too many empty pieces.")
        _check_size(len(body) + len(chunk), max_bytes, expected_length)
        body += chunk
    return bytes(body)


async def _next(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] != "http.request":  # http.disconnect
        # The client has left, or the server could not read its chunks. The latter still waits for an answer, and
        # without one of ours gets the server's own: a 500 without any of our headers, and no line in the journal.
        raise Refusal(REQUEST_MALFORMED, "The body ended before it was whole.")
    return cast("bytes", message.get("body", b"")), bool(message.get("more_body", False))


def _check_size(size: int, max_bytes: int, expected_length: int | None) -> None:
    if size > max_bytes:
        raise Refusal(BODY_TOO_LARGE)
    if expected_length is not None and size > expected_length:
        raise _wrong_length()


def _wrong_length() -> Refusal:
    return Refusal(REQUEST_MALFORMED, "The body is not as long as Content-Length says.")
