"""The pages that are told from top to bottom: each command is given, each program is added, each setting is known."""

from __future__ import annotations

import ast
import configparser
import json
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from tests.pages import DOCS, Terminal, blocks
from tests.unit.serve.served import ROOT, command, serving

from vallum import defaults, refusals
from vallum.cli import COMMANDS
from vallum.crypto import signing_key
from vallum.crypto.certificates import development_authority, server_certificate
from vallum.crypto.keyfile import write_secret
from vallum.refusals import Reason
from vallum.serve.alone import LOCK_SECONDS
from vallum.serve.keyring import SECRET_BYTES, cursor_secret
from vallum.serve.metrics import STAGES
from vallum.serve.settings import Settings, load

ADDED = re.compile(r"# add to (\S+)\n")
DEPLOYMENT = DOCS / "deployment.md"
MASTER = b"nVtq4cdrZ6gy8bF2KpWmXhYs"
COMMAND = re.compile(r"`vallum ([a-z]+)(?: ([a-z]+))?")


def test_the_quickstart(tmp_path: Path) -> None:
    """In its order; the programs are added before the first command behind them, as a reader would."""
    page = DOCS / "quickstart.md"
    first, *others = blocks(page, "console")
    with Terminal(tmp_path) as terminal:
        terminal.give(first)
        for program in blocks(page, "python"):
            where = ADDED.match(program)
            assert where, program
            with (terminal.here / where[1]).open("a", encoding="utf-8") as file:
                file.write("\n\n" + program[where.end() :])
        for block in others:
            terminal.give(block)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, and the files of /etc/shop: a certificate, its key, a master key, a password."""
    place = tmp_path_factory.mktemp("machine")
    assert command("new", "shop", cwd=place).code == 0
    authority = development_authority(time.time())
    made = server_certificate(authority.certificate_pem, authority.private_key_pem, time.time())
    for name, secret in {
        "fullchain.pem": made.certificate_pem,
        "privkey.pem": made.private_key_pem,
        "master-key": MASTER,
        "db-password": b"secret",
        "db-ca.pem": authority.certificate_pem,
    }.items():
        write_secret(place / name, secret)
    return place


def on(machine: Path, settings: str) -> str:
    """The settings, with paths of that machine; localhost is whom its certificate is for."""
    text = re.sub(r"(/etc/shop/tls/|/etc/shop/|/var/lib/shop/|/run/shop/)", f"{machine}/", settings)
    return text.replace("api.shop.example", "localhost")


@pytest.mark.parametrize("number", range(3))
def test_settings_of_a_deployment(machine: Path, number: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each file is read, names only what there is, and with its files in place nothing is found against it."""
    text = blocks(DEPLOYMENT, "toml")[number]
    assert set(tomllib.loads(text)) <= set(Settings.model_fields)
    (tmp_path / "vallum.toml").write_text(on(machine, text), encoding="utf-8")
    shutil.copytree(machine / "shop" / "shop", tmp_path / "shop")
    monkeypatch.chdir(tmp_path)
    assert load({}).public_url == "https://localhost"
    with Terminal(tmp_path) as terminal:
        terminal.settings = {"VALLUM_APP": "", "VALLUM_DATA": str(tmp_path / "data")}
        if "database = " not in text:  # whether a server answers is not the page's affair
            terminal.run("vallum db create")
            assert "0 errors, 0 warnings" in terminal.run("vallum check --strict")


def test_the_commands_of_a_deployment(machine: Path) -> None:
    """From the first start to an upgrade, under the settings of production."""
    project = machine / "shop"
    (project / "vallum.toml").write_text(on(machine, blocks(DEPLOYMENT, "toml")[0]), encoding="utf-8")
    with Terminal(project) as terminal:
        terminal.settings = {"VALLUM_APP": ""}
        for block in blocks(DEPLOYMENT, "console"):
            terminal.give(on(machine, block))
    master, keys = (machine / "master-key").read_bytes().strip(), machine / "data" / "keys"
    assert master != MASTER
    newest = max(keys.glob("*.pem"), key=lambda path: path.stat().st_mtime_ns if path.name != "audit.pem" else 0)
    for path in (newest, keys / "audit.pem"):
        assert signing_key.load(path.read_bytes(), master).kid
    assert len(cursor_secret(keys, master)) == SECRET_BYTES


def test_the_unit_and_the_proxy_fit_the_settings() -> None:
    """The stop is waited for, the certificate is reloaded, and both sides mean the same socket."""
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their case
    unit.read_string(blocks(DEPLOYMENT, "ini")[0])
    service = unit["Service"]
    assert service["ExecStart"].endswith("vallum serve")
    assert int(service["TimeoutStopSec"]) > defaults.STOP_SECONDS
    assert int(service["LimitNOFILE"]) > defaults.CONNECTIONS
    (proxy,) = blocks(DEPLOYMENT, "nginx")
    assert f"unix:{tomllib.loads(blocks(DEPLOYMENT, 'toml')[1])['unix_socket']};" in proxy
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in proxy


