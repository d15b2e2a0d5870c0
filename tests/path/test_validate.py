"""Stage 5 through the whole path: what is said about a query, a cursor, a precondition, a body."""

from __future__ import annotations

import base64
import json
import operator
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
from pydantic import BaseModel
from tests.path.small import NOON, Clock
from tests.path.wide import FILTERED, ROWS, api, seed, stream, texts

from tests import stores
from vallum import API, Call, allow, defaults
from vallum.testing import Answer, Client, create_database

As = Callable[[str | None], Client]
Faults = set[tuple[str, str]]

JSON: Final = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, store: str) -> Path:
    """One directory for all: these tests leave no row behind, or take their own."""
    data = tmp_path_factory.mktemp("wide") / "data"
    stores.create(api, data, seed=seed, clock=lambda: NOON - 86_400, store=store)
    return data


@pytest.fixture(scope="module")
def client(data: Path) -> Iterator[As]:
    """`client("rosa")`; made once for each name."""
    made: dict[str | None, Client] = {}
    with ExitStack() as stack:

        def of(name: str | None) -> Client:
            if name not in made:
                made[name] = stack.enter_context(stores.client(api, name, data, Clock()))
            return made[name]

        yield of


def problem(answer: Answer, status: int, code: str) -> Any:
    """The problem document of a refusal."""
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    return answer.json()


def faults(answer: Answer, status: int = 400, code: str = "query_invalid") -> Faults:
    """Pointer and code of each fault."""
    return {(fault["pointer"], fault["code"]) for fault in problem(answer, status, code)["errors"]}


def ids(answer: Answer) -> list[int]:
    """The keys of a page."""
    assert answer.status_code == 200, answer.text
    return [row["id"] for row in answer.json()["items"]]


# Query ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "pointer", "code"),
    [
        ("limit=0", "limit", "range"),
        ("limit=101", "limit", "range"),
        ("limit=01", "limit", "range"),
        ("limit=+1", "limit", "range"),
        ("limit=", "limit", "range"),
        ("limit[gt]=1", "limit[gt]", "reserved"),
        ("after=", "after", "length"),
        (f"after={'x' * 2049}", "after", "length"),
        ("count=planned", "count", "choice"),
        ("count=", "count", "choice"),
        ("sort=", "sort", "name"),
        ("sort=text,-text", "sort", "repeated"),
        ("sort=text,whole,small,big", "sort", "too_many"),
        ("sort=doc", "sort", "not_sortable"),
        ("sort=blob", "sort", "not_sortable"),
        ("sort=nope", "sort", "unknown_field"),
        ("fields=", "fields", "name"),
        ("fields=id,id", "fields", "repeated"),
        ("fields=id,nope", "fields", "unknown_field"),
        ("include=anything", "include", "unknown_field"),
        ("nope=1", "nope", "unknown_field"),
        ("id=1", "id", "not_filterable"),
        ("text[like]=a", "text", "unknown_operator"),
        ("text[]=a", "text", "unknown_operator"),
        ("text[ne", "text", "malformed"),
        ("text=a&text=b", "text", "repeated"),
        ("text", "text", "malformed"),
        ("text=%ff", "text", "encoding"),
        ("text=%00", "text", "encoding"),
        ("text=%zz", "text", "encoding"),
        ("text[isnull]=1", "text[isnull]", "choice"),
        ("text[contains]=", "text[contains]", "length"),
        (f"text[startswith]={'x' * 101}", "text[startswith]", "length"),
        (f"text={'x' * 41}", "text", "value"),
        ("text[in]=a\\b", "text[in]", "escape"),
        (f"whole[in]={','.join(['1'] * 101)}", "whole[in]", "too_many"),
        ("whole=2147483648", "whole", "value"),
        ("whole=1.0", "whole", "value"),
        ("small=32768", "small", "value"),
        ("big=9223372036854775808", "big", "value"),
        ("ratio=NaN", "ratio", "value"),
        ("ratio=1e999", "ratio", "value"),
        ("price=1e2", "price", "value"),
        ("flag=1", "flag", "value"),
        ("day=2026-02-30", "day", "value"),
        ("instant=2026-01-01T00:00:00", "instant", "value"),
        ("local=2026-01-01T00:00:00Z", "local", "value"),
        ("hour=24:00:00", "hour", "value"),
        ("ident=1", "ident", "value"),
        ("colour=RED", "colour", "value"),
        ("state=OPEN", "state", "value"),
        ("word=oak", "word", "value"),
        ("blob=*", "blob", "value"),
    ],
)
def test_each_fault_of_a_query(client: As, query: str, pointer: str, code: str) -> None:
    """A faulty parameter is refused by a pointer to it and a word."""
    assert (f"#query/{pointer}", code) in faults(client("rosa").get(f"/things?{query}"))


