from __future__ import annotations

import hmac
import json
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from joserfc import jws as joserfc_jws
from joserfc.jwk import JWKRegistry
from tests.unit.crypto.forging import Sign, encode, forge, header_of, keys_of

from vallum.crypto import NotAuthentic, jws
from vallum.crypto.jwk import KeySet
from vallum.crypto.signing_key import SigningKey
from vallum.defaults import MAX_JWS_HEADER_CHARACTERS, MAX_TOKEN_BYTES

SECRET = bytes(range(64))
PAYLOAD = {"sub": "teacher-17"}


def assert_refused(token: str, keys: KeySet, reason: str) -> None:
    with pytest.raises(NotAuthentic) as caught:
        jws.verify(token, keys)
    assert caught.value.reason == reason


# What is accepted -----------------------------------------------------------------------


def test_round_trip(key: SigningKey) -> None:
    """A signed token verifies, with its claims and the header that was asked for."""
    verified = jws.verify(jws.sign(PAYLOAD, key, typ="at+jwt"), keys_of(key), typ="at+jwt", kid_required=True)
    assert verified.claims() == PAYLOAD
    assert verified.header == header_of(key)


def test_others_verify_ours(key: SigningKey) -> None:
    """The library alone, with the published key, accepts what we sign."""
    public = JWKRegistry.import_key(dict(key.public_jwk))
    token = jws.sign(PAYLOAD, key, typ="at+jwt")
    result = joserfc_jws.deserialize_compact(token, public, algorithms=[key.algorithm.name])
    assert json.loads(result.payload) == PAYLOAD


def test_key_is_found_by_kid(ed25519: SigningKey, es256: SigningKey) -> None:
    """Among several keys the one that the header names is used."""
    keys = keys_of(ed25519, es256)
    for key in (ed25519, es256):
        assert jws.verify(jws.sign(PAYLOAD, key, typ="x"), keys).claims() == PAYLOAD


def test_without_kid_only_one_key_is_tried(ed25519: SigningKey, es256: SigningKey) -> None:
    """Without kid the only key is used; with two it would be a guess, and a caller may require the kid."""
    token = forge({"alg": "Ed25519"}, PAYLOAD, ed25519.sign)
    assert jws.verify(token, keys_of(ed25519)).claims() == PAYLOAD
    assert_refused(token, keys_of(ed25519, es256), "kid_missing")
    with pytest.raises(NotAuthentic, match=r"^kid_missing$"):
        jws.verify(token, keys_of(ed25519), kid_required=True)


RSA = generate_private_key(65537, 2048)
RSA_JWK = {"kty": "RSA", "n": encode(RSA.public_key().public_numbers().n.to_bytes(256, "big")), "e": "AQAB"}
OCT_JWK = {"kty": "oct", "k": encode(SECRET)}


def pkcs1(digest: HashAlgorithm) -> Sign:
    return lambda data: RSA.sign(data, padding.PKCS1v15(), digest)


def pss(digest: HashAlgorithm) -> Sign:
    return lambda data: RSA.sign(data, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)


def mac(secret: bytes, digest: str) -> Sign:
    return lambda data: hmac.new(secret, data, digest).digest()


SIGNERS: dict[str, tuple[dict[str, str], Sign]] = {
    **{f"RS{digest.name[3:]}": (RSA_JWK, pkcs1(digest)) for digest in (SHA256(), SHA384(), SHA512())},
    **{f"PS{digest.name[3:]}": (RSA_JWK, pss(digest)) for digest in (SHA256(), SHA384(), SHA512())},
    **{f"HS{digest[3:]}": (OCT_JWK, mac(SECRET, digest)) for digest in ("sha256", "sha384", "sha512")},
}


@pytest.mark.parametrize("algorithm", sorted(SIGNERS))
def test_foreign_algorithms(algorithm: str) -> None:
    """Signatures made without our code verify under a key of their algorithm and under no other of the same family."""
    jwk, sign = SIGNERS[algorithm]
    token = forge({"alg": algorithm}, PAYLOAD, sign)
    assert jws.verify(token, KeySet.read([{**jwk, "alg": algorithm}], symmetric=True)).claims() == PAYLOAD
    for other in SIGNERS.keys() - {algorithm}:
        keys = KeySet.read([{**SIGNERS[other][0], "alg": other}], symmetric=True)
        assert_refused(token, keys, "algorithm")
        assert_refused(forge({"alg": other}, PAYLOAD, sign), keys, "signature")


