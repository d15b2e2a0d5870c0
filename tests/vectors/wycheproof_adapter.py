"""Feeds the product's own verifier to an outside runner of the Wycheproof JOSE vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vallum.crypto import jws
from vallum.crypto.jwk import KeySet


def verify(token: str, keyset: Sequence[Mapping[str, object]], alg_hint: str | None = None) -> bytes:
    """The payload of `token`, or raise. The hint is not used: the key fixes its algorithm."""
    return jws.verify(token, KeySet.read(keyset, symmetric=True)).payload
