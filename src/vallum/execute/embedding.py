"""Rows with what they are related to, inside the same statement: subqueries that compare with the row around them.

Each level shows of a resource what its own list would show to this caller, under the resource's own rules; the fields
that relate two rows are conditions like filters, so a hidden one matches nothing. A row that others are related to
stands in a subquery of its own under a name of ours (`vallum_r0`): rules keep their tables' names, and the same table
may come again further in.

Where an included page goes on is sealed later, outside SQL. Until then the place is marked by control characters, which
no JSON text holds:

    RECORD number of the relation UNIT key of the row around it UNIT order terms of the page's last row RECORD
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple, final

from vallum import defaults
from vallum.authorise.inclusions import Included
from vallum.authorise.rights import Access
from vallum.declare.dialect import DialectName
from vallum.declare.resource import Resource
from vallum.declare.width import may_exceed_page, measured
from vallum.execute.filters import matching
from vallum.execute.order import order_by, segments, terms_of
from vallum.execute.shape import MASK, field_sql, masked_json, ordered, shown, table_of
from vallum.store.codec import json_value
from vallum.store.ports import WIDE
from vallum.store.sql import Part, Sql, all_of, any_of, joined, sql

RECORD: Final = "\x1e"
UNIT: Final = "\x1f"
ONE_MORE: Final = defaults.INCLUDE_LIMIT + 1
"""Rows that are looked for, to know whether the page goes on."""


@final
class View(NamedTuple):
    """What is shown of rows.

    Attributes:
        number: of the relation that leads to them; 0 for the rows of the answer itself.
        most: SQL, how many of these rows the answer may have.
        extra: further columns.
        after: whether the one included page goes on behind a cursor.
    """

    resource: Resource
    access: Access
    names: Sequence[str]
    included: Sequence[Included]
    number: int
    dialect: DialectName
    most: Part
    extra: Sequence[Part] = ()
    after: bool = False

    @property
    def alias(self) -> str:
        """The rows' name, for what is related to them."""
        return f"vallum_r{self.number}"


def select_rows(view: View, source: Part, condition: Part, limit: Part | None = None) -> Sql:
    """`SELECT json AS j, extra AS x0, …`: rows of `source`, which has the table under its own name."""
    outer: list[Part] = [sql(_json(view), " AS j"), *(f"{view.alias}.x{i} AS x{i}" for i in range(len(view.extra)))]
    return sql(
        "SELECT ", joined(", ", outer), " FROM (", _select_fields(view, source, condition, limit), f") {view.alias}"
    )


def select_apart(view: View, chosen: Collection[str], source: Part, condition: Part) -> Sql:
    """`SELECT own, x0, chosen, included`: the JSON of a row of its own members, of some of them, and the text of what is
    included, as it stands behind either, a comma in front.
    """
    columns: list[Part] = [_own(view), f"{view.alias}.x0", _own(view, chosen), sql("''", _members(view))]
    return sql(
        "SELECT ", joined(", ", columns), " FROM (", _select_fields(view, source, condition, None), f") {view.alias}"
    )


def _select_fields(view: View, source: Part, condition: Part, limit: Part | None) -> Sql:
    """`SELECT f0, …, c0, …, mask, x0, …`: what the JSON of these rows is made of."""
    resource, access, dialect = view.resource, view.access, view.dialect
    compared = _compared(view)
    columns: list[Part] = [
        sql(field_sql(resource, resource.fields[name], dialect), f" AS f{i}") for i, name in enumerate(view.names)
    ]
    columns += [sql(field_sql(resource, resource.fields[n], dialect), f" AS c{i}") for i, n in enumerate(compared)]
    if not access.certain.issuperset((*view.names, *compared)):
        columns.append(sql(access.mask(), f" AS {MASK}"))
    columns += [sql(column, f" AS x{i}") for i, column in enumerate(view.extra)]
    end = sql(" LIMIT -1" if dialect == "sqlite" else " OFFSET 0") if limit is None else sql(" LIMIT ", limit)
    return sql("SELECT ", joined(", ", columns), " FROM ", source, " WHERE ", condition, end)


