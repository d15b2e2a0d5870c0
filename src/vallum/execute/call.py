"""`Call`: what a handler of an action or endpoint is given. Same rules, same scripts as the wire."""

from __future__ import annotations

import datetime
import json
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, TypeVar, final

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from vallum import defaults
from vallum.authorise.rights import Access
from vallum.declare.policy import Operation
from vallum.declare.resource import Resource
from vallum.execute.frame import Frame
from vallum.execute.listing import ListShape, list_statement
from vallum.execute.rows import Seen, locate
from vallum.execute.session import Ledger, guard, watch
from vallum.execute.shape import ordered
from vallum.execute.writes import change, create, remove
from vallum.refusals import ACTION_CONFLICT, FORBIDDEN, NOT_FOUND, Refusal
from vallum.store.ports import VIOLATION, Principal, Script, Statement
from vallum.validate.models import Models
from vallum.validate.stage import ANY_TAG

T = TypeVar("T")
MOST_DIGITS: Final = 640
"""What `int` takes whatever its limit is set to (`sys.int_info.str_digits_check_threshold`)."""
Transact = Callable[[Callable[["Call"], Any]], Awaitable[Any]]


def Conflict(detail: str) -> Refusal:  # noqa: N802  # raised like an exception class: `raise Conflict("full")`
    """A refusal for `raise` in a handler: 409 with this sentence for the client; nothing is written."""
    return Refusal(ACTION_CONFLICT, detail)


