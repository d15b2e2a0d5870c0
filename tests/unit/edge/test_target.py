"""The request target: one reading only."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vallum.edge.target import ENCODED_COMMA, check_key, check_method, origin_form, read_path, read_query, shown
from vallum.refusals import REQUEST_MALFORMED, Refusal

SEGMENT = (
    st.text(min_size=1, max_size=8)
    .filter(str.isprintable)
    .filter(lambda text: text not in {".", ".."} and not {"/", "\\"} & set(text))
)


def encoded(path: str) -> bytes:
    """Every octet that may be encoded is, except for separators."""
    return quote(path, safe="/,").replace(quote(ENCODED_COMMA), "%2C").encode()


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"/", "/"),
        (b"/students", "/students"),
        (b"/students/", "/students/"),
        (b"/school/students/17/enrol", "/school/students/17/enrol"),
        (b"/.well-known/jwks.json", "/.well-known/jwks.json"),
        (b"/a/...", "/a/..."),
        (b"/a/.b", "/a/.b"),
        (b"/a/b.", "/a/b."),
        (b"/%73tudents", "/students"),
        (b"/a/John%20Doe", "/a/John Doe"),
        (b"/a/10%3A30", "/a/10:30"),
        (b"/a/x%3By", "/a/x;y"),
        (b"/a/x%3Fy%23z", "/a/x?y#z"),
        (b"/a/%C3%A9", "/a/é"),
        (b"/a/%c3%a9", "/a/é"),
        (b"/a/1,2", "/a/1,2"),
        (b"/a/1%2C2", f"/a/1{ENCODED_COMMA}2"),
        (b"/a/1%2c2,3", f"/a/1{ENCODED_COMMA}2,3"),
        (b"/a/100%25", "/a/100%"),
        (b"/a/%252C", "/a/%2C"),
        (b"/a/%252F", "/a/%2F"),
        (b"/a/%252e%252e", "/a/%2e%2e"),
        (b"/a/b!$&'()*+=:@~_-", "/a/b!$&'()*+=:@~_-"),
    ],
)
def test_paths(raw: bytes, path: str) -> None:
    """Decoded once: what was encoded twice stays encoded once, and an encoded comma is told from a real one."""
    assert read_path(raw) == path


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"*",
        b"students",
        b"//",
        b"//evil.net/a",
        b"/a//b",
        b"/a//",
        b"/.",
        b"/..",
        b"/./a",
        b"/../a",
        b"/a/.",
        b"/a/..",
        b"/a/../b",
        b"/a/%2e",
        b"/a/%2E%2e/b",
        b"/a/.%2e/b",
        b"/a/b/%2e./",
        b"/a%2Fb",
        b"/a%2fb",
        b"/a\\b",
        b"/a%5Cb",
        b"/a%5cb",
        b"/a/..%5c..",
        b"/a%00",
        b"/a\x00",
        b"/a%0a",
        b"/a%0D%0Ax",
        b"/a%1f",
        b"/a%7F",
        b"/a%c2%85",
        b"/a;b",
        b"/a;jsessionid=1/b",
        b"/a/..;/b",
        b"/a?b",
        b"/a#b",
        b"/a b",
        b"/a%",
        b"/a%2",
        b"/a%zz",
        b"/a%u002e",
        b"/a%%32e",
        b"/\xc3\xa9",
        b"/%ff",
        b"/%c0%ae%c0%ae/",
        b"/%c0%af",
        b"/%e0%80%af",
        b"/%ed%a0%80",
        b"/%f4%90%80%80",
        b"/a%e2%80%ae",
        b"/a%e2%80%a8",
        b'/a"b',
        b"/a<b>",
        b"/{id}",
        b"/a|b",
        b"/a^b",
        b"/a`b",
        b"/[a]",
    ],
)
def test_refused_paths(raw: bytes) -> None:
    """Dot and empty segments, encoded separators, controls, overlong UTF-8, `;`, raw non-ASCII: refused, never mended."""
    with pytest.raises(Refusal) as caught:
        read_path(raw)
    assert caught.value.reason is REQUEST_MALFORMED


@given(st.lists(SEGMENT, min_size=1, max_size=4))
@example(["a,b", "é"])
@example(["%2F", "..."])
def test_round_trip(segments: list[str]) -> None:
    """Any printable text that is no dot segment can be addressed and arrives unchanged."""
    raw = "".join("/" + quote(segment, safe="") for segment in segments).encode()
    assert shown(read_path(raw)) == "/" + "/".join(segments)


@given(
    st.one_of(
        st.binary(max_size=30),
        st.text(alphabet="/.%2eE5cCfF0;,\\a:é", max_size=20).map(str.encode),
    )
)
def test_any_bytes(raw: bytes) -> None:
    """Whatever arrives is refused, or is a path with one reading: encoding it again gives the same path."""
    try:
        path = read_path(raw)
    except Refusal:
        return
    assert path.startswith("/")
    assert shown(path).isprintable()
    assert "\\" not in path
    assert not {".", ".."} & set(path.split("/"))
    assert "//" not in path
    assert read_path(encoded(path)) == path


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"https://api.example.org/a/b", b"/a/b"),
        (b"HTTPS://API.example.org/a", b"/a"),
        (b"https://api.example.org", b"/"),
    ],
)
def test_absolute_form(raw: bytes, path: bytes) -> None:
    """An absolute target for the authority in Host is the path in it (RFC 9112 §3.2.2)."""
    assert origin_form(raw, b"Api.example.org") == path


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"*",
        b"http://api.example.org/a",
        b"https://evil.net/a",
        b"https://api.example.org:8443/a",
        b"https://user@api.example.org/a",
        b"https://api.example.org@evil.net/a",
        b"https://api.example.org#/a",
        b"https://api.example.org/a?b",
        b"https:///a",
        b"https:/a",
        b"api.example.org:443",
        b"a",
        b"ftp://api.example.org/",
        b"javascript:alert(1)",
    ],
)
def test_other_forms(raw: bytes) -> None:
    """Authority form, asterisk form, another scheme, another authority or userinfo is refused."""
    with pytest.raises(Refusal) as caught:
        origin_form(raw, b"api.example.org")
    assert caught.value.reason is REQUEST_MALFORMED


@pytest.mark.parametrize(
    "raw", [b"", b"limit=10&sort=-born", b"name[contains]=an", b"a=%C3%A9", b"a?b=c/d:e@f", b"x=%zz"]
)
def test_query(raw: bytes) -> None:
    """The query stays encoded; brackets, which browsers leave as they are, pass."""
    assert read_query(raw) == raw.decode()


@pytest.mark.parametrize("raw", [b"a b", b"a\x00", b"a\nb", b"a\xe9", b"a#b", b'a"b', b"<a>", b"a\x7f"])
def test_refused_query(raw: bytes) -> None:
    """Spaces, controls, non-ASCII and what could end the query or break a page are refused."""
    with pytest.raises(Refusal) as caught:
        read_query(raw)
    assert caught.value.reason is REQUEST_MALFORMED


@given(st.binary(max_size=40))
def test_any_query(raw: bytes) -> None:
    """Any bytes are refused or come back as the same visible ASCII."""
    try:
        query = read_query(raw)
    except Refusal:
        return
    assert query.encode("ascii") == raw
    assert query.isprintable()
    assert " " not in query


@pytest.mark.parametrize("method", ["GET", "DELETE", "PROPFIND", "M-SEARCH"])
def test_methods(method: str) -> None:
    """A method that does not exist here is still a method."""
    check_method(method)


@pytest.mark.parametrize("method", ["", "get", "Get", "GET ", "G%T", "GET\n", "1GET", "-GET", "G" * 33, "GÉT"])
def test_refused_methods(method: str) -> None:
    """Methods are case-sensitive words (RFC 9110 §9.1): `get` is no GET, and nothing makes it one."""
    with pytest.raises(Refusal) as caught:
        check_method(method)
    assert caught.value.reason is REQUEST_MALFORMED


@given(st.text(max_size=6) | st.text(alphabet="./\\\x00\u200b;,% a", max_size=4))
@example("")
@example("..")
@example("a/b")
@example("\x80")
def test_a_key_is_addressable_exactly_when_a_path_can_name_it(text: str) -> None:
    """What is let into a key can be asked for, and what cannot be asked for is not let in."""
    try:
        check_key(text)
    except ValueError:
        addressable = False
    else:
        addressable = True
    try:
        path = read_path(b"/a/" + quote(text, safe="").encode() + b"/b")
    except (Refusal, UnicodeEncodeError):
        assert not addressable
    else:
        assert addressable
        assert shown(path) == f"/a/{text}/b"
