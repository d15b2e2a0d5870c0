"""The route table: shapes, keys, precedence, and what is ambiguous."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vallum import defaults
from vallum.declare.document import Document
from vallum.declare.errors import DeclarationError
from vallum.declare.route import BodyKind, Kind, Route, Verb
from vallum.edge.routes import RouteTable
from vallum.edge.target import read_path


async def answer(_: object) -> Document:
    raise AssertionError("only the table is tested")


def route(path: str, *, public: str | None = None, max_body_bytes: int = 0, form: bool = False) -> Route:
    bodies = {"POST": BodyKind.FORM} if form else {}
    kind, service = (Kind.ENDPOINT, None) if public is None else (Kind.BUILT_IN, answer)
    return Route(
        path, kind, {"GET": Verb.ACT}, service=service, public=public, max_body_bytes=max_body_bytes, bodies=bodies
    )


PATHS = [
    "/",
    "/students",
    "/students/export",
    "/students/{id}",
    "/students/{id}/enrol",
    "/students/{id}/expel",
    "/enrolments",
    "/enrolments/{student_id},{course_id}",
    "/enrolments/{student_id},{course_id}/end",
    "/school/teachers",
    "/school/teachers/{id}",
    "/school/teachers/{id}/promote",
    "/.well-known/jwks.json",
    "/docs/",
]
TABLE = RouteTable(route(path) for path in PATHS)
TEXT = (
    st.text(min_size=1, max_size=8)
    .filter(str.isprintable)
    .filter(lambda text: text not in {".", "..", "export"} and not {"/", "\\"} & set(text))
)


def found(raw: bytes) -> tuple[str | None, tuple[str, ...]]:
    at, keys = TABLE.find(read_path(raw))
    return (None if at is None else at.path), keys


@pytest.mark.parametrize(
    ("raw", "path", "keys"),
    [
        (b"/", "/", ()),
        (b"/students", "/students", ()),
        (b"/students/17", "/students/{id}", ("17",)),
        (b"/students/export", "/students/export", ()),
        (b"/students/17/enrol", "/students/{id}/enrol", ("17",)),
        (b"/students/17/expel", "/students/{id}/expel", ("17",)),
        (b"/students/export/enrol", "/students/{id}/enrol", ("export",)),
        (b"/students/a%2Cb", "/students/{id}", ("a,b",)),
        (b"/students/%C3%A9", "/students/{id}", ("é",)),
        (b"/%73tudents/1", "/students/{id}", ("1",)),
        (b"/enrolments/1,2", "/enrolments/{student_id},{course_id}", ("1", "2")),
        (b"/enrolments/1%2C2,3", "/enrolments/{student_id},{course_id}", ("1,2", "3")),
        (b"/enrolments/1,2/end", "/enrolments/{student_id},{course_id}/end", ("1", "2")),
        (b"/school/teachers", "/school/teachers", ()),
        (b"/school/teachers/5", "/school/teachers/{id}", ("5",)),
        (b"/school/teachers/5/promote", "/school/teachers/{id}/promote", ("5",)),
        (b"/.well-known/jwks.json", "/.well-known/jwks.json", ()),
        (b"/docs/", "/docs/", ()),
    ],
)
def test_found(raw: bytes, path: str, keys: tuple[str, ...]) -> None:
    """Static paths first, then items, then actions; keys are split at real commas and decoded."""
    assert found(raw) == (path, keys)


@pytest.mark.parametrize(
    "raw",
    [
        b"/student",
        b"/students/",
        b"/Students",
        b"/students/1/",
        b"/students/1,2",
        b"/students/,",
        b"/students/1/enrol/",
        b"/students/1/enrol/x",
        b"/students/1/unknown",
        b"/students/1,2/enrol",
        b"/enrolments/1",
        b"/enrolments/1,",
        b"/enrolments/,2",
        b"/enrolments/1,2,3",
        b"/enrolments/1%2C2",
        b"/school",
        b"/school/5",
        b"/docs",
        b"/students/%7Bid%7D/nothing",
        b"/%C3%A9",
    ],
)
def test_nothing_there(raw: bytes) -> None:
    """A trailing slash, another case, a wrong number of keys or an empty key is another path."""
    assert found(raw) == (None, ())


@given(TEXT, TEXT)
def test_keys_round_trip(one: str, two: str) -> None:
    """Any printable text survives as a key, alone and in a pair, commas included."""
    first, second = quote(one, safe=""), quote(two, safe="")
    assert found(f"/students/{first}".encode()) == ("/students/{id}", (one,))
    assert found(f"/enrolments/{first},{second}".encode()) == ("/enrolments/{student_id},{course_id}", (one, two))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/a", "/a"),
        ("/a/{x}", "/a/{y}"),
        ("/a/{x}", "/a/{x},{y}"),
        ("/a/{x}/go", "/a/{y}/go"),
        ("/a/{x}/go", "/a/b/{y}"),
        ("/p/a/{x}/go", "/p/a/b/{y}"),
    ],
)
def test_ambiguous(one: str, other: str) -> None:
    """Two routes that could match one path stop start-up, in either order."""
    for pair in ((one, other), (other, one)):
        with pytest.raises(DeclarationError) as caught:
            RouteTable(route(path) for path in pair)
        assert caught.value.identifier == "path-ambiguous"


@pytest.mark.parametrize(
    ("one", "other"),
    [("/a/{x}", "/a/b"), ("/a/{x},{y}/go", "/a/b/{z}"), ("/a/{x}/go", "/a/b/{y},{z}"), ("/a/{x}/go", "/a/{x}/come")],
)
def test_not_ambiguous(one: str, other: str) -> None:
    """A static path shadows a key knowingly; a composite key cannot be a name, for names have no comma."""
    RouteTable([route(one), route(other)])


@pytest.mark.parametrize(
    "path",
    [
        "",
        "a",
        "//",
        "/a//b",
        "/{id}",
        "/a/{x}/{y}",
        "/a/{x}/b/c",
        "/a/{x}/b/{y}",
        "/a/x{y}",
        "/a/{x}y",
        "/a/{x}{y}",
        "/a/{}",
        "/a/{x},",
        "/a/{x}, {y}",
        "/a/{x}/",
        "/a b",
        "/é",
        "/a/..",
        "/../{x}",
        "/a/{x}/.",
    ],
)
def test_other_shapes(path: str) -> None:
    """A pattern of another shape stops start-up instead of never matching."""
    with pytest.raises(DeclarationError) as caught:
        RouteTable([route(path)])
    assert caught.value.identifier == "path-form"


def test_largest_body() -> None:
    """The measure for all routes behind a credential: their largest, at least the default; public ones do not count."""
    default = defaults.MAX_BODY_BYTES
    assert RouteTable([route("/a", max_body_bytes=1)]).largest_body_bytes == default
    assert RouteTable([route("/a", max_body_bytes=default + 1), route("/b")]).largest_body_bytes == default + 1
    assert RouteTable([route("/a", public="why", max_body_bytes=default + 1)]).largest_body_bytes == default


def test_form_behind_a_credential() -> None:
    """A form body is for public routes only."""
    RouteTable([route("/token", public="the client authenticates itself", form=True)])
    with pytest.raises(DeclarationError) as caught:
        RouteTable([route("/token", form=True)])
    assert caught.value.identifier == "form-not-public"


def test_built_in_routes_alone_have_services() -> None:
    """A built-in route has a service and no other has; no stage may read the two apart."""
    for wrong in (
        Route("/a", Kind.BUILT_IN, {"GET": Verb.SERVE}),
        Route("/a", Kind.ENDPOINT, {"GET": Verb.ACT}, service=answer),
    ):
        with pytest.raises(DeclarationError) as caught:
            RouteTable([wrong])
        assert caught.value.identifier == "service-misplaced"
    RouteTable([Route("/a", Kind.BUILT_IN, {"GET": Verb.SERVE}, service=answer)])


def test_only_built_in_routes_are_public() -> None:
    """What an author declares asks for a credential, unless a rule names ANYONE."""
    with pytest.raises(DeclarationError) as caught:
        RouteTable([Route("/a", Kind.ENDPOINT, {"GET": Verb.ACT}, public="because")])
    assert caught.value.identifier == "public-misplaced"
