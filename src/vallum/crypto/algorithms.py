"""The signature algorithms of RFC 7518 §3 and RFC 9864 that exist for us, and the key each one takes.

`none` and the ambiguous `EdDSA` (deprecated by RFC 9864 §4.1.2) are not in the table,
so no key can carry them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

from joserfc.jwa import JWSAlgModel
from joserfc.jws import JWSRegistry


@final
@dataclass(frozen=True, slots=True)
class Algorithm:
    """One row of the table.

    Attributes:
        name: the value of `alg`.
        key_type: the value of `kty` (RFC 7518 §6.1).
        curve: the value of `crv`; None for `RSA` and `oct`.
        octets: exact length of a coordinate, least length of a symmetric key; 0 for RSA.
        primitive: signs and verifies bytes.
    """

    name: str
    key_type: str
    curve: str | None
    octets: int
    primitive: JWSAlgModel


def _row(name: str, key_type: str, curve: str | None, octets: int) -> Algorithm:
    return Algorithm(name, key_type, curve, octets, JWSRegistry.algorithms[name])


ALGORITHMS: Final = {
    row.name: row
    for row in (
        _row("Ed25519", "OKP", "Ed25519", 32),  # RFC 9864 §2.2
        _row("ES256", "EC", "P-256", 32),  # RFC 7518 §3.4
        _row("ES384", "EC", "P-384", 48),
        _row("ES512", "EC", "P-521", 66),
        _row("RS256", "RSA", None, 0),  # RFC 7518 §3.3
        _row("RS384", "RSA", None, 0),
        _row("RS512", "RSA", None, 0),
        _row("PS256", "RSA", None, 0),  # RFC 7518 §3.5
        _row("PS384", "RSA", None, 0),
        _row("PS512", "RSA", None, 0),
        _row("HS256", "oct", None, 32),  # RFC 7518 §3.2: a key at least as long as the hash
        _row("HS384", "oct", None, 48),
        _row("HS512", "oct", None, 64),
    )
}
"""By name."""

SIGNING_ALGORITHMS: Final = frozenset({"Ed25519", "ES256"})
"""What we sign with, and so the only algorithms of our own access tokens."""
