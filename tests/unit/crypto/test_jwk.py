from __future__ import annotations

import base64
import random
from collections.abc import Mapping
from math import prod

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from hypothesis import given
from hypothesis import strategies as st

from vallum.crypto import BadKey, NotAuthentic
from vallum.crypto.algorithms import ALGORITHMS
from vallum.crypto.jwk import KeySet, read_jwk
from vallum.crypto.signing_key import SigningKey


def text(number: int | bytes, length: int = 0) -> str:
    octets = number if isinstance(number, bytes) else number.to_bytes(length or (number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


RSA = generate_private_key(65537, 2048).public_key().public_numbers()
P384 = ec.generate_private_key(ec.SECP384R1()).public_key().public_numbers()
P521 = ec.generate_private_key(ec.SECP521R1()).public_key().public_numbers()


def rsa(**members: object) -> dict[str, object]:
    return {"kty": "RSA", "alg": "RS256", "n": text(RSA.n), "e": text(RSA.e), **members}


def oct_key(octets: int, algorithm: str = "HS256") -> dict[str, object]:
    return {"kty": "oct", "alg": algorithm, "k": text(bytes(octets))}


def assert_refused(jwk: Mapping[str, object], reason: str, *, symmetric: bool = False) -> None:
    with pytest.raises(BadKey) as caught:
        read_jwk(jwk, symmetric=symmetric)
    assert caught.value.reason == reason


def test_every_algorithm_has_a_key() -> None:
    """A proper key of each type is read, and is bound to the algorithm it names."""
    curve = {"kty": "EC", "crv": "P-384", "alg": "ES384", "x": text(P384.x, 48), "y": text(P384.y, 48)}
    large = {"kty": "EC", "crv": "P-521", "alg": "ES512", "x": text(P521.x, 66), "y": text(P521.y, 66)}
    asymmetric = [rsa(alg=name) for name in ALGORITHMS if name[:2] in ("RS", "PS")] + [curve, large]
    assert [read_jwk(jwk).algorithm.name for jwk in asymmetric] == [jwk["alg"] for jwk in asymmetric]
    for name, octets in (("HS256", 32), ("HS384", 48), ("HS512", 64)):
        assert read_jwk(oct_key(octets, name), symmetric=True).algorithm.name == name


def test_own_public_keys_are_read(key: SigningKey) -> None:
    """What we publish is read back with the same kid and algorithm."""
    read = read_jwk(key.public_jwk)
    assert (read.kid, read.algorithm) == (key.kid, key.algorithm)
    read.verify(b"message", key.sign(b"message"))
    with pytest.raises(NotAuthentic, match=r"^signature$"):
        read.verify(b"other message", key.sign(b"message"))


@pytest.mark.parametrize("algorithm", [None, "", "none", "EdDSA", "ES521", "ES256K", "A256KW", "rs256", 7, ["RS256"]])
def test_algorithm_is_required_and_known(algorithm: object) -> None:
    """A key without `alg`, or with one that is not in the table, is refused."""
    assert_refused(rsa(alg=algorithm), "jwk_algorithm")


def test_algorithm_member_absent() -> None:
    """Absent is refused like unknown."""
    jwk = rsa()
    del jwk["alg"]
    assert_refused(jwk, "jwk_algorithm")


@pytest.mark.parametrize(
    "change",
    [
        {"kty": "RSA"},
        {"kty": "OKP"},
        {"kty": None},
        {"crv": "P-384"},
        {"crv": None},
        {"crv": "p-256"},
        {"alg": "ES384"},
    ],
)
def test_type_and_curve_follow_the_algorithm(es256: SigningKey, change: dict[str, object]) -> None:
    """`kty` and `crv` must be those of `alg`, character by character."""
    assert_refused({**es256.public_jwk, **change}, "jwk_type")


def test_rsa_key_with_a_curve() -> None:
    """A member that its type does not have makes a key ambiguous."""
    assert_refused(rsa(crv="P-256"), "jwk_type")


@pytest.mark.parametrize(
    "purpose",
    [
        {"use": "enc"},
        {"use": None},
        {"key_ops": []},
        {"key_ops": ["encrypt"]},
        {"key_ops": ["sign"]},
        {"key_ops": ["verify", "encrypt"]},
        {"key_ops": "verify"},
        {"key_ops": [["verify"]]},
        {"use": "enc", "key_ops": ["verify"]},
    ],
)
def test_purpose(purpose: dict[str, object]) -> None:
    """RFC 7517 §4.2, §4.3: a key for anything but signatures verifies none."""
    assert_refused(rsa(**purpose), "jwk_use")


@pytest.mark.parametrize(
    "purpose", [{}, {"use": "sig"}, {"key_ops": ["verify"]}, {"use": "sig", "key_ops": ["verify"]}]
)
def test_purpose_allowed(purpose: dict[str, object]) -> None:
    """The four ways to say that a key verifies."""
    assert read_jwk(rsa(**purpose)).kid is None


@pytest.mark.parametrize("kid", ["", "k" * 257, 1, ["a"]])
def test_kid_is_a_bounded_text(kid: object) -> None:
    """A kid that is empty, too long or no text is refused."""
    assert_refused(rsa(kid=kid), "jwk_kid")


def test_kid_of_the_greatest_length() -> None:
    """256 characters are accepted."""
    assert read_jwk(rsa(kid="k" * 256)).kid == "k" * 256


@pytest.mark.parametrize("member", ["d", "p", "q", "dp", "dq", "qi", "oth", "k"])
def test_private_members(member: str, ed25519: SigningKey) -> None:
    """A private member in a public key is refused: somebody published a secret."""
    assert_refused(rsa(**{member: "AQAB"}), "jwk_private")
    assert_refused({**ed25519.public_jwk, member: "AQAB"}, "jwk_private")


def test_unknown_members_are_ignored(ed25519: SigningKey) -> None:
    """RFC 7517 §4: members that are not understood are ignored; certificates are never looked at."""
    jwk = {**ed25519.public_jwk, "x5c": ["nonsense"], "x5u": "https://evil.example", "colour": {}}
    assert read_jwk(jwk).kid == ed25519.kid


def test_symmetric_only_when_asked() -> None:
    """A secret is not read from a set of public keys."""
    assert_refused(oct_key(32), "jwk_symmetric")


@pytest.mark.parametrize(("name", "octets"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_symmetric_strength(name: str, octets: int) -> None:
    """RFC 7518 §3.2: as long as the hash is enough, one octet less is not, empty is not."""
    assert_refused(oct_key(octets - 1, name), "jwk_weak", symmetric=True)
    assert_refused(oct_key(0, name), "jwk_weak", symmetric=True)
    assert read_jwk(oct_key(octets, name), symmetric=True).algorithm.octets == octets


@pytest.mark.parametrize("member", ["x", "y"])
@pytest.mark.parametrize("value", ["", "AA", None, 5, "==", "longer", "shorter"])
def test_coordinates(es256: SigningKey, member: str, value: object) -> None:
    """RFC 7518 §6.2.1.2: a coordinate has the length of the field; one octet more or less is refused."""
    right = base64.urlsafe_b64decode(es256.public_jwk[member] + "=")
    value = {"longer": text(b"\0" + right), "shorter": text(right[:-1])}.get(str(value), value)
    assert_refused({**es256.public_jwk, member: value}, "jwk_malformed")


def test_point_off_the_curve(es256: SigningKey) -> None:
    """An invalid-curve key is refused when it is read."""
    jwk = es256.public_jwk
    assert_refused({**jwk, "x": jwk["y"], "y": jwk["x"]}, "jwk_malformed")
    assert_refused({**jwk, "x": text(bytes(32)), "y": text(bytes(32))}, "jwk_malformed")


def test_okp_length(ed25519: SigningKey) -> None:
    """An Ed25519 key has 32 octets."""
    for octets in (0, 31, 33, 57):
        assert_refused({**ed25519.public_jwk, "x": text(bytes(octets))}, "jwk_malformed")


@pytest.mark.parametrize(
    ("modulus", "exponent"),
    [
        (RSA.n >> 1 | 1, 65537),  # 2047 bits
        ((1 << 8192) | 1, 65537),  # 8193 bits
        (RSA.n, 1),
        (RSA.n, 65536),
        (RSA.n, 2**32 + 1),
        (RSA.n + 1, 65537),
    ],
    ids=["2047 bits", "8193 bits", "exponent 1", "even exponent", "huge exponent", "even modulus"],
)
def test_rsa_strength(modulus: int, exponent: int) -> None:
    """RFC 7518 §3.3 and what makes an RSA key worthless or slow."""
    assert_refused(rsa(n=text(modulus), e=text(exponent)), "jwk_weak")


def test_rsa_that_can_be_factored() -> None:
    """A modulus with the fingerprint of CVE-2017-15361 is refused."""
    small = prod(n for n in range(2, 702) if all(n % d for d in range(2, n)))
    draw = random.Random(3)
    # The top bits are set, so that both factors have 1024 bits and the product 2048.
    factors = [
        ((3 << 1022) // small + draw.getrandbits(40)) * small + pow(65537, draw.getrandbits(90), small) for _ in "pq"
    ]
    modulus = factors[0] * factors[1]
    assert modulus.bit_length() == 2048
    assert_refused(rsa(n=text(modulus)), "jwk_weak")


@pytest.mark.parametrize("member", ["n", "e"])
@pytest.mark.parametrize("value", ["", "AAEAAQ", "AQAB=", None, 65537])
def test_rsa_numbers(member: str, value: object) -> None:
    """RFC 7518 §2: the shortest form, without a leading zero octet, in strict base64url."""
    assert_refused(rsa(**{member: value}), "jwk_malformed")


@given(
    st.dictionaries(
        st.sampled_from(["kty", "crv", "alg", "use", "key_ops", "kid", "x", "y", "n", "e", "k", "d"]),
        st.sampled_from(
            ["OKP", "EC", "RSA", "oct", "Ed25519", "P-256", "ES256", "HS256", "RS256", "sig", "AQAB", "A" * 43]
        )
        | st.none()
        | st.integers()
        | st.lists(st.text(max_size=3), max_size=2)
        | st.text(max_size=5),
    ),
    st.booleans(),
)
def test_arbitrary_objects(jwk: dict[str, object], symmetric: bool) -> None:
    """Any object is a key or a BadKey; no other error escapes."""
    try:
        key = read_jwk(jwk, symmetric=symmetric)
    except BadKey:
        return
    assert key.algorithm.name == jwk["alg"]


def test_set_finds_by_kid(ed25519: SigningKey, es256: SigningKey) -> None:
    """A set finds each key by its kid and nothing by another."""
    keys = KeySet.read([ed25519.public_jwk, es256.public_jwk])
    assert keys.find(es256.kid).algorithm.name == "ES256"
    for kid in ("", "other", es256.kid + " "):
        with pytest.raises(NotAuthentic, match=r"^key_unknown$"):
            keys.find(kid)


def test_only_key(ed25519: SigningKey, es256: SigningKey) -> None:
    """`only` answers for exactly one key; for none and for two it would be a guess."""
    assert KeySet.read([ed25519.public_jwk]).only().kid == ed25519.kid
    for jwks in ([], [ed25519.public_jwk, es256.public_jwk]):
        with pytest.raises(NotAuthentic, match=r"^kid_missing$"):
            KeySet.read(jwks).only()


def test_ambiguous_sets(ed25519: SigningKey, es256: SigningKey) -> None:
    """Two keys of one kid, a nameless key among others, and secret beside public keys are refused."""
    same = [ed25519.public_jwk, {**es256.public_jwk, "kid": ed25519.kid}]
    nameless = [ed25519.public_jwk, rsa()]
    mixed = [ed25519.public_jwk, {**oct_key(32), "kid": "secret"}]
    for jwks, reason in ((same, "kid_repeated"), (nameless, "kid_missing"), (mixed, "key_set_mixed")):
        with pytest.raises(BadKey, match=reason):
            KeySet.read(jwks, symmetric=True)


def test_one_bad_key_refuses_the_set(ed25519: SigningKey) -> None:
    """A set is not read in part."""
    with pytest.raises(BadKey, match="jwk_use"):
        KeySet.read([ed25519.public_jwk, rsa(use="enc", kid="other")])


def test_secrets_do_not_show() -> None:
    """The representation of a symmetric key does not contain it."""
    key = read_jwk({"kty": "oct", "alg": "HS256", "kid": "a", "k": text(b"s" * 32)}, symmetric=True)
    assert "ssss" not in repr(key)
    assert text(b"s" * 32) not in repr(key)
