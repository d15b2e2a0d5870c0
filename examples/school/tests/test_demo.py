"""What `make demo` prints, and that all of it is true: each command is answered as the page promises."""

from __future__ import annotations

import contextlib
import io
import re
import secrets
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from school.app import api
from school.demo import HOME, Practice, Shell, demo_text, practices
from tests import stores
from vallum.cli import main
from vallum.crypto import api_key
from vallum.declare.accounts import Account
from vallum.store import api_keys
from vallum.store.api_keys import Limits
from vallum.store.sqlite import SqliteFile
from vallum.store.windows import save_windows

PLACE = Path("/tmp/a b")  # noqa: S108  # only spelled, never opened: a blank wants quotes
SHELL = Shell("https://localhost:8443", PLACE / "ca.pem", PLACE)
TOKEN = re.compile(r"\$\(\S+ token (\S+) --dev --data [^)]+\)")
CLOCK = '"X-Request-Timestamp: $(date +%s)"'
RANDOM = re.compile(re.escape("$(openssl rand -hex 16)"))
KEY = re.compile(r"key=\$\(cd \S+ && \S+ key add (.+?)\); (curl .+)")
CLIENT = re.compile(
    r'client=(\w+)-\$\(date \+%s\); token=\$\((curl .+?) -u "\$client:\$\(cd \S+ && \S+ client add "\$client" (.+?)\)"'
    r" \| .+?\); (curl .+)"
)
TWICE = re.compile(r"(curl .+); (curl .+)")
NEXT_PAGE = re.compile(r"cursor=\$\((curl .+?) \| .+?\); (curl .+)")
SECONDS = 90
REPEATED = 200
CROWD, LEFT = 60, 12
"""Requests at once, and units of the budget that are left for them: fewer than the burst of the plan."""


def test_each_practice_has_one_command() -> None:
    """No token, forbidden, invisible, pages, unknown field, large body, unknown method, throttled: all are there."""
    found = [practice.status for practice in practices(SHELL)]
    assert set(found) == {200, 201, 400, 401, 403, 404, 405, 409, 413, 422, 429}
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
                running.terminate()  # a shell's background job ignores SIGINT, and so does what it starts
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
def nearly_used_up(filled: Demo) -> str:
    """An API key of the plan `reader` with `LEFT` units in the hour.

    They were counted in the hour to come, as by a clock that was set back: so it holds in this hour and in the next.
    """
    key, quota = api_key.generate(), api.plans["reader"].hour
    assert quota is not None
    soon = int(time.time()) // 3600 * 3600 + 3600
    with SqliteFile(filled.data / "vallum.db") as file:
        account = Account("crowd", frozenset({"reader"}), {}, "reader")
        file.write(api_keys.add(account, key, Limits(), time.time(), "sqlite"))
        file.write(save_windows([("crowd", "hour", soon, quota - LEFT)], "sqlite"))
    return key.text


@pytest.fixture(scope="module")
def served(filled: Demo, nearly_used_up: str) -> Iterator[Demo]:
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


def added(data: Path, kind: str, options: str) -> str:
    """By the command that the page uses, likewise."""
    said = io.StringIO()
    arguments = shlex.split(options.replace("$(date +%s)", "now"))
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()), contextlib.suppress(SystemExit):
        main([kind, "add", *arguments])
    assert str(data) in arguments
    return said.getvalue().strip()


def plain(command: str, data: Path) -> str:
    """The command with what the shell would put in."""
    command = command.replace(CLOCK, CLOCK.replace("$(date +%s)", str(int(time.time()))))
    command = RANDOM.sub(lambda _: secrets.token_hex(16), command)
    command = TOKEN.sub(lambda found: token(data, found[1]), command)
    if found := KEY.fullmatch(command):
        return found[2].replace("$key", added(data, "key", found[1]))
    if found := CLIENT.fullmatch(command):
        secret = added(data, "client", f"{found[1]} {found[3]}")
        return f"{found[2]} -u {found[1]}:{secret}; {found[4]}"
    return command