def _compared(view: View) -> tuple[str, ...]:
    """Fields of these rows that what is included in them needs."""
    return ordered(view.resource, {name for each in view.included for name in _needed(each)})


def _needed(each: Included) -> tuple[str, ...]:
    relation = each.inclusion.relation
    return (*relation.near, *each.owner.key) if relation.many else relation.near


def _json(view: View) -> Sql:
    """The row's own members, then what is included."""
    own = _own(view)
    if not view.included:
        return sql(own)
    # PostgreSQL writes a subquery into each place that names it.
    opened = "left(vallum_o.j, -1)" if view.dialect == "postgresql" else "substr(vallum_o.j, 1, length(vallum_o.j) - 1)"
    return sql(f"(SELECT {opened} FROM (SELECT {own} AS j) vallum_o)", _members(view), " || '}'")


def _own(view: View, chosen: Collection[str] | None = None) -> str:
    return masked_json(view.resource, view.access, view.names, view.alias, view.dialect, chosen)


def _members(view: View) -> Sql:
    """` || ` in front of each member that is included."""
    parts: list[Part] = []
    for index, each in enumerate(view.included):
        comma = "," if index or view.names else ""
        wide = f" /* {WIDE} */" if _is_wide(each) else ""
        parts += [f" || '{comma}\"{each.inclusion.relation.name}\":'{wide} || ", _member(view, each)]
    return sql(*parts)


def _member(view: View, each: Included) -> Sql:
    """What is included under one name; null where the row does not show by what it is related."""
    found = _page(view, each) if each.inclusion.relation.many else _one(view, each)
    hidden = [name for name in dict.fromkeys(_needed(each)) if name not in view.access.certain]
    if hidden:
        visible = " AND ".join(f"({shown(view.access, name, f'{view.alias}.{MASK}')})" for name in hidden)
        return sql(f"CASE WHEN {visible} THEN ", found, " ELSE 'null' END")
    return found


def _inner(view: View, each: Included, extra: Sequence[Part] = ()) -> View:
    followed = each.inclusion
    shown_fields, dialect = followed.access.shown, view.dialect
    most = sql(view.most, f" * {defaults.INCLUDE_LIMIT}") if followed.relation.many else view.most
    return View(followed.resource, followed.access, shown_fields, each.children, each.number, dialect, most, extra)


def _one(view: View, each: Included) -> Sql:
    """The related row, or null. Where the model says one and there are several, it is the first."""
    order = order_by(terms_of(each.inclusion.resource, (), view.dialect))
    where = sql(_related(view, each), " ORDER BY ", order)
    rows = select_rows(_inner(view, each), table_of(each.inclusion.resource, view.dialect), where, "1")
    return sql("coalesce((", rows, "), 'null')")


def _page(view: View, each: Included) -> Sql:
    """The related rows by their key, a page of them, and where it goes on."""
    resource, dialect = each.inclusion.resource, view.dialect
    terms = terms_of(resource, (), dialect)
    array = "json_array" if dialect == "sqlite" else "json_build_array"
    carried = sql(f"CAST({array}(", joined(", ", (t.carried for t in terms)), ") AS TEXT)")
    (part,) = segments(terms, (False,) * len(terms) if view.after else None)
    where = all_of([_related(view, each)] if part.condition is None else [_related(view, each), part.condition])
    inner = _inner(view, each, [carried])
    found = _select_fields(inner, table_of(resource, dialect), sql(where, " ORDER BY ", part.order), str(ONE_MORE))
    rows = _ending_by_bytes(inner, found, view.most) if _is_wide(each) else _ending_by_rows(inner, found)
    collected = "group_concat" if dialect == "sqlite" else "string_agg"
    key = ", ".join(
        json_value(view.resource.fields[name].type, _column(view, name), dialect) for name in view.resource.key
    )
    return sql(
        f"(SELECT '{{\"items\":[' || coalesce({collected}(vallum_w.j, ','), '') || '],\"next\":'"
        f" || coalesce('{RECORD}{each.number}{UNIT}' || CAST({array}({key}) AS TEXT) || '{UNIT}'"
        f" || max(vallum_w.x) || '{RECORD}', 'null') || '}}' FROM (", rows, ") vallum_w)",
    )  # fmt: skip


