"""The secrets in the data directory that a start opens: `check` opens them too, and makes none."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from vallum.audit import keys as audit_keys
from vallum.declare.checks_finding import Finding, error
from vallum.errors import OperatorError
from vallum.serve.errors import SettingsError
from vallum.serve.files import KEYS_FOLDER
from vallum.serve.keyring import CURSOR_FILE, read_cursor_secret
from vallum.serve.master_key import read_master_key
from vallum.serve.settings import Settings


def secrets(settings: Settings, *, signed: bool) -> list[Finding]:
    """What a start would stop at.

    Args:
        signed: the audit has a checkpoint, so that its key must be there.
    """
    try:
        passphrase = read_master_key(settings.master_key_file)
    except SettingsError:
        return []  # `posture` tells it
    folder = settings.data / KEYS_FOLDER
    found: list[Finding] = []
    if (folder / CURSOR_FILE).exists():
        found += _opened(lambda: read_cursor_secret(folder, passphrase), str(folder / CURSOR_FILE))
    if signed or (folder / audit_keys.PRIVATE_FILE).exists():
        found += _opened(lambda: audit_keys.load(folder, passphrase), str(folder / audit_keys.PRIVATE_FILE))
    found += _opened(lambda: audit_keys.public_jwks(folder), str(folder / audit_keys.PUBLIC_FILE))
    return found


def _opened(read: Callable[[], object], place: str) -> Iterator[Finding]:
    try:
        read()
    except OperatorError as fault:
        yield error(fault.identifier, fault.place or place, "The server would not start.", fault.mend)
