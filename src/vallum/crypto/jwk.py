"""Verification keys, read strictly from JSON Web Keys (RFC 7517, RFC 7518 §6, RFC 8037 §2).

A key carries its algorithm and no token can choose another one. What is ambiguous,
weak or private is refused when the key is read, so that verifying needs no such check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, final

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from vallum.crypto import base64url, roca
from vallum.crypto.algorithms import ALGORITHMS, Algorithm
from vallum.crypto.errors import BadKey, NotAuthentic
from vallum.defaults import MAX_KID_CHARACTERS, MAX_RSA_BITS, MIN_RSA_BITS

_PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_MAX_RSA_EXPONENT: Final = 2**32  # 65537 in practice; a huge one only costs time


@final
@dataclass(frozen=True, slots=True, eq=False)
class VerificationKey:
    """A key that can verify one algorithm's signatures.

    Attributes:
        kid: its identifier; None when its publisher gave none.
        algorithm: the only `alg` that it verifies.
    """

    kid: str | None
    algorithm: Algorithm
    _material: Key = field(repr=False)

    def verify(self, message: bytes, signature: bytes) -> None:
        """Return when `signature` is this key's over `message`.

        Raises:
            NotAuthentic: `signature`.
        """
        if not self.algorithm.primitive.verify(message, signature, self._material):
            raise NotAuthentic("signature")


@final
class KeySet:
    """Verification keys by `kid`; immutable."""

    __slots__ = ("_by_kid", "_keys")

    def __init__(self, keys: Iterable[VerificationKey]) -> None:
        """
        Raises:
            BadKey: two keys share a `kid`, a key without one is not alone, or symmetric and
                public keys are mixed (a public key's text could then be used as a secret).
        """
        self._keys = tuple(keys)
        self._by_kid = {key.kid: key for key in self._keys}
        if len(self._by_kid) != len(self._keys):
            raise BadKey("kid_repeated", "each key of a set needs a kid of its own")
        if None in self._by_kid and len(self._keys) > 1:
            raise BadKey("kid_missing", "a key without kid must be alone in its set")
        if len({key.algorithm.key_type == "oct" for key in self._keys}) > 1:
            raise BadKey("key_set_mixed", "keep symmetric and public keys in separate sets")

    @classmethod
    def read(cls, jwks: Iterable[Mapping[str, object]], *, symmetric: bool = False) -> KeySet:
        """The set of the JWKs (the value of `keys`, RFC 7517 §5.1); any one that is refused refuses the set.

        Raises:
            BadKey: as `read_jwk` and `KeySet` say.
        """
        return cls(read_jwk(jwk, symmetric=symmetric) for jwk in jwks)

    def find(self, kid: str) -> VerificationKey:
        """The key with that `kid`.

        Raises:
            NotAuthentic: `key_unknown`.
        """
        try:
            return self._by_kid[kid]
        except KeyError:
            raise NotAuthentic("key_unknown") from None

    def only(self) -> VerificationKey:
        """The key, when there is exactly one.

        Raises:
            NotAuthentic: `kid_missing`: which key is meant would have to be guessed.
        """
        if len(self._keys) != 1:
            raise NotAuthentic("kid_missing")
        return self._keys[0]


def read_jwk(jwk: Mapping[str, object], *, symmetric: bool = False) -> VerificationKey:
    """The verification key of a JWK, in these steps:

    1. `alg` is required (RFC 7517 §4.4 makes it optional; a key without it could be
       used with several) and decides `kty` and `crv`.
    2. `use` and `key_ops` must allow verification and nothing but signatures (§4.2, §4.3).
    3. `kid` is a text, when present.
    4. A symmetric key is read only with `symmetric=True`; a public one has no private member.
    5. The members of the key type have their exact length and the key is strong enough.

    Other members are ignored (§4), among them `x5c` and `x5u`.

    Raises:
        BadKey: with a `reason` for each step.
    """
    algorithm = _algorithm(jwk)
    _check_purpose(jwk)
    kid = jwk.get("kid")
    if kid is not None and (not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID_CHARACTERS):
        raise BadKey("jwk_kid", f"kid must be a text of 1 to {MAX_KID_CHARACTERS} characters")
    if algorithm.key_type == "oct":
        if not symmetric:
            raise BadKey("jwk_symmetric", "a set of public keys must not hold a secret one")
    elif not _PRIVATE_MEMBERS.isdisjoint(jwk):
        raise BadKey("jwk_private", "publish the public members only, and replace this key: it is known now")
    return VerificationKey(kid, algorithm, _READERS[algorithm.key_type](jwk, algorithm))


def _algorithm(jwk: Mapping[str, object]) -> Algorithm:
    name = jwk.get("alg")
    if not isinstance(name, str) or name not in ALGORITHMS:
        raise BadKey("jwk_algorithm", f"alg must be one of {', '.join(ALGORITHMS)}")
    algorithm = ALGORITHMS[name]
    if jwk.get("kty") != algorithm.key_type or jwk.get("crv") != algorithm.curve:
        raise BadKey("jwk_type", f"kty and crv of a key for {name} are {algorithm.key_type}, {algorithm.curve}")
    return algorithm


def _check_purpose(jwk: Mapping[str, object]) -> None:
    if jwk.get("use", "sig") != "sig":
        raise BadKey("jwk_use", "use must be sig")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise BadKey("jwk_use", "key_ops must contain verify")
    if any(operation not in ("sign", "verify") for operation in operations):
        raise BadKey("jwk_use", "a key that signs must serve no other purpose")


def _octets(jwk: Mapping[str, object], name: str) -> bytes:
    value = jwk.get(name)
    if not isinstance(value, str):
        raise BadKey("jwk_malformed", f"{name} must be a text in base64url")
    try:
        return base64url.decode(value)
    except ValueError:
        raise BadKey("jwk_malformed", f"{name} must be base64url without padding") from None


def _coordinates(jwk: Mapping[str, object], algorithm: Algorithm, *names: str) -> dict[str, str | list[str]]:
    """RFC 7518 §6.2.1.2: a coordinate has the full length of the field, leading zeros included."""
    members: dict[str, str | list[str]] = {"kty": algorithm.key_type, "crv": str(algorithm.curve)}
    for name in names:
        octets = _octets(jwk, name)
        if len(octets) != algorithm.octets:
            raise BadKey("jwk_malformed", f"{name} must have {algorithm.octets} octets")
        members[name] = base64url.encode(octets)
    return members


def _read_okp(jwk: Mapping[str, object], algorithm: Algorithm) -> Key:
    return OKPKey.import_key(_coordinates(jwk, algorithm, "x"))


def _read_ec(jwk: Mapping[str, object], algorithm: Algorithm) -> Key:
    try:
        return ECKey.import_key(_coordinates(jwk, algorithm, "x", "y"))
    except (ValueError, JoseError):
        raise BadKey("jwk_malformed", "x and y are not a point of the curve") from None


def _number(jwk: Mapping[str, object], name: str) -> int:
    """RFC 7518 §2, Base64urlUInt: no leading zero octet."""
    octets = _octets(jwk, name)
    if octets[:1] in (b"", b"\0"):
        raise BadKey("jwk_malformed", f"{name} must have no leading zero")
    return int.from_bytes(octets, "big")


def _read_rsa(jwk: Mapping[str, object], algorithm: Algorithm) -> Key:
    modulus, exponent = _number(jwk, "n"), _number(jwk, "e")
    if not MIN_RSA_BITS <= modulus.bit_length() <= MAX_RSA_BITS:
        raise BadKey("jwk_weak", f"an RSA key has {MIN_RSA_BITS} to {MAX_RSA_BITS} bits")
    if not 3 <= exponent < _MAX_RSA_EXPONENT or exponent % 2 == 0 or modulus % 2 == 0:
        raise BadKey("jwk_weak", "the exponent of an RSA key is 65537, and its modulus odd")
    if roca.has_fingerprint(modulus):
        raise BadKey("jwk_weak", "this RSA key can be factored (CVE-2017-15361): replace it and the chip that made it")
    return RSAKey.import_key({"kty": algorithm.key_type, "n": str(jwk["n"]), "e": str(jwk["e"])})


def _read_oct(jwk: Mapping[str, object], algorithm: Algorithm) -> Key:
    secret = _octets(jwk, "k")
    if len(secret) < algorithm.octets:
        raise BadKey("jwk_weak", f"a key for {algorithm.name} has at least {algorithm.octets} octets")
    return OctKey.import_key({"kty": algorithm.key_type, "k": str(jwk["k"])})


_READERS: Final[dict[str, Callable[[Mapping[str, object], Algorithm], Key]]] = {
    "OKP": _read_okp,
    "EC": _read_ec,
    "RSA": _read_rsa,
    "oct": _read_oct,
}