def _ending_by_rows(view: View, found: Sql) -> Sql:
    """`SELECT json AS j, where it goes on AS x`: of the last row alone, and only if there is another behind it."""
    # Numbered as they come, which is in their order.
    last = f"row_number() OVER () = {defaults.INCLUDE_LIMIT} AND lead(1) OVER () = 1"
    return sql(
        "SELECT ", _json(view), f" AS j, CASE WHEN {last} THEN {view.alias}.x0 END AS x FROM (", found,
        f") {view.alias} LIMIT {defaults.INCLUDE_LIMIT}",
    )  # fmt: skip


def _ending_by_bytes(view: View, found: Sql, pages: Part) -> Sql:
    """The same, before it has more than its share of `PAGE_BYTES`; the first row is there in any case.

    Args:
        pages: how many such pages the answer may have.
    """
    size, beyond, full = _size(view), f" > {defaults.PAGE_BYTES}", f"n = {defaults.INCLUDE_LIMIT}"
    numbers = (
        "row_number() OVER () AS n, "
        f"sum({size}) OVER (ROWS UNBOUNDED PRECEDING) AS total, lead({size}) OVER () AS following"
    )
    # In WHERE, so that no JSON is made of what is cut away, nor of what would be included in it.
    return sql(
        "SELECT ", _json(view), f" AS j, CASE WHEN {full} AND following IS NOT NULL OR (total + following) * ", pages,
        beyond, f" THEN {view.alias}.x0 END AS x FROM (SELECT vallum_s.*, {numbers} FROM (", found, f") vallum_s) {view.alias}",
        f" WHERE n <= {defaults.INCLUDE_LIMIT} AND (n = 1 OR total * ", pages, f" <= {defaults.PAGE_BYTES})",
    )  # fmt: skip


def _is_wide(each: Included) -> bool:
    return may_exceed_page(each.inclusion.resource, each.inclusion.access.shown)


def _size(view: View) -> str:
    """Bytes of what is shown of a row, escapes aside: what is hidden has none, so that no page tells of it."""
    sizes = []
    for name in measured(view.resource, view.names):
        value = f"vallum_s.f{view.names.index(name)}"
        text = f"CAST({value} AS {'BLOB' if view.dialect == 'sqlite' else 'TEXT'})"
        size = f"length({text})" if view.dialect == "sqlite" else f"octet_length({text})"
        if name not in view.access.certain:
            size = f"CASE WHEN {shown(view.access, name, f'vallum_s.{MASK}')} THEN {size} END"
        sizes.append(f"coalesce({size}, 0)")
    return " + ".join(sizes) or "0"


def _column(view: View, name: str) -> str:
    return f"{view.alias}.c{_compared(view).index(name)}"


def _related(view: View, each: Included) -> Sql:
    """The condition of the related rows that the caller may read, and may see to be related.

    The few rows that are related come first, then any of the rules: no walk for each rule is needed, as it is in a list.
    """
    followed, dialect = each.inclusion, view.dialect
    relation, resource = followed.relation, followed.resource
    theirs = [field_sql(resource, resource.fields[name], dialect) for name in relation.far]
    shows = any_of(matching(followed.access, relation.far, ()))
    if followed.link is None:
        equal = [sql(field, " = ", _column(view, own)) for field, own in zip(theirs, relation.near, strict=True)]
        return all_of([*equal, shows])
    link, access = followed.link
    near, far = followed.between
    columns = {name: field_sql(link, link.fields[name], dialect) for name in (*near, *far)}
    tied = [sql(columns[name], " = ", _column(view, own)) for name, own in zip(near, relation.near, strict=True)]
    linked = sql(
        "(", joined(", ", theirs), ") IN (SELECT ", joined(", ", (columns[name] for name in far)),
        " FROM ", table_of(link, dialect), " WHERE ",
        all_of([*tied, any_of(matching(access, (*near, *far), ()))]), ")",
    )  # fmt: skip
    return all_of([linked, shows])
