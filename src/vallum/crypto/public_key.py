"""The public key that an operator registers for a client: a JWK (RFC 7517) or PEM, made one canonical JWK."""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from joserfc.jwk import ECKey, OKPKey

from vallum.crypto import json_object
from vallum.crypto.errors import BadKey
from vallum.crypto.jwk import read_jwk

_ALGORITHMS: Final = {("OKP", "Ed25519"): "Ed25519", ("EC", "P-256"): "ES256"}
_NAMES: Final = {"Ed25519": {"Ed25519", "EdDSA"}, "ES256": {"ES256"}}
"""What `alg` may say; `EdDSA` is the name from before RFC 9864."""
_MEMBERS: Final = {"Ed25519": ["kty", "crv", "x"], "ES256": ["kty", "crv", "x", "y"]}


def read_public_key(data: bytes) -> dict[str, str]:
    """kty, crv, x, for ES256 y, kid, alg, use. The kid is the key's own, or its thumbprint (RFC 7638).

    Args:
        data: a JWK, or SubjectPublicKeyInfo in PEM.

    Raises:
        BadKey: `public_key_private`, `public_key_malformed`, `public_key_algorithm`, or a reason of `read_jwk`.
    """
    if b"PRIVATE KEY-----" in data:
        raise BadKey("public_key_private", "this is a private key: register its public half, and keep this one secret")
    given = _pem(data) if data.lstrip().startswith(b"-----BEGIN") else _jwk(data)
    algorithm = _ALGORITHMS.get((str(given.get("kty")), str(given.get("crv"))))
    if algorithm is None or given.get("alg", algorithm) not in _NAMES[algorithm]:
        raise BadKey("public_key_algorithm", "use a key of Ed25519, or of P-256 for ES256")
    read_jwk({**given, "alg": algorithm})
    members: dict[str, str] = {name: str(given[name]) for name in _MEMBERS[algorithm]}
    kid = given.get("kid")
    return {**members, "kid": _thumbprint(members) if kid is None else str(kid), "alg": algorithm, "use": "sig"}


def _jwk(data: bytes) -> dict[str, object]:
    try:
        return json_object.decode(data)
    except ValueError:
        raise BadKey("public_key_malformed", "write one JWK as a JSON object, or a public key in PEM") from None


def _pem(data: bytes) -> dict[str, object]:
    try:
        key = load_pem_public_key(data)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadKey("public_key_malformed", "not a public key in PEM (BEGIN PUBLIC KEY)") from None
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return dict(ECKey.import_key(key).as_dict(private=False))
    if isinstance(key, Ed25519PublicKey):
        return dict(OKPKey.import_key(key).as_dict(private=False))
    raise BadKey("public_key_algorithm", "use a key of Ed25519, or of P-256 for ES256")


def _thumbprint(members: dict[str, str]) -> str:
    imported = OKPKey.import_key(dict(members)) if members["kty"] == "OKP" else ECKey.import_key(dict(members))
    return str(imported.thumbprint())
