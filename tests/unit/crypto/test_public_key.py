"""Public keys as operators have them."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from vallum.crypto import signing_key
from vallum.crypto.errors import BadKey
from vallum.crypto.public_key import read_public_key

KEYS = [signing_key.generate(name) for name in ("Ed25519", "ES256")]
ED, ES = (dict(key.public_jwk) for key in KEYS)


def jwk(members: dict[str, str], **changes: object) -> bytes:
    return json.dumps({name: value for name, value in {**members, **changes}.items() if value is not None}).encode()


def pem(public: ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> bytes:
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("members", [ED, ES], ids=["Ed25519", "ES256"])
def test_a_jwk_becomes_canonical(members: dict[str, str]) -> None:
    """What it need not say is filled in: the algorithm by its curve, the kid by its thumbprint; the rest is dropped."""
    assert read_public_key(jwk(members)) == members
    assert read_public_key(jwk(members, alg=None, use=None, kid=None, key_ops=["verify"], x5u="https://x")) == members
    assert read_public_key(jwk(members, kid="mine"))["kid"] == "mine"


def test_the_old_name_of_ed25519() -> None:
    """`EdDSA`, as libraries from before RFC 9864 write it, is understood here and nowhere else."""
    assert read_public_key(jwk(ED, alg="EdDSA"))["alg"] == "Ed25519"


REFUSED = {
    "empty": (b"", "public_key_malformed"),
    "no JSON": (b"x", "public_key_malformed"),
    "an array": (b"[]", "public_key_malformed"),
    "a member twice": (b'{"kty":"OKP","kty":"EC"}', "public_key_malformed"),
    "a set of keys": (json.dumps({"keys": [ED]}).encode(), "public_key_algorithm"),
    "another curve": (jwk(ES, crv="P-384"), "public_key_algorithm"),
    "another algorithm": (jwk(ES, alg="ES384"), "public_key_algorithm"),
    "no algorithm at all": (jwk(ED, alg="none"), "public_key_algorithm"),
    "a secret": (b'{"kty":"oct","k":"AAAA"}', "public_key_algorithm"),
    "a private member": (jwk(ED, d="AAAA"), "jwk_private"),
    "for encryption": (jwk(ES, use="enc"), "jwk_use"),
    "off the curve": (jwk(ES, y=ES["x"]), "jwk_malformed"),
    "short": (jwk(ED, x="AAAA"), "jwk_malformed"),
    "a kid that is a number": (jwk(ED, kid=1), "jwk_kid"),
    "PEM of nothing": (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "public_key_malformed"),
    "a certificate": (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "public_key_malformed"),
    "a private PEM": (KEYS[0].private_pem(), "public_key_private"),
    "an encrypted private PEM": (KEYS[1].private_pem(b"x"), "public_key_private"),
    "PEM of P-384": (pem(ec.generate_private_key(ec.SECP384R1()).public_key()), "public_key_algorithm"),
    "PEM of RSA": (pem(rsa.generate_private_key(65537, 2048).public_key()), "public_key_algorithm"),
}


@pytest.mark.parametrize(("data", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_such_key(data: bytes, reason: str) -> None:
    """Each is refused when it is registered, so that verifying needs no such check."""
    with pytest.raises(BadKey) as caught:
        read_public_key(data)
    assert caught.value.reason == reason


@given(st.binary(max_size=80))
def test_any_bytes(data: bytes) -> None:
    """Whatever is in the file, it is a key or a clear refusal."""
    with pytest.raises(BadKey):
        read_public_key(data)
