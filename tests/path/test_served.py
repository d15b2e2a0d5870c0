"""The API as it is served: real processes, real TLS, real signals, on loopback."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.unit.serve.served import Served, eventually, free_port, serving

from vallum.serve import alone
from vallum.serve.tls import TlsFiles, development_files
from vallum.testing.wire import freshness

SECRET = "hunter2-5e7d"
"""Stands for whatever must not be written down."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("served"), VALLUM_HEADER_SECONDS="2") as running:
        yield running


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Served]:
    """For what stops it."""
    with serving(tmp_path) as running:
        yield running


def test_it_says_once_where_it_is_served(server: Served) -> None:
    """The one line on standard output names the title and the public URL."""
    assert server.said == f"Tiny is served at https://localhost:{server.port} for development\n"


def test_the_development_authority_is_enough_to_trust_it(server: Served) -> None:
    """A client that knows only the authority's certificate accepts the server's, under each of its three names."""
    for host in ("localhost", "127.0.0.1"):
        with (
            socket.create_connection((host, server.port), timeout=10) as raw,
            server.context().wrap_socket(raw, server_hostname=host) as connection,
        ):
            assert connection.version() == "TLSv1.3"
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        ssl.create_default_context().wrap_socket(raw, server_hostname="localhost")


def test_an_old_tls_is_refused(server: Served) -> None:
    """TLS 1.2 is not spoken unless a setting says so."""
    context = server.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw, pytest.raises(ssl.SSLError):
        context.wrap_socket(raw, server_hostname="localhost")


def test_plain_http_is_refused(server: Served) -> None:
    """A request without TLS gets no HTTP answer, and no redirect that would teach clients to send it again."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        raw.sendall(b"GET /notes HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        with contextlib.suppress(ConnectionError):
            while chunk := raw.recv(4096):
                answer += chunk
    assert b"HTTP" not in answer


def test_only_http_1_is_offered(server: Served) -> None:
    """A client that would speak HTTP/2 is given HTTP/1.1: idle connections of HTTP/2 are never closed."""
    context = server.context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as connection,
    ):
        assert connection.selected_alpn_protocol() != "h2"


def test_a_caller_is_served_by_its_rule(server: Served) -> None:
    """The whole path over the wire: token, rule, rows, headers."""
    status, headers, body = server.ask("GET", "/notes", server.token("rita"))
    assert (status, body.count(b'"owner":"rita"'), body.count(b"will")) == (200, 3, 0)
    assert headers["strict-transport-security"] == "max-age=300"
    assert "granian" not in headers.get("server", "")
    assert server.ask("GET", "/notes")[0] == 401


def test_health_and_metrics_have_a_listener_of_their_own(server: Served) -> None:
    """They answer on loopback, and are not paths of the API."""
    server.ask("GET", "/notes")
    assert server.ops("/health/live") == (200, '{"status":"live"}')
    assert server.ops("/health/ready") == (200, '{"status":"ready"}')
    status, text = server.ops("/metrics")
    assert status == 200
    assert 'vallum_requests_total{method="GET",route="/notes",status="401"}' in text
    assert 'vallum_refusals_total{code="credential_missing"}' in text
    assert server.ask("GET", "/metrics")[0] == 401
    assert server.ops("/metrics", host="evil.example:80")[0] == 421
    assert server.ops("/else")[0] == 404


def test_the_listener_is_out_of_reach_for_other_machines(server: Served) -> None:
    """Its socket is bound to 127.0.0.1, so an address of a network card does not reach it."""
    wanted = f":{server.ops_port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = {row[1] for row in rows if row[1].endswith(wanted) and row[3] == "0A"}
    assert listening == {f"0100007F{wanted}"}


def test_a_silent_connection_is_closed(server: Served) -> None:
    """A client that connects and says nothing, or stays idle after a request, does not keep its place."""
    for request in (b"", b"GET /notes HTTP/1.1\r\nHost: localhost:%d\r\n\r\n" % server.port):
        with (
            socket.create_connection(("127.0.0.1", server.port), timeout=15) as raw,
            server.context().wrap_socket(raw, server_hostname="localhost") as connection,
        ):
            connection.sendall(request)
            received = b""
            while chunk := connection.recv(4096):
                received += chunk
            assert received.count(b"HTTP/1.1 401") == (1 if request else 0)


@pytest.mark.parametrize("chunk", [b"2\n{}\n0\n\n", b"FFFFFFFFFFFFFFFF1\r\n{}\r\n0\r\n\r\n", b"x\r\n"])
def test_chunks_that_cannot_be_read(server: Served, chunk: bytes) -> None:
    """The answer to a broken body is ours, with every header, and not the server's own 500."""
    head = "POST /notes HTTP/1.1\r\nHost: localhost:{}\r\nAuthorization: Bearer {}\r\n"
    head += "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in freshness(time.time()).items()) + "\r\n"
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=15) as raw,
        server.context().wrap_socket(raw, server_hostname="localhost") as connection,
    ):
        connection.sendall(head.format(server.port, server.token("will")).encode() + chunk)
        received = b""
        while part := connection.recv(4096):
            received += part
    assert received.startswith(b"HTTP/1.1 400 ")
    assert b"request_malformed" in received
    assert b"strict-transport-security" in received
    assert b"granian" not in received


