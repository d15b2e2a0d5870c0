"""The grammar of timestamps and nonces: one meaning each, or none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vallum import defaults
from vallum.authenticate.freshness import NONCE, TIMESTAMP, read_stamp, read_timestamp
from vallum.refusals import FRESHNESS_MALFORMED, FRESHNESS_MISSING, TIMESTAMP_STALE, Reason, Refusal

OFFSETS = st.integers(-23 * 60 - 59, 23 * 60 + 59)
WINDOW = defaults.FRESH_SECONDS
NOW = 1_800_000_000.0
ONCE = b"5f3c1d0b8a7e4f62"


def refusal(headers: dict[bytes, bytes], now: float = NOW) -> Reason | None:
    """Why these are refused; None when they are not."""
    try:
        read_stamp(headers, now, WINDOW)
    except Refusal as refused:
        return refused.reason
    return None


@given(
    st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31)),  # noqa: DTZ001  # the offset is drawn apart
    OFFSETS,
    st.integers(0, 9),
    st.booleans(),
)
def test_a_date_time_means_what_the_standard_library_reads(
    moment: datetime, minutes: int, digits: int, lower: bool
) -> None:
    """Whatever the offset and the number of digits, to the microsecond; Z, z, T and t alike."""
    zoned = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    fraction = f".{zoned.microsecond:06}000"[: digits + 1] if digits else ""
    sign, ahead = "-" if minutes < 0 else "+", abs(minutes)
    offset = f"{sign}{ahead // 60:02}:{ahead % 60:02}" if minutes else "Z"
    text = f"{zoned:%Y-%m-%dT%H:%M:%S}".rjust(19, "0") + fraction + offset
    expected = (zoned.replace(microsecond=0) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() + float(fraction or 0)
    assert abs(read_timestamp((text.lower() if lower else text).encode()) - expected) < 1e-4


@given(st.integers(1_000_000_000, 9_999_999_999))
def test_ten_digits_are_seconds(second: int) -> None:
    """Exactly."""
    assert read_timestamp(str(second).encode()) == second


@given(st.one_of(st.binary(max_size=40), st.from_regex(rb"[0-9TZtz:+.-]{1,35}", fullmatch=True)))
def test_anything_else_is_refused_by_name(text: bytes) -> None:
    """No other exception, whatever stands there; and what is taken has one of the two shapes."""
    found = refusal({TIMESTAMP: text, NONCE: ONCE})
    if found is not FRESHNESS_MALFORMED:
        assert (len(text) == 10 and text.isdigit()) or (text[4:5] == text[7:8] == b"-" and text[10:11] in b"Tt")


@pytest.mark.parametrize("text", [b"1800000000\n", b"2027-01-15T12:00:00Z\n", b"\n1800000000", b"1800000000\x00"])
def test_a_line_feed_behind_it_is_not_overlooked(text: bytes) -> None:
    """As it would be by `$` of a pattern."""
    assert refusal({TIMESTAMP: text, NONCE: ONCE}) is FRESHNESS_MALFORMED
    assert refusal({TIMESTAMP: b"1800000000", NONCE: ONCE + b"\n"}) is FRESHNESS_MALFORMED


@given(st.floats(-1000, 1000))
def test_the_window_is_closed_at_both_ends(difference: float) -> None:
    """From `now - window` to `now + skew`, both included."""
    at = 1_800_000_000
    now = at + difference
    inside = now - WINDOW <= at <= now + defaults.FRESH_SKEW_SECONDS
    assert (refusal({TIMESTAMP: b"%d" % at, NONCE: ONCE}, now) is None) is inside


def test_what_is_missing_comes_before_what_is_malformed_and_that_before_what_is_stale() -> None:
    """The cheapest to mend is said first."""
    assert refusal({}) is FRESHNESS_MISSING
    assert refusal({TIMESTAMP: b"x"}) is FRESHNESS_MISSING
    assert refusal({NONCE: b"x"}) is FRESHNESS_MISSING
    assert refusal({TIMESTAMP: b"1000000000", NONCE: b"x"}) is FRESHNESS_MALFORMED
    assert refusal({TIMESTAMP: b"1000000000", NONCE: ONCE}) is TIMESTAMP_STALE


@given(st.binary(max_size=140))
def test_a_nonce_is_sixteen_to_a_hundred_and_twenty_eight_characters_of_token68(nonce: bytes) -> None:
    """RFC 9110 §11.2, and nothing else."""
    allowed = set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=")
    well_formed = 16 <= len(nonce) <= 128 and set(nonce) <= allowed
    assert (refusal({TIMESTAMP: b"1800000000", NONCE: nonce}) is None) is well_formed


@pytest.mark.parametrize(
    ("at", "detail"),
    [(b"1799999000", "1000.0 s behind the clock"), (b"1800000031", "31.0 s ahead of the clock")],
)
def test_a_stale_one_is_told_by_how_much(at: bytes, detail: str) -> None:
    """Who debugs a client sees which clock is wrong, and which way."""
    with pytest.raises(Refusal) as refused:
        read_stamp({TIMESTAMP: at, NONCE: ONCE}, NOW, WINDOW)
    assert detail in refused.value.detail
