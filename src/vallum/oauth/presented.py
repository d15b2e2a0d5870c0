"""How a client says who it is (RFC 6749 §2.3): by its secret in `Authorization`, or by a signed assertion in the form.

A secret in the form (client_secret_post) is refused: forms are logged and replayed (RFC 9700 §2.5 prefers keys, OAuth
2.1 §2.4 the header).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Final, NamedTuple, TypeAlias, final

from vallum import defaults
from vallum.crypto import client_assertion
from vallum.crypto.digest import cache_key
from vallum.crypto.errors import NotAuthentic
from vallum.refusals import INVALID_CLIENT, INVALID_REQUEST, Refusal
from vallum.request import Request
from vallum.store.memory import address_key
from vallum.validate.form import decode

JWT_BEARER: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
"""RFC 7523 §2.2."""


@final
class Secret(NamedTuple):
    """client_secret_basic. `proof` stands for client and secret together."""

    client_id: str
    secret: str
    proof: bytes


@final
class SignedAssertion(NamedTuple):
    """private_key_jwt; `client_id` is only what it says. `proof` stands for this client at this address."""

    client_id: str
    text: str
    proof: bytes


Presented: TypeAlias = Secret | SignedAssertion


def presented(request: Request, form: Mapping[str, str]) -> Presented:
    """What the client shows; nothing of it is verified.

    Raises:
        Refusal: INVALID_REQUEST for more than one method (RFC 6749 §2.3), INVALID_CLIENT for none or another one.
        NotAuthentic: `basic`, `assertion_malformed`, `client_id`: not what it must be.
    """
    authorization = request.header(b"authorization")
    asserted = "client_assertion" in form or "client_assertion_type" in form
    methods = (authorization is not None, b"x-api-key" in request.headers, "client_secret" in form, asserted)
    if sum(methods) > 1:
        raise Refusal(INVALID_REQUEST, "Authenticate the client by one method.")
    if "client_secret" in form:
        raise Refusal(INVALID_CLIENT, "Send the secret in the Authorization header (client_secret_basic).")
    if authorization is not None:
        shown: Presented = _basic(authorization)
    elif asserted:
        shown = _assertion(form, request.address)
    else:
        raise Refusal(INVALID_CLIENT, "Authenticate the client by client_secret_basic or private_key_jwt.")
    # RFC 7521 §4.2: beside an assertion, client_id is optional and must be the same client; so it is with a secret.
    if form.get("client_id", shown.client_id) != shown.client_id:
        raise NotAuthentic("client_id")
    return shown


def _basic(authorization: str) -> Secret:
    """RFC 6749 §2.3.1: both halves are form-encoded, then RFC 7617."""
    scheme, _, text = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise Refusal(INVALID_CLIENT, "Authenticate the client by client_secret_basic or private_key_jwt.")
    try:
        name, colon, secret = base64.b64decode(text, validate=True).decode("ascii").partition(":")
        client_id, secret = decode(name), decode(secret)
    except ValueError:
        raise NotAuthentic("basic") from None
    if not colon or not client_id or not secret or len(client_id) > defaults.MAX_CLAIM_CHARACTERS:
        raise NotAuthentic("basic")
    return Secret(client_id, secret, cache_key(authorization.encode("ascii")))


def _assertion(form: Mapping[str, str], address: str) -> SignedAssertion:
    """RFC 7523 §2.2."""
    if form.get("client_assertion_type") != JWT_BEARER or "client_assertion" not in form:
        raise Refusal(INVALID_REQUEST, "An assertion comes with client_assertion_type and client_assertion of a JWT.")
    text = form["client_assertion"]
    client_id = client_assertion.claimed_client(text)
    # No header value begins with a line feed, so no secret can be taken for this.
    return SignedAssertion(client_id, text, cache_key(f"\n{address_key(address)} {client_id}".encode()))