def test_all_faults_of_a_query_at_once(client: As) -> None:
    """Each parameter's fault is in one answer, whether it is of the grammar or of the columns."""
    query = "limit=0&count=all&sort=nope&fields=zzz&nope=1&day=soon&text[like]=a&id=1"
    assert faults(client("rosa").get(f"/things?{query}")) == {
        ("#query/limit", "range"),
        ("#query/count", "choice"),
        ("#query/sort", "unknown_field"),
        ("#query/fields", "unknown_field"),
        ("#query/nope", "unknown_field"),
        ("#query/day", "value"),
        ("#query/text", "unknown_operator"),
        ("#query/id", "not_filterable"),
    }


@pytest.mark.parametrize("query", ["{}=s1", "{}[in]=s1", "{}[isnull]=true", "sort={}", "sort=-{}", "fields=id,{}"])
@pytest.mark.parametrize("path", ["/things"])
def test_a_hidden_field_is_an_unknown_one(client: As, path: str, query: str) -> None:
    """Naming a field that no rule grants gives the answer that a field which does not exist gives."""
    hidden = client("rosa").get(f"{path}?{query.format('secret')}")
    unknown = client("rosa").get(f"{path}?{query.format('sicret')}")
    assert hidden.status_code == unknown.status_code == 400
    assert hidden.json()["errors"] == json.loads(unknown.text.replace("sicret", "secret"))["errors"]
    assert client("adam").get(f"{path}?{query.format('secret')}").status_code == 200


def test_queries_where_none_is_taken(client: As) -> None:
    """An item takes `fields` only, a write nothing at all, not even a known parameter."""
    assert faults(client("wim").get("/things/1?limit=1&zzz=2")) == {
        ("#query/limit", "unknown_parameter"),
        ("#query/zzz", "unknown_parameter"),
    }
    assert faults(client("wim").get("/things/1?fields=id,secret&limit=1")) == {
        ("#query/fields", "unknown_field"),
        ("#query/limit", "unknown_parameter"),
    }
    for method, path in (("POST", "/things"), ("PATCH", "/things/1"), ("POST", "/parcels/1/send"), ("POST", "/ping")):
        answer = client("wim").request(method, f"{path}?fields=id", headers={"if-match": "*"})
        assert faults(answer) == {("#query/fields", "unknown_parameter")}


def test_limits_of_a_page(client: As) -> None:
    """From 1 to 100 rows; 10 when nothing is said, which five rows do not show, so one is asked for."""
    reader = client("rosa")
    assert ids(reader.get("/things?limit=1")) == [1]
    assert ids(reader.get(f"/things?limit={defaults.PAGE_MAX}")) == [1, 2, 3, 4, 5]
    assert reader.get("/things?limit=1").json()["next"] is not None
    assert reader.get("/things?limit=5").json()["next"] is None


def test_chosen_fields(client: As) -> None:
    """`fields` shows exactly these, in the resource's order, in a list and in an item."""
    assert client("rosa").get("/things?fields=whole,id&limit=1").json()["items"] == [{"id": 1, "whole": -5}]
    assert client("rosa").get("/things/1?fields=whole,id").json() == {"id": 1, "whole": -5}


def test_exact_count(client: As) -> None:
    """The count is of all rows that match and are visible, on each page the same, and absent when not asked for."""
    first = client("rosa").get("/things?count=exact&whole=7&limit=1").json()
    assert (first["count"], [row["id"] for row in first["items"]]) == (2, [3])
    second = client("rosa").get(f"/things?count=exact&whole=7&limit=1&after={first['next']}").json()
    assert (second["count"], [row["id"] for row in second["items"]]) == (2, [4])
    assert client("rosa").get("/things?count=exact&whole=8").json() == {"items": [], "next": None, "count": 0}
    assert "count" not in client("rosa").get("/things").json()
    assert client("paul").get("/things?count=exact").json()["count"] == 3


