"""A sum in a `column_property` that leaves 64 bits: what docs/limitations.md says of it, on both stores."""

from __future__ import annotations

from pathlib import Path
from sqlite3 import OperationalError
from typing import Any

import pytest
from sqlalchemy import BigInteger, ColumnElement, Float, ForeignKey, ScalarSelect, cast, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, column_property, mapped_column

from tests import stores
from vallum import API, READ, allow


class Base(DeclarativeBase):
    pass


class Gain(Base):
    """What is added up."""

    __tablename__ = "gains"

    id: Mapped[int] = mapped_column(primary_key=True)
    box_id: Mapped[int] = mapped_column(ForeignKey("boxes.id"), index=True)
    units: Mapped[int] = mapped_column(BigInteger)


class Box(Base):
    """With whole numbers."""

    __tablename__ = "boxes"

    id: Mapped[int] = mapped_column(primary_key=True)


class Measured(Base):
    """The same rows, with the mend."""

    __table__ = Box.__table__


def total(units: ColumnElement[Any]) -> ScalarSelect[Any]:
    """Of the gains of one box."""
    own = Gain.box_id == Box.__table__.c.id
    return select(func.sum(units)).where(own).correlate(Box.__table__).scalar_subquery()


Box.total = column_property(total(Gain.__table__.c.units))
Measured.total = column_property(total(cast(Gain.units, Float)))

api = API("Sums", roles=["clerk"])
api.resource(Box, allow("clerk", READ))
api.resource(Measured, allow("clerk", READ), path="/measured")
api.accounts.add("ada", roles=["clerk"])


def seed(db: Session) -> None:
    """One box in bounds, one beyond."""
    db.add_all([Box(id=1), Box(id=2), Gain(box_id=1, units=2**63 - 1)])
    db.flush()
    db.add_all([Gain(box_id=2, units=2**63 - 1), Gain(box_id=2, units=1)])


@pytest.mark.stores("sqlite", "postgresql")
def test_a_sum_beyond_64_bits(tmp_path: Path, store: str) -> None:
    """SQLite fails the whole list, PostgreSQL goes on counting; of floats both give the same."""
    stores.create(api, tmp_path / "data", seed, store=store)
    with stores.client(api, "ada", tmp_path / "data") as ada:
        assert ada.get("/boxes/1").json()["total"] == 2**63 - 1
        if store == stores.SQLITE:
            for path in ("/boxes", "/boxes/2"):
                with pytest.raises(OperationalError, match="integer overflow"):
                    ada.get(path)
        else:
            assert [box["total"] for box in ada.get("/boxes").json()["items"]] == [2**63 - 1, 2**63]
        assert [box["total"] for box in ada.get("/measured").json()["items"]] == [2.0**63, 2.0**63]
