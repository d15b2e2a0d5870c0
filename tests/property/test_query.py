"""The grammar of queries against what hypothesis makes."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from hypothesis import given
from hypothesis import strategies as st

from vallum import defaults
from vallum.refusals import QUERY_INVALID, Refusal
from vallum.throttle.cost import added
from vallum.validate.query import OPERATORS, RESERVED, Filter, Query, read_query, refuse

NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True).filter(lambda name: name not in RESERVED)
VALUES = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)
PLAIN_FILTERS = st.builds(
    lambda name, operator, value: Filter(name, operator, (value,)),
    NAMES,
    st.sampled_from(["eq", *sorted(OPERATORS - {"in", "isnull"})]),
    VALUES,
)
LISTS = st.builds(
    lambda name, values: Filter(name, "in", tuple(values)), NAMES, st.lists(VALUES, min_size=1, max_size=5)
)
NULLS = st.builds(lambda name, value: Filter(name, "isnull", (value,)), NAMES, st.sampled_from(["true", "false"]))
QUERIES = st.builds(
    Query,
    limit=st.integers(1, defaults.PAGE_MAX),
    after=st.none() | st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True),
    sort=st.lists(st.tuples(NAMES, st.booleans()), max_size=defaults.MAX_SORTS, unique_by=lambda pair: pair[0]).map(
        tuple
    ),
    fields=st.none() | st.lists(NAMES, min_size=1, max_size=5, unique=True).map(tuple),
    count=st.none() | st.just("exact"),
    filters=st.lists(
        PLAIN_FILTERS | LISTS | NULLS, max_size=6, unique_by=lambda condition: (condition.name, condition.operator)
    ).map(tuple),
)
# What a query is made of, and what breaks its parsers.
PIECES = st.sampled_from(
    [
        *("&", "=", "[", "]", ",", "\\", ";", "#", "?", "+", "-", " ", "\n", "é"),
        *("%", "%5B", "%5D", "%2", "%00", "%ff", "%C3%A9", "a", "b", "lt", "in", "[in]=", "[isnull]="),
        *("limit=", "sort=", "fields=", "after=", "count=exact", "10", "true"),
    ]
)


def parse_query(raw: str) -> Query:
    query, found = read_query(raw)
    refuse(found)
    return query


def outcome(raw: str) -> Query | Refusal:
    """What comes of `raw`; any other exception fails the test."""
    try:
        return parse_query(raw)
    except Refusal as refusal:
        return refusal


def parameters(query: Query) -> list[tuple[str, str]]:
    """`query` as a client would name its parameters."""
    pairs = [("limit", str(query.limit))]
    if query.after is not None:
        pairs.append(("after", query.after))
    if query.sort:
        pairs.append(("sort", ",".join("-" * down + name for name, down in query.sort)))
    if query.fields is not None:
        pairs.append(("fields", ",".join(query.fields)))
    if query.count is not None:
        pairs.append(("count", query.count))
    for condition in query.filters:
        name = condition.name if condition.operator == "eq" else f"{condition.name}[{condition.operator}]"
        values = condition.values
        if condition.operator == "in":
            values = tuple(value.replace("\\", "\\\\").replace(",", "\\,") for value in values)
        pairs.append((name, ",".join(values)))
    return pairs


@given(QUERIES, st.sampled_from(["", "[]", "[],\\-"]), st.booleans())
def test_what_a_client_writes_is_read_back(query: Query, safe: str, plus: bool) -> None:
    """Any query survives form encoding and percent encoding, with brackets and commas escaped or not."""
    pairs = parameters(query)
    encoded = urlencode(pairs, safe=safe) if plus else urlencode(pairs, safe=safe, quote_via=quote)
    assert parse_query(encoded) == query


@given(QUERIES)
def test_the_order_of_parameters_does_not_matter(query: Query) -> None:
    """Reserved ones may stand anywhere among the filters."""
    pairs = parameters(query)
    reserved = [pair for pair in pairs if pair[0] in RESERVED]
    others = [pair for pair in pairs if pair[0] not in RESERVED]
    assert parse_query(urlencode(others + reserved[::-1])) == query


@given(st.lists(PIECES, max_size=30).map("".join) | st.text(max_size=30))
def test_any_text_is_read_or_refused(raw: str) -> None:
    """Nothing but a refusal with its faults comes out, and no fault repeats more than names and operators."""
    found = outcome(raw)
    if isinstance(found, Query):
        assert 1 <= found.limit <= defaults.PAGE_MAX
        assert parse_query(urlencode(parameters(found))) == found
        return
    assert found.reason is QUERY_INVALID
    assert 0 < len(found.faults) <= defaults.MAX_FAULTS
    for fault in found.faults:
        name, _, operator = fault.pointer.removeprefix("#query").removeprefix("/").partition("[")
        assert not name or name.isidentifier()
        assert not operator or operator.removesuffix("]") in OPERATORS


@given(QUERIES, st.sampled_from(["&", "&x", "&limit=1", "&=", "%", "&a[b]=1", "&a=%00", "\x00", "é"]))
def test_a_tail_that_is_wrong_is_never_ignored(query: Query, tail: str) -> None:
    """Whatever follows a right query is read as part of it."""
    found = outcome(urlencode(parameters(query)) + tail)
    assert isinstance(found, Refusal)
    assert found.faults


@given(st.lists(PIECES | st.sampled_from(["%63ount=exact", "count=", "c%6Funt"]), max_size=12).map("".join))
def test_no_count_is_free(raw: str) -> None:
    """What is read as a count has cost one: the meter and the parser agree on every query that is let through."""
    query, faults = read_query(raw)
    if not faults:
        assert added(raw, {"count": 1}) == (query.count is not None)


@given(QUERIES, st.data())
def test_no_encoding_hides_a_count(query: Query, data: st.DataObject) -> None:
    """Each letter of the name as it is, or percent-encoded, anywhere in the query."""
    letters = data.draw(st.lists(st.booleans(), min_size=5, max_size=5))
    name = "".join(f"%{ord(c):02x}" if hidden else c for c, hidden in zip("count", letters, strict=True))
    around = [urlencode({f.name: f.values[0]}) for f in query.filters if len(f.values) == 1 and f.operator == "eq"]
    place = data.draw(st.integers(0, len(around)))
    raw = "&".join([*around[:place], f"{name}=exact", *around[place:]])
    assert parse_query(raw).count == "exact"
    assert added(raw, {"count": 1}) == 1
