"""Builds the pipeline: the only place that chooses adapters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Any, final

from vallum import defaults
from vallum.authenticate.stage import Authenticator
from vallum.authorise.stage import Policy
from vallum.crypto.random import request_id
from vallum.crypto.sealed import Sealer
from vallum.declare.app import API
from vallum.declare.plan import OAUTH_PLAN
from vallum.declare.route import Kind, Route, Verb
from vallum.docs.problems import problem_routes
from vallum.docs.reference import reference_routes
from vallum.edge.cors import Cors
from vallum.edge.host import allowed_hosts
from vallum.edge.proxy import Proxy
from vallum.edge.routes import RouteTable
from vallum.edge.stage import Edge
from vallum.execute.frame import Plans
from vallum.execute.limits import limits_route
from vallum.execute.stage import Execution
from vallum.oauth.attempts import Attempts
from vallum.oauth.routes import oauth_routes
from vallum.oauth.server import JWKS, RESOURCE_METADATA, AuthorizationServer
from vallum.openapi import service as openapi
from vallum.openapi.document import Site
from vallum.pipeline import Journal, Pipeline
from vallum.respond.headers import fixed_headers
from vallum.respond.stage import Response
from vallum.serve.audit_sealer import AuditSealer
from vallum.serve.counters import WriteBehind
from vallum.serve.database import served_database
from vallum.serve.files import KEYS_FOLDER
from vallum.serve.high_water import HighWater
from vallum.serve.keyring import Keyring, cursor_secret
from vallum.serve.shared_nonces import SharedNonces
from vallum.store.api_keys import ApiKeys
from vallum.store.clients import Clients
from vallum.store.memory import AddressLimiter, Buckets
from vallum.store.nonces import Nonces
from vallum.store.ports import ServedDatabase
from vallum.store.postgres_address import Address
from vallum.store.principals import check_plans, plans
from vallum.throttle.gcra import conform
from vallum.throttle.stage import Meter
from vallum.validate.cursor import Cursors
from vallum.validate.models import Models
from vallum.validate.stage import Validation

Clock = Callable[[], float]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What of the settings the path needs (see `serve.settings` for their meaning)."""

    data: Path
    dev: bool
    public_url: str
    allowed_hosts: Sequence[str]
    trusted_proxies: Sequence[str] = ()
    unix_socket: Path | None = None
    database: Address | None = None
    address_per_second: float = defaults.ADDRESS_PER_SECOND
    address_burst: int = defaults.ADDRESS_BURST
    passphrase: bytes | None = None
    audit_retention_days: int | None = None


@final
@dataclass(slots=True)
class Service:
    """An open API: its pipeline, and what must be closed in the end."""

    api: API
    pipeline: Pipeline
    database: ServedDatabase
    keyring: Keyring
    counters: WriteBehind
    audit: AuditSealer
    ledger: HighWater | SharedNonces
    clock: Clock

    async def start(self) -> None:
        """Open the store, take counters and nonces up again, begin to seal, call the application's starters.

        Raises:
            StoreError: the store is missing, open to others or of another version, or an account has an unknown plan.
        """
        await self.database.start()
        try:
            check_plans(await self.database.read(plans(self.database.dialect)), self.api.plans)
            await self.counters.start(self.clock())
            await self.ledger.start()
            await self.audit.start()
            for starter in self.api.starters:
                await _called(starter)
        except BaseException:
            await self._close()  # threads would keep the process alive
            raise

    async def stop(self) -> None:
        """Call the stoppers, write the counters and nonces, seal the audit, finish the queued writes, close."""
        async with AsyncExitStack() as stack:  # each, whatever those before it raise
            stack.push_async_callback(self._close)
            for stopper in reversed(self.api.stoppers):
                stack.push_async_callback(_called, stopper)

    async def _close(self) -> None:
        async with AsyncExitStack() as stack:
            for each in (self.database, self.audit, self.ledger, self.counters):  # the last one first
                stack.push_async_callback(each.stop)


