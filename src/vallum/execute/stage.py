"""Stage 6, execute: one statement that carries the rule inside it, or one transaction for a write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event
from typing import Any, NamedTuple, TypeAlias, final

from vallum import defaults
from vallum.authenticate.stage import Identified
from vallum.declare.dialect import DialectName
from vallum.declare.document import Document
from vallum.execute import at_once, bulk, handlers, writes
from vallum.execute.call import Call
from vallum.execute.counting import EXACT, Total, estimate, estimate_of, plan_statement
from vallum.execute.forms import pay_for_forms
from vallum.execute.frame import Frame, Moved, Plans, Values, frame_of, same_epoch
from vallum.execute.item import item_shape, item_values, row_statement, shown_of
from vallum.execute.listing import ListShape
from vallum.execute.once import Result, once, result_of
from vallum.execute.page import page_of, page_statement, shape_of, values_of
from vallum.execute.rows import key_parts, seen_of, unmoved
from vallum.execute.service import service_call
from vallum.execute.session import Ledger
from vallum.refusals import NOT_FOUND, Refusal
from vallum.store.ports import Database, Principals, Row, Script, Statement, Violation
from vallum.store.turns import Turns
from vallum.throttle.stage import Meter
from vallum.validate.idempotency import IdempotencyKey
from vallum.validate.models import Models
from vallum.validate.stage import (
    ActIntent,
    BulkIntent,
    ChangeIntent,
    CreateIntent,
    Intent,
    ItemIntent,
    ListIntent,
    RemoveIntent,
    ServiceIntent,
)


@final
class Listed(NamedTuple):
    """A page: the rows as JSON, the order terms of the last one when there are more, the number of all if asked for."""

    intent: ListIntent
    rows: list[str]
    more: tuple[Any, ...] | None
    total: Total | None


@final
class Found(NamedTuple):
    """One row, as far as it is asked for, and its entity tag over everything that the caller may read."""

    intent: ItemIntent
    json: str
    tag: str


@final
class Created(NamedTuple):
    """A new row: the parts of its key, and what the caller sees of it; `replayed` when it was made before."""

    intent: CreateIntent
    key: tuple[Any, ...]
    json: str | None
    tag: str | None
    replayed: bool


@final
class Changed(NamedTuple):
    """What the caller sees of a row after its change."""

    intent: ChangeIntent
    json: str | None
    tag: str | None


@final
class Removed(NamedTuple):
    """The row is gone."""

    intent: RemoveIntent


@final
class Returned(NamedTuple):
    """What a handler or a bulk answers, as JSON; None when the caller sees nothing of it. `replayed` when it ran before."""

    intent: ActIntent | BulkIntent
    json: str | None
    tag: str | None
    replayed: bool


@final
class Served(NamedTuple):
    """What the service of a built-in route answers."""

    intent: ServiceIntent
    document: Document


Outcome: TypeAlias = Listed | Found | Created | Changed | Removed | Returned | Served


@final
@dataclass(frozen=True, slots=True)
class Execution:
    """What the stage works with."""

    database: Database
    principals: Principals
    plans: Plans
    models: Models
    dialect: DialectName
    meter: Meter
    turns: Turns = field(default_factory=Turns)


async def execute(intent: Intent, execution: Execution) -> Outcome:
    """Run it.

    Raises:
        Refusal: NOT_FOUND, FORBIDDEN, STALE, CONFLICT and the rest of the table's execute section.
        Moved: the caller's epoch is another one; nothing was written.
    """
    if isinstance(intent, ListIntent):
        return await _list(intent, execution)
    if isinstance(intent, ItemIntent):
        return await _item(intent, execution)
    if isinstance(intent, ServiceIntent):
        return await _serve(intent, execution.principals)
    frame, database = frame_of(intent.authorised, execution.dialect, execution.plans), execution.database
    pay_for_forms(intent, execution.plans, execution.meter)
    if isinstance(intent, CreateIntent):
        result = await _created(intent, frame, execution)
        key = key_parts(intent.resource, result.row_key)
        return Created(intent, key, result.json, result.tag, result.replayed)
    if isinstance(intent, ChangeIntent):
        row = await _at_once(at_once.change(frame, database.opaque, *intent[1:]), database)
        seen = await database.write(lambda: unmoved(writes.change, frame, *intent[1:])) if row is None else seen_of(row)
        return Changed(intent, seen.json, seen.tag)
    if isinstance(intent, RemoveIntent):
        if await _at_once(at_once.removal(frame, database.opaque, *intent[1:]), database) is None:
            await database.write(lambda: unmoved(writes.remove, frame, *intent[1:]))
        return Removed(intent)
    if isinstance(intent, BulkIntent):
        result = await _written(intent.idempotency, lambda: unmoved(bulk.write, frame, intent), frame, execution)
    else:
        result = await _act(intent, frame, execution)
    return Returned(intent, result.json, result.tag, result.replayed)


async def check_current(identified: Identified, principals: Principals) -> None:
    """Compare the epoch of a caller that is about to be refused without a statement.

    Raises:
        Moved: it is another one.
    """
    principal = identified.principal
    if principal.id is not None and await principals.epoch(principal.id) != principal.epoch:
        raise Moved


async def _list(intent: ListIntent, execution: Execution) -> Listed:
    shape = shape_of(intent)
    prepared = execution.plans.get(
        (intent.access, shape), page_statement, intent, shape, execution.meter, execution.dialect
    )
    values = values_of(intent)
    rows = await execution.database.read(prepared.bind(values))
    header = rows[0]
    same_epoch(intent.authorised.metered.identified, header[1])
    page, more = page_of(rows, intent.query.limit)
    if header[2] is None:
        return Listed(intent, page, more, None)
    return Listed(intent, page, more, await _total(intent, shape, int(header[2]), values, execution))


async def _total(intent: ListIntent, shape: ListShape, counted: int, values: Values, execution: Execution) -> Total:
    """The count, or the planner's where that ended early. SQLite has no planner that would know."""
    if shape.counted == EXACT:
        return Total(counted)
    if counted <= defaults.COUNT_EXACT_ROWS:
        return Total(counted, estimated=False)
    if execution.dialect == "sqlite":
        return estimate(counted)
    key = (intent.access, "plan", shape.filters)
    prepared = execution.plans.get(key, plan_statement, intent.resource, intent.access, shape.filters)
    return estimate_of(await execution.database.read(prepared.bind(values)))


