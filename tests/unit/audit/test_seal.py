"""Sealing: ids and their ranges, the chain as it grows, and several sealers at once."""

from __future__ import annotations

import threading
from itertools import chain, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.audit.chained import NOW, checked, event, make, newest, writing

from vallum import defaults
from vallum.audit import anchor, keys
from vallum.audit.checkpoint import Checkpoint, signer, verified
from vallum.audit.seal import batch
from vallum.audit.segment import gaps, packed, read, sealed, unpacked
from vallum.crypto import jws
from vallum.crypto.errors import NotAuthentic
from vallum.store.errors import StoreError
from vallum.store.ports import Statement
from vallum.store.sqlite import SqliteFile

IDS = st.sets(st.integers(1, 200), min_size=1).map(sorted)


@given(IDS)
def test_ids_are_read_as_they_were_written(ids: list[int]) -> None:
    """Ranges hold exactly them, and there is one way to write them."""
    text = packed(ids)
    assert list(chain(*unpacked(text))) == ids
    assert packed(chain(*unpacked(text))) == text


@given(IDS, st.integers(0, 50), st.integers(0, 250))
def test_gaps_are_what_is_missing(ids: list[int], after: int, highest: int) -> None:
    """Between two ends, each once."""
    found = list(gaps(unpacked(packed(ids)), after, highest))
    assert list(chain(*found)) == [number for number in range(after + 1, highest + 1) if number not in ids]
    assert all(before.stop < behind.start for before, behind in pairwise(found))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "-1",
        "01",
        "1-1",
        "2-1",
        "1,2",
        "1-2,3",
        "3,1",
        "1-3,2",
        "1,",
        ",1",
        "1 ",
        "1\n",
        "１",
        "9" * 19,
        "1-2-3",
    ],
)
def test_another_spelling_of_ids_is_none(text: str) -> None:
    """A segment's hash covers the text, and the text has one meaning."""
    with pytest.raises(ValueError, match="ids"):
        unpacked(text)


def test_a_segment_names_no_more_ids_than_it_has_marks() -> None:
    """A range that somebody wrote in the database is not counted to its end."""
    made = sealed(None, [(1, b"a"), (2, b"b")], NOW)
    values = [getattr(made, name) for name in made.__slots__]
    assert read(values) == made
    values[1] = "1-1000000000000"
    with pytest.raises(ValueError, match="marks"):
        read(values)


def test_a_segment_has_so_many_entries_and_the_rest_is_in_the_next(tmp_path: Path) -> None:
    """At the bound, one below and one above it."""
    data = tmp_path / "data"
    key = make(data)
    limit = defaults.AUDIT_SEGMENT_ROWS
    trusted = keys.key_set(keys.public_jwks(data / "keys"))
    with SqliteFile(data / "vallum.db") as file:

        def seal() -> str | None:
            segment = file.write(lambda: batch(signer(key), trusted, NOW, "sqlite"))
            return None if segment is None else segment.ids

        assert seal() is None
        file.write(writing(*map(event, range(limit + 1))))
        assert [seal(), seal(), seal()] == [f"1-{limit}", f"{limit + 1}", None]
        file.write(writing(*map(event, range(limit - 1))))
        assert [seal(), seal()] == [f"{limit + 2}-{2 * limit}", None]
    assert checked(data).whole