def test_the_image_fits_the_service(tmp_path: Path) -> None:
    """Its probe leaves with 0 while the service is ready, and with something else when it is gone."""
    (image,) = blocks(DEPLOYMENT, "dockerfile")
    for file in re.findall(r"/opt/vallum/(\S+\.txt)", image):
        assert (ROOT / file).exists()
    (said,) = re.findall(r"^HEALTHCHECK CMD (.*)$", image, re.MULTILINE)
    _, *words = json.loads(said)
    assert f":{defaults.PORT + 1}/" in words[1]
    with serving(tmp_path) as running:
        probe = [sys.executable, words[0], words[1].replace("8444", str(running.ops_port))]
        assert subprocess.run(probe, check=False, timeout=30).returncode == 0
    assert subprocess.run(probe, check=False, timeout=30, capture_output=True).returncode != 0
    text = DEPLOYMENT.read_text(encoding="utf-8")
    assert f"takes up to {defaults.STOP_SECONDS} seconds (`stop_seconds`)" in text
    assert f"a\n  second one waits {LOCK_SECONDS:g} seconds and leaves (`data-in-use`)" in text


def test_every_command_that_is_named_exists() -> None:
    """Also those in the middle of a sentence."""
    commands = (DOCS / "commands.md").read_text(encoding="utf-8")
    for page in DOCS.glob("*.md"):
        for name, second in COMMAND.findall(page.read_text(encoding="utf-8")):
            assert name in COMMANDS, (page.name, name)
            if second and f"## vallum {name} {second}" not in commands:
                assert f"## vallum {name} " in commands or f"## vallum {name}\n" in commands, (page.name, name, second)


RAISES = {
    "edge": ["edge/*"],
    "authenticate": ["authenticate/*"],
    "throttle": ["throttle/*", "store/nonces", "store/memory", "serve/shared_nonces", "serve/high_water"],
    "authorise": ["authorise/*"],
    "validate": ["validate/*"],
    "execute": ["execute/*", "oauth/*", "docs/*", "store/sqlite*", "store/postgres*", "store/turns"],
    "respond": [],
}
"""Stage → the files whose refusals it raises."""
RAISES_TOO = {"validate": {429}, "respond": {500}}
"""`throttle.stage.charge`, of the rows of a bulk; `pipeline`, for whatever a stage fails with."""


def raised(pattern: str) -> set[int]:
    """The statuses of the reasons that these files use."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "src" / "vallum").glob(f"{pattern}.py")]
    assert trees, pattern
    names = {node.id for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return {reason.status for name, reason in vars(refusals).items() if isinstance(reason, Reason) and name in names}


def test_the_table_of_the_stages_is_what_they_raise() -> None:
    """Each status that a stage refuses with, and no other; whatever refuses belongs to one of them."""
    rows = re.findall(r"^\| (\w+) \| [^|]+ \| ([\d, ]+) \|$", (DOCS / "concepts.md").read_text(), re.MULTILINE)
    told = {stage: {int(status) for status in statuses.split(", ")} for stage, statuses in rows}
    assert set(told) == set(STAGES)
    found = {stage: set[int]().union(*map(raised, patterns)) for stage, patterns in RAISES.items()}
    assert told == {stage: statuses | RAISES_TOO.get(stage, set()) for stage, statuses in found.items()}
    package = ROOT / "src" / "vallum"
    raising = {path for path in package.rglob("*.py") if "raise Refusal(" in path.read_text(encoding="utf-8")}
    known = {path for patterns in RAISES.values() for pattern in patterns for path in package.glob(f"{pattern}.py")}
    assert raising - known == {package / "pipeline.py"}


def test_every_page_is_in_the_index() -> None:
    """A page that nobody finds is not written."""
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    pages = [str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md") if page.parent.name != "adr"]
    assert [page for page in pages if page != "README.md" and f"({page})" not in index] == []


def test_what_a_page_installs_is_what_is_locked() -> None:
    """From files of the checkout, or by the name of something that the lock files have: never a name that is not ours."""
    locked = {
        name
        for file in ROOT.glob("requirements/*.txt")
        for name in re.findall(r"^([\w.-]+)==", file.read_text(), re.MULTILINE)
    }
    pages = [*DOCS.glob("*.md"), ROOT / "README.md", *(ROOT / "src" / "vallum").rglob("*.py")]
    lines = [
        line for page in pages for line in re.findall(r"pip install ([^`\n\\]+)", page.read_text(encoding="utf-8"))
    ]
    assert len(lines) >= 4
    for line in lines:
        for word in line.replace("'", "").split():
            _, checkout, file = re.sub("^/opt/vallum", "/path/to/checkout", word).partition("/path/to/checkout")
            assert (
                word.startswith("-")
                or (checkout and (ROOT / file[1:]).exists())
                or re.split("[<>=]", word)[0] in locked
            )
