from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.crypto.forging import Sign, encode, forge, header_of, keys_of

from vallum.crypto import NotAuthentic, jws, signing_key
from vallum.crypto.jwk import KeySet
from vallum.crypto.signing_key import SigningKey

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256
PAYLOAD = {"sub": "teacher-17"}


def assert_refused(token: str, keys: KeySet, reason: str) -> None:
    with pytest.raises(NotAuthentic) as caught:
        jws.verify(token, keys)
    assert caught.value.reason == reason


def mac(secret: bytes, digest: str) -> Sign:
    return lambda data: hmac.new(secret, data, digest).digest()


# The algorithm comes from the key -------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", ""])
@pytest.mark.parametrize("signature", [b"", b"x"])
def test_none(key: SigningKey, algorithm: str, signature: bytes) -> None:
    """`alg: none` in any spelling, with and without a signature, is refused."""
    assert_refused(forge({**header_of(key), "alg": algorithm}, PAYLOAD, lambda _: signature), keys_of(key), "algorithm")


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_public_key_as_secret(key: SigningKey, algorithm: str) -> None:
    """The classic confusion: a MAC whose secret is the public key, in each form an attacker has it."""
    jwk = dict(key.public_jwk)
    coordinate = base64.urlsafe_b64decode(jwk["x"] + "=")
    for secret in (json.dumps(jwk).encode(), coordinate, jwk["x"].encode()):
        sign = mac(secret, f"sha{algorithm[2:]}")
        assert_refused(forge({**header_of(key), "alg": algorithm}, PAYLOAD, sign), keys_of(key), "algorithm")
        assert_refused(forge(header_of(key), PAYLOAD, sign), keys_of(key), "signature")


@pytest.mark.parametrize("algorithm", ["EdDSA", "ed25519", "es256", "ES384", "RS256", "Ed25519 ", "ES256\0"])
def test_other_algorithm_names(key: SigningKey, algorithm: str) -> None:
    """A right signature under any other name of an algorithm is refused."""
    assert_refused(forge({**header_of(key), "alg": algorithm}, PAYLOAD, key.sign), keys_of(key), "algorithm")


@pytest.mark.parametrize("algorithm", [None, 1, ["Ed25519"], {"Ed25519": 1}, True])
def test_algorithm_is_a_text(key: SigningKey, algorithm: object) -> None:
    """`alg` of another JSON type is malformed."""
    assert_refused(forge({**header_of(key), "alg": algorithm}, PAYLOAD, key.sign), keys_of(key), "header_malformed")


def test_algorithm_absent(key: SigningKey) -> None:
    """A header without `alg` is malformed (RFC 7515 §4.1.1)."""
    assert_refused(forge({"kid": key.kid}, PAYLOAD, key.sign), keys_of(key), "header_malformed")


def test_algorithms_asked_for(key: SigningKey) -> None:
    """A caller that accepts fewer algorithms gets fewer, whatever keys the set holds."""
    token = jws.sign(PAYLOAD, key, typ="x")
    with pytest.raises(NotAuthentic, match=r"^algorithm$"):
        jws.verify(token, keys_of(key), algorithms={"RS256"})


# The key comes from our set -------------------------------------------------------------


def test_other_key_of_the_same_kind(key: SigningKey) -> None:
    """A token of a stranger's key is refused: by its kid, and by its signature when it claims ours."""
    stranger = signing_key.generate(key.algorithm.name)
    token = jws.sign(PAYLOAD, stranger, typ="x")
    assert_refused(token, keys_of(key), "key_unknown")
    header, rest = encode(json.dumps(header_of(key)).encode()), token.split(".", 1)[1]
    assert_refused(f"{header}.{rest}", keys_of(key), "signature")


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c"])
def test_keys_in_the_header_are_not_used(key: SigningKey, name: str) -> None:
    """A key that the token brings along, or points to, verifies nothing (RFC 8725 §3.10)."""
    stranger = signing_key.generate(key.algorithm.name)
    value = {"jwk": dict(stranger.public_jwk), "x5c": ["AAAA"]}.get(name, "https://evil.example/keys")
    for kid in (key.kid, stranger.kid):
        token = forge({**header_of(key), "kid": kid, name: value}, PAYLOAD, stranger.sign)
        assert_refused(token, keys_of(key), "signature" if kid == key.kid else "key_unknown")
    token = forge({"alg": key.algorithm.name, name: value}, PAYLOAD, stranger.sign)
    assert_refused(token, keys_of(key), "signature")


