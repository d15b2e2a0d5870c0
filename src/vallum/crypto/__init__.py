"""The hazard boundary: the only package that imports hmac, hashlib, secrets, cryptography, joserfc and argon2.

Each module is one concept. Two rules hold in all of them: verification returns what
was verified or raises :class:`NotAuthentic`, never a bool; and a key fixes its own
algorithm, so that nothing a caller sends can choose one.
"""

from vallum.crypto.errors import BadKey, NotAuthentic

__all__ = ["BadKey", "NotAuthentic"]
