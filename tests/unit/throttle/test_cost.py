"""What a request costs, told from its first line alone."""

from __future__ import annotations

import pytest
from tests.unit.declare.players import READ_ALL, declared

from vallum import defaults
from vallum.declare.route import Route
from vallum.throttle.cost import added, cost_of, relations

EXTRA = {"count": 4, "include": 2}


@pytest.fixture(scope="module")
def lists() -> Route:
    """A collection whose lists cost 2 and whose creates cost 3."""
    api = declared(READ_ALL)
    (resource,) = [resource for resource in api.resources.values() if resource.path == "/players"]
    resource.cost.update({"list": 2, "create": 3, "count": 5})  # type: ignore[attr-defined]  # a dict, as it was made
    return api.routes["/players"]


@pytest.mark.parametrize(
    ("query", "units"),
    [
        ("", 0),
        ("limit=5", 0),
        ("count=exact", 4),
        ("limit=5&count=exact", 4),
        ("count=", 4),
        ("count", 4),
        ("count=exact&count=exact", 4),
        ("include=a&count=exact", 6),
        ("%63ount=exact", 4),
        ("%63%6F%75%6e%74=exact", 4),
        ("c%256funt=exact", 0),
        ("name=count", 0),
        ("name=%63ount", 0),
        ("counted=1", 0),
        ("COUNT=exact", 0),
        ("count[eq]=exact", 0),
        ("count%00=exact", 0),
        ("%", 0),
        ("&&=&", 0),
    ],
)
def test_names_of_the_query_cost_extra(query: str, units: int) -> None:
    """However they are encoded, once each; a value or another name that looks like one costs nothing."""
    assert added(query, EXTRA) == units


def test_a_query_of_too_many_parameters_is_not_read_to_its_end() -> None:
    """It is refused anyway, so its tail is not looked at."""
    filler = "&".join(["a=1"] * defaults.MAX_QUERY_PARAMETERS)
    assert added(f"{filler}&b=1&count=exact", EXTRA) == 0
    assert added(f"{filler[4:]}&count=exact", EXTRA) == 4


def test_only_a_list_is_counted(lists: Route) -> None:
    """A create with such a query is refused, at the price of a create; an unknown method and path cost 1."""
    assert cost_of(lists, "GET", "") == 2
    assert cost_of(lists, "GET", "count=exact") == 7
    assert cost_of(lists, "POST", "count=exact") == 3
    assert cost_of(lists, "PUT", "count=exact") == 1
    assert cost_of(None, "GET", "count=exact") == 1


@pytest.mark.parametrize(
    ("include", "found"),
    [
        ("a", 1),
        ("a,b", 2),
        ("a.b", 2),
        ("a,a.b,a.c", 3),
        ("a.b.c,a.b.d", 4),
        ("", 1),
        ("a,a", 1),
        (",".join("abcdefgh"), 8),
        (",".join("abcdefghijk"), defaults.MAX_INCLUDES),
        ("a." * 4000, 4),
        ("," * 8000, 2),
    ],
)
def test_relations_are_counted_by_their_names(include: str, found: int) -> None:
    """Each once, those on the way among them; nobody pays for more than a query may have, and none is free."""
    assert relations(include) == found


def test_an_include_costs_for_each_relation() -> None:
    """However it is encoded."""
    assert added("include=a,b.c", EXTRA) == 6
    assert added("%69nclude=a%2Cb%2Ec&count=exact", EXTRA) == 10


@pytest.mark.parametrize(
    ("limit", "units"),
    [
        ("1", 2),
        ("25", 2),
        ("26", 4),
        ("50", 4),
        ("75", 6),
        ("100", 8),
        ("999", 8),
        ("9999", 2),
        ("-1", 2),
        ("", 2),
        ("\u00b2", 2),
    ],
)
def test_an_include_costs_by_the_rows_that_have_it(limit: str, units: int) -> None:
    """For each 25 of them; a limit that is refused costs one part, or at most what the longest page does."""
    assert added(f"include=a&limit={limit}", EXTRA) == units
    encoded = "".join(f"%{byte:02x}" for byte in limit.encode())
    assert added(f"lim%69t={encoded}&include=a,b", EXTRA) == 2 * units
    assert added(f"count=exact&limit={limit}", EXTRA) == 4
