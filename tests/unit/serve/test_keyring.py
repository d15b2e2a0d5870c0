"""The signing keys of a data directory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from vallum.crypto import BadKey, signing_key
from vallum.serve.keyring import cursor_secret, rotate

MASTER = b"nVtq4cdrZ6gy8bF2KpWmXhYs"


def test_no_key_is_named_like_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kid that begins with - could not be given to `vallum keys revoke`; another key is made then."""
    made = signing_key.generate("Ed25519")
    keys = iter([replace(made, kid="-first"), replace(made, kid="second")])
    monkeypatch.setattr(signing_key, "generate", lambda _: next(keys))
    rotate(tmp_path / "keys", 0.0, "sqlite")
    assert [file.name for file in (tmp_path / "keys").iterdir()] == ["second.pem"]


def test_the_cursors_secret_lies_under_the_master_key(tmp_path: Path) -> None:
    """One that lay there in the clear is put under it, and cursors that were given out go on."""
    first = cursor_secret(tmp_path, None)
    assert (tmp_path / "secret").read_bytes() == first
    assert cursor_secret(tmp_path, MASTER) == first
    content = (tmp_path / "secret").read_bytes()
    assert first not in content
    assert cursor_secret(tmp_path, MASTER) == first
    assert (tmp_path / "secret").read_bytes() == content


@pytest.mark.parametrize("passphrase", [None, MASTER + b"2"])
def test_the_cursors_secret_needs_its_master_key(tmp_path: Path, passphrase: bytes | None) -> None:
    """Without it the file is told, and what removing it does; nothing is made anew in silence."""
    cursor_secret(tmp_path, MASTER)
    content = (tmp_path / "secret").read_bytes()
    with pytest.raises(BadKey, match=f"{tmp_path}/secret, or remove the file: cursors") as caught:
        cursor_secret(tmp_path, passphrase)
    assert caught.value.identifier == "wrapped-passphrase"
    assert (tmp_path / "secret").read_bytes() == content


def test_one_secret_for_all_who_come_first(tmp_path: Path) -> None:
    """Of processes that start at the same time each takes what one of them has written."""
    with ThreadPoolExecutor(8) as pool:
        secrets = list(pool.map(lambda _: cursor_secret(tmp_path, None), range(8)))
    assert len(set(secrets)) == 1
