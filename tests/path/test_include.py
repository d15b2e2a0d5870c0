"""`include`: related rows in the same answer, each as its own list would show it, and never more."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.path.related import MANY, api, seed
from tests.unit.openapi.documents import Reader

from tests import stores
from vallum import defaults
from vallum.execute import listing
from vallum.testing import Answer, Client

As = Callable[[str], Client]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, store: str) -> Path:
    """The seeded data; tests that change something undo it."""
    data = tmp_path_factory.mktemp("related") / "data"
    stores.create(api, data, seed=seed, store=store)
    return data


@pytest.fixture(scope="module")
def client(filled: Path) -> Iterator[As]:
    """`client("hal")` calls the API as that account."""
    clients: dict[str, Client] = {}
    with ExitStack() as stack:

        def of(name: str) -> Client:
            if name not in clients:
                clients[name] = stack.enter_context(stores.client(api, name, filled))
            return clients[name]

        yield of


def got(answer: Answer) -> Any:
    """The JSON of a 200."""
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(answer: Answer) -> list[tuple[str, str]]:
    """Pointer and code of each fault of a 400."""
    assert answer.status_code == 400, answer.text
    return [(fault["pointer"], fault["code"]) for fault in answer.json()["errors"]]


def test_one_and_many(client: As) -> None:
    """A row has what belongs to it under the relation's name, behind its own members, as the target's list shows it."""
    found = got(client("hal").get("/pupils/2?include=room,grades"))
    assert list(found)[-2:] == ["room", "grades"]
    assert found["room"] == got(client("hal").get("/rooms/2"))
    assert found["grades"] == {"items": got(client("hal").get("/grades?pupil_id=2"))["items"], "next": None}
    assert [row["id"] for row in found["grades"]["items"]] == [31, 33]


def test_a_list_has_it_in_every_row(client: As) -> None:
    """One answer holds for each row what the item holds; filters, sorts and cursors are those of the list."""
    page = got(client("hal").get("/pupils?include=room,grades.course&limit=3&sort=-name&count=exact"))
    assert [row["name"] for row in page["items"]] == ["Zoe", "Lou", "Cid"]
    assert page["count"] == 6
    for row in page["items"]:
        assert row == got(client("hal").get(f"/pupils/{row['id']}?include=grades.course,room"))
    rest = got(client("hal").get(f"/pupils?include=room&limit=3&sort=-name&after={page['next']}"))
    assert [(row["name"], row["room"]["name"]) for row in rest["items"]] == [
        ("Bob", "North"),
        ("Bea", "South"),
        ("Ada", "North"),
    ]


def test_pages_go_on(client: As) -> None:
    """`next` is the address of the same relation of that row, page by page, each row once; relations behind it come along."""
    seen: list[Any] = []
    found: Any = None
    address, pages = "/pupils/1?include=grades.course", 0
    while address is not None:
        found = got(client("hal").get(address))
        seen += found["grades"]["items"]
        address, pages = found["grades"]["next"], pages + 1
    assert pages == 3
    assert [row["id"] for row in seen] == list(range(1, MANY + 1))
    assert seen[-1]["course"]["title"] == "Sums"


def test_a_page_inside_a_list_goes_on_too(client: As) -> None:
    """Wherever in the answer a page ends, its address leads to the row around it, whose key may be of several parts."""
    course = got(client("hal").get("/courses?include=grades.pupil.room"))["items"][0]
    assert course["code"] == "a,b"
    assert course["grades"]["items"][0]["pupil"]["room"]["name"] == "North"
    address = course["grades"]["next"]
    assert address.startswith("/courses/2026,a%2Cb?include=grades.pupil.room&after=")
    found = got(client("hal").get(address))
    assert [row["id"] for row in found["grades"]["items"]] == list(range(11, 21))
    assert found["grades"]["items"][0]["pupil"]["room"]["name"] == "North"
    deep = got(client("hal").get("/grades/31?include=pupil.clubs"))
    assert deep["pupil"]["clubs"]["next"] is None


def test_a_page_of_exactly_ten_ends(client: As) -> None:
    """The eleventh row is what makes a page go on."""
    address = got(client("hal").get("/pupils/1?include=clubs"))["clubs"]["next"]
    assert len(got(client("hal").get(address))["clubs"]["items"]) == 2
    tess = got(client("tess").get("/pupils/1?include=clubs"))["clubs"]
    assert (len(tess["items"]), tess["next"]) == (10, None)


# What is not shown ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["hal", "tess", "grete", "both"])
def test_included_is_what_the_own_list_shows(client: As, name: str) -> None:
    """For several rules, masks and denies: the caller's own list of the target, filtered by the key, page for page."""
    for row in got(client(name).get("/pupils?include=grades"))["items"]:
        seen, page = [], row["grades"]
        while True:
            seen += page["items"]
            if page["next"] is None:
                break
            page = got(client(name).get(page["next"]))["grades"]
        assert seen == got(client(name).get(f"/grades?limit=100&pupil_id={row['id']}"))["items"]