def test_payload_is_any_bytes(key: SigningKey) -> None:
    """A JWS signs bytes; only claims() wants an object."""
    verified = jws.verify(forge(header_of(key), b"\x00\xff", key.sign), keys_of(key))
    assert verified.payload == b"\x00\xff"
    with pytest.raises(NotAuthentic, match=r"^claims_malformed$"):
        verified.claims()


@pytest.mark.parametrize("payload", [b"", b"[]", b'{"a":1,"a":2}', b'{"a":NaN}', b"{}{}", b"[" * 2000], ids=repr)
def test_claims_are_strict_json(key: SigningKey, payload: bytes) -> None:
    """Signed claims with repeated names, constants, a tail or endless depth are refused all the same."""
    with pytest.raises(NotAuthentic, match=r"^claims_malformed$"):
        jws.verify(forge(header_of(key), payload, key.sign), keys_of(key)).claims()


# The form -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda h, p, s: f"{h}.{p}",
        lambda h, p, s: f"{h}{p}.{s}",
        lambda h, p, s: f"{h}.{p}.{s}.",
        lambda h, p, s: f"{h}.{p}.{s}.{s}",
        lambda h, p, s: f"{h}..{p}.{s}",
        lambda h, p, s: h,
        lambda h, p, s: "",
        lambda h, p, s: f"{h}.{p}.{s}é",
        lambda h, p, s: json.dumps({"payload": p, "protected": h, "signature": s}),
    ],
    ids=["two parts", "joined", "extra dot", "four parts", "empty part", "one part", "empty", "not ASCII", "JSON form"],
)
def test_malformed(key: SigningKey, change: Callable[[str, str, str], str]) -> None:
    """Only three parts between two dots are a compact JWS (RFC 7515 §7.1)."""
    assert_refused(change(*jws.sign(PAYLOAD, key, typ="x").split(".")), keys_of(key), "token_malformed")


@pytest.mark.parametrize("part", [0, 1, 2])
@pytest.mark.parametrize("junk", ["=", " ", "\n", "?", "+", "/", "%3D", "\0"], ids=repr)
@pytest.mark.parametrize("place", ["before", "inside", "after"])
def test_bad_base64(key: SigningKey, part: int, junk: str, place: str) -> None:
    """A foreign character anywhere in any part is refused, even where lenient decoders drop it."""
    parts = jws.sign(PAYLOAD, key, typ="x").split(".")
    at = {"before": 0, "inside": 5, "after": len(parts[part])}[place]
    parts[part] = parts[part][:at] + junk + parts[part][at:]
    with pytest.raises(NotAuthentic):
        jws.verify(".".join(parts), keys_of(key))


def test_unused_bits_of_the_signature(key: SigningKey) -> None:
    """64 octets leave four unused bits: each other value of them is another spelling, and is refused."""
    token = jws.sign(PAYLOAD, key, typ="x")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    index = alphabet.index(token[-1])
    assert index % 16 == 0
    for offset in range(1, 16):
        assert_refused(token[:-1] + alphabet[index + offset], keys_of(key), "signature")


def test_signed_over_a_lenient_spelling(key: SigningKey) -> None:
    """A payload with padding is refused although the signature over exactly that text is right."""
    header = encode(json.dumps(header_of(key)).encode())
    for payload in ("e30=", "e31", " e30", "e30\n"):
        signature = encode(key.sign(f"{header}.{payload}".encode()))
        assert_refused(f"{header}.{payload}.{signature}", keys_of(key), "payload_malformed")


def test_size_bound(key: SigningKey) -> None:
    """A token of exactly the bound verifies; one character more is refused before anything is decoded."""
    token = forge(header_of(key), b"x" * 100, key.sign)
    assert jws.verify(token, keys_of(key), max_bytes=len(token)).payload == b"x" * 100
    with pytest.raises(NotAuthentic, match=r"^token_malformed$"):
        jws.verify(token, keys_of(key), max_bytes=len(token) - 1)
    assert_refused("A" * (MAX_TOKEN_BYTES + 1), keys_of(key), "token_malformed")


def test_header_bound(key: SigningKey) -> None:
    """A header of exactly the bound is read, a longer one is not."""
    room = MAX_JWS_HEADER_CHARACTERS * 3 // 4 - len(json.dumps({**header_of(key), "pad": ""}))
    fits = forge({**header_of(key), "pad": "x" * room}, PAYLOAD, key.sign)
    assert len(fits.split(".", maxsplit=1)[0]) == MAX_JWS_HEADER_CHARACTERS
    assert jws.verify(fits, keys_of(key)).claims() == PAYLOAD
    over = forge({**header_of(key), "pad": "x" * (room + 1)}, PAYLOAD, key.sign)
    assert_refused(over, keys_of(key), "token_malformed")
