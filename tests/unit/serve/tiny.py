"""A small API that tests serve in a process of its own."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from vallum import API, CREATE, READ, UPDATE, Call, Plan, allow, me


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(index=True)
    text: Mapped[str]


class Text(BaseModel):
    text: str


api = API("Tiny", roles=["reader", "writer"], attributes={"floor": int}, plans={"wide": Plan("1000/s")})
api.resource(
    Note,
    allow("reader", READ, where=Note.owner == me.id),
    allow("writer", CREATE | READ | UPDATE),
    filters=["text"],
)


@api.post("/slow", allow("writer"), body=Text)
async def slow(call: Call, body: Text) -> dict[str, str]:
    """Long enough to be stopped in the middle."""
    await asyncio.sleep(1.0)
    return {"done": "yes"}


@api.post("/broken", allow("writer"), body=Text)
async def broken(call: Call, body: Text) -> dict[str, str]:
    """An error whose message holds what the client sent, with another one behind it."""
    remembered = body.text
    try:
        int(remembered)
    except ValueError as error:
        raise RuntimeError(f"no number: {remembered}") from error
    return {}


api.accounts.add("rita", roles=["reader"], plan="wide")
api.accounts.add("will", roles=["writer"], plan="wide")


@api.on_seed
def fill(db: Session) -> None:
    """A few rows."""
    db.add_all(Note(owner=owner, text=f"note {n}") for n, owner in enumerate(["rita"] * 3 + ["will"] * 2))
