"""Declaring an API: what is refused on the spot, and the routes that come of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Column, DateTime, ForeignKey, Integer, String, Table, literal, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, aliased, mapped_column

from vallum import defaults
from vallum.declare.accounts import Account
from vallum.declare.app import API
from vallum.declare.errors import DeclarationError
from vallum.declare.plan import Plan
from vallum.declare.policy import ANYONE, CREATE, READ, allow, deny, me
from vallum.declare.route import BodyKind, Kind, Verb
from vallum.declare.when import when


class Base(DeclarativeBase):
    """The tables of these tests."""


class Author(Base):
    """Keyed by an account."""

    __tablename__ = "authors"

    id: Mapped[str] = mapped_column(String(20), primary_key=True)


class Book(Base):
    """Refers to its author."""

    __tablename__ = "books"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(20))
    author_id: Mapped[str] = mapped_column(ForeignKey("authors.id", ondelete="CASCADE"))
    gone: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class Loan(Base):
    """A composite key."""

    __tablename__ = "loans"

    book_id: Mapped[int] = mapped_column(ForeignKey("books.id"), primary_key=True)
    reader: Mapped[str] = mapped_column(String(20), primary_key=True)


def new(**options: Any) -> API:
    return API("Library", **{"roles": ["reader", "clerk"], "attributes": {"branch": int}, **options})


def served() -> API:
    """An API of one resource."""
    api = new()
    api.resource(Book, allow("clerk", READ))
    return api


def handler(*_: Any) -> None:
    """Does nothing."""


NO_CONDITIONS: tuple[Any, ...] = (
    "title = 'x'",
    lambda book: book.title == "x",
    lambda: Book.title == "x",
    text("title = 'x'"),
    1,
    Book,
    Book.title,
    select(Book.id),
    [Book.title == "x"],
)


class Named:
    """A mixin: its columns are copied, they are nobody's attributes."""

    label: Mapped[str] = mapped_column(String(20))


ATTRIBUTES: dict[str, tuple[Callable[[], object], ...]] = {
    # Each would silently mean Book's own field of that name, were it taken by its name.
    "attribute-model": (
        lambda: new().resource(Book, allow("clerk", READ, fields=[Loan.book_id])),
        lambda: new().resource(Book, allow("clerk", READ), deny("clerk", READ, fields=["title", Author.id])),
        lambda: new().resource(Book, allow("clerk", CREATE, set={Author.id: me.id})),
        lambda: new().resource(Book, allow("clerk", READ), filters=[Author.id]),
        lambda: new().resource(Book, allow("clerk", READ), sorts=[Book.title, Author.id]),
        lambda: new().resource(Book, allow("clerk", READ), filters=[aliased(Book).id]),
        lambda: new().resource(Author, allow("clerk", READ), soft_delete=Book.gone),
    ),
    "attribute-form": (
        lambda: allow("clerk", READ, fields=[Named.label]),
        lambda: allow("clerk", READ, fields=[5]),  # type: ignore[list-item]  # the mistake
        lambda: allow("clerk", CREATE, set={"title": "x"}),  # type: ignore[dict-item]  # the mistake
        lambda: new().resource(Book, allow("clerk", READ), filters=[Book.__table__.c.title]),  # type: ignore[list-item]  # the mistake
    ),
    "fields-text": (
        lambda: new().resource(Book, allow("clerk", READ), filters="title"),
        lambda: new().resource(Book, allow("clerk", READ), sorts="title"),
    ),
}
REFUSED: list[tuple[str, Callable[[], object]]] = [
    ("role-name", lambda: new(roles=["Clerk"])),
    ("role-name", lambda: new(roles=[""])),
    ("role-name", lambda: new(roles=["ANYONE"])),
    ("attribute-type", lambda: new(attributes={"branch": float})),
    ("attribute-type", lambda: new(attributes={"the branch": int})),
    ("plan-form", lambda: new(plans={"x": "20/s"})),
    ("plan-form", lambda: new(plans={5: Plan()})),
    ("plan-form", lambda: new(plans=["20/s"])),
    ("cost-form", lambda: new().resource(Book, allow("clerk", READ), cost=2)),  # type: ignore[arg-type]  # the mistake
    ("bulk-rows", lambda: new().resource(Book, allow("clerk", READ), bulk="10")),  # type: ignore[arg-type]
    ("tenant-value", lambda: new(tenant=("branch", 5))),
    ("tenant-value", lambda: new(tenant=("branch", me.id))),
    ("tenant-value", lambda: new(tenant=("branch", literal(5)))),
    ("not-a-model", lambda: new().resource(int, allow("clerk", READ))),
    ("not-a-model", lambda: new().resource(Base, allow("clerk", READ))),
    ("resource-twice", lambda: served().resource(Book, allow("clerk", READ))),
    ("action-name", lambda: served().action(Book, "Lend", allow("clerk"))),
    ("action-name", lambda: served().action(Book, "lend/now", allow("clerk"))),
    ("rule-without-role", lambda: allow([], READ)),
    ("fields-text", lambda: allow("clerk", READ, fields="title")),
    *((identifier, declare) for identifier, declares in ATTRIBUTES.items() for declare in declares),
    ("where-python", lambda: deny("clerk", READ, where=Book.title is None)),  # type: ignore[arg-type]
    *(("where-form", lambda where=where: allow("clerk", READ, where=where)) for where in NO_CONDITIONS),
    ("attribute-name", lambda: me.attr["the branch"]),
    ("when-empty", when),
    ("account-name", lambda: new().accounts.add("")),
    ("account-name", lambda: new().accounts.add("a\nb")),
    ("account-name", lambda: new().accounts.add("ü")),
    ("account-name", lambda: new().accounts.add("x" * 201)),
    ("account-role", lambda: new().accounts.add("a", roles=["chef"])),
    ("account-plan", lambda: new().accounts.add("a", plan="gold")),
    ("account-attribute", lambda: new().accounts.add("a", attributes={"shop": 1})),
    ("account-attribute", lambda: new().accounts.add("a", attributes={"branch": "1"})),
    ("account-attribute", lambda: new().accounts.add("a", attributes={"branch": True})),
    ("account-attribute", lambda: new().accounts.add("a", attributes={"branch": 2**63})),
    ("account-attribute", lambda: new().accounts.add("a", attributes={"branch": -(2**63) - 1})),
    ("account-attribute", lambda: new(attributes={"x": str}).accounts.add("a", attributes={"x": "a\0"})),
    ("account-attribute", lambda: new(attributes={"x": str}).accounts.add("a", attributes={"x": "\udcff"})),
]


