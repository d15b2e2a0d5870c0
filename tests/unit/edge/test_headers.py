"""The header section: count, size, bytes, repeats, framing, and what must not be ignored."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vallum import defaults
from vallum.edge.headers import LISTS, UNSUPPORTED, USUAL_NAMES, body_length, read_headers, refuse_unsupported
from vallum.refusals import (
    EXPECTATION_FAILED,
    HEADER_UNSUPPORTED,
    HEADERS_TOO_LARGE,
    REQUEST_MALFORMED,
    Reason,
    Refusal,
)

Raw = list[tuple[bytes, bytes]]


def refused(reason: Reason, raw: Raw) -> None:
    with pytest.raises(Refusal) as caught:
        read_headers(raw)
    assert caught.value.reason is reason


def test_ordinary_section() -> None:
    """Distinct headers come back as they are, known names and unknown ones."""
    raw = [(b"host", b"a"), (b"x-own", b"1 2"), (b"accept", b"")]
    assert read_headers(raw) == dict(raw)


def test_count_boundary() -> None:
    """As many headers as allowed pass, one more does not."""
    raw = [(b"x-%d" % n, b"") for n in range(defaults.MAX_HEADER_COUNT + 1)]
    assert len(read_headers(raw[:-1])) == defaults.MAX_HEADER_COUNT
    refused(HEADERS_TOO_LARGE, raw)


def test_size_boundary() -> None:
    """Names and values count together, to the byte."""
    room = defaults.MAX_HEADERS_BYTES - len(b"x-a")
    assert read_headers([(b"x-a", b"v" * room)])
    refused(HEADERS_TOO_LARGE, [(b"x-a", b"v" * (room + 1))])


@pytest.mark.parametrize("byte", [*range(0x20), *range(0x7F, 0x100)])
def test_bytes_outside_printable_ascii(byte: int) -> None:
    """No control byte (so no line folding either) and no byte above 126 passes, in a value or a name."""
    refused(REQUEST_MALFORMED, [(b"user-agent", b"a" + bytes([byte]) + b"b")])
    refused(REQUEST_MALFORMED, [(b"x" + bytes([byte]), b"")])


@pytest.mark.parametrize(
    "name", [b"", b"host ", b" host", b"Host", b"a:b", b":authority", b"a,b", b"a/b", b'a"', b"(a)"]
)
def test_names_that_are_no_tokens(name: bytes) -> None:
    """A space before the colon, an empty or upper-case name, a pseudo-header: refused, not trimmed."""
    refused(REQUEST_MALFORMED, [(b"host", b"a"), (name, b"b")])


@pytest.mark.parametrize(
    "name", sorted((USUAL_NAMES | UNSUPPORTED.keys() | {b"x-own", b"if-modified-since"}) - LISTS.keys())
)
def test_singular_headers_repeated(name: bytes) -> None:
    """Any header outside the short list stands once, even with equal values."""
    refused(REQUEST_MALFORMED, [(name, b"1"), (name, b"1")])


@pytest.mark.parametrize("name", sorted(LISTS))
def test_lists_are_joined_in_order(name: bytes) -> None:
    """The few list headers are joined as RFC 9110 §5.3 says, cookies as RFC 9113 §8.2.3."""
    joined = read_headers([(name, b"a"), (b"x-between", b""), (name, b"b"), (name, b"c")])
    assert joined[name] == LISTS[name].join([b"a", b"b", b"c"])


def test_usual_names_are_tokens() -> None:
    """The fast path admits no name that the pattern would refuse."""
    for name in USUAL_NAMES:
        assert read_headers([(name, b""), (b"x-forces-the-pattern", b"")])


@given(st.lists(st.tuples(st.binary(max_size=12), st.binary(max_size=20)), max_size=70))
def test_any_bytes(raw: Raw) -> None:
    """Whatever arrives is refused or becomes printable ASCII under lower-case names; nothing else is raised."""
    try:
        headers = read_headers(raw)
    except Refusal:
        return
    for name, value in headers.items():
        assert name
        assert name == name.lower()
        assert (name + value).decode("ascii").isprintable()


@pytest.mark.parametrize(("value", "length"), [(b"0", 0), (b"00", 0), (b"17", 17), (b"9" * 18, int("9" * 18))])
def test_content_length(value: bytes, length: int) -> None:
    """Digits are a length (RFC 9110 §8.6); leading zeros are in the grammar."""
    assert body_length({b"content-length": value}, "1.1") == length


@pytest.mark.parametrize(
    "value", [b"", b"+5", b"-5", b" 5", b"5 ", b"5, 5", b"5,5", b"0x5", b"5.0", b"1_0", b"1e3", b"9" * 19, b"9" * 5000]
)
def test_content_length_malformed(value: bytes) -> None:
    """A sign, a list, a hexadecimal or endless number is no length."""
    with pytest.raises(Refusal) as caught:
        body_length({b"content-length": value}, "1.1")
    assert caught.value.reason is REQUEST_MALFORMED


def test_no_framing_is_no_body() -> None:
    """Without framing headers a request has no body (RFC 9112 §6.3, last rule)."""
    assert body_length({b"content-type": b"application/json"}, "1.1") == 0


@pytest.mark.parametrize("value", [b"chunked", b"Chunked", b"CHUNKED"])
def test_chunked(value: bytes) -> None:
    """The one transfer coding, in any case (RFC 9112 §7): the length is unknown."""
    assert body_length({b"transfer-encoding": value}, "1.1") is None


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"identity",
        b"gzip",
        b"gzip, chunked",
        b"chunked, chunked",
        b"chunked, identity",
        b"xchunked",
        b"chunked;q=1",
        b'"chunked"',
        b" chunked",
        b"chunked ",
        b"chunked,",
        b",chunked",
        b"chun ked",
    ],
)
def test_transfer_coding_variants(value: bytes) -> None:
    """Everything that another reader might take for chunked, or for none, is refused."""
    with pytest.raises(Refusal) as caught:
        body_length({b"transfer-encoding": value}, "1.1")
    assert caught.value.reason is REQUEST_MALFORMED


@pytest.mark.parametrize("version", ["1", "1.0", "2", "3"])
def test_transfer_coding_outside_http_1_1(version: str) -> None:
    """HTTP/1.0 and HTTP/2 have no transfer codings: the framing is faulty (RFC 9112 §6.1)."""
    with pytest.raises(Refusal) as caught:
        body_length({b"transfer-encoding": b"chunked"}, version)
    assert caught.value.reason is REQUEST_MALFORMED


@pytest.mark.parametrize("length", [b"0", b"5", b""])
def test_both_framings(length: bytes) -> None:
    """Content-Length with Transfer-Encoding, the classic of smuggling, is refused whatever its value."""
    with pytest.raises(Refusal) as caught:
        body_length({b"transfer-encoding": b"chunked", b"content-length": length}, "1.1")
    assert caught.value.reason is REQUEST_MALFORMED


@given(st.binary(max_size=30), st.booleans())
def test_any_framing(value: bytes, chunked: bool) -> None:
    """Any value is a Refusal, a length of 0 or more, or chunked."""
    name = b"transfer-encoding" if chunked else b"content-length"
    try:
        length = body_length({name: value}, "1.1")
    except Refusal:
        return
    assert (length is None) == chunked
    assert length is None or length >= 0


@pytest.mark.parametrize("name", sorted(UNSUPPORTED))
def test_unsupported_headers(name: bytes) -> None:
    """What asks for a protection that is not there is refused, and the answer names the header."""
    with pytest.raises(Refusal) as caught:
        refuse_unsupported({b"host": b"a", name: b"anything"})
    assert caught.value.reason is HEADER_UNSUPPORTED
    assert caught.value.detail.lower().startswith(name.decode() + ":")


@pytest.mark.parametrize("value", [b"100-continue", b"100-Continue"])
def test_expect_continue(value: bytes) -> None:
    """100-continue is the server's business and passes, in any case."""
    refuse_unsupported({b"expect": value})


@pytest.mark.parametrize("value", [b"", b"200-ok", b"100-continue, x"])
def test_other_expectations(value: bytes) -> None:
    """Any other expectation cannot be met (RFC 9110 §10.1.1)."""
    with pytest.raises(Refusal) as caught:
        refuse_unsupported({b"expect": value})
    assert caught.value.reason is EXPECTATION_FAILED


def test_ignored_headers() -> None:
    """Range and method overrides change nothing and are no reason to refuse."""
    refuse_unsupported({b"range": b"bytes=0-1", b"x-http-method-override": b"DELETE", b"x-method-override": b"DELETE"})
