"""Client authentication (RFC 6749 §2.3): by secret (§2.3.1), or by an assertion of its own key (RFC 7523).

An unknown client and a wrong secret take the same work and get the same bytes, and so do all other reasons.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Final

from vallum import defaults
from vallum.crypto import client_assertion, client_secret
from vallum.crypto.errors import NotAuthentic
from vallum.crypto.jwk import VerificationKey, read_jwk
from vallum.execute.service import ServiceCall
from vallum.oauth.presented import Presented, Secret, presented
from vallum.oauth.server import AuthorizationServer
from vallum.refusals import INVALID_CLIENT, Refusal
from vallum.store.clients import Client
from vallum.store.used_once import use_assertion

NO_GUESS: Final = frozenset(
    {"client_secret_ended", "client_disabled", "assertion_replayed", "expired", "not_yet_valid", "lifetime", "audience"}
)
"""Reasons that only the owner of a secret or a key can have given: nobody guesses them."""


async def authenticate_client(call: ServiceCall, server: AuthorizationServer) -> Client:
    """The client behind a request, after each of these steps:

    1. It authenticates itself by one method.
    2. Neither it at this address nor this address has failed too often, unless it has proven itself before.
    3. Its secret, or the assertion by one of its keys, is right.
    4. What it used is neither revoked nor past its end, and its account is not disabled.
    5. An assertion was not used before, by whichever process.

    Raises:
        Refusal: INVALID_REQUEST, INVALID_CLIENT, FAILURES_LIMITED; BUSY when the store cannot be asked.
    """
    request, attempts = call.request, server.attempts
    address, now = request.address, request.received_at
    try:
        shown = presented(request, call.form or {})  # 1
    except NotAuthentic as error:
        attempts.check("", address, b"", now)
        attempts.failed("", address, b"", now, guess=True)
        raise Refusal(INVALID_CLIENT) from error
    attempts.check(shown.client_id, address, shown.proof, now)  # 2
    client = await server.clients.find(shown.client_id)
    try:
        await _verify(shown, client, server, now)
    except NotAuthentic as error:
        # What a neighbour signs says nothing of the client that has signed a good one at this address.
        gone = shown.proof if isinstance(shown, Secret) else b""
        attempts.failed(shown.client_id, address, gone, now, guess=error.reason not in NO_GUESS)
        raise Refusal(INVALID_CLIENT) from error
    attempts.succeeded(shown.proof)
    if client is None:
        raise TypeError("nobody's credential verifies")
    return client


async def _verify(shown: Presented, client: Client | None, server: AuthorizationServer, now: float) -> None:
    credentials = () if client is None else client.credentials
    if isinstance(shown, Secret):
        stored = {credential.digest: credential for credential in credentials if credential.digest is not None}
        if not stored[client_secret.verify(shown.secret, stored)].valid(now):  # 3, 4
            raise NotAuthentic("client_secret_ended")
        _check_enabled(client)
        return
    keys = [_key(c.public_jwk) for c in credentials if c.public_jwk is not None and c.valid(now)]
    assertion = client_assertion.verify(shown.text, shown.client_id, keys, audiences=server.audiences, now=now)  # 3
    _check_enabled(client)  # 4
    using = use_assertion(shown.client_id, assertion.token_id, assertion.until, now, server.database.dialect)
    await server.database.write(using)  # 5


def _check_enabled(client: Client | None) -> None:
    if client is None or client.disabled:
        raise NotAuthentic("client_disabled")


@lru_cache(maxsize=defaults.CLIENT_KEYS_CACHED)
def _key(public_jwk: str) -> VerificationKey:
    return read_jwk(json.loads(public_jwk))
