"""Handlers over the models of `works`: each test puts the function that it is about into `DEEDS`.

Who there is: `cleo` is a clerk of her own rooms, `bert` is the boss, `gwen` acts but reads nothing, `cora` is
a clerk and a boss.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pydantic import BaseModel, Field
from tests.path.works import Desk, Drawer, Lamp, Notice, Room, Slot

from vallum import API, CREATE, DELETE, READ, UPDATE, Call, Plan, allow, deny, me

DEEDS: Final[dict[str, Callable[..., Any]]] = {}
"""Name in the body of a request → what the handler does."""

api: Final = API("Deeds", roles=["clerk", "boss", "agent"], plans={"default": Plan(burst="100000/s")})

own = Room.owner == me.id

api.resource(
    Room,
    allow("clerk", READ, where=own, fields=["id", "name", "owner", "seats"]),
    allow("clerk", CREATE, where=Room.seats <= 10, fields=["name", "seats"], set={Room.owner: me.id}),
    allow("clerk", UPDATE, where=own, fields=["name"]),
    allow("clerk", DELETE, where=Room.seats > 50),
    allow("boss", CREATE | READ | UPDATE | DELETE),
)
api.resource(Desk, allow("clerk", READ, where=Desk.room.has(own)), allow("boss", READ | CREATE | UPDATE | DELETE))

api.resource(
    Drawer,
    allow("clerk", READ),
    # It looks at desks that a clerk may not read.
    deny("clerk", READ, where=Drawer.desk.has(Desk.name == "carls")),
    allow("boss", READ),
)
api.resource(Slot, allow("clerk", READ, where=Slot.day == 2))
api.resource(
    Notice,
    # Nobody fills `author`, which must not be null; but for a clerk who is a boss, in one room.
    allow("boss", READ, fields=["id", "room_id", "text", "approved"]),
    allow("boss", CREATE, fields=["id", "room_id", "text", "approved"], set={Notice.approved: True}),
    allow("clerk", CREATE, where=Notice.room_id == 2, fields=["room_id"], set={Notice.author: me.id}),
)


class Named(BaseModel):
    """Which deed, and something to do it with."""

    deed: str
    count: int = Field(default=0, ge=0, le=10)


@api.action(Room, "do", allow("clerk", where=Room.seats <= 10), allow("boss"), body=Named)
def do(call: Call, room: Room, body: Named) -> Any:
    """With a row."""
    return DEEDS[body.deed](call, room)


@api.post("/do", allow(["clerk", "boss", "agent"]), body=Named)
def perform(call: Call, body: Named) -> Any:
    """Without a row."""
    return DEEDS[body.deed](call)


@api.post("/wait", allow(["clerk", "agent"]), body=Named)
async def wait(call: Call, body: Named) -> Any:
    """Without an open transaction."""
    return await DEEDS[body.deed](call)


HIDDEN: Final = Lamp
"""A model without a resource."""

for name, role in (("cleo", "clerk"), ("carl", "clerk"), ("bert", "boss"), ("gwen", "agent")):
    api.accounts.add(name, roles=[role])
api.accounts.add("cora", roles=["clerk", "boss"])
