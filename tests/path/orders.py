"""Orders: an API in which doing a thing twice would show.

Who there is: `bea` and `bob` buy, `dora` drops orders in without reading any, and so does anyone; `robot` buys with API
keys. Handlers do what the test puts into `DEEDS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pydantic import BaseModel
from sqlalchemy import String
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from vallum import ANYONE, API, CREATE, DELETE, READ, UPDATE, Call, Conflict, Plan, allow, me, when


class Base(DeclarativeBase):
    """All tables."""


class Order(Base):
    """What somebody wants; of the item `unique` there is one."""

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str | None] = mapped_column(String(20), index=True)
    item: Mapped[str] = mapped_column(String(20))
    place: Mapped[str | None] = mapped_column(String(20), unique=True)
    price: Mapped[int] = mapped_column(default=7)
    paid: Mapped[int] = mapped_column(default=0)


class Box(Base):
    """A key of two texts."""

    __tablename__ = "boxes"

    shelf: Mapped[str] = mapped_column(String(20), primary_key=True)
    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    opened: Mapped[int] = mapped_column(default=0)


api: Final = API("Orders", roles=["buyer", "dropper"], plans={"default": Plan(burst="100000/s")})

own = Order.owner == me.id

api.resource(
    Order,
    allow("buyer", READ, where=own, fields=["id", "item", "paid", "place"]),
    allow("buyer", READ, where=own, fields=["price"], when=when(scope="prices")),
    allow("buyer", UPDATE, where=own, fields=["item"]),
    allow("buyer", DELETE, where=own),
    allow("buyer", CREATE, fields=["item", "place"], set={Order.owner: me.id}),
    allow(["dropper", ANYONE], CREATE, fields=["item"]),
)

api.resource(Box, allow("buyer", READ))

DEEDS: Final[dict[str, Callable[..., Any]]] = {}
"""Name → what a handler does."""


class Wish(BaseModel):
    """Which deed, and how often."""

    deed: str
    count: int = 1


@api.action(Order, "pay", allow("buyer", where=own))
def pay(call: Call, order: Order) -> Order:
    """Each call takes money."""
    order.paid += 1
    return order


@api.action(Order, "close", allow("buyer", where=own))
def close(call: Call, order: Order) -> None:
    """Once; it says nothing."""
    if order.item == "closed":
        raise Conflict("It is closed already.")
    order.item = "closed"


@api.action(Box, "open", allow("buyer"))
def unpack(call: Call, box: Box) -> Box:
    """Each call counts."""
    box.opened += 1
    return box


@api.post("/do", allow("buyer"), body=Wish)
def do(call: Call, body: Wish) -> Any:
    """Without a row."""
    return DEEDS[body.deed](call, body)


@api.put("/do", allow("buyer"), body=Wish)
def redo(call: Call, body: Wish) -> Any:
    """By another method."""
    return DEEDS[body.deed](call, body)


@api.post("/send", allow("buyer"), body=Wish)
async def send(call: Call, body: Wish) -> Any:
    """Not one transaction."""
    return await call.transact(lambda inside: DEEDS[body.deed](inside, body))


for name, role in (("bea", "buyer"), ("bob", "buyer"), ("dora", "dropper")):
    api.accounts.add(name, roles=[role])


def seed(db: Session) -> None:
    """Two orders of Bea's, one of Bob's, two boxes whose keys look alike in a path."""
    db.add_all([Box(shelf="a", name="b,c"), Box(shelf="a,b", name="c")])
    db.add_all(
        [Order(id=1, owner="bea", item="tea"), Order(id=2, owner="bea", item="jam"), Order(id=3, owner="bob", item="x")]
    )
