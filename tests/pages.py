"""Pages whose programs and commands are tested: their blocks, and a terminal in which their commands are given."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shlex
import signal
import ssl
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Final, Self

import httpx
from tests.unit.serve.served import PROGRAM, ROOT, Said, command, environment, free_port

DOCS: Final = ROOT / "docs"
SECONDS: Final = 60
BLOCK: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FUNCTION: Final = re.compile(r'(\w+)\(\) \{ (.*) "\$@"; \}')
ASSIGNED: Final = re.compile(r"(\w+)=\$\((vallum .*)\)")
CONTINUED: Final = re.compile(r" \\\n +")
TAKES_VALUE: Final = {"-H", "-d", "-X", "-u", "--cacert"}


def blocks(page: Path, language: str) -> list[str]:
    """The blocks of that language, in their order; a command that goes on behind a backslash is one line."""
    texts = [text for found, text in BLOCK.findall(page.read_text(encoding="utf-8")) if found == language]
    return [CONTINUED.sub(" ", text) for text in texts] if language in {"sh", "console"} else texts


def commands(block: str) -> list[tuple[str, str]]:
    """A console block as (command, what it is said to print)."""
    parts = re.split(r"^\$ ", block, flags=re.MULTILINE)
    return [(line, said) for line, _, said in (part.partition("\n") for part in parts[1:])]


def assert_said(expected: str, out: str) -> None:
    """Each line that is shown is in the output, in that order; `…` is anything, and so is more white space."""
    rest = " ".join(out.split())
    for line in expected.splitlines():
        if line.strip() in ("", "…"):
            continue
        pattern = ".*?".join(r"\s+".join(map(re.escape, part.split())) for part in line.split("…"))
        found = re.search(pattern, rest)
        assert found, f"{line!r} is not in {rest!r}"
        rest = rest[found.end() :]


class Terminal:
    """A directory in which a page's commands are given, one after the other.

    It understands `vallum …`, `cd …`, `name=$(vallum …)`, `curl …` (sent by httpx) and a function that is a command with
    more arguments (`name() { curl … "$@"; }`), and leaves the rest to bash. What
    `vallum serve` starts goes on until the terminal is closed, at a port that is free instead of 8443.

    Args:
        place: where it begins.
    """

    def __init__(self, place: Path) -> None:
        self.place = self.here = place
        self.port = free_port()
        self.settings = {"VALLUM_APP": "", "VALLUM_PORT": str(self.port), "VALLUM_OPS_PORT": str(free_port())}
        self.names: dict[str, str] = {}
        self.functions: dict[str, str] = {}
        self.server: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the server as Ctrl-C would; it leaves in order."""
        if self.server is None:
            return
        running, self.server = self.server, None
        with contextlib.suppress(ProcessLookupError):
            running.send_signal(signal.SIGTERM)
        running.communicate(timeout=SECONDS)
        assert running.returncode == 0

    def run(self, line: str) -> str:
        """What the command prints, on both of its streams."""
        assigned = ASSIGNED.fullmatch(line)
        if assigned is not None:
            self.names[assigned[1]] = self._captured(assigned[2])
            return ""
        defined = FUNCTION.fullmatch(line)
        if defined is not None:
            self.functions[defined[1]] = defined[2]
            return ""
        name, space, rest = line.partition(" ")
        if name in self.functions:
            return self.run(self.functions[name] + space + rest)
        words = shlex.split(self._filled(line), comments=True)
        match words:
            case []:
                return ""
            case ["cd", directory]:
                self.here = (self.here / directory).resolve()
                return ""
            case ["vallum", "serve", *_]:
                return self._serve(words[1:])
            case ["vallum", *arguments]:
                ran = self._vallum(arguments)
                return ran.out + ran.err
            case ["curl", *arguments]:
                answer = self.curl(arguments)
                assert answer.status_code != 500, (self.place / "log").read_text()
                return f"HTTP {answer.status_code}\n{answer.text}"
            case _:
                return self._bash(self._filled(line))

    def give(self, block: str) -> None:
        """Every command of a console block, and whether it prints what it is said to print."""
        for line, said in commands(block):
            assert_said(said, self.run(line))

    def curl(self, arguments: list[str]) -> httpx.Response:
        """What curl would send, and trusting whom it would trust."""
        options = [(option, word) for option, word in pairwise(arguments) if option in TAKES_VALUE]
        headers = dict(word.split(": ", 1) for option, word in options if option == "-H")
        given = dict(options)
        (url,) = [word for word in arguments if word.startswith("https://")]
        assert "-g" in arguments or not re.search(r"[\[\]{}]", url), f"curl would read the brackets itself: {url}"
        content = given.get("-d")
        method = given.get("-X", "GET" if content is None else "POST")
        trust = ssl.create_default_context(cafile=str(self.here / given["--cacert"]))
        with httpx.Client(verify=trust, trust_env=False) as client:
            return client.request(method, url.replace("8443", str(self.port)), headers=headers, content=content)

    def _filled(self, line: str) -> str:
        line = re.sub(r"\$\((vallum [^)]*)\)", lambda found: self._captured(found[1]), line)
        line = re.sub(r"\$\(openssl rand -hex (\d+)\)", lambda found: secrets.token_hex(int(found[1])), line)
        line = re.sub(r"\$\((date [^)]*)\)", lambda found: self._bash(found[1]).strip(), line)
        return re.sub(r"\$(\w+)", lambda found: self.names.get(found[1], found[0]), line)

    def _captured(self, line: str) -> str:
        """What the shell puts in the place of `$(vallum …)`."""
        return self._vallum(shlex.split(line)[1:]).out.strip()

    def _vallum(self, arguments: list[str]) -> Said:
        """In this process, which forgets the project's modules afterwards: the page may add to them."""
        said = command(*arguments, cwd=self.here, **self.settings)
        for name, module in list(sys.modules.items()):
            if Path(getattr(module, "__file__", None) or "/").is_relative_to(self.place):
                del sys.modules[name]
        return said

    def _serve(self, arguments: list[str]) -> str:
        with (self.place / "log").open("ab") as log:
            self.server = subprocess.Popen(
                [*PROGRAM, *arguments],
                cwd=self.here,
                env=environment(**self.settings),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        said = self.server.stdout.readline() if self.server.stdout else ""
        assert said, (self.place / "log").read_text()
        return said.replace(str(self.port), "8443")

    def _bash(self, line: str) -> str:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        ran = subprocess.run(
            ["bash", "-euc", line],
            cwd=self.here,
            env={**environment(**self.settings), "PATH": path},
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout + ran.stderr