def test_a_stop_finishes_what_runs(own_server: Served) -> None:
    """SIGTERM in the middle of a request: it is answered, the log says stopped, the exit code is 0."""
    token = own_server.token("will")
    answers: list[Any] = []
    asking = threading.Thread(target=lambda: answers.append(own_server.ask("POST", "/slow", token, {"text": "x"})))
    asking.start()
    time.sleep(0.6)
    assert own_server.stop() == 0
    asking.join(timeout=20)
    assert [(status, body) for status, _, body in answers] == [(200, b'{"done":"yes"}')]
    # The worker's own last word: its parent, whose two threads wait for it, may take the ended one for alive and say so.
    assert [line["event"] for line in own_server.lines() if "Killing" not in line["event"]][-1] == "stopped"
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", own_server.port), timeout=5)


def test_nothing_a_client_sends_is_written_down(server: Served) -> None:
    """Secrets in every place of a request: path, query, headers, cookie, token, body, method, host, and in an error."""
    token = server.token("will")
    marked = {"X-Note": SECRET, "Cookie": f"a={SECRET}", "User-Agent": SECRET, "Referer": f"https://x/{SECRET}"}
    word = SECRET.upper().replace("-", "X")
    answers = [
        server.ask("GET", f"/notes/{SECRET}", token, headers=marked),
        server.ask("GET", f"/{SECRET}/{SECRET}", token),
        server.ask("GET", f"/notes?text={SECRET}", token, headers=marked),
        server.ask("GET", f"/notes?{SECRET}={SECRET}&after={SECRET}", token),
        server.ask("GET", "/notes", SECRET),
        server.ask("GET", "/notes", headers={"X-API-Key": f"vk_{SECRET}"}),
        server.ask("GET", f"/notes?access_token={SECRET}", token),
        server.ask("POST", "/notes", token, {"owner": SECRET, "text": SECRET, SECRET: SECRET}),
        server.ask("POST", "/notes", token, {"owner": SECRET, "text": SECRET}),
        server.ask("POST", "/broken", token, {"text": SECRET}),
        server.ask(word, "/notes", token),
        server.ask("GET", "/notes", token, headers={"Host": f"{SECRET}.example"}),
        server.ask("GET", "/notes", token, headers={"X-Forwarded-For": SECRET, "Idempotency-Key": SECRET}),
        server.ask("GET", "/notes", token, headers={"X-Request-Nonce": SECRET, "X-Request-Timestamp": SECRET}),
    ]
    ids = {headers["x-request-id"] for _, headers, _ in answers}
    assert eventually(lambda: ids <= {line.get("request_id") for line in server.lines()})
    assert 500 in {status for status, _, _ in answers}
    written = server.log.read_text()
    for secret in (SECRET, word, token, token.split(".")[2]):
        assert secret.lower() not in written.lower()
    (failure,) = [line for line in server.lines() if line["event"] == "failed"]
    assert "builtins.RuntimeError" in failure["exception"], "the error itself must be there"
    assert "builtins.ValueError" in failure["exception"], "and what caused it"
    assert "tiny.py" in failure["exception"], "with the place"


def test_a_request_is_one_line(server: Served) -> None:
    """Request id, principal, method, pattern, status, refusing stage and code, and microseconds by stage."""
    token = server.token("rita")
    status, found, _ = server.ask("GET", "/notes/1", token)
    _, refused, _ = server.ask("POST", "/notes", token, {"owner": "rita", "text": "x"})

    def lines(headers: Mapping[str, str]) -> list[dict[str, Any]]:
        return [line for line in server.lines() if line.get("request_id") == headers["x-request-id"]]

    assert eventually(lambda: lines(found) and lines(refused))
    (yes,), (no,) = lines(found), lines(refused)
    stages = ["edge", "authenticate", "throttle", "authorise", "validate", "execute", "respond"]
    assert (status, yes["status"], yes["principal"], list(yes["us"])) == (200, 200, "rita", stages)
    assert (yes["method"], yes["route"]) == ("GET", "/notes/{id}")
    assert (no["stage"], no["code"], no["status"], list(no["us"])) == ("authorise", "forbidden", 403, stages[:4])


def test_a_change_by_a_command_counts_from_the_next_request_on(server: Served) -> None:
    """Two processes: roles given, taken, the account disabled, its tokens revoked, while the server knows the token."""
    assert server.run("user", "add", "ada", "--role", "reader", "--no-password").code == 0
    token, note = server.token("ada"), {"owner": "ada", "text": "new"}
    steps: list[tuple[list[str], int, int]] = [
        ([], 200, 403),
        (["change", "ada", "--role", "reader", "--role", "writer"], 200, 201),
        (["change", "ada", "--role", "reader"], 200, 403),
        (["disable", "ada"], 401, 401),
        (["enable", "ada"], 200, 403),
        (["revoke-tokens", "ada"], 401, 401),
    ]
    for arguments, reads, writes in steps:
        if arguments:
            assert server.run("user", *arguments).code == 0
        assert server.ask("GET", "/notes", token)[0] == reads, arguments
        assert server.ask("POST", "/notes", token, note)[0] == writes, arguments


