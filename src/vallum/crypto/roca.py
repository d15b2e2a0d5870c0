"""Recognise RSA moduli of the Infineon library (CVE-2017-15361, "ROCA"): they can be factored.

Its primes are p = k·M + (65537^a mod M), M a product of small primes. So the modulus is
a power of 65537 modulo each small prime; a random modulus is that for all of them with
a probability of 2⁻²⁷ (Nemec et al., "The Return of Coppersmith's Attack", CCS 2017, §2.3).
"""

from __future__ import annotations

from typing import Final

_LAST_PRIME: Final = 167  # the largest factor of M for the shortest keys; longer keys have these and more


def _powers(prime: int) -> frozenset[int]:
    return frozenset(pow(65537, exponent, prime) for exponent in range(prime - 1))


_POWERS: Final = {
    number: _powers(number)
    for number in range(3, _LAST_PRIME + 1)
    if all(number % divisor for divisor in range(2, number))
}


def has_fingerprint(modulus: int) -> bool:
    """Whether `modulus` has the form of those keys."""
    return all(modulus % prime in powers for prime, powers in _POWERS.items())