@pytest.mark.parametrize("kid", [None, 1, True, ["a"], {"a": 1}])
def test_kid_is_a_text(key: SigningKey, kid: object) -> None:
    """A kid of another type is not the same as no kid: it is refused even with one key."""
    assert_refused(forge({**header_of(key), "kid": kid}, PAYLOAD, key.sign), keys_of(key), "kid_missing")


@pytest.mark.parametrize("kid", ["", "../../etc/passwd", "' OR 1=1 --", "\0", "k" * 1000])
def test_unknown_kid(key: SigningKey, kid: str) -> None:
    """A kid is only ever looked up; what it looks like does not matter."""
    assert_refused(forge({**header_of(key), "kid": kid}, PAYLOAD, key.sign), keys_of(key), "key_unknown")


def test_empty_set(key: SigningKey) -> None:
    """When all keys are revoked nothing verifies."""
    assert_refused(jws.sign(PAYLOAD, key, typ="x"), KeySet([]), "key_unknown")


# The header asks for nothing ------------------------------------------------------------


@pytest.mark.parametrize(
    "extension",
    [
        {"crit": ["exp"], "exp": 1},
        {"crit": []},
        {"crit": None},
        {"crit": ["b64"], "b64": False},
        {"b64": False},
        {"b64": True},
        {"zip": "DEF"},
    ],
)
def test_extensions(key: SigningKey, extension: dict[str, object]) -> None:
    """RFC 7515 §4.1.11: what is critical is not understood; `b64` and `zip` change what was signed."""
    assert_refused(forge({**header_of(key), **extension}, PAYLOAD, key.sign), keys_of(key), "header_unsupported")


def test_unencoded_payload(key: SigningKey) -> None:
    """RFC 7797: a token signed over its payload as it stands is refused."""
    header = encode(json.dumps({**header_of(key), "crit": ["b64"], "b64": False}).encode())
    signature = encode(key.sign(f"{header}.payload".encode()))
    assert_refused(f"{header}.payload.{signature}", keys_of(key), "header_unsupported")


@pytest.mark.parametrize("order", ["first", "last"])
def test_repeated_members(key: SigningKey, order: str) -> None:
    """RFC 7515 §10.12: a repeated name, which parsers resolve differently, is refused."""
    name = key.algorithm.name
    algorithms = ["none", name] if order == "first" else [name, "none"]
    header = f'{{"alg":"{algorithms[0]}","kid":"{key.kid}","alg":"{algorithms[1]}"}}'.encode()
    assert_refused(forge(header, PAYLOAD, key.sign), keys_of(key), "header_malformed")


@pytest.mark.parametrize(
    "header", [b"", b"[]", b"null", b'"alg"', b"{", b"{}{}", b"\xff", b"\xef\xbb\xbf{}", b"[" * 1400], ids=repr
)
def test_headers_that_are_no_object(key: SigningKey, header: bytes) -> None:
    """Anything but one JSON object in UTF-8 is malformed, nesting without end included."""
    assert_refused(forge(header, PAYLOAD, key.sign), keys_of(key), "header_malformed")


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"])
def test_type(key: SigningKey, typ: str) -> None:
    """RFC 7515 §4.1.9: case does not count and `application/` may be there."""
    token = forge({**header_of(key), "typ": typ}, PAYLOAD, key.sign)
    assert jws.verify(token, keys_of(key), typ="at+jwt").claims() == PAYLOAD


@pytest.mark.parametrize(
    "typ", ["JWT", "dpop+jwt", "", "at+jwt ", "text/at+jwt", "application/application/at+jwt", None, 1, ["at+jwt"]]
)
def test_other_types(key: SigningKey, typ: object) -> None:
    """RFC 8725 §3.11: a token made for another purpose is refused."""
    token = forge({**header_of(key), "typ": typ}, PAYLOAD, key.sign)
    with pytest.raises(NotAuthentic, match=r"^type$"):
        jws.verify(token, keys_of(key), typ="at+jwt")


def test_type_absent(key: SigningKey) -> None:
    """Absent is refused when a type is asked for."""
    token = forge({"alg": key.algorithm.name, "kid": key.kid}, PAYLOAD, key.sign)
    with pytest.raises(NotAuthentic, match=r"^type$"):
        jws.verify(token, keys_of(key), typ="at+jwt")


# Signatures -----------------------------------------------------------------------------


