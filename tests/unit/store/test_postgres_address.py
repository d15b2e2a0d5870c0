"""The URL of a server: one form, no secret in it, TLS unless it says otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from vallum.store.errors import StoreError
from vallum.store.postgres_address import Address, parse


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("postgresql://db.example/school", Address("db.example", 5432, "school")),
        ("postgresql://ann@db.example:6432/a%20b", Address("db.example", 6432, "a b", user="ann")),
        ("postgresql://[2001:db8::1]/school", Address("2001:db8::1", 5432, "school")),
        ("postgresql://localhost/school?sslmode=disable", Address("localhost", 5432, "school", tls=False)),
        ("postgresql://db/s?sslmode=verify-full", Address("db", 5432, "s")),
        ("postgresql://db/s?sslrootcert=/etc/ca.pem", Address("db", 5432, "s", root_certificate=Path("/etc/ca.pem"))),
        ("postgresql:///school?host=/run/postgresql", Address("/run/postgresql", 5432, "school", tls=False)),
        ("postgresql://ann:@/s?host=/run", Address("/run", 5432, "s", user="ann", tls=False)),
        ("postgresql://%2Frun%2Fpostgresql/school", Address("/run/postgresql", 5432, "school", tls=False)),
    ],
)
def test_what_a_url_means(url: str, address: Address) -> None:
    """Encrypted and verified but for a unix socket and for who says `disable`."""
    assert parse(url) == address
    assert parse(str(address)) == address


@pytest.mark.parametrize(
    "url",
    [
        "",
        "school",
        "postgres://db/school",
        "postgresql+asyncpg://db/school",
        "mysql://db/school",
        "postgresql://db",
        "postgresql://db/",
        "postgresql:///school",
        "postgresql://db/a/b",
        "postgresql://db:99999/school",
        "postgresql://db:x/school",
        "postgresql://[::1/school",
        "postgresql://db/school#x",
        "postgresql://db/school?sslmode=require",
        "postgresql://db/school?sslmode=prefer",
        "postgresql://db/school?sslmode=disable&sslmode=verify-full",
        "postgresql://db/school?password=secret",
        "postgresql://db/school?options=-c%20x",
        "postgresql://db/school?host=/run",
        "postgresql:///school?host=db",
        "postgresql://db/sch%00ool",
    ],
)
def test_what_is_no_url_of_a_server(url: str) -> None:
    """Nothing is guessed; a mode that encrypts without verifying is none."""
    with pytest.raises(StoreError) as caught:
        parse(url)
    assert caught.value.identifier == "database-form"
    assert not url or url not in str(caught.value)


def test_a_password_does_not_stand_in_a_url() -> None:
    """It would be seen in arguments and logs; the refusal does not repeat it."""
    with pytest.raises(StoreError) as caught:
        parse("postgresql://ann:hunter2@db/school")
    assert caught.value.identifier == "database-password"
    assert "hunter2" not in str(caught.value)


def test_what_is_told_of_an_address_holds_no_secret() -> None:
    """Neither its text nor its representation."""
    address = Address("db", 5432, "school", user="ann", password="hunter2")
    assert str(address) == "postgresql://ann@db/school"
    assert "hunter2" not in repr(address)


@pytest.mark.parametrize(("host", "is_one"), [("localhost", True), ("127.0.0.9", True), ("::1", True), ("db", False)])
def test_the_loopback(host: str, is_one: bool) -> None:
    """Only its own addresses and name."""
    assert Address(host, 5432, "s").is_loopback is is_one