# Filters --------------------------------------------------------------------------------

COMPARE: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "ne": operator.ne,
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
}
ORDERED: Final = {"lt", "lte", "gt", "gte"}
TEXT: Final = {"text", "prose"}
UNORDERED: Final = {"flag", "colour", "state", "word", "blob", "doc"}


def wire(value: Any) -> str:
    """A value in a query, percent-encoded."""
    return quote(base64.b64encode(value).decode() if isinstance(value, bytes) else texts(value), safe="")


@pytest.mark.parametrize("name", [name for name in FILTERED if name != "doc"])
def test_equality_and_membership(client: As, name: str) -> None:
    """`=`, `[ne]` and `[in]` find what Python finds, for each value of the column; NULL is never found by either."""
    reader = client("rosa")
    for probe in (row[name] for row in ROWS[:3]):
        known = [(row["id"], row.get(name)) for row in ROWS if row.get(name) is not None]
        equal = [key for key, value in known if value == probe]
        assert ids(reader.get(f"/things?{name}={wire(probe)}")) == equal
        assert ids(reader.get(f"/things?{name}[ne]={wire(probe)}")) == [k for k, _ in known if k not in equal]
    several = [ROWS[0][name], ROWS[2][name]]
    members = [row["id"] for row in ROWS if row.get(name) is not None and row[name] in several]
    # Inside [in] a comma and a backslash of a value are escaped.
    listed = ",".join(wire(texts_of(v).replace("\\", "\\\\").replace(",", "\\,")) for v in several)
    assert ids(reader.get(f"/things?{name}[in]={listed}")) == members


