"""An API with one long table, of which the caller may read nine rows in ten. For `parts/depth.py`."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from sqlalchemy import Index, String, insert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from benchmarks.school_app import UNREACHED
from vallum import API, READ, Plan, allow, me

ROWS: Final = 240_000
READER: Final = "reader-1"
DAYS: Final = 5_000
"""Different values of `day`: a sort on it meets many equal ones."""
BATCH: Final = 10_000


class Base(DeclarativeBase):
    """Of this table alone."""


class Entry(Base):
    """A line of a journal."""

    __tablename__ = "entries"
    __table_args__ = (
        Index("ix_entries_owner_id", "owner", "id"),
        Index("ix_entries_owner_day_id", "owner", "day", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(40))
    day: Mapped[date]
    text: Mapped[str] = mapped_column(String(200))


api: Final = API(
    "Journal", roles=["reader"], plans={"default": Plan(burst=f"{UNREACHED}/s", hour=UNREACHED, day=UNREACHED)}
)
api.accounts.add(READER, roles=["reader"])
api.resource(Entry, allow("reader", READ, where=Entry.owner == me.id), sorts=["day"])


def fill(db: Session) -> None:
    """The same rows each time."""
    first = date(2010, 1, 1)
    for begin in range(1, ROWS + 1, BATCH):
        rows = [
            {
                "id": number,
                "owner": "reader-2" if number % 10 == 0 else READER,
                "day": first + timedelta(days=number * 7919 % DAYS),
                "text": f"entry {number}",
            }
            for number in range(begin, begin + BATCH)
        ]
        db.execute(insert(Entry), rows)
