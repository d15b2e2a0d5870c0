"""How a database would run a statement: which tables it walks from end to end, and whether it sorts what it finds.

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
        walks: names of the tables that are read from end to end; partitions by the table that they are part of.
        sorts: rows are put in order after they were found.
    """

    walks: frozenset[str]
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

_SCAN: Final = re.compile(r"SCAN (?:TABLE )?(\S+)")
_ALIAS: Final = re.compile(r"_\d+$")
"""What SQLAlchemy puts behind the name of a table to make an alias."""
_PART: Final = re.compile(r"USE TEMP B-TREE FOR (?:RIGHT|LAST)")


def _sqlite(prepared: Prepared) -> Script[Explained]:
    rows = yield Statement(f"EXPLAIN QUERY PLAN {prepared.text}", [None] * len(prepared.params))
    details = [str(row[3]) for row in rows]
    scanned = {match[1] for detail in details if (match := _SCAN.match(detail))}
    sorts = any(detail.startswith("USE TEMP B-TREE FOR") and not _PART.match(detail) for detail in details)
    return Explained(frozenset(scanned | {_ALIAS.sub("", name) for name in scanned}), sorts)


# PostgreSQL ------------------------------------------------------------------------------------

_PARTITIONS: Final = Statement(
    "SELECT c.relname::text, r.relname::text FROM pg_class c JOIN pg_class r ON r.oid = pg_partition_root(c.oid)"
    " WHERE c.relispartition AND c.relkind IN ('r', 'p')",
    (),
)
_NAME: Final = "vallum_explained"


def _postgresql(prepared: Prepared) -> Script[Explained]:
    roots = dict((yield _PARTITIONS))
    arguments = ", ".join(["NULL"] * len(prepared.params))
    yield Statement(f"PREPARE {_NAME} AS {prepared.text}", ())
    call = f"{_NAME}({arguments})" if arguments else _NAME
    ((plan,),) = yield Statement(f"EXPLAIN (FORMAT JSON) EXECUTE {call}", ())
    yield Statement(f"DEALLOCATE {_NAME}", ())
    nodes = list(_nodes(plan[0]["Plan"]))
    walks = {str(node["Relation Name"]) for node in nodes if _walks(node)}
    return Explained(
        frozenset(str(roots.get(name, name)) for name in walks), any(node["Node Type"] == "Sort" for node in nodes)
    )


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def _walks(node: Mapping[str, Any]) -> bool:
    if "Relation Name" not in node or node["Node Type"] in {"Bitmap Heap Scan", "Tid Scan", "ModifyTable"}:
        return False
    return "Index Cond" not in node
