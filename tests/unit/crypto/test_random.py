from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import vallum
from vallum.crypto import random


def test_request_id() -> None:
    """A request id is 32 lower-case hex digits, and ten thousand of them differ."""
    ids = [random.request_id() for _ in range(10_000)]
    assert all(re.fullmatch(r"[0-9a-f]{32}", one) for one in ids)
    assert len(set(ids)) == len(ids)


def test_request_id_uses_all_bits() -> None:
    """Every one of the 128 bits is sometimes 0 and sometimes 1."""
    ids = [int(random.request_id(), 16) for _ in range(200)]
    ones = zeros = 0
    for number in ids:
        ones |= number
        zeros |= ~number
    assert ones == 2**128 - 1
    assert zeros & (2**128 - 1) == 2**128 - 1


def test_token_bytes() -> None:
    """As many bytes as asked for, different each time."""
    assert [len(random.token_bytes(count)) for count in (0, 1, 32)] == [0, 1, 32]
    assert random.token_bytes(16) != random.token_bytes(16)


def test_a_fork_has_ids_of_its_own() -> None:
    """The ids that were made in advance are the parent's alone."""
    program = (
        "import os, sys\n"
        "from vallum.crypto import random\n"
        "random.request_id()\n"
        "child = os.fork()\n"
        "if not child: os._exit(len(random._pool))\n"
        "left = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])\n"
        "sys.exit(left != 0 or not random._pool)\n"
    )
    source = str(Path(vallum.__path__[0]).parent)
    subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": source}, check=True, timeout=30)
