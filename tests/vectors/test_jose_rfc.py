"""The examples that the RFCs print, through the product's own verifier."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from vallum.crypto import BadKey, NotAuthentic, jws, signing_key
from vallum.crypto.jwk import KeySet

VECTORS: dict[str, Any] = json.loads(Path(__file__).with_name("jose_rfc.json").read_text("utf-8"))
CASES: list[dict[str, Any]] = VECTORS["jws"]


def plain(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def read(case: dict[str, Any]) -> KeySet:
    return KeySet.read([case["key"]], symmetric=case["key"]["kty"] == "oct")


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["name"]))
def test_printed_examples_verify(case: dict[str, Any]) -> None:
    """Each signed example of RFC 7515 appendix A verifies with its key and gives its payload."""
    assert jws.verify(case["token"], read(case)).payload == plain(case["token"].split(".")[1])


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["name"]))
@pytest.mark.parametrize("part", [1, 2])
def test_printed_examples_with_one_bit_changed(case: dict[str, Any], part: int) -> None:
    """One changed bit in the payload or in the signature of an example refuses it."""
    parts = case["token"].split(".")
    octets = bytearray(plain(parts[part]))
    octets[0] ^= 1
    parts[part] = base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
    with pytest.raises(NotAuthentic, match=r"^signature$"):
        jws.verify(".".join(parts), read(case))


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["name"]))
def test_unsecured_example_is_refused_with_any_key(case: dict[str, Any]) -> None:
    """`alg: none` (RFC 7515 A.5) verifies under no key, and under an empty set neither."""
    with pytest.raises(NotAuthentic, match=r"^algorithm$"):
        jws.verify(VECTORS["unsecured"]["token"], read(case))
    with pytest.raises(NotAuthentic, match=r"^kid_missing$"):
        jws.verify(VECTORS["unsecured"]["token"], KeySet([]))


def test_ed25519_example() -> None:
    """The key of RFC 8037 A.1 has the thumbprint of A.3 and makes exactly the signature of A.4."""
    example = VECTORS["ed25519"]
    private = Ed25519PrivateKey.from_private_bytes(plain(example["d"]))
    key = signing_key.load(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    assert key.kid == example["thumbprint"]
    assert key.public_jwk["x"] == example["x"]
    signed, _, signature = example["token"].rpartition(".")
    assert key.sign(signed.encode()) == plain(signature)
    key.verification_key.verify(signed.encode(), plain(signature))


def test_ed25519_example_is_refused_for_its_algorithm_name() -> None:
    """`EdDSA`, deprecated by RFC 9864, is accepted neither in a key nor in a token."""
    example = VECTORS["ed25519"]
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": example["x"]}
    with pytest.raises(BadKey, match="jwk_algorithm"):
        KeySet.read([{**jwk, "alg": "EdDSA"}])
    with pytest.raises(NotAuthentic, match=r"^algorithm$"):
        jws.verify(example["token"], KeySet.read([{**jwk, "alg": "Ed25519"}]))
