"""A library with three models: the API that the tests of the path share.

Who there is: `rita` reads, `walt` and `wilma` write, `ada` runs the place, `both` reads and writes, `nina` has no role,
`tim` and `tom` read under a plan so small that its limits are met in a few requests, `wim` writes without end.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Final, final

from pydantic import BaseModel
from sqlalchemy import CheckConstraint, DateTime, ForeignKey, String, null, true
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from vallum import (
    ANYONE,
    API,
    CREATE,
    DELETE,
    READ,
    UPDATE,
    Call,
    Conflict,
    Plan,
    Reduced,
    allow,
    deny,
    me,
)

NOON: Final = 1_800_014_400.0
"""2027-01-15 12:00 UTC: the first second of an hour, in the middle of a day."""


class Base(DeclarativeBase):
    """All tables."""


class Shelf(Base):
    """Where books stand; open to anyone."""

    __tablename__ = "shelves"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40), unique=True)
    code: Mapped[str | None] = mapped_column(String(10))


class Book(Base):
    """Of one owner until it is public. Deleted ones stay in the table."""

    __tablename__ = "books"
    __table_args__ = (CheckConstraint("pages BETWEEN 1 AND 5000", name="pages"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    shelf_id: Mapped[int | None] = mapped_column(ForeignKey("shelves.id"), index=True)
    owner: Mapped[str] = mapped_column(String(200), index=True)
    title: Mapped[str] = mapped_column(String(80), index=True)
    pages: Mapped[int | None]
    price: Mapped[float | None]
    public: Mapped[bool | None] = mapped_column(default=False, index=True)
    deleted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    shelf: Mapped[Shelf | None] = relationship()


class Loan(Base):
    """Who has which book: a composite key."""

    __tablename__ = "loans"

    book_id: Mapped[int] = mapped_column(ForeignKey("books.id"), primary_key=True)
    reader: Mapped[str] = mapped_column(String(200), primary_key=True, index=True)
    since: Mapped[date]


api: Final = API(
    "Library",
    roles=["reader", "writer", "admin"],
    attributes={"shelf": int},
    plans={
        "default": Plan(burst="100/s", hour=10_000, day=100_000),
        "anonymous": Plan(burst="3/s", hour=6, day=8),
        "tiny": Plan(burst="3/s", hour=6, day=8),
        "large": Plan(burst="50/s", hour=60, day=80),
        "slow": Plan(burst="3/s", hour=4, after_quota=Reduced("2/min")),
        "burst-only": Plan(burst="2/min"),
        "load": Plan(burst="100000/s", hour=10_000_000, day=100_000_000),
    },
)

own = Book.owner == me.id

api.resource(
    Shelf,
    allow(ANYONE, READ, fields=["id", "name"]),
    allow("admin", CREATE | READ | UPDATE | DELETE),
    filters=["name"],
    sorts=["name"],
)

api.resource(
    Book,
    allow("reader", READ, where=Book.public.is_(True), fields=["id", "shelf_id", "title", "pages", "public"]),
    allow("reader", READ, where=Book.shelf_id == me.attr["shelf"], fields=["id", "title", "pages", "price"]),
    allow("writer", READ | DELETE, where=own),
    allow("writer", UPDATE, where=own, fields=["title", "pages", "shelf_id"]),
    allow("writer", CREATE, fields=["title", "pages", "shelf_id", "price"], set={Book.owner: me.id}),
    allow("admin", CREATE | READ | UPDATE | DELETE),
    deny("admin", DELETE, where=Book.public == true()),
    deny("writer", UPDATE, where=Book.public.is_(True), fields=["title"]),
    filters=["title", "pages", "price", "shelf_id", "public"],
    sorts=["title", "pages"],
    soft_delete=Book.deleted_at,
    cost={"list": 2},
)

api.resource(
    Loan,
    allow("reader", READ, where=Loan.reader == me.id),
    allow("reader", CREATE, where=Loan.reader == me.id),
    allow("admin", CREATE | READ | DELETE),
    filters=["book_id", "reader"],
    sorts=["since"],
)


class Note(BaseModel):
    """What one may say to `/notes`."""

    text: str
    stars: int = 0


@api.action(Book, "publish", allow("writer", where=own), allow("admin"), cost=3)
def publish(call: Call, book: Book) -> Book:
    """Show a book to all readers, once."""
    if book.public:
        raise Conflict("It is public already.")
    book.public = True
    return book


@api.get("/hello", allow(ANYONE))
def hello(call: Call) -> dict[str, Any]:
    """Anyone may ask, and hears who the service thinks it is."""
    return {"id": call.principal.id, "roles": sorted(call.principal.roles)}


@api.post("/notes", allow(["reader", "writer"]), deny("writer"), body=Note)
def note(call: Call, body: Note) -> dict[str, Any]:
    """Readers only: who writes is denied, even when a reader too."""
    return {"text": body.text, "stars": body.stars}


for name, roles, attributes, plan in (
    ("rita", ["reader"], {"shelf": 1}, "default"),
    ("walt", ["writer"], {}, "default"),
    ("wilma", ["writer"], {}, "default"),
    ("ada", ["admin"], {}, "default"),
    ("both", ["reader", "writer"], {}, "default"),
    ("nina", [], {}, "default"),
    ("tim", ["reader"], {"shelf": 2}, "tiny"),
    ("tom", ["reader"], {}, "tiny"),
    ("sam", ["reader"], {}, "slow"),
    ("bob", ["reader"], {}, "burst-only"),
    ("wim", ["writer"], {}, "load"),
):
    api.accounts.add(name, roles=roles, attributes=attributes, plan=plan)


@api.on_seed
def seed(db: Session) -> None:
    """Six books: of each writer a public, a private one and one that is gone or of unknown state."""
    db.add_all([Shelf(id=1, name="Novels", code="N"), Shelf(id=2, name="Science", code="S")])
    db.flush()
    gone = datetime.fromtimestamp(NOON - 86_400).astimezone()
    db.add_all(
        [
            Book(id=1, owner="walt", shelf_id=1, title="Amber", pages=100, price=9.5, public=True),
            Book(id=2, owner="walt", shelf_id=2, title="Birch", pages=200, price=12.0, public=False),
            Book(id=3, owner="walt", shelf_id=2, title="Cedar", pages=300, public=True, deleted_at=gone),
            Book(id=4, owner="wilma", shelf_id=2, title="Dune", pages=400, price=20.0, public=True),
            Book(id=5, owner="wilma", shelf_id=1, title="Elm", pages=None, price=3.5, public=False),
            Book(id=6, owner="wilma", shelf_id=None, title="Fern", pages=50, public=null()),
        ]
    )
    db.flush()
    db.add_all(
        [Loan(book_id=1, reader="rita", since=date(2027, 1, 2)), Loan(book_id=4, reader="tim", since=date(2027, 1, 3))]
    )


@final
class Clock:
    """Unix seconds, moved by the test."""

    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        """The time."""
        return self.now

    def forward(self, seconds: float) -> None:
        """Let so much time pass."""
        self.now += seconds