def build_service(api: API, place: Place, journal: Journal, clock: Clock) -> Service:
    """Wire the stages for one process, with its store and counters in memory."""
    database = served_database(place.database, place.data)
    folder = place.data / KEYS_FOLDER
    keyring = Keyring(folder, database.read, database.dialect, clock, place.passphrase)
    limiter = AddressLimiter(conform, per_second=place.address_per_second, burst=place.address_burst)
    models = Models()
    cursors = Cursors(Sealer(cursor_secret(folder, place.passphrase), "cursor"))
    cors = Cors(api.cors)
    ledger = _ledger(api, place, database, journal, clock)
    meter = Meter({"oauth": OAUTH_PLAN, **api.plans}, ledger)
    oauth = _authorization_server(database, keyring, place.public_url, limiter)
    site = Site(place.public_url, place.dev, database.dialect)
    pipeline = Pipeline(
        edge=Edge(
            routes=RouteTable([*api.routes.values(), *own_routes(api, keyring, oauth, site)]),
            hosts=allowed_hosts(place.allowed_hosts),
            limiter=limiter,
            request_id=request_id,
            proxy=_proxy(place),
            cors=cors,
        ),
        authenticator=_authenticator(api, database, keyring, place.public_url, limiter),
        meter=meter,
        policy=Policy(api, database.dialect),
        validation=Validation(models, cursors, meter),
        execution=Execution(database, database, Plans(), models, database.dialect, meter),
        response=Response(
            fixed=fixed_headers(defaults.HSTS_DEVELOPMENT_SECONDS if place.dev else defaults.HSTS_SECONDS),
            cursors=cursors,
            public_url=place.public_url,
            problems=f"{place.public_url}/problems/",
            cors=cors,
            resource_metadata=place.public_url + RESOURCE_METADATA,
            date=HttpDate(),
        ),
        journal=journal,
    )
    counters = WriteBehind(pipeline.meter, pipeline.authenticator.uses, database, journal, clock)
    sealer = _sealer(place, pipeline, database, clock)
    return Service(api, pipeline, database, keyring, counters, sealer, ledger, clock)


def own_routes(api: API, keyring: Keyring, oauth: AuthorizationServer, site: Site) -> list[Route]:
    """What Vallum itself answers, on the same path as everything else."""
    return [
        limits_route(api),
        *problem_routes(api.title, site.public_url),
        *reference_routes(api.title),
        openapi.route(api, site),
        Route(
            path=JWKS,
            kind=Kind.BUILT_IN,
            methods={"GET": Verb.SERVE},
            name="jwks",
            service=keyring.jwks,
            public="Other services verify our tokens with these public keys (RFC 7517).",
            plan="oauth",
        ),
        *oauth_routes(oauth, api.title),
    ]


@final
class HttpDate:
    """The HTTP date (RFC 9110 §5.6.7), made once a second."""

    __slots__ = ("_second", "_text")

    def __init__(self) -> None:
        self._second = -1
        self._text = b""

    def __call__(self, now: float) -> bytes:
        """The date of a Unix time."""
        second = int(now)
        if second != self._second:
            self._second, self._text = second, formatdate(second, usegmt=True).encode()
        return self._text


def _authenticator(
    api: API, database: ServedDatabase, keyring: Keyring, url: str, guesses: AddressLimiter
) -> Authenticator:
    keys = ApiKeys(database.read, database.dialect)
    return Authenticator(
        database,
        keyring,
        keys,
        issuer=url,
        audience=url,
        guesses=guesses,
        attributes=api.attributes,
        fresh_seconds=api.fresh_seconds,
    )


def _ledger(
    api: API, place: Place, database: ServedDatabase, journal: Journal, clock: Clock
) -> HighWater | SharedNonces:
    """A file has one server, a database may have several."""
    nonces = Nonces(api.fresh_seconds)
    if place.database is None:
        return HighWater(nonces, database, journal, clock)
    return SharedNonces(nonces, database, journal)


def _authorization_server(
    database: ServedDatabase, keyring: Keyring, url: str, guesses: AddressLimiter
) -> AuthorizationServer:
    failures = Buckets(
        conform, defaults.CLIENTS_TRACKED, defaults.CLIENT_FAILURES_PER_SECOND, defaults.CLIENT_FAILURES_BURST
    )
    clients = Clients(database.read, database.dialect)
    return AuthorizationServer(url, database, database, clients, keyring, Attempts(guesses, failures))


def _sealer(place: Place, pipeline: Pipeline, database: ServedDatabase, clock: Clock) -> AuditSealer:
    return AuditSealer(
        pipeline.denials,
        database,
        pipeline.journal,
        clock,
        place.data,
        passphrase=place.passphrase,
        retention_days=place.audit_retention_days,
    )


def _proxy(place: Place) -> Proxy | None:
    if not place.trusted_proxies and place.unix_socket is None:
        return None
    return Proxy.of(place.trusted_proxies, unix_socket=place.unix_socket is not None)


async def _called(function: Callable[[], Any]) -> None:
    result = function()
    if inspect.isawaitable(result):
        await result