def test_an_invisible_row_is_none(client: As) -> None:
    """A room of another school, one that no rule shows, a friend who is gone, and no room at all look the same."""
    hal = {row["name"]: row for row in got(client("hal").get("/pupils?include=room,friend"))["items"]}
    assert hal["Zoe"]["room"] is None
    assert hal["Zoe"]["friend"] is None
    assert hal["Lou"]["room"] is None
    assert hal["Cid"]["room"]["name"] == "Attic"
    tess = got(client("both").get("/pupils/4?include=room"))
    assert (tess["room_id"], tess["room"]) == (3, None)


def test_rows_of_others_do_not_come_along(client: As) -> None:
    """Deleted rows and those of another tenant are in no list, even where they point to a row that is."""
    ada = got(client("hal").get("/pupils/1?include=admirers"))
    assert [row["name"] for row in ada["admirers"]["items"]] == ["Bea", "Cid"]
    una = got(client("hugo").get("/pupils?include=room,friend,grades"))["items"]
    assert [(row["name"], row["room"], row["friend"], row["grades"]["items"]) for row in una] == [
        ("Una", None, None, [])
    ]


def test_hidden_fields_are_null(client: As) -> None:
    """A field that some rule shows and none does in this row is null, inside as outside."""
    room = got(client("tess").get("/pupils/1?include=room"))["room"]
    assert room == {"id": 1, "name": "North", "code": "n"}
    both = got(client("both").get("/pupils/2?include=room"))["room"]
    assert both == {"id": 2, "name": None, "code": None}


def test_a_hidden_relation_matches_nothing(client: As) -> None:
    """Where the row does not show its foreign key, nothing hangs on it; where a target hides its own, it is not found."""
    bea = got(client("tess").get("/pupils/2?include=room,grades"))
    assert (bea["room_id"], bea["room"]) == (None, None)
    # Grade 33 is visible to Tess, but not whose it is.
    assert [row["id"] for row in bea["grades"]["items"]] == [31]
    assert 33 in [row["id"] for row in got(client("tess").get("/grades?limit=100"))["items"]]


def test_many_to_many_goes_by_the_rows_between(client: As) -> None:
    """Who is where is told by the rules of the table between: a quiet membership relates nobody for a teacher."""
    hal = got(client("hal").get("/pupils/1?include=clubs"))["clubs"]["items"]
    assert [(row["id"], row["secret"]) for row in hal[:3]] == [(1, False), (2, None), (3, False)]
    tess = got(client("tess").get("/pupils/1?include=clubs"))["clubs"]["items"]
    assert [row["id"] for row in tess] == [1, *range(4, 13)]
    back = got(client("hal").get("/clubs/1?include=pupils"))["pupils"]["items"]
    assert [row["name"] for row in back] == ["Ada", "Bea"]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("hal", "nothing"),
        ("hal", "name"),
        ("hal", "grades.nothing"),
        ("hal", "best"),  # a condition of its own
        ("hal", "odd"),
        ("hal", "later"),
        ("carl", "mates"),  # the key is hidden
        ("hal", "prizes"),  # a table between that no rule opens
        ("finn", "room"),  # a target that this caller may not read
        ("finn", "grades"),
        ("grete", "clubs"),  # a table between that this caller may not read
        ("cleo", "room"),  # the foreign key is hidden
        ("cleo", "grades"),  # the target's foreign key is hidden
        ("cleo", "clubs"),
    ],
)
def test_what_may_not_be_followed_does_not_exist(client: As, name: str, path: str) -> None:
    """The same bytes as for a word that means nothing, on lists and items."""
    for place in ("/pupils", "/pupils/1"):
        answer = client(name).get(f"{place}?include={path}")
        nonsense = client(name).get(f"{place}?include={'.'.join(['zzz'] * (path.count('.') + 1))}")
        told = {k: v for k, v in answer.json().items() if k != "request_id"}
        expected = {k: v for k, v in nonsense.json().items() if k != "request_id"}
        fault = expected["errors"][0]
        assert fault["detail"].startswith("There is no relation zzz")
        fault["detail"] = fault["detail"].replace("zzz.zzz", path).replace("zzz", path)
        assert answer.status_code == 400
        assert told == expected
        assert refused(answer) == [("#query/include", "unknown_field")]


