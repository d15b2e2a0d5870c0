"""A data directory is made whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy.orm import Session
from tests.unit.serve import tiny
from tests.unit.serve.served import ROOT

from vallum.serve import create
from vallum.serve.files import DATABASE_FILE
from vallum.store.errors import StoreError
from vallum.store.sqlite_file import check_file

KILLED = """
import os, signal, sys, time
from pathlib import Path
from tests.unit.serve import tiny
from vallum.serve.create import create_database

create_database(tiny.api, Path(sys.argv[1]), now=1e9, seeders=[lambda db: os.kill(os.getpid(), signal.SIGKILL)])
"""


def left(_: Session) -> None:
    raise KeyboardInterrupt


def test_a_making_that_was_interrupted_leaves_nothing(tmp_path: Path) -> None:
    """The second attempt is like the first."""
    with pytest.raises(KeyboardInterrupt):
        create.create_database(tiny.api, tmp_path / "data", now=1e9, seeders=[left])
    assert list((tmp_path / "data").iterdir()) == []
    create.create_database(tiny.api, tmp_path / "data", now=1e9)
    check_file(tmp_path / "data" / DATABASE_FILE)


def test_a_making_that_was_killed_leaves_no_database(tmp_path: Path) -> None:
    """What it had begun bears another name, and is in nobody's way."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    killed = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / DATABASE_FILE).exists()
    create.create_database(tiny.api, tmp_path, now=1e9)
    check_file(tmp_path / DATABASE_FILE)


def test_a_database_that_came_in_between_is_kept(tmp_path: Path) -> None:
    """Of two who make one at once the second is refused, and has replaced nothing."""
    path = tmp_path / DATABASE_FILE
    with pytest.raises(StoreError, match="database-exists"):
        create.create_database(tiny.api, tmp_path, now=1e9, seeders=[lambda _: path.write_text("first")])
    assert path.read_text() == "first"
    assert sorted(file.name for file in tmp_path.iterdir() if file.is_file()) == [DATABASE_FILE]