@final
class Call:
    """One call of a handler.

    Attributes:
        principal: who calls.
        request_id: of the request, for messages to the client and logs.
        now: the instant of the request (UTC).
    """

    def __init__(
        self, frame: Frame, models: Models, transact: Transact | None, session: Session | None, ledger: Ledger
    ) -> None:
        self._frame = frame
        self._models = models
        self._transact = transact
        self._session = session
        self._ledger = ledger
        self._open: list[Session] = []
        self.principal: Principal = frame.principal
        self.request_id: str = frame.request_id
        self.now = datetime.datetime.fromtimestamp(frame.now, datetime.UTC)
        if session is not None:
            guard(session, frame, ledger)

    @property
    def db(self) -> Session:
        """The Session of this call's transaction. Its SELECTs see only what the caller may READ.

        Raises:
            RuntimeError: in an async handler, which has no open transaction.
        """
        if self._session is None:
            raise RuntimeError("an async handler has no open transaction: await call.transact(function)")
        return self._session

    async def transact(self, work: Callable[[Call], T]) -> T:
        """Run `work(call)` inside a transaction of its own and return its result (async handlers only).

        Raises:
            RuntimeError: in a plain handler, which runs inside a transaction already.
        """
        if self._transact is None:
            raise RuntimeError("this handler runs inside a transaction already")
        result: T = await self._transact(work)
        return result

    def unrestricted(self, reason: str) -> Session:
        """A Session of the same transaction without the rules; `reason` goes to the audit."""
        self.db.flush()
        self._ledger.reasons.append(reason)
        session = Session(bind=self.db.connection(), join_transaction_mode="create_savepoint")
        watch(session, self._ledger)
        self._open.append(session)
        return session

    def get(self, model: type[Any], *key: Any) -> dict[str, Any]:
        """The row as this caller may read it. A composite key is a tuple, as everywhere, or its parts one by one.

        Raises:
            Refusal: NOT_FOUND, for a missing and an unreadable row alike.
        """
        resource = self._resource(model)
        access = self._access(resource, Operation.READ)
        self.db.flush()
        values = self._frame.key_values(resource, _parts(resource, *key))
        return _json(self._run(locate(self._frame, resource, access, values, lock=False)))

    def list(self, model: type[Any], *, limit: int = defaults.PAGE_MAX) -> Sequence[dict[str, Any]]:
        """The first rows that this caller may read, by key; no more than `limit`.

        Raises:
            Refusal: NOT_FOUND when no rule lets the caller read any.
            ValueError: `limit` is negative.
        """
        if limit < 0:
            raise ValueError(f"limit={limit}: give a number of rows")
        resource = self._resource(model)
        access = self._access(resource, Operation.READ)
        self.db.flush()
        shape = ListShape(ordered(resource, access.granted), _rounded(limit), (), (), None, cut=False)
        frame = self._frame
        prepared = frame.plans.get((access, shape), list_statement, resource, access, shape, frame.dialect)
        rows = self._rows(prepared.bind(frame.values))
        return [_parsed(row[0]) for row in rows[1 : limit + 1]]

    def create(self, model: type[Any], values: Mapping[str, Any]) -> dict[str, Any] | None:
        """Create a row under the rules; None when the caller may not read it.

        Raises:
            Refusal: FORBIDDEN, BODY_INVALID, STATE_FORBIDDEN, CONFLICT: as the wire would answer. A constraint that is
                INITIALLY DEFERRED (PostgreSQL) refuses at the handler's end.
        """
        resource = self._resource(model)
        access = self._access(resource, Operation.CREATE)
        body = self._models.create(resource, access, values)
        return _json_or_none(self._write(create(self._frame, resource, access, body)))

    def update(self, model: type[Any], key: Any, values: Mapping[str, Any]) -> dict[str, Any] | None:
        """Change a row under the rules; `key` is a tuple for a composite key. None when the caller may not read it then.

        Raises:
            Refusal: NOT_FOUND, FORBIDDEN, BODY_INVALID, STATE_FORBIDDEN, CONFLICT: as the wire would answer.
        """
        resource = self._resource(model)
        access = self._access(resource, Operation.UPDATE)
        body = self._models.change(resource, access, values)
        return _json_or_none(self._write(change(self._frame, resource, access, _parts(resource, key), body, ANY_TAG)))

    def delete(self, model: type[Any], *key: Any) -> None:
        """Remove a row under the rules; its key as for :meth:`get`.

        Raises:
            Refusal: NOT_FOUND, FORBIDDEN, IN_USE: as the wire would answer.
        """
        resource = self._resource(model)
        access = self._access(resource, Operation.DELETE)
        self._write(remove(self._frame, resource, access, _parts(resource, *key), None))

    def finish(self) -> None:
        """Flush what the handler left; called by the path."""
        for session in self._open:
            session.commit()
            session.close()
        if self._session is not None:
            self._session.flush()

    def _resource(self, model: type[Any]) -> Resource:
        found = self._frame.rights.api.resources.get(model)
        if found is None:
            raise TypeError(f"{model.__name__} is not a resource of this API")
        return found

    def _access(self, resource: Resource, operation: Operation) -> Access:
        access = self._frame.rights.on(resource, operation)
        if access is None:
            raise Refusal(NOT_FOUND if operation is Operation.READ else FORBIDDEN)
        return access

    def _rows(self, statement: Statement) -> Sequence[Any]:
        found = self.db.connection().exec_driver_sql(statement.text, tuple(statement.arguments))
        return [tuple(row) for row in found] if found.returns_rows else []

    def _write(self, script: Script[T]) -> T:
        """Drive a script that writes. What it raises undoes all that it did, though the handler may go on."""
        self.db.flush()
        with self.db.connection().begin_nested():
            result = self._run(script)
        self.db.expire_all()
        return result

    def _run(self, script: Script[T]) -> T:
        """Drive a script on this transaction; it hears of a violated constraint as from the store itself."""
        running: Generator[Any, Any, T] = script
        try:
            statement = next(running)
            while True:
                try:
                    rows = self._rows(statement)
                except DBAPIError as error:
                    violation = self.db.info[VIOLATION](error)
                    if violation is None:
                        raise
                    statement = running.throw(violation)
                else:
                    statement = running.send(rows)
        except StopIteration as stop:
            result: T = stop.value
            return result


def _rounded(limit: int) -> int:
    """Up to a power of two: the number stands in the statement, and a client may have a say in it."""
    return limit if limit == defaults.PAGE_MAX else 1 << max(limit - 1, 0).bit_length()


def _json(seen: Seen) -> dict[str, Any]:
    if seen.json is None:
        raise Refusal(NOT_FOUND)
    return _parsed(seen.json)


def _parsed(text: str) -> dict[str, Any]:
    """A row as Python values."""
    try:
        found: dict[str, Any] = json.loads(text)
    except ValueError:  # an integer of another program's, of more digits than `int` takes
        found = json.loads(text, parse_int=lambda digits: Decimal(digits) if len(digits) > MOST_DIGITS else int(digits))
    return found


def _json_or_none(seen: Seen) -> dict[str, Any] | None:
    return None if seen.json is None else _json(seen)


def _parts(resource: Resource, *key: Any) -> tuple[Any, ...]:
    """The parts of a key, which is given as one value, as one tuple or part by part."""
    parts = key[0] if len(key) == 1 and isinstance(key[0], tuple) else key
    if len(parts) != len(resource.key):
        raise TypeError(f"a {resource.model.__name__} has the key ({', '.join(resource.key)}): {parts!r} is none")
    return parts
