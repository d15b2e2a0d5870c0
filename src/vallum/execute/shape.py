"""How rows of a resource look to a caller: the JSON of a row, masked by the rules, inside the SQL.

Every statement of `execute` is built from these pieces, so that lists, items and answers to writes
cannot differ in what they show.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from sqlalchemy import types

from vallum.authorise.rights import Access
from vallum.declare.dialect import DialectName
from vallum.declare.policy import ME_ID
from vallum.declare.resource import Field, Resource
from vallum.store.codec import Member, is_document, json_object, json_value, to_driver
from vallum.store.sql import (
    Param,
    Part,
    Sql,
    all_of,
    cast,
    column_sql,
    expression_sql,
    joined,
    quoted,
    sql,
    table_sql,
)

MASK: Final = "vallum_mask"
KEY: Final = "key_"
"""Values of a row's key, as the driver holds them: `key_0`, `key_1`, …"""


def field_sql(resource: Resource, field: Field, dialect: DialectName) -> Sql:
    """The field's SQL where the table stands under its own name."""
    if field.column is not None:
        return sql(column_sql(field.column, dialect))
    # In brackets: a cast or an operator that is put behind it is meant for all of it.
    value = sql("(", expression_sql(field.expression, resource.table, dialect), ")")
    scale = field.type.scale if isinstance(field.type, types.Numeric) and field.type.asdecimal else None
    # A product has more digits than its type says, a difference of SQLite's doubles has others.
    return value if scale is None else sql("round(", value, f", {scale})")


def key_condition(resource: Resource, dialect: DialectName) -> Sql:
    """`id = ?`, with the request's key values."""
    return all_of(
        sql(field_sql(resource, resource.fields[name], dialect), " = ", key_param(resource, index, dialect))
        for index, name in enumerate(resource.key)
    )


def key_param(resource: Resource, index: int, dialect: DialectName) -> Param:
    """The parameter of one part of the key."""
    return Param(f"{KEY}{index}", None, None, cast(resource.fields[resource.key[index]].type, dialect))


def value_param(field: Field, name: str, dialect: DialectName) -> Param:
    """A request value that is compared with, or written to, a field."""
    return Param(name, to_driver(field, dialect), None, cast(field.type, dialect))


def visible(access: Access) -> Sql:
    """The condition of being seen: some grant holds."""
    return (
        access.grants[0].where
        if len(access.grants) == 1
        else sql(
            "(",
            joined(" OR ", (sql("(", g.where, ")") for g in access.grants)),
            ")",
        )
    )


def ordered(resource: Resource, names: Iterable[str]) -> tuple[str, ...]:
    """Field names in the resource's order."""
    wanted = set(names)
    return tuple(name for name in resource.fields if name in wanted)


def row_json(resource: Resource, names: Sequence[str], dialect: DialectName) -> Sql:
    """The JSON of a row of the table itself, all of whose `names` are certain."""
    pairs = [(name, field_sql(resource, resource.fields[name], dialect)) for name in names]
    return _object(resource, pairs, dialect)


def masked_json(
    resource: Resource,
    access: Access,
    names: Sequence[str],
    alias: str,
    dialect: DialectName,
    chosen: Collection[str] | None = None,
) -> str:
    """The JSON of a row of a subquery that carries the fields as `f0`, `f1`, … and the mask; of `chosen` ones, or of all."""
    members = []
    for index, name in enumerate(names):
        if chosen is not None and name not in chosen:
            continue
        type_ = resource.fields[name].type
        value = json_value(type_, f"{alias}.f{index}", dialect)
        if name not in access.certain:
            value = f"CASE WHEN {shown(access, name, f'{alias}.{MASK}')} THEN {value} END"
        members.append(Member(name, value, is_document(type_)))
    return json_object(members, dialect)


def shown(access: Access, name: str, mask: str) -> str:
    """SQL: whether a row with that mask shows the field."""
    granting = sum(g.bit for g in access.grants if name in g.fields)
    denies = sum(d.bit for d in access.denies if name in d.fields)
    granted = f"({mask} & {granting}) != 0"
    return f"{granted} AND ({mask} & {denies}) = {denies}" if denies else granted


def holds(access: Access, mask: str) -> str:
    """SQL: whether any grant holds on a row with that mask."""
    return f"({mask} & {sum(g.bit for g in access.grants)}) != 0"


def row_select(
    resource: Resource,
    access: Access,
    names: Sequence[str],
    source: Part,
    condition: Part,
    dialect: DialectName,
    extra: Sequence[Part] = (),
) -> Sql:
    """`SELECT json, extra… FROM source WHERE condition`: rows of the table as this caller sees them.

    `source` has the table under its own name. `extra` are further columns (order terms, masks of other accesses).
    """
    if access.plain or all(name in access.certain for name in names):
        columns = [row_json(resource, names, dialect), *extra]
        return sql("SELECT ", joined(", ", columns), " FROM ", source, " WHERE ", condition)
    inner: list[Part] = [
        sql(field_sql(resource, resource.fields[name], dialect), f" AS f{index}") for index, name in enumerate(names)
    ]
    inner.append(sql(access.mask(), f" AS {MASK}"))
    inner += [sql(column, f" AS x{index}") for index, column in enumerate(extra)]
    outer: list[Part] = [
        masked_json(resource, access, names, "vallum_row", dialect),
        *(f"vallum_row.x{index}" for index in range(len(extra))),
    ]
    # OFFSET 0 keeps PostgreSQL from evaluating the mask once a column.
    return sql(
        "SELECT ", joined(", ", outer), " FROM (SELECT ", joined(", ", inner), " FROM ", source, " WHERE ", condition,
        " LIMIT -1) vallum_row" if dialect == "sqlite" else " OFFSET 0) vallum_row",
    )  # fmt: skip


def epoch_sql() -> Sql:
    """The caller's present epoch as text; NULL when it is gone or anonymous."""
    return sql(
        "(SELECT CAST(epoch AS TEXT) FROM vallum_principal WHERE vallum_principal.id = ",
        Param(ME_ID, None, None, "::text"),
        " AND disabled = 0)",
    )


def _object(resource: Resource, pairs: Sequence[tuple[str, Sql]], dialect: DialectName) -> Sql:
    """A JSON object whose values may hold parameters (a column_property with a constant)."""
    marks = {name: f"\x00{index}\x00" for index, (name, _) in enumerate(pairs)}
    kinds = {name: resource.fields[name].type for name, _ in pairs}
    members = [Member(n, json_value(kind, marks[n], dialect), is_document(kind)) for n, kind in kinds.items()]
    text = json_object(members, dialect)
    parts: list[Part] = []
    for index, piece in enumerate(text.split("\x00")):
        parts.append(pairs[int(piece)][1] if index % 2 else piece)
    return sql(*parts)


def table_of(resource: Resource, dialect: DialectName) -> str:
    """The table's name in SQL."""
    return table_sql(resource.table, dialect)


def column_name(field: Field, dialect: DialectName) -> str:
    """The bare name of a field's column.

    Raises:
        TypeError: the field is an expression; nothing writes to one.
    """
    if field.column is None:
        raise TypeError(f"{field.name} is not a column")
    return quoted(field.column.name, dialect)
