"""The grammar of queries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from vallum import defaults
from vallum.refusals import QUERY_INVALID, Refusal
from vallum.validate.query import (
    EQUAL,
    OPERATORS,
    RESERVED,
    Filter,
    Query,
    read_item_query,
    read_query,
    refuse,
    reject_query,
)


def parse_query(raw: str) -> Query:
    query, found = read_query(raw)
    refuse(found)
    return query


def parse_fields(raw: str) -> tuple[str, ...] | None:
    query, found = read_item_query(raw)
    refuse(found)
    return query.fields


def faults(raw: str, read: Callable[[str], Any] = parse_query) -> list[tuple[str, str]]:
    """Pointer and code of each fault that `raw` is refused with."""
    with pytest.raises(Refusal) as caught:
        read(raw)
    assert caught.value.reason is QUERY_INVALID
    assert all(fault.detail for fault in caught.value.faults)
    return [(fault.pointer, fault.code) for fault in caught.value.faults]


def filters(raw: str) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(condition.name, condition.operator, condition.values) for condition in parse_query(raw).filters]


def test_no_query_is_the_first_page() -> None:
    """Ten rows in the resource's own order, without filter or count."""
    assert parse_query("") == Query(limit=10, after=None, sort=(), fields=None, count=None, filters=())


def test_a_query_with_everything() -> None:
    """Each parameter of a list finds its place, in any order; filters keep theirs."""
    raw = (
        "fields=id,name&born[gte]=2010-01-01&limit=25&name=Anna&sort=-born,name&after=abc_-9&count=exact&born[lt]=2012"
    )
    assert parse_query(raw) == Query(
        limit=25,
        after="abc_-9",
        sort=(("born", True), ("name", False)),
        fields=("id", "name"),
        count="exact",
        filters=(
            Filter("born", "gte", ("2010-01-01",)),
            Filter("name", EQUAL, ("Anna",)),
            Filter("born", "lt", ("2012",)),
        ),
    )


def test_all_faults_are_found_at_once() -> None:
    """One refusal names every parameter that is wrong."""
    raw = (
        "limit=0&after=&sort=-&fields=a,&count=all&include=x.&left[isnull]=1&name[like]=x&a=%zz&b&name[in]=1&name[in]=2"
    )
    assert faults(raw) == [
        ("#query/a", "encoding"),
        ("#query/b", "malformed"),
        ("#query/name[in]", "repeated"),
        ("#query/limit", "range"),
        ("#query/after", "length"),
        ("#query/sort", "name"),
        ("#query/fields", "name"),
        ("#query/count", "choice"),
        ("#query/include", "name"),
        ("#query/left[isnull]", "choice"),
        ("#query/name", "unknown_operator"),
    ]


# limit, after, sort, fields, count ------------------------------------------------------


@pytest.mark.parametrize("number", [1, 10, 99, 100])
def test_a_page_has_1_to_100_rows(number: int) -> None:
    """The ends of the range are inside it."""
    assert parse_query(f"limit={number}").limit == number


@pytest.mark.parametrize(
    "text", ["0", "101", "-1", "", "010", "1.0", "1e1", "ten", "%2B5", "+5", "5+", "%D9%A5", "9" * 5000]
)
def test_any_other_limit_is_a_fault(text: str) -> None:
    """Out of range, signs, spaces, leading zeros, digits of other scripts."""
    assert faults(f"limit={text}") == [("#query/limit", "range")]


