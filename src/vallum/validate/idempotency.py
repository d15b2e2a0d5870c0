"""`Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-07): which request it belongs to, and how it is written."""

from __future__ import annotations

import re
from typing import Final, NamedTuple, final

from vallum import defaults
from vallum.authorise.stage import Authorised
from vallum.crypto.digest import fingerprint
from vallum.declare.route import Verb
from vallum.refusals import IDEMPOTENCY_KEY_MALFORMED, IDEMPOTENCY_KEY_UNSUPPORTED, Refusal

# §2.1: an Item Structured Header whose value is a String. RFC 9651 §3.3.3: sf-string = DQUOTE *( unescaped / "\" (
# DQUOTE / "\" ) ) DQUOTE. No parameter is defined, so none is taken.
_QUOTED: Final = re.compile(r'"(?P<text>(?:[\x20-\x21\x23-\x5B\x5D-\x7E]|\\["\\])*)"')
_ESCAPED: Final = re.compile(r"\\(.)")
# Clients made for other services (and the draft's first versions) send a bare UUID, a ULID or base64. It means the same
# key as in quotes. RFC 9110 §5.6.2: tchar, with what base64 and URNs have.
_BARE: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z:/=-]+")


@final
class IdempotencyKey(NamedTuple):
    """A request that is to be carried out once, however often it is sent.

    Attributes:
        id: stands for the caller, the method, the route, the client's key and the row's key in the path.
        fingerprint: stands for the query and the bytes of the body.
    """

    id: bytes
    fingerprint: bytes


def read_key(authorised: Authorised) -> str | None:
    """The client's key, or None without one. Where it could not be kept it is refused: ignored, a retry would run again.

    Raises:
        Refusal: IDEMPOTENCY_KEY_UNSUPPORTED, IDEMPOTENCY_KEY_MALFORMED.
    """
    identified = authorised.metered.identified
    request = identified.admitted.request
    value = request.header(b"idempotency-key")
    if value is None:
        return None
    handler = authorised.route.handlers.get(request.method)
    if request.method != "POST":
        raise Refusal(IDEMPOTENCY_KEY_UNSUPPORTED)
    if authorised.verb not in (Verb.CREATE, Verb.ACT):
        raise Refusal(IDEMPOTENCY_KEY_UNSUPPORTED, "This route takes no Idempotency-Key.")
    if handler is not None and handler.asynchronous:
        # It may have done things elsewhere, in transactions of its own, before its answer could be kept.
        raise Refusal(IDEMPOTENCY_KEY_UNSUPPORTED, "This endpoint is not one transaction, so it takes no such key.")
    if identified.principal.id is None:
        raise Refusal(IDEMPOTENCY_KEY_UNSUPPORTED, "An Idempotency-Key belongs to a caller: send a credential with it.")
    return parse_key(value)


def parse_key(value: str) -> str:
    """The key in the field's value, quoted or bare.

    Raises:
        Refusal: IDEMPOTENCY_KEY_MALFORMED, also when it is empty or too long.
    """
    quoted = _QUOTED.fullmatch(value)
    text = value if quoted is None else _ESCAPED.sub(r"\1", quoted["text"])
    if quoted is None and _BARE.fullmatch(value) is None:
        raise Refusal(IDEMPOTENCY_KEY_MALFORMED)
    if not 1 <= len(text) <= defaults.MAX_IDEMPOTENCY_KEY_CHARACTERS:
        raise Refusal(IDEMPOTENCY_KEY_MALFORMED)
    return text


def identify(authorised: Authorised, key: str | None, body: bytes) -> IdempotencyKey | None:
    """What the store knows a request under, from what :func:`read_key` gave."""
    if key is None:
        return None
    identified = authorised.metered.identified
    request, route, row = identified.admitted.request, authorised.route, identified.admitted.keys
    # Not the path as text: the comma between the parts of a row's key may be in a part, too.
    parts = (identified.principal.id or "", request.method, route.path, key, *row)
    return IdempotencyKey(
        fingerprint(*[part.encode() for part in parts]),
        fingerprint(request.query.encode(), body),
    )
