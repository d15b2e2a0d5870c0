"""The signing keys of a data directory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vallum.crypto import signing_key
from vallum.serve.keyring import rotate


def test_no_key_is_named_like_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kid that begins with - could not be given to `vallum keys revoke`; another key is made then."""
    made = signing_key.generate("Ed25519")
    keys = iter([replace(made, kid="-first"), replace(made, kid="second")])
    monkeypatch.setattr(signing_key, "generate", lambda _: next(keys))
    rotate(tmp_path / "keys", 0.0, "sqlite")
    assert [file.name for file in (tmp_path / "keys").iterdir()] == ["second.pem"]
