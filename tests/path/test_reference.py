"""`/docs`, as far as it shows without a browser: the page, its files, and whose work they are."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tomllib
import zipfile
from base64 import b64encode
from importlib.resources import files
from pathlib import Path

import pytest
from tests.path.conftest import As

from vallum import API
from vallum.docs.reference import POLICY
from vallum.testing import Client

ROOT = Path(__file__).parents[2]
ASSETS = files("vallum.docs")
LINKED = re.compile(r'(?:href|src)="([^"]+)"(?: integrity="([^"]+)")?')


def linked(page: str) -> dict[str, str]:
    """Path of each file that the page names → the digest that it expects."""
    return {path: digest for path, digest in LINKED.findall(page) if path != "data:,"}


def test_the_page_is_the_same_for_everybody_and_has_its_own_strict_policy(client: As) -> None:
    """Scripts and styles of this origin, pictures inside the style sheet, calls to this origin, and nothing else."""
    answer = client(None).get("/docs", headers={"accept": "text/html"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY
    assert client("ada").get("/docs").content == answer.content
    assert (answer.headers["x-frame-options"], answer.headers["cache-control"]) == ("DENY", "no-store")


def test_the_page_asks_for_its_own_files_and_has_nothing_inline(client: As) -> None:
    """No other origin, no script or style between tags, no handler in an attribute."""
    page = client(None).get("/docs").text
    assert len(linked(page)) == 4
    assert all(path.startswith("/docs/") for path in linked(page))
    assert re.search(r"<script[^>]*>[^<]|<style|\son\w+=|\sstyle=|https?://", page) is None


def test_each_file_is_what_the_page_expects(client: As) -> None:
    """By its digest, which is in its name too: it may be kept for ever, and a changed one is another file."""
    stranger = client(None)
    for path, digest in linked(stranger.get("/docs").text).items():
        answer = stranger.get(path)
        assert answer.status_code == 200
        assert digest == f"sha256-{b64encode(hashlib.sha256(answer.content).digest()).decode()}"
        assert hashlib.sha256(answer.content).hexdigest()[:16] in path
        assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
        kind = "text/css" if path.endswith(".css") else "text/javascript"
        assert answer.headers["content-type"] == f"{kind}; charset=utf-8"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_what_is_large_counts(client: As) -> None:
    """The page and its own files are free; nobody has this service send megabytes without end."""
    stranger = client(None)

    def left(path: str) -> int:
        return int(stranger.get(path).headers["ratelimit"].partition("r=")[2].partition(";")[0])

    free: list[str] = []
    counted: list[str] = []
    for path in ("/docs", *linked(stranger.get("/docs").text)):
        before = left("/docs")
        (free if left(path) == before else counted).append(path.rpartition("/")[2].partition("-")[0])
    assert (free, counted) == (["docs", "reference", "reference"], ["swagger", "swagger"])


def test_the_title_of_the_api_is_text() -> None:
    """Whatever stands in it."""
    with Client(API("<script>alert(1)</script> & more", roles=[])) as stranger:
        page = stranger.get("/docs").text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in page
    assert "<script>" not in page


def test_the_page_keeps_nothing_and_makes_no_code_from_text() -> None:
    """What is entered there lives in the memory of the page; what it shows never becomes markup by its own hand."""
    script = ASSETS.joinpath("assets", "reference.js").read_text(encoding="utf-8")
    forbidden = r"localStorage|sessionStorage|indexedDB|document\.cookie|eval\(|new Function|innerHTML|insertAdjacent"
    assert re.search(forbidden, script) is None
    assert "getRandomValues" in script


def test_who_signs_out_is_signed_out_before_anything_is_asked() -> None:
    """The credential is dropped in the same step, and whoever leaves the page has signed out; a browser shows that it works
    (tests/system/openapi/reference.py).
    """
    script = ASSETS.joinpath("assets", "reference.js").read_text(encoding="utf-8")
    (steps,) = re.findall(r"^  function signOut\(\) \{\n(.*?)^  \}", script, re.DOTALL | re.MULTILINE)
    assert [step.strip() for step in steps.splitlines()] == ["attempts++;", "credential = null;", "show(null);"]
    assert re.search(r'"sign-out"\)\.addEventListener\("click", \(\) => \{\s+signOut\(\);', script)
    assert 'addEventListener("pagehide", signOut)' in script


def test_vendored_files_are_as_their_makers_packed_them() -> None:
    """Every file beside the manifest is in it, with its digest; licences are among them."""
    folder = Path(str(ASSETS.joinpath("vendor", "swagger-ui")))
    manifest = tomllib.loads((folder / "vendored.toml").read_text(encoding="utf-8"))
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    del found["vendored.toml"]
    assert manifest["sha256"] == found
    assert {"LICENSE", "NOTICE"} <= found.keys()
    assert manifest["integrity"].startswith("sha512-")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    place = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    (built,) = place.glob("*.whl")
    return zipfile.ZipFile(built)


def test_the_wheel_has_every_file_of_the_package(wheel: zipfile.ZipFile) -> None:
    """Pages, scripts and texts beside the modules; and the licences of what is vendored."""
    packed = set(wheel.namelist())
    wanted = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src" / "vallum").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted - packed == set()
    assert any(name.endswith("licenses/src/vallum/docs/vendor/swagger-ui/LICENSE") for name in packed)
