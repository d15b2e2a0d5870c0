"""Runs of pytest in forks of one process, which has imported everything but what is tested.

To start Python and to import other people's libraries takes longer than most runs. A fork has them; it imports the
library itself, and reads the changed files from memory.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import importlib.util
import json
import os
import resource
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any, Final, final

import pytest

ROOT: Final = Path(__file__).parents[2]
OURS: Final = (ROOT / "src", ROOT / "tests", ROOT / "examples")
PYTEST: Final = ("-x", "-q", "-p", "no:cacheprovider", "--assert=plain", f"--rootdir={ROOT}")
"""Stop at the first failure; and nobody reads why an assertion failed."""
ENVIRONMENT: Final = {"DIFFERENTIAL_CASES": "100", "DIFFERENTIAL_SEED": "1", "HYPOTHESIS_PROFILE": "ci"}
TEST_SECONDS: Final = 120
"""Of one run of tests; a mutant that takes longer is noticed by whoever waits.

The alarm asks Python to end, and what hangs in C never answers; the kernel ends that after as many seconds of CPU.
"""
MEMORY_BYTES: Final = 4 << 30
"""Of one run: a loop that does not end may fill a list."""
NOTHING_TESTED: Final = frozenset({pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED})
BROKEN: Final = 100
"""Exit status of a fork that did not load what it had to: neither killed nor survived."""


def preload(tests: Sequence[str]) -> None:
    """Import what these tests import, except for the library and the tests themselves."""
    sys.path.insert(0, str(ROOT))
    os.environ |= ENVIRONMENT
    reading, writing = os.pipe()
    if _fork() == 0:
        os.close(reading)
        pytest.main([*PYTEST, "--collect-only", *tests])
        with os.fdopen(writing, "w") as out:
            json.dump([name for name, module in sys.modules.items() if not _ours(name, module)], out)
        _leave(0)
    os.close(writing)
    with os.fdopen(reading) as text:
        names: list[str] = json.load(text)
    os.wait()
    for name in names:
        with suppress(ImportError):  # parts of extension modules that have no file
            importlib.import_module(name)
    if "vallum" in sys.modules:
        raise RuntimeError("A library has imported vallum: its mutants would not be seen.")
    gc.freeze()


def start(tests: Sequence[str], changed: Mapping[str, str], *, shown: bool = False) -> int:
    """Fork a run of these tests on the library with these files (path from the root → source); its process.

    One that is shown has to load them all, too.
    """
    process = _fork()
    if process == 0:
        if not shown:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
        signal.signal(signal.SIGALRM, lambda *_: _leave(1))
        signal.alarm(TEST_SECONDS)
        resource.setrlimit(resource.RLIMIT_CPU, (TEST_SECONDS, TEST_SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        finder = _Changed(changed)
        sys.meta_path.insert(0, finder)
        status = int(pytest.main([*PYTEST, *tests]))
        _leave(BROKEN if status in NOTHING_TESTED or (shown and finder.unread) else status)
    return process


def killed(status: int) -> bool:
    """What `os.wait` said of a run: a test failed, the library no longer imports, or the process died.

    Raises:
        RuntimeError: nothing was tested.
    """
    code = os.waitstatus_to_exitcode(status)
    if code == BROKEN:
        raise RuntimeError("A run found no tests, or did not load the file that it had to test.")
    return code != 0


def _fork() -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    return os.fork()


def _leave(status: int) -> None:
    """Let the PostgreSQL of the tests be stopped, and nothing of the parent be closed."""
    atexit._run_exitfuncs()
    os._exit(status)


def _ours(name: str, module: Any) -> bool:
    file = getattr(module, "__file__", None)
    below = file is not None and any(Path(file).is_relative_to(place) for place in OURS)
    return below or name.partition(".")[0] in {"vallum", "tests"}


@final
class _Changed:
    """Finds the changed files before anyone else does."""

    def __init__(self, changed: Mapping[str, str]) -> None:
        self._sources = {_module(name): (ROOT / name, source) for name, source in changed.items()}
        self.unread = set(self._sources)

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        if name not in self._sources:
            return None
        file, source = self._sources[name]
        if list(path or ()) != [str(file.parent)]:
            raise RuntimeError(f"{name} would come from {path}.")  # another vallum is installed, and found first
        self.unread.discard(name)
        return importlib.util.spec_from_file_location(name, file, loader=_Source(name, str(file), source))


@final
class _Source(SourceFileLoader):
    """A file's source from memory; the compiled file beside it is of another text."""

    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._source, self.path, "exec", dont_inherit=True)


def _module(name: str) -> str:
    return name.removeprefix("src/").removesuffix(".py").replace("/", ".")
