"""Tracebacks and library logs without data."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import create_engine, text

from vallum.serve.logs import Formatter, Handler, safe_traceback

SECRET = "hunter2-5e7d"


class Thing(BaseModel):
    number: int


def caught(work: Callable[[], object]) -> BaseException:
    try:
        work()
    except BaseException as error:  # noqa: BLE001  # whatever it is, it is the sample
        return error
    raise AssertionError("nothing was raised")


def chained() -> None:
    try:
        int(SECRET)
    except ValueError as error:
        raise RuntimeError(SECRET) from error


def grouped() -> None:
    raise ExceptionGroup(SECRET, [ValueError(SECRET), KeyError(SECRET)])


def with_parameters() -> None:
    with create_engine("sqlite://").connect() as connection:
        connection.execute(text("SELECT word FROM nowhere WHERE word = :word"), {"word": SECRET})


def noted() -> None:
    error = ValueError(SECRET)
    error.add_note(SECRET)
    raise error


@pytest.mark.parametrize(
    ("work", "names"),
    [
        (chained, ["builtins.RuntimeError", "builtins.ValueError"]),
        (grouped, ["builtins.ExceptionGroup", "builtins.KeyError"]),
        (with_parameters, ["sqlalchemy.exc.OperationalError", "sqlite3.OperationalError: no such table\n"]),
        (lambda: Thing(number=SECRET), ["ValidationError"]),  # type: ignore[arg-type]  # that is the point
        (noted, ["builtins.ValueError"]),
    ],
    ids=["chain", "group", "sql", "pydantic", "note"],
)
def test_no_value_gets_into_a_traceback(work: Callable[[], object], names: list[str]) -> None:
    """Types and places of the whole chain, and no message that could repeat data."""
    shown = safe_traceback(caught(work))
    assert SECRET not in shown
    assert all(name in shown for name in names), shown
    assert "test_logs.py" in shown


@pytest.mark.parametrize("work", [with_parameters, lambda: Thing(number=SECRET)], ids=["sql", "pydantic"])  # type: ignore[arg-type]
def test_parameters_and_input_are_not_on_a_screen_either(work: Callable[[], object]) -> None:
    """These messages are made of data."""
    assert SECRET not in safe_traceback(caught(work), messages=True)


def test_sqlite_says_what_sort_of_error_it_is() -> None:
    """Without the piece of SQL that it points at: a careless handler writes data into SQL."""
    error = sqlite3.OperationalError(f'near "{SECRET}": syntax error')
    assert safe_traceback(error) == "sqlite3.OperationalError: near"
    assert SECRET not in safe_traceback(sqlite3.OperationalError(f"no such column: {SECRET}"))


def test_the_cause_stands_before_its_consequence() -> None:
    """As Python prints it; a chain that runs in a circle ends."""
    shown = safe_traceback(caught(chained))
    assert shown.index("ValueError") < shown.index("RuntimeError")
    one, other = ValueError(), KeyError()
    one.__context__, other.__context__ = other, one
    assert safe_traceback(one).count("builtins.") == 2


def test_a_suppressed_context_is_left_out() -> None:
    """`raise … from None`."""

    def suppressing() -> None:
        try:
            int("x")
        except ValueError:
            raise RuntimeError from None

    assert "ValueError" not in safe_traceback(caught(suppressing))


def record(name: str, message: str, *arguments: object, error: BaseException | None = None) -> logging.LogRecord:
    info = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord(name, logging.ERROR, __file__, 1, message, arguments, info)


def test_what_libraries_log_is_written_with_safe_tracebacks() -> None:
    """The text, the logger and the frames."""
    written: list[tuple[str, str, dict[str, Any]]] = []
    handler = Handler(lambda *entry: written.append(entry))
    handler.emit(record("library", "it is %s", "broken", error=caught(chained)))
    ((level, event, fields),) = written
    assert (level, event, fields["logger"]) == ("error", "it is broken", "library")
    assert SECRET not in fields["exception"]


def test_asyncio_shows_objects_below_its_first_line() -> None:
    """Representations of tasks hold arguments and exceptions."""
    written: list[str] = []
    Handler(lambda _, event, __: written.append(event)).emit(record("asyncio", f"never retrieved\nfuture: {SECRET}"))
    assert written == ["never retrieved"]


def test_a_log_line_that_cannot_be_made_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """The standard library would print its arguments."""
    handler = Handler(lambda *_: None)
    handler.emit(record("library", "%d", SECRET))
    assert handler.failed == 1
    assert capsys.readouterr() == ("", "")


def test_the_process_above_writes_the_same_form() -> None:
    """One JSON object a line, or a line for people."""
    entry = json.loads(Formatter().format(record("_granian", "Unexpected exit from worker-%d", 1)))
    assert (entry["event"], entry["level"], entry["logger"]) == ("Unexpected exit from worker-1", "error", "_granian")
    assert entry["time"].endswith("Z")
    assert Formatter(pretty=True).format(record("_granian", "gone")).endswith(" [error] gone")
