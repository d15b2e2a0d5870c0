"""The table of values in docs/calling.md, cell by cell."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

import pytest
from tests.pages import DOCS
from tests.path.small import NOON, Clock
from tests.path.wide import api

from tests import stores
from vallum import defaults
from vallum.testing import Client

FIELDS: Final = {
    "Integer": "whole",
    "String": "text",
    "Boolean": "flag",
    "Float": "ratio",
    "Numeric(12, 2)": "price",
    "Date": "day",
    "Time": "hour",
    "DateTime(timezone=True)": "instant",
    "DateTime": "local",
    "Interval": "span",
    "Uuid": "ident",
    "Enum": "colour",
    "LargeBinary": "blob",
    "JSON": "doc",
}
TEXT: Final = (DOCS / "calling.md").read_text(encoding="utf-8")
ROWS: Final = re.findall(
    r"^\| `([^`]+)`[^|]* \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$",
    TEXT.partition("## Values")[2].partition("\n## ")[0],
    re.MULTILINE,
)


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory, store: str) -> Iterator[Client]:
    """Who creates and reads things."""
    data = tmp_path_factory.mktemp("values") / "data"
    stores.create(api, data, clock=lambda: NOON - 86_400, store=store)
    with stores.client(api, "wim", data, Clock()) as client:
        yield client


def quoted(cell: str) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`]+)`", cell)


def test_every_type_has_its_row() -> None:
    """Each once."""
    assert [row[0] for row in ROWS] == list(FIELDS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_value_is_taken_shown_and_found_as_its_row_says(writer: Client, row: tuple[str, ...]) -> None:
    """And what the row says is not taken is a 422."""
    name, body, shown, text = FIELDS[row[0]], *row[1:]
    taken, _, refused = body.partition(" not ")
    made = []
    for value in quoted(taken):
        answer = writer.post("/things", json={name: json.loads(value)})
        assert answer.status_code == 201, (value, answer.text)
        assert answer.json()[name] == json.loads(shown.strip("`"))
        made.append(answer.json()["id"])
    for value in quoted(refused):
        assert writer.post("/things", json={name: json.loads(value)}).status_code == 422, value
    for value in quoted(text):
        found = writer.get(f"/things?{name}={quote(value)}").json()["items"]
        assert [item["id"] for item in found] == made
    if not quoted(text):
        assert writer.get(f"/things?{name}=1").status_code == 400


def made(writer: Client, *texts: str | None) -> None:
    """Things with this prose."""
    for text in texts:
        assert writer.post("/things", json={"prose": text}).status_code == 201


def test_what_is_said_of_commas_case_and_null(writer: Client) -> None:
    """The lines under the table of parameters."""
    made(writer, "a,b", "c\\d", "Zoe", "amy", None)

    def found(query: str) -> list[Any]:
        return [item["prose"] for item in writer.get(f"/things?{query}&sort=prose").json()["items"]]

    listed = quote("a\\,b,c\\\\d")
    assert found(f"prose[in]={listed}") == ["a,b", "c\\d"]
    assert found("prose[contains]=z") == found("prose[startswith]=A") == []
    assert found("prose[gt]=Zoe") == ["a,b", "amy", "c\\d"]
    assert None not in found("prose[ne]=amy") + found("prose[lt]=zzz") + found("prose[gte]=A")
    assert set(found("prose[isnull]=true")) == {None}
    assert f"`[in]` takes up to {defaults.MAX_IN_VALUES}" in TEXT
    assert f"At most {defaults.MAX_FILTERS} conditions" in TEXT
