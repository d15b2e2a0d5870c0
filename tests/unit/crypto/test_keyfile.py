from __future__ import annotations

import multiprocessing
import os
import stat
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from vallum.crypto import BadKey, keyfile
from vallum.defaults import MAX_SECRET_FILE_BYTES


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "keys"


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_round_trip(folder: Path) -> None:
    """What was written is read, and nothing else is left in the folder."""
    keyfile.write_secret(folder / "secret", b"\0\xff secret")
    assert keyfile.read_secret(folder / "secret") == b"\0\xff secret"
    assert [path.name for path in folder.iterdir()] == ["secret"]


@pytest.mark.usefixtures("umask")
def test_mode_of_the_file(tmp_path: Path) -> None:
    """0600 under any umask."""
    keyfile.write_secret(tmp_path / "secret", b"x")
    assert mode(tmp_path / "secret") == 0o600


def test_mode_of_the_folders(folder: Path) -> None:
    """Each folder that had to be made is 0700, the one above as well."""
    keyfile.write_secret(folder / "secret", b"x")
    assert (mode(folder), mode(folder.parent)) == (0o700, 0o700)


def test_existing_folder_keeps_its_mode(folder: Path) -> None:
    """A folder that others may look into, but not change, is left as it is."""
    folder.mkdir(parents=True, mode=0o755)
    keyfile.write_secret(folder / "secret", b"x")
    assert mode(folder) == 0o755


@pytest.mark.parametrize("bits", [0o720, 0o702, 0o777, 0o1777])
def test_folder_open_to_others(folder: Path, bits: int) -> None:
    """Where others may write they could exchange the file: refused with the mend, nothing written."""
    folder.mkdir(parents=True)
    folder.chmod(bits)
    with pytest.raises(BadKey, match=r"secret_directory_open.*chmod 700"):
        keyfile.write_secret(folder / "secret", b"x")
    assert list(folder.iterdir()) == []


def test_existing_secret_is_kept(folder: Path) -> None:
    """Without `replace` an existing secret is an error, stays what it was, and no draft is left."""
    keyfile.write_secret(folder / "secret", b"first")
    with pytest.raises(FileExistsError):
        keyfile.write_secret(folder / "secret", b"second")
    assert keyfile.read_secret(folder / "secret") == b"first"
    assert [path.name for path in folder.iterdir()] == ["secret"]


def test_replace(folder: Path) -> None:
    """With `replace` the new content stands there with mode 0600, whatever the old file's mode was."""
    keyfile.write_secret(folder / "secret", b"first")
    (folder / "secret").chmod(0o644)
    keyfile.write_secret(folder / "secret", b"second", replace=True)
    assert keyfile.read_secret(folder / "secret") == b"second"
    assert [path.name for path in folder.iterdir()] == ["secret"]


def test_replace_does_not_follow_a_link(folder: Path, tmp_path: Path) -> None:
    """A link in the place of the secret is replaced itself; the file it points to stays."""
    folder.mkdir(parents=True, mode=0o700)
    victim = tmp_path / "victim"
    victim.write_bytes(b"victim")
    (folder / "secret").symlink_to(victim)
    with pytest.raises(FileExistsError):
        keyfile.write_secret(folder / "secret", b"new")
    keyfile.write_secret(folder / "secret", b"new", replace=True)
    assert victim.read_bytes() == b"victim"
    assert not (folder / "secret").is_symlink()


def test_interrupted_write(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk fails before the file is complete, the old secret stands and no draft is left."""
    keyfile.write_secret(folder / "secret", b"first")

    def fail(_: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        keyfile.write_secret(folder / "secret", b"second", replace=True)
    assert keyfile.read_secret(folder / "secret") == b"first"
    assert [path.name for path in folder.iterdir()] == ["secret"]


def test_content_is_on_the_disk_before_it_has_its_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is synced while only the draft exists, the folder after the secret has its name."""
    seen: list[tuple[bool, bool]] = []
    real = os.fsync

    def spy(descriptor: int) -> None:
        seen.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), (folder / "secret").exists()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", spy)
    keyfile.write_secret(folder / "secret", b"x")
    assert seen == [(False, False), (True, True)]


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o644, 0o620, 0o602, 0o610, 0o666, 0o777, 0o440], ids=oct)
def test_open_to_others(folder: Path, bits: int) -> None:
    """Any right of group or others refuses the file, and the message says how to mend it."""
    keyfile.write_secret(folder / "secret", b"x")
    (folder / "secret").chmod(bits)
    with pytest.raises(BadKey, match=r"secret_file_open.*chmod 600") as caught:
        keyfile.read_secret(folder / "secret")
    assert str(folder / "secret") in caught.value.detail


@pytest.mark.parametrize("bits", [0o600, 0o400, 0o700], ids=oct)
def test_for_the_owner_only(folder: Path, bits: int) -> None:
    """Whatever the owner may do is the owner's business."""
    keyfile.write_secret(folder / "secret", b"x")
    (folder / "secret").chmod(bits)
    assert keyfile.read_secret(folder / "secret") == b"x"


def test_size(folder: Path) -> None:
    """Exactly the bound is read; empty and one byte more are refused."""
    keyfile.write_secret(folder / "fits", b"x" * MAX_SECRET_FILE_BYTES)
    assert len(keyfile.read_secret(folder / "fits")) == MAX_SECRET_FILE_BYTES
    for name, content in (("empty", b""), ("large", b"x" * (MAX_SECRET_FILE_BYTES + 1))):
        keyfile.write_secret(folder / name, content)
        with pytest.raises(BadKey, match="secret_file_size"):
            keyfile.read_secret(folder / name)


def test_no_regular_file(folder: Path) -> None:
    """A folder and a named pipe in its place are refused at once, without waiting for a writer."""
    folder.mkdir(parents=True, mode=0o700)
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe", 0o600)
    for name in ("folder", "pipe"):
        with pytest.raises(BadKey, match="secret_file_kind"):
            keyfile.read_secret(folder / name)


def test_absent(folder: Path) -> None:
    """A missing file is the ordinary error: whoever starts for the first time makes one."""
    with pytest.raises(FileNotFoundError):
        keyfile.read_secret(folder / "secret")


def _race(path: Path, number: int, barrier: Barrier) -> None:
    barrier.wait()
    try:
        keyfile.write_secret(path, bytes([number]) * 32)
    except FileExistsError:
        os._exit(1)
    os._exit(0)


def test_two_processes_at_their_first_start(folder: Path) -> None:
    """Of four processes that make the same secret at once exactly one succeeds, and its secret stands whole."""
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(4)
    processes = [context.Process(target=_race, args=(folder / "secret", number, barrier)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    winners = [number for number, process in enumerate(processes) if process.exitcode == 0]
    assert len(winners) == 1
    assert keyfile.read_secret(folder / "secret") == bytes(winners) * 32
