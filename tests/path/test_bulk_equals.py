"""A bulk of n rows is n single writes when each of these succeeds, and nothing at all when one does not.

Drawn rows are sent one by one until one is refused, the tables put back, and the same rows sent as one request. Each time
the answers, the tables and the audit are compared.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple, final

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from tests.path.small import NOON, Clock
from tests.path.works import api, number, seed

from tests import stores
from vallum.store.ports import Script, Statement
from vallum.testing import Answer, Client

pytestmark = pytest.mark.stores("sqlite", "postgresql")

ANY = {"if-match": "*"}
TABLES = ("rooms", "desks", "drawers", "labels", "lamps", "slots", "visits", "notices")
AUDIT = "SELECT principal, verb, resource, row_key, fields, before, after FROM vallum_audit WHERE id > ? ORDER BY id"
EXAMPLES = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@final
class World(NamedTuple):
    """A served copy of the works, whose tables can be put back."""

    database: stores.Opened
    client: Callable[[str], Client]
    first: dict[str, list[tuple[Any, ...]]]

    def tables(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row."""
        return {table: self._rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in TABLES}

    def audit(self, after: int) -> list[tuple[Any, ...]]:
        """Who did what, behind that entry."""
        return self._rows(AUDIT, after)

    def put_back(self) -> int:
        """As it was at first; the last entry of the audit."""

        def script() -> Script[None]:
            for table in reversed(TABLES):
                yield Statement(f"DELETE FROM {table}", ())
            for table in TABLES:
                # A desk stands beside one with a lower key.
                for row in self.first[table]:
                    yield Statement(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)

        self.database.write(script)
        return int(self._rows("SELECT coalesce(max(id), 0) FROM vallum_audit")[0][0])

    def _rows(self, text: str, *arguments: Any) -> list[tuple[Any, ...]]:
        return self.database.read(Statement(text, arguments))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, store: str) -> Iterator[World]:
    """Made once: the tables are put back instead."""
    data = tmp_path_factory.mktemp("equals") / "data"
    stores.create(api, data, seed=seed, clock=lambda: NOON - 86_400, store=store)
    with ExitStack() as stack:
        clients = {
            name: stack.enter_context(stores.client(api, name, data, Clock()))
            for name in ("cleo", "carl", "bert", "mo", "cora")
        }
        found = World(stack.enter_context(stores.opened(data)), clients.__getitem__, {})
        found.first.update(found.tables())
        yield found


ROOM = st.sampled_from([1, 1, 4, 4, 2, 3, 9])
SEATS = st.sampled_from([3, 10, 11, 100, 200])
NAME = st.sampled_from(["A", "B", "C", "D", "E", "F", "G", "North"])
DESK = st.sampled_from([str(number(n)) for n in (1, 2, 4, 8, 6, 3, 5, 7, 99)])


def _rows(members: dict[str, Any], optional: dict[str, Any], key: str | None) -> Any:
    return st.lists(
        st.fixed_dictionaries(members, optional=optional),
        min_size=1,
        max_size=4,
        unique_by=None if key is None else lambda row: row[key],
    )


CREATES = {
    "/rooms": _rows({"name": NAME}, {"seats": SEATS}, None),
    "/desks": _rows(
        {"room_id": ROOM},
        {
            "parent_id": DESK,
            "name": NAME,
            "number": st.sampled_from([1, 2, 50]),
            "weight": st.sampled_from([2, 20, 95]),
        },
        None,
    ),
    "/notices": _rows({"room_id": ROOM}, {}, None),
}
CHANGES = {
    "/rooms": _rows({"id": ROOM}, {"seats": SEATS, "name": NAME}, "id"),
    "/desks": _rows(
        {"id": DESK},
        {
            "room_id": ROOM,
            "number": st.sampled_from([1, 2, 50]),
            "weight": st.sampled_from([2, 20, 95]),
            "doc": st.sampled_from([{"a": 1}, {"a": None, "b": [1]}, None]),
        },
        "id",
    ),
}
REMOVALS = {
    "/rooms": st.lists(ROOM, min_size=1, max_size=4, unique=True),
    "/desks": st.lists(DESK, min_size=1, max_size=4, unique=True),
    "/visits": st.lists(st.sampled_from([1, 2, 3]), min_size=1, max_size=3, unique=True),
}


