from __future__ import annotations

import base64
import hashlib
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from vallum.crypto import BadKey, NotAuthentic, signing_key
from vallum.crypto.signing_key import SigningKey


def plain(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_public_jwk(ed25519: SigningKey, es256: SigningKey) -> None:
    """What is published has exactly these members, and nothing private."""
    assert set(ed25519.public_jwk) == {"kty", "crv", "x", "kid", "alg", "use"}
    assert set(es256.public_jwk) == {"kty", "crv", "x", "y", "kid", "alg", "use"}
    assert ed25519.public_jwk["alg"] == "Ed25519"
    assert (es256.public_jwk["kty"], es256.public_jwk["crv"], es256.public_jwk["use"]) == ("EC", "P-256", "sig")


def test_kid_is_the_thumbprint(key: SigningKey) -> None:
    """RFC 7638 §3, computed by hand: SHA-256 over the required members in order, without spaces."""
    required = {name: value for name, value in key.public_jwk.items() if name in ("crv", "kty", "x", "y")}
    text = json.dumps(required, sort_keys=True, separators=(",", ":"))
    assert plain(key.kid) == hashlib.sha256(text.encode()).digest()


def test_published_mapping_cannot_be_changed(key: SigningKey) -> None:
    """The public JWK is read-only: it is shared by all who publish it."""
    with pytest.raises(TypeError):
        key.public_jwk["kid"] = "other"  # type: ignore[index]


def test_ed25519_signature_by_itself(ed25519: SigningKey) -> None:
    """The signature verifies under the published `x` with nothing of ours involved."""
    Ed25519PublicKey.from_public_bytes(plain(ed25519.public_jwk["x"])).verify(ed25519.sign(b"message"), b"message")


def test_es256_signature_by_itself(es256: SigningKey) -> None:
    """RFC 7518 §3.4: r and s of 32 octets each, not DER, over SHA-256."""
    signature = es256.sign(b"message")
    assert len(signature) == 64
    x, y = (int.from_bytes(plain(es256.public_jwk[name]), "big") for name in "xy")
    public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    public.verify(encode_dss_signature(r, s), b"message", ec.ECDSA(SHA256()))


@pytest.mark.parametrize("passphrase", [None, b"correct horse", bytes(range(1, 256))], ids=["plain", "words", "bytes"])
def test_pem_round_trip(key: SigningKey, passphrase: bytes | None) -> None:
    """A stored key comes back as the same key."""
    pem = key.private_pem(passphrase)
    assert pem.startswith(
        b"-----BEGIN PRIVATE KEY-----" if passphrase is None else b"-----BEGIN ENCRYPTED PRIVATE KEY-----"
    )
    loaded = signing_key.load(pem, passphrase)
    assert (loaded.kid, loaded.public_jwk) == (key.kid, key.public_jwk)
    key.verification_key.verify(b"message", loaded.sign(b"message"))


@pytest.mark.parametrize("passphrase", [None, b"wrong", b"correct horse ", b""])
def test_encrypted_pem_without_its_passphrase(key: SigningKey, passphrase: bytes | None) -> None:
    """Missing, wrong, longer and empty passphrases are refused with the same reason."""
    with pytest.raises(BadKey, match="pem_passphrase"):
        signing_key.load(key.private_pem(b"correct horse"), passphrase)


def test_encrypted_pem_without_a_master_key(key: SigningKey) -> None:
    """Without any master key the message says that one has to be set."""
    with pytest.raises(BadKey, match="set the master key"):
        signing_key.load(key.private_pem(b"correct horse"))


def test_plain_pem_under_a_master_key(key: SigningKey) -> None:
    """A key that lies open although a master key is set is refused: it was not stored by us that way."""
    with pytest.raises(BadKey, match="pem_passphrase"):
        signing_key.load(key.private_pem(), b"correct horse")


def test_empty_passphrase_is_not_no_passphrase(key: SigningKey) -> None:
    """An empty passphrase is an error, not a key in the clear."""
    with pytest.raises(ValueError, match=r"."):
        key.private_pem(b"")


@pytest.mark.parametrize("name", ["EdDSA", "ed25519", "ES384", "RS256", "HS256", "none", ""])
def test_only_two_algorithms_sign(name: str) -> None:
    """We sign with Ed25519 and ES256 and with nothing else."""
    with pytest.raises(BadKey, match="key_algorithm"):
        signing_key.generate(name)


def test_other_kinds_of_private_keys() -> None:
    """A PEM of another kind or curve is refused."""
    others = (
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP256K1()),
        rsa.generate_private_key(65537, 2048),
        Ed448PrivateKey.generate(),
    )
    for other in others:
        with pytest.raises(BadKey, match="key_algorithm"):
            signing_key.load(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


@pytest.mark.parametrize(
    "pem", [b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", b"\xff"]
)
def test_not_a_pem(pem: bytes) -> None:
    """What is no private key is refused with the mend in the message."""
    with pytest.raises(BadKey, match=r"pem_malformed.*restore"):
        signing_key.load(pem)


def test_public_pem_and_truncated_pem(key: SigningKey) -> None:
    """A file that was cut off, in the clear or encrypted, is refused."""
    pem = key.private_pem()
    with pytest.raises(BadKey, match="pem_malformed"):
        signing_key.load(pem[: len(pem) // 2])
    pem = key.private_pem(b"words")
    with pytest.raises(BadKey, match="pem_passphrase"):
        signing_key.load(pem[: len(pem) // 2], b"words")


def test_keys_differ() -> None:
    """Two keys have two identifiers, and one does not verify for the other."""
    for name in ("Ed25519", "ES256"):
        one, other = signing_key.generate(name), signing_key.generate(name)
        assert one.kid != other.kid
        with pytest.raises(NotAuthentic, match=r"^signature$"):
            one.verification_key.verify(b"message", other.sign(b"message"))


def test_private_parts_do_not_show(key: SigningKey) -> None:
    """The representation, which ends up in logs, contains no private key."""
    secret = b"".join(key.private_pem().splitlines()[1:-1]).decode()
    shown = repr(key)
    assert secret not in shown
    assert "rivate" not in shown
    assert '"d"' not in shown
    assert "'d'" not in shown