def test_a_cursor_has_a_length() -> None:
    """It is neither empty nor longer than any that was issued."""
    longest = "c" * defaults.MAX_CURSOR_BYTES
    assert parse_query(f"after={longest}").after == longest
    assert faults(f"after={longest}c") == [("#query/after", "length")]
    assert faults("after=") == [("#query/after", "length")]


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("a,b,c,d", ["too_many"]),
        ("a,-a", ["repeated"]),
        ("", ["name"]),
        ("-", ["name"]),
        ("--a", ["name"]),
        ("%2Ba", ["name"]),
        ("a;b", ["name"]),
        ("a,,b", ["name"]),
        ("a,a,a,1", ["too_many", "name", "repeated"]),
    ],
)
def test_a_sort_is_a_few_different_names(text: str, codes: list[str]) -> None:
    """At most three names, each once, with at most one minus."""
    assert parse_query("sort=a,-b,c").sort == (("a", False), ("b", True), ("c", False))
    assert faults(f"sort={text}") == [("#query/sort", code) for code in codes]


@pytest.mark.parametrize(
    ("text", "code"), [("", "name"), ("a,", "name"), ("a,b,a", "repeated"), ("a.b", "name"), ("*", "name")]
)
def test_fields_are_different_names(text: str, code: str) -> None:
    """An empty, odd or repeated name is a fault."""
    assert faults(f"fields={text}") == [("#query/fields", code)]


@pytest.mark.parametrize("text", ["", "Exact", "true", "planned"])
def test_two_counts_are_known(text: str) -> None:
    """Nothing else is understood, so nothing else is ignored."""
    assert faults(f"count={text}") == [("#query/count", "choice")]


# filters ------------------------------------------------------------------------------


@pytest.mark.parametrize("operator", sorted(OPERATORS - {"isnull"}))
def test_every_operator_takes_a_value(operator: str) -> None:
    """The brackets name the operator, encoded or not; the value is text."""
    assert filters(f"a[{operator}]=x") == [("a", operator, ("x",))]
    assert filters(f"a%5B{operator}%5d=x") == [("a", operator, ("x",))]
    assert parse_query(f"a[{operator}]=x").filters[0].pointer == f"#query/a[{operator}]"


def test_without_an_operator_a_filter_means_equal() -> None:
    """An empty value is a value; whatever follows the first = belongs to it."""
    assert filters("a=&b=x=y[lt]=&c=2011-04-03T10:00:00Z") == [
        ("a", "eq", ("",)),
        ("b", "eq", ("x=y[lt]=",)),
        ("c", "eq", ("2011-04-03T10:00:00Z",)),
    ]
    assert parse_query("a=1").filters[0].pointer == "#query/a"


@pytest.mark.parametrize(
    "name", ["a[", "a[]", "a[lt", "a[ltx", "a[lt]]", "a[lt]x", "a[eq]", "a[LT]", "a[ lt]", "a[lt][gt]", "a[[lt]"]
)
def test_an_unknown_operator_is_a_fault(name: str) -> None:
    """Anything in or around the brackets that is not exactly an operator; it is not echoed."""
    assert faults(f"{name.replace(' ', '+')}=1") == [("#query/a", "unknown_operator")]


@pytest.mark.parametrize("name", ["", "[lt]", "1a", "a.b", "a-b", "a%20b", "a/b", "%C2%A0", "$where", "a%5D"])
def test_a_name_is_that_of_a_field(name: str) -> None:
    """A parameter that cannot be a field is a fault, and what it was is not echoed."""
    assert faults(f"{name}=1") == [("#query", "name")]


def test_names_may_be_in_any_script() -> None:
    """Python allows such columns, so the query does."""
    assert filters("gr%C3%B6%C3%9Fe[lt]=1") == [("größe", "lt", ("1",))]


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_reserved_words_win_over_columns(name: str) -> None:
    """A column of such a name cannot be filtered on, with an operator either."""
    assert faults(f"{name}[ne]=1") == [(f"#query/{name}[ne]", "reserved")]


