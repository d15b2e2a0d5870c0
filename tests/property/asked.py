"""A drawn case, and its requests: each answer is held against its meaning."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from sqlalchemy.types import Boolean, Enum, String
from tests.property.meaning import Answer as Expected
from tests.property.meaning import Meaning, Row, wire
from tests.property.models import NOW, Choices, Tables, pool, row_of, rows_of
from tests.property.policies import policy
from tests.property.schemas import Schema, schema
from tests.property.served import ADDRESSES, CAST, KEYED, LOGINS, NOBODY, SCOPES, Asking, Both, Visitor, plain

from vallum.declare.policy import Operation
from vallum.declare.resource import Field, Resource
from vallum.declare.words import condition_words
from vallum.testing import Answer


class Case:
    """What is drawn."""

    def __init__(self, number: int, rows: bytes, rules: bytes, requests: bytes) -> None:
        self.schema: Schema = schema(number)
        self.rows: Tables = rows_of(Choices(rows), self.schema.metadata, max_rows=4, min_rows=1)
        choose = Choices(rules)
        self.model = choose.of(self.schema.models)
        caller = choose.of((*CAST, *CAST, *KEYED, NOBODY))
        self.visitor = Visitor(caller, choose.of(SCOPES), choose.of(LOGINS), choose.of(ADDRESSES))
        self.api = policy(choose, self.schema, self.model)
        self.resource: Resource = self.api.resources[self.model]
        self.meaning = Meaning(self.api, self.rows, caller, self.visitor.facts, NOW)
        self.choose = Choices(requests)

    def __repr__(self) -> str:
        """For who reads a failure."""
        lines = [
            f"schema {self.schema.number}, {self.model.__name__}, {self.visitor}",
            f"rows { {t.name: r for t, r in self.rows.items()} }",
        ]
        for resource in self.api.resources.values():
            lines += [f"{resource.path} soft_delete={resource.soft_delete} tenant={resource.tenant}"]
            lines += [
                f"  {r.effect} {r.roles} {r.operations} {condition_words(r.where, resource.table)} {r.fields} {r.when}"
                f" { ({n: str(v) for n, v in r.set.items()}) }"
                for r in resource.rules
            ]
        return "\n".join(lines)


class Asked:
    """The requests of a case, each held against its meaning."""

    def __init__(self, both: Both, case: Case) -> None:
        self.both = both
        self.session = Asking(both, case.api, case.visitor)
        self.meaning = case.meaning
        self.resource = case.resource
        self.choose = case.choose
        self.case = case

    async def all(self) -> None:
        """Every kind, and then the rows themselves if any were written."""
        await self.both.fill(self.case.rows)
        await self.lists()
        await self.items()
        await self.writes()
        if self.meaning.rows is not self.case.rows:
            await self.everything()

    # Reads ---------------------------------------------------------------------------------

    async def lists(self) -> None:
        """All of them, then filtered, then in an order and page by page."""
        visible = self.meaning.visible(self.resource)
        got = await self.session.ask("GET", self.resource.path)
        if got.status_code != 200:
            assert got.status_code in (401, 403)
            assert visible == []
            return
        self._same([row for row, _ in visible], got.json()["items"], ordered=False)
        for _ in range(2):
            await self._filtered()
        await self._sorted()

    async def _filtered(self) -> None:
        name, operator, text, value = self._filter()
        got = await self.session.ask(
            "GET", self.resource.path, f"{name}[{operator}]={quote(text)}&count=exact".replace("[eq]", "")
        )
        visible = self.meaning.visible(self.resource)
        if got.status_code != 200:
            assert got.status_code == 400
            assert not any(name in fields for _, fields in visible), (name, got.text)
            return
        rows = [
            row
            for row, fields in visible
            if name in fields and self.meaning.matches(self.resource, row, name, operator, value)
        ]
        self._same(rows, got.json()["items"], ordered=False)
        assert got.json()["count"] == len(rows)

    def _filter(self) -> tuple[str, str, str, Any]:
        field = self.resource.fields[self.choose.of(self.resource.filters)]
        values = [v for v in pool(field.type) if v != ""]
        operators = ["eq", "ne", "in", "isnull"]
        text = isinstance(field.type, String) and not isinstance(field.type, Enum)
        if not isinstance(field.type, (Enum, Boolean)):
            operators += ["lt", "lte", "gt", "gte", *(("contains", "startswith") if text else ())]
        operator = self.choose.of(operators)
        value = self.choose.of(values)
        if operator == "isnull":
            null = bool(self.choose.up_to(1))
            return field.name, operator, str(null).lower(), null
        if operator == "in":
            listed = [value, self.choose.of(values)]
            return field.name, operator, ",".join(_text(field, v) for v in listed), listed
        return field.name, operator, _text(field, value), value

    async def _sorted(self) -> None:
        names = self.resource.sorts
        sort = [(self.choose.of(names), bool(self.choose.up_to(1))) for _ in range(self.choose.up_to(1) + 1)]
        sort = list(dict(sort).items())
        words = ",".join(f"{'-' if down else ''}{name}" for name, down in sort)
        size = self.choose.up_to(2) + 1
        visible = self.meaning.visible(self.resource)
        pages = await self.session.pages(self.resource.path, f"sort={words}&limit={size}")
        if pages[0].status_code != 200:
            assert pages[0].status_code == 400
            return
        # An order tells of the values: only what every row shows has one.
        assert all(name in fields for _, fields in visible for name, _ in sort)
        items = [item for page in pages for item in page.json()["items"]]
        rows = self.meaning.in_order(self.resource, [row for row, _ in visible], sort)
        self._same(rows, items, ordered=True)

    async def items(self) -> None:
        """A row that is there, or not, for this caller."""
        visible = {id(row): fields for row, fields in self.meaning.visible(self.resource)}
        for row in self.meaning.rows[self.resource.table][:2]:
            got = await self.session.ask("GET", self._path(row))
            if id(row) in visible:
                assert got.status_code == 200, got.text
                self._same([row], [got.json()], ordered=True)
            else:
                assert got.status_code in (401, 403, 404)
                missing = await self.session.ask("GET", self._path(self._other(row)))
                assert plain(missing) == plain(got)

    # Writes --------------------------------------------------------------------------------

    async def writes(self) -> None:
        """A few, one after the other."""
        for _ in range(5):
            rows = self.meaning.rows[self.resource.table]
            kind = self.choose.of(("change", "create", "change", "remove", "change"))
            if kind == "create":
                await self._created()
            elif rows:
                row = self.choose.of(rows)
                await (self._changed(row) if kind == "change" else self._removed(row))

    async def _created(self) -> None:
        row = row_of(self.choose, self.resource.table, self.meaning.rows, 4)
        hinted = self.meaning.hinted(self.resource, Operation.CREATE)
        body = {name: value for name, value in row.items() if name in hinted or not self.choose.up_to(7)}
        if body:
            before = self.meaning.rows
            expected = self.meaning.create(self.resource, body)
            got = await self.session.ask("POST", self.resource.path, body=self._json(body))
            self._judged(expected, got, before)

    async def _changed(self, row: Row) -> None:
        drawn = row_of(self.choose, self.resource.table, self.meaning.rows, 0)
        hinted = sorted(self.meaning.hinted(self.resource, Operation.UPDATE))
        names = [
            name for name in (hinted if self.choose.up_to(5) else [*drawn]) if name in drawn and self.choose.up_to(1)
        ]
        body = {name: drawn[name] for name in names or hinted[:1] if name in drawn}
        if body:
            before = self.meaning.rows
            expected = self.meaning.change(self.resource, row, body)
            self._judged(expected, await self.session.ask("PATCH", self._path(row), body=self._json(body)), before)

    async def _removed(self, row: Row) -> None:
        before = self.meaning.rows
        expected = self.meaning.remove(self.resource, row)
        self._judged(expected, await self.session.ask("DELETE", self._path(row)), before)

    def _judged(self, expected: Expected, got: Answer, before: Tables) -> None:
        said = (expected, got.status_code, got.text)
        if expected.done and got.status_code == 409:
            self.meaning.rows = before  # a key that is taken: a constraint, no rule
            return
        assert got.status_code in expected.statuses, said
        if expected.done and expected.body is not None:
            shown = got.json()
            assert set(expected.body) <= set(shown), said
            assert shown == {name: expected.body.get(name) for name in shown}, said
        elif expected.done:
            assert got.content == b"", said

    async def everything(self) -> None:
        """Every row of every table, as an API shows it that hides nothing."""
        opening = self.both.opening(self.case.schema)
        meaning = Meaning(opening.api, self.meaning.rows, NOBODY, opening.visitor.facts, NOW)
        for resource in opening.api.resources.values():
            items = (await opening.ask("GET", resource.path, "limit=100")).json()["items"]
            shown = [meaning.shown(resource, row, frozenset(resource.fields)) for row in meaning.rows[resource.table]]
            assert sorted(map(_plainly, items)) == sorted(map(_plainly, shown)), (resource.path, items, shown)

    # Parts ---------------------------------------------------------------------------------

    def _same(self, rows: list[Row], items: list[dict[str, Any]], *, ordered: bool) -> None:
        fields = {id(row): names for row, names in self.meaning.visible(self.resource)}
        expected = [self.meaning.shown(self.resource, row, fields[id(row)]) for row in rows]
        names = set(items[0]) if items else set()
        assert all(set(one) <= names for one in expected), (expected, items)
        whole = [{name: one.get(name) for name in items[0]} for one in expected] if items else expected
        if ordered:
            assert items == whole
        else:
            assert sorted(map(_plainly, items)) == sorted(map(_plainly, whole))

    def _json(self, body: Row) -> dict[str, Any]:
        return {name: wire(self.resource.fields[name], value) for name, value in body.items()}

    def _path(self, row: Row) -> str:
        return f"{self.resource.path}/{','.join(str(row[name]) for name in self.resource.key)}"

    def _other(self, row: Row) -> Row:
        """A row with a key that there is not."""
        return {**row, self.resource.key[0]: pool(self.resource.fields[self.resource.key[0]].type)[5]}


def _plainly(item: dict[str, Any]) -> str:
    return str({name: float(value) if type(value) is int else value for name, value in item.items()})


def _text(field: Field, value: Any) -> str:
    found = wire(field, value)
    return str(found).lower() if isinstance(found, bool) else str(found).replace("\\", "\\\\").replace(",", "\\,")
