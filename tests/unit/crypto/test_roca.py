from __future__ import annotations

import random
from math import prod

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from vallum.crypto import roca

PRIMES = [n for n in range(2, 702) if all(n % d for d in range(2, n))]  # M of 2048-bit keys ends with 701


def test_weak_moduli_are_recognised() -> None:
    """Products of numbers of the form k·M + (65537^a mod M), as the broken library makes them, are recognised."""
    modulus = prod(PRIMES)
    for seed in range(20):
        draw = random.Random(seed)
        one, other = (draw.getrandbits(60) * modulus + pow(65537, draw.getrandbits(100), modulus) for _ in range(2))
        assert roca.has_fingerprint(one * other)


def test_ordinary_moduli_are_not() -> None:
    """Moduli of ordinary RSA keys, and a thousand random odd numbers, are not."""
    moduli = [generate_private_key(65537, 2048).public_key().public_numbers().n for _ in range(3)]
    draw = random.Random(1)
    moduli += [draw.getrandbits(2048) | 1 for _ in range(1000)]
    assert not any(map(roca.has_fingerprint, moduli))
