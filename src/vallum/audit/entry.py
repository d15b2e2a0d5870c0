"""The one spelling of an entry: what is hashed, and what an export holds, byte by byte.

A line is a JSON object without spaces, with these members in this order, in UTF-8. Who hashes the lines of an export
needs no JSON library that spells numbers as ours does.
"""

from __future__ import annotations

from collections.abc import Sequence
from json.encoder import encode_basestring as quoted
from typing import Any, Final

from vallum.store.ports import Row
from vallum.store.sql import Param, each_dialect, joined, sql

# All columns of the table: what is not hashed can be changed. One that is added later must not change the lines of
# entries that were sealed without it: spell it only where it is not NULL, behind the others.
COLUMNS: Final = (
    "id",
    "at",
    "request_id",
    "principal",
    "verb",
    "resource",
    "row_key",
    "fields",
    "before",
    "after",
    "note",
    "api_key",
)
_LINE: Final = '{"type":"entry",' + ",".join(f'"{column}":%s' for column in COLUMNS) + "}"
_START: Final = b'{"type":"entry","id":%d,'

SELECT: Final = sql("SELECT ", joined(", ", COLUMNS), " FROM vallum_audit")
BETWEEN: Final = each_dialect(
    *(SELECT, " WHERE id > ", Param("after"), " AND id <= ", Param("highest")),
    *(" ORDER BY id LIMIT ", Param("limit")),
)
"""The entries of `after` < id <= `highest`, in their order, at most `limit` of them."""


def line(row: Row) -> bytes:
    """The spelling of a row of the table: four times as fast as `json`, which builds an encoder for each object."""
    return (_LINE % tuple(map(_spelled, row))).encode("utf-8", "surrogatepass")


def renumbered(text: bytes, present: int, other: int) -> bytes:
    """The line of an entry as it would be under another id."""
    return text.replace(_START % present, _START % other, 1)


def file_of(lines: Sequence[bytes]) -> bytes:
    """Lines as they stand in a file."""
    return b"".join([text + b"\n" for text in lines])


def _spelled(value: Any) -> str:
    if value is None:
        return "null"
    if type(value) is str:
        return quoted(value)
    if type(value) is int or type(value) is float:
        return repr(value)
    # Nothing that this program writes: somebody put it there, and it is no JSON, so that it equals nothing we wrote.
    return f"<{type(value).__name__} {value!r}>"
