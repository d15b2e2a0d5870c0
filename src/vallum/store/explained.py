"""How a database would run a statement: whether it walks a table from end to end, and whether it sorts what it finds.

Nothing is run. PostgreSQL is asked for a plan that does not depend on values, and told to do without whatever competes
with an index: what it walks even then, no index serves. So an empty table is judged like a full one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, final

from vallum.declare.dialect import DialectName
from vallum.store.ports import Script, Statement
from vallum.store.sql import Prepared


@final
class Explained(NamedTuple):
    """A plan.

    Attributes:
        walks: a table is read from end to end.
        sorts: rows are put in order after they were found.
    """

    walks: bool
    sorts: bool


def prepare(dialect: DialectName) -> Script[None]:
    """Before the first of them, in the same transaction."""
    if dialect == "postgresql":
        for setting in ("seqscan", "hashjoin", "mergejoin", "indexonlyscan", "material", "sort"):
            yield Statement(f"SET LOCAL enable_{setting} = off", ())
        yield Statement("SET LOCAL plan_cache_mode = force_generic_plan", ())


def explain(prepared: Prepared, dialect: DialectName) -> Script[Explained]:
    """The plan of a SELECT."""
    return (yield from (_sqlite(prepared) if dialect == "sqlite" else _postgresql(prepared)))


# SQLite ----------------------------------------------------------------------------------------

_PART: Final = re.compile(r"USE TEMP B-TREE FOR (?:RIGHT|LAST)")
"""Only what an index has left in disorder, among equal values of its own."""


def _sqlite(prepared: Prepared) -> Script[Explained]:
    rows = yield Statement(f"EXPLAIN QUERY PLAN {prepared.text}", [None] * len(prepared.params))
    details = [str(row[3]) for row in rows]
    sorts = any(detail.startswith("USE TEMP B-TREE FOR") and not _PART.match(detail) for detail in details)
    return Explained(any(detail.startswith("SCAN ") for detail in details), sorts)


# PostgreSQL ------------------------------------------------------------------------------------

_NAME: Final = "vallum_explained"
_FIRST: Final = """
    SELECT n.nspname::text, x.relname::text, a.attname::text FROM pg_class x JOIN pg_namespace n ON n.oid = x.relnamespace
    JOIN pg_index i ON i.indexrelid = x.oid
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] WHERE x.relname = ANY($1::text[])
"""


def _postgresql(prepared: Prepared) -> Script[Explained]:
    yield Statement(f"PREPARE {_NAME} AS {prepared.text}", ())
    arguments = ", ".join(["NULL"] * len(prepared.params))
    call = f"{_NAME}({arguments})" if arguments else _NAME
    # Without VERBOSE it tells of no schema.
    ((plan,),) = yield Statement(f"EXPLAIN (FORMAT JSON, VERBOSE) EXECUTE {call}", ())
    yield Statement(f"DEALLOCATE {_NAME}", ())
    nodes = list(_nodes(plan[0]["Plan"], ""))
    used = [
        (schema, str(node["Index Name"]), condition)
        for schema, node in nodes
        if "Index Name" in node and (condition := str(node.get("Index Cond", "")))
    ]
    rows = yield Statement(_FIRST, ([name for _, name, _ in used],))
    firsts = {(schema, name): column for schema, name, column in rows}
    whole = any((c := firsts.get((schema, name))) and not _names(c, condition) for schema, name, condition in used)
    walks = whole or any(_walks(node) for _, node in nodes)
    return Explained(walks, any(node["Node Type"] == "Sort" for _, node in nodes))


def _names(column: str, condition: str) -> bool:
    """An index whose first column is not asked for is read as a whole (or skipped through, from PostgreSQL 18 on)."""
    return re.search(rf'(?<![\w"])"?{re.escape(column)}"?(?![\w".])', condition) is not None


def _nodes(node: Mapping[str, Any], schema: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each with the schema of its table; an index below a bitmap names none, and has that of the bitmap."""
    schema = str(node.get("Schema", schema))
    yield schema, node
    for child in node.get("Plans", ()):
        yield from _nodes(child, schema)


def _walks(node: Mapping[str, Any]) -> bool:
    """Of a bitmap it is the index below that has the condition."""
    return "Relation Name" in node and node["Node Type"] != "Bitmap Heap Scan" and "Index Cond" not in node
