"""The trading house of `postgresql.sql` and `sqlite.sql`, served by models that SQLAlchemy reads from its database.

Who there is: `anna` and `bert` are customers, `clara` a clerk, `dora` the director.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, ForeignKey, Numeric, String
from sqlalchemy.ext.declarative import DeferredReflection
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from vallum import API, CREATE, DELETE, READ, UPDATE, Plan, allow, me

HERE: Final = Path(__file__).parent
UNSUPPORTED: Final = ["tags", "year", "search", "discount"]


def models(connection: Connection) -> dict[str, Any]:
    """Mapped classes by name. Some columns are renamed, typed or left out; all else is as the database has it."""

    class Base(DeclarativeBase):
        pass

    class Reflected(DeferredReflection, Base):
        __abstract__ = True

    class Customer(Reflected):
        __tablename__ = "Customers"
        __mapper_args__ = {"exclude_properties": ["code", "balance", "home"]}  # noqa: RUF012  # as authors do
        customer_id: Mapped[str] = mapped_column("CustomerID", String(5), primary_key=True)
        company: Mapped[str] = mapped_column("Company Name", String(60))
        user: Mapped[str] = mapped_column("user")

    class Product(Reflected):
        __tablename__ = "products"
        __mapper_args__ = {"exclude_properties": UNSUPPORTED}  # noqa: RUF012  # as authors do

    class Order(Reflected):
        __tablename__ = "order"
        select: Mapped[str] = mapped_column("select", String(5), ForeignKey("Customers.CustomerID"))
        customer = relationship(Customer)

    class Detail(Reflected):
        __tablename__ = "Order Details"
        order_id: Mapped[int] = mapped_column("Order ID", ForeignKey("order.id", ondelete="CASCADE"), primary_key=True)
        product_id: Mapped[int] = mapped_column("Product ID", ForeignKey("products.id"), primary_key=True)
        unit_price: Mapped[Decimal] = mapped_column("Unit Price", Numeric(10, 2))
        order = relationship(Order)

    class Payment(Reflected):
        __tablename__ = "payment"
        payer: Mapped[str] = mapped_column(String(5), ForeignKey("Customers.CustomerID"))
        customer = relationship(Customer)

    class Entry(Reflected):
        __tablename__ = "log"
        at: Mapped[int] = mapped_column(primary_key=True)

    class Listed(Reflected):
        __tablename__ = "customer_list"
        id: Mapped[str] = mapped_column(String(5), primary_key=True)
        orders: Mapped[int] = mapped_column(BigInteger)

    found: dict[str, Any] = {"Customer": Customer, "Product": Product, "Order": Order, "Detail": Detail}
    found |= {"Payment": Payment, "Entry": Entry, "Listed": Listed}
    if connection.dialect.name == "postgresql":

        class Invoice(Reflected):
            __tablename__ = "invoice"
            __table_args__ = {"schema": "sales"}  # noqa: RUF012  # as authors do
            customer: Mapped[str] = mapped_column(String(5), ForeignKey("Customers.CustomerID", ondelete="RESTRICT"))
            owner = relationship(Customer)

        class InvoiceLine(Reflected):
            __tablename__ = "invoice_line"
            __table_args__ = {"schema": "sales"}  # noqa: RUF012  # as authors do

        class Stock(Reflected):
            __tablename__ = "stock_by_rating"
            rating: Mapped[str] = mapped_column(primary_key=True)
            pieces: Mapped[Any] = mapped_column(Numeric)

        found |= {"Invoice": Invoice, "InvoiceLine": InvoiceLine, "Stock": Stock}
    Reflected.prepare(connection, views=True)
    return found


def api_of(connection: Connection) -> API:
    """The API over it."""
    m = models(connection)
    api = API(
        "Trade",
        roles=["customer", "clerk", "director"],
        plans={"wide": Plan("1000/s")},
        existing_tables=True,
    )
    mine = m["Customer"].user == me.id
    api.resource(
        m["Customer"],
        allow("customer", READ, where=mine, fields=["customer_id", "company", "user", "since"]),
        allow("clerk", READ | CREATE),
        allow("clerk", UPDATE, fields=["company", "group"]),
        allow("director", READ | DELETE),
        path="/customers",
        filters=["company", "group"],
        sorts=["company", "since"],
    )
    api.resource(
        m["Product"],
        allow("customer", READ, fields=["id", "name", "price", "rating"]),
        allow("clerk", READ | CREATE | UPDATE | DELETE),
        filters=["rating", "price"],
        sorts=["rating", "price", "worth"],
    )
    api.resource(
        m["Order"],
        allow("customer", READ, where=m["Order"].customer.has(mine)),
        allow("clerk", READ | CREATE | DELETE),
        path="/orders",
        cascade=[m["Detail"]],
    )
    api.resource(
        m["Detail"],
        allow("customer", READ, where=m["Detail"].order.has(m["Order"].customer.has(mine))),
        allow("clerk", READ | CREATE | UPDATE | DELETE),
        path="/details",
        filters=["unit_price"],
        sorts=["unit_price"],
    )
    api.resource(
        m["Payment"],
        allow("customer", READ, where=m["Payment"].customer.has(mine)),
        allow("clerk", READ | CREATE | DELETE),
        allow("clerk", UPDATE, fields=["amount"]),
        path="/payments",
        sorts=["amount"],
    )
    api.resource(m["Entry"], allow("director", READ), path="/log")
    api.resource(
        m["Listed"],
        allow("customer", READ, where=m["Listed"].who == me.id),
        allow("director", READ),
        path="/customer-list",
        filters=["orders"],
    )
    if "Invoice" in m:
        api.resource(
            m["Invoice"],
            allow("customer", READ, where=m["Invoice"].owner.has(mine)),
            allow("clerk", READ | CREATE | DELETE),
            allow("clerk", UPDATE, fields=["state"]),
            path="/invoices",
            bulk=10,
        )
        api.resource(
            m["InvoiceLine"],
            allow("clerk", READ | CREATE | DELETE),
            allow("clerk", UPDATE, fields=["text"]),
            path="/invoice-lines",
        )
        api.resource(m["Stock"], allow("director", READ), path="/stock")
    for name, role in {"anna": "customer", "bert": "customer", "clara": "clerk", "dora": "director"}.items():
        api.accounts.add(name, roles=[role], plan="wide")
    return api