def test_a_cursor_is_the_caller_s_the_row_s_and_the_relation_s(client: As) -> None:
    """Elsewhere it is a 400."""
    address = got(client("hal").get("/pupils/1?include=grades"))["grades"]["next"]
    after = address.rpartition("after=")[2]
    assert client("hal").get(address).status_code == 200
    assert client("both").get(address).json()["code"] == "cursor_invalid"
    for other in (
        f"/pupils/2?include=grades&after={after}",
        f"/pupils/1?include=clubs&after={after}",
        f"/pupils?after={after}",
        f"/grades?pupil_id=1&after={after}",
        f"/pupils/1?include=grades&after={after[:-1]}",
    ):
        assert client("hal").get(other).json()["code"] == "cursor_invalid", other
    listed = got(client("hal").get("/grades?pupil_id=1"))["next"]
    assert client("hal").get(f"/pupils/1?include=grades&after={listed}").json()["code"] == "cursor_invalid"


# Shapes and bounds ---------------------------------------------------------------------------


def test_itself_and_round_in_circles(client: As) -> None:
    """A relation to the same table, and one back to where it came from, compare with the row around them and no other."""
    bob = got(client("hal").get("/pupils/3?include=friend.friend.admirers"))
    assert (bob["friend"]["name"], bob["friend"]["friend"]["name"]) == ("Bea", "Ada")
    assert [row["id"] for row in bob["friend"]["friend"]["admirers"]["items"]] == [2, 4]
    lou = got(client("hal").get("/pupils/8?include=friend.friend,admirers"))
    assert (lou["friend"]["friend"]["id"], [row["id"] for row in lou["admirers"]["items"]]) == (8, [8])
    ada = got(client("hal").get("/pupils/1?include=mates"))
    assert [row["name"] for row in ada["mates"]["items"]] == ["Ada", "Bob"]
    round_ = got(client("hal").get("/pupils/3?include=room.pupils.room"))
    assert [(row["name"], row["room"]["name"]) for row in round_["room"]["pupils"]["items"]] == [
        ("Ada", "North"),
        ("Bob", "North"),
    ]


def test_fields_choose_among_the_row_s_own(client: As) -> None:
    """What is included stays, and the entity tag is of all of it; a relation is not a field."""
    part, whole = (client("hal").get(f"/pupils/1?{fields}include=room") for fields in ("fields=name&", ""))
    found = got(part)
    assert list(found) == ["name", "room"]
    assert found == {name: got(whole)[name] for name in found}
    assert part.headers["etag"] == whole.headers["etag"] != client("hal").get("/pupils/1?fields=name").headers["etag"]
    (first, *_) = got(client("hal").get("/pupils?fields=name&include=room&limit=1"))["items"]
    assert first == found
    assert refused(client("hal").get("/pupils?fields=room")) == [("#query/fields", "unknown_field")]


def test_the_tag_changes_with_what_is_included(client: As) -> None:
    """An included row is part of the representation; a write asks for the tag of the plain one."""
    path = "/pupils/2?include=grades.course"
    before = client("hal").get(path)
    assert client("hal").get(path, headers={"if-none-match": before.headers["etag"]}).status_code == 304
    plain = client("hal").get("/pupils/2").headers["etag"]
    changed = client("hal").request("PATCH", "/grades/31", json={"value": 5}, headers={"if-match": "*"})
    assert changed.status_code == 200
    after = client("hal").get(path, headers={"if-none-match": before.headers["etag"]})
    assert (after.status_code, after.headers["etag"] == before.headers["etag"]) == (200, False)
    assert client("hal").get("/pupils/2").headers["etag"] == plain
    patch = {"notes": "Bea!"}
    stale = client("hal").request("PATCH", "/pupils/2", json=patch, headers={"if-match": before.headers["etag"]})
    assert stale.status_code == 412
    assert client("hal").request("PATCH", "/pupils/2", json=patch, headers={"if-match": plain}).status_code == 200
    client("hal").request("PATCH", "/grades/31", json={"value": 6}, headers={"if-match": "*"})


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("include=", ("#query/include", "name")),
        ("include=grades,", ("#query/include", "name")),
        ("include=grades..course", ("#query/include", "name")),
        ("include=grades,grades", ("#query/include", "repeated")),
        ("include=friend.friend.friend.friend", ("#query/include", "too_deep")),
        ("include=room.pupils.room,friend.room.pupils,grades.course,clubs,admirers", ("#query/include", "too_many")),
        ("include=grades&limit=100&sort=nothing", ("#query/sort", "unknown_field")),
        ("include=room.pupils.grades&limit=25", ("#query/include", "too_many")),
        ("include[in]=grades", ("#query/include[in]", "reserved")),
    ],
)
def test_faulty(client: As, query: str, fault: tuple[str, str]) -> None:
    """Each is a clear 400."""
    assert refused(client("hal").get(f"/pupils?{query}")) == [fault]


def test_included_rows_are_bounded(client: As) -> None:
    """As many as 2,500 may be included: 22 rows with one list in a list, and no 23rd."""
    assert client("hal").get("/pupils?include=room.pupils.grades&limit=22").status_code == 200
    detail = client("hal").get("/pupils?include=room.pupils.grades&limit=23").json()["errors"][0]["detail"]
    assert "2500 included rows" in detail
    assert "2553" in detail


