"""What README.md says to do works as it stands there: the program, the commands, the links of all pages."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from tests.unit.serve.served import ROOT, free_port

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
SECONDS = 60


def blocks(language: str) -> list[str]:
    """The blocks of the page, in their order."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty directory with the program as `app.py`."""
    directory = tmp_path_factory.mktemp("readme")
    (program,) = blocks("python")
    (directory / "app.py").write_text(program, encoding="utf-8")
    return directory


def environment(port: int) -> Mapping[str, str]:
    """`vallum` is found as in an activated environment, and this machine's port 8443 is left alone."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VALLUM_")}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**kept, "PATH": path, "VALLUM_PORT": str(port), "VALLUM_OPS_PORT": str(free_port())}


@pytest.fixture(scope="module")
def port(place: Path) -> Iterator[int]:
    """The commands of the first terminal, to the last of them, which serves."""
    commands = blocks("sh")[1]
    chosen = free_port()
    with subprocess.Popen(
        ["bash", "-euc", commands.replace("vallum serve", "exec vallum serve")],
        cwd=place,
        env=environment(chosen),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            said: list[str] = []
            for line in running.stdout or ():
                said.append(line)
                if "is served at" in line:
                    break
            else:
                raise AssertionError(said, running.stderr and running.stderr.read())
            yield chosen
        finally:
            with contextlib.suppress(ProcessLookupError):
                running.send_signal(signal.SIGTERM)
            running.communicate(timeout=SECONDS)
    assert running.returncode == 0


def sent(client: httpx.Client, command: str, place: Path, port: int) -> httpx.Response:
    """What curl would send, with the token that the command makes."""
    made = re.search(r"\$\((vallum token [\w-]+)\)", command)
    assert made, command
    token = subprocess.run(
        made[1].split(), cwd=place, env=environment(port), capture_output=True, text=True, check=True, timeout=SECONDS
    ).stdout.strip()
    words = shlex.split(command.replace(made[0], token))
    pairs = list(pairwise(words))
    options = dict(pairs)
    headers = dict(word.split(": ", 1) for option, word in pairs if option == "-H")
    (url,) = [word for word in words if word.startswith("https://")]
    content = options.get("-d")
    method = options.get("-X", "GET" if content is None else "POST")
    return client.request(method, url.replace("8443", str(port)), headers=headers, content=content)


def test_the_program_and_its_commands_do_what_is_said(place: Path, port: int) -> None:
    """Made, listed, refused."""
    commands = blocks("sh")[2].splitlines()
    assert all("--cacert data/dev-ca.pem" in command for command in commands)
    trust = ssl.create_default_context(cafile=str(place / "data" / "dev-ca.pem"))
    with httpx.Client(verify=trust, trust_env=False) as client:
        answers = [sent(client, command, place, port) for command in commands]
    assert [answer.status_code for answer in answers] == [201, 200, 403]
    assert [row["name"] for row in answers[1].json()["items"]] == ["Ada"]


def test_make_knows_the_two_commands() -> None:
    """A newcomer's first block."""
    for command in blocks("sh")[0].splitlines():
        target = command.partition("#")[0].split()
        subprocess.run([*target, "-n"], cwd=ROOT, check=True, capture_output=True, timeout=SECONDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """To files of this repository; addresses on the web are not asked."""
    links = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []
