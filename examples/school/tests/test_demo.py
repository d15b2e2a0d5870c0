"""What `make demo` prints, and that all of it is true: each command is answered as the page promises."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from school.demo import HOME, Practice, Shell, demo_text, practices
from vallum.cli import main

PLACE = Path("/tmp/a b")  # noqa: S108  # only spelled, never opened: a blank wants quotes
SHELL = Shell("https://localhost:8443", PLACE / "ca.pem", PLACE)
TOKEN = re.compile(r"\$\(\S+ token (\S+) --dev --data [^)]+\)")
KEY = re.compile(r"key=\$\(cd \S+ && \S+ key add (.+?)\); (curl .+)")
NEXT_PAGE = re.compile(r"cursor=\$\((curl .+?) \| .+?\); (curl .+)")
SECONDS = 90


def test_each_practice_has_one_command() -> None:
    """No token, forbidden, invisible, pages, unknown field, large body, unknown method, throttled: all are there."""
    found = [practice.status for practice in practices(SHELL)]
    assert set(found) == {200, 400, 401, 403, 404, 405, 409, 413, 422, 429}
    text = demo_text(SHELL.base_url, SHELL.ca_path, SHELL.data)
    for practice in practices(SHELL):
        assert f"# {practice.status}: {practice.shows}\n{practice.command}\n" in text


def test_every_line_can_be_pasted() -> None:
    """The page as a whole is what a shell reads, in a directory with a blank too."""
    commands = "\n".join(practice.command for practice in practices(SHELL))
    subprocess.run(["sh", "-n"], input=commands, text=True, check=True)


def test_a_heading_does_nothing_when_it_is_pasted() -> None:
    """Zsh knows no comments on its command line: a quote in one would swallow the command below."""
    for practice in practices(SHELL):
        assert not set(practice.shows) & set("'\"`$()<>|&;*?!\\")


def test_commands_verify_the_certificate() -> None:
    """No command switches off what it should show."""
    for practice in practices(SHELL):
        words = practice.command.split()
        assert "--cacert" in words
        assert not {"-k", "--insecure"} & set(words)


def free_ports() -> int:
    """A port that nobody listens on now, nor on the next one, where health and metrics are."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            with contextlib.suppress(OSError, OverflowError):
                second.bind(("127.0.0.1", port + 1))
                return port