def texts_of(value: Any) -> str:
    """A value as text, bytes in base64."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else texts(value)


@pytest.mark.parametrize("name", FILTERED)
@pytest.mark.parametrize("word", sorted(ORDERED))
def test_comparison(client: As, name: str, word: str) -> None:
    """Each ordered type is compared as Python compares; one without an order has no such operator."""
    reader = client("rosa")
    if name in UNORDERED:
        probe = "x" if name == "doc" else wire(ROWS[0][name])
        assert faults(reader.get(f"/things?{name}[{word}]={probe}")) == {(f"#query/{name}[{word}]", "value")}
        return
    for probe in (row[name] for row in ROWS[:3]):
        wanted = [r["id"] for r in ROWS if r.get(name) is not None and COMPARE[word](r[name], probe)]
        assert ids(reader.get(f"/things?{name}[{word}]={wire(probe)}")) == wanted


@pytest.mark.parametrize("name", FILTERED)
def test_null(client: As, name: str) -> None:
    """`[isnull]` parts the rows in two, for every type."""
    without = [row["id"] for row in ROWS if row.get(name) is None]
    assert ids(client("rosa").get(f"/things?{name}[isnull]=true")) == without
    assert ids(client("rosa").get(f"/things?{name}[isnull]=false")) == [n for n in range(1, 6) if n not in without]


@pytest.mark.parametrize("name", FILTERED)
def test_patterns(client: As, name: str) -> None:
    """`[contains]` and `[startswith]` heed case, take no wildcard, and are for text only."""
    reader = client("rosa")
    if name not in TEXT:
        for word in ("contains", "startswith"):
            assert faults(reader.get(f"/things?{name}[{word}]=1")) == {(f"#query/{name}[{word}]", "value")}
        return
    for piece in ("e", "Z", "z", "Ä", "one", "%", "_", "\\", "two", "O"):
        held = [(row["id"], row[name]) for row in ROWS if row.get(name)]
        code = quote(piece)
        assert ids(reader.get(f"/things?{name}[contains]={code}")) == [k for k, v in held if piece in v]
        assert ids(reader.get(f"/things?{name}[startswith]={code}")) == [k for k, v in held if v.startswith(piece)]


def test_a_field_hidden_in_a_row_never_matches(client: As) -> None:
    """`price` of row 1 is not for a partial reader: no filter finds the row by it, not even `isnull`."""
    part = client("paul")
    assert [(row["id"], row["price"]) for row in part.get("/things").json()["items"]] == [
        (1, None),
        (3, "9999999999.99"),
        (4, "0.10"),
    ]
    assert ids(part.get("/things?price=-1.50")) == []
    assert ids(part.get("/things?price[isnull]=true")) == []
    assert ids(part.get("/things?price[ne]=7.00")) == [3, 4]
    assert faults(part.get("/things?sort=price")) == {("#query/sort", "not_sortable")}


@pytest.mark.parametrize("name", [name for name in FILTERED if name not in {"doc", "blob"}])
@pytest.mark.parametrize("limit", [1, 2, 5])
def test_sorted_pages(client: As, name: str, limit: int) -> None:
    """Every type in both directions, page by page: NULLs last, the key decides among equals, nothing twice or lost."""
    for down in (False, True):
        held = [row for row in ROWS if row.get(name) is not None]
        nulls = [row for row in ROWS if row.get(name) is None]
        wanted = sorted(held, key=lambda r: (stored(r[name]), r["id"]), reverse=down) + sorted(
            nulls, key=lambda r: r["id"], reverse=down
        )
        found: list[int] = []
        after = ""
        for _ in range(len(ROWS) + 1):
            page = client("rosa").get(f"/things?sort={'-' if down else ''}{name}&limit={limit}{after}")
            found += ids(page)
            if page.json()["next"] is None:
                break
            after = f"&after={page.json()['next']}"
        assert found == [row["id"] for row in wanted]


def stored(value: Any) -> Any:
    """What a column is ordered by: an enumeration by the word that is stored."""
    if hasattr(value, "name") and hasattr(value, "value"):
        return value.name if value.name.title() in {"Red", "Blue", "Green"} else value.value
    return value


# Cursors --------------------------------------------------------------------------------


def cursor(reader: Client, query: str = "") -> str:
    """The cursor of a first page of one row."""
    found = reader.get(f"/things?limit=1{query}").json()["next"]
    assert isinstance(found, str)
    return found


def test_next_page(client: As) -> None:
    """A cursor and the Link of its page lead to the same next one; the limit may change on the way."""
    reader = client("rosa")
    first = reader.get("/things?limit=2&fields=id")
    token = first.json()["next"]
    assert ids(reader.get(f"/things?limit=2&after={token}")) == [3, 4]
    assert ids(reader.get(f"/things?limit=5&after={token}")) == [3, 4, 5]
    link = first.headers["link"]
    assert link == f'<https://testserver/things?limit=2&fields=id&after={token}>; rel="next"'
    assert "secret" not in token


def test_a_cursor_is_bound(client: As) -> None:
    """Another caller, filter, sort or list does not open it, nor does a caller without the right."""
    reader = client("rosa")
    token = cursor(reader)
    for other in (
        client("rolf").get(f"/things?after={token}"),
        reader.get(f"/things?after={token}&whole[gt]=0"),
        reader.get(f"/things?after={token}&sort=id"),
        reader.get(f"/things?after={token}&sort=-id"),
        reader.get(f"/parcels?after={token}"),
    ):
        problem(other, 400, "cursor_invalid")
    filtered = cursor(reader, "&whole[gte]=0")
    problem(reader.get(f"/things?after={filtered}&whole[gte]=1"), 400, "cursor_invalid")
    problem(reader.get(f"/things?after={filtered}&whole[gt]=0"), 400, "cursor_invalid")
    assert ids(reader.get(f"/things?after={filtered}&whole[gte]=0")) == [3, 4]


def test_a_changed_cursor(client: As) -> None:
    """Any byte changed, cut or added makes it another's."""
    reader = client("rosa")
    token = cursor(reader)
    for index in range(len(token)):
        other = "A" if token[index] != "A" else "B"
        problem(reader.get(f"/things?after={token[:index]}{other}{token[index + 1 :]}"), 400, "cursor_invalid")
    for text in (token[:-1], token[1:], token + "A", token + "=", token[: len(token) // 2], "A", token * 2):
        problem(reader.get(f"/things?after={quote(text)}"), 400, "cursor_invalid")


def test_a_cursor_of_another_deployment(client: As, tmp_path: Path) -> None:
    """The same API with the same rows under another secret does not take it."""
    create_database(api, tmp_path / "data", seed=seed, clock=lambda: NOON - 86_400)
    with Client(api, as_="rosa", data=tmp_path / "data", clock=Clock()) as elsewhere:
        token = cursor(elsewhere)
        assert ids(elsewhere.get(f"/things?limit=1&after={token}")) == [2]
    problem(client("rosa").get(f"/things?limit=1&after={token}"), 400, "cursor_invalid")


# Preconditions --------------------------------------------------------------------------


def test_a_change_needs_a_precondition(client: As) -> None:
    """A PATCH without If-Match is 428, before its body is read."""
    problem(client("wim").request("PATCH", "/things/1", content=b"{"), 428, "precondition_required")


@pytest.mark.parametrize("value", ["abc", '"abc', '"a" "b"', '*, "a"', ",", "", '"a"b', "W/abc", '"é"'])
def test_malformed_preconditions(client: As, value: str) -> None:
    """What is no list of entity tags is refused wherever it stands; one that is no ASCII already at the edge."""
    code = "precondition_malformed" if value.isascii() else "request_malformed"
    problem(client("wim").patch("/things/1", json={}, headers={"if-match": value}), 400, code)
    problem(client("wim").get("/things/1", headers={"if-none-match": value}), 400, code)


@pytest.mark.parametrize(
    ("method", "path", "header"),
    [
        ("POST", "/ping", "if-match"),
        ("POST", "/parcels/1/send", "if-match"),
        ("POST", "/parcels/1/send", "if-none-match"),
        ("POST", "/things", "if-none-match"),
        ("PATCH", "/things/1", "if-none-match"),
    ],
)
def test_preconditions_that_are_not_looked_at(client: As, method: str, path: str, header: str) -> None:
    """They are refused on a write: whoever sends one believes that it keeps the write from happening."""
    headers = {"if-match": "*"} if method == "PATCH" else {}
    content = b"{}" if "things" in path else b""
    answer = client("wim").request(method, path, content=content, headers={**headers, header: '"x"'})
    problem(answer, 400, "precondition_malformed")


def test_a_weak_tag_never_matches_a_write(client: As) -> None:
    """If-Match compares strongly (RFC 9110 §13.1.1), If-None-Match weakly (§13.1.2)."""
    tag = client("wim").get("/things/1").headers["etag"]
    problem(client("wim").patch("/things/1", json={"text": "x"}, headers={"if-match": f"W/{tag}"}), 412, "stale")
    assert client("wim").get("/things/1", headers={"if-none-match": f"W/{tag}"}).status_code == 304


# Bodies ---------------------------------------------------------------------------------


def post(writer: Client, body: bytes, path: str = "/things") -> Answer:
    """A POST of these bytes."""
    return writer.request("POST", path, content=body, headers=JSON)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"{}x",
        b"{'a': 1}",
        b'{"text": NaN}',
        b'{"ratio": Infinity}',
        b'{"ratio": -Infinity}',
        b'{"ratio": 1e999}',
        b'{"text": "\\ud800"}',
        b'{"text": "\\udc00\\ud800"}',
        b'{"text": "\xff"}',
        b'{"text": "\xed\xa0\x80"}',
        b"\xef\xbb\xbf{}",
        b'{"text": 1,}',
        b'{"whole": 01}',
        b'{"whole": +1}',
        b"\x00",
        b"[" * 40 + b"]" * 40,
        b'{"doc": ' + b'{"a":' * 40 + b"1" + b"}" * 41,
        b'{"text": "a\nb"}',
        b"[" * 100_000,
    ],
)
def test_malformed_json(client: As, body: bytes) -> None:
    """What is no JSON of ours is 400 and names a place, never what was sent."""
    assert "at byte" in problem(post(client("wim"), body), 400, "body_malformed")["detail"]


