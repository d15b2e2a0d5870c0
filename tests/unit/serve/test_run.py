"""How granian is set up, and what is looked at before it starts."""

from __future__ import annotations

import inspect
import os
import socket
from pathlib import Path

import pytest
from granian import Granian
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from tests.unit.serve.served import free_port

from vallum import defaults
from vallum.serve import alone as one_server
from vallum.serve import run
from vallum.serve.errors import SettingsError
from vallum.serve.settings import Settings, load
from vallum.serve.tls import TlsFiles


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def settings(**flags: object) -> Settings:
    return load({"dev": True, **flags})


def test_the_open_side_is_bounded() -> None:
    """HTTP/1.1 only, no websockets, and a bound on headers, silence, connections and stops."""
    found = run.options(settings(header_seconds=7, connections=99, stop_seconds=3, tls_minimum="1.2"), None)
    assert (found["interface"], found["http"], found["websockets"]) == (Interfaces.ASGI, HTTPModes.http1, False)
    assert (found["backpressure"], found["workers_kill_timeout"]) == (99, 3)
    assert found["http1_settings"].header_read_timeout == 7000
    assert found["http1_settings"].max_buffer_size == defaults.HEADER_BUFFER_BYTES
    assert found["ssl_protocol_min"] == SSLProtocols.tls12
    assert run.options(settings(), None)["ssl_protocol_min"] == SSLProtocols.tls13
    assert found["log_access"] is False, "granian's access log has paths and queries"


def test_our_own_limits_answer_before_the_server_does() -> None:
    """What the edge refuses with 414 and 431 has to fit into the server's buffer, with the bytes between the fields."""
    between = defaults.MAX_HEADER_COUNT * len(": \r\n") + 64
    assert defaults.MAX_HEADERS_BYTES + defaults.MAX_TARGET_BYTES + between < defaults.HEADER_BUFFER_BYTES


def test_granian_knows_every_option() -> None:
    """Its parameters of this release; a renamed one would otherwise show at the first start."""
    known = inspect.signature(Granian).parameters
    assert set(run.options(settings(), None)) <= set(known)


def test_the_operators_certificate_goes_before_that_of_development(tmp_path: Path) -> None:
    """And behind a proxy that terminates TLS there is none."""
    given = settings(tls_certificate="c.pem", tls_key="k.pem")
    assert run.tls_files(given, 0) == TlsFiles(Path("c.pem"), Path("k.pem"))
    assert run.tls_files(settings(unix_socket="s"), 0) is None
    made = run.tls_files(settings(data=str(tmp_path / "d")), 1e9)
    assert made is not None
    assert made.key.exists()


def test_a_lock_is_held_by_one_and_given_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Not by two at once; not any more after the end."""
    monkeypatch.setattr(one_server, "LOCK_SECONDS", 0.05)
    with one_server.alone(tmp_path), pytest.raises(SettingsError) as caught, one_server.alone(tmp_path):
        pass
    assert caught.value.identifier == "data-in-use"
    with one_server.alone(tmp_path):
        pass
    assert (tmp_path / one_server.LOCK_FILE).stat().st_mode & 0o077 == 0


def test_a_port_that_is_taken_is_refused() -> None:
    """Also by a listener that would share it."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(SettingsError) as caught:
            run._check_free(settings(port=port, ops_port=0))
        assert (caught.value.identifier, "`--port`" in caught.value.mend) == ("port-taken", True)
        with pytest.raises(SettingsError, match=r"ops-port-taken.*`--ops-port`"):
            run._check_free(settings(port=free_port(), ops_port=port))
    run._check_free(settings(port=port, ops_port=0))


def test_a_socket_file_of_a_dead_server_is_removed(tmp_path: Path) -> None:
    """One that is listened on, and a file that is no socket, are refused and left alone."""
    path = tmp_path / "socket"
    given = settings(unix_socket=str(path), ops_port=0)
    run._check_free(given)
    with socket.socket(socket.AF_UNIX) as living:
        living.bind(str(path))
        living.listen()
        with pytest.raises(SettingsError, match="Another server listens there"):
            run._check_free(given)
        assert path.exists()
    run._check_free(given)
    assert not path.exists()
    path.write_text("mine")
    with pytest.raises(SettingsError, match="There is a file of that name"):
        run._check_free(given)
    assert path.read_text() == "mine"


def test_a_lock_does_not_pass_to_other_programs(tmp_path: Path) -> None:
    """It is closed on exec; workers are forks and keep it."""
    with one_server.alone(tmp_path):
        held = [
            int(fd)
            for fd in os.listdir("/proc/self/fd")  # noqa: PTH208  # names of descriptors, not paths
            if os.path.realpath(f"/proc/self/fd/{fd}") == str(tmp_path / one_server.LOCK_FILE)
        ]
        assert len(held) == 1
        assert not os.get_inheritable(held[0])