def test_includes_are_paths() -> None:
    """Names between commas, each behind a dot of the relation of the one before; up to three deep, eight in all."""
    assert parse_query("include=room,grades.course").include == (("room",), ("grades", "course"))
    assert parse_query("").include == ()
    assert parse_query("include=a.b.c").include == (("a", "b", "c"),)
    assert parse_query("include=a,b,c,d,e,f,g,h").include[-1] == ("h",)
    for text, code in (
        ("", "name"),
        ("a,", "name"),
        ("a..b", "name"),
        (".a", "name"),
        ("a.b%20", "name"),
        ("a,a", "repeated"),
        ("a.b.c.d", "too_deep"),
        ("a,b,c,d,e,f,g,h,i", "too_many"),
        ("a.b.c,d.e.f,g.h.i", "too_many"),
    ):
        assert faults(f"include={text}") == [("#query/include", code)], text


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1,2,3", ("1", "2", "3")),
        ("x", ("x",)),
        ("", ("",)),
        ("a,,b,", ("a", "", "b", "")),
        (r"a\,b,c", ("a,b", "c")),
        (r"\\,\,", ("\\", ",")),
        (r"\\\,\\", ("\\,\\",)),
        ("a%2Cb", ("a", "b")),
        ("a%5C%2Cb", ("a,b",)),
        ("a+b,c%20d", ("a b", "c d")),
    ],
)
def test_in_takes_values_between_commas(text: str, values: tuple[str, ...]) -> None:
    """A backslash makes a comma or a backslash part of a value."""
    assert filters(f"a[in]={text}") == [("a", "in", values)]


@pytest.mark.parametrize("text", ["\\", "a\\", r"\n", r"a,\b", r"\\\\\x", r"\\\ "])
def test_any_other_backslash_in_a_list_is_a_fault(text: str) -> None:
    """Whoever writes one expects something that does not happen."""
    assert faults(f"a[in]={text.replace(' ', '+')}") == [("#query/a[in]", "escape")]


def test_only_lists_unescape() -> None:
    """A backslash or comma in any other value stands for itself."""
    assert filters(r"a=x\,y\\&b[contains]=\n") == [("a", "eq", (r"x\,y\\",)), ("b", "contains", (r"\n",))]


def test_a_list_is_bounded() -> None:
    """A hundred values, and no more; escaped commas do not count."""
    most = defaults.MAX_IN_VALUES
    assert len(filters(f"a[in]={','.join('1' * most)}")[0][2]) == most
    assert faults(f"a[in]={','.join('1' * (most + 1))}") == [("#query/a[in]", "too_many")]
    assert len(filters("a[in]=" + r"\," * (most + 1))[0][2]) == 1


@pytest.mark.parametrize("operator", ["contains", "startswith"])
def test_a_pattern_has_a_length(operator: str) -> None:
    """Neither empty, which would match everything, nor longer than the limit in characters."""
    most = defaults.MAX_PATTERN_CHARACTERS
    assert filters(f"a[{operator}]={'%C3%A9' * most}") == [("a", operator, ("é" * most,))]
    assert faults(f"a[{operator}]={'x' * (most + 1)}") == [(f"#query/a[{operator}]", "length")]
    assert faults(f"a[{operator}]=") == [(f"#query/a[{operator}]", "length")]


def test_isnull_is_true_or_false() -> None:
    """No other spelling."""
    assert filters("a[isnull]=true&b[isnull]=false") == [("a", "isnull", ("true",)), ("b", "isnull", ("false",))]
    for text in ("", "1", "True", "null", "true,false"):
        assert faults(f"a[isnull]={text}") == [("#query/a[isnull]", "choice")]


# encoding and limits --------------------------------------------------------------------


def test_values_are_form_encoded() -> None:
    """As browsers and HTTP libraries send them: + and %20 are spaces, %2B is a plus, in names too."""
    assert filters("a=x+y%20z%2B%26%3D%25&%62=%F0%9F%98%80") == [("a", "eq", ("x y z+&=%",)), ("b", "eq", ("😀",))]


def test_invisible_letters_are_no_control_characters() -> None:
    """The joiners of Persian text and of emoji, and no-break spaces, are data."""
    text = "\u200c\u200d\u00a0\u2028"
    assert filters("a=%E2%80%8C%E2%80%8D%C2%A0%E2%80%A8") == [("a", "eq", (text,))]