@pytest.mark.parametrize(
    "body",
    [b'{"text": "a", "text": "b"}', b'{"doc": {"a": 1, "\\u0061": 2}}', b'{"text": "a\\u0000b"}', b'{"\\u0000": 1}'],
)
def test_json_that_could_be_misread(client: As, body: bytes) -> None:
    """A repeated key and NUL, which parsers and stores read differently, are refused by name."""
    answer = post(client("wim"), body)
    assert answer.status_code in {400, 422}
    assert answer.json()["code"] in {"body_malformed", "body_invalid"}
    assert "at byte" in answer.json()["detail"]


def test_an_absent_body(client: As) -> None:
    """A POST and a PATCH without a body are refused as JSON that is not there."""
    problem(client("wim").post("/things"), 400, "body_malformed")
    problem(client("wim").patch("/things/1", headers={"if-match": "*"}), 400, "body_malformed")


def test_a_body_that_is_no_object(client: As) -> None:
    """A resource is an object."""
    for body in (b"true", b"1", b"null", b'"text"'):
        assert faults(post(client("wim"), body), 422, "body_invalid") == {("", "object")}


def test_all_faults_of_a_body_at_once(client: As) -> None:
    """Missing, unknown, of the wrong type, too long, not one of the words: each with its pointer, in one answer."""
    body = {"name": "too long", "colour": "RED", "nope": 1, "a/b~c": 2, "secret": "s"}
    assert faults(client("wim").post("/parcels", json=body), 422, "body_invalid") == {
        ("/name", "length"),
        ("/weight", "required"),
        ("/colour", "choice"),
        ("/nope", "unknown_field"),
        ("/a~1b~0c", "unknown_field"),
        ("/secret", "unknown_field"),
    }
    kinds = {"text": 1, "whole": 1.5, "small": 2**15, "flag": 1, "day": "2026-02-30", "ident": "1", "blob": "*"}
    assert faults(client("wim").post("/things", json=kinds), 422, "body_invalid") == {
        ("/text", "type"),
        ("/whole", "type"),
        ("/small", "range"),
        ("/flag", "type"),
        ("/day", "format"),
        ("/ident", "format"),
        ("/blob", "format"),
    }


