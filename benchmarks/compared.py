"""Before anything is measured: the servers answer the same, and refuse what Vallum refuses."""

from __future__ import annotations

from typing import Any, Final

from benchmarks.filled import ITEM, LIST
from benchmarks.servers import Server

PAGE: Final = 10
HARDENING: Final = (
    "strict-transport-security", "x-content-type-options", "x-frame-options", "content-security-policy", "referrer-policy",
)  # fmt: skip


def page(server: Server, token: str | None) -> list[Any]:
    """The rows of the first page.

    Raises:
        SystemExit: there are not ten.
    """
    answer = server.ask(LIST, token)
    if answer.status != 200:
        raise SystemExit(f"{server.origin} answers {LIST} with {answer.status}: {answer.body[:300]!r}")
    rows: list[Any] = answer.json["items"]
    if len(rows) != PAGE:
        raise SystemExit(f"{server.origin} answers with {len(rows)} rows instead of {PAGE}.")
    return rows


def same_rows(ours: Server, token: str, theirs: Server, their_token: str | None) -> None:
    """Both answer the same ten rows.

    Raises:
        SystemExit: they do not.
    """
    if page(ours, token) != page(theirs, their_token):
        raise SystemExit(f"{theirs.origin} does not answer with the rows of Vallum.")


def same_item(ours: Server, token: str, bare: Server) -> None:
    """What Vallum answers to the item is the bare handler's one row.

    Raises:
        SystemExit: it is not.
    """
    if [ours.ask(ITEM, token).json] != bare.ask(ITEM).json["items"]:
        raise SystemExit(f"{bare.origin} does not answer with the item of Vallum.")


def pages(server: Server, token: str, second: str) -> None:
    """Two pages of five are the page of ten.

    Args:
        second: the query of the second page, where `{last}` is the number of the first page's last row.

    Raises:
        SystemExit: they are not.
    """
    first = server.ask(f"{LIST}?limit={PAGE // 2}", token).json["items"]
    query = second.format(limit=PAGE // 2, last=first[-1]["id"])
    if first + server.ask(f"{LIST}?{query}", token).json["items"] != page(server, token):
        raise SystemExit(f"{server.origin} does not page.")


def refuses_strangers(server: Server, token: str) -> None:
    """Neither without a token nor with a forged one.

    Raises:
        SystemExit: it answers.
    """
    header, claims, signature = token.split(".")
    forged = ".".join([header, claims, signature[::-1]])
    for given in (None, forged):
        status = server.ask(LIST, given).status
        if status != 401:
            raise SystemExit(
                f"{server.origin} answers {status} instead of 401 to who shows {given and 'a forged token'}."
            )


def is_hardened(server: Server, token: str) -> None:
    """Every security header is there.

    Raises:
        SystemExit: one is missing.
    """
    headers = server.ask(LIST, token).headers
    missing = [name for name in HARDENING if name not in headers]
    if missing:
        raise SystemExit(f"{server.origin} does not send {', '.join(missing)}.")


def refuses_more(server: Server, token: str, limit: int) -> None:
    """The first requests are answered, the one past the limit is not.

    Raises:
        SystemExit: another answer.
    """
    statuses = [server.ask(LIST, token).status for _ in range(limit + 1)]
    if statuses != [200] * limit + [429]:
        raise SystemExit(f"{server.origin}, with a limit of {limit}, answers {statuses}.")