@pytest.mark.parametrize(("identifier", "declare"), REFUSED, ids=[f"{i}-{n}" for n, (i, _) in enumerate(REFUSED)])
def test_what_cannot_be_meant_is_refused_where_it_stands(identifier: str, declare: Callable[[], object]) -> None:
    """At the line of the author's program, with a stable identifier, the place and the mend."""
    with pytest.raises(DeclarationError) as caught:
        declare()
    assert caught.value.identifier == identifier
    assert caught.value.place
    assert caught.value.mend.endswith((".", "]"))
    assert str(caught.value).startswith(f"{identifier}: {caught.value.place}: ")


PATHS: list[tuple[str, Callable[[API], object]]] = [
    ("path-form", lambda api: api.get("reports", allow("clerk"))(handler)),
    ("path-form", lambda api: api.get("/reports/", allow("clerk"))(handler)),
    ("path-form", lambda api: api.get("/a b", allow("clerk"))(handler)),
    ("path-form", lambda api: api.get("/reports?x", allow("clerk"))(handler)),
    ("path-form", lambda api: api.get("/%41", allow("clerk"))(handler)),
    ("path-form", lambda api: api.get("/reports/{key}", allow("clerk"))(handler)),
    ("path-form", lambda api: api.post("/reports/{key}/send", allow("clerk"))(handler)),
    ("path-form", lambda api: api.resource(Loan, allow("clerk", READ), path="/shelves/{key}")),
    ("path-reserved", lambda api: api.get("/oauth/token", allow("clerk"))(handler)),
    ("path-reserved", lambda api: api.get("/limits", allow("clerk"))(handler)),
    ("path-reserved", lambda api: api.get("/.well-known/x", allow("clerk"))(handler)),
    ("path-reserved", lambda api: api.resource(Loan, allow("clerk", READ), path="/docs")),
    ("path-twice", lambda api: api.resource(Loan, allow("clerk", READ), path="/books")),
    ("path-twice", lambda api: api.get("/books", allow("clerk"))(handler)),
    ("path-twice", lambda api: [api.get("/x", allow("clerk"))(handler) for _ in range(2)]),
    ("path-twice", lambda api: [api.action(Book, "lend", allow("clerk"))(handler) for _ in range(2)]),
    ("action-without-resource", lambda api: api.action(Author, "praise", allow("clerk"))(handler)),
]