def test_a_hidden_field_in_a_body_is_an_unknown_one(client: As) -> None:
    """Writing a field that no rule grants gives the answer that a field which does not exist gives."""
    writer = client("wim")
    for hidden, unknown in (
        (writer.post("/parcels", json={"secret": "s"}), writer.post("/parcels", json={"sicret": "s"})),
        (
            writer.patch("/parcels/1", json={"secret": "s"}, headers={"if-match": "*"}),
            writer.patch("/parcels/1", json={"sicret": "s"}, headers={"if-match": "*"}),
        ),
    ):
        assert (hidden.status_code, unknown.status_code) == (422, 422)
        assert hidden.json()["errors"] == json.loads(unknown.text.replace("sicret", "secret"))["errors"]


def test_a_stranger_learns_nothing_from_a_body(client: As) -> None:
    """Whoever may not create hears 403 or 401, whatever the body is: it is not read."""
    for body in (b"{", b'{"nope": 1}', b'{"name": "a"}'):
        problem(post(client("rosa"), body, "/parcels"), 403, "forbidden")
        problem(post(client(None), body, "/parcels"), 401, "credential_missing")


@pytest.mark.parametrize(("path", "limit"), [("/parcels", 200), ("/things", defaults.MAX_BODY_BYTES)])
def test_a_large_body(client: As, path: str, limit: int) -> None:
    """A route's own limit holds to the byte, declared or streamed; at the limit the body is read."""
    writer = client("wim")
    fits = b'{"nope":"' + b"x" * min(limit - 11, 400_000) + b'"}'
    fits += b" " * (limit - len(fits))
    assert len(fits) == limit
    assert post(writer, fits, path).status_code == 422
    problem(post(writer, fits + b" ", path), 413, "body_too_large")
    chunked = {**JSON, "transfer-encoding": "chunked"}
    pieces = [piece(fits[:100]), piece(fits[100:]), piece(b"", more=False)]
    assert stream(writer, "POST", path, pieces, chunked).status_code == 422
    # No more than what is too much is read: the rest never comes, and the answer is there.
    problem(stream(writer, "POST", path, [piece(fits), piece(b" ")], chunked), 413, "body_too_large")