@pytest.mark.parametrize(
    "text",
    [
        "%",
        "%4",
        "%zz",
        "a%2",
        "%%41",
        "%+1",
        "%u0041",
        "%FF",
        "%C0%AF",
        "%ED%A0%80",
        "%F4%90%80%80",
        "%C3",
        "%00",
        "%0A",
        "%7F",
        "%C2%85",
    ],
)
def test_a_value_is_utf8_without_control_characters(text: str) -> None:
    """Broken escapes, Latin-1, overlong forms, surrogates, cut characters, NUL, line feed, DEL, C1."""
    assert faults(f"a={text}") == [("#query/a", "encoding")]
    assert faults(f"{text}=a") == [("#query", "encoding")]


@pytest.mark.parametrize("raw", ["a=é", "a=\x00", "a=\n", "a=x y", "a=\x7f", "ａ=1"])
def test_a_query_is_visible_ascii(raw: str) -> None:
    """RFC 3986 §2: everything else travels encoded."""
    assert faults(raw) == [("#query", "encoding")]


@pytest.mark.parametrize("raw", ["a=1&a=2", "a=1&%61=1", "a[lt]=1&a%5Blt%5D=2", "a=1&b=2&a="])
def test_a_repeated_parameter_is_a_fault(raw: str) -> None:
    """Also when one of the two is written with escapes: neither the first nor the last wins."""
    assert [code for _, code in faults(raw)] == ["repeated"]


def test_the_same_field_may_have_several_operators() -> None:
    """A range needs two."""
    assert filters("a[gte]=1&a[lt]=2&a[ne]=3&a=4") == [
        ("a", "gte", ("1",)),
        ("a", "lt", ("2",)),
        ("a", "ne", ("3",)),
        ("a", "eq", ("4",)),
    ]


@pytest.mark.parametrize("raw", ["&", "a=1&", "&a=1", "a=1&&b=2", "a", "a&b=1", "limit"])
def test_a_parameter_needs_an_equals_sign(raw: str) -> None:
    """Empty parameters are faults too: something was lost on the way."""
    assert {code for _, code in faults(raw)} == {"malformed"}


def test_parameters_and_filters_are_counted() -> None:
    """The limits themselves are accepted."""
    most = defaults.MAX_FILTERS
    raw = "&".join(f"f{number}=1" for number in range(most))
    assert len(parse_query(f"{raw}&limit=1&sort=a").filters) == most
    assert faults(f"{raw}&more=1") == [("#query", "too_many")]
    within = "&".join("a" for _ in range(defaults.MAX_QUERY_PARAMETERS))
    assert len(faults(within)) == defaults.MAX_QUERY_PARAMETERS
    assert faults(f"{within}&a") == [("#query", "too_many")]


# other routes ---------------------------------------------------------------------------


def test_an_item_takes_fields_and_relations() -> None:
    """A parameter of lists is refused there, not ignored."""
    assert parse_fields("") is None
    assert parse_fields("fields=id,name") == ("id", "name")
    query, found = read_item_query("include=grades&fields=id&after=x")
    assert (query, found) == ((("id",), (("grades",),), "x"), [])
    assert faults("after=x", parse_fields) == [("#query/after", "unknown_parameter")]
    assert faults("limit=1&fields=a,&x[lt]=2&q%5B%5D=3", parse_fields) == [
        ("#query/fields", "name"),
        ("#query/limit", "unknown_parameter"),
        ("#query/x[lt]", "unknown_parameter"),
        ("#query/q", "unknown_parameter"),
    ]


def test_a_route_without_a_query_refuses_one() -> None:
    """Every parameter is named at once, the malformed ones too."""
    reject_query("")
    assert faults("a=1&b=%zz&c", reject_query) == [
        ("#query/b", "encoding"),
        ("#query/c", "malformed"),
        ("#query/a", "unknown_parameter"),
    ]