def test_a_rotation_keeps_tokens_and_a_revocation_voids_them(server: Served) -> None:
    """`keys rotate` has an overlap; `keys revoke` has none, for tokens that the server has seen and not seen."""
    old, unseen = server.token("rita"), server.token("will")
    (signing,) = [row["kid"] for row in server.run("keys", "list", "--json").json() if row["state"] == "signs"]
    assert server.ask("GET", "/notes", old)[0] == 200
    assert server.run("keys", "rotate").code == 0
    new = server.token("rita")
    assert new.split(".")[0] != old.split(".")[0]
    assert server.ask("GET", "/notes", new)[0] == 200
    assert server.ask("GET", "/notes", old)[0] == 200
    assert server.run("keys", "revoke", signing).code == 0
    assert server.ask("GET", "/notes", old)[0] == 401
    assert server.ask("GET", "/notes", unseen)[0] == 401
    assert server.ask("GET", "/notes", new)[0] == 200


def test_kill_9_of_the_worker_and_of_its_parent(own_server: Served) -> None:
    """A worker that is killed comes back. One whose parent is killed stops, and the directory can be served again."""
    (killed,) = own_server.workers()
    os.kill(killed, signal.SIGKILL)
    assert eventually(lambda: own_server.workers() not in ([], [killed]))
    assert eventually(lambda: _answers(own_server))
    (worker,) = own_server.workers()
    assert own_server.stop(signal.SIGKILL) == -signal.SIGKILL
    assert eventually(lambda: not Path(f"/proc/{worker}").exists())
    own_server.start()
    assert _answers(own_server)


def _answers(server: Served) -> bool:
    with contextlib.suppress(OSError):
        return server.ask("GET", "/notes")[0] == 401
    return False


def test_a_directory_has_one_server(server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second server on the same data, or on the same port, is refused by name: limits would count twice."""
    monkeypatch.setattr(alone, "LOCK_SECONDS", 0.1)
    second = server.run("serve", "--dev", "--port", str(free_port()), "--ops-port", "0")
    assert (second.code, "data-in-use" in second.err) == (1, True), second.err
    other = Served(tmp_path, VALLUM_PORT=str(server.port))
    taken = other.run("serve", "--dev", "--ops-port", "0")
    assert (taken.code, "port-taken" in taken.err) == (1, True), taken.err


def test_sighup_brings_a_new_certificate(tmp_path: Path) -> None:
    """An operator's renewed certificate is served after SIGHUP, without a stop."""
    first, second = (development_files(tmp_path / name, time.time()) for name in ("one", "two"))
    for name in ("certificate", "key"):
        (tmp_path / name).write_bytes(getattr(first, name).read_bytes())
        (tmp_path / name).chmod(0o600)
    files = {"VALLUM_TLS_CERTIFICATE": str(tmp_path / "certificate"), "VALLUM_TLS_KEY": str(tmp_path / "key")}
    place = tmp_path / "place"
    place.mkdir()
    with serving(place, **files) as server:
        assert _served(server) == _der(first)
        for name in ("certificate", "key"):
            (tmp_path / name).write_bytes(getattr(second, name).read_bytes())
        os.kill(server.pid, signal.SIGHUP)
        assert eventually(lambda: _served(server) == _der(second), 30)


def _served(server: Served) -> bytes:
    return ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(("127.0.0.1", server.port)))


def _der(files: TlsFiles) -> bytes:
    return ssl.PEM_cert_to_DER_cert(files.certificate.read_text())


def test_a_proxy_talks_over_a_unix_socket(tmp_path: Path) -> None:
    """Behind a proxy the service listens on a socket file; who comes without the proxy's header is refused."""
    path = tmp_path / "socket"
    with serving(tmp_path, (), VALLUM_UNIX_SOCKET=str(path), VALLUM_PUBLIC_URL="https://api.example.org"):
        head = "GET /notes HTTP/1.1\r\nHost: api.example.org\r\nConnection: close\r\n"
        forwarded = "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n"
        assert path.stat().st_mode & 0o007 == 0
        assert _raw(path, head + "\r\n").startswith(b"HTTP/1.1 400")
        assert _raw(path, head + forwarded + "\r\n").startswith(b"HTTP/1.1 401")


def _raw(path: Path, request: str) -> bytes:
    with socket.socket(socket.AF_UNIX) as local:
        local.settimeout(10)
        local.connect(str(path))
        local.sendall(request.encode())
        received = b""
        while chunk := local.recv(4096):
            received += chunk
        return received