@contextlib.contextmanager
def demo(data: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """The program as `make demo` starts it, ended whatever happens."""
    program = [sys.executable, "-P", str(HOME / "school" / "demo.py"), "--data", str(data), "--port", str(port)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        try:
            yield running
        finally:
            if running.poll() is None:
                running.send_signal(signal.SIGINT)
                running.communicate(timeout=SECONDS)


def page_of(running: subprocess.Popen[str]) -> str:
    """What it prints until it serves."""
    lines: list[str] = []
    for line in running.stdout or ():
        lines.append(line)
        if " is served at " in line:
            return "".join(lines)
    raise AssertionError((running.stderr and running.stderr.read()) or lines)


@dataclass(frozen=True)
class Demo:
    """One run of it."""

    data: Path
    port: int
    page: str

    @property
    def url(self) -> str:
        """As clients write it."""
        return f"https://localhost:{self.port}"

    def practices(self) -> list[Practice]:
        """As they must have been printed."""
        return practices(Shell(self.url, self.data / "dev-ca.pem", self.data))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The first start, and a stop by Ctrl-C."""
    data, port = tmp_path_factory.mktemp("demo") / "data", free_ports()
    with demo(data, port) as running:
        page = page_of(running)
    assert running.returncode == 0
    return Demo(data, port, page)


@pytest.fixture(scope="module")
def served(filled: Demo) -> Iterator[Demo]:
    """The second start, which all tests of this file ask."""
    port = free_ports()
    with demo(filled.data, port) as running:
        yield Demo(filled.data, port, page_of(running))


def token(data: Path, account: str) -> str:
    """By the command that the page uses, in this process: loading it again for each would take half a minute."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        main(["token", account, "--dev", "--data", str(data)])
    return said.getvalue().strip()


def key(data: Path, options: str) -> str:
    """By the command that the page uses, likewise."""
    said = io.StringIO()
    arguments = shlex.split(options.replace("$(date +%s)", "now"))
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()), contextlib.suppress(SystemExit):
        main(["key", "add", *arguments])
    assert str(data) in arguments
    return said.getvalue().strip()


def plain(command: str, data: Path) -> str:
    """The command with the tokens and the key that the shell would put in."""
    command = TOKEN.sub(lambda found: token(data, found[1]), command)
    if made := KEY.fullmatch(command):
        return made[2].replace("$key", key(data, made[1]))
    return command


def sent(client: httpx.Client, command: str) -> list[httpx.Response]:
    """What curl would send, once for each number of a range in the address.

    Raises:
        AssertionError: an option that this does not know.
    """
    words = iter(shlex.split(command.partition("curl ")[2].partition(" | sort")[0]))
    method, content, headers, url = None, None, {}, ""
    for word in words:
        match word:
            case "-X":
                method = next(words)
            case "-H":
                name, _, value = next(words).partition(": ")
                headers[name] = value
            case "-d":
                content = next(words).encode()
            case "--data-binary":
                assert (next(words), command[:27]) == ("@-", "head -c 2000000 /dev/zero |")
                content = bytes(2_000_000)
            case "--cacert" | "-w" | "-D" | "-o":
                next(words)
            case "-sS" | "-i":
                pass
            case _:
                assert word.startswith("https://"), word
                assert not url
                url = word
    method = method or ("GET" if content is None else "POST")
    return [client.request(method, one, headers=headers, content=content) for one in ranged(url)]


def ranged(url: str) -> Sequence[str]:
    """A range of curl: `[1-30]`."""
    found = re.fullmatch(r"(.*)\[(\d+)-(\d+)\]", url)
    return [url] if found is None else [f"{found[1]}{number}" for number in range(int(found[2]), int(found[3]) + 1)]


def test_the_printed_page_is_the_tested_one(served: Demo) -> None:
    """With the commands of this place, and when it can be pasted: after the server has answered."""
    for practice in served.practices():
        assert f"# {practice.status}: {practice.shows}\n{practice.command}\n" in served.page
    assert served.page.endswith(f"School is served at {served.url} for development\n")


def test_a_school_is_filled_once(filled: Demo, served: Demo) -> None:
    """A second start finds what the first one made."""
    assert f"Filling a school in {filled.data}\n" in filled.page
    assert "Filling" not in served.page


def test_each_command_is_answered_as_promised(served: Demo) -> None:
    """The same requests, over TLS with the authority that the page names and no other."""
    trust = ssl.create_default_context(cafile=str(served.data / "dev-ca.pem"))
    with httpx.Client(verify=trust, trust_env=False) as client:
        for practice in served.practices():
            command = plain(practice.command, served.data)
            if paged := NEXT_PAGE.fullmatch(command):
                first = sent(client, paged[1])[0].json()
                command = paged[2].replace('"$cursor"', first["next"])
                second = sent(client, command)[0].json()
                assert first["items"][-1]["id"] < second["items"][0]["id"]
            answers = sent(client, command)
            assert answers[-1].status_code == practice.status, (practice.shows, answers[-1].text)
            for answer in answers:
                assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_authority_is_nobody_elses(served: Demo) -> None:
    """Without --cacert the certificate is refused."""
    with httpx.Client(trust_env=False) as client, pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        client.get(served.url)


def test_a_taken_port_is_named(served: Demo, tmp_path: Path) -> None:
    """Instead of a page that nobody answers."""
    data = shutil.copytree(served.data, tmp_path / "data")
    with demo(data, served.port) as running:
        out, err = running.communicate(timeout=SECONDS)
    assert (running.returncode, out) == (1, "")
    assert err == f"vallum: port-taken (127.0.0.1, port {served.port})\nAddress already in use: choose another one.\n"
