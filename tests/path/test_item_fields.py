"""`fields` of an item: the database chooses among them, so that an item and a list show the same bytes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from tests.path import wide

from tests import stores

NUMBERS: Final = '{"tiny": 1e-7, "zeros": 1.500, "huge": 1e+25, "text": "1e-7", "deep": [{"a": 0.10}]}'
CHOICES: Final = 40


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, store: str) -> Path:
    data = tmp_path_factory.mktemp("things") / "data"
    stores.create(wide.api, data, seed=wide.seed, store=store)
    # What a document is like, only its text can tell.
    cast = "?" if store == stores.SQLITE else "?::text::json"
    stores.rows(data, f"UPDATE things SET doc = {cast}, ratio = 1e-7 WHERE id = 3", NUMBERS)
    return data


def chosen() -> Iterator[list[str]]:
    """Fields of a thing: each by itself, all of them, and some at random."""
    yield from ([name] for name in wide.VISIBLE)
    yield wide.VISIBLE
    draw = random.Random(CHOICES)  # the same ones each time
    for _ in range(CHOICES):
        yield draw.sample(wide.VISIBLE, draw.randint(2, 8))


@pytest.mark.parametrize("name", ["rosa", "adam"])
def test_an_item_and_a_list_give_the_same_bytes(filled: Path, name: str) -> None:
    """Of each row for the same fields, numbers without an exponent as well as those with one."""
    with stores.client(wide.api, name, filled) as client:
        assert '"tiny": 0.0000001' in client.get("/things/3?fields=doc").text
        for names in chosen():
            query = f"fields={','.join(names)}"
            items = [client.get(f"/things/{key}?{query}").text for key in range(1, 6)]
            assert client.get(f"/things?{query}").text == f'{{"items":[{",".join(items)}],"next":null}}'


def test_what_a_rule_hides_stays_null(filled: Path) -> None:
    """The choice is made of what the rules of that row show; all of it is in the entity tag."""
    with stores.client(wide.api, "paul", filled) as paul:
        for key, text, price in ((1, '"Ähre, b\\\\c"', "null"), (3, '"zebra"', '"9999999999.99"')):
            part = paul.get(f"/things/{key}?fields=price,text")
            assert part.text == f'{{"text":{text},"price":{price}}}'
            whole = paul.get(f"/things/{key}")
            assert part.headers["etag"] == whole.headers["etag"]
            same = {"if-none-match": whole.headers["etag"]}
            assert paul.get(f"/things/{key}?fields=id", headers=same).status_code == 304
        assert paul.get("/things/2?fields=id").status_code == 404
