"""JSON Web Signature, compact serialization only (RFC 7515 §7.1), with the advice of RFC 8725.

The header chooses nothing: it may name a key of ours by `kid`, and its `alg` must be
that key's. `jku`, `jwk`, `x5u` and `x5c` are never read (RFC 8725 §3.10). No compression.
An ES256 signature can be changed into a second valid one by anybody: a signature
proves the content and identifies nothing; count on `jti` for that.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import final

from vallum.crypto import base64url, json_object
from vallum.crypto.algorithms import ALGORITHMS
from vallum.crypto.errors import NotAuthentic
from vallum.crypto.jwk import KeySet, VerificationKey
from vallum.crypto.signing_key import SigningKey
from vallum.defaults import MAX_JWS_HEADER_CHARACTERS, MAX_TOKEN_BYTES

_NOT_UNDERSTOOD = ("crit", "b64", "zip")


@final
@dataclass(frozen=True, slots=True)
class Verified:
    """What a verified JWS says.

    Attributes:
        header: its protected header; only the parts named in `verify` were checked.
        payload: the signed bytes.
    """

    header: Mapping[str, object]
    payload: bytes

    def claims(self) -> dict[str, object]:
        """The payload as a JSON object (RFC 7519 §7.2 step 10), strictly.

        Raises:
            NotAuthentic: `claims_malformed`.
        """
        try:
            return json_object.decode(self.payload)
        except ValueError:
            raise NotAuthentic("claims_malformed") from None


def sign(claims: Mapping[str, object], key: SigningKey, *, typ: str) -> str:
    """A compact JWS over the JSON of `claims`, with `alg`, `kid` and `typ` in its header.

    Args:
        claims: JSON values by name.
        key: signs, and gives `alg` and `kid`.
        typ: says what the token is for (RFC 8725 §3.11), such as `at+jwt`.

    Raises:
        ValueError: a number of the claims is NaN or infinite.
    """
    header = json_object.encode({"alg": key.algorithm.name, "kid": key.kid, "typ": typ})
    signed = base64url.encode(header) + "." + base64url.encode(json_object.encode(dict(claims)))
    return signed + "." + base64url.encode(key.sign(signed.encode("ascii")))


def verify(
    token: str,
    keys: KeySet,
    *,
    typ: str | None = None,
    algorithms: Container[str] = ALGORITHMS,
    kid_required: bool = False,
    max_bytes: int = MAX_TOKEN_BYTES,
) -> Verified:
    """The content of `token`, after each of these steps (RFC 7515 §5.2):

    1. The token is ASCII, within its bound, and has exactly three parts.
    2. The header is strict base64url and strict JSON, and asks for no extension.
    3. Its `typ` is the one asked for.
    4. Its `kid` finds the key. Without `kid` there must be exactly one key.
    5. Its `alg` is that key's, and among those asked for.
    6. The signature is strict base64url and verifies over the first two parts as sent.
    7. The payload is strict base64url.

    Args:
        token: as received.
        keys: those that may have signed it.
        typ: required media type, `application/` omitted; None does not look at it.
        algorithms: those acceptable here; each key has exactly one of them.
        kid_required: refuse a token without `kid` even when there is only one key.
        max_bytes: of the whole token.

    Raises:
        NotAuthentic: `token_malformed`, `header_malformed`, `header_unsupported`, `type`,
            `kid_missing`, `key_unknown`, `algorithm`, `signature` or `payload_malformed`.
    """
    header_text, payload_text, signature_text = _parts(token, max_bytes)  # 1
    header = _header(header_text)  # 2
    if typ is not None:
        _check_type(header, typ)  # 3
    key = _key(header, keys, kid_required=kid_required)  # 4
    if header["alg"] != key.algorithm.name or key.algorithm.name not in algorithms:  # 5
        raise NotAuthentic("algorithm")
    signed = token[: len(header_text) + 1 + len(payload_text)].encode("ascii")
    key.verify(signed, _decode(signature_text, "signature"))  # 6
    return Verified(header, _decode(payload_text, "payload_malformed"))  # 7


def _parts(token: str, max_bytes: int) -> tuple[str, str, str]:
    if len(token) > max_bytes or not token.isascii():
        raise NotAuthentic("token_malformed")
    parts = token.split(".")
    if len(parts) != 3 or len(parts[0]) > MAX_JWS_HEADER_CHARACTERS:
        raise NotAuthentic("token_malformed")
    return parts[0], parts[1], parts[2]


def _decode(text: str, reason: str) -> bytes:
    try:
        return base64url.decode(text)
    except ValueError:
        raise NotAuthentic(reason) from None


def _header(text: str) -> dict[str, object]:
    try:
        header = json_object.decode(base64url.decode(text))
    except ValueError:
        raise NotAuthentic("header_malformed") from None
    # RFC 7515 §4.1.11 and RFC 7797 §6: what is critical and not understood makes the token invalid;
    # `b64` without `crit` is no better, and `zip` is for encryption only (RFC 7516 §4.1.3).
    if any(name in header for name in _NOT_UNDERSTOOD):
        raise NotAuthentic("header_unsupported")
    if not isinstance(header.get("alg"), str):
        raise NotAuthentic("header_malformed")
    return header


def _check_type(header: Mapping[str, object], typ: str) -> None:
    """RFC 7515 §4.1.9: a media type, so its case does not count, and `application/` may be omitted."""
    value = header.get("typ")
    if not isinstance(value, str) or value.lower().removeprefix("application/") != typ:
        raise NotAuthentic("type")


def _key(header: Mapping[str, object], keys: KeySet, *, kid_required: bool) -> VerificationKey:
    if "kid" not in header and not kid_required:
        return keys.only()
    kid = header.get("kid")
    if not isinstance(kid, str):
        raise NotAuthentic("kid_missing")
    return keys.find(kid)
