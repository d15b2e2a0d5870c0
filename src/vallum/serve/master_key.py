"""The master key: a passphrase in a file of its own that encrypts the keys and secrets of a data directory at rest."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from vallum.crypto.errors import BadKey
from vallum.crypto.keyfile import read_secret
from vallum.serve.errors import SettingsError

MIN_BYTES: Final = 16
SAMPLES: Final = (
    "changeme",
    "replaceme",
    "password",
    "passphrase",
    "secret",
    "example",
    "default",
    "insecure",
    "sample",
    "your",
)
"""Words of sample values; one that begins with such a word was copied from a page."""


def read_master_key(path: Path | None) -> bytes | None:
    """The passphrase of the files in `<data>/keys`, or None when there is none.

    Raises:
        SettingsError: `master-key-file`, `master-key-open`, `master-key-sample`, `master-key-short`.
    """
    if path is None:
        return None
    place = f"master_key_file: {path}"
    try:
        key = read_secret(path).strip()
    except OSError as error:
        raise SettingsError("master-key-file", place, f"It cannot be read: {error.strerror}.") from None
    except BadKey as error:
        raise SettingsError("master-key-open", place, f"Make it a file of your own: {error.detail}.") from None
    mend = "Make a random one: `openssl rand -base64 32`."
    letters = bytes(byte for byte in key.lower() if byte not in b"-_ .")
    if letters.startswith(tuple(word.encode() for word in SAMPLES)) or len(set(key)) < len(key) // 4:
        raise SettingsError("master-key-sample", place, f"It is a sample value. {mend}")
    if len(key) < MIN_BYTES:
        raise SettingsError("master-key-short", place, f"It has less than {MIN_BYTES} bytes. {mend}")
    return key