@pytest.mark.parametrize(("identifier", "declare"), PATHS, ids=[f"{i}-{n}" for n, (i, _) in enumerate(PATHS)])
def test_paths_are_refused_when_all_are_known(identifier: str, declare: Callable[[API], object]) -> None:
    """Declarations come in any order, so the paths are looked at together."""
    api = served()
    declare(api)
    with pytest.raises(DeclarationError) as caught:
        _ = api.routes
    assert caught.value.identifier == identifier


@pytest.mark.parametrize(
    ("column", "line"),
    [
        (
            Column("Line No", Integer, primary_key=True),
            'line_no: Mapped[int] = mapped_column("Line No", primary_key=True)',
        ),
        (Column("for", String, primary_key=True), None),
        (Column("1-2", String, primary_key=True), 'field_1_2: Mapped[str] = mapped_column("1-2", primary_key=True)'),
    ],
    ids=["blank", "word", "digit"],
)
def test_a_key_that_no_path_can_name_gets_the_line_that_names_it(column: Column[Any], line: str | None) -> None:
    """It is the key that is at fault, as a reflected table brings it, and not the path."""

    class Reflected(DeclarativeBase):
        pass

    model = type("Line", (Reflected,), {"__table__": Table("lines", Reflected.metadata, column)})
    api = new()
    api.resource(model, allow("clerk", READ))
    if line is None:
        assert "/lines/{for}" in api.routes
        return
    with pytest.raises(DeclarationError) as caught:
        _ = api.routes
    assert (caught.value.identifier, caught.value.place) == ("field-name", f"Line.{column.name}")
    assert caught.value.mend.endswith(f" {line}.")


@pytest.mark.parametrize("cost", [0, -1, True, 1.5], ids=repr)
def test_everything_costs_something(cost: Any) -> None:
    """What costs nothing would have no limit."""
    with pytest.raises(DeclarationError, match=r"^cost-form: POST /x, cost="):
        served().post("/x", allow("clerk"), cost=cost)(handler)
    with pytest.raises(DeclarationError, match=r"^cost-form: Book.lend, cost="):
        served().action(Book, "lend", allow("clerk"), cost=cost)(handler)
    with pytest.raises(DeclarationError, match=r"^cost-form: /books, list, cost="):
        new().resource(Book, allow("clerk", READ), cost={"list": cost})


def test_a_resource_is_what_its_model_says() -> None:
    """Path, key, fields, references and sorts; the key is always among the sorts."""
    api = new()
    book = api.resource(Book, allow("clerk", READ), filters=[Book.title], sorts=["title"], soft_delete=Book.gone)
    assert (book.name, book.path, book.key) == ("books", "/books", ("id",))
    assert list(book.fields) == ["id", "title", "author_id", "gone"]
    assert (book.filters, book.sorts) == (("title",), ("title", "id"))
    assert book.soft_delete == "gone"
    [reference] = book.references
    assert (reference.fields, reference.target.name) == (("author_id",), "authors")
    author = api.resource(Author, allow("clerk", READ), path="/people/authors", cascade=[Book], cost={"list": 3})
    assert (author.path, author.cascade) == ("/people/authors", frozenset({"books"}))
    assert (author.cost["list"], author.cost["item"]) == (3, 1)
    assert isinstance(author.table, Table)


