"""The SQL functions: their results, and that every connection has them."""

from __future__ import annotations

import base64
import json
import sqlite3
import struct
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vallum.store.ports import Script, Statement, WithSession
from vallum.store.sqlite import SqliteDatabase
from vallum.store.sqlite_connection import Use, connect
from vallum.store.sqlite_functions import (
    add_functions,
    base64_text,
    document_text,
    duration_text,
    float_text,
    uuid_text,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        # PostgreSQL 18.4: SELECT to_json(x) FROM unnest(ARRAY[…]::float8[]) x
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (-2.5, "-2.5"),
        (100000.0, "100000"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1 / 3, "0.3333333333333333"),
        (0.0001, "0.0001"),
        (1e-05, "1e-05"),
        (1.5e-07, "1.5e-07"),
        (999999999999999.0, "999999999999999"),
        (1e15, "1e+15"),
        (-1.5e15, "-1.5e+15"),
        (1234567890123456.5, "1.2345678901234565e+15"),
        (9007199254740992.0, "9.007199254740992e+15"),
        (1e16, "1e+16"),
        (1e100, "1e+100"),
        (1e23, "9.999999999999999e+22"),
        (-1e23, "-9.999999999999999e+22"),
        (2e23, "1.9999999999999998e+23"),
        (3e22, "3e+22"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
    ],
)
def test_a_double_is_written_as_postgresql_writes_it(value: float, text: str) -> None:
    """The same bytes on both stores, at each edge of the format."""
    assert float_text(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_double_reads_back_exactly(value: float) -> None:
    """Every finite double is a JSON number that means the same bits, a minus before zero aside."""
    text = float_text(value)
    assert text is not None
    json.loads(text)
    assert struct.pack("<d", float(text)) == struct.pack("<d", value + 0)


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan"), None])
def test_what_is_no_number_becomes_null(value: float | None) -> None:
    """JSON has neither infinity nor NaN."""
    assert float_text(value) is None


def test_an_integer_in_a_float_column_stays_one() -> None:
    """SQLite may keep an integer where a float was declared; its digits are all kept."""
    assert float_text(9007199254740993) == "9007199254740993"


@given(st.binary(max_size=100))
def test_base64_reads_back(value: bytes) -> None:
    """Standard alphabet with padding, on one line."""
    text = base64_text(value)
    assert text is not None
    assert "\n" not in text
    assert base64.b64decode(text, validate=True) == value


@given(st.uuids())
def test_a_uuid_has_its_hyphens(value: uuid.UUID) -> None:
    """From the 32 digits that SQLAlchemy stores."""
    assert uuid_text(value.hex) == str(value)


@pytest.mark.parametrize(
    ("kept", "text"),
    [
        # PostgreSQL 18.4, intervalstyle iso_8601: justify_hours(x), the sign in front
        ("1970-01-01 00:00:00.000000", "PT0S"),
        ("1970-01-02 02:03:04.500000", "P1DT2H3M4.5S"),
        ("1970-01-01 00:00:00.000001", "PT0.000001S"),
        ("1969-12-31 23:59:59.999999", "-PT0.000001S"),
        ("1969-12-30 00:00:00.000000", "-P2D"),
        ("1970-01-01 01:00:00.000000", "PT1H"),
        ("0001-01-01 00:00:00.000000", "-P719162D"),
    ],
)
def test_a_span_is_written_as_postgresql_writes_it(kept: str, text: str) -> None:
    """From the instant as which SQLAlchemy stores it."""
    assert duration_text(kept) == text


@pytest.mark.parametrize(
    ("kept", "text"),
    [
        # PostgreSQL 18.4: SELECT x::jsonb::text
        ('{"b":1,"a":[true,null],"aa":"\\u00e9"}', '{"a": [true, null], "b": 1, "aa": "é"}'),
        ("{}", "{}"),
        ('{"a":1,"a":2}', '{"a": 2}'),
        ("1.50", "1.50"),
        ("1e2", "100"),
        ("1E-7", "0.0000001"),
        ("-0.0", "0.0"),
        (5, "5"),
        (1.5, "1.5"),
        ("9007199254740993", "9007199254740993"),
        ('"\\u0001/\\u007f"', '"\\u0001/\x7f"'),
    ],
)
def test_a_document_is_written_as_postgresql_writes_it(kept: str | float, text: str) -> None:
    """However it was stored: a number as the affinity of its column left it."""
    assert document_text(kept) == text


@pytest.mark.parametrize(
    ("kept", "text"),
    [
        ('{"a":"\\ud83d"}', '{"a": "\ufffd"}'),
        ('"\\uDE00\\ud83D\\uDe00\\ud83d"', '"\ufffd\U0001f600\ufffd"'),
        (r'"\\ud83d \\\ud83d"', '"\\\\ud83d \\\\\ufffd"'),
        ('{"\\ud83d":1}', '{"\ufffd": 1}'),
        ('[NaN,Infinity,-Infinity,"\\u0000"]', '[null, null, null, "\\u0000"]'),
        ("[1e999999999,-1e-999999999]", "[null, null]"),
        pytest.param(f"[{'9' * 5_000}, -1]", f"[{'9' * 5_000}, -1]", id="more digits than int takes"),
        pytest.param(f"[-{'9' * 20_000}]", "[null]", id="more than numeric has room for"),
        ("no json", None),
        ("", None),
        ("[" * 100_000, None),
        pytest.param("1" * 5_000, "1" * 5_000, id="a whole document of digits"),
    ],
)
def test_a_document_that_cannot_be_shown_as_it_is(kept: str, text: str | None) -> None:
    """Another program stored it: in part, or all of it, it is shown as something else, and no list fails by it."""
    shown = document_text(kept)
    assert shown == text
    assert shown is None or shown.encode()


def test_null_stays_null() -> None:
    """A column without a value gives null and no error."""
    connection = sqlite3.connect(":memory:")
    add_functions(connection)
    row = connection.execute("SELECT vallum_b64(NULL), vallum_float(NULL), vallum_uuid(NULL)").fetchone()
    connection.close()
    assert row == (None, None, None)


ALL = "SELECT vallum_b64(x'00ff'), vallum_float(1e0), vallum_uuid('00000000000000000000000000000001'), 'ab' REGEXP '^a'"
EXPECTED = ("AP8=", "1", "00000000-0000-0000-0000-000000000001", 1)


@pytest.mark.parametrize("use", ["read", "write", "command"])
def test_every_connection_has_them(path: Path, use: Use) -> None:
    """Also the ones that SQLAlchemy's expressions need: a rule means the same wherever it runs."""
    connection = connect(path, use, busy_seconds=1.0)
    row = connection.execute(ALL).fetchone()
    connection.close()
    assert row == EXPECTED


async def test_inline_in_a_thread_in_a_script_and_in_a_session(database: SqliteDatabase) -> None:
    """The four places where SQL runs."""

    def script() -> Script[tuple[Any, Any]]:
        rows = yield Statement(ALL, ())
        row = yield WithSession(lambda session: tuple(session.connection().exec_driver_sql(ALL).one()))
        return rows[0], row

    inline = await database.read(Statement(ALL, ()))
    database._reader._slow[ALL] = 0
    in_thread = await database.read(Statement(ALL, ()))
    assert [inline[0], in_thread[0], *await database.write(script)] == [EXPECTED] * 4


def test_the_schema_cannot_call_them(path: Path) -> None:
    """A trigger or view in a file from elsewhere runs no function of the program (trusted_schema)."""
    connection = connect(path, "write", busy_seconds=1.0)
    connection.execute("CREATE VIEW v AS SELECT vallum_b64(x'00')")
    with pytest.raises(sqlite3.OperationalError, match="unsafe use"):
        connection.execute("SELECT * FROM v")
    connection.close()
