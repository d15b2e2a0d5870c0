"""Secrets in files: whole or absent, and for their owner only (POSIX)."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from vallum.crypto import random
from vallum.crypto.errors import BadKey
from vallum.defaults import MAX_SECRET_FILE_BYTES
from vallum.own_files import OTHERS, OTHERS_WRITE, sync_directory


def write_secret(path: Path, secret: bytes, *, replace: bool = False) -> None:
    """Write `secret` to `path` with mode 0600; a crash leaves the old state or the new one.

    1. Missing directories are made with mode 0700.
    2. A new file beside it is written and brought to the disk.
    3. It gets its name: by a link, which fails when the name is taken (two processes at their
       first start must not overwrite each other's secret), or by a rename with `replace`.
    4. The directory is brought to the disk.

    Raises:
        FileExistsError: `path` exists and `replace` is false.
        BadKey: `secret_directory_open`: others could put another file in its place.
    """
    _make_directory(path.parent)  # 1
    draft = path.parent / f".{path.name}.{random.token_bytes(8).hex()}"
    try:
        _write_new(draft, secret)  # 2
        if replace:
            draft.replace(path)  # 3
        else:
            path.hardlink_to(draft)
    finally:
        with suppress(FileNotFoundError):
            draft.unlink()
    sync_directory(path.parent)  # 4


def read_secret(path: Path) -> bytes:
    """The content of `path`.

    What is checked is the open file, so that it cannot be exchanged in between.

    Raises:
        FileNotFoundError: there is none.
        BadKey: `secret_file_open` (group or others have any right on it), `secret_file_kind`
            (not a regular file) or `secret_file_size` (empty, or above `MAX_SECRET_FILE_BYTES`).
    """
    # O_NONBLOCK: opening a named pipe would wait for a writer; it means nothing for a regular file.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise BadKey("secret_file_kind", f"{path} is not a regular file")
        if status.st_mode & OTHERS:
            raise BadKey("secret_file_open", f"others may use {path}: chmod 600 {path}, and replace the secret")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(MAX_SECRET_FILE_BYTES + 1)
    finally:
        os.close(descriptor)
    if not 0 < len(content) <= MAX_SECRET_FILE_BYTES:
        raise BadKey("secret_file_size", f"{path} has not 1 to {MAX_SECRET_FILE_BYTES} bytes: restore or replace it")
    return content


def _make_directory(directory: Path) -> None:
    missing = [folder for folder in (directory, *directory.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)
    if directory.stat().st_mode & OTHERS_WRITE:
        raise BadKey("secret_directory_open", f"others may write in {directory}: chmod 700 {directory}")


def _write_new(path: Path, secret: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o600)  # whatever the umask took away
        file.write(secret)
        file.flush()
        os.fsync(descriptor)
