"""An API whose handlers count: what a request does, it does once. Each kind of freshness is declared somewhere.

Who there is: `ria` and `rob` ring, `kim` has a plan so small that it is used up in a few requests.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from vallum import ANYONE, API, CREATE, DELETE, READ, UPDATE, Call, Plan, allow

RUNG: Final[list[str]] = []
"""Who rang, in order."""


class Base(DeclarativeBase):
    """All tables."""


class Bell(Base):
    """As the API says: writes are fresh."""

    __tablename__ = "bells"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Gong(Base):
    """Reads are fresh too."""

    __tablename__ = "gongs"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Horn(Base):
    """Nothing is, except for one action."""

    __tablename__ = "horns"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


PLENTY: Final = Plan("100000/s")


def made(**options: Any) -> API:
    """The API, with other words for its freshness."""
    plans = {"default": PLENTY, "anonymous": PLENTY, "tiny": Plan("3/s", hour=6)}
    api = API("Once", roles=["ringer"], plans=plans, cors=["https://app.example.org"], **options)
    everything = allow("ringer", CREATE | READ | UPDATE | DELETE)
    api.resource(Bell, everything)
    api.resource(Gong, everything, fresh="all")
    api.resource(Horn, everything, fresh="off")
    _handlers(api)
    for name, plan in (("ria", "default"), ("rob", "default"), ("kim", "tiny")):
        api.accounts.add(name, roles=["ringer"], plan=plan)
    return api


def ring(call: Call) -> dict[str, int]:
    """Ring once more."""
    RUNG.append(call.principal.id or "nobody")
    return {"rung": len(RUNG)}


def _handlers(api: API) -> None:
    everybody = (allow("ringer"), allow(ANYONE))
    api.post("/ring", *everybody)(ring)
    api.put("/ring", *everybody, body=dict[str, int])(lambda call, _: ring(call))
    api.delete("/ring", *everybody)(ring)
    api.get("/ring", *everybody)(ring)
    api.get("/listen", *everybody, fresh="all")(ring)
    api.post("/hum", *everybody, fresh="off")(ring)
    for model, name, fresh in _actions():
        api.action(model, name, allow("ringer"), fresh=fresh)(lambda call, _: ring(call))


def _actions() -> Iterable[tuple[type[Any], str, Any]]:
    yield Bell, "ring", None
    yield Bell, "hum", "off"
    yield Horn, "blow", None
    yield Horn, "ring", "writes"


api: Final = made()
