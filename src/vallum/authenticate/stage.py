"""Stage 2, authenticate: who calls, and whether the request was made a moment ago.

1. One credential at most, in a header.
2. Without one: the anonymous caller, where a rule or a public route lets one in.
3. A credential verified before is known by its digest for a minute at most, and not beyond its end; its principal's
   epoch is compared later, in the statement itself. From where an API key comes is looked at every time.
4. Else an address that keeps sending bad credentials is refused, before any signature is checked.
5. What begins with `vk_` is an API key (`api_keys.py`), everything else a token; neither is tried as the other.
6. The token's signature, issuer, audience and times (RFC 9068 §4), by keys read from the store.
7. The principal is loaded from the store; a token from before its last revocation is void, and one revoked alone.
8. Where the route asks for it, or the client says it by itself: the time at which the request was made. It comes last,
   so that who is not known does not learn which routes ask for it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, NamedTuple, Protocol, final

from vallum import defaults
from vallum.authenticate.api_keys import Keys, Known, Uses, verified
from vallum.authenticate.freshness import NONCE, TIMESTAMP, Stamp, read_stamp
from vallum.crypto import access_token
from vallum.crypto.api_key import PREFIX
from vallum.crypto.digest import cache_key
from vallum.crypto.errors import NotAuthentic
from vallum.crypto.jwk import KeySet
from vallum.declare.accounts import of_declared_type
from vallum.declare.parameters import CREDENTIAL_PARAMETERS
from vallum.declare.route import open_to_anyone
from vallum.edge.stage import Admitted
from vallum.refusals import (
    CREDENTIAL_AMBIGUOUS,
    CREDENTIAL_IN_QUERY,
    CREDENTIAL_INVALID,
    CREDENTIAL_MISSING,
    FAILURES_LIMITED,
    Refusal,
)
from vallum.request import Request
from vallum.store.ports import Principal, Principals

QUERY_CREDENTIALS: Final = tuple(f"&{name}=" for name in CREDENTIAL_PARAMETERS)
"""As they stand in a query that has another & before it."""
NO_GUESS: Final = frozenset({"expired", "token_revoked", "principal_unknown", "api_key_expired", "api_key_revoked"})
"""Reasons of tokens that we did sign and of keys with the right secret: many clients behind one address may hold old ones, and none of them guesses."""
KEY_FIELD: Final = b"x-api-key\n"
ANONYMOUS: Final = Principal(id=None, plan="anonymous")


@final
class Identified(NamedTuple):
    """The caller is known, or known to be anonymous on a route that allows it.

    `digest` is that of the credential, by which it is remembered; None without one. `stamp` says when the request was
    made and under which nonce; None where neither route nor client wants it fresh.
    """

    admitted: Admitted
    principal: Principal
    digest: bytes | None
    stamp: Stamp | None = None


class Guesses(Protocol):
    """Bad credentials by network address (`store.memory.AddressLimiter`)."""

    def failures_exhausted(self, address: str, now: float) -> int | None:
        """None, or the whole seconds until that address may show a new credential. Counts nothing."""

    def record_failure(self, address: str, now: float) -> None:
        """Count one bad credential."""


class PublicKeys(Protocol):
    """Where the public keys of our access tokens are read."""

    async def signing_keys(self) -> KeySet:
        """The keys that are valid now; revoked ones are not among them."""


@final
class Authenticator:
    """What the stage works with, and the credentials it has verified.

    Attributes:
        uses: when each API key was last used.

    Args:
        keys: that sign tokens.
        issuer, audience: what `iss` and `aud` of a token must be.
        guesses: counts bad credentials by network address.
        fresh_seconds: how old a timestamp may be.
        attributes: name → type, as the API declares them.
    """

    def __init__(
        self,
        principals: Principals,
        keys: PublicKeys,
        api_keys: Keys,
        *,
        issuer: str,
        audience: str,
        guesses: Guesses,
        attributes: Mapping[str, type],
        fresh_seconds: int = defaults.FRESH_SECONDS,
    ) -> None:
        self.principals = principals
        self.keys = keys
        self.api_keys = api_keys
        self.uses = Uses()
        self.issuer = issuer
        self.audience = audience
        self.guesses = guesses
        self.fresh_seconds = fresh_seconds
        self.attributes = attributes
        self._verified: OrderedDict[bytes, Known] = OrderedDict()

    def remembered(self, digest: bytes, request: Request) -> Principal | None:
        """The principal of a credential that was verified before, until it is to be verified again."""
        found = self._verified.get(digest)
        if found is None or request.received_at >= found.until:
            return None
        if found.principal.key is not None:
            if not found.good_from(request.address):
                return None  # refused in the way of a key that was never seen
            self.uses.note(found.principal.key, request.received_at)
        self._verified.move_to_end(digest)
        return found.principal

    def knows(self, digest: bytes, address: str) -> bool:
        """Whether that credential was good when it was verified last, and may come from there: it is no guess then."""
        found = self._verified.get(digest)
        return found is not None and found.good_from(address)

    def remember(self, digest: bytes, known: Known) -> None:
        """Keep a verified credential's principal."""
        self._verified[digest] = known
        if len(self._verified) > defaults.TOKENS_CACHED:
            self._verified.popitem(last=False)

    def forget(self, identified: Identified) -> None:
        """Have a caller whose epoch moved verified and loaded anew."""
        if identified.digest is not None and (found := self._verified.get(identified.digest)) is not None:
            self.remember(identified.digest, Known(found.principal, 0.0, found.networks))

    def drop(self, digest: bytes) -> None:
        """A credential that is not good, or not any more."""
        self._verified.pop(digest, None)