def _drawn(paths: dict[str, Any]) -> Any:
    return st.sampled_from(sorted(paths)).flatmap(lambda path: st.tuples(st.just(path), paths[path]))


def compare(
    world: World,
    singly: list[Callable[[], Answer]],
    together: Callable[[], Answer],
    nameless: Callable[[Any], Any] = lambda value: value,
) -> None:
    """Send the rows in both ways, and look.

    Args:
        nameless: takes away from rows and audit what is drawn anew each time: keys that the database makes.
    """
    last = world.put_back()
    answers: list[Answer] = []
    for send in singly:
        answers.append(send())
        if answers[-1].status_code >= 400:
            break
    refused = answers[-1] if answers[-1].status_code >= 400 else None
    expected = nameless((world.tables(), world.audit(last)))
    last = world.put_back()
    answer = together()
    if refused is None:
        event("all succeed")
        items = [json.loads(one.content) if one.content else None for one in answers]
        found = json.loads(answer.content)["items"] if answer.content else [None] * len(items)
        assert answer.status_code in (200, 201, 204), answer.text
        assert nameless(found) == nameless(items)
        assert nameless((world.tables(), world.audit(last))) == expected
    else:
        event(f"refused: {refused.json()['code']}")
        assert (answer.status_code, answer.json()["code"]) == (refused.status_code, refused.json()["code"])
        assert (world.tables(), world.audit(last)) == (world.first, [])
        errors = answer.json().get("errors")  # whose roles never allow it, is told of no row
        if errors is not None:
            places = [fault["pointer"].rsplit("]", 1)[-1].split("/")[1] for fault in errors]
            assert min(map(int, places)) == len(answers) - 1


@EXAMPLES
@given(who=st.sampled_from(["cleo", "carl", "cora"]), drawn=_drawn(CREATES))
def test_new_rows_are_those_of_single_creates(world: World, who: str, drawn: tuple[str, list[Any]]) -> None:
    """With the same values, defaults, audit and answers; keys of the database's own are left out."""
    path, rows = drawn
    client = world.client(who)

    def nameless(value: Any) -> Any:
        if isinstance(value, tuple):
            tables, audit = value
            counted = {t: len(r) for t, r in tables.items()}
            kept = {t: [row for row in r if row in world.first[t]] for t, r in tables.items()}
            new = {t: sorted(repr(row[1:]) for row in r if row not in world.first[t]) for t, r in tables.items()}
            return counted, kept, new, [(*entry[:3], entry[4]) for entry in audit]
        return [row and {name: member for name, member in row.items() if name != "id"} for row in value]

    compare(
        world,
        [lambda row=row: client.post(path, json=row) for row in rows],  # type: ignore[misc]
        lambda: client.post(path, json=rows),
        nameless,
    )


@EXAMPLES
@given(who=st.sampled_from(["cleo", "carl", "bert", "cora"]), drawn=_drawn(CHANGES))
def test_changed_rows_are_those_of_single_changes(world: World, who: str, drawn: tuple[str, list[Any]]) -> None:
    """With the same rows, tags, audit and answers, each seeing what those before it have done."""
    path, rows = drawn
    client = world.client(who)

    def single(row: dict[str, Any]) -> Answer:
        patch = {name: value for name, value in row.items() if name != "id"}
        return client.patch(f"{path}/{row['id']}", json=patch, headers=ANY)

    compare(
        world,
        [lambda row=row: single(row) for row in rows],  # type: ignore[misc]
        lambda: client.patch(path, json=rows, headers=ANY),
    )


@EXAMPLES
@given(who=st.sampled_from(["cleo", "carl", "bert", "cora"]), drawn=_drawn(REMOVALS))
def test_removed_rows_are_those_of_single_removals(world: World, who: str, drawn: tuple[str, list[Any]]) -> None:
    """With what goes along, what stays and why, and the same audit."""
    path, keys = drawn
    client = world.client(who)
    listed = ",".join(map(str, keys))
    compare(
        world,
        [lambda key=key: client.delete(f"{path}/{key}") for key in keys],  # type: ignore[misc]
        lambda: client.delete(f"{path}?id[in]={listed}"),
    )
