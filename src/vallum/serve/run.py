"""Runs the service under granian: TLS, HTTP/1.1 only, bounded headers, connections and stops.

HTTP/2 stays off: its idle connections are never closed and hold their place (granian 2.8), so that a few silent
clients would stop all service. Websockets stay off: the path does not know them.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, Final

from granian import Granian
from granian.constants import HTTPModes, Interfaces, Loops, SSLProtocols
from granian.http import HTTP1Settings
from granian.log import LogLevels

from vallum import defaults
from vallum.serve.alone import alone
from vallum.serve.development import mark
from vallum.serve.errors import SettingsError
from vallum.serve.files import KEYS_FOLDER
from vallum.serve.keyring import cursor_secret
from vallum.serve.load import load_api
from vallum.serve.master_key import read_master_key
from vallum.serve.metrics import OPS_HOST
from vallum.serve.settings import Settings, use
from vallum.serve.tls import TlsFiles, development_files
from vallum.serve.worker import Worker

SOCKET_MODE: Final = 0o660
"""Of the unix socket: for the proxy's group."""
READY_SECONDS: Final = 10.0
POLL_SECONDS: Final = 0.02
PROTOCOLS: Final = {"1.2": SSLProtocols.tls12, "1.3": SSLProtocols.tls13}


def serve(settings: Settings, announce: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM; then finish what runs, for at most `stop_seconds`.

    SIGHUP starts a new worker with the certificate as it is then, and stops the old one.

    Args:
        settings: that `posture.refuse_unsafe` has let through.
        announce: called when requests are answered.

    Raises:
        SettingsError: `data-in-use`, `port-taken`, `unix-socket-taken`.
        BadKey: the secret of the cursors is under another master key.
        SystemExit: with 1 when the service could not start or kept failing.
    """
    with alone(settings.data):
        _check_free(settings)
        if settings.dev:
            mark(settings.data, settings.public_url, settings.database and str(settings.database))
        # A secret that does not open is told here: a worker could only fail with a traceback.
        cursor_secret(settings.data / KEYS_FOLDER, read_master_key(settings.master_key_file))
        server: Any = Granian(**options(settings, tls_files(settings, time.time())))
        ready = multiprocessing.Event()
        waiter = threading.Thread(target=_when_ready, args=(server, ready, settings, announce), daemon=True)
        waiter.start()
        loader = partial(make_worker, settings, ready, os.getpid())
        server.serve(target_loader=loader, wrap_loader=False)


def make_worker(settings: Settings, ready: Event, parent: int) -> Worker:
    """Called in the worker process."""
    return Worker(load_api(use(settings).app), settings, ready=ready.set, parent=parent)


def tls_files(settings: Settings, now: float) -> TlsFiles | None:
    """The certificate that is served; None behind a proxy that terminates TLS.

    Raises:
        BadKey: a development key that others may read.
    """
    if settings.tls_certificate is not None and settings.tls_key is not None:
        return TlsFiles(settings.tls_certificate, settings.tls_key)
    return development_files(settings.data, now) if settings.dev and not settings.behind_proxy else None


def options(settings: Settings, files: TlsFiles | None) -> dict[str, Any]:
    """Granian's arguments. None of them is left to a default that is not meant."""
    return {
        "target": "vallum",
        "address": settings.host,
        "port": settings.port,
        "uds": settings.unix_socket,
        "uds_permissions": SOCKET_MODE if settings.unix_socket else None,
        "interface": Interfaces.ASGI,
        "loop": Loops.auto,  # uvloop where there is one
        "http": HTTPModes.http1,
        "websockets": False,
        "workers": settings.workers,
        "backlog": settings.backlog,
        "backpressure": settings.connections,
        "http1_settings": HTTP1Settings(
            header_read_timeout=round(settings.header_seconds * 1000),  # milliseconds
            keep_alive=True,
            max_buffer_size=defaults.HEADER_BUFFER_BYTES,
            pipeline_flush=False,
        ),
        "ssl_cert": files.certificate if files else None,
        "ssl_key": files.key if files else None,
        "ssl_protocol_min": PROTOCOLS[settings.tls_minimum],
        "respawn_failed_workers": False,  # until the first start went well; see `_when_ready`
        "workers_kill_timeout": settings.stop_seconds,
        "log_level": LogLevels.warning,
        "log_access": False,
        "log_dictconfig": _logging(pretty=settings.log_format == "pretty"),
    }


def _logging(*, pretty: bool) -> dict[str, Any]:
    """Of the process that watches over the workers."""
    console = {"class": "logging.StreamHandler", "formatter": "line", "stream": "ext://sys.stderr"}
    return {
        "formatters": {"line": {"()": "vallum.serve.logs.Formatter", "pretty": pretty}},
        "handlers": {"console": console},
        "loggers": {"_granian": {"handlers": ["console"], "level": "WARNING", "propagate": False}},
    }


def _when_ready(server: Any, ready: Event, settings: Settings, announce: Callable[[], None]) -> None:
    """A service that never started is not started again and again; one that ran is."""
    ready.wait()
    server.respawn_failed_workers = True
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        with contextlib.suppress(OSError), _connected(settings):
            announce()
            return
        time.sleep(POLL_SECONDS)


def _connected(settings: Settings) -> socket.socket:
    """A connection to the server itself."""
    if settings.unix_socket is not None:
        local = socket.socket(socket.AF_UNIX)
        try:
            local.connect(str(settings.unix_socket))
        except OSError:
            local.close()
            raise
        return local
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104  # what it means
    return socket.create_connection((reachable, settings.port), timeout=1)


def _check_free(settings: Settings) -> None:
    """Granian shares a port with whoever listens on it in the same way, without a word."""
    if settings.unix_socket is None:
        _check_port(settings.host, settings.port, "port-taken", "choose another by `--port`.")
    else:
        _check_socket(settings, settings.unix_socket)
    if settings.ops_port:
        _check_port(
            OPS_HOST,
            settings.ops_port,
            "ops-port-taken",
            "health and metrics need one, too: choose another by `--ops-port`, or 0 for none.",
        )


def _check_port(host: str, port: int, identifier: str, mend: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SettingsError(identifier, f"{host}, port {port}", f"{error.strerror}: {mend}") from None


def _check_socket(settings: Settings, path: Path) -> None:
    if not path.exists():
        return
    if not path.is_socket():
        raise SettingsError("unix-socket-taken", f"unix_socket: {path}", "There is a file of that name.")
    with contextlib.suppress(ConnectionRefusedError):
        _connected(settings).close()
        raise SettingsError("unix-socket-taken", f"unix_socket: {path}", "Another server listens there.")
    path.unlink()  # of a server that was killed