def test_routes_have_the_verbs_and_bodies_of_their_kind() -> None:
    """A collection, an item under a composite key, an action below it, an endpoint of two methods."""
    api = new()
    api.action(Loan, "renew", allow("clerk"), body=int, cost=4)(handler)  # before its resource
    api.resource(Loan, allow("clerk", READ | CREATE), max_body_bytes=100, cost={"create": 2})
    api.get("/reports", allow(ANYONE))(handler)
    api.post("/reports", allow("clerk"), body=int, max_body_bytes=50)(handler)
    routes = api.routes
    assert list(routes) == ["/loans", "/loans/{book_id},{reader}", "/loans/{book_id},{reader}/renew", "/reports"]
    collection, item, action, endpoint = routes.values()
    assert [r.kind for r in routes.values()] == [Kind.COLLECTION, Kind.ITEM, Kind.ACTION, Kind.ENDPOINT]
    assert collection.methods == {"GET": Verb.LIST, "POST": Verb.CREATE}
    assert collection.bodies == {"POST": BodyKind.JSON}
    assert (collection.costs, collection.max_body_bytes) == ({"GET": 1, "POST": 2}, 100)
    assert item.methods == {"GET": Verb.ITEM, "PATCH": Verb.CHANGE, "DELETE": Verb.REMOVE}
    assert item.bodies == {"PATCH": BodyKind.MERGE_PATCH}
    assert (action.methods, action.costs, action.max_body_bytes) == ({"POST": Verb.ACT}, {"POST": 4}, 100)
    assert endpoint.methods == {"GET": Verb.ACT, "POST": Verb.ACT}
    assert (endpoint.bodies, endpoint.max_body_bytes) == ({"POST": BodyKind.JSON}, 50)
    assert all(route.public is None for route in routes.values())


def test_what_an_api_declares_by_itself() -> None:
    """Two plans, closed CORS, no tenant; the author's plans stand beside them or in their place."""
    mine = Plan(burst="1/s")
    api = new(plans={"default": mine, "gold": Plan(burst="50/s")})
    assert api.plans["default"] is mine
    assert set(api.plans) == {"default", "anonymous", "gold"}
    assert (api.cors, api.tenant, dict(api.routes)) == ((), None, {})
    assert new(tenant=("branch_id", me.attr["branch"])).tenant == ("branch_id", "branch")
    assert served().routes["/books"].max_body_bytes == defaults.MAX_BODY_BYTES


def test_accounts_are_kept_by_name() -> None:
    """The same name again replaces the account."""
    api = new()
    api.accounts.add("clerk-1", roles=["clerk"])
    api.accounts.add("clerk-1", roles=["clerk", "reader"], attributes={"branch": 4})
    assert api.accounts.declared == {
        "clerk-1": Account("clerk-1", frozenset({"clerk", "reader"}), {"branch": 4}, "default")
    }


def test_an_attribute_may_have_64_bits() -> None:
    """As the widest column has them."""
    for number in (2**63 - 1, -(2**63)):
        assert new().accounts.add("a", attributes={"branch": number}).attributes == {"branch": number}


def test_functions_stay_themselves_and_hooks_are_kept() -> None:
    """Decorators give back the function; hooks are called in their order."""
    api = served()
    assert api.action(Book, "lend", allow("clerk"))(handler) is handler
    assert api.delete("/x", allow("clerk"))(handler) is handler
    assert api.put("/x", allow("clerk"), body=int)(handler) is handler
    assert [api.on_start(handler), api.on_stop(handler), api.on_seed(handler)] == [handler] * 3
    assert (api.starters, api.stoppers, api.seeders) == ([handler], [handler], [handler])


# Freshness ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [59, 601, 0, -180, 180.0, True, "180", None])
def test_a_window_has_bounds(seconds: Any) -> None:
    """A minute to ten, in whole seconds."""
    with pytest.raises(DeclarationError) as caught:
        API("x", roles=[], fresh_seconds=seconds)
    assert caught.value.identifier == "fresh-seconds"
    assert [API("x", roles=[], fresh_seconds=fine).fresh_seconds for fine in (60, 600)] == [60, 600]


@pytest.mark.parametrize("word", ["none", "write", "reads", "", None, True, ["all"]])
def test_freshness_is_one_of_three_words(word: Any) -> None:
    """A misspelt one would switch it off without anybody's meaning to."""
    with pytest.raises(DeclarationError) as caught:
        API("x", roles=[], fresh=word)
    assert caught.value.identifier == "fresh-word"
    if word is not None:
        api = API("x", roles=[])
        declarations: list[Callable[[], object]] = [
            lambda: api.post("/x", fresh=word),
            lambda: api.get("/x", fresh=word),
            lambda: api.action(object, "x", fresh=word),
        ]
        for declare in declarations:
            with pytest.raises(DeclarationError) as caught:
                declare()
            assert caught.value.identifier == "fresh-word"
