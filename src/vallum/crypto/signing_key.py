"""Our own signing key pairs: Ed25519 (RFC 8032, RFC 9864) and ES256 (RFC 7518 §3.4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from joserfc.jwk import ECKey, OKPKey

from vallum.crypto.algorithms import ALGORITHMS, SIGNING_ALGORITHMS, Algorithm
from vallum.crypto.errors import BadKey
from vallum.crypto.jwk import VerificationKey, read_jwk

_Private = Ed25519PrivateKey | EllipticCurvePrivateKey
_CURVE: Final = SECP256R1()


@final
@dataclass(frozen=True, slots=True, eq=False)
class SigningKey:
    """A private key with its identifier; made by `generate` or `load`.

    Attributes:
        kid: the thumbprint of the public key (RFC 7638), so that a kid names one key for ever.
        algorithm: of its signatures.
        public_jwk: what is published: kty, crv, x, for ES256 y, kid, alg, use.
        verification_key: its public half.
    """

    kid: str
    algorithm: Algorithm
    public_jwk: Mapping[str, str]
    verification_key: VerificationKey
    _private: _Private = field(repr=False)
    _material: OKPKey | ECKey = field(repr=False)

    def sign(self, message: bytes) -> bytes:
        """The signature over `message`, in the form of RFC 7518 §3.4 or RFC 8037 §3.1."""
        return self.algorithm.primitive.sign(message, self._material)

    def private_pem(self, passphrase: bytes | None = None) -> bytes:
        """PKCS #8 in PEM (RFC 5958), encrypted (PBES2, RFC 8018 §6.2) when a passphrase is given.

        Raises:
            ValueError: an empty passphrase.
        """
        encryption = NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase)
        return self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def generate(algorithm: str) -> SigningKey:
    """A new key pair for `Ed25519` or `ES256`.

    Raises:
        BadKey: `key_algorithm`, for any other name.
    """
    if algorithm not in SIGNING_ALGORITHMS:
        raise BadKey("key_algorithm", f"sign with one of {', '.join(sorted(SIGNING_ALGORITHMS))}")
    return _wrap(Ed25519PrivateKey.generate() if algorithm == "Ed25519" else generate_private_key(_CURVE))


def load(pem: bytes, passphrase: bytes | None = None) -> SigningKey:
    """The key pair of `private_pem`.

    Raises:
        BadKey: `pem_passphrase` (missing, wrong, or given for a key that is not encrypted),
            `pem_malformed`, or `key_algorithm` (neither Ed25519 nor P-256).
    """
    encrypted = pem.lstrip().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    if encrypted and passphrase is None:
        raise BadKey("pem_passphrase", "the signing key is encrypted: set the master key that it was made with")
    if passphrase is not None and not encrypted:
        raise BadKey("pem_passphrase", "a master key is set, but this signing key is not encrypted: rotate it")
    try:
        private = load_pem_private_key(pem, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        if encrypted:
            raise BadKey("pem_passphrase", "the signing key does not open with this master key") from None
        raise BadKey("pem_malformed", "not a private key in PKCS #8 PEM: restore the file or rotate the key") from None
    if isinstance(private, EllipticCurvePrivateKey) and isinstance(private.curve, SECP256R1):
        return _wrap(private)
    if isinstance(private, Ed25519PrivateKey):
        return _wrap(private)
    raise BadKey("key_algorithm", "a signing key is Ed25519 or P-256")


def _wrap(private: _Private) -> SigningKey:
    material: OKPKey | ECKey
    if isinstance(private, Ed25519PrivateKey):
        name, material = "Ed25519", OKPKey.import_key(private)
    else:
        name, material = "ES256", ECKey.import_key(private)
    kid = material.thumbprint()
    members = {key: str(value) for key, value in material.as_dict(private=False).items()}
    jwk = {**members, "kid": kid, "alg": name, "use": "sig"}
    return SigningKey(kid, ALGORITHMS[name], MappingProxyType(jwk), read_jwk(jwk), private, material)