async def _item(intent: ItemIntent, execution: Execution) -> Found:
    shape = item_shape(intent)
    prepared = execution.plans.get(
        (intent.access, shape), row_statement, intent, shape, execution.meter, execution.dialect
    )
    rows = await execution.database.read(prepared.bind(item_values(intent, execution.dialect)))
    same_epoch(intent.authorised.metered.identified, rows[0][1])
    if len(rows) == 1:
        raise Refusal(NOT_FOUND)
    return Found(intent, *shown_of(rows[1]))


async def _written(
    key: IdempotencyKey | None, write: Callable[[], Script[Result]], frame: Frame, execution: Execution
) -> Result:
    """Run a write; with a key, once."""
    if key is None:
        return await execution.database.write(write)
    async with execution.turns.turn(key.id, defaults.IDEMPOTENCY_WAIT_SECONDS):
        return await execution.database.write(lambda: once(frame, key, write()))


async def _created(intent: CreateIntent, frame: Frame, execution: Execution) -> Result:
    resource, access, values = intent.resource, intent.access, intent.values
    if intent.idempotency is None:
        database = execution.database
        row = await _at_once(at_once.creation(frame, database.opaque, resource, access, values), database)
        if row is not None:
            return result_of(seen_of(row))

    def script() -> Script[Result]:
        return result_of((yield from unmoved(writes.create, frame, resource, access, values)))

    return await _written(intent.idempotency, script, frame, execution)


async def _at_once(statement: Statement | None, database: Database) -> Row | None:
    """What a write in one statement gave; None when it was not carried out: the script knows why."""
    if statement is None:
        return None
    try:
        rows = await database.run(statement)
    except Violation:
        return None
    return rows[0] if rows else None


async def _serve(intent: ServiceIntent, principals: Principals) -> Served:
    """The service asks no statement for the caller's epoch, so it is compared before."""
    service = intent.authorised.route.service
    if service is None:
        raise TypeError("a built-in route has a service")
    await check_current(intent.authorised.metered.identified, principals)
    return Served(intent, await service(service_call(intent)))


async def _act(intent: ActIntent, frame: Frame, execution: Execution) -> Result:
    handler, route, models = intent.handler, intent.authorised.route, execution.models
    if handler.asynchronous:
        return await _asynchronous(intent, frame, execution)
    access = intent.access

    def script() -> Script[Result]:
        if access is None:
            return handlers.serve(frame, models, route, handler, intent.body)
        return handlers.act(frame, models, route, handler, access, intent.key, intent.body)

    return await _written(intent.idempotency, script, frame, execution)


async def _asynchronous(intent: ActIntent, frame: Frame, execution: Execution) -> Result:
    """An endpoint that waits for other things than the store. Once it has begun, the path cannot run again."""
    handler, route, database, models = intent.handler, intent.authorised.route, execution.database, execution.models
    if intent.access is not None:
        raise TypeError("start-up refuses an async action")
    await check_current(intent.authorised.metered.identified, execution.principals)
    done: bool = False

    async def transact(work: Callable[[Call], Any]) -> Any:
        nonlocal done
        ended = Event()
        try:
            return await database.write(lambda: handlers.transaction(frame, models, route, handler, work, ended))
        except asyncio.CancelledError:
            done = True  # it may be
            raise
        finally:
            done = done or ended.is_set()

    call = Call(frame, models, transact, None, Ledger())
    bound = asyncio.timeout(defaults.REQUEST_SECONDS)
    try:
        async with bound:
            result = await handlers.own(handler.function(call, *(() if handler.body is None else (intent.body,))))
        done = True
        return await database.write(lambda: handlers.answer(frame, result))
    except (Moved, Refusal, TimeoutError) as error:
        if isinstance(error, TimeoutError) and not bound.expired():
            raise  # the handler's own
        handlers.unfinished(error, done=done)