@pytest.mark.parametrize("query", ["after=x", "include=room&after=x", "include=grades,clubs&after=x"])
def test_after_goes_with_one_list(client: As, query: str) -> None:
    """An item has no page of its own."""
    assert refused(client("hal").get(f"/pupils/1?{query}")) == [("#query/after", "unknown_parameter")]


def test_each_relation_costs(client: As) -> None:
    """Two units for each unless the author says otherwise, on lists and items, whatever comes of it."""
    fred = client("fred")

    def used(path: str) -> int:
        left = got(fred.get("/limits"))["policies"][0]["remaining"]
        fred.get(path)
        return int(left - got(fred.get("/limits"))["policies"][0]["remaining"])

    assert used("/pupils?include=friend") == 3
    assert used("/pupils/1?include=friend.friend,admirers") == 7
    assert used("/pupils/1?%69nclude=friend%2Cadmirers") == 5
    assert used("/pupils/1?include=nothing") == 3
    assert used("/pupils/1") == 1


def test_texts_come_to_the_letter(client: As) -> None:
    """Quotes, backslashes and control characters inside are escaped once, as in the row's own answer."""
    found = client("hal").get("/pupils/1?include=grades")
    first = got(client("hal").get("/grades/1"))
    assert first["remark"] == '"1"\\\x1e\x1f'
    assert found.json()["grades"]["items"][0] == first
    assert json.dumps(first["remark"]) in found.text


# The document ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["hal", "tess", "grete", "finn", "cleo", "carl"])
def test_the_document_names_what_may_be_included(client: As, name: str) -> None:
    """Names from all over its list are answered as it says; any other word is refused."""
    reader = Reader(got(client(name).get("/openapi.json")))
    for path, method, _ in reader.operations():
        if method != "GET" or path.count("{") or path == "/limits":
            continue
        parameters = reader.parameters(path, method)
        names = parameters["include"]["schema"]["items"]["enum"] if "include" in parameters else []
        schema = reader.answer(path, method, 200)
        for include in names[:: 1 + len(names) // 30]:
            answer = client(name).get(f"{path}?include={include}&limit=2")
            assert answer.status_code == 200, (path, include, answer.text)
            assert reader.errors(schema, answer.json()) == [], (path, include)
        assert client(name).get(f"{path}?include=name").status_code == 400


def test_the_document_lists_exactly_these(client: As) -> None:
    """Relations, and those behind them, as far as each caller may follow; an item takes `after` where it has any."""

    def names(name: str, path: str) -> list[str]:
        parameters = Reader(got(client(name).get("/openapi.json"))).parameters(path, "GET")
        assert ("after" in parameters) == ("include" in parameters) or path.count("{") == 0
        return sorted(n for n in parameters["include"]["schema"]["items"]["enum"]) if "include" in parameters else []

    assert names("carl", "/pupils/{id}") == []
    assert names("finn", "/pupils/{id}") == sorted(
        ".".join(chain)
        for depth in (1, 2, 3)
        for chain in itertools.product(("friend", "admirers", "mates"), repeat=depth)
    )
    grades = names("grete", "/grades")
    assert {"pupil", "course", "pupil.friend.grades"} <= {*grades}
    assert not any("clubs" in each or "room" in each for each in grades)


def test_an_item_s_answer_is_what_the_document_says(client: As) -> None:
    """With a list inside a list, and the address of the next page."""
    reader = Reader(got(client("hal").get("/openapi.json")))
    schema = reader.answer("/courses/{year},{code}", "GET", 200)
    found = got(client("hal").get("/courses/2026,a%2Cb?include=grades.pupil.admirers"))
    assert found["grades"]["next"] is not None
    assert reader.errors(schema, found) == []
    found["grades"]["pupil"] = 1
    assert reader.errors(schema, found) != []


def test_a_page_ends_where_its_bytes_do(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is included counts: rows that alone would fit are given a few at a time, and none is lost."""
    monkeypatch.setattr(defaults, "PAGE_BYTES", 1_200)
    monkeypatch.setattr(listing, "may_exceed_page", lambda *_: False)
    with stores.client(api, "hal", filled) as hal:
        assert len(got(hal.get("/pupils"))["items"]) == 6
        seen, page = [], got(hal.get("/pupils?include=grades,clubs"))
        assert 0 < len(page["items"]) < 6
        seen += page["items"]
        while page["next"] is not None:
            page = got(hal.get(f"/pupils?include=grades,clubs&after={page['next']}"))
            seen += page["items"]
        assert [row["name"] for row in seen] == ["Ada", "Bea", "Bob", "Cid", "Zoe", "Lou"]