@pytest.mark.parametrize("r", [0, 1, ORDER - 1, ORDER, ORDER + 1, 2**256 - 1], ids=["0", "1", "n-1", "n", "n+1", "max"])
@pytest.mark.parametrize("s", [0, 1, ORDER - 1, ORDER, ORDER + 1, 2**256 - 1], ids=["0", "1", "n-1", "n", "n+1", "max"])
def test_psychic_signatures(es256: SigningKey, r: int, s: int) -> None:
    """CVE-2022-21449: r = s = 0, and every other edge of the range, verifies nothing."""
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    assert_refused(forge(header_of(es256), PAYLOAD, lambda _: signature), keys_of(es256), "signature")


def test_es256_in_der() -> None:
    """A right signature in DER, the form of other standards, is refused (RFC 7518 §3.4)."""
    private = ec.generate_private_key(ec.SECP256R1())
    numbers = private.public_key().public_numbers()
    x, y = (encode(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
    keys = KeySet.read([{"kty": "EC", "crv": "P-256", "alg": "ES256", "x": x, "y": y}])
    assert_refused(
        forge({"alg": "ES256"}, PAYLOAD, lambda data: private.sign(data, ec.ECDSA(SHA256()))), keys, "signature"
    )


def test_ed25519_unreduced_scalar(ed25519: SigningKey) -> None:
    """RFC 8032 §5.1.7: S must be below the order of the group; S + L would be a second valid signature."""
    order = 2**252 + 27742317777372353535851937790883648493

    def sign(data: bytes) -> bytes:
        signature = ed25519.sign(data)
        return signature[:32] + (int.from_bytes(signature[32:], "little") + order).to_bytes(32, "little")

    assert_refused(forge(header_of(ed25519), PAYLOAD, sign), keys_of(ed25519), "signature")


@pytest.mark.parametrize(
    "change",
    [
        lambda s: b"",
        lambda s: s[:-1],
        lambda s: s[1:],
        lambda s: s + b"\0",
        lambda s: b"\0" + s,
        lambda s: s * 2,
        lambda s: bytes(64),
    ],
    ids=["empty", "truncated", "beheaded", "zero after", "zero before", "twice", "zeros"],
)
def test_signature_length(key: SigningKey, change: Callable[[bytes], bytes]) -> None:
    """Truncated, extended and empty signatures are refused."""
    assert_refused(forge(header_of(key), PAYLOAD, lambda data: change(key.sign(data))), keys_of(key), "signature")


@pytest.mark.parametrize("algorithm", ["Ed25519", "ES256"])
def test_every_bit_counts(algorithm: str) -> None:
    """Flipping any single bit of payload or signature refuses the token."""
    key = signing_key.generate(algorithm)
    keys, token = keys_of(key), jws.sign({"a": 1}, key, typ="x")
    parts = token.split(".")
    for part in (1, 2):
        octets = base64.urlsafe_b64decode(parts[part] + "=" * (-len(parts[part]) % 4))
        for bit in range(len(octets) * 8):
            changed = bytearray(octets)
            changed[bit // 8] ^= 1 << bit % 8
            forged = [*parts[:part], encode(bytes(changed)), *parts[part + 1 :]]
            assert_refused(".".join(forged), keys, "signature")


_PAIR = [signing_key.generate("Ed25519"), signing_key.generate("ES256")]
KEYS = keys_of(*_PAIR)
TOKENS = [jws.sign(PAYLOAD, key, typ="at+jwt") for key in _PAIR]


@given(st.data())
def test_arbitrary_edits(data: st.DataObject) -> None:
    """Any edit of a token, and any text, is refused with NotAuthentic and nothing else."""
    token = data.draw(st.sampled_from(TOKENS))
    start = data.draw(st.integers(0, len(token)))
    end = data.draw(st.integers(start, min(len(token), start + 8)))
    middle = data.draw(st.text(alphabet=st.characters(codec="utf-8"), max_size=8))
    edited = token[:start] + middle + token[end:]
    if edited == token:
        assert jws.verify(edited, KEYS).claims() == PAYLOAD
        return
    with pytest.raises(NotAuthentic):
        jws.verify(edited, KEYS)


@given(
    st.text(max_size=100),
    st.dictionaries(st.text(max_size=5), st.none() | st.text(max_size=5) | st.integers(), max_size=4),
)
def test_arbitrary_headers(payload: str, header: dict[str, object]) -> None:
    """Whatever header stands before a signature, nothing but NotAuthentic escapes."""
    text = f"{encode(json.dumps(header).encode())}.{encode(payload.encode())}.{encode(bytes(64))}"
    with pytest.raises(NotAuthentic):
        jws.verify(text, KEYS)