def piece(body: bytes, *, more: bool = True) -> Mapping[str, object]:
    """An ASGI message with a part of the body."""
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_slow_body(client: As, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that does not arrive in time is a 408; the bound is of the whole, not of a piece."""
    monkeypatch.setattr(defaults, "BODY_SECONDS", 0.01)
    for headers in ({"transfer-encoding": "chunked"}, {"content-length": "5"}):
        answer = stream(client("wim"), "POST", "/things", [piece(b"{")], {**JSON, **headers})
        problem(answer, 408, "request_timeout")


@pytest.mark.parametrize("length", [1, 3, 100])
def test_a_wrong_length(client: As, length: int) -> None:
    """A body longer or shorter than Content-Length says is refused, not cut and not waited for."""
    headers = {**JSON, "content-length": str(length)}
    answer = stream(client("wim"), "POST", "/things", [piece(b"{}", more=False)], headers)
    problem(answer, 400, "request_malformed")


@pytest.mark.parametrize(("path", "before"), [("/things", []), ("/things", [b'{"text":']), ("/ping", [])])
def test_a_body_that_breaks_off(client: As, path: str, before: list[bytes]) -> None:
    """A server that cannot read a chunk says that the client left: it gets our answer, and the journal its line."""
    pieces = [piece(part) for part in before] + [{"type": "http.disconnect"}]
    writer = client("wim")
    problem(stream(writer, "POST", path, pieces, {**JSON, "transfer-encoding": "chunked"}), 400, "request_malformed")
    assert writer._running.journal.passages[-1].refusal is not None


@pytest.mark.parametrize("path", ["/ping", "/parcels/1/send"])
def test_a_body_where_none_is_taken(client: As, path: str) -> None:
    """An action or endpoint that takes no body refuses one, however it is framed; an empty chunked one is none."""
    writer = client("wim")
    assert writer.post(path).status_code == 200
    assert writer.request("POST", path, headers={"content-length": "0"}).status_code == 200
    problem(writer.post(path, json={}), 400, "body_unexpected")
    problem(stream(writer, "POST", path, [], {**JSON, "content-length": "1"}), 400, "body_unexpected")
    chunked = {**JSON, "transfer-encoding": "chunked"}
    problem(stream(writer, "POST", path, [piece(b"{")], chunked), 400, "body_unexpected")
    assert stream(writer, "POST", path, [piece(b"", more=False)], chunked).status_code == 200
    problem(client("rosa").post(path, json={}), 403, "forbidden")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_body_of_a_method_without_one(client: As, method: str) -> None:
    """GET and DELETE take none, whoever asks."""
    for name in ("wim", None):
        problem(client(name).request(method, "/things/1", content=b"{}", headers=JSON), 400, "body_unexpected")


class Ring(BaseModel):
    """Nothing of it must be sent."""

    count: int = 1


class Half(BaseModel):
    """One member must be."""

    a: int
    b: int = 1


def test_no_body_counts_as_an_empty_object(tmp_path: Path) -> None:
    """Without Content-Type, or as an empty chunked one; the same request under its key as one with `{}`."""
    bell = API("Bell", roles=["ringer"])

    @bell.post("/ring", allow("ringer"), body=Ring)
    def ring(call: Call, body: Ring) -> int:
        return body.count

    @bell.post("/half", allow("ringer"), body=Half)
    def half(call: Call, body: Half) -> int:
        return body.a

    bell.accounts.add("rita", roles=["ringer"])
    create_database(bell, tmp_path / "data")
    with Client(bell, as_="rita", data=tmp_path / "data") as rita:
        key = {"idempotency-key": "5f1c3e0e-8d2b-4a83-9a52-0d3b7a7f2d11"}
        assert (rita.post("/ring", headers=key).json(), rita.post("/ring", json={"count": 3}).json()) == (1, 3)
        assert rita.post("/ring", json={}, headers=key).headers["idempotent-replayed"] == "true"
        assert rita.post("/half").json()["code"] == "body_malformed"
        bodies = {p: rita.get("/openapi.json").json()["paths"][p]["post"]["requestBody"] for p in ("/ring", "/half")}
        assert [bodies[path]["required"] for path in ("/ring", "/half")] == [False, True]


# Values ---------------------------------------------------------------------------------


def test_every_type_comes_back_as_it_was_written(client: As) -> None:
    """What a create sends is what its answer, the item and the list show, for each column type."""
    reader, writer = client("rosa"), client("wim")
    for key in (1, 2, 3):
        row = reader.get(f"/things/{key}").json()
        sent = {name: value for name, value in row.items() if name != "id"}
        made = writer.post("/things", json={**sent, "id": 100 + key})
        assert made.status_code == 201, made.text
        assert made.json() == {**row, "id": 100 + key}
        assert reader.get(f"/things/{100 + key}").content == made.content
    row = reader.get("/things/1").json()
    assert (row["price"], row["flag"], row["colour"], row["hour"]) == ("-1.50", True, "red", "00:00:00")
    assert (row["instant"], row["local"]) == ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000001")
    assert (row["ident"], row["blob"]) == ("00000000-0000-0000-0000-000000000001", "AAE=")


def test_merge_patch(client: As, tmp_path: Path) -> None:
    """RFC 7396: an absent field stays, null empties it, and a JSON document is merged member by member."""
    create_database(api, tmp_path / "data", seed=seed, clock=lambda: NOON - 86_400)
    with Client(api, as_="wim", data=tmp_path / "data", clock=Clock()) as writer:
        before = writer.get("/things/1").json()
        patch = {"text": None, "doc": {"a": {"b": None, "n": {"m": None, "k": 1}}, "e": [None]}}
        answer = writer.patch("/things/1", json=patch, headers={"if-match": "*"})
        assert answer.status_code == 200, answer.text
        doc = {"a": {"c": [1, 2], "n": {"k": 1}}, "d": None, "e": [None]}
        assert answer.json() == {**before, "text": None, "doc": doc}
        assert writer.get("/things/1").content == answer.content
        for written, kept in (({"doc": [1]}, [1]), ({"doc": {"z": 0}}, {"z": 0}), ({"doc": None}, None)):
            assert writer.patch("/things/1", json=written, headers={"if-match": "*"}).json()["doc"] == kept


def test_a_document_does_not_grow_without_end(client: As, tmp_path: Path) -> None:
    """Each patch is within the limit of a body, and so is what they come to."""
    create_database(api, tmp_path / "data", seed=seed, clock=lambda: NOON - 86_400)
    with Client(api, as_="wim", data=tmp_path / "data", clock=Clock()) as writer:
        patches = [{"doc": {name: "x" * 400_000}} for name in ("a", "b", "c")]
        answers = [writer.patch("/things/1", json=patch, headers={"if-match": "*"}) for patch in patches]
        assert [answer.status_code for answer in answers] == [200, 200, 422]
        found = problem(answers[-1], 422, "body_invalid")
        assert [(fault["pointer"], fault["code"]) for fault in found["errors"]] == [("/doc", "length")]
        assert len(writer.get("/things/1").json()["doc"]["b"]) == 400_000
        smaller = {"doc": {"a": None, "c": "x" * 400_000}}
        assert writer.patch("/things/1", json=smaller, headers={"if-match": "*"}).status_code == 200


def test_an_empty_patch_changes_nothing(client: As) -> None:
    """`{}` is a patch without a change: the same state, the same tag."""
    before = client("wim").get("/things/2")
    answer = client("wim").patch("/things/2", json={}, headers={"if-match": before.headers["etag"]})
    assert (answer.status_code, answer.content) == (200, before.content)
    assert answer.headers["etag"] == before.headers["etag"]


@pytest.mark.parametrize("key", ["0x1", "1.0", "+1", "01", "9223372036854775808", "a", "1,2", "%C3%A9", "-1", "99"])
def test_a_key_that_no_row_has(client: As, key: str) -> None:
    """A key of another form is a row that is not there, not a fault: nothing is learnt of the column."""
    missing = problem(client("rosa").get("/things/77"), 404, "not_found")
    found = problem(client("rosa").get(f"/things/{key}"), 404, "not_found")
    assert {**found, "request_id": ""} == {**missing, "request_id": ""}
