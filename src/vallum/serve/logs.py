"""What other libraries log, and tracebacks, without the data of a request.

A message may hold anything that its author put in: a value that would not parse, SQL with its parameters. So a
traceback shows files, lines and the types of the exceptions, and messages only where they cannot hold such data.
"""

from __future__ import annotations

import json
import logging
import re
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final, final

from vallum.errors import OperatorError

MUTE_MODULES: Final = frozenset({"pydantic_core._pydantic_core", "sqlalchemy.exc"})
"""Errors whose message repeats the input or the parameters: not shown on a screen either."""
MESSAGE_CHARACTERS: Final = 500
CAUSES: Final = 8
"""Exceptions of one chain that are shown."""


def safe_traceback(error: BaseException, *, messages: bool = False) -> str:
    """The frames of an exception and of what caused it, the last one last.

    Args:
        messages: show the messages of other exceptions too: on a developer's screen.
    """
    parts = ["".join(_one(each, messages=messages)) for each in _chain(error)]
    return "\nThen:\n".join(reversed(parts)).rstrip("\n")


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen and len(seen) < CAUSES:
        seen.add(id(following))
        yield following
        context = None if following.__suppress_context__ else following.__context__
        following = following.__cause__ or context


def _one(error: BaseException, *, messages: bool) -> Iterator[str]:
    yield from traceback.format_tb(error.__traceback__)
    text = _message(error, messages=messages)[:MESSAGE_CHARACTERS]
    kind = type(error)
    yield f"{kind.__module__}.{kind.__qualname__}{': ' + text if text else ''}\n"
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions[:CAUSES]:
            yield f"  of which:\n{safe_traceback(member, messages=messages)}\n"


def _message(error: BaseException, *, messages: bool) -> str:
    module = type(error).__module__
    if isinstance(error, OperatorError) or (messages and module not in MUTE_MODULES):
        return str(error)
    if module == "sqlite3":  # the sort of the error, without the piece of SQL that it points at
        return re.split(r'[":]', str(error), maxsplit=1)[0].strip()
    return ""


@final
class Handler(logging.Handler):
    """Takes what is logged with the standard library; `write` is `Journal.record`."""

    def __init__(self, write: Callable[[str, str, dict[str, Any]], None], *, messages: bool = False) -> None:
        super().__init__()
        self._write = write
        self._messages = messages
        self.failed = 0

    def emit(self, record: logging.LogRecord) -> None:
        """One record."""
        try:
            self._write(record.levelname.lower(), *_entry(record, messages=self._messages))
        except Exception:  # noqa: BLE001  # a log line must not fail what it reports
            self.failed += 1  # `handleError` would print the arguments


@final
class Formatter(logging.Formatter):
    """One JSON object a line, or a line for people: for the process that only watches over the workers."""

    def __init__(self, *, pretty: bool = False, **_: Any) -> None:
        super().__init__()
        self._pretty = pretty

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        event, fields = _entry(record, messages=False)
        time = datetime.fromtimestamp(record.created, UTC)
        if self._pretty:
            return f"{time:%H:%M:%S} [{record.levelname.lower()}] {event}"
        stamp = time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return json.dumps({"event": event, "time": stamp, "level": record.levelname.lower(), **fields})


def _entry(record: logging.LogRecord, *, messages: bool) -> tuple[str, dict[str, Any]]:
    fields: dict[str, Any] = {"logger": record.name}
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        fields["exception"] = safe_traceback(error, messages=messages)
    text = record.getMessage()
    if record.name == "asyncio":
        text = text.partition("\n")[0]  # its further lines are representations of objects: arguments, exceptions
    return text[:MESSAGE_CHARACTERS], fields