def sent(client: httpx.Client, command: str) -> list[httpx.Response]:
    """What curl would send, once for each address, and for each number of a range in it.

    Raises:
        AssertionError: an option that this does not know.
    """
    words = iter(shlex.split(command.partition("curl ")[2].partition(" | sort")[0]))
    method, content, headers, urls = None, None, {}, []
    for word in words:
        match word:
            case "-X":
                method = next(words)
            case "-H":
                name, _, value = next(words).partition(": ")
                headers[name] = value
            case "-d":
                content = next(words).encode()
                headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
            case "-u":
                headers["Authorization"] = f"Basic {b64encode(next(words).encode()).decode()}"
            case "--data-binary":
                assert (next(words), command[:27]) == ("@-", "head -c 2000000 /dev/zero |")
                content = bytes(2_000_000)
            case "--cacert" | "-w" | "-D" | "-o":
                next(words)
            case "-sS" | "-i":
                pass
            case _:
                assert word.startswith("https://"), word
                urls.append(word)
    method = method or ("GET" if content is None else "POST")
    return [client.request(method, one, headers=headers, content=content) for url in urls for one in ranged(url)]


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
            if "$token" in command:
                asking, _, command = command.partition("; ")
                command = command.replace("$token", sent(client, asking)[0].json()["access_token"])
            earlier = []
            if twice := TWICE.fullmatch(command):
                command = twice[2]
                earlier = sent(client, twice[1])
            answers = sent(client, command)
            for before, after in zip(earlier, answers, strict=False):
                assert (after.content, after.headers["idempotent-replayed"]) == (before.content, "true")
            assert answers[-1].status_code == practice.status, (practice.shows, answers[-1].text)
            for answer in answers:
                assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_commands_of_the_readme_are_answered(served: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key is made in the School's directory and reads articles and its limits; students are none of its business."""
    blocks = re.findall(r"```sh\n(.*?)```", (HOME.parents[1] / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    (block,) = [block for block in blocks if "key add" in block]
    making, *commands = block.splitlines()
    made = re.fullmatch(
        r"key=\$\(cd examples/school && \.\./\.\./\.venv/bin/vallum key add (.+) --data \.\./\.\./data\)", making
    )
    assert made
    monkeypatch.chdir(HOME)
    text = added(served.data, "key", f"{made[1]} --data {served.data}")
    trust = ssl.create_default_context(cafile=str(served.data / "dev-ca.pem"))
    with httpx.Client(verify=trust, trust_env=False) as client:
        answers = []
        for command in commands:
            assert "--cacert data/dev-ca.pem" in command
            answers += sent(client, command.replace("8443", str(served.port)).replace("$key", text))
    assert [answer.status_code for answer in answers] == [200, 200, 403]
    assert len(answers[0].json()["items"]) == 3
    assert answers[1].json()["policies"][0]["quota"] == 1000


def test_a_crowd_gets_exactly_what_is_left(served: Demo, nearly_used_up: str) -> None:
    """Sixty requests at once over sixty connections, twelve units left: twelve answers, and 48 refusals by the hour."""
    trust = ssl.create_default_context(cafile=str(served.data / "dev-ca.pem"))
    together = threading.Barrier(CROWD)
    pool = httpx.Limits(max_connections=CROWD, max_keepalive_connections=CROWD)
    headers = {"X-API-Key": nearly_used_up}

    with httpx.Client(verify=trust, trust_env=False, limits=pool, headers=headers, timeout=SECONDS) as client:

        def ask(number: int) -> httpx.Response:
            together.wait(timeout=SECONDS)
            return client.get(f"{served.url}/articles/{number % 2 + 1}")

        with ThreadPoolExecutor(CROWD) as threads:
            answers = list(threads.map(ask, range(CROWD)))
        left = client.get(f"{served.url}/limits").json()["policies"][0]
    assert sorted(answer.status_code for answer in answers) == [200] * LEFT + [429] * (CROWD - LEFT)
    assert sorted(remaining(answer) for answer in answers if answer.status_code == 200) == list(range(LEFT))
    assert all("hour" in answer.json()["violated_policies"] for answer in answers if answer.status_code == 429)
    assert (left["name"], left["remaining"]) == ("hour", 0)


def test_a_crowd_with_one_nonce_is_one(served: Demo) -> None:
    """Two hundred at once over as many connections: one change, the others are seen before or beyond the burst."""
    trust = ssl.create_default_context(cafile=str(served.data / "dev-ca.pem"))
    together = threading.Barrier(REPEATED)
    pool = httpx.Limits(max_connections=REPEATED, max_keepalive_connections=REPEATED)
    headers = {"Authorization": f"Bearer {token(served.data, 'registrar-1')}", "If-Match": "*"}
    headers |= {"X-Request-Timestamp": str(int(time.time())), "X-Request-Nonce": secrets.token_hex(16)}

    with httpx.Client(verify=trust, trust_env=False, limits=pool, headers=headers, timeout=SECONDS) as client:

        def note(number: int) -> int:
            together.wait(timeout=SECONDS)
            return client.patch(f"{served.url}/students/19", json={"notes": f"Number {number}."}).status_code

        with ThreadPoolExecutor(REPEATED) as threads:
            answers = Counter(threads.map(note, range(REPEATED)))
        time.sleep(1)  # the burst is whole again
        later = client.patch(f"{served.url}/students/19", json={"notes": "Once more."})
    assert answers.keys() == {200, 409, 429}
    assert answers[200] == 1
    assert (later.status_code, later.json()["code"]) == (409, "nonce_reused")


def remaining(answer: httpx.Response) -> int:
    """Of `RateLimit: "hour";r=7;t=60`."""
    found = re.fullmatch(r'"hour";r=(\d+);t=\d+', answer.headers["ratelimit"])
    assert found
    return int(found[1])


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
    assert (
        err
        == f"vallum: port-taken (127.0.0.1, port {served.port})\nAddress already in use: choose another by `--port`.\n"
    )


@pytest.mark.stores("postgresql")
def test_what_the_operator_pastes_finds_the_server(tmp_path: Path) -> None:
    """Keys and clients are made where the page says that the rows are, in another terminal that has no variables."""
    stores.create(api, tmp_path, store=stores.POSTGRESQL)
    url = stores.database_of(tmp_path) or ""
    shell = Shell("https://localhost:8443", tmp_path / "ca.pem", tmp_path, url)
    assert [practice.command.count(f"VALLUM_DATABASE='{url}' ") for practice in practices(shell)].count(1) == 3
    script = f"{shell.key('mirror')}; printf %s $key; client=board; printf ' %s' " + shell.operator(
        'client add "$client" --role reader --plan reader'
    )
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert re.fullmatch(r"vk_\S+ \S+", said.stdout), said.stderr
    assert stores.rows(tmp_path, "SELECT count(*) FROM vallum_principal WHERE plan = 'reader'") == [(2,)]
