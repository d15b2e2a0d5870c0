"""The scripts around a handler: find and lock its row, run it in the transaction, read its result under the rules."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from threading import Event
from typing import Any, Final, NoReturn

from sqlalchemy.orm import Session

from vallum.audit.event import AuditEvent
from vallum.audit.write import insert
from vallum.authorise.rights import Access
from vallum.declare.resource import Resource
from vallum.declare.route import Handler, Route
from vallum.execute.call import Call
from vallum.execute.frame import Frame, Moved
from vallum.execute.once import Result
from vallum.execute.returned import settled, shown
from vallum.execute.rows import check_epoch, locate
from vallum.execute.session import Ledger, key_text
from vallum.execute.violations import refusal_in_handler
from vallum.refusals import BUSY, FORBIDDEN, NOT_FOUND, PARTLY_DONE, QUERY_TIMEOUT, REQUEST_TIMEOUT, Refusal
from vallum.store.ports import Script, Violation, WithSession
from vallum.store.touched import touched
from vallum.validate.models import Models

REPEATABLE: Final = frozenset({BUSY, QUERY_TIMEOUT, REQUEST_TIMEOUT})
"""Reasons that say that nothing was done."""


def act(
    frame: Frame, models: Models, route: Route, handler: Handler, access: Access, key: tuple[Any, ...], body: Any
) -> Script[Result]:
    """An action's plain function, with its row.

    Raises:
        Refusal: NOT_FOUND, FORBIDDEN, and what the handler itself refuses.
    """
    yield from check_epoch(frame)
    resource = yield from _locked(frame, route, access, key)

    def work(call: Call) -> Any:
        row = call.db.get(resource.model, key if len(key) > 1 else key[0])
        if row is None:
            raise Refusal(NOT_FOUND)
        return handler.function(call, row, *(() if handler.body is None else (body,)))

    audited = key_text(resource.key, key)
    result = yield from _called(frame, models, route, handler, work, key=audited, keep=partial(settled, frame))
    return (yield from shown(frame, result))


def serve(frame: Frame, models: Models, route: Route, handler: Handler, body: Any) -> Script[Result]:
    """An endpoint's plain function.

    Raises:
        Refusal: what the handler itself refuses.
    """
    yield from check_epoch(frame)

    def work(call: Call) -> Any:
        return handler.function(call, *(() if handler.body is None else (body,)))

    result = yield from _called(frame, models, route, handler, work, keep=partial(settled, frame))
    return (yield from shown(frame, result))


def transaction(
    frame: Frame, models: Models, route: Route, handler: Handler, work: Callable[[Call], Any], ended: Event
) -> Script[Any]:
    """`await call.transact(work)` of an async handler.

    Args:
        ended: set at the script's end: what fails behind it is the commit, and nobody may know what became of that.
    """
    ended.clear()
    yield from check_epoch(frame)
    result = yield from _called(frame, models, route, handler, work, keep=lambda result: result)
    ended.set()
    return result


async def own(work: Awaitable[Any]) -> Any:
    """What an author's coroutine returns. `sys.exit()` in a task that it started is asyncio's, which ends the loop for it.

    Raises:
        RuntimeError: it left by `sys.exit()`, which would end the server and all its requests, or by a cancellation that
            nobody asked for, which would leave this one without an answer.
    """
    try:
        return await work
    except (SystemExit, asyncio.CancelledError) as error:
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
            raise
        raise RuntimeError(f"a handler raised {type(error).__name__}") from error


def answer(frame: Frame, result: Any) -> Script[Result]:
    """Show what an async handler returned. All is done by now: to a caller that has changed since, nothing is shown."""
    try:
        yield from check_epoch(frame)
    except Moved:
        return Result(None)
    return (yield from shown(frame, settled(frame, result)))


def unfinished(error: Moved | Refusal | TimeoutError, *, done: bool) -> NoReturn:
    """Raise what a client is told of an async handler that was ended.

    Args:
        done: something of it is written, or may be: nothing may invite to repeat it.

    Raises:
        Refusal: PARTLY_DONE, REQUEST_TIMEOUT, BUSY, or the handler's own.
    """
    if done and (not isinstance(error, Refusal) or error.reason in REPEATABLE):
        raise Refusal(PARTLY_DONE) from error
    if isinstance(error, Refusal):
        raise error
    raise Refusal(REQUEST_TIMEOUT if isinstance(error, TimeoutError) else BUSY) from error


def _called(
    frame: Frame,
    models: Models,
    route: Route,
    handler: Handler,
    work: Callable[[Call], Any],
    *,
    keep: Callable[[Any], Any],
    key: str | None = None,
) -> Script[Any]:
    """Run the author's code in a Session of the transaction, and record what it did.

    Args:
        keep: what is kept of the result, made while the Session is open.
        key: of the action's row, for the audit.
    """
    ledger = Ledger()
    before = (yield from touched(frame.dialect)) if handler.safe else None

    def inside(session: Session) -> Any:
        call = Call(frame, models, None, session, ledger)
        result = work(call)
        call.finish()
        return keep(result)

    try:
        result = yield WithSession(inside)
    except Violation as violation:
        if violation.kind == "not_null":  # a column that the author left out: a client can mend nothing about it
            raise
        raise refusal_in_handler(violation) from violation
    # RFC 9110 §9.2.1: a safe method asks for no change. Where there was none, nothing is to be told, but for a look past
    # the rules.
    if ledger.reasons or not handler.safe or (yield from touched(frame.dialect)) != before:
        yield from _record(frame, route, key, ledger)
    return result


def _locked(frame: Frame, route: Route, access: Access, key: tuple[Any, ...]) -> Script[Resource]:
    if route.resource is None:
        raise TypeError("an action has a resource")
    seen = yield from locate(frame, route.resource, access, frame.key_values(route.resource, key))
    if not access.holds(seen.mask):
        raise Refusal(FORBIDDEN)
    return route.resource


def _record(frame: Frame, route: Route, key: str | None, ledger: Ledger) -> Script[None]:
    """The audit rows of a handler: the call itself, each row that it changed, each rule that it went past."""
    lines: list[tuple[str, str, str | None, tuple[str, ...], str | None]] = [("act", route.path, key, (), None)]
    lines += [(verb, table, changed, fields, None) for verb, table, changed, fields in ledger.changes]
    lines += [("unrestricted", route.path, key, (), reason) for reason in ledger.reasons]
    for verb, resource, row_key, fields, note in lines:
        yield insert(
            AuditEvent(
                at=frame.now,
                request_id=frame.request_id,
                principal=frame.principal.id,
                verb=verb,
                resource=resource,
                row_key=row_key,
                fields=fields,
                note=note,
                api_key=frame.principal.key,
            ),
            frame.dialect,
        )
