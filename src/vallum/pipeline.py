"""The path of a request, on one screen. There is no other way in.

    bytes → edge → authenticate → throttle → authorise → validate → execute → respond → bytes
            Admitted  Identified    Metered    Authorised   Intent     Outcome    Reply

Each stage takes the ticket of the stage before it, so none can be skipped. Any may refuse.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Any, Protocol, TypeVar, final

from vallum import defaults
from vallum.audit.denials import STATUSES, Denials
from vallum.authenticate.stage import Authenticator, Identified, authenticate
from vallum.authorise.stage import Authorised, Policy, authorise
from vallum.edge.cors import sole_origin
from vallum.edge.proxy import client_address
from vallum.edge.stage import Admitted, Edge, Preflight, admit, error_form
from vallum.execute.frame import Moved
from vallum.execute.stage import Execution, Outcome, check_current, execute
from vallum.refusals import BUSY, INTERNAL, Reason, Refusal
from vallum.request import Receive, Replayable
from vallum.respond.stage import GONE, Raw, Reply, Response, Ticket, behind, preflight, refuse, respond
from vallum.throttle.stage import Meter, Metered, throttle
from vallum.validate.stage import Intent, Validation, validate

T = TypeVar("T", bound="Admitted | Identified | Metered | Authorised")


class Journal(Protocol):
    """Where each answer and each failure of ours is written down."""

    def answered(self, passage: Passage, reply: Reply) -> None:
        """One line a request."""

    def failed(self, request_id: str, error: BaseException) -> None:
        """An exception that is an error of this program."""


@final
@dataclass(frozen=True, slots=True)
class Pipeline:
    """The stages' own equipment, built once at start."""

    edge: Edge
    authenticator: Authenticator
    meter: Meter
    policy: Policy
    validation: Validation
    execution: Execution
    response: Response
    journal: Journal
    denials: Denials = field(default_factory=Denials)


async def answer(scope: Mapping[str, Any], receive: Receive, pipeline: Pipeline, now: float) -> Reply:
    """One request, from the server's scope to the reply."""
    passage = Passage(scope, pipeline, Replayable(receive), now)
    try:
        reply = await passage.run()
    except Refusal as refusal:
        reply = passage.refused(refusal)
    except asyncio.CancelledError:
        pipeline.journal.answered(passage, GONE)
        raise
    except Exception as error:  # noqa: BLE001  # whatever it is, the client gets a 500 and the journal the rest
        pipeline.journal.failed(passage.request_id, error)
        reply = passage.refused(Refusal(INTERNAL))
    if passage.refusal is not None:
        passage.count(passage.refusal.reason)
        if passage.short_body:
            await passage.receive.drain(defaults.DRAIN_SECONDS)
    pipeline.journal.answered(passage, reply)
    return reply


@final
class Passage:
    """One request on its way.

    Attributes:
        ticket: of the last stage that was passed.
        marks: nanoseconds at the end of each stage that was passed, the start first.
        refusal: why it ended early, or None.
    """

    __slots__ = ("marks", "now", "pipeline", "receive", "refusal", "request_id", "scope", "ticket")

    def __init__(self, scope: Mapping[str, Any], pipeline: Pipeline, receive: Replayable, now: float) -> None:
        self.scope = scope
        self.pipeline = pipeline
        self.receive = receive
        self.now = now
        self.request_id = ""
        self.ticket: Ticket = None
        self.refusal: Refusal | None = None
        self.marks = [perf_counter_ns()]

    async def run(self) -> Reply:
        """The seven stages."""
        pipeline = self.pipeline
        admitted = admit(self.scope, self.receive, pipeline.edge, self.now)
        self.request_id = admitted.request.id
        if isinstance(admitted, Preflight):
            return preflight(admitted, pipeline.response)
        self._passed(admitted)
        identified = self._passed(await authenticate(admitted, pipeline.authenticator))
        try:
            intent = await self._understand(identified, None)
            outcome = await execute(intent, pipeline.execution)
        except Moved:
            outcome = await self._again(identified)
        self.marks.append(perf_counter_ns())
        return respond(outcome, pipeline.response)

    async def _understand(self, identified: Identified, before: Metered | None) -> Intent:
        """Throttle, authorise, validate.

        A refusal here comes before the statement that compares the caller's epoch, so it is compared first: nobody
        is refused by the rights or the plan of a moment ago.
        """
        pipeline = self.pipeline
        try:
            metered = self._passed(await throttle(identified, pipeline.meter, before))
            authorised = self._passed(authorise(metered, pipeline.policy))
            intent = await validate(authorised, pipeline.validation)
        except Refusal:
            await check_current(identified, pipeline.execution.principals)
            raise
        self.ticket = intent.authorised  # of a bulk more may have been claimed
        self.marks.append(perf_counter_ns())
        return intent

    async def _again(self, before: Identified) -> Outcome:
        """The caller's epoch moved: it is loaded anew, and the path runs once more from there, counted once."""
        pipeline = self.pipeline
        metered = self.ticket.metered if isinstance(self.ticket, Authorised) else self.ticket
        self.ticket = before.admitted  # who is refused now learns nothing of the budget of whom it was
        pipeline.authenticator.forget(before)
        self.receive.rewind()
        identified = self._passed(await authenticate(before.admitted, pipeline.authenticator))
        counted = metered if isinstance(metered, Metered) else None
        try:
            return await execute(await self._understand(identified, counted), pipeline.execution)
        except Moved as error:
            raise Refusal(BUSY) from error

    def _passed(self, ticket: T) -> T:
        self.ticket = ticket
        self.marks.append(perf_counter_ns())
        return ticket

    @property
    def short_body(self) -> bool:
        """Whether a body was announced that is cheaper to read than to break the connection over."""
        request, _ = behind(self.ticket)
        length = None if request is None else request.header(b"content-length")
        return length is not None and 0 < int(length) <= defaults.DRAIN_BYTES

    def refused(self, refusal: Refusal) -> Reply:
        """The answer to a refusal, at whatever stage."""
        self.refusal = refusal
        edge, response = self.pipeline.edge, self.pipeline.response
        self.request_id = self.request_id or edge.request_id()
        raw = Raw(self.request_id, self.now, sole_origin(self.scope["headers"]))
        return refuse(refusal, self.ticket, raw, response, error_form(self.scope, edge))

    def count(self, reason: Reason) -> None:
        """Count a refusal for the audit: by caller, or by address where the caller is not known."""
        if reason.status not in STATUSES:
            return
        ticket = self.ticket
        metered = ticket.metered if isinstance(ticket, Authorised) else ticket
        identified = metered.identified if isinstance(metered, Metered) else metered
        admitted = identified.admitted if isinstance(identified, Identified) else identified
        principal = identified.principal.id if isinstance(identified, Identified) else None
        address = self._peer() if admitted is None else admitted.request.address
        route = None if admitted is None or admitted.route is None else admitted.route.path
        self.pipeline.denials.refused(reason.code, principal, address, route, self.request_id, self.now)

    def _peer(self) -> str:
        """The address of a request that the first stage refused; empty when nobody trustworthy says it."""
        try:
            return client_address(self.scope, self.pipeline.edge.proxy)
        except Refusal:
            return ""
