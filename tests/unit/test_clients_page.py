"""What docs/clients.md has an operator do is done: its commands, in their order."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.pages import DOCS, Terminal, blocks

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
