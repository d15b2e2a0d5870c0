"""Checkpoints: the newest segment, signed. Whoever keeps one elsewhere can tell a chain that was cut or replaced.

A checkpoint is a compact JWS (RFC 7515) with Ed25519 under the audit's own key, so that ordinary tools verify it.
Only the newest is kept in the database: an older one would fit a chain that was cut back to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Final, final

from vallum.crypto import jws
from vallum.crypto.errors import NotAuthentic
from vallum.crypto.jwk import KeySet
from vallum.crypto.signing_key import SigningKey

TYPE: Final = "vallum-checkpoint"
_MEMBERS: Final[Mapping[str, type]] = {"segment": int, "hash": str, "pruned": int, "at": float}


@final
@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is signed.

    Attributes:
        segment, hash: of the newest segment; 0 and empty before the first one.
        pruned: the entries of the segments up to this number are removed by retention.
        at: Unix seconds.
    """

    segment: int
    hash: str
    pruned: int
    at: float


Sign = Callable[[Checkpoint], str]


def signer(key: SigningKey) -> Sign:
    """Signs checkpoints with this key."""

    def sign(checkpoint: Checkpoint) -> str:
        return jws.sign(asdict(checkpoint), key, typ=TYPE)

    return sign


def verified(text: str, keys: KeySet) -> Checkpoint:
    """The checkpoint that one of these keys signed.

    Raises:
        NotAuthentic: the reasons of `jws.verify`, or `claims_malformed`.
    """
    claims = jws.verify(text.strip(), keys, typ=TYPE, algorithms=("Ed25519",)).claims()
    if set(claims) != set(_MEMBERS) or any(type(claims[name]) is not kind for name, kind in _MEMBERS.items()):
        raise NotAuthentic("claims_malformed")
    return Checkpoint(**claims)  # type: ignore[arg-type]  # each member was looked at
