"""What SQLite says about a broken constraint, read into a Violation."""

from __future__ import annotations

import sqlite3

import pytest
from tests.unit.store.sqlite_support import run

from vallum.store.ports import Violation
from vallum.store.sqlite import SqliteFile
from vallum.store.sqlite_connection import violation

TABLES = (
    "CREATE TABLE p (id INTEGER PRIMARY KEY)",
    """CREATE TABLE t (a, b, c NOT NULL DEFAULT 0, low TEXT, n INTEGER, p REFERENCES p (id),
                       UNIQUE (a, b), CONSTRAINT n_small CHECK (n < 10), CHECK (n != 5))""",
    "CREATE UNIQUE INDEX t_low ON t (lower(low))",
    "CREATE TABLE w (x TEXT, y TEXT, PRIMARY KEY (x, y)) WITHOUT ROWID",
    "CREATE TABLE strict_one (n INTEGER) STRICT",
    "CREATE TRIGGER no_13 BEFORE INSERT ON t WHEN NEW.n = 3 BEGIN SELECT RAISE(ABORT, 'never three'); END",
    "INSERT INTO p VALUES (1)",
    "INSERT INTO t (a, b, low, p) VALUES (1, 2, 'Low', 1)",
    "INSERT INTO w VALUES ('x', 'y')",
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("INSERT INTO t (a, b) VALUES (1, 2)", ("unique", "t", ("a", "b"), None)),
        ("INSERT INTO p VALUES (1)", ("unique", "p", ("id",), None)),
        ("INSERT INTO t (rowid) VALUES (1)", ("unique", "t", ("rowid",), None)),
        ("INSERT INTO w VALUES ('x', 'y')", ("unique", "w", ("x", "y"), None)),
        ("INSERT INTO t (low) VALUES ('LOW')", ("unique", None, (), "t_low")),
        ("INSERT INTO t (c) VALUES (NULL)", ("not_null", "t", ("c",), None)),
        ("INSERT INTO t (p) VALUES (7)", ("foreign", None, (), None)),
        ("DELETE FROM p", ("foreign", None, (), None)),
        ("INSERT INTO t (n) VALUES (10)", ("check", None, (), "n_small")),
        ("INSERT INTO t (n) VALUES (5)", ("check", None, (), "n != 5")),
        ("INSERT INTO t (n) VALUES (3)", ("check", None, (), None)),
        ("INSERT INTO strict_one VALUES ('text')", ("check", None, (), None)),
        ("INSERT INTO p VALUES ('text')", ("check", None, (), None)),
    ],
)
def test_each_constraint_of_sqlite(file: SqliteFile, text: str, expected: tuple[object, ...]) -> None:
    """Kind, table, columns and name as far as SQLite names them."""
    for table in TABLES:
        file.write(run(table))
    with pytest.raises(Violation) as caught:
        file.write(run(text))
    found = caught.value
    assert (found.kind, found.table, found.columns, found.name) == expected


def test_an_error_that_is_not_sqlites_own() -> None:
    """A handler may raise the class itself, without a code: that is a violation of nothing that has a name."""
    found = violation(sqlite3.IntegrityError("UNIQUE constraint failed: secret.value"))
    assert (found.kind, found.table, found.columns, found.name) == ("check", None, (), None)