async def authenticate(admitted: Admitted, authenticator: Authenticator) -> Identified:
    """Find out who calls, and that a request that must be fresh is.

    Raises:
        Refusal: every reason of the table's authenticate section.
    """
    request, route = admitted.request, admitted.route
    # 1. Where credentials may stand.
    if request.query:
        lowered = "&" + request.query.lower()
        if any(name in lowered for name in QUERY_CREDENTIALS):
            raise Refusal(CREDENTIAL_IN_QUERY)
    authorization, key = request.headers.get(b"authorization"), request.headers.get(b"x-api-key")
    if authorization is not None and key is not None:
        raise Refusal(CREDENTIAL_AMBIGUOUS)
    principal: Principal | None
    digest: bytes | None = None
    if route is not None and route.public is not None:
        principal = Principal(id=None, plan=route.plan)  # 2. No credential is needed.
    elif authorization is None and key is None:
        # 2. No credential.
        if route is None or not open_to_anyone(route, request.method):
            raise Refusal(CREDENTIAL_MISSING)
        principal = ANONYMOUS
    else:
        # 3. Known already.
        # The field is part of what is remembered: a token is not good in X-API-Key because it was in Authorization.
        # No field has a line feed in it, so no other can be taken for this one.
        shown = KEY_FIELD + (key or b"") if authorization is None else authorization
        digest = cache_key(shown)
        principal = authenticator.remembered(digest, request)
        if principal is None:
            principal = await _anew(shown, digest, authenticator, request)
    # 8. When it was made.
    headers = request.headers
    if TIMESTAMP in headers or NONCE in headers or (route is not None and request.method in route.fresh):
        stamp = read_stamp(headers, request.received_at, authenticator.fresh_seconds)
        return Identified(admitted, principal, digest, stamp)
    return Identified(admitted, principal, digest)


async def _anew(shown: bytes, digest: bytes, authenticator: Authenticator, request: Request) -> Principal:
    # 4. Who guesses is refused before any signature is checked; credentials that are known already still pass.
    wait = authenticator.guesses.failures_exhausted(request.address, request.received_at)
    if wait is not None and not authenticator.knows(digest, request.address):
        raise Refusal(FAILURES_LIMITED, retry_after_seconds=wait)
    try:
        # 5. Which of the two it is.
        text = _text(shown)
        if text.startswith(PREFIX):
            known = await verified(text, authenticator.api_keys, request.address, request.received_at)
        else:
            known = await _token(text, authenticator, request.received_at)
    except NotAuthentic as error:
        if error.reason != "api_key_address":  # its holder, elsewhere, goes on
            authenticator.drop(digest)
        if error.reason not in NO_GUESS:
            authenticator.guesses.record_failure(request.address, request.received_at)
        raise Refusal(CREDENTIAL_INVALID) from error
    attributes = of_declared_type(known.principal.attributes, authenticator.attributes)
    known = Known(replace(known.principal, attributes=attributes), known.until, known.networks)
    authenticator.remember(digest, known)
    if known.principal.key is not None:
        authenticator.uses.note(known.principal.key, request.received_at)
    return known.principal


def _claims(token: str, keys: KeySet, authenticator: Authenticator, now: float) -> access_token.AccessToken:
    return access_token.verify(
        token,
        keys,
        issuer=authenticator.issuer,
        audience=authenticator.audience,
        now=now,
        leeway_seconds=defaults.TOKEN_LEEWAY_SECONDS,
    )


async def _token(token: str, authenticator: Authenticator, now: float) -> Known:
    # 6. The token itself.
    keys = await authenticator.keys.signing_keys()
    claims = _claims(token, keys, authenticator, now)
    # 7. Who it stands for.
    principal = await authenticator.principals.load(claims.subject, claims.token_id)
    present = await authenticator.keys.signing_keys()
    if present is not keys:  # a key revoked in between would be remembered with the epoch of after
        claims = _claims(token, present, authenticator, now)
    if principal is None:
        raise NotAuthentic("principal_unknown")
    if claims.issued_at < principal.tokens_from:
        raise NotAuthentic("token_revoked")
    principal = replace(
        principal,
        credential="token",
        scopes=claims.scopes or None,
        login_at=None if claims.auth_time is None else int(claims.auth_time),
    )
    # A key that is rotated out may end before the tokens that it signed; so each is verified again after a while.
    until = min(claims.expires_at + defaults.TOKEN_LEEWAY_SECONDS, now + defaults.TOKEN_RECHECK_SECONDS)
    return Known(principal, until)


def _text(shown: bytes) -> str:
    """What stands in X-API-Key, which holds API keys only, or behind `Bearer` (RFC 6750 §2.1), which holds both."""
    if shown.startswith(KEY_FIELD):
        text = shown[len(KEY_FIELD) :].decode("ascii")
        if not text.startswith(PREFIX):
            raise NotAuthentic("api_key_form")
        return text
    scheme, _, token = shown.partition(b" ")
    if scheme.lower() != b"bearer" or not token or len(token) > defaults.MAX_TOKEN_BYTES:
        raise NotAuthentic("scheme")
    return token.decode("ascii")
