"""What docs/clients.md has an operator do is done: its commands, in their order."""

from __future__ import annotations

import runpy
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.errors import JoseError
from tests.pages import DOCS, Terminal, blocks

from vallum.crypto import access_token, jws, signing_key

PAGE = DOCS / "clients.md"
APP = """
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from vallum import API, READ, allow, when


class Base(DeclarativeBase): ...


class Article(Base):
    __tablename__ = "articles"
    id: Mapped[int] = mapped_column(primary_key=True)


api = API("Press", roles=["reader"])
api.resource(Article, allow("reader", READ, when=when(scope="articles")))
"""


def test_another_service_verifies_a_token(tmp_path: Path) -> None:
    """By the page's function: ours is taken, one of another issuer, another kind, another key or of yesterday is not."""
    (program,) = [text for text in blocks(PAGE, "python") if "def caller" in text]
    (tmp_path / "verifying.py").write_text(program)
    caller = runpy.run_path(str(tmp_path / "verifying.py"))["caller"]
    key, other = signing_key.generate("Ed25519"), signing_key.generate("Ed25519")
    jwks, now, url = {"keys": [dict(key.public_jwk)]}, time.time(), "https://api.shop.example"
    named: dict[str, Any] = {"issuer": url, "audience": url, "subject": "board", "client_id": "board", "now": now}
    assert caller(access_token.issue(key, **named), jwks, url) == "board"
    claims = {"iss": url, "aud": url, "sub": "board", "exp": now + 60}
    for token in (
        access_token.issue(other, **named),
        access_token.issue(key, **{**named, "issuer": "https://other.example"}),
        access_token.issue(key, **{**named, "audience": "https://other.example"}),
        access_token.issue(key, **{**named, "now": now - 86_400}),
        jws.sign(claims, key, typ="jwt"),
        jws.sign({name: claims[name] for name in ("iss", "aud", "sub")}, key, typ="at+jwt"),
    ):
        with pytest.raises((JoseError, ValueError)):
            caller(token, jwks, url)


def test_the_commands_of_the_page(tmp_path: Path) -> None:
    """Every `vallum` line, one after the other; the files that openssl would make are there."""
    (tmp_path / "press.py").write_text(APP)
    for name in ("kiosk", "kiosk-2"):
        public = Ed25519PrivateKey.generate().public_key()
        (tmp_path / f"{name}.pem").write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    given = [line for block in blocks(PAGE, "sh") for line in block.splitlines() if "vallum " in line]
    with Terminal(tmp_path) as terminal:
        terminal.settings["VALLUM_APP"] = "press:api"
        terminal.run("vallum db create --dev")
        said = [terminal.run(line) for line in given]
        listed = terminal.run("vallum client list")
        assert terminal.names["secret"].startswith("vc_")
    assert [line for line, out in zip(given, said, strict=True) if "vallum: " in out] == []
    assert len(given) == 8
    assert listed.count("revoked") >= 2
