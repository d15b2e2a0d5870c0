"""`python school/demo.py --data DIR --port N [--database postgresql://…]`: fill a school when there is none, serve it, and say what to try.

It needs nothing but the standard library, so that a start does not load the school twice.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HOME: Final = Path(__file__).resolve().parents[1]
"""Where vallum.toml names the application."""
DATABASE: Final = "vallum.db"
MARKER: Final = "development.json"
"""Written last, so that a school on a server whose filling was stopped is not taken for one."""
CERTIFICATE: Final = "dev-ca.pem"
JSON: Final = ("-H", "Content-Type: application/json", "-d")
STATUS: Final = ("-w", r"%{http_code}\n")
FRESH: Final = '-H "X-Request-Timestamp: $(date +%s)" -H "X-Request-Nonce: $(openssl rand -hex 16)"'
"""Each writing request says when it was made, with a nonce, a random text: it counts once."""
FULL_CLUB: Final = 2401
"""The first club of this term (`seed.courses`): its places are taken."""


@dataclass(frozen=True)
class Practice:
    """One command to paste.

    Attributes:
        shows: what its answer shows.
        status: of the answer; it is the last thing that the command prints.
        command: for a POSIX shell, complete in itself.
    """

    shows: str
    status: int
    command: str


@dataclass(frozen=True)
class Shell:
    """Writes commands for one served school.

    Attributes:
        database: the URL of its PostgreSQL database, which holds no password (Vallum refuses one that does); empty: SQLite.
    """

    base_url: str
    ca_path: Path
    data: Path
    database: str = ""

    def token(self, account: str) -> str:
        """A header with an access token that is made when the command runs, so that what is pasted is never stale."""
        vallum = shlex.join([str(program()), "token", account, "--dev", "--data", str(self.data)])
        return f'-H "Authorization: Bearer $({vallum})"'

    def operator(self, command: str) -> str:
        """What a command of the operator prints."""
        place = shlex.join(["--app", "school:api", "--data", str(self.data)])
        server = f"VALLUM_DATABASE={shlex.quote(self.database)} " if self.database else ""
        return f"$(cd {shlex.quote(str(HOME))} && {server}{shlex.quote(str(program()))} {command} {place})"

    def key(self, name: str) -> str:
        """Makes an API key of the plan `reader` in the variable `key`; its account has a new name each time."""
        return "key=" + self.operator(f"key add {name}-$(date +%s) --role reader --plan reader --expires 1d")

    def client_token(self, name: str) -> str:
        """Makes an OAuth client, and gets it a token in the variable `token`."""
        pick = shlex.join([sys.executable, "-c", 'import json, sys; print(json.load(sys.stdin)["access_token"])'])
        asked = self.curl("/oauth/token", None, "-d", "grant_type=client_credentials")
        secret = self.operator('client add "$client" --role reader --plan reader')
        return f'client={name}-$(date +%s); token=$({asked} -u "$client:{secret}" | {pick})'

    def with_key(self, path: str, *options: str) -> str:
        """The body and the status of a request with the key in the variable `key`."""
        return f'{self.answer(path, None, *options)} -H "X-API-Key: $key"'

    def curl(self, path: str, account: str | None, *options: str) -> str:
        """A request as `account`, or without a token."""
        command = shlex.join(["curl", "-sS", "--cacert", str(self.ca_path), *options, self.base_url + path])
        return command if account is None else f"{command} {self.token(account)}"

    def answer(self, path: str, account: str | None, *options: str) -> str:
        """The same, printing the body and then the status."""
        return self.curl(path, account, "-w", r"\n%{http_code}\n", *options)

    def write(self, path: str, account: str, *options: str) -> str:
        """A request that would change something."""
        return f"{self.answer(path, account, *options)} {FRESH}"


def program() -> Path:
    """The command `vallum` of the environment that runs this."""
    return Path(sys.executable).with_name("vallum")


def practices(shell: Shell) -> list[Practice]:
    """One command per practice, in the order in which a request meets them."""
    return [*strangers(shell), *reading(shell), *writing(shell), *programs(shell), *bounds(shell)]


def strangers(shell: Shell) -> list[Practice]:
    """Who are you, and what may you ever do?"""
    return [
        Practice("Without a token nothing is told, not even what exists.", 401, shell.answer("/students", None)),
        Practice("No rule lets a student read teachers.", 403, shell.answer("/teachers", "student-17")),
        Practice(
            "Nor delete a student, their own record included.",
            403,
            shell.write("/students/17", "student-17", "-X", "DELETE"),
        ),
        Practice(
            "A method that does not exist. Allow lists what does.",
            405,
            shell.answer("/students", "student-17", "-i", "-X", "PUT"),
        ),
    ]


def reading(shell: Shell) -> list[Practice]:
    """The rules are inside the query: rows and fields that are not yours do not exist for you."""
    pick = shlex.join([sys.executable, "-c", 'import json, sys; print(json.load(sys.stdin)["next"])'])
    page = shell.curl("/students?limit=3", "teacher-17")
    following = shell.answer("/students?limit=3&after=CURSOR", "teacher-17").replace("CURSOR'", '\'"$cursor"')
    return [
        Practice(
            "The list of students that a student gets has one entry.", 200, shell.answer("/students", "student-17")
        ),
        Practice(
            "The record of another student is not there, exactly like one that does not exist.",
            404,
            shell.answer("/students/18", "student-17"),
        ),
        Practice("A parent sees their own children.", 200, shell.answer("/students", "parent-17")),
        Practice(
            "A teacher sees their own class, a page at a time…", 200, shell.answer("/students?limit=3", "teacher-17")
        ),
        Practice(
            "…and the next page. The cursor is sealed, and good for this teacher and this list only.",
            200,
            f"cursor=$({page} | {pick}); {following}",
        ),
        Practice(
            "A field that no rule grants does not exist, in a filter either.",
            400,
            shell.answer("/students?account=student-17", "student-17"),
        ),
    ]


def writing(shell: Shell) -> list[Practice]:
    """What is written is checked whole, and again after it is written."""
    unknown = '{"name": "Ada Berg", "born": "2015-02-30", "classroom_id": 1, "admin": true}'
    forged = '{"course_id": 1201, "student_id": 17, "value": 6}'
    place = f'{{"course_id": {FULL_CLUB}}}'
    return [
        Practice(
            "An unknown field and a day that never was: all faults at once.",
            422,
            shell.write("/students", "registrar-1", *JSON, unknown),
        ),
        Practice("The head reads every grade and forges none.", 403, shell.write("/grades", "head-1", *JSON, forged)),
        Practice(
            "A club with twelve places has twelve members.",
            409,
            shell.write("/students/17/enrol", "registrar-1", *JSON, place),
        ),
        *once(shell),
    ]


def once(shell: Shell) -> list[Practice]:
    """What was recorded cannot be sent again; what was lost can be asked for again."""
    note = ("-X", "PATCH", "-H", "If-Match: *", *JSON, '{"notes": "Sings in the choir."}')
    bare = shell.answer("/students/17", "registrar-1", *note)
    again = shlex.quote(shell.base_url + "/students/17")
    named = '{"name": "Ada Berg", "born": "2015-02-28", "classroom_id": 1}'
    post = shell.write("/students", "registrar-1", "-i", "-H", "Idempotency-Key: ada", *JSON, named)
    return [
        Practice("A write without the time at which it was made is refused.", 400, bare),
        Practice(
            "So is one that was made long ago.",
            400,
            f'{bare} -H "X-Request-Timestamp: 1700000000" -H "X-Request-Nonce: $(openssl rand -hex 16)"',
        ),
        Practice(
            "The same request twice: the first is carried out, the second is not.", 409, f"{bare} {FRESH} {again}"
        ),
        Practice(
            "Sent twice under one Idempotency-Key, carried out once: the second answer is the first.",
            201,
            f"{post}; {post}",
        ),
    ]


def programs(shell: Shell) -> list[Practice]:
    """What comes with an API key or from an OAuth client; both are made by the operator, and shown once."""
    read, refused = shell.with_key("/articles?limit=3", "-i"), shell.with_key("/students")
    return [
        Practice(
            "A program reads the published articles with an API key, a thousand times an hour.",
            200,
            f"{shell.key('mirror')}; {read}",
        ),
        Practice("The same kind of key reads nothing else.", 403, f"{shell.key('curious')}; {refused}"),
        Practice(
            "A program with a client of its own gets a token for fifteen minutes, and reads the same.",
            200,
            f'{shell.client_token("board")}; {shell.answer("/articles?limit=3", None)} -H "Authorization: Bearer $token"',
        ),
        Practice("Everybody may ask what is left, and what it costs.", 200, shell.answer("/limits", "student-17")),
    ]


def bounds(shell: Shell) -> list[Practice]:
    """How much, how often, and what each answer carries."""
    large = shell.answer("/students", "registrar-1", "-H", "Content-Type: application/json", "--data-binary", "@-")
    headers = shell.curl("/nowhere", "student-17", "-D", "-", "-o", "/dev/null", *STATUS)
    loop = shell.curl("/articles?limit=[1-30]", "screen-1", "-o", "/dev/null", *STATUS)
    return [
        Practice("A body of 2 MB is refused before it is read.", 413, f"head -c 2000000 /dev/zero | {large}"),
        Practice("The hardening headers stand on every answer, on errors too.", 404, headers),
        Practice(
            "The screen in the hall has a small plan: twenty answers, then refusals.", 429, f"{loop} | sort | uniq -c"
        ),
    ]


def demo_text(base_url: str, ca_path: Path, data: Path, database: str = "") -> str:
    """The page that is printed before the school is served."""
    shell = Shell(base_url, ca_path, data, database)
    lines = [
        f"The School at {base_url}",
        "",
        "Its certificate comes from a development authority of its own. Each command below trusts it by --cacert;",
        "nothing is installed on this machine. The authority's certificate is",
        f"  {ca_path}",
        "",
        f"To read and try it in a browser: {base_url}/docs; sign in there with what this prints:",
        f"  {shlex.join([str(program()), 'token', 'teacher-17', '--dev', '--data', str(data)])}",
        "",
        "Paste any of these into another terminal. Tokens are made as the command runs. Ctrl-C here stops the server.",
    ]
    if database:
        lines.append("If the database asks for a password, PGPASSWORD or PGPASSFILE has to be exported there, too.")
    for practice in practices(shell):
        lines += ["", f"# {practice.status}: {practice.shows}", practice.command]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C; the exit code."""
    parser = argparse.ArgumentParser(prog="demo.py", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data"), help="directory of the database and the keys")
    parser.add_argument("--port", type=int, default=8443)
    parser.add_argument(
        "--database", default="", help="an empty PostgreSQL database; without it SQLite in the directory"
    )
    given = parser.parse_args(arguments)
    data = given.data.resolve()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, leave)
    place = ["--dev", "--data", str(data), "--port", str(given.port)]
    if given.database:
        os.environ["VALLUM_DATABASE"] = given.database
    try:
        if not (data / (MARKER if given.database else DATABASE)).exists():
            print(f"Filling a school in {data}", flush=True)
            code = run(["db", "create", "--seed", *place])
            if code:
                return code
        text = demo_text(f"https://localhost:{given.port}", data / CERTIFICATE, data, given.database)
        return run(["serve", *place], preface=text)
    except KeyboardInterrupt:
        return 130


def leave(*_: object) -> None:
    """Whatever signal it is, what runs here is stopped in order."""
    raise KeyboardInterrupt


def run(arguments: Sequence[str], preface: str = "") -> int:
    """Run a command of Vallum to its end, or until somebody stops this; its exit code.

    Args:
        preface: printed as soon as the command says something, which a server does when it answers.
    """
    # In a session of its own: a signal of the terminal comes here alone, and the command is stopped once, in order.
    with subprocess.Popen(  # noqa: S603  # our own program, without a shell
        [program(), *arguments], cwd=HOME, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as command:
        try:
            for line in command.stdout or ():
                print(preface + line, end="", flush=True)
                preface = ""
            return command.wait()
        except KeyboardInterrupt:
            command.send_signal(signal.SIGINT)
            return command.wait()


if __name__ == "__main__":
    sys.exit(main())
