"""Stage 2, authenticate: who calls.

1. One credential at most, in a header.
2. Without one: the anonymous caller, where a rule or a public route lets one in.
3. A token verified before is known by its digest for a minute at most, and not beyond its end; its principal's epoch
   is compared later, in the statement itself.
4. Else an address that keeps sending bad credentials is refused, before any signature is checked.
5. The token's signature, issuer, audience and times (RFC 9068 §4), by keys read from the store.
6. The principal is loaded from the store; a token from before its last revocation is void.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Final, NamedTuple, Protocol, final

from vallum import defaults
from vallum.crypto import access_token
from vallum.crypto.digest import cache_key
from vallum.crypto.errors import NotAuthentic
from vallum.crypto.jwk import KeySet
from vallum.declare.route import Kind, open_to_anyone
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

API_KEY_PREFIX: Final = "vk_"
QUERY_CREDENTIALS: Final = ("access_token=", "api_key=", "apikey=", "token=", "x-api-key=", "authorization=")
"""Ways in which clients put credentials into URLs (RFC 9700 §4.3.2 forbids it)."""
NO_GUESS: Final = frozenset({"expired", "token_revoked", "principal_unknown"})
"""Reasons of tokens that we did sign: many clients behind one address may hold old ones, and none of them guesses."""
ANONYMOUS: Final = Principal(id=None, plan="anonymous")


@final
class Identified(NamedTuple):
    """The caller is known, or known to be anonymous on a route that allows it.

    `digest` is that of the credential, by which it is remembered; None without one.
    """

    admitted: Admitted
    principal: Principal
    digest: bytes | None


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
    """What the stage works with, and the tokens it has verified.

    Args:
        issuer, audience: what `iss` and `aud` of a token must be.
        guesses: counts bad credentials by network address.
    """

    def __init__(
        self,
        principals: Principals,
        keys: PublicKeys,
        *,
        issuer: str,
        audience: str,
        guesses: Guesses,
    ) -> None:
        self.principals = principals
        self.keys = keys
        self.issuer = issuer
        self.audience = audience
        self.guesses = guesses
        self._verified: OrderedDict[bytes, tuple[Principal, float]] = OrderedDict()

    def remembered(self, digest: bytes, now: float) -> Principal | None:
        """The principal of a token that was verified before, until it is to be verified again."""
        found = self._verified.get(digest)
        if found is None or now >= found[1]:
            return None
        self._verified.move_to_end(digest)
        return found[0]

    def knows(self, digest: bytes) -> bool:
        """Whether that token was good when it was verified last: to show it again is no guess."""
        return digest in self._verified

    def remember(self, digest: bytes, principal: Principal, until: float) -> None:
        """Keep a verified token's principal."""
        self._verified[digest] = (principal, until)
        if len(self._verified) > defaults.TOKENS_CACHED:
            self._verified.popitem(last=False)

    def forget(self, identified: Identified) -> None:
        """Have a caller whose epoch moved verified and loaded anew."""
        if identified.digest is not None:
            self.remember(identified.digest, identified.principal, 0.0)

    def drop(self, digest: bytes) -> None:
        """A token that is not good, or not any more."""
        self._verified.pop(digest, None)


async def authenticate(admitted: Admitted, authenticator: Authenticator) -> Identified:
    """Find out who calls.

    Raises:
        Refusal: every reason of the table's authenticate section.
    """
    request, route = admitted.request, admitted.route
    # 1. Where credentials may stand.
    if request.query:
        lowered = "&" + request.query.lower()
        if any("&" + name in lowered for name in QUERY_CREDENTIALS):
            raise Refusal(CREDENTIAL_IN_QUERY)
    authorization, key = request.headers.get(b"authorization"), request.headers.get(b"x-api-key")
    if authorization is not None and key is not None:
        raise Refusal(CREDENTIAL_AMBIGUOUS)
    # 2. No credential, or none needed.
    if route is not None and route.kind is Kind.PUBLIC:
        return Identified(admitted, ANONYMOUS, None)
    if authorization is None and key is None:
        if route is not None and open_to_anyone(route, request.method):
            return Identified(admitted, ANONYMOUS, None)
        raise Refusal(CREDENTIAL_MISSING)
    # 3. Known already.
    # The field is part of what is remembered: a token is not good in X-API-Key because it was in Authorization.
    digest = cache_key(b"x-api-key: " + (key or b"") if authorization is None else authorization)
    principal = authenticator.remembered(digest, request.received_at)
    if principal is None:
        principal = await _anew(authorization, digest, authenticator, request)
    return Identified(admitted, principal, digest)


async def _anew(
    authorization: bytes | None, digest: bytes, authenticator: Authenticator, request: Request
) -> Principal:
    # 4. Who guesses is refused before any signature is checked; credentials that are known already still pass.
    wait = authenticator.guesses.failures_exhausted(request.address, request.received_at)
    if wait is not None and not authenticator.knows(digest):
        raise Refusal(FAILURES_LIMITED, retry_after_seconds=wait)
    try:
        return await _verified(authorization, digest, authenticator, request.received_at)
    except NotAuthentic as error:
        authenticator.drop(digest)
        if error.reason not in NO_GUESS:
            authenticator.guesses.record_failure(request.address, request.received_at)
        raise Refusal(CREDENTIAL_INVALID) from error


async def _verified(authorization: bytes | None, digest: bytes, authenticator: Authenticator, now: float) -> Principal:
    token = _bearer(authorization)
    # 5. The token itself.
    claims = access_token.verify(
        token,
        await authenticator.keys.signing_keys(),
        issuer=authenticator.issuer,
        audience=authenticator.audience,
        now=now,
        leeway_seconds=defaults.TOKEN_LEEWAY_SECONDS,
    )
    # 6. Who it stands for.
    principal = await authenticator.principals.load(claims.subject)
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
    authenticator.remember(digest, principal, until)
    return principal


def _bearer(authorization: bytes | None) -> str:
    """The token of `Authorization: Bearer` (RFC 6750 §2.1); API keys have their own verification."""
    scheme, _, token = (authorization or b"").partition(b" ")
    if scheme.lower() != b"bearer" or not token or len(token) > defaults.MAX_TOKEN_BYTES:
        raise NotAuthentic("scheme")
    text = token.decode("ascii")
    if text.startswith(API_KEY_PREFIX):
        raise NotAuthentic("api_key")
    return text
