"""A database that another program has made is served as it is: odd names, composite keys, views, partitions, triggers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.existing.app import api_of
from tests.existing.places import make, reflected

from tests import stores
from vallum import API
from vallum.serve.create import create_database
from vallum.store.postgres_address import parse
from vallum.testing import Client

pytestmark = pytest.mark.stores("sqlite", "postgresql")
As = Callable[[str], Client]
MADE = 1_700_000_000.0


class House(NamedTuple):
    """The other program's database, Vallum's tables beside it."""

    api: API
    data: Path


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, store: str) -> House:
    data = tmp_path_factory.mktemp("house") / "data"
    make(data, store)
    api = reflected(data, api_of)
    url = stores.database_of(data)
    create_database(api, data, now=MADE, address=None if url is None else parse(url))
    return House(api, data)


@pytest.fixture
def data(house: House, tmp_path: Path) -> Path:
    return stores.copied(house.data, tmp_path / "data")


@pytest.fixture
def client(house: House, data: Path) -> Iterator[As]:
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(stores.client(house.api, name, data))


def items(client: Client, path: str) -> list[dict[str, Any]]:
    """Of a list that is answered."""
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def changed(client: Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """A row after a change of it as it is now."""
    answer = client.patch(path, json=body, headers={"If-Match": client.get(path).headers["ETag"]})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_rows_are_those_of_the_rules(client: As) -> None:
    """A condition on the row, through one relation and through two."""
    anna = client("anna")
    assert [row["customer_id"] for row in items(anna, "/customers")] == ["ALFKI"]
    assert items(anna, "/customers")[0]["company"] == 'Alfreds "Futter" & Co'
    assert [row["id"] for row in items(anna, "/orders")] == [1, 3]
    assert [(row["order_id"], row["product_id"]) for row in items(anna, "/details")] == [(1, 1), (1, 2)]
    assert anna.get("/details/2,3").status_code == 404
    assert [row["product_id"] for row in items(client("bert"), "/details")] == [3]


def test_names_that_need_quotes(client: As) -> None:
    """Reserved words, mixed case and spaces in tables and columns, read, filtered, sorted, paged and written."""
    clara = client("clara")
    assert [r["unit_price"] for r in items(clara, "/details?unit_price[gte]=18&sort=-unit_price")] == ["19.50", "18.00"]
    first = clara.get("/details?limit=1&sort=unit_price").json()
    assert [row["unit_price"] for row in first["items"]] == ["10.00"]
    rest = items(clara, f"/details?sort=unit_price&after={first['next']}")
    assert [row["unit_price"] for row in rest] == ["18.00", "19.50"]
    made = clara.post("/orders", json={"select": "BOLID"})
    assert (made.status_code, made.json()["id"], made.json()["select"]) == (201, 4, "BOLID")
    made = clara.post("/details", json={"order_id": 4, "product_id": 1, "unit_price": "3.00"})
    assert (made.status_code, made.headers["Location"].endswith("/details/4,1")) == (201, True)
    assert changed(clara, "/details/4,1", {"unit_price": "4.00"})["unit_price"] == "4.00"
    assert clara.delete("/details/4,1").status_code == 204


def test_what_the_database_makes_itself_is_not_written(client: As) -> None:
    """Generated columns and identities, server defaults, and what a trigger writes."""
    clara = client("clara")
    for body in ({"worth": "1.00"}, {"id": 99}):
        assert clara.post("/products", json={"name": "tea", "price": "1.50", **body}).status_code == 422
    made = clara.post("/products", json={"name": "tea", "price": "1.50", "stock": 3}).json()
    assert (made["id"], made["worth"], made["rating"], made["extra"]) == (4, "4.50", "G", {})
    after = changed(clara, "/products/1", {"price": "20.00"})
    assert (after["worth"], after["changed"][:19]) == ("780.00", "2021-02-03T04:05:06")


def test_constraints_are_refusals(client: As) -> None:
    """Checks, keys and references of the other program answer as those of a model."""
    clara = client("clara")
    assert clara.post("/products", json={"name": "tea", "price": "-1"}).status_code == 422
    assert clara.post("/orders", json={"select": "NOONE"}).status_code == 422
    for quantity in (0, 99_999):
        body = {"order_id": 3, "product_id": 2, "unit_price": "3.00", "Quantity": quantity}
        assert clara.post("/details", json=body).status_code == 422
    body = {"customer_id": "ALFKI", "company": "again", "user": "anna"}
    assert clara.post("/customers", json=body).json()["errors"][0]["pointer"] == "/customer_id"
    assert client("dora").delete("/customers/BOLID").json()["code"] == "in_use"
    assert clara.delete("/orders/2").status_code == 204
    assert [row["order_id"] for row in items(clara, "/details")] == [1, 1], "the declared cascade took its details"


def test_columns_that_are_left_out_do_not_exist(client: As) -> None:
    """Neither in rows nor in queries."""
    clara = client("clara")
    row = items(clara, "/products")[0]
    assert not {"tags", "year", "search", "discount"} & row.keys()
    codes = [
        [(fault["pointer"], fault["code"]) for fault in clara.get(f"/products?fields={name}").json()["errors"]]
        for name in ("tags", "nothing")
    ]
    assert codes[0] == codes[1]


def test_partitions_are_one_table(client: As) -> None:
    """Rows of several partitions in one list; a row is made, changed and removed in the one that it belongs to."""
    clara = client("clara")
    assert [row["payment_date"] for row in items(client("anna"), "/payments?sort=amount")] == [
        "2025-12-31",
        "2026-01-01",
    ]
    body = {"payment_id": 9, "payment_date": "2026-05-05", "payer": "ALFKI", "amount": "1.00"}
    assert clara.post("/payments", json=body).status_code == 201
    assert changed(clara, "/payments/9,2026-05-05", {"amount": "7.00"})["amount"] == "7.00"
    assert clara.delete("/payments/9,2026-05-05").status_code == 204


def test_views_are_read(client: As) -> None:
    """By rules, filters, keys and pages like a table; nobody writes to one."""
    anna, dora = client("anna"), client("dora")
    assert items(anna, "/customer-list?orders[gt]=0") == items(anna, "/customer-list")
    assert [row["id"] for row in items(dora, "/customer-list")] == ["ALFKI", "BOLID"]
    assert anna.get("/customer-list/ALFKI").json()["orders"] == 2
    assert anna.get("/customer-list/BOLID").status_code == 404
    assert dora.post("/customer-list", json={"id": "X"}).status_code == 403
    assert [row["what"] for row in items(dora, "/log")] == ["opened", "closed"]


@pytest.mark.stores("postgresql")
def test_another_schema(client: As) -> None:
    """Tables of `sales` are read, made, changed and removed; rules and references cross the schemas."""
    anna, clara = client("anna"), client("clara")
    assert [row["number"] for row in items(anna, "/invoices")] == [100]
    assert clara.post("/invoices", json={"number": 5, "customer": "NOONE"}).status_code == 422
    assert clara.post("/invoices", json={"number": 5, "customer": "ALFKI"}).json()["state"] == "open"
    assert clara.post("/invoices", json={"number": 5, "customer": "ALFKI"}).json()["errors"][0]["pointer"] == "/number"
    assert clara.post("/invoices", json={"number": 6, "customer": "ALFKI", "state": "lost"}).status_code == 422
    assert changed(clara, "/invoices/5", {"state": "paid"})["state"] == "paid"
    assert clara.post("/invoice-lines", json={"invoice": 5, "line": 1, "text": "x"}).status_code == 201
    assert changed(clara, "/invoice-lines/5,1", {"text": "y"})["text"] == "y"
    assert clara.delete("/invoices/5").status_code == 204
    assert [row["pieces"] for row in items(client("dora"), "/stock")] == ["39", "17", "0"]


@pytest.mark.stores("postgresql")
def test_bulks_in_another_schema(client: As) -> None:
    """Rows of `sales` are made, changed and removed together; the lock names their table without its schema."""
    clara = client("clara")
    body = [{"number": number, "customer": "ALFKI"} for number in (5, 6)]
    assert clara.post("/invoices", json=body).status_code == 201
    changes = [{"number": number, "state": "paid"} for number in (6, 5)]
    answer = clara.patch("/invoices", json=changes, headers={"If-Match": "*"})
    assert [row["state"] for row in answer.json()["items"]] == ["paid", "paid"], answer.text
    assert clara.delete("/invoices?number[in]=5,6").status_code == 204
    assert [row["number"] for row in items(clara, "/invoices")] == [100, 101]


@pytest.mark.stores("postgresql")
def test_enumerations_are_ordered_by_their_words(client: As) -> None:
    """As everywhere, not by their declaration; an unknown word is refused."""
    clara = client("clara")
    assert [row["rating"] for row in items(clara, "/products?sort=-rating")] == ["R-18", "PG", "G"]
    assert clara.post("/products", json={"name": "x", "price": "1", "rating": "X"}).status_code == 422


def test_the_other_program_s_tables_are_left_as_they_were(house: House, tmp_path: Path, store: str) -> None:
    """Vallum's own stand beside them; nothing else was made, changed or counted."""
    untouched = tmp_path / "untouched"
    make(untouched, store)
    texts = {
        "sqlite": "SELECT type, name, sql FROM sqlite_master ORDER BY name",
        "postgresql": "SELECT c.relkind::text, c.relname::text, s.last_value::text FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_sequences s ON s.sequencename = c.relname"
        " WHERE n.nspname IN ('public', 'sales') ORDER BY n.nspname, c.relname",
    }
    before, after = (stores.rows(place, texts[store]) for place in (untouched, house.data))
    assert [row for row in after if "vallum_" not in row[1] and row[1] != "sqlite_sequence"] == before
    assert any(row[1] == "vallum_principal" for row in after)