def test_of_several_sealers_each_entry_is_sealed_by_one(tmp_path: Path) -> None:
    """Four connections seal while a fifth writes: the chain is whole, and every entry is in it once."""
    data = tmp_path / "data"
    sign = signer(make(data))
    trusted = keys.key_set(keys.public_jwks(data / "keys"))
    done = threading.Event()

    def seal(file: SqliteFile) -> bool:
        return file.write(lambda: batch(sign, trusted, NOW, "sqlite")) is not None

    def sealing() -> None:
        with SqliteFile(data / "vallum.db") as file:
            while not done.is_set():
                seal(file)

    threads = [threading.Thread(target=sealing) for _ in range(4)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(defaults, "AUDIT_SEGMENT_ROWS", 3)
        for thread in threads:
            thread.start()
        with SqliteFile(data / "vallum.db") as file:
            for number in range(60):
                file.write(writing(event(number), event(number + 1000)))
            done.set()
            for thread in threads:
                thread.join()
            while seal(file):
                pass
    report = checked(data)
    assert (report.whole, report.entries, report.unsealed) == (True, 120, 0)
    assert report.segments >= 40


@pytest.mark.parametrize(
    "claims",
    [
        {"segment": 1, "hash": "a", "pruned": 0},
        {"segment": 1, "hash": "a", "pruned": 0, "at": 1.0, "more": 1},
        {"segment": "1", "hash": "a", "pruned": 0, "at": 1.0},
        {"segment": True, "hash": "a", "pruned": 0, "at": 1.0},
        {"segment": 1, "hash": "a", "pruned": 0, "at": 1},
    ],
)
def test_a_checkpoint_has_its_members_and_no_others(tmp_path: Path, claims: dict[str, object]) -> None:
    """Though they are signed by the right key."""
    key = keys.make(tmp_path, None)
    with pytest.raises(NotAuthentic, match="claims_malformed"):
        verified(jws.sign(claims, key, typ="vallum-checkpoint"), keys.key_set(keys.public_jwks(tmp_path)))


def test_a_token_is_no_checkpoint(tmp_path: Path) -> None:
    """What the key signed for another purpose is refused by its type."""
    key = keys.make(tmp_path, None)
    claims = {"segment": 1, "hash": "a", "pruned": 0, "at": 1.0}
    with pytest.raises(NotAuthentic, match="type"):
        verified(jws.sign(claims, key, typ="at+jwt"), keys.key_set(keys.public_jwks(tmp_path)))


def test_a_new_key_signs_and_the_old_one_still_verifies(tmp_path: Path) -> None:
    """Until it is said that it was stolen."""
    first = keys.make(tmp_path, None)
    second = keys.make(tmp_path, b"a passphrase of the operator")
    assert keys.load(tmp_path, b"a passphrase of the operator").kid == second.kid
    texts = [signer(key)(Checkpoint(1, "a", 0, NOW)) for key in (first, second)]
    for text in texts:
        verified(text, keys.key_set(keys.public_jwks(tmp_path)))
    keys.trust_only(tmp_path, second)
    verified(texts[1], keys.key_set(keys.public_jwks(tmp_path)))
    with pytest.raises(NotAuthentic, match="key_unknown"):
        verified(texts[0], keys.key_set(keys.public_jwks(tmp_path)))


@pytest.mark.parametrize("passphrase", [None, b"another passphrase"])
def test_a_key_that_does_not_open_says_how_to_go_on(tmp_path: Path, passphrase: bytes | None) -> None:
    """A master key that is new or gone."""
    keys.make(tmp_path, b"a passphrase of the operator")
    with pytest.raises(StoreError, match="vallum audit rekey"):
        keys.load(tmp_path, passphrase)


def test_the_first_key_is_made_and_a_lost_one_is_not(tmp_path: Path) -> None:
    """A key that signed and is gone is told; another in its place would hide it."""
    made = keys.ensure(tmp_path, None, signed=False)
    assert keys.ensure(tmp_path, None, signed=False).kid == made.kid
    (tmp_path / "audit.pem").unlink()
    with pytest.raises(StoreError, match="audit-key-missing"):
        keys.ensure(tmp_path, None, signed=True)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"keys": 1}', b'{"keys": [1]}', b'{"keys": [{"kty": "oct", "k": "AA"}]}']
)
def test_a_file_of_public_keys_is_looked_at(content: bytes) -> None:
    """What is none stops the command, with its place."""
    with pytest.raises(StoreError, match="audit-key: here"):
        keys.parsed(content, "here")


def test_the_kept_checkpoint_goes_along_with_its_chain_only(data: Path) -> None:
    """A newer one takes its place; a chain that is not the signed one does not."""
    trusted = keys.key_set(keys.public_jwks(data / "keys"))
    earlier = (data / "earlier").read_text()
    with SqliteFile(data / "vallum.db") as file:
        present = newest(file)
        assert file.write(lambda: anchor.follow(None, trusted, "sqlite")) == present
        assert file.write(lambda: anchor.follow(earlier, trusted, "sqlite")) == present
        assert file.write(lambda: anchor.follow(present, trusted, "sqlite")) is None
        for text in ("DROP TRIGGER vallum_audit_segment_no_delete", "DELETE FROM vallum_audit_segment"):
            file.write(lambda text=text: (yield Statement(text, ())))  # type: ignore[misc]  # a script in a line
        with pytest.raises(StoreError, match="audit-replaced"):
            file.write(lambda: anchor.follow(earlier, trusted, "sqlite"))
        with pytest.raises(StoreError, match="audit-replaced"):
            file.write(lambda: anchor.follow("nonsense", trusted, "sqlite"))
